"""What one HTTP/2 peer may do to a sidecar: end its own connection, and no more.

Each attack runs for E2E_ATTACK_SECONDS (2; 10 with E2E_LONG=1), connecting anew when it is cut. The
connection is ended by GOAWAY with the right code, counted and logged; the requests of others go on,
and the sidecar's memory does not grow.
"""
import os
import re

import pytest

import attack
import process
from attack import GET, GET_LARGE, GROWTH, NO_WINDOW, POST, Attacker, Memory, abuse, sidecar
from h2_raw import (CANCEL, COMPRESSION_ERROR, DATA, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
                    HEADERS, INITIAL_WINDOW_SIZE, MAX_WINDOW, PRIORITY, PROTOCOL_ERROR, STREAM_CLOSED,
                    Polite, continuation, data, frame, headers, literal, ping, priority, reference, request,
                    rst_stream, settings, window_update)
from wire import until

ATTACKS = {}


class Plan:
    """script(connection) yields bursts of bytes. kinds: what it may be counted as. codes: of the
    GOAWAY. Where others than ENHANCE_YOUR_CALM are among them, RFC 9113 calls the very first frame
    an error of the whole connection, and then there is nothing to count."""

    def __init__(self, script, kinds, codes, connections=1, values=(), deaf=False, extra="", longer=0, asks=False):
        self.script, self.kinds, self.codes = script, kinds, codes
        self.connections, self.values, self.deaf = connections, values, deaf
        self.extra = extra                    # in routes.conf
        self.longer = longer                  # seconds that it takes to show itself
        self.asks = asks                      # it is made of requests, and so the origin matters


def an_attack(*kinds, also=(), **more):
    def add(script):
        ATTACKS[script.__name__] = Plan(script, kinds, {ENHANCE_YOUR_CALM, *also}, **more)
        return script

    return add


# -- streams that are opened for nothing

@an_attack("rapid-reset", connections=3, asks=True)
def rapid_reset(c):
    """CVE-2023-44487: a request, taken back at once."""
    while True:
        yield b"".join(headers(s, GET) + rst_stream(s, CANCEL) for s in c.streams(50))


@an_attack("rapid-reset", asks=True)
def rapid_reset_of_bodies(c):
    """The same amid a request's body."""
    while True:
        yield b"".join(headers(s, POST, end=False) + data(s, b"x") + rst_stream(s, CANCEL) for s in c.streams(50))


@an_attack("rapid-reset", asks=True)
def rapid_reset_of_larger_bodies(c):
    """What is taken back at once is nothing useful, however much of it there was."""
    while True:
        yield b"".join(headers(s, POST, end=False) + data(s, bytes(100)) * 3 + rst_stream(s, CANCEL)
                       for s in c.streams(50))


@an_attack("ping", "settings")
def pings_between_data(c):
    """A body of single octets buys no pings."""
    stream, = c.streams()
    yield headers(stream, POST, end=False)
    while True:
        yield (data(stream, b"x") + ping() * 2) * 50


def made_you_reset(name, frames, head=GET, end=True, also=()):
    """CVE-2025-8671: a request, and then what makes the server itself reset the stream."""
    def script(c):
        while True:
            yield b"".join(headers(s, head, end=end) + frames(s) for s in c.streams(20))

    script.__name__ = f"made_you_reset_{name}"
    an_attack("reset", also=also, connections=2, asks=name in ("window_update_too_far", "more_than_its_length"))(script)


made_you_reset("window_update_of_zero", lambda s: window_update(s, 0), also=[PROTOCOL_ERROR])
made_you_reset("window_update_too_far", lambda s: window_update(s, MAX_WINDOW), also=[FLOW_CONTROL_ERROR])
made_you_reset("window_update_too_far_after_a_body", lambda s: data(s, bytes(100)) * 3 + window_update(s, MAX_WINDOW),
               head=POST, end=False, also=[FLOW_CONTROL_ERROR])
made_you_reset("data_after_the_end", lambda s: data(s, b"x"), also=[STREAM_CLOSED])
made_you_reset("headers_after_the_end", lambda s: headers(s, GET), also=[STREAM_CLOSED])
made_you_reset("priority_of_a_wrong_length", lambda s: frame(PRIORITY, 0, s, bytes(4)), also=[FRAME_SIZE_ERROR])
made_you_reset("priority_of_itself", lambda s: priority(s, s), also=[PROTOCOL_ERROR])
made_you_reset("more_than_its_length", lambda s: data(s, b"1234567", end=True), end=False,
               head=request("/", "POST", [("content-length", "3")]), also=[PROTOCOL_ERROR])
