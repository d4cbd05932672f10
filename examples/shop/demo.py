#!/usr/bin/env python3
"""Three services, a sidecar beside each, real requests, and what the sidecars saw of them.

    demo.py SIDESPAN                    spans are read from the sidecars' admin ports
    demo.py SIDESPAN --collector PATH   spans go to that OpenTelemetry Collector, and are read from
                                        the file it writes

      caller ──► [sidecar] shop [sidecar] ─┬► [sidecar] users v1    90 of 100
                                           ├► [sidecar] users v2    10 of 100
                                           └► [sidecar] prices      gRPC

Exit status 0 when all holds that it says; 1 otherwise.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

import tree

HERE = pathlib.Path(__file__).resolve().parent
DEADLINE = 30            # seconds: of each wait
WEIGHTS = {"users-v1": 90, "users-v2": 10}
DELAY, DELAY_SHARE = 0.150, 0.10
SERVER, CLIENT = 2, 3


class Failed(Exception):
    """What cannot go on, in a line for the person who started it."""


# -- processes


def free_ports(n):
    """Ports that nobody uses just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


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
            super().__init__([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
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


# -- spans


class Span:
    def __init__(self, span, resource):
        self.resource = resource
        self.service = resource.get("service.name", "?")
        self.version = resource.get("service.version", "")
        self.name, self.kind = span["name"], span["kind"]
        self.trace, self.id, self.parent = span["traceId"], span["spanId"], span.get("parentSpanId", "")
        self.start, self.end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        self.attributes = attributes(span.get("attributes", []))
        self.status = span.get("status", {}).get("code", 0)

    def get(self, key, otherwise=None):
        return self.attributes.get(key, otherwise)

    def identity(self):
        """All that must be the same wherever the span is found."""
        return (self.trace, self.id, self.parent, self.service, self.version, self.name, self.kind,
                self.start, self.end, self.status, repr(sorted(self.attributes.items())))


def attributes(pairs):
    return {pair["key"]: value_of(pair["value"]) for pair in pairs}


def value_of(value):
    [(kind, v)] = value.items()
    if kind == "arrayValue":
        return [value_of(item) for item in v.get("values", [])]
    return int(v) if kind == "intValue" else v


def spans_of(documents):
    """The spans of OTLP JSON documents (TracesData)."""
    return [Span(span, attributes(rs.get("resource", {}).get("attributes", [])))
            for document in documents
            for rs in document.get("resourceSpans", [])
            for ss in rs.get("scopeSpans", []) for span in ss.get("spans", [])]


def by_trace(spans):
    traces = collections.defaultdict(list)
    for span in spans:
        traces[span.trace].append(span)
    return traces


def what_is_wrong(spans):
    """Why these are not one joined trace of a basket; None: they are.

    SERVER (shop) ─ CLIENT (shop) ─ SERVER (users, users, prices), the last two for each of shop's calls.
    """
    ids = {span.id for span in spans}
    children = collections.defaultdict(list)
    for span in spans:
        children[span.parent if span.parent in ids else ""].append(span)
    roots = children.pop("", [])
    if len(roots) != 1 or (roots[0].service, roots[0].kind) != ("shop", SERVER):
        return f"{len(roots)} roots"
    calls = children.pop(roots[0].id, [])
    if [(c.service, c.kind) for c in calls] != [("shop", CLIENT)] * 3:
        return f"{len(calls)} calls of shop"
    asked = []
    for call in calls:
        answers = children.pop(call.id, [])
        if [a.kind for a in answers] != [SERVER]:
            return f"{len(answers)} answers to a call"
        answer = answers[0]
        asked.append(answer.service)
        whose = answer.service if is_grpc(answer) else f"{answer.service}-{answer.version}"
        if whose != call.get("sidespan.cluster"):
            return f"{call.get('sidespan.cluster')} was chosen and {whose} answered"
    if sorted(asked) != ["prices", "users", "users"]:
        return f"shop asked {asked}"
    return f"{len(children)} spans hang in the air" if children else None


def is_grpc(span):
    return span.get("rpc.system") == "grpc"


def what_is_wrong_with_grpc(spans):
    """Why the call of gRPC among these is not one hop of its trace; None: it is."""
    hop = {s.kind: s for s in spans if is_grpc(s)}
    if set(hop) != {CLIENT, SERVER} or sum(is_grpc(s) for s in spans) != 2:
        return f"{sum(is_grpc(s) for s in spans)} spans of gRPC"
    call, answer = hop[CLIENT], hop[SERVER]
    if answer.parent != call.id:
        return "the call and its answer are not joined"
    for span in (call, answer):
        if (span.name, span.get("rpc.service"), span.get("rpc.method"), span.get("rpc.grpc.status_code")) != \
                ("shop.Prices/Get", "shop.Prices", "Get", 0):
            return f"{span.name} with {span.attributes}"
    return None


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


# -- what is said


class Report:
    """Prints each claim with what was found; remembers whether all hold."""

    def __init__(self):
        self.failures = 0

    def claim(self, holds, text):
        self.failures += not holds
        print(f"  {tree.mark(holds)}  {text}")

    def share(self, found, total, share, text):
        """That found of total is what a draw with that share gives, within 3 standard deviations."""
        expected = total * share
        slack = 3 * (total * share * (1 - share)) ** 0.5
        self.claim(abs(found - expected) <= slack,
                   f"{text}: {found} of {total}; {share:.0%} is {expected:.0f} ± {slack:.0f} (3 σ)")


def show_some(traces, answers):
    """A trace of each sort, as a tree: the one that waited least for others."""
    picked = {}
    for user, status, answer, _ in sorted(answers, key=lambda a: a[3]):
        spans = traces.get(answer.get("trace"), [])
        calls = [s for s in spans if s.kind == CLIENT and not is_grpc(s)]
        if not calls:
            continue
        delayed = any("sidespan.fault_delay" in c.attributes for c in calls)
        sort = (status, calls[0].get("sidespan.cluster"), delayed)
        picked.setdefault(sort, (user, spans))
    titles = {(200, "users-v1", False): "served by users v1",
              (200, "users-v2", False): "served by users v2",
              (200, "users-v1", True): "held back by the injected delay",
              (404, "users-v1", False): "of a user that does not exist",
              (404, "users-v2", False): "of a user that does not exist"}
    for sort, title in titles.items():
        if sort in picked:
            user, spans = picked[sort]
            print(f"\nA basket {title}: GET /baskets/{user}")
            print(tree.draw(spans))


def judge(shop, traces, answers, report):
    good = [a for a in answers if a[0] != 0]
    n = len(good)
    baskets = {a[2].get("trace"): a for a in good}
    report.claim(all(a[1] == 200 for a in good), f"{n} requests were answered 200")

    wrong = [w for t in baskets if (w := what_is_wrong(traces.get(t, [])))]
    report.claim(not wrong and len(baskets) == n,
                 f"{len(baskets) - len(wrong)} traces are joined: CLIENT → SERVER across both sidecars, "
                 f"one trace id each" + (f"; wrong, for example: {wrong[0]}" if wrong else ""))
    wrong = [w for t in baskets if (w := what_is_wrong_with_grpc(traces.get(t, [])))]
    report.claim(not wrong,
                 f"{len(baskets) - len(wrong)} of them go on over gRPC: shop.Prices/Get, CLIENT → SERVER"
                 + (f"; wrong, for example: {wrong[0]}" if wrong else ""))

    calls = {t: [s for s in traces.get(t, []) if s.kind == CLIENT and not is_grpc(s)] for t in baskets}
    versions = {t: {c.get("sidespan.cluster") for c in cs} for t, cs in calls.items()}
    said = {t: {f"users-{v}" for v in a[2].get("versions", [])} for t, a in baskets.items()}
    report.claim(all(len(v) == 1 for v in versions.values()) and versions == said,
                 "each trace saw one version, the one on its spans")
    v2 = sum("users-v2" in v for v in versions.values())
    report.share(v2, n, WEIGHTS["users-v2"] / sum(WEIGHTS.values()),
                 f"the split {n - v2} / {v2}, users-v2 got")

    delayed = {t for t, cs in calls.items() if any("sidespan.fault_delay" in c.attributes for c in cs)}
    report.share(len(delayed), n, DELAY_SHARE, f"the delay of {DELAY * 1000:.0f} ms struck")
    held = [c for t in delayed for c in calls[t] if "sidespan.fault_delay" in c.attributes]
    report.claim(held and all(c.get("sidespan.fault_delay") >= DELAY and (c.end - c.start) / 1e9 >= DELAY
                              for c in held)
                 and all(baskets[t][3] >= DELAY for t in delayed),
                 "and its spans say so, and those requests took as long")

    for sidecar in shop.sidecars:
        for row in sidecar.ledgers():
            dropped = sum(row["dropped"].values())
            report.claim(row["started"] == row["exported"] + row["rejected"] + dropped + row["waiting"]
                         and dropped == row["rejected"] == 0,
                         f"{sidecar.name}, {row['exporter']}: {row['started']} spans started = "
                         f"{row['exported']} exported + {row['rejected']} rejected + {dropped} dropped "
                         f"+ {row['waiting']} waiting")


def judge_collector(shop, spans, report):
    kept = collections.Counter(s.identity() for s in shop.kept_spans())
    got = collections.Counter(s.identity() for s in spans)
    missing, more = kept - got, got - kept
    report.claim(not missing and not more,
                 f"the collector wrote the same {sum(got.values())} spans that the sidecars kept"
                 + (f": {sum(missing.values())} are missing, {sum(more.values())} are others"
                    if missing or more else ""))
    for one in (*list(missing)[:1], *list(more)[:1]):
        print(f"      {one}")


def show(arguments, folder, stack):
    where = "an OpenTelemetry Collector's file" if arguments.collector else "the sidecars' memory"
    print("Starting the services shop, users (in two versions) and prices (gRPC), and a sidecar beside each ...")
    shop = Shop(arguments.sidespan, arguments.collector, folder, stack)
    print(f"Sending {arguments.requests} requests; the spans are read from {where}.")
    start = time.monotonic()
    answers = send(shop.port, range(arguments.requests + 1), arguments.seed)    # there is no user 0
    took = time.monotonic() - start

    def expected():
        # Of a basket seven, of the user who does not exist three.
        spans = shop.spans()
        return spans if len(spans) >= 7 * arguments.requests + 3 else None
    spans = until(expected, "the spans", shop.sidecars)
    traces = by_trace(spans)
    show_some(traces, answers)

    print(f"\n{len(answers)} requests in {took:.1f} s, {len(spans)} spans of {len(traces)} traces:")
    report = Report()
    judge(shop, traces, answers, report)
    if arguments.collector:
        judge_collector(shop, spans, report)
    for sidecar in shop.sidecars:
        sidecar.tell()
    ends = {sidecar.name: sidecar.end() for sidecar in shop.sidecars}
    report.claim(not any(ends.values()), "the sidecars drained and ended with status 0"
                 + "".join(f"; {n}: {s}" for n, s in ends.items() if s))
    return report.failures


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description=__doc__)
    parser.add_argument("sidespan", help="the binary")
    parser.add_argument("--collector", metavar="PATH", help="an OpenTelemetry Collector")
    parser.add_argument("--requests", type=int, default=1000)
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
