"""What must hold of the demo's spans and answers, and how it is told."""
import collections
import math

import tree

WEIGHTS = {"users-v1": 90, "users-v2": 10}
DELAY, DELAY_SHARE = 0.150, 0.10
SERVER, CLIENT = 2, 3


def what_is_wrong(spans):
    """Why these are not one joined trace of a basket; None: they are.

    SERVER (shop) ─ CLIENT (shop) ─ SERVER (users, users, prices), the last two for each of shop's calls.
    """
    ids = {span.id for span in spans}
    children = collections.defaultdict(list)
    for span in spans:
        children[span.parent if span.parent in ids else ""].append(span)
    roots = children.pop("", [])
    if len(roots) != 1 or (roots[0].service, roots[0].kind) != ("shop", SERVER):
        return f"{len(roots)} roots"
    calls = children.pop(roots[0].id, [])
    if [(c.service, c.kind) for c in calls] != [("shop", CLIENT)] * 3:
        return f"{len(calls)} calls of shop"
    asked = []
    for call in calls:
        answers = children.pop(call.id, [])
        if [a.kind for a in answers] != [SERVER]:
            return f"{len(answers)} answers to a call"
        answer = answers[0]
        asked.append(answer.service)
        whose = answer.service if is_grpc(answer) else f"{answer.service}-{answer.version}"
        if whose != call.get("sidespan.cluster"):
            return f"{call.get('sidespan.cluster')} was chosen and {whose} answered"
    if sorted(asked) != ["prices", "users", "users"]:
        return f"shop asked {asked}"
    return f"{len(children)} spans hang in the air" if children else None


def is_grpc(span):
    return span.get("rpc.system") == "grpc"


def what_is_wrong_with_grpc(spans):
    """Why the call of gRPC among these is not one hop of its trace; None: it is."""
    hop = {s.kind: s for s in spans if is_grpc(s)}
    if set(hop) != {CLIENT, SERVER} or sum(is_grpc(s) for s in spans) != 2:
        return f"{sum(is_grpc(s) for s in spans)} spans of gRPC"
    call, answer = hop[CLIENT], hop[SERVER]
    if answer.parent != call.id:
        return "the call and its answer are not joined"
    for span in (call, answer):
        if (span.name, span.get("rpc.service"), span.get("rpc.method"), span.get("rpc.grpc.status_code")) != \
                ("shop.Prices/Get", "shop.Prices", "Get", 0):
            return f"{span.name} with {span.attributes}"
    return None


# -- what is said


def is_a_draw_of(share, found, total):
    """Whether found of total is nothing strange where each has that share: as likely as within 3 σ."""
    def probability(k):
        ways = math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1)
        return math.exp(ways + k * math.log(share) + (total - k) * math.log(1 - share))

    strange = 0.00135
    return (sum(map(probability, range(found + 1))) > strange
            and sum(map(probability, range(found, total + 1))) > strange)


class Report:
    """Prints each claim with what was found; remembers whether all hold."""

    def __init__(self):
        self.failures = 0

    def claim(self, holds, text):
        self.failures += not holds
        print(tree.folded(f"  {tree.mark(holds)}  ", text))

    def share(self, found, total, share, text):
        expected, slack = total * share, 3 * (total * share * (1 - share)) ** 0.5
        self.claim(is_a_draw_of(share, found, total),
                   f"{text}: {found} of {total}; {share:.0%} is {expected:.0f} ± {slack:.0f} (3 σ)")


