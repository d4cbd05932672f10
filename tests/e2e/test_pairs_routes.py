"""Routes, faults and what they do to a message: the same over every pair."""
import random

import pytest

from h2wire import Broken
from peers import Reply


def named(pair, *names):
    """Clusters that answer with their own name."""
    return "".join(pair.cluster(pair.origin(lambda r, name=name: Reply(body=name.encode())), name)
                   for name in names)


def test_routes_match_host_path_method_header_and_query(pair):
    pair.outbound("""
        host users.test { route / { to host; } }
        route /api/{id} { match header x-canary = yes; to header; }
        route /api/{id} { match query v = 2; to query; }
        route /api { match method POST; to method; }
        route = /exact { to exact; }
        route ~ ^/r[0-9]+$ { to regex; }
        route / { to rest; }
        """, rest=named(pair, "host", "header", "query", "method", "exact", "regex", "rest"))
    client = pair.client()

    def reached(method="GET", target="/", *fields, host="a.test"):
        return client.ask(method, target, fields, host=host).body.decode()

    assert reached(host="users.test") == "host"
    assert reached("GET", "/api/7", "X-Canary: yes") == "header"
    assert reached("GET", "/api/7?v=2", "X-Canary: no") == "query"
    assert reached("POST", "/api/7") == "method"
    assert reached("GET", "/exact") == "exact"
    assert reached("GET", "/exact/not") == "rest"
    assert reached("GET", "/r12") == "regex"
    assert reached("GET", "/api/7") == "rest"


def test_weights_follow_the_trace(pair):
    sidecar = pair.outbound("route / { to v1 weight 80; to v2 weight 20; }",
                            rest=named(pair, "v1", "v2"))
    client = pair.client()
    draw = random.Random(7)
    counts = {b"v1": 0, b"v2": 0}
    for _ in range(150):
        parent = f"traceparent: 00-{draw.getrandbits(128):032x}-{1:016x}-01"
        bodies = {client.get("/", parent).body for _ in range(2)}
        assert len(bodies) == 1               # a trace keeps its version
        counts[bodies.pop()] += 1
    assert abs(counts[b"v2"] - 30) <= 3 * (150 * 0.2 * 0.8) ** 0.5
    for span in sidecar.wait_spans(300):
        assert span["sidespan.weight"] == {"v1": 80, "v2": 20}[span["sidespan.cluster"]]


def test_an_endpoint_of_twice_the_weight_gets_twice_the_requests(pair):
    heavy, light = pair.origin(), pair.origin()
    pair.outbound("route / { to app; }", rest=f"""
        cluster app {{ endpoint {heavy.address} weight 2; endpoint {light.address};
                       protocol {pair.upstream_protocol}; }}
        """)
    client = pair.client()
    for _ in range(30):
        client.get()
    assert (len(heavy.requests), len(light.requests)) == (20, 10)
    assert (heavy.connections, light.connections) == (1, 1)


def test_respond_answers_without_an_origin(pair):
    sidecar = pair.outbound('route = /health { respond 200 "fine\\n"; } route /gone { respond 410; }'
                            'route /empty { respond 204; }')
    client = pair.client()
    response = client.get("/health")
    assert (response.status, response.body) == (200, b"fine\n")
    assert client.ask("HEAD", "/health").body == b""
    response = client.get("/gone")
    assert (response.status, response.body) == (410, b"")
    assert client.get("/empty").status == 204
    assert [s.name for s in sidecar.wait_spans(4)] == \
        ["GET /health", "HEAD /health", "GET /gone", "GET /empty"]


def test_respond_answers_whatever_the_size_of_the_request(pair):
    pair.outbound('route / { respond 200 "ok"; }')
    for size in (0, 10, 50_000):
        assert pair.client().ask("POST", body=b"x" * size).body == b"ok"


def test_redirect_sends_the_client_elsewhere(pair):
    pair.outbound("route /old { redirect 308 https://new.example$(request-path); }")
    response = pair.client().get("/old/page")
    assert (response.status, response.get("location")) == (308, "https://new.example/old/page")


def test_rewrites_change_what_is_asked_for(pair):
    upstream = pair.origin()
    pair.outbound("""
        route /v1/users/{id} {
            rewrite "/v2/people/$(path id)?src=$(query from)"; rewrite-host internal.test:81; to app;
        }
        route /plain { rewrite /fixed; to app; }
        """, rest=pair.cluster(upstream))
    client = pair.client()
    client.get("/v1/users/7?from=web&x=1")
    client.get("/plain/a?b=c")
    first, second = upstream.requests
    assert (first.target, first.authority) == ("/v2/people/7?src=web", "internal.test:81")
    assert (second.target, second.authority) == ("/fixed?b=c", "service.test")


def test_headers_are_set_added_and_removed_both_ways(pair):
    upstream = pair.origin(lambda r: Reply(fields=[
        "Server: secret/1", "X-Many: 1", "X-Many: 2", "X-Set: theirs", "Set-Cookie: a=1"]))
    pair.outbound("""
        route /u/{id} {
            to app;
            set-header request X-Team shop;
            add-header request X-More "id=$(path id) from=$(source) m=$(method)";
            remove-header request x-secret;
            set-header response X-Set ours;
            add-header response X-Trace $(trace-id);
            remove-header response server;
            remove-header response X-Many;
        }
        """, rest=pair.cluster(upstream))
    response = pair.client().get("/u/9", "X-Team: theirs", "x-team: twice", "X-More: first",
                                 "X-Secret: 1", "x-secret: 2", "X-Last: kept")
    [request] = upstream.requests
    assert request.all("x-team") == ["shop"]
    assert request.all("x-more") == ["first", "id=9 from=127.0.0.1 m=GET"]
    assert request.all("x-secret") == [] and request.get("x-last") == "kept"
    assert response.all("x-set") == ["ours"]
    assert response.get("x-trace") == request.get("traceparent").split("-")[1]
    assert response.all("server") == response.all("x-many") == []
    assert response.get("set-cookie") == "a=1"


