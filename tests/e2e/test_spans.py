"""One span a hop, with what the stable HTTP conventions ask for and where the time went."""
import pytest

from process import CLIENT, SERVER, free_port
from wire import request_bytes, response_bytes


@pytest.fixture
def chain(sidespan, service, origin):
    """edge -> [inbound] shop [outbound] -> [inbound] users: three sidecar hops, two services that
    copy trace headers. Returns the port of the first hop and the two sidecars."""
    users = service()
    users_port, shop_in, shop_out = free_port(), free_port(), free_port()
    users_sidecar = sidespan(f"""
        service users;
        inbound {{ listen 127.0.0.1:{users_port}; route /api/users/{{id}} {{ to {users.address}; }} }}
        """, name="users.conf")
    shop = service(shop_out, "users.shop.local")
    shop_sidecar = sidespan(f"""
        service shop;
        inbound {{ listen 127.0.0.1:{shop_in}; route /api {{ to {shop.address}; }} }}
        outbound {{
            listen 127.0.0.1:{shop_out};
            host users.shop.local {{ route /api/users/{{id}} {{ to users; }} }}
        }}
        cluster users {{ endpoint 127.0.0.1:{users_port}; }}
        """, name="shop.conf")
    return shop_in, shop_sidecar, users_sidecar


def test_the_hops_of_a_request_are_one_trace(chain, connect):
    first, shop, users = chain
    assert connect(first).get("/api/users/7").body == b"called: leaf\n"
    spans = {s.kind: s for s in shop.wait_spans(2)}
    entry, call = spans[SERVER], spans[CLIENT]
    callee = users.wait_span()
    assert entry.trace_id == call.trace_id == callee.trace_id
    assert entry.parent == ""
    assert call.parent == entry.span_id       # the service copied the headers
    assert callee.parent == call.span_id      # CLIENT -> SERVER: what a service graph is made of
    assert callee.kind == SERVER
    assert entry.name == "GET /api"
    assert call.name == "GET /api/users/{id}"
    assert callee.name == "GET /api/users/{id}"
    assert entry.resource["service.name"] == "shop"
    assert callee.resource["service.name"] == "users"
    assert entry.start <= call.start <= callee.start
    assert callee.end <= entry.end


def test_requests_at_once_are_not_mixed_up(chain, connect):
    first, shop, users = chain
    clients = [connect(first) for _ in range(20)]
    for i, client in enumerate(clients):
        client.send(request_bytes(target=f"/api/users/{i}",
                                  fields=[f"traceparent: 00-{i + 1:032x}-{i + 1:016x}-01"]))
    for client in clients:
        assert client.read_response().status == 200
    by_trace = {}
    for span in shop.wait_spans(40) + users.wait_spans(20):
        by_trace.setdefault(int(span.trace_id, 16), []).append(span)
    assert sorted(by_trace) == list(range(1, 21))
    for trace, spans in by_trace.items():
        entry, = [s for s in spans if s.kind == SERVER and s.name == "GET /api"]
        call, = [s for s in spans if s.kind == CLIENT]
        callee, = [s for s in spans if s.kind == SERVER and s is not entry]
        assert int(entry.parent, 16) == trace
        assert call.parent == entry.span_id and callee.parent == call.span_id
        assert entry["url.path"] == call["url.full"].partition("local")[2] == f"/api/users/{trace - 1}"


