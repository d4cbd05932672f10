"""What a listener carries: http refuses what is not HTTP, auto passes it on where no rule could have
refused it, tcp looks at nothing. No first byte, however odd and however it is cut, steps over a rule.
"""
import time

import pytest

from process import SERVER, run
from wire import request_bytes, told_on, until

ADMIN = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"

# What has been tried to be taken for something else than the request that a lenient origin sees.
ODD = {
    "plain": ADMIN,
    "empty-lines": b"\r\n\r\n" + ADMIN,
    "lf": b"\n" + ADMIN,
    "cr": b"\r" + ADMIN,
    "many-empty-lines": b"\r\n" * 100 + ADMIN,
    "space": b" " + ADMIN,
    "tab": b"\t" + ADMIN,
    "bad-method": ADMIN.replace(b"GET", b"GE(T"),
    "nul-before": b"\0" + ADMIN,
    "nul-within": ADMIN.replace(b"GET", b"GE\0T"),
    "dollar": ADMIN.replace(b"GET", b"$"),
    "long-method": ADMIN.replace(b"GET", b"GETGETGETGETGETGETGETGETGETGETGET"),
    "lower-case": ADMIN.replace(b"GET", b"get"),
    "unknown-method": ADMIN.replace(b"GET", b"BREW"),
    "tabs": ADMIN.replace(b" ", b"\t", 2),
    "no-version": b"GET /admin\r\nHost: x\r\n\r\n",
    "version-0.9": b"GET /admin HTTP/0.9\r\n\r\n",
    "version-2": ADMIN.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "version-small": ADMIN.replace(b"HTTP/1.1", b"http/1.1"),
    "junk-behind-version": ADMIN.replace(b"HTTP/1.1", b"HTTP/1.1 x"),
    "absolute": ADMIN.replace(b"/admin", b"http://x/admin"),
    "wrong-preface": b"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n" + ADMIN,
    "cut-preface": b"PRI * HTTP/2.0\r\n\r\n" + ADMIN,
    "binary-first": b"\x01\x02\x03\n" + ADMIN,
    "binary-and-empty-line": b"\x80\r\n\r\n" + ADMIN,
    "word-first": b"ruok" + ADMIN,
    "line-first": b"HELO x\r\n" + ADMIN,
    "quoted": b'x "GET / HTTP/1.1"\r\n' + ADMIN,
    "tls-first": b"\x16\x03\x01\x00\x05\x01" + ADMIN,
    "not-tls-first": b"\x16" + ADMIN,
    "utf-8": b"\xc3\x89" + ADMIN,
}

RULES = {
    "respond": "route /admin { respond 403; }",
    "redirect": "route /admin { redirect 302 http://elsewhere.test/; }",
    "abort": "route /admin { to TARGET; fault abort 403; }",
    "reset": "route /admin { to TARGET; fault reset; }",
    "host": "host x { route /admin { respond 403; } }",
    "grpc": "route grpc a.B { respond 403; } route /admin { respond 403; }",
}


@pytest.fixture
def ruled(sidespan, port):
    """A sidecar before an origin, whose /admin is not for clients."""
    def start(target, listen, rule="respond", rest=""):
        sidecar = sidespan(f"""
            inbound {{
                listen 127.0.0.1:{port} {listen};
                {RULES[rule].replace("TARGET", target)}
                route / {{ to {target}; }}
            }}
            {rest}
            """)
        sidecar.port = port
        return sidecar

    return start


def send_cut(client, data, whole):
    """All at once, or a byte in each packet; a connection that is closed meanwhile is fine."""
    try:
        for piece in [data] if whole else [data[i:i + 1] for i in range(len(data))]:
            client.send(piece)
        client.half_close()
    except OSError:
        pass


