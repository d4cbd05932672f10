"""Which request goes where."""
import math
import random

import pytest

from process import run
from wire import response_bytes


@pytest.fixture
def named(origin):
    """Origins that answer with their own name."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = origin(lambda r, name=name: response_bytes(body=name.encode()))
        return made[name].address

    return get


def ask(connect, sidecar, rows):
    """rows: (method, host, target, fields, expected body, or a status)."""
    client = connect(sidecar.port)
    wrong = []
    for method, host, target, fields, expected in rows:
        response = client.ask(method, target, fields, host=host)
        got = response.body.decode() if response.status == 200 else response.status
        if got != expected:
            wrong.append(f"{method} {host} {target} {fields}: {got}, not {expected}")
    assert not wrong, "\n".join(wrong)


def test_hosts_go_by_precedence(outbound, named, connect):
    sidecar = outbound(f"""
        host * {{ route / {{ to {named("any")}; }} }}
        host *.shop.test {{ route / {{ to {named("suffix")}; }} }}
        host *.eu.shop.test {{ route / {{ to {named("longer")}; }} }}
        host users.shop.test {{ route / {{ to {named("exact")}; }} }}
        host users.shop.test:81 {{ route / {{ to {named("port")}; }} }}
        """)
    ask(connect, sidecar, [
        ("GET", "users.shop.test", "/", [], "exact"),
        ("GET", "USERS.Shop.Test", "/", [], "exact"),
        ("GET", "users.shop.test.", "/", [], "exact"),
        ("GET", "users.shop.test:80", "/", [], "exact"),
        ("GET", "users.shop.test:81", "/", [], "port"),
        ("GET", "orders.shop.test", "/", [], "suffix"),
        ("GET", "a.b.shop.test", "/", [], "suffix"),
        ("GET", "a.eu.shop.test", "/", [], "longer"),
        ("GET", "a.b.eu.shop.test", "/", [], "longer"),
        ("GET", "shop.test", "/", [], "any"),
        ("GET", "xshop.test", "/", [], "any"),
        ("GET", "127.0.0.1", "/", [], "any"),
        ("GET", "[::1]:8080", "/", [], "any"),
    ])


def test_what_a_host_leaves_goes_to_the_routes_for_every_host_and_to_no_other_host(
        outbound, named, connect):
    sidecar = outbound(f"""
        host a.test {{ route /own {{ to {named("a")}; }} }}
        host * {{ route / {{ to {named("star")}; }} }}
        route /common {{ to {named("common")}; }}
        """)
    ask(connect, sidecar, [
        ("GET", "a.test", "/own", [], "a"),
        ("GET", "a.test", "/common", [], "common"),
        ("GET", "a.test", "/else", [], 404),
        ("GET", "b.test", "/else", [], "star"),
    ])


def test_the_first_route_that_matches_is_taken(outbound, named, connect):
    sidecar = outbound(f"""
        route = /exact {{ to {named("exact")}; }}
        route /api/users/{{id}} {{ to {named("template")}; }}
        route /api/files/{{path*}} {{ to {named("rest")}; }}
        route ~ "^/v[0-9]+(/.*)?$" {{ to {named("regex")}; }}
        route /api {{ to {named("prefix")}; }}
        """)
    ask(connect, sidecar, [
        ("GET", "x", "/exact", [], "exact"),
        ("GET", "x", "/exact?q=1", [], "exact"),
        ("GET", "x", "/exact/", [], 404),
        ("GET", "x", "/api/users/7", [], "template"),
        ("GET", "x", "/api/users/7/", [], "prefix"),
        ("GET", "x", "/api/users/", [], "prefix"),
        ("GET", "x", "/api/users/7/more", [], "prefix"),
        ("GET", "x", "/api/files/a/b/c", [], "rest"),
        ("GET", "x", "/api", [], "prefix"),
        ("GET", "x", "/api/", [], "prefix"),
        ("GET", "x", "/api?x", [], "prefix"),
        ("GET", "x", "/apix", [], 404),       # whole segments only
        ("GET", "x", "/API", [], 404),        # paths have case
        ("GET", "x", "/v2/things", [], "regex"),
        ("GET", "x", "/v2", [], "regex"),
        ("GET", "x", "/vx", [], 404),
    ])


def test_every_match_line_must_hold(outbound, named, connect):
    sidecar = outbound(f"""
        route / {{
            match method GET HEAD;
            match header x-canary = yes;
            match query version ~ "^2";
            to {named("all")};
        }}
        route / {{ match header x-debug; match header x-prod absent; to {named("debug")}; }}
        route / {{ match query flag; to {named("flag")}; }}
        route / {{ match header user-agent ~ "(?i)bot"; to {named("bot")}; }}
        route / {{ to {named("rest")}; }}
        """)
    ask(connect, sidecar, [
        ("GET", "x", "/?version=2.1", ["X-Canary: yes"], "all"),
        ("POST", "x", "/?version=2.1", ["X-Canary: yes"], "rest"),
        ("GET", "x", "/?version=3", ["X-Canary: yes"], "rest"),
        ("GET", "x", "/?version=2", ["X-Canary: YES"], "rest"),
        ("GET", "x", "/?version=2", ["X-Canary: no", "X-Canary: yes"], "all"),
        ("GET", "x", "/?xversion=2", ["X-Canary: yes"], "rest"),
        ("GET", "x", "/", ["X-Debug: "], "debug"),
        ("GET", "x", "/", ["X-Debug: 1", "X-Prod: 1"], "rest"),
        ("GET", "x", "/?a=b&flag", [], "flag"),
        ("GET", "x", "/?%66lag=", [], "flag"),
        ("GET", "x", "/", ["User-Agent: GoogleBot/2"], "bot"),
    ])


SPLIT = """
    route / { to v1 weight 90; to v2 weight 10; %s }
