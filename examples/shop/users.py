#!/usr/bin/env python3
"""users: who a user is, and what they ordered. A plain service that knows nothing of tracing.

    users.py --port 3001 --version v1
"""
import argparse
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Users(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    version = "v1"

    def do_GET(self):
        """/api/users/{id} and /api/users/{id}/orders; there is no user 0."""
        words = self.path.split("/")[1:]
        if words[:2] != ["api", "users"] or len(words) < 3 or not words[2].isdigit() or words[2] == "0":
            return self.answer(404, {"error": "no such user", "version": self.version})
        user = int(words[2])
        if words[3:] == ["orders"]:
            return self.answer(200, {"orders": [user * 7 % 100], "version": self.version})
        self.answer(200, {"id": user, "name": f"user {user}", "version": self.version})

    def answer(self, status, value):
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
    arguments = argparse.ArgumentParser(description="the service users")
    arguments.add_argument("--port", type=int, default=3001)
    arguments.add_argument("--version", default="v1")
    arguments = arguments.parse_args()
    Users.version = arguments.version
    Server(("127.0.0.1", arguments.port), Users).serve_forever()


if __name__ == "__main__":
    main()
