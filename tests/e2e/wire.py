"""One connection's bytes, and HTTP/1 read from them strictly.

Everything waits for an event under a deadline; nothing sleeps. What is read is kept exactly as it
came, so that a test can compare order, case and chunk borders byte for byte.
"""
import os
import re
import select
import socket
import struct
import time

# Generous: it is only reached by a test that fails. A machine under load, or a binary built with
# sanitizers, needs more.
DEADLINE = float(os.environ.get("E2E_DEADLINE", "10"))


def readable(sockets, timeout):
    """Those that have something to read, as soon as one has; select(2) knows only 1,024 descriptors."""
    poll = select.poll()
    by_descriptor = {s.fileno(): s for s in sockets}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    return [by_descriptor[d] for d, _ in poll.poll(max(timeout, 0) * 1000)]


class NotHttp(AssertionError):
    """The peer sent what HTTP/1.1 does not allow."""


class Message:
    """A request or a response, whole."""

    def __init__(self, head):
        self.head = head                      # exact bytes, the empty line included
        lines = head[:-4].split(b"\r\n")
        for line in lines:
            if b"\r" in line or b"\n" in line or b"\0" in line:
                raise NotHttp(f"a line with CR, LF or NUL in it: {line!r}")
        self.start_line = lines[0].decode("latin-1")
        self.fields = []                      # (name, value) in order, case kept
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                raise NotHttp(f"not a header: {line!r}")
            self.fields.append((name.decode(), value.strip(b" \t").decode("latin-1")))
        self.body = b""
        self.chunks = None                    # sizes, when it came in chunks
        self.trailers = []

    def all(self, name):
        """The values of every field of that name."""
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name):
        """The value of the one field of that name; None: there is none."""
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{name} came {len(values)} times: {values}")
        return values[0] if values else None

    def names(self):
        return [n for n, _ in self.fields]

    def framing(self):
        """('chunked', None), ('length', N) or (None, None); raises for what is ambiguous."""
        coding, lengths = self.all("transfer-encoding"), self.all("content-length")
        if coding and lengths:
            raise NotHttp("both Transfer-Encoding and Content-Length")
        if coding:
            if coding != ["chunked"]:
                raise NotHttp(f"Transfer-Encoding {coding}")
            return "chunked", None
        if len(lengths) > 1 or lengths and not re.fullmatch(r"[0-9]+", lengths[0]):
            raise NotHttp(f"Content-Length {lengths}")
        return ("length", int(lengths[0])) if lengths else (None, None)


class Request(Message):
    def __init__(self, head):
        super().__init__(head)
        match = re.fullmatch(r"(\S+) (\S+) HTTP/(1\.[01])", self.start_line)
        if not match:
            raise NotHttp(f"not a request line: {self.start_line!r}")
        self.method, self.target, self.version = match.groups()

    def __repr__(self):
        return f"<{self.method} {self.target}>"


class Response(Message):
    def __init__(self, head):
        super().__init__(head)
        match = re.fullmatch(r"HTTP/(1\.[01]) ([1-5][0-9][0-9]) ([^\r\n]*)", self.start_line)
        if not match:
            raise NotHttp(f"not a status line: {self.start_line!r}")
        self.version, self.status, self.reason = match[1], int(match[2]), match[3]
        self.interim = []                     # 1xx that came before it

    def __repr__(self):
        return f"<{self.status} {self.reason}>"


