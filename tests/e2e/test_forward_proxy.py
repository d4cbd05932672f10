"""A forward-proxy listener, for services that are told of it by HTTP_PROXY."""
import subprocess

import pytest

from process import CLIENT
from programs import needs
from wire import DEADLINE, request_bytes, response_bytes


@pytest.fixture
def proxy(sidespan, port):
    def start(rest=""):
        sidecar = sidespan(f"outbound {{ listen 127.0.0.1:{port} forward-proxy; {rest} }}")
        sidecar.port = port
        return sidecar

    return start


def test_an_absolute_form_request_goes_where_it_says(proxy, origin, connect):
    upstream = origin()
    sidecar = proxy()
    client = connect(sidecar.port)
    response = client.get(f"http://{upstream.address}/a/b?c=d", host="wrong.test")
    assert response.body == b"hello"
    [request] = upstream.requests
    assert request.target == "/a/b?c=d"       # origin form
    assert request.get("host") == upstream.address  # made anew from the target
    span = sidecar.wait_span()
    assert span.kind == CLIENT
    assert span["url.full"] == f"http://{upstream.address}/a/b?c=d"
    assert span["server.port"] == upstream.port


def test_an_absolute_form_request_without_a_path_asks_for_the_root(proxy, origin, connect):
    upstream = origin()
    client = connect(proxy().port)
    assert client.get(f"http://{upstream.address}").status == 200
    assert upstream.requests[0].target == "/"
    assert client.get(f"http://{upstream.address}?q=1").status == 200
    assert upstream.requests[1].target == "/?q=1"


def test_options_of_an_absolute_form_without_a_path_asks_the_server_as_a_whole(
        proxy, origin, connect):
    upstream = origin()
    client = connect(proxy().port)
    assert client.ask("OPTIONS", f"http://{upstream.address}").status == 200
    assert upstream.requests[0].target == "*"


def test_a_name_is_resolved(proxy, origin, connect):
    upstream = origin()
    client = connect(proxy().port)
    assert client.get(f"http://localhost:{upstream.port}/").status == 200
    assert upstream.requests[0].get("host") == f"localhost:{upstream.port}"


def test_a_name_that_does_not_exist_is_a_502_that_says_so(proxy, connect):
    sidecar = proxy()
    response = connect(sidecar.port).get("http://no-such-name.invalid/")
    assert response.status in (502, 503)
    assert response.get("sidespan-reason") == "dns_error"
    assert b"no-such-name.invalid: " in response.body
    assert sidecar.wait_span()["error.type"] == "dns_error"


def test_one_client_connection_reaches_many_origins(proxy, origin, connect):
    upstreams = [origin(lambda r, i=i: response_bytes(body=b"%d" % i)) for i in range(3)]
    client = connect(proxy().port)
    for _ in range(2):
        for i, upstream in enumerate(upstreams):
            assert client.get(f"http://{upstream.address}/").body == b"%d" % i
    assert [u.connections for u in upstreams] == [1, 1, 1]


def test_hop_by_hop_fields_of_a_proxy_do_not_travel(proxy, origin, connect):
    upstream = origin()
    client = connect(proxy().port)
    client.get(f"http://{upstream.address}/", "Proxy-Connection: keep-alive",
               "Proxy-Authorization: Basic eDp5")
    [request] = upstream.requests
    assert request.get("proxy-connection") is None


def test_connect_makes_a_tunnel(proxy, raw_origin, connect):
    upstream = raw_origin()
    sidecar = proxy()
    client = connect(sidecar.port)
    client.send(f"CONNECT {upstream.address} HTTP/1.1\r\nHost: {upstream.address}\r\n\r\n")
    server = upstream.accept()
    response = client.read_response("CONNECT", body=False)
    assert 200 <= response.status < 300
    assert response.framing() == (None, None)
    client.send(b"\x16\x03\x01 anything")
    assert server.read(12) == b"\x16\x03\x01 anything"
    server.send(b"back")
    assert client.read(4) == b"back"
    client.half_close()
    server.expect_end()
    server.send(b"more")
    server.close()
    assert client.read_to_end() == b"more"
    span = sidecar.wait_span()
    assert span.kind == CLIENT
    assert span.name == "CONNECT"
    assert span["server.address"] == "127.0.0.1" and span["server.port"] == upstream.port
    assert span["http.response.status_code"] == 200
    assert "error.type" not in span


