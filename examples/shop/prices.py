#!/usr/bin/env python3
"""prices: what the things that somebody ordered cost. A service of gRPC that knows nothing of tracing.

    prices.py --port 3003

Its one method is shop.Prices/Get. Messages are JSON here, so that there is nothing to compile; to
gRPC, and to a sidecar, a message is bytes.
"""
import argparse
import concurrent.futures
import json

import grpc


def get(request, _context):
    """{"orders": [7, 14]} -> {"prices": [...]}, in cents."""
    return {"prices": [100 + order * 37 % 900 for order in request["orders"]]}


def main():
    arguments = argparse.ArgumentParser(description="the service prices")
    arguments.add_argument("--port", type=int, default=3003)
    port = arguments.parse_args().port
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("shop.Prices", {
        "Get": grpc.unary_unary_rpc_method_handler(get, json.loads, lambda value: json.dumps(value).encode()),
    })])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
