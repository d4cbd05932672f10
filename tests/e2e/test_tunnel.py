"""What is not HTTP passes through untouched, both ways, with a span for the connection."""
import functools
import pathlib
import shutil
import ssl
import subprocess

import pytest

from process import CLIENT, SERVER, free_port
from programs import needs
from test_bodies import MIB, Flood, bounded, stalled
from wire import DEADLINE, Wire, request_bytes, response_bytes, told_on, until


@pytest.fixture
def inbound(inbound):
    return functools.partial(inbound, carries="auto")


@pytest.fixture
def outbound(outbound):
    return functools.partial(outbound, carries="auto")


def test_opaque_bytes_pass_both_ways(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(b"\x00\x01binary\xff")
    server = upstream.accept()
    assert server.read(9) == b"\x00\x01binary\xff"
    server.send(b"\x80answer")
    assert client.read(7) == b"\x80answer"
    client.close()
    server.expect_end()
    server.close()
    span = sidecar.wait_span()
    assert span.kind == SERVER and span.name == "TCP"
    assert span["sidespan.endpoint"] == upstream.address
    assert span["sidespan.tunnel.received_bytes"] == 9
    assert span["sidespan.tunnel.sent_bytes"] == 7
    assert span["network.transport"] == "tcp"
    assert span.parent == "" and span.status == 0
    assert sidecar.metric('sidespan_tunnels_total{direction="inbound"}') == 1


@pytest.mark.parametrize("first", ["client", "server"])
def test_a_half_close_is_passed_on(inbound, raw_origin, connect, first):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(b"\x00hello")
    server = upstream.accept()
    server.read(6)
    one, other = (client, server) if first == "client" else (server, client)
    one.send(b"last")
    one.half_close()
    assert other.read_to_end() == b"last"
    other.send(b"answer")
    other.half_close()
    assert one.read_to_end() == b"answer"
    sidecar.wait_span()


@pytest.mark.parametrize("first", ["client", "server"])
def test_a_reset_is_passed_on(inbound, raw_origin, connect, first):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(b"\x00hello")
    server = upstream.accept()
    server.read(6)
    one, other = (client, server) if first == "client" else (server, client)
    one.reset()
    with pytest.raises(ConnectionError):
        other.read_to_end()
    span = sidecar.wait_span()
    if first == "server":
        assert span["error.type"] == "connection_reset"


def test_a_tunnel_has_back_pressure(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(b"\x00")
    server = upstream.accept()
    server.read(1)
    before = sidecar.rss()
    flood = Flood(client, 200 * MIB)
    assert stalled(flood) < 100 * MIB
    bounded(sidecar, before)
    server.count(200 * MIB)
    flood.join()
    bounded(sidecar, before)


def test_many_tunnels_at_once(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    pairs = []
    for i in range(50):
        client = connect(sidecar.port)
        client.send(b"\x01%03d" % i)
        pairs.append((client, upstream.accept()))
    for i, (client, server) in enumerate(pairs):
        assert server.read(4) == b"\x01%03d" % i
        server.send(b"%03d" % i)
    for i, (client, _) in enumerate(pairs):
        assert client.read(3) == b"%03d" % i
    for client, server in pairs:
        client.close()
        server.expect_end()
        server.close()
    sidecar.wait_spans(50)


def test_a_tunnel_to_nobody_is_closed_and_its_span_says_why(inbound, refusing):
    sidecar = inbound(refusing)
    told_on(sidecar.port, b"\x00hello")
    span = sidecar.wait_span()
    assert span["error.type"] == "connection_refused" and span.status == 2
    assert span["sidespan.endpoint"] == refusing


def test_a_tunnel_in_which_nothing_moves_ends_with_its_timeout(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest="timeouts { tunnel-idle 500ms; }")
    client = connect(sidecar.port)
    client.send(b"\x00hello")
    server = upstream.accept()
    server.read(6)
    client.expect_broken()
    server.expect_broken()
    assert sidecar.wait_span()["error.type"] == "idle_timeout"


@pytest.mark.parametrize("first", [
    b"\x16\x03\x01", b"SSH-2.0-x\r\n", b"*1\r\n$4\r\nPING\r\n", b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
    b"GETX 1 2\r\n", b"REGISTER sip:a SIP/2.0\r\n", b"\r\n\r\nSTATS\r\n",
], ids=["tls", "ssh", "redis", "postgres", "unknown-word", "sip", "blank-lines"])
def test_protocols_that_are_not_http_are_passed_on(inbound, raw_origin, connect, first):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(first)
    client.half_close()
    assert upstream.accept().read_to_end() == first


def test_what_begins_as_http_is_held_to_its_rules(inbound, raw_origin, connect):
    """A bad request is refused as HTTP and not passed through as something else."""
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(b"GET / HTTP/1.1\nHost: a\n\n")
    assert client.read_response().status == 400
    assert upstream.unspoken_to()


def test_a_protocol_where_the_server_speaks_first_does_not_wait(inbound, raw_origin, connect):
    """As SMTP: a greeting before the client has said anything."""
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    server = upstream.accept()                # dialled at once
    server.send(b"220 mail.test ESMTP\r\n")
    assert client.read_until(b"\r\n") == b"220 mail.test ESMTP\r\n"
    client.send(b"EHLO a.test\r\n")
    assert server.read_until(b"\r\n") == b"EHLO a.test\r\n"
    server.send(b"250 mail.test\r\n")
    assert client.read_until(b"\r\n") == b"250 mail.test\r\n"
    client.send(b"QUIT\r\n")
    server.read_until(b"\r\n")
    server.send(b"221 bye\r\n")
    server.close()
    assert client.read_to_end() == b"221 bye\r\n"
    client.close()
    span = sidecar.wait_span()
    assert span.name == "TCP"
    assert span["sidespan.tunnel.sent_bytes"] == 21 + 15 + 9
    assert span["sidespan.tunnel.received_bytes"] == 13 + 6


def test_http_still_works_where_the_upstream_is_dialled_on_accept(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    until(lambda: upstream.connections or True, "")
    assert client.get("/one").body == b"hello"
    assert client.get("/two").body == b"hello"
    assert [s.name for s in sidecar.wait_spans(2)] == ["GET", "GET"]


# ---- TLS that passes through ----

@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    openssl = needs("openssl")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / "key.pem", "-out",
                    folder / "cert.pem", "-days", "2", "-subj", "/CN=shop.test", "-addext",
                    "subjectAltName=DNS:shop.test,DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    return folder


def test_tls_passes_through_and_its_span_has_the_server_name(
        outbound, raw_origin, connect, certificate):
    upstream = raw_origin()
    sidecar = outbound(f"route / {{ to {upstream.address}; }}")
    client = connect(sidecar.port)
    trust = ssl.create_default_context(cafile=certificate / "cert.pem")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trust.wrap_bio(incoming, outgoing, server_hostname="shop.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    client.send(hello[:10])                   # the ClientHello comes in pieces
    client.send(hello[10:])
    raw = upstream.accept()
    theirs_in, theirs_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    theirs = server_side.wrap_bio(theirs_in, theirs_out, server_side=True)
    assert raw.read(len(hello)) == hello      # byte for byte
    theirs_in.write(hello)

    def step(session, out, wire_out, wire_in, sink):
        done = False
        try:
            session.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        data = out.read()
        if data:
            wire_out.send(data)
            got = wire_in.read(len(data))
            sink.write(got)
        return done

    done = [False, False]
    for _ in range(10):
        done[1] = done[1] or step(theirs, theirs_out, raw, client, incoming)
        done[0] = done[0] or step(tls, outgoing, client, raw, theirs_in)
        if all(done):
            break
    assert all(done)
    tls.write(b"secret")
    data = outgoing.read()
    client.send(data)
    theirs_in.write(raw.read(len(data)))
    assert theirs.read(100) == b"secret"
    client.close()
    raw.expect_end()
    raw.close()
    span = sidecar.wait_span()
    assert span.kind == CLIENT and span.name == "TCP"
    assert span["tls.client.server_name"] == "shop.test"
    assert span["server.address"] == "shop.test"
    assert span["sidespan.tunnel.received_bytes"] > len(hello)


def test_openssl_talks_to_openssl_through_the_sidecar(
        outbound, certificate, closing):
    openssl = needs("openssl")
    port = free_port()
    server = subprocess.Popen([openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-cert",
                               certificate / "cert.pem", "-key", certificate / "key.pem", "-rev",
                               "-quiet"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    closing(server, "wait")
    closing(server, "kill")
    wait_port(port)
    sidecar = outbound(f"route / {{ to 127.0.0.1:{port}; }}")
    client = subprocess.Popen([openssl, "s_client", "-connect", f"127.0.0.1:{sidecar.port}",
                               "-servername", "shop.test", "-CAfile", certificate / "cert.pem",
                               "-verify_return_error", "-quiet"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    closing(client, "wait")
    closing(client, "kill")
    client.stdin.write(b"desserts\n")
    client.stdin.flush()
    assert client.stdout.readline() == b"stressed\n"
    client.kill()
    span = sidecar.wait_span(lambda s: s["tls.client.server_name"])
    assert span["tls.client.server_name"] == "shop.test"


def wait_port(port):
    def there():
        try:
            Wire.connect(port).close()
            return True
        except OSError:
            return False

    until(there, f"somebody at port {port}", 30)


# ---- real servers ----

def test_a_real_redis_works_through_the_sidecar(outbound, connect, closing, tmp_path):
    redis = needs("redis-server")
    port = free_port()
    server = subprocess.Popen([redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                               "--dir", tmp_path], stdout=subprocess.DEVNULL)
    closing(server, "wait")
    closing(server, "terminate")
    wait_port(port)
    sidecar = outbound(f"route / {{ to 127.0.0.1:{port}; }}")
    client = connect(sidecar.port)
    client.send(b"*1\r\n$4\r\nPING\r\n")
    assert client.read(7) == b"+PONG\r\n"
    value = b"x" * 500_000
    client.send(b"*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%s\r\n" % (len(value), value))
    assert client.read(5) == b"+OK\r\n"
    client.send(b"GET big\r\n" * 3)           # Redis' inline form, pipelined: looks a bit like HTTP
    for _ in range(3):
        assert client.read_until(b"\r\n") == b"$500000\r\n"
        assert client.read(500_002) == value + b"\r\n"
    client.send(b"QUIT\r\n")
    assert client.read_to_end() == b"+OK\r\n"
    client.close()
    span = sidecar.wait_span()
    assert span.kind == CLIENT and span["server.port"] == port
    assert span["sidespan.tunnel.sent_bytes"] > 1_500_000


def test_a_real_mariadb_which_speaks_first_works_through_the_sidecar(
        outbound, connect, closing, tmp_path):
    server_program = needs("mariadbd", "mysqld")
    install = needs("mariadb-install-db", "mysql_install_db")
    data = pathlib.Path("/tmp") / f"sidespan-e2e-{tmp_path.parent.name}-{free_port()}"
    data.mkdir(mode=0o777)
    try:
        user = [] if shutil.os.geteuid() else ["--user=root"]
        subprocess.run([install, "--no-defaults", f"--datadir={data}", *user,
                        "--auth-root-authentication-method=normal", "--skip-test-db"],
                       check=True, capture_output=True, timeout=60 + DEADLINE)
        port = free_port()
        server = subprocess.Popen([server_program, "--no-defaults", f"--datadir={data}", *user,
                                   "--bind-address=127.0.0.1", f"--port={port}",
                                   f"--socket={data}/s", f"--pid-file={data}/pid",
                                   "--skip-log-bin", "--innodb-buffer-pool-size=8M"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        closing(server, "wait")
        closing(server, "kill")
        wait_port(port)
        sidecar = outbound(f"route / {{ to 127.0.0.1:{port}; }}")
        client = connect(sidecar.port)
        head = client.read(4)                 # the greeting: nobody has asked for anything yet
        greeting = client.read(int.from_bytes(head[:3], "little"))
        assert greeting[0] == 10 and b"MariaDB" in greeting
        client.close()
        span = sidecar.wait_span(lambda s: s["sidespan.tunnel.sent_bytes"] > 0)
        assert span["sidespan.tunnel.received_bytes"] == 0
        assert span.seconds < 5
        mysql = shutil.which("mariadb") or shutil.which("mysql")
        if mysql:
            done = subprocess.run([mysql, "--no-defaults", "-h127.0.0.1", f"-P{sidecar.port}",
                                   "-uroot", "--skip-ssl", "-N", "-e", "select 6 * 7"],
                                  capture_output=True, text=True, timeout=3 * DEADLINE)
            assert done.stdout.strip() == "42", done.stderr
    finally:
        shutil.rmtree(data, ignore_errors=True)


def test_a_tunnel_and_http_share_one_listener(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    opaque, http = connect(sidecar.port), connect(sidecar.port)
    opaque.send(b"\x00opaque")
    tunnelled = upstream.accept()
    tunnelled.read(7)
    http.send(request_bytes())
    asked = upstream.accept()
    asked.read_request()
    asked.send(response_bytes(body=b"http"))
    tunnelled.send(b"raw")
    assert http.read_response().body == b"http"
    assert opaque.read(3) == b"raw"