"""


def split(outbound, named, extra=""):
    return outbound(SPLIT % extra, rest=f"""
        cluster v1 {{ endpoint {named("v1")}; }}
        cluster v2 {{ endpoint {named("v2")}; }}
        trace {{ export memory 5000; }}
        """)


def test_weights_hold_within_three_standard_deviations(outbound, named, connect):
    client = connect(split(outbound, named).port)
    n = 1000
    draw = random.Random(42)                  # the same traces each time: no test fails by chance
    v2 = sum(client.get("/", f"traceparent: 00-{draw.getrandbits(128):032x}-{1:016x}-01").body == b"v2"
             for _ in range(n))
    assert abs(v2 - n * 0.1) <= 3 * math.sqrt(n * 0.1 * 0.9)


def test_a_trace_keeps_its_version(outbound, named, connect):
    client = connect(split(outbound, named).port)
    draw = random.Random(1)
    for _ in range(40):
        trace = f"{draw.getrandbits(128):032x}"
        bodies = {client.get("/", f"traceparent: 00-{trace}-{i:016x}-01").body for i in range(1, 5)}
        assert len(bodies) == 1


def test_raising_a_weight_never_moves_a_key_out_of_that_arm(sidespan, outbound, named, connect):
    sidecar = split(outbound, named)
    client = connect(sidecar.port)
    draw = random.Random(2)
    traces = [f"{draw.getrandbits(128):032x}" for _ in range(300)]

    def in_v2():
        return {t for t in traces
                if client.get("/", f"traceparent: 00-{t}-{1:016x}-01").body == b"v2"}

    before = in_v2()
    config = sidecar.path.read_text().replace("weight 10", "weight 30")
    sidecar.reload(config)
    after = in_v2()
    assert before < after


@pytest.mark.parametrize("by, field", [("by cookie session;", "Cookie: other=1; session={}; x=y"),
                                       ("by header x-user;", "X-User: {}")])
def test_a_key_of_the_request_chooses_whatever_the_trace(outbound, named, connect, by, field):
    client = connect(split(outbound, named, by).port)
    bodies = {}
    for user in range(150):
        got = {client.get("/", field.format(f"user-{user}")).body for _ in range(3)}
        assert len(got) == 1
        bodies[user] = got.pop()
    assert 2 <= list(bodies.values()).count(b"v2") <= 40
    assert len({client.get().body for _ in range(100)}) == 2  # without the key: by trace


def test_by_source_all_requests_of_one_address_go_one_way(outbound, named, connect):
    sidecar = split(outbound, named, "by source;")
    assert len({connect(sidecar.port).get().body for _ in range(20)}) == 1


def test_an_arm_of_weight_zero_gets_nothing(outbound, named, connect):
    sidecar = outbound(f"route / {{ to {named('on')} weight 1; to {named('off')} weight 0; }}")
    client = connect(sidecar.port)
    assert {client.get().body for _ in range(50)} == {b"on"}


def test_explain_tells_what_the_sidecar_does(outbound, named, connect):
    """The same hash decides in both: the answer for a trace is what the request gets."""
    sidecar = split(outbound, named)
    client = connect(sidecar.port)
    draw = random.Random(3)
    for _ in range(12):
        parent = f"00-{draw.getrandbits(128):032x}-{1:016x}-01"
        told = run("explain", "--config", sidecar.path, "--traceparent", parent,
                   "GET http://service.test/")
        assert told.returncode == 0, told.stderr
        [line] = [l for l in told.stdout.splitlines() if l.split()[:1] == ["to"]]
        assert line.split()[1] == client.get("/", f"traceparent: {parent}").body.decode()


def test_explain_says_why_routes_were_passed_over(outbound, named):
    sidecar = outbound(f"""
        host users.shop.test {{
            route /api {{ match header x-canary = yes; to {named("canary")}; }}
            route /api/users/{{id}} {{
                to {named("main")}; fault delay 2s; fault abort 503 for 0%; timeout 5s;
            }}
        }}
        """)
    told = run("explain", "--config", sidecar.path, "GET http://users.shop.test/api/users/7?x=1")
    assert told.returncode == 0, told.stderr
    for text in ("users.shop.test", "passed over", "x-canary = yes does not hold", "absent",
                 "/api/users/{id}", '"7"', "delay 2s", "strikes", "does not strike", "5s"):
        assert text in told.stdout, f"{text!r} is not in:\n{told.stdout}"


def test_many_routes_are_found_as_if_tried_in_turn(outbound, named, connect):
    routes = "\n".join(f"route /s{i}/{{id}}/x {{ to {named(f'n{i % 5}')}; }}" for i in range(200))
    sidecar = outbound(routes)
    ask(connect, sidecar, [("GET", "x", f"/s{i}/abc/x", [], f"n{i % 5}") for i in range(0, 200, 7)] +
        [("GET", "x", "/s200/abc/x", [], 404)])


def test_a_regular_expression_that_explodes_does_not_stop_the_sidecar(outbound, named, connect):
    sidecar = outbound(f"""
        route ~ "^/(a+)+$" {{ to {named("regex")}; }}
        route / {{ to {named("rest")}; }}
        """)
    refused = connect(sidecar.port).get("/" + "a" * 200 + "!")
    assert (refused.status, refused.get("sidespan-reason")) == (400, "pattern-undecided")
    assert connect(sidecar.port).get("/aaa").body == b"regex"
