"""A service of gRPC that knows no .proto: its messages are bytes. And a client for it.

    service = GrpcService()                  listens; .address, .calls
    with GrpcClient(port) as client:
        client.unary("Echo", b"hello")       its answer, or raises grpc.RpcError

Methods of e2e.Test, each of the kind that its name says:

    Echo  Join (client streaming)  Count (server streaming)  Chat (bidi)
    Metadata   gives back the metadata my-...: as initial metadata, and as trailing with "t-" before
    Fail       aborts with the code and message of its request: b"NOT_FOUND no such thing"
    Left       the seconds that are left until the deadline, as text
    Hang       waits until the call is cancelled, then notes the time in .cancelled
    Stream     sends b"one", and waits so
    Large      as many bytes as its request says
"""
import concurrent.futures
import itertools
import threading
import time

import grpc

from process import free_port
from wire import DEADLINE

NAME = "e2e.Test"
ANY_SIZE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1),
            ("grpc.so_reuseport", 0)]


class Call:
    """What the service saw of a call."""

    def __init__(self, method, context):
        self.method = method
        self.metadata = context.invocation_metadata()
        self.peer = context.peer()

    def __getitem__(self, key):
        """The value of the metadata with that key; None: there is none, or several."""
        values = [v for k, v in self.metadata if k == key]
        return values[0] if len(values) == 1 else None


class GrpcService:
    def __init__(self, compression=None, port=0, options=()):
        self.calls, self.cancelled = [], []
        self.began = threading.Semaphore(0)
        self._over = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(64)
        self._server = grpc.server(self._pool, options=[*ANY_SIZE, *options], compression=compression)
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(NAME, {
            "Echo": grpc.unary_unary_rpc_method_handler(self._noted("Echo", self._echo)),
            "Join": grpc.stream_unary_rpc_method_handler(self._noted("Join", self._join)),
            "Count": grpc.unary_stream_rpc_method_handler(self._noted("Count", self._count)),
            "Chat": grpc.stream_stream_rpc_method_handler(self._noted("Chat", self._chat)),
            "Metadata": grpc.unary_unary_rpc_method_handler(self._noted("Metadata", self._metadata)),
            "Fail": grpc.unary_unary_rpc_method_handler(self._noted("Fail", self._fail)),
            "Left": grpc.unary_unary_rpc_method_handler(self._noted("Left", self._left)),
            "Hang": grpc.unary_unary_rpc_method_handler(self._noted("Hang", self._hang)),
            "Stream": grpc.unary_stream_rpc_method_handler(self._noted("Stream", self._stream)),
            "Large": grpc.unary_unary_rpc_method_handler(self._noted("Large", self._large)),
        })])
        # One that nobody takes where another service is to come back to it.
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port or free_port()}")
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def _noted(self, method, behaviour):
        def noted(request, context):
            self.calls.append(Call(method, context))
            self.began.release()
            return behaviour(request, context)
        return noted

    def _echo(self, request, _):
        return request

    def _join(self, requests, _):
        return b"".join(requests)

    def _count(self, request, _):
        for i in range(int(request)):
            yield b"%d" % i

    def _chat(self, requests, _):
        yield from requests

    def _metadata(self, _, context):
        mine = [(k, v) for k, v in context.invocation_metadata() if k.startswith("my-")]
        context.send_initial_metadata(mine)
        context.set_trailing_metadata([(f"t-{k}", v) for k, v in mine])
        return b""

    def _fail(self, request, context):
        code, _, message = request.decode().partition(" ")
        context.abort(getattr(grpc.StatusCode, code), message)

    def _left(self, _, context):
        return b"%f" % context.time_remaining()

    def _when_cancelled(self, context):
        over = threading.Event()

        def cancelled():
            self.cancelled.append(time.monotonic())
            over.set()
        if not context.add_callback(cancelled):
            cancelled()
        return over

    def _wait(self, over):
        while not over.wait(0.05) and not self._over.is_set():
            pass

    def _hang(self, _, context):
        self._wait(self._when_cancelled(context))
        return b""

    def _stream(self, _, context):
        over = self._when_cancelled(context)  # first: one that is cancelled is not asked for more
        yield b"one"
        self._wait(over)

    def _large(self, request, _):
        return bytes(int(request))

    def close(self):
        self._over.set()
        self._server.stop(None).wait(DEADLINE)
        self._pool.shutdown(wait=False)


class GrpcClient:
    """One connection of its own. It tries nothing again by itself: a test sees what happens."""

    def __init__(self, port, compression=None, options=()):
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{port}", compression=compression,
            options=[*ANY_SIZE, ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0),
                     ("grpc.enable_http_proxy", 0), *options])

    def _method(self, kind, method):
        path = method if method.startswith("/") else f"/{NAME}/{method}"
        return getattr(self.channel, kind)(path)

    def unary(self, method, request=b"", timeout=DEADLINE, **arguments):
        return self._method("unary_unary", method)(request, timeout=timeout, **arguments)

    def unary_call(self, method, request=b"", timeout=DEADLINE, **arguments):
        """The answer and the call, which has metadata and status."""
        return self._method("unary_unary", method).with_call(request, timeout=timeout, **arguments)

    def unary_future(self, method, request=b"", timeout=DEADLINE, **arguments):
        return self._method("unary_unary", method).future(request, timeout=timeout, **arguments)

    def client_stream(self, method, requests, timeout=DEADLINE, **arguments):
        return self._method("stream_unary", method)(iter(requests), timeout=timeout, **arguments)

    def server_stream(self, method, request=b"", timeout=DEADLINE, **arguments):
        return self._method("unary_stream", method)(request, timeout=timeout, **arguments)

    def bidi(self, method, requests, timeout=DEADLINE, **arguments):
        return self._method("stream_stream", method)(iter(requests), timeout=timeout, **arguments)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Feed:
    """The messages of a stream, given one by one while it is open."""

    def __init__(self):
        self._messages, self._more, self._ended = [], threading.Condition(), False

    def send(self, message):
        with self._more:
            self._messages.append(message)
            self._more.notify()

    def end(self):
        with self._more:
            self._ended = True
            self._more.notify()

    def __iter__(self):
        for i in itertools.count():
            with self._more:
                self._more.wait_for(lambda: i < len(self._messages) or self._ended)
                if i >= len(self._messages):
                    return
            yield self._messages[i]