# -- faults

def test_an_abort_answers_instead_of_the_origin(pair):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream, extra="fault abort 503;")
    client = pair.client()
    for body in (None, b"x" * 50_000):
        response = client.ask("POST" if body else "GET", body=body)
        assert response.status == 503 and response.get("sidespan-reason") == "fault_injected"
    assert upstream.requests == []
    for span in sidecar.wait_spans(2):
        assert span["error.type"] == "fault_injected" and span.status == 2
        assert span["sidespan.fault"] == "abort 503"


def test_a_reset_resets_and_strikes_nobody_else(pair):
    upstream = pair.origin()
    sidecar = pair.outbound("route /bad { fault reset; to app; } route / { to app; }",
                            rest=pair.cluster(upstream))
    client = pair.client()
    good, bad = client.open(target="/good"), client.open(target="/bad")
    with pytest.raises(Broken) as broken:
        bad.head()
    if pair.client_protocol == "h2":
        assert broken.value.code not in (None, 0), "the stream is reset, not the connection"
    assert good.response().body == b"hello"
    assert [r.target for r in upstream.requests] == ["/good"]
    [span] = sidecar.wait_spans(1, lambda s: s["sidespan.fault"])
    assert span["error.type"] == "fault_injected" and span["sidespan.fault"] == "reset"
    assert "http.response.status_code" not in span


def test_a_delay_delays_before_forwarding_and_the_span_says_so(pair):
    sidecar = pair.inbound(pair.origin(), extra="fault delay 120ms;")
    assert pair.client().get().body == b"hello"
    span = sidecar.wait_span()
    assert span["sidespan.fault"] == "delay 120ms"
    assert span["sidespan.fault_delay"] == pytest.approx(0.12)
    assert 0.12 <= span.times()["fault"] <= span.seconds and span.status == 0


def test_delays_of_many_requests_do_not_add_up(pair):
    sidecar = pair.inbound(pair.origin(), extra="fault delay 200ms;")
    client = pair.client()
    calls = [client.open() for _ in range(50)]
    for call in calls:
        assert call.response().status == 200
    spans = sidecar.wait_spans(50)
    assert (max(s.end for s in spans) - min(s.start for s in spans)) / 1e9 < 5    # of ten, one after the other


def test_a_body_that_comes_amid_a_delay_is_not_lost(pair):
    pair.inbound(pair.origin(lambda r: Reply(body=r.content)), extra="fault delay 100ms;")
    data = bytes(range(256)) * 150
    client = pair.client()
    assert client.ask("POST", body=data).body == data
    assert client.ask("POST", body=data, trailers=["X: y"]).body == data


def test_a_share_of_requests_is_struck_and_each_trace_always_or_never(pair):
    pair.inbound(pair.origin(), extra="fault abort 503 for 20%;")
    client = pair.client()
    draw, struck = random.Random(5), 0
    for _ in range(150):
        parent = f"traceparent: 00-{draw.getrandbits(128):032x}-{1:016x}-01"
        statuses = {client.get("/", parent).status for _ in range(2)}
        assert len(statuses) == 1
        struck += statuses == {503}
    assert abs(struck - 30) <= 3 * (150 * 0.2 * 0.8) ** 0.5


def test_when_strikes_only_requests_that_carry_the_header(pair):
    pair.inbound(pair.origin(), extra="fault abort 503 when header X-Chaos = yes;")
    client = pair.client()
    assert client.get().status == 200
    assert client.get("/", "X-Chaos: no").status == 200
    assert client.get("/", "X-Chaos: yes").status == 503


def test_a_choice_by_cookie_finds_it_on_whichever_line(pair):
    pair.outbound("route / { by cookie user; to v1 weight 50; to v2 weight 50; }",
                  rest=named(pair, "v1", "v2"))
    client = pair.client()
    chosen = {}
    for user in range(40):
        together = client.get("/", f"Cookie: a=1; user={user}; b=2").body
        apart = client.get("/", "Cookie: a=1", f"Cookie: user={user}", "Cookie: b=2").body
        assert together == apart
        chosen[user] = together
    assert set(chosen.values()) == {b"v1", b"v2"}


def test_a_choice_by_header_or_source_keeps_to_it(pair):
    pair.outbound("""
        route /header { by header X-User; to v1 weight 50; to v2 weight 50; }
        route /source { by source; to v1 weight 50; to v2 weight 50; }
        """, rest=named(pair, "v1", "v2"))
    client = pair.client()
    by_user = {user: {client.get("/header", f"X-User: {user}").body for _ in range(3)}
               for user in range(20)}
    assert all(len(bodies) == 1 for bodies in by_user.values())
    assert set.union(*by_user.values()) == {b"v1", b"v2"}
    assert len({client.get("/source").body for _ in range(20)}) == 1
