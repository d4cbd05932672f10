#!/bin/bash
# Two hosts that exist only inside this machine, to try interception on: a "pod", where a service
# and its sidecar run, and "outside", where its clients are and whom it calls.
#
#   netns-lab.sh up NAME        makes the network namespaces NAME-pod and NAME-outside
#   netns-lab.sh down NAME      ends what runs in them and removes them
#   netns-lab.sh shell NAME     both, with a shell in the pod in between
#   netns-lab.sh as NAME-pod UID COMMAND...   runs a command there as that user, without privileges
#
# The pod is 192.0.2.2 and 2001:db8:5::2. Outside is 192.0.2.1 and 2001:db8:5::1; it also answers for
# a service of the outer world (198.51.100.1, 2001:db8:6::1) and for a network that the rules leave
# out (203.0.113.1, 2001:db8:7::1). Each is the other's default route and neither knows the way out,
# so no packet leaves the machine, and nothing of the host's own network is touched.
#
# Exit status 77: no network namespace can be made here, and stderr says why.
set -eu

fail() { echo "netns-lab: $2" >&2; exit "$1"; }

# What has a prefix of a whole network is on the link, a single address on lo.
pod_addresses='192.0.2.2/24 2001:db8:5::2/64'
outside_addresses='192.0.2.1/24 2001:db8:5::1/64
                   198.51.100.1/32 2001:db8:6::1/128 203.0.113.1/32 2001:db8:7::1/128'

give_addresses() {
    local namespace=$1 address device
    shift
    for address; do
        case $address in */32 | */128) device=lo ;; *) device=eth0 ;; esac
        case $address in
        *:*) ip -n "$namespace" address add "$address" dev $device nodad ;;
        *) ip -n "$namespace" address add "$address" dev $device ;;
        esac
    done
}

up() {
    local name=$1 host
    [ "$(id -u)" = 0 ] || fail 77 "making network namespaces needs root"
    command -v ip >/dev/null || fail 77 "ip is not installed (package iproute2)"
    [ ! -e "/run/netns/$name-pod" ] || fail 1 "$name is up already"
    for host in pod outside; do
        ip netns add "$name-$host" || fail 77 "this machine makes no network namespaces"
    done
    # Programs run there by mounting a /sys of its own, which a chroot does not allow where / is no mount.
    if ! ip netns exec "$name-pod" true; then
        down "$name"
        fail 77 "no program can be run in a network namespace here"
    fi
    if ! ip link add eth0 netns "$name-pod" type veth peer name eth0 netns "$name-outside"; then
        down "$name"
        fail 77 "this machine makes no veth pairs"
    fi
    for host in pod outside; do
        ip -n "$name-$host" link set lo up
        ip -n "$name-$host" link set eth0 up
    done
    give_addresses "$name-pod" $pod_addresses
    give_addresses "$name-outside" $outside_addresses
    ip -n "$name-pod" route add default via 192.0.2.1
    ip -n "$name-pod" -6 route add default via 2001:db8:5::1
    ip -n "$name-outside" route add default via 192.0.2.2
    ip -n "$name-outside" -6 route add default via 2001:db8:5::2
}

# Ends the processes of a namespace: asked to, then without asking.
empty() {
    local namespace=$1 signal tries pids
    for signal in TERM KILL; do
        pids=$(ip netns pids "$namespace" 2>/dev/null || true)
        [ -n "$pids" ] || return 0
        kill -s $signal $pids 2>/dev/null || true
        for tries in 1 2 3 4 5 6 7 8 9 10; do
            [ -n "$(ip netns pids "$namespace" 2>/dev/null)" ] || return 0
            sleep 0.1
        done
    done
}

down() {
    local host
    for host in pod outside; do
        [ -e "/run/netns/$1-$host" ] || continue
        empty "$1-$host"
        ip netns delete "$1-$host"
    done
}

as() {
    local namespace=$1 user=$2
    shift 2
    exec ip netns exec "$namespace" setpriv --reuid "$user" --regid "$user" --clear-groups \
        --inh-caps=-all --bounding-set=-all -- "$@"
}

case "${1:-} $#" in
'up 2') up "$2" ;;
'down 2') down "$2" ;;
'shell 2')
    trap 'down "$2"' EXIT
    up "$2"
    ip netns exec "$2-pod" "${SHELL:-/bin/sh}" || true
    ;;
'as '[4-9] | 'as '[1-9][0-9]*) shift && as "$@" ;;
*)
    sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
    ;;
esac
