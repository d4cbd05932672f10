"""SIGTERM: first not ready, then no new connections, then what is under way, then exit 0."""
import signal
import threading
import time

import pytest

from otlp_receiver import Answer
from process import free_port
from wire import DEADLINE, Wire, request_bytes, response_bytes, until


def drained(inbound, address, delay="0s", drain="5s", flush="1s", trace="", carries=""):
    return inbound(address, rest=f"""
        timeouts {{ drain-delay {delay}; drain {drain}; flush {flush}; }} {trace}
        """, carries=carries)


def test_an_idle_sidecar_ends_at_once(inbound, origin, connect):
    sidecar = drained(inbound, origin().address, drain="1h")
    client = connect(sidecar.port)
    client.get()
    sidecar.signal(signal.SIGTERM)
    client.expect_end()                       # idle connections are closed
    assert sidecar.wait_exit() == 0


def test_who_was_not_told_in_time_may_ask_once_more(inbound, raw_origin, connect):
    """The head of the response went out before the drain began, without Connection: close."""
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address, delay="5s")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
    assert client.read_response(body=False).status == 200
    sidecar.signal(signal.SIGTERM)
    until(lambda: sidecar.admin("/readyz").status == 503, "readiness to go")
    server.send(b"lf")
    assert client.read(4) == b"half"
    client.send(request_bytes("POST", body=b"not lost"))
    assert server.read_request().body == b"not lost"
    server.send(response_bytes())
    assert client.read_response().get("connection").lower() == "close"
    client.expect_end()
    assert sidecar.wait_exit() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_ends_well(inbound, raw_origin, connect, number):
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    sidecar.signal(number)
    sidecar.wait_log("not listening any more")
    server.send(response_bytes(body=b"in the end"))
    response = client.read_response()
    assert response.body == b"in the end"
    assert response.get("connection").lower() == "close"
    client.expect_end()
    assert sidecar.wait_exit() == 0


def test_readiness_goes_first_and_requests_are_served_meanwhile(inbound, origin, connect):
    sidecar = drained(inbound, origin().address, delay="2s")
    sidecar.signal(signal.SIGTERM)
    until(lambda: sidecar.admin("/readyz").status == 503, "readiness to go")
    answer = sidecar.admin("/readyz")
    assert any("drain" in r for r in answer.json["reasons"])
    assert sidecar.admin("/healthz").status == 200
    response = connect(sidecar.port).get()    # those who have not noticed yet are served
    assert response.status == 200
    assert response.get("connection").lower() == "close"
    sidecar.wait_log("not listening any more")
    assert sidecar.wait_exit() == 0


def test_no_connection_is_taken_after_the_delay(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")

    until_refused(sidecar.port)
    server.send(response_bytes())
    assert client.read_response().status == 200
    assert sidecar.wait_exit() == 0


def test_a_body_that_streams_is_not_cut(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    client.read_head()
    client.read_chunk()
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")
    for _ in range(5):
        server.send(b"1\r\nb\r\n")
        assert client.read_chunk() == b"b"
    server.send(b"0\r\n\r\n")
    assert client.read_chunk() == b""
    client.read_trailers()
    client.expect_end()
    assert sidecar.wait_exit() == 0


def test_pipelined_requests_that_were_read_are_answered_or_not_begun(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes(target="/1") + request_bytes(target="/2"))
    server = upstream.accept()
    server.read_request()
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")
    server.send(response_bytes(body=b"1"))
    assert client.read_response().get("connection").lower() == "close"
    client.expect_broken()
    assert sidecar.wait_exit() == 0


def test_the_drain_has_a_bound(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address, drain="200ms", carries="auto")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()                     # and never answers
    tunnel = connect(sidecar.port)
    tunnel.send(b"\x00opaque")
    upstream.accept().read(7)
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0
    rest = client.expect_broken()
    assert rest == b"" or b" 503 " in rest
    tunnel.expect_broken()
    sidecar.wait_log("2 under way were cut")


def test_a_tunnel_may_end_in_its_own_time(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address, carries="auto")
    client = connect(sidecar.port)
    client.send(b"\x00hello")
    server = upstream.accept()
    server.read(6)
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")
    server.send(b"still here")
    assert client.read(10) == b"still here"
    client.close()
    server.expect_end()
    server.close()
    assert sidecar.wait_exit() == 0


def test_a_second_signal_ends_it_at_once(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address, drain="1h")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() != 0
    sidecar.process = None                    # it did not end well, and that was asked for


def test_the_last_spans_are_flushed(inbound, raw_origin, connect, collector):
    receiver = collector()
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address, trace=f"""
        trace {{ export otlp http://127.0.0.1:{receiver.http_port}; batch {{ delay 1h; }} }}
        """)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")
    server.send(response_bytes())
    client.read_response()
    assert sidecar.wait_exit() == 0
    [span] = receiver.spans()
    assert span.name == "GET"


def test_the_flush_has_a_bound_too(inbound, origin, connect, collector):
    receiver = collector()
    receiver.always = Answer(gate=threading.Event())
    sidecar = drained(inbound, origin().address, flush="300ms", trace=f"""
        trace {{ export otlp http://127.0.0.1:{receiver.http_port}; batch {{ delay 10ms; }} }}
        """)
    connect(sidecar.port).get()
    receiver.wait_attempts(1)
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit(8) == 0        # before the request's own timeout


def test_spans_of_what_was_cut_say_so(inbound, raw_origin, connect, collector):
    receiver = collector()
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address, drain="100ms", trace=f"""
        trace {{ export otlp grpc://127.0.0.1:{receiver.grpc_port}; }}
        """)
    client = connect(sidecar.port)
    client.send(request_bytes())
    upstream.accept().read_request()
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0
    [span] = receiver.spans()
    [error] = [a.value.string_value for a in span.attributes if a.key == "error.type"]
    assert error == "draining"


