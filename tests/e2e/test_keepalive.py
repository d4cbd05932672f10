"""Connections are kept on both sides, and those to upstreams are shared."""
import select
import socket
import threading
import time

import pytest

from process import free_port
from test_bodies import MIB, Flood, bounded, stalled
from wire import DEADLINE, Response, Wire, request_bytes, response_bytes, until


def test_many_requests_of_one_client_use_one_upstream_connection(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    for i in range(50):
        assert client.get(f"/{i}").body == b"hello"
    assert upstream.connections == 1
    assert [r.target for r in upstream.requests] == [f"/{i}" for i in range(50)]


def test_clients_one_after_the_other_share_one_upstream_connection(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address)
    for _ in range(10):
        with connect(sidecar.port) as client:
            assert client.get().status == 200
    assert upstream.connections == 1


def test_the_connection_used_last_is_taken_first(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    clients = [connect(sidecar.port) for _ in range(3)]
    kept = []
    for client in clients:                    # all three are under way at once
        client.send(request_bytes())
        kept.append(upstream.accept())
        kept[-1].read_request()
    for i in (0, 2, 1):                       # 1 is the last to be free
        kept[i].send(response_bytes(body=b"%d" % i))
        assert clients[i].read_response().body == b"%d" % i
    for _ in range(3):
        clients[0].send(request_bytes())
        kept[1].read_request()                # would hang if another had been taken
        kept[1].send(response_bytes(body=b"again"))
        assert clients[0].read_response().body == b"again"


def test_pipelined_requests_are_answered_in_their_order(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=r.target.encode()))
    client = connect(inbound(upstream.address).port)
    client.send(b"".join(request_bytes(target=f"/{i}") for i in range(40)))
    assert [client.read_response().body for _ in range(40)] == [b"/%d" % i for i in range(40)]


def test_pipelined_requests_with_bodies_are_not_mixed_up(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=r.body))
    client = connect(inbound(upstream.address).port)
    bodies = [b"%d" % i * (i * 997 % 5000) for i in range(30)]
    client.send(b"".join(request_bytes("POST", body=body) for body in bodies))
    assert [client.read_response().body for _ in range(30)] == bodies


def test_a_pipelined_request_waits_for_the_one_before(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes(target="/slow") + request_bytes(target="/next"))
    first = upstream.accept()
    assert first.read_request().target == "/slow"
    assert client.quiet()
    first.send(response_bytes(body=b"slow"))
    assert client.read_response().body == b"slow"
    assert first.read_request().target == "/next"
    first.send(response_bytes(body=b"next"))
    assert client.read_response().body == b"next"


def test_a_pipelined_request_that_comes_in_pieces_is_put_together(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=r.target.encode()))
    client = connect(inbound(upstream.address).port)
    both = request_bytes(target="/one") + request_bytes(target="/two")
    for i in range(len(both)):                # every border
        client.send(both[i:i + 1])
    assert client.read_response().body == b"/one"
    assert client.read_response().body == b"/two"


def test_a_client_that_says_close_is_closed_after_its_response(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    response = client.get("/", "Connection: close")
    assert response.get("connection").lower() == "close"
    client.expect_end()
    assert connect(sidecar.port).get().status == 200
    assert upstream.connections == 1          # that was between client and sidecar only
    assert all(r.get("connection") is None for r in upstream.requests)


def test_an_origin_that_says_close_does_not_cost_the_client_its_connection(
        inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    for _ in range(3):
        client.send(request_bytes())
        one = upstream.accept()               # a new one each time
        one.read_request()
        one.send(response_bytes(fields=["Connection: close"], body=b"x"))
        response = client.read_response()
        assert response.body == b"x" and response.get("connection") is None
        one.expect_end()


def test_an_upstream_connection_is_given_up_after_pool_requests(sidespan, port, origin, connect):
    upstream = origin()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; pool requests 3; }}
        """)
    client = connect(port)
    for _ in range(9):
        assert client.get().status == 200
    assert upstream.connections == 3


def test_an_idle_upstream_connection_is_closed_in_time(sidespan, port, raw_origin, connect):
    upstream = raw_origin()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; pool idle 100ms; }}
        """)
    client = connect(port)
    client.send(request_bytes())
    kept = upstream.accept()
    kept.read_request()
    kept.send(response_bytes())
    client.read_response()
    kept.expect_end()


