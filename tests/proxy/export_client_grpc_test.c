/*
 * OTLP over gRPC: against an HTTP/2 server of nghttp2 that does what a script
 * says.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <nghttp2/nghttp2.h>

#include "export_call.h"
#include "test_certificates.h"

/* ---- the peer ---- */

enum act {
    ANSWER,        /* head, body, trailers */
    TRAILERS_ONLY, /* grpc-status 14 */
    NO_GRPC,       /* 503 and a body without trailers */
    INTERIM,       /* 103, then as ANSWER */
    BIG,           /* a body of 5 MB */
    EARLY,         /* trailers only as soon as the head is there; the body is never read */
    RESET,         /* RST_STREAM */
    REFUSE,        /* GOAWAY that says this call was not looked at */
    ANSWER_GOAWAY, /* as ANSWER, then GOAWAY; the connection stays open */
    CLOSE,         /* FIN without a word */
    HALF,          /* the head, then FIN */
    HTTP1,         /* an answer in HTTP/1.1 */
    HANG,
};

/* Room to look beyond the last step. */
enum { STEPS_MAX = 8 };

static const enum act always_ok[STEPS_MAX] = {ANSWER, ANSWER, ANSWER, ANSWER};

enum { PEER_CONNECTIONS_MAX = 8, BIG_BYTES = 5000000 };
struct connection {
    struct bufferevent *bev;
    nghttp2_session *session;
    size_t body_left;
};
struct peer {
    struct evconnlistener *listener;
    uint16_t port;
    SSL_CTX *tls;
    const enum act *script;
    unsigned calls, connections;
    struct connection open[PEER_CONNECTIONS_MAX];
    struct evbuffer *fields, *body; /* of the last call */
    nghttp2_session_callbacks *callbacks;
};

static struct peer peer;

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

static void drop(struct connection *c)
{
    if (c->session)
        nghttp2_session_del(c->session);
    if (c->bev)
        bufferevent_free(c->bev);
    *c = (struct connection){0};
}

static ssize_t send_bytes(nghttp2_session *session, const uint8_t *data, size_t n, int flags,
                          void *arg)
{
    struct connection *c = arg;

    bufferevent_write(c->bev, data, n);
    return (ssize_t)n;
}

static ssize_t read_answer(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t room,
                           uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct connection *c = arg;
    size_t n = c->body_left < room ? c->body_left : room;

    memset(buf, 'r', n);
    c->body_left -= n;
    if (c->body_left == 0) {
        nghttp2_nv trailers[] = {field("grpc-status", "0"), field("grpc-message", "fine")};
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (!source->ptr) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(session, stream, trailers, 2);
        }
    }
    return (ssize_t)n;
}

static void submit_answer(struct connection *c, int32_t stream, size_t body_bytes)
{
    nghttp2_nv head[] = {field(":status", "200"), field("content-type", "application/grpc")};
    nghttp2_data_provider body = {.read_callback = read_answer};

    c->body_left = body_bytes;
    nghttp2_submit_response(c->session, stream, head, 2, &body);
}

static void submit_trailers_only(struct connection *c, int32_t stream)
{
    nghttp2_nv head[] = {field(":status", "200"), field("grpc-status", "14"),
                         field("grpc-message", "full")};

    nghttp2_submit_response(c->session, stream, head, 3, NULL);
}

static void act_on_call(struct connection *c, int32_t stream, enum act act)
{
    static int no_trailers;
    nghttp2_nv status[] = {field(":status", act == INTERIM ? "103" : "503")};
    nghttp2_data_provider body = {.source = {.ptr = &no_trailers}, .read_callback = read_answer};

    switch (act) {
    case INTERIM:
        nghttp2_submit_headers(c->session, NGHTTP2_FLAG_NONE, stream, NULL, status, 1, NULL);
        /* fall through */
    case ANSWER:
    case ANSWER_GOAWAY:
        submit_answer(c, stream, 5);
        if (act == ANSWER_GOAWAY)
            nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_NO_ERROR, NULL, 0);
        break;
    case BIG:
        submit_answer(c, stream, BIG_BYTES);
        break;
    case EARLY:
    case TRAILERS_ONLY:
        submit_trailers_only(c, stream);
        break;
    case NO_GRPC:
        c->body_left = 4;
        nghttp2_submit_response(c->session, stream, status, 1, &body);
        break;
    case RESET:
        nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_INTERNAL_ERROR);
        break;
    case REFUSE:
        nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
        break;
    case HALF:
        submit_answer(c, stream, BIG_BYTES);
        break;
    case CLOSE:
    case HTTP1:
    case HANG:
        break;
    }
}

