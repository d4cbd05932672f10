"""W3C Trace Context as a participating proxy has to treat it, seen from outside."""
import re

import pytest

from process import free_port
from wire import request_bytes, response_bytes, until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
VALID = f"00-{TRACE}-{PARENT}-01"
SHAPE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@pytest.fixture
def passed(inbound, origin, connect):
    """passed("Name: value", ...) is the request as the service beside the sidecar gets it."""
    upstream = origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)

    def ask(*fields):
        assert client.get("/", *fields).status == 200
        return upstream.requests[-1]

    ask.sidecar = sidecar
    return ask


def context(request):
    """(trace id, span id, flags) of the one traceparent."""
    assert len(request.all("traceparent")) == 1
    match = SHAPE.fullmatch(request.get("traceparent"))
    assert match, request.get("traceparent")
    assert match[1] != "0" * 32 and match[2] != "0" * 16
    return match[1], match[2], int(match[3], 16)


def restarted(request):
    """A new trace was begun: nothing of the old one is left."""
    trace, span, flags = context(request)
    assert trace != TRACE and span != PARENT
    assert flags == 0x03                      # sampled, and random as new ids are
    assert request.all("tracestate") == []
    return True


def test_without_a_parent_a_trace_begins(passed):
    request = passed()
    assert restarted(request)
    span = passed.sidecar.wait_span()
    trace, span_id, _ = context(request)
    assert (span.trace_id, span.span_id, span.parent) == (trace, span_id, "")
    assert "sidespan.invalid_parent" not in span


def test_a_valid_parent_is_continued(passed):
    request = passed(f"traceparent: {VALID}")
    trace, span_id, flags = context(request)
    assert trace == TRACE and span_id != PARENT
    assert flags == 0x01                      # the random flag is copied: it was not set
    span = passed.sidecar.wait_span()
    assert (span.trace_id, span.span_id, span.parent) == (TRACE, span_id, PARENT)
    assert span.flags & 0x300 == 0x300        # its parent is remote


@pytest.mark.parametrize("flags, out", [("00", 0x00), ("01", 0x01), ("02", 0x02), ("03", 0x03),
                                        ("ff", 0x03), ("fc", 0x00), ("09", 0x01)])
def test_flags_are_masked_and_unknown_bits_are_not_sent_on(passed, flags, out):
    trace, _, got = context(passed(f"traceparent: 00-{TRACE}-{PARENT}-{flags}"))
    assert trace == TRACE and got == out


@pytest.mark.parametrize("value", [
    f"00-{TRACE}-{PARENT}-1", f"00-{TRACE}-{PARENT}-01-more", f"00-{TRACE}-{PARENT}-01-",
    f"00-{TRACE}-{PARENT}-01.", f"00-{TRACE}-{PARENT}", f"00-{TRACE[:-1]}-{PARENT}-01",
    f"00-{TRACE}0-{PARENT}-01", f"00-{TRACE}-{PARENT[:-1]}-01", f"00-{TRACE}-{PARENT}0-01",
    f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT.upper()}-01", f"00-{TRACE}-{PARENT}-0A",
    f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01",
    f"FF-{TRACE}-{PARENT}-01", f"0-{TRACE}-{PARENT}-01", f"000-{TRACE}-{PARENT}-01",
    f"0x-{TRACE}-{PARENT}-01", f"00_{TRACE}_{PARENT}_01", f"00-{TRACE[:-1]}g-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-0.", f".0-{TRACE}-{PARENT}-01", "", "junk", f"00 -{TRACE}-{PARENT}-01",
    f"00-{TRACE}- {PARENT}-01",
])
def test_an_invalid_parent_begins_a_new_trace_without_tracestate(passed, value):
    assert restarted(passed(f"traceparent: {value}", "tracestate: a=1"))
    span = passed.sidecar.wait_span()
    assert span.parent == "" and span["sidespan.invalid_parent"] is True
    assert passed.sidecar.metric("sidespan_trace_contexts_invalid_total") == 1


