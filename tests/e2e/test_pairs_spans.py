"""One span a hop, the trace joined and passed on, whatever the sides speak."""
import re
import time

import pytest

from h2wire import Broken
from peers import Reply
from process import CLIENT, SERVER, free_port

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
VALID = f"traceparent: 00-{TRACE}-{PARENT}-01"
SHAPE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def context(request):
    """(trace id, span id, flags) of the one traceparent that went out."""
    assert len(request.all("traceparent")) == 1
    match = SHAPE.fullmatch(request.get("traceparent"))
    assert match, request.get("traceparent")
    return match[1], match[2], int(match[3], 16)


def test_a_trace_begins_without_a_parent(pair):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream)
    pair.client().get()
    trace, span_id, flags = context(upstream.requests[0])
    span = sidecar.wait_span()
    assert (span.trace_id, span.span_id, span.parent) == (trace, span_id, "")
    assert flags == 0x03
    assert upstream.requests[0].get("x-trace-id") == trace


def test_a_valid_parent_is_continued(pair):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream)
    response = pair.client().get("/", VALID, "tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
                                 "baggage: userId=alice,isProduction=false")
    [request] = upstream.requests
    trace, span_id, flags = context(request)
    assert trace == TRACE and span_id != PARENT and flags == 0x01
    assert request.all("tracestate") == ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]
    assert request.get("baggage") == "userId=alice,isProduction=false"
    span = sidecar.wait_span()
    assert (span.trace_id, span.span_id, span.parent) == (TRACE, span_id, PARENT)
    assert span.flags & 0x300 == 0x300        # its parent is remote
    assert span.tracestate == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    for name in ("traceparent", "tracestate", "x-trace-id"):
        assert response.get(name) is None


@pytest.mark.parametrize("fields", [
    ["traceparent: junk"], [VALID, VALID], [f"traceparent: 00-{TRACE.upper()}-{PARENT}-01"],
    [f"traceparent: 00-{'0' * 32}-{PARENT}-01"],
], ids=["junk", "twice", "upper-case", "zero"])
def test_an_invalid_parent_begins_a_new_trace_without_tracestate(pair, fields):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream)
    pair.client().get("/", *fields, "tracestate: a=1")
    trace, _, flags = context(upstream.requests[0])
    assert trace != TRACE and flags == 0x03
    assert upstream.requests[0].all("tracestate") == []
    span = sidecar.wait_span()
    assert span.parent == "" and span["sidespan.invalid_parent"] is True


