"""What a pool has, and what it has not: places, descriptors, local ports."""
import ctypes
import inspect
import os
import pathlib
import socket
import subprocess
import threading

import pytest

from origins import RawOrigin
from process import free_port
from wire import Wire, request_bytes, response_bytes

CLONE_NEWNET = 0x40000000


def in_own_network(test):
    """Runs it in a network namespace of its own, that its sidecar and servers are in too."""
    def run(*arguments, **named):
        failed = []

        def inside():
            try:
                if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
                    pytest.skip("no network namespace may be made here")
                subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
                test(*arguments, **named)
            except BaseException as e:
                failed.append(e)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    run.__signature__ = inspect.signature(test)
    return run


def held_request(upstream, port):
    """A request that the origin has and does not answer yet."""
    client = Wire.connect(port)
    client.send(request_bytes())
    served = upstream.accept()
    served.read_request()
    return client, served


def pool(sidespan, port, upstream, rule, extra=""):
    return sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; pool {rule}; {extra} }}
        """)


def test_a_request_waits_for_a_place_as_long_as_the_file_says(sidespan, port, raw_origin, connect):
    upstream = raw_origin()
    sidecar = pool(sidespan, port, upstream, "max 1 queue 100ms", "connect-timeout 60s;")
    client, _ = held_request(upstream, port)
    with client:
        response = connect(port).get()
        text = response.body.decode()
        assert (response.status, response.get("sidespan-reason")) == (503, "pool_queue_timeout")
        assert "pool max 1" in text and "100 ms" in text and "pool-queue" in text, text
        assert upstream.address in text
        span = sidecar.wait_span(lambda s: s["error.type"] == "pool_queue_timeout"
                                 if "error.type" in s else False)
        assert span["http.response.status_code"] == 503
        assert sidecar.metric("sidespan_upstream_queued_total") == 1
        assert sidecar.metric('sidespan_timeouts_total{timeout="pool-queue"}') == 1


def test_a_place_that_becomes_free_in_time_is_taken(sidespan, port, raw_origin, connect):
    upstream = raw_origin()
    sidecar = pool(sidespan, port, upstream, "max 1 queue 60s")
    client, served = held_request(upstream, port)
    with client:
        other = connect(port)
        other.send(request_bytes(target="/other"))
        sidecar.wait_metric("sidespan_upstream_queued_total", 1)
        served.send(response_bytes(body=b"first"))
        assert client.read_response().body == b"first"
        assert served.read_request().target == "/other"
        served.send(response_bytes(body=b"second"))
        assert other.read_response().body == b"second"


def test_descriptors_that_are_used_up_are_the_sidecars_own_doing(sidespan, port, raw_origin):
    """Not the upstream's: 503, and the limit by name."""
    upstream = raw_origin()
    sidecar = pool(sidespan, port, upstream, "max none")
    first, _ = held_request(upstream, port)
    with first, Wire.connect(port) as client:
        client.send(b"GET / HTTP/1.1\r\n")    # its descriptor is there, its request is not whole
        sidecar.wait_metric('sidespan_connections_open{direction="inbound"}', 2)
        with sidecar.without_descriptors():
            client.send(b"Host: x\r\n\r\n")
            response = client.read_response()
        assert (response.status, response.get("sidespan-reason")) == (503, "overload")
        assert b"open-files" in response.body


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@in_own_network
def test_ports_that_are_used_up_are_the_sidecars_own_doing(sidespan, closing):
    """The address is well; there is no local port left to reach it from."""
    port = free_port()
    upstream = closing(RawOrigin())
    sidecar = pool(sidespan, port, upstream, "max none")
    ports = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
    before = ports.read_text()
    ports.write_text("61000 61003")
    held = []
    for i in range(5):
        client = closing(Wire(socket.socket()))
        client.sock.bind(("127.0.0.2", 20000 + i))
        client.sock.connect(("127.0.0.1", port))
        client.send(request_bytes())
        held.append(client)
        if i < 4:
            upstream.accept().read_request()
    response = held[-1].read_response()
    ports.write_text(before)
    assert (response.status, response.get("sidespan-reason")) == (503, "overload")
    assert b"local-ports" in response.body
    span = sidecar.wait_span(lambda s: "error.type" in s)
    assert span["error.type"] == "overload"
