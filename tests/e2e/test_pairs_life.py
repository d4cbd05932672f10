"""Drain and reload, with requests and streams open."""
import signal
import threading
import time

import pytest

from h2wire import NO_ERROR, NO_STREAM_YET, Broken
from pairs import H2_CLIENT, H2_UPSTREAM
from peers import Reply
from wire import DEADLINE, until


def drained(pair, upstream, delay="0s", drain="5s"):
    return pair.inbound(upstream, rest=f"timeouts {{ drain-delay {delay}; drain {drain}; }}")


def test_an_idle_sidecar_ends_at_once(pair):
    sidecar = drained(pair, pair.origin(), drain="1h")
    client = pair.client()
    client.get()
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0
    if pair.client_protocol == "h2":
        client.wire.wait_end()
        assert client.wire.goaways and {g[0] for g in client.wire.goaways} == {NO_ERROR}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_under_way_ends_well(pair, number):
    upstream = pair.raw_origin()
    sidecar = drained(pair, upstream)
    call, served = pair.asked(upstream)
    up, taken = pair.asked(upstream, "POST", length=6)
    up.send(b"abc")
    assert taken.read(3) == b"abc"
    sidecar.signal(number)
    sidecar.wait_log("not listening any more")
    served.answer(body=b"in the end")
    assert call.response().body == b"in the end"
    up.send(b"def")                           # bodies are not cut either way
    up.end()
    assert taken.rest() == b"def"
    taken.send_head()
    taken.send(b"uvw")
    assert up.read(3) == b"uvw"
    taken.end(["X-Sum: 1"])
    assert up.rest() == b""
    assert sidecar.wait_exit() == 0


@H2_CLIENT
def test_the_drain_says_goaway_in_two_steps_and_serves_what_came_between(pair):
    upstream = pair.raw_origin()
    sidecar = drained(pair, upstream, delay="1s")
    client = pair.client()
    call, served = pair.asked(upstream, client=client)
    sidecar.signal(signal.SIGTERM)
    code, last, _ = client.wire.wait_goaway()
    assert (code, last) == (NO_ERROR, NO_STREAM_YET)
    late, taken = pair.asked(upstream, client=client)     # sent before the client heard of it, as it were
    code, last, _ = client.wire.wait_goaway(2)
    assert code == NO_ERROR and last >= late.stream.id and last < NO_STREAM_YET
    served.answer(body=b"one")
    taken.answer(body=b"two")
    assert call.response().body == b"one" and late.response().body == b"two"
    client.wire.wait_end()
    assert sidecar.wait_exit() == 0


def test_the_drain_has_a_bound(pair):
    upstream = pair.raw_origin()
    sidecar = drained(pair, upstream, drain="200ms")
    call, served = pair.asked(upstream)       # which is never answered
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0
    try:
        assert call.response().status == 503
    except Broken:
        pass
    served.expect_cancelled() if pair.upstream_protocol == "h1" else served.wire.wait_end()


def test_a_client_that_is_silent_does_not_hold_up_the_end(pair):
    sidecar = drained(pair, pair.origin(), drain="1h")
    clients = [pair.client() for _ in range(3)]
    for client in clients:
        client.get()
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0


def test_no_request_is_lost_while_load_goes_on(pair):
    """Clients that keep to the rules: those of HTTP/2 open no stream after GOAWAY, those of HTTP/1.1 make
    a new connection when told to close. Each request on an open connection has its answer."""
    upstream = pair.origin()
    sidecar = drained(pair, upstream, delay="300ms")
    lost, served = [], [0]

    def load():
        while True:
            try:
                client = pair.client()
                if pair.client_protocol == "h1":
                    client.idle.append(client.connect())
            except ConnectionError:
                return
            try:
                while True:
                    response = client.get()
                    served[0] += 1
                    if response.status != 200:
                        lost.append(response)
                    if (response.get("connection") or "").lower() == "close":
                        break
                    if pair.client_protocol == "h2" and client.wire.goaways:
                        break
            except ConnectionError:
                pass
            except Broken as e:
                # An idle connection that is closed as a request of HTTP/1.1 crosses it is the client's
                # to repeat; HTTP/2 says with GOAWAY which were not begun.
                if pair.client_protocol == "h2" and not unprocessed(client):
                    lost.append(e)
            finally:
                client.close()

    def unprocessed(client):
        last = min((g[1] for g in client.wire.goaways), default=NO_STREAM_YET)
        return max(client.wire.streams) > last

    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    until(lambda: served[0] > 100, "some load")
    sidecar.signal(signal.SIGTERM)
    for t in threads:
        t.join(20 + DEADLINE)
    assert not any(t.is_alive() for t in threads)
    assert not lost, lost[:3]
    assert sidecar.wait_exit() == 0


# -- reload

