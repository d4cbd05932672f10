"""A collector for tests: takes OTLP traces over gRPC and over HTTP, believes nothing, and can be told
to fail in every way that a collector fails.

    receiver.plan.append(Answer(http=503, retry_after=2))     the next request only
    receiver.always = Answer(code="UNAVAILABLE")              all, until told otherwise
    receiver.always = Answer(gate=threading.Event())          hangs until the event is set

What it answers with success is in .accepted; what broke a rule is in .violations, is answered with an
error, and fails the test when the receiver is stopped.
"""
import base64
import collections
import concurrent.futures
import dataclasses
import gzip
import http.server
import json
import socketserver
import ssl
import threading
import time

import grpc
from google.protobuf import json_format, unknown_fields
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service_grpc

from process import free_port
from wire import DEADLINE

METHOD_PATH = "/v1/traces"
LATEST_SPAN_KIND = 5


class Violation(Exception):
    """The request breaks a rule of OTLP."""


@dataclasses.dataclass
class Answer:
    """How a request is answered. One object serves both transports."""
    http: int = 200
    code: str = "OK"                       # the gRPC status by name
    retry_after: float | str | None = None  # seconds; HTTP also takes a date as text
    message: str = ""
    rejected: int = 0                      # partial success
    gate: threading.Event | None = None    # answers only when it is set
    cut: bool = False                      # HTTP: the connection is closed without an answer

    @property
    def success(self):
        return self.http == 200 and self.code == "OK" and not self.cut


@dataclasses.dataclass
class Export:
    """One request as it came."""
    transport: str      # "grpc", "http/protobuf", "http/json"
    compression: str    # "identity", "gzip"
    headers: dict       # lower-case names
    message: object     # ExportTraceServiceRequest
    peer: str           # its connection
    at: float           # time.monotonic()
    answer: Answer = None

    @property
    def spans(self):
        return list(spans_in(self.message))


# ---- what a request must be ----

def spans_in(message):
    for resource_spans in message.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            yield from scope_spans.spans


def _require(condition, text):
    if not condition:
        raise Violation(text)


def _no_unknown_fields(message):
    for field in unknown_fields.UnknownFieldSet(message):
        raise Violation(f"{message.DESCRIPTOR.name} has an unknown field {field.field_number}")
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        # Newer releases of protobuf dropped FieldDescriptor.label.
        repeated = getattr(field, "is_repeated", None)
        repeated = field.label == field.LABEL_REPEATED if repeated is None else repeated
        for item in value if repeated else [value]:
            _no_unknown_fields(item)


def _check_attributes(pairs, where):
    keys = [pair.key for pair in pairs]
    _require(all(keys), f"{where}: an attribute without a key")
    _require(len(keys) == len(set(keys)), f"{where}: an attribute twice: {sorted(keys)}")
    for pair in pairs:
        _require(pair.value.WhichOneof("value"), f"{where}: {pair.key} has no value")


def _check_span(span):
    where = f"span {span.name!r}"
    _require(len(span.trace_id) == 16 and any(span.trace_id), f"{where}: trace id {span.trace_id!r}")
    _require(len(span.span_id) == 8 and any(span.span_id), f"{where}: span id {span.span_id!r}")
    parent = span.parent_span_id
    _require(parent == b"" or len(parent) == 8 and any(parent), f"{where}: parent {parent!r}")
    _require(parent != span.span_id, f"{where}: its own parent")
    _require(span.name, "a span without a name")
    _require(1 <= span.kind <= LATEST_SPAN_KIND, f"{where}: kind {span.kind}")
    _require(0 < span.start_time_unix_nano <= span.end_time_unix_nano,
             f"{where}: from {span.start_time_unix_nano} to {span.end_time_unix_nano}")
    now = time.time_ns()
    _require(abs(now - span.end_time_unix_nano) < 3600 * 10**9, f"{where}: it ended an hour off")
    _require(span.status.code in (0, 1, 2), f"{where}: status {span.status.code}")
    _require(span.status.code == 2 or not span.status.message, f"{where}: a message without an error")
    _require(span.flags >> 10 == 0, f"{where}: flags {span.flags:#x}")
    _check_attributes(span.attributes, where)


def check_request(message):
    """Raises Violation."""
    _no_unknown_fields(message)
    _require(message.resource_spans, "an empty request")
    for resource_spans in message.resource_spans:
        _check_attributes(resource_spans.resource.attributes, "resource")
        keys = {pair.key for pair in resource_spans.resource.attributes}
        for key in ("service.name", "telemetry.sdk.name", "telemetry.sdk.language",
                    "telemetry.sdk.version"):
            _require(key in keys, f"resource without {key}")
        _require(resource_spans.scope_spans, "an empty ResourceSpans")
        for scope_spans in resource_spans.scope_spans:
            _require(scope_spans.scope.name, "a scope without a name")
            _require(scope_spans.spans, "an empty ScopeSpans")
            for span in scope_spans.spans:
                _check_span(span)


