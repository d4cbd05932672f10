"""Bodies of any size pass both ways, whatever each side speaks, at the speed of the slower end."""
import hashlib

import pytest

from h2wire import CANCEL
from pairs import MIB, bounded
from peers import Flood, Reply
from wire import DEADLINE


def pattern(size):
    return bytes((i * 7 + i // 251) & 255 for i in range(size))


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 65535, 65536, 100_000, 1_000_003])
def test_bodies_of_any_size_arrive_as_they_are(pair, size):
    data = pattern(size)
    upstream = pair.origin(lambda r: Reply(body=r.content))
    pair.inbound(upstream)
    client = pair.client()
    for _ in range(2):
        response = client.ask("POST", body=data)
        assert response.status == 200 and response.body == data
        assert response.get("content-length") == str(size)
    assert all(r.get("content-length") == str(size) for r in upstream.requests)
    assert all(r.get("transfer-encoding") is None for r in upstream.requests)
    assert upstream.connections == 1


@pytest.mark.parametrize("size", [0, 1, 100_000, 1_000_003])
def test_bodies_whose_length_is_not_told_arrive_as_they_are(pair, size):
    data = pattern(size)
    upstream = pair.origin(lambda r: Reply(body=r.content, streaming=True))
    pair.inbound(upstream)
    client = pair.client()
    for _ in range(2):
        call = client.open("POST", streaming=True)
        for i in range(0, size, 40_000):
            call.send(data[i:i + 40_000])
        call.end()
        response = call.response()
        assert response.body == data
        assert response.get("content-length") is None
        assert response.get("transfer-encoding") == \
            ("chunked" if pair.client_protocol == "h1" else None)
    for request in upstream.requests:
        assert request.content == data
        assert request.get("content-length") is None
        assert request.get("transfer-encoding") == \
            ("chunked" if pair.upstream_protocol == "h1" else None)


def test_twenty_megabytes_each_way(pair):
    data = bytes(range(256)) * (20_000_000 // 256)
    upstream = pair.origin(lambda r: Reply(body=r.content))
    sidecar = pair.inbound(upstream)
    response = pair.client().ask("POST", body=data)
    assert hashlib.sha256(response.body).digest() == hashlib.sha256(data).digest()
    span = sidecar.wait_span()
    assert span["http.request.body.size"] == span["http.response.body.size"] == len(data)


@pytest.mark.parametrize("method, status, fields", [
    ("HEAD", 200, ["Content-Length: 1234"]), ("HEAD", 200, []), ("HEAD", 404, ["Content-Length: 10"]),
    ("GET", 204, []), ("POST", 204, []), ("GET", 304, ['ETag: "x"']),
    ("GET", 304, ["Content-Length: 1234"]),
])
def test_a_response_that_has_no_body_leaves_all_in_step(pair, method, status, fields):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, method, client=client, body=b"x" if method == "POST" else None)
    assert served.method == method
    served.rest()
    served.send_head(status, fields, end=True)
    response = call.response()
    assert response.status == status and response.body == b"" and response.trailers == []
    for field in fields:                      # what a GET would have had is told as it came
        name, _, value = field.partition(": ")
        assert response.get(name) == value
    if method != "HEAD":
        assert fields or response.get("content-length") is None
    assert response.get("transfer-encoding") is None
    call, served = pair.asked(upstream, target="/next", client=client)
    served.answer(body=b"next")
    assert call.response().body == b"next"
    assert upstream.connections == 1


