"""WebSocket over all pairs: Upgrade in HTTP/1.1, extended CONNECT (RFC 8441) in HTTP/2."""
import pytest

from h2wire import CANCEL, Broken, Settings
from pairs import H2_CLIENT, H2_UPSTREAM, MIB, bounded
from peers import Flood, Reply, WebSocket


def opened(pair, upstream, client=None, target="/chat?room=1", fields=()):
    """(call, served), switched on both sides."""
    call = (client or pair.client()).websocket(target, fields)
    served = upstream.take()
    assert served.target == target and served.authority == "service.test"
    served.switch()
    call.switched()
    return call, served


def test_messages_pass_both_ways(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = opened(pair, upstream)
    near, far = WebSocket(call, True), WebSocket(served, False)
    for message in ("hello", b"\x00\xff" * 500, "", "x" * 30_000):
        near.send(message)
        assert far.read() == message
        far.send(message)
        assert near.read() == message
    near.say_close()
    assert far.read() is None
    assert near.read() is None
    call.end_tunnel()
    assert served.rest() == b""
    served.end_tunnel()
    assert call.rest() == b""
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == (101 if pair.client_protocol == "h1" else 200)
    assert "error.type" not in span and span.status == 0
    assert span["http.request.body.size"] > 31_000 and span["http.response.body.size"] > 31_000


def test_the_trace_and_other_fields_travel_with_the_handshake(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    _, served = opened(pair, upstream, fields=[
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "Sec-WebSocket-Protocol: chat, superchat", "Origin: http://a.test", "Cookie: a=1"])
    assert served.get("traceparent").split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
    assert served.get("sec-websocket-protocol") == "chat, superchat"
    assert served.get("origin") == "http://a.test" and served.get("cookie") == "a=1"


def test_what_the_origin_says_first_is_not_lost(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call = pair.client().websocket("/chat")
    served = upstream.take()
    served.switch()
    WebSocket(served, False).send("greeting")
    call.switched()
    assert WebSocket(call, True).read() == "greeting"


def test_a_refused_switch_stays_http(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    call = client.websocket("/chat")
    served = upstream.take()
    served.answer(403, body=b"no")
    response = call.response()
    assert response.status == 403 and response.body == b"no"
    call.cancel()
    assert sidecar.wait_span()["http.response.status_code"] == 403
    call, served = pair.asked(upstream, target="/next")
    served.answer(body=b"next")
    assert call.response().body == b"next"


@pytest.mark.parametrize("first", ["client", "server"])
def test_each_side_may_end_its_half(pair, first):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = opened(pair, upstream)
    one, other = (call, served) if first == "client" else (served, call)
    one.send(b"last words")
    one.end_tunnel()
    assert other.rest() == b"last words"
    other.send(b"an answer all the same")
    other.end_tunnel()
    assert one.rest() == b"an answer all the same"


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_side_that_breaks_off_is_told_to_the_other(pair, who):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = opened(pair, upstream)
    call.send(b"ping")
    assert served.read(4) == b"ping"
    if who == "client":
        call.cancel()
        assert served.expect_cancelled() == (CANCEL if pair.upstream_protocol == "h2" else None)
    else:
        served.reset()
        try:
            assert call.rest() == b""
        except Broken:
            pass


def test_a_tunnel_has_back_pressure(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = opened(pair, upstream)
    before = sidecar.rss()
    flood = Flood(call, 50 * MIB)
    assert flood.stalled() < 25 * MIB
    bounded(sidecar, before)
    served.count(50 * MIB)
    flood.join()
    bounded(sidecar, before)


@H2_CLIENT
def test_the_sidecar_says_that_it_knows_extended_connect(pair):
    pair.inbound(pair.origin())
    wire = pair.client().wire
    wire.wait(lambda: Settings.ENABLE_CONNECT_PROTOCOL in wire.peer_settings, "the setting")
    assert wire.peer_settings[Settings.ENABLE_CONNECT_PROTOCOL] == 1


@H2_CLIENT
def test_requests_go_on_beside_a_websocket_on_one_connection(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = opened(pair, upstream, client)
    plain, asked = pair.asked(upstream, client=client)
    asked.answer(body=b"plain")
    assert plain.response().body == b"plain"
    call.send(b"abc")
    assert served.read(3) == b"abc"


@H2_UPSTREAM
def test_an_origin_that_does_not_know_extended_connect_is_not_asked_for_it(pair):
    """RFC 8441 section 3: only who received the setting may send it."""
    upstream = pair.raw_origin(settings={Settings.ENABLE_CONNECT_PROTOCOL: 0})
    pair.inbound(upstream)
    call = pair.client().websocket("/chat")
    upstream.accept()
    assert upstream.untouched(0.2)
    assert call.head().status in (501, 502, 503)


@H2_CLIENT
def test_another_protocol_of_connect_is_refused(pair):
    upstream = pair.origin(lambda r: Reply(body=b"hello"))
    pair.inbound(upstream)
    client = pair.client()
    stream = client.wire.open([
        (":method", "CONNECT"), (":protocol", "gopher"), (":scheme", "http"), (":path", "/"),
        (":authority", "service.test")])
    try:
        stream.wait(lambda: stream.head, "an answer")
        assert stream.head[0][1] in ("400", "405", "501")
    except Broken as e:
        assert e.code is not None
    assert upstream.requests == []
    assert client.get().status == 200
