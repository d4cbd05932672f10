"""Fixtures of the end-to-end tests: the real binary between real clients and origins.

    SIDESPAN=path/to/sidespan pytest tests/e2e          # default: build/sidespan
    pytest -n 4 tests/e2e                               # in parallel
    E2E_LONG=1 pytest tests/e2e                         # with the long variants
    E2E_DEADLINE=30 pytest tests/e2e                    # a slow machine, or sanitizers
    E2E_ATTACK_SECONDS=10 pytest tests/e2e              # how long each attack lasts (2; long: 10)

Every test starts its own sidecar on ports of its own. Nothing sleeps: a test waits for what it
expects, and a deadline ends the wait of one that fails.
"""
import os
import pathlib

import pytest

import pairs
import process
from origins import CopyingService, RawOrigin, ScriptedOrigin
from otlp_receiver import OtlpReceiver
from process import Sidespan, free_port, nobody
from wire import Wire


def pytest_sessionstart(session):
    if not pathlib.Path(process.BINARY).exists():
        pytest.exit(f"{process.BINARY} is not there: build it, or say where it is with SIDESPAN", 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its sidecars logged."""
    report = (yield).get_result()
    if report.failed:
        for sidecar in getattr(item, "sidecars", []):
            report.sections.append((f"log of {sidecar.path.name}", sidecar.log()[-8000:]))


@pytest.fixture
def closing():
    """Closes what it is given at the end of the test, the last first; tells every failure."""
    things, failures = [], []

    def add(thing, end="close"):
        things.append(getattr(thing, end))
        return thing

    yield add
    for end in reversed(things):
        try:
            end()
        except Exception as e:
            failures.append(e)
    if failures:
        raise failures[0]


@pytest.fixture
def sidespan(request, tmp_path, closing):
    """sidespan(config, ...) starts one and returns it when it is ready."""
    request.node.sidecars = []

    def start(config, ready=True, env=None, arguments=(), name="routes.conf"):
        sidecar = Sidespan(config, tmp_path, env=env, arguments=arguments, name=name)
        request.node.sidecars.append(sidecar)
        closing(sidecar, "kill")
        closing(sidecar, "stop")
        return sidecar.start() if ready else sidecar

    return start


@pytest.fixture
def raw_origin(closing):
    """raw_origin() listens; the test accepts, reads and answers by itself."""
    return lambda **arguments: closing(RawOrigin(**arguments))


@pytest.fixture
def origin(closing):
    """origin(handler) answers by itself and keeps what it saw."""
    return lambda handler=None, **arguments: closing(ScriptedOrigin(handler, **arguments))


@pytest.fixture
def service(closing):
    """service(next_port) is an application of http.server that copies trace headers."""
    return lambda *arguments, **named: closing(CopyingService(*arguments, **named))


@pytest.fixture
def connect(closing):
    """connect(port) is a raw client."""
    return lambda port, **arguments: closing(Wire.connect(port, **arguments))


@pytest.fixture
def collector(closing):
    """collector() is a strict OTLP receiver, over gRPC and HTTP."""
    def start(**arguments):
        receiver = closing(OtlpReceiver(**arguments), "stop")
        return receiver.start()

    return start


@pytest.fixture
def refusing():
    """An address where nobody listens."""
    return nobody()


@pytest.fixture
def port():
    """A free port for a listener."""
    return free_port()


@pytest.fixture
def inbound(sidespan, port):
    """inbound(target, extra) is a sidecar before one origin, listening on .port; extra is put into
    its `route /`, rest at the end of the file; carries is what the listener does: http, auto, tcp."""
    def start(target, extra="", rest="", env=None, arguments=(), carries=""):
        sidecar = sidespan(f"""
            inbound {{
                listen 127.0.0.1:{port} {carries};
                route / {{ to {target}; {extra} }}
            }}
            {rest}
            """, env=env, arguments=arguments)
        sidecar.port = port
        return sidecar

    return start


@pytest.fixture
def outbound(sidespan, port):
    """outbound(routes, rest) is a sidecar for calls of a service, listening on .port."""
    def start(routes, rest="", env=None, arguments=(), carries=""):
        sidecar = sidespan(f"""
            outbound {{
                listen 127.0.0.1:{port} {carries};
                {routes}
            }}
            {rest}
            """, env=env, arguments=arguments)
        sidecar.port = port
        return sidecar

    return start


@pytest.fixture(params=pairs.ALL)
def pair(request, sidespan, closing, port):
    """A client and an origin of either protocol, with a sidecar between them: pairs.py."""
    return pairs.Pair(request.param, sidespan, closing, port)


def pytest_configure(config):
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
