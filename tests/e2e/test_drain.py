"""SIGTERM: first not ready, then no new connections, then what is under way, then exit 0."""
import signal
import threading

import pytest

from otlp_receiver import Answer
from wire import Wire, request_bytes, response_bytes, until


def drained(inbound, address, delay="0s", drain="5s", flush="1s", trace=""):
    return inbound(address, rest=f"""
        timeouts {{ drain-delay {delay}; drain {drain}; flush {flush}; }} {trace}
        """)


def test_an_idle_sidecar_ends_at_once(inbound, origin, connect):
    sidecar = drained(inbound, origin().address)
    client = connect(sidecar.port)
    client.get()
    sidecar.signal(signal.SIGTERM)
    client.expect_end()                       # idle connections are closed
    assert sidecar.wait_exit(3) == 0


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
    sidecar = drained(inbound, origin().address, delay="500ms")
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

    def refused():
        try:
            Wire.connect(sidecar.port).close()
            return False
        except ConnectionError:
            return True

    until(refused, "the listener to be gone")
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
    sidecar = drained(inbound, upstream.address, drain="200ms")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()                     # and never answers
    tunnel = connect(sidecar.port)
    tunnel.send(b"\x00opaque")
    upstream.accept().read(7)
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit(5) == 0
    rest = client.expect_broken()
    assert rest == b"" or b" 503 " in rest
    tunnel.expect_broken()
    sidecar.wait_log("2 under way were cut")


def test_a_tunnel_may_end_in_its_own_time(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = drained(inbound, upstream.address)
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
    assert sidecar.wait_exit(3) != 0
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
    assert span.name == "GET /"


def test_the_flush_has_a_bound_too(inbound, origin, connect, collector):
    receiver = collector()
    receiver.always = Answer(gate=threading.Event())
    sidecar = drained(inbound, origin().address, flush="300ms", trace=f"""
        trace {{ export otlp http://127.0.0.1:{receiver.http_port}; batch {{ delay 10ms; }} }}
        """)
    connect(sidecar.port).get()
    receiver.wait_attempts(1)
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit(3) == 0


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
        t.join(20)
    assert not lost, lost[:3]
    assert sidecar.wait_exit() == 0


def test_a_client_that_is_silent_does_not_hold_up_the_end(inbound, origin, connect):
    sidecar = drained(inbound, origin().address, drain="1h")
    silent, half = connect(sidecar.port), connect(sidecar.port)
    half.send("GET / HT")
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 2, "both")
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit(12) == 0
    silent.expect_broken()