def test_a_server_span_has_the_attributes_of_the_conventions(sidespan, port, origin, connect):
    upstream = origin(lambda r: response_bytes(status=201, reason="Created", body=b"made it"))
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route /orders/{{id}} {{ to {upstream.address}; }} }}
        """)
    client = connect(port)
    client.ask("POST", "/orders/17?full=yes&x=%20", ["User-Agent: tester/1.0"], b"12345",
               host="shop.test:8080")
    span = sidecar.wait_span()
    assert span.name == "POST /orders/{id}"
    assert span.kind == SERVER
    expected = {
        "http.request.method": "POST",
        "url.scheme": "http",
        "url.path": "/orders/17",
        "url.query": "full=yes&x=%20",
        "http.route": "/orders/{id}",
        "http.response.status_code": 201,
        "server.address": "shop.test",
        "server.port": 8080,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": client.local_port,
        "network.protocol.version": "1.1",
        "user_agent.original": "tester/1.0",
        "http.request.body.size": 5,
        "http.response.body.size": 7,
    }
    assert {k: span[k] for k in expected} == expected
    for absent in ("error.type", "url.full", "http.request.method_original", "url.template",
                   "http.request.resend_count", "network.protocol.name"):
        assert absent not in span
    assert span.status == 0 and span.message == ""


def test_a_client_span_has_the_attributes_of_the_conventions(outbound, origin, connect):
    upstream = origin()
    sidecar = outbound("host users.test { route /api/{id} { to users; } }",
                       rest=f"cluster users {{ endpoint {upstream.address}; }}")
    connect(sidecar.port).get("/api/7?a=b", "User-Agent: x", host="users.test:81")
    span = sidecar.wait_span()
    assert span.name == "GET /api/{id}" and span.kind == CLIENT
    expected = {
        "http.request.method": "GET",
        "url.full": "http://users.test:81/api/7?a=b",
        "url.template": "/api/{id}",
        "http.response.status_code": 200,
        "server.address": "users.test",
        "server.port": 81,
        "network.peer.address": "127.0.0.1",
        "network.peer.port": upstream.port,
        "network.protocol.version": "1.1",
        "sidespan.cluster": "users",
        "sidespan.pooled": False,
    }
    assert {k: span[k] for k in expected} == expected
    for absent in ("url.path", "url.query", "http.route", "client.address", "error.type"):
        assert absent not in span
    connect(sidecar.port).get("/api/8", host="users.test")
    [second] = sidecar.wait_spans(1, lambda s: s["url.full"].endswith("/8"))
    assert second["sidespan.pooled"] is True


@pytest.mark.parametrize("status, server, client", [
    (200, 0, 0), (204, 0, 0), (301, 0, 0), (304, 0, 0), (400, 0, 2), (404, 0, 2), (429, 0, 2),
    (499, 0, 2), (500, 2, 2), (503, 2, 2), (599, 2, 2),
])
def test_the_status_of_a_span_follows_the_code_and_the_kind(
        sidespan, origin, connect, status, server, client):
    upstream = origin(lambda r: f"HTTP/1.1 {status} X\r\n".encode() +
                      (b"\r\n" if status in (204, 304) else b"Content-Length: 0\r\n\r\n"))
    in_port, out_port = free_port(), free_port()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{in_port}; route / {{ to {upstream.address}; }} }}
        outbound {{ listen 127.0.0.1:{out_port}; route / {{ to {upstream.address}; }} }}
        """)
    for port in (in_port, out_port):
        assert connect(port).get().status == status
    spans = {s.kind: s for s in sidecar.wait_spans(2)}
    for kind, expected in ((SERVER, server), (CLIENT, client)):
        span = spans[kind]
        assert span.status == expected
        assert span["http.response.status_code"] == status
        assert span["error.type"] == (str(status) if expected else None)
        assert span.message == ""             # the code explains it


@pytest.mark.parametrize("method, name, kept", [
    ("GET", "GET", None), ("QUERY", "QUERY", None), ("PATCH", "PATCH", None),
    ("PROPFIND", "HTTP", "PROPFIND"), ("PURGE", "HTTP", "PURGE"),
])
def test_unknown_methods_do_not_make_names(inbound, origin, connect, method, name, kept):
    sidecar = inbound(origin().address)
    assert connect(sidecar.port).ask(method).status == 200
    span = sidecar.wait_span()
    assert span.name == name
    assert span["http.request.method"] == ("_OTHER" if kept else method)
    assert span["http.request.method_original"] == kept


