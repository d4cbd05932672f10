"""CONNECT obeys its route, and what is HTTP inside it is carried request for request."""
import ssl
import subprocess
import sys

import pytest

from grpc_service import GrpcService
from process import CLIENT, run
from wire import request_bytes, response_bytes

TLS_HELLO = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"


@pytest.fixture
def proxy(sidespan, port):
    """proxy(rules, rest): an outbound forward proxy with these rules."""
    def start(rules="", rest=""):
        sidecar = sidespan(f"outbound {{ listen 127.0.0.1:{port} forward-proxy; {rules} }} {rest}")
        sidecar.port = port
        return sidecar

    return start


def ask_connect(connect, sidecar, authority, *fields, early=b""):
    """Sends a CONNECT; the client's wire and the answer's head."""
    client = connect(sidecar.port)
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", *fields]
    client.send(("\r\n".join(lines) + "\r\n\r\n").encode() + early)
    return client, client.read_response("CONNECT", body=False)


def connected(connect, sidecar, authority, *fields, early=b""):
    client, response = ask_connect(connect, sidecar, authority, *fields, early=early)
    assert response.status == 200 and response.framing() == (None, None)
    return client


# -- the CONNECT itself

@pytest.mark.parametrize("rule, status", [
    ("respond 403;", 403), ("redirect 308 https://x.test/;", 308), ("fault abort 503; to %s;", 503),
    ("fault delay 10s; timeout 100ms; to %s;", 504),
], ids=["respond", "redirect", "abort", "timeout"])
def test_a_connect_gets_what_its_route_says(proxy, raw_origin, connect, rule, status):
    upstream = raw_origin()
    rule = rule.replace("%s", upstream.address)
    sidecar = proxy(f"host x.test {{ route / {{ {rule} }} }}")
    client, response = ask_connect(connect, sidecar, "x.test:80")
    assert response.status == status
    span = sidecar.wait_span()
    assert span.name == "CONNECT" and span["http.response.status_code"] == status
    assert upstream.untouched()


def test_a_host_that_refuses_is_not_reached_by_its_address_written_otherwise(proxy, raw_origin, connect):
    upstream = raw_origin()
    sidecar = proxy("host localhost { route / { respond 403; } }")
    for name in ("localhost", "LOCALHOST", "localhost."):
        _, response = ask_connect(connect, sidecar, f"{name}:{upstream.port}")
        assert response.status == 403
    assert upstream.untouched()


def test_a_connect_goes_where_its_route_sends_it(proxy, raw_origin, connect):
    chosen = raw_origin()
    sidecar = proxy(f"""
        host db.test {{ route / {{ to 127.0.0.1:1 weight 0; to {chosen.address} weight 3;
                                   set-header response x-by sidecar; }} }}
        """)
    client, response = ask_connect(connect, sidecar, "db.test:5432")
    assert response.status == 200 and response.get("x-by") == "sidecar"
    client.send(b"\x00\x00\x00\x08")
    server = chosen.accept()
    assert server.read(4) == b"\x00\x00\x00\x08"
    server.close()
    client.expect_end()
    client.close()
    span = sidecar.wait_span()
    assert span.name == "CONNECT" and span["server.address"] == "db.test"
    assert span["sidespan.cluster"] == chosen.address and span["sidespan.weight"] == 3
    assert span["network.peer.port"] == chosen.port


def test_a_route_may_be_for_connect_alone(proxy, raw_origin, connect):
    tunnels, upstream = raw_origin(), raw_origin()
    sidecar = proxy(f"""
        host x.test {{
            route / {{ match method CONNECT; to {tunnels.address}; }}
            route / {{ to {upstream.address}; }}
        }}
        """)
    client = connected(connect, sidecar, "x.test:443")
    client.send(TLS_HELLO)
    assert tunnels.accept().read(len(TLS_HELLO)) == TLS_HELLO
    assert upstream.untouched()


def test_what_no_route_takes_is_refused_where_the_file_says_so(proxy, raw_origin, connect):
    upstream = raw_origin()
    sidecar = proxy("unmatched reject; host x.test { route / { respond 204; } }")
    _, response = ask_connect(connect, sidecar, upstream.address)
    assert response.status == 403 and response.get("sidespan-reason") == "unmatched-reject"
    assert upstream.untouched()


def test_a_connect_to_the_sidecar_itself_is_a_loop(proxy, connect):
    sidecar = proxy()
    _, response = ask_connect(connect, sidecar, f"127.0.0.1:{sidecar.port}")
    assert response.status == 508 and response.get("sidespan-reason") == "loop"


# -- requests inside