def test_a_full_pool_makes_requests_wait_their_turn(sidespan, port, raw_origin, connect):
    upstream = raw_origin()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; pool max 1; }}
        """)
    first, second = connect(port), connect(port)
    first.send(request_bytes(target="/first"))
    only = upstream.accept()
    only.read_request()
    second.send(request_bytes(target="/second"))
    sidecar.wait_metric('sidespan_requests_active{direction="inbound"}', 2)
    assert upstream.untouched()
    only.send(response_bytes(body=b"1"))
    assert first.read_response().body == b"1"
    assert only.read_request().target == "/second"
    only.send(response_bytes(body=b"2"))
    assert second.read_response().body == b"2"
    [waited] = sidecar.wait_spans(1, lambda s: s["url.path"] == "/second")
    assert waited.times()["queue"] > 0.05


def test_a_client_connection_ends_after_its_limit_of_requests(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address, rest="limits { requests-per-connection 3; }")
    client = connect(sidecar.port)
    assert client.get().get("connection") is None
    assert client.get().get("connection") is None
    assert client.get().get("connection").lower() == "close"
    client.expect_end()


def test_an_idle_client_connection_is_closed_in_time_and_in_silence(inbound, origin, connect):
    sidecar = inbound(origin().address, rest="timeouts { idle 400ms; }")
    client = connect(sidecar.port)
    assert client.get().status == 200
    client.expect_end()
    silent = connect(sidecar.port)            # never says anything
    silent.expect_end()
    assert sidecar.metric('sidespan_timeouts_total{timeout="idle"}') >= 1


def test_many_clients_at_once_all_get_their_own_answers(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=r.target.encode()))
    sidecar = inbound(upstream.address, rest="workers 2;")
    wrong = []

    def client(n):
        with connect(sidecar.port) as c:
            for i in range(25):
                if c.get(f"/{n}/{i}").body != b"/%d/%d" % (n, i):
                    wrong.append((n, i))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(24)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert len(upstream.requests) == 24 * 25


def test_connections_past_the_limit_wait_for_a_place(inbound, origin, connect):
    sidecar = inbound(origin().address, rest="limits { connections 2; }")
    first, second = connect(sidecar.port), connect(sidecar.port)
    assert first.get().status == 200 and second.get().status == 200
    third = connect(sidecar.port)             # the kernel takes it, the sidecar does not
    third.send(request_bytes())
    sidecar.wait_metric('sidespan_limit_hits_total{limit="connections"}', 1)
    assert third.quiet()
    first.close()
    assert third.read_response().status == 200


def readable(clients, deadline=DEADLINE):
    return {c for c in clients if c.sock in select.select([c.sock for c in clients], [], [], deadline)[0]}


def test_the_limit_of_connections_is_one_for_all_workers(inbound, origin, connect):
    """The kernel deals connections out unevenly: whichever worker they come to, no more than that are open
    together, and one that closes makes room for one that waits at any worker."""
    sidecar = inbound(origin().address, rest="workers 4; limits { connections 5; }")
    opened = 'sidespan_connections_open{direction="inbound"}'
    waiting, served = {connect(sidecar.port) for _ in range(40)}, set()
    for c in waiting:
        c.send(request_bytes())
    while waiting or served:
        while len(served) < 5 and waiting:
            new = readable(waiting)
            assert new, f"{len(waiting)} wait though only {sidecar.metric(opened)} are open"
            assert [c.read_response().status for c in new] == [200] * len(new)
            waiting, served = waiting - new, served | new
        assert len(served) <= 5
        if len(waiting) in (35, 20):
            assert not readable(waiting, 0.3) and sidecar.metric(opened) == 5
        served.pop().close()
    until(lambda: sidecar.metric(opened) == 0, "their end")


def test_an_empty_line_before_a_request_is_skipped(inbound, origin, connect):
    client = connect(inbound(origin().address).port)
    client.send(b"\r\n" + request_bytes())
    assert client.read_response().status == 200
    client.send(b"\r\n" + request_bytes())
    assert client.read_response().status == 200


def test_bytes_after_a_response_are_not_the_next_response(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    poisoned = upstream.accept()
    poisoned.read_request()
    poisoned.send(response_bytes(body=b"good") + response_bytes(status=200, body=b"evil"))
    assert client.read_response().body == b"good"
    poisoned.expect_broken()                  # not kept
    client.send(request_bytes())
    fresh = upstream.accept()
    fresh.read_request()
    fresh.send(response_bytes(body=b"good too"))
    assert client.read_response().body == b"good too"


def test_an_endpoint_that_is_a_name_is_resolved(sidespan, port, origin, connect):
    upstream = origin()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint localhost:{upstream.port}; }}
        """)
    assert connect(port).get().body == b"hello"


