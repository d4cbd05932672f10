"""The connections to an HTTP/2 upstream: made, shared, kept alive, given up, changed."""
import socket

import pytest
from h2.frame_buffer import FrameBuffer

from h2wire import CANCEL, NO_ERROR, H2Wire, Settings
from pairs import H2_UPSTREAM
from peers import Reply
from wire import DEADLINE, Wire, response_bytes, until

pytestmark = H2_UPSTREAM


@pytest.fixture
def silent(closing):
    """An address that never completes a connection: its queue is full."""
    listener = closing(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    for _ in range(4):
        filler = closing(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
    return f"127.0.0.1:{port}"


def test_requests_that_come_while_it_connects_share_the_connection(pair):
    upstream = pair.origin(lambda r: Reply(body=r.target.encode()))
    pair.inbound(upstream)
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(30)]
    assert [c.response().body for c in calls] == [b"/%d" % i for i in range(30)]
    assert upstream.connections <= 2


def test_requests_that_wait_for_a_connection_end_with_the_connect_timeout(pair, silent):
    sidecar = pair.inbound(silent, cluster="connect-timeout 200ms;")
    client = pair.client()
    calls = [client.open("POST", f"/{i}", body=b"x") for i in range(5)]
    for call in calls:
        response = call.response()
        assert response.status in (502, 503, 504)
        assert response.get("sidespan-reason") == "connect_timeout"
    assert {s["error.type"] for s in sidecar.wait_spans(5)} == {"connect_timeout"}


def test_a_client_that_leaves_while_it_connects_is_forgotten(pair, silent):
    sidecar = pair.inbound(silent)
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(3)]
    sidecar.wait_metric('sidespan_requests_active{direction="inbound"}', 3)
    for call in calls:
        call.cancel()
    assert {s["error.type"] for s in sidecar.wait_spans(3)} == {"client_closed"}


def test_a_client_that_leaves_the_queue_makes_room_for_the_next(pair):
    upstream = pair.raw_origin(settings={Settings.MAX_CONCURRENT_STREAMS: 1})
    sidecar = pair.inbound(upstream, cluster="pool max 1;")
    warm, served = pair.asked(upstream)
    served.answer()
    warm.response()
    client = pair.client()
    first = client.open(target="/first")
    only = upstream.take()
    queued = client.open(target="/leaves")
    sidecar.wait_metric('sidespan_requests_active{direction="inbound"}', 2)
    patient = client.open(target="/patient")
    sidecar.wait_metric('sidespan_requests_active{direction="inbound"}', 3)
    queued.cancel()
    sidecar.wait_spans(1, lambda s: s["error.type"] == "client_closed")
    only.answer()
    assert first.response().status == 200
    served = upstream.take()
    assert served.target == "/patient"
    served.answer()
    assert patient.response().status == 200


def test_the_timeout_counts_in_the_queue(pair):
    upstream = pair.raw_origin(settings={Settings.MAX_CONCURRENT_STREAMS: 1})
    pair.outbound("route /short { to app; timeout 200ms; } route / { to app; }",
                  rest=pair.cluster(upstream, extra="pool max 1;"))
    warm, served = pair.asked(upstream)
    served.answer()
    warm.response()
    client = pair.client()
    first = client.open(target="/first")
    only = upstream.take()
    assert client.open(target="/short").response().status in (503, 504)
    only.answer()
    assert first.response().status == 200
    call, served = pair.asked(upstream, client=client)
    served.answer()
    assert call.response().status == 200


def test_an_upstream_that_comes_back_is_used_again(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, client=client)
    served.break_connection()
    assert call.response().status in (200, 502)
    for _ in range(3):
        call, served = pair.asked(upstream, "POST", client=client, body=b"x")
        served.rest()
        served.answer(body=b"back")
        assert call.response().body == b"back"


def test_a_reload_may_change_what_an_upstream_is_asked_in(pair, origin):
    new = pair.origin()
    old = origin()
    sidecar = pair.start(f"""
        inbound {{ listen 127.0.0.1:{pair.port}; route / {{ to app; }} }}
        cluster app {{ endpoint {old.address}; protocol h1; }}
        """)
    client = pair.client()
    assert client.get().body == b"hello" and len(old.requests) == 1
    sidecar.reload(f"""
        inbound {{ listen 127.0.0.1:{pair.port}; route / {{ to app; }} }}
        cluster app {{ endpoint {new.address}; protocol h2; }}
        """)
    until(lambda: client.get().status == 200 and new.requests, "the new origin")