@pytest.mark.parametrize("fields", [
    [f"traceparent: {VALID}", f"traceparent: {VALID}"],
    [f"traceparent: {VALID}", f"traceparent: 00-{'1' * 32}-{'2' * 16}-01"],
    [f"traceparent: {VALID}", f"TraceParent: {VALID}"],
    [f"traceparent: {VALID},{VALID}"],
    [f"traceparent: {VALID}", "traceparent: junk"],
])
def test_several_parents_are_none(passed, fields):
    request = passed(*fields, "tracestate: a=1")
    assert restarted(request)
    assert context(request)[0] != "1" * 32


@pytest.mark.parametrize("value", [
    f"01-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like",
    f"fe-{TRACE}-{PARENT}-01-", f"cc-{TRACE}-{PARENT}-01-0123",
])
def test_a_version_of_the_future_is_read_as_far_as_it_is_known(passed, value):
    request = passed(f"traceparent: {value}", "tracestate: a=1")
    trace, span, flags = context(request)
    assert (trace, flags) == (TRACE, 0x01) and span != PARENT
    assert request.get("tracestate") == "a=1"


@pytest.mark.parametrize("value", [
    f"cc-{TRACE}-{PARENT}-01.what-the-future-will-not-be-like", f"cc-{TRACE}-{PARENT}-0",
    f"cc-{TRACE}-{PARENT}-01x", f"01-{'0' * 32}-{PARENT}-01",
])
def test_a_version_of_the_future_that_does_not_fit_begins_a_new_trace(passed, value):
    assert restarted(passed(f"traceparent: {value}", "tracestate: a=1"))


@pytest.mark.parametrize("name", ["traceparent", "TraceParent", "TRACEPARENT", "tRaCePaReNt"])
def test_the_name_is_known_in_any_case_and_sent_in_lower_case(passed, name):
    request = passed(f"{name}: {VALID}")
    assert context(request)[0] == TRACE
    assert [n for n in request.names() if n.lower() == "traceparent"] == ["traceparent"]


@pytest.mark.parametrize("name", ["trace-parent", "trace_parent"])
def test_another_name_is_another_header(passed, name):
    request = passed(f"{name}: {VALID}")
    assert restarted(request)
    assert request.get(name) == VALID


@pytest.mark.parametrize("value", [f" {VALID}", f"\t{VALID}", f"{VALID} ", f"{VALID}\t", f" {VALID} "])
def test_white_space_around_the_value_is_not_part_of_it(passed, value):
    assert context(passed(f"traceparent:{value}"))[0] == TRACE


def test_tracestate_travels_unchanged_with_a_valid_parent(passed):
    request = passed(f"traceparent: {VALID}", "tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")
    assert request.all("tracestate") == ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]
    span = passed.sidecar.wait_span()
    assert span.tracestate == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


def test_several_tracestate_headers_are_one_in_the_order_received(passed):
    request = passed(f"traceparent: {VALID}", "tracestate: a=1,b=2", "tracestate:", "tracestate: c=3")
    members = ",".join(request.all("tracestate"))
    assert [m.strip() for m in members.split(",") if m.strip()] == ["a=1", "b=2", "c=3"]


def test_tracestate_alone_is_discarded(passed):
    assert restarted(passed("tracestate: a=1"))


@pytest.mark.parametrize("value", [
    "a" * 256 + "=1", "foo=" + "v" * 256, "0a=1", "a/b*c-d_e=1", "fw529a3039@dt=FfAAAAA", "a=b c",
    "t" * 241 + "@" + "v" * 14 + "=1", ",".join(f"k{i}=v" for i in range(32)), "a=!\"#$%&'()*+-./:;<>",
])
def test_what_tracestate_may_hold_is_passed_on(passed, value):
    request = passed(f"traceparent: {VALID}", f"tracestate: {value}")
    assert ",".join(request.all("tracestate")) == value
    assert context(request)[0] == TRACE


@pytest.mark.parametrize("value", [
    ",".join(f"k{i}=v" for i in range(33)), "a" * 257 + "=1", "A=1", "a.b=1", "a b=1", "a=b=c", "a=",
    "@a=1", "foo",
])
def test_a_bad_tracestate_is_dropped_and_spoils_nothing_else(passed, value):
    request = passed(f"traceparent: {VALID}", f"tracestate: {value}")
    assert context(request)[0] == TRACE
    assert request.all("tracestate") == []


