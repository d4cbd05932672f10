"""What an operator sees."""
import http.client
import json
import socket
import subprocess

import pytest

from process import free_port, run, spans_of
from programs import needs
from wire import DEADLINE, Wire, request_bytes, response_bytes, until


@pytest.fixture
def sidecar(inbound, origin):
    return inbound(origin().address)


def test_it_is_alive_and_ready(sidecar):
    assert sidecar.admin("/healthz").status == 200
    answer = sidecar.admin("/readyz")
    assert answer.status == 200 and answer.json["ready"] is True


def test_healthcheck_asks_a_running_sidecar(sidecar):
    assert run("healthcheck", "--admin", f"127.0.0.1:{sidecar.admin_port}").returncode == 0
    assert run("healthcheck", "--admin", f"127.0.0.1:{free_port()}").returncode != 0


def test_healthcheck_asks_where_the_configuration_says(sidecar, tmp_path):
    assert run("healthcheck", "--config", sidecar.path).returncode == 0
    assert run("healthcheck", f"127.0.0.1:{sidecar.admin_port}").returncode == 0
    other = tmp_path / "other.conf"
    other.write_text(f"inbound {{ listen 127.0.0.1:1; route / {{ respond 200; }} }} admin 0.0.0.0:{free_port()};")
    refused = run("healthcheck", "--config", other)
    assert refused.returncode == 1 and "127.0.0.1:" in refused.stderr and "refused" in refused.stderr
    other.write_text("inbound { listen 127.0.0.1:1; route / { respond 200; } } admin off;")
    off = run("healthcheck", "--config", other)
    assert off.returncode == 1 and "admin off" in off.stderr
    assert run("healthcheck", "--config", other, "127.0.0.1:1").returncode == 2


def test_the_configuration_in_force_is_shown_with_its_hash(sidecar):
    text = sidecar.admin("/config")
    assert text.status == 200 and "route /" in text.text
    as_json = sidecar.admin("/config?format=json").json
    assert as_json["hash"] == text.fields["sidespan-config-hash"]
    assert len(as_json["hash"]) == 16 and as_json["text"] == text.text