static int on_peer_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                          size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags,
                          void *arg)
{
    evbuffer_add_printf(peer.fields, "%.*s: %.*s\n", (int)name_n, (const char *)name, (int)value_n,
                        (const char *)value);
    return 0;
}

static int on_peer_headers_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    evbuffer_drain(peer.fields, evbuffer_get_length(peer.fields));
    evbuffer_drain(peer.body, evbuffer_get_length(peer.body));
    return 0;
}

static int on_peer_data(nghttp2_session *session, uint8_t flags, int32_t stream,
                        const uint8_t *data, size_t n, void *arg)
{
    evbuffer_add(peer.body, data, n);
    return 0;
}

static int on_peer_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    bool whole = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    bool head = frame->hd.type == NGHTTP2_HEADERS;

    if (!head && frame->hd.type != NGHTTP2_DATA)
        return 0;
    if (head && peer.script[peer.calls] == EARLY)
        act_on_call(arg, frame->hd.stream_id, peer.script[peer.calls++]);
    else if (whole)
        act_on_call(arg, frame->hd.stream_id, peer.script[peer.calls++]);
    return 0;
}

static void on_peer_read(struct bufferevent *bev, void *arg)
{
    static const char http1[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    struct connection *c = arg;
    struct evbuffer *in = bufferevent_get_input(bev);
    unsigned calls = peer.calls;

    if (peer.script[peer.calls] == HTTP1) {
        evbuffer_drain(in, evbuffer_get_length(in));
        bufferevent_write(bev, http1, sizeof(http1) - 1);
        return;
    }
    size_t n = evbuffer_get_length(in);
    nghttp2_session_mem_recv(c->session, evbuffer_pullup(in, -1), n);
    evbuffer_drain(in, n);
    if (peer.calls > calls && peer.script[peer.calls - 1] == CLOSE) {
        drop(c);
        return;
    }
    nghttp2_session_send(c->session);
    if (peer.calls > calls && peer.script[peer.calls - 1] == HALF)
        shutdown(bufferevent_getfd(bev), SHUT_RDWR);
}

static void on_peer_event(struct bufferevent *bev, short what, void *arg)
{
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        drop(arg);
}

static void on_peer_accept(struct evconnlistener *listener, evutil_socket_t fd,
                           struct sockaddr *from, int len, void *arg)
{
    ck_assert_uint_lt(peer.connections, PEER_CONNECTIONS_MAX);
    struct connection *c = &peer.open[peer.connections++];
    nghttp2_option *option;

    c->bev = peer.tls
                 ? bufferevent_openssl_socket_new(exporting.base, fd, SSL_new(peer.tls),
                                                  BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
                 : bufferevent_socket_new(exporting.base, fd, BEV_OPT_CLOSE_ON_FREE);
    nghttp2_option_new(&option);
    /* A body that is not to be read stalls the client at the first window. */
    nghttp2_option_set_no_auto_window_update(option, peer.script[peer.calls] == EARLY);
    nghttp2_session_server_new2(&c->session, peer.callbacks, c, option);
    nghttp2_option_del(option);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0);
    bufferevent_setcb(c->bev, on_peer_read, NULL, on_peer_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static void set_up(void)
{
    exporting_set_up(EXPORT_OTLP_GRPC);
    peer = (struct peer){.script = always_ok, .fields = evbuffer_new(), .body = evbuffer_new()};
    nghttp2_session_callbacks_new(&peer.callbacks);
    nghttp2_session_callbacks_set_send_callback(peer.callbacks, send_bytes);
    nghttp2_session_callbacks_set_on_begin_headers_callback(peer.callbacks, on_peer_headers_begin);
    nghttp2_session_callbacks_set_on_header_callback(peer.callbacks, on_peer_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(peer.callbacks, on_peer_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(peer.callbacks, on_peer_frame);
    peer.listener = listen_on("127.0.0.1", on_peer_accept, &peer.port);
    exporting_to("127.0.0.1", peer.port);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < PEER_CONNECTIONS_MAX; i++)
        drop(&peer.open[i]);
    if (peer.listener)
        evconnlistener_free(peer.listener);
    nghttp2_session_callbacks_del(peer.callbacks);
    evbuffer_free(peer.fields);
    evbuffer_free(peer.body);
    exporting_tear_down();
    SSL_CTX_free(peer.tls);
}

/* ---- a call and its answer ---- */

START_TEST(a_call_has_the_fields_that_grpc_wants)
{
    struct outcome o;

    begin(STR("/a.b.Service/Export"), STR("hello"), MILLISECONDS(1500), &o);
    wait_for(&o);
    expect_answered(o, 200);
    evbuffer_add(peer.fields, "", 1);
    ck_assert_str_eq((char *)evbuffer_pullup(peer.fields, -1),
                     ":method: POST\n"
                     ":scheme: http\n"
                     ":path: /a.b.Service/Export\n"
                     ":authority: collector:4317\n"
                     "te: trailers\n"
                     "grpc-timeout: 1500m\n"
                     "content-type: application/x-protobuf\n"
                     "x-tenant: shop\n"
                     "user-agent: sidespan/" SIDESPAN_VERSION
                     " OTel-OTLP-Exporter-C/" SIDESPAN_VERSION "\n");
    ck_assert_uint_eq(evbuffer_get_length(peer.body), 5);
    ck_assert(memcmp(evbuffer_pullup(peer.body, -1), "hello", 5) == 0);
}
END_TEST

static const struct {
    enum act act;
    int status;
    const char *headers, *body, *trailers;
} answers[] = {
    {ANSWER, 200, "content-type=application/grpc;", "rrrrr", "grpc-status=0;grpc-message=fine;"},
    {INTERIM, 200, "content-type=application/grpc;", "rrrrr", "grpc-status=0;grpc-message=fine;"},
    {TRAILERS_ONLY, 200, "grpc-status=14;grpc-message=full;", "",
     "grpc-status=14;grpc-message=full;"},
    {NO_GRPC, 503, "", "rrrr", ""},
};

START_TEST(head_body_and_trailers_of_an_answer_are_told)
{
    enum act script[STEPS_MAX] = {answers[_i].act};

    peer.script = script;
    struct outcome o = send_hello();
    expect_answered(o, answers[_i].status);
    ck_assert(o.has_headers && o.has_trailers);
    ck_assert_str_eq(o.headers, answers[_i].headers);
    ck_assert_str_eq(o.body, answers[_i].body);
    ck_assert_str_eq(o.trailers, answers[_i].trailers);
}
END_TEST

static char large[3 * 1024 * 1024 + 17];

START_TEST(a_body_larger_than_the_windows_arrives_as_it_was)
{
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i * 31 >> 5);
    expect_answered(send_body(str_of(large, sizeof(large))), 200);
    ck_assert_uint_eq(evbuffer_get_length(peer.body), sizeof(large));
    ck_assert(memcmp(evbuffer_pullup(peer.body, -1), large, sizeof(large)) == 0);
}
END_TEST

START_TEST(an_empty_body_is_a_call_too)
{
    expect_answered(send_body((struct str){0}), 200);
    ck_assert_uint_eq(evbuffer_get_length(peer.body), 0);
}
END_TEST

START_TEST(an_answer_before_the_end_of_the_body_counts_and_ends_the_connection)
{
    static const enum act script[STEPS_MAX] = {EARLY, ANSWER};

    peer.script = script;
    struct outcome o = send_body(str_of(large, sizeof(large)));
    expect_answered(o, 200);
    ck_assert_str_eq(o.trailers, "grpc-status=14;grpc-message=full;");
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

/* ---- no answer ---- */

static const struct {
    enum act act;
    const char *words;
} broken[] = {
    {BIG, "too large"},
    {RESET, "reset the call: INTERNAL_ERROR"},
    {REFUSE, "reset the call: REFUSED_STREAM"},
    {CLOSE, "closed the connection"},
    {HALF, "closed the connection"},
    {HTTP1, "port for OTLP over gRPC (4317)"},
};

START_TEST(a_call_that_is_not_answered_whole_is_lost)
{
    enum act script[STEPS_MAX] = {broken[_i].act, ANSWER};

    peer.script = script;
    struct outcome o = send_hello();
    expect_ended(o, TRANSPORT_LOST, broken[_i].words);
    peer.script = always_ok;
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

START_TEST(a_peer_that_hangs_is_given_up_after_the_timeout)
{
    static const enum act script[STEPS_MAX] = {HANG, ANSWER};
    struct outcome o;

    peer.script = script;
    begin(STR("/a.b.Service/Export"), STR("hello"), MILLISECONDS(100), &o);
    wait_for(&o);
    expect_ended(o, TRANSPORT_TIMEOUT, "did not answer within 100 ms");
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

START_TEST(what_is_cancelled_is_never_told)
{
    static const enum act script[STEPS_MAX] = {HANG, ANSWER};
    struct outcome o;

    peer.script = script;
    begin(STR("/a.b.Service/Export"), STR("hello"), MILLISECONDS(50), &o);
    while (!peer.calls)
        event_base_loop(exporting.base, EVLOOP_ONCE);
    exporting.client->ops->cancel(exporting.client);
    run_for(MILLISECONDS(100));
    ck_assert_uint_eq(o.times, 0);
    expect_answered(send_hello(), 200);
}
END_TEST

/* ---- the connection between calls ---- */

START_TEST(a_connection_is_kept)
{
    for (int i = 0; i < 3; i++)
        expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 1);
    ck_assert_uint_eq(peer.calls, 3);
}
END_TEST

START_TEST(after_goaway_the_next_call_has_a_new_connection)
{
    static const enum act script[STEPS_MAX] = {ANSWER_GOAWAY, ANSWER};

    peer.script = script;
    expect_answered(send_hello(), 200);
    if (_i)
        run_for(MILLISECONDS(20));
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

static const enum act unread[] = {CLOSE, REFUSE};

START_TEST(a_call_on_a_kept_connection_that_ends_is_sent_once_more)
{
    enum act script[STEPS_MAX] = {ANSWER, unread[_i], ANSWER};

    peer.script = script;
    expect_answered(send_hello(), 200);
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
    ck_assert_uint_eq(peer.calls, 3);
}
END_TEST

START_TEST(an_idle_connection_that_was_closed_is_made_anew_silently)
{
    expect_answered(send_hello(), 200);
    drop(&peer.open[0]);
    run_for(MILLISECONDS(20));
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

/* ---- TLS ---- */

START_TEST(over_tls_both_must_agree_on_http_2)
{
    static char h2[] = "h2", http1[] = "http/1.1";
    struct certificate ca = certificate_make("test authority", NULL, NULL, 86400);
    struct certificate server = certificate_make("collector", "IP:127.0.0.1", &ca, 86400);
    char *file = pem_file(&ca, 0);

    peer.tls = server_context(&server, NULL);
    SSL_CTX_set_alpn_select_cb(peer.tls, choose_protocol, _i ? http1 : h2);
    exporting.config.tls = true;
    exporting.config.ca = str_from(file);
    struct outcome o = send_body(str_of(large, sizeof(large)));
    if (_i) {
        expect_ended(o, TRANSPORT_CONNECT_FAILED, "does not offer HTTP/2");
    } else {
        expect_answered(o, 200);
        expect_answered(send_hello(), 200);
        ck_assert_uint_eq(peer.connections, 1);
        ck_assert_ptr_nonnull(strstr((char *)evbuffer_pullup(peer.fields, -1), ":scheme: https\n"));
    }
    pem_file_remove(file);
    certificate_release(&ca);
    certificate_release(&server);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("export_client_grpc");
    TCase *t = tcase_create("grpc");

    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_call_has_the_fields_that_grpc_wants);
    tcase_add_loop_test(t, head_body_and_trailers_of_an_answer_are_told, 0,
                        sizeof(answers) / sizeof(answers[0]));
    tcase_add_test(t, a_body_larger_than_the_windows_arrives_as_it_was);
    tcase_add_test(t, an_empty_body_is_a_call_too);
    tcase_add_test(t, an_answer_before_the_end_of_the_body_counts_and_ends_the_connection);
    tcase_add_loop_test(t, a_call_that_is_not_answered_whole_is_lost, 0,
                        sizeof(broken) / sizeof(broken[0]));
    tcase_add_test(t, a_peer_that_hangs_is_given_up_after_the_timeout);
    tcase_add_test(t, what_is_cancelled_is_never_told);
    tcase_add_test(t, a_connection_is_kept);
    tcase_add_loop_test(t, after_goaway_the_next_call_has_a_new_connection, 0, 2);
    tcase_add_loop_test(t, a_call_on_a_kept_connection_that_ends_is_sent_once_more, 0,
                        sizeof(unread) / sizeof(unread[0]));
    tcase_add_test(t, an_idle_connection_that_was_closed_is_made_anew_silently);
    tcase_add_loop_test(t, over_tls_both_must_agree_on_http_2, 0, 2);
    suite_add_tcase(suite, t);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
