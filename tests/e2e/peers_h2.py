"""HTTP/2 by prior knowledge for both ends, with the face of peers.py."""
import socket
import threading
import time

import peers
from h2wire import CANCEL, INTERNAL_ERROR, Broken, H2Wire, Settings
from peers import Client, Reading, Response, bodiless, pairs_of
from wire import DEADLINE, NotHttp, readable


def lower(fields):
    """As HTTP/2 writes them."""
    return [(n.lower(), v) for n, v in pairs_of(fields)]


def pseudo(head, name):
    return next((v for n, v in head if n == name), None)


def without_pseudo(head):
    return [(n, v) for n, v in head if not n.startswith(":")]


class Side(Reading):
    def __init__(self, stream):
        self.stream = stream
        self.wire = stream.wire

    def some(self):
        return self.stream.some()

    def push_back(self, data):
        self.stream.push_back(data)

    @property
    def trailers(self):
        return self.stream.trailers

    def patient(self):
        self.wire.deadline = 3600

    def send(self, data):
        self.stream.send(data)

    def fill(self, limit, seconds=0.2):
        """Sends what is taken, until nothing was for a moment; how much."""
        sent = 0
        while sent < limit:
            try:
                n = min(self.wire.wait(self.stream.window, "window", seconds), limit - sent)
            except TimeoutError:
                break
            self.stream.send(bytes(n))
            sent += n
        return sent

    def end(self, trailers=()):
        self.stream.end(lower(trailers))

    end_tunnel = end

    def break_connection(self):
        self.wire.close()


class Call(Side):
    def __init__(self, stream, method):
        super().__init__(stream)
        self.method = method
        self._heads_seen = 0

    def next_head(self):
        """The next head, interim or final."""
        s, n = self.stream, self._heads_seen
        s.wait(lambda: len(s.interim) > n or s.head, "a head")
        head = s.interim[n] if len(s.interim) > n else s.head
        self._heads_seen += 1
        return Response(int(pseudo(head, ":status")), without_pseudo(head))

    def head(self):
        """The final head."""
        s = self.stream
        s.wait(lambda: s.head, "a response")
        response = Response(int(pseudo(s.head, ":status")), without_pseudo(s.head))
        response.interim = [(int(pseudo(h, ":status")), without_pseudo(h)) for h in s.interim]
        return response

    def response(self):
        """The whole response."""
        response = self.head()
        response.body = self.rest()
        response.trailers = self.trailers
        return response

    def nothing_yet(self):
        s = self.stream
        return self.wire.quiet(lambda: s.head or s.interim or s.code is not None)

    def cancel(self):
        self.stream.reset(CANCEL)

    def switched(self):
        response = self.head()
        assert response.status == 200, response
        for name in ("upgrade", "connection", "sec-websocket-accept"):
            assert response.get(name) is None
        return response


class H2Client(Client):
    version = "2"

    def __init__(self, port, **arguments):
        self.wire = H2Wire.connect(port, **arguments)

    def open(self, method="GET", target="/", fields=(), body=None, host="service.test", length=None,
             streaming=False, trailers=()):
        head = [(":method", method), (":scheme", "http"), (":authority", host), (":path", target)]
        head = [(n, v) for n, v in head if v is not None] + lower(fields)
        if length is not None or body is not None and not streaming and not trailers:
            head.append(("content-length", str(len(body) if length is None else length)))
        more = streaming or length is not None or bool(body) or bool(trailers)
        stream = self.wire.open(head, end=not more)
        try:
            if body:
                stream.send(body, end=not (streaming or trailers))
            if trailers:
                stream.end(lower(trailers))
        except Broken as e:                   # reading the response tells, where there is none
            if e.code is None:
                raise
        return Call(stream, method)

    def websocket(self, target="/chat", fields=(), host="service.test"):
        """RFC 8441: the call, which switched() waits for."""
        self.wire.wait(lambda: self.wire.peer_settings.get(Settings.ENABLE_CONNECT_PROTOCOL) == 1,
                       "SETTINGS_ENABLE_CONNECT_PROTOCOL")
        stream = self.wire.open([
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
            (":path", target), (":authority", host), ("sec-websocket-version", "13"),
            *lower(fields)])
        return Call(stream, "CONNECT")

    def reset(self):
        """The connection ends with RST."""
        self.wire.reset()

    def close(self):
        self.wire.close()


