"""Many requests at once, and the life of the connections that they share."""
import threading

import pytest

from h2wire import REFUSED_STREAM, Broken, Settings
from pairs import H2_CLIENT, H2_UPSTREAM, MIB, bounded
from peers import Reply
from wire import DEADLINE, until

AT_ONCE = 200


def test_two_hundred_requests_at_once_each_get_their_own_answer(pair):
    """They are all at the origin together, and for an HTTP/2 client on one connection."""
    everybody = threading.Barrier(AT_ONCE)

    def handler(request):
        everybody.wait(20 + DEADLINE)
        return Reply(body=request.target.encode() + request.content)

    upstream = pair.origin(handler)
    sidecar = pair.inbound(upstream, rest=f"limits {{ streams {AT_ONCE}; }}"
                           if pair.client_protocol == "h2" else "")
    client = pair.client()
    calls = [client.open("POST", f"/{i}", body=b"=%d" % (i * i)) for i in range(AT_ONCE)]
    for i, call in enumerate(calls):
        assert call.response().body == b"/%d=%d" % (i, i * i)
    assert upstream.most_under_way == AT_ONCE
    if pair.client_protocol == "h2":
        assert sidecar.metric('sidespan_connections_open{direction="inbound"}') == 1
    if pair.upstream_protocol == "h2":        # which allows 100 a connection
        assert 2 <= upstream.connections <= 4 and max(upstream.most_streams) <= 100
    assert {s["http.response.status_code"] for s in sidecar.wait_spans(AT_ONCE)} == {200}


def test_many_clients_at_once_all_get_their_own_answers(pair):
    upstream = pair.origin(lambda r: Reply(body=r.target.encode()))
    pair.inbound(upstream, rest="workers 2;")
    wrong = []

    def run(n):
        client = pair.client()
        for i in range(20):
            if client.get(f"/{n}/{i}").body != b"/%d/%d" % (n, i):
                wrong.append((n, i))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60 + DEADLINE)
    assert not wrong and len(upstream.requests) == 12 * 20


def test_answers_come_in_the_order_of_the_origin_and_not_of_the_requests(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(10)]
    served = {s.target: s for s in (upstream.take() for _ in calls)}
    for i in reversed(range(10)):
        served[f"/{i}"].answer(body=b"%d" % i)
        assert calls[i].response().body == b"%d" % i


def test_bodies_of_streams_at_once_are_not_mixed_up(pair):
    upstream = pair.origin(lambda r: Reply(body=r.content))
    pair.inbound(upstream)
    client = pair.client()
    bodies = [bytes([i]) * (10_000 + i) for i in range(20)]
    calls = [client.open("POST", f"/{i}", length=len(b)) for i, b in enumerate(bodies)]
    for at in range(0, 10_020, 1000):         # woven into each other
        for call, body in zip(calls, bodies):
            if body[at:at + 1000]:
                call.send(body[at:at + 1000])
    for call in calls:
        call.end()
    assert [c.response().body for c in calls] == bodies


@H2_UPSTREAM
def test_clients_share_one_upstream_connection(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream)
    calls, served = [], []
    for i in range(6):
        call, one = pair.asked(upstream, target=f"/{i}")
        calls.append(call)
        served.append(one)
    assert upstream.connections == 1
    for one in served:
        one.answer(body=one.target.encode())
    assert [c.response().body for c in calls] == [b"/%d" % i for i in range(6)]


@H2_CLIENT
def test_streams_over_the_limit_are_refused_and_the_rest_is_served(pair):
    upstream = pair.raw_origin()
    pair.inbound(upstream, rest="limits { streams 3; }")
    client = pair.client()
    calls = [client.open(target=f"/{i}") for i in range(5)]   # it has not heard of the limit yet
    served = [upstream.take() for _ in range(3)]
    for call in calls[3:]:
        with pytest.raises(Broken) as broken:
            call.response()
        assert broken.value.code == REFUSED_STREAM
    assert client.wire.peer_settings[Settings.MAX_CONCURRENT_STREAMS] == 3
    for one in served:
        one.answer(body=b"fine")
    assert [c.response().body for c in calls[:3]] == [b"fine"] * 3
    client.open(target="/5")                  # there is room again
    assert upstream.take().target == "/5"


def test_a_client_that_asks_for_much_and_reads_nothing_costs_no_memory(pair):
    upstream = pair.origin(lambda r: Reply(body=b"x" * 500_000))
    sidecar = pair.inbound(upstream)
    pair.client().get()
    before = sidecar.rss()
    clients = [pair.client(receive_buffer=4096) for _ in range(2)]
    calls = [c.open() for c in clients for _ in range(40)]
    upstream.wait_requests(1 + len(calls))
    seen = []

    def at_rest():
        seen.append(sidecar.rss())
        return len(seen) > 20 and len(set(seen[-20:])) == 1

    until(at_rest, "the sidecar to come to rest")
    # Windows and buffers: at most buffer-bytes and a window for each side of each exchange.
    bounded(sidecar, before, len(calls) * (64 + 256) * 1024)
    for call in calls:
        assert call.response().body == b"x" * 500_000


@pytest.mark.parametrize("up", [True, False], ids=["requests", "responses"])
def test_stalled_bodies_do_not_hold_up_another_request(pair, up):
    """They share the connections of HTTP/2 on both sides, and none may use up what all need."""
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    warm, served = pair.asked(upstream, client=client)
    served.answer()
    assert warm.response().status == 200
    before = sidecar.rss()
    stalled = []
    for i in range(8):
        call, served = pair.asked(upstream, "POST", f"/{i}", client=client, streaming=True)
        if not up:
            served.send_head()
            call.head()
        stalled.append((call, served))
        assert (call if up else served).fill(64 * MIB) < 32 * MIB
    for _ in range(3):
        call, served = pair.asked(upstream, "POST", "/quick", client=client, body=b"up" * 1000)
        assert served.rest() == b"up" * 1000
        served.answer(body=b"down" * 1000)
        assert call.response().body == b"down" * 1000
    bounded(sidecar, before, 8 * 512 * 1024 + 2 * MIB)
    for call, served in stalled:              # and what was held is not lost
        sink = served if up else call
        sink.count(64 * 1024)
