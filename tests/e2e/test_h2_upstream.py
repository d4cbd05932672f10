"""What an HTTP/2 upstream may do with its connection and its streams: refuse, leave, limit, stall, err."""
import pytest
from h2.frame_buffer import FrameBuffer

from h2wire import (CANCEL, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, Broken, H2Wire,
                    Settings)
from pairs import H2_UPSTREAM
from peers import Reply
from process import CLIENT
from wire import until

pytestmark = H2_UPSTREAM


# -- what was not processed is sent elsewhere

@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"x" * 20_000)], ids=["GET", "POST"])
def test_a_refused_stream_is_asked_of_another_endpoint(pair, method, body):
    refusing = pair.origin(lambda r: Reply(reset=REFUSED_STREAM))
    good = pair.origin(lambda r: Reply(body=r.content))
    sidecar = pair.inbound([refusing, good])
    client = pair.client()
    for _ in range(4):
        response = client.ask(method, body=body)
        assert response.status == 200 and response.body == (body or b"")
    assert len(good.requests) == 4 and len(refusing.requests) >= 1
    for span in sidecar.wait_spans(4):
        assert span["http.response.status_code"] == 200 and span.status == 0


def test_each_attempt_of_an_outbound_call_is_a_span_of_its_own_or_counted(pair):
    refusing = pair.origin(lambda r: Reply(reset=REFUSED_STREAM))
    good = pair.origin()
    sidecar = pair.outbound("route / { to app; }", rest=pair.cluster([refusing, good]))
    for _ in range(2):                        # whichever is asked first
        assert pair.client().get().status == 200
    until(lambda: len(sidecar.spans()) >= 2, "the spans")
    spans = sidecar.spans()
    assert all(s.kind == CLIENT for s in spans)
    assert len([s for s in spans if s["http.response.status_code"] == 200]) == 2
    assert any(s["http.request.resend_count"] for s in spans)
    span_ids = {r.get("traceparent").split("-")[2] for r in good.requests}
    assert {s.span_id for s in spans if s["http.response.status_code"] == 200} == span_ids


def test_a_stream_that_all_refuse_is_an_answer_in_the_end(pair):
    refusing = pair.origin(lambda r: Reply(reset=REFUSED_STREAM))
    sidecar = pair.inbound(refusing)
    response = pair.client().get()
    assert response.status in (502, 503)
    assert response.get("sidespan-reason") == "refused_stream"
    assert len(refusing.requests) < 10
    assert sidecar.wait_span()["error.type"] == "refused_stream"


def test_a_reset_that_says_nothing_of_refusal_is_not_repeated_for_a_post(pair):
    failing = pair.origin(lambda r: Reply(reset=INTERNAL_ERROR))
    sidecar = pair.inbound(failing)
    response = pair.client().ask("POST", body=b"once")
    assert response.status == 502 and response.get("sidespan-reason") == "stream_reset"
    assert len(failing.requests) == 1
    assert sidecar.wait_span()["error.type"] == "stream_reset"


