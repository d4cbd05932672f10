"""HTTP/2 requests that RFC 9113 section 8 calls malformed, each refused while others go on."""
import re

import pytest
from hyperframe.frame import DataFrame

from h2wire import PROTOCOL_ERROR, Broken
from pairs import H2_CLIENT
from process import SERVER

pytestmark = H2_CLIENT

GOOD = [(":method", "GET"), (":scheme", "http"), (":authority", "service.test"), (":path", "/")]


def without(name):
    return [f for f in GOOD if f[0] != name]


def changed(name, value):
    return [(n, value if n == name else v) for n, v in GOOD]


MALFORMED = {
    "no method": without(":method"),
    "no scheme": without(":scheme"),
    "no path": without(":path"),
    "no pseudo-header": [("x-a", "b")],
    "empty path": changed(":path", ""),
    "relative path": changed(":path", "a/b"),
    "path with space": changed(":path", "/a b"),
    "path with lf": changed(":path", "/a\r\nX: y"),
    "path with nul": changed(":path", "/a\0b"),
    "path with fragment": changed(":path", "/a#b"),
    "star for get": changed(":path", "*"),
    "two methods": GOOD + [(":method", "GET")],
    "two schemes": [(":scheme", "http")] + GOOD,
    "two paths": GOOD[:3] + [(":path", "/a"), (":path", "/b")],
    "two authorities": GOOD + [(":authority", "other.test")],
    "empty authority": changed(":authority", ""),
    "authority with user": changed(":authority", "u@service.test"),
    "authority with space": changed(":authority", "a b"),
    "authority with path": changed(":authority", "a/b"),
    "no authority and no host": without(":authority"),
    "host that differs": GOOD + [("host", "other.test")],
    "two hosts": without(":authority") + [("host", "a"), ("host", "b")],
    "unknown pseudo-header": GOOD + [(":x", "y")],
    "status in a request": GOOD + [(":status", "200")],
    "late pseudo-header": GOOD[:3] + [("x-a", "b"), GOOD[3]],
    "protocol without connect": GOOD + [(":protocol", "websocket")],
    "method with space": changed(":method", "GE T"),
    "empty method": changed(":method", ""),
    "upper-case name": GOOD + [("X-Upper", "b")],
    "empty name": GOOD + [("", "b")],
    "space in a name": GOOD + [("x a", "b")],
    "colon in a name": GOOD + [("x:a", "b")],
    "name above ascii": GOOD + [("x\xe9", "b")],
    "lf in a name": GOOD + [("x\na", "b")],
    "lf in a value": GOOD + [("x-a", "b\nc: d")],
    "cr in a value": GOOD + [("x-a", "b\rc")],
    "nul in a value": GOOD + [("x-a", "b\0c")],
    "space before a value": GOOD + [("x-a", " b")],
    "space after a value": GOOD + [("x-a", "b ")],
    "connection": GOOD + [("connection", "close")],
    "keep-alive": GOOD + [("keep-alive", "timeout=5")],
    "proxy-connection": GOOD + [("proxy-connection", "keep-alive")],
    "transfer-encoding": GOOD + [("transfer-encoding", "chunked")],
    "upgrade": GOOD + [("upgrade", "h2c")],
    "te gzip": GOOD + [("te", "gzip")],
    "two lengths": GOOD + [("content-length", "0"), ("content-length", "1")],
    "length of letters": GOOD + [("content-length", "x")],
    "length with plus": GOOD + [("content-length", "+0")],
    "length that overflows": GOOD + [("content-length", "18446744073709551617")],
    "length of no body": GOOD + [("content-length", "5")],
}


def refused(stream):
    """The status, or the code, that refused the stream."""
    try:
        stream.wait(lambda: stream.head, "an answer")
        status = int(stream.head[0][1])
        assert status in (400, 431, 501), stream.head
        return status
    except Broken as e:
        assert e.code == PROTOCOL_ERROR, e
        return e.code


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_and_others_go_on(pair, name):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream)
    client = pair.client(checks=False)
    stream = client.wire.open(MALFORMED[name], end=True)
    refused(stream)
    assert upstream.requests == []            # nothing of it reached the origin
    span = sidecar.wait_span()
    assert span.kind == SERVER
    assert span["error.type"] == "bad_request"
    assert re.fullmatch(r"[a-z0-9.-]+", span["sidespan.refusal"])
    assert sidecar.metric(f'sidespan_refusals_total{{rule="{span["sidespan.refusal"]}"}}') == 1
    assert client.get().status == 200         # on the same connection


@pytest.mark.parametrize("length, data", [(5, b"abc"), (2, b"abc"), (0, b"abc")],
                         ids=["short", "long", "none"])
def test_a_body_whose_length_is_not_what_was_said_is_refused(pair, length, data):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client(checks=False)
    stream = client.wire.open(GOOD + [("content-length", str(length))])
    if length:
        served = upstream.take()
    client.wire.send_frame(DataFrame(stream.id, data, flags=["END_STREAM"]))
    refused(stream)
    if length:                                # what the origin has is no whole request
        with pytest.raises(Broken):
            served.rest()
    assert sidecar.wait_span()["error.type"] == "bad_request"
    call = client.open(target="/next")
    served = upstream.take()
    if served.target != "/next":              # a length of 0 was whole before it was wrong
        served = upstream.take()
    served.answer()
    assert call.response().status == 200


def test_trailers_with_a_pseudo_header_are_refused(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client(checks=False)
    call, served = pair.asked(upstream, "POST", client=client, streaming=True)
    call.send(b"abc")
    assert served.read(3) == b"abc"
    call.stream.send_head([(":path", "/")], end=True)
    refused(call.stream)
    with pytest.raises(Broken):
        served.rest()
    assert sidecar.wait_span()["error.type"] == "bad_request"


def test_trailers_with_a_field_of_the_hop_are_refused(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client(checks=False)
    call, served = pair.asked(upstream, "POST", client=client, streaming=True)
    call.stream.send_head([("connection", "close")], end=True)
    refused(call.stream)
    with pytest.raises(Broken):
        served.rest()


def test_connect_without_a_proxy_to_ask_is_refused(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    client = pair.client(checks=False)
    stream = client.wire.open([(":method", "CONNECT"), (":authority", "a.test:80")])
    try:
        stream.wait(lambda: stream.head, "an answer")
        assert stream.head[0][1] in ("400", "404", "405", "501")
    except Broken as e:
        assert e.code is not None
    assert upstream.requests == []
    assert client.get().status == 200


def test_a_malformed_request_of_a_trace_is_part_of_it(pair):
    sidecar = pair.inbound(pair.origin())
    client = pair.client(checks=False)
    stream = client.wire.open(GOOD + [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("connection", "close")], end=True)
    refused(stream)
    span = sidecar.wait_span()
    assert span.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert span["url.path"] == "/"


def test_a_malformed_request_leaves_streams_under_way_alone(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client(checks=False)
    call, served = pair.asked(upstream, client=client)
    refused(client.wire.open(MALFORMED["upper-case name"], end=True))
    served.answer(body=b"fine")
    assert call.response().body == b"fine"