def test_a_request_without_a_body_gets_no_framing(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    client = pair.client()
    for method in ("GET", "DELETE", "OPTIONS", "PROPFIND"):
        assert client.ask(method).status == 200
    for request in upstream.requests:
        assert request.content == b""
        assert request.get("content-length") is None and request.get("transfer-encoding") is None


def test_a_post_without_a_body_keeps_its_length_of_zero(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    assert pair.client().ask("POST", body=b"").status == 200
    assert upstream.requests[0].get("content-length") == "0"


def test_a_get_with_a_body_is_passed_on_with_it(pair):
    upstream = pair.origin()
    pair.inbound(upstream)
    assert pair.client().ask("GET", body=b"unusual").status == 200
    assert upstream.requests[0].content == b"unusual"


def test_an_empty_response_keeps_its_length_of_zero(pair):
    pair.inbound(pair.origin(lambda r: Reply(body=b"")))
    response = pair.client().get()
    assert response.body == b"" and response.get("content-length") == "0"


@pytest.mark.parametrize("told", [True, False], ids=["length", "streaming"])
def test_the_first_bytes_of_a_body_do_not_wait_for_the_rest(pair, told):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    call, served = pair.asked(upstream, "POST", client=client, length=6 if told else None,
                              streaming=not told)
    call.send(b"abc")
    assert served.read(3) == b"abc"
    call.send(b"def")
    assert served.read(3) == b"def"
    served.send_head(length=6 if told else None)
    assert call.head().status == 200
    served.send(b"uvw")
    assert call.read(3) == b"uvw"
    call.end()
    assert served.rest() == b""
    served.send(b"xyz")
    assert call.read(3) == b"xyz"
    served.end()
    assert call.rest() == b""


def test_both_directions_stream_at_once(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    size = 4 * MIB
    call, served = pair.asked(upstream, "POST", client=client, length=size)
    served.send_head(length=size)
    assert call.head().status == 200          # the response begins before the request is over
    data = bytes(range(256)) * 128
    echoed = hashlib.sha256()
    for _ in range(size // len(data)):
        call.send(data)
        served.send(served.read(len(data)))
        echoed.update(call.read(len(data)))
    call.end()
    assert served.rest() == b""
    served.end()
    assert call.response().body == b""
    assert echoed.digest() == hashlib.sha256(data * (size // len(data))).digest()
    call, served = pair.asked(upstream, client=client)
    served.answer(body=b"ok")                 # both connections are kept
    assert call.response().body == b"ok" and upstream.connections == 1


@pytest.mark.parametrize("up", [True, False], ids=["request", "response"])
def test_a_large_body_stops_while_its_reader_does_and_costs_no_memory(pair, up):
    size = 100 * MIB
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    warm, served = pair.asked(upstream, "POST", length=50_000)
    warm.send(b"x" * 50_000)
    warm.end()
    served.rest()
    served.answer(body=b"y" * 50_000)
    warm.response()
    before = sidecar.rss()

    call, served = pair.asked(upstream, "PUT", length=size) if up else pair.asked(upstream)
    if not up:
        served.send_head(length=size)
        assert call.head().status == 200
    source, sink = (call, served) if up else (served, call)
    flood = Flood(source, size)
    held = flood.stalled()                    # nobody reads: the sender is stopped in the end
    assert held < size / 2
    bounded(sidecar, before)
    sink.count(size)
    flood.join()
    bounded(sidecar, before)
    source.end()
    assert sink.rest() == b""
    if up:
        served.answer(body=b"thanks")
        assert call.response().body == b"thanks"
    sidecar.wait_spans(2)
    bounded(sidecar, before)


def test_a_slow_reader_does_not_slow_others(pair):
    """The origin has two connections of its own: what is measured is the sidecar."""
    slow_origin, quick_origin = pair.raw_origin(), pair.origin()
    pair.outbound("route /slow { to slow; } route / { to quick; }",
                  rest=pair.cluster(slow_origin, "slow") + pair.cluster(quick_origin, "quick"))
    client = pair.client()
    slow, served = pair.asked(slow_origin, target="/slow", client=client)
    served.send_head(length=64 * MIB)
    assert slow.head().status == 200
    flood = Flood(served, 64 * MIB)
    flood.stalled()
    others = pair.client()
    for _ in range(3):
        assert others.get("/quick").body == b"hello"


def test_a_client_that_goes_away_stops_the_upload(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream, "POST", length=1000)
    call.send(b"abc")
    assert served.read(3) == b"abc"
    call.cancel()
    assert served.expect_cancelled() == (CANCEL if pair.upstream_protocol == "h2" else None)
    span = sidecar.wait_span()
    assert span["error.type"] == "client_closed"
    assert "http.response.status_code" not in span


def test_a_client_that_goes_away_stops_the_download(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream)
    served.send_head(length=100_000_000)
    served.send(b"abc")
    assert call.read(3) == b"abc"
    call.cancel()
    flood = Flood(served, 100_000_000)
    flood._thread.join(30 + DEADLINE)
    assert flood.error, "the origin was let send on"
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == 200
    assert span["error.type"] == "client_closed"


def test_a_client_whose_connection_breaks_cancels_all_of_its_requests(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(3)]
    served = [upstream.take() for _ in calls]
    client.reset()
    for one in served:
        one.expect_cancelled()
    assert {s["error.type"] for s in sidecar.wait_spans(3)} == {"client_closed"}


def test_a_request_body_over_the_limit_is_refused(pair):
    upstream = pair.origin()
    sidecar = pair.inbound(upstream, rest="limits { body-bytes 1k; }")
    assert pair.client().ask("POST", body=b"x" * 1024).status == 200
    assert pair.client().ask("POST", body=b"x" * 1025).status == 413
    call = pair.client().open("POST", streaming=True)   # one that does not tell its length
    call.send(b"x" * 1024)
    call.send(b"x")
    assert call.head().status == 413
    refused = sidecar.wait_spans(2, lambda s: s["http.response.status_code"] == 413)
    assert all(s["sidespan.refusal"] for s in refused)
