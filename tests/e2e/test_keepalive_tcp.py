"""A peer that is gone without a word is noticed, whoever it is and whatever the connection carries."""
import functools
import os
import re
import socket
import subprocess
import sys

import pytest

import process
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


# -- bytes that wait

DROPPED = r"""
import pathlib, socket, subprocess, sys, time
binary, folder = sys.argv[1], pathlib.Path(sys.argv[2])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
config = folder / "routes.conf"
config.write_text('''service x; workers 1; admin 127.0.0.1:15900;
timeouts { keepalive 1s; keepalive-timeout 1s; }
inbound { listen 127.0.0.1:16000 tcp; route / { to 127.0.0.1:16001; } }''')
log = open(folder / "log", "w+")
sidecar = subprocess.Popen([binary, "--config", config], stderr=log)
listening = socket.create_server(("127.0.0.1", 16001))
end = time.monotonic() + 60

def pair():
    while True:
        try:
            client = socket.create_connection(("127.0.0.1", 16000))
            break
        except ConnectionRefusedError:
            assert time.monotonic() < end, "the sidecar did not start"
            time.sleep(0.01)
    client.sendall(b"\0hi")
    server, _ = listening.accept()
    assert server.recv(3) == b"\0hi"
    return client, server

reads_not, floods = pair()
floods.settimeout(0.5)
try:
    while True:
        floods.sendall(b"x" * 65536)          # until nobody takes any more
except TimeoutError:
    pass
gone, waits = pair()
port = gone.getsockname()[1]
for rule in ("add table ip t", "add chain ip t o { type filter hook output priority 0; }",
             f"add rule ip t o tcp dport {port} drop", f"add rule ip t o tcp sport {port} drop"):
    subprocess.run(["nft", rule], check=True)
waits.sendall(b"bytes that wait")
waits.settimeout(60)
try:
    print("the end:", waits.recv(1))
except ConnectionError as e:
    print("lost:", type(e).__name__)
floods.settimeout(0.2)
try:
    print("ended:", floods.recv(1))
except TimeoutError:
    print("who does not read is not lost")
sidecar.terminate()
reads_not.close()
floods.close()
sidecar.wait()
"""


def test_bytes_that_nobody_acknowledges_end_a_connection_but_not_those_that_nobody_reads(tmp_path):
    for name in ("ip", "nft", "unshare"):
        needs(name)
    if os.geteuid() != 0:
        pytest.skip("a network namespace needs root")
    done = subprocess.run(["unshare", "-n", sys.executable, "-c", DROPPED, process.BINARY, tmp_path],
                          capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "lost: ConnectionResetError\nwho does not read is not lost\n"
