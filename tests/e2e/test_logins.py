"""A connection that a server has authenticated (NTLM, Negotiate, Kerberos) is the login: nobody but
the client that logged in is ever given it."""
import threading

import pytest

from h2wire import H2Wire
from wire import DEADLINE, Wire, response_bytes

SCHEMES = ["NTLM", "Negotiate", "Kerberos"]


class LoginServer:
    """The handler of an origin whose login is the connection: challenge, answer, and from then on
    whoever sends on the connection is who logged in there."""

    def __init__(self, scheme="NTLM", status=401):
        self.scheme, self.status = scheme, status
        self.who = {}                         # by connection
        self.asked, self.answer = (("WWW-Authenticate", "Authorization") if status == 401 else
                                   ("Proxy-Authenticate", "Proxy-Authorization"))
        self.lock = threading.Lock()

    def challenge(self, token=""):
        return response_bytes(self.status, [f'{self.asked}: Basic realm="a, b"',
                                            f"{self.asked}: {self.scheme}{token}"], b"who?", "No")

    def __call__(self, request):
        with self.lock:
            scheme, _, token = (request.get(self.answer) or "").partition(" ")
            known = self.who.get(request.connection)
            if scheme.lower() == self.scheme.lower() and token == "begin":
                self.who[request.connection] = "half"
                return self.challenge(" challenge")
            if scheme.lower() == self.scheme.lower() and known == "half":
                self.who[request.connection] = known = token
            if known in (None, "half"):
                return self.challenge()
            return response_bytes(body=known.encode())


def log_in(client, who, scheme="NTLM", field="Authorization", status=401, **named):
    assert client.get("/", **named).status == status
    assert client.get("/", f"{field}: {scheme} begin", **named).status == status
    response = client.get("/", f"{field}: {scheme} {who}", **named)
    assert (response.status, response.body) == (200, who.encode())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_one_client_has_logged_in_to_serves_no_other(inbound, origin, connect, scheme):
    server = origin(LoginServer(scheme))
    sidecar = inbound(server.address)
    alice, bob = connect(sidecar.port), connect(sidecar.port)
    log_in(alice, "alice", scheme)
    assert bob.get().status == 401
    log_in(bob, "bob", scheme.lower())
    for _ in range(3):
        assert alice.get().body == b"alice"
        assert bob.get().body == b"bob"
    carol = connect(sidecar.port)
    assert carol.get().status == 401
    assert server.connections == 3


def test_a_login_without_a_challenge_before_it_counts(inbound, origin, connect):
    """Kerberos in one round: the first request has the ticket."""
    who = {}

    def handler(request):
        ticket = request.get("Authorization")
        if ticket:
            who[request.connection] = ticket
        known = who.get(request.connection)
        return response_bytes(body=known.encode()) if known else response_bytes(403)

    server = origin(handler)
    sidecar = inbound(server.address)
    assert connect(sidecar.port).get("/", "Authorization: Negotiate abc==").status == 200
    assert connect(sidecar.port).get("/").status == 403


def test_a_connection_that_was_anybodys_becomes_the_logins(inbound, origin, connect):
    """A kept connection is used for the login of one client: it is not given back."""
    server = origin(LoginServer())
    sidecar = inbound(server.address)
    alice = connect(sidecar.port)
    assert alice.get("/", "Authorization: NTLM begin").status == 401
    assert alice.get("/", "Authorization: NTLM alice").body == b"alice"
    assert connect(sidecar.port).get().status == 401
    assert alice.get().body == b"alice"


def test_the_login_ends_with_its_client(inbound, origin, connect):
    server = origin(LoginServer())
    sidecar = inbound(server.address)
    alice = connect(sidecar.port)
    log_in(alice, "alice")
    sidecar.wait_metric("sidespan_upstream_connections_open", 1)
    alice.close()
    server.wait_open(0)
    sidecar.wait_metric("sidespan_upstream_connections_open", 0)


def test_a_login_that_the_server_ends_is_forgotten(inbound, origin, connect):
    server = origin(LoginServer())
    sidecar = inbound(server.address)
    alice = connect(sidecar.port)
    log_in(alice, "alice")
    server.drop_connections()
    sidecar.wait_metric("sidespan_upstream_connections_open", 0)
    assert alice.get().status == 401
    log_in(alice, "alice")