def test_the_configuration_in_force_is_had_as_a_tree(sidespan, port):
    """For programs: the words of each directive and what is in its block, in the order of the file; nothing
    that the text does not show."""
    sidecar = sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port};
            route /b {{ to app weight 90; to next; timeout 2s; }}
            route /a {{ respond 200 "it's \\"here\\""; set-header response x-key "k ${{KEY}}"; }}
        }}
        cluster app {{ endpoint 127.0.0.1:1; }}
        cluster next {{ endpoint 127.0.0.1:2; }}
        trace {{ export otlp http://127.0.0.1:1 {{ header authorization "Bearer s3cret"; }} }}
        """, env={"KEY": "hunter2-and-more"})
    answer = sidecar.admin("/config?format=json")
    assert "s3cret" not in answer.text and "hunter2" not in answer.text
    top = answer.json["config"]
    assert all(set(d) <= {"directive", "args", "block"} for d in top)
    inbound, *clusters = [d for d in top if d["directive"] in ("inbound", "cluster")]
    assert [c["args"] for c in clusters] == [["app"], ["next"]]
    assert {"directive": "endpoint", "args": ["127.0.0.1:1", "weight", "1"]} in clusters[0]["block"]
    first, second = [d for d in inbound["block"] if d["directive"] == "route"]
    assert first["args"] == ["/b"] and second["args"] == ["/a"]
    assert [d["args"] for d in first["block"]] == [
        ["app", "weight", "90"], ["next", "weight", "1"], ["trace"], ["2s"]]
    assert [d["args"] for d in second["block"]] == [
        ["200", 'it\'s "here"'], ["response", "x-key", "k ${KEY}"]]
    # Nothing of the text is missing in it.
    text = answer.json["text"]

    def directives(block):
        return sum(1 + directives(d.get("block", [])) for d in block)

    lines = [line for line in text.splitlines() if line.strip() not in ("", "}") and not line.strip().startswith("#")]
    assert directives(top) == len(lines)


def test_secrets_of_exporters_are_not_shown(inbound, origin):
    sidecar = inbound(origin().address, rest="""
        trace { export otlp http://127.0.0.1:1 { header authorization "Bearer s3cret"; } }
        """)
    for path in ("/config", "/config?format=json", "/ledger", "/metrics"):
        assert "s3cret" not in sidecar.admin(path).text
    assert "s3cret" not in sidecar.log()


SECRETS = {"APP_TOKEN": "t0p-secret-token", "APP_PATH": "hidden-path-of-collector", "APP_WORD": "wordily",
           "APP_HOST": "127.0.0.1"}


def test_what_came_from_the_environment_is_not_shown(inbound, origin, connect):
    """Nor what a field gets whose name says that it is secret."""
    upstream = origin()
    sidecar = inbound(upstream.address, extra="""
        set-header request authorization "Bearer ${APP_TOKEN}";
        set-header request x-api-key "literal-key-of-mine";
        set-header request x-plain shown-value;
        match header x-my-token = "${APP_TOKEN}";
        fault delay 1ms when header x-word = ${APP_WORD};
        fault delay 1ms when header x-password = literal-password-of-mine;
        """, rest="trace { export otlp http://${APP_HOST}:1/${APP_PATH}; }", env=SECRETS)
    connect(sidecar.port).get("/", f"x-my-token: {SECRETS['APP_TOKEN']}", f"x-word: {SECRETS['APP_WORD']}",
                              "x-password: literal-password-of-mine")
    assert upstream.requests[0].get("authorization") == f"Bearer {SECRETS['APP_TOKEN']}"
    for path in ("/config", "/config?format=json", "/ledger", "/metrics", "/readyz"):
        text = sidecar.admin(path).text
        for secret in [*SECRETS.values(), "literal-key-of-mine", "literal-password-of-mine"]:
            if secret != SECRETS["APP_HOST"]:
                assert secret not in text, path
    config = sidecar.admin("/config").text
    assert 'set-header request authorization "Bearer ${APP_TOKEN}";' in config
    assert 'set-header request x-api-key ***;' in config
    assert 'set-header request x-plain shown-value;' in config
    assert "export otlp http://${APP_HOST}:1/${APP_PATH} {" in config
    assert 'match header x-my-token = "${APP_TOKEN}";' in config
    assert "x-word = ${APP_WORD}" in config
    assert "fault delay 1ms when header x-password = ***;" in config
    # A mistake in a file that is read again is told without them, too, and so is what is logged.
    broken = sidecar.path.read_text().replace("delay 1ms", 'delay "${APP_TOKEN}"')
    answer = sidecar.reload(broken.split("\n", 4)[-1], accepted=False)
    assert "${APP_TOKEN}" in answer.text
    for text in (answer.text, sidecar.log()):
        assert not any(s in text for k, s in SECRETS.items() if k != "APP_HOST"), text


def test_a_span_tells_of_a_fault_without_the_secrets_it_asks_for(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address, extra="""
        fault delay 1ms when header x-word = ${APP_WORD};
        fault abort 503 when header x-password = literal-password-of-mine;
        """, env=SECRETS)
    connect(sidecar.port).get("/", f"x-word: {SECRETS['APP_WORD']}", "x-password: literal-password-of-mine")
    assert sidecar.wait_span()["sidespan.fault"] == (
        "delay 1ms when header x-word = ${APP_WORD}; abort 503 when header x-password = ***")


@pytest.mark.parametrize("value,line,place,told", [
    ("http://user:hunter2@host:80/x", "to ${VALUE};", "2:20", "write ${VALUE}; a path is given by rewrite"),
    ("Authorization: hunter2", "respond 200; set-header response ${VALUE} x;", "2:50",
     "write: ${VALUE} ${VALUE}"),
    ("hunter2", 'respond 200; match header x ~ "^${VALUE}(a+)+$";', "2:30", "can run away"),
], ids=["address", "header", "warning"])
def test_a_part_of_what_came_from_the_environment_is_not_told(tmp_path, value, line, place, told):
    file = tmp_path / "routes.conf"
    file.write_text("inbound { listen 127.0.0.1:1;\nroute /hidden { %s } }" % line)
    done = run("check", file, env={"VALUE": value})
    assert "hunter2" not in done.stdout + done.stderr
    assert f"routes.conf:{place}: " in done.stderr and told in done.stderr


def test_explain_does_not_tell_what_came_from_the_environment(tmp_path):
    file = tmp_path / "routes.conf"
    file.write_text("""
        outbound { listen 127.0.0.1:1; route / {
            match header x-my-token = "${APP_TOKEN}"; to 127.0.0.1:2; set-header request a "${APP_TOKEN}"; } }
        """)
    done = run("explain", "--config", file, "GET http://a/", env=SECRETS)
    assert "${APP_TOKEN}" in done.stdout and SECRETS["APP_TOKEN"] not in done.stdout


def test_the_index_lists_the_pages_and_others_are_404(sidecar):
    index = sidecar.admin("/").text
    for page in ("/healthz", "/readyz", "/config", "/traces", "/ledger", "/metrics", "/reload"):
        assert page in index
    assert sidecar.admin("/nothing").status == 404


@pytest.mark.parametrize("method, path", [("POST", "/metrics"), ("GET", "/reload"), ("PUT", "/config")])
def test_the_wrong_method_is_405(sidecar, method, path):
    answer = sidecar.admin(path, method)
    assert answer.status == 405 and answer.fields["allow"]


def test_one_trace_can_be_asked_for(sidecar, connect):
    client = connect(sidecar.port)
    trace = "0af7651916cd43dd8448eb211c80319c"
    for i in range(5):
        client.get(f"/{i}", *([f"traceparent: 00-{trace}-b7ad6b7169203331-01"] if i % 2 else []))
    sidecar.wait_spans(5)
    found = spans_of(sidecar.admin(f"/traces?trace_id={trace}").json)
    assert [s["url.path"] for s in found] == ["/1", "/3"]
    newest = spans_of(sidecar.admin("/traces?limit=2").json)
    assert [s["url.path"] for s in newest] == ["/3", "/4"]
    assert sidecar.admin("/traces?trace_id=junk").status == 400
    assert sidecar.admin("/traces?trace_id=" + "1" * 32).status == 404
    meaning = sidecar.admin("/ledger").json["meaning"]
    assert "partial success" in meaning["rejected"] and "not to be retried" in meaning["refused"]
    assert sidecar.admin("/traces?nosuch=1").status == 400


def test_traces_are_404_where_none_are_kept(inbound, origin):
    sidecar = inbound(origin().address, rest="trace { export console; }")
    assert sidecar.admin("/traces").status == 404


def test_a_page_of_another_origin_cannot_reach_it(sidecar):
    """DNS rebinding, and a form of a foreign page."""
    assert sidecar.admin("/config", fields={"Host": "evil.example"}).status == 403
    assert sidecar.admin("/reload", "POST", {"Origin": "http://evil.example"}).status == 403
    own = f"127.0.0.1:{sidecar.admin_port}"
    assert sidecar.admin("/reload", "POST", {"Host": own, "Origin": f"http://{own}"}).status == 200


def test_the_admin_port_can_be_off_or_a_unix_socket(sidespan, port, origin, connect, tmp_path):
    upstream = origin()
    path = tmp_path / "admin.sock"
    sidecar = sidespan(f"""
        admin unix:{path};
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}
        """, ready=False).spawn()
    sidecar.wait_log("ready")
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(DEADLINE)
    connection.sock.connect(str(path))
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    assert connect(port).get().status == 200
    sidecar.stop()
    assert not path.exists()

    sidecar.write(f"""
        admin off;
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {upstream.address}; }} }}
        """)
    sidecar.spawn()
    sidecar.wait_log("ready")
    assert connect(port).get().status == 200


# ---- metrics ----

def test_requests_are_counted_by_direction_cluster_and_class(sidespan, origin, connect):
    upstream = origin(lambda r: response_bytes(status=int(r.target[1:]), reason="X"))
    in_port, out_port = free_port(), free_port()
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{in_port}; route / {{ to app; }} }}
        outbound {{ listen 127.0.0.1:{out_port}; route / {{ to app; }} }}
        cluster app {{ endpoint {upstream.address}; }}
        """)
    for port, statuses in ((in_port, (200, 201, 404, 500)), (out_port, (200, 302, 503, 503))):
        client = connect(port)
        for status in statuses:
            client.get(f"/{status}")
    sidecar.wait_spans(8)
    metrics = sidecar.metrics()

    def requests(direction, group):
        return metrics.get(f'sidespan_requests_total{{direction="{direction}",cluster="app",'
                           f'route="/",status_class="{group}"}}', 0)

    assert [requests("inbound", g) for g in ("2xx", "3xx", "4xx", "5xx")] == [2, 0, 1, 1]
    assert [requests("outbound", g) for g in ("2xx", "3xx", "4xx", "5xx")] == [1, 1, 0, 2]
    for direction in ("inbound", "outbound"):
        name = "sidespan_request_duration_seconds"
        labels = f'direction="{direction}",cluster="app",route="/"'
        assert metrics[f"{name}_count{{{labels}}}"] == 4
        assert metrics[f'{name}_bucket{{{labels},le="+Inf"}}'] == 4
        assert metrics[f"{name}_sum{{{labels}}}"] > 0
        assert metrics[f'sidespan_connections_total{{direction="{direction}"}}'] == 1


