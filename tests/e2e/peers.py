"""Clients and origins that look alike whatever they speak; peers_h1.py and peers_h2.py make them.

    call = client.open("POST", "/up", ["X-A: 1"], streaming=True)    # client
    served = upstream.take()                                        # origin, by hand
    call.send(b"abc")
    assert served.read(3) == b"abc"
    call.end(trailers=["X-Sum: 1"])
    assert served.rest() == b"" and served.trailers == [("X-Sum", "1")]
    served.answer(200, ["X-B: 2"], b"body")
    assert call.response().body == b"body"

A message that is cut raises Broken where it is read; one that only looks whole is what tests are after.
Fields are written "Name: value", and read as (name, value) in order; Host and :authority are .authority.
"""
import base64
import collections
import hashlib
import threading

import wsproto
import wsproto.events

from h2wire import Broken
from wire import DEADLINE, until


def pairs_of(fields):
    """(name, value) of "Name: value"; what is a pair already stays."""
    return [f if isinstance(f, tuple) else (f.partition(":")[0], f.partition(":")[2].strip(" \t"))
            for f in fields]


class Fields:
    """Whatever has .fields."""

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{name} came {len(values)} times: {values}")
        return values[0] if values else None

    def names(self):
        return [n for n, _ in self.fields]


class Response(Fields):
    """status, fields, body, trailers, and interim: the (status, fields) of each 1xx before it."""

    def __init__(self, status, fields):
        self.status, self.fields = status, fields
        self.body, self.trailers, self.interim = b"", [], []

    def __repr__(self):
        return f"<{self.status} {self.fields} {len(self.body)} bytes>"


class Reply:
    """What a handler of a scripted origin returns."""

    def __init__(self, status=200, fields=(), body=b"", trailers=(), streaming=False, interim=(),
                 reset=None):
        """streaming: the length is not told. interim: (status, fields) to send before. reset: the
        code of an end without an answer."""
        self.status, self.fields, self.body, self.trailers = status, fields, body, trailers
        self.streaming, self.interim, self.reset = streaming, interim, reset


def bodiless(method, status):
    """A response that has no body, whatever its headers say."""
    return method == "HEAD" or status in (204, 304)


class Reading:
    """What both sides do with a body that comes: some() is the peer's own, of its protocol."""

    def read(self, n):
        """Exactly n bytes."""
        out = bytearray()
        while len(out) < n:
            data = self.some()
            if not data:
                raise AssertionError(f"the message ended after {len(out)} of {n} bytes")
            out += data
        if len(out) > n:
            self.push_back(bytes(out[n:]))
        return bytes(out[:n])

    def rest(self):
        """All up to the end of the message; .trailers are then there."""
        out = bytearray()
        while data := self.some():
            out += data
        return bytes(out)

    def count(self, n):
        """Reads at least n bytes and throws them away."""
        while n > 0:
            data = self.some()
            if not data:
                raise AssertionError(f"the message ended with {n} bytes to come")
            n -= len(data)

    def expect_broken(self):
        """The message breaks off: (its bytes until then, the code where the protocol has one)."""
        out = bytearray()
        try:
            while data := self.some():
                out += data
        except Broken as e:
            return bytes(out), e.code
        raise AssertionError(f"it was presented as whole, after {len(out)} more bytes")


class Client:
    """Asks. `connection` is what the calls of an HTTP/2 client share; HTTP/1.1 has one for each call
    under way. A subclass has open(), of which this is the face."""

    def open(self, method="GET", target="/", fields=(), body=None, host="service.test", length=None,
             streaming=False, trailers=()):
        """Sends a request, and returns the call. body: all of it, its length is told (unless there are
        trailers). length=N: N bytes follow by send(). streaming: the length is not told. The last
        two end with end()."""
        raise NotImplementedError

    def ask(self, method="GET", target="/", fields=(), body=None, host="service.test", trailers=()):
        return self.open(method, target, fields, body, host, trailers=trailers).response()

    def get(self, target="/", *fields, host="service.test"):
        return self.ask("GET", target, fields, host=host)


