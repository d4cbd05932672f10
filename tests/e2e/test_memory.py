"""limits { memory }: who is slowed and who is refused when the process has nearly what it may have."""
import pytest

import process
from wire import readable, request_bytes, response_bytes, until

MIB = 1 << 20
LARGE = response_bytes(body=b"x" * (8 * MIB))
SMALL = response_bytes(body=b"small")
BYTES, STATE = "sidespan_memory_bytes", "sidespan_memory_state"
FINE, SHORT, FULL = 0, 1, 2
READERS_MAX = 450
# What is freed goes back at once, as it does in the product.
PROMPT = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:abort_on_error=0:quarantine_size_mb=0:"
                          "allocator_release_to_os_interval_ms=100"}


@pytest.fixture
def app(origin):
    return origin(lambda r: LARGE if r.target == "/large" else SMALL)


@pytest.fixture
def limited(inbound, app):
    """A sidecar that may have some MiB more than it has; .most is its limit."""
    sidecar = inbound(app.address, env=PROMPT)
    sidecar.most = max(24 * MIB, int(sidecar.metric(BYTES) * 1.7)) // MIB * MIB
    sidecar.limits = lambda memory: sidecar.reload(
        f"inbound {{ listen 127.0.0.1:{sidecar.port}; route / {{ to {app.address}; }} }} limits {{ memory {memory}; }}")
    sidecar.limits(sidecar.most)
    return sidecar


def fill(sidecar, connect, ask=request_bytes(target="/large")):
    """Slow readers until memory is full; the most that the process had meanwhile."""
    readers, most = [], 0
    while sidecar.metric(STATE) != FULL:
        assert len(readers) < READERS_MAX, sidecar.metric(BYTES)
        batch = [connect(sidecar.port, receive_buffer=4096) for _ in range(10)]
        for reader in batch:
            reader.send(ask)
        readers += batch
        until(lambda: sidecar.metric(STATE) == FULL or len(readable([r.sock for r in batch], 0)) == len(batch),
              "answers to all of them")
        most = max(most, sidecar.rss())
    return readers, most


def test_slow_readers_do_not_take_more_than_it_may_have(limited, connect):
    """Who comes while it is full is refused or waits; who is under way goes on; and it recovers."""
    kept = connect(limited.port)
    assert kept.get().body == b"small"
    readers, most = fill(limited, connect)
    assert limited.metric('sidespan_memory_pressure_total{state="full"}') >= 1
    # More of the same: they are not let in, and those that are there take no more.
    for _ in range(30):
        reader = connect(limited.port, receive_buffer=4096)
        reader.send(request_bytes(target="/large"))
        readers.append(reader)
    late = connect(limited.port)
    late.send(request_bytes())
    refused = kept.get()
    assert refused.status == 503
    assert b"(memory)" in refused.body and b"limits { memory }" in refused.body
    call = kept.ask("POST", fields=["content-type: application/grpc", "te: trailers"])
    assert call.get("grpc-status") == "14"   # UNAVAILABLE
    assert limited.metric('sidespan_limit_hits_total{limit="memory"}') == 2
    assert max(most, limited.rss()) < limited.most
    assert limited.metric(STATE) == FULL
    limited.wait_log("memory: full: ")
    # Who is under way goes on: its response is whole.
    assert len(readers[0].read_response().body) == 8 * MIB
    for reader in readers[1:]:
        reader.close()
    assert late.read_response().body == b"small"
    assert limited.log().count("memory: full: ") == 1     # said once, however often it was so
    enough = SHORT if process.sanitized() else FINE       # a sanitizer's allocator keeps some of it
    until(lambda: limited.metric(STATE) <= enough, lambda: f"its end; it has {limited.metric(BYTES)} of {limited.most}")
    assert kept.get().body == b"small"


def test_who_is_alone_is_served_by_a_sidecar_that_may_have_too_little(inbound, app, connect):
    """To refuse would make no room."""
    sidecar = inbound(app.address, rest="limits { memory 8m; }", env=PROMPT)
    if process.sanitized():
        assert sidecar.metric(STATE) == FULL
    client = connect(sidecar.port)
    for _ in range(3):
        assert client.get().body == b"small"


def test_another_limit_is_in_force_at_once(limited, connect):
    kept = connect(limited.port)
    fill(limited, connect)
    for _ in range(2):
        limited.limits(int(limited.metric(BYTES)))
        assert limited.metric(STATE) == FULL
        assert kept.get().status == 503
        limited.limits("none")
        assert limited.metric(STATE) == FINE and limited.metric("sidespan_memory_limit_bytes") == 0
        assert kept.get().status == 200