def test_gauges_go_up_and_down(sidecar, raw_origin, connect):
    clients = [connect(sidecar.port) for _ in range(5)]
    for client in clients:
        client.get()
    assert sidecar.metric('sidespan_connections_open{direction="inbound"}') == 5
    for client in clients:
        client.close()
    until(lambda: sidecar.metric('sidespan_connections_open{direction="inbound"}') == 0,
          "all connections to be gone")
    until(lambda: sidecar.metric('sidespan_requests_active{direction="inbound"}') == 0, "none active")


def test_bytes_are_counted(inbound, origin, connect):
    upstream = origin(lambda r: response_bytes(body=b"y" * 70))
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.ask("POST", body=b"x" * 50)
    client.ask("POST", body=b"x" * 50)
    sidecar.wait_spans(2)
    labels = f'{{direction="inbound",cluster="{upstream.address}",route="/"}}'
    assert sidecar.metric("sidespan_request_body_bytes_total" + labels) == 100
    assert sidecar.metric("sidespan_response_body_bytes_total" + labels) == 140


def test_the_text_is_what_prometheus_reads(sidecar, connect):
    client = connect(sidecar.port)
    client.get()
    client.send("GET / HTTP/1.1\r\n\r\n")
    client.read_response()
    answer = sidecar.admin("/metrics")
    assert answer.fields["content-type"].startswith("text/plain; version=0.0.4")
    families, seen = {}, set()
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in families, f"{name} has two groups"
            families[name] = kind
        elif not line.startswith("#"):
            sample = line.split("{")[0].split(" ")[0]
            base = [f for f in families if sample == f or
                    families[f] == "histogram" and sample in (f + "_bucket", f + "_sum", f + "_count")]
            assert base, f"{sample} has no TYPE"
            assert line.rpartition(" ")[0] not in seen
            seen.add(line.rpartition(" ")[0])
            float(line.rpartition(" ")[2])
    assert answer.text.endswith("\n")


