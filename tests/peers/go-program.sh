# Sourced by the get-* of programs that are one `go build` of a pinned module; see get-h2spec.
#
# go_program NAME PACKAGE FOUND_AT [--find]: prints the path of the program NAME; builds PACKAGE where
# it is nowhere. Looked for, in this order: FOUND_AT (a path, or empty); the one that was built before;
# NAME on PATH. With --find it only looks. Building needs Go 1.26 or later and takes about a minute,
# once. The module, and all it is built of, are pinned with their checksums by NAME/go.mod and go.sum.
#
# The result is kept in ${SIDESPAN_PEERS:-${XDG_CACHE_HOME:-~/.cache}/sidespan-peers}. Exit status 0:
# it is there, 1: it is not, and standard error says why it cannot be built.
set -euo pipefail

go_needed=1.26

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

found() {
    printf '%s\n' "$1"
    exit 0
}

go_is_recent() {
    local version
    command -v go >/dev/null || return
    version=$(GOTOOLCHAIN=local go env GOVERSION)
    version=${version#go}
    [ "$(printf '%s\n' "$go_needed" "${version%%[^0-9.]*}" | sort -V | head -n 1)" = "$go_needed" ]
}

# go_build FOLDER NAME PACKAGE: a copy of the lists, so that nothing is written beside them.
go_build() {
    cp "$peers/$2"/go.* "$1/"
    (cd "$1" && GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 nice \
        go build -mod=readonly -trimpath -ldflags '-s -w' -o "$2" "$3")
}

go_program() {
    local name=$1 package=$2 cache program path
    cache=${SIDESPAN_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/sidespan-peers}
    program=$cache/bin/$name
    [ -z "$3" ] || found "$3"
    [ ! -x "$program" ] || found "$program"
    if path=$(command -v "$name"); then found "$path"; fi
    [ "${4:-}" != --find ] || exit 1

    if ! go_is_recent; then
        say "$name is not on this machine, and cannot be built: that needs Go $go_needed or later on PATH" \
            "(Debian's is older)"
        exit 1
    fi
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
    found "$program"
}

peers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