def answered(client):
    """What came until the connection ended."""
    return client.expect_broken()


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "byte-by-byte"])
@pytest.mark.parametrize("listen", ["http", "auto"])
def test_no_first_byte_steps_over_a_rule(ruled, origin, connect, listen, whole):
    upstream = origin()
    sidecar = ruled(upstream.address, listen, rest="timeouts { header 30s; }")
    for name, data in ODD.items():
        client = connect(sidecar.port)
        send_cut(client, data, whole)
        answer = answered(client)
        assert not answer.startswith(b"HTTP/1.1 2"), f"{name}: {answer}"
        assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), f"{name}: {answer}"
        client.close()
    assert connect(sidecar.port).get("/other").body == b"hello"
    assert [r.target for r in upstream.requests] == ["/other"]
    assert upstream.spoken_to == 1
    assert upstream.connections == 1 or listen == "auto"


@pytest.mark.parametrize("rule", RULES)
def test_any_rule_that_could_refuse_stands_before_opaque_bytes(ruled, origin, connect, rule):
    upstream = origin()
    sidecar = ruled(upstream.address, "auto", rule)
    client = connect(sidecar.port)
    client.send(b"\0\1binary")
    assert answered(client).startswith(b"HTTP/1.1 400 ")
    assert upstream.spoken_to == 0
    span = sidecar.wait_span()
    assert span["sidespan.refusal"] == "not-http-under-a-rule"
    assert sidecar.metric('sidespan_refusals_total{rule="not-http-under-a-rule"}') == 1
    assert sidecar.wait_log("rule not-http-under-a-rule: .*sidespan check names the route")


