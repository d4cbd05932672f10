"""A peer that writes a message in small pieces is not kept waiting for acknowledgements: against
Nagle's algorithm on its side a delayed one (40 ms or more) would cost that much each time.

The quickest of many is looked at: on a machine with other work to do some are late in any case."""
import socket
import time

import pytest

from wire import request_bytes

QUICK = 0.03                                  # a delayed acknowledgement takes longer, always


def nagle(wire):
    wire.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    return wire


@pytest.mark.parametrize("pieces", [
    [b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"body"],
    [b"HTTP/1.1 200 OK\r\n", b"Content-Length: 4\r\n\r\nbody"],
    [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nbody\r\n0\r\n\r\n"],
], ids=["head-body", "line-rest", "head-chunks"])
def test_a_response_in_two_pieces_is_quick(inbound, raw_origin, connect, pieces):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, served, times = connect(sidecar.port), None, []
    for _ in range(30):
        client.send(request_bytes())
        served = served or nagle(upstream.accept())
        served.read_request()
        began = time.monotonic()
        for piece in pieces:
            served.send(piece)
        assert client.read_response().body == b"body"
        times.append(time.monotonic() - began)
    assert min(times[1:]) < QUICK, times


@pytest.mark.parametrize("cut", ["head", "line"])
def test_a_request_in_two_pieces_is_quick(inbound, raw_origin, connect, cut):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, served, times = nagle(connect(sidecar.port)), None, []
    request = request_bytes("POST", body=b"body")
    at = request.index(b"\r\n\r\n") + 4 if cut == "head" else request.index(b"\r\n") + 2
    for _ in range(30):
        began = time.monotonic()
        client.send(request[:at])
        client.send(request[at:])
        served = served or upstream.accept()
        assert served.read_request().body == b"body"
        times.append(time.monotonic() - began)
        served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        client.read_response()
    assert min(times[1:]) < QUICK, times
