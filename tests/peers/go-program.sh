# Sourced by the get-* of programs that are one `go build` of a pinned module; see get-h2spec.
#
# go_program NAME PACKAGE FOUND_AT [--find]: prints the path of the program NAME; builds PACKAGE where
# it is nowhere. Looked for, in this order: FOUND_AT (a path, or empty); the one that was built before;
# NAME on PATH. With --find it only looks. Building needs a Go (go.sh) and takes about a minute, once.
# The module, and all it is built of, are pinned with their checksums by NAME/go.mod and go.sum.
#
# The result is kept in ${SIDESPAN_PEERS:-${XDG_CACHE_HOME:-~/.cache}/sidespan-peers}. Exit status 0:
# it is there, 1: it is not, and standard error says why it cannot be built.
set -euo pipefail

peers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$peers/go.sh"

found() {
    printf '%s\n' "$1"
    exit 0
}

# go_build FOLDER NAME PACKAGE: a copy of the lists, so that nothing is written beside them.
go_build() {
    cp "$peers/$2"/go.* "$1/"
    (cd "$1" && go_ build -mod=readonly -trimpath -ldflags '-s -w' -o "$2" "$3")
}

go_program() {
    local name=$1 package=$2 program=$cache/bin/$1 path
    [ -z "$3" ] || found "$3"
    [ ! -x "$program" ] || found "$program"
    if path=$(command -v "$name"); then found "$path"; fi
    [ "${4:-}" != --find ] || exit 1

    need_go
    mkdir -p "$cache/bin"
    exec 9>"$cache/.$name.lock" # of several at once, the others wait for the first
    flock 9
    [ ! -x "$program" ] || found "$program"
    work=$(mktemp -d "$cache/.$name.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say "building $name (a minute, once)"
    if ! go_build "$work" "$name" "$package" >"$work/log" 2>&1; then
        grep -v '^go: downloading' "$work/log" | tail -n 20 >&2
        say "building failed"
        exit 1
    fi
    mv "$work/$name" "$program"
    leaves
    found "$program"
}