HEX_IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
INTEGER_ENUMS = ("kind", "code")
LONG_INTEGERS = ("startTimeUnixNano", "endTimeUnixNano", "timeUnixNano", "intValue")


def _protobuf_json(node, key=None):
    """OTLP's JSON as protobuf's own: ids are base64 there."""
    if isinstance(node, list):
        return [_protobuf_json(item) for item in node]
    if isinstance(node, dict):
        bad = [k for k in node if not k or "_" in k or not k[0].islower()]
        _require(not bad, f"keys must be lowerCamelCase: {bad}")
        return {k: _protobuf_json(v, k) for k, v in node.items()}
    if key in HEX_IDS:
        _require(isinstance(node, str) and (len(node) == HEX_IDS[key] or
                                            key == "parentSpanId" and node == ""),
                 f"{key} {node!r}")
        try:
            return base64.b64encode(bytes.fromhex(node)).decode()
        except ValueError:
            raise Violation(f"{key} {node!r} is not hex") from None
    if key in INTEGER_ENUMS:
        _require(isinstance(node, int), f"{key} {node!r}: enums are integers")
    if key in LONG_INTEGERS:
        _require(isinstance(node, str) and node.lstrip("-").isdigit(),
                 f"{key} {node!r}: 64-bit integers are written as strings")
    return node


def message_from_json(text):
    """An ExportTraceServiceRequest (a TracesData has the same fields) of OTLP JSON, strictly."""
    try:
        return json_format.ParseDict(_protobuf_json(json.loads(text)),
                                     service.ExportTraceServiceRequest())
    except (json_format.ParseError, json.JSONDecodeError, TypeError) as e:
        raise Violation(f"not OTLP JSON: {e}") from e


# ---- errors with details, as a collector writes them ----

def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes_field(number, data):
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def rpc_status(code, message, retry_after=None):
    """google.rpc.Status; with a RetryInfo in its details when there is something to wait for."""
    out = b"\x08" + _varint(code) + _bytes_field(2, message.encode())
    if retry_after is not None:
        seconds, nanos = int(retry_after), int(retry_after % 1 * 1e9)
        delay = b"\x08" + _varint(seconds) + b"\x10" + _varint(nanos)
        out += _bytes_field(3, _bytes_field(1, b"type.googleapis.com/google.rpc.RetryInfo") +
                            _bytes_field(2, _bytes_field(1, delay)))
    return out


# ---- the receiver ----

