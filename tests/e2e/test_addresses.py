"""Several addresses: each is tried that may be, at once where one refuses, soon where one does not
answer; and what does not answer is not waited for again and again.

A connect-timeout of a minute in these tests shows that it was never waited for."""
import pathlib
import socket
import threading

import pytest

from h2wire import H2Wire
from origins import BlackHole, RawOrigin
from process import free_port, nobody
from wire import Wire, request_bytes, response_bytes

has_ipv6 = pathlib.Path("/proc/net/if_inet6").exists() and \
    "00000000000000000000000000000001" in pathlib.Path("/proc/net/if_inet6").read_text()
needs_ipv6 = pytest.mark.skipif(not has_ipv6, reason="no IPv6 on the loopback interface")


@pytest.fixture
def black_hole(closing):
    return lambda *arguments: closing(BlackHole(*arguments))


def echo(origin, host="127.0.0.1"):
    """What is sent comes back."""
    def handler(request):
        return response_bytes(body=b"good")
    return origin(handler, host=host)


@pytest.fixture
def proxy(sidespan, port):
    sidecar = sidespan(f"outbound {{ listen 127.0.0.1:{port} forward-proxy; }}")
    sidecar.port = port
    return sidecar


def connect_tunnel(port, target):
    """CONNECT, and a request within it; the status of CONNECT where that was not 200."""
    with Wire.connect(port) as client:
        client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
        response = client.read_response(body=False)
        if response.status != 200:
            return response.status
        client.send(request_bytes())
        return client.read_response().body


HOSTS = ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)]


@pytest.mark.parametrize("host", HOSTS)
def test_connect_tries_every_address_of_the_name(proxy, origin, host):
    server = echo(origin, host)
    assert [connect_tunnel(proxy.port, f"localhost:{server.port}") for _ in range(20)] == \
        [b"good"] * 20


@pytest.mark.parametrize("host", HOSTS)
def test_a_connect_of_http2_tries_every_address_of_the_name(proxy, origin, closing, host):
    server = echo(origin, host)
    wire = closing(H2Wire.connect(proxy.port, checks=False))
    for _ in range(10):
        stream = wire.open([(":method", "CONNECT"), (":authority", f"localhost:{server.port}")])
        stream.wait(lambda: stream.head, "the answer")
        assert dict(stream.head)[":status"] == "200"
        stream.send(request_bytes())
        assert b"good" in stream.some()
        stream.end()


@needs_ipv6
def test_connect_does_not_wait_for_an_address_that_does_not_answer(proxy, origin, black_hole):
    """RFC 8305: the other family is tried beside it."""
    server = echo(origin)
    black_hole("::1", server.port)
    for _ in range(4):
        assert connect_tunnel(proxy.port, f"localhost:{server.port}") == b"good"
        with Wire.connect(proxy.port) as client:
            host = f"localhost:{server.port}"
            assert client.ask("GET", f"http://{host}/", host=host).body == b"good"


def test_connect_to_nobody_is_told(proxy):
    assert connect_tunnel(proxy.port, f"localhost:{free_port()}") == 502


def listener(sidespan, port, *endpoints, rest="", carries=""):
    return sidespan(f"""
        inbound {{ listen 127.0.0.1:{port} {carries}; route / {{ to app; }} }}
        cluster app {{ {" ".join(f"endpoint {e};" for e in endpoints)} {rest} }}
        """)


def tunnel_through(port):
    """Bytes that are not HTTP; the origin sends them back."""
    try:
        with Wire.connect(port) as client:
            client.send(b"\x16\x03\x01\x00\x05hello")   # as TLS begins
            return client.read(10)
    except (EOFError, ConnectionError):       # over, perhaps before connect() came back
        return b""


class EchoBytes(RawOrigin):
    """Bytes come back, on every connection."""

    def __init__(self):
        super().__init__()
        self.sock.settimeout(None)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._copy, args=(connection,), daemon=True).start()

    @staticmethod
    def _copy(connection):
        try:
            while data := connection.recv(1 << 16):
                connection.sendall(data)
        except OSError:
            pass
        connection.close()

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        super().close()


def test_a_tunnel_tries_every_endpoint(sidespan, port, closing):
    server = closing(EchoBytes())
    listener(sidespan, port, server.address, nobody(), carries="auto")
    assert [tunnel_through(port) for _ in range(30)] == [b"\x16\x03\x01\x00\x05hello"] * 30


