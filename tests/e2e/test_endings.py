"""However an exchange or a tunnel ends, four voices say the same of it: its span, its log line, its
counter, and the answer where there is one. None says that a peer did what a rule of the sidecar did."""
import re
import socket

import pytest

from h2wire import Settings
from peers_h2 import H2RawOrigin
from wire import request_bytes, until


class Ending:
    """What was told of the one exchange of a sidecar."""

    def __init__(self, sidecar, response=None):
        self.sidecar = sidecar
        self.span = sidecar.wait_span()
        self.response = response

    def counted(self):
        """{(direction, reason, ended_by): n}, of those that are not 0."""
        found = {}
        for key, value in self.sidecar.metrics().items():
            labels = re.fullmatch(r'sidespan_failures_total\{direction="(\w+)",reason="(\w+)",ended_by="(\w+)"\}', key)
            if labels and value:
                found[labels.groups()] = value
        return found

    def check(self, reason, by, rule=None, status=None, logged=True, direction="inbound"):
        span = self.span
        assert span["error.type"] == reason or (by == "client" and "error.type" not in span)
        assert (span["sidespan.ended_by"], span["sidespan.rule"]) == (by, rule)
        assert self.counted() == {(direction, reason, by): 1}
        if logged:
            line = self.sidecar.wait_log(rf"{reason}, ended by the {by}.*").group()
            assert span.trace_id in line
            if rule:
                assert f", rule {rule}: " in line and "; " in line      # and the cure
        if status:
            assert self.response.status == span["http.response.status_code"] == status
            assert self.response.get("sidespan-reason") == reason
            assert self.response.get("sidespan-ended-by") == by
            body = self.response.body.decode()
            assert body.startswith("sidespan: ") or not rule
            if rule:
                assert f" ({rule}): " in body


def test_a_connection_that_the_upstream_refuses(inbound, refusing, connect):
    sidecar = inbound(refusing)
    Ending(sidecar, connect(sidecar.port).get()).check("connection_refused", "upstream", status=502)


def test_the_routes_timeout(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, extra="timeout 150ms;")
    Ending(sidecar, connect(sidecar.port).get()).check("timeout", "sidecar", "timeout", status=504)


def test_no_place_in_the_pool(sidespan, port, raw_origin, connect):
    upstream = raw_origin()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; pool max 1 queue 100ms; }}
        """)
    first = connect(port)
    first.send(request_bytes())
    upstream.accept().read_request()
    response = connect(port).get()
    Ending(sidecar, response).check("pool_queue_timeout", "sidecar", "pool-queue", status=503)


def test_no_route(sidespan, port, connect):
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route /a {{ respond 200; }} }}
        """)
    Ending(sidecar, connect(port).get("/b")).check("no_route", "sidecar", "route", status=404)


def test_a_transparent_listener_that_is_called_by_its_own_address(sidespan, port, connect):
    """No rule of the kernel redirected the connection: another route alone would not be the cure."""
    sidecar = sidespan(f"inbound {{ listen 127.0.0.1:{port} transparent; }}")
    response = connect(port).get("/b")
    assert b"call the service's own address" in response.body
    Ending(sidecar, response).check("no_route", "sidecar", "route", status=404)


def test_an_upstream_that_closes_before_it_answered(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes("POST", fields=["Content-Length: 0"]))
    server = upstream.accept()
    server.read_request()
    server.close()
    Ending(sidecar, client.read_response()).check("upstream_closed_early", "upstream", status=502)


def test_a_client_that_goes_away(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes())
    upstream.accept().read_request()
    client.reset()
    Ending(sidecar).check("client_closed", "client", logged=False)


