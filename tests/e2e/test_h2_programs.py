"""Programs of others as clients and as origins: curl, nghttp, h2load and nghttpd."""
import re
import subprocess

import pytest

from pairs import H2_BOTH, H2_CLIENT, H2_UPSTREAM
from peers import Reply
from process import free_port
from programs import needs
from wire import Wire, until


def run(*command, deadline=None):
    done = subprocess.run([str(c) for c in command], capture_output=True, timeout=deadline or 60)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def nghttpd(closing, tmp_path):
    """nghttpd(*arguments) serves a folder, and echoes uploads; returns its address."""
    program = needs("nghttpd")
    root = tmp_path / "served"
    root.mkdir()
    (root / "small.txt").write_bytes(b"small\n")
    (root / "large.bin").write_bytes(bytes(range(256)) * 20_000)

    def start(*arguments):
        port = free_port()
        process = subprocess.Popen([program, "--no-tls", "--address=127.0.0.1", "-d", str(root),
                                    *arguments, str(port)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        closing(process, "wait")
        closing(process, "kill")

        def listens():
            try:
                Wire.connect(port).close()
                return True
            except ConnectionError:
                return False

        until(listens, "nghttpd")
        return f"127.0.0.1:{port}"

    start.root = root
    return start


def test_curl_by_prior_knowledge(pair, tmp_path):
    curl = needs("curl")
    data = bytes(range(256)) * 4000
    (tmp_path / "up").write_bytes(data)
    upstream = pair.origin(lambda r: Reply(body=r.content, fields=[f"X-Method: {r.method}"]))
    sidecar = pair.inbound(upstream)
    version = "--http2-prior-knowledge" if pair.client_protocol == "h2" else "--http1.1"
    url = f"http://127.0.0.1:{pair.port}/up"
    out = run(curl, "-sS", version, "--data-binary", f"@{tmp_path / 'up'}", "-o", tmp_path / "down",
              "-w", "%{http_code} %{http_version}", url)
    assert out.decode() == f"200 {pair.client_version}"
    assert (tmp_path / "down").read_bytes() == data
    assert run(curl, "-sS", version, "-I", "-o", tmp_path / "head", "-w", "%{http_code}", url) == b"200"
    run(curl, "-sS", version, "-T", tmp_path / "up", "-H", "Content-Length:", "-H",
              "Transfer-Encoding: chunked", "-H", "Expect:", "-o", tmp_path / "down2", url)
    assert (tmp_path / "down2").read_bytes() == data
    sidecar.wait_spans(3, lambda s: s.status == 0)


@H2_CLIENT
def test_nghttp_gets_with_priorities_padding_and_trailers(pair):
    nghttp = needs("nghttp")
    upstream = pair.origin(lambda r: Reply(body=b"x" * 100_000, trailers=["X-Sum: 7"]))
    sidecar = pair.inbound(upstream)
    url = f"http://127.0.0.1:{pair.port}"
    out = run(nghttp, "-nv", "-p", 200, "-b", 100, "-w", 14, f"{url}/a", f"{url}/b",
              f"{url}/c", "--trailer", "x-end: 1", "-H", ":method: POST", "-d", "/etc/hostname").decode()
    assert len(re.findall(r":status: 200", out)) == 3
    assert "x-sum: 7" in out
    if pair.upstream_protocol == "h2":        # nghttp tells the length: in HTTP/1.1 that ends the message
        assert all(r.trailers for r in upstream.requests)
    sidecar.wait_spans(3, lambda s: s["http.response.status_code"] == 200)


@H2_CLIENT
def test_h2load_finds_no_failure(pair):
    h2load = needs("h2load")
    sidecar = pair.inbound(pair.origin(lambda r: Reply(body=b"x" * 1000)))
    out = run(h2load, "-n", 400, "-c", 4, "-m", 20, f"http://127.0.0.1:{pair.port}/").decode()
    assert "400 succeeded, 0 failed, 0 errored" in out
    assert re.search(r"status codes: 400 2xx", out)
    assert sidecar.metric('sidespan_connections_total{direction="inbound"}') >= 4


@H2_UPSTREAM
def test_nghttpd_as_the_origin(pair, nghttpd):
    address = nghttpd("--echo-upload", "--trailer=x-sum: 7")
    sidecar = pair.inbound(address)
    client = pair.client()
    announced = ["Connection: TE"] if pair.client_protocol == "h1" else []
    response = client.get("/small.txt", "TE: trailers", *announced)
    assert response.status == 200 and response.body == b"small\n"
    if pair.client_protocol == "h2":          # nghttpd tells the length: in HTTP/1.1 that ends the message
        assert response.trailers == [("x-sum", "7")]
    assert client.get("/large.bin").body == (nghttpd.root / "large.bin").read_bytes()
    assert client.get("/none").status == 404
    data = b"up" * 100_000
    assert client.ask("POST", "/echo", body=data).body == data
    assert client.ask("HEAD", "/small.txt").status == 200
    assert len({s.trace_id for s in sidecar.wait_spans(5)}) == 5


@H2_BOTH
def test_h2load_to_nghttpd_that_allows_few_streams(pair, nghttpd):
    h2load = needs("h2load")
    pair.inbound(nghttpd("--max-concurrent-streams=10"))
    out = run(h2load, "-n", 600, "-c", 3, "-m", 50,
              f"http://127.0.0.1:{pair.port}/small.txt").decode()
    assert "600 succeeded, 0 failed, 0 errored" in out
