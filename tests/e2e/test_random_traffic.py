"""Whatever is sent, however it is cut into pieces, and whoever leaves in between."""
import random
import re
import threading

import pytest

from wire import DEADLINE, Wire, chunked, response_bytes, until


def random_chunks(draw, size):
    """A body and its chunks, with borders at random."""
    data = draw.randbytes(size)
    cuts = sorted({draw.randrange(1, size) for _ in range(draw.randrange(4))}) if size > 1 else []
    edges = [0, *cuts, size]
    return data, [data[a:b] for a, b in zip(edges, edges[1:]) if b > a]


def random_size(draw):
    return draw.choice([0, 1, 2, 100, 4095, 5000, 16384, 70_000, 150_000])


def random_request(draw, n):
    """Bytes of a request, and what the origin must see of it."""
    method = draw.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"])
    fields = [f"x-{draw.randrange(30)}: {'v' * draw.randrange(200)}" for _ in range(draw.randrange(12))]
    head = [f"{method} /{n}?{draw.randrange(9)} HTTP/1.1", "Host: random.test", *fields]
    body, trailers = b"", []
    form = draw.choice(["none", "length", "chunked"]) if method != "HEAD" else "none"
    if form == "length":
        body = draw.randbytes(random_size(draw))
        head.append(f"Content-Length: {len(body)}")
        wire = body
    elif form == "chunked":
        body, chunks = random_chunks(draw, random_size(draw))
        head.append("Transfer-Encoding: chunked")
        if draw.random() < 0.3:
            trailers = [f"x-late-{i}: {draw.randrange(1000)}" for i in range(draw.randrange(1, 3))]
        wire = chunked(*chunks, trailers=trailers)
    else:
        wire = b""
    return "\r\n".join(head).encode() + b"\r\n\r\n" + wire, (method, f"/{n}?", fields, body, trailers)


def random_answer(draw, method):
    """Bytes of a response, and what the client must see of it; True: the connection ends with it."""
    early = b"".join(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
                     for _ in range(draw.choice([0, 0, 0, 1, 2])))
    status = draw.choice([200, 200, 200, 404, 500, 204, 304])
    head = f"HTTP/1.1 {status} X\r\nX-Answer: {draw.randrange(1000)}\r\n".encode()
    if method == "HEAD" or status in (204, 304):
        return early + head + b"\r\n", (status, b""), False
    form = draw.choice(["length", "chunked", "close", "length-close"])
    if form == "chunked":
        body, chunks = random_chunks(draw, random_size(draw))
        return early + head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(*chunks), (status, body), \
            False
    body = draw.randbytes(random_size(draw))
    if form == "close":
        return early + head + b"\r\n" + body, (status, body), True
    if form == "length-close":
        head += b"Connection: close\r\n"
    return early + head + b"Content-Length: %d\r\n\r\n" % len(body) + body, (status, body), \
        form == "length-close"


def send_in_pieces(draw, wire, data):
    at = 0
    while at < len(data):
        size = draw.choice([1, 2, 7, 100, 1000, 20_000, 200_000])
        wire.send(data[at:at + size])
        at += size


@pytest.mark.parametrize("seed", range(24))
def test_random_messages_arrive_as_they_were_sent(inbound, origin, connect, seed):
    draw = random.Random(seed)
    expected, failures = {}, []

    def answer(request):
        own = random.Random(request.target)
        data, seen, ends = random_answer(own, request.method)
        expected[request.target.split("?")[0]] = seen
        send_in_pieces(own, request.connection, data)
        return not ends

    upstream = origin(answer)
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    asked = [random_request(draw, n) for n in range(12)]
    everything = b"".join(data for data, _ in asked)

    def sender():
        try:
            send_in_pieces(draw, client, everything)
        except OSError as e:
            failures.append(e)

    thread = threading.Thread(target=sender, daemon=True)
    thread.start()
    for n, (_, (method, *_rest)) in enumerate(asked):
        response = client.read_response(method)
        if response.get("transfer-encoding") is None and response.get("content-length") is None \
                and method != "HEAD" and response.status not in (204, 304):
            # It ended with the connection, and so do we.
            assert (response.status, response.body) == expected[f"/{n}"]
            break
        assert (response.status, response.body) == expected[f"/{n}"], n
    thread.join(DEADLINE)
    assert not failures or n < len(asked) - 1

    for request, (_, (method, target, fields, body, trailers)) in zip(upstream.requests, asked):
        assert request.method == method and request.target.startswith(target)
        assert request.body == body
        assert [f"{name}: {value}" for name, value in request.fields
                if re.match(r"x-\d", name)] == fields
        assert [f"{name}: {value}" for name, value in request.trailers] == trailers


def test_nothing_is_left_of_clients_and_origins_that_leave_at_any_moment(inbound, origin):
    """Hundreds of exchanges that are broken off at random: afterwards nothing is open, each has
    its span, and the next request is served."""
    chaos = random.Random(99)
    lock = threading.Lock()

    def rarely(share):
        with lock:
            return chaos.random() < share

    def answer(request):
        wire = request.connection
        if rarely(0.1):
            return None                       # closes without a word
        data = response_bytes(body=b"x" * 50_000)
        if rarely(0.1):
            wire.send(data[:20])              # half a head
            return None
        if rarely(0.1):
            wire.send(data[:30_000])          # half a body
            return None
        if rarely(0.1):
            wire.reset()
            return None
        wire.send(data)
        return not rarely(0.1)

    upstream = origin(answer)
    sidecar = inbound(upstream.address, rest="workers 2; trace { export memory 5000; }",
                      extra="timeout 5s;")
    sent = [0]

    def client(seed):
        draw = random.Random(seed)
        for _ in range(40):
            try:
                with Wire.connect(sidecar.port) as wire:
                    for _ in range(draw.randrange(1, 4)):
                        body = b"y" * draw.choice([0, 10, 40_000])
                        head = f"POST /{seed} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
                        data = head.encode() + body
                        cut = draw.randrange(len(data)) if draw.random() < 0.2 else len(data)
                        wire.send(data[:cut])
                        sent[0] += 1
                        leave = draw.random()
                        if cut < len(data) or leave < 0.1:
                            wire.reset() if leave < 0.5 else wire.close()
                            break
                        if leave < 0.2:
                            wire.read(10)
                            wire.reset()
                            break
                        wire.read_response()
            except (OSError, EOFError):
                pass

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60 + DEADLINE)
    assert sidecar.process.poll() is None, sidecar.log()

    def settled():
        m = sidecar.metrics()
        return m['sidespan_requests_active{direction="inbound"}'] == 0 and \
            m['sidespan_connections_open{direction="inbound"}'] == 0

    until(settled, lambda: {k: v for k, v in sidecar.metrics().items() if "open" in k or "active" in k})
    upstream.handler = lambda request: response_bytes(body=b"calm")
    with Wire.connect(sidecar.port) as wire:
        assert wire.get().body == b"calm"
    upstream.drop_connections()
    until(lambda: sidecar.metric("sidespan_upstream_connections_open") == 0, "no upstream connection")
    spans = sidecar.spans()
    assert len(spans) <= sent[0] + 1
    assert len({s.span_id for s in spans}) == len(spans)
    until(lambda: sidecar.the_ledger()["waiting"] == 0, sidecar.ledger)
