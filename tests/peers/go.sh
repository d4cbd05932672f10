# Sourced by the get-* of this folder: a Go that can build their programs.
#
#   need_go       sets $go to a Go of $go_needed or later, or ends with status 1 and says why there is
#                 none. Looked for, in this order: go on PATH; the one that was fetched before. Where go
#                 on PATH is older, as Debian's is, it fetches Go $go_fetched: that is a module like
#                 others, got by the proxy of modules that this machine uses and held against the
#                 checksum below.
#   go_ WORD...   runs that Go, with nothing of the surroundings that would change what it builds.
#   leaves        says what is left on the machine, where a Go was fetched.
#
# A Go that was fetched is kept in $cache; what it fetches and builds on the way is in $work, a folder
# of the caller that ends with it. So nothing comes into the user's own folders of Go.

go_needed=1.26
go_fetched=1.26.8
cache=${SIDESPAN_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/sidespan-peers}
go=
work=

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

# The checksum of the module golang.org/toolchain, as in a go.sum.
checksum_for() {
    case $1 in
    linux-amd64) echo h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM= ;;
    linux-arm64) echo h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc= ;;
    esac
}

go_is_recent() { # GO
    local version
    version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return
    version=${version#go}
    [ "$(printf '%s\n' "$go_needed" "${version%%[^0-9.]*}" | sort -V | head -n 1)" = "$go_needed" ]
}

# apart FOLDER COMMAND...: with all that Go keeps in FOLDER, in files that can be deleted like others.
apart() {
    local folder=$1
    shift
    env GOTOOLCHAIN=local GOWORK=off GOFLAGS=-modcacherw GO111MODULE=on GOPATH="$folder" \
        GOMODCACHE="$folder/modules" GOCACHE="$folder/built" "$@"
}

# fetch_go GO PLATFORM FOLDER: a Go before 1.21 does not do this by itself, and forgets that programs
# are to be executable.
fetch_go() {
    local sum wanted
    wanted=$(checksum_for "$2")
    if [ -z "$wanted" ]; then
        say "this needs Go $go_needed or later on PATH; for $2 none can be fetched"
        return 1
    fi
    fetching=$(mktemp -d "$cache/.go.XXXXXX")
    trap 'rm -rf "$fetching"' EXIT
    say "fetching Go $go_fetched by way of the $("$1" env GOVERSION) that is here (once)"
    sum=$(cd "$fetching" && apart "$fetching" "$1" mod download -json "golang.org/toolchain@v0.0.1-go$go_fetched.$2" |
        sed -n 's/^[[:space:]]*"Sum": "\(.*\)",*$/\1/p') || :
    if [ "$sum" != "$wanted" ]; then
        say "Go $go_fetched could not be fetched${sum:+: its checksum is $sum and not $wanted}"
        return 1
    fi
    cd "$fetching/modules/golang.org/toolchain@v0.0.1-go$go_fetched.$2" && chmod +x bin/* pkg/tool/*/* &&
        rm -rf "$3" && mv "$PWD" "$3"
}

need_go() {
    local own folder=$cache/go$go_fetched
    if own=$(command -v go) && go_is_recent "$own"; then
        go=$own
        return
    fi
    if [ -z "$own" ]; then
        say "building it needs Go on this machine: ./setup go installs Debian's"
        exit 1
    fi
    mkdir -p "$cache"
    (
        flock 8 # of several at once, the others wait for the first
        go_is_recent "$folder/bin/go" || fetch_go "$own" "$("$own" env GOOS)-$("$own" env GOARCH)" "$folder"
    ) 8>"$cache/.go.lock" || exit 1
    go=$folder/bin/go
}

go_() {
    case $go in
    "$cache"/*) CGO_ENABLED=0 apart "$work/go" nice "$go" "$@" ;;
    *) GOTOOLCHAIN=local GOWORK=off CGO_ENABLED=0 nice "$go" "$@" ;;
    esac
}

leaves() {
    case $go in
    "$cache"/*)
        say "left behind in $cache: what was built, and Go $go_fetched" \
            "($(du -sh "$cache" | cut -f 1)); it can be deleted" ;;
    esac
}
