"""An upstream that cannot be had: the caller is told why, and so is the trace."""
import socket

import pytest

from wire import request_bytes, response_bytes


@pytest.fixture
def silent(closing):
    """An address that never completes a connection: its queue is full."""
    listener = closing(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    for _ in range(4):
        filler = closing(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
    return f"127.0.0.1:{port}"


def test_a_refused_connection_is_an_answer_with_its_reason(inbound, refusing, connect):
    sidecar = inbound(refusing)
    client = connect(sidecar.port)
    response = client.get()
    assert response.status in (502, 503)
    assert response.get("sidespan-reason") == "connection_refused"
    assert client.get().status == response.status  # the client's connection goes on
    for span in sidecar.wait_spans(2):
        assert span["error.type"] == "connection_refused"
        assert span.status == 2 and span["http.response.status_code"] == response.status
    assert sidecar.metric('sidespan_upstream_connects_total{result="failed"}') >= 2


def test_a_client_span_of_a_refused_connection_says_whom_it_wanted(outbound, refusing, connect):
    sidecar = outbound(f"route /api {{ to {refusing}; }}")
    connect(sidecar.port).get("/api/x", host="users.test:80")
    span = sidecar.wait_span()
    assert span.name == "GET /api"
    assert span["server.address"] == "users.test"
    assert span["error.type"] == "connection_refused"
    assert span.status == 2


def test_the_body_of_a_request_that_cannot_be_sent_is_not_waited_for(inbound, refusing, connect):
    client = connect(inbound(refusing).port)
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
    assert client.read_response().status in (502, 503)


def test_a_connection_that_is_never_made_ends_with_the_connect_timeout(
        sidespan, port, silent, connect):
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {silent}; connect-timeout 100ms; }}
        """)
    response = connect(port).get()
    assert response.status in (502, 503, 504)
    assert response.get("sidespan-reason") == "connect_timeout"
    span = sidecar.wait_span()
    assert span["error.type"] == "connect_timeout"
    assert span.times()["connect"] == pytest.approx(span.seconds, abs=0.05)


def test_another_endpoint_is_tried_when_one_refuses_before_a_byte_was_sent(
        sidespan, port, refusing, origin, connect):
    """Safe for any method: no byte of the request has left."""
    upstream = origin()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {refusing}; endpoint {upstream.address}; }}
        """)
    client = connect(port)
    statuses = [client.ask("POST", body=b"x").status for _ in range(6)]
    # Not promised yet for every request; what must hold: the good endpoint serves its share.
    assert statuses.count(200) >= 3
    assert set(statuses) <= {200, 502, 503}


def test_a_name_that_cannot_be_resolved_is_a_503_with_its_reason(sidespan, port, connect):
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint no-such-host.invalid:80; }}
        """, ready=False).spawn()
    sidecar.wait_log("ready")
    response = connect(port).get()
    assert response.status in (502, 503)
    assert response.get("sidespan-reason") in ("dns_error", "no_endpoint")
    assert sidecar.wait_span()["error.type"] == response.get("sidespan-reason")


def test_the_route_timeout_is_a_504(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, extra="timeout 500ms;")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()                     # and never answers
    response = client.read_response()
    assert response.status == 504
    assert response.get("sidespan-reason") == "timeout"
    server.expect_broken()
    span = sidecar.wait_span()
    assert span["error.type"] == "timeout" and span.status == 2
    assert 0.5 <= span.seconds < 5
    times = span.times()
    assert times["first_byte"] == max(times.values())
    assert sum(times.values()) == pytest.approx(span.seconds, abs=0.05)
    assert sidecar.metric('sidespan_timeouts_total{timeout="route"}') == 1


def test_a_timeout_amid_the_response_cuts_it(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, extra="timeout 600ms;")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    client.read_head()
    assert client.read_chunk() == b"abc"
    assert client.expect_broken() == b""
    span = sidecar.wait_span()
    assert span["error.type"] == "timeout" and span["http.response.status_code"] == 200


def test_a_response_in_time_is_not_touched_by_the_timeout(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="timeout 5s;")
    client = connect(sidecar.port)
    for _ in range(3):
        assert client.get().status == 200


def test_the_timeout_of_a_direction_holds_for_routes_that_say_none(
        sidespan, port, raw_origin, connect):
    upstream = raw_origin()
    sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port};
            timeout 500ms;
            route /own {{ to {upstream.address}; timeout none; }}
            route / {{ to {upstream.address}; }}
        }}
        """)
    client = connect(port)
    client.send(request_bytes())
    upstream.accept().read_request()
    assert client.read_response().status == 504
    client.send(request_bytes(target="/own"))
    server = upstream.accept()
    server.read_request()
    assert client.quiet(0.7)
    server.send(response_bytes(body=b"late but fine"))
    assert client.read_response().body == b"late but fine"


def test_an_exchange_in_which_nothing_moves_ends_with_the_idle_timeout(
        inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, extra="idle-timeout 500ms;")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    response = client.read_response()
    assert response.status == 504
    assert sidecar.wait_span()["error.type"] == "idle_timeout"


def test_bytes_that_trickle_keep_an_exchange_alive(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address, extra="idle-timeout 1s;").port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
    client.read_head()
    for i in range(8):                        # 1,200 ms in all
        assert client.quiet(0.15)
        server.send(b"%d" % i)
        assert client.read(1) == b"%d" % i


def test_no_route_is_a_404_with_its_reason(outbound, origin, connect):
    upstream = origin()
    sidecar = outbound(f"host a.test {{ route /api {{ to {upstream.address}; }} }}")
    client = connect(sidecar.port)
    for target, host in (("/other", "a.test"), ("/api", "b.test")):
        response = client.get(target, host=host)
        assert response.status == 404
        assert response.get("sidespan-reason") == "no_route"
    assert client.get("/api", host="a.test").status == 200
    for span in sidecar.wait_spans(2, lambda s: s["http.response.status_code"] == 404):
        assert span["error.type"] == "no_route"
        assert span.name == "GET"             # never the raw path


def test_the_reason_of_an_origin_is_not_taken_for_the_sidecars_own(inbound, origin, connect):
    sidecar = inbound(origin(lambda r: response_bytes(status=503, reason="No")).address)
    assert connect(sidecar.port).get().get("sidespan-reason") is None
    assert sidecar.wait_span()["error.type"] == "503"