@pytest.mark.parametrize("fault", ["fault reset;", "fault abort 403;"])
@pytest.mark.parametrize("where", ["route /", "host h { route /"], ids=["all", "host"])
def test_a_fault_that_is_silenced_bars_nothing(sidespan, port, raw_origin, connect, fault, where):
    """What bars is asked for each connection anew; a route that refuses by itself stays."""
    upstream = raw_origin()
    to = f"to {upstream.address}; {fault}"
    sidecar = sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port} auto;
            {where} {{ {to} }} {"" if where == "route /" else "} route / { to " + upstream.address + "; }"}
        }}
        """)
    def barred():
        client = connect(port)
        client.send(b"\0\1binary")
        return answered(client).startswith(b"HTTP/1.1 400 ")
    assert barred()
    for _ in range(2):
        sidecar.admin("/faults/off", "POST")
        client = connect(port)
        client.send(b"\0\1binary")
        server = upstream.accept()
        assert server.read(8) == b"\0\1binary"
        server.close()
        client.expect_end()
        sidecar.admin("/faults/on", "POST")
        assert barred()


def test_a_route_that_refuses_bars_while_faults_are_silenced(ruled, origin, connect):
    upstream = origin()
    sidecar = ruled(upstream.address, "auto")
    sidecar.admin("/faults/off", "POST")
    client = connect(sidecar.port)
    client.send(b"\0\1binary")
    assert b"not-http-under-a-rule" in answered(client)


def test_a_server_that_speaks_first_under_a_rule_is_not_heard(ruled, raw_origin, connect):
    upstream = raw_origin()
    sidecar = ruled(upstream.address, "auto")
    client = connect(sidecar.port)
    server = upstream.accept()                # the client is silent: its server may speak first
    server.send(b"220 mail.test ESMTP\r\n")
    assert answered(client) == b""
    server.expect_broken()
    span = sidecar.wait_span()
    assert span.name == "TCP" and span["error.type"] == "bad_request"
    assert span["sidespan.refusal"] == "not-http-under-a-rule"


@pytest.mark.parametrize("rule", RULES)
def test_tcp_beside_a_rule_is_a_mistake_and_both_places_are_told(tmp_path, rule):
    path = tmp_path / "routes.conf"
    path.write_text(f"""inbound {{
    listen 127.0.0.1:8080 tcp;
    {RULES[rule].replace("TARGET", "127.0.0.1:3000")}
    route / {{ to 127.0.0.1:3000; }}
}}
""")
    done = run("check", path)
    assert done.returncode == 1
    assert 'routes.conf:2:12: "tcp" looks at nothing, so the route in line 3' in done.stderr


@pytest.mark.parametrize("listen, words", [
    ("127.0.0.1:8080 auto", "what is not HTTP is refused here, because the route in line 3 may"),
    (":15006 transparent", "what is not HTTP is refused here, because the route in line 3 may"),
    (":15006 transparent tcp", "this listener looks at nothing, so the route in line 3, which may"),
    ("127.0.0.1:8080", None),
    (":15006 transparent http", None),
    ("127.0.0.1:8080 forward-proxy", None),
])
def test_check_says_where_a_rule_and_opaque_bytes_meet(tmp_path, listen, words):
    path = tmp_path / "routes.conf"
    path.write_text(f"""inbound {{
    listen {listen};
    route /admin {{ respond 403; }}
    route / {{ to 127.0.0.1:3000; }}
}}
""")
    done = run("check", path)
    assert done.returncode == 0, done.stderr
    if words:
        assert f"warning: {path}:2:12: {words}" in done.stderr
    else:
        assert done.stderr == ""


@pytest.mark.parametrize("bound", ["for 50%", "first 3", "when header x-a", "until 2199-01-01T00:00:00Z"])
def test_a_fault_for_some_of_the_requests_is_no_bar_and_check_says_so(tmp_path, ruled, raw_origin,
                                                                      connect, port, bound):
    """Else one fault of a trial would cut off every database."""
    path = tmp_path / "check.conf"
    path.write_text("""inbound {
    listen 127.0.0.1:8080 auto;
    route / { to 127.0.0.1:3000; fault abort 503 %s; }
}
""" % bound)
    done = run("check", path)
    assert done.returncode == 0
    assert (f"warning: {path}:2:12: what is not HTTP is not struck by the fault in line 3"
            in done.stderr)
    upstream = raw_origin()
    RULES["share"] = "route /admin { to TARGET; fault abort 503 %s; }" % bound
    try:
        sidecar = ruled(upstream.address, "auto", "share")
    finally:
        del RULES["share"]
    connect(sidecar.port).send(b"\0\1binary")
    assert upstream.accept().read(8) == b"\0\1binary"


def test_rules_for_some_hosts_leave_other_transparent_connections_alone(tmp_path):
    """Outbound, the bytes of a database do not go where a fault is injected."""
    path = tmp_path / "routes.conf"
    path.write_text("""outbound {
    listen 127.0.0.1:15001 transparent;
    host users { route / { to original; fault abort 503; } }
}
""")
    done = run("check", path)
    assert done.returncode == 0 and done.stderr == ""


# ---- http ----

@pytest.mark.parametrize("first, rule", [
    (b"\x00\x01binary\xff", "not-http"),
    (b"SSH-2.0-x\r\n", "not-http"),
    (b"*1\r\n$4\r\nPING\r\n", "not-http"),
    (b"GET foo\r\n", "not-http"),
    (b"\x16\x03\x01\x00\x05\x01", "tls"),
], ids=["binary", "ssh", "redis", "text", "tls"])
def test_a_plain_listener_refuses_what_is_not_http(inbound, origin, connect, first, rule):
    upstream = origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(first)
    response = client.read_response()
    assert response.status == 400 and response.get("sidespan-reason") == rule
    assert response.get("connection") == "close"
    client.expect_end()
    assert upstream.connections == 0
    span = sidecar.wait_span()
    assert span.kind == SERVER and span["sidespan.refusal"] == rule
    assert sidecar.metric(f'sidespan_refusals_total{{rule="{rule}"}}') == 1
    assert sidecar.wait_log(f"rule {rule}: this listener carries HTTP ")


def test_a_plain_listener_dials_nobody_for_a_client_that_is_silent(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    silent, speaking = connect(sidecar.port), connect(sidecar.port)
    time.sleep(0.1)                           # longer than an auto listener waits before it dials
    speaking.send(request_bytes(target="/one"))
    assert upstream.accept().read_request().target == "/one"   # the first connection there is
    silent.close()


def test_a_first_line_that_is_never_whole_is_answered(inbound, origin, connect):
    sidecar = inbound(origin().address, rest="timeouts { header 100ms; }")
    client = connect(sidecar.port)
    client.send(b"BREW /po")
    response = client.read_response()
    assert response.status == 408 and response.get("sidespan-reason") == "head-timeout"
    assert sidecar.wait_span()["sidespan.refusal"] == "head-timeout"


@pytest.mark.parametrize("listen", ["http", "auto"])
def test_bytes_one_by_one_do_not_lengthen_the_time_for_a_head(inbound, origin, connect, listen):
    sidecar = inbound(origin().address, rest="timeouts { header 300ms; }", carries=listen)
    began = time.monotonic()
    client = connect(sidecar.port)

    def refused():
        try:
            client.send(b"x")
        except OSError:
            return True
        client.sock.settimeout(0.05)
        try:
            return client.sock.recv(10) is not None
        except TimeoutError:
            return False
        except ConnectionError:               # it was over before that byte
            return True

    until(refused, "the end of a head that trickles")
    assert time.monotonic() - began >= 0.3
    assert sidecar.metric('sidespan_timeouts_total{timeout="header"}') == 1


# ---- auto ----

@pytest.mark.parametrize("word", [b"ruok", b"JDWP-Handshake", b"\r\n", b"GET k", b"x" * 5000],
                         ids=["zookeeper", "jdwp", "finger", "text", "long"])
def test_a_first_word_without_a_line_end_reaches_its_server(inbound, raw_origin, connect, word):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, carries="auto")
    client = connect(sidecar.port)
    client.send(word)
    server = upstream.accept()
    assert server.read(len(word)) == word
    server.send(b"imok")
    assert client.read(4) == b"imok"
    server.close()
    client.close()
    span = sidecar.wait_span()
    assert span.name == "TCP" and span.seconds < 5   # not the time for a head


@pytest.mark.parametrize("first", [b"GET foo\r\n", b"PUT key 3\r\nabc", b"get /a\r\n", b"HEAD\r\n",
                                   b'<190>web: "GET / HTTP/1.1" 200\n'],
                         ids=["get", "put", "memcached", "word", "log"])
def test_protocols_of_text_that_are_not_http_pass(inbound, raw_origin, connect, first):
    upstream = raw_origin()
    client = connect(inbound(upstream.address, carries="auto").port)
    client.send(first)
    assert upstream.accept().read(len(first)) == first


@pytest.mark.parametrize("name", [
    "bad-method", "nul-before", "nul-within", "version-2", "no-version", "version-small",
    "wrong-preface", "space", "utf-8", "junk-behind-version"])
def test_what_looks_like_http_is_http_however_malformed(inbound, origin, connect, name):
    upstream = origin()
    sidecar = inbound(upstream.address, carries="auto")
    client = connect(sidecar.port)
    client.send(ODD[name])
    response = client.read_response()
    assert response.status in (400, 501, 505)
    assert upstream.requests == []
    assert sidecar.wait_span().kind == SERVER
    assert sidecar.metric('sidespan_tunnels_total{direction="inbound"}') == 0


@pytest.mark.parametrize("name", ["dollar", "long-method", "lower-case", "unknown-method"])
def test_any_token_is_a_method(inbound, origin, connect, name):
    upstream = origin()
    sidecar = inbound(upstream.address, carries="auto")
    assert connect(sidecar.port).ask(ODD[name].split()[0].decode(), "/admin").body == b"hello"
    assert upstream.requests[-1].method == ODD[name].split()[0].decode()
    assert sidecar.wait_span().kind == SERVER
    assert sidecar.metric('sidespan_tunnels_total{direction="inbound"}') == 0


@pytest.mark.parametrize("listen", ["http", "auto"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "byte-by-byte"])
@pytest.mark.parametrize("before", [b"\r\n", b"\n", b"\r\n\r\n", b"\n\r\n\n"])
def test_empty_lines_before_a_request_are_skipped(inbound, origin, connect, before, whole, listen):
    """RFC 9112 section 2.2."""
    upstream = origin()
    client = connect(inbound(upstream.address, carries=listen).port)
    data = before + request_bytes(target="/page")
    for piece in [data] if whole else [data[i:i + 1] for i in range(len(data))]:
        client.send(piece)
    assert client.read_response().body == b"hello"
    assert upstream.requests[-1].target == "/page"


def test_a_request_that_begins_slowly_is_a_request_still(inbound, origin, connect):
    """Its method may come long before its path: that is no word of another protocol."""
    upstream = origin()
    client = connect(inbound(upstream.address, carries="auto").port)
    client.send(b"GE")
    assert client.quiet(0.4)                  # longer than another protocol's word is waited for
    client.send(b"T /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.read_response().body == b"hello"
    assert upstream.requests[-1].target == "/slow"


# ---- tcp ----

@pytest.mark.parametrize("name", ["plain", "wrong-preface", "binary-first", "tls-first", "no-version"])
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "byte-by-byte"])
def test_tcp_looks_at_nothing(inbound, raw_origin, connect, name, whole):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, carries="tcp")
    client = connect(sidecar.port)
    server = upstream.accept()                # dialled before a byte came
    send_cut(client, ODD[name], whole)
    assert server.read_to_end() == ODD[name]
    server.send(b"HTTP/1.1 200 OK\r\n\r\n")
    server.close()
    assert client.read_to_end() == b"HTTP/1.1 200 OK\r\n\r\n"
    assert sidecar.wait_span().name == "TCP"


def test_a_tcp_listener_whose_server_is_gone_says_so(inbound, refusing):
    sidecar = inbound(refusing, carries="tcp")
    assert told_on(sidecar.port) == b""
    assert sidecar.wait_span()["error.type"] == "connection_refused"


def test_what_a_listener_carries_changes_with_a_reload(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    config = sidecar.path.read_text()
    client = connect(sidecar.port)
    client.send(b"\0hello")
    assert client.read_response().status == 400
    sidecar.reload(config.replace(f":{sidecar.port} ;", f":{sidecar.port} tcp;"))

    def passes():
        client = connect(sidecar.port)
        client.send(b"\0hello")
        try:
            return upstream.accept().read(6) == b"\0hello"
        except (OSError, EOFError):
            return False

    assert passes()


# ---- forward proxy ----

def test_a_forward_proxy_answers_what_is_no_request(sidespan, port, connect):
    sidecar = sidespan(f"outbound {{ listen 127.0.0.1:{port} forward-proxy; }}")
    client = connect(port)
    client.send(b"\x16\x03\x01\x00\x05\x01")
    assert client.read_response().get("sidespan-reason") == "tls"
    client = connect(port)
    client.send(b"\x05\x01\x00")              # SOCKS
    assert client.read_response().get("sidespan-reason") == "not-http"
    assert len(sidecar.wait_spans(2)) == 2


def test_a_listener_without_a_route_is_told(tmp_path):
    path = tmp_path / "routes.conf"
    path.write_text("inbound { listen :8080; }\noutbound { listen 127.0.0.1:8081; }\n")
    done = run("check", path)
    assert done.returncode == 0
    assert (f"warning: {path}:1:18: every request that comes here is answered with 404, because "
            'inbound has no route: add "route / { to 127.0.0.1:PORT; }"') in done.stderr
    assert (f"warning: {path}:2:19: every request that comes here is answered with 404, because "
            'outbound has no route: add "route / { to HOST:PORT; }"') in done.stderr
    path.write_text("inbound { listen :15006 transparent; }\n")
    assert run("check", path).stderr == ""