def test_requests_inside_are_traced_and_the_connect_has_no_span(proxy, origin, connect):
    upstream = origin()
    sidecar = proxy()
    client = connected(connect, sidecar, upstream.address)
    for n in range(2):
        assert client.get(f"/a/{n}?q", host=upstream.address).body == b"hello"
    assert [r.target for r in upstream.requests] == ["/a/0?q", "/a/1?q"]
    spans = sidecar.wait_spans(2)
    assert [s.name for s in spans] == ["GET", "GET"]
    for span, request in zip(spans, upstream.requests):
        assert span.kind == CLIENT and span["http.response.status_code"] == 200
        assert span["url.full"] == f"http://{upstream.address}{request.target}"
        assert request.get("traceparent").split("-")[1:3] == [span.trace_id, span.span_id]
    assert upstream.connections == 1          # the connection that the CONNECT was dialled on
    assert sidecar.metric("sidespan_tunnels_total{direction=\"outbound\"}") == 0


def test_a_request_that_comes_with_the_connect_is_looked_at_too(proxy, origin, connect):
    upstream = origin()
    sidecar = proxy()
    client = connected(connect, sidecar, upstream.address,
                       early=request_bytes(target="/early", host=upstream.address))
    assert client.read_response().body == b"hello"
    assert sidecar.wait_span()["url.full"] == f"http://{upstream.address}/early"


def test_requests_inside_are_routed_and_refused_by_their_paths(proxy, origin, connect):
    stable, other = origin(), origin(lambda r: response_bytes(body=b"other"))
    sidecar = proxy(f"""
        host shop.test {{
            route /admin {{ respond 403; }}
            route /api {{ to {other.address}; }}
            route / {{ to {stable.address}; }}
        }}
        """)
    client = connected(connect, sidecar, "shop.test:80")
    assert client.get("/x", host="shop.test").body == b"hello"
    assert client.get("/api/x", host="shop.test").body == b"other"
    assert client.get("/admin", host="shop.test").status == 403
    assert [s.name for s in sidecar.wait_spans(3)] == ["GET", "GET /api", "GET /admin"]


def test_another_host_in_the_request_steps_over_no_rule(proxy, origin, connect):
    upstream = origin()
    sidecar = proxy("host localhost { route /admin { respond 403; } }")
    client = connected(connect, sidecar, f"localhost:{upstream.port}")
    for host in ("elsewhere.test", "localhost", f"127.0.0.1:{upstream.port}"):
        assert client.get("/admin", host=host).status == 403
        assert client.get("/open", host=host).status == 200
    assert [r.target for r in upstream.requests] == ["/open"] * 3


def test_a_host_that_only_the_rules_know_is_reached_inside(proxy, origin, connect):
    upstream = origin()
    sidecar = proxy(f"host shop.invalid {{ route /api {{ to {upstream.address}; }} }}")
    client = connected(connect, sidecar, "shop.invalid:80")
    assert client.get("/api/1", host="shop.invalid").body == b"hello"
    assert client.get("/none", host="shop.invalid").get("sidespan-reason") == "dns_error"
    tls = connected(connect, sidecar, "shop.invalid:443")
    tls.send(TLS_HELLO)
    tls.expect_broken()
    [span] = sidecar.wait_spans(1, lambda s: s.name == "CONNECT")
    assert span["error.type"] == "dns_error"


def test_the_faults_of_a_route_strike_each_request_once(proxy, origin, connect):
    upstream = origin()
    sidecar = proxy(f"host x.test {{ route / {{ to {upstream.address}; fault delay 20ms; }} }}")
    client = connected(connect, sidecar, "x.test:80")
    for n in (1, 2, 3):
        assert client.get(host="x.test").status == 200
        assert sidecar.metric('sidespan_faults_total{kind="delay"}') == n


def test_a_fault_that_asks_for_a_header_strikes_inside(proxy, origin, connect):
    upstream = origin()
    sidecar = proxy(f"""
        host x.test {{ route / {{ to {upstream.address}; fault abort 418 when header x-chaos; }} }}
        """)
    client = connected(connect, sidecar, "x.test:80")
    assert client.get("/", "x-chaos: 1", host="x.test").status == 418
    assert client.get("/", host="x.test").status == 200


