"""A trace drawn as a tree for the terminal: hop, status, when and how long, what was decided."""
import os
import sys

BAR = 30
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


def bar(span, first, last):
    """The span's place in the trace; an injected delay is drawn lighter."""
    scale = BAR / max(last - first, 1)
    begin = min(round((span.start - first) * scale), BAR - 1)
    end = max(round((span.end - first) * scale), begin + 1)
    delay = span.get("sidespan.time.fault", 0) * 1e9
    held = min(round(delay * scale), end - begin)
    drawn = colour(33, HELD * held) + colour(36 if span.kind == 3 else 34, FULL * (end - begin - held))
    return " " * begin + drawn + " " * (BAR - end)


def notes(span):
    """What the sidecar decided."""
    out = []
    if cluster := span.get("sidespan.cluster"):
        weight, total = span.get("sidespan.weight", 0), span.get("sidespan.weight_total", 0)
        if total and weight != total:
            out.append(f"{cluster} ({weight} of {total})")
    if fault := span.get("sidespan.fault"):
        out.append(colour(33, f"injected: {fault}"))
    if error := span.get("error.type"):
        out.append(colour(31, f"error: {error}"))
    return ", ".join(out)


def draw(spans):
    """The trace's spans as lines of text."""
    ids = {s.id for s in spans}
    children = {}
    for span in sorted(spans, key=lambda s: s.start):
        children.setdefault(span.parent if span.parent in ids else "", []).append(span)
    first, last = min(s.start for s in spans), max(s.end for s in spans)
    rows = []

    def walk(span, lead, follow):
        version = f" {span.version}" if span.kind == 2 and span.version else ""
        hop = f"{span.service}{version} {KINDS.get(span.kind, span.kind)} {span.name}"
        rows.append((lead + hop, span))
        below = children.get(span.id, [])
        for child in below:
            is_last = child is below[-1]
            walk(child, follow + (LAST if is_last else MORE), follow + ("   " if is_last else DOWN))

    for root in children.get("", []):
        walk(root, "", "")
    width = max(len(text) for text, _ in rows)
    lines = [f"  trace {spans[0].trace}"]
    for text, span in rows:
        milliseconds = f"{(span.end - span.start) / 1e6:8.2f} ms"
        status = span.get("http.response.status_code", span.get("rpc.grpc.status_code", ""))
        status = "OK" if status == 0 else status
        lines.append(f"  {text:<{width}}  {status!s:>3} {bar(span, first, last)} {milliseconds}  {notes(span)}"
                     .rstrip())
    return "\n".join(lines)
