"""A kept connection that the origin closes just as it is reused costs no caller a 502."""
import pytest

from wire import request_bytes, response_bytes


def warmed(sidecar, upstream, connect):
    """A client, and an upstream connection that is kept idle."""
    client = connect(sidecar.port)
    client.send(request_bytes(target="/warm"))
    kept = upstream.accept()
    kept.read_request()
    kept.send(response_bytes(body=b"warm"))
    assert client.read_response().body == b"warm"
    return client, kept


def answer(upstream, body):
    fresh = upstream.accept()
    request = fresh.read_request()
    fresh.send(response_bytes(body=body))
    return request


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_connection_that_the_origin_closed_while_idle_is_not_used(
        inbound, raw_origin, connect, method):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, kept = warmed(sidecar, upstream, connect)
    kept.close()
    sidecar.wait_metric("sidespan_upstream_connections_open", 0)
    client.send(request_bytes(method, "/again", body=b"data" if method != "GET" else None))
    request = answer(upstream, b"fresh")
    assert (request.method, request.target) == (method, "/again")
    assert client.read_response().body == b"fresh"


def close_on_reuse(upstream, kept, how):
    """The origin closes in answer to the request itself: it had not seen it in time."""
    request = kept.read_request()
    if how == "fin":
        kept.close()
    else:
        kept.reset()
    return request


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_an_idempotent_request_on_a_stale_connection_is_sent_again(
        inbound, raw_origin, connect, method, how):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, kept = warmed(sidecar, upstream, connect)
    body = b"data" if method == "PUT" else None
    client.send(request_bytes(method, "/again", body=body))
    close_on_reuse(upstream, kept, how)
    request = answer(upstream, b"" if method == "HEAD" else b"fresh")
    assert (request.method, request.target, request.body) == (method, "/again", body or b"")
    assert client.read_response(method).status == 200
    assert sidecar.metric("sidespan_stale_retries_total") == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_crosses_the_close_on_the_wire_is_sent_again(
        inbound, raw_origin, connect, method):
    """The origin closed without reading a byte: nobody can have acted on the request."""
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    for _ in range(20):
        client, kept = warmed(sidecar, upstream, connect)
        kept.close()                          # FIN and the next request race each other
        client.send(request_bytes(method, "/again", body=b"data" if method == "POST" else None))
        request = answer(upstream, b"fresh")
        assert request.method == method
        response = client.read_response()
        assert (response.status, response.body) == (200, b"fresh")
        client.send(request_bytes("GET", "/end", fields=["Connection: close"]))
        # The kept one of this round must not be there in the next.
        upstream._open[-1].read_request()
        upstream._open[-1].send(response_bytes(fields=["Connection: close"]))
        client.read_response()


def test_a_post_that_the_origin_has_read_is_not_sent_twice(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, kept = warmed(sidecar, upstream, connect)
    client.send(request_bytes("POST", "/pay", body=b"once"))
    assert kept.read_request().body == b"once"
    kept.close()                              # with FIN: it read all, and may have acted on it
    response = client.read_response()
    assert response.status == 502
    assert response.get("sidespan-reason") == "upstream_closed_early"
    assert upstream.untouched()


def test_a_request_on_a_fresh_connection_is_not_sent_twice(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    only = upstream.accept()
    only.read_request()
    only.close()
    assert client.read_response().status == 502
    assert upstream.untouched()


def test_it_is_sent_again_once_and_on_a_fresh_connection(inbound, raw_origin, connect):
    """Two kept connections, both stale: the second try is not wasted on the other one."""
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    one, two = connect(sidecar.port), connect(sidecar.port)
    kept = []
    for client in (one, two):
        client.send(request_bytes())
        kept.append(upstream.accept())
        kept[-1].read_request()
    for wire, client in zip(kept, (one, two)):
        wire.send(response_bytes())
        client.read_response()
    one.send(request_bytes(target="/again"))
    kept[1].read_request()                    # used last, taken first
    kept[1].close()
    fresh = upstream.accept()
    assert fresh.read_request().target == "/again"
    fresh.close()                             # and that is the end of it
    assert one.read_response().status == 502
    assert sidecar.metric("sidespan_stale_retries_total") == 1


def test_once_a_byte_of_the_response_came_nothing_is_sent_again(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, kept = warmed(sidecar, upstream, connect)
    client.send(request_bytes())
    kept.read_request()
    kept.send(b"HTTP/1.1 20")
    kept.close()
    assert client.read_response().status == 502
    assert upstream.untouched()


def test_a_large_body_that_was_streamed_is_not_sent_again(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, kept = warmed(sidecar, upstream, connect)
    client.send("PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
    kept.read_request(body=False)
    client.send(b"x" * 1_000_000)
    kept.read(1_000_000)
    kept.close()
    # Whatever it answers, it is an error and not a half-sent body taken for a whole one.
    try:
        client.send(b"x" * 4_000_000)
    except OSError:
        pass
    try:
        assert client.read_response().status == 502
    except (EOFError, ConnectionError):
        pass
    assert upstream.untouched()


def test_each_try_has_its_span_and_its_own_id(outbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = outbound(f"route / {{ to {upstream.address}; }}")
    client, kept = warmed(sidecar, upstream, connect)
    client.send(request_bytes(target="/again"))
    first = kept.read_request().get("traceparent")
    kept.close()
    second = answer(upstream, b"fresh").get("traceparent")
    assert client.read_response().body == b"fresh"
    tries = sidecar.wait_spans(2, lambda s: s["url.full"].endswith("/again"))
    assert [t.span_id for t in tries] == [first.split("-")[2], second.split("-")[2]]
    assert first.split("-")[1] == second.split("-")[1]
    assert tries[0]["error.type"] in ("upstream_closed_early", "connection_reset")
    assert "http.request.resend_count" not in tries[0]
    assert tries[1]["http.request.resend_count"] == 1
    assert tries[1]["http.response.status_code"] == 200
    assert tries[0].parent == tries[1].parent


def test_the_idle_time_an_origin_announces_is_kept_to(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    kept = upstream.accept()
    kept.read_request()
    kept.send(response_bytes(fields=["Keep-Alive: timeout=1"]))
    client.read_response()
    kept.expect_end()                         # given up before the origin would
