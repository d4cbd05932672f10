"""What is not the sidecar's business arrives byte for byte; what is hop-by-hop does not."""
import pytest

from wire import Message, request_bytes, response_bytes

# Those that the sidecar writes into requests.
OWN = {"traceparent", "tracestate", "baggage", "x-trace-id", "x-forwarded-for",
       "x-forwarded-proto", "sidespan-via"}

ODD = [
    ("HOST", "Service.Test"), ("X-Upper", "A"), ("x-lower", "b"), ("X-mIxEd-CaSe", "C"),
    ("Accept", "*/*"), ("X-Same", "1"), ("X-Between", "-"), ("X-Same", "2"), ("x-same", "3"),
    ("Cookie", "a=1; b=2"), ("Cookie", "c=3"), ("X-Empty", ""),
    ("X-Spaces", "inner   spaces\tand tabs"), ("X-Obs", "caf\xe9 \xff"), ("X-Colon", "a:b: c"),
    ("X-Quote", '"q\\"uote", second'), ("User-Agent", "t/1"), ("X-Long", "v" * 5000),
    ("!#$%&'*+.^_`|~09AZ-az", "token"),
]


def head(first, fields):
    lines = [first] + [f"{n}: {v}" for n, v in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def test_request_headers_keep_order_case_and_bytes(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.send(head("GET /p?q=%41&b=/../x HTTP/1.1", ODD))
    assert client.read_response().status == 200
    [request] = upstream.requests
    assert request.start_line == "GET /p?q=%41&b=/../x HTTP/1.1"
    assert [(n, v) for n, v in request.fields if n.lower() not in OWN] == ODD


def test_response_headers_keep_order_case_and_bytes(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    fields = ODD[1:] + [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/"), ("Content-LENGTH", "2")]
    server.send(head("HTTP/1.1 200 All Good, Really", fields) + b"ok")
    response = client.read_response()
    assert response.head == head("HTTP/1.1 200 All Good, Really", fields)
    assert response.body == b"ok"


@pytest.mark.parametrize("reason", ["", "OK", "caf\xe9", "a  b"])
def test_the_reason_phrase_is_kept(inbound, raw_origin, connect, reason):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(f"HTTP/1.1 299 {reason}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
    response = client.read_response()
    assert (response.status, response.reason) == (299, reason)


@pytest.mark.parametrize("target", [
    "/", "//double//slash", "/a/../b/./c", "/%2e%2e/%2F", "/x;param=1", "/?", "/?a?b", "/a?x=1&x=2",
    "/~tilde", "/p%20q", "/\"quoted\"", "/[brackets]", "/|pipe", "/{curly}", "/?" + "q" * 4000,
])
def test_the_target_is_not_normalised(inbound, origin, connect, target):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    assert client.get(target).status == 200
    assert upstream.requests[0].target == target


@pytest.mark.parametrize("field", [
    "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip", "Upgrade: foo/1",
])
def test_hop_by_hop_fields_stay_behind(inbound, origin, connect, field):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    assert client.get("/", field).status == 200
    assert upstream.requests[0].all(field.partition(":")[0]) == []


def test_fields_that_connection_names_stay_behind(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.get("/", "X-Private: 1", "Connection: x-private, X-ALSO", "x-also: 2", "X-Stays: 3",
               "Connection: x-third", "X-Third: 4")
    [request] = upstream.requests
    assert request.all("x-private") == request.all("x-also") == request.all("x-third") == []
    assert request.get("x-stays") == "3"
    assert request.get("connection") is None


def test_fields_of_a_response_that_connection_names_stay_behind(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(response_bytes(fields=["Connection: x-hop", "X-Hop: 1", "Keep-Alive: timeout=9",
                                       "Proxy-Connection: close", "X-Stays: 2"], body=b"ok"))
    response = client.read_response()
    for name in ("connection", "x-hop", "keep-alive", "proxy-connection"):
        assert response.all(name) == []
    assert response.get("x-stays") == "2"


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("named", ["traceparent", "Host", "Content-Length", "X-Forwarded-For",
                                   "tracestate", "baggage", "cookie2, traceparent"])
def test_connection_cannot_strip_what_others_rely_on(inbound, origin, connect, named):
    upstream = origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    response = client.ask("POST", fields=[
        f"traceparent: {PARENT}", "tracestate: a=b", "baggage: k=v", "X-Forwarded-For: 1.2.3.4",
        f"Connection: {named}"], body=b"body")
    if response.status == 400:                # refused: as good
        assert upstream.requests == []
        return
    [request] = upstream.requests
    assert request.body == b"body"
    assert request.get("host") == "service.test"
    assert request.get("traceparent").split("-")[1] == PARENT.split("-")[1]
    assert request.get("tracestate") == "a=b"
    assert request.get("baggage") == "k=v"
    assert request.get("x-forwarded-for").startswith("1.2.3.4")


def test_te_trailers_is_not_a_reason_to_lose_anything(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    assert client.get("/", "TE: trailers", "Connection: TE", "X-Other: kept").status == 200
    [request] = upstream.requests
    assert request.get("x-other") == "kept"
    if request.get("te"):                     # where it is sent on, it is announced
        assert request.get("te") == "trailers"
        assert request.get("connection").lower() == "te"


def test_x_forwarded_for_and_proto_are_added_inbound(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.get()
    [request] = upstream.requests
    assert request.get("x-forwarded-for") == "127.0.0.1"
    assert request.get("x-forwarded-proto") == "http"


def test_x_forwarded_for_grows_and_proto_is_kept(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.get("/", "X-Forwarded-For: 10.0.0.1, 10.0.0.2", "X-Forwarded-Proto: https")
    [request] = upstream.requests
    joined = ", ".join(request.all("x-forwarded-for"))
    assert joined == "10.0.0.1, 10.0.0.2, 127.0.0.1"
    assert request.all("x-forwarded-proto") == ["https"]


def test_x_forwarded_can_be_turned_off(sidespan, port, origin, connect):
    upstream = origin()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; x-forwarded off; route / {{ to {upstream.address}; }} }}
        """)
    connect(port).get()
    [request] = upstream.requests
    assert request.all("x-forwarded-for") == request.all("x-forwarded-proto") == []


def test_nothing_is_added_outbound_but_the_trace(outbound, origin, connect):
    upstream = origin()
    client = connect(outbound(f"route / {{ to {upstream.address}; }}").port)
    client.get()
    [request] = upstream.requests
    assert set(n.lower() for n in request.names()) - {"sidespan-via"} == {"host", "traceparent", "x-trace-id"}


def test_a_host_with_case_and_port_is_passed_on_as_it_came(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.get(host="Users.Shop.LOCAL:8080")
    assert upstream.requests[0].get("host") == "Users.Shop.LOCAL:8080"


def test_expect_and_other_end_to_end_fields_travel(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.get("/", "Authorization: Bearer x", "X-Request-Id: not-a-uuid", "X-B3-Sampled: 0",
               "Forwarded: for=1.2.3.4", "Range: bytes=0-1", "If-None-Match: \"x\"")
    [request] = upstream.requests
    assert request.get("authorization") == "Bearer x"
    assert request.get("x-request-id") == "not-a-uuid"
    assert request.get("x-b3-sampled") == "0"
    assert request.get("forwarded") == "for=1.2.3.4"


def test_set_cookie_lines_are_never_joined(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(response_bytes(fields=["Set-Cookie: a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT",
                                       "Set-Cookie: b=2"]))
    assert len(client.read_response().all("set-cookie")) == 2


def test_a_response_of_the_sidecar_is_well_formed(outbound, connect):
    client = connect(outbound('route / { respond 200 "text"; }').port)
    response = client.get()
    assert isinstance(response, Message)
    assert response.framing() == ("length", 4)
    assert response.get("date") is None or response.get("date").endswith("GMT")


def test_a_hundred_headers_pass(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    fields = [f"X-{i}: {i}" for i in range(90)]
    assert client.get("/", *fields).status == 200
    assert [n for n in upstream.requests[0].names() if n.startswith("X-") and n[2:].isdigit()] == \
        [f"X-{i}" for i in range(90)]
