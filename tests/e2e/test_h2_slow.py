"""HTTP/2 clients that are slow, or stop, or want much at once, and mean no harm or hide that they do."""
import contextlib
import struct
import time

import pytest

import attack
import process
from attack import GET, GET_LARGE, GROWTH, LARGE, NO_WINDOW, POST, Memory, sidecar
from h2_raw import (ACK, DATA, GOAWAY, H2, HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, PREFACE, RST_STREAM, SETTINGS,
                    WINDOW_UPDATE, Polite, continuation, data, goaway_code, headers, literal, ping, settings,
                    window_update)
from wire import DEADLINE, until


# -- what one connection may hold

class Upload:
    """Bodies on many streams at once, each as far as the windows allow."""

    def __init__(self, client, streams, size):
        self.client, self.sent, self.initial = client, 0, 65535
        self.windows, self.left = {0: 65535}, {}
        self._take(client.until(SETTINGS))
        for stream in client.streams(streams):
            client.send(headers(stream, POST, end=False))
            self.windows[stream], self.left[stream] = self.initial, size

    def _take(self, frames):
        for f in frames:
            if f.type == SETTINGS and not f.flags & ACK:
                values = dict(struct.iter_unpack("!HI", f.payload))
                self.initial = values.get(INITIAL_WINDOW_SIZE, self.initial)
                self.client.send(settings(ack=True))
            elif f.type == WINDOW_UPDATE:
                self.windows[f.stream] += int.from_bytes(f.payload, "big")
            else:
                assert f.type not in (RST_STREAM, GOAWAY), f

    def go_on(self, quiet=0.5):
        """Until no window has been opened for so long."""
        while True:
            moved = False
            for stream, left in self.left.items():
                n = min(self.windows[stream], self.windows[0], left, 16384)
                if n > 0:
                    self.client.send(data(stream, bytes(n)))
                    self.windows[stream] -= n
                    self.windows[0] -= n
                    self.left[stream] -= n
                    self.sent += n
                    moved = True
            frames = self.client.wait(0.001 if moved else quiet)
            assert frames is not None, "it was cut"
            if not frames and not moved:
                return
            self._take(frames)


def test_uploads_that_an_origin_does_not_take(sidespan, port, closing):
    """Its windows are never opened."""
    upstream = closing(attack.HostileUpstream(lambda c: iter(()), seconds=5 + DEADLINE))
    upstream.start()
    sidecar = sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port};
            route / {{ to origin; }}
        }}
        cluster origin {{ endpoint {upstream.address}; protocol h2; }}
        """)
    memory = Memory(sidecar)
    memory.start()
    upload = Upload(closing(H2(port)), 100, 1 << 20)
    upload.go_on()
    growth = memory.finish()
    print(f"{upload.sent} bytes sent; it grew by {growth / (1 << 20):.1f} MiB")
    assert upload.sent > 100 * 65535
    if not process.sanitized():
        assert growth < GROWTH


def test_large_heads_of_requests_under_way(sidespan, port, closing, raw_origin):
    sidecar = sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port};
            route / {{ to origin; }}
        }}
        cluster origin {{ endpoint {raw_origin().address}; protocol h1; }}
        """)
    memory = Memory(sidecar)
    memory.start()
    client = closing(H2(port))
    part = b"".join(literal(f"x-{i}", b"y" * 3900) for i in range(4))
    for stream in client.streams(100):
        client.send(headers(stream, POST, end=False, whole=False),
                    *[continuation(stream, part, whole=i == 2) for i in range(3)])
        assert client.wait(0) is not None
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 100, "all of the requests")
    growth = memory.finish()
    print(f"it grew by {growth / (1 << 20):.1f} MiB")
    if not process.sanitized():
        assert growth < GROWTH


@pytest.mark.parametrize("sidecar", ["http1", "http2"], indirect=True)
def test_a_reader_that_pauses_is_not_cut(sidecar, closing):
    """One response that is not taken for a while is no stall: nothing much waits for it."""
    client = closing(Polite(sidecar("timeouts { idle 500ms; }").port))
    stream, = client.streams()
    client.send(headers(stream, GET_LARGE))
    frames = client.wait(2)                   # all that the first window allows
    assert [dict(client.fields(f))[":status"] for f in frames if f.type == HEADERS] == ["200"]
    assert sum(len(f.payload) for f in frames if f.type == DATA) == 65535
    client.send(window_update(0, LARGE), window_update(stream, LARGE))
    got = 65535
    while got < LARGE:
        got += sum(len(f.payload) for f in client.read() or pytest.fail("it was cut") if f.type == DATA)
    assert got == LARGE
    assert client.get("/") == (200, b"hello")


# -- slow ones

def ended_within(client, began, least, most):
    """The frames up to the end of the connection, which comes in that time (seconds) since it was made."""
    frames = client.to_end()
    took = time.monotonic() - began
    assert least <= took <= most, f"ended after {took:.2f} s"
    return frames


def test_fields_that_never_end_are_a_matter_of_the_header_timeout(sidecar, closing):
    sidecar, began = sidecar("timeouts { header 300ms; idle 30s; }"), time.monotonic()
    client = closing(H2(sidecar.port))
    stream, = client.streams()
    client.send(headers(stream, GET, whole=False))
    ended_within(client, began, 0.2, 20)
    assert sidecar.metric('sidespan_timeouts_total{timeout="header"}') == 1


def test_fields_that_trickle_buy_no_time(sidecar, closing):
    sidecar, began = sidecar("timeouts { header 400ms; idle 30s; }"), time.monotonic()
    client = closing(H2(sidecar.port))
    stream, = client.streams()
    client.send(headers(stream, GET, whole=False))
    for _ in range(6):                        # fewer than a flood
        if client.wait(0.15) is None:
            break
        with contextlib.suppress(ConnectionError):    # it may have had enough meanwhile
            client.send(continuation(stream, literal("x-slow", "y"), whole=False))
    client.to_end()
    assert 0.3 <= time.monotonic() - began < 20
    assert sidecar.metric('sidespan_timeouts_total{timeout="header"}') == 1


@pytest.mark.parametrize("said", ["preface", "preface and settings", "a ping each now and then"])
def test_a_client_that_says_nothing_is_a_matter_of_the_idle_timeout(sidecar, closing, said):
    sidecar, began = sidecar("timeouts { header 30s; idle 300ms; }"), time.monotonic()
    client = closing(H2(sidecar.port, start=False))
    client.send(PREFACE if said == "preface" else PREFACE + settings())
    if said.startswith("a ping"):
        client.send(ping())
    frames = ended_within(client, began, 0.2, 20)
    if said != "preface":
        assert goaway_code(frames) == NO_ERROR
    assert sidecar.metric('sidespan_timeouts_total{timeout="idle"}') == 1


def test_half_a_preface_is_a_matter_of_the_header_timeout(sidecar, closing):
    sidecar, began = sidecar("timeouts { header 300ms; idle 30s; }"), time.monotonic()
    client = closing(H2(sidecar.port, start=False))
    client.send(PREFACE[:11])
    ended_within(client, began, 0.2, 20)
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 0, "the end of it")


def test_a_client_that_goes_amid_everything_leaves_nothing(sidecar, closing):
    sidecar = sidecar()
    for _ in range(10):
        client = H2(sidecar.port, NO_WINDOW)
        client.send(*[headers(s, GET_LARGE) for s in client.streams(50)])
        stream, = client.streams()
        client.send(headers(stream, POST, end=False), data(stream, b"x" * 1000))
        client.send(headers(stream + 2, GET, whole=False))
        client.close()
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 0, "the end of requests")
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 0, "the end of connections")
