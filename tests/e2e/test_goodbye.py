"""When the drain is over what still passes bytes is told goodbye: 1001 where it is a WebSocket, then FIN."""
import functools
import signal

from peers import WebSocket
from test_pairs_websocket import opened
from test_upgrade import upgraded

SHORT = "timeouts { drain-delay 0s; drain 200ms; flush 1s; }"
GOING_AWAY = b"\x88\x02\x03\xe9"


def unmasked(frame):
    assert frame[:2] == b"\x88\x82" and len(frame) == 8, frame
    return bytes(b ^ frame[2 + i % 4] for i, b in enumerate(frame[6:]))


def test_a_websocket_is_told_1001_and_ends_with_fin(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream, rest=SHORT)
    call, served = opened(pair, upstream)
    near, far = WebSocket(call, True), WebSocket(served, False)
    near.send("hello")
    assert far.read() == "hello"
    far.send("x" * 70_000)
    assert near.read() == "x" * 70_000
    sidecar.signal(signal.SIGTERM)
    assert call.some() == GOING_AWAY
    assert unmasked(served.some()) == GOING_AWAY[2:]
    assert call.rest() == b"" and served.rest() == b""        # ends, and no reset
    assert sidecar.wait_exit() == 0


def test_amid_a_frame_there_is_no_room_for_another(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest=SHORT)
    client, server = upgraded(sidecar, upstream, connect)
    server.send(b"\x81\x05hel")
    assert client.read(5) == b"\x81\x05hel"
    sidecar.signal(signal.SIGTERM)
    client.expect_end()
    assert unmasked(server.read_to_end()) == GOING_AWAY[2:]
    assert sidecar.wait_exit() == 0


def test_who_has_said_goodbye_is_not_told_again(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address, rest=SHORT)
    client, server = upgraded(sidecar, upstream, connect)
    server.send(b"\x88\x02\x03\xe8")
    assert client.read(4) == b"\x88\x02\x03\xe8"
    sidecar.signal(signal.SIGTERM)
    client.expect_end()
    assert sidecar.wait_exit() == 0


def test_other_bytes_end_with_fin_after_all_that_was_read(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = functools.partial(inbound, carries="auto")(upstream.address, rest=SHORT)
    client = connect(sidecar.port)
    client.send(b"\x00hello")
    server = upstream.accept()
    assert server.read(6) == b"\x00hello"
    server.send(b"y" * 100_000)
    client.count(100_000)
    sidecar.signal(signal.SIGTERM)
    client.expect_end()
    server.expect_end()
    assert sidecar.wait_exit() == 0
