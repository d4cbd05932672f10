"""`protocol auto`: an upstream is asked in what the client spoke, and in HTTP/1.1 where it knows no other."""
import socket

import pytest

import peers_h1
import peers_h2
from h2wire import Broken
from peers import Reply
from h2_raw import H2, HEADERS, Polite, block, headers, request
from wire import DEADLINE, request_bytes, until


def auto(pair, upstream, extra=""):
    """The clusters of pairs say what they speak; this one does not."""
    return pair.start(f"""
        inbound {{ listen 127.0.0.1:{pair.port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; {extra} }}
        """)


SAME = pytest.mark.parametrize("pair", ["h1-h1", "h2-h2"], indirect=True)
FALLBACK = pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)


@SAME
def test_an_origin_is_asked_in_what_the_client_speaks(pair):
    upstream = pair.origin()
    sidecar = auto(pair, upstream)
    client = pair.client()
    for _ in range(3):
        assert client.get().body == b"hello"
    assert upstream.connections == 1
    assert {s["network.protocol.version"] for s in sidecar.wait_spans(3)} == {pair.client_version}


@FALLBACK
def test_an_origin_of_http_1_alone_is_asked_in_that(pair, closing):
    upstream = closing(Tolerant(lambda r: Reply(body=r.content)))
    auto(pair, upstream)
    client = pair.client()
    for i in range(4):
        response = client.ask("POST", f"/{i}", body=b"x" * 1000)
        assert response.status == 200 and response.body == b"x" * 1000
    assert [r.target for r in upstream.requests] == [f"/{i}" for i in range(4)]
    # What was learnt is kept: the preface was tried once, or a few times, not for each request.
    assert upstream.prefaces <= 2


