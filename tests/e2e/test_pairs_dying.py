"""What a server had sent before it died is passed on, whatever each side speaks; then it is a failure."""
import json
import signal
import subprocess

import pytest

from process import free_port
from test_grpc_small import program
from wire import DEADLINE, until


@pytest.mark.parametrize("end", ["close", "reset"])
def test_what_a_dying_origin_had_sent_is_passed_on(pair, end):
    """A close of the connection, or a reset of the stream right behind it."""
    if pair.upstream_protocol == "h1" and end == "reset":
        pytest.skip("a reset of the connection may overtake what was sent before it")
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = pair.asked(upstream)
    sent = 60_000 if pair.upstream_protocol == "h2" else 300_000  # within a first window of HTTP/2
    served.send_head(length=1_000_000)
    served.send(bytes(sent))
    if end == "reset":
        served.reset()
    else:
        served.break_connection()
    assert call.head().status == 200
    body, _ = call.expect_broken()
    assert len(body) == sent
    assert sidecar.wait_span().status == 2


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("client", ["py", "js", "go"])
def test_a_call_whose_server_dies_is_unavailable(sidespan, closing, client, hops):
    server = subprocess.Popen([*program("py"), "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    closing(server, "wait")
    closing(server, "kill")
    closing(server.stdout, "close")
    at = f"127.0.0.1:{int(server.stdout.readline())}"
    for direction in ("inbound", "outbound")[-hops:]:
        port = free_port()
        sidecar = sidespan(f"""
            {direction} {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
            cluster app {{ endpoint {at}; protocol h2; }}
            """, name=f"{direction}.conf")
        at = f"127.0.0.1:{port}"
    with subprocess.Popen([*program(client), "call", at, "4", "100000000", str(2 * DEADLINE)],
                          stdout=subprocess.PIPE, text=True) as calling:
        until(lambda: sidecar.metric('sidespan_requests_active{direction="outbound"}') >= 4, "the streams", DEADLINE * 3)
        until(sidecar.spans, "a unary call that was answered")
        server.send_signal(signal.SIGKILL)
        result = json.loads(calling.communicate(timeout=4 * DEADLINE)[0])
    assert len(result["streams_failed"]) == 4
    for failure in result["streams_failed"] + result["unary_failed"]:
        assert "UNAVAILABLE" in failure or "Unavailable" in failure or ": 14 " in f": {failure}", result