made_you_reset("no_path", lambda s: b"", head=b"".join(literal(*f) for f in ((":method", "GET"), (":scheme", "http"))),
               also=[PROTOCOL_ERROR])


@an_attack("reset", "rapid-reset", values=NO_WINDOW, asks=True)
def streams_beyond_the_limit(c):
    """Each is refused by RST_STREAM; none of them ends by itself."""
    while True:
        yield b"".join(headers(s, GET_LARGE) for s in c.streams(50))


# -- fields

@an_attack("continuation", "header-list", also=[PROTOCOL_ERROR, COMPRESSION_ERROR])
def continuation_flood(c):
    """CVE-2024-27316: fields without end."""
    stream, = c.streams()
    yield headers(stream, GET, whole=False)
    more = literal("x-more", b"y" * 1000)
    while True:
        yield b"".join(continuation(stream, more, whole=False) for _ in range(50))


@an_attack("continuation", "empty-frames", also=[PROTOCOL_ERROR])
def continuation_flood_of_nothing(c):
    stream, = c.streams()
    yield headers(stream, GET, whole=False)
    while True:
        yield continuation(stream, b"", whole=False) * 50


@an_attack("header-list", also=[PROTOCOL_ERROR, COMPRESSION_ERROR])
def hpack_bomb(c):
    """One field of 4,000 bytes in the table, then named by an octet each: 16 MB in 8 KB."""
    filled = False
    while True:
        stream, = c.streams()
        fill = b"" if filled else literal("x-bomb", b"b" * 4000, indexed=True)
        yield headers(stream, GET + fill + reference(62) * 4000)
        filled = True


@an_attack("header-list", "continuation", also=[PROTOCOL_ERROR, COMPRESSION_ERROR])
def header_list_bomb(c):
    """A mebibyte of fields for each request."""
    part = b"".join(literal(f"x-{i}", b"y" * 3900) for i in range(4))
    while True:
        stream, = c.streams()
        yield headers(stream, GET, whole=False) + continuation(stream, part, whole=False)
        for _ in range(22):
            yield b"".join(continuation(stream, part, whole=False) for _ in range(3))
        yield continuation(stream, part)


# -- frames that are cheap to send

@an_attack("settings")
def settings_flood(c):
    while True:
        yield settings([(INITIAL_WINDOW_SIZE, 65535)]) * 50


@an_attack("settings", deaf=True)
def settings_flood_unread(c):
    """CVE-2019-9515: acknowledgements pile up."""
    while True:
        yield settings([(INITIAL_WINDOW_SIZE, 65535)]) * 500


@an_attack("ping")
def ping_flood(c):
    while True:
        yield ping() * 50


@an_attack("ping", deaf=True)
def ping_flood_unread(c):
    """CVE-2019-9512."""
    while True:
        yield ping() * 500


@an_attack("empty-frames")
def empty_data_flood(c):
    """CVE-2019-9518."""
    stream, = c.streams()
    yield headers(stream, POST, end=False)
    while True:
        yield data(stream) * 100


@an_attack("empty-frames")
def padding_flood(c):
    """DATA with nothing but padding in it."""
    stream, = c.streams()
    yield headers(stream, POST, end=False)
    while True:
        yield data(stream, padding=7) * 100


@an_attack("priority")
def priority_flood(c):
    while True:
        yield b"".join(priority(s) for s in c.streams(100))


@an_attack("window-update")
def window_update_flood(c):
    while True:
        yield window_update(0, 1) * 100


@an_attack("window-update", values=NO_WINDOW)
def window_update_drip(c):
    """CVE-2019-9511: a large response, octet by octet."""
    stream, = c.streams()
    yield headers(stream, GET_LARGE)
    while True:
        yield window_update(stream, 1) * 20


# -- output that is not taken

STALLS = "timeouts { header 1s; idle 1s; }"


@an_attack("stall", values=NO_WINDOW, extra=STALLS, longer=3, asks=True)
def zero_window_stall(c):
    """CVE-2019-9517: large responses on all streams, and no window for any of them."""
    yield b"".join(headers(s, GET_LARGE) for s in c.streams(100))


@an_attack("stall", values=[(INITIAL_WINDOW_SIZE, MAX_WINDOW)], extra=STALLS, longer=3, asks=True, deaf=True)
def unread_stall(c):
    """The same with all the window there is, but nobody reads."""
    yield window_update(0, MAX_WINDOW - 65535) + b"".join(headers(s, GET_LARGE) for s in c.streams(100))


