"""A new configuration is taken into use without touching a socket; a bad one is not."""
import os
import re
import resource
import signal
import subprocess
import threading

import pytest

from process import BINARY, free_port, sanitized
from wire import Wire, request_bytes, response_bytes, until


@pytest.fixture
def two(origin):
    return [origin(lambda r, n=n: response_bytes(body=n)) for n in (b"one", b"two")]


def conf(port, target, extra=""):
    return f"inbound {{ listen 127.0.0.1:{port}; route / {{ to {target.address}; {extra} }} }}"


@pytest.mark.parametrize("how", ["SIGHUP", "POST", "file"])
def test_a_new_file_takes_effect_on_open_connections(sidespan, port, two, connect, how):
    sidecar = sidespan(conf(port, two[0]))
    client = connect(port)
    assert client.get().body == b"one"
    before = sidecar.admin("/config").fields["sidespan-config-hash"]
    if how == "POST":
        answer = sidecar.reload(conf(port, two[1]))
        assert answer.json["changed"] is True and answer.json["hash"] != before
    else:
        sidecar.write(conf(port, two[1]))     # a change of the file alone is enough
        if how == "SIGHUP":
            sidecar.signal(signal.SIGHUP)
        until(lambda: sidecar.admin("/config").fields["sidespan-config-hash"] != before,
              "the new configuration")
    until(lambda: client.get().body == b"two", "the new origin")
    assert two[0].connections == 1


