"""A peer that is gone without a word is noticed, whoever it is and whatever the connection carries."""
import functools
import re
import socket
import subprocess

import pytest

from programs import needs
from wire import request_bytes

TIMES = "timeouts { keepalive 1s; keepalive-timeout 1s; }"
TCP_REPAIR, ON = 19, 1


@pytest.fixture
def inbound(inbound):
    return functools.partial(inbound, carries="auto")


def vanish(wire):
    """The socket is gone, and its peer is not told."""
    try:
        wire.sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, ON)
    except PermissionError:
        pytest.skip("to vanish needs CAP_NET_ADMIN")
    wire.close()


def timers(port):
    """What ss tells of the timers of connections at that port, by their other ends."""
    out = subprocess.run([needs("ss"), "-tnoH", "state", "established", f"( sport = :{port} )"],
                         capture_output=True, text=True, check=True).stdout
    return re.findall(r"timer:\((\w+),", out)


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_a_silent_tunnel_notices_that_a_side_is_gone(inbound, raw_origin, connect, who):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest=TIMES)
    client = connect(sidecar.port)
    client.send(b"\x00hello")
    server = upstream.accept()
    server.read(6)
    gone, left = (client, server) if who == "client" else (server, client)
    vanish(gone)
    left.expect_broken()
    assert sidecar.wait_span()["sidespan.ended_by"] == who


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_an_exchange_notices_it_too(inbound, raw_origin, connect, who):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest=TIMES)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    if who == "client":
        vanish(client)
        server.expect_broken()
        assert sidecar.wait_span()["error.type"] == "client_closed"
    else:
        vanish(server)
        assert client.read_response().status == 502


def test_connections_are_probed_unless_told_otherwise(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(b"\x00hello")
    upstream.accept().read(6)
    assert timers(sidecar.port) == ["keepalive"]
    sidecar.reload(re.sub(r"(?s)^.*?inbound", "inbound", sidecar.path.read_text(), count=1)
                   + "timeouts { keepalive none; }")
    other = connect(sidecar.port)
    other.send(b"\x00hello")
    upstream.accept().read(6)
    assert sorted(timers(sidecar.port)) == ["keepalive"]      # the new one has none
