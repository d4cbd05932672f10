"""What may be sent again, and what may not: nothing is executed twice that must not be."""
import collections
import random
import socket
import threading
import time

import pytest

from wire import Wire, request_bytes, response_bytes


def endings(how):
    """A handler that ends the connection before a byte of the answer."""
    def handler(request):
        if how == "reset":
            request.connection.reset()
        return None
    return handler


@pytest.fixture
def three(sidespan, origin, port):
    """A cluster of one that ends every fresh connection unanswered, and two that answer."""
    def start(how):
        bad = origin(endings(how))
        good = [origin(), origin()]
        sidecar = sidespan(f"""
            inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
            cluster app {{ {" ".join(f"endpoint {o.address};" for o in (bad, *good))} }}
            """)
        return sidecar, bad, good
    return start


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_a_fresh_connection_that_ends_unanswered_is_no_failure_where_there_are_others(
        three, port, how, method):
    sidecar, bad, good = three(how)
    body = b"data" if method == "PUT" else None
    for _ in range(6):
        with Wire.connect(port) as client:
            assert client.ask(method, body=body).status == 200
    assert len(bad.requests) >= 1
    assert sum(len(o.requests) for o in good) == 6
    assert all(r.body == (body or b"") for o in good for r in o.requests)


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_post_that_may_have_been_read_is_sent_once(three, port, how):
    sidecar, bad, good = three(how)
    statuses = []
    for _ in range(6):
        with Wire.connect(port) as client:
            statuses.append(client.ask("POST", body=b"data").status)
    assert statuses.count(200) == sum(len(o.requests) for o in good)
    assert statuses.count(502) == len(bad.requests) >= 1
    assert len(statuses) == len(bad.requests) + sum(len(o.requests) for o in good)


def test_the_only_endpoint_is_not_asked_twice(inbound, origin, connect):
    """A fresh connection that it ended was no accident of time."""
    bad = origin(endings("fin"))
    sidecar = inbound(bad.address)
    assert connect(sidecar.port).get().status == 502
    assert len(bad.requests) == 1


def test_a_post_keeps_away_from_the_moment_at_which_an_idle_connection_ends(
        inbound, raw_origin, connect):
    """A reset in that moment would not tell whether anybody had read it."""
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)

    def served(target, wire):
        request = wire.read_request()
        assert request.target == target
        wire.send(response_bytes(body=target.encode()))
        assert client.read_response().body == target.encode()

    client.send(request_bytes(target="/1"))
    first = upstream.accept()
    served("/1", first)
    began = time.monotonic()
    first.quiet(0.2)
    first.close()                             # so long it keeps what is idle
    longer = 2 * (time.monotonic() - began)   # on a machine that is busy, too
    sidecar.wait_metric("sidespan_upstream_connections_open", 0)
    client.send(request_bytes(target="/2"))
    second = upstream.accept()
    served("/2", second)
    second.quiet(longer)
    client.send(request_bytes("POST", "/3", body=b"once"))
    third = upstream.accept()                 # a new one
    served("/3", third)
    third.quiet(longer)
    client.send(request_bytes(target="/4"))   # which may be sent twice, so it may be tried
    served("/4", third)
    third.quiet(longer)
    client.send(request_bytes("POST", "/5", body=b"once"))
    served("/5", third)                       # it has lived longer: it was not the moment


class IdleOrigin:
    """Ends what is idle after a time, and counts what it executes."""

    def __init__(self, idle):
        self.idle, self.executed = idle, collections.Counter()
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(64)
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with Wire(connection) as wire:
            connection.settimeout(self.idle)
            try:
                while True:
                    request = wire.read_request()
                    self.executed[request.target] += 1
                    wire.send(response_bytes(body=b"done"))
            except (OSError, EOFError):
                pass

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_executed_twice_where_idle_connections_end(inbound, closing, method):
    """Requests come within a millisecond of the origin's idle timeout."""
    upstream = closing(IdleOrigin(0.03))
    sidecar = inbound(upstream.address)
    statuses = {}

    def ask(client):
        with Wire.connect(sidecar.port) as wire:
            for i in range(60):
                wire.quiet(max(0.0, 0.03 + random.uniform(-0.001, 0.001)))
                target = f"/{client}-{i}"
                statuses[target] = wire.ask(method, target,
                                            body=b"" if method == "POST" else None).status

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 120
    assert max(upstream.executed.values()) == 1
    assert all(upstream.executed[t] == 1 for t, status in statuses.items() if status == 200)
    if method == "GET":
        assert set(statuses.values()) == {200}
