#!/usr/bin/env python3
"""Proxies side by side on the same work, in one run.

    bench.py --scenario h1 --proxies relay,haproxy,nginx,envoy,sidespan --sidespan build/sidespan

Each proxy is started anew for each round, pinned to one processor, warmed up, and loaded from
another. The figure to compare is the CPU time for a request (user and system, all threads of the
proxy's process tree): on a shared machine it holds where requests per second and latency do not.
Those, and memory, are printed beside it. Of a proxy that traces, `spans` is the share of requests
whose span arrived at the collector: a figure counts only where that is 1 (2 for Traefik, which makes
two a request).

Scenarios
  h1        HTTP/1.1, 64 kept connections, answers of 128 bytes, as fast as it goes
  h1-rate   the same at 2,000 requests a second over 16 connections: the latency that is added
  h1-close  a connection for each request
  h1-1m     answers of 1 MiB over 16 connections: CPU time for a GiB
  h2        HTTP/2 (prior knowledge) to an HTTP/1.1 origin, 8 connections of 16 streams
  h2-h2     HTTP/2 on both sides, 8 connections of 16 streams
  grpc      unary calls (ghz), 50 at a time over one connection, as fast as it goes; the same directly, so
            that the latency that is added can be told
  grpc-rate the same at 2,000 calls a second
  streams   1,000 open calls of gRPC in which nothing happens, over 10 connections: bytes of memory for each
  idle      4,000 idle kept connections: bytes of memory for each
  start     from exec to the first answered request, and memory then
  syscalls  10,000 requests on one kept connection under strace: system calls for each request

Proxies
  direct    none: the origin itself        relay     moves bytes, understands nothing: the floor
  haproxy, nginx, nghttpx                  no tracing, no export
  envoy, traefik, caddy, sidespan          each request traced, spans exported over OTLP/gRPC
"""
import argparse
import contextlib
import dataclasses
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import streams

HERE = Path(__file__).resolve().parent
PEERS = Path(os.environ.get("SIDESPAN_PEERS")
             or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sidespan-peers")
TOOLS = PEERS / "sidespan-bench"

LISTEN, ORIGIN, COLLECTOR, COLLECTOR_HTTP = 18080, 18081, 18317, 18318
PROXY_CPU, LOAD_CPU = 0, 1
WARM_UP = 2                 # seconds
IDLE_CONNECTIONS = 4000
STREAM_CONNECTIONS, STREAMS_EACH = 10, 100
CALLS_AT_ONCE = 50
HEALTH = "grpc.health.v1.Health"        # the service of calls/
COUNTED_REQUESTS = 10000
MIB, GIB = 1 << 20, 1 << 30


class Missing(Exception):
    """Something that the benchmark needs is not here."""


# -- what is measured


@dataclasses.dataclass(frozen=True)
class Scenario:
    h2_front: bool = False          # the client speaks HTTP/2
    h2_back: bool = False           # the origin does
    body: int = 128
    connections: int = 0
    streams: int = 1
    rate: int = 0                   # requests a second on each connection (calls: in all); 0: as fast as it goes
    close: bool = False             # a connection for each request
    calls: bool = False             # of gRPC, and so both sides speak HTTP/2


SCENARIOS = {
    "h1": Scenario(connections=64),
    "h1-rate": Scenario(connections=16, rate=125),
    "h1-close": Scenario(connections=16, close=True),
    "h1-1m": Scenario(connections=16, body=MIB),
    "h2": Scenario(h2_front=True, connections=8, streams=16),
    "h2-h2": Scenario(h2_front=True, h2_back=True, connections=8, streams=16),
    "grpc": Scenario(h2_front=True, h2_back=True, calls=True),
    "grpc-rate": Scenario(h2_front=True, h2_back=True, calls=True, rate=2000),
    "streams": Scenario(h2_front=True, h2_back=True, calls=True),
    "idle": Scenario(),
    "start": Scenario(),
    "syscalls": Scenario(connections=1),
}


# -- the proxies: how each is started


def program(name):
    """Of the peers' virtual environment, or of the system."""
    for path in (PEERS / "venv" / "bin" / name, Path("/usr/sbin") / name, shutil.which(name)):
        if path and Path(path).exists():
            return str(path)
    raise Missing(f"{name} is not installed")


def peer(name):
    """Of tests/peers, which builds it where it is not there."""
    built = subprocess.run([HERE.parent / "tests" / "peers" / f"get-{name}"], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True)
    if built.returncode != 0:
        raise Missing(built.stderr.strip())
    return built.stdout.strip()


def envoy_program():
    """The package's own program: its launcher would be measured too."""
    return str(next(PEERS.glob("venv/lib/python*/site-packages/envoy/_bin/envoy"), None)
               or program("envoy"))


def relay(run):
    return [TOOLS / "relay", LISTEN, ORIGIN]


def haproxy(run):
    return [program("haproxy"), "-f", run.config("haproxy.cfg",
                                                 FRONT_PROTOCOL=" proto h2" if run.scenario.h2_front else "",
                                                 BACK_PROTOCOL=" proto h2" if run.scenario.h2_back else "")]


def nginx(run):
    if run.scenario.h2_back:
        return None                 # it speaks no HTTP/2 to an origin
    return [program("nginx"), "-p", run.folder, "-c",
            run.config("nginx.conf", FRONT_PROTOCOL=" http2" if run.scenario.h2_front else "")]


def nghttpx(run):
    back = ";;proto=h2" if run.scenario.h2_back else ""
    return [program("nghttpx"), "-n1", "--conf=/dev/null", f"-f127.0.0.1,{LISTEN};no-tls",
            f"-b127.0.0.1,{ORIGIN}{back}", "--accesslog-file=/dev/null", "-LERROR"]


def envoy(run):
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    h2 = (f'typed_extension_protocol_options: {{{options}: {{"@type": type.googleapis.com/{options}, '
          "explicit_http_config: {http2_protocol_options: {}}}}")
    config = run.config("envoy.yaml", UPSTREAM_PROTOCOL=h2 if run.scenario.h2_back else "")
    return [envoy_program(), "-c", config, "--concurrency", 1, "-l", "error", "--disable-hot-restart"]


def traefik(run):
    run.config("traefik-routes.yaml", SCHEME="h2c" if run.scenario.h2_back else "http")
    return [program("traefik"), f"--configFile={run.config('traefik.yaml')}"]


def caddy(run):
    scheme = "h2c://" if run.scenario.h2_back else ""
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config",
            run.config("Caddyfile", CADDY_SCHEME=scheme)]


