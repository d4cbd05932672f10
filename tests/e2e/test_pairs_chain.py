"""Two sidecars in a row, as in every mesh: what the client, the two between them, and the origin speak."""
import itertools

import pytest

from h2wire import CANCEL
from pairs import Pair
from peers import Reply, WebSocket
from process import CLIENT, SERVER, free_port

# The client's protocol, that between the sidecars, the origin's.
CHAINS = ["-".join(c) for c in itertools.product(("h1", "h2"), repeat=3)]
TE = {"h1": ["TE: trailers", "Connection: TE"], "h2": ["TE: trailers"]}


@pytest.fixture(params=CHAINS)
def chain(request, sidespan, closing, port):
    """A pair of client and origin with two sidecars between them: .outer and .inner once started."""
    client, between, upstream = request.param.split("-")
    pair = Pair(f"{client}-{upstream}", sidespan, closing, port)

    def start(target):
        inner_port = free_port()
        pair.inner = sidespan(f"""
            service callee;
            inbound {{ listen 127.0.0.1:{inner_port}; route / {{ to app; }} }}
            {pair.cluster(target)}
            """, name="inner.conf")
        pair.outer = pair.start(f"""
            service caller;
            outbound {{ listen 127.0.0.1:{port}; route / {{ to next; }} }}
            cluster next {{ endpoint 127.0.0.1:{inner_port}; protocol {between}; }}
            """, name="outer.conf")

    pair.through = start
    pair.between = between
    return pair


def test_a_message_passes_whole(chain):
    upstream = chain.origin(lambda r: Reply(201, ["X-B: 2"], r.content, ["X-End: 3"], streaming=True,
                                            interim=[(103, ["Link: <x>"])]))
    chain.through(upstream)
    client = chain.client()
    body = bytes(range(256)) * 2000
    for _ in range(2):
        response = client.ask("POST", "/a?b=c", [*TE[chain.client_protocol], "X-A: 1"], body,
                              trailers=["X-Sum: 7"])
        assert response.status == 201 and response.body == body and response.get("x-b") == "2"
        assert [status for status, _ in response.interim] == [103]
        assert [v for _, v in response.trailers] == ["3"]
    for request in upstream.requests:
        assert (request.method, request.target, request.authority) == ("POST", "/a?b=c", "service.test")
        assert request.content == body and [v for _, v in request.trailers] == ["7"]
        assert len(request.all("traceparent")) == 1
    calls, entries = chain.outer.wait_spans(2), chain.inner.wait_spans(2)
    version = {"h1": "1.1", "h2": "2"}[chain.between]
    assert {(s.kind, s["network.protocol.version"]) for s in calls} == {(CLIENT, version)}
    assert {(s.kind, s["network.protocol.version"]) for s in entries} == {(SERVER, version)}
    assert {s.parent for s in entries} == {s.span_id for s in calls}


def test_the_length_of_a_body_is_kept(chain):
    upstream = chain.origin(lambda r: Reply(body=r.content))
    chain.through(upstream)
    response = chain.client().ask("POST", body=b"x" * 70_000)
    assert response.get("content-length") == "70000"
    assert upstream.requests[0].get("content-length") == "70000"


def test_a_client_that_leaves_is_told_to_the_origin(chain):
    upstream = chain.raw_origin()
    chain.through(upstream)
    call, served = chain.asked(upstream, "POST", streaming=True)
    call.send(b"abc")
    assert served.read(3) == b"abc"
    call.cancel()
    assert served.expect_cancelled() == (CANCEL if chain.upstream_protocol == "h2" else None)
    assert chain.inner.wait_span()["error.type"] == "client_closed"
    span = chain.outer.wait_span()            # that a caller gave up is no error of a CLIENT span
    assert "error.type" not in span and "http.response.status_code" not in span


def test_an_origin_that_breaks_off_is_told_to_the_client(chain):
    upstream = chain.raw_origin()
    chain.through(upstream)
    call, served = chain.asked(upstream)
    served.send_head()
    served.send(b"abc")
    assert call.read(3) == b"abc"
    served.reset()
    assert call.expect_broken()[0] == b""
    for sidecar in (chain.outer, chain.inner):
        span = sidecar.wait_span()
        assert span.status == 2 and span["http.response.status_code"] == 200


def test_websockets_pass(chain):
    upstream = chain.raw_origin()
    chain.through(upstream)
    call = chain.client().websocket("/chat")
    served = upstream.take()
    served.switch()
    call.switched()
    near, far = WebSocket(call, True), WebSocket(served, False)
    for message in ("hello", b"\x00" * 40_000):
        near.send(message)
        assert far.read() == message
        far.send(message)
        assert near.read() == message
    far.say_close()
    assert near.read() is None and far.read() is None
    served.end_tunnel()
    call.end_tunnel()
    assert call.rest() == served.rest() == b""
    assert chain.inner.wait_span().parent == chain.outer.wait_span().span_id


def test_many_at_once_and_bodies_that_stall(chain):
    upstream = chain.origin(lambda r: Reply(body=r.content + r.target.encode()))
    chain.through(upstream)
    client = chain.client()
    calls = [client.open("POST", f"/{i}", body=b"x" * 5000) for i in range(60)]
    for i, call in enumerate(calls):
        assert call.response().body == b"x" * 5000 + b"/%d" % i
    if chain.between == "h2":                 # all on few connections
        assert chain.inner.metric('sidespan_connections_total{direction="inbound"}') <= 2
