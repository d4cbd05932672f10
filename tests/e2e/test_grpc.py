"""Calls of gRPC pass whole through two sidecars in a row, and what the sidecars say is gRPC too."""
import os
import re
import time

import grpc
import hpack
import pytest

import process

from grpc_service import Feed, GrpcClient, GrpcService
from peers import Reply
from peers_h2 import H2Origin
from process import CLIENT, SERVER, free_port
from test_h2_auto import Tolerant
from wire import DEADLINE, response_bytes, until

Code = grpc.StatusCode

# HTTP/2, for servers that do what no library would.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 7, 8, 11


def frame(kind, stream=0, payload=b"", flags=0):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def read_frame(wire):
    """(type, stream, payload) of the next one."""
    head = wire.read(9)
    return head[3], int.from_bytes(head[5:], "big"), wire.read(int.from_bytes(head[:3], "big"))


@pytest.fixture
def service(closing):
    return lambda **arguments: closing(GrpcService(**arguments))


@pytest.fixture
def client(closing):
    return lambda port, **arguments: closing(GrpcClient(port, **arguments))


class Hops:
    """caller -> [outbound] -> [inbound] -> service; .caller is a client, the sidecars are .near and .far."""

    def __init__(self, sidespan, service, near_route="", far_route="", near_env=None, rest=""):
        self.service = service
        self.port, far_port = free_port(), free_port()
        self.far = sidespan(f"""
            service callee;
            inbound {{
                listen 127.0.0.1:{far_port};
                route grpc e2e.Test {{ to callee; {far_route} }}
            }}
            cluster callee {{ endpoint {service.address}; protocol h2; }}
            {rest}
            """, name="far.conf")
        self.near = sidespan(f"""
            service caller;
            outbound {{
                listen 127.0.0.1:{self.port};
                route grpc e2e.Test {{ to far; {near_route} }}
            }}
            cluster far {{ endpoint 127.0.0.1:{far_port}; protocol h2; }}
            {rest}
            """, env=near_env, name="near.conf")


@pytest.fixture
def hops(sidespan, service, client):
    def start(near_route="", far_route="", server=None, client_options=None, **arguments):
        hops = Hops(sidespan, service(**(server or {})), near_route, far_route, **arguments)
        hops.caller = client(hops.port, **(client_options or {}))
        return hops

    return start