def sidespan(run):
    binary = run.options.sidespan or program("sidespan")
    return [binary, "--workers", 1, "--config",
            run.config("sidespan.conf", PROTOCOL="h2" if run.scenario.h2_back else "h1")]


PROXIES = {f.__name__: f for f in (relay, haproxy, nginx, nghttpx, envoy, traefik, caddy, sidespan)}
TRACING = {"envoy", "traefik", "caddy", "sidespan"}


# -- what a process spends


def process_tree(pid):
    """The process and its descendants."""
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{found[-1]}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pid):
    """On a processor so far, in nanosecond grain, of all threads of the tree."""
    total = 0
    for p in process_tree(pid):
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{p}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_bytes(pid):
    """Proportional set size of the tree: what is shared counts once."""
    total = 0
    for p in process_tree(pid):
        with contextlib.suppress(OSError):
            if m := re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{p}/smaps_rollup").read_text(), re.M):
                total += int(m[1]) * 1024
    return total


# -- waiting


def until(true, what, seconds=15):
    """Asks as often as it can; what says what was waited for."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise Missing(f"waited {seconds} s in vain for {what}")
        time.sleep(0.001)


def connects(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
        return True
    return False


def answers(port):
    """Whether a request is really answered."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5) as s:
        s.settimeout(1)
        s.sendall(b"GET / HTTP/1.1\r\nHost: bench.local\r\n\r\n")
        return s.recv(4096).startswith(b"HTTP/1.1 200")
    return False


# -- load


@dataclasses.dataclass
class Load:
    done: int
    errors: int
    seconds: float


def seconds_of(text):
    """'1.5s', '20ms', '2m'"""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]


def h2load(scenario, seconds, url, log):
    argv = ["h2load", *(["-p", "h2c", "-m", scenario.streams] if scenario.h2_front else ["--h1"]),
            "-c", scenario.connections, "-t", 1, "-D", seconds, "-H", "user-agent: bench"]
    if scenario.rate:
        argv += ["--rps", scenario.rate, f"--log-file={log}"]
    out = pinned(LOAD_CPU, [*argv, url])
    m = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded", out)
    took = re.search(r"finished in ([\d.]+(?:us|ms|s|m))", out)
    if not m or not took:
        raise Missing(f"h2load said nothing that can be used:\n{out[-800:]}")
    return Load(int(m[1]), int(m[1]) - int(m[2]), seconds_of(took[1]))