class Served(Side, peers.Fields):
    """A request at the origin, whose answer is the test's to give."""

    def __init__(self, stream):
        super().__init__(stream)
        head = stream.head
        self.method, self.target = pseudo(head, ":method"), pseudo(head, ":path")
        self.authority, self.scheme = pseudo(head, ":authority"), pseudo(head, ":scheme")
        self.protocol = pseudo(head, ":protocol")
        self.fields = without_pseudo(head)
        assert self.get("host") in (None, self.authority), "Host and :authority differ"

    def __repr__(self):
        return f"<{self.method} {self.target} {self.fields}>"

    def interim(self, status, fields=()):
        self.stream.send_head([(":status", str(status)), *lower(fields)])

    def send_head(self, status=200, fields=(), length=None, end=False):
        """length None: it is not told. end: there is no body."""
        head = [(":status", str(status)), *lower(fields)]
        if length is not None:
            head.append(("content-length", str(length)))
        self.stream.send_head(head, end or bodiless(self.method, status))

    def answer(self, status=200, fields=(), body=b"", trailers=()):
        none = bodiless(self.method, status)
        self.send_head(status, fields, length=None if trailers or none else len(body),
                       end=none or not body and not trailers)
        if none:
            return
        if body:
            self.stream.send(body, end=not trailers)
        if trailers:
            self.end(trailers)

    def reset(self, code=INTERNAL_ERROR):
        self.stream.reset(code)

    def expect_cancelled(self):
        """The caller gave up, and this side hears it: the code."""
        return self.stream.wait_reset()

    def websocket_asked(self):
        return self.protocol == "websocket"

    def switch(self):
        """Agrees to WebSocket."""
        assert self.method == "CONNECT" and self.protocol == "websocket"
        assert self.scheme and self.target and self.authority
        assert self.get("sec-websocket-version") == "13"
        for name in ("upgrade", "connection", "sec-websocket-key", "sec-websocket-accept"):
            assert self.get(name) is None
        self.stream.send_head([(":status", "200")])


class H2RawOrigin:
    """Driven by the test: take() is the next request, on whichever connection; accept() the next
    connection as an H2Wire. settings: {Settings.X: value} that it begins with."""
    version = "2"

    def __init__(self, settings=None, host="127.0.0.1", receive_buffer=None, checks=True):
        self.settings, self.checks = {Settings.ENABLE_CONNECT_PROTOCOL: 1, **(settings or {})}, checks
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.bind((host, 0))
        self.sock.listen(128)
        self.sock.settimeout(DEADLINE)
        self.port = self.sock.getsockname()[1]
        self.address = f"{host}:{self.port}"
        self.wires = []

    @property
    def connections(self):
        return len(self.wires)

    def accept(self, **arguments):
        connection, _ = self.sock.accept()
        wire = H2Wire(connection, False, settings=self.settings, checks=self.checks, **arguments)
        self.wires.append(wire)
        return wire

    def take(self, deadline=DEADLINE):
        end = time.monotonic() + deadline
        while True:
            for wire in self.wires:
                if wire.incoming:
                    return Served(wire.incoming.popleft())
            live = [w for w in self.wires if not w.ended and w.sock.fileno() >= 0]
            left = max(end - time.monotonic(), 0)
            ready = readable([self.sock, *(w.sock for w in live)], left)
            if not ready:
                raise TimeoutError("no request came")
            for wire in live:
                if wire.sock in ready:
                    wire.pump()
            if self.sock in ready:
                self.accept()

    def untouched(self, seconds=0.1):
        """No request comes for a moment."""
        try:
            self.take(seconds)
            return False
        except TimeoutError:
            return True

    def close(self):
        for wire in self.wires:
            wire.close()
        self.sock.close()
        for wire in self.wires:
            assert wire.error is None, f"the origin was sent what is not HTTP: {wire.error}"


class H2Origin(peers.ScriptedPeer):
    """Answers by itself, each request in a thread; handler(request) returns a Reply, or None to close
    the connection. request.connection is its connection's number, .stream its stream."""
    version = "2"

    def __init__(self, handler=None, settings=None, host="127.0.0.1"):
        super().__init__(handler)
        self.raw = H2RawOrigin(settings, host)
        self.raw.sock.settimeout(None)
        self.port, self.address = self.raw.port, self.raw.address
        self.most_streams = []                # of each connection, at once
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                wire = self.raw.accept(background=True)
            except OSError:
                return
            with self.changed:
                self.connections += 1
                self.most_streams.append(0)
            threading.Thread(target=self._serve, args=(wire, self.connections), daemon=True).start()

    def _serve(self, wire, number):
        while True:
            try:
                stream = wire.accept(deadline=3600)
            except (Broken, OSError):
                return
            except NotHttp as e:
                self.failures.append(e)
                return
            self.most_streams[number - 1] = max(self.most_streams[number - 1], wire.open_streams())
            threading.Thread(target=self._answer, args=(stream, number), daemon=True).start()

    def _answer(self, stream, number):
        try:
            served = Served(stream)
            served.connection = number
            served.content = served.rest()
            reply = self.handle(served)
            if reply is None:
                stream.wire.close()
            elif reply.reset is not None:
                served.reset(reply.reset)
            else:
                self._send(served, reply)
        except (Broken, OSError):
            pass
        except Exception as e:                # told when the test ends
            if stream.code is None and not stream.wire.ended:
                self.failures.append(e)

    @staticmethod
    def _send(served, reply):
        for status, fields in reply.interim:
            served.interim(status, fields)
        if reply.streaming and not bodiless(served.method, reply.status):
            served.send_head(reply.status, reply.fields)
            if reply.body:
                served.send(reply.body)
            served.end(reply.trailers)
        else:
            served.answer(reply.status, reply.fields, reply.body, reply.trailers)

    def close(self):
        self.raw.sock.shutdown(socket.SHUT_RDWR)
        self.raw.close()
        assert not self.failures, f"the origin failed: {self.failures}"
