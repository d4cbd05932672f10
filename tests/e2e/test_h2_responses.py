"""Responses of HTTP/2 that are none, which nobody may take for one, and odd ones that are fine."""
import pytest

from h2wire import Broken, Settings
from pairs import H2_UPSTREAM

pytestmark = H2_UPSTREAM


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


def test_a_response_to_head_may_end_with_an_empty_frame(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    for _ in range(2):
        call, served = pair.asked(upstream, "HEAD", client=client)
        served.stream.send_head([(":status", "200"), ("content-length", "5")])
        served.stream.end()
        response = call.response()
        assert response.status == 200 and response.get("content-length") == "5"
        assert response.body == b""


def test_a_response_to_head_with_a_body_is_never_passed_on(pair):
    upstream = pair.raw_origin(checks=False)
    pair.inbound(upstream)
    call, served = pair.asked(upstream, "HEAD")
    served.stream.send_head([(":status", "200"), ("content-length", "5")])
    served.stream.send(b"hello", end=True)
    try:
        assert call.response().body == b""
    except Broken:
        pass
    assert pair.client() and pair.sidecar.wait_spans(1)


def test_a_response_may_end_with_empty_trailers_or_an_empty_frame(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, client=client)
    served.stream.send_head([(":status", "200")])
    served.stream.send(b"abc")
    served.stream.send(b"", end=True)
    assert call.response().body == b"abc"


def test_padded_frames_are_taken_off_and_their_window_given_back(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = pair.asked(upstream)
    served.send_head()
    for _ in range(4000):                     # 1 MB, most of it padding
        served.wire.wait(lambda: served.stream.window() > 256 or served.wire.goaways, "window")
        if served.wire.goaways:
            return                            # taken for an attack: as good
        served.wire.conn.send_data(served.stream.id, b"x", pad_length=254)
        served.wire._flush()
        call.count(1)
    served.end()
    assert call.rest() == b""


def test_the_sidecar_wants_no_pushes(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = pair.asked(upstream)
    assert served.wire.peer_settings.get(Settings.ENABLE_PUSH) == 0
    served.answer()
    assert call.response().status == 200
