"""Interception: a service and its callers that know nothing of the sidecar, real namespaces, real
rules (tests/interception.nft), connections redirected both ways, IPv4 and IPv6.

The "pod" has an http.server under uid 10001, the sidecar under uid 15337, and the rules; "outside"
has the pod's clients and whom it calls. See tests/netns-lab.sh.
"""
import concurrent.futures
import contextlib
import ctypes
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

import pytest

import process
from origins import RawOrigin
from process import CLIENT, SERVER, Admin, Sidespan
from programs import needs
from wire import DEADLINE, Wire, request_bytes, response_bytes, until

TESTS = pathlib.Path(__file__).resolve().parents[1]
LAB = str(TESTS / "netns-lab.sh")
APP, SIDECAR = 10001, 15337

CONFIG = """
    inbound { listen :15006 transparent; }
    outbound {
        listen 127.0.0.1:15001 transparent;
        listen [::1]:15001 transparent;
        unmatched pass;
    }
    admin 127.0.0.1:15000;
    """


class Family:
    def __init__(self, name, pod, outside, world, excluded, loopback):
        self.name, self.pod, self.outside, self.world = name, pod, outside, world
        self.excluded, self.loopback = excluded, loopback

    def url(self, host, port, path="/"):
        return f"http://{'[%s]' % host if ':' in host else host}:{port}{path}"


FAMILIES = [
    Family("v4", "192.0.2.2", "192.0.2.1", "198.51.100.1", "203.0.113.1", "127.0.0.1"),
    Family("v6", "2001:db8:5::2", "2001:db8:5::1", "2001:db8:6::1", "2001:db8:7::1", "::1"),
]


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request):
    return request.param


# ---- being in a namespace ----

