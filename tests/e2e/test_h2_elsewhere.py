"""What an HTTP/2 upstream did not process goes elsewhere; what it did does not."""
import pytest

from h2wire import INTERNAL_ERROR, PROTOCOL_ERROR, REFUSED_STREAM
from pairs import H2_UPSTREAM
from peers import Reply
from process import CLIENT

pytestmark = H2_UPSTREAM


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"x" * 20_000)], ids=["GET", "POST"])
def test_a_refused_stream_is_asked_of_another_endpoint(pair, method, body):
    refusing = pair.origin(lambda r: Reply(reset=REFUSED_STREAM))
    good = pair.origin(lambda r: Reply(body=r.content))
    sidecar = pair.inbound([refusing, good])
    client = pair.client()
    for _ in range(4):
        response = client.ask(method, body=body)
        assert response.status == 200 and response.body == (body or b"")
    assert len(good.requests) == 4 and len(refusing.requests) >= 1
    for span in sidecar.wait_spans(4):
        assert span["http.response.status_code"] == 200 and span.status == 0


def test_each_attempt_of_an_outbound_call_is_a_span_of_its_own_or_counted(pair):
    refusing = pair.origin(lambda r: Reply(reset=REFUSED_STREAM))
    good = pair.origin()
    sidecar = pair.outbound("route / { to app; }", rest=pair.cluster([refusing, good]))
    for _ in range(2):                        # whichever is asked first
        assert pair.client().get().status == 200
    sidecar.wait_spans(2, lambda s: s["http.response.status_code"] == 200)
    spans = sidecar.spans()
    assert all(s.kind == CLIENT for s in spans)
    assert len([s for s in spans if s["http.response.status_code"] == 200]) == 2
    assert any(s["http.request.resend_count"] for s in spans)
    span_ids = {r.get("traceparent").split("-")[2] for r in good.requests}
    assert {s.span_id for s in spans if s["http.response.status_code"] == 200} == span_ids


def test_a_stream_that_all_refuse_is_an_answer_in_the_end(pair):
    refusing = pair.origin(lambda r: Reply(reset=REFUSED_STREAM))
    sidecar = pair.inbound(refusing, cluster="pool queue 400ms;")
    response = pair.client().get()
    assert response.status in (502, 503)
    assert response.get("sidespan-reason") == "refused_stream"
    assert len(refusing.requests) < 10
    assert sidecar.wait_span()["error.type"] == "refused_stream"


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"x" * 20_000)], ids=["GET", "POST"])
def test_who_refuses_and_then_serves_is_asked_until_it_does(pair, method, body):
    """It had no place, and has one a moment later: nothing was processed before."""
    answers = [Reply(reset=REFUSED_STREAM)] * 4
    slow = pair.origin(lambda r: answers.pop() if answers else Reply(body=r.content))
    sidecar = pair.inbound(slow)
    response = pair.client().ask(method, body=body)
    assert response.status == 200 and response.body == (body or b"")
    assert len(slow.requests) == 5
    assert sidecar.metric("sidespan_refused_retries_total") == 4


def test_a_refused_stream_waits_no_longer_than_the_pool_says(pair):
    refusing = pair.origin(lambda r: Reply(reset=REFUSED_STREAM))
    pair.inbound(refusing, cluster="pool queue 50ms;")
    response = pair.client().ask("POST", body=b"x")
    assert response.get("sidespan-reason") == "refused_stream"
    assert len(refusing.requests) <= 4


def test_a_caller_who_gives_up_is_not_asked_for_again(pair):
    """The route's timeout ends the waiting too."""
    refusing = pair.origin(lambda r: Reply(reset=REFUSED_STREAM))
    pair.inbound(refusing, extra="timeout 100ms;", cluster="pool queue 60s;")
    response = pair.client().get()
    assert (response.status, response.get("sidespan-reason")) == (504, "timeout")


def test_a_reset_that_says_nothing_of_refusal_is_not_repeated_for_a_post(pair):
    failing = pair.origin(lambda r: Reply(reset=INTERNAL_ERROR))
    sidecar = pair.inbound(failing)
    response = pair.client().ask("POST", body=b"once")
    assert response.status == 502 and response.get("sidespan-reason") == "stream_reset"
    assert len(failing.requests) == 1
    assert sidecar.wait_span()["error.type"] == "stream_reset"


def test_a_goaway_sends_what_was_not_processed_to_a_new_connection(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    one, first = pair.asked(upstream, target="/1", client=client)
    two = client.open("POST", "/2", body=b"again")
    second = upstream.take()
    assert second.wire is first.wire
    first.wire.goaway(first.stream.id)        # the second was not looked at
    again = upstream.take()
    assert again.target == "/2" and again.wire is not first.wire
    assert again.rest() == b"again"
    again.answer(body=b"from the new one")
    assert two.response().body == b"from the new one"
    first.answer(body=b"from the old one")    # what was processed ends where it began
    assert one.response().body == b"from the old one"


def test_after_a_goaway_no_stream_is_opened_on_that_connection(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, first = pair.asked(upstream, client=client)
    first.wire.goaway()                       # gracefully: no stream is cut yet
    first.wire.ping()                         # it has been read
    other, second = pair.asked(upstream, client=client)
    assert second.wire is not first.wire
    second.answer(body=b"new")
    first.answer(body=b"old")
    assert other.response().body == b"new" and call.response().body == b"old"
    first.wire.wait_end()                     # nothing is left for it to do


def test_a_goaway_for_an_idle_connection_costs_no_request(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, client=client)
    served.answer()
    call.response()
    served.wire.wait_settings()               # with bytes unread its end would be a reset
    served.wire.goaway(served.stream.id)
    served.wire.close()
    for _ in range(2):
        call, served = pair.asked(upstream, "POST", client=client, body=b"x")
        served.rest()
        served.answer(body=b"fine")
        assert call.response().body == b"fine"


def test_a_connection_that_dies_with_an_error_fails_what_it_had_processed(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream, "POST", body=b"x")
    served.wire.goaway(served.stream.id, PROTOCOL_ERROR, b"no thanks")
    served.wire.close()
    response = call.response()
    assert response.status == 502
    assert sidecar.wait_span()["error.type"] == response.get("sidespan-reason")
