"""`protocol auto`: an upstream is asked in HTTP/1.1 until it was seen to speak HTTP/2; none is sent a preface to try."""
import base64
import hashlib
import re
import socket
import threading

import pytest

import peers_h1
import peers_h2
from peers import Reply
from nghttpd import Nghttpd
from h2_raw import H2, HEADERS, Polite, block, headers, request
from wire import DEADLINE, Wire, request_bytes, until


def auto(pair, upstream, extra=""):
    """The clusters of pairs say what they speak; this one does not."""
    return pair.start(f"""
        inbound {{ listen 127.0.0.1:{pair.port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; {extra} }}
        """)


FROM_H2 = pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
TO_H2 = pytest.mark.parametrize("pair", ["h1-h2", "h2-h2"], indirect=True)


@pytest.mark.parametrize("pair", ["h1-h1", "h2-h1"], indirect=True)
def test_a_server_of_http_1_never_sees_the_preface(pair, closing):
    upstream = closing(Tolerant(lambda r: Reply(body=r.content)))
    sidecar = auto(pair, upstream)
    client = pair.client()
    for i in range(4):
        response = client.ask("POST", f"/{i}", body=b"x" * 1000)
        assert response.status == 200 and response.body == b"x" * 1000
    assert [r.target for r in upstream.requests] == [f"/{i}" for i in range(4)]
    assert upstream.prefaces == 0
    assert len(sidecar.wait_spans(4)) == 4


