"""A regular expression that meets its limit of work decides nothing: the request is refused."""
import pytest

from process import run
from wire import request_bytes

AWAY = "a" * 40 + "b"

# name: (routes, the request that leaves them undecided). Each time the way around the rule ends in 200.
WAYS = {
    "a route": ('route ~ "^/internal.*/users.*/delete" { respond 403; } route / { to TARGET; }',
                {"target": "/internal" + "/users" * 1200 + "/delet"}),
    "a route of a host": ('host h { route ~ "^/(a+)+$" { respond 403; } } route / { to TARGET; }',
                          {"target": "/" + AWAY, "host": "h"}),
    "match header": ('route / { match header x-a ~ "^(a+)+$"; respond 403; } route / { to TARGET; }',
                     {"fields": ["X-A: none", "X-A: " + AWAY]}),
    "match query": ('route / { match query q ~ "^(a+)+$"; respond 403; } route / { to TARGET; }',
                    {"target": "/?q=1&q=" + AWAY}),
    "match query, encoded": ('route / { match query q ~ "^(a+)+$"; respond 403; } route / { to TARGET; }',
                             {"target": "/?q=%61" + AWAY}),
    "fault": ('route / { fault abort 403 when header x-a ~ "^(a+)+$"; to TARGET; }',
              {"fields": ["X-A: " + AWAY]}),
}


@pytest.mark.parametrize("name", sorted(WAYS))
def test_the_request_is_refused_and_all_say_so(sidespan, port, origin, connect, name):
    routes, request = WAYS[name]
    upstream = origin()
    sidecar = sidespan("inbound { listen 127.0.0.1:%d; %s }"
                       % (port, routes.replace("TARGET", upstream.address)))
    client = connect(port)
    client.send(request_bytes(**request))
    response = client.read_response()
    assert response.status == 400
    assert response.get("sidespan-reason") == "pattern-undecided"
    assert upstream.requests == []
    span = sidecar.wait_span()
    assert span["sidespan.refusal"] == "pattern-undecided"
    assert span["error.type"] == "bad_request"
    assert "http.route" not in span or name == "fault"
    assert sidecar.metric('sidespan_refusals_total{rule="pattern-undecided"}') == 1
    sidecar.wait_log("pattern-undecided.*\n")
    line, = [l for l in sidecar.log().splitlines() if "pattern-undecided" in l]
    assert "regular expression in line" in line and span.trace_id in line


def test_what_can_be_decided_is(sidespan, port, origin, connect):
    upstream = origin()
    sidespan('inbound { listen 127.0.0.1:%d; route ~ "^/(a+)+$" { match method DELETE; respond 403; }'
             ' route / { to %s; } }' % (port, upstream.address))
    client = connect(port)
    for method, target, status in (("GET", "/" + AWAY, 200), ("DELETE", "/aaa", 403),
                                   ("DELETE", "/b", 200), ("DELETE", "/" + AWAY, 400)):
        client.send(request_bytes(method=method, target=target))
        assert client.read_response().status == status


def test_a_query_value_of_any_length_is_decided(sidespan, port, origin, connect):
    upstream = origin()
    sidespan('inbound { listen 127.0.0.1:%d; route / { match query q ~ "evil$"; respond 403; }'
             ' route / { to %s; } }' % (port, upstream.address))
    client = connect(port)
    for value in ("x" * 9000 + "evil", "%78" * 4000 + "evil"):
        client.send(request_bytes(target="/?q=" + value))
        assert client.read_response().status == 403


def test_check_warns_and_explain_knows(tmp_path):
    path = tmp_path / "routes.conf"
    path.write_text('inbound { listen :8080;\n'
                    '  route ~ "^/internal.*/users.*/delete" { respond 403; }\n'
                    '  route / { match header x-a ~ "^(a|aa)+$"; match query q ~ "^[^/]+/[^/]+$"; respond 200;\n'
                    '    fault abort 500 when header x-b ~ "^(a+)+$"; }\n'
                    '}\n')
    done = run("check", path)
    assert done.returncode == 0 and "ok" in done.stdout
    warnings = done.stderr.splitlines()
    assert [w.split(": ")[1].rsplit("routes.conf", 1)[1] for w in warnings] == [":2:3", ":3:13", ":4:5"]
    assert all("run away" in w and "refused" in w for w in warnings)
    done = run("explain", "--config", path, "GET http://a/internal" + "/users" * 1200 + "/delet")
    assert "meets its limit" in done.stdout and "refused with status 400 (pattern-undecided)" in done.stdout
    done = run("explain", "--config", path, "-H", "x-a: aa", "-H", "x-b: " + AWAY, "GET http://a/?q=b/b")
    assert "refused with status 400 (pattern-undecided)" in done.stdout


def test_a_request_that_is_refused_uses_up_no_fault(inbound, origin, connect):
    sidecar = inbound(origin().address,
                      extra='fault abort 503 first 1; fault delay 1ms when header x-a ~ "^(a+)+$";')
    statuses = []
    for fields in (["X-A: " + AWAY], [], []):
        client = connect(sidecar.port)
        client.send(request_bytes(fields=fields))
        statuses.append(client.read_response().status)
    assert statuses == [400, 503, 200]