def test_a_tunnel_does_not_wait_for_an_endpoint_that_does_not_answer(sidespan, port, closing,
                                                                     black_hole):
    server = closing(EchoBytes())
    listener(sidespan, port, black_hole().address, server.address,
             rest="connect-timeout 60s;", carries="auto")
    for _ in range(10):
        assert tunnel_through(port) == b"\x16\x03\x01\x00\x05hello"


@pytest.mark.parametrize("balance", ["round-robin", "least-request", "random"])
def test_a_request_does_not_wait_for_an_endpoint_that_does_not_answer(
        sidespan, port, origin, black_hole, connect, balance):
    server = echo(origin)
    sidecar = listener(sidespan, port, black_hole().address, black_hole().address, server.address,
                       rest=f"connect-timeout 60s; balance {balance}; pool requests 1;")
    for _ in range(30):
        assert connect(port).get().body == b"good"
    assert sidecar.metric('sidespan_upstream_connects_total{result="connected"}') == 30


def test_a_pair_does_not_wait_for_an_endpoint_that_does_not_answer(pair, black_hole):
    pair.inbound([black_hole(), pair.origin()], cluster="connect-timeout 60s;")
    for _ in range(6):
        assert pair.client().get().status == 200


def test_what_does_not_answer_is_asked_again_without_a_request_waiting(
        sidespan, port, origin, black_hole, connect):
    server, hole = echo(origin), black_hole()
    sidecar = listener(sidespan, port, hole.address, server.address,
                       rest="connect-timeout 60s; pool requests 1;")
    for _ in range(2):
        assert connect(port).get().body == b"good"
    back = threading.Event()
    hole.serve(lambda wire: (wire.read_request(), wire.send(response_bytes(body=b"back"))), back)
    bodies = set()
    while b"back" not in bodies:              # it is asked once in a while, when there is a request
        back.wait(0.1)
        with Wire.connect(port) as client:
            bodies.add(client.get().body)
    assert bodies == {b"good", b"back"}


def test_an_endpoint_is_tried_that_came_while_another_was_waited_for(
        sidespan, port, origin, black_hole, connect):
    """Connecting again elsewhere holds across a reload: what was tried is remembered by its
    address, since a list that has changed has others in the same places."""
    server, hole = echo(origin), black_hole()
    config = f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint %s; connect-timeout 2s; }}
        """
    sidecar = sidespan(config % hole.address)
    client = connect(port)
    client.send(request_bytes())
    sidecar.wait_metric('sidespan_requests_active{direction="inbound"}', 1)
    sidecar.reload(config % server.address)
    assert client.read_response().body == b"good"


def test_all_that_refuse_are_told_once(sidespan, port, connect):
    listener(sidespan, port, nobody(), nobody(), nobody())
    response = connect(port).get()
    assert (response.status, response.get("sidespan-reason")) == (502, "connection_refused")


def test_a_cluster_that_never_answered_gets_one_sentence(sidespan, port, connect, closing):
    """And when it answers later, that is said too: the last line is true."""
    service = free_port()
    sidecar = listener(sidespan, port, f"127.0.0.1:{service}")
    for _ in range(3):
        assert connect(port).get().status == 502
    sentence = "no endpoint of cluster app has ever answered"
    sidecar.wait_log(f"{sentence} .*127.0.0.1:{service}.*mend the address")
    listening = closing(socket.socket())
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", service))
    listening.listen()
    client = connect(port)
    client.send(request_bytes())
    served = Wire(listening.accept()[0])
    served.read_request()
    served.send(response_bytes(body=b"now"))
    assert client.read_response().body == b"now"
    sidecar.wait_log(f"cluster app answers now, at 127.0.0.1:{service}")
    served.close()
    listening.close()
    sidecar.wait_metric("sidespan_upstream_connections_open", 0)
    assert connect(port).get("/last").status == 502
    sidecar.wait_log("GET service.test/last")  # it has answered before, so nothing else is said
    assert sidecar.log().count(sentence) == 1


def test_a_cluster_that_never_answered_a_tunnel_gets_its_sentence_too(sidespan, port):
    sidecar = listener(sidespan, port, nobody(), nobody(), carries="auto")
    assert tunnel_through(port) == b""
    sidecar.wait_log("no endpoint of cluster app has ever answered")
