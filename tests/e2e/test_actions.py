"""What a route does to requests and responses on their way."""
import pytest

from wire import request_bytes, response_bytes


def test_respond_answers_without_an_origin(outbound, connect):
    sidecar = outbound('route = /health { respond 200 "fine\\n"; } route /gone { respond 410; }')
    client = connect(sidecar.port)
    response = client.get("/health")
    assert (response.status, response.body) == (200, b"fine\n")
    response = client.get("/gone")
    assert (response.status, response.body, response.get("content-length")) == (410, b"", "0")
    assert client.ask("HEAD", "/health").get("content-length") in ("5", "0")
    spans = sidecar.wait_spans(3)
    assert [s.name for s in spans] == ["GET /health", "GET /gone", "HEAD /health"]


@pytest.mark.parametrize("status", [204, 304])
def test_respond_without_a_body_where_there_can_be_none(outbound, connect, status):
    client = connect(outbound(f"route / {{ respond {status}; }}").port)
    for _ in range(2):
        assert client.get().status == status


def test_respond_answers_whatever_the_size_of_the_request(outbound, connect):
    sidecar = outbound('route / { respond 200 "ok"; }')
    client = connect(sidecar.port)
    for size in (0, 10, 200_000):
        response = client.ask("POST", body=b"x" * size)
        assert response.body == b"ok"
        if response.get("connection") == "close":  # allowed while the body is still coming
            client.expect_end()
            client = connect(sidecar.port)


def test_redirect_sends_the_client_elsewhere(outbound, connect):
    sidecar = outbound("""
        route /old { redirect 308 https://new.example$(request-path); }
        route /by-name/{id} { redirect 302 /users?id=$(path id); }
        """)
    client = connect(sidecar.port)
    response = client.get("/old/page")
    assert (response.status, response.get("location")) == (308, "https://new.example/old/page")
    response = client.get("/by-name/a%20b")
    assert (response.status, response.get("location")) == (302, "/users?id=a%20b")


def test_rewrite_changes_the_path_and_the_query_where_it_names_one(outbound, origin, connect):
    upstream = origin()
    sidecar = outbound(f"""
        route /v1/users/{{id}} {{
            rewrite "/v2/people/$(path id)?src=$(query from)"; to {upstream.address};
        }}
        route /plain {{ rewrite /fixed; to {upstream.address}; }}
        """)
    client = connect(sidecar.port)
    client.get("/v1/users/7?from=web&x=1")
    client.get("/plain/a?b=c")
    assert [r.target for r in upstream.requests] == ["/v2/people/7?src=web", "/fixed?b=c"]
    assert all(r.get("host") == "service.test" for r in upstream.requests)


def test_rewrite_cannot_be_used_to_smuggle(outbound, origin, connect):
    upstream = origin()
    sidecar = outbound(f"""
        route / {{ rewrite "/x$(header x-path)"; to {upstream.address}; }}
        """)
    client = connect(sidecar.port)
    response = client.get("/", "X-Path: a HTTP/1.1 \x7f\tHost:evil #frag")
    assert response.status in (200, 400)
    for request in upstream.requests:         # ScriptedOrigin parses strictly
        assert " " not in request.target and "#" not in request.target
        assert request.get("host") == "service.test"


def test_rewrite_host_changes_the_host_that_is_sent_on(outbound, origin, connect):
    upstream = origin()
    sidecar = outbound(f"route / {{ rewrite-host internal.test:81; to {upstream.address}; }}")
    connect(sidecar.port).get("/p", host="public.test")
    assert upstream.requests[0].get("host") == "internal.test:81"
    assert upstream.requests[0].target == "/p"


def test_headers_are_set_added_and_removed_both_ways(outbound, origin, connect):
    upstream = origin(lambda r: response_bytes(fields=[
        "Server: secret/1", "X-Many: 1", "X-Many: 2", "X-Set: theirs", "Set-Cookie: a=1"]))
    sidecar = outbound(f"""
        route /u/{{id}} {{
            to {upstream.address};
            set-header request x-team shop;
            add-header request x-more "id=$(path id) from=$(source) m=$(method)";
            remove-header request x-secret;
            set-header response X-Set ours;
            add-header response x-trace $(trace-id);
            remove-header response server;
            remove-header response x-many;
        }}
        """)
    client = connect(sidecar.port)
    response = client.get("/u/9", "X-Team: theirs", "x-team: twice", "X-More: first", "X-Secret: 1",
                          "x-secret: 2", "X-Last: kept")
    [request] = upstream.requests
    assert request.all("x-team") == ["shop"]
    assert request.all("x-more") == ["first", "id=9 from=127.0.0.1 m=GET"]
    assert request.all("x-secret") == []
    assert request.get("x-last") == "kept"
    assert response.all("x-set") == ["ours"]
    assert response.get("x-trace") == request.get("traceparent").split("-")[1]
    assert response.all("server") == response.all("x-many") == []
    assert response.get("set-cookie") == "a=1"


def test_what_a_header_action_fills_in_cannot_break_out_of_its_line(outbound, origin, connect):
    upstream = origin()
    sidecar = outbound(f"""
        route /p/{{name}} {{
            to {upstream.address};
            set-header request x-name "$(path name)";
            add-header response x-name "$(path name)";
        }}
        """)
    client = connect(sidecar.port)
    response = client.get("/p/a%0d%0aX-Evil:1")
    [request] = upstream.requests
    assert request.get("x-evil") is None and response.get("x-evil") is None


def test_header_actions_apply_to_answers_of_the_sidecar_too(outbound, connect):
    sidecar = outbound('route / { respond 200 "ok"; add-header response x-by sidespan; }')
    assert connect(sidecar.port).get().get("x-by") == "sidespan"


def test_actions_do_not_disturb_a_stream(outbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = outbound(f"route / {{ to {upstream.address}; set-header request x-a b; rewrite /z; }}")
    client = connect(sidecar.port)
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
    server = upstream.accept()
    request = server.read_request(body=False)
    assert (request.target, request.get("x-a")) == ("/z", "b")
    assert server.read(3) == b"abc"
    client.send(b"def")
    assert server.read(3) == b"def"
    server.send(response_bytes())
    assert client.read_response().status == 200
    client.send(request_bytes())
    assert server.read_request().target == "/z"


def test_trace_is_refused_and_max_forwards_counted(inbound, origin, connect):
    upstream = origin()
    sidecar = inbound(upstream.address)
    assert connect(sidecar.port).ask("TRACE").status == 405
    client = connect(sidecar.port)
    assert client.ask("OPTIONS", "*", ["Max-Forwards: 0"]).status == 200
    assert upstream.requests == []
    assert client.ask("OPTIONS", "*", ["Max-Forwards: 3"]).status == 200
    assert upstream.requests[0].get("max-forwards") == "2"
    assert upstream.requests[0].target == "*"
