#!/bin/sh
# Writes NAME.pb-c.c and NAME.pb-c.h for each .proto file into OUT.
#
#     generate-protos.sh PROTOC_C OUT FILE.proto...
#
# The files are compiled as if they lay in one folder, since meson wants what is
# generated in one: an import is cut to its last part.
set -eu

protoc_c=$1
out=$2
shift 2

flat=$(mktemp -d)
trap 'rm -rf "$flat"' EXIT
for file; do
    sed 's|^import "[^"]*/\([^"/]*\)";|import "\1";|' "$file" >"$flat/${file##*/}"
done
"$protoc_c" -I"$flat" --c_out="$out" "$flat"/*.proto
