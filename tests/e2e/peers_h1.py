"""HTTP/1.1 for both ends, with the face of peers.py."""
import base64
import os
import re
import threading
import time

import peers
import wire
from h2wire import Broken
from origins import RawOrigin
from peers import Client, Reading, Response, bodiless, pairs_of, websocket_accept
from wire import DEADLINE, NotHttp, Wire, readable


class Body:
    """A body that comes over a wire, bit by bit."""

    def __init__(self, connection, message, none=False, until_close=False):
        self.wire = connection
        self.kind, self.left = message.framing()
        if none or self.kind is None and not until_close:
            self.kind, self.left = "length", 0
        self.over = self.kind == "length" and self.left == 0
        self.trailers = []
        self._in_chunk = 0

    def some(self):
        if self.over:
            return b""
        try:
            return self._some()
        except (EOFError, ConnectionError) as e:
            raise Broken(f"the connection ended amid a body: {e!r}") from e

    def _some(self):
        if self.kind is None:                 # until the connection ends
            data = self.wire.read_some()
            self.over = not data
            return data
        if self.kind == "length":
            data = self._at_most(self.left)
            self.left -= len(data)
            self.over = self.left == 0
            return data
        if self._in_chunk == 0:
            line = self.wire.read_until(b"\r\n")[:-2]
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line):
                raise NotHttp(f"not a chunk size: {line!r}")
            self._in_chunk = int(line, 16)
            if self._in_chunk == 0:
                self.trailers = self.wire.read_trailers()
                self.over = True
                return b""
        data = self._at_most(self._in_chunk)
        self._in_chunk -= len(data)
        if self._in_chunk == 0 and self.wire.read(2) != b"\r\n":
            raise NotHttp("no CRLF after a chunk")
        return data

    def _at_most(self, n):
        data = self.wire.read_some()
        if not data:
            raise EOFError(f"{n} bytes are missing")
        if len(data) > n:
            self.wire.buffer = data[n:] + self.wire.buffer
        return data[:n]


class Side(Reading):
    """What a call and a served request have in common: a wire, a body that comes, one that goes."""

    def __init__(self, connection):
        self.wire = connection
        self.body = None
        self._pushed = b""
        self._chunks = False                  # what is sent goes in chunks
        self.sent_all = False

    def some(self):
        if self._pushed:
            data, self._pushed = self._pushed, b""
            return data
        return self.incoming().some()

    def push_back(self, data):
        self._pushed = data + self._pushed

    @property
    def trailers(self):
        return self.incoming().trailers

    def patient(self):
        self.wire.sock.settimeout(None)

    def send(self, data):
        try:
            if not self._chunks:
                self.wire.send(data)
            elif data:
                self.wire.send(b"%x\r\n%s\r\n" % (len(data), data))
        except ConnectionError as e:
            raise Broken(f"the connection ended: {e!r}") from e

    def fill(self, limit, seconds=0.2):
        """Sends what is taken, until nothing was for a moment; how much. The body cannot go on after."""
        sent, block = 0, b"%x\r\n" % limit if self._chunks else b""
        self.wire.send(block)
        self.wire.sock.settimeout(seconds)
        try:
            while sent < limit:
                sent += self.wire.sock.send(bytes(min(65536, limit - sent)))
        except TimeoutError:
            pass
        self.wire.sock.settimeout(self.wire.deadline)
        return sent

    def end(self, trailers=()):
        if self._chunks:
            lines = "".join(f"{n}: {v}\r\n" for n, v in pairs_of(trailers))
            self.wire.send(f"0\r\n{lines}\r\n")
        self.sent_all = True

    def break_connection(self):
        self.wire.close()