def test_several_tracestate_lines_are_one_in_the_order_received(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    pair.client().get("/", VALID, "tracestate: a=1,b=2", "tracestate:", "tracestate: c=3")
    members = ",".join(upstream.requests[0].all("tracestate"))
    assert [m.strip() for m in members.split(",") if m.strip()] == ["a=1", "b=2", "c=3"]


def test_streams_at_once_keep_their_own_parents(pair):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    calls = [client.open(target=f"/{i}", fields=[f"traceparent: 00-{i:032x}-{i:016x}-01"])
             for i in range(1, 31)]
    for call in calls:
        assert call.response().status == 200
    for request in upstream.requests:
        assert int(context(request)[0], 16) == int(request.target[1:])
    for span in sidecar.wait_spans(30):
        assert span["url.path"] == f"/{int(span.trace_id, 16)}"
        assert int(span.parent, 16) == int(span.trace_id, 16)


@pytest.fixture
def two_hops(pair, sidespan):
    """client -> [outbound, CLIENT] -> [inbound, SERVER] -> origin; the sidecars between them speak
    what the origin does. Returns (outer, inner)."""
    def start(upstream, extra=""):
        inner_port = free_port()
        inner = sidespan(f"""
            service callee;
            inbound {{ listen 127.0.0.1:{inner_port}; route /api/{{id}} {{ to app; {extra} }} }}
            {pair.cluster(upstream)}
            """, name="inner.conf")
        outer = pair.outbound("route /api/{id} { to next; }",
                              rest="service caller;\n" +
                              pair.cluster(f"127.0.0.1:{inner_port}", "next"), name="outer.conf")
        return outer, inner

    return start


def test_the_client_spans_child_is_the_server_span(pair, two_hops):
    upstream = pair.origin(lambda r: Reply(body=b"12345"))
    outer, inner = two_hops(upstream)
    assert pair.client().ask("POST", "/api/7?a=b", [VALID], b"abc").body == b"12345"
    call, entry = outer.wait_span(), inner.wait_span()
    assert call.kind == CLIENT and entry.kind == SERVER
    assert call.parent == PARENT
    assert entry.parent == call.span_id       # what a service graph is made of
    assert context(upstream.requests[0])[1] == entry.span_id
    assert call.trace_id == entry.trace_id == TRACE
    assert call.start <= entry.start and entry.end <= call.end + 1_000_000
    for span in (call, entry):
        assert span.name == "POST /api/{id}"
        assert span["network.protocol.version"] == pair.upstream_version
        assert span["http.request.body.size"] == 3 and span["http.response.body.size"] == 5


def test_a_server_span_has_the_attributes_of_the_conventions(pair):
    upstream = pair.origin(lambda r: Reply(201, body=b"made it"))
    sidecar = pair.start(f"""
        inbound {{ listen 127.0.0.1:{pair.port}; route /orders/{{id}} {{ to app; }} }}
        {pair.cluster(upstream)}
        """)
    pair.client().ask("POST", "/orders/17?full=yes&x=%20", ["User-Agent: tester/1.0"], b"12345",
                      host="shop.test:8080")
    span = sidecar.wait_span()
    assert span.name == "POST /orders/{id}" and span.kind == SERVER
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
        "network.protocol.version": pair.client_version,
        "user_agent.original": "tester/1.0",
        "http.request.body.size": 5,
        "http.response.body.size": 7,
    }
    assert {k: span[k] for k in expected} == expected
    for absent in ("error.type", "url.full", "http.request.method_original", "network.protocol.name",
                   "rpc.system"):
        assert absent not in span
    assert span.status == 0 and span.message == ""


def test_a_client_span_has_the_attributes_of_the_conventions(pair):
    upstream = pair.origin()
    sidecar = pair.outbound("host users.test { route /api/{id} { to users; } }",
                            rest=pair.cluster(upstream, "users"))
    client = pair.client()
    client.get("/api/7?a=b", "User-Agent: x", host="users.test:81")
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
        "network.protocol.version": pair.upstream_version,
        "sidespan.cluster": "users",
        "sidespan.pooled": False,
    }
    assert {k: span[k] for k in expected} == expected
    for absent in ("url.path", "url.query", "http.route", "client.address", "error.type"):
        assert absent not in span
    client.get("/api/8", host="users.test")
    [second] = sidecar.wait_spans(1, lambda s: s["url.full"].endswith("/8"))
    assert second["sidespan.pooled"] is True


@pytest.mark.parametrize("status, server, client", [
    (200, 0, 0), (204, 0, 0), (301, 0, 0), (404, 0, 2), (429, 0, 2), (500, 2, 2), (503, 2, 2),
])
def test_the_status_of_a_span_follows_the_code_and_the_kind(pair, status, server, client):
    upstream = pair.origin(lambda r: Reply(status))
    out_port = free_port()
    sidecar = pair.start(f"""
        inbound {{ listen 127.0.0.1:{pair.port}; route / {{ to app; }} }}
        outbound {{ listen 127.0.0.1:{out_port}; route / {{ to app; }} }}
        {pair.cluster(upstream)}
        """)
    for port in (pair.port, out_port):
        assert pair.client(port).get().status == status
    spans = {s.kind: s for s in sidecar.wait_spans(2)}
    for kind, expected in ((SERVER, server), (CLIENT, client)):
        span = spans[kind]
        assert span.status == expected and span["http.response.status_code"] == status
        assert span["error.type"] == (str(status) if expected else None)