@pytest.mark.parametrize("route, target, name", [
    ("/", "/any/thing", "GET"),
    ("= /", "/", "GET /"),
    ("/api", "/api/users/7", "GET /api"),
    ("= /health", "/health", "GET /health"),
    ("/users/{id}/orders/{order}", "/users/1/orders/2", "GET /users/{id}/orders/{order}"),
    ("/files/{path*}", "/files/a/b/c", "GET /files/{path*}"),
    ("~ ^/v[0-9]+/x$", "/v12/x", "GET"),
])
def test_names_come_from_the_route_and_never_from_the_path(
        sidespan, port, origin, connect, route, target, name):
    upstream = origin()
    pattern = f'~ "{route[2:]}"' if route.startswith("~") else route
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route {pattern} {{ to {upstream.address}; }} }}
        """)
    assert connect(port).get(target).status == 200
    span = sidecar.wait_span()
    assert span.name == name
    assert span["http.route"] == (name.partition(" ")[2] or None)


def test_a_name_that_the_file_gives_wins(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="name /front-page;")
    connect(sidecar.port).get("/x")
    span = sidecar.wait_span()
    assert span.name == "GET /front-page" and span["http.route"] == "/front-page"


def test_secrets_in_queries_are_redacted(sidespan, origin, connect):
    upstream = origin()
    in_port, out_port = free_port(), free_port()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{in_port}; route / {{ to {upstream.address}; }} }}
        outbound {{ listen 127.0.0.1:{out_port}; route / {{ to {upstream.address}; }} }}
        trace {{ redact query token; }}
        """)
    secret = ("a=1&sig=s3cret&X-Amz-Signature=s3cret&X-Amz-Credential=s3cret&"
              "X-Amz-Security-Token=s3cret&AWSAccessKeyId=s3cret&Signature=s3cret&"
              "X-Goog-Signature=s3cret&token=s3cret&b=2")
    for port in (in_port, out_port):
        connect(port).get("/p?" + secret, host="a.test")
    spans = {s.kind: s for s in sidecar.wait_spans(2)}
    redacted = secret.replace("s3cret", "REDACTED")
    assert spans[SERVER]["url.query"] == redacted
    assert spans[CLIENT]["url.full"] == "http://a.test/p?" + redacted
    assert all(r.target == "/p?" + secret for r in upstream.requests)  # only in the span
    assert "s3cret" not in sidecar.log()


def test_forwarded_headers_name_the_client_and_the_scheme(inbound, origin, connect):
    sidecar = inbound(origin().address)
    connect(sidecar.port).get("/", "X-Forwarded-For: 203.0.113.9, 10.1.1.1",
                              "X-Forwarded-Proto: https", "X-Forwarded-Host: public.example")
    span = sidecar.wait_span()
    assert span["client.address"] == "203.0.113.9"
    assert span["url.scheme"] == "https"
    assert span["server.address"] == "public.example"
    assert span["network.peer.address"] == "127.0.0.1"


def test_the_time_is_accounted_for_without_gap(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, extra="fault delay 50ms;")
    client = connect(sidecar.port)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\n")
    assert client.quiet(0.03)
    client.send(b"Content-Length: 2\r\n\r\na")
    server = upstream.accept()
    server.read_request(body=False)
    assert server.quiet(0.03) or server.buffer == b"a"
    client.send(b"b")
    server.read(2)
    assert client.quiet(0.03)
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    client.read_head()
    assert client.quiet(0.03)
    server.send(b"ok")
    client.read(2)
    span = sidecar.wait_span()
    times = span.times()
    assert sum(times.values()) == pytest.approx(span.seconds, abs=1e-4)
    assert times["head"] >= 0.025
    assert times["fault"] >= 0.05
    assert times["first_byte"] >= 0.025
    assert times["body"] >= 0.025
    assert times["connect"] > 0
    assert span["sidespan.fault_delay"] == pytest.approx(0.05)
    assert span["sidespan.fault"] == "delay 50ms"


