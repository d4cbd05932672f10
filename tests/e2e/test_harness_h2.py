"""The peers of the HTTP/2 tests against each other, without a sidecar: what they find is not their own."""
import pytest

import peers_h1
import peers_h2
from h2wire import CANCEL, INTERNAL_ERROR, REFUSED_STREAM, Broken, Settings
from peers import Flood, Reply, WebSocket

MIB = 1 << 20


@pytest.fixture(params=["h1", "h2"])
def direct(request, closing):
    """direct() is (client, raw origin); direct(handler) is (client, scripted origin)."""
    h2 = request.param == "h2"

    def make(handler=None, **arguments):
        if handler:
            kind = peers_h2.H2Origin if h2 else peers_h1.H1Origin
            origin = closing(kind(handler, **arguments))
        else:
            kind = peers_h2.H2RawOrigin if h2 else peers_h1.H1RawOrigin
            origin = closing(kind(**arguments))
        client = closing((peers_h2.H2Client if h2 else peers_h1.H1Client)(origin.port))
        return client, origin

    make.h2 = h2
    return make


@pytest.mark.parametrize("size", [0, 1, 100_000, 3 * MIB])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_scripted_origin_answers(direct, size, streaming):
    client, origin = direct(lambda r: Reply(201, ["X-Method: " + r.method], r.content,
                                            streaming=streaming, interim=[(103, ["Link: <x>"])]))
    response = client.ask("POST", "/a?b=c", ["X-A: 1", "X-A: 2"], b"x" * size)
    assert response.status == 201 and response.body == b"x" * size
    assert response.get("x-method") == "POST"
    assert response.interim == [(103, [("link" if direct.h2 else "Link", "<x>")])]
    [request] = origin.requests
    assert (request.method, request.target, request.authority) == ("POST", "/a?b=c", "service.test")
    assert request.all("x-a") == ["1", "2"]
    assert request.get("content-length") == str(size)
    assert client.get().status == 201 and origin.connections == 1


def test_a_request_and_its_answer_by_hand(direct):
    client, origin = direct()
    call = client.open("PUT", "/up", streaming=True)
    served = origin.take()
    call.send(b"abcdef")
    assert served.read(4) == b"abcd"
    served.interim(100)
    assert call.next_head().status == 100
    call.end(["X-Sum: 1"])
    assert served.rest() == b"ef"
    assert [v for _, v in served.trailers] == ["1"]
    served.send_head(200, ["X-B: 2"])
    served.send(b"uvw")
    assert call.head().get("x-b") == "2" and call.read(3) == b"uvw"
    served.end(["X-End: 3"])
    assert call.rest() == b"" and [v for _, v in call.trailers] == ["3"]


def test_ends_before_the_end(direct):
    client, origin = direct()
    call = client.open(streaming=True, method="POST")
    served = origin.take()
    call.send(b"abc")
    call.cancel()
    assert served.expect_cancelled() == (CANCEL if direct.h2 else None)
    call = client.open()
    served = origin.take()
    served.send_head()
    served.send(b"abc")
    assert call.read(3) == b"abc"
    served.reset()
    assert call.expect_broken() == (b"", INTERNAL_ERROR if direct.h2 else None)
    call = client.open()
    origin.take().break_connection()
    with pytest.raises(Broken):
        call.response()


def test_nothing_flows_without_a_reader(direct):
    client, origin = direct()
    call = client.open("POST", length=40 * MIB)
    served = origin.take()
    flood = Flood(call, 40 * MIB)
    assert flood.stalled() < 20 * MIB
    served.count(40 * MIB)
    flood.join()


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_what_has_no_body(direct, method, status):
    client, origin = direct(lambda r: Reply(status, body=b"hello"))
    for _ in range(2):
        assert client.ask(method).body == b""


def test_websocket(direct):
    client, origin = direct()
    if direct.h2:
        origin.accept()                       # the client waits for SETTINGS that allow it
    call = client.websocket("/chat")
    served = origin.take()
    assert served.websocket_asked() and served.target == "/chat"
    served.switch()
    call.switched()
    near, far = WebSocket(call, True), WebSocket(served, False)
    near.send("hello")
    assert far.read() == "hello"
    far.send(b"x" * 50_000)
    assert near.read() == b"x" * 50_000


def test_goaway_lets_streams_end_and_refused_ones_are_seen(closing):
    origin = closing(peers_h2.H2RawOrigin({Settings.MAX_CONCURRENT_STREAMS: 7}))
    client = closing(peers_h2.H2Client(origin.port))
    one, two = client.open(), client.open()
    first, second = origin.take(), origin.take()
    second.reset(REFUSED_STREAM)
    first.wire.goaway(first.stream.id)
    assert client.wire.wait_goaway()[:2] == (0, first.stream.id)
    assert two.stream.wait_reset() == REFUSED_STREAM
    first.answer(body=b"still")
    assert one.response().body == b"still"
    assert client.wire.peer_settings[Settings.MAX_CONCURRENT_STREAMS] == 7
