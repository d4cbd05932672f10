"""One connection of HTTP/2, by python-hyper's h2, and its streams.

As with wire.py everything waits for an event under a deadline, nothing sleeps, and what the peer sends
is believed as far as h2 finds that RFC 9113 allows it. Frames are read by whoever waits (so a test that
does not read gives no window), or with background=True by a thread that belongs to the connection.
"""
import collections
import socket
import struct
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from h2.connection import ConnectionInputs
from hyperframe.frame import Frame, GoAwayFrame

from wire import DEADLINE, NotHttp

Codes = h2.errors.ErrorCodes
Settings = h2.settings.SettingCodes

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR = Codes.NO_ERROR, Codes.PROTOCOL_ERROR, Codes.INTERNAL_ERROR
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = \
    Codes.REFUSED_STREAM, Codes.CANCEL, Codes.ENHANCE_YOUR_CALM
CONNECTION_WINDOW = 1 << 24
NO_STREAM_YET = 2**31 - 1                     # the first GOAWAY of a graceful end


class Broken(Exception):
    """The message will never be whole: reset (with its code), or the connection is gone."""

    def __init__(self, text, code=None):
        super().__init__(text)
        self.code = code


class _Connection(h2.connection.H2Connection):
    """h2 takes GOAWAY for the end of the connection; but the streams under way go on (RFC 9113
    section 6.8)."""

    def __init__(self, config):
        super().__init__(config)
        goaway = (ConnectionInputs.SEND_GOAWAY, ConnectionInputs.RECV_GOAWAY)
        self.state_machine._transitions = {
            (state, what): (effect, state if what in goaway else after)
            for (state, what), (effect, after) in self.state_machine._transitions.items()}


