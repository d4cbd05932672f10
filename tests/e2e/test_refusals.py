"""A message that two parsers could read differently is refused and never repaired."""
import re

import pytest

from process import SERVER
from wire import Response, request_bytes, until

BASE = "GET / HTTP/1.1\r\nHost: a\r\n"
LONG = "x" * 9000

# name: (bytes, status). Each is answered and the connection closed.
REFUSED = {
    "te and cl": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "0\r\n\r\n", 400),
    "cl and te": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"
                  "0\r\n\r\n", 400),
    "two lengths": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    "same length twice": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
                          400),
    "length list": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    "plus length": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    "minus length": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", 400),
    "hex length": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400),
    "length with space": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 4\r\n\r\nabc", 400),
    "empty length": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
    "length overflow": ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\na", 400),
    "unknown te": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", (400, 501)),
    "te not last chunked": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
                            (400, 501)),
    "te gzip, chunked": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                         (400, 501)),
    "te twice": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "te chunked chunked": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"
                           "0\r\n\r\n", (400, 501)),
    "te parameter": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n",
                     (400, 501)),
    "te xchunked": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    "te identity": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", (400, 501)),
    "te in 1.0": ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "te with vertical tab": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n"
                             "0\r\n\r\n", (400, 501)),
    "bare lf line": ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "bare lf header": (BASE[:-2] + "\nX: y\r\n\r\n", 400),
    "bare lf end": (BASE + "X: y\r\n\n", 400),
    "bare cr in value": (BASE + "X: a\rb\r\n\r\n", 400),
    "bare cr line end": (BASE + "X: a\rY: b\r\n\r\n", 400),
    "cr cr lf": (BASE + "X: a\r\r\n\r\n", 400),
    "obs-fold": (BASE + "X: a\r\n b\r\n\r\n", 400),
    "obs-fold tab": (BASE + "X: a\r\n\tb\r\n\r\n", 400),
    "fold before first": ("GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", 400),
    "space before colon": (BASE + "X : y\r\n\r\n", 400),
    "tab before colon": (BASE + "X\t: y\r\n\r\n", 400),
    "space in te name": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    "no colon": (BASE + "X y\r\n\r\n", 400),
    "empty name": (BASE + ": y\r\n\r\n", 400),
    "bad name": (BASE + "X(y): z\r\n\r\n", 400),
    "name above ascii": (BASE + "X\xe9: z\r\n\r\n", 400),
    "nul in value": (BASE + "X: a\0b\r\n\r\n", 400),
    "nul in name": (BASE + "X\0Y: a\r\n\r\n", 400),
    "nul in target": ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "control in value": (BASE + "X: a\x01b\r\n\r\n", 400),
    "delete in value": (BASE + "X: a\x7fb\r\n\r\n", 400),
    "no host": ("GET / HTTP/1.1\r\nX: y\r\n\r\n", 400),
    "two hosts": ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    "empty host": ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "host with space": ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "host with user": ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "host with path": ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "host with bad port": ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    "two hosts with absolute form": ("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "space in target": ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "tab for space": ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", (400, 501)),
    "relative target": ("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "star for get": ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "fragment": ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "version 2.0": ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "version 1.2": ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", (400, 505)),
    "version 0.9": ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", (400, 505)),
    "lower-case http": ("GET / http/1.1\r\nHost: a\r\n\r\n", (400, 505)),
    "no version": ("GET /\r\n\r\n", (400, 505)),
    "chunk size not hex": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    "chunk size signed": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
    "chunk size 0x": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n", 400),
    "chunk size overflow": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                            "10000000000000000\r\nabc\r\n", 400),
    "chunk size space": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "3 \r\nabc\r\n0\r\n\r\n", 400),
    "chunk without crlf": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "3\r\nabcXX0\r\n\r\n", 400),
    "chunk bare lf": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\nabc\n0\n\n", 400),
    "chunk extension too long": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 f"3;{LONG}\r\nabc\r\n0\r\n\r\n", 400),
    "chunk extension with cr": ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "3;a=\rb\r\nabc\r\n0\r\n\r\n", 400),
    "head too large": (BASE + "".join(f"X-{i}: {LONG}\r\n" for i in range(10)) + "\r\n", 431),
    "one header too large": (BASE + "X: " + LONG * 8 + "\r\n\r\n", 431),
    "too many headers": (BASE + "".join(f"X-{i}: y\r\n" for i in range(200)) + "\r\n", 431),
    "target too long": ("GET /" + LONG * 2 + " HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "target endless": ("GET /" + LONG * 12, 414),
    "h2 preface": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None),
}
# What only shows after the head has been passed on.
AMID_BODY = {name for name in REFUSED if name.startswith("chunk")}