def test_round_robin_takes_every_endpoint_in_turn(sidespan, port, origin, connect):
    upstreams = [origin() for _ in range(3)]
    endpoints = " ".join(f"endpoint {u.address};" for u in upstreams)
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ {endpoints} balance round-robin; }}
        """)
    client = connect(port)
    for _ in range(9):
        client.get()
    assert [len(u.requests) for u in upstreams] == [3, 3, 3]


def test_least_request_avoids_the_endpoint_that_is_busy(sidespan, port, raw_origin, origin, connect):
    busy, free = raw_origin(), origin()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {busy.address}; endpoint {free.address}; balance least-request; }}
        """)
    held = [connect(port) for _ in range(2)]
    for client in held:                       # one of them, at the latest the second, is at `busy`
        client.send(request_bytes())
    stuck = busy.accept()
    stuck.read_request()
    until(lambda: free.requests and
          sidecar.metric('sidespan_requests_active{direction="inbound"}') == 1,
          "the other one answered by the free endpoint")
    client = connect(port)
    for _ in range(10):
        assert client.get().body == b"hello"
    stuck.send(response_bytes(body=b"late"))


def test_an_upstream_over_ipv6_is_reached(inbound, origin, connect):
    upstream = origin(host="::1")
    assert connect(inbound(upstream.address).port).get().body == b"hello"


def test_a_listener_on_every_address_takes_both_families(sidespan, port, origin, connect):
    sidespan(f"inbound {{ listen :{port}; route / {{ to {origin().address}; }} }}")
    assert connect(port).get().status == 200
    assert connect(port, host="::1").get().status == 200


