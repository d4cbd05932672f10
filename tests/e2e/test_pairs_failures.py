"""What goes wrong on one side is told on the other as it is, whatever each speaks."""
import pytest

from h2wire import CANCEL, ENHANCE_YOUR_CALM, INTERNAL_ERROR, Broken
from pairs import H2_BOTH, H2_CLIENT, H2_UPSTREAM
from peers import Reply
from process import CLIENT

# What an upstream that breaks off is called: HTTP/2 has a word for a stream alone.
CUT = {"h1": {"upstream_closed_early", "connection_reset"}, "h2": {"stream_reset"}}


def test_a_refused_connection_is_an_answer_with_its_reason(pair, refusing):
    sidecar = pair.inbound(refusing)
    client = pair.client()
    for _ in range(2):                        # the client's connection goes on
        response = client.get()
        assert response.status in (502, 503)
        assert response.get("sidespan-reason") == "connection_refused"
    for span in sidecar.wait_spans(2):
        assert span["error.type"] == "connection_refused"
        assert span.status == 2 and span["http.response.status_code"] == response.status


def test_the_body_of_a_request_that_cannot_be_sent_is_not_waited_for(pair, refusing):
    pair.inbound(refusing)
    call = pair.client().open("POST", length=1_000_000)
    call.send(b"abc")
    assert call.head().status in (502, 503)


@pytest.mark.parametrize("end", ["reset", "break_connection"])
def test_an_origin_that_ends_before_it_answers_is_a_502(pair, end):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, client=client)
    getattr(served, end)()
    response = call.response()
    assert response.status == 502
    reason = response.get("sidespan-reason")
    assert reason in CUT["h1"] | CUT["h2"]
    if end == "reset":
        assert reason in CUT[pair.upstream_protocol]
    span = sidecar.wait_span()
    assert span["error.type"] == reason and span["http.response.status_code"] == 502
    call, served = pair.asked(upstream, client=client)    # the client's connection goes on
    served.answer()
    assert call.response().status == 200


@pytest.mark.parametrize("end", ["reset", "break_connection"])
@pytest.mark.parametrize("told", [True, False], ids=["length", "streaming"])
def test_a_response_that_is_cut_short_is_not_presented_as_complete(pair, end, told):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream)
    served.send_head(length=10 if told else None)
    served.send(b"abc")
    assert call.head().get("content-length") == ("10" if told else None)
    assert call.read(3) == b"abc"
    getattr(served, end)()
    body, code = call.expect_broken()
    assert body == b""
    if pair.client_protocol == "h2":
        assert code not in (None, 0), "the stream ends with an error, not the connection"
    span = sidecar.wait_span()
    assert span["error.type"] in CUT["h1"] | CUT["h2"] and span.status == 2
    assert span["http.response.status_code"] == 200


