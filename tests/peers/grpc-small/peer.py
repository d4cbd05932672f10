"""A peer of gRPC that sends small messages, as a server and as a client; see matrix.py."""
import concurrent.futures
import json
import sys
import threading
import time

import grpc


def serve():
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(64))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("small.Peer", {
        "Echo": grpc.unary_unary_rpc_method_handler(lambda request, _: request),
        "Chat": grpc.stream_stream_rpc_method_handler(lambda requests, _: requests),
    })])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(None).wait()


def message(i):
    """Of 0 to 16 bytes."""
    return bytes([i & 0xff]) * (i % 17)


def stream(channel, messages, timeout):
    """What went wrong, or None."""
    n = 0
    try:
        for n, m in enumerate(channel.stream_stream("/small.Peer/Chat")(map(message, range(messages)),
                                                                          timeout=timeout), 1):
            if m != message(n - 1):
                return f"message {n - 1} is another"
    except grpc.RpcError as e:
        return f"at message {n}: {e.code()} {e.details()}"
    return None if n == messages else f"{n} messages came"


def call(address, streams, messages, seconds):
    channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)])
    end = time.monotonic() + seconds
    failed = []
    threads = [threading.Thread(target=lambda: failed.append(stream(channel, messages, seconds)))
               for _ in range(streams)]
    for t in threads:
        t.start()
    unary, unary_failed = 0, []
    while True:
        running = any(t.is_alive() for t in threads)
        m = message(unary)
        unary += 1
        try:
            if channel.unary_unary("/small.Peer/Echo")(m, timeout=end - time.monotonic()) != m:
                unary_failed.append("another answer")
        except grpc.RpcError as e:
            unary_failed.append(f"{e.code()} {e.details()}")
        if not running:
            break
        time.sleep(0.01)
    for t in threads:
        t.join()
    print(json.dumps({"streams_failed": [f for f in failed if f], "unary": unary, "unary_failed": unary_failed}))


if sys.argv[1] == "serve":
    serve()
else:
    call(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
