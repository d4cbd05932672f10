"""One sidecar after another takes over under load, and nobody notices.

Two sidecars stand before the same service in turn. Each round starts the next one, and ends the one
before it with SIGTERM, under clients of HTTP/1.1, HTTP/2 and gRPC that connect again when they are told
to. The service calls out by the sidecar that a request came through, often after that was told to end.

    E2E_ROLLOVERS=50 pytest tests/e2e/test_rollover.py     # 3 rounds without
"""
import concurrent.futures
import http.client
import http.server
import os
import random
import signal
import threading
import time

import grpc
import pytest

from h2wire import NO_STREAM_YET, Broken
from peers_h2 import H2Client
from process import free_port
from wire import DEADLINE, Wire, request_bytes, until

ROUNDS = int(os.environ.get("E2E_ROLLOVERS", "3"))
DRAIN_DELAY = 0.5
# How long the service works on a request before it calls out: some longer than the listeners stay.
WORK = (0, 0.01, 0.1, 2 * DRAIN_DELAY)


class Service:
    """Answers GET and POST, and gRPC; each request is worked on, then a call goes out by the port that
    x-out names."""

    def __init__(self, backend, grpc_backend):
        service = self
        self.grpc_backend = grpc_backend

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1                     # head and body leave together

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                time.sleep(random.choice(WORK))
                body += service.call_out(int(self.headers["x-out"]))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self._http = Server(("127.0.0.1", 0), Handler)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        self._pool = concurrent.futures.ThreadPoolExecutor(64)
        self._grpc = grpc.server(self._pool, options=[("grpc.so_reuseport", 0)])
        self._grpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("roll.Over", {
            "Work": grpc.unary_unary_rpc_method_handler(self._work),
            "Talk": grpc.stream_stream_rpc_method_handler(self._talk),
        })])
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()

    def call_out(self, port):
        call = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        call.request("GET", "/", headers={"Host": "backend.test"})
        answer = call.getresponse()
        body = answer.read()
        call.close()
        assert answer.status == 200, answer.status
        return body

    def call_out_grpc(self, port):
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            return channel.unary_unary("/e2e.Test/Echo")(b"leaf", timeout=DEADLINE)

    def _out(self, context):
        return int(dict(context.invocation_metadata())["x-out"])

    def _work(self, request, context):
        time.sleep(random.choice(WORK))
        return request + self.call_out_grpc(self._out(context))

    def _talk(self, requests, context):
        for request in requests:
            yield request + self.call_out(self._out(context))

    def close(self):
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(None).wait(DEADLINE)
        self._pool.shutdown(wait=False)


class Stage:
    """What the clients know: where the sidecar in force listens, and both of its ports."""

    def __init__(self):
        self.ports = [free_port(), free_port()]
        self.current = 0
        self.over = False
        self.failures, self.served = [], {}

    @property
    def port(self):
        return self.ports[self.current]

    def count(self, what):
        self.served[what] = self.served.get(what, 0) + 1

    def fail(self, what, why):
        self.failures.append((time.strftime("%X"), what, why))


def connected(stage, make):
    """A client of the sidecar in force; who looked it up just before the next one took over looks again."""
    while True:
        port = stage.port
        try:
            return make(port)
        except ConnectionRefusedError:
            if port == stage.port:
                raise


def http1(stage, method):
    while not stage.over:
        with connected(stage, Wire.connect) as client:
            while not stage.over:
                client.send(request_bytes(method, fields=["x: y"], body=b"much" if method == "POST" else b""))
                response = client.read_response()
                if response.status != 200 or not response.body.endswith(b"leaf"):
                    stage.fail(method, (response.status, response.fields, response.body))
                stage.count(method)
                if (response.get("connection") or "").lower() == "close":
                    break
                time.sleep(random.choice((0, 0.02)))