@pytest.mark.parametrize("value", ["", " ", ",", ", ,", "a=1,", ",a=1", "a=1, ,b=2"])
def test_empty_members_are_accepted(passed, value):
    request = passed(f"traceparent: {VALID}", f"tracestate: {value}")
    assert context(request)[0] == TRACE
    kept = [m.strip() for m in ",".join(request.all("tracestate")).split(",") if m.strip()]
    assert kept == [m.strip() for m in value.split(",") if m.strip()]


def test_baggage_is_passed_on_as_it_came(passed):
    value = "userId=alice,serverNode=DF%2028;prop=1,isProduction=false"
    request = passed("baggage: " + value)
    assert ",".join(request.all("baggage")).replace(" ", "") == value
    span = passed.sidecar.wait_span()
    assert not [k for k in span.attributes if "userId" in k or "baggage" in k]


def test_several_baggage_headers_lose_nothing(passed):
    request = passed("baggage: a=1", "baggage: b=2;p=3", f"traceparent: {VALID}")
    assert ",".join(request.all("baggage")).replace(" ", "") == "a=1,b=2;p=3"


def test_baggage_survives_an_invalid_parent(passed):
    assert passed("traceparent: junk", "baggage: a=1").get("baggage") == "a=1"


def test_x_trace_id_tells_the_service_the_trace_id(passed):
    request = passed(f"traceparent: {VALID}")
    assert request.get("x-trace-id") == TRACE
    request = passed()
    assert request.get("x-trace-id") == context(request)[0]


def test_x_trace_id_of_a_caller_is_never_believed(passed):
    request = passed("x-trace-id: " + "a" * 32, "X-Trace-Id: " + "b" * 32)
    assert context(request)[0] not in ("a" * 32, "b" * 32)


def test_x_trace_id_of_the_application_is_its_own(passed):
    """Unless the file asks for it: then it is ours, and no other goes on."""
    request = passed("X-Trace-Id: order-17")
    assert [f for f in request.fields if f[0].lower() == "x-trace-id"] == [("X-Trace-Id", "order-17")]


def test_x_trace_id_that_the_file_asks_for_is_written_anew(sidespan, port, origin, connect):
    upstream = origin()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}
        trace {{ propagate tracecontext x-trace-id; }}
        """)
    connect(port).get("/", "x-trace-id: theirs", "x-trace-id: theirs too")
    [request] = upstream.requests
    assert request.get("x-trace-id") == context(request)[0]


@pytest.mark.parametrize("env, trace", [({}, "trace { export none; }"), ({"OTEL_TRACES_EXPORTER": "none"}, "")])
def test_without_an_exporter_traces_are_joined_begun_and_passed_on(inbound, origin, connect, env, trace):
    """A span that nobody will ever see becomes nobody's parent."""
    upstream = origin()
    sidecar = inbound(upstream.address, rest=trace, env=env)
    connect(sidecar.port).get("/", f"traceparent: {VALID}", "tracestate: a=1")
    connect(sidecar.port).get("/")
    connect(sidecar.port).get("/", "traceparent: junk")
    joined, begun, mended = upstream.wait_requests(3)
    assert joined.get("traceparent") == VALID and joined.get("tracestate") == "a=1"
    assert context(begun)[0] != context(mended)[0] and begun.get("x-trace-id") == context(begun)[0]
    assert begun.get("traceparent").endswith("-03")  # sampled, and random
    assert sidecar.admin("/traces").status == 404
    sidecar.wait_log("exporting to nowhere")
    assert sidecar.metric("sidespan_trace_contexts_invalid_total") == 1


def test_new_ids_are_all_different(passed):
    contexts = [context(passed()) for _ in range(200)]
    assert len({c[0] for c in contexts}) == 200
    assert len({c[1] for c in contexts}) == 200


def test_each_request_of_a_trace_has_its_own_span_id(passed):
    contexts = [context(passed(f"traceparent: {VALID}")) for _ in range(50)]
    assert {c[0] for c in contexts} == {TRACE}
    assert len({c[1] for c in contexts}) == 50


