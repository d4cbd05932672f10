"""HTTP/1.0 is spoken on both sides."""
from wire import request_bytes, response_bytes


def test_a_client_of_1_0_is_served_and_closed(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send("GET /old HTTP/1.0\r\nHost: a.test\r\n\r\n")
    response = client.read_response()
    assert response.status == 200 and response.body == b"hello"
    client.expect_end()
    [request] = upstream.requests
    assert request.version == "1.1" and request.get("host") == "a.test"
    assert sidecar.wait_span()["network.protocol.version"] == "1.0"


def test_a_client_of_1_0_needs_no_host(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.send("GET / HTTP/1.0\r\n\r\n")
    assert client.read_response().status == 200
    assert upstream.requests[0].get("host")   # a 1.1 request has one


def test_a_response_of_unknown_length_to_a_client_of_1_0_ends_with_the_connection(
        inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
    server.close()
    response = client.read_response()
    assert response.body == b"until the end"
    assert response.get("transfer-encoding") is None


def test_an_origin_of_1_0_is_understood(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    for body in (b"first", b"second"):
        client.send(request_bytes())
        server = upstream.accept()
        server.read_request()
        server.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + body)
        server.close()
        response = client.read_response(body=False)
        assert response.version == "1.1"      # the sidecar's own
        kind, _ = response.framing()
        if kind == "chunked":                 # the client's connection may be kept, in chunks
            out = b""
            while chunk := client.read_chunk():
                out += chunk
            client.read_trailers()
            assert out == body
        else:
            assert client.read_to_end() == body
            client = connect(sidecar.port)


def test_an_origin_of_1_0_with_a_length_does_not_cost_the_client_its_connection(
        inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    for _ in range(2):
        client.send(request_bytes())
        server = upstream.accept()            # 1.0 without keep-alive is not kept
        server.read_request()
        server.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert client.read_response().body == b"ok"
        server.expect_end()


def test_an_origin_of_1_0_that_keeps_alive_is_used_again_or_closed(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
    response = client.read_response()
    assert response.body == b"ok" and response.get("connection") is None


def test_a_head_request_of_1_0(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send("HEAD / HTTP/1.0\r\nHost: a\r\n\r\n")
    server = upstream.accept()
    assert server.read_request().method == "HEAD"
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    assert client.read_response("HEAD").get("content-length") == "1000"
    client.expect_end()


def test_a_body_of_1_0_with_a_length_passes(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=r.body))
    client = connect(inbound(upstream.address).port)
    client.send("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
    assert client.read_response().body == b"body"
