"""HTTP/2 frames by hand (RFC 9113), good ones and bad ones, and a connection to send them on.

Nothing here keeps a rule of the protocol but those that a test follows itself: what a library would
refuse to send is what most tests need. Fields are written as HPACK literals (RFC 7541) and read by
the package hpack.
"""
import collections
import select
import socket
import struct
import time

import hpack
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from wire import DEADLINE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Frame types, flags, settings and error codes, as in RFC 9113.
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 0x2, 0x3, 0x4
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)

MAX_WINDOW = (1 << 31) - 1

Frame = collections.namedtuple("Frame", "type flags stream payload")


# -- frames

def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def settings(values=(), ack=False):
    """values: pairs of identifier and value."""
    return frame(SETTINGS, ACK if ack else 0, 0, b"".join(struct.pack("!HI", k, v) for k, v in values))


def ping(opaque=b"sidespan", ack=False):
    return frame(PING, ACK if ack else 0, 0, opaque)


def headers(stream, block, end=True, whole=True):
    return frame(HEADERS, (END_STREAM if end else 0) | (END_HEADERS if whole else 0), stream, block)


def continuation(stream, block, whole=True):
    return frame(CONTINUATION, END_HEADERS if whole else 0, stream, block)


def data(stream, payload=b"", end=False, padding=None):
    if padding is None:
        return frame(DATA, END_STREAM if end else 0, stream, payload)
    return frame(DATA, PADDED | (END_STREAM if end else 0), stream, bytes([padding]) + payload + bytes(padding))


def rst_stream(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack("!I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack("!I", increment))


def priority(stream, parent=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack("!IB", parent, weight))


def goaway(last=0, code=NO_ERROR, text=b""):
    return frame(GOAWAY, 0, 0, struct.pack("!II", last, code) + text)


# -- fields

def integer(value, bits, first=0):
    """RFC 7541 section 5.1: below the other bits of the first octet."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = bytearray([first | limit]), value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    out.append(value)
    return bytes(out)


def text(value):
    value = value.encode("latin-1") if isinstance(value, str) else value
    return integer(len(value), 7) + value


def huffman(value):
    """In the Huffman code, shorter or not."""
    coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(value.encode("latin-1"))
    return integer(len(coded), 7, 0x80) + coded


def literal(name, value, indexed=False):
    """A field with a new name; indexed: put into the peer's table, as its number 62."""
    return (b"\x40" if indexed else b"\x00") + text(name) + text(value)


def reference(index):
    """A field out of the table."""
    return integer(index, 7, 0x80)


def block(fields):
    return b"".join(literal(name, value) for name, value in fields)


def request(path="/", method="GET", fields=(), authority="attack.test"):
    """The block of a request."""
    return block([(":method", method), (":scheme", "http"), (":authority", authority), (":path", path), *fields])


# -- a connection

class H2:
    """A connection to 127.0.0.1 after the preface and SETTINGS. Nothing is answered by itself."""

    def __init__(self, port, values=(), start=True, receive_buffer=None):
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(DEADLINE)
        sock.connect(("127.0.0.1", port))
        self._begin(sock)
        if start:
            self.send(PREFACE, settings(values))

    @classmethod
    def accepted(cls, sock, values=()):
        """The side of a server, when the client's preface has come."""
        self = cls.__new__(cls)
        sock.settimeout(DEADLINE)
        self._begin(sock)
        while len(self.got) < len(PREFACE):
            if not (more := sock.recv(1 << 16)):
                raise EOFError("closed amid the preface")
            self.got += more
        assert self.got.startswith(PREFACE), self.got[:100]
        self.got = self.got[len(PREFACE):]
        self.send(settings(values))
        return self

    def _begin(self, sock):
        self.sock = sock
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local_port = self.sock.getsockname()[1]
        self.decoder = hpack.Decoder(max_header_list_size=1 << 20)
        self.got = b""
        self._next = 1

    def streams(self, n=1):
        """The next n identifiers."""
        first, self._next = self._next, self._next + 2 * n
        return range(first, self._next, 2)

    def send(self, *frames):
        self.sock.sendall(b"".join(frames))

    def frames(self):
        """Those that are whole among the bytes in self.got."""
        out, at = [], 0
        while len(self.got) - at >= 9:
            n = int.from_bytes(self.got[at:at + 3], "big")
            if len(self.got) - at < 9 + n:
                break
            kind, flags, stream = struct.unpack_from("!BBI", self.got, at + 3)
            out.append(Frame(kind, flags, stream & MAX_WINDOW, self.got[at + 9:at + 9 + n]))
            at += 9 + n
        self.got = self.got[at:]
        return out

    def read(self):
        """The frames that came, at least one; none: the connection has ended, by FIN or by RST."""
        while not (found := self.frames()):
            try:
                more = self.sock.recv(1 << 16)
            except ConnectionError:
                more = b""
            if not more:
                break
            self.got += more
        return found

    def until(self, *kinds):
        """All frames up to the first of one of these types, that one included."""
        out = []
        while not out or out[-1].type not in kinds:
            found = self.read()
            if not found:
                raise EOFError(f"closed; there came {out}")
            for i, f in enumerate(found):
                out.append(f)
                if f.type in kinds:
                    self.got = b"".join(frame(*rest) for rest in found[i + 1:]) + self.got
                    break
        return out

    def to_end(self):
        """All frames up to the end of the connection."""
        out = []
        while found := self.read():
            out += found
        return out

    def wait(self, seconds):
        """The frames that come in that time; None: the connection has ended."""
        out, end = self.frames(), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.sock], [], [], left)[0]:
                found = self.read()
                if not found:
                    return None
                out += found
        return out

    def fields(self, f):
        """Of a HEADERS frame without padding and priority, which is whole."""
        assert f.type == HEADERS and f.flags & END_HEADERS, f
        return [(str(n), str(v)) for n, v in self.decoder.decode(f.payload)]

    def close(self):
        self.sock.close()


def goaway_code(frames):
    """The code of the last GOAWAY; None: there was none."""
    codes = [struct.unpack_from("!I", f.payload, 4)[0] for f in frames if f.type == GOAWAY]
    return codes[-1] if codes else None


class Reset(Exception):
    """A stream or the connection was ended under a request."""


class Polite(H2):
    """A client that keeps the rules: one request after the other."""

    def __init__(self, port):
        super().__init__(port, [(ENABLE_PUSH, 0)])

    def get(self, path="/", fields=(), method="GET"):
        """Status and body."""
        stream, = self.streams()
        self.send(headers(stream, request(path, method, fields, authority="polite.test")))
        status, body = None, b""
        while True:
            found = self.read()
            if not found:
                raise Reset("the connection was closed")
            for i, f in enumerate(found):
                if f.type in (SETTINGS, PING) and not f.flags & ACK:
                    self.send(settings(ack=True) if f.type == SETTINGS else ping(f.payload, ack=True))
                elif f.type == GOAWAY:
                    raise Reset(f"GOAWAY {goaway_code([f])} {f.payload[8:]!r}")
                elif f.type == RST_STREAM:
                    raise Reset(f"RST_STREAM {f}")
                elif f.type == HEADERS:
                    status = dict(self.fields(f)).get(":status", status)
                elif f.type == DATA:
                    body += f.payload
                    if f.payload:
                        self.send(window_update(0, len(f.payload)), window_update(f.stream, len(f.payload)))
                if f.type in (HEADERS, DATA) and f.flags & END_STREAM and f.stream == stream:
                    self.got = b"".join(frame(*g) for g in found[i + 1:]) + self.got
                    return int(status), body
