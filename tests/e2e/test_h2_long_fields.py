"""A field of a head that is longer than the library of HTTP/2 takes (64 KiB) is a matter of its own
stream, by the limit that the file says; the connection, and the table of its compression, go on."""
import socket

import pytest

from h2_raw import (DATA, END_STREAM, H2, HEADERS, RST_STREAM, Polite, block, continuation, data, headers, huffman, literal,
                    reference, request, text, window_update)
from process import free_port
from wire import request_bytes, response_bytes

GET = request()
OK = block([(":status", "200")])

LONG = 110_000
OVER = 300_000                              # of a response


def in_frames(stream, fields, end=True, size=16384):
    """A block in as many frames as it takes."""
    parts = [fields[i:i + size] for i in range(0, len(fields), size)] or [b""]
    return b"".join(headers(stream, p, end=end, whole=len(parts) == 1) if i == 0 else
                    continuation(stream, p, whole=i == len(parts) - 1) for i, p in enumerate(parts))


def answer(client, stream):
    """Status and body, whatever other streams have."""
    status, body = None, b""
    while True:
        for f in client.read() or pytest.fail("the connection was closed"):
            assert f.type != RST_STREAM, f
            if f.type == HEADERS:
                status = dict(client.fields(f)).get(":status", status)
            elif f.type == DATA:
                body += f.payload
                if f.payload:
                    client.send(window_update(0, len(f.payload)), window_update(f.stream, len(f.payload)))
            if f.type in (HEADERS, DATA) and f.flags & END_STREAM and f.stream == stream:
                return int(status), body


def value(request, name):
    return (request.get(name) or "").encode("latin-1")


@pytest.fixture
def echo(sidespan, port, origin, closing):
    """echo(limits): a client of one whose origin answers with x-long, and x-after."""
    def start(limits=""):
        service = origin(lambda r: response_bytes(body=b"%s %s" % (value(r, "x-long"), value(r, "x-after"))))
        sidespan(f"""
            inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
            cluster app {{ endpoint {service.address}; protocol h1; }}
            limits {{ {limits} }}
            """)
        return closing(Polite(port))

    return start


# Of a field named x-long, however it is written: RFC 7541 sections 6.2.1 to 6.2.3.
WRITTEN = {
    "without indexing": lambda v: b"\x00" + text("x-long") + text(v),
    "never indexed": lambda v: b"\x10" + text("x-long") + text(v),
    "with indexing": lambda v: b"\x40" + text("x-long") + text(v),
    "huffman": lambda v: b"\x00" + text("x-long") + huffman(v),
    "huffman, with indexing": lambda v: b"\x40" + text("x-long") + huffman(v),
}


@pytest.mark.parametrize("size", [16384, 8000])
@pytest.mark.parametrize("written", WRITTEN)
def test_one_over_the_limit_is_a_431_of_its_stream(echo, written, size):
    client = echo()
    first, second, third = client.streams(3)
    client.send(headers(first, GET + literal("x-after", "1", indexed=True)))
    assert answer(client, first) == (200, b" 1")
    long = WRITTEN[written]("v" * LONG + "~" * 70_000)
    client.send(in_frames(second, GET + long + literal("x-after", "2", indexed=True), size=size))
    status, body = answer(client, second)
    assert status == 431 and b"header-bytes" in body
    client.send(headers(third, GET + reference(62)))  # the newest of the table
    assert answer(client, third) == (200, b" 2")


@pytest.mark.parametrize("size", [16384, 4999])
@pytest.mark.parametrize("written", WRITTEN)
def test_the_limit_is_the_one_that_the_file_says(echo, written, size):
    client = echo("header-bytes 256k; buffer-bytes 256k;")
    stream, last = client.streams(2)
    value = "".join(chr(33 + i % 90) for i in range(LONG))
    if written.startswith("huffman"):
        value = "0" * (2 * LONG - 20_000)     # five bits each
    client.send(in_frames(stream, GET + WRITTEN[written](value) + literal("x-after", "2", indexed=True), size=size))
    status, body = answer(client, stream)
    assert status == 200
    assert body.decode() == f"{value} 2"
    client.send(headers(last, GET + reference(62)))
    assert answer(client, last) == (200, b" 2")


# What no value has (RFC 9110 section 5.5): in HTTP/1.1 it would be a field of its own, or a request.
FORBIDDEN = ["\r\nx-after: smuggled\r\nx-rest: ", "\n", "\0"]


