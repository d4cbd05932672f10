"""grpc-go's interoperability tests, through an outbound and an inbound sidecar in a row.

The programs are built by tests/peers/get-grpc-interop where there is Go; else these tests are skipped.
"""
import pathlib
import subprocess

import pytest

from process import CLIENT, SERVER, free_port
from programs import peer
from wire import DEADLINE, until

OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED = 0, 1, 2, 4, 12
TEST = "grpc.testing.TestService"
# Each case that passes without a sidecar, and the calls that it makes: method and status.
CASES = {
    "empty_unary": [("EmptyCall", OK)],
    "large_unary": [("UnaryCall", OK)],
    "client_streaming": [("StreamingInputCall", OK)],
    "server_streaming": [("StreamingOutputCall", OK)],
    "ping_pong": [("FullDuplexCall", OK)],
    "empty_stream": [("FullDuplexCall", OK)],
    "timeout_on_sleeping_server": [("FullDuplexCall", DEADLINE_EXCEEDED)],
    "cancel_after_begin": [("StreamingInputCall", CANCELLED)],
    "cancel_after_first_response": [("FullDuplexCall", CANCELLED)],
    "status_code_and_message": [("UnaryCall", UNKNOWN), ("FullDuplexCall", UNKNOWN)],
    "special_status_message": [("UnaryCall", UNKNOWN)],
    "custom_metadata": [("UnaryCall", OK), ("FullDuplexCall", OK)],
    "unimplemented_method": [("UnimplementedCall", UNIMPLEMENTED)],
    "unimplemented_service": [("grpc.testing.UnimplementedService/UnimplementedCall", UNIMPLEMENTED)],
    "orca_per_rpc": [("UnaryCall", OK)],
    "orca_oob": None,  # calls until it has had its reports
    "rpc_soak": [("UnaryCall", OK)] * 10,
    "channel_soak": [("UnaryCall", OK)] * 10,
}
# Those that the client may give up before they are with the server, or even before they are sent.
HASTY = {"timeout_on_sleeping_server", "cancel_after_begin"}
PATIENT = ["-soak_per_iteration_max_acceptable_latency_ms", str(int(1000 * DEADLINE))]
ORCA = ["-service_config_json", '{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}']


@pytest.fixture(scope="module")
def programs():
    return pathlib.Path(peer("grpc-interop"))


@pytest.fixture
def hops(programs, sidespan, tmp_path, closing):
    """client -> [outbound] -> [inbound] -> server; (run(case), the two sidecars)."""
    port, near_port, far_port = free_port(), free_port(), free_port()
    with open(tmp_path / "server.log", "wb") as log:
        server = subprocess.Popen([programs / "grpc-interop-server", "-port", str(port)],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    closing(server, "wait")
    closing(server, "terminate")
    far = sidespan(f"""
        inbound {{ listen 127.0.0.1:{far_port}; route / {{ to server; }} }}
        cluster server {{ endpoint 127.0.0.1:{port}; protocol h2; }}
        """, name="far.conf")
    near = sidespan(f"""
        outbound {{ listen 127.0.0.1:{near_port}; route / {{ to far; }} }}
        cluster far {{ endpoint 127.0.0.1:{far_port}; protocol h2; }}
        """, name="near.conf")

    def run(case, port=near_port):
        more = ORCA if case.startswith("orca_") else PATIENT if case.endswith("_soak") else []
        return subprocess.run([programs / "grpc-interop-client", "-server_host", "127.0.0.1", "-server_port",
                               str(port), "-test_case", case, *more], capture_output=True, text=True,
                              timeout=3 * DEADLINE)

    until(lambda: run("empty_unary", port).returncode == 0, "the server")
    return run, near, far


@pytest.mark.parametrize("case", CASES)
def test_a_case_of_grpc_go(hops, case):
    run, near, far = hops
    done = run(case)
    assert done.returncode == 0, done.stderr
    if CASES[case] is None:
        return
    expected = sorted((m if "/" in m else f"{TEST}/{m}", status) for m, status in CASES[case])
    wanted = [expected, []] if case in HASTY else [expected]
    until(lambda: is_quiet(near, "outbound") and is_quiet(far, "inbound")
          and what_was_called(near) in wanted and what_was_called(far) in wanted,
          lambda: f"the spans of {expected}; there are {what_was_called(near)} and {what_was_called(far)}")
    calls, served = calls_of(near), calls_of(far)
    assert {s.kind for s in calls} <= {CLIENT} and {s.kind for s in served} <= {SERVER}
    sent = {(s.trace_id, s.span_id): s.name for s in calls}
    for span in served:
        assert sent[span.trace_id, span.parent] == span.name


def calls_of(sidecar):
    """But for a stream of load reports that may be beside them."""
    return sidecar.spans(lambda s: s.name.startswith("grpc.testing."))


def is_quiet(sidecar, direction):
    return sidecar.metric(f'sidespan_requests_active{{direction="{direction}"}}') == 0


def what_was_called(sidecar):
    return sorted((s.name, s["rpc.grpc.status_code"]) for s in calls_of(sidecar))