def ghz(scenario, seconds, port):
    """The load, and latencies in microseconds."""
    limit = ["--rps", scenario.rate] if scenario.rate else []
    out = pinned(LOAD_CPU, [peer("ghz"), "--insecure", "--proto", HERE / "calls" / "health.proto",
                            "--call", f"{HEALTH}/Check", "-d", "{}", "-c", CALLS_AT_ONCE, "-z", f"{seconds}s",
                            "--duration-stop=wait", *limit, "-O", "json", f"127.0.0.1:{port}"])
    try:
        told = json.loads(out)
    except ValueError:
        raise Missing(f"ghz said nothing that can be used:\n{out[-800:]}") from None
    done = told.get("count", 0)
    latency = {f"p{row['percentage']}_us": row["latency"] / 1e3 for row in told.get("latencyDistribution") or ()
               if row["percentage"] in (50, 99)}
    return Load(done, done - (told.get("statusCodeDistribution") or {}).get("OK", 0), told["total"] / 1e9), latency


def wrk(scenario, seconds, url):
    out = pinned(LOAD_CPU, ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s",
                            "-H", "Connection: close", url])
    m = re.search(r"(\d+) requests in ([\d.]+(?:us|ms|s|m))", out)
    if not m:
        raise Missing(f"wrk said nothing that can be used:\n{out[-800:]}")
    bad = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", out)))
    if e := re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out):
        bad += sum(map(int, e.groups()))
    return Load(int(m[1]), bad, seconds_of(m[2]))


