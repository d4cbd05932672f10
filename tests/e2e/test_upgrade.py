"""After a 101 the connection is a tunnel; what nobody agreed to is not upgraded."""
import pytest

from process import free_port
from test_bodies import MIB, Flood, bounded, stalled
from wire import request_bytes, response_bytes

HANDSHAKE = ["Upgrade: websocket", "Connection: keep-alive, Upgrade",
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]
SWITCH = (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
          b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")


def upgraded(sidecar, upstream, connect, after_request=b"", after_switch=b""):
    client = connect(sidecar.port)
    client.send(request_bytes(target="/chat", fields=HANDSHAKE) + after_request)
    server = upstream.accept()
    request = server.read_request()
    assert request.get("upgrade") == "websocket"
    assert "upgrade" in request.get("connection").lower()
    assert request.get("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ=="
    server.send(SWITCH + after_switch)
    response = client.read_response()
    assert response.status == 101
    assert response.get("upgrade") == "websocket"
    assert response.get("connection").lower() == "upgrade"
    assert response.get("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    return client, server


def test_bytes_pass_both_ways_after_an_upgrade(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = upgraded(sidecar, upstream, connect)
    client.send(b"\x81\x05hello")
    assert server.read(7) == b"\x81\x05hello"
    server.send(b"\x81\x02ok")
    assert client.read(4) == b"\x81\x02ok"
    client.send(b"GET / HTTP/1.1\r\nbare\n\n")  # nothing is parsed any more
    assert server.read(22) == b"GET / HTTP/1.1\r\nbare\n\n"
    client.close()
    server.expect_end()
    server.close()
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == 101
    assert "error.type" not in span and span.status == 0
    assert span["http.request.body.size"] == 7 + 22
    assert span["http.response.body.size"] == 4


def test_bytes_that_came_with_the_heads_are_not_lost(inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = upgraded(inbound(upstream.address), upstream, connect,
                              after_request=b"early", after_switch=b"greeting")
    assert client.read(8) == b"greeting"
    assert server.read(5) == b"early"


@pytest.mark.parametrize("first", ["client", "server"])
def test_each_side_may_end_its_half(inbound, raw_origin, connect, first):
    upstream = raw_origin()
    client, server = upgraded(inbound(upstream.address), upstream, connect)
    one, other = (client, server) if first == "client" else (server, client)
    one.send(b"last words")
    one.half_close()
    assert other.read_to_end() == b"last words"
    other.send(b"an answer all the same")
    other.half_close()
    assert one.read_to_end() == b"an answer all the same"


def test_a_refused_upgrade_stays_http(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes(target="/chat", fields=HANDSHAKE))
    server = upstream.accept()
    server.read_request()
    server.send(response_bytes(status=403, reason="Forbidden", body=b"no"))
    assert client.read_response().status == 403
    client.send(request_bytes(target="/next"))
    assert server.read_request().target == "/next"
    server.send(response_bytes(body=b"next"))
    assert client.read_response().body == b"next"


@pytest.mark.parametrize("fields", [
    ["Upgrade: TLS/1.2", "Connection: Upgrade"],
    ["Upgrade: TLS/1.0, HTTP/1.1", "Connection: Upgrade"],
    ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"],
    ["Upgrade: HTTP/2.0", "Connection: upgrade"],
    ["Upgrade: h2c", "Upgrade: TLS/1.3", "Connection: upgrade"],
    ["Upgrade: a protocol", "Connection: upgrade"],
    ["Upgrade: websocket"],                   # without Connection: upgrade it asks for nothing
], ids=["tls", "tls-list", "h2c", "http", "two-fields", "no-token", "no-connection"])
def test_other_upgrades_are_ignored_and_the_request_is_served(inbound, origin, connect, fields):
    upstream = origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    for _ in range(2):
        response = client.ask(fields=fields)
        assert response.status == 200 and response.body == b"hello"
    for request in upstream.requests:
        assert request.get("upgrade") is None
        assert request.get("http2-settings") is None
        assert request.get("connection") is None
    for span in sidecar.wait_spans(2):
        assert span["http.response.status_code"] == 200


def test_an_upgrade_with_a_body_is_served_as_http(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=r.body))
    client = connect(inbound(upstream.address).port)
    assert client.ask("POST", fields=["Upgrade: h2c", "Connection: Upgrade"],
                      body=b"body").body == b"body"
    assert client.get().status == 200


# What programs ask for: the request's fields and body, the Upgrade fields that the origin gets, and
# what it switches to.
ASKED = {
    "docker exec": (["Upgrade: tcp", "Connection: Upgrade", "Content-Type: application/json"],
                    b'{"Detach":false,"Tty":true}', ["tcp"], "tcp"),
    "tailscale": (["Upgrade: tailscale-control-protocol", "Connection: upgrade",
                   "X-Tailscale-Handshake: AAAA"], b"", ["tailscale-control-protocol"],
                  "tailscale-control-protocol"),
    "kubectl": (["Upgrade: SPDY/3.1", "Connection: Upgrade"], None, ["SPDY/3.1"], "SPDY/3.1"),
    "any": (["Upgrade: something-else/9", "Connection: upgrade"], None, ["something-else/9"],
            "something-else/9"),
    "several": (["Upgrade: foo/1, websocket", "Connection: upgrade"], None, ["foo/1, websocket"],
                "websocket"),
    "several fields": (["Upgrade: foo", "Upgrade: Bar/2", "Connection: upgrade"], None,
                       ["foo", "Bar/2"], "bar/2"),
    "ours left out": (["Upgrade: h2c, foo, TLS/1.2", "Upgrade: bar", "Connection: upgrade"], None,
                      ["foo, bar"], "foo"),
}


@pytest.mark.parametrize("name", ASKED)
def test_any_protocol_may_be_asked_for(inbound, raw_origin, connect, name):
    fields, body, passed, chosen = ASKED[name]
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes("GET" if body is None else "POST", "/exec", fields, body) + b"early")
    server = upstream.accept()
    request = server.read_request()
    assert request.all("upgrade") == passed and request.body == (body or b"")
    assert request.get("connection") == "upgrade"
    server.send(f"HTTP/1.1 101 UPGRADED\r\nUpgrade: {chosen}\r\nConnection: Upgrade\r\n\r\n")
    response = client.read_response()
    assert response.status == 101 and response.get("upgrade") == chosen
    server.send(b"\x00\x01raw")
    assert client.read(5) == b"\x00\x01raw"
    client.send(b"stdin")
    assert server.read(10) == b"earlystdin"
    client.close()
    server.expect_end()
    server.close()
    assert sidecar.wait_span()["http.response.status_code"] == 101


@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunked"])
def test_a_switch_that_comes_early_waits_for_the_end_of_the_request(inbound, raw_origin, connect,
                                                                   chunks):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    framing = "Transfer-Encoding: chunked" if chunks else "Content-Length: 10"
    client.send(request_bytes("POST", "/exec", ["Upgrade: tcp", "Connection: Upgrade", framing]))
    client.send(b"5\r\nfirst\r\n" if chunks else b"first")
    server = upstream.accept()
    server.read_head()
    server.send(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\nprompt")
    server.read_until(b"first\r\n" if chunks else b"first")
    assert client.quiet()
    client.send((b"4\r\nlast\r\n0\r\n\r\n" if chunks else b" last") + b"stdin")
    assert client.read_response().status == 101
    assert client.read(6) == b"prompt"
    assert server.read_until(b"stdin").endswith(b"0\r\n\r\nstdin" if chunks else b"laststdin")
    server.close()
    client.expect_end()


def test_a_switch_to_what_was_not_asked_for_is_not_believed(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes(fields=["Upgrade: foo, h2c", "Connection: upgrade"]))
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    assert client.read_response().status == 502
    assert sidecar.wait_span()["error.type"] == "protocol_error"


def test_http_1_0_is_not_upgraded(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.send(b"GET / HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    assert client.read_response().status == 200
    assert upstream.requests[0].get("upgrade") is None


def test_an_origin_that_switches_unasked_is_not_believed(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(SWITCH)
    response = client.read_response()
    assert response.status == 502
    assert sidecar.wait_span()["error.type"] == "protocol_error"


def test_an_upgrade_passes_through_two_sidecars(sidespan, inbound, raw_origin, connect):
    upstream = raw_origin()
    near = inbound(upstream.address)
    far_port = free_port()
    far = sidespan(f"""
        outbound {{ listen 127.0.0.1:{far_port}; route / {{ to 127.0.0.1:{near.port}; }} }}
        """, name="far.conf")
    far.port = far_port
    client, server = upgraded(far, upstream, connect)
    client.send(b"ping")
    assert server.read(4) == b"ping"
    server.send(b"pong")
    assert client.read(4) == b"pong"
    client.close()
    server.expect_end()
    server.close()
    [caller], [callee] = far.wait_spans(1), near.wait_spans(1)
    assert caller.trace_id == callee.trace_id and callee.parent == caller.span_id


def test_an_upgraded_connection_has_back_pressure(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = upgraded(sidecar, upstream, connect)
    before = sidecar.rss()
    flood = Flood(client, 100 * MIB)
    assert stalled(flood) < 50 * MIB
    bounded(sidecar, before)
    server.count(100 * MIB)
    flood.join()
    bounded(sidecar, before)