class H2Wire:
    def __init__(self, sock, client_side, settings=None, checks=True, background=False,
                 preface=True):
        """settings: {Settings.X: value} of our own. checks=False: what is sent may be malformed."""
        self.sock = sock
        self.client_side = client_side
        self.deadline = DEADLINE
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.ended = False                    # FIN or RST has come
        self.streams = {}
        self.incoming = collections.deque()   # requests that nobody took yet
        self.goaways = []                     # (code, last stream id, debug data)
        self.pings = 0                        # answers to ours
        self.peer_settings = {}               # as the peer said them
        self.settings_acknowledged = 0        # of ours
        self.error = None
        self.background = background
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(None if background else self.deadline)
        self.conn = _Connection(h2.config.H2Configuration(
            client_side=client_side, header_encoding=None, validate_outbound_headers=checks,
            normalize_outbound_headers=checks, normalize_inbound_headers=False))
        if settings:
            self.conn.local_settings = h2.settings.Settings(
                client=client_side, initial_values={**dict(self.conn.local_settings), **settings})
        if preface:
            with self.lock:
                self.conn.initiate_connection()
                # A stream that is not read holds up itself and nobody else.
                self.conn.increment_flow_control_window(CONNECTION_WINDOW)
                self._flush()
        if background:
            threading.Thread(target=self._read_all, daemon=True).start()

    @classmethod
    def connect(cls, port, host="127.0.0.1", receive_buffer=None, **named):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(DEADLINE)
        sock.connect((host, port))
        return cls(sock, True, **named)

    @property
    def local_port(self):
        return self.sock.getsockname()[1]

    # -- frames

    def _flush(self):
        data = self.conn.data_to_send()
        if data:
            self.sock.sendall(data)

    def send_frame(self, frame):
        """A frame past all of h2's checks: of hyperframe, or bytes."""
        with self.lock:
            self._flush()
            self.sock.sendall(frame.serialize() if isinstance(frame, Frame) else frame)

    def goaway(self, last_stream_id=NO_STREAM_YET, code=NO_ERROR, debug=b""):
        self.send_frame(GoAwayFrame(0, last_stream_id=last_stream_id, error_code=int(code),
                                    additional_data=debug))

    def update_settings(self, settings):
        with self.lock:
            self.conn.update_settings(settings)
            self._flush()

    def ping(self, data=b"12345678"):
        """Sends one and waits for its answer: all that was sent before has then been read."""
        with self.lock:
            before = self.pings
            self.conn.ping(data)
            self._flush()
        self.wait(lambda: self.pings > before, "an answer to PING")

    def pump(self, timeout=None):
        """Reads once from the socket and takes what came."""
        if not self.background:
            self.sock.settimeout(self.deadline if timeout is None else timeout)
        try:
            data = self.sock.recv(1 << 16)
        except TimeoutError:
            raise
        except OSError:                       # reset, or closed by another thread of ours
            data = b""
        finally:
            if not self.background:
                self.sock.settimeout(self.deadline)
        with self.lock:
            if not data:
                self.ended = True
            else:
                self._take(data)
            self.changed.notify_all()

    def _take(self, data):
        try:
            for event in self.conn.receive_data(data):
                self._handle(event)
        except h2.exceptions.ProtocolError as e:
            self.error = NotHttp(f"not HTTP/2: {e!r}")
        try:
            self._flush()
        except OSError:
            pass                              # the peer is gone; reading says so
        if self.error:
            self.ended = True
            raise self.error

    def _read_all(self):
        try:
            while not self.ended:
                self.pump()
        except (NotHttp, OSError) as e:
            with self.lock:
                self.ended, self.error = True, self.error or e
                self.changed.notify_all()

    def _handle(self, event):
        kind = type(event)
        if kind is h2.events.SettingsAcknowledged:
            self.settings_acknowledged += 1
        elif kind is h2.events.RemoteSettingsChanged:
            for code, change in event.changed_settings.items():
                self.peer_settings[code] = change.new_value
        elif kind is h2.events.ConnectionTerminated:
            self.goaways.append((event.error_code, event.last_stream_id, event.additional_data))
        elif kind is h2.events.PingAckReceived:
            self.pings += 1
        elif kind is h2.events.RequestReceived:
            stream = self.streams[event.stream_id] = H2Stream(self, event.stream_id)
            stream.head = decoded(event.headers)
            self.incoming.append(stream)
        elif getattr(event, "stream_id", None) in self.streams:
            self.streams[event.stream_id].handle(event)

    # -- waiting

    def wait(self, condition, what, deadline=None):
        """Until the condition is true, and returns that; Broken when the connection ends first."""
        end = time.monotonic() + (deadline or self.deadline)
        with self.lock:
            while True:
                value = condition()
                if value:
                    return value
                if self.error:
                    raise self.error
                if self.ended:
                    raise Broken(f"the connection ended before {what}; GOAWAY: {self.goaways}")
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"waited in vain for {what}")
                if self.background:
                    self.changed.wait(left)
                    continue
                self.lock.release()           # a thread of the test may send meanwhile
                try:
                    self.pump(left)
                except TimeoutError:
                    raise TimeoutError(f"waited in vain for {what}") from None
                finally:
                    self.lock.acquire()

    def quiet(self, condition, seconds=0.15):
        """The condition does not come true for a moment. A passing run pays the moment."""
        try:
            self.wait(condition, "nothing", seconds)
            return False
        except TimeoutError:
            return True

    def wait_end(self):
        """The peer ends the connection."""
        self.wait(lambda: self.ended, "the end of the connection")

    def wait_goaway(self, n=1):
        """The n-th GOAWAY: (code, last stream id, debug data)."""
        return self.wait(lambda: len(self.goaways) >= n and self.goaways[n - 1], f"GOAWAY {n}")

    def wait_settings(self):
        """The peer's SETTINGS have come, and it has taken ours."""
        self.wait(lambda: self.settings_acknowledged, "an acknowledgement of SETTINGS")

    # -- streams

    def open(self, fields, end=False):
        """Client: a new stream. fields: (name, value) of text, pseudo-headers first."""
        with self.lock:
            stream = H2Stream(self, self.conn.get_next_available_stream_id())
            self.streams[stream.id] = stream
            stream.send_head(fields, end)
        return stream

    def accept(self, deadline=None):
        """Server: the next request's stream."""
        self.wait(lambda: self.incoming, "a request", deadline)
        return self.incoming.popleft()

    def open_streams(self):
        """Those that the peer opened and that are not over."""
        with self.lock:
            return self.conn.open_inbound_streams

    # -- ends

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