def test_a_response_that_is_cut_after_the_head_alone_is_not_complete(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = pair.asked(upstream)
    served.send_head()
    assert call.head().status == 200
    served.reset()
    assert call.expect_broken()[0] == b""


@H2_BOTH
@pytest.mark.parametrize("code", [CANCEL, INTERNAL_ERROR, ENHANCE_YOUR_CALM])
def test_the_code_of_a_reset_is_carried_across(pair, code):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = pair.asked(upstream)
    served.send_head()
    call.head()
    served.reset(code)
    assert call.expect_broken()[1] == code


@H2_CLIENT
def test_a_cut_response_leaves_the_other_streams_alone(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(3)]
    served = {s.target: s for s in (upstream.take() for _ in calls)}
    for one in served.values():
        one.send_head(length=4)
        one.send(b"ab")
    served["/1"].reset()
    assert calls[1].expect_broken()[0] in (b"", b"ab")    # of what is cut nothing need arrive
    for i in (0, 2):
        served[f"/{i}"].send(b"cd")
        served[f"/{i}"].end()
        assert calls[i].response().body == b"abcd"


@H2_UPSTREAM
def test_an_upstream_connection_that_breaks_fails_all_of_its_streams(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    calls = [client.open("POST", f"/{i}", body=b"x") for i in range(3)]
    served = [upstream.take() for _ in calls]
    assert len({id(s.wire) for s in served}) == 1
    served[0].break_connection()
    assert [c.response().status for c in calls] == [502] * 3
    assert {s["error.type"] for s in sidecar.wait_spans(3)} <= CUT["h1"]


def test_a_client_that_cancels_before_the_answer_is_told_to_the_origin(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream)
    call.cancel()
    assert served.expect_cancelled() == (CANCEL if pair.upstream_protocol == "h2" else None)
    span = sidecar.wait_span()
    assert span["error.type"] == "client_closed"
    assert "http.response.status_code" not in span


@H2_CLIENT
def test_a_cancelled_stream_leaves_the_others_alone(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    one, two = client.open(target="/1"), client.open(target="/2")
    served = {s.target: s for s in (upstream.take(), upstream.take())}
    one.cancel()
    served["/1"].expect_cancelled()
    served["/2"].answer(body=b"fine")
    assert two.response().body == b"fine"
    call, again = pair.asked(upstream, client=client)
    again.answer(body=b"next")
    assert call.response().body == b"next"


def test_a_cancel_amid_the_fault_delay_costs_the_origin_nothing(pair):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream, extra="fault delay 10s;")
    call = pair.client().open()
    sidecar.wait_metric('sidespan_requests_active{direction="inbound"}', 1)
    call.cancel()
    span = sidecar.wait_span()
    assert span["error.type"] == "client_closed" and span["sidespan.fault"] == "delay 10s"
    assert upstream.requests == []


# -- early responses

def test_an_early_response_reaches_the_client_while_it_is_sending(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream, "POST", length=1_000_000)
    call.send(b"abc")
    assert served.read(3) == b"abc"
    served.answer(413, body=b"enough")
    response = call.response()
    assert response.status == 413 and response.body == b"enough"
    call.cancel()
    assert sidecar.wait_span()["http.response.status_code"] == 413


def test_an_early_response_of_an_origin_that_reads_on_loses_nothing(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, "POST", client=client, length=6)
    call.send(b"abc")
    assert served.read(3) == b"abc"
    served.answer(body=b"early")
    response = call.response()
    assert response.body == b"early"
    if response.get("connection") == "close":  # allowed: it ends instead of reading the rest
        return
    try:
        call.send(b"def")
        call.end()
        assert served.rest() == b"def"
    except Broken as e:                       # RFC 9113 section 8.1: it wants no more of it
        assert e.code in (0, CANCEL)
    call, served = pair.asked(upstream, target="/next", client=client)
    assert served.target == "/next"


@H2_UPSTREAM
def test_an_origin_that_wants_no_more_of_the_body_says_no_error(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream, "POST", length=1_000_000)
    call.send(b"abc")
    assert served.read(3) == b"abc"
    served.answer(401, body=b"who are you?")
    served.reset(0)
    response = call.response()
    assert response.status == 401 and response.body == b"who are you?"
    call.cancel()
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == 401


# -- timeouts

def test_the_route_timeout_is_a_504_and_is_told_to_the_origin(pair):
    upstream = pair.raw_origin()
    sidecar = pair.start(f"""
        inbound {{ listen 127.0.0.1:{pair.port}; route /slow {{ to app; timeout 500ms; }} route / {{ to app; }} }}
        {pair.cluster(upstream)}
        """)
    client = pair.client()
    call, served = pair.asked(upstream, target="/slow", client=client)
    response = call.response()                # it never answers
    assert response.status == 504 and response.get("sidespan-reason") == "timeout"
    served.expect_cancelled()
    span = sidecar.wait_span()
    assert span["error.type"] == "timeout" and span.status == 2
    assert 0.5 <= span.seconds < 5
    assert sidecar.metric('sidespan_timeouts_total{timeout="route"}') == 1
    call, served = pair.asked(upstream, client=client)    # the client's connection goes on
    served.answer()
    assert call.response().status == 200


def test_a_timeout_amid_the_response_cuts_it(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream, extra="timeout 600ms;")
    call, served = pair.asked(upstream)
    served.send_head()
    served.send(b"abc")
    assert call.read(3) == b"abc"
    assert call.expect_broken()[0] == b""
    served.expect_cancelled()
    span = sidecar.wait_span()
    assert span["error.type"] == "timeout" and span["http.response.status_code"] == 200


def test_an_exchange_in_which_nothing_moves_ends_with_the_idle_timeout(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream, extra="idle-timeout 500ms;")
    call, served = pair.asked(upstream)
    assert call.response().status == 504
    served.expect_cancelled()
    assert sidecar.wait_span()["error.type"] == "idle_timeout"


def test_a_timeout_of_one_request_leaves_others_alone(pair):
    upstream = pair.raw_origin()
    pair.outbound("route /short { to app; timeout 500ms; } route / { to app; }",
                  rest=pair.cluster(upstream))
    client = pair.client()
    short, long = client.open(target="/short"), client.open(target="/long")
    served = {s.target: s for s in (upstream.take(), upstream.take())}
    assert short.response().status == 504
    served["/long"].answer(body=b"fine")
    assert long.response().body == b"fine"


# -- which route, and none

def test_no_route_is_a_404_with_its_reason(pair):
    upstream = pair.origin()
    sidecar = pair.outbound("host a.test { route /api { to app; } }", rest=pair.cluster(upstream))
    client = pair.client()
    for target, host in (("/other", "a.test"), ("/api", "b.test")):
        response = client.get(target, host=host)
        assert response.status == 404 and response.get("sidespan-reason") == "no_route"
    assert client.get("/api", host="a.test").status == 200
    for span in sidecar.wait_spans(2, lambda s: s["http.response.status_code"] == 404):
        assert span["error.type"] == "no_route" and span.kind == CLIENT


def test_the_reason_of_an_origin_is_not_taken_for_the_sidecars_own(pair):
    sidecar = pair.inbound(pair.origin(lambda r: Reply(503)))
    assert pair.client().get().get("sidespan-reason") is None
    assert sidecar.wait_span()["error.type"] == "503"
