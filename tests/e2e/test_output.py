"""Who reads what the sidecar writes, and how fast, is nobody's business but his: what is not read is lost
and counted, and no request, no answer of the admin port and no end of the process waits for it."""
import os
import select
import signal

import pytest

from process import Sidespan, free_port
from wire import DEADLINE, until


class Pipe:
    """A pipe that nobody reads unless a test does."""

    def __init__(self):
        self.reading, self.writing = os.pipe()

    def fill(self):
        os.set_blocking(self.writing, False)
        try:
            while True:
                os.write(self.writing, b"x" * 4096)
        except BlockingIOError:
            pass
        finally:
            os.set_blocking(self.writing, True)
        return self

    def read_until(self, text):
        """All that came, up to the text."""
        got = b""
        while text not in got:
            assert select.select([self.reading], [], [], DEADLINE)[0], f"{text!r} in {got[-2000:]!r}"
            got += os.read(self.reading, 65536)
        return got

    def close(self):
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def pipe(closing):
    return closing(Pipe())


@pytest.fixture
def spawned(tmp_path, closing):
    """spawned(config, **popen): a sidecar with other descriptors than usual, ready."""
    def start(config, **other):
        sidecar = Sidespan(config, tmp_path)
        closing(sidecar, "kill")
        return sidecar.spawn(**other).wait_ready()

    return start


@pytest.fixture
def refused(refusing, port):
    """A config of which each request is a line of the log."""
    return f"inbound {{ listen 127.0.0.1:{port}; route / {{ to {refusing}; }} }}\n"


def test_a_log_that_nobody_reads_stops_nothing(spawned, refused, port, pipe, connect):
    sidecar = spawned(refused, stderr=pipe.fill().writing)
    lost = "sidespan_log_lines_lost_total"

    def ask():
        client = connect(port)
        for _ in range(100):    # each is a failure; ten lines a second are said of them
            assert client.get().status == 502
        client.close()
        assert sidecar.admin("/reload", "POST").status == 200       # and each of these is one
        return sidecar.metric(lost) > 0

    ask()
    # A line for each reload, until there is no room left for them.
    until(lambda: [sidecar.admin("/reload", "POST") for _ in range(200)] and sidecar.metric(lost) > 0,
          lambda: f"lost lines; {sidecar.metrics()}", DEADLINE * 4)
    ask()
    n = int(sidecar.metric(lost))

    # Once it flows again, the log says what it has lost, and goes on.
    text = pipe.read_until(b"standard error is read more slowly than it is written to")
    line = [line for line in text.split(b"\n") if b"lost:" in line][-1]
    assert f" {n} lines were lost:".encode() in line
    sidecar.signal(signal.SIGTERM)
    pipe.read_until(b" ended\n")
    assert sidecar.wait_exit() == 0


def test_a_log_that_nobody_reads_does_not_keep_the_process(spawned, refused, port, pipe, connect):
    sidecar = spawned(refused, stderr=pipe.fill().writing)
    assert connect(port).get().status == 502
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0


def test_a_second_signal_ends_it_at_once_all_the_same(spawned, raw_origin, port, pipe, connect):
    upstream = raw_origin()
    sidecar = spawned(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}
        timeouts {{ drain-delay 0s; drain 1h; flush 1s; }}
        """, stderr=pipe.fill().writing)
    client = connect(port)
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    upstream.accept().read_request()
    sidecar.signal(signal.SIGTERM)
    until(lambda: sidecar.admin("/readyz").status == 503, lambda: "it drains")
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 1


def test_an_error_at_start_that_nobody_reads_ends_the_process(tmp_path, closing, pipe):
    sidecar = Sidespan("nonsense;", tmp_path)
    closing(sidecar, "kill")
    sidecar.spawn(stderr=pipe.fill().writing)
    assert sidecar.wait_exit() == 1


def test_a_console_that_nobody_reads_stops_nothing(spawned, origin, port, pipe, connect):
    config = f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {origin().address}; }} }}
        timeouts {{ drain-delay 0s; drain 2s; flush 300ms; }}
        trace {{ export console; }}
        """
    sidecar = spawned(config, stdout=pipe.fill().writing)
    client = connect(port)
    for _ in range(20):
        assert client.get().status == 200
    until(lambda: sidecar.the_ledger()["waiting"] == 20, sidecar.ledger)
    sidecar.reload(config.replace("export console", "export console pretty"))
    assert client.get().status == 200
    sidecar.metrics()
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0
    assert "dropped 20 (shutdown 20)" in sidecar.log()


def test_what_the_console_had_no_room_for_is_dropped_and_told(spawned, origin, port, pipe, connect):
    sidecar = spawned(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {origin().address}; attribute text "{'x' * 4000}"; }} }}
        trace {{ export console pretty; }}
        """, stdout=pipe.fill().writing)
    client = connect(port)

    def some_dropped():
        for _ in range(50):
            assert client.get().status == 200
        return sidecar.the_ledger()["dropped"]["queue_full"]

    until(some_dropped, sidecar.ledger, DEADLINE * 4)
    sidecar.wait_log("warn export: console: standard output is read too slowly, spans are lost")
    until(lambda: os.read(pipe.reading, 65536) and sidecar.the_ledger()["waiting"] == 0, sidecar.ledger,
          DEADLINE * 4)
    sidecar.wait_log("info export: console: spans are written again")
    sidecar.stop()


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2], [1, 2]])
def test_descriptors_that_were_closed_are_nobodys_socket(tmp_path, closing, origin, connect, closed):
    """Else the log would be written to a client, or into the loop's own descriptor."""
    port = free_port()
    sidecar = Sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {origin().address}; }} }}
        trace {{ export console; }}
        """, tmp_path)
    closing(sidecar, "kill")
    sidecar.spawn(preexec_fn=lambda: [os.close(fd) for fd in closed])
    sidecar.wait_ready()
    for fd in closed:
        assert os.readlink(f"/proc/{sidecar.process.pid}/fd/{fd}") == "/dev/null"
    assert connect(port).get().status == 200
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait_exit() == 0


# ---- log level debug

def test_debug_tells_of_each_exchange_what_became_of_it(inbound, origin, connect):
    upstream = origin()
    trace = "0af7651916cd43dd8448eb211c80319c"
    sidecar = inbound(upstream.address, rest="log level debug;", carries="")
    client = connect(sidecar.port)
    assert client.get("/secret?key=1", f"traceparent: 00-{trace}-b7ad6b7169203331-01",
                      host="users.test").status == 200
    sidecar.wait_log(rf"debug exchange: inbound GET users\.test route - cluster {upstream.address} "
                     rf"endpoint {upstream.address} status 200 in [0-9.]+ ms trace {trace}")
    assert "secret" not in sidecar.log()
    upstream.close()
    client = connect(sidecar.port)
    assert client.get("/x", host="users.test").status == 502
    sidecar.wait_log(r"debug exchange: inbound GET users\.test .* status 502 in [0-9.]+ ms, ended by the "
                     r"[a-z]+: [a-z_]+")
    assert sidecar.log().count("debug exchange: inbound") == 2


def test_below_debug_no_line_is_written_of_exchanges(inbound, origin, connect):
    sidecar = inbound(origin().address)
    assert connect(sidecar.port).get().status == 200
    sidecar.wait_span()
    assert " exchange: " not in sidecar.log()
