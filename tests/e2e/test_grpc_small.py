"""Streams of small messages, whose readers open windows for each of them, between implementations of gRPC
and through one sidecar and two. The programs, and all pairs at length: tests/peers/grpc-small/matrix.py.
"""
import json
import pathlib
import subprocess
import sys

import pytest

from process import free_port
from programs import PEERS, peer
from wire import DEADLINE, until

STREAMS, MESSAGES = 4, 2500


def program(name):
    if name == "py":
        return [sys.executable, PEERS / "grpc-small" / "peer.py"]
    folder = pathlib.Path(peer("grpc-small"))
    return ["node", folder / "peer.js"] if name == "js" else [folder / "grpc-small"]


@pytest.fixture
def server(closing):
    """server(name): the address of one that runs."""
    def start(name):
        running = subprocess.Popen([*program(name), "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        closing(running, "wait")
        closing(running, "terminate")
        closing(running.stdin, "close")
        closing(running.stdout, "close")
        return f"127.0.0.1:{int(running.stdout.readline())}"

    return start


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("pair", ["py-py", "js-py", "py-go", "go-py", "js-go", "go-js"])
def test_small_messages_come_through_and_so_do_the_calls_beside_them(sidespan, server, pair, hops):
    client, served = pair.split("-")
    at, sidecars = server(served), []
    for direction in ("inbound", "outbound")[-hops:]:
        port = free_port()
        sidecar = sidespan(f"""
            {direction} {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
            cluster app {{ endpoint {at}; protocol h2; }}
            """, name=f"{direction}.conf")
        sidecars.append((direction, sidecar))
        at = f"127.0.0.1:{port}"
    done = subprocess.run([*program(client), "call", at, str(STREAMS), str(MESSAGES), str(2 * DEADLINE)],
                          capture_output=True, text=True, timeout=4 * DEADLINE)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["streams_failed"] == result["unary_failed"] == []
    for direction, sidecar in sidecars:
        assert "abuse" not in sidecar.log()
        until(lambda: sidecar.metric(f'sidespan_requests_active{{direction="{direction}"}}') == 0,
              "the end of the calls")