def conf(pair, target, extra=""):
    return f"""
        inbound {{ listen 127.0.0.1:{pair.port}; route / {{ to app; {extra} }} }}
        {pair.cluster(target)}
        """


def test_a_new_file_takes_effect_on_open_connections(pair):
    one, two = pair.origin(lambda r: Reply(body=b"one")), pair.origin(lambda r: Reply(body=b"two"))
    sidecar = pair.start(conf(pair, one))
    client = pair.client()
    assert client.get().body == b"one"
    sidecar.reload(conf(pair, two))
    until(lambda: client.get().body == b"two", "the new origin")
    # A request amid the change may still be for the old origin, whose connection is being closed.
    assert one.connections <= 2 and two.connections == 1
    assert sidecar.metric('sidespan_connections_open{direction="inbound"}') == 1


def test_an_exchange_ends_under_the_file_it_began_with(pair):
    old, new = pair.raw_origin(), pair.origin()
    sidecar = pair.start(conf(pair, old, "add-header response x-old yes;"))
    client = pair.client()
    call, served = pair.asked(old, "POST", client=client, length=6)
    call.send(b"abc")
    assert served.read(3) == b"abc"
    sidecar.reload(conf(pair, new))
    until(lambda: pair.client().get().body == b"hello", "the new origin")
    if pair.client_protocol == "h2":          # the next stream on the same connection is under the new
        until(lambda: client.get().body == b"hello", "the new origin for the old connection")
    call.send(b"def")
    call.end()
    assert served.rest() == b"def"
    served.answer(body=b"from the old")
    response = call.response()
    assert response.body == b"from the old" and response.get("x-old") == "yes"
    assert client.get().get("x-old") is None


def test_reloads_under_load_fail_no_request_and_close_no_connection(pair):
    one, two = pair.origin(), pair.origin()
    sidecar = pair.start(conf(pair, one))
    stop, failures, counts = threading.Event(), [], [0] * 4

    def load(n):
        client = pair.client()
        while not stop.is_set():
            try:
                response = client.get()
                if response.status != 200:
                    failures.append(response)
                counts[n] += 1
            except Exception as e:
                failures.append(e)
                return

    threads = [threading.Thread(target=load, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    try:
        for i in range(10):
            before = list(counts)
            sidecar.reload(conf(pair, (two, one)[i % 2], f"attribute n x{i};"))
            until(lambda: failures or all(c > b for c, b in zip(counts, before)), "some load")
    finally:
        stop.set()
        for t in threads:
            t.join(20 + DEADLINE)
    assert not failures, failures[:3]
    assert sidecar.metric('sidespan_connections_open{direction="inbound"}') <= 4


@H2_UPSTREAM
def test_an_upstream_that_is_gone_from_the_file_is_let_go_when_its_streams_end(pair):
    old, new = pair.raw_origin(), pair.origin()
    sidecar = pair.start(conf(pair, old))
    call, served = pair.asked(old)
    sidecar.reload(conf(pair, new))
    until(lambda: pair.client().get().body == b"hello", "the new origin")
    served.answer(body=b"last")
    assert call.response().body == b"last"
    served.wire.wait_end()


def test_gauges_come_back_to_zero(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    client = pair.client()
    for how in ("answer", "cancel", "reset"):
        call, served = pair.asked(upstream, client=client)
        if how == "cancel":
            call.cancel()
            served.expect_cancelled()
        else:
            getattr(served, how)()
            call.response()
    sidecar.wait_spans(3)
    client.reset()
    upstream.close()

    def at_rest():
        metrics = sidecar.metrics()
        return not any(metrics[key] for key in metrics if key.startswith((
            "sidespan_requests_active", "sidespan_connections_open",
            "sidespan_upstream_connections_open")))

    until(at_rest, lambda: f"gauges of zero: {sidecar.metrics()}")


# -- connections that are made in a drain

@H2_CLIENT
def test_a_connection_made_before_the_listeners_close_is_served_and_told_later(pair):
    """gRPC takes GOAWAY before the first answer for a server that serves nobody."""
    upstream = pair.origin()
    sidecar = drained(pair, upstream, delay="3s")
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not ready any more")
    client = pair.client()
    for _ in range(5):
        assert client.get().status == 200
        assert not client.wire.goaways
    client.wire.wait_goaway()
    sidecar.wait_log("not listening any more")
    assert sidecar.wait_exit() == 0


@H2_CLIENT
def test_a_connection_made_as_the_listeners_close_may_still_ask(pair):
    upstream = pair.origin()
    sidecar = drained(pair, upstream, drain="30s")
    client = pair.client()
    client.wire.wait_settings()
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")
    time.sleep(0.3)                           # a process that waits for nobody would be gone
    assert client.get().status == 200
    client.wire.wait_goaway()
    assert sidecar.wait_exit() == 0