# -- the tests

def under_attack(sidecar, plan):
    """Runs it; the attackers, when it is over, how much the memory has grown, and how much it may: what comes while
    a starved machine gives the sidecar no processor waits in the kernel, and is more in one go then."""
    bystanders = [attack.bystander_of_http1(sidecar.port), attack.bystander_of_http2(sidecar.port)]
    for b in bystanders:
        b.start()
    until(lambda: all(b.answered >= 30 or b.failure for b in bystanders), "the first answers")
    memory = Memory(sidecar)
    memory.start()
    attackers = [Attacker(sidecar.port, plan.script, plan.values, plan.deaf, attack.SECONDS + plan.longer)
                 for _ in range(plan.connections)]
    before = [b.answered for b in bystanders]
    for a in attackers:
        a.start()
    for a in attackers:
        a.finish()
    until(lambda: all(b.answered >= n + 10 or b.failure for b, n in zip(bystanders, before)),
          "answers to the bystanders")
    growth = memory.finish()
    for b in bystanders:
        b.finish()
    slowest = max(b.slowest for b in bystanders)
    print(f"{sum(a.connections for a in attackers)} connections, {sum(a.sent for a in attackers)} bytes sent; "
          f"it grew by {growth / (1 << 20):.1f} MiB; the slowest answer to a bystander took {slowest * 1e3:.0f} ms")
    return attackers, growth, GROWTH * (2 if slowest > 0.5 else 1)


def before_which_origins():
    long = os.environ.get("E2E_LONG") == "1"
    return [(origin, name) for name, plan in ATTACKS.items() for origin in ("http1", "http2")
            if long or plan.asks or origin == "http1"]


@pytest.mark.parametrize("sidecar, name", before_which_origins(), indirect=["sidecar"])
def test_an_attack_ends_its_own_connection_and_nothing_else(sidecar, name):
    plan = ATTACKS[name]
    sidecar = sidecar(plan.extra)
    attackers, growth, bound = under_attack(sidecar, plan)

    ends = [code for a in attackers for code in a.ends]
    assert ends, f"none of {sum(a.connections for a in attackers)} connections was ended"
    assert set(ends) <= plan.codes, f"ended by {ends}"
    calmed = ends.count(ENHANCE_YOUR_CALM)
    counted = abuse(sidecar)
    assert set(counted) <= set(plan.kinds)
    assert sum(counted.values()) >= calmed
    if len(plan.codes) == 1:
        assert calmed

    if calmed:
        kinds = "|".join(plan.kinds)
        sidecar.wait_log(rf"\b({kinds})\b.*\n")
        lines = [l for l in sidecar.log().splitlines() if re.search(rf"\b({kinds})\b", l)]
        assert len(lines) <= sum(a.connections for a in attackers)
        ports = {str(p) for a in attackers for p in a.local_ports}
        assert all(set(re.findall(r"127\.0\.0\.1:(\d+)", l)) & ports for l in lines), lines

    if not process.sanitized():
        assert growth < bound, f"it grew by {growth / (1 << 20):.1f} MiB"
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 0, "the end of connections")
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 0, "the end of requests")


# -- once is no attack

def test_too_large_a_head_is_a_431_and_the_connection_goes_on(sidecar, closing):
    client = closing(Polite(sidecar().port))
    # 72,000 bytes, more than `limits { header-bytes }` by default.
    parts = [b"".join(literal(f"x-{n}-{i}", b"y" * 3900) for i in range(4)) for n in range(5)]
    stream, = client.streams()
    client.send(headers(stream, GET, whole=False), *[continuation(stream, p, whole=p is parts[-1]) for p in parts])
    answer = client.until(HEADERS)[-1]
    assert dict(client.fields(answer))[":status"] == "431"
    assert answer.stream == stream
    until(lambda: client.until(DATA)[-1].flags & 1, "the end of the answer")
    assert client.get("/") == (200, b"hello")


def test_a_few_cheap_frames_do_no_harm(sidecar, closing):
    """What ordinary clients do: a ping now and then, a request that is taken back, priorities."""
    sidecar = sidecar()
    client = closing(Polite(sidecar.port))
    for _ in range(20):
        stream, = client.streams()
        client.send(ping(), priority(stream), headers(stream, POST, end=False), data(stream), rst_stream(stream),
                    window_update(0, 1))
        assert client.get("/") == (200, b"hello")
    assert abuse(sidecar) == {}