def refused(call):
    """The error that a call ends with."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value


# -- the four kinds


def test_a_unary_call(hops):
    hops = hops()
    assert hops.caller.unary("Echo", b"hello") == b"hello"
    assert hops.caller.unary("Echo", b"") == b""


def test_a_stream_of_requests(hops):
    hops = hops()
    assert hops.caller.client_stream("Join", [b"a", b"", b"bc", b"d" * 100000]) == b"abc" + b"d" * 100000
    assert hops.caller.client_stream("Join", []) == b""


def test_a_stream_of_responses(hops):
    hops = hops()
    assert list(hops.caller.server_stream("Count", b"1000")) == [b"%d" % i for i in range(1000)]
    assert list(hops.caller.server_stream("Count", b"0")) == []


def test_a_stream_both_ways_is_not_held_back(hops):
    """Each message is answered before the next is sent: nothing may wait for more."""
    hops = hops()
    feed = Feed()
    answers = hops.caller.bidi("Chat", feed)
    for i in range(100):
        feed.send(b"%d" % i)
        assert next(answers) == b"%d" % i
    feed.end()
    assert list(answers) == []


def test_many_calls_at_once_are_not_mixed_up(hops):
    hops = hops()
    calls = {i: hops.caller.unary_future("Echo", b"%d" % i * 1000) for i in range(300)}
    for i, call in calls.items():
        assert call.result() == b"%d" % i * 1000


def test_a_busy_caller_is_not_taken_for_an_attacker(hops):
    """It opens two windows by a few bytes for each message that it gets, and sends PINGs."""
    hops = hops()
    for _ in range(100):
        calls = [hops.caller.unary_future("Echo", b"x") for _ in range(30)]
        assert [c.result() for c in calls] == [b"x"] * 30
    feed = Feed()
    answers = hops.caller.bidi("Chat", feed, timeout=60 + DEADLINE)
    for _ in range(3000):
        feed.send(b"x")
        assert next(answers) == b"x"
    feed.end()
    assert list(answers) == []
    assert "abused" not in hops.near.log() + hops.far.log()


@pytest.mark.parametrize("kind", ["up", "down", "both"])
def test_a_large_message(hops, kind):
    hops = hops()
    size = 20 << 20
    body = os.urandom(1 << 20) * 20
    if kind == "up":
        assert len(hops.caller.client_stream("Join", [body])) == size
    elif kind == "down":
        assert hops.caller.unary("Large", b"%d" % size) == bytes(size)
    else:
        assert hops.caller.unary("Echo", body) == body


def test_a_stream_passes_in_constant_memory(hops):
    """A gigabyte with E2E_LONG=1."""
    hops = hops()
    megabytes = 1024 if os.environ.get("E2E_LONG") == "1" else 128
    before = hops.near.rss(), hops.far.rss()
    seen = 0
    for answer in hops.caller.bidi("Chat", (bytes(1 << 20) for _ in range(megabytes)), timeout=300):
        seen += len(answer)
    assert seen == megabytes << 20
    for sidecar, rss in zip((hops.near, hops.far), before):
        assert process.sanitized() or sidecar.rss() - rss < 24 << 20


def test_compression_is_left_alone(hops):
    hops = hops(server={"compression": grpc.Compression.Gzip})
    body = b"well compressed " * 10000
    answer, call = hops.caller.unary_call("Echo", body, compression=grpc.Compression.Gzip)
    assert answer == body
    sizes = [s["http.request.body.size"] for s in hops.near.wait_spans(1) if "http.request.body.size" in s]
    assert all(size < len(body) / 10 for size in sizes)


# -- metadata


def test_metadata_passes_both_ways(hops):
    hops = hops()
    sent = [("my-text", "value with spaces, and commas"), ("my-again", "one"), ("my-again", "two"),
            ("my-some-bin", bytes(range(256))), ("my-some-bin", b""), ("my-empty", "")]
    _, call = hops.caller.unary_call("Metadata", metadata=sent)
    assert [(k, v) for k, v in call.initial_metadata() if k.startswith("my-")] == sent
    assert [(k, v) for k, v in call.trailing_metadata() if k.startswith("t-")] == \
        [(f"t-{k}", v) for k, v in sent]


def test_the_service_is_told_who_was_called(hops):
    hops = hops()
    hops.caller.unary("Echo")
    call, = hops.service.calls
    assert re.match(r"grpc-python/", call["user-agent"])
    assert call["x-forwarded-for"] == "127.0.0.1"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-9a-f]", call["traceparent"])


# -- status


@pytest.mark.parametrize("code", [c for c in Code if c is not Code.OK], ids=lambda c: c.name)
def test_a_status_passes_with_its_message(hops, code):
    hops = hops()
    error = refused(lambda: hops.caller.unary("Fail", f"{code.name} 100% grün\tand\nso on".encode()))
    assert error.code() is code
    assert error.details() == "100% grün\tand\nso on"


def test_a_method_that_does_not_exist(hops):
    hops = hops()
    error = refused(lambda: hops.caller.unary("Nothing"))
    assert error.code() is Code.UNIMPLEMENTED
    assert "Method not found" in error.details()  # the service's words


def test_a_service_without_a_route(hops):
    hops = hops()
    error = refused(lambda: hops.caller.unary("/other.Service/Method"))
    assert error.code() is Code.UNIMPLEMENTED
    assert error.details().startswith("sidespan: no route takes POST ")
    assert ("sidespan-reason", "no_route") in error.trailing_metadata()


# -- deadlines


def test_the_server_sees_the_time_that_is_left(hops):
    hops = hops(near_route="fault delay 300ms;")
    left = float(hops.caller.unary("Left", timeout=60))
    assert 60 - 20 < left <= 60 - 0.3 + 0.1  # grpcio rounds up what it tells


def test_a_routes_timeout_is_a_deadline_for_the_server(hops):
    hops = hops(near_route="timeout 50s;")
    assert 30 < float(hops.caller.unary("Left", timeout=None)) <= 50


def test_a_server_that_hangs_is_cut_off(hops):
    """It is told the deadline, and keeps it if it can; the caller need not know which was faster."""
    hops = hops(far_route="timeout 1s;")
    start = time.monotonic()
    assert refused(lambda: hops.caller.unary("Hang", timeout=None)).code() is Code.DEADLINE_EXCEEDED
    assert time.monotonic() - start >= 1
    until(lambda: hops.service.cancelled, "the server to hear of it")
    answers = hops.caller.server_stream("Stream", timeout=None)
    assert next(answers) == b"one"
    assert refused(lambda: next(answers)).code() in (Code.DEADLINE_EXCEEDED, Code.CANCELLED)


@pytest.mark.parametrize("whose", ["the route's timeout", "the call's deadline"])
def test_a_server_that_keeps_no_deadline_is_cut_off(sidespan, port, client, raw_origin, whose):
    """The caller's own clock is not relied on either: it has told its deadline and keeps none."""
    server = raw_origin()
    route = "timeout 700ms;" if whose.startswith("the route") else ""
    sidecar = sidespan(f"""
        outbound {{ listen 127.0.0.1:{port}; route / {{ to deaf; {route} }} }}
        cluster deaf {{ endpoint {server.address}; protocol h2; }}
        """)
    metadata = [] if route else [("grpc-timeout", "700m")]
    call = client(port).unary_future("Echo", timeout=None, metadata=metadata)
    wire = server.accept()
    assert wire.read(len(PREFACE)) == PREFACE
    wire.send(frame(SETTINGS))
    error = refused(call.result)
    assert error.code() is Code.DEADLINE_EXCEEDED
    assert error.details().startswith(f"sidespan: {whose} was over (")
    until(lambda: read_frame(wire) == (RST_STREAM, 1, CANCEL.to_bytes(4, "big")), "RST_STREAM")
    span = sidecar.wait_span()
    assert span["rpc.grpc.status_code"] == Code.DEADLINE_EXCEEDED.value[0]


