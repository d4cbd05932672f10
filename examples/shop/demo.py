#!/usr/bin/env python3
"""Three services, a sidecar beside each, real requests, and what the sidecars saw of them.

    demo.py SIDESPAN                    spans are read from the sidecars' admin ports
    demo.py SIDESPAN --collector PATH   spans go to that OpenTelemetry Collector, and are read from
                                        the file it writes
    demo.py SIDESPAN --keep             all of it stays, to be tried by hand, until Ctrl-C

      caller ──► [sidecar] shop [sidecar] ─┬► [sidecar] users v1    90 of 100
                                           ├► [sidecar] users v2    10 of 100
                                           └► [sidecar] prices      gRPC

Exit status 0 when all holds that it says; 1 otherwise.
"""
import argparse
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import tree
import verdict
from spans import by_trace, spans_of

HERE = pathlib.Path(__file__).resolve().parent
DEADLINE = 60            # seconds: of each wait
REQUESTS_MAX = 10000     # the sidecars' memory has room for the spans of so many


class Failed(Exception):
    """What cannot go on, in a line for the person who started it."""


# -- processes


def free_ports(n):
    """Ports that nobody uses just now, and that the system gives to no connection meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest = int(file.read().split()[0])
    choice = range(lowest // 2, lowest) if lowest > 4096 else range(20000, 32000)
    with contextlib.ExitStack() as stack:
        ports = []
        while len(ports) < n:
            s = stack.enter_context(socket.socket())
            port = random.choice(choice)
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                ports.append(port)
        return ports


def until(true, what, alive=()):
    """Asks until it is true. what says what was waited for; alive are processes that must live."""
    end = time.monotonic() + DEADLINE
    while not (value := true()):
        for process in alive:
            if process.poll() is not None:
                raise Failed(f"{process.name} ended with status {process.returncode}:\n{process.log()}")
        if time.monotonic() > end:
            raise Failed(f"waited {DEADLINE} s in vain for {what}")
        time.sleep(0.02)
    return value


def listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Process(subprocess.Popen):
    """A program that runs until the end of the demo, its output in a file."""

    def __init__(self, name, argv, folder, **env):
        self.name, self.told = name, False
        self.log_path = folder / f"{name}.log"
        plain = {k: v for k, v in os.environ.items()
                 if not k.startswith("OTEL_") and not k.lower().endswith("_proxy")}
        with open(self.log_path, "wb") as log:
            # A session of its own: Ctrl-C is for the demo, which ends the others in order.
            super().__init__([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             start_new_session=True,
                             env={**plain, **{k: str(v) for k, v in env.items()}})

    def tell(self):
        if not self.told and self.poll() is None:
            self.told = True
            self.terminate()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def end(self):
        """SIGTERM, once; the exit status."""
        self.tell()
        try:
            return self.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.wait()

    close = end


class Sidecar(Process):
    def __init__(self, binary, name, config, admin_port, folder, **env):
        self.admin_port = admin_port
        super().__init__(name, [binary, "--config", HERE / config], folder, **env)

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=DEADLINE)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def is_ready(self):
        with contextlib.suppress(OSError):
            return self.ask("/readyz")[0] == 200

    def traces(self):
        return json.loads(self.ask("/traces?limit=100000")[1])

    def ledgers(self):
        return json.loads(self.ask("/ledger")[1])["exporters"]


class Shop:
    """The services (users in two versions), the sidecars beside them, perhaps a collector."""

    def __init__(self, binary, collector, folder, stack):
        (shop, v1, v2, prices, self.port, proxy, grpc, v1_in, v2_in, prices_in, shop_admin, v1_admin,
         v2_admin, prices_admin, collector_port) = free_ports(15)

        def run(process):
            return stack.enter_context(contextlib.closing(process))

        self.spans_file = folder / "spans.jsonl"
        exporters = "collector" if collector else "memory"
        env = {"EXPORTERS": exporters, "COLLECTOR": f"127.0.0.1:{collector_port}"}
        self.collector = None
        if collector:
            self.collector = run(Process("collector", [collector, "--config", HERE / "collector.yaml"],
                                         folder, COLLECTOR_FILE=self.spans_file, **env))
            until(lambda: listens(collector_port), "the collector", [self.collector])

        def service(name, script, port, *arguments, **env):
            return run(Process(name, [sys.executable, HERE / script, "--port", port, *arguments],
                               folder, **env))

        services = [service("shop", "shop.py", shop, "--prices", f"127.0.0.1:{grpc}",
                            http_proxy=f"http://127.0.0.1:{proxy}"),
                    service("users-v1", "users.py", v1, "--version", "v1"),
                    service("users-v2", "users.py", v2, "--version", "v2"),
                    service("prices", "prices.py", prices)]
        self.sidecars = [run(Sidecar(
            binary, "sidespan-shop", "shop.conf", shop_admin, folder,
            SHOP_LISTEN=f"127.0.0.1:{self.port}", SHOP_SERVICE=f"127.0.0.1:{shop}",
            SHOP_PROXY=f"127.0.0.1:{proxy}", SHOP_GRPC=f"127.0.0.1:{grpc}",
            SHOP_ADMIN=f"127.0.0.1:{shop_admin}", USERS_V1=f"127.0.0.1:{v1_in}",
            USERS_V2=f"127.0.0.1:{v2_in}", PRICES=f"127.0.0.1:{prices_in}", **env))]
        for version, port, listen, admin in (("v1", v1, v1_in, v1_admin), ("v2", v2, v2_in, v2_admin)):
            self.sidecars.append(run(Sidecar(
                binary, f"sidespan-users-{version}", "users.conf", admin, folder,
                USERS_VERSION=version, USERS_LISTEN=f"127.0.0.1:{listen}",
                USERS_SERVICE=f"127.0.0.1:{port}", USERS_ADMIN=f"127.0.0.1:{admin}", **env)))
        self.sidecars.append(run(Sidecar(
            binary, "sidespan-prices", "prices.conf", prices_admin, folder,
            PRICES_LISTEN=f"127.0.0.1:{prices_in}", PRICES_SERVICE=f"127.0.0.1:{prices}",
            PRICES_ADMIN=f"127.0.0.1:{prices_admin}", **env)))
        for port, process in zip((shop, v1, v2, prices), services):
            until(lambda: listens(port), process.name, [process])
        for sidecar in self.sidecars:
            until(sidecar.is_ready, f"{sidecar.name} to be ready", [sidecar])

    def spans(self):
        """Where the demo looks for them: in the collector's file, or in the sidecars' memory."""
        if self.collector:
            return spans_of(read_lines(self.spans_file))
        return self.kept_spans()

    def kept_spans(self):
        return [s for sidecar in self.sidecars for s in spans_of([sidecar.traces()])]


def read_lines(path):
    """The collector's file, but for a last line that is still being written."""
    if not path.exists():
        return
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


