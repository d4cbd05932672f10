"""Names that are not known yet: a cluster that is new in a file, and DNS that takes its time.

The sidecar has a resolv.conf of its own, in a mount namespace; so these tests need root."""
import os
import random
import signal
import socket
import struct
import threading

import pytest

from programs import needs
from wire import request_bytes, response_bytes, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a resolv.conf of one's own needs root")

A = 1


class Names:
    """A DNS server on a loopback address of its own. It answers A of each name with 127.0.0.1, when the
    gate is open; what was asked before is answered then."""

    def __init__(self):
        self.gate = threading.Event()
        self.asked = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            self.address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
            try:
                self.sock.bind((self.address, 53))
                break
            except OSError:
                continue
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            threading.Thread(target=self._answer, args=(query, peer), daemon=True).start()

    def _answer(self, query, peer):
        end = query.index(b"\0", 12) + 5      # the name, its end, type and class
        kind, = struct.unpack_from("!H", query, end - 4)
        self.asked.append(query[12:end - 5])
        self.gate.wait()
        address = b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 60, 4) + socket.inet_aton("127.0.0.1")
        head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1 if kind == A else 0, 0, 0)
        try:
            self.sock.sendto(head + query[12:end] + (address if kind == A else b""), peer)
        except OSError:
            pass

    def wait_asked(self):
        until(lambda: self.asked, "a question")

    def close(self):
        self.gate.set()
        self.sock.close()


@pytest.fixture
def names(closing):
    return closing(Names())


@pytest.fixture
def named(sidespan, names, tmp_path):
    """named(config) is a sidecar that asks these names; not waited for."""
    resolv = tmp_path / "resolv.conf"
    resolv.write_text(f"nameserver {names.address}\noptions timeout:1\n")

    def start(config):
        sidecar = sidespan(config, ready=False)
        sidecar.wrapper = [needs("unshare"), "--mount", "sh", "-c",
                           f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', "sh"]
        return sidecar.spawn()

    return start


def test_a_request_to_a_name_that_a_reload_brings_waits_for_it(named, names, port, origin, connect):
    old, new = origin(), origin(lambda r: response_bytes(body=b"new"))

    def config(to, cluster=""):
        return f"inbound {{ listen 127.0.0.1:{port}; route / {{ to {to}; }} }} {cluster}"

    sidecar = named(config(old.address))
    until(lambda: sidecar.wait_log("ready") and connect(port).get().body == b"hello", "the start")
    sidecar.reload(config("app", f"cluster app {{ endpoint app.test:{new.port}; }}"))
    until(lambda: names.asked, "the question")
    client = connect(port)
    client.send(request_bytes())
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 1, "the request")
    assert sidecar.admin("/readyz").status == 200   # the service is served
    names.gate.set()
    assert client.read_response().body == b"new"


def test_the_first_requests_wait_for_the_names_and_ready_is_said_when_they_are_known(
        named, names, port, origin, connect):
    upstream = origin()
    sidecar = named(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint app.test:{upstream.port}; }}
        """)
    names.wait_asked()
    until(lambda: sidecar.admin_status("/readyz") == 503, "the admin port")
    assert " ready: " not in sidecar.log()
    client = connect(port)
    client.send(request_bytes())
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 1, "the request")
    names.gate.set()
    assert client.read_response().status == 200
    sidecar.wait_log(" ready: ")
    assert sidecar.admin("/readyz").status == 200


def test_a_name_that_nobody_answers_is_waited_for_as_long_as_a_connection(named, names, port, connect):
    sidecar = named(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint app.test:80; connect-timeout 300ms; }}
        """)
    names.wait_asked()
    response = connect(port).get()
    assert (response.status, response.get("sidespan-reason")) == (503, "dns_error")
    sidecar.wait_log(" ready: ")              # in the end, for others may be served


def test_a_client_that_leaves_is_not_waited_for(named, names, port, connect):
    sidecar = named(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint app.test:80; connect-timeout 1h; }}
        """)
    names.wait_asked()
    client = connect(port)
    client.send(request_bytes())
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 1, "the request")
    client.reset()
    assert sidecar.wait_span()["error.type"] == "client_closed"
    names.gate.set()
    sidecar.wait_log(" ready: ")


def test_who_drains_before_it_was_ready_never_says_that_it_is(named, names, port, origin, connect):
    upstream = origin()
    sidecar = named(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint app.test:{upstream.port}; }}
        timeouts {{ drain-delay 0s; }}
        """)
    names.wait_asked()
    until(lambda: sidecar.admin_status("/readyz") == 503, "the admin port")
    client = connect(port)
    client.send(request_bytes())
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 1, "the request")
    sidecar.signal(signal.SIGTERM)
    sidecar.wait_log("not listening any more")
    names.gate.set()
    assert client.read_response().status == 200
    assert sidecar.wait_exit() == 0
    assert " ready: " not in sidecar.log()