def test_a_server_that_cancels_at_the_deadline_has_exceeded_it(sidespan, port, client, raw_origin):
    """It was told the time that is left, and may be quicker to end the call: grpc-go resets with CANCEL."""
    server = raw_origin()
    sidecar = sidespan(f"""
        outbound {{ listen 127.0.0.1:{port}; route / {{ to server; }} }}
        cluster server {{ endpoint {server.address}; protocol h2; }}
        """)
    call = client(port).unary_future("Echo", timeout=None, metadata=[("grpc-timeout", "700m")])
    wire = server.accept()
    assert wire.read(len(PREFACE)) == PREFACE
    kind, block = 0, b""
    while kind != HEADERS:
        kind, _, block = read_frame(wire)
    told, begun = dict(hpack.Decoder().decode(block))["grpc-timeout"], time.monotonic()
    left = int(told[:-1]) * {"m": 1e-3, "u": 1e-6, "n": 1e-9}[told[-1]]
    wire.send(frame(SETTINGS))
    time.sleep(max(0, left - 0.004 - (time.monotonic() - begun)))  # by its clock a little too early
    wire.send(frame(RST_STREAM, 1, CANCEL.to_bytes(4, "big")))
    assert refused(call.result).code() is Code.DEADLINE_EXCEEDED
    assert sidecar.wait_span()["rpc.grpc.status_code"] == Code.DEADLINE_EXCEEDED.value[0]


