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
    ["Upgrade: something-else/9", "Connection: upgrade"],
    ["Upgrade: websocket"],                   # without Connection: upgrade it asks for nothing
], ids=["tls", "tls-list", "h2c", "unknown", "no-connection"])
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
    flood.join(30)
    bounded(sidecar, before)
