#!/usr/bin/env python3
"""A trace drawn as a tree for the terminal: hop, status, when and how long, what was decided.

    tree.py [ADMIN...] [--trace ID] [--last N]

ADMIN: admin ports of sidecars, as PORT or ADDRESS:PORT (15000). What they keep is joined, and the last N
traces (1) are drawn, or the one of that id.
"""
import argparse
import json
import os
import re
import shutil
import sys
import textwrap
import time
import urllib.error
import urllib.request

from spans import by_trace, spans_of

BAR_MIN, BAR_MAX = 8, 30
PATIENCE = 3        # seconds: a span is kept a moment after its answer
KINDS = {2: "SERVER", 3: "CLIENT"}


def _unicode():
    try:
        "█░└│✓".encode(sys.stdout.encoding or "ascii")
        return True
    except UnicodeError:
        return False


FULL, HELD, LAST, MORE, DOWN = ("█", "░", "└─ ", "├─ ", "│  ") if _unicode() else ("#", ".", "`- ", "|- ", "|  ")
_colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def colour(code, text):
    return f"\033[{code}m{text}\033[0m" if _colours else text


def mark(holds):
    return colour(32, "ok  ") if holds else colour(31, "FAIL")


def columns():
    """The terminal's width; what is not written to one is as wide as a page."""
    return max(shutil.get_terminal_size((100, 24)).columns, 40)


def folded(lead, text):
    """The text after its lead, in lines that fit; colours take no room."""
    hang = " " * len(re.sub(r"\033\[[0-9;]*m", "", lead))
    lines = textwrap.wrap(text, columns() - len(hang), break_long_words=False, break_on_hyphens=False)
    return lead + f"\n{hang}".join(lines)


def bar(span, first, last, size):
    """The span's place in the trace; an injected delay is drawn lighter."""
    scale = size / max(last - first, 1)
    begin = min(round((span.start - first) * scale), size - 1)
    end = max(round((span.end - first) * scale), begin + 1)
    delay = span.get("sidespan.time.fault", 0) * 1e9
    held = min(round(delay * scale), end - begin)
    drawn = colour(33, HELD * held) + colour(36 if span.kind == 3 else 34, FULL * (end - begin - held))
    return " " * begin + drawn + " " * (size - end)


def notes(span):
    """What the sidecar decided: (colour, text) each."""
    out = []
    if cluster := span.get("sidespan.cluster"):
        weight, total = span.get("sidespan.weight", 0), span.get("sidespan.weight_total", 0)
        if total and weight != total:
            out.append((None, f"{cluster} ({weight} of {total})"))
    if fault := span.get("sidespan.fault"):
        out.append((33, f"injected: {fault}"))
    if error := span.get("error.type"):
        out.append((31, f"error: {error}"))
    return out


def rows_of(spans):
    """(what stands before the hop, the same for what is said below it, the hop, the span), in the tree's order."""
    ids = {s.id for s in spans}
    children = {}
    for span in sorted(spans, key=lambda s: s.start):
        children.setdefault(span.parent if span.parent in ids else "", []).append(span)
    rows = []

    def walk(span, lead, follow):
        version = f" {span.version}" if span.kind == 2 and span.version else ""
        below = children.get(span.id, [])
        rows.append((lead, follow + (DOWN if below else "   "),
                     f"{span.service}{version} {KINDS.get(span.kind, span.kind)} {span.name}", span))
        for child in below:
            is_last = child is below[-1]
            walk(child, follow + (LAST if is_last else MORE), follow + ("   " if is_last else DOWN))

    for root in children.get("", []):
        walk(root, "", "")
    return rows


def short(text, room):
    return text if len(text) <= room else text[:room - 3] + "..."


def draw(spans):
    """The trace's spans as lines of text, none wider than the terminal: what was decided stands behind a
    hop where there is room for it, below it otherwise."""
    rows = rows_of(spans)
    first, last = min(s.start for s in spans), max(s.end for s in spans)
    figures = 2 + 3 + 1 + 1 + 11                # what stands between and behind hop and bar
    hop = min(max(len(lead + text) for lead, _, text, _ in rows), columns() - 2 - figures - BAR_MIN)
    size = min(columns() - 2 - figures - hop, BAR_MAX)
    behind = columns() - 2 - hop - figures - size - 2
    beside = all(len(", ".join(t for _, t in notes(s))) <= behind for _, _, _, s in rows)
    lines = [f"  trace {spans[0].trace}"]
    for lead, under, text, span in rows:
        status = span.get("http.response.status_code", span.get("rpc.grpc.status_code", ""))
        status = "OK" if status == 0 else status
        said = notes(span)
        line = (f"  {short(lead + text, hop):<{hop}}  {status!s:>3} {bar(span, first, last, size)} "
                f"{(span.end - span.start) / 1e6:8.2f} ms")
        if beside and said:
            line += "  " + ", ".join(colour(c, t) if c else t for c, t in said)
        lines.append(line.rstrip())
        if not beside:
            for c, t in said:
                t = short(t, columns() - 4 - len(under))
                lines.append(f"  {under}  {colour(c, t) if c else t}")
    return "\n".join(lines)


# -- as a program


def kept_by(admin):
    """The spans that the sidecar with this admin port keeps."""
    address = admin if ":" in admin else f"127.0.0.1:{admin}"
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://{address}/traces?limit=100000", timeout=30) as response:
            return spans_of([json.load(response)])
    except urllib.error.HTTPError as e:
        sys.exit(f"tree: {address}: {e.read().decode(errors='replace').strip() or e}")
    except OSError as e:
        sys.exit(f"tree: {address}: {e}")


def kept_traces(arguments):
    traces = by_trace([span for admin in arguments.admin for span in kept_by(admin)])
    return {t: s for t, s in traces.items() if not arguments.trace or t == arguments.trace.lower()}


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("admin", metavar="ADMIN", nargs="*", default=["15000"])
    parser.add_argument("--trace", metavar="ID", help="only this trace")
    parser.add_argument("--last", metavar="N", type=int, default=1, help="how many (1)")
    arguments = parser.parse_args()
    end = time.monotonic() + PATIENCE
    while not (traces := kept_traces(arguments)) and time.monotonic() < end:
        time.sleep(0.1)
    if not traces:
        sys.exit("tree: no such trace is kept" if arguments.trace else "tree: no span is kept yet")
    for spans in sorted(traces.values(), key=lambda spans: max(s.end for s in spans))[-arguments.last:]:
        print(draw(spans))


if __name__ == "__main__":
    main()