def test_responses_are_parsed_whatever_their_borders(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    one = upstream.accept()
    one.read_request()
    for byte in response_bytes(fields=["X-A: b"], body=b"body"):
        one.send(bytes([byte]))
    response = client.read_response()
    assert isinstance(response, Response) and response.body == b"body"
    assert response.get("x-a") == "b"


def test_bytes_past_the_length_are_the_next_request_and_nothing_else(inbound, origin, connect):
    upstream = origin()
    client = connect(inbound(upstream.address).port)
    client.send(b"POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcXX")
    assert client.read_response().status == 200
    client.send(b" / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.read_response().status in (200, 400, 501)
    assert upstream.requests[0].body == b"abc"


@pytest.mark.parametrize("method, head", [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
], ids=["head", "304", "204"])
def test_a_body_where_there_can_be_none_spoils_the_upstream_connection_only(
        inbound, raw_origin, connect, method, head):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes(method))
    odd = upstream.accept()
    odd.read_request()
    odd.send(head + b"evil")
    assert client.read_response(method).body == b""
    odd.expect_broken()
    client.send(request_bytes(target="/next"))
    fresh = upstream.accept()
    fresh.read_request()
    fresh.send(response_bytes(body=b"good"))
    assert client.read_response().body == b"good"


def test_a_client_that_leaves_the_queue_of_a_full_pool_does_not_keep_its_place(
        sidespan, port, raw_origin, connect):
    upstream = raw_origin()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; pool max 1; }}
        """)
    first, leaving, last = connect(port), connect(port), connect(port)
    active = 'sidespan_requests_active{direction="inbound"}'
    first.send(request_bytes(target="/first"))
    only = upstream.accept()
    only.read_request()
    leaving.send(request_bytes(target="/leaving"))
    sidecar.wait_metric(active, 2)
    last.send(request_bytes(target="/last"))
    sidecar.wait_metric(active, 3)
    leaving.reset()
    until(lambda: sidecar.metric(active) == 2, "the end of the one that left")
    only.send(response_bytes())
    first.read_response()
    assert only.read_request().target == "/last"
    only.send(response_bytes(body=b"last"))
    assert last.read_response().body == b"last"


def test_a_unix_socket_can_be_listened_to_and_reached(sidespan, tmp_path, closing):
    listener = closing(socket.socket(socket.AF_UNIX))
    listener.bind(str(tmp_path / "app.sock"))
    listener.listen()
    listener.settimeout(DEADLINE)
    sidecar = sidespan(f"""
        inbound {{ listen unix:{tmp_path}/in.sock; route / {{ to unix:{tmp_path}/app.sock; }} }}
        """)
    client = closing(Wire(closing(unix_connect(tmp_path / "in.sock"))))
    server = None
    for _ in range(2):
        client.send(request_bytes())
        server = server or closing(Wire(listener.accept()[0]))
        server.read_request()
        server.send(response_bytes(body=b"through files"))
        assert client.read_response().body == b"through files"
    for span in sidecar.wait_spans(2):
        assert span.name == "GET"


def unix_connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def test_an_endpoint_of_twice_the_weight_gets_twice_the_requests(sidespan, port, origin, connect):
    heavy, light = origin(), origin()
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint {heavy.address} weight 2; endpoint {light.address}; }}
        """)
    client = connect(port)
    for _ in range(30):
        client.get()
    assert (len(heavy.requests), len(light.requests)) == (20, 10)


def test_a_client_that_asks_for_much_and_reads_nothing_costs_no_memory(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=b"x" * 100_000))
    sidecar = inbound(upstream.address)
    warm = connect(sidecar.port)
    warm.get()
    warm.close()
    before = sidecar.rss()
    clients = [connect(sidecar.port, receive_buffer=4096) for _ in range(3)]
    ask = request_bytes()
    floods = [Flood(c, 20 * MIB, block=ask * 1000) for c in clients]
    for flood in floods:
        assert stalled(flood) < 20 * MIB
    bounded(sidecar, before)
    assert len(upstream.requests) < 1000


def test_silent_clients_of_inbound_do_not_starve_outbound(sidespan, port, origin, connect):
    """limits { connections } is each direction's own."""
    app, out = origin(), free_port()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {app.address}; }} }}
        outbound {{ listen 127.0.0.1:{out}; route / {{ to {app.address}; }} }}
        limits {{ connections 20; outbound-connections 2; }}
        """)
    for _ in range(30):
        connect(port)
    sidecar.wait_metric('sidespan_limit_hits_total{limit="connections"}', 1)
    clients = [connect(out) for _ in range(3)]
    assert [c.get().status for c in clients[:2]] == [200, 200]
    clients[2].send(request_bytes())          # and has a limit of its own
    sidecar.wait_metric('sidespan_limit_hits_total{limit="connections"}', 2)
    clients[0].close()
    assert clients[2].read_response().status == 200


def test_who_has_said_nothing_is_dialled_for_within_bounds(sidespan, port, origin, connect):
    """A server may speak first, so its connection is made before the client has said a word; but not for
    any number of clients who say nothing."""
    app = origin()
    sidecar = sidespan(f"inbound {{ listen 127.0.0.1:{port} auto; route / {{ to {app.address}; }} }}")
    silent = [connect(port) for _ in range(300)]
    sidecar.wait_metric('sidespan_connections_open{direction="inbound"}', 300)
    until(lambda: app.connections >= 200, "early connections")
    time.sleep(0.5)
    assert app.connections <= 260
    assert silent[-1].get().status == 200     # whoever speaks is served