def test_a_goaway_sends_what_was_not_processed_to_a_new_connection(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    one, first = pair.asked(upstream, target="/1", client=client)
    two = client.open("POST", "/2", body=b"again")
    second = upstream.take()
    assert second.wire is first.wire
    first.wire.goaway(first.stream.id)        # the second was not looked at
    again = upstream.take()
    assert again.target == "/2" and again.wire is not first.wire
    assert again.rest() == b"again"
    again.answer(body=b"from the new one")
    assert two.response().body == b"from the new one"
    first.answer(body=b"from the old one")    # what was processed ends where it began
    assert one.response().body == b"from the old one"


def test_after_a_goaway_no_stream_is_opened_on_that_connection(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, first = pair.asked(upstream, client=client)
    first.wire.goaway()                       # gracefully: no stream is cut yet
    first.wire.ping()                         # it has been read
    other, second = pair.asked(upstream, client=client)
    assert second.wire is not first.wire
    second.answer(body=b"new")
    first.answer(body=b"old")
    assert other.response().body == b"new" and call.response().body == b"old"
    first.wire.wait_end()                     # nothing is left for it to do


def test_a_goaway_for_an_idle_connection_costs_no_request(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, client=client)
    served.answer()
    call.response()
    served.wire.goaway(served.stream.id)
    served.wire.close()
    for _ in range(2):
        call, served = pair.asked(upstream, "POST", client=client, body=b"x")
        served.rest()
        served.answer(body=b"fine")
        assert call.response().body == b"fine"


def test_a_connection_that_dies_with_an_error_fails_what_it_had_processed(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream, "POST", body=b"x")
    served.wire.goaway(served.stream.id, PROTOCOL_ERROR, b"no thanks")
    served.wire.close()
    response = call.response()
    assert response.status == 502
    assert sidecar.wait_span()["error.type"] == response.get("sidespan-reason")


# -- limits of the peer

def test_max_concurrent_streams_is_obeyed_and_further_connections_are_opened(pair):
    upstream = pair.raw_origin(settings={Settings.MAX_CONCURRENT_STREAMS: 2})
    pair.inbound(upstream)
    warm, served = pair.asked(upstream)       # the settings are known from here on
    served.answer()
    warm.response()
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(6)]
    served = [upstream.take() for _ in calls]
    by_wire = {}
    for one in served:
        by_wire.setdefault(one.wire, []).append(one)
    assert sorted(len(v) for v in by_wire.values()) == [2, 2, 2]
    for one in served:
        one.answer(body=one.target.encode())
    assert [c.response().body for c in calls] == [b"/%d" % i for i in range(6)]


def test_streams_beyond_the_limit_wait_where_no_connection_may_be_opened(pair):
    upstream = pair.raw_origin(settings={Settings.MAX_CONCURRENT_STREAMS: 2})
    sidecar = pair.inbound(upstream, cluster="pool max 1;")
    warm, served = pair.asked(upstream)
    served.answer()
    warm.response()
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(4)]
    first, second = upstream.take(), upstream.take()
    sidecar.wait_metric('sidespan_requests_active{direction="inbound"}', 4)
    assert upstream.untouched() and upstream.connections == 1
    first.answer(body=first.target.encode())
    third = upstream.take()
    second.answer(body=second.target.encode())
    fourth = upstream.take()
    third.answer(body=third.target.encode())
    fourth.answer(body=fourth.target.encode())
    assert [c.response().body for c in calls] == [b"/%d" % i for i in range(4)]


def test_many_at_once_to_an_origin_that_allows_few(pair):
    upstream = pair.origin(lambda r: Reply(body=r.target.encode()),
                           settings={Settings.MAX_CONCURRENT_STREAMS: 3})
    pair.inbound(upstream)
    assert pair.client().get("/warm").status == 200
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(60)]
    assert [c.response().body for c in calls] == [b"/%d" % i for i in range(60)]
    assert max(upstream.most_streams) <= 3    # h2 would end the connection besides


def test_a_limit_that_is_lowered_later_holds(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    warm, served = pair.asked(upstream)
    served.wire.update_settings({Settings.MAX_CONCURRENT_STREAMS: 1})
    served.wire.wait(lambda: served.wire.settings_acknowledged >= 2, "its acknowledgement")
    served.answer()
    warm.response()
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(2)]
    one, two = upstream.take(), upstream.take()
    assert one.wire is not two.wire
    for served in (one, two):
        served.answer(body=served.target.encode())
    assert [c.response().body for c in calls] == [b"/0", b"/1"]


def test_a_limit_of_none_at_all_does_not_spin(pair):
    """MAX_CONCURRENT_STREAMS 0 for a while is allowed; the timeout ends the wait."""
    upstream = pair.raw_origin()
    pair.inbound(upstream, extra="timeout 500ms;", cluster="pool max 1;")
    warm, served = pair.asked(upstream)
    served.wire.update_settings({Settings.MAX_CONCURRENT_STREAMS: 0})
    served.wire.wait(lambda: served.wire.settings_acknowledged >= 2, "its acknowledgement")
    served.answer()
    warm.response()
    call = pair.client().open()
    assert upstream.untouched(0.2)
    assert call.head().status in (503, 504)
    served.wire.update_settings({Settings.MAX_CONCURRENT_STREAMS: 1})
    call, served = pair.asked(upstream)
    served.answer()
    assert call.response().status == 200


def test_a_window_of_zero_holds_the_body_back_and_not_the_head(pair):
    upstream = pair.raw_origin(settings={Settings.INITIAL_WINDOW_SIZE: 0})
    pair.inbound(upstream)
    warm, served = pair.asked(upstream)
    served.answer()
    warm.response()
    call, served = pair.asked(upstream, "POST", body=b"abcdef")
    assert served.wire.quiet(lambda: served.stream.received)
    served.wire.conn.increment_flow_control_window(4, served.stream.id)
    served.wire._flush()
    assert served.read(4) == b"abcd"
    served.wire.conn.increment_flow_control_window(100, served.stream.id)
    served.wire._flush()
    assert served.rest() == b"ef"
    served.answer(body=b"fine")
    assert call.response().body == b"fine"