def test_a_deadline_ends_the_call_everywhere(hops):
    hops = hops()
    start = time.monotonic()
    error = refused(lambda: hops.caller.unary("Hang", timeout=0.3))
    assert error.code() is Code.DEADLINE_EXCEEDED
    assert time.monotonic() - start >= 0.3
    until(lambda: hops.service.cancelled, "the server to hear of it")
    for sidecar, direction in ((hops.near, "outbound"), (hops.far, "inbound")):
        until(lambda: sidecar.metric(f'sidespan_requests_active{{direction="{direction}"}}') == 0, "its end")


def test_no_timeout_cuts_a_stream_unless_said(hops):
    """Those of connections and heads are over long before the stream is."""
    hops = hops(rest="timeouts { idle 1s; header 1s; }")
    answers = hops.caller.server_stream("Stream", timeout=None)
    assert next(answers) == b"one"
    time.sleep(1.5)
    assert not hops.service.cancelled
    answers.cancel()


def test_a_call_that_was_idle_for_long_ends_with_its_status_and_span(hops):
    """What the sidecars gave back meanwhile is not needed any more."""
    hops = hops()
    feed = Feed()
    answers = hops.caller.bidi("Chat", feed, timeout=None)
    feed.send(b"a")
    assert next(answers) == b"a"
    time.sleep(2.5)
    feed.send(b"b")
    assert next(answers) == b"b"
    feed.end()
    assert list(answers) == []
    for sidecar in hops.near, hops.far:
        span = sidecar.wait_span()
        assert span["rpc.grpc.status_code"] == 0
        assert (span["rpc.service"], span["rpc.method"]) == ("e2e.Test", "Chat")


# -- cancellation