# -- traffic


def send(port, users, seed, connections=8):
    """Asks for each user's basket over kept connections: [(user, status, answer, seconds)]."""
    own = threading.local()

    def ask(user):
        headers = {"Host": "shop.local"}
        if seed is not None:
            ids = random.Random(f"{seed}/{user}")
            headers["traceparent"] = f"00-{ids.getrandbits(128):032x}-{ids.getrandbits(64):016x}-01"
        if not hasattr(own, "connection"):
            own.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        start = time.monotonic()
        own.connection.request("GET", f"/baskets/{user}", headers=headers)
        response = own.connection.getresponse()
        body = response.read()
        return user, response.status, json.loads(body or b"{}"), time.monotonic() - start

    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        return list(pool.map(ask, users))


# -- what to try by hand


NEXT = """
All of it is still running, until Ctrl-C here (or: kill {pid}).
What to try next, in another terminal:

  Ask, and see the trace of it, joined over the sidecars:

    curl -s http://127.0.0.1:{port}/baskets/7
    python3 {tree} {admins}

  Look, in a browser, at what the sidecar of shop kept, counts, and follows:

    http://127.0.0.1:{admin}/traces?limit=20
    http://127.0.0.1:{admin}/metrics
    http://127.0.0.1:{admin}/config

  Change {here}/shop.conf: "weight 90" to "weight 10" where it
  stands twice, say, or "fault delay 150ms for 10%" to "fault abort 503 for
  50%". What was saved is in force at once. Ask again; or ask what would become
  of a request that nobody sends:

    {sidespan} explain --config {conf} \\
        'GET http://users.shop.local/api/users/7'
"""


