#!/usr/bin/env python3
"""Instructions that sidespan executes for a request, counted by valgrind: a figure that holds on a busy machine.

    instructions.py build/sidespan [OTHER] [--scenario h1,h2,h2-h2,grpc] [--functions 30]

Each binary runs under callgrind with the configuration of bench.py, one worker, and the same load: it is warmed up, then
the instructions of a number of requests are counted in user space, of all its threads, until the spans of these
requests have arrived. With OTHER, an earlier binary, the table has both and the ratio, and --functions names those
that grew or shrank the most. Needs valgrind besides what bench.py needs (HTTP/2 and gRPC: h2load, nghttpd).

What one run differs from the next by is below half a percent. What the kernel does is not counted: for that there is
bench.py --scenario syscalls.
"""
import argparse
import collections
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import bench

SCENARIOS = ("h1", "h2", "h2-h2", "grpc")
CHECK = f"/{bench.HEALTH}/Check"


def bare(name):
    """Of a function, without what the compiler put behind it."""
    return re.sub(r"(\.(lto_priv|constprop|isra|part|cold)(\.\d+)?|'\d+)+$", "", name)


def self_costs(dump):
    """Instructions by function, of one file of callgrind."""
    costs, names, current, called = collections.Counter(), {}, None, False
    for line in dump.read_text(errors="replace").splitlines():
        if m := re.match(r"c?fn=\((\d+)\)(?: (.*))?", line):
            if m[2]:
                names[m[1]] = bare(m[2])
            if not line.startswith("c"):
                current = names[m[1]]
        elif line.startswith("calls="):
            called = True               # the next line is the cost of who is called
        elif re.match(r"[+\-*\d]", line):
            if not called:
                costs[current] += int(line.split()[1])
            called = False
    return costs


class Counting(bench.Run):
    """A run of sidespan under callgrind."""

    def __init__(self, binary, name):
        super().__init__("sidespan", name, SimpleNamespace(sidespan=binary))

    def start(self):
        self.start_origin()
        self.start_collector()
        self.start_proxy([bench.program("valgrind"), "--tool=callgrind", "--instr-atstart=yes",
                          f"--callgrind-out-file={self.folder}/counts", *bench.sidespan(self)])

    def ask(self, n):
        """Sends n requests, and waits for their spans."""
        s = self.scenario
        before = self.spans()
        argv = ["h2load", "-n", n, "-t", 1, "-H", "user-agent: bench"]
        if s.calls:
            (self.folder / "call").write_bytes(bytes(5))        # a message of gRPC that is empty
            argv += ["-p", "h2c", "-c", 1, "-m", bench.CALLS_AT_ONCE, "-d", self.folder / "call",
                     "-H", "content-type: application/grpc", "-H", "te: trailers",
                     f"http://127.0.0.1:{self.port}{CHECK}"]
        else:
            argv += [*(["-p", "h2c", "-m", s.streams] if s.h2_front else ["--h1"]), "-c", s.connections,
                     f"http://127.0.0.1:{self.port}/api/items?id=7"]
        out = bench.pinned(bench.LOAD_CPU, argv)
        if f" {n} succeeded" not in out:
            raise bench.Missing(f"not all requests were answered:\n{out[-800:]}")
        bench.until(lambda: self.spans() >= before + n or time.sleep(0.05), "spans", 60)

    def dump(self):
        """The counts since the last one; they are zeroed."""
        known = set(self.folder.glob("counts.*"))
        subprocess.run(["callgrind_control", "-d", str(self.process.pid)], capture_output=True, check=True)
        new = []

        def written():
            new[:] = set(self.folder.glob("counts.*")) - known
            return new and "totals:" in new[0].read_text(errors="replace")[-200:]
        bench.until(written, "callgrind's counts", 60)
        return new[0]

    def count(self, n):
        """Instructions for each of n requests, by function."""
        self.start()
        self.ask(n)
        self.dump()
        self.ask(n)
        return collections.Counter({f: c / n for f, c in self_costs(self.dump()).items()})


def print_functions(now, before, most):
    """With before: by how much each changed."""
    change = {f: now[f] - (before or {}).get(f, 0) for f in now.keys() | (before or {}).keys()}
    for f in sorted(change, key=lambda f: -abs(change[f]))[:most]:
        print(f"    {now[f]:9.1f}  {change[f]:+9.1f}  {f}" if before else f"    {now[f]:9.1f}  {f}")


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("other", type=Path, nargs="?")
    parser.add_argument("--scenario", default=",".join(SCENARIOS), metavar="NAME,...")
    parser.add_argument("--requests", type=int, default=4000, help="that are counted")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="name the N that matter most")
    options = parser.parse_args()
    names = options.scenario.split(",")
    if unknown := set(names) - set(SCENARIOS):
        parser.error(f"instructions are counted in {', '.join(SCENARIOS)}, not in {unknown.pop()}")

    try:
        bench.build_tools()
        for name in names:
            counts = []
            for binary in filter(None, (options.binary, options.other)):
                with Counting(binary.resolve(), name) as run:
                    counts.append(run.count(options.requests))
            total = [c.total() for c in counts]
            print(f"{name:8}{total[0]:10,.0f} instructions a request"
                  + (f", {options.other} {total[1]:,.0f}: {total[0] / total[1] - 1:+.1%}" if total[1:] else ""),
                  flush=True)
            print_functions(counts[0], counts[1] if counts[1:] else None, options.functions)
    except (bench.Missing, subprocess.CalledProcessError) as e:
        sys.exit(f"instructions: {e}")


if __name__ == "__main__":
    main()