@pytest.mark.parametrize("method", ["Hang", "Stream"])
def test_a_cancelled_call_is_cancelled_at_the_server_at_once(hops, method):
    hops = hops()
    delays = []
    for i in range(5):
        if method == "Hang":
            call = hops.caller.unary_future("Hang", timeout=None)
        else:
            call = hops.caller.server_stream("Stream", timeout=None)
            assert next(call) == b"one"
        assert hops.service.began.acquire(timeout=DEADLINE)
        start = time.monotonic()
        call.cancel()
        until(lambda: len(hops.service.cancelled) > i, "the server to hear of it")
        delays.append(hops.service.cancelled[i] - start)
    assert sorted(delays)[len(delays) // 2] < 1
    for sidecar in (hops.near, hops.far):
        until(lambda: len(sidecar.spans()) == 5, "the spans")


def test_a_caller_that_goes_away_cancels_its_calls(hops, client):
    hops = hops()
    other = GrpcClient(hops.port)
    calls = [other.unary_future("Hang", timeout=None) for _ in range(3)]
    for _ in calls:
        assert hops.service.began.acquire(timeout=DEADLINE)
    other.close()
    until(lambda: len(hops.service.cancelled) == 3, "the server to hear of it")


# -- what the sidecars say


def test_without_an_upstream_it_is_unavailable(sidespan, port, client):
    nobody = free_port()
    sidespan(f"""
        outbound {{ listen 127.0.0.1:{port}; route / {{ to nobody; }} }}
        cluster nobody {{ endpoint 127.0.0.1:{nobody}; protocol h2; }}
        """)
    error = refused(lambda: client(port).unary("Echo"))
    assert error.code() is Code.UNAVAILABLE
    assert error.details() == f"sidespan: connecting to 127.0.0.1:{nobody}: Connection refused"
    assert ("sidespan-reason", "connection_refused") in error.trailing_metadata()


def test_a_server_that_dies_before_it_answers_is_unavailable(sidespan, port, client, raw_origin):
    server = raw_origin()
    sidespan(f"""
        outbound {{ listen 127.0.0.1:{port}; route / {{ to dying; }} }}
        cluster dying {{ endpoint {server.address}; protocol h2; }}
        """)
    call = client(port).unary_future("Echo")
    wire = server.accept()
    assert wire.read(len(PREFACE)) == PREFACE
    wire.reset()
    error = refused(call.result)
    assert error.code() is Code.UNAVAILABLE


FAULTS = [
    ("fault abort grpc UNAVAILABLE;", Code.UNAVAILABLE),
    ("fault abort grpc NOT_FOUND;", Code.NOT_FOUND),
    ("fault abort 503;", Code.UNAVAILABLE),
    ("fault abort 403;", Code.PERMISSION_DENIED),
    ("fault delay 100ms; fault abort grpc ABORTED;", Code.ABORTED),
]


@pytest.mark.parametrize("fault, code", FAULTS, ids=[f for f, _ in FAULTS])
def test_an_injected_fault_is_a_status(hops, fault, code):
    hops = hops(near_route=fault)
    for call in (lambda: hops.caller.unary("Echo"), lambda: next(hops.caller.server_stream("Count", b"1"))):
        error = refused(call)
        assert error.code() is code
        assert error.details().startswith("sidespan: a fault was injected (fault): ")
    assert not hops.service.calls


def test_an_injected_fault_ends_a_stream_that_is_being_sent(hops):
    hops = hops(near_route="fault abort grpc RESOURCE_EXHAUSTED;")
    feed = Feed()
    feed.send(b"first")
    answers = hops.caller.bidi("Chat", feed)
    assert refused(lambda: next(answers)).code() is Code.RESOURCE_EXHAUSTED
    feed.end()


def test_an_injected_delay_holds_a_call_back(hops):
    hops = hops(near_route="fault delay 300ms;")
    start = time.monotonic()
    assert hops.caller.unary("Echo", b"late") == b"late"
    assert time.monotonic() - start >= 0.3


def test_a_fault_for_a_method_alone(sidespan, port, client, service):
    server = service()
    sidespan(f"""
        outbound {{
            listen 127.0.0.1:{port};
            route grpc e2e.Test/Fail {{ to c; fault abort grpc DATA_LOSS; }}
            route grpc e2e.Test {{ to c; }}
        }}
        cluster c {{ endpoint {server.address}; protocol h2; }}
        """)
    caller = client(port)
    assert caller.unary("Echo", b"fine") == b"fine"
    assert refused(lambda: caller.unary("Fail", b"OK")).code() is Code.DATA_LOSS


@pytest.mark.parametrize("kind", ["application/json", "application/grpc-web+proto", "application/grpc-web-text"])
def test_a_request_that_is_no_call_is_answered_in_http(sidespan, port, origin, connect, kind):
    """grpc-web is HTTP of any version; its statuses are in its bodies."""
    page = origin(lambda r: response_bytes(200, [f"Content-Type: {kind}"], r.body))
    sidespan(f"""
        outbound {{
            listen 127.0.0.1:{port};
            route /e2e.Test/Fail {{ to {page.address}; fault abort grpc NOT_FOUND; }}
            route / {{ to {page.address}; }}
        }}
        """)
    client = connect(port)
    fields = [f"Content-Type: {kind}", "grpc-timeout: nonsense"]
    assert client.ask("POST", "/e2e.Test/Echo", fields, b"AAAA").body == b"AAAA"
    assert page.requests[0].get("grpc-timeout") == "nonsense"
    assert client.ask("POST", "/e2e.Test/Fail", fields, b"AAAA").status == 404


def test_a_call_that_is_too_large_is_exhausted(hops):
    hops = hops(rest="limits { body-bytes 1m; }")
    assert hops.caller.unary("Echo", bytes(1000000)) == bytes(1000000)
    for call in (lambda: hops.caller.unary("Echo", bytes(1100000)),
                 lambda: hops.caller.client_stream("Join", [bytes(100000)] * 11)):
        error = refused(call)
        assert error.code() is Code.RESOURCE_EXHAUSTED
        assert error.details().startswith("sidespan: refused (body-too-large)")


def test_a_plain_http_answer_passes_as_it_is(sidespan, port, client, origin):
    """A proxy before the service has its own error pages: the caller maps them by itself."""
    page = origin(lambda r: response_bytes(503, ["Content-Type: text/html"], b"<h1>busy</h1>", "Busy"))
    sidecar = sidespan(f"""
        outbound {{ listen 127.0.0.1:{port}; route / {{ to page; }} }}
        cluster page {{ endpoint {page.address}; protocol h1; }}
        """)
    error = refused(lambda: client(port).unary("Echo"))
    assert error.code() is Code.UNAVAILABLE
    assert "503" in error.details()
    assert sidecar.wait_span()["rpc.grpc.status_code"] == Code.UNAVAILABLE.value[0]


@pytest.mark.parametrize("end, code", [("answers 400", Code.PERMISSION_DENIED), ("closes", Code.UNAVAILABLE),
                                       ("resets", Code.UNAVAILABLE)])
def test_all_who_wait_for_http2_hear_of_an_endpoint_without(sidespan, port, client, closing, end, code):
    """The first is asked in HTTP/2 and does not know it; the others wait for what comes of that. Where it has said so
    in HTTP/1.1 all are asked in that; one that only hung up may be a server of gRPC which has just gone."""
    page = closing(Tolerant(lambda r: Reply(403), end))
    sidespan(f"""
        outbound {{ listen 127.0.0.1:{port}; route / {{ to page; }} }}
        cluster page {{ endpoint {page.address}; }}
        """)
    caller = client(port)
    calls = [caller.unary_future("Echo", b"%d" % i) for i in range(150)]
    assert {refused(c.result).code() for c in calls} == {code}
    if code is Code.PERMISSION_DENIED:
        assert page.prefaces == 1 and len(page.requests) == 150


# -- streams that the server did not take


RESETS = {CANCEL: Code.CANCELLED, ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED, 2: Code.INTERNAL}


@pytest.mark.parametrize("code", RESETS)
def test_a_stream_that_the_server_resets_has_the_status_of_its_code(sidespan, port, client, raw_origin, code):
    server = raw_origin()
    sidecar = sidespan(f"""
        outbound {{ listen 127.0.0.1:{port}; route / {{ to server; }} }}
        cluster server {{ endpoint {server.address}; protocol h2; }}
        """)
    call = client(port).unary_future("Echo")
    wire = server.accept()
    assert wire.read(len(PREFACE)) == PREFACE
    wire.send(frame(SETTINGS))
    until(lambda: read_frame(wire)[0] == HEADERS, "the request")
    wire.send(frame(RST_STREAM, 1, code.to_bytes(4, "big")))
    assert refused(call.result).code() is RESETS[code]
    assert sidecar.wait_span()["rpc.grpc.status_code"] == RESETS[code].value[0]


def test_a_stream_that_the_server_refuses_is_sent_again_until_the_pool_is_tired_of_it(sidespan, port, client, closing):
    """Each attempt has its span, with the status of its own; the caller hears of the last alone."""
    server = closing(H2Origin(lambda r: Reply(reset=REFUSED_STREAM)))
    sidecar = sidespan(f"""
        outbound {{ listen 127.0.0.1:{port}; route / {{ to server; }} }}
        cluster server {{ endpoint {server.address}; protocol h2; pool queue 200ms; }}
        """)
    assert refused(client(port).unary_future("Echo").result).code() is Code.UNAVAILABLE
    until(lambda: len(sidecar.spans()) == len(server.requests), "the spans")
    spans = sidecar.spans()
    # At once, after 40 ms, after 80 ms, and when the 200 ms are over: fewer where time passed otherwise.
    assert 2 <= len(spans) <= 5
    assert len({s.span_id for s in spans}) == len(spans)
    assert len({s.trace_id for s in spans}) == len({s.parent for s in spans}) == 1
    assert {s["rpc.grpc.status_code"] for s in spans} == {Code.UNAVAILABLE.value[0]}
    assert {s["error.type"] for s in spans} == {"refused_stream"}


def test_an_upload_that_the_server_refuses_is_sent_again_whole(sidespan, port, connect, raw_origin):
    """A server that ends its connection by age refuses what came behind the last stream it took: of the
    body a whole window has been sent by then."""
    server = raw_origin()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to server; }} }}
        cluster server {{ endpoint {server.address}; protocol h2; }}
        """)
    body = bytes(range(256)) * 1000
    caller = connect(port)
    caller.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:1000])

    def upload(size, settings=b""):
        wire, got = server.accept(), b""
        assert wire.read(len(PREFACE)) == PREFACE
        wire.send(frame(SETTINGS, payload=settings) + frame(WINDOW_UPDATE, payload=(1 << 20).to_bytes(4, "big")))
        while len(got) < size:
            kind, stream, payload = read_frame(wire)
            got += payload if kind == DATA else b""
            if len(got) == 1000:  # it has an upstream: from here on what is sent is kept as well
                caller.send(body[1000:])
        return wire, got

    wire, _ = upload(65535)
    wire.send(frame(RST_STREAM, 1, REFUSED_STREAM.to_bytes(4, "big")) + frame(GOAWAY, payload=bytes(8)))
    wire, got = upload(len(body), b"\x00\x04" + (1 << 20).to_bytes(4, "big"))
    assert got == body
    wire.send(frame(HEADERS, 1, b"\x88", flags=5))  # :status 200, END_HEADERS, END_STREAM
    assert caller.read_response().status == 200


def test_a_server_that_restarts_between_calls_is_not_noticed(hops, service):
    """Its GOAWAY closes the connection; the next call is on another."""
    hops = hops()
    assert hops.caller.unary("Echo", b"1") == b"1"
    port = hops.service.port
    hops.service.close()
    service(port=port, options=[("grpc.so_reuseport", 1)])
    assert hops.caller.unary("Echo", b"2") == b"2"


def test_a_connection_that_the_server_ends_by_age_costs_no_call(hops):
    hops = hops(server={"options": [("grpc.max_connection_age_ms", 200),
                                    ("grpc.max_connection_age_grace_ms", 10000)]})
    end = time.monotonic() + 2
    n = 0
    while time.monotonic() < end:
        calls = [hops.caller.unary_future("Echo", b"%d" % i) for i in range(20)]
        assert [c.result() for c in calls] == [b"%d" % i for i in range(20)]
        n += 20
    assert len(hops.service.calls) == n


def test_more_streams_than_the_server_takes_are_not_refused(hops):
    hops = hops(server={"options": [("grpc.max_concurrent_streams", 3)]})
    calls = [hops.caller.unary_future("Echo", b"%d" % i) for i in range(100)]
    assert [c.result() for c in calls] == [b"%d" % i for i in range(100)]


# -- spans


def test_the_spans_of_a_call_are_one_trace(hops):
    hops = hops()
    hops.caller.unary("Echo", b"x", metadata=[("traceparent", "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")])
    call, served = hops.near.wait_span(), hops.far.wait_span()
    assert call.kind == CLIENT and served.kind == SERVER
    assert call.trace_id == served.trace_id == "ab" * 16
    assert call.parent == "cd" * 8
    assert served.parent == call.span_id
    assert hops.service.calls[0]["traceparent"].split("-")[1:3] == ["ab" * 16, served.span_id]
    assert call.start <= served.start and served.end <= call.end


def test_the_spans_say_what_was_called(hops):
    hops = hops()
    hops.caller.unary("Echo", b"x")
    for sidecar in (hops.near, hops.far):
        span = sidecar.wait_span()
        assert span.name == "e2e.Test/Echo"
        assert span["rpc.system"] == "grpc"
        assert span["rpc.service"] == "e2e.Test"
        assert span["rpc.method"] == "Echo"
        assert span["rpc.grpc.status_code"] == 0
        assert span.status == 0


def test_the_new_names_are_used_when_asked_for(hops):
    hops = hops(near_env={"OTEL_SEMCONV_STABILITY_OPT_IN": "rpc"})
    hops.caller.unary("Echo", b"x")
    span = hops.near.wait_span()
    assert span["rpc.system.name"] == "grpc"
    assert span["rpc.method"] == "e2e.Test/Echo"
    assert "rpc.service" not in span and "rpc.grpc.status_code" not in span


# On the server's side only what is its own fault is an error.
STATUS_RULES = [(Code.NOT_FOUND, False), (Code.INVALID_ARGUMENT, False), (Code.UNAVAILABLE, True),
                (Code.INTERNAL, True), (Code.UNKNOWN, True), (Code.DATA_LOSS, True)]


@pytest.mark.parametrize("code, at_server", STATUS_RULES, ids=[c.name for c, _ in STATUS_RULES])
def test_the_status_of_a_span_is_that_of_its_side(hops, code, at_server):
    hops = hops()
    refused(lambda: hops.caller.unary("Fail", code.name.encode()))
    call, served = hops.near.wait_span(), hops.far.wait_span()
    assert call["rpc.grpc.status_code"] == served["rpc.grpc.status_code"] == code.value[0]
    assert call.status == 2 and call["error.type"]
    assert served.status == (2 if at_server else 0)


def test_a_cancelled_call_has_its_spans(hops):
    hops = hops()
    call = hops.caller.unary_future("Hang", timeout=None)
    assert hops.service.began.acquire(timeout=DEADLINE)
    call.cancel()
    for sidecar in (hops.near, hops.far):
        assert sidecar.wait_span()["rpc.grpc.status_code"] == Code.CANCELLED.value[0]


def test_a_call_that_the_sidecar_ends_has_its_status_in_the_span(hops):
    hops = hops(near_route="fault abort grpc UNAVAILABLE;")
    refused(lambda: hops.caller.unary("Echo"))
    span = hops.near.wait_span()
    assert span["rpc.grpc.status_code"] == Code.UNAVAILABLE.value[0]
    assert span["sidespan.fault"] == "abort grpc UNAVAILABLE"
    assert span.status == 2


def test_the_span_of_a_stream_ends_with_its_trailers(hops):
    hops = hops()
    feed = Feed()
    answers = hops.caller.bidi("Chat", feed)
    feed.send(b"a")
    assert next(answers) == b"a"
    assert hops.near.spans() == []
    feed.end()
    assert list(answers) == []
    assert hops.near.wait_span()["rpc.grpc.status_code"] == 0


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_a_list_of_addresses_is_an_authority(sidespan, service, closing, protocol):
    """grpc-core's `ipv4:A,B` is what it calls the service too. Between two sidecars, over either protocol."""
    ports = free_port(), free_port()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{ports[0]}; route / {{ to app; }} }}
        cluster app {{ endpoint {service().address}; protocol h2; }}
        """, name="far.conf")
    sidespan(f"""
        outbound {{
            listen 127.0.0.1:{ports[1]};
            host 127.0.0.1 {{ route / {{ respond 403; }} }}
            route / {{ to far; }}
        }}
        cluster far {{ endpoint 127.0.0.1:{ports[0]}; protocol {protocol}; }}
        """, name="near.conf")
    channel = closing(grpc.insecure_channel(f"ipv4:127.0.0.1:{ports[1]},127.0.0.1:{ports[1]}",
                                            options=[("grpc.enable_http_proxy", 0)]))
    assert channel.unary_unary("/e2e.Test/Echo")(b"hello", timeout=DEADLINE) == b"hello"