class OtlpReceiver:
    """tls is a folder with cert.pem and cert.key; client_ca the file of who may have signed the
    certificates of clients, which then must have one."""

    def __init__(self, grpc_port=0, http_port=0, host="127.0.0.1", tls=None, client_ca=None):
        self.host = host
        # Ports that nobody takes while it is halted, and that it comes back to.
        self.grpc_port, self.http_port = grpc_port or free_port(host), http_port or free_port(host)
        self.tls, self.client_ca = tls, client_ca
        self.plan = collections.deque()
        self.always = Answer()
        self.accepted = []                  # Export
        self.attempts = []                  # Export, whatever was answered
        self.violations = []
        self._changed = threading.Condition()
        self._grpc = self._http = None

    def start(self):
        """May be called again after halt(): on the same ports."""
        self._start_http()
        self._start_grpc()
        return self

    def halt(self):
        """As when a collector dies: the ports are closed, connections too."""
        for server in (self._http,):
            if server:
                server.shutdown()
                server.server_close()
                server.close_connections()
        if self._grpc:
            self._grpc.stop(0).wait()
        self._http = self._grpc = None

    def stop(self):
        for answer in [self.always, *self.plan]:
            if answer.gate:
                answer.gate.set()
        self.halt()
        assert not self.violations, f"the exports broke OTLP's rules: {self.violations}"

    # -- what came

    def spans(self):
        with self._changed:
            return [span for export in self.accepted for span in export.spans]

    def wait_spans(self, n, deadline=DEADLINE):
        self._wait(lambda: sum(len(e.spans) for e in self.accepted) >= n, deadline,
                   lambda: f"{len(self.spans())} of {n} spans")
        return self.spans()

    def wait_attempts(self, n, deadline=DEADLINE):
        self._wait(lambda: len(self.attempts) >= n, deadline,
                   lambda: f"{len(self.attempts)} of {n} attempts")
        with self._changed:
            return list(self.attempts)

    def _wait(self, condition, deadline, what):
        with self._changed:
            if not self._changed.wait_for(condition, deadline):
                raise TimeoutError(f"{what()} came; violations: {self.violations}")

    # -- how each is answered

    def _take(self, export):
        """Decides, waits where told to, and keeps it."""
        with self._changed:
            answer = self.plan.popleft() if self.plan else self.always
            export.answer = answer
            self.attempts.append(export)
            self._changed.notify_all()
        if answer.gate:
            answer.gate.wait()
        with self._changed:
            if answer.success:
                self.accepted.append(export)
                self._changed.notify_all()
        return answer

    def _refuse(self, why):
        with self._changed:
            self.violations.append(str(why))
            self._changed.notify_all()

    @staticmethod
    def _response(answer):
        response = service.ExportTraceServiceResponse()
        if answer.rejected or answer.message:
            response.partial_success.rejected_spans = answer.rejected
            response.partial_success.error_message = answer.message
        return response

    # -- gRPC

    def _start_grpc(self):
        self._grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(16),
                                 options=[("grpc.so_reuseport", 0),
                                          ("grpc.max_receive_message_length", 1 << 26)])
        service_grpc.add_TraceServiceServicer_to_server(_grpc_servicer(self), self._grpc)
        address = f"{self.host}:{self.grpc_port}"
        self.grpc_port = self._grpc.add_secure_port(address, self._grpc_credentials()) if self.tls \
            else self._grpc.add_insecure_port(address)
        assert self.grpc_port, "the port is taken"
        self._grpc.start()

    def _grpc_credentials(self):
        pair = ((self.tls / "cert.key").read_bytes(), (self.tls / "cert.pem").read_bytes())
        roots = self.client_ca.read_bytes() if self.client_ca else None
        return grpc.ssl_server_credentials([pair], roots, require_client_auth=bool(roots))

    # -- HTTP

    def _tls_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.tls / "cert.pem", self.tls / "cert.key")
        if self.client_ca:
            context.load_verify_locations(self.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _start_http(self):
        self._http = _HttpServer((self.host, self.http_port), _http_handler(self))
        self.http_port = self._http.server_address[1]
        if self.tls:
            # The handshake belongs to the connection's own thread, not to the one that accepts.
            self._http.socket = self._tls_context().wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()


def _grpc_servicer(receiver):
    class Servicer(service_grpc.TraceServiceServicer):
        def Export(self, request, context):
            metadata = {key: value for key, value in context.invocation_metadata()}
            try:
                check_request(request)
            except Violation as violation:
                receiver._refuse(violation)
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(violation))
            # grpcio does not show the message encoding among the metadata; the size that came over
            # the wire is not told either. Whether it was compressed is seen on the raw wire.
            answer = receiver._take(Export("grpc", "", metadata, request, context.peer(),
                                           time.monotonic()))
            if answer.code != "OK":
                self._fail(context, answer)
            return receiver._response(answer)

        @staticmethod
        def _fail(context, answer):
            code = grpc.StatusCode[answer.code]
            if answer.retry_after is not None:
                context.set_trailing_metadata([
                    ("grpc-status-details-bin",
                     rpc_status(code.value[0], answer.message, answer.retry_after))])
            context.abort(code, answer.message or "told to fail")

    return Servicer()


class _HttpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *arguments):
        self._sockets = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self._sockets.discard(request)
        super().shutdown_request(request)

    def close_connections(self):
        for sock in list(self._sockets):
            try:
                sock.shutdown(2)
            except OSError:
                pass

    def handle_error(self, request, client_address):
        pass                                # a client that goes away is no event


def _http_handler(receiver):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            wire = self._read_body()
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                export = self._read_export(headers, wire)
            except Violation as violation:
                receiver._refuse(violation)
                self._reply(400, "text/plain", str(violation).encode())
                return
            answer = receiver._take(export)
            if answer.cut:
                self.close_connection = True
            elif answer.http != 200:
                extra = {} if answer.retry_after is None else \
                    {"Retry-After": str(answer.retry_after)}
                self._reply(answer.http, "application/x-protobuf",
                            rpc_status(13, answer.message), extra)
            elif export.transport == "http/json":
                text = json_format.MessageToJson(receiver._response(answer), indent=None)
                self._reply(200, "application/json", text.encode())
            else:
                self._reply(200, "application/x-protobuf",
                            receiver._response(answer).SerializeToString())

        def _read_export(self, headers, wire):
            _require(self.path == METHOD_PATH, f"path {self.path}")
            compression = headers.get("content-encoding", "identity")
            _require(compression in ("identity", "gzip"), f"content-encoding {compression}")
            try:
                body = gzip.decompress(wire) if compression == "gzip" else wire
            except (OSError, EOFError) as e:
                raise Violation(f"not gzip: {e}") from e
            kind = headers.get("content-type", "")
            if kind == "application/json":
                message = message_from_json(body)
            else:
                _require(kind == "application/x-protobuf", f"content-type {kind!r}")
                message = service.ExportTraceServiceRequest.FromString(body)
            check_request(message)
            transport = "http/json" if kind == "application/json" else "http/protobuf"
            return Export(transport, compression, headers, message,
                          f"{self.client_address[0]}:{self.client_address[1]}", time.monotonic())

        def _read_body(self):
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers["Content-Length"]))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _reply(self, status, kind, data, extra=None):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in (extra or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    return Handler
