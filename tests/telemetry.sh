#!/usr/bin/env bash
# telemetry.sh - man/sidespan-telemetry.7 names each metric, span attribute and reason of a failure
# that the code has, and none that it has not.
set -euo pipefail
cd "$(dirname "$0")/.."

in_code() {
    grep -ohE '"(sidespan|rpc_server|rpc_client)_[a-z0-9_]+' proxy/*.c proxy/*.h | tr -d '"' |
        sed -E 's/_(bucket|sum|count)$//'
    grep -ohE 'STR(_INIT)?\("[a-z][a-z_]*(\.[a-z_0-9]+)+\.?"\)' otlp/conv*.c otlp/describe.h | cut -d'"' -f2
    tr -d '\\\n' <otlp/span_error.h | grep -oE 'X\(SPAN_ERROR_[A-Z_]+, *"[a-z_]+"' | cut -d'"' -f2
}
in_manual() {
    sed -n 's/^\.It Sy //p' man/sidespan-telemetry.7
}
diff <(in_code | sort -u) <(in_manual | sort -u) ||
    { echo "< is in the code alone, > in man/sidespan-telemetry.7 alone"; exit 1; }
