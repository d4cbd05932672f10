"""Spans leave over OTLP, and a collector that misbehaves costs spans at most, and never a request."""
import email.utils
import gzip
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from otlp_receiver import Answer, check_request, message_from_json, service as pb
from process import free_port, sanitized
from programs import long_variant, needs
from wire import Wire, until

KINDS = ["grpc", "http"]


def url(collector, kind):
    return f"grpc://127.0.0.1:{collector.grpc_port}" if kind == "grpc" else \
        f"http://127.0.0.1:{collector.http_port}"


@pytest.fixture
def exporting(inbound, origin):
    """exporting(url) is a sidecar before an origin that exports there."""
    def start(to, options="", trace="batch { delay 50ms; }", rest="", env=None):
        sidecar = inbound(origin().address, rest=f"""
            trace {{ export otlp {to} {{ {options} }} {trace} }} {rest}
            """, env=env)
        return sidecar

    return start


def send(sidecar, n, target="/"):
    """n requests on one connection; each must be answered with 200."""
    with Wire.connect(sidecar.port) as client:
        for _ in range(n):
            assert client.get(target).status == 200


def balanced(sidecar, **expected):
    """Waits until the ledger says so; ledger() checks at every look that it balances."""

    def as_expected():
        row = sidecar.the_ledger()
        flat = {**row, **row["dropped"]}
        return all(flat[k] == v for k, v in expected.items())

    until(as_expected, lambda: f"{expected}; it is {sidecar.the_ledger()}\n{sidecar.log()}")
    return sidecar.the_ledger()


@pytest.mark.parametrize("kind", KINDS)
def test_spans_arrive_whole(exporting, collector, kind):
    receiver = collector()
    sidecar = exporting(url(receiver, kind))
    send(sidecar, 20)
    spans = receiver.wait_spans(20)
    assert len({s.span_id for s in spans}) == 20
    for span in spans:
        assert span.name == "GET" and span.kind == 2
        keys = {a.key for a in span.attributes}
        assert {"http.request.method", "url.path", "http.response.status_code"} <= keys
        assert span.flags & 0x1 and span.flags & 0x100
    [export, *_] = receiver.accepted
    [resource] = {e.message.resource_spans[0].resource.SerializeToString()
                  for e in receiver.accepted}
    assert b"service.name" in resource
    agent = export.headers["user-agent"]
    assert "OTel-OTLP-Exporter-" in agent and "sidespan" in agent.lower()
    balanced(sidecar, started=20, exported=20, waiting=0)


@pytest.mark.parametrize("kind", KINDS)
def test_headers_of_the_file_are_sent(exporting, collector, kind):
    receiver = collector()
    options = 'header authorization "Bearer t0ken"; header x-team shop;'
    send(exporting(url(receiver, kind), options=options), 1)
    receiver.wait_spans(1)
    headers = receiver.accepted[0].headers
    assert headers["authorization"] == "Bearer t0ken" and headers["x-team"] == "shop"


def test_gzip_over_http(exporting, collector):
    receiver = collector()
    send(exporting(url(receiver, "http"), options="compression gzip;"), 30)
    receiver.wait_spans(30)
    assert {e.compression for e in receiver.accepted} == {"gzip"}
    plain = collector()
    assert plain.accepted == []


class Tap:
    """A relay before a collector that keeps what the client sends."""

    def __init__(self, to_port):
        self.seen = bytearray()
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, args=(to_port,), daemon=True).start()

    def _accept(self, to_port):
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", to_port))
            for source, sink, keep in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._copy, args=(source, sink, keep), daemon=True).start()

    def _copy(self, source, sink, keep):
        try:
            while data := source.recv(65536):
                if keep:
                    self.seen += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def data_frames(self):
        """The payload of the DATA frames of the (only) HTTP/2 connection, by stream."""
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        assert self.seen.startswith(preface)
        at, streams = len(preface), {}
        while at + 9 <= len(self.seen):
            length = int.from_bytes(self.seen[at:at + 3], "big")
            kind = self.seen[at + 3]
            stream = int.from_bytes(self.seen[at + 5:at + 9], "big")
            if kind == 0:
                streams[stream] = streams.get(stream, b"") + self.seen[at + 9:at + 9 + length]
            at += 9 + length
        return streams

    def close(self):
        self.sock.close()


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_the_message_over_grpc_is_framed_and_compressed_as_told(
        exporting, collector, closing, compression):
    receiver = collector()
    tap = closing(Tap(receiver.grpc_port))
    send(exporting(f"grpc://127.0.0.1:{tap.port}", options=f"compression {compression};"), 30)
    receiver.wait_spans(30)
    spans = 0
    for message in tap.data_frames().values():
        assert message[0] == (compression == "gzip")
        body = bytes(message[5:])
        assert int.from_bytes(message[1:5], "big") == len(body)
        body = gzip.decompress(body) if compression == "gzip" else body
        request = pb.ExportTraceServiceRequest.FromString(body)
        check_request(request)
        spans += sum(len(ss.spans) for rs in request.resource_spans for ss in rs.scope_spans)
    assert spans == 30


