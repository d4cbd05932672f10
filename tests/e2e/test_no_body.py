"""HEAD, 204 and 304 have no body, whatever their headers say."""
import pytest

from wire import request_bytes, response_bytes


@pytest.mark.parametrize("method, status, fields", [
    ("HEAD", 200, ["Content-Length: 1234"]),
    ("HEAD", 200, ["Transfer-Encoding: chunked"]),
    ("HEAD", 200, []),
    ("HEAD", 404, ["Content-Length: 10"]),
    ("GET", 204, []),
    ("GET", 304, ['ETag: "x"', "Content-Length: 1234"]),
    ("GET", 304, []),
    ("POST", 204, []),
])
def test_a_response_without_a_body_leaves_the_connection_in_step(
        inbound, raw_origin, connect, method, status, fields):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes(method, body=b"x" if method == "POST" else None))
    server = upstream.accept()
    assert server.read_request().method == method
    server.send("\r\n".join([f"HTTP/1.1 {status} Reason", *fields]) + "\r\n\r\n")
    response = client.read_response(method)
    assert response.status == status
    for field in fields:                      # what a GET would have had is told as it came
        name, _, value = field.partition(": ")
        if name != "Transfer-Encoding":       # which may be left out
            assert response.get(name) == value
    client.send(request_bytes(target="/next"))
    assert server.read_request().target == "/next"
    server.send(response_bytes(body=b"next"))
    assert client.read_response().body == b"next"


def test_a_response_that_never_has_a_body_gets_no_length_made_up(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    server = None
    for status in (204, 304):
        client.send(request_bytes())
        server = server or upstream.accept()
        server.read_request()
        server.send(f"HTTP/1.1 {status} X\r\n\r\n")
        response = client.read_response()
        assert response.get("content-length") is None
        assert response.get("transfer-encoding") is None


def test_a_get_with_a_body_is_passed_on_with_it(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    assert client.ask("GET", body=b"unusual").status == 200
    assert upstream.requests[0].body == b"unusual"


def test_a_post_without_a_body_keeps_its_length_of_zero(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    assert client.ask("POST", body=b"").status == 200
    assert upstream.requests[0].get("content-length") == "0"


def test_a_request_without_a_body_gets_no_framing(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    for method in ("GET", "DELETE", "OPTIONS", "PROPFIND"):
        assert client.ask(method).status == 200
    for request in upstream.requests:
        assert request.framing() == (None, None)


def test_the_span_of_a_bodiless_response_is_whole(inbound, origin, connect):
    upstream = origin(lambda r: b"HTTP/1.1 204 No Content\r\n\r\n")
    sidecar = inbound(upstream.address)
    connect(sidecar.port).get()
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == 204
    assert span["http.response.body.size"] == 0
    assert "error.type" not in span