def test_what_is_answered_by_the_sidecar_was_ended_by_it(sidespan, port, connect):
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ respond 403 "no\\n"; }} }}
        """)
    response = connect(port).get()
    span = sidecar.wait_span()
    assert response.status == 403 and response.get("sidespan-reason") is None
    assert span["sidespan.ended_by"] == "sidecar" and "error.type" not in span
    assert Ending(sidecar).counted() == {}


def test_a_refused_request(inbound, origin, connect):
    sidecar = inbound(origin().address)
    client = connect(sidecar.port)
    client.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
    response = client.read_response()
    span = sidecar.wait_span()
    rule = response.get("sidespan-reason")
    assert response.get("sidespan-ended-by") == span["sidespan.ended_by"] == "sidecar"
    assert span["error.type"] == "bad_request"
    assert span["sidespan.rule"] == span["sidespan.refusal"] == rule
    assert Ending(sidecar).counted() == {("inbound", "bad_request", "sidecar"): 1}
    assert sidecar.metric(f'sidespan_refusals_total{{rule="{rule}"}}') == 1
    assert span.trace_id in sidecar.wait_log(f".*rule {rule}: .*").group()


def test_an_injected_fault(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="fault abort 503;")
    response = connect(sidecar.port).get()
    span = sidecar.wait_span()
    assert response.get("sidespan-reason") == span["error.type"] == "fault_injected"
    assert response.get("sidespan-ended-by") == span["sidespan.ended_by"] == "sidecar"
    assert span["sidespan.rule"] == "fault"
    assert Ending(sidecar).counted() == {("inbound", "fault_injected", "sidecar"): 1}


def test_an_upstream_that_does_not_speak_http_2(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound("app", rest=f"cluster app {{ endpoint {upstream.address}; protocol h2; }}")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_until(b"SM\r\n\r\n")
    server.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    ending = Ending(sidecar, client.read_response())
    ending.check("protocol_error", "sidecar", "upstream-not-http2", status=502)
    assert b"say protocol h1" in ending.response.body


@pytest.mark.parametrize("end", ["close", "reset"])
def test_an_upstream_that_hangs_up_on_the_preface_of_http_2(inbound, raw_origin, connect, end):
    upstream = raw_origin()
    sidecar = inbound("app", rest=f"cluster app {{ endpoint {upstream.address}; protocol h2; }}")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_until(b"SM\r\n\r\n")
    getattr(server, end)()
    ending = Ending(sidecar, client.read_response())
    ending.check("protocol_error", "sidecar", "upstream-not-http2", status=502)
    assert b"hung up on the preface of HTTP/2" in ending.response.body
    assert b"say protocol h1, or auto," in ending.response.body
    assert sidecar.wait_log(f"{upstream.address} hung up on the preface of HTTP/2: say protocol h1")


def test_a_call_of_grpc_to_who_hangs_up_on_the_preface_may_be_tried_again(inbound, raw_origin, connect):
    """It may be a server that is starting: INTERNAL would be final. The cure is told all the same."""
    upstream = raw_origin()
    sidecar = inbound("app", rest=f"cluster app {{ endpoint {upstream.address}; protocol h2; }}")
    client = connect(sidecar.port)
    client.send(request_bytes(method="POST", fields=["content-type: application/grpc", "te: trailers"], body=b""))
    server = upstream.accept()
    server.read_until(b"SM\r\n\r\n")
    server.close()
    response = client.read_response()
    assert response.get("grpc-status") == "14" and "protocol h1, or auto" in response.get("grpc-message")
    assert sidecar.wait_span()["error.type"] == "upstream_closed_early"


def test_an_upstream_of_http_2_that_only_restarts_is_not_told_to_speak_something_else(inbound, connect, closing):
    upstream = closing(H2RawOrigin())
    sidecar = inbound("app", rest=f"cluster app {{ endpoint {upstream.address}; protocol h2; }}")
    client = connect(sidecar.port)
    client.send(request_bytes())
    upstream.take().answer(204)
    assert client.read_response().status == 204
    upstream.wires[0].close()
    until(lambda: sidecar.metric("sidespan_upstream_connections_open") == 0, "its end")
    client.send(request_bytes(method="POST", body=b"x"))
    again, _ = upstream.sock.accept()
    again.recv(24, socket.MSG_WAITALL)
    again.shutdown(socket.SHUT_WR)
    assert client.read_response().get("sidespan-reason") == "upstream_closed_early"
    again.close()


def test_an_upstream_of_http_2_that_offers_no_websocket(inbound, connect, closing):
    upstream = closing(H2RawOrigin(settings={Settings.ENABLE_CONNECT_PROTOCOL: 0}))
    sidecar = inbound("app", rest=f"cluster app {{ endpoint {upstream.address}; protocol h2; }}")
    client = connect(sidecar.port)
    client.send(request_bytes(fields=["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]))
    upstream.accept()
    upstream.untouched(0.2)
    Ending(sidecar, client.read_response()).check("protocol_error", "sidecar", "upgrade-over-http2", status=502)
