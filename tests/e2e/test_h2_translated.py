"""What one of HTTP/1.1 and HTTP/2 has and the other has not, byte for byte on the side of HTTP/1.1."""
import pytest

from h2wire import CANCEL, NO_ERROR, Broken
from peers import Reply
from peers_h1 import H1Origin
from wire import NotHttp, chunked, request_bytes, response_bytes

TO_H2 = pytest.mark.parametrize("pair", ["h1-h2"], indirect=True)
TO_H1 = pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)


# -- a client of HTTP/1 before an origin of HTTP/2

@TO_H2
def test_the_pseudo_headers_of_a_request(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    connect(pair.port).send(request_bytes("POST", "/a?b=c", ["X-A: 1"], b"xyz", "shop.test:81"))
    served = upstream.take()
    head = served.stream.head
    assert {n: v for n, v in head if n.startswith(":")} == {
        ":method": "POST", ":scheme": "http", ":authority": "shop.test:81", ":path": "/a?b=c"}
    assert all(n == n.lower() for n, _ in head)
    first_plain = next(i for i, (n, _) in enumerate(head) if not n.startswith(":"))
    assert not [n for n, _ in head[first_plain:] if n.startswith(":")]


@TO_H2
def test_an_absolute_target_becomes_authority_and_path(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    connect(pair.port).send("GET http://other.test:82/p?q HTTP/1.1\r\nHost: other.test:82\r\n\r\n")
    served = upstream.take()
    assert (served.scheme, served.authority, served.target) == ("http", "other.test:82", "/p?q")


@TO_H2
def test_an_options_of_the_whole_server(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    connect(pair.port).send("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n")
    served = upstream.take()
    assert (served.method, served.target, served.authority) == ("OPTIONS", "*", "a.test")


@TO_H2
def test_chunks_and_their_extensions_are_dropped(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = connect(pair.port)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3;a=b\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n")
    served = upstream.take()
    assert served.rest() == b"abcdefg"
    assert served.trailers == [("x-sum", "7")]
    assert served.get("content-length") is None


@TO_H2
def test_a_chunked_body_that_ends_too_soon_is_reset(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = connect(pair.port)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    served = upstream.take()
    assert served.read(3) == b"abc"
    client.half_close()
    assert served.expect_cancelled() == CANCEL


@TO_H2
@pytest.mark.parametrize("bad", ["zz\r\nabc\r\n", "3\r\nabcXX"])
def test_a_broken_chunk_is_a_400_and_a_reset(pair, connect, bad):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = connect(pair.port)
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    served = upstream.take()
    client.send(bad)
    assert client.read_response().status == 400
    client.expect_end()
    with pytest.raises(Broken):
        served.rest()
    assert sidecar.wait_span()["sidespan.refusal"]


@TO_H2
def test_pipelined_requests_are_answered_in_their_order(pair, connect):
    upstream = pair.origin(lambda r: Reply(body=r.target.encode()))
    pair.inbound(upstream)
    client = connect(pair.port)
    client.send(b"".join(request_bytes(target=f"/{i}") for i in range(10)))
    assert [client.read_response().body for _ in range(10)] == [b"/%d" % i for i in range(10)]
    assert upstream.connections == 1


@TO_H2
def test_a_client_that_asks_to_close_leaves_the_upstream_connection_open(pair, connect):
    upstream = pair.origin()
    pair.inbound(upstream)
    for _ in range(3):
        client = connect(pair.port)
        response = client.get("/", "Connection: close")
        assert response.body == b"hello" and response.get("connection").lower() == "close"
        client.expect_end()
    assert upstream.connections == 1
    assert all(r.get("connection") is None for r in upstream.requests)


@TO_H2
def test_a_status_line_for_a_status(pair, connect):
    upstream = pair.origin(lambda r: Reply(int(r.target[1:])))
    pair.inbound(upstream)
    client = connect(pair.port)
    for status in (200, 201, 299, 404, 418, 500, 599):
        response = client.get(f"/{status}")   # strict: the space before the reason, even an empty one
        assert response.status == status
        assert response.version == "1.1"


@TO_H2
@pytest.mark.parametrize("told", [True, False], ids=["length", "streaming"])
def test_a_client_of_1_0(pair, connect, told):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = connect(pair.port)
    client.send("GET /old HTTP/1.0\r\nHost: a.test\r\n\r\n")
    served = upstream.take()
    assert served.authority == "a.test"
    served.interim(103, ["Link: <x>"])        # HTTP/1.0 knows none
    served.send_head(200, length=6 if told else None)
    served.send(b"abc")
    served.send(b"def")
    served.end([] if told else ["X-Late: 1"])
    response = client.read_response()
    assert response.interim == [] and response.get("transfer-encoding") is None
    assert response.body == b"abcdef"
    client.expect_end()


@TO_H2
def test_a_client_of_1_0_without_host(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    connect(pair.port).send("GET /old HTTP/1.0\r\n\r\n")
    served = upstream.take()
    assert served.authority and served.target == "/old"


@TO_H2
def test_a_cut_response_to_a_client_of_1_0_can_be_told_from_a_whole_one(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = connect(pair.port)
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    served = upstream.take()
    served.send_head()
    served.send(b"abc")
    client.read_head()
    assert client.read(3) == b"abc"
    served.reset()
    with pytest.raises(ConnectionError):
        client.read_to_end()


@TO_H2
def test_a_response_of_unknown_length_is_chunked_and_ends_with_the_stream(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = connect(pair.port)
    client.send(request_bytes(fields=["TE: trailers", "Connection: TE"]))
    served = upstream.take()
    served.send_head()
    client.read_head()
    for text in (b"one", b"two"):
        served.send(text)
        assert client.read_chunk() == text
    served.end(["X-Sum: 7"])
    assert client.read_chunk() == b""
    assert client.read_trailers() == [("x-sum", "7")]


@TO_H2
def test_a_response_of_headers_alone_has_a_length_of_zero_or_none_at_all(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = connect(pair.port)
    for status in (200, 204, 304, 404):
        client.send(request_bytes())
        served = upstream.take()
        served.stream.send_head([(":status", str(status))], end=True)
        response = client.read_response()
        assert response.status == status and response.body == b""
        if status in (204, 304):
            assert response.framing() == (None, None)


@TO_H2
def test_a_cut_chunked_response_has_no_last_chunk(pair, connect):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = connect(pair.port)
    client.send(request_bytes())
    served = upstream.take()
    served.send_head()
    served.send(b"abc")
    client.read_head()
    assert client.read_chunk() == b"abc"
    served.reset()
    assert client.expect_broken() == b""


# -- a client of HTTP/2 before an origin of HTTP/1

def asked(pair, raw_origin, *arguments, **named):
    """(call, wire, request): as the origin gets it, byte for byte."""
    upstream = raw_origin()
    pair.inbound(upstream.address)
    call = pair.client().open(*arguments, **named)
    server = upstream.accept()
    return call, server, server.read_request(body=False)


@TO_H1
def test_the_request_line_and_host_of_a_request(pair, raw_origin):
    _, _, request = asked(pair, raw_origin, "POST", "/a?b=c", ["x-a: 1"], length=3, host="shop.test:81")
    assert request.start_line == "POST /a?b=c HTTP/1.1"
    assert request.get("host") == "shop.test:81" and request.get("x-a") == "1"
    assert request.framing() == ("length", 3)
    assert not [n for n in request.names() if n.startswith(":")]
    assert request.get("connection") is None


@TO_H1
def test_a_body_of_unknown_length_is_chunked_and_ends_with_the_stream(pair, raw_origin):
    call, server, request = asked(pair, raw_origin, "POST", streaming=True)
    assert request.framing() == ("chunked", None)
    for text in (b"one", b"two"):
        call.send(text)
        assert server.read_chunk() == text
    call.end(["X-Sum: 7"])
    assert server.read_chunk() == b""
    assert server.read_trailers() == [("x-sum", "7")]


@TO_H1
def test_a_cancelled_upload_has_no_last_chunk(pair, raw_origin):
    call, server, _ = asked(pair, raw_origin, "POST", streaming=True)
    call.send(b"abc")
    assert server.read_chunk() == b"abc"
    call.cancel()
    assert server.expect_broken() == b""


@TO_H1
def test_the_scheme_of_a_client_is_not_the_origins(pair, origin):
    upstream = origin()
    sidecar = pair.inbound(upstream.address)
    client = pair.client()
    stream = client.wire.open([(":method", "GET"), (":scheme", "https"), (":path", "/x"),
                               (":authority", "a.test")], end=True)
    stream.wait(lambda: stream.head, "an answer")
    assert dict(stream.head)[":status"] == "200"
    assert upstream.requests[0].target == "/x"
    assert sidecar.wait_span()["url.scheme"] in ("http", "https")


@TO_H1
@pytest.mark.parametrize("answer, body", [
    (response_bytes(body=b"ok"), b"ok"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"a", b"bc"), b"abc"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\n\r\n", b"ok"),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
    (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
    (b"HTTP/1.1 200\x20\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok"),
], ids=["length", "chunked", "extension", "until-close", "1.0-close", "1.0-length", "close"])
def test_however_a_response_tells_its_end(pair, raw_origin, answer, body):
    call, server, _ = asked(pair, raw_origin)
    server.send(answer)
    if b"Content-Length" not in answer and b"chunked" not in answer:
        server.close()
    response = call.response()
    assert response.status == 200 and response.body == body
    for name in ("transfer-encoding", "connection"):
        assert response.get(name) is None


@TO_H1
@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"",
], ids=["te+cl", "two-cl", "fold", "space-colon", "version", "ssh", "101-unasked", "half-a-head",
        "nothing"])
def test_an_invalid_response_is_a_502(pair, raw_origin, answer):
    call, server, _ = asked(pair, raw_origin, "POST", body=b"x")
    server.read(1)
    if answer:
        server.send(answer)
    server.half_close()
    response = call.response()
    assert response.status == 502 and response.get("sidespan-reason")
    assert pair.sidecar.wait_span()["error.type"] == response.get("sidespan-reason")


@TO_H1
def test_what_http_2_forbids_in_a_name_is_made_fit_and_values_stay(pair, raw_origin):
    """Names in any case, and fields that only a connection of HTTP/1.1 knows."""
    call, server, _ = asked(pair, raw_origin)
    server.send(response_bytes(fields=["X-UPPER: Value", "ETag: \"AbC\"", "Keep-Alive: timeout=5",
                                       "Connection: x-gone", "X-Gone: 1", "Upgrade: h2c"]))
    response = call.response()                # h2 refuses what RFC 9113 does
    assert response.get("x-upper") == "Value" and response.get("etag") == '"AbC"'
    assert ("x-upper", "Value") in response.fields
    for name in ("keep-alive", "connection", "x-gone", "upgrade"):
        assert response.get(name) is None


@TO_H1
def test_a_kept_connection_that_the_origin_closed_costs_no_request(pair, raw_origin):
    upstream = raw_origin()
    pair.inbound(upstream.address)
    client = pair.client()
    call = client.open()
    server = upstream.accept()
    server.read_request()
    server.send(response_bytes(body=b"1"))
    assert call.response().body == b"1"
    server.close()
    call = client.open("POST", body=b"x")
    server = upstream.accept()
    assert server.read_request().body == b"x"
    server.send(response_bytes(body=b"2"))
    assert call.response().body == b"2"


@TO_H1
def test_an_early_response_and_an_end_of_the_upstream_say_no_error(pair, raw_origin):
    """RFC 9113 section 8.1: whole as it is, but no more of the request is wanted."""
    call, server, _ = asked(pair, raw_origin, "POST", length=10_000_000)
    call.send(b"abc")
    server.read(3)
    server.send(response_bytes(status=413, fields=["Connection: close"], body=b"enough"))
    server.half_close()
    response = call.response()
    assert response.status == 413 and response.body == b"enough"
    assert call.stream.wait_reset() == NO_ERROR


@TO_H1
def test_nothing_is_smuggled_by_the_fields_of_http_2(pair, closing):
    """Each is refused, or arrives as the data it is: an HTTP/1.1 origin sees one request at most."""
    upstream = closing(H1Origin())
    pair.inbound(upstream)
    client = pair.client(checks=False)
    evil = "a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
    good = [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/")]
    for fields in ([(n, evil if n == name else v) for n, v in good] for name, _ in good):
        _try(client, fields)
    _try(client, good + [("x", evil)])
    _try(client, good + [(evil, "x")])
    _try(client, good + [("transfer-encoding", "chunked")])
    _try(client, good + [("content-length", "3")], b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.get("/last").status == 200
    assert [r.target for r in upstream.requests if "evil" in r.target or r.authority != "a.test"
            and r.target != "/last"] == []


def _try(client, fields, data=b""):
    stream = client.wire.open(fields, end=not data)
    try:
        if data:
            stream.send(data, end=True)
        stream.wait(lambda: stream.ended, "an end")
    except (Broken, NotHttp):
        pass