class Call(Side):
    def __init__(self, client, connection, method):
        super().__init__(connection)
        self.client, self.method = client, method
        self.interim = []
        self._final = None

    def next_head(self):
        """The next head, interim or final."""
        try:
            head = self.wire.read_head()
        except (EOFError, ConnectionError) as e:
            raise Broken(f"no response: {e}") from e
        message = wire.Response(head)
        response = Response(message.status, message.fields)
        if message.status < 200 and message.status != 101:
            self.interim.append((message.status, message.fields))
            return response
        response.interim = self.interim
        self._final = response
        self.body = Body(self.wire, message, none=bodiless(self.method, message.status),
                         until_close=True)
        return response

    def head(self):
        """The final head."""
        while self._final is None:
            self.next_head()
        return self._final

    def incoming(self):
        self.head()
        return self.body

    def response(self):
        """The whole response."""
        response = self.head()
        response.body = self.rest()
        response.trailers = self.trailers
        self.client.give_back(self)
        return response

    def nothing_yet(self):
        return self.wire.quiet()

    def cancel(self):
        self.wire.reset()

    def switched(self):
        """Waits for the switch to WebSocket; from here on there are only bytes."""
        response = self.head()
        assert response.status == 101, response
        assert response.get("upgrade").lower() == "websocket"
        assert response.get("connection").lower() == "upgrade"
        assert response.get("sec-websocket-accept") == websocket_accept(self.key)
        self._chunks = False
        self.body.kind, self.body.over = None, False
        return response

    def end_tunnel(self):
        self.wire.half_close()


class H1Client(Client):
    version = "1.1"

    def __init__(self, port, **arguments):
        self.port, self.arguments = port, arguments
        self.idle, self.all = [], []

    def connect(self):
        connection = Wire.connect(self.port, **self.arguments)
        self.all.append(connection)
        return connection

    def give_back(self, call):
        close = (call.head().get("connection") or "").lower() == "close"
        if call.sent_all and not close:
            self.idle.append(call.wire)

    def open(self, method="GET", target="/", fields=(), body=None, host="service.test", length=None,
             streaming=False, trailers=()):
        call = Call(self, self.idle.pop() if self.idle else self.connect(), method)
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
        lines += [f"{n}: {v}" for n, v in pairs_of(fields)]
        call._chunks = streaming or bool(trailers)
        if call._chunks:
            lines.append("Transfer-Encoding: chunked")
        elif body is not None or length is not None:
            lines.append(f"Content-Length: {len(body) if length is None else length}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        try:
            call.wire.send(head if call._chunks else head + (body or b""))
            if call._chunks and body:
                call.send(body)
            if not streaming and length is None:
                call.end(trailers)
        except (ConnectionError, Broken):     # answered, or ended, amid it: reading the response tells
            pass
        return call

    def websocket(self, target="/chat", fields=(), host="service.test"):
        """The call, which switched() waits for."""
        key = base64.b64encode(os.urandom(16)).decode()
        call = self.open("GET", target, [
            "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13", *fields], host=host)
        call.key = key
        return call

    def reset(self):
        """Every connection ends with RST."""
        for connection in self.all:
            if connection.sock.fileno() >= 0:
                connection.reset()

    def close(self):
        for connection in self.all:
            if connection in self.idle or connection.sock.fileno() < 0:
                connection.close()
            else:                             # FIN alone would say that it still waits for its answer
                connection.reset()


class Served(Side, peers.Fields):
    """A request at the origin, whose answer is the test's to give."""

    def __init__(self, connection):
        super().__init__(connection)
        message = wire.Request(connection.read_head())
        self.method, self.target = message.method, message.target
        self.authority = message.get("host")
        self.scheme = None                    # HTTP/1.1 does not say
        self.message = message
        self.fields = [(n, v) for n, v in message.fields if n.lower() != "host"]
        self.body = Body(connection, message)

    def __repr__(self):
        return f"<{self.method} {self.target} {self.fields}>"

    def incoming(self):
        return self.body

    def interim(self, status, fields=()):
        lines = "".join(f"{n}: {v}\r\n" for n, v in pairs_of(fields))
        self.wire.send(f"HTTP/1.1 {status} Interim\r\n{lines}\r\n")

    def send_head(self, status=200, fields=(), length=None, end=False):
        """length None: it is not told. end: there is no body."""
        none = bodiless(self.method, status)
        lines = [f"HTTP/1.1 {status} Reason"] + [f"{n}: {v}" for n, v in pairs_of(fields)]
        has = any(n.lower() == "content-length" for n, _ in pairs_of(fields))
        self._chunks = not end and length is None and not none
        if length is not None:
            lines.append(f"Content-Length: {length}")
        elif self._chunks:
            lines.append("Transfer-Encoding: chunked")
        elif not none and not has:
            lines.append("Content-Length: 0")
        self.wire.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        self.sent_all = end

    def answer(self, status=200, fields=(), body=b"", trailers=()):
        none = bodiless(self.method, status)
        self.send_head(status, fields, length=None if trailers or none else len(body), end=none)
        if not none:
            if body:
                self.send(body)
            self.end(trailers)
        self.sent_all = True

    def reset(self):
        self.wire.reset()

    def expect_cancelled(self):
        """The caller gave up, and this side hears it. The code where there is one."""
        self.wire.expect_broken()

    def websocket_asked(self):
        return (self.get("upgrade") or "").lower() == "websocket"

    def switch(self):
        """Agrees to WebSocket."""
        assert self.method == "GET" and self.websocket_asked()
        assert "upgrade" in self.get("connection").lower()
        key = self.get("sec-websocket-key")
        assert len(base64.b64decode(key)) == 16
        assert self.get("sec-websocket-version") == "13"
        self.wire.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       f"Sec-WebSocket-Accept: {websocket_accept(key)}\r\n\r\n")
        self.body.kind, self.body.over = None, False
        self._chunks = False

    def end_tunnel(self):
        self.wire.half_close()