def test_a_mounted_config_map_is_followed_through_its_links(sidespan, port, two, connect, tmp_path):
    """As Kubernetes swaps it: routes.conf -> ..data/routes.conf, ..data -> a new folder."""
    sidecar = sidespan(conf(port, two[0]), ready=False)
    text = sidecar.path.read_text()
    sidecar.path.unlink()
    for name, content in (("v1", text),
                          ("v2", text.replace(two[0].address, two[1].address))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "routes.conf").write_text(content)
    (tmp_path / "..data").symlink_to("v1")
    sidecar.path.symlink_to("..data/routes.conf")
    sidecar.start()
    client = connect(port)
    assert client.get().body == b"one"
    (tmp_path / "..data_tmp").symlink_to("v2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    until(lambda: client.get().body == b"two", "the new origin")


def test_a_bad_file_leaves_the_old_in_force_and_says_why(sidespan, port, two, connect):
    sidecar = sidespan(conf(port, two[0]))
    client = connect(port)
    assert client.get().body == b"one"
    before = sidecar.admin("/config").fields["sidespan-config-hash"]
    answer = sidecar.reload(conf(port, two[1], "timout 5s;"), accepted=False)
    assert answer.status == 400
    assert "timout" in answer.text and "timeout" in answer.text and "^" in answer.text
    assert sidecar.admin("/config").fields["sidespan-config-hash"] == before
    assert client.get().body == b"one"
    sidecar.wait_log("timout")
    metrics = sidecar.metrics()
    assert metrics['sidespan_config_reloads_total{result="refused"}'] >= 1
    assert metrics["sidespan_config_last_reload_successful"] == 0
    sidecar.reload(conf(port, two[1]))
    until(lambda: client.get().body == b"two", "the mended file")
    assert sidecar.metric("sidespan_config_last_reload_successful") == 1


def test_a_reload_says_what_changed(sidespan, port):
    """In one line of the log, and in the answer to who asked for it."""
    before = f"""
        inbound {{
            listen 127.0.0.1:{port};
            route /api {{ to v1 weight 90; to v2 weight 10; }}
            route /old {{ to v1; }}
        }}
        cluster v1 {{ endpoint 127.0.0.1:1; }}
        cluster v2 {{ endpoint 127.0.0.1:2; }}
        """
    after = f"""
        inbound {{
            listen 127.0.0.1:{port};
            route /api {{ to v1 weight 50; to v2 weight 50; fault abort 503 when header x = "${{KEY}}"; }}
            route /new {{ to v3; }}
        }}
        cluster v1 {{ endpoint 127.0.0.1:1; }}
        cluster v2 {{ endpoint 127.0.0.1:22; }}
        cluster v3 {{ endpoint 127.0.0.1:3; }}
        limits {{ streams 7; }}
        """
    changes = ('clusters ~v2, +v3; routes +/new, -/old; weights /api v1 50 v2 50; '
               'faults /api abort 503 when header x = "${KEY}"; settings limits')
    sidecar = sidespan(before, env={"KEY": "hunter2-and-more"})
    # The file is written where it is, and the watch may be the first to see it: then the answer is of no change.
    answer = sidecar.reload(after).json
    assert answer.get("changes", changes) == changes
    hash_now = sidecar.admin("/config").fields["sidespan-config-hash"]
    told = [line for line in sidecar.log().splitlines() if "a new configuration is in force" in line]
    assert len(told) == 1 and told[0].endswith(f"reload: a new configuration is in force: {hash_now}: {changes}")
    assert "hunter2" not in sidecar.log()


def test_the_same_file_changes_nothing(sidespan, port, two, connect):
    sidecar = sidespan(conf(port, two[0]))
    client = connect(port)
    client.get()
    answer = sidecar.reload(conf(port, two[0]))
    assert answer.json["changed"] is False
    sidecar.reload("\n# a comment\n" + conf(port, two[0]))  # nor does what has no meaning
    client.get()
    assert two[0].connections == 1


def test_an_exchange_ends_under_the_file_it_began_with(sidespan, port, raw_origin, origin, connect):
    old, new = raw_origin(), origin()
    sidecar = sidespan(conf(port, old, "add-header response x-old yes;"))
    client = connect(port)
    client.send(request_bytes())
    server = old.accept()
    server.read_request()
    sidecar.reload(conf(port, new))
    until(lambda: connect(port).get().body == b"hello", "the new origin")
    server.send(response_bytes(body=b"from the old"))
    response = client.read_response()
    assert response.body == b"from the old" and response.get("x-old") == "yes"
    assert client.get().body == b"hello"      # the next on the same connection is under the new one


def test_reloads_under_load_fail_no_request_and_close_no_connection(sidespan, port, two):
    sidecar = sidespan(conf(port, two[0]) + "\nworkers 2;\n")
    stop = threading.Event()
    failures, counts = [], [0] * 6

    def load(n):
        with Wire.connect(port) as client:
            while not stop.is_set():
                try:
                    response = client.get()
                    if response.status != 200 or response.get("connection"):
                        failures.append((response, response.fields))
                    counts[n] += 1
                except Exception as e:
                    failures.append(e)
                    return

    threads = [threading.Thread(target=load, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for i in range(20):
        sidecar.write(conf(port, two[i % 2], f"attribute round r{i};") + "\nworkers 2;\n")
        sidecar.signal(signal.SIGHUP)
        sidecar.wait_metric('sidespan_config_reloads_total{result="changed"}', i + 1)
    until(lambda: failures or all(c > 5 for c in counts), lambda: f"some load: {counts}")
    stop.set()
    for t in threads:
        t.join()
    assert not failures, failures[:3]
    assert sidecar.metric('sidespan_connections_total{direction="inbound"}') == 6


def test_listeners_come_and_go_with_the_file(sidespan, port, two, connect):
    other = free_port()
    sidecar = sidespan(conf(port, two[0]))
    kept = connect(port)
    assert kept.get().status == 200
    sidecar.reload(f"""
        inbound {{ listen 127.0.0.1:{port}; listen 127.0.0.1:{other};
                   route / {{ to {two[0].address}; }} }}
        """)
    assert connect(other).get().status == 200
    sidecar.reload(conf(other, two[0]))

    def gone():
        try:
            Wire.connect(port).close()
            return False
        except ConnectionError:
            return True

    until(gone, "the end of the first listener")
    assert connect(other).get().status == 200
    assert kept.get().status == 200           # who was connected stays


def test_a_reload_that_cannot_listen_changes_nothing(sidespan, port, two, connect, raw_origin):
    taken = raw_origin()
    sidecar = sidespan(conf(port, two[0]))
    answer = sidecar.reload(f"""
        inbound {{ listen 127.0.0.1:{port}; listen {taken.address};
                   route / {{ to {two[1].address}; }} }}
        """, accepted=False)
    assert taken.address in answer.text
    assert connect(port).get().body == b"one"


def test_the_admin_port_may_move(sidespan, port, two):
    sidecar = sidespan(conf(port, two[0]))
    new = free_port()
    sidecar.write(conf(port, two[0]) + f"\nadmin 127.0.0.1:{new};\n")
    sidecar.signal(signal.SIGHUP)
    sidecar.admin_port = new
    until(lambda: sidecar.admin_status("/readyz") == 200, "the admin port at its new place")


def test_exporters_are_swapped_without_losing_a_span(
        sidespan, port, origin, connect, collector):
    upstream, first, second = origin(), collector(), collector()

    def exporting(to):
        return f"""
            inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}
            trace {{ export otlp http://127.0.0.1:{to.http_port}; batch {{ delay 50ms; }} }}
            """

    sidecar = sidespan(exporting(first))
    client = connect(port)
    for _ in range(50):
        client.get()
    sidecar.reload(exporting(second))
    for _ in range(50):
        client.get()
    first.wait_spans(50)
    second.wait_spans(50)
    assert len(first.spans()) + len(second.spans()) == 100


def test_weights_change_for_new_requests_only_by_the_file(sidespan, port, two, connect):
    def weights(a, b):
        return f"""
            inbound {{ listen 127.0.0.1:{port};
                route / {{ to {two[0].address} weight {a}; to {two[1].address} weight {b}; }} }}
            """

    sidecar = sidespan(weights(1, 0))
    client = connect(port)
    assert {client.get().body for _ in range(20)} == {b"one"}
    sidecar.reload(weights(0, 1))
    until(lambda: client.get().body == b"two", "the other arm")
    assert {client.get().body for _ in range(20)} == {b"two"}


def test_an_included_file_is_watched_too(sidespan, port, two, connect, tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "in.conf").write_text(conf(port, two[0]))
    sidecar = sidespan('include "conf.d/*.conf";')
    client = connect(port)
    assert client.get().body == b"one"
    (tmp_path / "new").write_text(conf(port, two[1]))
    (tmp_path / "new").rename(tmp_path / "conf.d" / "in.conf")
    until(lambda: client.get().body == b"two", "the new origin")
    (tmp_path / "conf.d" / "z.conf").write_text("trace { sample never; }")  # one more
    until(lambda: "never" in sidecar.admin("/config").text, "the new file")


def test_sampling_changes_on_open_connections(sidespan, port, two, connect):
    sidecar = sidespan(conf(port, two[0]))
    client = connect(port)
    client.get()
    sidecar.wait_spans(1)
    sidecar.reload(conf(port, two[0]) + "\ntrace { sample never; }")
    until(lambda: client.get() and two[0].requests[-1].get("traceparent").endswith("-02"),
          "an unsampled trace")


def test_a_reload_does_not_arm_a_fault_anew(sidespan, port, two, connect):
    """`first N` counts requests of the fault, not of the file."""
    fault = "fault abort 503 first 3;"
    sidecar = sidespan(conf(port, two[0], fault))
    client = connect(port)
    assert [client.get().status for _ in range(2)] == [503, 503]
    sidecar.reload(conf(port, two[0], fault + " attribute round two;"))
    until(lambda: "round" in sidecar.admin("/config").text, "the new file")
    assert [client.get().status for _ in range(3)] == [503, 200, 200]
    sidecar.reload(conf(port, two[0], fault.replace("503", "500")))   # another fault
    until(lambda: client.get().status == 500, "the new file")


def test_requests_go_on_while_thousands_of_clusters_come_and_go(sidespan, port, two, connect):
    def config(n, target):
        clusters = "\n".join(f"cluster c{i} {{ endpoint 10.0.{i // 250}.{i % 250}:80; }}" for i in range(n))
        routes = "\n".join(f"route = /c{i} {{ to c{i}; }}" for i in range(n))
        return f"""
            inbound {{ listen 127.0.0.1:{port}; {routes} route / {{ to {target.address}; }} }} {clusters}
            """

    sidecar = sidespan(config(10, two[0]))
    client = connect(port)
    assert client.get().body == b"one"
    stop, failures = threading.Event(), []

    def load():
        with Wire.connect(port) as other:
            while not stop.is_set():
                if other.get().status != 200:
                    failures.append(1)

    thread = threading.Thread(target=load)
    thread.start()
    for n, target in ((3000, two[1]), (3000, two[0]), (10, two[1])):
        sidecar.reload(config(n, target))
        until(lambda: client.get().body == (b"one" if target is two[0] else b"two"), "the new file")
    stop.set()
    thread.join()
    assert not failures
    assert sidecar.metric('sidespan_cluster_endpoints{cluster="c9"}') == 1


def exporting_to(port, target, collector, n):
    return conf(port, target) + f"""
        trace {{ export otlp http://127.0.0.1:{collector} {{ header x-round r{n}; }} batch {{ delay 10ms; }} }}
        timeouts {{ drain-delay 0s; drain 1s; flush 1h; }}
        """


def test_exporters_that_a_reload_left_behind_are_few(sidespan, port, two, connect, raw_origin):
    """Their collector takes what they send, and never answers."""
    hanging = raw_origin()
    sidecar = sidespan(exporting_to(port, two[0], hanging.port, 0))
    client = connect(port)
    for n in range(1, 30):
        assert client.get().status == 200     # a span that waits in the exporter
        sidecar.reload(exporting_to(port, two[0], hanging.port, n))
    until(lambda: len(sidecar.ledger()) <= 9, "the oldest to give up")
    sidecar.reload(conf(port, two[0]) + "\ntimeouts { drain-delay 0s; drain 1s; flush 100ms; }")
    until(lambda: len(re.findall("spans to .*started 1 = exported 0 .* dropped 1", sidecar.log())) >= 20, sidecar.log)


@pytest.mark.parametrize("what", ["directory", "fifo", "device"])
def test_what_is_no_file_is_no_configuration(sidespan, port, two, connect, what):
    sidecar = sidespan(conf(port, two[0]))
    kept = sidecar.path.rename(sidecar.path.with_suffix(".kept"))
    if what == "directory":
        sidecar.path.mkdir()
    elif what == "fifo":
        os.mkfifo(sidecar.path)
    else:
        sidecar.path.symlink_to("/dev/zero")
    sidecar.signal(signal.SIGHUP)
    sidecar.wait_log("is a directory" if what == "directory" else "is not a regular file")
    assert connect(port).get().status == 200
    assert sidecar.admin("/readyz").status == 200       # the main thread goes on
    if what == "directory":
        sidecar.path.rmdir()
    else:
        sidecar.path.unlink()
    kept.rename(sidecar.path)


def limit_memory(sidecar, more):
    """From here on it may have that many bytes more of address space; None: as many as it likes."""
    used = int(re.search(r"VmSize:\s+(\d+)", open(f"/proc/{sidecar.process.pid}/status").read())[1]) << 10
    soft = resource.RLIM_INFINITY if more is None else used + more
    resource.prlimit(sidecar.process.pid, resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))


def many_clusters(n):
    return "\n".join(f"cluster c{i} {{ endpoint 10.0.{i // 250}.{i % 250}:80; }}" for i in range(n))


NO_MEMORY = "not enough memory for the new configuration; the one in force stays"


@pytest.mark.skipif(sanitized(), reason="a sanitizer takes the address space for itself")
@pytest.mark.parametrize("included", [False, True])
def test_without_memory_a_reload_is_refused(sidespan, port, two, connect, tmp_path, included):
    """What is included is not known before it is read: then memory ends amid the reading."""
    sidecar = sidespan(conf(port, two[0]))
    client = connect(port)
    assert client.get().status == 200
    (tmp_path / "clusters").write_text(many_clusters(20000))
    new = conf(port, two[1]) + ("\ninclude clusters;" if included else many_clusters(20000))
    for more in (1, 2, 4, 8):
        limit_memory(sidecar, more << 20)
        answer = sidecar.reload(new, accepted=False)
        assert NO_MEMORY in answer.text
        assert client.get().body == b"one" and sidecar.admin("/readyz").status == 200
    sidecar.wait_log(NO_MEMORY)
    assert sidecar.metric("sidespan_config_last_reload_successful") == 0
    limit_memory(sidecar, None)
    sidecar.reload(new)
    until(lambda: client.get().body == b"two", "the new file")


@pytest.mark.skipif(sanitized(), reason="a sanitizer takes the address space for itself")
def test_whatever_memory_there_is_a_reload_is_taken_or_refused(sidespan, port, two, connect, tmp_path):
    """Of a file that is read from others, so that its size does not show."""
    (tmp_path / "clusters").write_text(many_clusters(5000))
    sidecar = sidespan(conf(port, two[0]))
    client = connect(port)
    for more in range(1, 40):
        limit_memory(sidecar, more << 20)
        n = more % 2
        answer = sidecar.reload(conf(port, two[n], f"attribute round r{more};") + "\ninclude clusters;",
                                accepted=None)
        assert answer.status in (200, 400), answer.text
        assert answer.status == 200 or NO_MEMORY in answer.text
        assert client.get().status == 200
    limit_memory(sidecar, None)
    sidecar.reload(conf(port, two[1], "attribute round last;") + "\ninclude clusters;")
    until(lambda: client.get().body == b"two", "the new file")


@pytest.mark.skipif(sanitized(), reason="a sanitizer takes the address space for itself")
def test_without_memory_a_start_says_so(port, two, tmp_path):
    (tmp_path / "big.conf").write_text(conf(port, two[0]) + many_clusters(40000))
    for megabytes in (30, 40, 60):
        run = subprocess.run([BINARY, "--config", tmp_path / "big.conf"], capture_output=True, text=True, timeout=60,
                             preexec_fn=lambda m=megabytes: resource.setrlimit(resource.RLIMIT_AS, (m << 20,) * 2))
        assert run.returncode == 1, run
        assert "memory" in run.stderr