def test_a_reload_may_change_the_protocol_of_the_same_address(pair):
    """An address is asked in what the file says now, on a connection of its own."""
    upstream = pair.raw_origin()
    conf = """
        inbound {{ listen 127.0.0.1:{0}; route / {{ to app; }} }}
        cluster app {{ endpoint {1}; protocol {2}; }}
        """
    sidecar = pair.start(conf.format(pair.port, upstream.address, "h1"))
    client = pair.client()
    call = client.open(target="/old")
    connection, _ = upstream.sock.accept()
    old = Wire(connection)
    assert old.read_request().version == "1.1"
    sidecar.reload(conf.format(pair.port, upstream.address, "h2"))
    other = pair.client()
    new, served = pair.asked(upstream, client=other, target="/new")
    served.answer(body=b"new")
    assert new.response().body == b"new"
    old.send(response_bytes(body=b"old"))
    assert call.response().body == b"old"
    old.close()


def test_its_pings_are_answered(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = pair.asked(upstream)
    for _ in range(3):
        served.wire.ping()
    served.answer()
    assert call.response().status == 200
    served.wire.ping()                        # idle ones too


def test_a_silent_upstream_is_asked_and_given_up_when_it_does_not_answer(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream, rest="timeouts { ping 100ms; ping-timeout 500ms; }")
    call, served = pair.asked(upstream)       # and from here on it reads nothing any more
    response = call.response()
    assert response.status in (502, 504)
    assert sidecar.wait_span()["error.type"] == response.get("sidespan-reason")


def test_a_silent_upstream_that_answers_is_kept(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream, rest="timeouts { ping 50ms; ping-timeout 2s; }")
    call, served = pair.asked(upstream)
    assert served.wire.quiet(lambda: served.stream.code is not None, 0.5)
    served.answer(body=b"late")
    assert call.response().body == b"late"


def test_an_idle_connection_is_closed_in_time_with_goaway(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream, cluster="pool idle 100ms;")
    call, served = pair.asked(upstream)
    served.answer()
    call.response()
    assert served.wire.wait_goaway()[0] == NO_ERROR
    served.wire.wait_end()


def test_an_upstream_connection_is_given_up_after_pool_requests(pair):
    upstream = pair.origin()
    pair.inbound(upstream, cluster="pool requests 3;")
    client = pair.client()
    for _ in range(9):
        assert client.get().status == 200
    assert upstream.connections == 3


def test_the_settings_of_the_upstream_are_not_waited_for(pair):
    """What may go before them goes: the request."""
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call = pair.client().open(target="/early")
    connection, _ = upstream.sock.accept()
    connection.settimeout(DEADLINE)
    seen, frames = b"", FrameBuffer(server=True)
    kinds = []
    while "HeadersFrame" not in kinds:
        data = connection.recv(65536)
        seen += data
        frames.add_data(data)
        frames.max_frame_size = 16384
        kinds += [type(f).__name__ for f in frames]
    wire = H2Wire(connection, False)
    wire._take(seen)
    stream = wire.accept()
    assert dict(stream.head)[":path"] == "/early"
    stream.send_head([(":status", "204")], end=True)
    assert call.response().status == 204
    wire.close()


def test_a_client_that_cancels_leaves_the_connection_for_others(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = pair.asked(upstream)
    call.cancel()
    assert served.expect_cancelled() == CANCEL
    call, again = pair.asked(upstream)
    assert again.wire is served.wire
    again.answer(body=b"fine")
    assert call.response().body == b"fine"


def test_an_upstream_that_does_not_speak_http_2_is_a_502(pair, origin):
    """The cluster says h2, the server knows HTTP/1.1 alone."""
    upstream = origin(lambda r: response_bytes())
    sidecar = pair.inbound(upstream.address)
    response = pair.client().get()
    assert response.status in (502, 503)
    assert sidecar.wait_span()["error.type"] == response.get("sidespan-reason")
    upstream.errors.clear()                   # it was sent the preface, and rightly did not like it
