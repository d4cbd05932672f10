"""Frames of HTTP/2 clients that are a mistake of the whole connection, and those that mean little."""
import pytest
from hyperframe.frame import (GoAwayFrame, PingFrame, PriorityFrame, SettingsFrame,
                              WindowUpdateFrame)

from h2wire import CANCEL, NO_ERROR, Broken, Codes, Settings
from pairs import H2_CLIENT
from peers import Reply

pytestmark = H2_CLIENT


DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, WINDOW_UPDATE, CONTINUATION = \
    0, 1, 3, 4, 5, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, payload=b"", flags=0, stream=0):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


CONNECTION_ERRORS = {
    "data on stream 0": (frame(DATA, b"x"), {Codes.PROTOCOL_ERROR}),
    "headers on stream 0": (frame(HEADERS, b"\x82", END_HEADERS), {Codes.PROTOCOL_ERROR}),
    "headers on an even stream": (frame(HEADERS, b"\x82\x84\x86", END_HEADERS, 2),
                                  {Codes.PROTOCOL_ERROR}),
    "data on an idle stream": (frame(DATA, b"x", 0, 99), {Codes.PROTOCOL_ERROR, Codes.STREAM_CLOSED}),
    "rst_stream on an idle stream": (frame(RST_STREAM, b"\0\0\0\x08", 0, 99), {Codes.PROTOCOL_ERROR}),
    "window_update of 0": (frame(WINDOW_UPDATE, b"\0\0\0\0"), {Codes.PROTOCOL_ERROR}),
    "window that overflows": (frame(WINDOW_UPDATE, b"\x7f\xff\xff\xff"), {Codes.FLOW_CONTROL_ERROR}),
    "ping of 7 bytes": (frame(PING, b"1234567"), {Codes.FRAME_SIZE_ERROR}),
    "ping on a stream": (frame(PING, b"12345678", 0, 1), {Codes.PROTOCOL_ERROR}),
    "settings of 5 bytes": (frame(SETTINGS, b"12345"), {Codes.FRAME_SIZE_ERROR}),
    "settings on a stream": (frame(SETTINGS, b"", 0, 1), {Codes.PROTOCOL_ERROR}),
    "push promise of a client": (frame(PUSH_PROMISE, b"\0\0\0\2\x82", END_HEADERS, 1),
                                 {Codes.PROTOCOL_ERROR}),
    "a frame too large": (frame(HEADERS, b"x" * 16385, END_HEADERS, 1001), {Codes.FRAME_SIZE_ERROR}),
    "headers that hpack cannot read": (frame(HEADERS, b"\xff" * 8, END_HEADERS | END_STREAM, 1001),
                                       {Codes.COMPRESSION_ERROR}),
    "continuation of nothing": (frame(CONTINUATION, b"", END_HEADERS, 1), {Codes.PROTOCOL_ERROR}),
    "data amid headers": (frame(HEADERS, b"\x82", 0, 1001) + frame(DATA, b"x", 0, 1001),
                          {Codes.PROTOCOL_ERROR}),
}


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_a_mistake_of_the_connection_ends_it_with_goaway(pair, name):
    data, codes = CONNECTION_ERRORS[name]
    upstream = pair.origin()
    sidecar = pair.inbound(upstream)
    bad, good = pair.client(checks=False), pair.client()
    assert bad.get().status == good.get().status == 200
    bad.wire.send_frame(data)
    code, _, _ = bad.wire.wait_goaway()
    assert code in codes
    bad.wire.wait_end()
    assert good.get().status == 200
    sidecar.wait_spans(3)
    assert len(upstream.requests) == 3


def test_a_preface_that_goes_wrong_is_no_request(pair, connect):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream)
    client = connect(sidecar.port)
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    client.expect_broken()
    assert upstream.requests == []
    assert pair.client().get().status == 200


def test_a_preface_that_comes_byte_by_byte_is_one(pair, connect):
    sidecar = pair.inbound(pair.origin())
    client = connect(sidecar.port)
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
        client.send(bytes([byte]))
    client.send(SettingsFrame(0).serialize())
    assert client.read(9)[3] == 4             # SETTINGS


def test_a_preface_alone_does_not_stay_for_ever(pair, connect):
    sidecar = pair.inbound(pair.origin(), rest="timeouts { header 200ms; idle 200ms; }")
    client = connect(sidecar.port)
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    client.expect_broken()
    half = connect(sidecar.port)
    half.send(b"PRI * HT")
    half.expect_broken()


# -- frames that mean nothing, or little