def test_what_the_sidecar_answers_by_itself_is_counted(sidespan, port, origin, connect):
    sidecar = sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port};
            route /respond {{ respond 403 "no"; }}
            route /redirect {{ redirect 302 /respond; }}
            route /abort {{ to {origin().address}; fault abort 404; }}
            route /fail {{ to {origin().address}; fault abort 503; }}
            route /reset {{ to {origin().address}; fault reset; }}
        }}
        """)
    for path in ("/respond", "/redirect", "/abort", "/fail", "/none"):
        connect(port).get(path)
    with pytest.raises((ConnectionError, EOFError, AssertionError)):
        connect(port).get("/reset")
    bad = connect(port)
    bad.send("GET / HTTP/1.1\r\n\r\n")         # without Host
    assert bad.read_response().status == 400
    total = 'sidespan_requests_total{direction="inbound",cluster="",route="%s",status_class="%s"}'
    ended = {("/respond", "4xx"): 1, ("/redirect", "3xx"): 1, ("/abort", "4xx"): 1, ("/fail", "5xx"): 1,
             ("/reset", "none"): 1, ("", "4xx"): 2}
    until(lambda: {e: sidecar.metric(total % e) for e in ended} == ended, lambda: str(sidecar.metrics()))
    answers = {kind: sidecar.metric(f'sidespan_answers_total{{direction="inbound",kind="{kind}"}}')
               for kind in ("respond", "redirect", "fault", "failure", "options")}
    assert answers == {"respond": 1, "redirect": 1, "fault": 2, "failure": 2, "options": 0}
    failures = 'sidespan_failures_total{direction="inbound",reason="%s",ended_by="sidecar"}'
    assert [sidecar.metric(failures % r) for r in ("fault_injected", "no_route", "bad_request")] == [2, 1, 1]


def test_requests_are_counted_by_their_route(sidespan, port, origin, connect):
    """By what the file calls it, never by what was asked for, and for a bounded number of routes."""
    upstream = origin()
    sidecar = sidespan(f"""
        inbound {{
            listen 127.0.0.1:{port};
            route /users/{{id}} {{ to v1 weight 1; to v2 weight 1; }}
            route = /login {{ to v1; }}
            route ~ ^/v[12]/ {{ to v1; name "old versions"; }}
            route grpc shop.Users {{ to v1; }}
            {" ".join(f"route /r{i} {{ to v1; }}" for i in range(300))}
        }}
        cluster v1 {{ endpoint {upstream.address}; }} cluster v2 {{ endpoint {upstream.address}; }}
        """)
    client = connect(port)
    for path in [f"/users/{i}" for i in range(20)] + ["/login", "/v1/a", "/v2/b", "/r0", "/r298", "/r299", "/nobody"]:
        client.get(path)
    client.ask("POST", "/shop.Users/Get", ["content-type: application/grpc"], b"")
    sidecar.wait_spans(28)

    def requests(route):
        return sum(value for key, value in sidecar.metrics().items()
                   if key.startswith("sidespan_requests_total{") and f',route="{route}",' in key)

    assert {r: requests(r) for r in ("/users/{id}", "= /login", "old versions", "grpc shop.Users", "/r0", "other", "")} \
        == {"/users/{id}": 20, "= /login": 1, "old versions": 2, "grpc shop.Users": 1, "/r0": 1, "other": 2, "": 1}
    for cluster in ("v1", "v2"):
        labels = f'direction="inbound",cluster="{cluster}",route="/users/{{id}}"'
        assert sidecar.metric(f"sidespan_request_duration_seconds_count{{{labels}}}") == \
            sidecar.metric(f'sidespan_requests_total{{{labels},status_class="2xx"}}') > 0
    assert not any("/users/1" in key or "/nobody" in key for key in sidecar.metrics())


def test_promtool_finds_nothing_to_complain_about(sidecar, connect):
    # A call of gRPC has metrics of its own.
    connect(sidecar.port).ask("POST", "/shop.Users/Get", ["content-type: application/grpc"], b"")
    promtool = needs("promtool")
    connect(sidecar.port).get()
    text = sidecar.admin("/metrics").text
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_faults_can_be_silenced_at_once(sidespan, port, origin, connect):
    """A reload does not turn them on again: who pulled the brake lets it go."""
    config = f"""
        workers 2;
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {origin().address}; fault abort 503; }} }}
        """
    sidecar = sidespan(config)
    assert {connect(port).get().status for _ in range(8)} == {503}
    assert sidecar.admin("/faults/off", "POST").json == {"faults": "off"}
    assert {connect(port).get().status for _ in range(8)} == {200}
    sidecar.reload(config.replace("fault abort 503", "fault abort 500"))
    assert {connect(port).get().status for _ in range(8)} == {200}
    assert sidecar.metric("sidespan_faults_off") == 1
    assert "all faults are silent" in sidecar.admin("/config").text
    assert sidecar.admin("/config?format=json").json["faults"] == "off"
    sidecar.admin("/faults/off", "POST")
    assert sidecar.admin("/faults/on", "POST").json == {"faults": "on"}
    assert {connect(port).get().status for _ in range(8)} == {500}
    assert sidecar.metric("sidespan_faults_switched_total") == 2
    sidecar.wait_log("strike again")
    assert sidecar.log().count("faults are silent") == sidecar.log().count("strike again") == 1
    assert sidecar.admin("/faults/off").status == 405


@pytest.mark.parametrize("site, status", [("cross-site", 403), ("same-site", 403), ("same-origin", 200),
                                          ("none", 200)])
def test_a_browser_is_answered_only_to_its_own_page_or_person(sidecar, site, status):
    for path, method in (("/config", "GET"), ("/faults/on", "POST")):
        assert sidecar.admin(path, method, {"Sec-Fetch-Site": site}).status == status
    assert sidecar.admin("/config", "GET", {"Origin": "http://evil.example"}).status == 403


def test_a_scrape_while_busy_does_not_disturb(sidecar):
    with Wire.connect(sidecar.port) as client:
        for _ in range(100):
            client.send(request_bytes() * 5)
            sidecar.admin("/metrics")
            for _ in range(5):
                assert client.read_response().status == 200


def test_the_ledger_balances_at_every_look(sidecar):
    with Wire.connect(sidecar.port) as client:
        for _ in range(60):
            client.send(request_bytes() * 5)
            sidecar.ledger()                  # asserts that it balances
            for _ in range(5):
                client.read_response()


def test_readiness_waits_for_names_to_be_resolved(sidespan, port):
    sidecar = sidespan(f"""
        inbound {{ listen 127.0.0.1:{port}; route / {{ to app; }} }}
        cluster app {{ endpoint localhost:1; }}
        """)
    assert sidecar.admin("/readyz").status == 200


def test_log_lines_can_be_json(sidespan, port, origin, connect):
    sidecar = sidespan(f"""
        log format json;
        inbound {{ listen 127.0.0.1:{port}; route / {{ to {origin().address}; }} }}
        """)
    client = connect(port)
    client.send('GET / HTTP/1.1\r\nHost: a"b\\\r\n\r\n')
    client.read_response()
    sidecar.wait_log("refused")
    lines = [json.loads(line) for line in sidecar.log().splitlines()]
    [refused] = [line for line in lines if "refused" in line["message"]]
    assert refused["trace_id"] == sidecar.wait_span().trace_id
    assert refused["trace_id"] not in refused["message"]