def test_a_span_ends_with_the_trailers_and_not_with_the_head(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    announced = ["Connection: TE"] if pair.client_protocol == "h1" else []
    call, served = pair.asked(upstream, fields=["TE: trailers", *announced])
    served.send_head()
    served.send(b"ok")
    assert call.read(2) == b"ok"
    assert sidecar.spans() == []
    served.end(["X-Sum: 1"])
    assert call.rest() == b"" and len(call.trailers) == 1
    span = sidecar.wait_span()
    assert span["http.response.body.size"] == 2


def test_the_span_of_a_response_that_was_idle_for_long_is_whole(pair):
    """Most of the exchange's memory is given back while nothing happens; what is said of it is kept."""
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream, "attribute team \"of the route\";",
                           "trace { capture request header x-user; capture response header x-cache; }")
    streaming = {"streaming": True} if pair.client_protocol == "h2" else {"length": 6}
    announced = ["Connection: TE"] if pair.client_protocol == "h1" else []
    call, served = pair.asked(
        upstream, "POST", "/late?a=1&b=2", **streaming,
        fields=["TE: trailers", *announced, "User-Agent: patient/1", "x-user: u", "X-Forwarded-For: 1.2.3.4, 5.6.7.8",
                VALID, "tracestate: k=v"])
    call.send(b"abc")
    assert served.read(3) == b"abc"
    served.send_head(fields=["x-cache: hit"])
    served.send(b"one")
    assert call.read(3) == b"one"
    time.sleep(2.5)
    served.send(b"two")
    assert call.read(3) == b"two"
    call.send(b"def")
    call.end(["X-Late: 1"] if pair.client_protocol == "h2" else ())
    assert served.rest() == b"def"
    served.end(["X-Sum: 1", "X-Other: 2"])
    assert call.rest() == b"" and len(call.trailers) == 2
    span = sidecar.wait_span()
    assert span["http.request.method"] == "POST" and span["http.response.status_code"] == 200
    assert (span["url.path"], span["url.query"]) == ("/late", "a=1&b=2")
    assert span["user_agent.original"] == "patient/1" and span["client.address"] == "1.2.3.4"
    assert span["server.address"] == "service.test" and span["team"] == "of the route"
    assert span["http.request.header.x-user"] == ["u"] and span["http.response.header.x-cache"] == ["hit"]
    assert (span.trace_id, span.parent, span.tracestate) == (TRACE, PARENT, "k=v")
    assert (span["http.request.body.size"], span["http.response.body.size"]) == (6, 6)


@pytest.mark.parametrize("ends", ["upstream", "client"])
def test_a_response_that_was_idle_for_long_may_fail(pair, ends):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream, target="/late?a=1")
    served.send_head(length=10)
    served.send(b"one")
    assert call.read(3) == b"one"
    time.sleep(2.2)
    if ends == "client":
        call.cancel()
    else:
        served.reset()
        sidecar.wait_log("GET service.test/late")
    span = sidecar.wait_span()
    assert (span["url.path"], span["url.query"]) == ("/late", "a=1")
    assert span["error.type"]


def test_the_time_is_accounted_for_without_gap(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream, extra="fault delay 50ms;")
    call, served = pair.asked(upstream, "POST", length=2)
    call.send(b"ab")
    call.end()
    served.rest()
    assert call.nothing_yet()                 # some time for the first byte to take
    served.send_head(length=2)
    assert call.head().status == 200
    assert sidecar.spans() == []
    served.send(b"ok")
    served.end()
    call.response()
    span = sidecar.wait_span()
    times = span.times()
    assert sum(times.values()) == pytest.approx(span.seconds, abs=1e-4)
    assert 0.05 <= times["fault"] and times["first_byte"] >= 0.1
    assert times["connect"] >= 0