class Wire:
    """A connected socket with a buffer of what has come and was not read yet."""

    def __init__(self, sock, deadline=None):
        self.sock = sock
        self.buffer = b""
        self.ended = False                    # FIN has come
        self.deadline = deadline or DEADLINE
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self.deadline)

    @classmethod
    def connect(cls, port, host="127.0.0.1", receive_buffer=None):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(DEADLINE)
        sock.connect((host, port))
        return cls(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def local_port(self):
        return self.sock.getsockname()[1]

    @property
    def peer_port(self):
        return self.sock.getpeername()[1]

    # -- bytes

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def _fill(self):
        """Waits for more bytes; False at the end of the stream."""
        if self.ended:
            return False
        data = self.sock.recv(1 << 16)
        if not data:
            self.ended = True
            return False
        self.buffer += data
        return True

    def read(self, n):
        """Exactly n bytes."""
        if n > 1 << 20:
            return self._read_large(n)
        while len(self.buffer) < n:
            if not self._fill():
                raise EOFError(f"closed after {len(self.buffer)} of {n} bytes: {self.buffer[:200]!r}")
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def _read_large(self, n):
        out = bytearray(self.buffer[:n])
        self.buffer = self.buffer[n:]
        while len(out) < n:
            data = self.sock.recv(min(1 << 20, n - len(out)))
            if not data:
                raise EOFError(f"closed after {len(out)} of {n} bytes")
            out += data
        return bytes(out)

    def count(self, n):
        """Reads exactly n bytes and throws them away."""
        n -= len(self.buffer[:n])
        self.buffer = b""
        scratch = memoryview(bytearray(1 << 18))
        while n:
            got = self.sock.recv_into(scratch, min(n, len(scratch)))
            if not got:
                raise EOFError(f"closed with {n} bytes to come")
            n -= got

    def read_some(self):
        """What there is, at least one byte; b"" at the end."""
        if not self.buffer:
            self._fill()
        data, self.buffer = self.buffer, b""
        return data

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self._fill():
                raise EOFError(f"closed before {mark!r}: {self.buffer[:400]!r}")
        end = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def read_to_end(self):
        """Everything up to FIN."""
        while self._fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def expect_end(self):
        """The peer closes, with FIN, and sends nothing before."""
        rest = self.read_to_end()
        assert rest == b"", f"bytes before the end: {rest[:400]!r}"

    def expect_broken(self):
        """The peer ends the connection, with FIN or RST; the bytes before."""
        try:
            return self.read_to_end()
        except ConnectionError:
            data, self.buffer = self.buffer, b""
            return data

    def quiet(self, seconds=0.15):
        """Nothing comes for a moment. A passing run pays the moment: use it where nothing else
        shows that something did not happen."""
        if self.buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            self._fill()
            return False
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(self.deadline)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def finish(self):
        """Ends with FIN for certain: what is still unread would make a reset of a close."""
        self.half_close()
        self.expect_broken()
        self.close()

    def reset(self):
        """RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    # -- messages

    def read_head(self):
        return self.read_until(b"\r\n\r\n")

    def read_chunk(self):
        """One chunk: its bytes, b"" for the last (trailers are then still to be read)."""
        line = self.read_until(b"\r\n")[:-2]
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", line):
            raise NotHttp(f"not a chunk size: {line!r}")
        size = int(line, 16)
        if size == 0:
            return b""
        data = self.read(size)
        if self.read(2) != b"\r\n":
            raise NotHttp("no CRLF after a chunk")
        return data

    def read_trailers(self):
        lines = b""
        while not lines.endswith(b"\r\n\r\n") and lines != b"\r\n":
            lines += self.read_until(b"\r\n")
        if lines == b"\r\n":
            return []
        return Message(b"x\r\n" + lines).fields

    def _read_body(self, message, until_close):
        kind, length = message.framing()
        if kind == "chunked":
            message.chunks = []
            body = []
            while chunk := self.read_chunk():
                message.chunks.append(len(chunk))
                body.append(chunk)
            message.body = b"".join(body)
            message.trailers = self.read_trailers()
        elif kind == "length":
            message.body = self.read(length)
        elif until_close:
            message.body = self.read_to_end()
        return message

    def read_request(self, body=True):
        request = Request(self.read_head())
        return self._read_body(request, until_close=False) if body else request

    def read_response(self, method="GET", body=True):
        """The final response; those before it are in its .interim."""
        interim = []
        while True:
            response = Response(self.read_head())
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        bodiless = method == "HEAD" or response.status in (101, 204, 304)
        if body and not bodiless:
            self._read_body(response, until_close=True)
        return response

    def ask(self, method="GET", target="/", fields=(), body=None, host="service.test"):
        """Sends a request and reads its response. fields: "Name: value" each."""
        self.send(request_bytes(method, target, fields, body, host))
        return self.read_response(method)

    def get(self, target="/", *fields, host="service.test"):
        return self.ask("GET", target, fields, host=host)


def told_on(port, data=b""):
    """All that comes on a connection until its end, when these bytes were sent. It may be over before they
    are, or before connect() has come back."""
    wire = None
    try:
        wire = Wire.connect(port)
        wire.send(data)
    except ConnectionError:
        if wire is None:
            return b""
    with wire:
        return wire.expect_broken()


def request_bytes(method="GET", target="/", fields=(), body=None, host="service.test"):
    lines = [f"{method} {target} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += fields
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def response_bytes(status=200, fields=(), body=b"", reason="OK"):
    lines = [f"HTTP/1.1 {status} {reason}", *fields, f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def chunked(*chunks, trailers=()):
    """A chunked body with exactly these borders."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks)
    return out + b"0\r\n" + b"".join(t.encode() + b"\r\n" for t in trailers) + b"\r\n"


def until(condition, what, deadline=None):
    """Asks again and again until the condition gives something true, and returns that."""
    end = time.monotonic() + (deadline or DEADLINE)
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain for: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