def http2(stage, _):
    while not stage.over:
        client = connected(stage, H2Client)
        try:
            while not stage.over and not client.wire.goaways:
                response = client.get()
                if response.status != 200 or response.body != b"leaf":
                    stage.fail("h2", (response.status, response.fields, response.body))
                stage.count("h2")
        except Broken:
            # GOAWAY says which were not begun: these are the client's to send again.
            last = min((g[1] for g in client.wire.goaways), default=NO_STREAM_YET)
            if max(client.wire.streams) <= last:
                raise
        finally:
            client.close()


def channel(stage):
    """One of a client that knows both addresses, and connects to one that is there."""
    where = ",".join(f"127.0.0.1:{p}" for p in stage.ports)
    return grpc.insecure_channel(f"ipv4:{where}", options=[
        ("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", "app.test"),
        ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)])


def unary(stage, _):
    with channel(stage) as calls:
        while not stage.over:
            if calls.unary_unary("/roll.Over/Work")(b"a ", timeout=DEADLINE) != b"a leaf":
                stage.fail("unary", "another answer")
            stage.count("unary")


def stream(stage, _):
    def messages():
        for i in range(20):
            yield b"%d " % i
            time.sleep(random.choice((0, 0.1)))

    with channel(stage) as calls:
        while not stage.over:
            got = list(calls.stream_stream("/roll.Over/Talk")(messages(), timeout=DEADLINE))
            if got != [b"%d leaf" % i for i in range(20)]:
                stage.fail("stream", got)
            stage.count("stream")


def run(stage, what, argument):
    try:
        what(stage, argument)
    except Exception as e:
        stage.fail(what.__name__, repr(e))


@pytest.fixture
def grpc_backend(closing):
    from grpc_service import GrpcService
    return closing(GrpcService())


def test_one_sidecar_after_the_other_and_no_request_fails(sidespan, origin, closing, grpc_backend):
    from wire import response_bytes
    backend = origin(lambda r: response_bytes(body=b"leaf"))
    service = closing(Service(backend, grpc_backend))
    stage = Stage()

    def start(n):
        out = free_port()
        sidecar = sidespan(f"""
            inbound {{
                listen 127.0.0.1:{stage.ports[n % 2]};
                route grpc roll.Over {{ to grpc-app; set-header request x-out {out}; }}
                route / {{ to app; set-header request x-out {out}; }}
            }}
            outbound {{
                listen 127.0.0.1:{out};
                route grpc e2e.Test {{ to grpc-backend; }}
                route / {{ to backend; }}
            }}
            cluster app {{ endpoint 127.0.0.1:{service.port}; protocol h1; }}
            cluster grpc-app {{ endpoint 127.0.0.1:{service.grpc_port}; protocol h2; }}
            cluster backend {{ endpoint {backend.address}; protocol h1; }}
            cluster grpc-backend {{ endpoint {grpc_backend.address}; protocol h2; }}
            timeouts {{ drain-delay {int(DRAIN_DELAY * 1000)}ms; drain {2 * int(DEADLINE)}s; flush 1s; }}
            workers 2;
            """, name=f"round{n}.conf")
        stage.current = n % 2
        return sidecar

    def busy(n):
        """Each kind of client has had some answers since."""
        before = dict(stage.served)
        until(lambda: stage.failures or all(stage.served.get(k, 0) >= before.get(k, 0) + n
                                            for k in ("GET", "POST", "h2", "unary", "stream")), "load")

    sidecar = start(0)
    threads = [threading.Thread(target=run, args=(stage, what, argument), daemon=True) for what, argument in
               [(http1, "GET"), (http1, "POST"), (http1, "GET"), (http2, None), (http2, None), (unary, None),
                (unary, None), (stream, None), (stream, None)]]
    for t in threads:
        t.start()
    for n in range(1, ROUNDS + 1):
        busy(1)
        following = start(n)
        sidecar.signal(signal.SIGTERM)
        assert sidecar.wait_exit(2 * DEADLINE) == 0
        assert not stage.failures, stage.failures
        assert "all that was under way has ended" in sidecar.log()
        sidecar.process = None
        sidecar = following
    busy(1)
    stage.over = True
    for t in threads:
        t.join(DEADLINE)
    assert not stage.failures, stage.failures
