"""How a connection of opaque bytes ends, whose doing that was, and what is told of it."""
import contextlib
import functools
import subprocess
import time

import pytest

from process import ERROR, free_port
from programs import needs
from test_pairs_websocket import opened as opened_websocket
from test_upgrade import upgraded
from wire import told_on, until

TCP = "sidespan_tcp_connections_total"


@pytest.fixture
def inbound(inbound):
    return functools.partial(inbound, carries="auto")


def labels(cluster, by):
    return f'{{direction="inbound",cluster="{cluster}",ended_by="{by}"}}'


def opened(sidecar, upstream, connect):
    client = connect(sidecar.port)
    client.send(b"\x00hello")
    server = upstream.accept()
    assert server.read(6) == b"\x00hello"
    return client, server


def counted(sidecar, name, label=""):
    """Over all clusters."""
    return sum(v for k, v in sidecar.metrics().items() if k.startswith(name + "{") and label in k)


# -- who ended it

@pytest.mark.parametrize("first", ["client", "upstream"])
@pytest.mark.parametrize("then", ["fin", "its reset", "the other's reset"])
def test_an_end_that_was_said_is_no_error_however_it_goes_on(inbound, raw_origin, connect, first, then):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = opened(sidecar, upstream, connect)
    one, other = (client, server) if first == "client" else (server, client)
    one.half_close()
    other.expect_end()
    if then == "fin":
        other.close()
        one.expect_end()
    elif then == "its reset":
        one.reset()
        with contextlib.suppress(ConnectionError):    # it is told of that reset by one
            while not sidecar.spans():        # a reset behind the end shows when there is more to send
                other.send(b"more")
                time.sleep(0.01)
    else:
        other.reset()
    span = sidecar.wait_span()
    assert "error.type" not in span and span.status != ERROR
    assert span["sidespan.ended_by"] == first
    assert sidecar.metric(TCP + labels(upstream.address, first)) == 1


@pytest.mark.parametrize("first, error", [("client", "client_closed"), ("upstream", "connection_reset")])
def test_a_reset_amid_the_bytes_is_told(inbound, raw_origin, connect, first, error):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = opened(sidecar, upstream, connect)
    (client if first == "client" else server).reset()
    span = sidecar.wait_span()
    assert span["sidespan.ended_by"] == first
    assert span["error.type"] == error if first == "upstream" else "error.type" not in span
    assert sidecar.metric(TCP + labels(upstream.address, first)) == 1


def test_what_was_never_connected_was_ended_by_the_upstream(inbound, refusing):
    sidecar = inbound(refusing)
    told_on(sidecar.port, b"\x00hello")
    assert sidecar.wait_span()["sidespan.ended_by"] == "upstream"
    assert sidecar.metric(TCP + labels(refusing, "upstream")) == 1


# -- when, and where to

def test_the_span_of_a_server_that_speaks_first_begins_with_the_connection(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    server = upstream.accept()
    before_the_greeting = time.time_ns()
    server.send(b"220 hello\r\n")
    client.read_until(b"\r\n")
    server.close()
    client.expect_end()
    client.close()
    span = sidecar.wait_span()
    assert span.start < before_the_greeting
    assert 0 < span.times()["connect"] < span.seconds


def test_an_inbound_span_says_which_port_the_client_wanted(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = opened(sidecar, upstream, connect)
    client.close()
    server.expect_end()
    server.close()
    span = sidecar.wait_span()
    assert span["server.address"] == span["network.local.address"] == "127.0.0.1"
    assert span["server.port"] == span["network.local.port"] == sidecar.port
    assert span["client.address"] == "127.0.0.1"


# -- what is counted

def test_a_connection_is_no_request(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = opened(sidecar, upstream, connect)
    assert sidecar.metric('sidespan_tcp_connections_open{direction="inbound"}') == 1
    server.send(b"answer")
    assert client.read(6) == b"answer"
    client.close()
    server.expect_end()
    server.close()
    sidecar.wait_span()
    sidecar.wait_metric('sidespan_tcp_connections_open{direction="inbound"}', 0)
    metrics = sidecar.metrics()
    where = f'{{direction="inbound",cluster="{upstream.address}"}}'
    assert metrics[TCP + labels(upstream.address, "client")] == 1
    assert metrics["sidespan_tcp_received_bytes_total" + where] == 6
    assert metrics["sidespan_tcp_sent_bytes_total" + where] == 6
    assert metrics["sidespan_tcp_connection_duration_seconds_count" + where] == 1
    assert not [m for m in metrics if m.startswith(("sidespan_requests_total",
                                                    "sidespan_request_duration"))]
    promtool = needs("promtool")
    done = subprocess.run([promtool, "check", "metrics"], input=sidecar.admin("/metrics").text,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_upgraded_request_is_over_with_its_answer(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client, server = upgraded(sidecar, upstream, connect)
    client.send(b"\x81\x02hi")
    server.read(4)
    where = f'direction="inbound",cluster="{upstream.address}"'
    route = where + ',route="/"'
    assert sidecar.metric(f'sidespan_requests_total{{{route},status_class="1xx"}}') == 1
    assert sidecar.metric(TCP + labels(upstream.address, "client")) == 0
    client.close()
    server.expect_end()
    server.close()
    span = sidecar.wait_span()
    assert span["sidespan.ended_by"] == "client"
    assert sidecar.metric(TCP + labels(upstream.address, "client")) == 1
    assert sidecar.metric(f"sidespan_request_duration_seconds_count{{{route}}}") == 1
    assert sidecar.metric(f"sidespan_request_body_bytes_total{{{route}}}") == 0
    assert sidecar.metric(f"sidespan_tcp_received_bytes_total{{{where}}}") == 4


@pytest.mark.parametrize("pair", ["h2-h1", "h1-h2", "h2-h2"], indirect=True)
def test_a_websocket_over_http2_is_over_with_its_answer_too(pair):
    upstream = pair.raw_origin()
    sidecar = pair.inbound(upstream)
    call, served = opened_websocket(pair, upstream)
    until(lambda: counted(sidecar, "sidespan_requests_total", 'status_class=') == 1, "the request")
    assert counted(sidecar, TCP) == 0
    call.end_tunnel()
    assert served.rest() == b""
    served.end_tunnel()
    span = sidecar.wait_span()
    assert span["sidespan.ended_by"] == "client"
    assert counted(sidecar, TCP, 'ended_by="client"') == 1
    assert counted(sidecar, "sidespan_requests_total", "status_class=") == 1


def test_a_connect_is_over_with_its_answer_too(sidespan, raw_origin, connect):
    upstream, port = raw_origin(), free_port()
    sidecar = sidespan(f"outbound {{ listen 127.0.0.1:{port} forward-proxy; }}")
    client = connect(port)
    client.send(f"CONNECT {upstream.address} HTTP/1.1\r\nHost: {upstream.address}\r\n\r\n\x00tls")
    server = upstream.accept()
    assert client.read_response("CONNECT", body=False).status == 200
    assert server.read(4) == b"\x00tls"
    server.close()
    client.expect_end()
    client.close()
    assert sidecar.wait_span()["sidespan.ended_by"] == "upstream"
    where = 'direction="outbound",cluster="original"'
    assert sidecar.metric(f'sidespan_requests_total{{{where},route="",status_class="2xx"}}') == 1
    assert sidecar.metric(f'{TCP}{{{where},ended_by="upstream"}}') == 1
