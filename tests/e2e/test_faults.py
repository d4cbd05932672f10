"""Faults that the file asks for, on the share that it asks for, and told in the span."""
import random

import pytest

from process import run
from wire import Wire, request_bytes, response_bytes


def traces(n, seed=5):
    draw = random.Random(seed)
    return [f"00-{draw.getrandbits(128):032x}-{1:016x}-01" for _ in range(n)]


def test_an_abort_answers_instead_of_the_origin(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address, extra="fault abort 503;")
    client = connect(sidecar.port)
    response = client.get()
    assert response.status == 503
    assert response.get("sidespan-reason") == "fault_injected"
    assert upstream.requests == []
    span = sidecar.wait_span()
    assert span["error.type"] == "fault_injected" and span.status == 2
    assert span["http.response.status_code"] == 503
    assert span["sidespan.fault"] == "abort 503"
    assert sidecar.metric('sidespan_faults_total{kind="abort"}') == 1
    assert client.get().status == 503         # the connection goes on


def test_an_abort_with_a_status_that_is_no_servers_fault_is_no_error_of_the_server(
        inbound, origin, connect):
    sidecar = inbound(origin().address, extra="fault abort 429;")
    assert connect(sidecar.port).get().status == 429
    span = sidecar.wait_span()
    assert span.status == 0 and span["sidespan.fault"] == "abort 429"


def test_an_abort_takes_the_body_of_the_request_along(inbound, origin, connect):
    client = connect(inbound(origin().address, extra="fault abort 503;").port)
    assert client.ask("POST", body=b"x" * 100_000).status == 503


def test_a_reset_resets(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address, extra="fault reset;")
    client = connect(sidecar.port)
    client.send(request_bytes())
    with pytest.raises(ConnectionError):
        client.read_response()
    assert upstream.requests == []
    span = sidecar.wait_span()
    assert span["error.type"] == "fault_injected"
    assert span["sidespan.fault"] == "reset"
    assert "http.response.status_code" not in span


def test_a_delay_delays_before_forwarding_and_the_span_says_so(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, extra="fault delay 120ms;")
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(response_bytes(body=b"late"))
    assert client.read_response().body == b"late"
    span = sidecar.wait_span()
    assert span["sidespan.fault"] == "delay 120ms"
    assert span["sidespan.fault_delay"] == pytest.approx(0.12)
    assert 0.12 <= span.times()["fault"] <= span.seconds
    assert span.status == 0


def test_delays_of_many_requests_do_not_add_up(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="fault delay 200ms;")
    clients = [connect(sidecar.port) for _ in range(50)]
    for client in clients:
        client.send(request_bytes())
    for client in clients:
        assert client.read_response().status == 200
    spans = sidecar.wait_spans(50)
    assert (max(s.end for s in spans) - min(s.start for s in spans)) / 1e9 < 5    # of ten, one after the other


def test_a_share_of_requests_is_struck_and_each_trace_always_or_never(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="fault abort 503 for 20%;")
    client = connect(sidecar.port)
    struck = 0
    for parent in traces(300):
        statuses = {client.get("/", f"traceparent: {parent}").status for _ in range(2)}
        assert len(statuses) == 1
        struck += statuses == {503}
    assert abs(struck - 60) <= 3 * (300 * 0.2 * 0.8) ** 0.5


def test_two_faults_of_a_route_strike_independently(inbound, origin, connect):
    sidecar = inbound(origin().address,
                      extra="fault delay 1ms for 30%; fault abort 503 for 30%;",
                      rest="trace { export memory 1000; }")
    client = connect(sidecar.port)
    for parent in traces(400):
        client.get("/", f"traceparent: {parent}")
    both = [("delay" in s["sidespan.fault"], "abort" in s["sidespan.fault"])
            for s in sidecar.wait_spans(400) if s["sidespan.fault"]]
    n_both = both.count((True, True))
    assert abs(n_both - 36) <= 3 * (400 * 0.09 * 0.91) ** 0.5


def test_jitter_is_drawn_by_the_trace_and_stays_within_its_bounds(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="fault delay 1ms jitter 20ms;")
    client = connect(sidecar.port)
    for parent in traces(30):
        for _ in range(2):
            client.get("/", f"traceparent: {parent}")
    by_trace = {}
    for span in sidecar.wait_spans(60):
        by_trace.setdefault(span.trace_id, set()).add(span["sidespan.fault_delay"])
    assert all(len(delays) == 1 for delays in by_trace.values())
    drawn = [d for delays in by_trace.values() for d in delays]
    assert all(0.001 <= d <= 0.021 for d in drawn)
    assert max(drawn) - min(drawn) > 0.008