def test_a_span_ends_with_the_stream_and_not_with_the_head(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    client.read_head()
    assert client.quiet(0.1)
    assert sidecar.spans() == []
    server.send(b"ok")
    client.read(2)
    assert sidecar.wait_span().seconds >= 0.1


def test_a_server_span_names_the_endpoint_that_answered(inbound, origin, connect):
    """A CLIENT span has it as network.peer.*, where a SERVER span has the caller."""
    upstreams = [origin(lambda r, i=i: response_bytes(body=str(i).encode())) for i in range(2)]
    sidecar = inbound("app", rest=f"cluster app {{ endpoint {upstreams[0].address}; endpoint {upstreams[1].address}; "
                                  f"endpoint 127.0.0.1:{free_port()}; }}")
    client = connect(sidecar.port)
    answered = [upstreams[int(client.get(f"/{i}").body)].address for i in range(9)]
    spans = {s["url.path"]: s for s in sidecar.wait_spans(9)}
    assert [spans[f"/{i}"]["sidespan.endpoint"] for i in range(9)] == answered
    assert set(answered) == {u.address for u in upstreams}


def test_a_span_names_the_endpoint_that_did_not_answer_and_none_where_none_was_asked(sidespan, port, connect):
    dead = f"127.0.0.1:{free_port()}"
    sidecar = sidespan(f"inbound {{ listen 127.0.0.1:{port}; route /here {{ respond 200; }} route / {{ to {dead}; }} }}")
    assert connect(port).get("/").status == 502
    assert sidecar.wait_span()["sidespan.endpoint"] == dead
    connect(port).get("/here")
    assert "sidespan.endpoint" not in next(s for s in sidecar.wait_spans(2) if s["url.path"] == "/here")


def test_weights_and_cluster_are_told(outbound, origin, connect):
    upstream = origin()
    sidecar = outbound("route / { to v1 weight 90; to v2 weight 10; }", rest=f"""
        cluster v1 {{ endpoint {upstream.address}; }} cluster v2 {{ endpoint {upstream.address}; }}
        """)
    client = connect(sidecar.port)
    for _ in range(30):
        client.get()
    for span in sidecar.wait_spans(30):
        weight = {"v1": 90, "v2": 10}[span["sidespan.cluster"]]
        assert span["sidespan.weight"] == weight and span["sidespan.weight_total"] == 100


def test_attributes_of_a_route_are_on_its_spans(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="attribute team shop; attribute tier gold;")
    connect(sidecar.port).get()
    span = sidecar.wait_span()
    assert span["team"] == "shop" and span["tier"] == "gold"


def test_captured_headers_are_lists_under_their_lower_case_name(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(fields=["X-Cache: hit"]))
    sidecar = inbound(upstream.address, rest="""
        trace { capture request header X-User x-absent; capture response header x-cache; }
        """)
    connect(sidecar.port).get("/", "X-User: a", "x-user: b", "X-Other: c")
    span = sidecar.wait_span()
    assert span["http.request.header.x-user"] == ["a", "b"]
    assert span["http.response.header.x-cache"] == ["hit"]
    assert "http.request.header.x-absent" not in span
    assert not [k for k in span.attributes if "x-other" in k]


def test_the_resource_says_whose_spans_they_are(sidespan, port, origin, connect):
    upstream = origin()
    sidecar = sidespan(f"""
        service checkout {{
            namespace shop; version 1.4.2; instance one;
            attribute deployment.environment.name production;
        }}
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}
        """)
    connect(port).get()
    resource = sidecar.wait_span().resource
    expected = {"service.name": "checkout", "service.namespace": "shop", "service.version": "1.4.2",
                "service.instance.id": "one", "deployment.environment.name": "production"}
    assert {k: resource[k] for k in expected} == expected
    assert resource["telemetry.sdk.name"] != "opentelemetry"  # reserved for the official ones
    assert resource["telemetry.sdk.language"] and resource["telemetry.sdk.version"]


def test_bytes_that_are_not_utf_8_do_not_break_the_export(inbound, origin, connect):
    sidecar = inbound(origin().address)
    connect(sidecar.port).get("/", "User-Agent: caf\xe9 \xff")
    assert sidecar.wait_span()["user_agent.original"].startswith("caf")


def test_more_spans_than_are_kept_push_out_the_oldest(inbound, origin, connect):
    sidecar = inbound(origin().address, rest="trace { export memory 10; }")
    client = connect(sidecar.port)
    for i in range(25):
        client.get(f"/{i}")
    sidecar.wait_spans(1, lambda s: s["url.path"] == "/24")
    assert [s["url.path"] for s in sidecar.spans()] == [f"/{i}" for i in range(15, 25)]
    assert sidecar.the_ledger()["started"] == 25


def test_sizes_and_times_are_never_negative(inbound, origin, connect):
    sidecar = inbound(origin().address)
    client = connect(sidecar.port)
    for _ in range(100):
        client.get()
    for span in sidecar.wait_spans(100):
        assert 0 <= span.end - span.start < 5_000_000_000
        assert all(v > 0 for v in span.times().values())
