"""A request that would come back here for ever is refused: by the address where that shows it, else by
the marks that it has from each pass; and nobody reaches the sidecar's own ports through it.
"""
import socket

import pytest

from process import free_port, run
from wire import request_bytes


def served(sidecar):
    return sidecar.metric('sidespan_connections_total{direction="inbound"}')


# ---- marks ----

@pytest.mark.parametrize("protocol", ["auto", "h2"])
@pytest.mark.parametrize("forwarded", ["on", "off"])
def test_two_sidecars_that_name_each_other_end_with_508(sidespan, connect, protocol, forwarded):
    ports = [free_port(), free_port()]
    sidecars = [sidespan(f"""
        inbound {{ listen 127.0.0.1:{own}; x-forwarded {forwarded}; route / {{ to other; }} }}
        cluster other {{ endpoint 127.0.0.1:{other}; protocol {protocol}; }}
        """, name=f"{i}.conf") for i, (own, other) in enumerate([ports, ports[::-1]])]
    response = connect(ports[0]).get("/round")
    assert response.status == 508 and response.get("sidespan-reason") == "loop"
    assert b"has come back to this sidecar too often (sidespan-via)" in response.body
    assert sum(s.metric("sidespan_loops_refused_total") for s in sidecars) == 1
    assert sidecars[0].metric("sidespan_loops_refused_total") == 1   # where it was the tenth time
    loops = sidecars[0].wait_spans(1, lambda s: s["sidespan.rule"] == "sidespan-via")
    assert loops[0]["error.type"] == "loop" and loops[0]["http.response.status_code"] == 508
    sidecars[0].wait_spans(11)
    sidecars[1].wait_spans(10)
    assert sidecars[0].wait_log("rule sidespan-via: the request has come back to this sidecar too")


def test_each_sidecar_leaves_one_mark(sidespan, origin, connect):
    upstream = origin()
    last, first = free_port(), free_port()
    sidespan(f"inbound {{ listen 127.0.0.1:{last}; route / {{ to {upstream.address}; }} }}",
             name="last.conf")
    sidespan(f"outbound {{ listen 127.0.0.1:{first}; route / {{ to 127.0.0.1:{last}; }} }}",
             name="first.conf")
    connect(first).get("/")
    connect(first).get("/", "Connection: sidespan-via")
    one, two = ([m.strip() for m in r.get("sidespan-via").split(",")] for r in upstream.requests)
    assert len(one) == 2 and one[0] != one[1] and two == one


def test_a_service_that_hands_every_field_on_may_call_itself(inbound, origin, connect):
    """As a reverse proxy does: some passes are none too many, and marks of others do not count."""
    upstream = origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.get("/")
    mark = upstream.requests[-1].get("sidespan-via")
    assert client.get("/", "sidespan-via: " + ", ".join([mark] * 9)).status == 200
    assert upstream.requests[-1].get("sidespan-via") == ", ".join([mark] * 10)
    assert client.get("/", *[f"sidespan-via: {mark}"] * 10).status == 508
    assert client.get("/", "sidespan-via: " + ", ".join(["01234567"] * 50)).status == 200


# ---- addresses ----

def test_a_name_that_turns_out_to_be_this_machine_is_a_loop(sidespan, port, connect):
    """What check cannot see: the endpoint's name."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        pytest.skip("the machine's own name is not known here")
    sidecar = sidespan(f"inbound {{ listen :{port}; route / {{ to {name}:{port}; }} }}")
    response = connect(port).get("/")
    assert response.status == 508, response.body
    assert served(sidecar) == 1
    assert sidecar.wait_span()["error.type"] == "loop"


def test_a_tunnel_is_not_led_back_by_the_endpoint_that_is_tried_next(sidespan, port):
    """Of two endpoints one refuses, and the name of the other turns out to be this machine."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError:
        pytest.skip("the machine's own name is not known here")
    sidecar = sidespan(f"""
        inbound {{ listen :{port} tcp; route / {{ to app; }} }}
        cluster app {{ endpoint 127.0.0.1:{free_port()}; endpoint {name}:{port}; }}
        """)
    for tunnel in (1, 2):                     # each endpoint is the first of one
        with pytest.raises(ConnectionResetError):     # perhaps by connect() already
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.recv(1)
        assert served(sidecar) == tunnel
    assert [s["error.type"] for s in sidecar.wait_spans(2)] == ["loop", "loop"]


@pytest.fixture
def own_ports(sidespan, port):
    """A forward proxy with an admin port at a loopback address or at any; .admin_port is it."""
    def start(admin="127.0.0.1"):
        number = free_port()
        sidecar = sidespan(f"""
            outbound {{ listen 127.0.0.1:{port} forward-proxy; }}
            admin {admin}:{number};
            """, ready=False)
        sidecar.port, sidecar.admin_port = port, number
        return sidecar.start()

    return start


