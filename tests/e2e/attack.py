"""An attack for a while, a client that keeps the rules beside it, and what each of them saw.

All of it is bounded: to 127.0.0.1, in time, in bytes a second and in connections a second.
"""
import http.client
import os
import re
import select
import socket
import threading
import time

import pytest

from h2_raw import GOAWAY, H2, HEADERS, INITIAL_WINDOW_SIZE, Polite, Reset, goaway_code, request
from nghttpd import Nghttpd
from wire import DEADLINE, response_bytes

SECONDS = float(os.environ.get("E2E_ATTACK_SECONDS") or (10 if os.environ.get("E2E_LONG") == "1" else 2))
BURSTS_A_SECOND = 200       # of each connection
BURST_BYTES = 64 << 10
CONNECTS_A_SECOND = 20      # of each attacker

GROWTH = 16 << 20           # bytes of memory that an attack may cost
LARGE = 1 << 20             # of the response at /large
GET = request("/")
GET_LARGE = request("/large")
POST = request("/", "POST")
NO_WINDOW = [(INITIAL_WINDOW_SIZE, 0)]


# -- who attacks


class Attacker(threading.Thread):
    """Opens a connection, sends what script(connection) yields, burst by burst, reads what comes, and
    connects anew when it is cut.

    ends has one entry for each connection that was ended under it: the code of the GOAWAY that was
    said; None: none was. deaf: it reads nothing as long as it can send."""

    def __init__(self, port, script, values=(), deaf=False, seconds=SECONDS):
        super().__init__(daemon=True)
        self.port, self.script, self.values, self.deaf, self.seconds = port, script, values, deaf, seconds
        self.ends, self.sent, self.connections, self.failure = [], 0, 0, None
        self.over = False
        self.local_ports = set()

    def run(self):
        try:
            end = time.monotonic() + self.seconds
            while not self.over and time.monotonic() < end:
                began = time.monotonic()
                self._one_connection(end)
                time.sleep(max(0.0, min(began + 1 / CONNECTS_A_SECOND, end) - time.monotonic()))
        except Exception as e:                # told by finish()
            self.failure = e

    def finish(self):
        self.join(self.seconds + 3 * DEADLINE)
        assert not self.is_alive(), "the attacker hangs"
        if self.failure:
            raise self.failure

    def _one_connection(self, end):
        c = H2(self.port, self.values, receive_buffer=8192 if self.deaf else None)
        c.sock.setblocking(False)
        self.connections += 1
        self.local_ports.add(c.local_port)
        try:
            self._attack(c, end)
        finally:
            c.close()

    def _attack(self, c, end):
        bursts, out, seen, over = iter(self.script(c)), b"", [], False
        due = time.monotonic()
        while not over and (now := time.monotonic()) < end:
            if not out and now >= due:
                out = next(bursts, None)
                if out is None:               # it only waits now
                    out, due = b"", end + 1
                assert len(out) <= BURST_BYTES
                due = max(due, now) + max(1 / BURSTS_A_SECOND, len(out) / (BURSTS_A_SECOND * BURST_BYTES / 8))
            wait = max(0.0, min(due, end) - now) if not out else 0.1
            readable, writable, _ = select.select([] if self.deaf else [c.sock], [c.sock] if out else [], [], wait)
            if readable:
                over = self._receive(c, seen)
            if writable and not over:
                try:
                    n = c.sock.send(out)
                    self.sent += n
                    out = out[n:]
                except ConnectionError:
                    over = True
                except BlockingIOError:
                    pass
            # Once it was told to go, the rest is only how the connection ends.
            if goaway_code(seen) is not None:
                break
        if over or goaway_code(seen) is not None:
            self._see_the_end(c, seen)
        elif self.deaf:
            self._see_whether_it_ended(c, seen)

    def _receive(self, c, seen):
        """True: the connection has ended."""
        try:
            more = c.sock.recv(1 << 16)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        c.got += more
        seen += [f._replace(payload=f.payload[:64]) for f in c.frames() if f.type == GOAWAY]
        return not more

    def _see_the_end(self, c, seen):
        """It was told to go, or cut: nothing but the end may follow."""
        c.sock.setblocking(True)
        c.sock.settimeout(DEADLINE)
        while not self._receive(c, seen):
            pass
        self.ends.append(goaway_code(seen))

    def _see_whether_it_ended(self, c, seen):
        """What was not read until now, as far as it comes at once."""
        while select.select([c.sock], [], [], 0.2)[0]:
            if self._receive(c, seen):
                self.ends.append(goaway_code(seen))
                return