def show_some(traces, answers):
    """A trace of each sort, as a tree: the one that waited least for others."""
    picked = {}
    for user, status, answer, _ in sorted(answers, key=lambda a: a[3]):
        spans = traces.get(answer.get("trace"), [])
        calls = [s for s in spans if s.kind == CLIENT and not is_grpc(s)]
        if not calls:
            continue
        delayed = any("sidespan.fault_delay" in c.attributes for c in calls)
        sort = (status, calls[0].get("sidespan.cluster"), delayed)
        picked.setdefault(sort, (user, spans))
    titles = {(200, "users-v1", False): "served by users v1",
              (200, "users-v2", False): "served by users v2",
              (200, "users-v1", True): "held back by the injected delay",
              (404, "users-v1", False): "of a user that does not exist",
              (404, "users-v2", False): "of a user that does not exist"}
    for sort, title in titles.items():
        if sort in picked:
            user, spans = picked[sort]
            print(f"\nA basket {title}: GET /baskets/{user}")
            print(tree.draw(spans))


def judge(shop, traces, answers, report):
    good = [a for a in answers if a[0] != 0]
    n = len(good)
    baskets = {a[2].get("trace"): a for a in good}
    report.claim(all(a[1] == 200 for a in good), f"{n} requests were answered 200")

    wrong = [w for t in baskets if (w := what_is_wrong(traces.get(t, [])))]
    report.claim(not wrong and len(baskets) == n,
                 f"{len(baskets) - len(wrong)} traces are joined: CLIENT → SERVER across both sidecars, "
                 f"one trace id each" + (f"; wrong, for example: {wrong[0]}" if wrong else ""))
    wrong = [w for t in baskets if (w := what_is_wrong_with_grpc(traces.get(t, [])))]
    report.claim(not wrong,
                 f"{len(baskets) - len(wrong)} of them go on over gRPC: shop.Prices/Get, CLIENT → SERVER"
                 + (f"; wrong, for example: {wrong[0]}" if wrong else ""))

    calls = {t: [s for s in traces.get(t, []) if s.kind == CLIENT and not is_grpc(s)] for t in baskets}
    versions = {t: {c.get("sidespan.cluster") for c in cs} for t, cs in calls.items()}
    said = {t: {f"users-{v}" for v in a[2].get("versions", [])} for t, a in baskets.items()}
    report.claim(all(len(v) == 1 for v in versions.values()) and versions == said,
                 "each trace saw one version, the one on its spans")
    v2 = sum("users-v2" in v for v in versions.values())
    report.share(v2, n, WEIGHTS["users-v2"] / sum(WEIGHTS.values()),
                 f"the split {n - v2} / {v2}, users-v2 got")

    delayed = {t for t, cs in calls.items() if any("sidespan.fault_delay" in c.attributes for c in cs)}
    report.share(len(delayed), n, DELAY_SHARE, f"the delay of {DELAY * 1000:.0f} ms struck")
    held = [c for t in delayed for c in calls[t] if "sidespan.fault_delay" in c.attributes]
    report.claim(all(c.get("sidespan.fault_delay") >= DELAY and (c.end - c.start) / 1e9 >= DELAY
                              for c in held)
                 and all(baskets[t][3] >= DELAY for t in delayed),
                 "and its spans say so, and those requests took as long")

    for sidecar in shop.sidecars:
        for row in sidecar.ledgers():
            dropped = sum(row["dropped"].values())
            report.claim(row["started"] == row["exported"] + row["rejected"] + dropped + row["waiting"]
                         and dropped == row["rejected"] == 0,
                         f"{sidecar.name}, {row['exporter']}: {row['started']} spans started = "
                         f"{row['exported']} exported + {row['rejected']} rejected + {dropped} dropped "
                         f"+ {row['waiting']} waiting")


def judge_collector(shop, spans, report):
    kept = collections.Counter(s.identity() for s in shop.kept_spans())
    got = collections.Counter(s.identity() for s in spans)
    missing, more = kept - got, got - kept
    report.claim(not missing and not more,
                 f"the collector wrote the same {sum(got.values())} spans that the sidecars kept"
                 + (f": {sum(missing.values())} are missing, {sum(more.values())} are others"
                    if missing or more else ""))
    for one in (*list(missing)[:1], *list(more)[:1]):
        print(f"      {one}")