def test_bytes_sent_along_with_connect_are_not_lost(proxy, raw_origin, connect):
    upstream = raw_origin()
    client = connect(proxy().port)
    client.send(f"CONNECT {upstream.address} HTTP/1.1\r\nHost: {upstream.address}\r\n\r\neager")
    assert upstream.accept().read(5) == b"eager"
    assert client.read_response("CONNECT", body=False).status == 200


def test_connect_to_a_closed_port_is_an_error_with_a_reason(proxy, refusing, connect):
    sidecar = proxy()
    client = connect(sidecar.port)
    client.send(f"CONNECT {refusing} HTTP/1.1\r\nHost: {refusing}\r\n\r\n")
    response = client.read_response("CONNECT")
    assert response.status in (502, 503)
    assert response.get("sidespan-reason") == "connection_refused"
    assert sidecar.wait_span()["error.type"] == "connection_refused"


@pytest.mark.parametrize("target", ["127.0.0.1", "http://127.0.0.1:1/", "/", "127.0.0.1:0",
                                    "127.0.0.1:99999", "[::1", ":80"])
def test_connect_to_what_is_no_authority_with_a_port_is_refused(proxy, connect, target):
    client = connect(proxy().port)
    client.send(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.read_response("CONNECT").status == 400


def test_an_ordinary_listener_refuses_connect(inbound, origin, connect):
    client = connect(inbound(origin().address).port)
    client.send("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n")
    assert client.read_response("CONNECT").status in (405, 501)


def test_routes_apply_to_absolute_form_requests(sidespan, port, origin, connect):
    chosen = origin()
    sidespan(f"""
        outbound {{
            listen 127.0.0.1:{port} forward-proxy;
            host users.shop.local {{ route /api {{ to {chosen.address}; }} }}
        }}
        """)
    client = connect(port)
    assert client.get("http://users.shop.local/api/7").body == b"hello"
    [request] = chosen.requests
    assert request.target == "/api/7" and request.get("host") == "users.shop.local"


def test_what_no_route_takes_is_refused_where_the_file_says_so(sidespan, port, origin, connect):
    upstream = origin()
    sidecar = sidespan(f"""
        outbound {{
            listen 127.0.0.1:{port} forward-proxy;
            unmatched reject;
            host users.shop.local {{ route /api {{ to {upstream.address}; }} }}
        }}
        """)
    response = connect(port).get(f"http://{upstream.address}/")
    assert response.status >= 400
    assert response.get("sidespan-reason") == "no_route"
    assert sidecar.wait_span()["error.type"] == "no_route"


def test_a_request_addressed_to_the_sidecar_itself_is_no_loop(proxy, connect):
    sidecar = proxy()
    client = connect(sidecar.port)
    response = client.get(f"http://127.0.0.1:{sidecar.port}/")
    assert response.status >= 500
    assert response.get("sidespan-reason") == "loop"
    assert sidecar.metric("sidespan_loops_refused_total") >= 1
    sidecar.wait_spans(1)                     # one: it did not go round


def test_an_https_url_is_not_sent_in_the_clear(proxy, origin, connect):
    upstream = origin()
    response = connect(proxy().port).get(f"https://{upstream.address}/")
    assert response.status >= 400
    assert upstream.requests == []


def test_curl_goes_through_with_http_proxy(proxy, origin, tmp_path):
    curl = needs("curl")
    upstream = origin()
    sidecar = proxy()
    for arguments in (["--proxy", f"http://127.0.0.1:{sidecar.port}"],
                      ["--proxytunnel", "--proxy", f"http://127.0.0.1:{sidecar.port}"]):
        done = subprocess.run([curl, "-sS", "--noproxy", "", *arguments,
                               f"http://{upstream.address}/x"],
                              capture_output=True, timeout=3 * DEADLINE, check=True)
        assert done.stdout == b"hello"
    assert [r.target for r in upstream.requests] == ["/x", "/x"]


def test_origin_form_on_a_forward_proxy_goes_by_its_host(proxy, origin, connect):
    upstream = origin()
    client = connect(proxy().port)
    client.send(request_bytes(target="/plain", host=upstream.address))
    assert client.read_response().body == b"hello"
    assert upstream.requests[0].target == "/plain"
