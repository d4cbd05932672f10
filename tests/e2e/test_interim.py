"""Interim responses are the origin's to send and the sidecar's to relay."""
from wire import request_bytes, response_bytes

EXPECT = b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"


def test_100_continue_comes_from_the_origin_and_from_nobody_else(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(EXPECT)
    server = upstream.accept()
    request = server.read_request(body=False)
    assert request.get("expect") == "100-continue"
    assert client.quiet()                     # the sidecar does not answer for it
    server.send("HTTP/1.1 100 Continue\r\nX-Early: yes\r\n\r\n")
    assert client.read_head() == b"HTTP/1.1 100 Continue\r\nX-Early: yes\r\n\r\n"
    client.send(b"body")
    assert server.read(4) == b"body"
    server.send(response_bytes(status=201, reason="Created"))
    assert client.read_response().status == 201


def test_an_origin_may_refuse_before_the_body_was_sent(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(EXPECT)
    server = upstream.accept()
    server.read_request(body=False)
    server.send(response_bytes(status=417, reason="Expectation Failed", body=b"no"))
    response = client.read_response()
    assert response.status == 417 and response.body == b"no"
    client.close()                            # it does not send the body: it has its answer
    span = sidecar.wait_span()
    assert span["http.response.status_code"] == 417 and "error.type" not in span


def test_a_client_that_does_not_wait_for_100_is_served(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(EXPECT + b"body")
    server = upstream.accept()
    assert server.read_request().body == b"body"
    server.send(response_bytes())
    assert client.read_response().status == 200


def test_early_hints_are_relayed_before_the_final_response(inbound, raw_origin, connect):
    upstream = raw_origin()
    sidecar = inbound(upstream.address)
    client = connect(sidecar.port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nLink: </b.js>\r\n\r\n"
    server.send(hint)
    assert client.read_head() == hint         # at once, not with the final one
    server.send(b"HTTP/1.1 102 Processing\r\n\r\n" + hint)
    server.send(response_bytes(body=b"done"))
    response = client.read_response()
    assert [i.status for i in response.interim] == [102, 103]
    assert response.status == 200 and response.body == b"done"
    client.send(request_bytes())              # and the connection is in step
    server.read_request()
    server.send(response_bytes(body=b"next"))
    assert client.read_response().body == b"next"
    first, _ = sidecar.wait_spans(2)
    assert first["http.response.status_code"] == 200


def test_a_client_of_1_0_gets_no_interim_response(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send("POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab")
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" +
                response_bytes(body=b"done"))
    response = client.read_response()
    assert response.interim == [] and response.body == b"done"


def test_many_interim_responses_do_not_break_anything(inbound, raw_origin, connect):
    upstream = raw_origin()
    client = connect(inbound(upstream.address).port)
    client.send(request_bytes())
    server = upstream.accept()
    server.read_request()
    server.send(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 20 + response_bytes(body=b"done"))
    response = client.read_response()
    assert len(response.interim) == 20 and response.body == b"done"