class H1RawOrigin:
    """Driven by the test: take() is the next request, on whichever connection."""
    version = "1.1"

    def __init__(self, **arguments):
        self.raw = RawOrigin(**arguments)
        self.port, self.address = self.raw.port, self.raw.address
        self.served = {}                      # wire: the last request on it
        self.connections = 0

    def take(self, deadline=DEADLINE):
        end = time.monotonic() + deadline
        while True:
            idle = [w for w, s in self.served.items()
                    if s is None or s.sent_all and s.body.over]
            for connection in idle:
                if connection.buffer:
                    return self._next(connection)
            left = end - time.monotonic()
            ready = readable([self.raw.sock, *(w.sock for w in idle)], max(left, 0))
            if not ready:
                raise TimeoutError("no request came")
            for connection in idle:
                if connection.sock in ready:
                    if connection._fill():
                        return self._next(connection)
                    connection.close()
                    del self.served[connection]
            if self.raw.sock in ready:
                self.served[self.raw.accept()] = None
                self.connections += 1

    def _next(self, connection):
        served = self.served[connection] = Served(connection)
        return served

    def untouched(self, seconds=0.1):
        """No request comes for a moment."""
        try:
            self.take(seconds)
            return False
        except TimeoutError:
            return True

    def close(self):
        self.raw.close()


class H1Origin(peers.ScriptedPeer):
    """Answers by itself; handler(request) returns a Reply, or None to close."""
    version = "1.1"

    def __init__(self, handler=None, **arguments):
        super().__init__(handler)
        self.raw = RawOrigin(**arguments)
        self.raw.sock.settimeout(None)
        self.port, self.address = self.raw.port, self.raw.address
        self._open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.raw.sock.accept()
            except OSError:
                return
            connection = Wire(connection)
            connection.sock.settimeout(None)
            with self.changed:
                self.connections += 1
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection, self.connections),
                             daemon=True).start()

    def _serve(self, connection, number):
        try:
            while self._answer(connection, number):
                pass
        except (EOFError, OSError, Broken):
            pass
        except Exception as e:                # told when the test ends
            self.failures.append(e)
        finally:
            connection.close()
            with self.changed:
                self._open.discard(connection)
                self.changed.notify_all()

    def _answer(self, connection, number):
        served = Served(connection)
        served.connection = number
        served.content = served.rest()
        reply = self.handle(served)
        if reply is None:
            return False
        if reply.reset is not None:
            served.reset()
            return False
        for status, fields in reply.interim:
            served.interim(status, fields)
        if reply.streaming and not bodiless(served.method, reply.status):
            served.send_head(reply.status, reply.fields)
            for i in range(0, len(reply.body), 16384):
                served.send(reply.body[i:i + 16384])
            served.end(reply.trailers)
        else:
            served.answer(reply.status, reply.fields, reply.body, reply.trailers)
        return True

    def close(self):
        self.raw.close()
        with self.changed:
            open_now = list(self._open)
        for connection in open_now:
            try:
                connection.sock.shutdown(2)
            except OSError:
                pass
        assert not self.failures, f"the origin failed: {self.failures}"