@pytest.mark.parametrize("kind", KINDS)
def test_one_connection_carries_many_batches(exporting, collector, kind):
    receiver = collector()
    sidecar = exporting(url(receiver, kind), trace="batch { delay 20ms; size 10; }")
    send(sidecar, 60)
    receiver.wait_spans(60)
    assert len(receiver.accepted) >= 6
    assert all(len(e.spans) <= 10 for e in receiver.accepted)
    assert len({e.peer for e in receiver.accepted}) == 1


def test_a_path_in_the_url_is_used_as_it_is(exporting, collector):
    receiver = collector()
    sidecar = exporting(f"http://127.0.0.1:{receiver.http_port}/v1/traces")
    send(sidecar, 1)
    receiver.wait_spans(1)


# ---- rows of the retry table ----

RETRIED = [("grpc", Answer(code=c)) for c in ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED",
                                              "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS")] + \
    [("grpc", Answer(code="RESOURCE_EXHAUSTED", retry_after=0.1))] + \
    [("http", Answer(http=s)) for s in (429, 502, 503, 504)] + [("http", Answer(cut=True))]
REFUSED = [("grpc", Answer(code=c)) for c in (
    "UNKNOWN", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "FAILED_PRECONDITION", "UNIMPLEMENTED", "INTERNAL", "UNAUTHENTICATED", "RESOURCE_EXHAUSTED")] + \
    [("http", Answer(http=s)) for s in (400, 401, 403, 404, 413, 415, 500, 501)]


def name_of(row):
    kind, answer = row
    what = answer.code if kind == "grpc" else "cut" if answer.cut else answer.http
    return f"{kind}-{what}" + ("-retryinfo" if answer.retry_after else "")


@pytest.mark.parametrize("row", RETRIED, ids=name_of)
def test_what_may_pass_is_tried_again(exporting, collector, row):
    kind, answer = row
    receiver = collector()
    receiver.plan.append(answer)
    sidecar = exporting(url(receiver, kind))
    send(sidecar, 5)
    receiver.wait_spans(5)
    first, second = receiver.wait_attempts(2)[:2]
    assert {s.span_id for s in first.spans} <= {s.span_id for s in receiver.spans()}
    assert second.at - first.at >= (0.1 if answer.retry_after else 0.75)
    balanced(sidecar, started=5, exported=5, waiting=0)
    assert len(receiver.spans()) == 5         # none twice


