"""A connection to an HTTP/2 upstream that is dead, and of which nobody has told: a NAT forgot it, the host is gone."""
import socket

from h2_raw import H2, HEADERS, PING, block, headers, ping
from wire import DEADLINE, until


def test_a_stream_that_times_out_is_reason_to_ask_and_to_go_elsewhere(sidespan, port, connect, closing):
    listener = closing(socket.create_server(("127.0.0.1", 0)))
    listener.settimeout(DEADLINE)
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; timeout 1s; }} }}
        cluster app {{ endpoint 127.0.0.1:{listener.getsockname()[1]}; protocol h2; }}
        timeouts {{ ping-timeout 1s; }}
        """)

    def answered(server):
        server.send(headers(server.until(HEADERS)[-1].stream, block([(":status", "200")])))

    client = connect(port)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    first = closing(H2.accepted(listener.accept()[0]))
    answered(first)
    assert client.read_response().status == 200
    assert client.get("/").status == 504      # it is silent from here on
    first.until(PING)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    second = closing(H2.accepted(listener.accept()[0]))
    answered(second)
    assert client.read_response().status == 200
    until(lambda: sidecar.metric('sidespan_timeouts_total{timeout="ping"}') == 1, "the end of the dead one")


def test_one_that_answers_is_used_on(sidespan, port, connect, closing):
    listener = closing(socket.create_server(("127.0.0.1", 0)))
    listener.settimeout(DEADLINE)
    sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; timeout 1s; }} }}
        cluster app {{ endpoint 127.0.0.1:{listener.getsockname()[1]}; protocol h2; pool max 1; }}
        """)
    client = connect(port)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server = closing(H2.accepted(listener.accept()[0]))
    server.send(headers(server.until(HEADERS)[-1].stream, block([(":status", "200")])))
    assert client.read_response().status == 200
    assert client.get("/").status == 504
    asked = server.until(PING)[-1]
    server.send(ping(asked.payload, ack=True))
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server.send(headers(server.until(HEADERS)[-1].stream, block([(":status", "200")])))
    assert client.read_response().status == 200
