"""HTTP/1.1 at its edges: what is lawful passes, what is not is named."""
import contextlib

import pytest

from process import run
from wire import Wire, request_bytes


def test_any_token_is_a_method(sidespan, port, origin, connect):
    upstream = origin()
    sidecar = sidespan("inbound { listen 127.0.0.1:%d; route /deny { match method BREW; respond 403; }"
                       " route / { to %s; } }" % (port, upstream.address))
    client = connect(port)
    for method in ("BREW", "get", "M-SEARCH", "PLAY", "SOURCE", "X" * 40):
        client.send(request_bytes(method=method, target="/x"))
        assert client.read_response().status == 200
    client.send(request_bytes(method="BREW", target="/x", body=b"tea"))
    assert client.read_response().status == 200
    assert [r.method for r in upstream.requests] == ["BREW", "get", "M-SEARCH", "PLAY", "SOURCE", "X" * 40, "BREW"]
    assert upstream.requests[-1].body == b"tea"
    client.send(request_bytes(method="BREW", target="/deny"))
    assert client.read_response().status == 403
    spans = sidecar.wait_spans(8)
    assert {s["http.request.method"] for s in spans} == {"_OTHER"}
    assert spans[0]["http.request.method_original"] == "BREW"
    assert spans[0].name == "HTTP"