def own_ip():
    """An address of this machine besides the loopback's; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return s.getsockname()[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"])
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_the_admin_port_is_not_reached_through_the_forward_proxy(own_ports, connect, method, host):
    sidecar = own_ports()
    client = connect(sidecar.port)
    target = f"{host}:{sidecar.admin_port}"
    if method == "GET":
        response = client.get(f"http://{target}/config")
    else:
        client.send(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
        response = client.read_response()
    if method == "CONNECT" and response.status == 200:    # what is inside is refused then
        client.send(request_bytes(target="/config", host=target))
        response = client.read_response()
    if host == "localhost":                   # its other address, ::1, is tried, and nobody is there
        assert response.status == 502
        return
    assert response.status == 508 and response.get("sidespan-reason") == "loop"
    assert b"the destination is the admin port of this sidecar" in response.body
    assert sidecar.metric("sidespan_loops_refused_total") == 1
    assert sidecar.wait_span()["error.type"] == "loop"


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_the_admin_port_is_not_reached_over_http2_either(pair, method):
    sidecar = pair.start(f"outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; }}")
    authority = f"127.0.0.1:{sidecar.admin_port}"
    head = [(":method", method), (":authority", authority)]
    if method == "GET":
        head[1:1] = [(":scheme", "http"), (":path", "/config")]
    stream = pair.client(checks=False).wire.open(head, end=method == "GET")
    stream.wait(lambda: stream.head, "an answer")
    assert dict(stream.head)[":status"] == "508"
    assert dict(stream.head)["sidespan-reason"] == "loop"
    assert sidecar.metric("sidespan_loops_refused_total") == 1


@pytest.mark.parametrize("pair", ["h2-h2"], indirect=True)
def test_a_stream_of_http2_that_comes_back_too_often_is_answered_alone(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    client = pair.client()
    client.get("/")
    mark = dict(upstream.requests[-1].fields)["sidespan-via"]
    stream = client.wire.open([(":method", "GET"), (":scheme", "http"), (":authority", "a.test"),
                               (":path", "/"), ("sidespan-via", ", ".join([mark] * 10))], end=True)
    stream.wait(lambda: stream.head, "an answer")
    assert dict(stream.head)[":status"] == "508"
    assert client.get("/").status == 200      # the connection is as good as before


@pytest.mark.parametrize("admin", ["", "0.0.0.0"])
def test_an_admin_port_at_any_address_is_not_reached_at_another(own_ports, connect, admin):
    ip = own_ip() or pytest.skip("the machine has no address but the loopback's")
    sidecar = own_ports(admin)
    assert connect(sidecar.port).get(f"http://{ip}:{sidecar.admin_port}/config").status == 508
    assert connect(sidecar.port).get(f"http://127.0.0.7:{sidecar.admin_port}/config").status == 508


def test_the_service_may_call_itself_through_both_listeners(sidespan, port, origin, connect):
    """From outbound to inbound leads to the service, so it is no loop."""
    upstream, own = origin(), free_port()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{own}; route / {{ to {upstream.address}; }} }}
        outbound {{ listen 127.0.0.1:{port} forward-proxy; }}
        """)
    assert connect(port).get(f"http://127.0.0.1:{own}/").body == b"hello"


def test_nobody_outside_reaches_the_outbound_listener(sidespan, port, connect):
    """An inbound forward proxy is odd, and must not be a way into the outbound one."""
    own = free_port()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port} forward-proxy; }}
        outbound {{ listen 127.0.0.1:{own} forward-proxy; }}
        """)
    assert connect(port).get(f"http://127.0.0.1:{own}/").status == 508
    assert sidecar.wait_span()["error.type"] == "loop"


def test_check_says_where_a_target_is_the_listener_itself(tmp_path):
    path = tmp_path / "routes.conf"
    path.write_text("inbound { listen 127.0.0.1:8080; route / { to 127.0.0.1:8080; } }\n")
    done = run("check", path)
    assert done.returncode == 1
    assert ("routes.conf:1:47: 127.0.0.1:8080 is where inbound itself listens (line 1): every request "
            "would come back here; name the port of the service") in done.stderr


# ---- advice ----

@pytest.mark.parametrize("direction, listen, advice", [
    ("inbound", "", b": add a route\n"),
    ("outbound", "", b": add a route\n"),
    ("outbound", "forward-proxy", b": add a route, or say: unmatched pass\n"),
])
def test_what_a_404_advises_is_allowed_there(sidespan, port, connect, tmp_path, direction, listen,
                                             advice):
    rules = "unmatched reject;" if listen else ""
    sidespan(f"{direction} {{ listen 127.0.0.1:{port} {listen}; {rules}"
             " route /other { respond 200; } }")
    response = connect(port).get("http://a.test/" if listen else "/")
    assert response.status == 404 and response.body.endswith(advice), response.body
