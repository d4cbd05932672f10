#!/usr/bin/env python3
"""shop: shows a basket, for which it asks the service users twice, and prices once, over gRPC.

    http_proxy=http://127.0.0.1:15002 shop.py --port 3000 --prices 127.0.0.1:15005

It knows nothing of tracing or of sidecars; what it does, as any service must, is to copy the trace
headers of the request it is serving into the requests it makes for it: for gRPC, into the metadata.
http_proxy is where its sidecar takes outbound requests; urllib, like most clients, heeds it by
itself. Clients of gRPC ask a proxy for a tunnel instead, so the sidecar takes its calls on a port.
"""
import argparse
import json
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

USERS = "http://users.shop.local/api/users"
PRICES = "prices.shop.local"
TRACE_HEADERS = ("traceparent", "tracestate", "baggage")


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    prices = None       # shop.Prices/Get

    def do_GET(self):
        """/baskets/{user}"""
        user = self.path.removeprefix("/baskets/")
        try:
            who = self.ask(f"{USERS}/{user}")
            what = self.ask(f"{USERS}/{user}/orders")
            cost = self.ask_prices(what["orders"])
        except urllib.error.HTTPError as e:
            return self.answer(404 if e.code == 404 else 502, {"error": f"users said {e.code}"})
        except OSError as e:
            return self.answer(502, {"error": f"users cannot be asked: {e}"})
        except grpc.RpcError as e:
            return self.answer(502, {"error": f"prices said {e.code().name}: {e.details()}"})
        self.answer(200, {"user": who["name"], "orders": what["orders"], "prices": cost["prices"],
                          "versions": [who["version"], what["version"]]})

    def trace_headers(self):
        return {name: self.headers[name] for name in TRACE_HEADERS if name in self.headers}

    def ask(self, url):
        request = urllib.request.Request(url, headers=self.trace_headers())
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def ask_prices(self, orders):
        return self.prices({"orders": orders}, metadata=list(self.trace_headers().items()), timeout=30)

    def answer(self, status, value):
        # The sidecar gives the trace's id for what a service logs or tells its caller.
        value["trace"] = self.headers.get("x-trace-id")
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def prices_at(address):
    """The method of prices, called through the sidecar, which is told who is meant."""
    channel = grpc.insecure_channel(address, options=[("grpc.default_authority", PRICES),
                                                      ("grpc.enable_http_proxy", 0)])
    return channel.unary_unary("/shop.Prices/Get", lambda value: json.dumps(value).encode(), json.loads)


def main():
    arguments = argparse.ArgumentParser(description="the service shop")
    arguments.add_argument("--port", type=int, default=3000)
    arguments.add_argument("--prices", metavar="ADDRESS", default="127.0.0.1:15005",
                           help="where its sidecar takes calls of gRPC")
    arguments = arguments.parse_args()
    Shop.prices = staticmethod(prices_at(arguments.prices))
    Server(("127.0.0.1", arguments.port), Shop).serve_forever()


if __name__ == "__main__":
    main()
