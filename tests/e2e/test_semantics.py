"""What RFC 9110 asks of a proxy, whatever version is spoken on either side."""
import pytest

from peers import Reply
from process import run
from wire import request_bytes, response_bytes

CHALLENGED = [("Proxy-Authenticate", "Basic realm=origin"), ("Proxy-Authentication-Info", "x=1"),
              ("WWW-Authenticate", "Basic realm=a"), ("Proxy-Status", "a; error=x")]


def forward_proxy(pair, upstream):
    return pair.start(f"""outbound {{ listen 127.0.0.1:{pair.port} forward-proxy; route / {{ to app; }} }}
                          {pair.cluster(upstream)}""")


# ---- who the client is, to a proxy: sections 11.7.1 to 11.7.3

def test_a_forward_proxy_keeps_what_is_between_it_and_its_client(pair):
    upstream = pair.origin(lambda r: Reply(407, CHALLENGED, b"no"))
    forward_proxy(pair, upstream)
    response = pair.client().get("/", "Proxy-Authorization: Basic eDp5", "Authorization: Basic YTpi")
    [request] = upstream.requests
    assert request.get("proxy-authorization") is None
    assert request.get("authorization") == "Basic YTpi"
    assert response.status == 407
    assert {n.lower() for n in response.names()} & {"proxy-authenticate", "proxy-authentication-info"} == set()
    assert response.get("www-authenticate") == "Basic realm=a"
    assert response.get("proxy-status") == "a; error=x"


def test_to_the_origin_of_an_absolute_target_too(sidespan, port, origin, connect):
    upstream = origin()
    sidespan(f"outbound {{ listen 127.0.0.1:{port} forward-proxy; }}")
    connect(port).get(f"http://{upstream.address}/", "Proxy-Authorization: Basic eDp5")
    assert upstream.requests[0].get("proxy-authorization") is None


def test_elsewhere_it_is_for_a_proxy_further_on(pair):
    upstream = pair.origin(lambda r: Reply(407, CHALLENGED, b"no"))
    pair.inbound(upstream)
    response = pair.client().get("/", "Proxy-Authorization: Basic eDp5")
    assert upstream.requests[0].get("proxy-authorization") == "Basic eDp5"
    assert response.get("proxy-authenticate") == "Basic realm=origin"


# ---- answers

@pytest.mark.parametrize("status, field", [(401, "WWW-Authenticate"), (405, "Allow"),
                                           (407, "Proxy-Authenticate")])
def test_check_warns_of_an_answer_that_lacks_what_it_must_have(tmp_path, status, field):
    path = tmp_path / "routes.conf"
    answer = "inbound { listen :8080;\n  route / { respond %d; %s } }"
    path.write_text(answer % (status, ""))
    done = run("check", path)
    assert done.returncode == 0 and f"routes.conf:2:3: " in done.stderr and field in done.stderr
    path.write_text(answer % (status, f'set-header response {field.lower()} "x";'))
    done = run("check", path)
    assert done.returncode == 0 and done.stderr == ""


def test_205_has_no_content_whoever_says_it(pair):
    pair.start(f"""inbound {{ listen 127.0.0.1:{pair.port}; route = /a {{ respond 205; }}
                   route = /b {{ respond 200; fault abort 205; }} route = /c {{ respond 200; fault abort 204; }} }}""")
    client = pair.client()
    for target, status, length in (("/a", 205, "0"), ("/b", 205, "0"), ("/c", 204, None)):
        response = client.get(target)
        assert (response.status, response.body) == (status, b"")
        assert response.get("content-length") == length
        assert response.get("content-type") is None


def test_a_426_says_what_it_requires(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(426, ["Upgrade: websocket", "Connection: upgrade",
                                                     "Sec-WebSocket-Version: 13"], b"ws only"))
    client = connect(inbound(upstream.address).port)
    for fields, said in ((), "upgrade"), (("Connection: close",), "upgrade, close"):
        client.send(request_bytes(fields=list(fields)))
        response = client.read_response()
        assert (response.status, response.body) == (426, b"ws only")
        assert response.get("upgrade") == "websocket"
        assert response.get("connection").lower() == said
    client.expect_end()


