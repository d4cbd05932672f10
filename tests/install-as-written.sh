#!/usr/bin/env bash
# install-as-written.sh - does what README.md says of systemd and of interception, word by word, on a
# machine that was started by systemd and is only for this: tests/fresh-debian starts one. It has the
# network 192.0.2.0/24 with a neighbour, the namespace "outside", and no other.
#
# Run as root in the project's folder, where build/ is a release build. Exit status 0: it is as it says.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf -- '-- %s\n' "$*"; }
fails() {
    printf 'install-as-written: %s\n' "$*" >&2
    systemctl --no-pager --lines=30 status sidespan sidespan-intercept >&2 || :
    exit 1
}
block() { awk -v begin="\`\`\`$1" '$0 == begin { on = 1; next } /^```/ { on = 0 } on' README.md; }
# as_written BLOCK: every line of it has to succeed.
as_written() {
    say "README: $1"
    block "sh $1" | sed 's/^/   $ /'
    bash -exuo pipefail -c "$(block "sh $1")" 2>&1 || fails "the block \"$1\" of the README failed"
}
outside() { ip netns exec outside "$@"; }
get() { curl -sf --noproxy '*' --max-time 20 "$@" >/dev/null; }
# The service and whom it calls are nobody's, whose connections the rules redirect.
as_nobody() { setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs "$@"; }
spans() { curl -sf --noproxy '*' 'http://127.0.0.1:15000/traces?limit=100000' | { grep -o '"spanId"' || :; } | wc -l; }
sees() { # NUMBER: so many spans at least, in a moment
    local tries
    for tries in $(seq 100); do
        [ "$(spans)" -lt "$1" ] || return 0
        sleep 0.1
    done
    fails "the sidecar kept $(spans) spans, not $1"
}
answers() { # COMMAND...: comes to succeed in a moment
    local tries
    for tries in $(seq 100); do
        ! "$@" || return 0
        sleep 0.1
    done
    return 1
}

network() {
    ip link set lo up
    ip netns add outside
    ip link add eth0 type veth peer name eth0 netns outside
    ip address add 192.0.2.2/24 dev eth0
    ip link set eth0 up
    ip -n outside address add 192.0.2.1/24 dev eth0
    ip -n outside link set lo up
    ip -n outside link set eth0 up
    (cd /usr/share/common-licenses && as_nobody python3 -m http.server 3000 >/dev/null 2>&1 &)
    (cd /usr/share/common-licenses && outside python3 -m http.server 8000 >/dev/null 2>&1 &)
    answers get http://127.0.0.1:3000/GPL-3 && answers get http://192.0.2.1:8000/GPL-3 || fails "no network"
}

files() {
    block 'sh first' | sed -n "/^cat >first.conf/,/^END/p" | bash -eu
    block 'conf transparent' >transparent.conf
}

check_service() {
    local user
    systemctl is-active --quiet sidespan || fails "sidespan.service is not active"
    systemctl is-enabled --quiet sidespan || fails "sidespan.service does not start with the machine"
    # Type=notify: what is active has opened its ports.
    get http://127.0.0.1:8080/GPL-3 || fails "no answer through the sidecar"
    user=$(ps -o uid= -p "$(systemctl show -p MainPID --value sidespan)" | tr -d ' ')
    [ "$user" = 15337 ] || fails "the sidecar runs as uid $user"
    sees 1
    "$(command -v sidespan)" healthcheck --config /etc/sidespan/routes.conf || fails "healthcheck"
}

check_reload() {
    say "a file that is wrong is told by systemctl reload and changes nothing"
    echo 'nonsense;' >>/etc/sidespan/routes.conf
    ! systemctl reload sidespan 2>/dev/null || fails "systemctl reload took a file that is wrong"
    get http://127.0.0.1:8080/GPL-3 || fails "no answer after a reload that was refused"
    cp first.conf /etc/sidespan/routes.conf
    systemctl reload sidespan || fails "systemctl reload"
}

check_low_port() {
    say "port 80 when asked for, and not before"
    sed 's/127.0.0.1:8080/127.0.0.1:80/' first.conf >/etc/sidespan/routes.conf
    ! systemctl restart sidespan 2>/dev/null || fails "port 80 was opened without being asked for"
    systemctl stop sidespan
    mkdir -p /etc/systemd/system/sidespan.service.d
    printf '[Service]\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n' >/etc/systemd/system/sidespan.service.d/low.conf
    systemctl daemon-reload
    systemctl reset-failed sidespan || :
    systemctl start sidespan || fails "port 80 was not opened"
    get http://127.0.0.1:80/GPL-3 || fails "no answer at port 80"
    rm -r /etc/systemd/system/sidespan.service.d
    cp first.conf /etc/sidespan/routes.conf
    systemctl daemon-reload
    systemctl restart sidespan
}

both_ways() { outside curl -sf --max-time 20 http://192.0.2.2:3000/GPL-3 >/dev/null && as_nobody curl -sf --max-time 20 http://192.0.2.1:8000/GPL-3 >/dev/null; }
either_way() { outside curl -sf --max-time 5 http://192.0.2.2:3000/GPL-3 >/dev/null || as_nobody curl -sf --max-time 5 http://192.0.2.1:8000/GPL-3 >/dev/null; }

check_interception() {
    local before
    systemctl is-active --quiet sidespan-intercept || fails "sidespan-intercept.service is not active"
    before=$(spans)
    both_ways || fails "requests that are intercepted are not answered"
    sees $((before + 2))
    say "with the sidecar down nothing passes"
    systemctl stop sidespan
    ! either_way || fails "something passed without the sidecar"
    systemctl is-active --quiet sidespan-intercept || fails "the rules went with the sidecar"
    systemctl start sidespan
    answers both_ways || fails "nothing passes after the sidecar came back"
    say "and without the rules all passes by itself"
    systemctl stop sidespan-intercept sidespan
    both_ways || fails "nothing passes without the rules"
}

network
files
as_written systemd
check_service
check_reload
check_low_port
as_written intercept
check_interception
say "as written"