def test_no_request_is_lost_while_load_goes_on(inbound, origin):
    """Clients that keep to the rules: they make a new connection when told to close, and stop when
    it is refused. Each request that was sent on an open connection has its answer."""
    sidecar = drained(inbound, origin().address, delay="300ms")
    lost, served = [], [0]

    def load():
        while True:
            try:
                client = Wire.connect(sidecar.port)
            except ConnectionError:
                return
            with client:
                try:
                    while True:
                        response = client.get()
                        served[0] += 1
                        if response.status != 200:
                            lost.append(response)
                        if (response.get("connection") or "").lower() == "close":
                            break
                except (EOFError, ConnectionError) as e:
                    # An idle connection that is closed as a request crosses it: the one case that a
                    # client of HTTP/1.1 has to repeat by itself.
                    if "closed before" not in str(e) and not isinstance(e, ConnectionError):
                        lost.append(e)

    threads = [threading.Thread(target=load) for _ in range(6)]
    for t in threads:
        t.start()
    until(lambda: served[0] > 200, "some load")
    sidecar.signal(signal.SIGTERM)
    for t in threads:
        t.join(20 + DEADLINE)
    assert not lost, lost[:3]
    assert sidecar.wait_exit() == 0


def test_a_client_that_is_silent_does_not_hold_up_the_end(inbound, origin, connect):
    sidecar = inbound(origin().address, rest="timeouts { drain-delay 0s; drain 1h; header 1s; }")
    silent, half = connect(sidecar.port), connect(sidecar.port)
    half.send("GET / HT")
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 2, "both")
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0
    silent.expect_broken()


# -- what comes in ends first

@pytest.mark.parametrize("mode", ["", "forward-proxy"])
def test_a_service_may_call_out_until_it_has_answered(sidespan, port, raw_origin, origin, connect, mode):
    """Its caller was served before SIGTERM, and needs an answer from a third after the close of the
    inbound listener: over a connection that is open already, and over new ones."""
    app, third, out = raw_origin(), origin(), free_port()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {app.address}; }} }}
        outbound {{ listen 127.0.0.1:{out} {mode}; route / {{ to {third.address}; }} }}
        timeouts {{ drain-delay 0s; drain 30s; flush 1s; }}
        """)
    caller = connect(port)
    caller.send(request_bytes())
    serving = app.accept()
    serving.read_request()
    kept = connect(out)
    assert kept.get().status == 200
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")
    until_refused(port)
    for _ in range(3):
        response = kept.get()                 # and nothing tells it to go elsewhere: there is nowhere
        assert response.status == 200 and not response.get("connection")
        assert connect(out).get().status == 200
    serving.send(response_bytes(body=b"with their help"))
    assert caller.read_response().body == b"with their help"
    assert sidecar.wait_exit() == 0


def until_refused(port):
    def refused():
        try:
            Wire.connect(port).close()
            return False
        except ConnectionError:
            return True

    until(refused, "the listener to be gone")


# -- who has begun is served

def closed(sidecar):
    """SIGTERM, the inbound listener is gone, and so would be a process that waits for nobody."""
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")
    until_refused(sidecar.port)
    time.sleep(0.3)


@pytest.mark.parametrize("first", ["GE", "GET / HTTP/1.1\r\nHo"])
def test_half_a_head_is_waited_for(inbound, origin, connect, first):
    sidecar = drained(inbound, origin().address, drain="30s")
    client = connect(sidecar.port)
    client.send(first)
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 1, "it")
    closed(sidecar)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"[len(first):])
    response = client.read_response()
    assert response.body == b"hello" and response.get("connection").lower() == "close"
    assert sidecar.wait_exit() == 0


def test_half_a_head_on_a_kept_connection_is_waited_for(inbound, origin, connect):
    sidecar = drained(inbound, origin().address, drain="30s")
    client = connect(sidecar.port)
    client.get()
    client.send("GET / HTTP/1.1\r\n")
    # It was read when an answer to what was sent after it is there.
    connect(sidecar.port).get()
    closed(sidecar)
    client.send("Host: a\r\n\r\n")
    assert client.read_response().body == b"hello"
    assert sidecar.wait_exit() == 0


def test_a_connection_in_the_queue_of_the_listener_is_served(inbound, raw_origin, connect):
    """limits { connections } was met, so the kernel holds it."""
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest="""
        limits { connections 1; } timeouts { drain-delay 0s; drain 30s; }
        """)
    first, second = connect(sidecar.port), None
    first.send(request_bytes(target="/1"))
    one = upstream.accept()
    one.read_request()
    second = connect(sidecar.port)
    second.send(request_bytes(target="/2"))
    closed(sidecar)
    two = upstream.accept()
    assert two.read_request().target == "/2"
    for client, server in ((first, one), (second, two)):
        server.send(response_bytes(body=b"served"))
        assert client.read_response().body == b"served"
    assert sidecar.wait_exit() == 0


def test_a_connection_that_was_made_just_before_is_served(inbound, raw_origin, connect):
    """It has said nothing so far: its request is on the way."""
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address, drain="30s")
    client = connect(sidecar.port)
    closed(sidecar)
    client.send(request_bytes(target="/late"))
    late = upstream.accept()
    assert late.read_request().target == "/late"
    late.send(response_bytes(body=b"late"))
    assert client.read_response().body == b"late"
    assert sidecar.wait_exit() == 0
