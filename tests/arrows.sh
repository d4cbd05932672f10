#!/bin/sh
# Which folder may include what. Fails, naming file and line, when an #include goes against
#
#     base <- propagation <- mesh, otlp <- proxy        base <- inject
#
# or, within mesh, from a decision to the language; or brings a library in by another door than its
# own.
#
#     arrows.sh SOURCE_ROOT     checks a tree
#     arrows.sh --self-test     proves that each wrong include is found, and no right one

set -u

FOLDERS="base propagation mesh otlp proxy inject"

# The folders that a file of this folder may include from.
may_include() {
    case $1 in
    base) echo base ;;
    propagation) echo base propagation ;;
    mesh) echo base propagation mesh ;;
    otlp) echo base propagation otlp ;;
    proxy) echo base propagation mesh otlp proxy ;;
    inject) echo base inject ;;
    esac
}

# What decides in mesh: the rest of that folder is the language. A tree's own list is that of mesh/meson.build;
# this one is for the self-test.
DECISIONS="explain_text fault_count match route"

read_decisions() {
    [ -f mesh/meson.build ] || return 0
    DECISIONS=$(sed -n '/^mesh_decisions_lib/,/dependencies:/p' mesh/meson.build |
        grep -oE "'[a-z0-9_]+\\.c'" | tr -d "'" | sed 's/\.c$//' | tr '\n' ' ')
    [ -n "$DECISIONS" ] || { echo "arrows: mesh/meson.build names no decisions" >&2; return 2; }
}

# Headers that both halves have.
SHARED="config must request"