class H2Stream:
    """One request and its response, from one side."""

    def __init__(self, wire, id):
        self.wire = wire
        self.id = id
        self.head = None                      # (name, value): the peer's final head
        self.interim = []                     # heads of 1xx
        self.trailers = []
        self.ended = False                    # END_STREAM has come
        self.code = None                      # of RST_STREAM that came
        self.received = 0                     # bytes of the body that came
        self._data = collections.deque()      # (bytes, what they cost of the window)

    def handle(self, event):
        kind = type(event)
        if kind is h2.events.ResponseReceived:
            self.head = decoded(event.headers)
        elif kind is h2.events.InformationalResponseReceived:
            self.interim.append(decoded(event.headers))
        elif kind is h2.events.TrailersReceived:
            self.trailers = decoded(event.headers)
        elif kind is h2.events.DataReceived:
            self.received += len(event.data)
            self._data.append((event.data, event.flow_controlled_length))
        elif kind is h2.events.StreamEnded:
            self.ended = True
        elif kind is h2.events.StreamReset and event.remote_reset:
            self.code = event.error_code

    # -- what comes

    def wait(self, condition, what):
        """As the wire's; RST_STREAM is Broken too."""
        def either():
            return condition() or self.code is not None

        self.wire.wait(either, f"{what} on stream {self.id}")
        value = condition()
        if not value:
            raise Broken(f"RST_STREAM {self.code!r} before {what} on stream {self.id}", self.code)
        return value

    def wait_reset(self):
        """The code of the RST_STREAM that ends it."""
        self.wire.wait(lambda: self.code is not None, f"RST_STREAM on stream {self.id}")
        return self.code

    def some(self):
        """The next bytes of the body, at least one; b"" when the message is over."""
        while True:
            self.wait(lambda: self._data or self.ended, "the body")
            with self.wire.lock:
                if not self._data:
                    return b""
                data, cost = self._data.popleft()
                if cost and not self.wire.ended:
                    self._acknowledge(cost)
            if data:
                return data

    def _acknowledge(self, cost):
        try:
            self.wire.conn.acknowledge_received_data(cost, self.id)
            self.wire._flush()
        except (h2.exceptions.ProtocolError, OSError):
            pass                              # over already

    def push_back(self, data):
        with self.wire.lock:
            self._data.appendleft((data, 0))

    # -- what goes

    def send_head(self, fields, end=False):
        with self.wire.lock:
            self.wire.conn.send_headers(
                self.id, [(n.encode("latin-1"), v.encode("latin-1")) for n, v in fields], end)
            self.wire._flush()

    def window(self):
        conn = self.wire.conn
        return min(conn.local_flow_control_window(self.id), conn.max_outbound_frame_size)

    def send(self, data, end=False):
        """The bytes as DATA, as the peer's windows allow."""
        view = memoryview(data)
        while len(view):
            def allowed():
                return self.code is not None or self.window()

            self.wire.wait(allowed, f"window on stream {self.id}")
            with self.wire.lock:
                if self.code is not None:
                    raise Broken(f"RST_STREAM {self.code!r} on stream {self.id}", self.code)
                n = min(self.window(), len(view))
                if n:
                    self.wire.conn.send_data(self.id, bytes(view[:n]), end and n == len(view))
                    self.wire._flush()
            view = view[n:]
        if end and not len(data):
            self.end()

    def end(self, trailers=()):
        with self.wire.lock:
            if self.code is not None:
                raise Broken(f"RST_STREAM {self.code!r} on stream {self.id}", self.code)
            if trailers:
                self.send_head(trailers, end=True)
            else:
                self.wire.conn.end_stream(self.id)
                self.wire._flush()

    def reset(self, code=CANCEL):
        """Nothing to do where the stream is over already."""
        with self.wire.lock:
            try:
                self.wire.conn.reset_stream(self.id, code)
                self.wire._flush()
            except h2.exceptions.StreamClosedError:
                pass


def decoded(headers):
    return [(n.decode("latin-1"), v.decode("latin-1")) for n, v in headers]
