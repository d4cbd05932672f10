"""The admin port answers when nothing else does: it is asked by whoever wants to know what is wrong."""
import re
import resource
import socket

import pytest

from process import Sidespan, free_port
from wire import DEADLINE, until

LIMIT = 300     # descriptors


@pytest.fixture
def starved(tmp_path, closing, raw_origin, port):
    """A sidecar that has no descriptors left."""
    sidecar = Sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route /a {{ respond 200; }} }}
        """, tmp_path)
    closing(sidecar, "kill")
    sidecar.spawn(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT)))
    sidecar.wait_ready()
    for _ in range(LIMIT + 20):
        closing(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE))
    sidecar.wait_log("listener: new connections have to wait: Too many open files")
    return sidecar


def cpu(sidecar):
    with open(f"/proc/{sidecar.process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_without_descriptors_it_still_answers(starved):
    for path in ("/healthz", "/readyz", "/metrics", "/config", "/ledger", "/traces") * 3:
        assert starved.admin(path).status == 200, path
    assert starved.metrics()["process_open_fds"] > LIMIT - 60
    answer = starved.admin("/reload", "POST")
    assert answer.status == 200, answer.text


def test_without_any_descriptor_it_waits_without_burning_the_processor(starved, closing):
    """A health check that waits at a port where nothing can be accepted is no reason to try without a pause,
    nor to say so without end."""
    lines = lambda: re.findall("admin: connections to the admin port have to wait.*", starved.log())
    for _ in range(60):
        closing(socket.create_connection(("127.0.0.1", starved.admin_port), timeout=DEADLINE))
    until(lambda: len(lines()) >= 1, starved.log)
    before, used = len(lines()), cpu(starved)
    until(lambda: len(lines()) >= before + 2, starved.log)
    assert cpu(starved) - used < 1      # of two seconds
    assert re.search(r"\([0-9]+ lines? like it (was|were) not written\)$", lines()[-1])
    assert len(starved.log()) < 20000


def test_half_requests_do_not_hold_it(sidespan, closing):
    sidecar = sidespan(f"inbound {{ listen 127.0.0.1:{free_port()}; route / {{ respond 200; }} }}")
    for _ in range(300):
        half = closing(socket.create_connection(("127.0.0.1", sidecar.admin_port), timeout=DEADLINE))
        half.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
    with socket.create_connection(("127.0.0.1", sidecar.admin_port), timeout=5) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")    # before any of them has timed out
