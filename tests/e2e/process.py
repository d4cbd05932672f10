"""The real binary, run for one test: its config file, its ports, its admin port, its end."""
import collections
import contextlib
import functools
import http.client
import json
import os
import pathlib
import random
import re
import resource
import signal
import socket
import subprocess

from wire import DEADLINE, until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SIDESPAN", str(ROOT / "build" / "sidespan"))

SERVER, CLIENT = 2, 3
UNSET, ERROR = 0, 2

SANITIZER_REPORT = re.compile(
    r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:"
    r"|Assertion .* failed)")


@functools.cache
def sanitized():
    """Built with a sanitizer: memory and time are then not the product's."""
    with open(BINARY, "rb") as f:
        data = f.read()
    return any(mark in data for mark in (b"__asan_init", b"__tsan_init", b"__msan_init"))


_held_names = collections.deque()
HELD_NAMES = 200    # more than a test has ports; each takes a descriptor, and select() takes none over 1023


def _listening_ports():
    """Below those that the system gives to connections: none of these can take one before it is listened on."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        lowest = int(file.read().split()[0])
    return (lowest // 2, lowest - 1) if lowest > 4096 else (20000, 32000)


def free_port(host="127.0.0.1"):
    """A port that nobody uses. Other runs of these tests beside this one do
    not get it as long as a test needs it: each holds the port's name."""
    while True:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            port = random.randint(*_listening_ports())
            try:
                probe.bind((host, port))
            except OSError:
                continue
            name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                name.bind(f"\0sidespan-e2e-port-{port}")
            except OSError:
                name.close()
                continue
            _held_names.append(name)
            if len(_held_names) > HELD_NAMES:
                _held_names.popleft().close()
            return port


def nobody():
    """An address where nobody listens, now or later."""
    return f"127.0.0.1:{free_port()}"


class Span:
    """A span of OTLP JSON, flattened."""

    def __init__(self, json_span, resource):
        self.json = json_span
        self.resource = resource
        self.name = json_span["name"]
        self.kind = json_span["kind"]
        self.trace_id = json_span["traceId"]
        self.span_id = json_span["spanId"]
        self.parent = json_span.get("parentSpanId", "")
        self.tracestate = json_span.get("traceState", "")
        self.flags = json_span.get("flags", 0)
        self.start = int(json_span["startTimeUnixNano"])
        self.end = int(json_span["endTimeUnixNano"])
        self.status = json_span.get("status", {}).get("code", 0)
        self.message = json_span.get("status", {}).get("message", "")
        self.attributes = attributes(json_span.get("attributes", []))

    def __getitem__(self, key):
        return self.attributes.get(key)

    def __contains__(self, key):
        return key in self.attributes

    @property
    def seconds(self):
        return (self.end - self.start) / 1e9

    def times(self):
        """Where the time went: {"connect": seconds, ...}."""
        prefix = "sidespan.time."
        return {k[len(prefix):]: v for k, v in self.attributes.items() if k.startswith(prefix)}

    def __repr__(self):
        kind = {SERVER: "SERVER", CLIENT: "CLIENT"}.get(self.kind, self.kind)
        return f"<{kind} {self.name!r} {self.attributes}>"


def attributes(pairs):
    """OTLP's key-value list as a dict; keys are unique."""
    out = {}
    for pair in pairs:
        assert pair["key"] not in out, f"attribute {pair['key']} twice"
        out[pair["key"]] = _value(pair["value"])
    return out


def _value(value):
    [(kind, v)] = value.items()
    if kind == "intValue":
        return int(v)
    if kind == "arrayValue":
        return [_value(item) for item in v.get("values", [])]
    return v


def spans_of(traces_data):
    """The spans of an OTLP JSON TracesData, in order."""
    out = []
    for rs in traces_data.get("resourceSpans", []):
        resource = attributes(rs.get("resource", {}).get("attributes", []))
        for ss in rs.get("scopeSpans", []):
            out += [Span(s, resource) for s in ss.get("spans", [])]
    return out


class Admin:
    """What the admin port answered."""

    def __init__(self, response):
        self.status = response.status
        self.fields = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


