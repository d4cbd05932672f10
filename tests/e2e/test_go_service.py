"""A service as Go's net/http makes it is told that its client has gone, whichever way that went."""
import json
import subprocess

import pytest

from programs import peer
from test_half_close import descriptors
from wire import Wire, request_bytes, until

CLIENTS = 100


class Service:
    def __init__(self):
        self.process = subprocess.Popen([peer("silent-stream")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def counts(self):
        with Wire.connect(self.port) as client:
            return json.loads(client.get("/counts").body)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def service(closing):
    return closing(Service())


@pytest.mark.parametrize("protocol", ["h1", "h2"])
@pytest.mark.parametrize("end", ["half_close", "close", "reset"])
def test_nothing_is_left_of_clients_that_leave_a_silent_stream(inbound, service, connect, protocol, end):
    sidecar = inbound("app", rest=f"""
        cluster app {{ endpoint 127.0.0.1:{service.port}; protocol {protocol}; }}
        timeouts {{ half-closed 500ms; }}
        """)
    before = descriptors(sidecar)
    clients = [connect(sidecar.port) for _ in range(CLIENTS)]
    for client in clients:
        client.send(request_bytes(target="/stream"))
    for client in clients:
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert service.counts() == {"open": CLIENTS, "cancelled": 0}
    for client in clients:
        getattr(client, end)()
    until(lambda: service.counts() == {"open": 0, "cancelled": CLIENTS}, lambda: f"{service.counts()}")
    spans = sidecar.wait_spans(CLIENTS)
    told = {(span["error.type"], span["sidespan.ended_by"]) for span in spans}
    left, half = ("client_closed", "client"), ("half_closed_timeout", "sidecar")
    # The close of one that has not read all of the response so far is a reset.
    assert told == {left} if end == "reset" else told == {half} if end == "half_close" else told <= {left, half}
    if end == "half_close":                   # those who are still there see that it is over
        for client in clients:
            client.expect_broken()
    for gauge in "sidespan_connections_open", "sidespan_requests_active":
        until(lambda: sidecar.metric(gauge + '{direction="inbound"}') == 0, gauge)
    if protocol == "h1":                      # one of HTTP/2 is shared, and stays
        until(lambda: sidecar.metric("sidespan_upstream_connections_open") == 0, "the upstream connections")
    until(lambda: descriptors(sidecar) <= before + (protocol == "h2"), "the descriptors")
