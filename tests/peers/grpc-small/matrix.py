#!/usr/bin/env python3
"""Streams of small messages between three implementations of gRPC, directly and through sidecars.

Every pair of client and server: bidi streams whose messages have 0 to 16 bytes, with unary calls beside
them on the same connection. What goes directly must go through one sidecar and through two.

    ../get-grpc-small                     # builds the peer in Go, installs the one for Node; once
    ./matrix.py --sidespan ../../../build/sidespan --python VENV/bin/python --load 8 --times 10

VENV has the packages of ../../e2e/requirements.txt. The exit status is 1 where a call failed through a
sidecar in a round in which none failed directly.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
PATHS = "direct", "one", "two"

ARGUMENTS = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ARGUMENTS.add_argument("--sidespan", required=True)
ARGUMENTS.add_argument("--python", default=sys.executable, help="one that has grpcio")
ARGUMENTS.add_argument("--pairs", default="py-py,py-js,py-go,js-py,js-js,js-go,go-py,go-js,go-go",
                       help="client-server, ...")
ARGUMENTS.add_argument("--paths", default="direct,one,two")
ARGUMENTS.add_argument("--streams", type=int, default=8)
ARGUMENTS.add_argument("--messages", type=int, default=20000, help="of each stream")
ARGUMENTS.add_argument("--times", type=int, default=1)
ARGUMENTS.add_argument("--load", type=int, default=0, help="processes that do nothing but compute, meanwhile")
ARGUMENTS.add_argument("--seconds", type=float, default=600, help="that a run may take")


def peers_folder():
    found = subprocess.run([HERE.parent / "get-grpc-small", "--find"], capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"first run {HERE.parent / 'get-grpc-small'}")
    return pathlib.Path(found.stdout.strip())


def programs(python):
    folder = peers_folder()
    return {"py": [python, HERE / "peer.py"], "js": ["node", folder / "peer.js"], "go": [folder / "grpc-small"]}


@contextlib.contextmanager
def process(*command, **more):
    p = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, **more)
    try:
        yield p
    finally:
        with contextlib.suppress(OSError):
            p.stdin.close()
        p.terminate()
        try:
            p.wait(20)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()


@contextlib.contextmanager
def server(program):
    with process(*program, "serve", stdout=subprocess.PIPE) as p:
        yield f"127.0.0.1:{int(p.stdout.readline())}"


@contextlib.contextmanager
def sidecar(program, direction, to, folder):
    """Its address. Where it listens the kernel chooses, and its log says."""
    conf, log = folder / f"{direction}.conf", folder / f"{direction}.log"
    conf.write_text(f"""{direction} {{ listen 127.0.0.1:0; route / {{ to server; }} }}
        cluster server {{ endpoint {to}; protocol h2; }}
        admin off;
        """)
    with open(log, "w") as out, process(program, "-c", conf, stdout=out, stderr=out) as p:
        while not (where := re.search(rf"{direction} 127\.0\.0\.1:(\d+)", log.read_text())):
            assert p.poll() is None, log.read_text()
            time.sleep(0.02)
        yield f"127.0.0.1:{where[1]}"


def run(args, client, server_program, path):
    """The failures of one run, as texts, and how many seconds it took."""
    with contextlib.ExitStack() as all_of_it:
        folder = pathlib.Path(all_of_it.enter_context(tempfile.TemporaryDirectory()))
        at = all_of_it.enter_context(server(server_program))
        for direction in {"direct": (), "one": ("outbound",), "two": ("inbound", "outbound")}[path]:
            at = all_of_it.enter_context(sidecar(args.sidespan, direction, at, folder))
        began = time.monotonic()
        done = subprocess.run([*client, "call", at, str(args.streams), str(args.messages), str(args.seconds)],
                              stdout=subprocess.PIPE, text=True, timeout=2 * args.seconds)
        took = time.monotonic() - began
        if done.returncode:
            return [f"the client ended with {done.returncode}"], took, ""
        result = json.loads(done.stdout)
        abused = [l for log in folder.glob("*.log") for l in log.read_text().splitlines() if "abuse" in l]
        return [*(f"stream: {f}" for f in result["streams_failed"]),
                *(f"unary: {f}" for f in result["unary_failed"]), *abused], took, f"{result['unary']} unary calls"


@contextlib.contextmanager
def load(n):
    with contextlib.ExitStack() as all_of_it:
        for _ in range(n):
            all_of_it.enter_context(process(sys.executable, "-c", "while True: pass"))
        yield


def main():
    args = ARGUMENTS.parse_args()
    args.sidespan = os.path.abspath(args.sidespan)
    known = programs(args.python)
    bad = False
    with load(args.load):
        for turn in range(args.times):
            for pair in args.pairs.split(","):
                client, server_program = (known[p] for p in pair.split("-"))
                failed = {}
                for path in args.paths.split(","):
                    failures, took, beside = run(args, client, server_program, path)
                    failed[path] = len(failures)
                    print(f"{turn + 1} {pair:6} {path:6} {len(failures):4} failed, {took:6.1f} s, {beside}", flush=True)
                    for text, n in collections.Counter(f[:200] for f in failures).most_common(3):
                        print(f"      {n} x {text}", flush=True)
                bad |= not failed.get("direct") and any(failed.values())
    sys.exit(bad)


if __name__ == "__main__":
    main()