def test_when_strikes_only_requests_that_carry_the_header(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="""
        fault abort 503 when header x-chaos = yes;
        fault abort 418 when header x-teapot;
        """)
    client = connect(sidecar.port)
    assert client.get().status == 200
    assert client.get("/", "X-Chaos: no").status == 200
    assert client.get("/", "X-Chaos: yes").status == 503
    assert client.get("/", "X-Teapot: ").status == 418


def test_first_strikes_so_many_and_no_more(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="fault abort 503 first 3;", rest="workers 2;")
    statuses = []
    for _ in range(8):                        # on connections of whichever worker
        with Wire.connect(sidecar.port) as client:
            statuses.append(client.get().status)
    assert statuses == [503] * 3 + [200] * 5


def test_a_delay_and_an_abort_both_happen(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="fault delay 60ms; fault abort 500;")
    assert connect(sidecar.port).get().status == 500
    span = sidecar.wait_span()
    assert span["sidespan.fault"] == "delay 60ms; abort 500"
    assert span.seconds >= 0.06


def test_a_client_that_leaves_amid_a_delay_costs_the_origin_nothing(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address, extra="fault delay 10s;")
    client = connect(sidecar.port)
    client.send(request_bytes())
    sidecar.wait_metric('sidespan_requests_active{direction="inbound"}', 1)
    client.reset()
    span = sidecar.wait_span()
    assert span["error.type"] == "client_closed"
    assert span["sidespan.fault"] == "delay 10s"
    assert upstream.requests == []


def test_the_timeout_counts_the_delay(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address, extra="fault delay 10s; timeout 100ms;")
    response = connect(sidecar.port).get()
    assert response.status == 504 and upstream.requests == []
    assert sidecar.wait_span()["error.type"] == "timeout"


def test_explain_and_the_sidecar_agree_on_faults(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="fault abort 503 for 50%;")
    client = connect(sidecar.port)
    seen = set()
    for parent in traces(10, seed=11):
        told = run("explain", "--config", sidecar.path, "--inbound", "--traceparent", parent,
                   "GET http://service.test/")
        [line] = [l for l in told.stdout.splitlines() if "abort 503 for 50%" in l and "strike" in l]
        status = client.get("/", f"traceparent: {parent}").status
        assert (status == 503) == ("does not strike" not in line)
        seen.add(status)
    assert seen == {200, 503}


def test_a_fault_can_strike_the_callers_side_too(outbound, origin, connect):
    sidecar = outbound(f"route / {{ to {origin().address}; fault abort 503; }}")
    assert connect(sidecar.port).get().status == 503
    span = sidecar.wait_span()
    assert span.kind == 3 and span["error.type"] == "fault_injected"


def test_a_fault_strikes_callers_of_a_network_and_until_a_moment(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="""
        fault abort 500 until 2020-01-01T00:00:00Z;
        fault abort 501 when source 10.0.0.0/8;
        fault abort 502 when header x-a until 2199-01-01T00:00:00+02:00;
        fault abort 503 when source 127.0.0.0/8 first 1 until 2199-01-01T00:00:00Z;
        """)
    client = connect(sidecar.port)
    assert client.get("/", "X-A: 1").status == 502
    assert client.get("/").status == 503
    assert client.get("/").status == 200
    done = run("check", sidecar.path)
    assert "its time is over" in done.stderr and done.stderr.count("warning") == 1
    done = run("explain", "--config", sidecar.path, "--source", "10.1.2.3", "GET http://a/")
    assert "its time is over" in done.stdout and "status 501, by a fault" in done.stdout


def test_the_span_names_each_delay_that_struck(inbound, origin, connect):
    sidecar = inbound(origin().address, extra="""
        fault delay 1ms; fault delay 2ms when header x-a; fault delay 3ms when header x-b; fault delay 4ms;
        fault abort 503 when header x-b; """)
    connect(sidecar.port).get("/", "x-a: 1")
    assert sidecar.wait_span()["sidespan.fault"] == "delay 1ms; delay 2ms when header x-a; delay 4ms"
    connect(sidecar.port).get("/", "x-b: 1")
    assert sidecar.wait_spans(2)[1]["sidespan.fault"] == (
        "delay 1ms; delay 3ms when header x-b; delay 4ms; abort 503 when header x-b")