@pytest.mark.parametrize("pair", ["h2-h1"], indirect=True)
def test_a_426_has_no_upgrade_in_http_2(pair):
    pair.inbound(pair.origin(lambda r: Reply(426, [("Upgrade", "websocket"), ("Connection", "upgrade")], b"no")))
    response = pair.client().get()
    assert response.status == 426 and response.get("upgrade") is None and response.get("connection") is None


def test_an_http_1_0_client_is_never_switched(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    server = upstream.accept()
    request = server.read_request()
    assert request.get("upgrade") is None and "upgrade" not in (request.get("connection") or "").lower()
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert client.read_response().body == b"ok"


# ---- ports

@pytest.mark.parametrize("authority, status", [("x:65535", 200), ("x:", 200), ("[::1]:00080", 200),
                                               ("x:65536", 400), ("x:99999", 400), ("[::1]:99999", 400),
                                               ("x:18446744073709551617", 400), ("x:4294967297", 400)])
def test_a_port_that_there_is_not_is_refused(pair, authority, status):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream)
    assert pair.client().get(host=authority).status == status
    if status == 400:
        assert sidecar.wait_span()["sidespan.refusal"] == "host-invalid"
        assert upstream.requests == []


@pytest.mark.parametrize("line", ["GET http://127.0.0.1:99999/ HTTP/1.1", "CONNECT 127.0.0.1:99999 HTTP/1.1",
                                  "CONNECT 127.0.0.1:65536 HTTP/1.1"])
def test_nor_in_a_target(sidespan, port, connect, line):
    sidecar = sidespan(f"outbound {{ listen 127.0.0.1:{port} forward-proxy; }}")
    client = connect(port)
    client.send(f"{line}\r\nHost: 127.0.0.1:80\r\n\r\n")
    assert client.read_response().status == 400
    assert sidecar.wait_span()["sidespan.refusal"] in ("host-invalid", "target-form", "connect-target")


def test_explain_takes_no_such_port_either(tmp_path):
    path = tmp_path / "routes.conf"
    path.write_text("inbound { listen :8080; route / { respond 200; } }")
    assert run("explain", "--config", path, "GET http://a:99999/").returncode == 2
    assert run("explain", "--config", path, "GET http://a:8080/").returncode == 0


# ---- TRACE, OPTIONS, Max-Forwards: sections 9.3.7, 9.3.8 and 7.6.2

def test_options_that_may_go_no_further_is_answered_here(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    client = pair.client()
    response = client.ask("OPTIONS", "*", ["Max-Forwards: 0"])
    assert response.status == 200 and response.body == b"" and response.get("content-length") == "0"
    assert "OPTIONS" in response.get("allow")
    for given, sent in (("1", "0"), ("18446744073709551616", "18446744073709551614"), ("x", "x")):
        assert client.ask("OPTIONS", "/", [f"Max-Forwards: {given}"]).status == 200
        assert upstream.requests[-1].get("max-forwards") == sent
    assert client.ask("GET", "/", ["Max-Forwards: 0"]).status == 200      # of other methods it is nobody's concern
    assert len(upstream.requests) == 4


# ---- redirects, and what rules make of a request

@pytest.mark.parametrize("pair", ["h1-h1", "h2-h1"], indirect=True)
def test_a_redirect_keeps_what_it_says(pair):
    pair.start(f"""inbound {{ listen 127.0.0.1:{pair.port};
        route /secure {{ redirect 308 https://$(host)$(request-uri); }}
        route /query {{ redirect 302 /other$(request-query); }}
        route /all {{ redirect 307 $(scheme)://$(authority):$(port)/; }} }}""")
    client = pair.client()
    for target, host, location in (
            ("/secure/a?b=c&d", "shop.test:8080", "https://shop.test/secure/a?b=c&d"),
            ("/secure", "shop.test", "https://shop.test/secure"),
            ("/secure?", "shop.test", "https://shop.test/secure?"),
            ("/secure?a=<b>", "[::1]:80", "https://[::1]/secure?a=%3Cb%3E"),
            ("/query?x", "a", "/other?x"), ("/query", "a", "/other"),
            ("/all", "a:81", "http://a:81:81/"), ("/all", "a", "http://a:80/")):
        assert client.get(target, host=host).get("location") == location


@pytest.mark.parametrize("host, status", [("users.test", 200), ("users.test:81", 200), ("a b", 400), ("a/b", 400),
                                          ("u@a", 400), ("a:99999", 400), (None, 400)])
def test_a_host_that_a_rule_makes_is_checked(pair, host, status):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream, extra='rewrite-host "$(header x-host)";')
    response = pair.client().get("/", *([f"X-Host: {host}"] if host else []))
    assert response.status == status
    if status == 400:
        assert response.get("sidespan-reason") == "rewrite-host-invalid"
        assert sidecar.wait_span()["sidespan.refusal"] == "rewrite-host-invalid"
        assert upstream.requests == []
    else:
        assert upstream.requests[0].authority == host