def test_a_handshake_stays_with_its_endpoint(sidespan, origin, connect, port):
    """Three endpoints take turns; the requests of a handshake and what follows do not."""
    servers = [origin(LoginServer("Negotiate")) for _ in range(3)]
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ {" ".join(f"endpoint {s.address};" for s in servers)} }}
        """)
    clients = [connect(port) for _ in range(4)]
    for i, client in enumerate(clients):
        log_in(client, f"user{i}", "Negotiate")
    for _ in range(3):
        for i, client in enumerate(clients):
            assert client.get().body == f"user{i}".encode()


def test_clients_of_http2_share_no_login(inbound, origin, closing):
    """The connection of a client of HTTP/2 may be many clients' (another proxy's): what logs in on
    its behalf is nobody's, so it is not kept."""
    server = origin(LoginServer())
    sidecar = inbound("app", rest=f"cluster app {{ endpoint {server.address}; protocol h1; }}")
    for _ in range(2):
        wire = closing(H2Wire.connect(sidecar.port))
        for fields in ([], [("authorization", "NTLM begin")], []):
            stream = wire.open([(":method", "GET"), (":scheme", "http"),
                                (":authority", "service.test"), (":path", "/"), *fields], end=True)
            stream.wait(lambda: stream.ended, "the end")
            assert dict(stream.head)[":status"] == "401"
    assert len({r.connection for r in server.requests}) == len(server.requests)


def test_a_proxys_login_is_one_too(outbound, origin, connect):
    server = origin(LoginServer("NTLM", 407))
    sidecar = outbound(f"route / {{ to {server.address}; }}")
    alice, bob = connect(sidecar.port), connect(sidecar.port)
    assert alice.get().status == 407
    assert bob.get().status == 407
    assert alice.get().status == 407
    first, second, third = (r.connection for r in server.requests)
    assert first is third and first is not second


def test_the_forward_proxys_upstreams_keep_it_apart_too(sidespan, origin, port):
    server = origin(LoginServer())
    sidespan(f"outbound {{ listen 127.0.0.1:{port} forward-proxy; }}")
    host = server.address
    with Wire.connect(port) as alice, Wire.connect(port) as bob:
        log_in(alice, "alice", host=host)
        assert bob.get(host=host).status == 401
        assert alice.get(host=host).body == b"alice"


def test_through_two_sidecars(sidespan, origin, connect, port):
    """The first keeps its connection to the second apart, the second its own to the service."""
    from process import free_port

    server = origin(LoginServer())
    second = free_port()
    sidespan(f"inbound {{ listen 127.0.0.1:{second}; route / {{ to {server.address}; }} }}",
             name="second.conf")
    sidespan(f"outbound {{ listen 127.0.0.1:{port}; route / {{ to 127.0.0.1:{second}; }} }}",
             name="first.conf")
    alice, bob = connect(port), connect(port)
    log_in(alice, "alice")
    assert bob.get().status == 401
    assert alice.get().body == b"alice"


@pytest.mark.parametrize("scheme", ["Basic", "Bearer", "Digest"])
def test_other_schemes_share_as_ever(inbound, origin, connect, scheme):
    server = origin(lambda r: response_bytes(
        200 if r.get("Authorization") else 401, [f'WWW-Authenticate: {scheme} realm="NTLM"'], b"x"))
    sidecar = inbound(server.address)
    for _ in range(3):
        client = connect(sidecar.port)
        assert client.get().status == 401
        assert client.get("/", f"Authorization: {scheme} NTLM").status == 200
    assert server.connections == 1


def test_an_endpoint_that_is_removed_takes_its_logins_with_it(sidespan, origin, connect, port):
    server, other = origin(LoginServer()), origin(LoginServer())
    config = f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint %s; }}
        """
    sidecar = sidespan(config % server.address)
    alice = connect(port)
    log_in(alice, "alice")
    sidecar.reload(config % f"{server.address}; pool idle 5s")
    assert alice.get().body == b"alice"
    sidecar.reload(config % other.address)
    server.wait_open(0)
    assert alice.get().status == 401


def test_a_login_that_rests_makes_way_where_the_pool_is_full(sidespan, origin, connect, port):
    server = origin(LoginServer())
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {server.address}; pool max 1; connect-timeout 1s; }}
        """)
    alice = connect(port)
    log_in(alice, "alice")
    statuses = []
    while 401 not in statuses:                # as soon as it rests for longer than a handshake does
        assert len(statuses) < 20
        with Wire.connect(port) as bob:
            bob.sock.settimeout(20 + DEADLINE)
            statuses.append(bob.get().status)
    assert set(statuses) <= {401, 503}
