"""Whatever is asked at once, and whoever leaves in between: each request has its answer and its span."""
import random
import signal
import threading

import pytest
from h2.exceptions import ProtocolError

from h2wire import INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Broken
from peers import Reply
from wire import DEADLINE, NotHttp, until

ROUNDS, AT_ONCE = 12, 6
TIRED = "pool queue 200ms;"                   # of a stream that is refused again and again
SIZES = [0, 1, 100, 5000, 16384, 40_000, 70_000, 150_000]


def answer(request):
    """The request says what it wants."""
    want = request.get("x-want")
    if want == "reset":
        return Reply(reset=INTERNAL_ERROR)
    if want == "none":
        return Reply(204)
    if want == "large":
        return Reply(body=b"large" * 60_000)
    if want == "stream":
        return Reply(body=request.content, streaming=True, trailers=["X-End: yes"],
                     interim=[(103, ["Link: <x>"])])
    return Reply(404, ["X-Want: echo"], request.content)


class Load:
    """One client and what it asks, drawn from a seed."""

    def __init__(self, pair, number):
        self.draw = random.Random(number)
        self.pair, self.number = pair, number
        self.client = pair.client()
        self.fates = {}                       # path: what became of it

    def run(self):
        for round in range(ROUNDS):
            calls = [self.open(f"/{self.number}/{round}/{i}") for i in range(AT_ONCE)]
            self.draw.shuffle(calls)
            for path, want, body, call, unsent in calls:
                self.fates[path] = self.end(want, body, call, unsent)

    def open(self, path):
        draw = self.draw
        want = draw.choice(["echo", "echo", "stream", "stream", "large", "none", "reset", "leave",
                            "leave amid"])
        body = draw.randbytes(draw.choice(SIZES))
        fields = [f"x-want: {want}", *(f"x-{i}: {'v' * draw.randrange(100)}" for i in range(draw.randrange(9)))]
        how = draw.choice(["whole", "streaming", "length", "trailers"])
        if how == "whole":
            return path, want, body, self.client.open("POST", path, fields, body), None
        if how == "trailers":
            return path, want, body, self.client.open("POST", path, fields, body,
                                                      trailers=["X-Late: 1"]), None
        call = self.client.open("POST", path, fields, streaming=how == "streaming",
                                length=len(body) if how == "length" else None)
        return path, want, body, call, body

    @staticmethod
    def send(call, data, end=False):
        try:
            call.send(data)
            if end:
                call.end()
        except Broken as e:                   # it has answered, and wants no more
            if e.code != NO_ERROR:
                raise

    def end(self, want, body, call, unsent):
        try:
            if unsent is not None:
                half = len(unsent) // 2
                self.send(call, unsent[:half])
                if want == "leave amid":
                    call.cancel()
                    return "left"
                self.send(call, unsent[half:], end=True)
            if want.startswith("leave"):
                if self.draw.random() < 0.5:
                    call.head()
                call.cancel()
                return "left"
            response = call.response()
        except Broken:
            assert want == "reset", f"{want} broke off"
            return "broken"
        expected = {"echo": (404, body), "stream": (200, body), "large": (200, b"large" * 60_000),
                    "none": (204, b""), "reset": (502, response.body)}[want]
        assert (response.status, response.body) == expected, (want, response)
        if want == "stream":
            assert response.interim
        return response.status


def together(loads):
    failures = []

    def run(load):
        try:
            load.run()
        except Exception as e:
            failures.append(e)

    threads = [threading.Thread(target=run, args=(load,)) for load in loads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 + DEADLINE)
    assert not any(t.is_alive() for t in threads)
    if failures:
        raise failures[0]


@pytest.mark.parametrize("seed", range(3))
def test_random_requests_get_their_answers_and_their_spans(pair, seed):
    upstream = pair.origin(answer)
    sidecar = pair.inbound(upstream, rest="trace { export memory 5000; }")
    loads = [Load(pair, seed * 100 + n) for n in range(3)]
    together(loads)
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 0,
          "the end of every exchange")
    fates = {path: fate for load in loads for path, fate in load.fates.items()}
    assert len(fates) == 3 * ROUNDS * AT_ONCE
    spans = {s["url.path"]: s for s in sidecar.wait_spans(len(fates))}
    assert spans.keys() == fates.keys()       # one each
    for path, fate in fates.items():
        if isinstance(fate, int):
            assert spans[path]["http.response.status_code"] == fate
            assert spans[path]["error.type"] in ((None,) if fate < 500 else ("stream_reset", "connection_reset",
                                                                            "upstream_closed_early"))
        elif fate == "left":
            assert spans[path]["error.type"] in ("client_closed", None)
    assert pair.client().ask("POST", "/last", ["x-want: echo"], b"fine").body == b"fine"


def breaking(request):
    """As answer(), and now and then the whole connection goes."""
    want = request.get("x-want")
    if want == "drop":
        return None
    return Reply(reset=REFUSED_STREAM) if want == "refuse" else answer(request)


class Breaking(Load):
    """Its connections end while others' requests are under way; what it gets is whole or broken."""
    WANTS = ["echo", "stream", "large", "none", "reset", "drop", "refuse"]

    def run(self):
        self.asked = 0
        for _ in range(ROUNDS):
            calls = [self.client.open("POST", f"/{self.number}", [f"x-want: {self.draw.choice(self.WANTS)}"],
                                      self.draw.randbytes(self.draw.choice(SIZES[:-2])))
                     for _ in range(AT_ONCE)]
            self.asked += len(calls)
            if self.draw.random() < 0.2:
                self.client.reset()
                self.client = self.pair.client()
                continue
            for call in calls:
                try:
                    response = call.response()
                    assert response.status in (200, 204, 404, 502, 503), response
                except Broken:
                    pass


@pytest.mark.parametrize("seed", range(3))
def test_connections_that_break_leave_nothing_behind(pair, seed):
    upstream = pair.origin(breaking)
    sidecar = pair.inbound(upstream, rest="trace { export memory 5000; }", cluster=TIRED)
    loads = [Breaking(pair, seed * 100 + n) for n in range(3)]
    together(loads)
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 0,
          "the end of every exchange")
    # A client that resets at once may not have been heard at all.
    assert len(sidecar.spans()) <= sum(load.asked for load in loads)
    assert pair.client().ask("POST", "/last", ["x-want: echo"], b"fine").body == b"fine"
    assert {s["error.type"] for s in sidecar.spans()} <= {
        None, "client_closed", "connection_reset", "stream_reset", "upstream_closed_early",
        "refused_stream"}


class Careless(Load):
    """It takes what comes, and the end of the sidecar too."""
    WANTS = Breaking.WANTS

    def run(self):
        try:
            while True:
                calls = [self.client.open("POST", "/", [f"x-want: {self.draw.choice(self.WANTS)}"],
                                          self.draw.randbytes(self.draw.choice(SIZES[:-2])))
                         for _ in range(AT_ONCE)]
                for call in calls:
                    try:
                        call.response()
                    except Broken:
                        if getattr(self.client, "wire", None) and self.client.wire.ended:
                            return
        except (OSError, Broken, NotHttp, ProtocolError):
            return


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("drain", ["50ms", "5s"])
def test_an_end_amid_it_all_is_a_good_one(pair, workers, drain):
    upstream = pair.origin(breaking)
    sidecar = pair.inbound(upstream, rest=f"""
        workers {workers}; timeouts {{ drain-delay 20ms; drain {drain}; }}
        """, cluster=TIRED)
    threads = [threading.Thread(target=Careless(pair, n).run, daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    upstream.wait_requests(150)
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0