class Sidespan:
    """One sidecar. config is the text of routes.conf; `service`, `admin` and `workers` are added
    where it does not say them, and what the class cannot guess is the test's to say."""

    def __init__(self, config, folder, env=None, arguments=(), name="routes.conf"):
        self.folder = folder
        self.path = folder / name
        self.admin_port = free_port()
        self.env = env or {}
        self.arguments = list(arguments)
        self.wrapper = []                     # a command that runs the one behind it
        self.process = None
        self.log_path = folder / f"{name}.log"
        self.out_path = folder / f"{name}.out"
        self.write(config)

    def write(self, config):
        """Writes the config file; a running sidecar does not know yet."""
        head = ""
        if not re.search(r"^\s*service\b", config, re.M):
            head += "service e2e;\n"
        if not re.search(r"^\s*workers\b", config, re.M):
            head += "workers 1;\n"
        if not re.search(r"^\s*admin\b", config, re.M):
            head += f"admin 127.0.0.1:{self.admin_port};\n"
        # A test that leaves something open must not make the end of the sidecar slow.
        if not re.search(r"\btimeouts\s*\{", config):
            head += "timeouts { drain-delay 0s; drain 300ms; flush 1s; }\n"
        elif "drain-delay" not in config:
            config = re.sub(r"\btimeouts\s*\{", "timeouts { drain-delay 0s; drain 300ms; flush 1s;", config)
        # One rename: a file that is watched is never seen half-written.
        new = self.path.with_suffix(".new")
        new.write_text(head + config)
        new.replace(self.path)

    # -- life

    def environment(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
        env.setdefault("ASAN_OPTIONS", "detect_leaks=1:exitcode=99:abort_on_error=0")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
        env.setdefault("TSAN_OPTIONS", "exitcode=99:halt_on_error=0")
        env.update(self.env)
        return env

    def spawn(self, **other):
        """Starts the process without waiting for anything. other: for Popen, as another stderr."""
        with open(self.log_path, "wb") as log, open(self.out_path, "wb") as out:
            usual = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": log}
            self.process = subprocess.Popen(
                [*self.wrapper, BINARY, "--config", str(self.path), *self.arguments], cwd=self.folder,
                env=self.environment(), **(usual | other))
        return self

    def wait_ready(self):
        """Returns once it says so."""
        until(self._ready, lambda: f"/readyz; the log says:\n{self.log()}")
        return self

    def start(self):
        """Starts it, and returns once it says that it is ready."""
        return self.spawn().wait_ready()

    def _ready(self):
        assert self.process.poll() is None, \
            f"it ended with {self.process.returncode}:\n{self.log()}{self.out()}"
        return self.admin_status("/readyz") == 200

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, deadline=None):
        """The exit status."""
        try:
            return self.process.wait(deadline or DEADLINE)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it did not end; the log says:\n{self.log()}") from None

    def stop(self):
        """SIGTERM, and it must end well: exit status 0 and no report of a sanitizer."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        status = self.wait_exit()
        self.process = None
        assert not SANITIZER_REPORT.search(self.log()), self.log()
        assert status == 0, f"exit status {status}; the log says:\n{self.log()}"

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    # -- what it says

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def out(self):
        return self.out_path.read_text(errors="replace") if self.out_path.exists() else ""

    def wait_log(self, pattern, deadline=None):
        """The match of a regular expression in the log."""
        return until(lambda: re.search(pattern, self.log()),
                     lambda: f"{pattern!r} in the log:\n{self.log()}", deadline)

    def rss(self):
        """Resident memory in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def admin(self, path, method="GET", fields=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=DEADLINE)
        try:
            connection.request(method, path, headers=fields or {})
            return Admin(connection.getresponse())
        finally:
            connection.close()

    def admin_status(self, path):
        """None: nobody listens at the admin port, not yet or not any more."""
        try:
            return self.admin(path).status
        except OSError:
            return None

    # -- descriptors

    def _serves_admin(self):
        """A connection to the admin port still has a descriptor."""
        with open(f"/proc/{self.process.pid}/net/tcp") as file:
            sockets = [line.split() for line in file][1:]
        at, listens = f":{self.admin_port:04X}", "0A"
        return any(s[1].endswith(at) and s[3] != listens and s[9] != "0" for s in sockets)

    @contextlib.contextmanager
    def without_descriptors(self, spare=0):
        """It can open nothing meanwhile, or no more than what is spared."""
        until(lambda: not self._serves_admin(), "the end of our own connections to the admin port")
        pid = self.process.pid
        used = set(map(int, os.listdir(f"/proc/{pid}/fd")))
        limit = sorted(set(range(len(used) + spare + 1)) - used)[spare]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, 1 << 12))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (1 << 12, 1 << 12))

    # -- spans

    def spans(self, predicate=None):
        answer = self.admin("/traces")
        assert answer.status == 200, f"{answer.status} {answer.text}"
        return [s for s in spans_of(answer.json) if predicate is None or predicate(s)]

    def wait_spans(self, n, predicate=None):
        """Exactly n spans (that fulfil the predicate), as soon as there are that many."""
        last = []

        def enough():
            last[:] = self.spans(predicate)
            return len(last) >= n

        until(enough, lambda: f"{n} spans; there are {last} of {self.spans()};\n{self.log()}")
        assert len(last) == n, f"{len(last)} spans instead of {n}: {last}"
        return list(last)

    def wait_span(self, predicate=None):
        return self.wait_spans(1, predicate)[0]

    # -- counters

    def ledger(self):
        """{exporter's name: its ledger}; each balances."""
        out = {}
        for row in self.admin("/ledger").json["exporters"]:
            dropped = sum(row["dropped"].values())
            assert row["started"] == row["exported"] + row["rejected"] + dropped + row["waiting"], \
                f"the ledger does not balance: {row}"
            out[row["exporter"]] = row
        return out

    def the_ledger(self):
        """Of the only exporter."""
        [row] = self.ledger().values()
        return row

    def metrics(self):
        """{'name{labels}': value} of the Prometheus text."""
        answer = self.admin("/metrics")
        assert answer.status == 200
        out = {}
        for line in answer.text.splitlines():
            if line and not line.startswith("#"):
                key, _, value = line.rpartition(" ")
                assert key not in out, f"the sample {key} twice"
                out[key] = float(value)
        return out

    def metric(self, key):
        return self.metrics().get(key, 0)

    def wait_metric(self, key, value):
        """Until the sample is at least that; 0: until it is that."""
        until(lambda: self.metric(key) >= value if value else self.metric(key) == 0,
              lambda: f"{key} {value}; it is {self.metric(key)}")

    # -- reload

    def reload(self, config, accepted=True):
        """Writes a new config and takes it into use; POST /reload says when that is done. accepted None: or not."""
        self.write(config)
        answer = self.admin("/reload", "POST")
        assert accepted is None or (answer.status == 200) == accepted, f"{answer.status} {answer.text}"
        return answer


def run(*arguments, env=None, cwd=None, deadline=None):
    """One run of the binary that ends by itself."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    environment.update(env or {})
    done = subprocess.run([BINARY, *map(str, arguments)], cwd=cwd, env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=deadline or DEADLINE)
    assert not SANITIZER_REPORT.search(done.stderr), done.stderr
    return done

