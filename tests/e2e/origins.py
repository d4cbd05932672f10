"""Origins: what stands behind a sidecar.

RawOrigin is driven by the test itself, byte by byte: it accepts, reads the exact request, and
answers what and when it likes. ScriptedOrigin answers by itself, in threads, and keeps what it saw.
"""
import http.client
import http.server
import socket
import threading

from wire import DEADLINE, NotHttp, Wire, response_bytes


class RawOrigin:
    """A listening socket. accept() gives the next connection as a Wire."""

    def __init__(self, host="127.0.0.1", backlog=128, receive_buffer=None):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.bind((host, 0))
        self.sock.listen(backlog)
        self.sock.settimeout(DEADLINE)
        self.port = self.sock.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._open = []

    def accept(self):
        connection, _ = self.sock.accept()
        wire = Wire(connection)
        self._open.append(wire)
        return wire

    def unspoken_to(self, seconds=0.1):
        """Nobody connects for a moment, or who does says nothing: where a server may speak first, one is
        dialled for a client that was silent at first."""
        self.sock.settimeout(seconds)
        try:
            return self.accept().expect_broken() == b""
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(DEADLINE)

    def untouched(self, seconds=0.1):
        """Nobody connects for a moment."""
        self.sock.settimeout(seconds)
        try:
            connection, _ = self.sock.accept()
            connection.close()
            return False
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(DEADLINE)

    def close(self):
        for wire in self._open:
            wire.close()
        self.sock.close()


class ScriptedOrigin:
    """Answers each request with handler(request), bytes of a whole response; None closes.

    handler may also take the connection as a second argument and send by itself; it then returns
    True to keep the connection. requests has all that came, in order.
    """

    def __init__(self, handler=None, host="127.0.0.1"):
        self.handler = handler or (lambda request: response_bytes(body=b"hello"))
        self.requests = []
        self.connections = 0
        self.spoken_to = 0                    # of them, those on which a byte came
        self.errors = []
        self._changed = threading.Condition()
        self._open = set()
        self._raw = RawOrigin(host)
        self._raw.sock.settimeout(None)
        self.port, self.address = self._raw.port, self._raw.address
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._raw.sock.accept()
            except OSError:
                return
            wire = Wire(connection)
            connection.settimeout(None)       # kept connections wait for as long as the test runs
            with self._changed:
                self.connections += 1
                self._open.add(wire)
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire):
        try:
            if wire._fill():
                self.spoken_to += 1
            while self._answer(wire):
                pass
        except (EOFError, OSError):
            pass
        except Exception as e:                # told when the test ends
            self.errors.append(e)
        finally:
            wire.close()
            with self._changed:
                self._open.discard(wire)
                self._changed.notify_all()

    def _answer(self, wire):
        request = wire.read_request()
        request.connection = wire
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        answer = self.handler(request)
        if isinstance(answer, bytes):
            wire.send(b"".join((answer.partition(b"\r\n\r\n")[:2])) if request.method == "HEAD"
                      else answer)
        return bool(answer)

    def wait_requests(self, n, deadline=DEADLINE):
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= n, deadline):
                raise TimeoutError(f"{len(self.requests)} of {n} requests came")
            return list(self.requests)

    def wait_open(self, n, deadline=DEADLINE):
        """Until exactly n connections are open."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._open) == n, deadline):
                raise TimeoutError(f"{len(self._open)} connections are open, not {n}")

    def drop_connections(self):
        """Closes every open connection from the origin's side."""
        with self._changed:
            wires = list(self._open)
        for wire in wires:
            try:
                wire.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        try:
            self._raw.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._raw.close()
        self.drop_connections()
        not_http = [e for e in self.errors if isinstance(e, NotHttp)]
        assert not not_http, f"the origin was sent what is not HTTP: {not_http}"
        assert not self.errors, f"the origin's script failed: {self.errors}"


class CopyingService:
    """A service of http.server that knows nothing of tracing but to copy the trace headers of a
    request to the calls it makes for it; `next_port` is where it calls (its sidecar)."""

    COPIED = ("traceparent", "tracestate", "baggage")

    def __init__(self, next_port=None, next_host="next.test", copy=COPIED):
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                service.seen.append({k.lower(): v for k, v in self.headers.items()})
                body = b"leaf\n"
                if service.next_port:
                    call = http.client.HTTPConnection("127.0.0.1", service.next_port,
                                                      timeout=DEADLINE)
                    fields = {k: self.headers[k] for k in copy if k in self.headers}
                    call.request("GET", self.path, headers={"Host": next_host, **fields})
                    body = b"called: " + call.getresponse().read()
                    call.close()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.next_port = next_port
        self.seen = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class BlackHole:
    """An address that answers nothing: a listening socket whose queue is full drops every SYN."""

    def __init__(self, host="127.0.0.1", port=0):
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(self.family)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind((host, port))
        self.sock.listen(0)
        self.port = self.sock.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._waiting = []
        while self._one_more():
            pass

    def _one_more(self):
        """One more waits in the queue; False: it is full."""
        waiting = socket.socket(self.family)
        self._waiting.append(waiting)
        waiting.settimeout(0.1)
        try:
            waiting.connect(self.sock.getsockname()[:2])
            return True
        except TimeoutError:
            return False

    def serve(self, answer, began):
        """It answers from now on: answer(wire) for each connection; began is set with the first
        that is not one of those which kept the queue full."""
        ours = {waiting.getsockname() for waiting in self._waiting}
        for waiting in self._waiting:
            waiting.close()
        self.sock.listen(128)

        def run():
            while True:
                try:
                    connection, peer = self.sock.accept()
                except OSError:
                    return
                if peer not in ours:
                    began.set()
                try:
                    with Wire(connection) as wire:
                        answer(wire)
                except (EOFError, OSError):
                    pass

        threading.Thread(target=run, daemon=True).start()

    def close(self):
        for waiting in self._waiting:
            waiting.close()
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
