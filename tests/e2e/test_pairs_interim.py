"""Interim responses are the origin's to send and the sidecar's to relay."""
from pairs import H2_CLIENT
from peers import Reply


def test_100_continue_comes_from_the_origin_and_from_nobody_else(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = pair.asked(upstream, "PUT", "/up", ["Expect: 100-continue"], length=4)
    assert served.get("expect") == "100-continue"
    assert call.nothing_yet()                 # the sidecar does not answer for it
    served.interim(100, ["X-Early: yes"])
    head = call.next_head()
    assert head.status == 100 and head.get("x-early") == "yes"
    call.send(b"body")
    call.end()
    assert served.rest() == b"body"
    served.answer(201)
    assert call.response().status == 201


def test_an_origin_may_refuse_before_the_body_was_sent(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream, "PUT", "/up", ["Expect: 100-continue"], length=4)
    served.answer(417, body=b"no")
    response = call.response()
    assert response.status == 417 and response.body == b"no"
    call.cancel()                             # it does not send the body: it has its answer
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == 417
    assert "error.type" not in span


def test_a_client_that_does_not_wait_for_100_is_served(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    call, served = pair.asked(upstream, "PUT", "/up", ["Expect: 100-continue"], body=b"body")
    assert served.rest() == b"body"
    served.answer()
    assert call.response().status == 200


def test_early_hints_are_relayed_before_the_final_response(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, client=client)
    hint = ["Link: </style.css>; rel=preload", "Link: </b.js>"]
    served.interim(103, hint)
    head = call.next_head()                   # at once, not with the final one
    assert head.status == 103
    assert head.all("link") == ["</style.css>; rel=preload", "</b.js>"]
    served.interim(102)
    served.interim(103, hint)
    served.answer(body=b"done")
    response = call.response()
    assert [status for status, _ in response.interim] == [103, 102, 103]
    assert response.status == 200 and response.body == b"done"
    call, served = pair.asked(upstream, client=client)    # and the connections are in step
    served.answer(body=b"next")
    assert call.response().body == b"next" and upstream.connections == 1
    first, _ = sidecar.wait_spans(2)
    assert first["http.response.status_code"] == 200


def test_many_interim_responses_do_not_break_anything(pair):
    pair.inbound(pair.origin(lambda r: Reply(body=b"done", interim=[(103, ["X: y"])] * 20)))
    response = pair.client().get()
    assert len(response.interim) == 20 and response.body == b"done"


@H2_CLIENT
def test_interim_responses_of_streams_do_not_meet(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(4)]
    served = {s.target: s for s in (upstream.take() for _ in calls)}
    for i in range(4):
        served[f"/{i}"].interim(103, [f"X-N: {i}"])
    for i in reversed(range(4)):
        served[f"/{i}"].answer(body=b"%d" % i)
    for i, call in enumerate(calls):
        response = call.response()
        assert response.body == b"%d" % i
        [(status, fields)] = response.interim
        assert status == 103 and [v for _, v in fields] == [str(i)]