def interrupt(*_):
    raise KeyboardInterrupt


def keep(shop, sidespan):
    """Until somebody ends it, or a sidecar ends by itself."""
    # SIGINT too: who starts it in the background of a script has had it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    admins = " ".join(str(s.admin_port) for s in shop.sidecars)
    here = os.path.relpath(HERE)
    print(NEXT.format(pid=os.getpid(), port=shop.port, admin=shop.sidecars[0].admin_port, admins=admins, here=here,
                      tree=shlex.quote(f"{here}/tree.py"), conf=shlex.quote(f"{here}/shop.conf"),
                      sidespan=shlex.quote(sidespan)))
    with contextlib.suppress(KeyboardInterrupt):
        while not any(s.poll() is not None for s in shop.sidecars):
            time.sleep(0.5)
    print()


def show(arguments, folder, stack):
    where = "an OpenTelemetry Collector's file" if arguments.collector else "the sidecars' memory"
    print(tree.folded("", "Starting the services shop, users (in two versions) and prices (gRPC), "
                      "and a sidecar beside each ..."))
    shop = Shop(arguments.sidespan, arguments.collector, folder, stack)
    print(tree.folded("", f"Sending {arguments.requests} requests; the spans are read from {where}."))
    start = time.monotonic()
    answers = send(shop.port, range(arguments.requests + 1), arguments.seed)    # there is no user 0
    took = time.monotonic() - start

    def expected():
        # Of a basket seven, of the user who does not exist three.
        spans = shop.spans()
        return spans if len(spans) >= 7 * arguments.requests + 3 else None
    spans = until(expected, "the spans", shop.sidecars)
    traces = by_trace(spans)
    verdict.show_some(traces, answers)

    print(f"\n{len(answers)} requests in {took:.1f} s, {len(spans)} spans of {len(traces)} traces:")
    report = verdict.Report()
    verdict.judge(shop, traces, answers, report)
    if arguments.collector:
        verdict.judge_collector(shop, spans, report)
    if arguments.keep:
        keep(shop, arguments.sidespan)
    for sidecar in shop.sidecars:
        sidecar.tell()
    ends = {sidecar.name: sidecar.end() for sidecar in shop.sidecars}
    report.claim(not any(ends.values()), "the sidecars drained and ended with status 0"
                 + "".join(f"; {n}: {s}" for n, s in ends.items() if s))
    return report.failures


def requests(text):
    if not text.isdigit() or int(text) > REQUESTS_MAX:
        raise argparse.ArgumentTypeError(f"a number from 0 to {REQUESTS_MAX} is needed")
    return int(text)


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description=__doc__)
    parser.add_argument("sidespan", help="the binary")
    parser.add_argument("--collector", metavar="PATH", help="an OpenTelemetry Collector")
    parser.add_argument("--requests", metavar="N", type=requests, default=1000)
    parser.add_argument("--keep", action="store_true", help="leave it running, and say what to try")
    parser.add_argument("--seed", help="the caller begins the traces itself, with the same ids in every "
                        "run: then the split and the delays are the same too")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True, errors="replace")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sidespan-demo."))
    failures = 1
    try:
        with contextlib.ExitStack() as stack:
            failures = show(arguments, folder, stack)
    except (Failed, OSError) as e:
        print(f"demo: {e}", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    if failures:
        print(f"\nNot all of it holds. Logs: {folder}")
        sys.exit(1)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    print("\nAll of it holds.")


if __name__ == "__main__":
    main()
