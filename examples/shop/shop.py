#!/usr/bin/env python3
"""shop: shows a basket, for which it asks the service users twice.

    http_proxy=http://127.0.0.1:15002 shop.py --port 3000

It knows nothing of tracing or of sidecars; what it does, as any service must, is to copy the trace
headers of the request it is serving into the requests it makes for it. http_proxy is where its
sidecar takes outbound requests; urllib, like most clients, heeds it by itself.
"""
import argparse
import json
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USERS = "http://users.shop.local/api/users"
TRACE_HEADERS = ("traceparent", "tracestate", "baggage")


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        """/baskets/{user}"""
        user = self.path.removeprefix("/baskets/")
        try:
            who = self.ask(f"{USERS}/{user}")
            what = self.ask(f"{USERS}/{user}/orders")
        except urllib.error.HTTPError as e:
            return self.answer(404 if e.code == 404 else 502, {"error": f"users said {e.code}"})
        except OSError as e:
            return self.answer(502, {"error": f"users cannot be asked: {e}"})
        self.answer(200, {"user": who["name"], "orders": what["orders"],
                          "versions": [who["version"], what["version"]]})

    def ask(self, url):
        copied = {name: self.headers[name] for name in TRACE_HEADERS if name in self.headers}
        request = urllib.request.Request(url, headers=copied)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

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


def main():
    arguments = argparse.ArgumentParser(description="the service shop")
    arguments.add_argument("--port", type=int, default=3000)
    Server(("127.0.0.1", arguments.parse_args().port), Shop).serve_forever()


if __name__ == "__main__":
    main()