def test_methods_add_no_series(sidespan, port, origin, connect):
    upstream = origin()
    sidecar = sidespan("inbound { listen 127.0.0.1:%d; route / { to %s; } }" % (port, upstream.address))
    client = connect(port)
    client.get()
    before = set(sidecar.metrics())
    for i in range(20):
        client.send(request_bytes(method=f"M{i}"))
        assert client.read_response().status == 200
    assert set(sidecar.metrics()) == before


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
def test_a_method_of_hundreds_of_characters_is_refused(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    response = pair.client().ask("X" * 300)
    assert (response.status, response.get("sidespan-reason")) == (501, "method-too-long")
    assert upstream.requests == []


@pytest.mark.parametrize("pair", ["h1-h1", "h1-h2"], indirect=True)
def test_bytes_above_ascii_in_a_target_are_encoded(pair):
    upstream = pair.origin()
    sidecar = pair.start(f"""inbound {{ listen 127.0.0.1:{pair.port}; route /caf%C3%A9/secret {{ respond 403; }}
                             route / {{ to app; }} }} {pair.cluster(upstream)}""")
    with Wire.connect(pair.port) as client:
        for tail, status in ((b"?q=\xff", 200), (b"/secret", 403)):
            client.send(b"GET /caf\xc3\xa9" + tail + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.read_response().status == status
    assert [r.target for r in upstream.requests] == ["/caf%C3%A9?q=%FF"]
    assert sidecar.wait_spans(2)[0]["url.path"] == "/caf%C3%A9"


@pytest.mark.parametrize("line, body", [("Content-Length: 5 \t", b"hello"), ("Content-Length: 5\t", b"hello"),
                                        ("Content-Length:\t5", b"hello"),
                                        ("Transfer-Encoding: chunked\t", b"5\r\nhello\r\n0\r\n\r\n")])
def test_white_space_behind_a_value_is_none_of_it(inbound, origin, connect, line, body):
    upstream = origin(lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: 2\t \r\n\r\nok")
    client = connect(inbound(upstream.address).port)
    for _ in range(2):
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n".encode() + body)
        assert client.read_response().status == 200
    assert [r.body for r in upstream.requests] == [b"hello", b"hello"]


# ---- HTTP/1.0

def test_a_client_of_1_0_that_asks_to_be_kept_is(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    for _ in range(3):
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n")
        response = client.read_response()
        assert response.body == b"hello"
        assert response.get("connection").lower() == "keep-alive"
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert client.read_response().get("connection").lower() == "close"
    client.expect_end()
    assert len(upstream.requests) == 4


def test_so_it_is_by_what_the_sidecar_answers_itself(sidespan, port, connect):
    sidespan('inbound { listen 127.0.0.1:%d; route / { respond 200 "ok"; } }' % port)
    client = connect(port)
    for _ in range(2):
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        response = client.read_response()
        assert (response.body, response.get("connection")) == (b"ok", "keep-alive")


def test_not_where_only_the_end_of_the_connection_ends_the_body(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    server = upstream.accept()
    server.read_request()
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    response = client.read_response()
    assert response.body == b"hello" and response.get("connection").lower() == "close"


def test_nor_by_a_forward_proxy(sidespan, port, origin, connect):
    upstream = origin()
    sidespan(f"outbound {{ listen 127.0.0.1:{port} forward-proxy; }}")
    client = connect(port)
    client.send(f"GET http://{upstream.address}/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert client.read_response().get("connection").lower() == "close"
    client.expect_end()


@pytest.mark.parametrize("pair", ["h1-h1", "h1-h2"], indirect=True)
def test_without_a_host_the_address_it_came_to_stands_for_it(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    with Wire.connect(pair.port) as client:
        client.send("GET /old HTTP/1.0\r\n\r\n")
        assert client.read_response().status == 200
    assert upstream.requests[0].authority == f"127.0.0.1:{pair.port}"


# ---- answers

def answered_with(inbound, raw_origin, connect, answer, rest=""):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest=rest)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    with contextlib.suppress(ConnectionError):    # of one that is too long it takes only so much
        server.send(answer)
    return sidecar, client.read_response()


def test_a_large_answer_passes_by_default(inbound, raw_origin, connect):
    head = "".join(f"X-{i}: {'v' * 300}\r\n" for i in range(600))
    _, response = answered_with(inbound, raw_origin, connect,
                                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + head + "\r\n")
    assert response.status == 200 and response.get("x-599") == "v" * 300


@pytest.mark.parametrize("rule, many, times, limits", [
    ("response-headers", "A: b\r\n", 101, "limits { response-headers 100; }"),
    ("response-header-bytes", "x", 9000, "limits { response-header-bytes 8k; }"),
    ("response-header-bytes", "x", 300_000, ""),
])
def test_an_answer_over_a_limit_is_named_as_that(inbound, raw_origin, connect, rule, many, times, limits):
    fields = many * times if ":" in many else "A: " + many * times + "\r\n"
    sidecar, response = answered_with(inbound, raw_origin, connect, "HTTP/1.1 200 OK\r\n" + fields, limits)
    assert response.status == 502
    assert response.get("sidespan-reason") == "response_limit"
    assert rule.encode() in response.body and b"raise limits" in response.body
    span = sidecar.wait_span()
    assert span["error.type"] == "response_limit" and span["sidespan.rule"] == rule
    assert rule in sidecar.wait_log("response_limit").string


@pytest.mark.parametrize("rule, answer", [
    ("line-end", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    ("content-length-repeated", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi"),
    ("header-character", "HTTP/1.1 200 OK\r\nX : y\r\n\r\n"),
    ("status-line", "HTTP/1.1 600 Odd\r\n\r\n"),
    ("status-line", "220 mail.test ESMTP\r\n"),
    ("transfer-encoding-unknown", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
])
def test_an_answer_that_is_not_taken_names_the_rule(inbound, raw_origin, connect, rule, answer):
    sidecar, response = answered_with(inbound, raw_origin, connect, answer)
    assert response.status == 502 and response.get("sidespan-reason") == "protocol_error"
    assert rule.encode() in response.body
    assert sidecar.wait_span()["sidespan.rule"] == rule
    sidecar.wait_log(f"rule {rule}")


def test_a_nul_in_a_reason_is_not_passed_on(inbound, raw_origin, connect):
    _, response = answered_with(inbound, raw_origin, connect,
                                b"HTTP/1.1 200 O\0K\x01\r\nContent-Length: 0\r\n\r\n")
    assert (response.status, response.reason) == (200, "OK")


def test_explain_knows_any_method(tmp_path):
    path = tmp_path / "routes.conf"
    path.write_text("inbound { listen :8080; route /a { match method BREW; respond 418; } route / { respond 200; } }")
    done = run("explain", "--config", path, "BREW http://h/a")
    assert "status 418" in done.stdout and "HTTP /a, recorded" in done.stdout
    assert "status 200" in run("explain", "--config", path, "brew http://h/a").stdout