def pinned(cpu, argv):
    done = subprocess.run(["taskset", "-c", str(cpu), *map(str, argv)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    return done.stdout + done.stderr


# -- one round of one proxy


class Run:
    """The origin, the collector and the proxy, for as long as one measurement takes."""

    def __init__(self, proxy, name, options):
        self.proxy, self.name, self.options = proxy, name, options
        self.scenario = SCENARIOS[name]
        self.folder = Path(tempfile.mkdtemp(prefix="sidespan-bench."))
        self.processes = []
        self.process = None
        self.port = ORIGIN if proxy == "direct" else LISTEN
        self.latency = {}           # of the last load, where its generator tells it

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in reversed(self.processes):
            self.end(p)
        shutil.rmtree(self.folder, ignore_errors=True)
        time.sleep(0.2)

    def spawn(self, cpu, argv):
        """Starts a program on one processor, in a process group of its own."""
        env = dict(os.environ, GOMAXPROCS="1", OTEL_SERVICE_NAME="bench",
                   OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{COLLECTOR}",
                   OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_INSECURE="true")
        with open(self.folder / "log", "ab") as log:
            p = subprocess.Popen(["taskset", "-c", str(cpu), *map(str, argv)], stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log, env=env, start_new_session=True)
        self.processes.append(p)
        return p

    def end(self, p):
        if p.poll() is not None:
            return
        os.killpg(p.pid, signal.SIGTERM)
        try:
            p.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()

    def config(self, name, **values):
        """The file of peers/, with @NAME@ replaced; its path."""
        values |= {"DIR": self.folder, "LISTEN": LISTEN, "ORIGIN": ORIGIN, "COLLECTOR": COLLECTOR}
        text = re.sub(r"@(\w+)@", lambda m: str(values[m[1]]), (HERE / "peers" / name).read_text())
        path = self.folder / name
        path.write_text(text)
        return path

    def start_origin(self):
        if self.scenario.calls:
            self.spawn(LOAD_CPU, [TOOLS / "calls", f"127.0.0.1:{ORIGIN}"])
        elif self.scenario.h2_back:
            (self.folder / "api").mkdir()
            (self.folder / "api" / "items").write_bytes(b"x" * self.scenario.body)
            self.spawn(LOAD_CPU, [program("nghttpd"), "--no-tls", "-d", self.folder, "-a", "127.0.0.1", ORIGIN])
        else:
            self.spawn(LOAD_CPU, [TOOLS / "origin", ORIGIN, self.scenario.body])
        until(lambda: connects(ORIGIN), "the origin")

    def start_collector(self):
        self.spawn(LOAD_CPU, [TOOLS / "sink", "-grpc", f"127.0.0.1:{COLLECTOR}",
                              "-http", f"127.0.0.1:{COLLECTOR_HTTP}"])
        until(lambda: connects(COLLECTOR_HTTP), "the collector")

    def start_proxy(self, argv):
        """Seconds from exec to the first answered request."""
        start = time.monotonic()
        self.process = self.spawn(PROXY_CPU, argv)

        def ready():
            if self.process.poll() is not None:
                raise Missing(f"{self.proxy} ended:\n{(self.folder / 'log').read_text()[-2000:]}")
            return (connects if self.scenario.h2_front else answers)(LISTEN)
        until(ready, f"an answer of {self.proxy}")
        return time.monotonic() - start

    def spans(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{COLLECTOR_HTTP}/count", timeout=5) as r:
            return int(r.read())

    def cpu(self):
        return cpu_seconds(self.process.pid) if self.process else 0.0

    def memory(self):
        return memory_bytes(self.process.pid) if self.process else 0

    def load(self, seconds):
        if self.scenario.calls:
            load, self.latency = ghz(self.scenario, seconds, self.port)
            return load
        url = f"http://127.0.0.1:{self.port}/api/items?id=7"
        if self.scenario.close:
            return wrk(self.scenario, seconds, url)
        return h2load(self.scenario, seconds, url, self.folder / "latency")

    def measure(self):
        """The figures by name; None: this proxy does not do that."""
        if self.scenario.close and self.proxy in ("direct", "relay"):
            return None             # neither closes after an answer
        argv = None
        if self.proxy != "direct":
            argv = PROXIES[self.proxy](self)
            if argv is None:
                return None
        self.start_origin()
        self.start_collector()
        started = self.start_proxy(argv) if argv else 0.0
        if self.name == "start":
            time.sleep(0.3)
            return {"start_ms": started * 1e3, "memory_mib": self.memory() / MIB}
        if self.name == "idle":
            return self.measure_idle()
        if self.name == "streams":
            return self.measure_streams()
        if self.name == "syscalls":
            return self.measure_syscalls()
        return self.measure_load()

    def measure_load(self):
        warm_up = self.load(WARM_UP)
        self.wait_spans(warm_up.done)
        cpu, spans = self.cpu(), self.spans()
        load = self.load(self.options.seconds)
        self.wait_spans(spans + load.done)      # the last spans are a cost of these requests too
        cpu = self.cpu() - cpu
        done = max(load.done, 1)
        figures = {"rps": load.done / load.seconds, "cpu_us": cpu / done * 1e6, "errors": load.errors,
                   "memory_mib": self.memory() / MIB}
        if self.proxy in TRACING:
            figures["spans"] = (self.spans() - spans) / done
        if self.scenario.body == MIB:
            figures["cpu_s_per_gib"] = cpu / (done * MIB / GIB)
        if self.scenario.calls:
            figures |= self.latency
        elif self.scenario.rate:
            figures |= self.latencies()
        return figures

    def wait_spans(self, n):
        if self.proxy in TRACING:
            with contextlib.suppress(Missing):
                until(lambda: self.spans() >= n or time.sleep(0.1), "spans", 12)

    def latencies(self):
        """h2load's log has a line for each request: when, status, microseconds."""
        us = sorted(int(line.split("\t")[2]) for line in (self.folder / "latency").read_text().splitlines())
        return {f"p{q:g}_us": us[min(len(us) - 1, int(len(us) * q / 100))] for q in (50, 90, 99, 99.9)}

    def measure_syscalls(self):
        """By strace, of all threads: calls that carry bytes, and all others by name."""
        n = COUNTED_REQUESTS
        pinned(LOAD_CPU, ["h2load", "--h1", "-c1", "-n100", f"http://127.0.0.1:{self.port}/api/items"])
        out = self.folder / "strace"
        pids = [a for p in process_tree(self.process.pid) for a in ("-p", p)]
        tracer = subprocess.Popen([program("strace"), "-f", "-c", "-o", out, *map(str, pids)],
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            tracer.stderr.readline()            # "strace: Process N attached"
            pinned(LOAD_CPU, ["h2load", "--h1", "-c1", f"-n{n}", f"http://127.0.0.1:{self.port}/api/items"])
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
        finally:
            tracer.kill()
        calls = {}
        for line in out.read_text().splitlines():
            words = line.split()                # % seconds us/call calls [errors] syscall
            if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
                calls[words[-1]] = int(words[3]) / n
        carrying = ("recvfrom", "recvmsg", "read", "readv", "sendto", "sendmsg", "write", "writev", "splice")
        figures = {"bytes_calls": sum(calls.get(c, 0) for c in carrying)}
        figures |= {c: v for c, v in sorted(calls.items(), key=lambda i: -i[1]) if v >= 0.01}
        return figures

    def measure_idle(self):
        request = b"GET /api/items?id=7 HTTP/1.1\r\nHost: bench.local\r\n\r\n"
        body = b"x" * self.scenario.body
        time.sleep(0.5)
        before = self.memory()
        with contextlib.ExitStack() as stack:
            for _ in range(IDLE_CONNECTIONS):
                s = stack.enter_context(socket.create_connection(("127.0.0.1", self.port), 5))
                s.sendall(request)
                answer = b""
                while body not in answer:
                    more = s.recv(4096)
                    if not more:
                        raise Missing(f"{self.proxy} closed an idle connection")
                    answer += more
            time.sleep(1)
            after = self.memory()
        return {"bytes_per_connection": (after - before) / IDLE_CONNECTIONS, "memory_mib": after / MIB}

    def measure_streams(self):
        n = STREAM_CONNECTIONS * STREAMS_EACH
        time.sleep(0.5)
        before = self.memory()
        with contextlib.ExitStack() as stack:
            for _ in range(STREAM_CONNECTIONS):
                try:
                    stack.enter_context(streams.opened(self.port, f"/{HEALTH}/Watch", STREAMS_EACH))
                except OSError as e:
                    raise Missing(f"{self.proxy} did not open {STREAMS_EACH} streams on a connection: {e}") from e
            after = self.settled_memory()
        return {"bytes_per_stream": (after - before) / n, "memory_mib": after / MIB}

    def settled_memory(self):
        """When it has not fallen for three seconds: a proxy may give back in a while what it needs no more."""
        least, since = self.memory(), time.monotonic()
        while time.monotonic() < since + 3:
            time.sleep(0.25)
            if (now := self.memory()) < least:
                least, since = now, time.monotonic()
        return self.memory()


# -- all of it


def build_tools():
    """The relay, the origin and the collector, where they are not there or older than their source."""
    TOOLS.mkdir(parents=True, exist_ok=True)

    def is_old(name, source):
        out = TOOLS / name
        return not out.exists() or out.stat().st_mtime < source.stat().st_mtime
    for name in ("origin", "relay"):
        source = HERE / f"{name}.c"
        if is_old(name, source):
            subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-o", TOOLS / name, source], check=True)
    for name in ("sink", "calls"):
        if is_old(name, HERE / name / "main.go"):
            if not shutil.which("go"):
                raise Missing("go (1.26 or later), which builds the collector that counts spans")
            subprocess.run(["go", "build", "-o", TOOLS / name, "."], cwd=HERE / name, check=True)


def add_latencies(rounds):
    """What each proxy adds to the calls of the same round without one."""
    for proxy, rows in rounds.items():
        for row, direct in zip(rows, rounds["direct"]):
            row |= {f"{q}_added_us": row[f"{q}_us"] - direct[f"{q}_us"] for q in ("p50", "p99") if proxy != "direct"}


def print_table(name, rounds):
    """Medians, as the table of README.md."""
    keys = list(dict.fromkeys(k for rows in rounds.values() for row in rows for k in row))
    print(f"| {name} | " + " | ".join(keys) + " |")
    print("|---" * (len(keys) + 1) + "|")
    for proxy, rows in rounds.items():
        cells = []
        for key in keys:
            values = [row[key] for row in rows if key in row]
            cells.append(f"{statistics.median(values):.4g}" if values else "")
        print(f"| {proxy} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--scenario", default="h1", choices=SCENARIOS, metavar="NAME")
    parser.add_argument("--proxies", default="relay,haproxy,nginx,envoy,sidespan", metavar="NAME,...")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6, help="of load in each round")
    parser.add_argument("--sidespan", metavar="PATH", help="the binary")
    parser.add_argument("--json", metavar="FILE", help="every round's figures")
    options = parser.parse_args()
    proxies = options.proxies.split(",")
    for proxy in proxies:
        if proxy not in PROXIES and proxy != "direct":
            parser.error(f"there is no proxy {proxy}")

    with_ghz = SCENARIOS[options.scenario].calls and options.scenario != "streams"
    if with_ghz:
        proxies = ["direct", *(p for p in proxies if p != "direct")]

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rounds = {}
    try:
        build_tools()
        for i in range(options.rounds):
            for proxy in proxies:
                with Run(proxy, options.scenario, options) as run:
                    figures = run.measure()
                if figures is not None:
                    rounds.setdefault(proxy, []).append(figures)
                    print(f"# round {i + 1}, {proxy}: "
                          + ", ".join(f"{k} {v:.4g}" for k, v in figures.items()), file=sys.stderr)
    except (Missing, subprocess.CalledProcessError) as e:
        sys.exit(f"bench: {e}")
    if with_ghz:
        add_latencies(rounds)
    if options.json:
        Path(options.json).write_text(json.dumps({"scenario": options.scenario, "rounds": rounds}, indent=1))
    print_table(options.scenario, rounds)


if __name__ == "__main__":
    main()
