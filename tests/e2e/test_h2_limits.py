"""The limits of an HTTP/2 upstream are kept to: streams at once, windows, frames."""
from h2wire import Settings
from pairs import H2_UPSTREAM
from peers import Reply

pytestmark = H2_UPSTREAM


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
    pair.outbound("route /short { to app; timeout 500ms; } route / { to app; }",
                  rest=pair.cluster(upstream, extra="pool max 1;"))
    warm, served = pair.asked(upstream)
    served.wire.update_settings({Settings.MAX_CONCURRENT_STREAMS: 0})
    served.wire.wait(lambda: served.wire.settings_acknowledged >= 2, "its acknowledgement")
    served.answer()
    warm.response()
    call = pair.client().open(target="/short")
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