def test_a_window_that_is_lowered_below_zero_is_waited_out(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = pair.asked(upstream, "POST", length=100_000)
    call.send(b"x" * 30_000)
    served.wire.wait(lambda: served.stream.received == 30_000, "what was sent")
    served.wire.update_settings({Settings.INITIAL_WINDOW_SIZE: 10})
    served.wire.wait(lambda: served.wire.settings_acknowledged >= 2, "its acknowledgement")
    call.send(b"y" * 1000)
    assert served.wire.quiet(lambda: served.stream.received > 30_000)
    served.wire.update_settings({Settings.INITIAL_WINDOW_SIZE: 200_000})
    call.send(b"y" * 69_000)
    call.end()
    assert served.rest() == b"x" * 30_000 + b"y" * 70_000
    served.answer()
    assert call.response().status == 200


def test_small_frames_are_kept_to(pair):
    """h2 ends the connection on a frame over its MAX_FRAME_SIZE of 16384."""
    upstream = pair.origin(lambda r: Reply(body=r.content))
    pair.inbound(upstream)
    data = bytes(range(256)) * 2000
    response = pair.client().ask("POST", "/", ["X-Long: " + "y" * 30_000], data)
    assert response.body == data
    assert upstream.requests[0].get("x-long") == "y" * 30_000    # HEADERS and CONTINUATION


# -- what keeps a connection alive

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
    sidecar = pair.inbound(upstream, rest="timeouts { ping 100ms; ping-timeout 100ms; }")
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


# -- responses that are none

MALFORMED = {
    "no status": [("x-a", "b")],
    "status of letters": [(":status", "abc")],
    "status of two digits": [(":status", "20")],
    "101": [(":status", "101")],
    "two statuses": [(":status", "200"), (":status", "200")],
    "upper case": [(":status", "200"), ("X-Upper", "b")],
    "connection": [(":status", "200"), ("connection", "close")],
    "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
    "request pseudo": [(":status", "200"), (":path", "/")],
    "unknown pseudo": [(":status", "200"), (":x", "y")],
    "late pseudo": [("x-a", "b"), (":status", "200")],
    "lf in a value": [(":status", "200"), ("x-a", "b\nc: d")],
    "cr in a value": [(":status", "200"), ("x-a", "b\rc")],
    "nul in a value": [(":status", "200"), ("x-a", "b\0c")],
    "space in a name": [(":status", "200"), ("x a", "b")],
    "two lengths": [(":status", "200"), ("content-length", "0"), ("content-length", "1")],
    "length of letters": [(":status", "200"), ("content-length", "x")],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_response_is_a_502_and_never_passed_on(pair, name):
    upstream = pair.raw_origin(checks=False)
    sidecar = pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, "POST", client=client, body=b"x")
    served.stream.send_head(MALFORMED[name], end=name != "101")
    response = call.response()
    assert response.status == 502
    assert response.get("sidespan-reason") in ("protocol_error", "stream_reset")
    assert response.get("x-a") is None and response.get("c") is None
    span = sidecar.wait_span()
    assert span["error.type"] == "protocol_error" and span.status == 2
    call, served = pair.asked(upstream, client=client)
    served.answer(body=b"fine")
    assert call.response().body == b"fine"


@pytest.mark.parametrize("length, data", [(5, b"abc"), (2, b"abc")], ids=["short", "long"])
def test_a_response_whose_length_is_not_what_it_said_is_cut(pair, length, data):
    upstream = pair.raw_origin(checks=False)
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream)
    served.stream.send_head([(":status", "200"), ("content-length", str(length))])
    assert call.head().status == 200
    served.stream.send(data, end=True)
    with pytest.raises(Broken):
        call.rest()
    assert sidecar.wait_span()["error.type"] == "protocol_error"


def test_trailers_with_pseudo_headers_are_a_cut(pair):
    upstream = pair.raw_origin(checks=False)
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream)
    served.send_head()
    served.send(b"abc")
    assert call.read(3) == b"abc"
    served.stream.send_head([(":status", "200")], end=True)
    with pytest.raises(Broken):
        call.rest()
    assert sidecar.wait_span()["error.type"] == "protocol_error"


def test_an_upstream_that_does_not_speak_http_2_is_a_502(pair, origin):
    """The cluster says h2, the server knows HTTP/1.1 alone."""
    from wire import response_bytes
    upstream = origin(lambda r: response_bytes())
    sidecar = pair.inbound(upstream.address)
    response = pair.client().get()
    assert response.status in (502, 503)
    assert sidecar.wait_span()["error.type"] == response.get("sidespan-reason")
    upstream.errors.clear()                   # it was sent the preface, and rightly did not like it


def test_the_settings_of_the_upstream_are_not_waited_for(pair):
    """What may go before them goes: the request."""
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call = pair.client().open(target="/early")
    connection, _ = upstream.sock.accept()
    connection.settimeout(10)
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
