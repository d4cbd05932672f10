"""HTTP/2 streams that are opened and stay open: gRPC calls whose first message has come."""
import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind, flags, stream, payload):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def fields(*pairs):
    """Literals of RFC 7541 (section 6.2.2), each shorter than 127 octets."""
    return b"".join(b"\0" + bytes([len(t)]) + t if t is name else bytes([len(t)]) + t
                    for name, value in pairs for t in (name, value))


def opened(port, path, n):
    """A connection to 127.0.0.1 with n calls of gRPC under way: each has got its head and one message.
    The caller closes it."""
    block = fields((b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()),
                   (b":authority", b"bench.local"), (b"content-type", b"application/grpc"), (b"te", b"trailers"))
    out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
    for stream in range(1, 2 * n, 2):
        out += frame(HEADERS, END_HEADERS, stream, block)
        out += frame(DATA, END_STREAM, stream, bytes(5))        # one message, empty
    s = socket.create_connection(("127.0.0.1", port), 5)
    s.sendall(out)
    heads, messages, got = set(), set(), b""
    while len(messages) < n:
        more = s.recv(1 << 16)
        if not more:
            raise ConnectionError("closed")
        got += more
        while len(got) >= 9 and len(got) >= (size := 9 + int.from_bytes(got[:3], "big")):
            kind, flags, stream = struct.unpack_from("!BBI", got, 3)
            got = got[size:]
            if kind == SETTINGS and not flags & ACK:
                s.sendall(frame(SETTINGS, ACK, 0, b""))
            elif kind == HEADERS:
                heads.add(stream)
            elif kind == DATA and stream in heads:
                messages.add(stream)
            if kind in (RST_STREAM, GOAWAY) or kind in (HEADERS, DATA) and flags & END_STREAM:
                s.close()
                raise ConnectionError(f"a stream was ended by a frame of type {kind}")
    return s