@pytest.mark.parametrize("end", ["answers 400", "closes", "resets"])
@pytest.mark.parametrize("size", [70_000, 1_000_000])
@FALLBACK
def test_an_upload_is_the_first_that_is_asked(pair, closing, size, end):
    """What was sent of it before the origin showed what it speaks is asked again whole."""
    upstream = closing(Tolerant(lambda r: Reply(body=b"%d" % len(r.content)), end))
    auto(pair, upstream, "protocol auto;")
    body = bytes(range(256)) * (size // 256)
    response = pair.client().ask("POST", body=body)
    assert response.status == 200 and response.body == b"%d" % len(body)
    assert [r.content for r in upstream.requests] == [body]


@FALLBACK
def test_requests_at_once_fall_back_together(pair, closing):
    upstream = closing(Tolerant(lambda r: Reply(body=r.target.encode())))
    auto(pair, upstream)
    client = pair.client()
    calls = [client.open("POST", f"/{i}", body=b"abc") for i in range(20)]
    assert [c.response().body for c in calls] == [b"/%d" % i for i in range(20)]
    assert sorted(r.target for r in upstream.requests) == sorted(f"/{i}" for i in range(20))


@pytest.mark.parametrize("end", ["answers 400", "answers 505", "closes", "resets"])
@FALLBACK
def test_however_the_origin_shows_that_it_knows_only_http_1(pair, closing, end):
    upstream = closing(Tolerant(lambda r: Reply(body=b"fine"), end))
    auto(pair, upstream)
    client = pair.client()
    for _ in range(2):
        response = client.ask("POST", body=b"abc")
        assert response.status == 200 and response.body == b"fine"


def test_clients_of_both_protocols_use_one_cluster(pair, closing):
    """Whatever the pair: an origin of HTTP/1.1 alone serves both under auto."""
    upstream = closing(Tolerant(lambda r: Reply(body=b"fine")))
    auto(pair, upstream)
    old = closing(peers_h1.H1Client(pair.port))
    new = closing(peers_h2.H2Client(pair.port))
    for _ in range(3):
        assert old.get().body == b"fine"
        assert new.get().body == b"fine"


class Tolerant(peers_h1.H1Origin):
    """An origin of HTTP/1.1 that is sent the preface of HTTP/2 now and then, and says what such say."""

    def __init__(self, handler, end="answers 400"):
        self.prefaces, self.end = 0, end
        super().__init__(handler)

    def _answer(self, connection, number):
        first = connection.read(4)
        if first == b"PRI ":
            connection.read_until(b"SM\r\n\r\n")
            self.prefaces += 1
            if self.end.startswith("answers"):
                connection.send(f"HTTP/1.1 {self.end[8:]} No\r\nConnection: close\r\n"
                                "Content-Length: 0\r\n\r\n")
            elif self.end == "resets":
                connection.reset()
            return False
        connection.buffer = first + connection.buffer
        return super()._answer(connection, number)


def test_the_preface_and_http_1_share_the_port(pair, connect):
    sidecar = pair.inbound(pair.origin())
    client = connect(sidecar.port)
    client.send(request_bytes())
    assert client.read_response().body == b"hello"
    assert pair.client().get().body == b"hello"


# -- an endpoint that has spoken HTTP/2

GRPC = [("content-type", "application/grpc"), ("te", "trailers")]


def test_an_endpoint_that_has_shown_http_2_is_not_taken_for_another(sidespan, port, closing):
    """It is restarted: a connection that it closes at once says nothing of what it speaks."""
    listener = closing(socket.create_server(("127.0.0.1", 0)))
    listener.settimeout(DEADLINE)
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint 127.0.0.1:{listener.getsockname()[1]}; }}
        """)
    client = closing(Polite(port))

    def asked():
        """A call is sent; the connection that comes for it."""
        stream, = client.streams()
        client.send(headers(stream, request("/a.B/C", "POST", GRPC)))
        return listener.accept()[0]

    server = closing(H2.accepted(asked()))
    server.send(headers(server.until(HEADERS)[-1].stream, block([(":status", "200"), ("grpc-status", "0")])))
    client.until(HEADERS)
    server.close()
    until(lambda: sidecar.metric("sidespan_upstream_connections_open") == 0, "the end of the connection")
    asked().close()
    client.until(HEADERS)                     # whatever became of that call
    for _ in range(2):
        with asked() as again:
            assert again.recv(24, socket.MSG_WAITALL).startswith(b"PRI * HTTP/2.0")


# -- where the client itself says where to

@pytest.mark.parametrize("pair", ["h1-h1", "h2-h1", "h2-h2"], indirect=True)
def test_a_forward_proxy_asks_in_what_the_client_speaks_and_the_server_knows(pair, closing):
    if pair.upstream_protocol == "h1":
        upstream = closing(Tolerant(lambda r: Reply(body=b"hello")))
    else:
        upstream = pair.origin()
    sidecar = pair.start(f"outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; }}")
    client = pair.client()
    target = f"http://{upstream.address}/p?q" if pair.client_protocol == "h1" else "/p?q"
    for _ in range(2):
        response = client.get(target, host=upstream.address)
        assert response.status == 200 and response.body == b"hello"
    assert [(r.target, r.authority) for r in upstream.requests] == [("/p?q", upstream.address)] * 2
    for span in sidecar.wait_spans(2, lambda s: s["http.response.status_code"] == 200):
        assert span["url.full"] == f"http://{upstream.address}/p?q"


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
def test_connect_through_a_forward_proxy_is_a_tunnel_beside_other_streams(pair, raw_origin):
    upstream, other = raw_origin(), raw_origin()
    sidecar = pair.start(f"outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; }}")
    client = pair.client(checks=False)        # h2 wants a :path, which RFC 9113 section 8.5 forbids
    stream = client.wire.open([(":method", "CONNECT"), (":authority", upstream.address)])
    stream.send(b"early")
    stream.wait(lambda: stream.head, "an answer")
    assert dict(stream.head)[":status"] == "200"
    beside = client.wire.open([(":method", "GET"), (":scheme", "http"), (":authority", other.address),
                               (":path", "/")], end=True)
    assert other.accept().read(24).startswith(b"PRI * HTTP/2.0")
    beside.reset()
    server = upstream.accept()
    stream.send(b"\x00ping")
    assert server.read(10) == b"early\x00ping"
    server.send(b"pong")
    assert b"".join(iter_some(stream, 4)) == b"pong"
    stream.end()
    server.expect_end()
    server.send(b"last")
    server.close()
    assert b"".join(iter_some(stream, 4)) == b"last" and stream.some() == b""
    [span] = sidecar.wait_spans(1, lambda s: s.name == "CONNECT")
    assert span["http.response.status_code"] == 200 and span["http.response.body.size"] == 8


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
def test_connect_to_a_closed_port_is_refused_with_a_reason(pair, raw_origin):
    closed = raw_origin()
    closed.close()
    sidecar = pair.start(f"outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; }}")
    client = pair.client(checks=False)
    stream = client.wire.open([(":method", "CONNECT"), (":authority", closed.address)])
    stream.wait(lambda: stream.head, "an answer")
    assert dict(stream.head)[":status"] == "502"
    assert dict(stream.head)["sidespan-reason"] == "connection_refused"
    assert sidecar.wait_span()["error.type"] == "connection_refused"


def iter_some(stream, n):
    while n > 0:
        data = stream.some()
        n -= len(data)
        yield data


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
def test_connect_that_ends_at_once_ends_at_the_server_too(pair, raw_origin):
    upstream = raw_origin()
    pair.start(f"outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; }}")
    client = pair.client(checks=False)
    stream = client.wire.open([(":method", "CONNECT"), (":authority", upstream.address)], end=True)
    server = upstream.accept()
    server.expect_end()
    server.send(b"all")
    server.close()
    assert b"".join(iter_some(stream, 3)) == b"all" and stream.some() == b""