@pytest.mark.parametrize("end", ["answers 400", "answers 505"])
@pytest.mark.parametrize("size", [70_000, 1_000_000])
@FROM_H2
def test_an_upload_of_grpc_is_the_first_that_is_asked(pair, closing, size, end):
    """It goes by HTTP/2. What was sent of it before the origin showed what it speaks is asked again whole."""
    upstream = closing(Tolerant(lambda r: Reply(body=b"%d" % len(r.content)), end))
    auto(pair, upstream, "protocol auto;")
    body = bytes(range(256)) * (size // 256)
    response = pair.client().ask("POST", body=body, fields=["content-type: application/grpc"])
    assert response.status == 200 and response.body == b"%d" % len(body)
    assert [r.content for r in upstream.requests] == [body]


@FROM_H2
def test_what_one_worker_has_learnt_all_know(pair, closing):
    """Calls of gRPC on connections of their own, which all workers get, to an origin of HTTP/1.1 alone."""
    upstream = closing(Tolerant(lambda r: Reply(body=r.target.encode())))
    pair.start(f"""
        workers 4;
        inbound {{ listen 127.0.0.1:{pair.port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; }}
        """)
    for i in range(24):
        response = pair.client().ask("POST", f"/{i}", body=b"call", fields=["content-type: application/grpc"])
        assert response.status == 200 and response.body == b"/%d" % i
    assert upstream.prefaces == 1
    assert upstream.connections > 2, "several workers have asked"


@FROM_H2
def test_requests_at_once_are_all_asked_in_http_1(pair, closing):
    upstream = closing(Tolerant(lambda r: Reply(body=r.target.encode())))
    auto(pair, upstream)
    client = pair.client()
    calls = [client.open("POST", f"/{i}", body=b"abc") for i in range(20)]
    assert [c.response().body for c in calls] == [b"/%d" % i for i in range(20)]
    assert sorted(r.target for r in upstream.requests) == sorted(f"/{i}" for i in range(20))
    assert upstream.prefaces == 0


def test_clients_of_both_protocols_use_one_cluster(pair, closing):
    """Whatever the pair: an origin of HTTP/1.1 alone serves both under auto."""
    upstream = closing(Tolerant(lambda r: Reply(body=b"fine")))
    auto(pair, upstream)
    old = closing(peers_h1.H1Client(pair.port))
    new = closing(peers_h2.H2Client(pair.port))
    for _ in range(3):
        assert old.get().body == b"fine"
        assert new.get().body == b"fine"
    assert upstream.prefaces == 0


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
            if self.end == "resets":
                connection.reset()
                return False
            if self.end.startswith("answers"):
                connection.send(f"HTTP/1.1 {self.end[8:]} No\r\nConnection: close\r\n"
                                "Content-Length: 0\r\n\r\n")
            connection.finish()
            return False
        connection.buffer = first + connection.buffer
        return super()._answer(connection, number)


def test_the_preface_and_http_1_share_the_port(pair, connect):
    sidecar = pair.inbound(pair.origin())
    client = connect(sidecar.port)
    client.send(request_bytes())
    assert client.read_response().body == b"hello"
    assert pair.client().get().body == b"hello"


# -- an endpoint that speaks HTTP/2 alone

class Accepting:
    """Listens at `address`; met() has each connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.met(connection)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Alone(Accepting):
    """What servers of HTTP/2 alone do, in front of an origin that is one: SETTINGS are the first they say, before
    anything was asked (`eager`) or when something was, and whoever does not begin with the preface is hung up on,
    which resets the connection where more of the request is unread."""

    def __init__(self, origin, eager=True):
        self.origin, self.eager, self.others = origin, eager, 0
        super().__init__()

    def met(self, connection):
        threading.Thread(target=self._look, args=(connection,), daemon=True).start()

    def _look(self, connection):
        settings = b"\0\0\0\x04\0\0\0\0\0"
        with connection:
            connection.settimeout(DEADLINE)
            if self.eager:
                connection.sendall(settings)
            first = connection.recv(24, socket.MSG_WAITALL)
            if not first.startswith(b"PRI "):
                self.others += bool(first)
                if not self.eager:
                    connection.sendall(settings)
                return
            host, port = self.origin.address.split(":")
            with socket.create_connection((host, int(port))) as inner:
                inner.sendall(first)
                there = threading.Thread(target=copy, args=(connection, inner), daemon=True)
                there.start()
                copy(inner, connection)
                there.join(DEADLINE)


def copy(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        b.close()


@pytest.mark.parametrize("eager", [True, False], ids=["says SETTINGS first", "says SETTINGS when asked"])
@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"x" * 20_000), ("POST", b"y" * 1_000_000)],
                         ids=["GET", "POST", "a large POST"])
@TO_H2
def test_an_endpoint_that_speaks_http_2_alone_is_asked_in_that(pair, closing, method, body, eager):
    upstream = pair.origin(lambda r: Reply(body=r.content))
    alone = closing(Alone(upstream, eager))
    sidecar = auto(pair, alone)
    client = pair.client()
    for _ in range(5):
        response = client.ask(method, body=body)
        assert response.status == 200 and response.body == (body or b"")
    assert len(upstream.requests) == 5
    assert alone.others <= 1                  # it is remembered
    sidecar.wait_log("speaks HTTP/2 alone")


@TO_H2
def test_requests_at_once_go_to_http_2_together(pair, closing):
    upstream = pair.origin(lambda r: Reply(body=r.target.encode()))
    auto(pair, closing(Alone(upstream)))
    calls = [pair.client().open("POST", f"/{i}", body=b"abc") for i in range(20)]
    assert [c.response().body for c in calls] == [b"/%d" % i for i in range(20)]
    assert sorted(r.target for r in upstream.requests) == sorted(f"/{i}" for i in range(20))


def test_a_real_server_of_http_2_alone_serves_clients_of_both(pair, closing, tmp_path):
    """nghttpd, whatever the pair."""
    server = closing(Nghttpd(tmp_path / "served", {"page": b"from nghttpd"}))
    auto(pair, server)
    old = closing(peers_h1.H1Client(pair.port))
    new = closing(peers_h2.H2Client(pair.port))
    for client in (old, new, old):
        assert client.get("/page").body == b"from nghttpd"


@pytest.mark.parametrize("pair", ["h1-h2", "h2-h2"], indirect=True)
def test_a_large_upload_is_the_first_that_a_real_server_of_http_2_alone_gets(pair, closing, tmp_path):
    server = closing(Nghttpd(tmp_path / "served", {"page": b"from nghttpd"}, ["--echo-upload"]))
    auto(pair, server)
    body = bytes(range(256)) * 8000
    response = pair.client().ask("POST", "/page", body=body)
    assert response.status == 200 and response.body == body


@pytest.mark.parametrize("pair", ["h1-h1", "h2-h1"], indirect=True)
def test_a_large_upload_to_who_says_nothing_goes_on(pair):
    """A server of HTTP/1.1 is silent until it has read all; so the upload waits a moment, and not for ever."""
    upstream = pair.origin(lambda r: Reply(body=b"%d" % len(r.content)))
    auto(pair, upstream)
    for size in (2_000_000, 1_000_000):
        assert pair.client().ask("POST", body=b"x" * size).body == b"%d" % size


# -- an endpoint whose server is replaced

class Place(Accepting):
    """An address at which another server may come to stand."""

    def __init__(self, server):
        self.at, self.open = server.address, set()
        super().__init__()

    def met(self, connection):
        host, port = self.at.split(":")
        inner = socket.create_connection((host, int(port)))
        self.open |= {connection, inner}
        for way in ((connection, inner), (inner, connection)):
            threading.Thread(target=copy_or_reset, args=way, daemon=True).start()

    def replace(self, server):
        self.at = server.address
        for s in self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open.clear()

    def close(self):
        super().close()
        self.replace(self)


def copy_or_reset(a, b):
    copy(a, b)
    try:
        a.shutdown(socket.SHUT_RD)
    except OSError:
        pass


BODIES = pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"x" * 20_000)], ids=["GET", "POST"])


@BODIES
@TO_H2
def test_who_spoke_http_1_and_speaks_http_2_alone_is_asked_in_that_at_once(pair, closing, method, body):
    old, new = closing(Tolerant(lambda r: Reply(body=b"old"))), pair.origin(lambda r: Reply(body=b"new"))
    place = closing(Place(old))
    sidecar = auto(pair, place)
    client = pair.client()
    for _ in range(3):
        assert client.ask(method, body=body).body == b"old"
    place.replace(closing(Alone(new)))
    until(lambda: sidecar.metric("sidespan_upstream_connections_open") == 0, "the end of the connection")
    for _ in range(3):
        response = client.ask(method, body=body)
        assert response.status == 200 and response.body == b"new"


@pytest.mark.parametrize("end", ["answers 400", "closes"])
@BODIES
@TO_H2
def test_who_spoke_http_2_and_speaks_http_1_alone_is_asked_in_that(pair, closing, method, body, end):
    """At once where it says so. Who hangs up may have been restarted; who does so again has been replaced."""
    old, new = pair.origin(lambda r: Reply(body=b"old")), closing(Tolerant(lambda r: Reply(body=b"new"), end))
    place = closing(Place(closing(Alone(old))))
    sidecar = auto(pair, place)
    client = pair.client()
    for _ in range(3):
        assert client.ask(method, body=body).body == b"old"
    place.replace(new)
    until(lambda: sidecar.metric("sidespan_upstream_connections_open") == 0, "the end of the connection")
    statuses = [client.ask(method, body=body).status for _ in range(6)]
    assert statuses == ([200] * 6 if end == "answers 400" else [502] * 2 + [200] * 4)
    assert new.prefaces == (1 if end == "answers 400" else 2)


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


@pytest.mark.parametrize("known", [False, True], ids=["unheard", "seen to speak HTTP/2"])
@FROM_H2
def test_a_websocket_goes_by_http_1_to_who_speaks_that(pair, closing, known):
    """Few servers of HTTP/2 take one over it (RFC 8441)."""
    listener = closing(socket.create_server(("127.0.0.1", 0)))
    listener.settimeout(DEADLINE)
    pair.start(f"""
        inbound {{ listen 127.0.0.1:{pair.port}; route / {{ to app; }} }}
        cluster app {{ endpoint 127.0.0.1:{listener.getsockname()[1]}; }}
        """)
    if known:
        grpc = closing(Polite(pair.port))
        stream, = grpc.streams()
        grpc.send(headers(stream, request("/a.B/C", "POST", GRPC)))
        server = closing(H2.accepted(listener.accept()[0]))
        server.send(headers(server.until(HEADERS)[-1].stream, block([(":status", "200"), ("grpc-status", "0")])))
        grpc.until(HEADERS)
    call = pair.client().websocket("/chat")
    with listener.accept()[0] as wire:
        head = Wire(wire).read_until(b"\r\n\r\n")
        assert head.startswith(b"GET /chat HTTP/1.1\r\n")
        key = re.search(rb"(?im)^sec-websocket-key: (.*)\r$", head)[1]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        wire.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\nhello")
        call.switched()
        assert b"".join(iter_some(call, 5)) == b"hello"


# -- where the client itself says where to

def test_a_forward_proxy_asks_in_what_the_server_knows(pair, closing):
    if pair.upstream_protocol == "h1":
        upstream = closing(Tolerant(lambda r: Reply(body=b"hello")))
        served = upstream
    else:
        served = pair.origin()
        upstream = closing(Alone(served))
    sidecar = pair.start(f"outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; }}")
    client = pair.client()
    target = f"http://{upstream.address}/p?q" if pair.client_protocol == "h1" else "/p?q"
    for _ in range(2):
        response = client.get(target, host=upstream.address)
        assert response.status == 200 and response.body == b"hello"
    assert [(r.target, r.authority) for r in served.requests] == [("/p?q", upstream.address)] * 2
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
    assert other.accept().read(6) == b"GET / "
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
def test_connect_to_a_closed_port_is_refused_with_a_reason(pair, refusing):
    sidecar = pair.start(f"outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; }}")
    client = pair.client(checks=False)
    stream = client.wire.open([(":method", "CONNECT"), (":authority", refusing)])
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
