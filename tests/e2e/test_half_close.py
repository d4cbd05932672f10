"""A side may end its half, answer before it was asked whole, or break off: each is told as it is."""
import contextlib
import os
import time

import pytest

from wire import Response, Wire, chunked, request_bytes, response_bytes, until


def asked(sidecar, upstream, connect, request=None):
    client = connect(sidecar.port)
    client.send(request or request_bytes())
    server = upstream.accept()
    server.read_request(body=False)
    return client, server


def test_a_client_that_ends_its_half_still_gets_its_response(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    client.half_close()
    server = upstream.accept()
    server.read_request()
    server.send(response_bytes(body=b"still here"))
    assert client.read_response().body == b"still here"
    client.expect_end()


def test_pipelined_requests_before_a_half_close_are_all_answered(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=r.target.encode()))
    client = connect(inbound(upstream.address).port)
    client.send(b"".join(request_bytes(target=f"/{i}") for i in range(5)))
    client.half_close()
    assert [client.read_response().body for _ in range(5)] == [b"/%d" % i for i in range(5)]
    client.expect_end()


def test_a_body_that_ends_too_soon_is_not_passed_on_as_whole(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = asked(sidecar, upstream, connect,
                           b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    client.half_close()
    seen = server.expect_broken()
    assert len(seen) < 10
    assert sidecar.wait_span()["error.type"] == "client_closed"


def test_a_chunked_body_that_ends_too_soon_is_not_passed_on_as_whole(inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = asked(inbound(upstream.address), upstream, connect,
                           b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"3\r\nabc\r\n")
    client.half_close()
    assert b"0\r\n\r\n" not in server.expect_broken()


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_response_with_a_length_that_is_cut_short_is_not_presented_as_complete(
        inbound, raw_origin, connect, end):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = asked(sidecar, upstream, connect)
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    assert Response(client.read_head()).get("content-length") == "10"
    assert client.read(3) == b"abc"
    getattr(server, end)()
    assert client.expect_broken() == b""
    span = sidecar.wait_span()
    assert span["error.type"] in ("upstream_closed_early", "connection_reset")
    assert span.status == 2
    assert span["http.response.status_code"] == 200


def test_a_chunked_response_that_is_cut_short_has_no_last_chunk(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = asked(sidecar, upstream, connect)
    server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    client.read_head()
    assert client.read_chunk() == b"abc"
    server.close()
    assert client.expect_broken() == b""
    assert sidecar.wait_span()["error.type"] == "upstream_closed_early"


def test_a_1_0_client_can_tell_a_cut_response_from_a_whole_one(inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = asked(inbound(upstream.address), upstream, connect,
                           b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    client.read_head()
    assert client.read(3) == b"abc"
    server.close()
    with pytest.raises(ConnectionError):      # the end of a 1.0 body is FIN: only RST says it is cut
        client.read_to_end()


def test_an_early_response_reaches_the_client_while_it_is_sending(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = asked(sidecar, upstream, connect,
                           b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
    server.read(3)
    server.send(response_bytes(status=413, reason="Too Large", fields=["Connection: close"],
                               body=b"enough"))
    response = client.read_response()
    assert response.status == 413 and response.body == b"enough"
    server.close()
    assert sidecar.wait_span()["http.response.status_code"] == 413


def test_an_early_response_of_an_origin_that_reads_on_loses_nothing(inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = asked(inbound(upstream.address), upstream, connect,
                           b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    server.send(response_bytes(body=b"early"))
    response = client.read_response()
    assert response.body == b"early"
    if response.get("connection") == "close":  # allowed: it ends instead of reading the rest
        return
    client.send(b"def")
    assert server.read(6) == b"abcdef"
    client.send(request_bytes(target="/next"))
    assert server.read_request().target == "/next"


def test_an_early_response_survives_a_client_that_sends_much_more(inbound, raw_origin, connect):
    """The origin answers and closes; the client must see the answer, not a reset."""
    upstream = raw_origin()
    client, server = asked(inbound(upstream.address), upstream, connect,
                           b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
    server.send(response_bytes(status=401, reason="Unauthorized", fields=["Connection: close"],
                               body=b"who are you?"))
    server.half_close()
    sent = 0
    block = b"x" * 65536
    client.sock.settimeout(0.5)
    try:
        while sent < 10_000_000:              # as a simple client does, before it looks
            sent += client.sock.send(block[:10_000_000 - sent])
    except (TimeoutError, OSError):
        pass
    client.sock.settimeout(client.deadline)
    assert client.read_response().body == b"who are you?"


def test_an_origin_that_closes_without_a_word_is_a_502(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = asked(sidecar, upstream, connect)
    server.close()
    response = client.read_response()
    assert response.status == 502
    assert response.get("sidespan-reason") == "upstream_closed_early"
    span = sidecar.wait_span()
    assert span["error.type"] == "upstream_closed_early"
    assert span["http.response.status_code"] == 502
    client.send(request_bytes())              # the client's connection goes on
    upstream.accept().read_request()


def test_an_origin_that_resets_is_a_502(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = asked(sidecar, upstream, connect)
    server.reset()
    response = client.read_response()
    assert response.status == 502
    assert response.get("sidespan-reason") == "connection_reset"
    assert sidecar.wait_span()["error.type"] == "connection_reset"


def test_half_a_response_head_is_a_502(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = asked(sidecar, upstream, connect)
    server.send("HTTP/1.1 200 OK\r\nContent-Le")
    server.close()
    assert client.read_response().status == 502
    assert sidecar.wait_span()["error.type"] == "upstream_closed_early"


@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
], ids=["te+cl", "two-cl", "plus-cl", "fold", "space-colon", "bare-lf", "status", "version", "ssh",
        "nul", "chunk-size"])
def test_an_invalid_response_is_a_502_or_a_cut_and_never_passed_on(
        inbound, raw_origin, connect, answer):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = asked(sidecar, upstream, connect)
    server.send(answer)
    server.half_close()
    if b"zz" in answer:                       # the head was fine: only a cut can tell
        assert b"0\r\n\r\n" not in client.expect_broken()
    else:
        response = client.read_response()
        assert response.status == 502
        assert response.get("sidespan-reason") == "protocol_error"
    span = sidecar.wait_span()
    assert span["error.type"] == "protocol_error" and span.status == 2
    server.expect_broken()


@pytest.mark.parametrize("fields", [
    [f"X-{i}: {'y' * 8000}" for i in range(12)], [f"X-{i}: y" for i in range(300)],
], ids=["bytes", "fields"])
def test_a_response_head_over_the_limits_is_a_502(inbound, raw_origin, connect, fields):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest="limits { response-header-bytes 64k; response-headers 100; }")
    client, server = asked(sidecar, upstream, connect)
    with contextlib.suppress(ConnectionError):    # it takes only so much of it
        server.send(response_bytes(fields=fields))
    assert client.read_response().status == 502
    assert sidecar.wait_span()["error.type"] == "response_limit"


def test_a_response_to_nothing_closes_the_upstream_connection(inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = asked(inbound(upstream.address), upstream, connect)
    server.send(response_bytes(body=b"ok"))
    assert client.read_response().body == b"ok"
    server.send(response_bytes(body=b"unasked"))
    server.expect_broken()
    client.send(request_bytes())
    fresh = upstream.accept()
    fresh.read_request()
    fresh.send(response_bytes(body=b"asked"))
    assert client.read_response().body == b"asked"


def test_an_early_chunked_response_before_the_end_of_a_chunked_request(
        inbound, raw_origin, connect):
    upstream = raw_origin()
    client, server = asked(inbound(upstream.address), upstream, connect,
                           b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"3\r\nabc\r\n")
    assert server.read_chunk() == b"abc"
    server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nuvw\r\n")
    client.read_head()
    assert client.read_chunk() == b"uvw"
    client.send(chunked(b"def"))
    assert server.read_chunk() == b"def" and server.read_chunk() == b""
    server.read_trailers()
    server.send(chunked(b"xyz"))
    assert client.read_chunk() == b"xyz" and client.read_chunk() == b""


# -- a client that hangs up

HUNG_UP = "timeouts { half-closed 300ms; }"


def descriptors(sidecar):
    return len(os.listdir(f"/proc/{sidecar.process.pid}/fd"))


def gone(sidecar, n, reason="half_closed_timeout", by="sidecar"):
    """Each of the n exchanges has ended for that, and nothing is under way."""
    for span in sidecar.wait_spans(n):
        assert (span["error.type"], span["sidespan.ended_by"]) == (reason, by), span
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 0, "their end")


def test_clients_that_leave_a_silent_stream_leave_nothing_behind(inbound, raw_origin, closing):
    """As curl does with -m: a FIN, which may be a half-close, and then nothing."""
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest=HUNG_UP)
    before, servers = descriptors(sidecar), []
    for _ in range(100):
        client = closing(Wire.connect(sidecar.port))
        client.send(request_bytes())
        servers.append(upstream.accept())
        servers[-1].read_request()
        servers[-1].send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        client.read_head()
        client.close()
    for server in servers:
        server.expect_end()                   # what a handler is cancelled by
    gone(sidecar, 100)
    until(lambda: descriptors(sidecar) <= before, "their descriptors")


@pytest.mark.parametrize("what", ["delay", "queue", "connecting", "answer"])
def test_a_client_that_leaves_before_its_answer_is_not_waited_for(inbound, raw_origin, connect, what):
    """Wherever its request waits."""
    upstream = raw_origin(backlog=1 if what == "connecting" else 128)
    if what == "connecting":                  # the queue of its listener is full: nobody answers
        fill = [Wire.connect(upstream.port) for _ in range(2)]
    sidecar = inbound("app", extra="fault delay 1h;" if what == "delay" else "", rest=HUNG_UP + f"""
        cluster app {{ endpoint {upstream.address}; connect-timeout 1h; {"pool max 1;" if what == "queue" else ""} }}
        """)
    if what == "queue":
        busy = connect(sidecar.port)
        busy.send(request_bytes(target="/busy"))
        server = upstream.accept()
        server.read_request()
    client = connect(sidecar.port)
    client.send(request_bytes(target="/left"))
    if what == "answer":
        upstream.accept().read_request()
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 1 + (what == "queue"), "it")
    client.close()
    span = sidecar.wait_span(lambda s: s["url.path"] == "/left")
    assert span["error.type"] == "half_closed_timeout"
    if what == "queue":
        server.send(response_bytes())
        assert busy.read_response().status == 200
        busy.send(request_bytes(target="/next"))
        assert server.read_request().target == "/next"  # and not the other's
    if what == "connecting":
        for wire in fill:
            wire.close()


ASKED = {"alone": b"", "with another request": request_bytes(target="/next"), "with a body": b"def"}


@pytest.mark.parametrize("also", ASKED)
def test_a_half_close_amid_an_injected_delay_has_its_time_and_no_more(inbound, connect, raw_origin, also):
    """It may still read, and is served if the delay is over in time; whatever stands before its FIN."""
    upstream = raw_origin()
    sidecar = inbound(upstream.address, extra="fault delay 1h;", rest=HUNG_UP)
    client = connect(sidecar.port)
    client.send(b"POST /left HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc" if also == "with a body"
                else request_bytes(target="/left"))
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 1, "it")
    client.send(ASKED[also])
    client.half_close()
    response = client.read_response()
    assert response.status == 408 and response.get("connection") == "close"
    client.expect_end()
    gone(sidecar, 1)
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 0, "its end")
    assert upstream.untouched()


@pytest.mark.parametrize("also", ASKED)
def test_who_half_closes_amid_a_delay_is_served_after_it(inbound, connect, origin, also):
    upstream = origin(lambda r: response_bytes(body=r.target.encode()))
    sidecar = inbound(upstream.address, extra="fault delay 500ms;")
    client = connect(sidecar.port)
    client.send(b"POST /asked HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc" if also == "with a body"
                else request_bytes(target="/asked"))
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 1, "it")
    client.send(ASKED[also])
    client.half_close()
    assert client.read_response().body == b"/asked"
    if also == "with another request":
        assert client.read_response().body == b"/next"
    client.expect_end()


def test_a_client_that_leaves_amid_a_body_that_is_not_taken(inbound, raw_origin, connect):
    """The sidecar does not read it, since the origin does not: its end is noticed all the same."""
    upstream = raw_origin(receive_buffer=4096)
    sidecar = inbound(upstream.address, rest=HUNG_UP)
    client = connect(sidecar.port)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    server = upstream.accept()
    client.sock.settimeout(0.5)
    try:
        while True:
            client.sock.send(b"x" * 65536)
    except TimeoutError:
        pass
    client.reset()                            # a FIN would stand behind what is not taken
    gone(sidecar, 1, "client_closed", "client")
    server.expect_broken()


def test_a_half_closed_client_is_answered_as_long_as_it_takes_bytes(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest="timeouts { half-closed 2s; }")
    client, server = asked(sidecar, upstream, connect)
    client.half_close()
    server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.read_head()
    begun = time.monotonic()
    while time.monotonic() < begun + 4:
        server.send(b"1\r\na\r\n")
        assert client.read_chunk() == b"a"
        time.sleep(0.1)
    server.send(b"0\r\n\r\n")
    assert client.read_chunk() == b""


def test_without_half_closes_a_clients_end_is_its_end(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest="timeouts { half-closed 0s; }")
    client, server = asked(sidecar, upstream, connect)
    client.half_close()
    server.expect_end()
    client.expect_broken()                    # without an answer
    gone(sidecar, 1, "client_closed", "client")


def test_a_call_of_a_half_closed_client_is_answered_with_a_status(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest=HUNG_UP)
    client, server = asked(sidecar, upstream, connect, request_bytes("POST", fields=[
        "Content-Type: application/grpc", "TE: trailers", "Content-Length: 0"]))
    client.half_close()
    response = client.read_response()
    assert response.status == 200 and response.get("grpc-status") == "4"
    assert response.get("sidespan-reason") == "half_closed_timeout"
    gone(sidecar, 1)


def test_clients_that_leave_are_told_of_at_debug_alone(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest=HUNG_UP)
    client, server = asked(sidecar, upstream, connect)
    client.close()
    gone(sidecar, 1)
    assert sidecar.metric(
        'sidespan_failures_total{direction="inbound",reason="half_closed_timeout",ended_by="sidecar"}') == 1
    assert "half_closed_timeout" not in sidecar.log()


def half_closed(sidecar, upstream, connect, first):
    """A tunnel of which that side has ended; the client and the server."""
    client = connect(sidecar.port)
    client.send(b"\0opaque")
    server = upstream.accept()
    server.read(7)
    one, other = (client, server) if first == "client" else (server, client)
    one.half_close()
    other.expect_end()
    return client, server


@pytest.mark.parametrize("first", ["client", "server"])
def test_a_tunnel_may_be_half_closed_for_long(inbound, raw_origin, connect, first):
    """Its FIN is passed on, so the other side knows: what it does then it may take its time for."""
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest="timeouts { half-closed 100ms; tunnel-half-closed 30s; }", carries="auto")
    client, server = half_closed(sidecar, upstream, connect, first)
    one, other = (client, server) if first == "client" else (server, client)
    time.sleep(0.5)
    other.send(b"late")
    other.close()
    assert one.read_to_end() == b"late"


@pytest.mark.parametrize("first", ["client", "server"])
def test_a_tunnel_whose_other_side_never_ends_is_ended(inbound, raw_origin, connect, first):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest="timeouts { tunnel-half-closed 300ms; }", carries="auto")
    client, server = half_closed(sidecar, upstream, connect, first)
    one, other = (client, server) if first == "client" else (server, client)
    with pytest.raises(ConnectionResetError): # whoever waits for more must not take it for whole
        one.read_to_end()
    span = sidecar.wait_span()
    with pytest.raises(BrokenPipeError):      # which is how a reset behind a FIN shows
        other.send(b"more")
    assert span["error.type"] == "idle_timeout" and span["sidespan.ended_by"] == "sidecar"
    assert span["sidespan.rule"] == "tunnel-half-closed"
    assert sidecar.wait_log("timeouts { tunnel-half-closed }")
    assert sidecar.metric('sidespan_tcp_connections_open{direction="inbound"}') == 0
