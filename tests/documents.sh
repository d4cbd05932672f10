#!/usr/bin/env bash
# documents.sh SIDESPAN - the configurations that people are shown are right: routes.conf, those of the
# examples and of the benchmark, and each ```conf block of README.md, which has to be a whole file; and
# README.md names reasons that there are.
set -euo pipefail
sidespan=$(readlink -f "$1")
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

awk -v folder="$folder" '
    /^```conf( |$)/ { file = sprintf("%s/README-%d.conf", folder, ++n); next }
    /^```/ { file = ""; next }
    file { print > file }' README.md
status=0
checked=0
for file in routes.conf examples/*/*.conf "$folder"/*.conf bench/peers/sidespan.conf; do
    if [ "$file" = bench/peers/sidespan.conf ]; then
        sed -e 's/@LISTEN@/1/; s/@ORIGIN@/2/g; s/@COLLECTOR@/3/; s/@PROTOCOL@/auto/' "$file" >"$folder/bench"
        file=$folder/bench
    fi
    checked=$((checked + 1))
    "$sidespan" check "$file" || status=1
done
# routes.conf, three of examples/shop, three of README.md, the benchmark's.
[ "$checked" -ge 8 ] || { echo "only $checked files were found" && status=1; }
for reason in $(grep -o 'sidespan-reason: [a-z_-]*' README.md | sed 's/.* //'); do
    grep -q "\"$reason\"" otlp/span_error.h || {
        echo "README.md: no answer says sidespan-reason: $reason"
        status=1
    }
done
exit $status