@pytest.mark.parametrize("method, name, kept", [
    ("QUERY", "QUERY", None), ("PURGE", "HTTP", "PURGE"), ("FROBNICATE", "HTTP", "FROBNICATE"),
])
def test_unknown_methods_do_not_make_names(pair, method, name, kept):
    sidecar = pair.inbound(pair.origin())
    status = pair.client().ask(method).status
    if status == 501:                         # HTTP/1.1 knows a list of methods here
        assert pair.client_protocol == "h1"
        return
    assert status == 200
    span = sidecar.wait_span()
    assert span.name == name
    assert span["http.request.method"] == ("_OTHER" if kept else method)
    assert span["http.request.method_original"] == kept


def test_secrets_and_captured_headers(pair):
    upstream = pair.origin(lambda r: Reply(fields=["X-Cache: hit"]))
    sidecar = pair.inbound(upstream, rest="""
        trace { redact query token; capture request header X-User; capture response header x-cache; }
        """)
    pair.client().get("/p?token=s3cret&sig=s3cret&a=1", "X-User: a", "x-user: b")
    span = sidecar.wait_span()
    assert span["url.query"] == "token=REDACTED&sig=REDACTED&a=1"
    assert span["http.request.header.x-user"] == ["a", "b"]
    assert span["http.response.header.x-cache"] == ["hit"]
    assert upstream.requests[0].target == "/p?token=s3cret&sig=s3cret&a=1"


def test_forwarded_headers_name_the_client_and_the_scheme(pair):
    sidecar = pair.inbound(pair.origin())
    pair.client().get("/", "X-Forwarded-For: 203.0.113.9, 10.1.1.1", "X-Forwarded-Proto: https",
                      "X-Forwarded-Host: public.example")
    span = sidecar.wait_span()
    assert span["client.address"] == "203.0.113.9"
    assert span["url.scheme"] == "https" and span["server.address"] == "public.example"


def test_a_trace_that_is_not_sampled_leaves_no_span_and_travels_all_the_same(pair):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    client.get("/", f"traceparent: 00-{TRACE}-{PARENT}-00")
    assert context(upstream.requests[0])[0] == TRACE
    assert context(upstream.requests[0])[2] == 0
    client.get("/kept")
    assert [s["url.path"] for s in sidecar.wait_spans(1)] == ["/kept"]


def test_each_hop_of_a_failure_has_its_own_error(pair, two_hops):
    upstream = pair.raw_origin()
    outer, inner = two_hops(upstream)
    call, served = pair.asked(upstream, target="/api/7")
    served.reset()
    assert call.response().status == 502
    callee, caller = inner.wait_span(), outer.wait_span()
    assert callee["error.type"] in ("connection_reset", "stream_reset")
    assert caller["error.type"] == "502" and caller.status == 2
    assert callee.parent == caller.span_id


def test_a_cut_response_is_an_error_on_each_hop(pair, two_hops):
    upstream = pair.raw_origin()
    outer, inner = two_hops(upstream)
    call, served = pair.asked(upstream, target="/api/7")
    served.send_head()
    served.send(b"abc")
    assert call.read(3) == b"abc"
    served.reset()
    with pytest.raises(Broken):
        call.rest()
    for span in (inner.wait_span(), outer.wait_span()):
        assert span["error.type"] in ("connection_reset", "stream_reset", "upstream_closed_early")
        assert span.status == 2 and span["http.response.status_code"] == 200


@pytest.mark.parametrize("transport", ["grpc", "http"])
def test_spans_reach_a_collector_that_believes_nothing(pair, collector, transport):
    receiver = collector()
    port = receiver.grpc_port if transport == "grpc" else receiver.http_port
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream, rest=f"""
        trace {{ export otlp {transport}://127.0.0.1:{port}; batch {{ delay 20ms; }} }}
        """)
    client = pair.client()
    call, served = pair.asked(upstream, fields=["User-Agent: caf\xe9 \xff"], client=client)
    served.answer()
    call.response()
    call, served = pair.asked(upstream, "POST", client=client, body=b"x")
    served.reset()
    call.response()
    assert len(receiver.wait_spans(2)) == 2
    ledger = sidecar.the_ledger()
    assert ledger["started"] == 2
