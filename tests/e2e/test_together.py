"""Connections that come, or change their configuration, at the same moment do not disturb each other."""
import os
import signal

from wire import request_bytes, response_bytes, until

ECHO = {"handler": lambda request: response_bytes(body=request.body)}


def stopped(sidecar):
    """Does not run until SIGCONT: what comes meanwhile is found in one round of its loop."""
    sidecar.signal(signal.SIGSTOP)
    until(lambda: "T (stopped)" in open(f"/proc/{sidecar.process.pid}/status").read(), "the stop")


def test_bodies_of_connections_accepted_together_are_not_mixed_up(inbound, origin, connect):
    """All are read into one buffer; a kept upstream connection takes each body at once."""
    sidecar = inbound(origin(**ECHO).address)
    warm = [connect(sidecar.port) for _ in range(20)]
    for client in warm:
        client.send(request_bytes("POST", body=b"warm"))
    for client in warm:
        assert client.read_response().body == b"warm"
        client.close()
    stopped(sidecar)
    bodies = [os.urandom(3000) for _ in range(20)]
    clients = []
    for body in bodies:
        clients.append(connect(sidecar.port))
        clients[-1].send(request_bytes("POST", body=body))
    sidecar.signal(signal.SIGCONT)
    for client, body in zip(clients, bodies):
        assert client.read_response().body == body


def test_a_connection_a_request_takes_the_endpoints_in_turn(inbound, origin, connect):
    """Finding out what a connection speaks is no request: it takes no endpoint's turn."""
    origins = [origin(), origin()]
    endpoints = " ".join(f"endpoint {o.address};" for o in origins)
    sidecar = inbound("both", rest=f"cluster both {{ {endpoints} balance round-robin; }}")
    for _ in range(10):
        with connect(sidecar.port) as client:
            assert client.get("/", "Connection: close").status == 200
    assert [len(o.requests) for o in origins] == [5, 5]


def test_a_silent_connection_lives_through_reloads(sidespan, port, origin, connect):
    """Its cluster is gone from the file before it says its first word."""
    one, two = origin(), origin(lambda r: response_bytes(body=b"two"))
    text = "inbound {{ listen 127.0.0.1:{}; route / {{ to {}; }} }} cluster {} {{ endpoint {}; }}"
    sidecar = sidespan(text.format(port, "old", "old", one.address))
    silent = connect(port)
    sidecar.wait_metric('sidespan_connections_open{direction="inbound"}', 1)
    for name in ("new", "newer"):
        sidecar.reload(text.format(port, name, name, two.address))
    assert silent.get().body == b"two"


def test_a_request_that_waits_out_a_reload_goes_where_it_was_to_go(sidespan, port, origin, connect):
    """It is delayed by a fault; its cluster is changed, and then gone, before it is sent."""
    one, two = origin(lambda r: response_bytes(body=b"one")), origin()
    text = """inbound {{ listen 127.0.0.1:{}; route / {{ to {}; {} }} }}
        cluster {} {{ endpoint {}; {} }}"""
    fault = "fault delay 700ms;"
    sidecar = sidespan(text.format(port, "old", fault, "old", one.address, ""))
    client = connect(port)
    client.send(request_bytes())
    sidecar.wait_metric('sidespan_requests_active{direction="inbound"}', 1)
    sidecar.reload(text.format(port, "old", fault, "old", one.address, "pool max 3;"))
    sidecar.reload(text.format(port, "new", "", "new", two.address, ""))
    assert client.read_response().body == b"one"
    assert two.requests == []