def test_two_processes_do_not_draw_the_same_ids(sidespan, origin, connect):
    upstream = origin()
    for i in range(2):
        port = free_port()
        sidespan(f"inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}",
                 name=f"{i}.conf")
        connect(port).get()
    one, two = upstream.requests
    assert context(one)[0] != context(two)[0]


def test_formats_that_are_not_asked_for_are_not_sent(sidespan, port, origin, connect):
    upstream = origin()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}
        trace {{ propagate tracecontext; }}
        """)
    connect(port).get("/", "x-trace-id: theirs", "baggage: a=1")
    [request] = upstream.requests
    assert request.get("x-trace-id") == "theirs"  # not ours to touch then
    assert request.get("baggage") == "a=1"
    context(request)


def test_responses_are_left_alone(passed, inbound, origin, connect):
    client = connect(passed.sidecar.port)
    response = client.get("/", f"traceparent: {VALID}")
    for name in ("traceparent", "tracestate", "x-trace-id"):
        assert response.get(name) is None


def test_pipelined_requests_keep_their_own_parents(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    traces = [f"{i:032x}" for i in range(1, 21)]
    client.send(b"".join(request_bytes(fields=[f"traceparent: 00-{t}-{PARENT}-01"]) for t in traces))
    for _ in traces:
        assert client.read_response().status == 200
    assert [context(r)[0] for r in upstream.requests] == traces


# ---- a service that forgets to pass it on

WITHOUT = "sidespan_outbound_without_context_total"


@pytest.fixture
def beside(sidespan, raw_origin, origin, connect):
    """A sidecar of several workers with both directions, whose service keeps its caller waiting."""
    service, other, into, out = raw_origin(), origin(), free_port(), free_port()
    sidecar = sidespan(f"""
        workers 3;
        inbound {{ listen 127.0.0.1:{into}; route / {{ to {service.address}; }} }}
        outbound {{ listen 127.0.0.1:{out} forward-proxy; route / {{ to {other.address}; }} }}
        """)
    sidecar.into, sidecar.out_port, sidecar.service = into, out, service
    return sidecar


def test_a_call_without_context_amid_another_is_counted_and_warned_of_once(beside, connect):
    assert connect(beside.out_port).get().status == 200        # nothing is being served
    caller = connect(beside.into)
    caller.send(request_bytes())
    server = beside.service.accept()
    server.read_request()
    for _ in range(8):                                          # from whichever worker
        assert connect(beside.out_port).get("/secret?key=1", host="users.test").status == 200
    assert beside.metric(WITHOUT) == 8
    server.send(response_bytes())
    assert caller.read_response().status == 200
    until(lambda: beside.metric('sidespan_requests_active{direction="inbound"}') == 0, "the end")
    assert connect(beside.out_port).get().status == 200
    assert beside.metric(WITHOUT) == 8
    beside.wait_log("without trace context.*\n")
    [line] = [line for line in beside.log().splitlines() if "without trace context" in line]
    assert "GET to users.test" in line and "copy traceparent, tracestate and baggage" in line
    assert WITHOUT in line and "secret" not in line


@pytest.mark.parametrize("field", [f"traceparent: {VALID}", "traceparent: junk"])
def test_a_call_that_passes_on_what_it_has_is_not_counted(beside, connect, field):
    caller = connect(beside.into)
    caller.send(request_bytes())
    server = beside.service.accept()
    server.read_request()
    assert connect(beside.out_port).get("/", field).status == 200
    assert beside.metric(WITHOUT) == 0
    assert "without trace context" not in beside.log()
    server.send(response_bytes())
    assert caller.read_response().status == 200


def test_a_connect_has_no_context_what_is_asked_inside_of_it_has(beside, connect):
    connect(beside.into).send(request_bytes())
    beside.service.accept().read_request()
    client = connect(beside.out_port)
    client.send(b"CONNECT users.test:80 HTTP/1.1\r\nHost: users.test:80\r\n\r\n")
    assert client.read_response(body=False).status == 200
    assert client.get("/", f"traceparent: {VALID}", host="users.test").status == 200
    assert beside.metric(WITHOUT) == 0
    assert client.get("/", host="users.test").status == 200
    assert beside.metric(WITHOUT) == 1