def test_http2_inside_is_carried_stream_by_stream(proxy, connect, closing):
    service = closing(GrpcService())
    sidecar = proxy(f"host g.test {{ route grpc e2e.Test {{ to {service.address}; }} }}",
                    "trace { export memory; }")
    program = f"""
import grpc
with grpc.insecure_channel("dns:///g.test:50051") as channel:
    echo = channel.unary_unary("/e2e.Test/Echo")
    for n in range(5):
        assert echo(b"%d" % n, timeout=30) == b"%d" % n
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60,
                   env={"http_proxy": f"http://127.0.0.1:{sidecar.port}", "PATH": "/usr/bin:/bin"})
    spans = sidecar.wait_spans(5)
    assert {s.name for s in spans} == {"e2e.Test/Echo"}
    assert all(call["traceparent"] for call in service.calls) and len(service.calls) == 5


# -- what is not HTTP

def test_tls_inside_is_a_tunnel_with_the_name_of_its_server(proxy, raw_origin, connect, tmp_path):
    upstream = raw_origin()
    sidecar = proxy()
    client = connected(connect, sidecar, upstream.address)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="secure.test")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    client.send(hello)
    server = upstream.accept()
    assert server.read(len(hello)) == hello
    server.close()
    client.expect_end()
    client.close()
    span = sidecar.wait_span()
    assert span.name == "CONNECT" and span["tls.client.server_name"] == "secure.test"
    assert span["http.response.status_code"] == 200
    assert sidecar.metric("sidespan_tunnels_total{direction=\"outbound\"}") == 1


def test_a_server_inside_may_speak_first(proxy, raw_origin, connect):
    upstream = raw_origin()
    client = connected(connect, proxy(), upstream.address)
    server = upstream.accept()
    server.send(b"220 mail.test ESMTP\r\n")
    assert client.read_until(b"\r\n") == b"220 mail.test ESMTP\r\n"
    client.send(b"GET / HTTP/1.1\r\n\r\n")    # nothing is looked at any more
    assert server.read(18) == b"GET / HTTP/1.1\r\n\r\n"


def test_the_end_of_a_silent_client_is_passed_on(proxy, raw_origin, connect):
    upstream = raw_origin()
    sidecar = proxy()
    client = connected(connect, sidecar, upstream.address)
    server = upstream.accept()
    client.half_close()
    server.expect_end()
    server.send(b"all of it")
    server.close()
    assert client.read_to_end() == b"all of it"
    assert sidecar.wait_span().name == "CONNECT"


def test_a_connect_inside_is_for_the_next_proxy(proxy, raw_origin, connect):
    upstream = raw_origin()
    client = connected(connect, proxy(), upstream.address)
    inner = b"CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n"
    client.send(inner)
    server = upstream.accept()
    assert server.read(len(inner)) == inner
    server.send(b"HTTP/1.1 200 OK\r\n\r\n")
    assert client.read_head() == b"HTTP/1.1 200 OK\r\n\r\n"


REFUSING = "route /admin { respond 403; } route / { to %s; }"


@pytest.mark.parametrize("first", [TLS_HELLO, b"\x00opaque"], ids=["tls", "bytes"])
def test_what_cannot_be_seen_steps_over_no_rule(proxy, raw_origin, connect, first):
    upstream = raw_origin()
    sidecar = proxy(f"host x.test {{ {REFUSING % upstream.address} }}")
    client = connected(connect, sidecar, "x.test:80")
    client.send(first)
    client.expect_broken()
    assert upstream.unspoken_to()
    span = sidecar.wait_span()
    assert span["error.type"] == "bad_request" and span["sidespan.refusal"] == "connect-opaque"
    assert sidecar.metric('sidespan_refusals_total{rule="connect-opaque"}') == 1
    sidecar.wait_log("host NAME:80")


def test_a_rule_for_another_port_of_the_host_does_not_count(proxy, raw_origin, connect):
    upstream = raw_origin()
    sidecar = proxy(f"host localhost:80 {{ {REFUSING % upstream.address} }}")
    client = connected(connect, sidecar, f"localhost:{upstream.port}")
    client.send(TLS_HELLO)
    assert upstream.accept().read(len(TLS_HELLO)) == TLS_HELLO


def test_who_may_connect_is_told_by_a_route_for_connect(proxy, raw_origin, connect):
    upstream = raw_origin()
    sidecar = proxy(f"""
        host x.test {{ route / {{ match method CONNECT; to {upstream.address}; }}
                       {REFUSING % upstream.address} }}
        """)
    client = connected(connect, sidecar, "x.test:443")
    client.send(TLS_HELLO)
    assert upstream.accept().read(len(TLS_HELLO)) == TLS_HELLO
    inside = connected(connect, sidecar, "x.test:80")
    assert inside.get("/admin", host="x.test").status == 403


def test_an_experiment_for_some_requests_does_not_stop_a_tunnel(proxy, raw_origin, connect):
    upstream = raw_origin()
    sidecar = proxy(f"""
        host x.test {{ route /api {{ to {upstream.address}; fault abort 503 for 1%; }}
                       route / {{ to {upstream.address}; }} }}
        """)
    client = connected(connect, sidecar, "x.test:443")
    client.send(TLS_HELLO)
    assert upstream.accept().read(len(TLS_HELLO)) == TLS_HELLO


# -- over a stream of HTTP/2

def h2_connect(pair, authority, *fields):
    client = pair.client(checks=False)        # h2 wants a :path, which RFC 9113 section 8.5 forbids
    stream = client.wire.open([(":method", "CONNECT"), (":authority", authority), *fields])
    stream.wait(lambda: stream.head, "an answer")
    return stream, dict(stream.head)


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
@pytest.mark.parametrize("rules, status", [("route / { respond 403; }", "403"), (REFUSING, "403"),
                                           ("route / { fault abort 503; to %s; }", "503")],
                         ids=["respond", "another-path", "abort"])
def test_a_connect_over_http2_is_refused_by_its_rules(pair, raw_origin, rules, status):
    upstream = raw_origin()
    rules = rules.replace("%s", upstream.address)
    pair.start(f"outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; host x.test {{ {rules} }} }}")
    _, head = h2_connect(pair, "x.test:80")
    assert head[":status"] == status
    assert upstream.untouched()


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
def test_a_connect_over_http2_goes_where_its_route_sends_it(pair, raw_origin):
    upstream = raw_origin()
    sidecar = pair.start(f"""
        outbound {{ listen 127.0.0.1:{pair.port} forward-proxy;
                    host x.test {{ route / {{ to c; set-header response x-by sidecar; }} }} }}
        cluster c {{ endpoint {upstream.address}; protocol h2; }}
        """)
    stream, head = h2_connect(pair, "x.test:80")
    assert head[":status"] == "200" and head["x-by"] == "sidecar"
    stream.send(b"\x00ping")
    server = upstream.accept()
    assert server.read(5) == b"\x00ping"
    stream.end()
    server.expect_end()
    server.close()
    assert sidecar.wait_span()["sidespan.cluster"] == "c"


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
def test_half_a_connect_over_http2_has_its_time_to_end_too(pair, raw_origin, first):
    upstream = raw_origin()
    sidecar = pair.start(f"""
        outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; }}
        timeouts {{ tunnel-half-closed 300ms; }}
        """)
    stream, head = h2_connect(pair, upstream.address)
    assert head[":status"] == "200"
    stream.send(b"\x00ping")
    server = upstream.accept()
    assert server.read(5) == b"\x00ping"
    if first == "client":
        stream.end()
        server.expect_end()
    else:
        server.half_close()
    span = sidecar.wait_span()
    assert span["error.type"] == "idle_timeout" and span["sidespan.ended_by"] == "sidecar"
    assert span["sidespan.rule"] == "tunnel-half-closed"
    assert sidecar.wait_log("idle_timeout, ended by the sidecar, rule tunnel-half-closed: ")
    stream.wait_reset() if first == "client" else server.expect_broken()


UNMATCHED = "host x.test { route / { match header x-key = 1; to %s; } } unmatched reject;"


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
def test_what_no_route_would_take_inside_does_not_pass_over_http2_either(pair, raw_origin, connect):
    """Over HTTP/1.1 each request inside is asked for the header, and one without it is refused."""
    upstream = raw_origin()
    pair.start(f"outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; {UNMATCHED % upstream.address} }}")
    _, head = h2_connect(pair, "x.test:80", ("x-key", "1"))
    assert head[":status"] == "403" and head["sidespan-reason"] == "connect-over-http2"
    assert upstream.untouched()
    client = connect(pair.port)
    client.send("CONNECT x.test:80 HTTP/1.1\r\nHost: x.test:80\r\nX-Key: 1\r\n\r\n")
    assert client.read_response("CONNECT", body=False).status == 200
    client.send(request_bytes(host="x.test"))
    assert client.read_response().status in (403, 404)


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
def test_a_route_for_connect_alone_is_for_http2_too(pair, raw_origin):
    upstream = raw_origin()
    pair.start(f"""outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; unmatched reject;
        host x.test {{ route / {{ match method CONNECT; to {upstream.address}; }} route /a {{ respond 403; }} }} }}""")
    stream, head = h2_connect(pair, "x.test:80")
    assert head[":status"] == "200"
    stream.send(b"ping")
    assert upstream.accept().read(4) == b"ping"


# -- explained

def test_explain_knows_connect(tmp_path):
    conf = tmp_path / "x.conf"
    conf.write_text("""service x; admin off; outbound { listen 127.0.0.1:15002 forward-proxy;
        host x.test { route /admin { respond 403; } route / { to 127.0.0.1:1; } } }""")
    done = run("explain", "--config", conf, "CONNECT x.test:443")
    assert done.returncode == 0
    assert "answered with 200, for the requests inside" in done.stdout
    assert "what is not HTTP is refused: /admin" in done.stdout
    for wrong in ("CONNECT x.test", "CONNECT http://x.test:1/", "CONNECT x.test:99999", "CONNECT :1"):
        assert run("explain", "--config", conf, wrong).returncode != 0