class Namespace:
    """Calls and commands inside one network namespace. A socket stays in the one it was made in."""

    def __init__(self, name):
        self.name = name
        # Threads of their own, since a thread that has entered a namespace stays there.
        self._threads = concurrent.futures.ThreadPoolExecutor(4, initializer=self._enter)

    def _enter(self):
        libc = ctypes.CDLL(None, use_errno=True)
        fd = os.open(f"/run/netns/{self.name}", os.O_RDONLY | os.O_CLOEXEC)
        clone_newnet = 0x40000000
        failed = libc.setns(fd, clone_newnet)
        os.close(fd)
        if failed:
            raise OSError(ctypes.get_errno(), f"setns {self.name}")

    def call(self, function, *arguments, **named):
        return self._threads.submit(function, *arguments, **named).result(DEADLINE * 2)

    def command(self, *words, uid=0):
        return [LAB, "as", self.name, str(uid), *map(str, words)]

    def curl(self, url, *options, uid=0, fails=False):
        """The body; with fails, the exit status of a curl that must not succeed."""
        done = subprocess.run(
            self.command(needs("curl"), "--silent", "--show-error", "--noproxy", "*", "--globoff",
                         "--max-time", DEADLINE, *options, url, uid=uid),
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if fails:
            assert done.returncode not in (0, 28), f"curl {url}: {done.returncode} {done.stdout}"
            return done.returncode
        assert done.returncode == 0, f"curl {url}: {done.returncode} {done.stderr}"
        return done.stdout

    def close(self):
        self._threads.shutdown()


class PodSidespan(Sidespan):
    """The sidecar as it runs in a pod: its namespace, a user of its own, no privileges."""

    def __init__(self, pod, folder, uid=SIDECAR):
        super().__init__(CONFIG, folder)
        self.pod, self.uid = pod, uid
        self.binary = folder / "sidespan"      # that user need not be able to read the checkout
        shutil.copy(process.BINARY, self.binary)

    def spawn(self):
        with open(self.log_path, "wb") as log, open(self.out_path, "wb") as out:
            self.process = subprocess.Popen(
                self.pod.command(self.binary, "--config", self.path, uid=self.uid), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=self.environment())
        return self

    def admin(self, path, method="GET", fields=None):
        return self.pod.call(self._admin, path, method, fields or {})

    def _admin(self, path, method, fields):
        connection = http.client.HTTPConnection("127.0.0.1", 15000, timeout=DEADLINE)
        try:
            connection.request(method, path, headers=fields)
            return Admin(connection.getresponse())
        finally:
            connection.close()


# ---- the lab ----

def lab(*words):
    done = subprocess.run([LAB, *words], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr


class Site:
    """Both hosts, and what runs there."""

    def __init__(self, name):
        self.pod, self.outside = Namespace(f"{name}-pod"), Namespace(f"{name}-outside")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sidespan-lab-"))
        self.folder.chmod(0o755)
        (self.folder / "page").write_text("the page\n")
        self.processes, self.logs = [], {}
        self.sidecar = None
        self.seen = 0

    def serve(self, namespace, port, uid):
        """An unmodified http.server for both families; its log names each client."""
        log = self.folder / f"{namespace.name}-{port}.log"
        self.logs[(namespace, port)] = log
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or needs("python3")
        with open(log, "wb") as out:
            self.processes.append(subprocess.Popen(
                namespace.command(python, "-u", "-m", "http.server", port, "--bind", "::", uid=uid),
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out))
        until(lambda: namespace.call(answers, port), f"the server on port {port}")

    def clients_of(self, namespace, port):
        """The addresses that asked that server, in order."""
        return re.findall(r"^(\S+) - - .*\"GET", self.logs[(namespace, port)].read_text(), re.M)

    def new_spans(self, n):
        """Exactly the n spans that came since the last look."""
        until(lambda: len(self.sidecar.spans()) >= self.seen + n,
              lambda: f"{n} more spans than {self.sidecar.spans()[:self.seen]}; there are "
                      f"{self.sidecar.spans()[self.seen:]}\n{self.sidecar.log()}")
        spans = self.sidecar.spans()
        new, self.seen = spans[self.seen:], len(spans)
        assert len(new) == n, new
        return new

    def close(self):
        try:
            if self.sidecar:
                self.sidecar.stop()
        finally:
            for started in self.processes:
                started.terminate()
                started.wait()
            self.pod.close()
            self.outside.close()
            shutil.rmtree(self.folder)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
        return True
    except ConnectionRefusedError:
        return False


@contextlib.contextmanager
def site_with(uid, suffix=""):
    """The two hosts with their servers, the rules, and the sidecar as that user."""
    nft = needs("nft")
    name = f"sidespan{os.getpid()}{suffix}"
    lab("up", name)
    site = None
    try:
        site = Site(name)
        site.serve(site.pod, 8080, APP)
        site.serve(site.pod, 9102, APP)        # a port that the rules leave out
        site.serve(site.outside, 8000, APP)
        site.serve(site.outside, 9001, APP)    # likewise
        site.sidecar = PodSidespan(site.pod, site.folder, uid).start()
        subprocess.run(["ip", "netns", "exec", site.pod.name, nft, "--file",
                        str(TESTS / "interception.nft")], check=True)
        yield site
    finally:
        try:
            if site:
                site.close()
        finally:
            lab("down", name)


@pytest.fixture(scope="module")
def up():
    with site_with(SIDECAR) as site:
        yield site


@pytest.fixture
def site(up, request):
    request.node.sidecars = [up.sidecar]       # a failed test shows its log
    up.seen = len(up.sidecar.spans())
    return up


def no_new_span(site):
    """A request that is traced, and it must be the first span there is."""
    site.outside.curl(FAMILIES[0].url(FAMILIES[0].pod, 8080, "/after"), "--output", os.devnull)
    [span] = site.new_spans(1)
    assert span["url.path"] == "/after"


# ---- inbound ----

def test_a_client_reaches_the_service_through_the_sidecar(site, family):
    assert site.outside.curl(family.url(family.pod, 8080, "/page")) == "the page\n"
    [span] = site.new_spans(1)
    assert span.kind == SERVER and span["http.response.status_code"] == 200
    assert span["url.path"] == "/page"
    assert span["client.address"] == family.outside
    assert span["server.address"].strip("[]") == family.pod and span["server.port"] == 8080


def test_the_service_sees_the_pods_own_address(site, family):
    site.outside.curl(family.url(family.pod, 8080, "/page"))
    site.new_spans(1)
    assert site.clients_of(site.pod, 8080)[-1].removeprefix("::ffff:") == family.pod


def test_an_excluded_port_is_direct(site, family):
    assert site.outside.curl(family.url(family.pod, 9102, "/page")) == "the page\n"
    assert site.clients_of(site.pod, 9102)[-1].removeprefix("::ffff:") == family.outside
    no_new_span(site)


def test_nobody_listening_is_told_and_traced(site, family):
    code = site.outside.curl(family.url(family.pod, 8081), "--output", os.devnull, "--write-out",
                             "%{http_code}")
    assert code in ("502", "503")
    [span] = site.new_spans(1)
    assert span.kind == SERVER and span["error.type"] == "connection_refused"


@pytest.mark.parametrize("port", [15006, 15001])
def test_a_connection_to_the_sidecars_own_port_is_refused_and_makes_no_loop(site, family, port):
    key = 'sidespan_connections_total{direction="inbound"}'
    before = site.sidecar.metric(key)
    site.outside.curl(family.url(family.pod, port), "--fail", fails=True)
    # The one above; 15001 is redirected to 15006, which is refused where it wants to go.
    assert site.sidecar.metric(key) == before + 1
    if port == 15006:
        assert site.sidecar.wait_log(r"addressed to the transparent listener itself")
    else:
        [span] = site.new_spans(1)
        assert span["error.type"] in ("connection_refused", "loop")


def test_where_the_server_speaks_first_neither_side_waits(site, family):
    server = site.pod.call(RawOrigin, host=family.pod)
    client = site.outside.call(Wire.connect, server.port, host=family.pod)
    inner = server.accept()
    inner.send(b"220 mail.example ESMTP\r\n")
    assert client.read_until(b"\r\n") == b"220 mail.example ESMTP\r\n"
    client.send(b"QUIT\r\n")
    client.half_close()
    assert inner.read_to_end() == b"QUIT\r\n"
    inner.send(b"221 bye\r\n")
    inner.close()
    assert client.read_to_end() == b"221 bye\r\n"
    client.close()
    server.close()
    [span] = site.new_spans(1)
    assert span.kind == SERVER and span.name == "TCP"
    assert span["client.address"] == family.outside
    assert span["sidespan.tunnel.received_bytes"] == 6
    assert span["sidespan.tunnel.sent_bytes"] == 33


# ---- outbound ----

def test_what_the_service_calls_is_called_through_the_sidecar(site, family):
    assert site.pod.curl(family.url(family.world, 8000, "/page"), uid=APP) == "the page\n"
    [span] = site.new_spans(1)
    assert span.kind == CLIENT and span["http.response.status_code"] == 200
    assert span["server.address"].strip("[]") == family.world and span["server.port"] == 8000
    assert span["network.peer.address"] == family.world
    assert span["network.peer.port"] == 8000
    assert site.clients_of(site.outside, 8000)[-1].removeprefix("::ffff:") == family.pod


def test_the_name_that_was_called_is_told_with_the_address_it_went_to(site, family):
    site.pod.curl(family.url(family.world, 8000, "/page"), "--header", "Host: users.example:8000",
                  uid=APP)
    [span] = site.new_spans(1)
    assert span["server.address"] == "users.example"
    assert span["network.peer.address"] == family.world


def test_root_in_the_pod_is_no_exception(site, family):
    site.pod.curl(family.url(family.world, 8000, "/page"))
    assert site.new_spans(1)[0].kind == CLIENT


def test_the_sidecars_own_connections_are_direct(site, family):
    site.pod.curl(family.url(family.world, 8000, "/page"), uid=SIDECAR)
    no_new_span(site)


def test_excluded_ports_and_networks_are_direct(site, family):
    site.pod.curl(family.url(family.world, 9001, "/page"), uid=APP)
    site.pod.curl(family.url(family.excluded, 8000, "/page"), uid=APP)
    no_new_span(site)


def test_loopback_and_the_pods_own_address_are_direct(site, family):
    for host in (family.loopback, family.pod):
        assert site.pod.curl(family.url(host, 8080, "/page"), uid=APP) == "the page\n"
        assert site.clients_of(site.pod, 8080)[-1].removeprefix("::ffff:") == host
    no_new_span(site)


@pytest.mark.parametrize("port", [15001, 15006])
def test_the_service_calling_the_sidecars_listener_is_refused(site, family, port):
    before = site.sidecar.metric("sidespan_loops_refused_total")
    site.pod.curl(family.url(family.loopback, port), uid=APP, fails=True)
    assert site.sidecar.metric("sidespan_loops_refused_total") == before + 1


def test_nobody_at_the_other_end_is_told_and_traced(site, family):
    code = site.pod.curl(family.url(family.world, 8001), "--output", os.devnull, "--write-out",
                         "%{http_code}", uid=APP)
    assert code in ("502", "503")
    [span] = site.new_spans(1)
    assert span.kind == CLIENT and span["error.type"] == "connection_refused"
    assert span["network.peer.address"] == family.world


def test_opaque_bytes_go_where_they_were_sent(site, family):
    server = site.outside.call(RawOrigin, host=family.world)
    client = site.pod.call(Wire.connect, server.port, host=family.world)
    client.send(b"*1\r\n$4\r\nPING\r\n")
    inner = server.accept()
    assert inner.read(14) == b"*1\r\n$4\r\nPING\r\n"
    inner.send(b"+PONG\r\n")
    assert client.read_until(b"\r\n") == b"+PONG\r\n"
    client.close()
    inner.expect_end()
    inner.close()
    server.close()
    [span] = site.new_spans(1)
    assert span.kind == CLIENT and span.name == "TCP"
    assert span["server.address"] == family.world and span["server.port"] == server.port


def test_a_reset_comes_through_as_a_reset(site, family):
    server = site.outside.call(RawOrigin, host=family.world)
    client = site.pod.call(Wire.connect, server.port, host=family.world)
    client.send(b"\0\0\0\x08")
    inner = server.accept()
    inner.read(4)
    inner.reset()
    with pytest.raises(ConnectionResetError):
        client.read_to_end()
    client.close()
    server.close()
    assert site.new_spans(1)[0]["error.type"] == "connection_reset"


# ---- the rules ----

def test_connections_from_before_the_rules_live_on(site):
    """Loading them again is one transaction: what goes through the sidecar goes on too."""
    server = site.pod.call(RawOrigin, host="192.0.2.2")
    client = site.outside.call(Wire.connect, server.port, host="192.0.2.2")
    client.send(b"\0one")
    inner = server.accept()
    assert inner.read(4) == b"\0one"
    subprocess.run(["ip", "netns", "exec", site.pod.name, needs("nft"), "--file",
                    str(TESTS / "interception.nft")], check=True)
    client.send(b"two")
    assert inner.read(3) == b"two"
    inner.close()
    client.expect_end()
    client.close()
    server.close()
    site.new_spans(1)


# ---- rules and opaque bytes ----

def client_hello(name):
    outgoing = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.fixture
def ruled(site):
    """Outbound, a host has a rule that refuses, and so has an address."""
    site.sidecar.reload(CONFIG.replace("unmatched pass;", """unmatched pass;
        host blocked.test { route / { respond 403; } }
        host 203.0.113.9 [2001:db8:6::1]:8000 { route / { respond 403; } }
        """))
    yield site
    site.sidecar.reload(CONFIG)


def outside_of(site, host, first):
    client = site.pod.call(Wire.connect, 8000, host=host)
    with contextlib.suppress(OSError):        # it may be refused before all of it is sent
        for piece in first:
            client.send(piece)
        client.half_close()
    answer = client.expect_broken()
    client.close()
    return answer


@pytest.mark.parametrize("cut", [1000, 1, 200], ids=["whole", "first-byte", "amid"])
def test_tls_that_names_a_host_under_a_rule_is_refused(ruled, cut):
    world, hello = FAMILIES[0].world, client_hello("blocked.test")
    asked = len(ruled.clients_of(ruled.outside, 8000))
    answer = outside_of(ruled, world, [hello[:cut], hello[cut:]])
    assert answer.startswith(b"HTTP/1.1 400 ") and b"not-http-under-a-rule" in answer
    [span] = ruled.new_spans(1)
    assert span["sidespan.rule"] == "not-http-under-a-rule"
    assert len(ruled.clients_of(ruled.outside, 8000)) == asked


def test_other_tls_passes_beside_a_rule_for_a_host(ruled):
    outside_of(ruled, FAMILIES[0].world, [client_hello("other.test")])
    [span] = ruled.new_spans(1)
    assert span.name == "TCP" and span["tls.client.server_name"] == "other.test"


def test_a_rule_for_an_address_holds_for_whatever_goes_there(ruled):
    answer = outside_of(ruled, FAMILIES[1].world, [b"\0\1binary"])
    assert b"not-http-under-a-rule" in answer
    ruled.new_spans(1)
    outside_of(ruled, FAMILIES[0].world, [b"\0\1binary"])
    assert ruled.new_spans(1)[0].name == "TCP"


# ---- the wrong user ----

@pytest.mark.parametrize("uid", [0, 10002], ids=["root", "another"])
def test_a_sidecar_under_its_own_rules_sees_its_own_connections_come_back(request, uid):
    with site_with(uid, "w") as site:
        request.node.sidecars = [site.sidecar]
        outbound = 'sidespan_connections_total{direction="outbound"}'
        for family in FAMILIES:
            before = site.sidecar.metric(outbound)
            said = site.pod.curl(family.url(family.world, 8000, "/page"), "--write-out",
                                 " %{http_code}", uid=APP)
            assert said.endswith(" 508") and "(uid 15337)" in said, said
            # The service's own, and those of ours for it: one that is tried, and once more.
            assert site.sidecar.metric(outbound) - before <= 4
        assert site.clients_of(site.outside, 8000) == []
        assert site.sidecar.wait_log(r"a connection of this sidecar itself, to \S+, was redirected "
                                     rf"back to it: run it as the user .* \(uid 15337; it runs as "
                                     rf"uid {uid}\)")
        spans = site.sidecar.wait_spans(2, lambda s: s["sidespan.rule"] == "own-connection")
        assert all(s["error.type"] == "loop" for s in spans)
        assert site.sidecar.metric("sidespan_loops_refused_total") >= 2
        client = site.pod.call(Wire.connect, 8000, host=FAMILIES[0].world)
        client.send(b"\0\1binary")
        client.expect_broken()
        client.close()
        assert site.sidecar.wait_span(lambda s: s.name == "TCP")["error.type"] == "loop"
        # The rules leave connections within the pod alone, so what comes in is served all the same.
        assert site.outside.curl(FAMILIES[0].url(FAMILIES[0].pod, 8080, "/page")) == "the page\n"


# ---- the drain ----

def inside(call, *arguments, **named):
    """What a connection that must not be made says."""
    try:
        call(*arguments, **named).close()
        return "made"
    except ConnectionError:
        return "refused"


def test_a_drain_serves_what_was_redirected_before_and_the_calls_of_who_still_answers(request):
    """Inbound is left first: a new client is refused, since the rules let nobody past the sidecar. Who was
    being served is, tunnels too, and the service may call out until it has answered."""
    with site_with(SIDECAR, "d") as site:
        request.node.sidecars = [site.sidecar]
        family = FAMILIES[0]
        app = site.pod.call(RawOrigin, host=family.pod)
        caller = site.outside.call(Wire.connect, app.port, host=family.pod)
        caller.send(request_bytes())
        serving = app.accept()
        serving.read_request()
        opaque = site.outside.call(Wire.connect, app.port, host=family.pod)
        opaque.send(b"\0one")
        tunnel = app.accept()
        assert tunnel.read(4) == b"\0one"
        site.sidecar.write(CONFIG + "timeouts { drain-delay 0s; drain 60s; flush 1s; }")
        assert site.sidecar.admin("/reload", "POST").status == 200
        site.sidecar.signal(signal.SIGTERM)
        site.sidecar.wait_log("not listening any more")
        until(lambda: site.outside.call(inside, Wire.connect, app.port, host=family.pod) == "refused",
              "the inbound listener to be gone")
        for each in FAMILIES:                 # outbound is there still
            assert site.pod.curl(each.url(each.world, 8000, "/page"), uid=APP) == "the page\n"
        serving.send(response_bytes(body=b"with their help"))
        assert caller.read_response().body == b"with their help"
        tunnel.send(b"two")
        assert opaque.read(3) == b"two"
        assert site.sidecar.process.poll() is None
        tunnel.close()
        opaque.expect_end()
        opaque.close()
        assert site.sidecar.wait_exit() == 0
        # And now what is refused is refused outbound too: nothing passes by itself.
        site.pod.curl(family.url(family.world, 8000, "/page"), uid=APP, fails=True)
        for wire in caller, serving, app:
            wire.close()


# ---- without a sidecar, and without a lab ----

def test_with_the_sidecar_down_nothing_passes(site, family):
    """The rules lead to a port on which nobody listens: refused, not let through unseen."""
    site.sidecar.stop()
    try:
        assert site.outside.curl(family.url(family.pod, 8080, "/page"), fails=True) == 7
        assert site.pod.curl(family.url(family.world, 8000, "/page"), uid=APP, fails=True) == 7
        # What the rules leave out does not need it.
        assert site.outside.curl(family.url(family.pod, 9102, "/page")) == "the page\n"
    finally:
        site.sidecar.start()
    assert site.outside.curl(family.url(family.pod, 8080, "/page")) == "the page\n"


def test_the_lab_is_skipped_where_the_root_is_no_mount(tmp_path):
    """As in a plain chroot, in which no program can be started in a network namespace."""
    unshare = needs("unshare")
    root = tmp_path / "root"
    root.mkdir()
    script = f"""
        for folder in bin sbin lib lib64 usr proc sys dev etc; do
            [ -e /$folder ] || continue
            mkdir -p {root}/$folder
            mount --rbind /$folder {root}/$folder
        done
        mkdir -p {root}/run/netns {root}/tests
        mount --bind {TESTS} {root}/tests
        exec chroot {root} /tests/netns-lab.sh up no-mount{os.getpid()}
        """
    done = subprocess.run([unshare, "--mount", "bash", "-ec", script], capture_output=True, text=True)
    if done.returncode not in (0, 77):
        pytest.skip(f"this machine makes no such root: {done.stderr}")
    assert done.returncode == 77 and "no program can be run" in done.stderr, done.stderr