class HostileUpstream(Attacker):
    """The same from the other side: script(connection) is what comes after the first request, whose
    stream is connection.asked."""

    def __init__(self, script, values=(), seconds=SECONDS):
        super().__init__(None, script, values, seconds=seconds)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]

    def _one_connection(self, end):
        self._listener.settimeout(max(0.01, end - time.monotonic()))
        try:
            sock, peer = self._listener.accept()
        except OSError:                       # nobody came, or it is over
            return
        self.connections += 1
        self.local_ports.add(peer[1])
        c = H2.accepted(sock, self.values)
        try:
            c.asked = c.until(HEADERS)[-1].stream
            c.sock.setblocking(False)
            self._attack(c, end)
        except EOFError:
            pass                              # it was not asked for anything
        finally:
            c.close()

    def close(self):
        """Nobody is waited for any more."""
        self.over = True
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()


# -- who must not notice

RESTED = 0.4    # seconds: a bystander who was kept from asking so long connects anew, for the old one may be idle too long


class Bystander(threading.Thread):
    """A client on a connection of its own that asks again and again; no request may be lost."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask = ask                        # ask(rested): one request; raises when it fails
        self.answered, self.slowest, self.failure = 0, 0.0, None
        self._enough = threading.Event()

    def run(self):
        try:
            ended = time.monotonic()
            while not self._enough.is_set():
                began = time.monotonic()
                self.ask(began - ended > RESTED)
                ended = time.monotonic()
                self.slowest = max(self.slowest, ended - began)
                self.answered += 1
                self._enough.wait(0.005)
        except Exception as e:
            self.failure = e

    def finish(self):
        self._enough.set()
        self.join(3 * DEADLINE)
        assert not self.is_alive(), "a request hangs"
        if self.failure:
            raise AssertionError(f"a bystander lost its request {self.answered + 1}: {self.failure!r}") \
                from self.failure


def bystander_of_http1(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)

    def ask(rested):
        if rested:
            connection.close()
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status

    return Bystander(ask)


def bystander_of_http2(port, path="/"):
    client = Polite(port)

    def ask(rested):
        nonlocal client
        if rested:
            client.close()
            client = Polite(port)
        status, _ = client.get(path)
        if status != 200:
            raise Reset(f"status {status}")

    return Bystander(ask)


# -- the sidecar

@pytest.fixture(params=["http1", "http2"])
def sidecar(request, sidespan, port, origin, closing, tmp_path):
    """Before an origin of each kind."""
    if request.param == "http1":
        large = response_bytes(body=b"l" * LARGE)
        upstream = origin(lambda r: large if r.target == "/large" else response_bytes(body=b"hello"))
    else:
        upstream = closing(Nghttpd(tmp_path / "htdocs", {"index.html": b"hello", "large": b"l" * LARGE}))

    def start(extra=""):
        started = sidespan(f"""
            inbound {{
                listen 127.0.0.1:{port};
                route / {{ to origin; }}
            }}
            cluster origin {{ endpoint {upstream.address}; protocol {request.param.replace("http", "h")}; }}
            {extra}
            """)
        started.port = port
        return started

    return start


class Memory(threading.Thread):
    """The most that a sidecar has had."""

    def __init__(self, sidecar):
        super().__init__(daemon=True)
        self.sidecar, self.most, self._enough = sidecar, sidecar.rss(), threading.Event()
        self.first = self.most

    def run(self):
        while not self._enough.wait(0.05):
            self.most = max(self.most, self.sidecar.rss())

    def finish(self):
        self._enough.set()
        self.join()
        return max(self.most, self.sidecar.rss()) - self.first


def abuse(sidecar):
    """{kind: how many connections}"""
    name = "sidespan_http2_abuse_total"
    return {m[1]: int(v) for k, v in sidecar.metrics().items()
            if (m := re.fullmatch(name + r'\{kind="(.*)"\}', k)) and v}
