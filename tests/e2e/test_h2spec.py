"""h2spec, the conformance test of HTTP/2, against a sidecar's listener: all of its cases."""
import collections
import subprocess
import xml.etree.ElementTree

from nghttpd import Nghttpd
from programs import peer
from wire import DEADLINE, until

CASES = 145                 # of version 2.2.1, which tests/peers/h2spec pins

# What may fail, and why: (section, the how manieth of it).
ALLOWED = {
    ("http2/3.5", 2): "what is neither HTTP/1.1 nor HTTP/2 is not answered: it is passed on as it came",
}


def run_h2spec(port, folder):
    """What became of each case: {(section, number): (title, failure or None)}."""
    program, report = peer("h2spec"), folder / "h2spec.xml"
    done = subprocess.run([program, "-h", "127.0.0.1", "-p", str(port), "-o", "3", "-j", report],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=CASES + 6 * DEADLINE)
    assert report.exists(), done.stdout + done.stderr
    cases, number = {}, collections.Counter()
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        section = case.get("package")
        number[section] += 1
        bad = case.find("failure")
        if bad is None:
            bad = case.find("error")
        skipped = case.find("skipped") is not None
        failure = None if bad is None and not skipped else "skipped" if skipped else bad.text or "failed"
        cases[section, number[section]] = (case.get("classname"), failure)
    return cases


def judge(cases, sidecar):
    assert len(cases) == CASES
    failed = {key: value for key, value in cases.items() if value[1]}
    for section, n in failed:
        print(section, n, *failed[section, n], sep=" / ")
    unexpected = [f"{section}/{n} {failed[section, n][0]}: {failed[section, n][1]}"
                  for section, n in failed if (section, n) not in ALLOWED]
    assert not unexpected, "\n".join(unexpected)
    # After all that it serves as before, and nothing of it is left over.
    sidecar.process.poll()
    assert sidecar.process.returncode is None
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 0,
          "the end of h2spec's connections")
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 0,
          "the end of h2spec's requests")


def sidecar_before(sidespan, port, upstream, protocol):
    sidecar = sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port};
            route / {{ to origin; }}
        }}
        cluster origin {{ endpoint {upstream.address}; protocol {protocol}; }}
        """)
    sidecar.port = port
    return sidecar


def test_an_origin_that_speaks_http1(sidespan, port, origin, connect, tmp_path):
    upstream = origin()
    sidecar = sidecar_before(sidespan, port, upstream, "h1")
    judge(run_h2spec(port, tmp_path), sidecar)
    upstream.errors.clear()     # the invalid preface was passed on
    assert connect(port).get().status == 200


def test_an_origin_that_speaks_http2(sidespan, port, closing, connect, tmp_path):
    upstream = closing(Nghttpd(tmp_path / "htdocs", {"index.html": b"hello"}))
    sidecar = sidecar_before(sidespan, port, upstream, "h2")
    judge(run_h2spec(port, tmp_path), sidecar)
    assert connect(port).get().status == 200