@pytest.mark.parametrize("forbidden", FORBIDDEN)
@pytest.mark.parametrize("written", WRITTEN)
def test_what_no_value_may_have_is_refused_in_a_long_one_as_in_a_short_one(echo, written, forbidden):
    client = echo("header-bytes 256k; buffer-bytes 256k;")
    short, long, last = client.streams(3)
    client.send(headers(short, GET + WRITTEN[written]("v" + forbidden)))
    refused = client.until(RST_STREAM)[-1]
    client.send(in_frames(long, GET + WRITTEN[written]("v" * LONG + forbidden + "0" * 70_000)))
    again = client.until(RST_STREAM)[-1]
    assert (again.stream, again.payload) == (long, refused.payload)
    client.send(headers(last, GET + literal("x-after", "1")))
    assert answer(client, last) == (200, b" 1")


@pytest.mark.parametrize("forbidden", FORBIDDEN)
def test_nor_may_a_response_have_it(sidespan, port, connect, closing, forbidden):
    listener = closing(socket.create_server(("127.0.0.1", 0)))
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint 127.0.0.1:{listener.getsockname()[1]}; protocol h2; }}
        """)
    client = connect(port)
    client.send(request_bytes())
    server = closing(H2.accepted(listener.accept()[0]))
    asked = server.until(HEADERS)[-1].stream
    server.send(in_frames(asked, OK + literal("x-long", "v" * LONG + forbidden, indexed=True)))
    response = client.read_response()
    assert response.status == 502 and response.get("sidespan-reason") == "protocol_error"


def test_a_name_over_the_limit_is_a_431_too(echo):
    client = echo()
    first, second = client.streams(2)
    client.send(in_frames(first, GET + literal("x" * LONG, "", indexed=True) + literal("x-after", "2", indexed=True)))
    assert answer(client, first)[0] == 431
    client.send(headers(second, GET + reference(62)))
    assert answer(client, second) == (200, b" 2")


def test_trailers_over_the_limit_are_a_431(echo):
    client = echo()
    stream, = client.streams()
    client.send(headers(stream, request("/", "POST"), end=False), data(stream, b"body"),
                in_frames(stream, literal("x-long", "v" * LONG)))
    assert answer(client, stream)[0] == 431
    assert client.get("/")[0] == 200


def test_of_a_call_it_is_resource_exhausted(echo):
    client = echo()
    stream, = client.streams()
    call = request("/a.B/C", "POST", [("content-type", "application/grpc"), ("te", "trailers")])
    client.send(in_frames(stream, call + literal("x-long", "v" * LONG)))
    f = client.until(HEADERS)[-1]
    assert dict(client.fields(f))["grpc-status"] == "8"
    assert client.get("/")[0] == 200


def test_a_response_over_the_limit_is_its_requests_matter(sidespan, port, connect, closing):
    listener = closing(socket.create_server(("127.0.0.1", 0)))
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint 127.0.0.1:{listener.getsockname()[1]}; protocol h2; }}
        """)
    client = connect(port)
    client.send(request_bytes())
    server = closing(H2.accepted(listener.accept()[0]))
    asked = server.until(HEADERS)[-1].stream
    server.send(in_frames(asked, OK + literal("x-long", "v" * OVER, indexed=True) + literal("x-after", "2", indexed=True)))
    response = client.read_response()
    assert response.status == 502 and response.get("sidespan-reason") == "response_limit"
    assert response.get("sidespan-ended-by") == "sidecar"
    client.send(request_bytes())
    asked = server.until(HEADERS)[-1].stream
    server.send(headers(asked, OK + reference(62)))
    response = client.read_response()
    assert response.status == 200 and response.get("x-after") == "2"


def test_between_two_sidecars_it_hurts_no_neighbour(sidespan, connect, raw_origin):
    """HTTP/1.1, then HTTP/2 from one to the other: what the far one does not take the near one does not send."""
    near_port, far_port = free_port(), free_port()
    service = raw_origin()
    far = sidespan(f"""
        inbound {{ listen 127.0.0.1:{far_port}; route / {{ to app; }} }}
        cluster app {{ endpoint {service.address}; protocol h1; }}
        """, name="far.conf")
    near = sidespan(f"""
        outbound {{ listen 127.0.0.1:{near_port}; route / {{ to far; }} }}
        cluster far {{ endpoint 127.0.0.1:{far_port}; protocol h2; }}
        limits {{ header-bytes 256k; }}
        """, name="near.conf")
    neighbour = connect(near_port)
    neighbour.send(request_bytes())
    served = service.accept()
    served.read_request()
    response = connect(near_port).get("/", f"X-Long: {'v' * LONG}")
    assert response.status == 431 and response.get("sidespan-reason") == "head-too-large-for-upstream"
    served.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")
    assert neighbour.read_response().body == b"fine"
    assert "abuse" not in near.log() + far.log()
