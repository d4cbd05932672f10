"""What an upstream that speaks HTTP/2 may do to a sidecar: lose its own requests, and no more.

As in test_attacks.py; but the attack comes from the origin of /hostile, and whoever asks for that gets
an answer that says so. Requests for another origin go on.
"""
import http.client
import threading

import pytest

import attack
import process
from attack import GROWTH, Memory, abuse
from h2_raw import (COMPRESSION_ERROR, END_HEADERS, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, INITIAL_WINDOW_SIZE,
                    MAX_WINDOW, PROTOCOL_ERROR, PUSH_PROMISE, STREAM_CLOSED, block, continuation, data, frame, headers,
                    literal, ping, priority, reference, rst_stream, settings, window_update)
from wire import DEADLINE, until

OK = block([(":status", "200")])

ATTACKS = {}


def an_attack(*kinds, also=()):
    def add(script):
        ATTACKS[script.__name__] = script, kinds, {ENHANCE_YOUR_CALM, *also}
        return script

    return add


@an_attack("settings")
def settings_flood(c):
    while True:
        yield settings([(INITIAL_WINDOW_SIZE, 65535)]) * 50


@an_attack("ping")
def ping_flood(c):
    while True:
        yield ping() * 50


@an_attack("continuation", "header-list", also=[PROTOCOL_ERROR, COMPRESSION_ERROR])
def continuation_flood(c):
    yield headers(c.asked, OK, end=False, whole=False)
    while True:
        yield b"".join(continuation(c.asked, literal("x-more", b"y" * 1000), whole=False) for _ in range(50))


@an_attack("header-list", also=[PROTOCOL_ERROR, COMPRESSION_ERROR])
def hpack_bomb(c):
    yield headers(c.asked, OK + literal("x-bomb", b"b" * 4000, indexed=True) + reference(62) * 4000)


@an_attack("empty-frames")
def empty_data_flood(c):
    yield headers(c.asked, OK, end=False)
    while True:
        yield data(c.asked) * 100


@an_attack("priority", also=[PROTOCOL_ERROR])
def priority_flood(c):
    while True:
        yield b"".join(priority(s) for s in c.streams(100))


@an_attack("rapid-reset", also=[PROTOCOL_ERROR, STREAM_CLOSED])
def reset_flood(c):
    """Of one stream, again and again."""
    while True:
        yield rst_stream(c.asked) * 50


@an_attack(also=[PROTOCOL_ERROR, FLOW_CONTROL_ERROR])
def window_too_far(c):
    yield window_update(0, MAX_WINDOW)


@an_attack(also=[PROTOCOL_ERROR])
def a_push_that_was_forbidden(c):
    promise = b"\0\0\0\2" + block([(":method", "GET"), (":path", "/")])
    yield settings(ack=True) + frame(PUSH_PROMISE, END_HEADERS, c.asked, promise)


@an_attack(also=[PROTOCOL_ERROR])
def a_response_nobody_asked_for(c):
    yield headers(c.asked + 2, OK)


def before(sidespan, port, origin, hostile):
    return sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port};
            route /hostile {{ to hostile; }}
            route / {{ to good; }}
        }}
        cluster good {{ endpoint {origin().address}; protocol h1; }}
        cluster hostile {{ endpoint {hostile.address}; protocol h2; }}
        """)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_upstream_loses_its_own_requests_and_nothing_else(sidespan, port, origin, closing, name):
    script, kinds, codes = ATTACKS[name]
    hostile = closing(attack.HostileUpstream(script))
    sidecar = before(sidespan, port, origin, hostile)
    bystanders = [attack.bystander_of_http1(port), attack.bystander_of_http2(port)]
    for b in bystanders:
        b.start()
    until(lambda: all(b.answered >= 30 or b.failure for b in bystanders), "the first answers")
    memory = Memory(sidecar)
    memory.start()
    hostile.start()
    statuses, failure = set(), []

    def ask():
        """As long as there is somebody to be asked."""
        while hostile.is_alive():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
            try:
                connection.request("GET", "/hostile")
                response = connection.getresponse()
                response.read()
                statuses.add(response.status)
            except http.client.HTTPException:
                statuses.add(None)            # its head had been passed on
            except OSError as e:
                if not isinstance(e, ConnectionError):
                    failure.append(e)
                    return
                statuses.add(None)
            finally:
                connection.close()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    hostile.finish()
    hostile.close()
    asking.join(2 * DEADLINE)
    assert not asking.is_alive() and not failure, f"a request hangs: {failure}"
    growth = memory.finish()
    for b in bystanders:
        b.finish()
    print(f"{hostile.connections} connections, {hostile.sent} bytes sent; it grew by {growth / (1 << 20):.1f} MiB; "
          f"answers {statuses}; ended by {hostile.ends[:20]}")

    assert hostile.ends and set(hostile.ends) <= codes, f"ended by {hostile.ends}"
    assert statuses <= {502, 503, None}, statuses
    counted = abuse(sidecar)
    assert set(counted) <= set(kinds)
    assert sum(counted.values()) >= hostile.ends.count(ENHANCE_YOUR_CALM)
    if counted:
        sidecar.wait_log(rf"\b({'|'.join(kinds)})\b")
    if not process.sanitized():
        assert growth < GROWTH, f"it grew by {growth / (1 << 20):.1f} MiB"
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 0, "the end of requests")


def test_an_upstream_may_open_windows_as_often_as_it_likes(sidespan, port, origin, closing):
    """It opens them for what it reads of others' requests: no number of them ends the connection."""
    def script(c):
        for _ in range(150):
            yield window_update(0, 1) * 100 + window_update(c.asked, 2) * 100
        yield headers(c.asked, OK)

    hostile = closing(attack.HostileUpstream(script, seconds=attack.SECONDS + DEADLINE))
    sidecar = before(sidespan, port, origin, hostile)
    memory = Memory(sidecar)
    memory.start()
    hostile.start()
    connection = closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2 * DEADLINE))
    connection.request("GET", "/hostile")
    assert connection.getresponse().status == 200
    growth = memory.finish()
    assert hostile.ends == [] and abuse(sidecar) == {}
    if not process.sanitized():
        assert growth < GROWTH, f"it grew by {growth / (1 << 20):.1f} MiB"
    sidecar.stop()                            # the upstream's connection ends with it
    hostile.close()
    hostile.finish()