def test_a_path_and_a_url_that_rules_make_are_too(pair):
    upstream = pair.origin()
    pair.start(f"""inbound {{ listen 127.0.0.1:{pair.port};
        route /to {{ redirect 302 $(header x-to); }} route / {{ to app; rewrite "$(header x-path)"; }} }}
        {pair.cluster(upstream)}""")
    client = pair.client()
    assert client.get("/", "X-Path: /ok").status == 200
    response = client.get("/", "X-Path: nok")
    assert (response.status, response.get("sidespan-reason")) == (400, "rewrite-invalid")
    assert client.get("/").status == 400
    assert client.get("/to", "X-To: /there").get("location") == "/there"
    response = client.get("/to")
    assert (response.status, response.get("sidespan-reason")) == (400, "redirect-invalid")
    assert [r.target for r in upstream.requests] == ["/ok"]


# ---- who the client is

@pytest.mark.parametrize("fields, address, scheme", [
    (["Forwarded: for=192.0.2.43;proto=https, for=198.51.100.17"], "192.0.2.43", "https"),
    (['Forwarded: For="[2001:db8:cafe::17]:4711"'], "2001:db8:cafe::17", "http"),
    (["Forwarded: for=192.0.2.43", "X-Forwarded-For: 192.0.2.1"], "192.0.2.43", "http"),
    (["Forwarded: proto=https", "X-Forwarded-For: 192.0.2.1"], "192.0.2.1", "https"),
    (["Forwarded: for=_hidden"], "127.0.0.1", "http"), (["Forwarded: for=unknown"], "127.0.0.1", "http"),
    (["X-Forwarded-For: unknown"], "127.0.0.1", "http"), (["Forwarded: ;;for"], "127.0.0.1", "http"),
])
def test_forwarded_says_who_the_client_is(inbound, origin, connect, fields, address, scheme):
    sidecar = inbound(origin().address)
    connect(sidecar.port).get("/", *fields)
    span = sidecar.wait_span()
    assert span["client.address"] == address
    assert span["url.scheme"] == scheme


def test_what_is_told_of_what_the_sidecar_answers(sidespan, port, connect):
    sidecar = sidespan('outbound { listen 127.0.0.1:%d forward-proxy; route / { respond 200 "hello"; } }' % port)
    client = connect(port)
    client.get("/")
    client.send("GET foo HTTP/1.1\r\nHost: a\r\n\r\n")
    client.read_response()
    client = connect(port)
    client.send("GET http:///x HTTP/1.1\r\n\r\n")
    client.read_response()
    answered, *refused = sidecar.wait_spans(3)
    assert answered["http.response.body.size"] == 5
    assert "sidespan.time.first_byte" not in answered
    assert all("url.full" not in span for span in refused)