@pytest.mark.parametrize("name", [n for n in REFUSED if REFUSED[n][1]])
def test_it_is_answered_and_the_connection_closed(inbound, raw_origin, connect, name):
    data, status = REFUSED[name]
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(data.encode("latin-1"))
    response = client.read_response()
    statuses = status if isinstance(status, tuple) else (status,)
    assert response.status in statuses
    client.expect_end()

    span = sidecar.wait_span()
    assert span.kind == SERVER
    assert span["error.type"] == "bad_request"
    assert re.fullmatch(r"[a-z0-9.-]+", span["sidespan.refusal"])
    assert span["http.response.status_code"] == response.status
    rule = span["sidespan.refusal"]
    assert response.get("sidespan-reason") == rule
    assert sidecar.metric(f'sidespan_refusals_total{{rule="{rule}"}}') == 1
    sidecar.wait_log("refused .*\n")
    line, = [l for l in sidecar.log().splitlines() if "refused" in l]
    assert rule in line and span.trace_id in line
    if name not in AMID_BODY:
        assert upstream.untouched(0.05)       # nothing of it reached the origin


@pytest.mark.parametrize("name", sorted(AMID_BODY))
def test_an_origin_never_takes_a_refused_body_for_a_whole_one(inbound, raw_origin, connect, name):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    head, _, body = REFUSED[name][0].partition("\r\n\r\n")
    client.send(head + "\r\n\r\n")
    server = upstream.accept()
    server.read_request(body=False)
    client.send(body)
    assert not server.expect_broken().endswith(b"0\r\n\r\n")
    assert client.read_response().status == 400


def test_what_comes_after_a_refused_request_is_not_served(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello" +
                request_bytes(target="/smuggled"))
    assert client.read_response().status == 400
    client.expect_end()
    assert upstream.requests == []


def test_requests_before_a_refused_one_are_answered_first(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes(target="/good") + b"GET / HTTP/1.1\r\nX: y\r\n\r\n")
    assert client.read_response().status == 200
    assert client.read_response().status == 400
    client.expect_end()
    assert [r.target for r in upstream.requests] == ["/good"]


def test_a_refused_request_of_a_trace_is_part_of_it(inbound, origin, connect):
    sidecar = inbound(origin().address)
    client = connect(sidecar.port)
    client.send("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n"
                "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n")
    assert client.read_response().status == 400
    span = sidecar.wait_span()
    assert span["http.request.method"] == "GET"
    assert span["url.path"] == "/x"
    assert span.trace_id == "0af7651916cd43dd8448eb211c80319c"


def test_the_answer_names_the_rule_and_the_cure(inbound, origin, connect):
    client = connect(inbound(origin().address).port)
    client.send("GET / HTTP/1.1\r\n\r\n")
    response = client.read_response()
    assert b"host-missing" in response.body
    assert b"Host" in response.body


def test_a_head_that_never_ends_is_a_408(inbound, origin, connect):
    sidecar = inbound(origin().address, rest="timeouts { header 200ms; }")
    client = connect(sidecar.port)
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ")
    response = client.read_response()
    assert response.status == 408
    client.expect_end()
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == 408
    assert span["sidespan.refusal"]
    assert sidecar.metric('sidespan_timeouts_total{timeout="header"}') == 1


def test_a_head_that_trickles_is_a_408_all_the_same(inbound, origin, connect):
    """Slowloris: a byte now and then does not buy time."""
    sidecar = inbound(origin().address, rest="timeouts { header 300ms; }")
    client = connect(sidecar.port)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n")
    for _ in range(40):
        if not client.quiet(0.03):
            break
        client.send("X: y\r\n")
    assert client.read_response().status == 408


def test_a_first_line_that_trickles_does_not_stay_for_ever(inbound, origin, connect):
    """Even before it can be told what is spoken."""
    sidecar = inbound(origin().address, rest="timeouts { header 200ms; idle 400ms; }")
    client = connect(sidecar.port)
    client.send("GE")
    rest = client.expect_broken()
    assert rest == b"" or Response(rest[:rest.index(b"\r\n\r\n") + 4]).status == 408
    client.close()
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 0,
          "the end of the connection")


def test_the_second_head_has_its_own_time(inbound, origin, connect):
    sidecar = inbound(origin().address, rest="timeouts { header 200ms; idle 5s; }")
    client = connect(sidecar.port)
    assert client.get().status == 200
    assert client.quiet(0.3)                  # idle is no head
    client.send("GET / HT")
    assert client.read_response().status == 408


def test_heads_and_limits_of_just_the_allowed_size_pass(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address, rest="limits { header-bytes 32k; url-bytes 8k; headers 50; }")
    client = connect(sidecar.port)
    assert client.get("/" + "u" * 8100).status == 200
    assert client.get("/", "X: " + "y" * 31_000).status == 200
    assert client.get("/", *[f"X-{i}: y" for i in range(49)]).status == 200
    assert client.get("/", *[f"X-{i}: y" for i in range(50)]).status == 431
    client = connect(sidecar.port)
    assert client.get("/", "X: " + "y" * 33_000).status == 431
    client = connect(sidecar.port)
    assert client.get("/" + "u" * 8200).status == 414


def test_trailers_have_a_limit_too(inbound, origin, connect):
    client = connect(inbound(origin().address).port)
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    try:
        for i in range(200):
            client.send(f"X-{i}: {LONG[:1000]}\r\n")
    except ConnectionError:
        pass
    try:
        assert client.read_response().status in (400, 431)
    except ConnectionError:
        pass                                  # it closed while we were sending: as good