@pytest.mark.parametrize("row", REFUSED, ids=name_of)
def test_what_will_not_pass_is_dropped_and_counted(exporting, collector, row):
    kind, answer = row
    receiver = collector()
    receiver.plan.append(answer)
    sidecar = exporting(url(receiver, kind))
    send(sidecar, 3)
    lost = len(receiver.wait_attempts(1)[0].spans)
    until(lambda: sidecar.the_ledger()["dropped"]["refused"] == lost, "the drop in the ledger")
    send(sidecar, 2)
    receiver.wait_spans(5 - lost)
    row = balanced(sidecar, started=5, refused=lost, exported=5 - lost, waiting=0)
    assert sum(row["dropped"].values()) == lost
    assert not {s.span_id for s in receiver.attempts[0].spans} & \
        {s.span_id for s in receiver.spans()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_wait_that_the_collector_asks_for_is_kept(exporting, collector, kind):
    receiver = collector()
    receiver.plan.append(Answer(http=503, code="UNAVAILABLE", retry_after=2))
    send(exporting(url(receiver, kind)), 1)
    receiver.wait_spans(1)
    first, second = receiver.attempts[:2]
    assert 2 <= second.at - first.at < 5


def test_a_date_in_retry_after_is_understood(exporting, collector):
    receiver = collector()
    receiver.plan.append(Answer(http=429, retry_after=email.utils.formatdate(
        int(time.time()) + 3, usegmt=True)))
    send(exporting(url(receiver, "http")), 1)
    receiver.wait_spans(1)
    first, second = receiver.attempts[:2]
    assert 1.5 <= second.at - first.at < 6


@pytest.mark.parametrize("kind", KINDS)
def test_a_partial_success_is_never_sent_again(exporting, collector, kind):
    receiver = collector()
    receiver.plan.append(Answer(rejected=2, message="too old"))
    sidecar = exporting(url(receiver, kind), trace="batch { delay 300ms; }")
    send(sidecar, 5)
    receiver.wait_attempts(1)
    balanced(sidecar, started=5, rejected=2, exported=3, waiting=0)
    sidecar.wait_log("too old")
    send(sidecar, 1)
    receiver.wait_attempts(2)
    balanced(sidecar, started=6, rejected=2, exported=4)
    assert len(receiver.attempts) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_warning_with_a_success_rejects_nothing(exporting, collector, kind):
    receiver = collector()
    receiver.plan.append(Answer(rejected=0, message="please use gzip"))
    sidecar = exporting(url(receiver, kind))
    send(sidecar, 1)
    balanced(sidecar, started=1, exported=1, rejected=0)
    sidecar.wait_log("please use gzip")


# ---- a collector in trouble ----

N = 3000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", ["stopped", "hanging", "erroring"])
def test_requests_do_not_notice_a_collector_in_trouble_and_spans_arrive_when_it_is_back(
        exporting, collector, kind, trouble):
    in_trouble(exporting, collector, kind, trouble, N)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", ["stopped", "hanging", "erroring"])
def test_a_hundred_thousand_requests_do_not_notice(exporting, collector, kind, trouble):
    long_variant("100,000 requests")
    in_trouble(exporting, collector, kind, trouble, 100_000)


def in_trouble(exporting, collector, kind, trouble, n):
    receiver = collector()
    gate = threading.Event()
    if trouble == "stopped":
        receiver.halt()
    elif trouble == "hanging":
        receiver.always = Answer(gate=gate)
    else:
        receiver.always = Answer(http=503, code="UNAVAILABLE")
    sidecar = exporting(url(receiver, kind), options="timeout 2s;",
                        trace=f"batch {{ delay 50ms; queue {max(n // 2, 1000)}; timeout 10m; }}")
    send(sidecar, 200)
    before = sidecar.rss()
    threads = [threading.Thread(target=send, args=(sidecar, n // 4)) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    total = 200 + n // 4 * 4
    row = balanced(sidecar, started=total)
    assert row["exported"] == 0
    assert row["waiting"] > 0
    assert row["dropped"]["queue_full"] == total - row["waiting"]  # the rest, and for that reason
    assert row["waiting"] <= max(n // 2, 1000)
    if not sanitized():
        # An encoded span is below 1 KiB.
        assert sidecar.rss() - before < max(n // 2, 1000) * 1200 + (4 << 20)

    if trouble == "stopped":
        receiver.start()
    receiver.always = Answer()
    gate.set()
    spans = receiver.wait_spans(row["waiting"], 60)
    if trouble != "hanging":                  # one that hung may have been taken, and sent again
        assert len({s.span_id for s in spans}) == len(spans) == row["waiting"]
    balanced(sidecar, started=total, waiting=0, exported=row["waiting"],
             queue_full=row["dropped"]["queue_full"])
    send(sidecar, 10)
    balanced(sidecar, started=total + 10, waiting=0)


def test_a_batch_that_never_gets_through_expires(exporting, collector):
    receiver = collector()
    receiver.always = Answer(http=503)
    sidecar = exporting(url(receiver, "http"), trace="batch { delay 20ms; timeout 400ms; }")
    send(sidecar, 3)
    balanced(sidecar, started=3, expired=3, waiting=0)


def test_a_request_that_hangs_is_given_up_after_its_timeout(exporting, collector):
    receiver = collector()
    receiver.plan.append(Answer(gate=threading.Event()))
    sidecar = exporting(url(receiver, "http"), options="timeout 200ms;")
    send(sidecar, 1)
    first, second = receiver.wait_attempts(2)[:2]
    assert second.at - first.at >= 0.2
    receiver.wait_spans(1)
    first.answer.gate.set()
    balanced(sidecar, started=1, exported=1, waiting=0)


def test_an_operator_is_told_of_trouble_once_and_of_its_end(exporting, collector):
    receiver = collector()
    receiver.halt()
    sidecar = exporting(url(receiver, "grpc"))
    send(sidecar, 1)
    sidecar.wait_log(rf"127\.0\.0\.1:{receiver.grpc_port}")
    receiver.start()
    receiver.wait_spans(1)
    assert sidecar.log().lower().count("refused") <= 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ends", [False, True], ids=["goes on", "ends"])
def test_after_a_short_outage_the_last_line_is_true(exporting, collector, kind, ends):
    """Though nothing more comes to be exported, and the end comes before a second line may."""
    receiver = collector()
    receiver.halt()
    sidecar = exporting(url(receiver, kind))
    send(sidecar, 3)
    sidecar.wait_log("spans wait and are sent again")
    receiver.start()
    balanced(sidecar, exported=3)
    if ends:
        sidecar.signal(signal.SIGTERM)
        assert sidecar.wait_exit() == 0
    sidecar.wait_log(r"takes spans again after \d+ s; 3 were exported since, 0 were lost")
    told = [line for line in sidecar.log().splitlines() if "again" in line]
    assert len(told) == 2 and "takes spans again" in told[-1]


def test_something_that_is_no_collector_does_no_harm(exporting, raw_origin):
    odd = raw_origin()
    sidecar = exporting(f"grpc://{odd.address}")
    send(sidecar, 1)
    peer = odd.accept()
    peer.read(24)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\nwhat is this?")
    peer.close()
    send(sidecar, 10)
    balanced(sidecar, started=11)


def test_a_collector_that_has_no_name_yet_does_no_harm(exporting):
    sidecar = exporting("grpc://no-such-collector.invalid:4317")
    send(sidecar, 20)
    balanced(sidecar, started=20, waiting=20)


# ---- several, and others ----

def test_several_exports_stand_side_by_side(inbound, origin, collector):
    one, two = collector(), collector()
    two.halt()
    sidecar = inbound(origin().address, rest=f"""
        trace {{
            export otlp grpc://127.0.0.1:{one.grpc_port};
            export otlp http://127.0.0.1:{two.http_port};
            export memory; batch {{ delay 50ms; }}
        }}
        """)
    send(sidecar, 10)
    one.wait_spans(10)
    sidecar.wait_spans(10)
    until(lambda: sum(r["exported"] for r in sidecar.ledger().values()) == 20, "two that took all")
    rows = sidecar.ledger()
    assert len(rows) == 3
    assert rows[f"http://127.0.0.1:{two.http_port}"]["waiting"] == 10


@pytest.mark.parametrize("form", ["", "pretty"])
def test_the_console_writes_every_span_at_once(inbound, origin, form):
    sidecar = inbound(origin().address, rest=f"trace {{ export console {form}; }}")
    send(sidecar, 5)
    until(lambda: len(set(re.findall(r"\b[0-9a-f]{32}\b", sidecar.out()))) == 5,
          "the spans on standard output")
    if not form:
        assert len(sidecar.out().splitlines()) == 5


def test_the_traces_in_memory_are_strict_otlp_json(inbound, origin, connect):
    sidecar = inbound(origin().address, rest="trace { capture request header x-a; }")
    client = connect(sidecar.port)
    client.get("/?q=\"\\", "X-A: quote\" back\\slash", "User-Agent: caf\xe9",
               "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
               "tracestate: a=1")
    client.get()
    sidecar.wait_spans(2)
    check_request(message_from_json(sidecar.admin("/traces").body))


def test_spans_are_flushed_at_the_end(exporting, collector):
    receiver = collector()
    sidecar = exporting(url(receiver, "grpc"), trace="batch { delay 1h; }")
    send(sidecar, 7)
    assert receiver.accepted == []
    sidecar.stop()
    assert len(receiver.spans()) == 7


def test_the_last_log_line_of_the_ledger_tells_what_was_lost(exporting, collector):
    receiver = collector()
    receiver.halt()
    sidecar = exporting(url(receiver, "http"),
                        rest="timeouts { drain-delay 0s; drain 1s; flush 200ms; }")
    send(sidecar, 4)
    sidecar.stop()
    assert "shutdown" in sidecar.log()
    line = [l for l in sidecar.log().splitlines() if "shutdown" in l][-1]
    assert "4" in line


def test_the_exporter_is_not_traced_by_a_mesh_around_it(exporting, collector):
    receiver = collector()
    send(exporting(url(receiver, "http")), 1)
    receiver.wait_spans(1)
    assert "traceparent" not in receiver.accepted[0].headers


def test_a_port_that_is_not_said_is_the_standard_one(inbound, origin):
    sidecar = inbound(origin().address, rest="trace { export otlp grpc://127.0.0.1; }")
    assert "4317" in sidecar.admin("/config").text or "grpc://127.0.0.1" in sidecar.log()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """cert.pem and key.pem of a collector at localhost that is its own authority, client.pem and
    client.key of a sidecar that it trusts."""
    openssl = needs("openssl")
    folder = tmp_path_factory.mktemp("certificates")
    for name, subject in (("cert", "/CN=collector"), ("client", "/CN=sidecar")):
        subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", folder / f"{name}.key",
                        "-out", folder / f"{name}.pem", "-days", "2", "-subj", subject,
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       check=True, capture_output=True)
    return folder


def secure_url(collector, kind, host="localhost"):
    return f"grpcs://{host}:{collector.grpc_port}" if kind == "grpc" else \
        f"https://{host}:{collector.http_port}"


@pytest.mark.parametrize("kind", KINDS)
def test_export_over_tls(exporting, collector, certificates, kind):
    receiver = collector(tls=certificates)
    sidecar = exporting(secure_url(receiver, kind), options=f"ca {certificates}/cert.pem;")
    send(sidecar, 3)
    receiver.wait_spans(3)
    balanced(sidecar, started=3, exported=3)


@pytest.mark.parametrize("kind", KINDS)
def test_export_over_tls_to_an_ip_address(exporting, collector, certificates, kind):
    receiver = collector(tls=certificates)
    send(exporting(secure_url(receiver, kind, "127.0.0.1"), options=f"ca {certificates}/cert.pem;"), 1)
    receiver.wait_spans(1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_collector_that_nobody_trusts_gets_nothing(exporting, collector, certificates, kind):
    receiver = collector(tls=certificates)
    sidecar = exporting(secure_url(receiver, kind))  # only what the system trusts
    send(sidecar, 2)
    sidecar.wait_log("(?i)certificate")
    assert receiver.attempts == []
    balanced(sidecar, started=2, waiting=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_collector_that_asks_for_a_certificate_gets_one(exporting, collector, certificates, kind):
    receiver = collector(tls=certificates, client_ca=certificates / "client.pem")
    own = f"certificate {certificates}/client.pem; key {certificates}/client.key;"
    send(exporting(secure_url(receiver, kind), options=f"ca {certificates}/cert.pem; {own}"), 2)
    receiver.wait_spans(2)


# ---- HTTP servers of other habits ----

@pytest.mark.parametrize("answer, kept", [
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
    (b"HTTP/1.0 200 OK\r\n\r\n", False),
    (b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
], ids=["chunked", "close", "1.0", "202", "100"])
def test_answers_of_many_forms_are_understood(exporting, raw_origin, answer, kept):
    server = raw_origin()
    sidecar = exporting(f"http://{server.address}", trace="batch { delay 20ms; }")
    connection = None
    for n in (1, 2):
        send(sidecar, 1)
        connection = connection or server.accept()
        request = connection.read_request()
        check_request(pb.ExportTraceServiceRequest.FromString(request.body))
        assert request.get("host") == server.address
        connection.send(answer)
        if not kept:
            connection.close()
            connection = None
        balanced(sidecar, exported=n, waiting=0)


@pytest.mark.parametrize("url", ["grpcs://127.0.0.1:{}", "https://127.0.0.1:{}/v1/traces"])
def test_a_collector_without_tls_is_told_as_such(sidespan, closing, url):
    """What a plain port says to the first bytes of TLS."""
    plain = closing(socket.create_server(("127.0.0.1", 0)))

    def answer():
        while True:
            try:
                connection, _ = plain.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=answer, daemon=True).start()
    port = free_port()
    sidecar = sidespan(f"""inbound {{ listen 127.0.0.1:{port}; route / {{ respond 200; }} }}
        trace {{ export otlp {url.format(plain.getsockname()[1])}; batch {{ delay 10ms; }} }}""")
    closing(Wire(socket.create_connection(("127.0.0.1", port)))).send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    sidecar.wait_log("does not answer in TLS; without TLS a URL begins with grpc:// or http://", 30)