def test_what_is_to_be_ignored_is_ignored(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client(checks=False)
    call, served = pair.asked(upstream, "POST", client=client, length=6)
    call.send(b"abc")
    client.wire.send_frame(PriorityFrame(call.stream.id, depends_on=0, stream_weight=7))
    client.wire.send_frame(PriorityFrame(1001, depends_on=call.stream.id, stream_weight=200))
    client.wire.send_frame(frame(0xee, b"abc"))            # of an unknown type
    client.wire.send_frame(frame(0xee, b"abc", 0xff, 1))
    client.wire.send_frame(frame(SETTINGS, b"\xff\xfe\0\0\0\1"))
    client.wire.send_frame(WindowUpdateFrame(call.stream.id, window_increment=1))
    client.wire.ping()
    call.send(b"def")
    call.end()
    assert served.rest() == b"abcdef"
    served.answer(body=b"fine")
    assert call.response().body == b"fine"


def test_padding_is_taken_off(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, "POST", client=client, length=6)
    with client.wire.lock:
        client.wire.conn.send_data(call.stream.id, b"abc", pad_length=200)
        client.wire.conn.send_data(call.stream.id, b"def", end_stream=True, pad_length=0)
        client.wire._flush()
    assert served.rest() == b"abcdef"
    served.answer()
    assert call.response().status == 200
    assert sidecar.wait_span()["http.request.body.size"] == 6


def test_padding_gives_its_window_back(pair):
    """More padding than any window, for a body of nothing."""
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, "POST", client=client, streaming=True)
    stream = call.stream
    for _ in range(12_000):                   # 3 MB
        client.wire.wait(lambda: stream.window() > 256 or stream.code is not None, "window")
        if stream.code is not None or client.wire.goaways:
            return                            # taken for an attack: as good
        client.wire.conn.send_data(stream.id, b"x", pad_length=254)
        client.wire._flush()
        served.count(1)
    call.end()
    assert served.rest() == b""


def test_a_request_in_many_frames_is_one(pair):
    """HEADERS and CONTINUATION, and DATA of a byte and of none."""
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, "POST", client=client, length=5,
                              fields=[f"x-{i}: {'y' * 900}" for i in range(40)])
    assert served.get("x-39") == "y" * 900
    for byte in b"hello":
        call.stream.send(bytes([byte]))
    with client.wire.lock:
        client.wire.conn.send_data(call.stream.id, b"")
        client.wire.conn.send_data(call.stream.id, b"", end_stream=True)
        client.wire._flush()
    assert served.rest() == b"hello"
    served.answer()
    assert call.response().status == 200


def test_the_header_table_may_be_of_any_size(pair):
    pair.inbound(pair.origin())
    for size in (0, 64, 65536):
        client = pair.client(settings={Settings.HEADER_TABLE_SIZE: size})
        for _ in range(3):
            assert client.get("/", "x-a: " + "b" * 200).status == 200


def test_a_client_with_a_window_of_zero_gets_the_head_and_then_waits(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    client = pair.client(settings={Settings.INITIAL_WINDOW_SIZE: 0})
    call = client.open()
    assert call.head().status == 200
    assert client.wire.quiet(lambda: call.stream.received)
    client.wire.conn.increment_flow_control_window(2, call.stream.id)
    client.wire._flush()
    assert call.read(2) == b"he"
    client.wire.conn.increment_flow_control_window(100, call.stream.id)
    client.wire._flush()
    assert call.rest() == b"llo"


def test_frames_are_as_large_as_the_client_allows(pair):
    """h2 ends the connection on a larger one."""
    data = b"x" * 300_000
    pair.inbound(pair.origin(lambda r: Reply(body=data, fields=["x-long: " + "y" * 20_000])))
    for size in (16384, 65536):
        response = pair.client(settings={Settings.MAX_FRAME_SIZE: size}).get()
        assert response.body == data and len(response.get("x-long")) == 20_000


def test_a_client_that_says_goaway_gets_what_it_asked_for(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, client=client)
    client.wire.send_frame(GoAwayFrame(0, last_stream_id=0, error_code=0))
    served.answer(body=b"fine")
    assert call.response().body == b"fine"


def test_a_client_that_ends_its_half_gets_what_it_asked_for(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, client=client)
    client.wire.half_close()
    try:
        served.answer(body=b"fine")
        assert call.response().body == b"fine"
    except Broken:                            # a client that is gone is as good a reading
        assert sidecar.wait_span()["error.type"] == "client_closed"


def test_an_idle_connection_is_closed_in_time_with_goaway(pair):
    sidecar = pair.inbound(pair.origin(), rest="timeouts { idle 400ms; }")
    client = pair.client()
    assert client.get().status == 200
    assert client.wire.wait_goaway()[0] == NO_ERROR
    client.wire.wait_end()
    assert sidecar.metric('sidespan_timeouts_total{timeout="idle"}') >= 1


def test_a_connection_ends_after_its_limit_of_requests_with_goaway(pair):
    pair.inbound(pair.origin(), rest="limits { requests-per-connection 3; }")
    client = pair.client()
    for _ in range(3):
        assert client.get().status == 200
    assert client.wire.wait_goaway()[0] == NO_ERROR
    client.wire.wait_end()


def test_a_silent_client_with_open_streams_is_asked_and_given_up_when_it_does_not_answer(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream, rest="timeouts { ping 100ms; ping-timeout 500ms; }")
    call, served = pair.asked(upstream)       # and from here on the client reads nothing
    assert served.expect_cancelled() in (None, CANCEL)
    assert sidecar.wait_span()["error.type"] == "ping_timeout"


def test_a_frame_of_ping_is_answered_at_once(pair):
    pair.inbound(pair.origin())
    client = pair.client()
    for _ in range(5):
        client.wire.ping()
    client.wire.send_frame(PingFrame(0, b"12345678", flags=["ACK"]))   # one that nobody asked for
    assert client.get().status == 200
