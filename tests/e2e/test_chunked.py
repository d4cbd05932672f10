"""Chunked bodies keep their chunks; trailers travel."""
import pytest

from wire import chunked, request_bytes, response_bytes

POST = b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def pair(sidecar, upstream, connect):
    """A client whose request has reached the origin, and the origin's connection."""
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    return client, server


def test_the_borders_of_request_chunks_are_kept(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    sizes = [1, 2, 5000, 3, 70_000, 16, 4096]
    client.send(POST + chunked(*(b"x" * n for n in sizes)))
    assert client.read_response().status == 200
    [request] = upstream.requests
    assert request.chunks == sizes
    assert request.get("transfer-encoding") == "chunked"
    assert request.get("content-length") is None


def test_the_borders_of_response_chunks_are_kept(inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = pair(inbound(upstream.address), upstream, connect)
    sizes = [1, 2, 5000, 3, 70_000, 16, 4096]
    server.send(OK + chunked(*(b"x" * n for n in sizes)))
    response = client.read_response()
    assert response.chunks == sizes
    assert response.get("content-length") is None


def test_a_chunk_arrives_while_the_next_is_not_yet_there(inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = pair(inbound(upstream.address), upstream, connect)
    server.send(OK)
    client.read_head()
    for text in (b"one", b"two", b"three"):
        server.send(b"%x\r\n%s\r\n" % (len(text), text))
        assert client.read_chunk() == text
    server.send(b"0\r\n\r\n")
    assert client.read_chunk() == b"" and client.read_trailers() == []


def test_part_of_a_chunk_does_not_wait_for_its_end(inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = pair(inbound(upstream.address), upstream, connect)
    server.send(OK + b"6\r\nabc")
    client.read_head()
    assert client.read_until(b"\r\n") == b"6\r\n"
    assert client.read(3) == b"abc"
    server.send(b"def\r\n0\r\n\r\n")
    assert client.read(3) == b"def"
    assert client.read_until(b"0\r\n\r\n") == b"\r\n0\r\n\r\n"


def test_chunk_extensions_are_dropped(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(POST + b'3;name=value;quoted="a;b"\r\nabc\r\n0;last\r\n\r\n')
    server = upstream.accept()
    request = server.read_request()           # strict: a size and nothing else
    assert request.body == b"abc" and request.chunks == [3]
    server.send(OK + b"3;x=y\r\nabc\r\n0\r\n\r\n")
    assert client.read_response().body == b"abc"


def test_leading_zeros_of_a_chunk_size_do_no_harm(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.send(POST + b"0003\r\nabc\r\n00\r\n\r\n")
    assert client.read_response().status == 200
    assert upstream.requests[0].body == b"abc"


def test_request_trailers_arrive_as_trailers(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum, X-Other\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n" +
                chunked(b"abc", trailers=["X-Sum: 900150983cd24fb0", "x-OTHER:  spaces kept inside "]))
    assert client.read_response().status == 200
    [request] = upstream.requests
    assert request.trailers == [("X-Sum", "900150983cd24fb0"), ("x-OTHER", "spaces kept inside")]
    assert request.get("x-sum") is None       # never merged into the head
    assert request.get("trailer") == "X-Sum, X-Other"


def test_response_trailers_arrive_as_trailers(inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = pair(inbound(upstream.address), upstream, connect)
    server.send(OK + chunked(b"abc", trailers=["Server-Timing: db;dur=53", "X-A: 1", "X-A: 2"]))
    response = client.read_response()
    assert response.trailers == [("Server-Timing", "db;dur=53"), ("X-A", "1"), ("X-A", "2")]
    assert response.get("x-a") is None


@pytest.mark.parametrize("forbidden", [
    "Content-Length: 3", "Transfer-Encoding: chunked", "Host: evil", "Connection: close",
    "Authorization: Basic eA==", "traceparent: 00-" + "1" * 32 + "-" + "2" * 16 + "-01",
])
def test_a_trailer_that_would_change_the_meaning_of_the_message_does_not_travel(
        inbound, origin, connect, forbidden):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.send(POST + chunked(b"abc", trailers=[forbidden, "X-Fine: yes"]))
    response = client.read_response()
    name = forbidden.partition(":")[0].lower()
    if response.status == 400:                # refusing the message is as good
        return
    assert response.status == 200
    [request] = upstream.requests
    assert name not in [n.lower() for n, _ in request.trailers]


def test_a_client_of_1_0_gets_a_chunked_response_without_chunks(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    server = upstream.accept()
    server.read_request()
    server.send(OK + chunked(b"abc", b"def", trailers=["X-Late: 1"]))
    response = client.read_response()
    assert response.get("transfer-encoding") is None
    assert response.body == b"abcdef"


def test_a_chunked_message_of_many_tiny_chunks_passes(inbound, origin, connect):
    upstream = origin(lambda r: OK + chunked(*(r.body[i:i + 1] for i in range(len(r.body)))))
    client = connect(inbound(upstream.address).port)
    data = bytes(range(256)) * 16
    client.send(POST + chunked(*(data[i:i + 1] for i in range(len(data)))))
    response = client.read_response()
    assert response.body == data and response.chunks == [1] * len(data)
    assert upstream.requests[0].chunks == [1] * len(data)


def test_the_connection_is_kept_after_chunked_messages(inbound, origin, connect):
    upstream = origin(lambda r: OK + chunked(b"abc", trailers=["X: 1"]))
    client = connect(inbound(upstream.address).port)
    for _ in range(5):
        client.send(POST + chunked(b"a", b"b"))
        assert client.read_response().body == b"abc"
    assert upstream.connections == 1


def test_the_span_counts_the_payload_and_not_the_framing(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=b"12345"))
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(POST + chunked(b"abc", b"defg"))
    client.read_response()
    span = sidecar.wait_span()
    assert span["http.request.body.size"] == 7
    assert span["http.response.body.size"] == 5
