"""The truth table: no parent, 00, 01, invalid x sampler, seen from outside."""
import random

import pytest

from process import free_port

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
PARENTS = {"none": None, "00": f"00-{TRACE}-{PARENT}-00", "01": f"00-{TRACE}-{PARENT}-01",
           "invalid": "00-junk"}

# sampler: (none, 00, 01, invalid)
TABLE = {
    "": (1, 0, 1, 1),                         # parent-based over always
    "sample always;": (1, 1, 1, 1),
    "sample never;": (0, 0, 0, 0),
    "sample ratio 100%;": (1, 0, 1, 1),
    "sample ratio 0%;": (0, 0, 1, 0),         # a sampled parent stays sampled
    "sample parent;": (1, 0, 1, 1),
    "sample parent { root never; }": (0, 0, 1, 0),
    "sample parent { remote-sampled never; }": (1, 0, 0, 1),
    "sample parent { remote-not-sampled always; }": (1, 1, 1, 1),
    "sample parent { root never; remote-sampled never; remote-not-sampled always; }": (0, 1, 0, 0),
}


@pytest.mark.parametrize("sampler", TABLE, ids=lambda s: s or "default")
def test_the_truth_table_holds(inbound, origin, connect, sampler):
    upstream = origin()
    sidecar = inbound(upstream.address, rest=f"trace {{ {sampler} }}" if sampler else "")
    client = connect(sidecar.port)
    for (name, parent), sampled in zip(PARENTS.items(), TABLE[sampler]):
        client.get(f"/{name}", *([f"traceparent: {parent}"] if parent else []))
        trace, span_id, flags = upstream.requests[-1].get("traceparent").split("-")[1:]
        assert int(flags, 16) & 1 == sampled, name
        if name in ("00", "01"):
            assert trace == TRACE             # continued, whatever was decided
        assert span_id != PARENT              # a new span id whatever was decided
    client.get("/end", f"traceparent: {PARENTS['01']}")
    expected = sum(TABLE[sampler]) + TABLE[sampler][2]
    spans = sidecar.wait_spans(expected) if expected else sidecar.spans()
    assert len(spans) == expected
    assert all(s.flags & 1 for s in spans)
    assert sidecar.metric("sidespan_spans_unsampled_total") == 5 - expected


def test_a_ratio_samples_its_share_and_the_same_traces_everywhere(sidespan, origin, connect):
    upstream = origin()
    clients, sidecars = [], []
    for share in ("20%", "20%", "50%"):
        port = free_port()
        sidecars.append(sidespan(f"""
            inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}
            trace {{ sample parent {{ remote-sampled ratio {share}; }} }}
            """, name=f"{port}.conf"))
        clients.append(connect(port))
    draw = random.Random(7)
    decided = []
    for _ in range(500):
        trace = f"{draw.getrandbits(128):032x}"
        row = []
        for client in clients:
            client.get("/", f"traceparent: 00-{trace}-{PARENT}-03")
            row.append(int(upstream.requests[-1].get("traceparent")[-2:], 16) & 1)
        # The rule of consistent probability sampling: the low 56 bits against a threshold.
        low = int(trace[-14:], 16)
        assert row[0] == row[1] == (low >= (1 << 56) * 0.8)
        assert row[2] == (low >= (1 << 56) * 0.5)
        decided.append(row)
    assert all(not a or c for a, _, c in decided)  # a higher ratio samples a superset
    assert sidecars[0].wait_spans(sum(r[0] for r in decided))


def test_a_ratio_of_new_traces_is_near_its_share(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address, rest="trace { sample ratio 25%; }")
    client = connect(sidecar.port)
    n = 800
    for _ in range(n):
        client.get()
    sampled = sum(int(r.get("traceparent")[-2:], 16) & 1 for r in upstream.requests)
    sigma = (n * 0.25 * 0.75) ** 0.5
    assert abs(sampled - n * 0.25) < 4 * sigma


def test_an_unsampled_tunnel_has_no_span(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest="trace { sample never; }", carries="tcp")
    client = connect(sidecar.port)
    client.send(b"\x00x")
    server = upstream.accept()
    server.read(2)
    client.close()
    server.expect_end()
    server.close()
    sidecar.wait_metric("sidespan_spans_unsampled_total", 1)
    assert sidecar.spans() == []