class ScriptedPeer:
    """What origins that answer by themselves keep; see H1Origin and H2Origin."""

    def __init__(self, handler):
        self.handler = handler or (lambda request: Reply(body=b"hello"))
        self.requests = []
        self.connections = 0                  # ever
        self.failures = []
        self.changed = threading.Condition()
        self.under_way = 0
        self.most_under_way = 0

    def handle(self, request):
        """The handler's Reply, and bookkeeping around it."""
        with self.changed:
            self.requests.append(request)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            self.changed.notify_all()
        try:
            return self.handler(request)
        finally:
            with self.changed:
                self.under_way -= 1
                self.changed.notify_all()

    def wait_requests(self, n, deadline=None):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.requests) >= n, deadline or DEADLINE):
                raise TimeoutError(f"{len(self.requests)} of {n} requests came")
            return list(self.requests)


class Flood:
    """Sends n bytes of a body from a thread, as fast as they are taken. side: a call, or what an
    origin serves; the thread has its connection to itself meanwhile."""

    BLOCK = bytes(range(256)) * 64

    def __init__(self, side, n):
        self.sent, self.error = 0, None
        side.patient()
        self._thread = threading.Thread(target=self._run, args=(side, n), daemon=True)
        self._thread.start()

    def _run(self, side, n):
        try:
            while self.sent < n:
                block = self.BLOCK[:n - self.sent]
                side.send(block)
                self.sent += len(block)
        except (OSError, Broken) as e:
            self.error = e

    def stalled(self):
        """How much was sent when the sender has come to a stand: ten looks in a row see the same."""
        seen, still = -1, 0

        def at_rest():
            nonlocal seen, still
            still = still + 1 if 0 < self.sent == seen else 0
            seen = self.sent
            return still >= 10

        until(at_rest, lambda: f"a stop of the sender; it sent {self.sent}", 30 + DEADLINE)
        return self.sent

    def join(self, deadline=60 + DEADLINE):
        self._thread.join(deadline)
        assert not self._thread.is_alive() and self.error is None, (self.sent, self.error)


# -- WebSocket, RFC 6455, with its frames by wsproto

def websocket_accept(key):
    digest = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


class WebSocket:
    """Messages over bytes that pass both ways; bytes is a call or what an origin serves."""

    def __init__(self, stream, client_side):
        self.stream = stream
        self.conn = wsproto.Connection(wsproto.ConnectionType.CLIENT if client_side
                                       else wsproto.ConnectionType.SERVER)
        self._events = collections.deque()

    def send(self, message):
        """Text or bytes."""
        kind = wsproto.events.TextMessage if isinstance(message, str) else \
            wsproto.events.BytesMessage
        self.stream.send(self.conn.send(kind(data=message)))

    def read(self):
        """The next message, whole; None: the peer closed it, and was answered."""
        parts = []
        while True:
            event = self._event()
            if isinstance(event, wsproto.events.CloseConnection):
                if self.conn.state is wsproto.ConnectionState.REMOTE_CLOSING:
                    self.stream.send(self.conn.send(event.response()))
                return None
            if isinstance(event, wsproto.events.Ping):
                self.stream.send(self.conn.send(event.response()))
            elif isinstance(event, wsproto.events.Message):
                parts.append(event.data)
                if event.message_finished:
                    return parts[0][:0].join(parts)

    def _event(self):
        while not self._events:
            data = self.stream.some()
            assert data, "the stream ended without a close frame"
            self.conn.receive_data(data)
            self._events.extend(self.conn.events())
        return self._events.popleft()

    def say_close(self):
        """The other side answers: read() is then None on both."""
        self.stream.send(self.conn.send(wsproto.events.CloseConnection(code=1000)))
