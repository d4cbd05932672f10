"""What is not the sidecar's business arrives as it was sent; what belongs to one hop does not."""
import pytest

from pairs import H2_CLIENT
from peers import Reply

# Those that the sidecar writes into requests.
OWN = {"traceparent", "tracestate", "baggage", "x-trace-id", "x-forwarded-for", "x-forwarded-proto",
       "sidespan-via"}

ODD = [
    ("X-Upper", "A"), ("x-lower", "b"), ("X-mIxEd-CaSe", "C"), ("Accept", "*/*"), ("X-Same", "1"),
    ("X-Between", "-"), ("X-Same", "2"), ("x-same", "3"), ("X-Empty", ""),
    ("X-Spaces", "inner   spaces\tand tabs"), ("X-Obs", "caf\xe9 \xff"), ("X-Colon", "a:b: c"),
    ("X-Quote", '"q\\"uote", second'), ("User-Agent", "t/1"), ("X-Long", "v" * 5000),
    ("!#$%&'*+.^_`|~09az-az", "token"), ("Authorization", "Bearer x"),
]


def spelled(pair, fields):
    return [(pair.spelled(n), v) for n, v in fields]


def not_own(request):
    return [(n, v) for n, v in request.fields if n.lower() not in OWN]


def test_request_fields_keep_order_and_bytes(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    assert pair.client().get("/p?q=%41&b=/../x", *ODD).status == 200
    [request] = upstream.requests
    assert request.target == "/p?q=%41&b=/../x"
    assert not_own(request) == spelled(pair, ODD)


def test_response_fields_keep_order_and_bytes(pair):
    fields = ODD + [("Set-Cookie", "a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT"),
                    ("Set-Cookie", "b=2; Path=/")]
    pair.inbound(pair.origin(lambda r: Reply(200, fields, b"ok")))
    response = pair.client().get()
    got = [(n, v) for n, v in response.fields if n.lower() != "content-length"]
    assert got == spelled(pair, fields)
    assert len(response.all("set-cookie")) == 2


@pytest.mark.parametrize("target", [
    "/", "//double//slash", "/a/../b/./c", "/%2e%2e/%2F", "/x;param=1", "/?", "/?a?b", "/a?x=1&x=2",
    "/~tilde", "/p%20q", '/"quoted"', "/[brackets]", "/|pipe", "/{curly}", "/?" + "q" * 4000,
])
def test_the_target_is_not_normalised(pair, target):
    upstream = pair.origin()
    pair.inbound(upstream)
    assert pair.client().get(target).status == 200
    assert upstream.requests[0].target == target


def test_any_method_passes(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    client = pair.client()
    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "PURGE",
               "REPORT", "MKCOL", "LOCK", "SUBSCRIBE"]
    for method in methods:
        assert client.ask(method).status == 200
    assert [r.method for r in upstream.requests] == methods


def test_options_of_the_whole_server_passes(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    assert pair.client().ask("OPTIONS", "*").status == 200
    assert (upstream.requests[0].method, upstream.requests[0].target) == ("OPTIONS", "*")


@pytest.mark.parametrize("host", ["service.test", "Users.Shop.LOCAL:8080", "127.0.0.1:81", "[::1]:82"])
def test_the_authority_is_passed_on_as_it_came(pair, host):
    upstream = pair.origin()
    pair.inbound(upstream)
    assert pair.client().get(host=host).status == 200
    [request] = upstream.requests
    assert request.authority == host
    if pair.upstream_protocol == "h2":
        assert request.scheme == "http"
        assert request.get("host") in (None, host)


@H2_CLIENT
def test_a_host_field_beside_the_authority_does_no_harm(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    assert pair.client().get("/", "host: service.test").status == 200
    assert upstream.requests[0].authority == "service.test"


@H2_CLIENT
def test_a_host_field_stands_in_for_the_authority(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    assert pair.client().get("/", "host: other.test", host=None).status == 200
    assert upstream.requests[0].authority == "other.test"


def test_cookies_reach_http_1_in_one_line(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    pair.client().get("/", "Cookie: a=1", "X-Between: -", "Cookie: b=2; c=3", "Cookie: d=4")
    [request] = upstream.requests
    lines = request.all("cookie")
    assert "; ".join(lines) == "a=1; b=2; c=3; d=4"
    if pair.name == "h2-h1":                  # RFC 9113 section 8.2.3
        assert len(lines) == 1


def test_set_cookie_lines_are_never_joined(pair):
    pair.inbound(pair.origin(lambda r: Reply(fields=["Set-Cookie: a=1", "X: y", "Set-Cookie: b=2"])))
    assert pair.client().get().all("set-cookie") == ["a=1", "b=2"]


HOP_BY_HOP = ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip", "Upgrade: foo/1",
              "Connection: x-private, X-ALSO", "Connection: x-third"]


def test_fields_of_the_hop_stay_behind(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    if pair.client_protocol == "h1":
        fields = HOP_BY_HOP + ["X-Private: 1", "x-also: 2", "X-Third: 4"]
    else:
        fields = []                           # malformed there: test_h2_malformed.py
    assert pair.client().get("/", *fields, "X-Stays: 3").status == 200
    [request] = upstream.requests
    for name in ("keep-alive", "proxy-connection", "te", "upgrade", "connection", "x-private",
                 "x-also", "x-third"):
        assert request.all(name) == []
    assert request.get("x-stays") == "3"


def test_fields_of_a_response_that_are_the_hops_stay_behind(pair):
    fields = ["X-Stays: 2"]
    if pair.upstream_protocol == "h1":
        fields += ["Connection: x-hop", "X-Hop: 1", "Keep-Alive: timeout=9", "Proxy-Connection: close"]
    pair.inbound(pair.origin(lambda r: Reply(fields=fields)))
    response = pair.client().get()
    assert response.status == 200 and response.get("x-stays") == "2"
    for name in ("connection", "x-hop", "keep-alive", "proxy-connection"):
        assert response.all(name) == []


def test_te_trailers_travels(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    announced = ["Connection: TE"] if pair.client_protocol == "h1" else []
    pair.client().get("/", "TE: trailers", *announced, "X-Other: kept")
    [request] = upstream.requests
    assert request.get("te") == "trailers" and request.get("x-other") == "kept"
    if pair.upstream_protocol == "h1":        # a field of the hop is announced
        assert request.get("connection").lower() == "te"
    else:
        assert request.get("connection") is None


def test_h2c_is_ignored(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    if pair.client_protocol == "h1":
        fields = ["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings",
                  "HTTP2-Settings: AAMAAABkAAQAAP__"]
    else:
        fields = ["http2-settings: AAMAAABkAAQAAP__"]
    client = pair.client()
    for _ in range(2):
        assert client.get("/", *fields).status == 200
    for request in upstream.requests:
        assert request.get("upgrade") is None and request.get("connection") is None
        if pair.client_protocol == "h1":
            assert request.get("http2-settings") is None


def test_x_forwarded_for_and_proto_are_added_inbound(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    client = pair.client()
    client.get()
    client.get("/", "X-Forwarded-For: 10.0.0.1, 10.0.0.2", "X-Forwarded-Proto: https")
    first, second = upstream.requests
    assert first.get("x-forwarded-for") == "127.0.0.1"
    assert first.get("x-forwarded-proto") == "http"
    assert ", ".join(second.all("x-forwarded-for")) == "10.0.0.1, 10.0.0.2, 127.0.0.1"
    assert second.all("x-forwarded-proto") == ["https"]


def test_nothing_is_added_outbound_but_the_trace(pair):
    upstream = pair.origin()
    pair.outbound("route / { to app; }", rest=pair.cluster(upstream))
    pair.client().get()
    [request] = upstream.requests
    assert {n.lower() for n in request.names()} - {"sidespan-via"} == {"traceparent", "x-trace-id"}


def test_a_hundred_fields_pass(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    fields = [f"X-{i}: {i}" for i in range(90)]
    assert pair.client().get("/", *fields).status == 200
    assert [n for n in upstream.requests[0].names() if n[2:].isdigit()] == \
        [pair.spelled(f"X-{i}") for i in range(90)]


def test_a_request_head_of_just_the_allowed_size_passes(pair):
    upstream = pair.origin()
    pair.inbound(upstream, rest="limits { header-bytes 32k; url-bytes 8k; headers 50; }")
    assert pair.client().get("/" + "u" * 8100).status == 200
    assert pair.client().get("/", "X: " + "y" * 31_000).status == 200
    assert pair.client().get("/", *[f"X-{i}: y" for i in range(48)]).status == 200


@pytest.mark.parametrize("target, fields, status", [
    ("/", ["X: " + "y" * 33_000], 431), ("/", [f"X-{i}: y" for i in range(80)], 431),
    ("/" + "u" * 8300, [], 414),
], ids=["bytes", "fields", "target"])
def test_a_request_head_over_the_limits_is_refused(pair, target, fields, status):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream, rest="limits { header-bytes 32k; url-bytes 8k; headers 50; }")
    assert pair.client().get(target, *fields).status == status
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == status and span["sidespan.refusal"]
    assert upstream.requests == []
    assert pair.client().get().status == 200


@pytest.mark.parametrize("fields", [
    [f"X-{i}: {'y' * 8000}" for i in range(12)], [f"X-{i}: y" for i in range(300)],
], ids=["bytes", "fields"])
def test_a_response_head_over_the_limits_is_a_502(pair, fields):
    sidecar = pair.inbound(pair.origin(lambda r: Reply(fields=fields)),
                           rest="limits { response-header-bytes 64k; response-headers 100; }")
    response = pair.client().get()
    assert response.status == 502 and response.get("sidespan-reason") == "response_limit"
    span = sidecar.wait_span()
    assert span["error.type"] == "response_limit"
    assert span["sidespan.rule"] in ("response-header-bytes", "response-headers")


# -- trailers

def test_request_trailers_arrive_as_trailers(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    response = pair.client().ask("POST", "/", ["Trailer: X-Sum, X-Other"], b"abc", trailers=[
        "X-Sum: 900150983cd24fb0", "x-OTHER: spaces kept inside", "X-Sum: second"])
    assert response.status == 200
    [request] = upstream.requests
    assert request.content == b"abc"
    assert request.trailers == [(pair.spelled(n), v) for n, v in [
        ("X-Sum", "900150983cd24fb0"), ("x-OTHER", "spaces kept inside"), ("X-Sum", "second")]]
    assert request.get("x-sum") is None       # never merged into the head
    assert request.get("trailer") == "X-Sum, X-Other"


@pytest.mark.parametrize("body", [b"", b"abc"], ids=["empty", "body"])
def test_response_trailers_arrive_as_trailers(pair, body):
    pair.inbound(pair.origin(lambda r: Reply(body=body, trailers=[
        "Server-Timing: db;dur=53", "X-A: 1", "X-A: 2"])))
    announced = ["Connection: TE"] if pair.client_protocol == "h1" else []
    client = pair.client()
    for _ in range(2):
        response = client.get("/", "TE: trailers", *announced)
        assert response.body == body
        assert response.trailers == [(pair.spelled(n), v) for n, v in [
            ("Server-Timing", "db;dur=53"), ("X-A", "1"), ("X-A", "2")]]
        assert response.get("x-a") is None


@pytest.mark.parametrize("forbidden", [
    "Content-Length: 3", "Host: evil", "Authorization: Basic eA==",
    "traceparent: 00-" + "1" * 32 + "-" + "2" * 16 + "-01",
])
def test_a_trailer_that_would_change_the_meaning_of_the_message_does_not_travel(pair, forbidden):
    upstream = pair.origin()
    pair.inbound(upstream)
    response = pair.client().ask("POST", body=b"abc", trailers=[forbidden, "X-Fine: yes"])
    if response.status == 400:                # refusing the message is as good
        return
    assert response.status == 200
    [request] = upstream.requests
    assert forbidden.partition(":")[0].lower() not in [n.lower() for n, _ in request.trailers]
    assert "yes" in [v for _, v in request.trailers]