is_decision() {
    module=${1#mesh/}
    # shellcheck disable=SC2086 # a list of modules
    [ "$module" != "$1" ] && is_one_of "${module%.[ch]}" $DECISIONS
}

is_language() {
    module=${1#mesh/}
    # shellcheck disable=SC2086 # lists of modules
    [ "$module" != "$1" ] && ! is_one_of "${module%.h}" $DECISIONS $SHARED
}

is_one_of() {
    wanted=$1
    shift
    for word; do
        [ "$word" = "$wanted" ] && return 0
    done
    return 1
}

# Where a library's header may be included, as a pattern of files; nothing: anywhere.
door_of() {
    case $1 in
    event2/* | event.h | evhttp.h) echo 'proxy/*' ;;
    llhttp.h | llhttp/*) echo 'proxy/http1*.c proxy/http1_private.h' ;;
    nghttp2/*) echo 'proxy/http2*.c proxy/http2_private.h proxy/export_*.c' ;;
    openssl/*) echo 'proxy/tls*.c' ;;
    ares.h | ares_*.h) echo 'proxy/resolver*.c' ;;
    protobuf-c.h | protobuf-c/* | google/protobuf-c/* | *.pb-c.h)
        echo 'otlp/encode*.c otlp/*response*.c' ;;
    esac
}

fits_a_pattern() {
    file=$1
    set -f
    # shellcheck disable=SC2086 # a list of patterns
    set -- $2
    set +f
    for pattern; do
        # shellcheck disable=SC2254 # a pattern
        case $file in
        $pattern) return 0 ;;
        esac
    done
    return 1
}

# What is wrong with FILE including HEADER by QUOTE (" or <); nothing: it is right.
objection() {
    file=$1 header=$2 quote=$3
    folder=${file%%/*}
    from=${header%%/*}

    doors=$(door_of "$header")
    if [ -n "$doors" ]; then
        fits_a_pattern "$file" "$doors" || echo "only $doors may include this"
    elif is_one_of "$from" $FOLDERS && [ "$from" != "$header" ]; then
        # shellcheck disable=SC2046 # a list of folders
        if ! is_one_of "$from" $(may_include "$folder"); then
            echo "$folder/ may not include from $from/"
        elif is_decision "$file" && is_language "$header"; then
            echo "a decision may not know the language of the file"
        elif [ "$quote" = "<" ]; then
            echo "our own headers go in quotes"
        fi
    elif [ "$quote" = '"' ]; then
        echo "a header is named from the root: \"folder/name.h\""
    fi
}

# Every include of a tree as "file:line:quote header", the file named from the root.
list_includes() {
    for folder in $FOLDERS; do
        [ -d "$folder" ] || continue
        find "$folder" -type f -name '*.[ch]' -exec grep -nE '^[[:blank:]]*#[[:blank:]]*include' /dev/null {} +
    done | sed -E 's/^([^:]*:[0-9]+:)[[:blank:]]*#[[:blank:]]*include[[:blank:]]*(["<])([^">]*).*$/\1\2 \3/'
}

check_tree() {
    cd "$1" || return 2
    read_decisions || return 2
    includes=$(list_includes)
    if [ -z "$includes" ]; then
        echo "arrows: no include found in $1" >&2
        return 2
    fi
    objections=$(echo "$includes" | sort -u | while IFS= read -r found; do
        place=${found%:*}
        quoted=${found##*:}
        wrong=$(objection "${place%:*}" "${quoted#? }" "${quoted%% *}")
        [ -z "$wrong" ] || printf '%s: %s: %s\n' "$place" "${quoted#? }" "$wrong"
    done)
    [ -z "$objections" ] && return 0
    echo "$objections" >&2
    return 1
}

# FILE|INCLUDE: each alone must be found wrong.
wrong_ones='base/a.c|"propagation/a.h"
base/a.h|"proxy/a.h"
base/a.c|"str.h"
base/a.c|"../base/str.h"
base/a.c|"./str.h"
base/a.c|<base/str.h>
base/sub/a.c|"mesh/a.h"
base/a.c|<event2/event.h>
propagation/a.c|"mesh/a.h"
propagation/a.c|"otlp/a.h"
propagation/a.c|"proxy/a.h"
mesh/a.c|"otlp/a.h"
mesh/route.c|"mesh/loader.h"
mesh/route.h|"mesh/value.h"
mesh/explain_text.c|"mesh/config_text.h"
mesh/a.h|"proxy/a.h"
mesh/a.c|"inject/a.h"
mesh/a.c|<event2/event.h>
mesh/a.c|<openssl/ssl.h>
mesh/a.c|<nghttp2/nghttp2.h>
mesh/a.c|"a.pb-c.h"
otlp/a.c|"mesh/a.h"
otlp/a.c|"proxy/a.h"
otlp/a.c|<event2/buffer.h>
otlp/a.c|<protobuf-c/protobuf-c.h>
otlp/encode.h|<protobuf-c/protobuf-c.h>
otlp/a.c|"opentelemetry/proto/trace/v1/trace.pb-c.h"
otlp/export_grpc.c|<nghttp2/nghttp2.h>
proxy/a.c|"inject/a.h"
proxy/a.c|<llhttp.h>
proxy/http1.h|<llhttp.h>
proxy/http2.c|<llhttp.h>
proxy/http1.c|<nghttp2/nghttp2.h>
proxy/a.c|<openssl/ssl.h>
proxy/tls.h|<openssl/ssl.h>
proxy/a.c|<ares.h>
proxy/a.c|<protobuf-c/protobuf-c.h>
proxy/a.c|"exchange.h"
inject/a.c|"propagation/a.h"
inject/a.c|"proxy/a.h"
inject/a.c|  "mesh/a.h" /* a comment */'

# All together must be found right.
right_ones='base/a.c|"base/str.h"
base/a.c|<stdio.h>
base/a.c|<sys/socket.h>
propagation/a.c|"base/str.h"
propagation/a.c|"propagation/b.h"
mesh/a.c|"propagation/b.h"
mesh/a.c|"mesh/b.h"
mesh/loader.c|"mesh/route.h"
mesh/route.c|"mesh/config.h"
mesh/route.c|"mesh/match.h"
mesh/fault_count.c|"mesh/must.h"
mesh/a.c|<pcre2.h>
otlp/a.c|"propagation/b.h"
otlp/encode_spans.c|<protobuf-c/protobuf-c.h>
otlp/encode.c|"opentelemetry/proto/trace/v1/trace.pb-c.h"
otlp/export_response.c|"trace_service.pb-c.h"
proxy/a.h|"mesh/b.h"
proxy/a.c|"otlp/b.h"
proxy/a.h|<event2/event.h>
proxy/http1.c|<llhttp.h>
proxy/http1_parse.c|<llhttp.h>
proxy/http1_private.h|<llhttp.h>
proxy/http2_stream.c|<nghttp2/nghttp2.h>
proxy/export_client.c|<nghttp2/nghttp2.h>
proxy/tls.c|<openssl/ssl.h>
proxy/tls_files.c|<openssl/ssl.h>
proxy/resolver.c|<ares.h>
inject/a.c|"base/str.h"'

# Adds each "FILE|INCLUDE" of the input to the tree $1.
plant() {
    while IFS='|' read -r file include; do
        mkdir -p "$1/$(dirname "$file")"
        printf '#include %s\n' "$include" >>"$1/$file"
    done
}

self_test() {
    tree=$(mktemp -d) || return 2
    trap 'rm -rf "$tree"' EXIT
    failures=0

    echo "$right_ones" | plant "$tree/right"
    if ! (check_tree "$tree/right"); then
        echo "arrows: a right include was refused" >&2
        failures=1
    fi
    count=0
    while IFS= read -r row; do
        count=$((count + 1))
        echo "$row" | plant "$tree/$count"
        (check_tree "$tree/$count") 2>/dev/null
        if [ $? -ne 1 ]; then
            echo "arrows: not found wrong: $row" >&2
            failures=1
        fi
    done <<EOF
$wrong_ones
EOF
    mkdir "$tree/empty"
    if (check_tree "$tree/empty") 2>/dev/null; then
        echo "arrows: a tree without sources passed" >&2
        failures=1
    fi
    return $failures
}

case ${1-} in
--self-test) self_test ;;
'' | -*)
    echo "usage: arrows.sh SOURCE_ROOT | --self-test" >&2
    exit 2
    ;;
*) check_tree "$1" ;;
esac
