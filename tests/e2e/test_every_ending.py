"""Every row of otlp/span_error.h, every way that it can come about: as a request of HTTP/1.1 and of HTTP/2, as a gRPC
call, outbound, as CONNECT, and as a tunnel. Four voices tell of it - span, log, counter, answer - and they agree."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket

import pytest
from google.protobuf.json_format import MessageToJson

from h2_raw import frame, headers
from h2_raw import request as head_of
from h2wire import INTERNAL_ERROR, REFUSED_STREAM, Broken, Settings
from origins import RawOrigin
from peers_h1 import H1Client, H1RawOrigin
from peers_h2 import H2Client, H2RawOrigin
from process import Span, free_port, nobody
from test_names import named, names  # noqa: F401 - fixtures
from wire import Wire, until

HEADER = pathlib.Path(__file__).parents[2] / "otlp" / "span_error.h"
ROW = re.compile(r'X\(\s*SPAN_ERROR_(\w+),\s*"(\w*)",\s*(\w+),\s*(\d+),\s*GRPC_(\w+),')
GRPC = {name: n for n, name in enumerate(
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE".split())}


def rows():
    """{reason: (ended by, HTTP status, status of gRPC)} of the table in the header."""
    text = HEADER.read_text().replace("\\\n", " ")
    found = {m[2]: (m[3].lower(), int(m[4]), GRPC[m[5]]) for m in ROW.finditer(text) if m[2]}
    assert len(found) == len(re.findall(r"X\(\s*SPAN_ERROR_\w+, ", text)) - 1
    return found


# -- the ways in

class Way:
    """One way through a sidecar; ask() begins, and answer() is what came of it."""
    name, direction, upstream, carries = "h1", "inbound", "h1", ""
    Client = H1Client

    def __init__(self, sidespan, closing):
        self._sidespan, self.closing = sidespan, closing
        self.port = free_port()
        self.client = self.call = None

    def origin(self, **arguments):
        return self.closing((H1RawOrigin if self.upstream == "h1" else H2RawOrigin)(**arguments))

    def raw(self, **arguments):
        return self.closing(RawOrigin(**arguments))

    def start(self, to, route="", cluster="", rest="", unmatched=""):
        """to: an address, or what has one; "": no cluster, and route says all."""
        to = getattr(to, "address", to)
        self.to = to
        self.sidecar = self._sidespan(f"""
            {self.direction} {{ listen 127.0.0.1:{self.port} {self.carries}; {unmatched} {self.route(to, route)} }}
            {self.cluster(to, cluster)} {rest} log level debug;
            """)
        return self.sidecar

    def route(self, to, extra):
        return f"route / {{ {'to app;' if to else ''} {extra} }}"

    def cluster(self, to, extra):
        return f"cluster app {{ endpoint {to}; protocol {self.upstream}; {extra} }}" if to else ""

    def ask(self, target="/a/b", **named):
        self.client = self.client or self.closing(self.Client(self.port))
        self.call = self.client.open("POST", target, self.fields(), b"body", **named)
        return self.call

    def fields(self):
        return ["Content-Type: text/plain"]

    def answer(self):
        """(status, status of gRPC or None, fields, text); None: the connection or the stream broke."""
        try:
            r = self.call.response()
        except Broken:
            return None
        return r.status, None, r, r.body.decode()

    def leave(self):
        self.call.cancel()

    def answers_admin(self):
        return self.sidecar.admin_status("/readyz") == 503


class Http2(Way):
    name, Client = "h2", H2Client


class Grpc(Http2):
    name, upstream = "grpc", "h2"

    def fields(self):
        return ["content-type: application/grpc", "te: trailers"]

    def answer(self):
        try:
            r = self.call.response()
        except Broken:
            return None
        said = r.get("grpc-status") or dict(r.trailers)["grpc-status"]
        return r.status, int(said), r, r.get("grpc-message") or dict(r.trailers).get("grpc-message", "")


class Outbound(Way):
    name, direction = "outbound", "outbound"


class Connect(Way):
    """CONNECT, and opaque bytes inside it."""
    name, direction, carries = "connect", "outbound", "forward-proxy"

    def route(self, to, extra):
        return f"host x.test {{ route / {{ {'to app;' if to else ''} {extra} }} }}"

    def ask(self, host="x.test:5432", **_):
        self.client = self.call = self.closing(Wire.connect(self.port))
        self.client.send(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        self.head = None

    def opened(self):
        self.head = self.client.read_response("CONNECT", body=False)
        assert self.head.status == 200
        self.client.send(b"\x00hello")

    def answer(self):
        if not self.head:
            r = self.client.read_response("CONNECT")
            if r.status != 200:
                return r.status, None, r, r.body.decode()
            self.client.send(b"\x00hello")
        assert not self.client.expect_broken()
        return None

    def leave(self):
        self.client.reset()


class Tcp(Way):
    name, carries = "tcp", "tcp"

    def ask(self, **_):
        try:
            self.client = self.closing(Wire.connect(self.port))
            self.client.send(b"\x00hello")
        except ConnectionError:               # it was over before, perhaps before connect() came back
            pass

    def opened(self):
        pass

    def answer(self):
        if self.client:
            self.client.expect_broken()
        return None

    def leave(self):
        self.client.reset()


WAYS = {w.name: w for w in (Way, Http2, Grpc, Outbound, Connect, Tcp)}
HTTP = ("h1", "h2", "grpc", "outbound")
STREAMS = ("h2", "grpc")                      # of the client
ALL = (*HTTP, "connect", "tcp")
BYTES = ("connect", "tcp")


# -- the cases

CASES = {}                                    # (reason, its title): (function, ways, what is expected otherwise)


def case(reason, ways, **otherwise):
    def add(function):
        CASES[reason, function.__name__] = function, ways, otherwise
        return function
    return add


def served(way, origin):
    """The request, or the connection, at the upstream."""
    if way.name not in BYTES:
        return origin.take()
    if way.name == "connect":
        way.opened()
    wire = origin.accept()
    assert wire.read(6) == b"\x00hello"
    return wire


def begun(way, **named):
    """Asked, and at the upstream."""
    origin = way.raw() if way.name in BYTES else way.origin()
    way.start(origin, **named)
    way.ask()
    return served(way, origin)


def all_is_read(peer):
    """Nothing more comes of itself: unread bytes would make a reset of a close."""
    peer.rest()
    if hasattr(peer, "stream"):
        peer.wire.wait_settings()             # its acknowledgement of ours is the last


def to_itself_or_nowhere(way, host):
    """Through a forward proxy, which takes any host."""
    way.carries = "forward-proxy"
    way.route = lambda *_: ""
    way.start("")
    way.ask(target=f"http://{host}/", host=host)


@case("timeout", HTTP, rule="timeout")
def the_routes_timeout(way):
    begun(way, route="timeout 400ms;")


@case("timeout", ("connect",), rule="timeout")
def the_timeout_of_a_connect(way):
    way.start(way.raw(), route="fault delay 10s; timeout 100ms;")
    way.ask()


@case("timeout", ("grpc",), rule="grpc-timeout")
def the_callers_deadline(way):
    origin = way.origin()
    way.start(origin)
    way.fields = lambda: ["content-type: application/grpc", "te: trailers", "grpc-timeout: 100m"]
    way.ask()


@case("connect_timeout", ALL, rule="connect-timeout")
def nobody_answers_a_connection(way):
    full = way.raw(backlog=0)
    for _ in range(3):                        # its queue is full: what else comes is dropped
        s = way.closing(socket.socket())
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", full.port))
    way.start(full, cluster="connect-timeout 200ms;")
    way.ask()


@case("connection_refused", ALL)
def nobody_listens(way):
    way.start(nobody())
    way.ask()


@case("host_unreachable", ALL)
def no_route_leads_there(way):
    way.start("255.255.255.255:9")
    way.ask()


@case("connection_reset", ALL, grpc=14)
def the_upstream_resets(way):
    peer = begun(way)
    if way.name not in BYTES:
        all_is_read(peer)                     # what is sent after a reset is told otherwise
    (peer if way.name in BYTES else peer.wire).reset()


@case("upstream_closed_early", HTTP)
def the_upstream_closes(way):
    peer = begun(way)
    all_is_read(peer)
    peer.wire.close()


@case("upstream_closed_early", ("h1", "h2", "outbound"), begun=True)
def the_upstream_closes_amid_its_response(way):
    peer = begun(way)
    all_is_read(peer)
    peer.send_head(200, length=10)
    peer.send(b"abc")
    assert way.call.head().status == 200
    peer.wire.close()


@case("dns_error", ("h1", "h2", "grpc", "tcp"))
def a_cluster_of_a_name_that_is_not_there(way):
    way.start("nowhere.invalid:80")
    until(lambda: "nowhere.invalid" in way.sidecar.log(), "a word of the name")
    way.ask()


@case("dns_error", ("outbound", "connect"))
def a_name_that_is_not_there(way):
    to_itself_or_nowhere(way, "nowhere.invalid:80")


@case("protocol_error", ("h1", "h2", "outbound"), any_rule=True)
def a_response_that_is_none(way):
    begun(way).wire.send(b"HTTP/1.1 20 \x00\r\n\r\n")


@case("protocol_error", ("grpc",), any_rule=True)
def a_response_of_http2_that_is_none(way):
    begun(way).stream.send_head([(":status", "abc")])


@case("response_limit", HTTP, any_rule=True)
def a_response_of_many_fields(way):
    peer = begun(way, rest="limits { response-headers 10; }")
    peer.send_head(200, [f"x-{i}: 1" for i in range(40)], end=True)


@case("overload", (*HTTP, "connect"), rule="open-files")
def no_descriptor_is_left(way):
    way.start(way.raw(), cluster="pool max none;")
    spare = 1                                 # for the client, where asking is connecting
    if way.name in HTTP:
        way.client, spare = way.closing(way.Client(way.port)), 0
        if way.name not in STREAMS:           # its descriptor is there before the request is
            way.client.idle.append(way.client.connect())
            way.client.idle[0].send("\r\n")
        way.sidecar.wait_metric(f'sidespan_connections_open{{direction="{way.direction}"}}', 1)
    with way.sidecar.without_descriptors(spare):
        way.ask()
        way.response = way.answer()


@case("overload", ("tcp",), rule="limits")
def no_descriptor_is_left_for_a_tunnel(way):
    no_descriptor_is_left(way)


@case("pool_queue_timeout", HTTP, rule="pool-queue")
def no_place_becomes_free(way):
    origin = way.origin(**({"settings": {Settings.MAX_CONCURRENT_STREAMS: 1}} if way.upstream == "h2" else {}))
    way.start(origin, cluster="pool max 1 queue 100ms;")
    way.holder = way.closing(way.Client(way.port)).open("GET", "/held")
    origin.take()
    way.ask()


@case("no_route", ("h1", "h2", "grpc"), rule="route")
def no_route_takes_it(way):
    way.start("", route="match header x-none = 1; respond 204;")
    way.ask()


@case("no_endpoint", ("tcp",), rule="endpoint")
def a_cluster_whose_name_is_asked_for_still(way):
    """A request would wait for the answer, and say dns_error in the end."""
    if os.geteuid() != 0:
        pytest.skip("a resolv.conf of one's own needs root")
    way._sidespan = way.fixture("named")
    way.start("app.test:80")
    way.fixture("names").wait_asked()
    until(way.answers_admin, "the admin port")
    way.ask()


@case("loop", ("outbound", "connect"), rule="loop")
def the_sidecars_own_port(way):
    to_itself_or_nowhere(way, f"127.0.0.1:{way.port}")


@case("fault_injected", (*HTTP, "connect"), rule="fault")
def an_answer_that_is_injected(way):
    way.start(way.raw(), route="fault abort 503;")
    way.ask()


@case("fault_injected", HTTP, rule="fault", broken=True)
def a_reset_that_is_injected(way):
    way.start(way.raw(), route="fault reset;")
    way.ask()


@case("client_closed", ALL, broken=True)
def the_client_leaves(way):
    begun(way)
    way.leave()
    way.response = None


@case("client_closed", ("h1", "outbound"), broken=True)
def the_client_ends_its_half_which_is_its_end(way):
    begun(way, rest="timeouts { half-closed 0s; }")
    way.call.wire.half_close()


HALF_CLOSED = "timeouts { half-closed 100ms; }"


@case("half_closed_timeout", ("h1", "outbound"), rule="half-closed")
def the_client_ends_its_half_and_nothing_can_be_sent_to_it(way):
    begun(way, rest=HALF_CLOSED)
    way.call.wire.half_close()


@case("half_closed_timeout", ("h1", "outbound"), rule="half-closed", begun=True)
def the_client_ends_its_half_and_the_response_goes_on_no_more(way):
    peer = begun(way, rest=HALF_CLOSED)
    peer.send_head(200, length=10)
    peer.send(b"abc")
    assert way.call.head().status == 200
    way.call.wire.half_close()


@case("half_closed_timeout", ("h1", "outbound", "connect"), rule="half-closed")
def the_client_ends_its_half_amid_an_injected_delay(way):
    way.start(way.raw(), route="fault delay 1h;", rest=HALF_CLOSED)
    way.ask()
    (way.client if way.name == "connect" else way.call.wire).half_close()


@case("half_closed_timeout", ("h1", "outbound"), rule="half-closed")
def the_client_ends_its_half_while_its_request_waits_for_a_place(way):
    origin = way.origin()
    way.start(origin, cluster="pool max 1;", rest=HALF_CLOSED)
    way.holder = way.closing(way.Client(way.port)).open("GET", "/held")
    origin.take()
    way.ask().wire.half_close()


@case("half_closed_timeout", ("h1", "outbound"), rule="half-closed")
def the_client_ends_its_half_behind_a_body_that_is_not_read(way):
    """Its FIN is not read either."""
    way.start(way.raw(), route="fault delay 1h;", rest=HALF_CLOSED + "limits { buffer-bytes 16k; }")
    way.client = way.closing(Wire.connect(way.port))
    way.client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + bytes(100000))
    way.client.half_close()
    r = way.client.read_response()
    way.response = r.status, None, r, r.body.decode()


@case("draining", ALL, rule="drain")
def the_drain_is_over(way):
    """The admin port goes with it: the span comes by another way, and the counter is not seen any more."""
    receiver = way.fixture("collector")()
    begun(way, rest=f"""
        timeouts {{ drain-delay 0s; drain 100ms; }}
        trace {{ export otlp http://127.0.0.1:{receiver.http_port}; }}
        """)
    way.sidecar.signal(signal.SIGTERM)
    way.response = way.answer()
    assert way.sidecar.wait_exit() == 0
    span, = receiver.spans()
    way.span = Span(json.loads(MessageToJson(span)), {})
    way.span.trace_id = span.trace_id.hex()


@case("bad_request", ("h1", "outbound"), any_rule=True, http=400)
def a_request_that_is_none(way):
    way.start(way.raw())
    way.ask_raw = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
    wire = way.closing(Wire.connect(way.port))
    wire.send(way.ask_raw)
    r = wire.read_response()
    way.response = r.status, None, r, r.body.decode()


@case("bad_request", ("h2",), any_rule=True, http=431)
def a_request_of_http2_that_is_too_large(way):
    way.start(way.raw(), rest="limits { headers 10; }")
    way.fields = lambda: [f"x-{i}: 1" for i in range(40)]
    way.ask()


@case("bad_request", ("grpc",), any_rule=True)
def a_call_with_a_deadline_that_is_none(way):
    way.start(way.raw())
    way.fields = lambda: ["content-type: application/grpc", "te: trailers", "grpc-timeout: soon"]
    way.ask()


@case("abuse", ("h2", "grpc"), rule="abuse", broken=True)
def a_client_that_floods(way):
    origin = way.origin()
    way.start(origin)
    client = way.closing(Wire.connect(way.port))
    head = head_of("/", "POST", [(n.lower(), v) for n, _, v in (f.partition(": ") for f in way.fields())])
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + headers(1, head, end=False))
    origin.take()
    with contextlib.suppress(OSError):        # it is ended for its PINGs
        for _ in range(400):
            client.send(frame(6, 0, 0, bytes(8)) * 100)
    way.response = None


@case("ping_timeout", HTTP, rule="ping-timeout")
def an_upstream_that_answers_no_ping(way):
    way.upstream = "h2"
    begun(way, rest="timeouts { ping 100ms; ping-timeout 500ms; }")


@case("ping_timeout", STREAMS, rule="ping-timeout", broken=True)
def a_client_that_answers_no_ping(way):
    way.upstream = "h1"
    begun(way, rest="timeouts { ping 100ms; ping-timeout 400ms; }")
    way.sidecar.wait_span()                   # it reads nothing meanwhile
    way.response = None


@case("idle_timeout", HTTP, rule="idle")
def nothing_is_sent(way):
    begun(way, route="idle-timeout 400ms; timeout none;")


@case("idle_timeout", BYTES, rule="idle")
def nothing_is_sent_in_a_tunnel(way):
    begun(way, rest="timeouts { tunnel-idle 400ms; }")


@case("idle_timeout", BYTES, rule="tunnel-half-closed")
def the_client_ends_its_half_of_a_tunnel(way):
    begun(way, rest="timeouts { tunnel-idle 1h; tunnel-half-closed 300ms; }")
    way.client.half_close()


@case("idle_timeout", BYTES, rule="tunnel-half-closed")
def the_upstream_ends_its_half_of_a_tunnel(way):
    begun(way, rest="timeouts { tunnel-half-closed 300ms; }").half_close()


@case("idle_timeout", BYTES, rule="idle")
def the_idle_timeout_of_a_tunnel_is_over_before_that_of_half_a_one(way):
    begun(way, rest="timeouts { tunnel-idle 300ms; tunnel-half-closed 1h; }")
    way.client.half_close()


@case("stream_reset", HTTP)
def the_upstream_resets_the_stream(way):
    way.upstream = "h2"
    begun(way).reset(INTERNAL_ERROR)


@case("refused_stream", HTTP)
def the_upstream_refuses_the_stream(way):
    way.upstream = "h2"
    origin = way.origin()
    way.start(origin, cluster="pool queue 200ms;")
    way.ask()
    while not way.sidecar.metric('sidespan_failures_total{direction="%s",reason="refused_stream",'
                                 'ended_by="upstream"}' % way.direction):
        try:
            origin.take(0.1).reset(REFUSED_STREAM)
        except TimeoutError:
            pass


# -- what is told of it

def counted(sidecar):
    """{(direction, reason, ended_by): n}, of those that are not 0."""
    found = {}
    for key, value in sidecar.metrics().items():
        labels = re.fullmatch(r'sidespan_failures_total\{direction="(\w+)",reason="(\w+)",ended_by="(\w+)"\}', key)
        if labels and value:
            found[labels.groups()] = value
    return found


def said_in_span(span, reason, by, rule):
    # A client that leaves is no error of what it asked for, and that a tunnel ends so is how tunnels end.
    assert reason == (span["error.type"] if reason != "client_closed" or "error.type" in span else reason)
    assert span["sidespan.ended_by"] == by
    if by != "sidecar":
        assert "sidespan.rule" not in span
    elif rule:
        assert span["sidespan.rule"] == rule
    return span["sidespan.rule"] if by == "sidecar" else None


LEVEL = {"client_closed": "debug", "half_closed_timeout": "debug", "fault_injected": "info"}


def said_in_log(sidecar, span, reason, by, rule):
    """One line, of this level; with the trace it belongs to, and of what the sidecar did the rule and the cure."""
    if reason == "bad_request":
        line = sidecar.wait_log(rf"warn \w+: refused .*rule {rule}: .*").group()
    else:
        line = sidecar.wait_log(rf"{LEVEL.get(reason, 'warn')} \w+: {reason}, ended by the {by}\b.*").group()
        assert (f", rule {rule}: " in line and "; " in line) if rule else ", rule " not in line
        assert len(re.findall(r" \w+: \w+, ended by the ", sidecar.log())) == 1
    assert span.trace_id in line


def said_in_answer(answer, span, reason, by, rule, status, code):
    said, grpc, fields, text = answer
    assert fields.get("sidespan-reason") == (rule if reason == "bad_request" else reason)
    assert fields.get("sidespan-ended-by") == by
    assert "sidespan: " in text
    if grpc is None:
        assert said == status == span["http.response.status_code"]
    else:
        assert said == 200 and grpc == code == span["rpc.grpc.status_code"]
    if rule:
        assert f"({rule}): " in text


@pytest.mark.parametrize("reason, title, way", [
    pytest.param(reason, title, way, id=f"{reason}-{title}-{way}")
    for (reason, title), (_, ways, _) in CASES.items() for way in ways])
def test_four_voices_agree(request, sidespan, closing, reason, title, way):
    function, _, otherwise = CASES[reason, title]
    by, status, code = rows()[reason]
    way = WAYS[way](sidespan, closing)
    way.fixture = request.getfixturevalue
    function(way)
    answer = way.response if hasattr(way, "response") else way.answer()
    gone = hasattr(way, "span")
    span = way.span if gone else until(way.sidecar.spans, "a span")[-1]     # of the last attempt, of several
    rule = said_in_span(span, reason, by, otherwise.get("rule"))
    assert gone or counted(way.sidecar) == {(way.direction, reason, by): 1}
    said_in_log(way.sidecar, span, reason, by, rule)
    if answer is None:
        assert otherwise.get("broken") or otherwise.get("begun") or way.name in BYTES, "it got no answer"
    else:
        assert not otherwise.get("broken")
        said_in_answer(answer, span, reason, by, rule, otherwise.get("http", status), otherwise.get("grpc", code))


def test_every_row_has_a_case():
    assert {reason for reason, _ in CASES} == set(rows())
