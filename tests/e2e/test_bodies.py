"""Bodies stream both ways in constant memory, at the speed of the slower end."""
import hashlib
import threading

import pytest

from process import sanitized
from programs import long_variant
from wire import DEADLINE, request_bytes, response_bytes, until

MIB = 1 << 20
GROWTH = 3 * MIB


class Flood:
    """Sends n bytes into a connection from a thread, as fast as it takes them."""

    def __init__(self, wire, n, block=bytes(range(256)) * 4096):
        self.sent = 0
        self.error = None
        wire.sock.settimeout(None)
        self._thread = threading.Thread(target=self._run, args=(wire, n, memoryview(block)),
                                        daemon=True)
        self._thread.start()

    def _run(self, wire, n, block):
        try:
            while self.sent < n:
                at = self.sent % len(block)
                self.sent += wire.sock.send(block[at:at + n - self.sent])
        except OSError as e:
            self.error = e

    def join(self, deadline=60 + DEADLINE):
        self._thread.join(deadline)
        assert not self._thread.is_alive() and self.error is None, (self.sent, self.error)


def stalled(flood):
    """How much was sent when the sender has come to a stand: ten looks in a row see the same."""
    seen, still = -1, 0

    def at_rest():
        nonlocal seen, still
        still = still + 1 if 0 < flood.sent == seen else 0
        seen = flood.sent
        return still >= 10

    until(at_rest, lambda: f"a stop of the sender; it sent {flood.sent}", 30 + DEADLINE)
    return flood.sent


def bounded(sidecar, before):
    if not sanitized():
        grown = sidecar.rss() - before
        assert grown < GROWTH, f"{grown / MIB:.1f} MiB more than before"


def transfer(sidecar, upstream, connect, size, up):
    warm = connect(sidecar.port)
    warm.send(request_bytes("POST", body=b"x" * 100_000))
    first = upstream.accept()
    first.read_request()
    first.send(response_bytes(body=b"y" * 100_000))
    warm.read_response()
    warm.close()
    first.close()
    before = sidecar.rss()

    client = connect(sidecar.port)
    if up:
        client.send(f"PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
    else:
        client.send(request_bytes(target="/big"))
    server = upstream.accept()
    server.read_request(body=False)
    if not up:
        server.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
        client.read_head()
    source, sink = (client, server) if up else (server, client)

    flood = Flood(source, size)
    held = stalled(flood)                     # nobody reads: the sender is stopped in the end
    assert held < size / 2
    bounded(sidecar, before)
    sink.count(size)
    bounded(sidecar, before)
    flood.join()
    if up:
        server.send(response_bytes(body=b"thanks"))
        client.sock.settimeout(DEADLINE)
        assert client.read_response().body == b"thanks"
    sidecar.wait_spans(2)
    bounded(sidecar, before)


@pytest.mark.parametrize("up", [True, False], ids=["request", "response"])
def test_a_large_body_stops_while_its_reader_does_and_costs_no_memory(
        inbound, raw_origin, connect, up):
    upstream = raw_origin()
    transfer(inbound(upstream.address), upstream, connect, 200 * MIB, up)


@pytest.mark.parametrize("up", [True, False], ids=["request", "response"])
def test_ten_gibibytes_pass(inbound, raw_origin, connect, up):
    long_variant("10 GiB")
    upstream = raw_origin()
    transfer(inbound(upstream.address), upstream, connect, 10 * 1024 * MIB, up)


def test_both_directions_stream_at_once(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    size = 8 * MIB
    client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
    server = upstream.accept()
    server.read_request(body=False)
    server.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
    client.read_head()                        # the response begins before the request is over
    data = bytes(range(256)) * 256
    echoed = hashlib.sha256()
    for _ in range(size // len(data)):
        client.send(data)
        server.send(server.read(len(data)))
        echoed.update(client.read(len(data)))
    assert echoed.digest() == hashlib.sha256(data * (size // len(data))).digest()
    client.send(request_bytes())
    assert server.read_request().method == "GET"  # both connections are kept
    server.send(response_bytes(body=b"ok"))
    assert client.read_response().body == b"ok"


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 65535, 65536, 65537, 131072, 1_000_003])
def test_bodies_of_any_size_arrive_as_they_are(inbound, origin, connect, size):
    data = bytes((i * 7 + i // 251) & 255 for i in range(size))
    upstream = origin(lambda r: response_bytes(body=r.body))
    client = connect(inbound(upstream.address).port)
    for _ in range(2):
        assert client.ask("POST", body=data).body == data


def test_the_first_bytes_of_a_body_do_not_wait_for_the_rest(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    server = upstream.accept()
    server.read_request(body=False)
    assert server.read(3) == b"abc"
    client.send(b"def")
    assert server.read(3) == b"def"
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nuvw")
    client.read_head()
    assert client.read(3) == b"uvw"
    server.send(b"xyz")
    assert client.read(3) == b"xyz"


def test_a_response_until_close_arrives_whole_and_ends(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"z" * 300_000)
    server.close()
    response = client.read_response()
    assert response.body == b"z" * 300_000


def test_a_request_body_over_the_limit_is_refused(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address, rest="limits { body-bytes 1k; }")
    assert connect(sidecar.port).ask("POST", body=b"x" * 1024).status == 200
    response = connect(sidecar.port).ask("POST", body=b"x" * 1025)
    assert response.status == 413
    client = connect(sidecar.port)            # one that does not tell its length
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
    client.send(b"1\r\nx\r\n0\r\n\r\n")
    assert client.read_response().status == 413
    refused = sidecar.wait_spans(2, lambda s: s["http.response.status_code"] == 413)
    assert all(s["sidespan.refusal"] for s in refused)


def test_slow_readers_do_not_slow_others(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    slow = connect(sidecar.port, receive_buffer=4096)
    slow.send(request_bytes(target="/slow"))
    server = upstream.accept()
    server.read_request()
    server.send(f"HTTP/1.1 200 OK\r\nContent-Length: {64 * MIB}\r\n\r\n")
    flood = Flood(server, 64 * MIB)
    stalled(flood)
    quick = connect(sidecar.port)
    quick.send(request_bytes(target="/quick"))
    other = upstream.accept()
    other.read_request()
    other.send(response_bytes(body=b"quick"))
    assert quick.read_response().body == b"quick"


def test_a_client_that_goes_away_stops_the_upload(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
    server = upstream.accept()
    server.read_request(body=False)
    server.read(3)
    client.reset()
    server.expect_broken()
    span = sidecar.wait_span()
    assert span["error.type"] == "client_closed"
    assert "http.response.status_code" not in span


def test_a_client_that_goes_away_stops_the_download(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nabc")
    client.read_head()
    flood = Flood(server, 100_000_000)
    client.reset()
    until(lambda: flood.error, "an end of the upstream connection")
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == 200
    assert span["error.type"] == "client_closed"


