/*
 * OTLP over HTTP/1.1, and how connections are made: against a peer that does
 * what a script says.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <sys/un.h>

#include "export_call.h"
#include "test_certificates.h"

/* ---- the peer ---- */

enum act {
    ANSWER,       /* the text, and the connection stays */
    ANSWER_CLOSE, /* the text, then FIN */
    CLOSE,        /* FIN without a word */
    RESET,        /* RST */
    HANG,
    ANSWER_EARLY, /* the text as soon as the head is there; the body is not read */
};
struct step {
    enum act act;
    const char *text;
};

#define OK_TEXT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const struct step always_ok[] = {
    {ANSWER, OK_TEXT}, {ANSWER, OK_TEXT}, {ANSWER, OK_TEXT}, {ANSWER, OK_TEXT}};

enum { PEER_CONNECTIONS_MAX = 8, STEPS_MAX = 8 };
struct peer {
    struct evconnlistener *listener;
    uint16_t port;
    SSL_CTX *tls;
    const struct step *script;
    unsigned requests, connections;
    struct bufferevent *open[PEER_CONNECTIONS_MAX];
    struct evbuffer *last; /* the last request */
};

static struct peer peer;

static void drop(struct bufferevent *bev)
{
    for (unsigned i = 0; i < PEER_CONNECTIONS_MAX; i++)
        if (peer.open[i] == bev)
            peer.open[i] = NULL;
    bufferevent_free(bev);
}

static void on_peer_written(struct bufferevent *bev, void *arg)
{
    drop(bev);
}

static void on_peer_event(struct bufferevent *bev, short what, void *arg)
{
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        drop(bev);
}

/* Bytes of the whole request; 0: not all there. */
static size_t request_bytes(struct evbuffer *in)
{
    struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    struct evbuffer_ptr length = evbuffer_search(in, "Content-Length: ", 16, NULL);

    if (end.pos < 0)
        return 0;
    size_t n = (size_t)end.pos + 4;
    if (length.pos >= 0)
        n += (size_t)atol((char *)evbuffer_pullup(in, end.pos) + length.pos + 16);
    return evbuffer_get_length(in) >= n ? n : 0;
}

static void on_peer_read(struct bufferevent *bev, void *arg)
{
    struct evbuffer *in = bufferevent_get_input(bev);
    const struct step *step = &peer.script[peer.requests];
    struct linger at_once = {1, 0};

    if (step->act == ANSWER_EARLY) {
        peer.requests++;
        bufferevent_disable(bev, EV_READ);
        bufferevent_write(bev, step->text, strlen(step->text));
        return;
    }
    size_t n = request_bytes(in);
    if (n == 0)
        return;
    peer.requests++;
    evbuffer_drain(peer.last, evbuffer_get_length(peer.last));
    evbuffer_remove_buffer(in, peer.last, n);
    switch (step->act) {
    case ANSWER_CLOSE:
        bufferevent_setcb(bev, NULL, on_peer_written, on_peer_event, NULL);
        /* fall through */
    case ANSWER:
        bufferevent_write(bev, step->text, strlen(step->text));
        break;
    case RESET:
        setsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        /* fall through */
    case CLOSE:
        drop(bev);
        break;
    case HANG:
    case ANSWER_EARLY:
        break;
    }
}

static void on_peer_accept(struct evconnlistener *listener, evutil_socket_t fd,
                           struct sockaddr *from, int len, void *arg)
{
    ck_assert_uint_lt(peer.connections, PEER_CONNECTIONS_MAX);
    struct bufferevent *bev =
        peer.tls ? bufferevent_openssl_socket_new(exporting.base, fd, SSL_new(peer.tls),
                                                  BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
                 : bufferevent_socket_new(exporting.base, fd, BEV_OPT_CLOSE_ON_FREE);
    peer.open[peer.connections++] = bev;
    bufferevent_setcb(bev, on_peer_read, NULL, on_peer_event, NULL);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void set_up(void)
{
    exporting_set_up(EXPORT_OTLP_HTTP);
    peer = (struct peer){.script = always_ok, .last = evbuffer_new()};
    peer.listener = listen_on("127.0.0.1", on_peer_accept, &peer.port);
    exporting_to("127.0.0.1", peer.port);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < PEER_CONNECTIONS_MAX; i++)
        if (peer.open[i])
            bufferevent_free(peer.open[i]);
    if (peer.listener)
        evconnlistener_free(peer.listener);
    evbuffer_free(peer.last);
    exporting_tear_down();
    SSL_CTX_free(peer.tls);
}

static const char *last_request(void)
{
    evbuffer_add(peer.last, "", 1);
    return (char *)evbuffer_pullup(peer.last, -1);
}

/* ---- a request and its answer ---- */

START_TEST(a_request_is_one_post_with_its_fields_and_body)
{
    struct outcome o = send_hello();

    expect_answered(o, 200);
    ck_assert_str_eq(last_request(), "POST /v1/traces HTTP/1.1\r\n"
                                     "Host: collector:4317\r\n"
                                     "User-Agent: sidespan/" SIDESPAN_VERSION
                                     " OTel-OTLP-Exporter-C/" SIDESPAN_VERSION "\r\n"
                                     "Content-Length: 5\r\n"
                                     "Content-Type: application/x-protobuf\r\n"
                                     "X-Tenant: shop\r\n"
                                     "\r\n"
                                     "hello");
}
END_TEST

static const struct {
    const char *text;
    enum act act;
    int status;
    const char *headers, *body;
} answers[] = {
    {OK_TEXT, ANSWER, 200, "Content-Length=2;", "ok"},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n",
     ANSWER, 200, "Transfer-Encoding=chunked;", "abc"},
    {"HTTP/1.0 200 OK\r\nX: 1\r\n\r\nuntil the end", ANSWER_CLOSE, 200, "X=1;", "until the end"},
    {"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" OK_TEXT, ANSWER, 200, "Content-Length=2;", "ok"},
    {"HTTP/1.1 204 No Content\r\n\r\n", ANSWER, 204, "", ""},
    {"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n", ANSWER, 429,
     "Retry-After=3;Content-Length=0;", ""},
    {"HTTP/1.1 503\r\nRetry-After:\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy",
     ANSWER_CLOSE, 503, "Retry-After=;Content-Length=4;Connection=close;", "busy"},
};

START_TEST(an_answer_is_read_whole)
{
    struct step script[STEPS_MAX] = {{answers[_i].act, answers[_i].text}};

    peer.script = script;
    struct outcome o = send_hello();
    expect_answered(o, answers[_i].status);
    ck_assert_str_eq(o.headers, answers[_i].headers);
    ck_assert_str_eq(o.body, answers[_i].body);
    ck_assert_str_eq(o.detail, "");
}
END_TEST

static const struct {
    const char *text;
    enum act act;
    const char *words;
} broken[] = {
    {"", CLOSE, "closed the connection before it answered"},
    {"", RESET, "reset"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ANSWER_CLOSE, "closed the connection"},
    {"HTTP/1.1 200 OK\r\nContent-", ANSWER_CLOSE, "closed the connection"},
    {"\x01\x01\x12\x04 HTTP/2", ANSWER, "port for OTLP over HTTP (4318)"},
    {"SSH-2.0-OpenSSH_9.2\r\n", ANSWER, "not HTTP/1.1"},
    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", ANSWER,
     "a protocol that was not asked for"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", ANSWER, "not HTTP/1.1"},
};

START_TEST(an_answer_that_is_not_whole_or_not_http_is_lost)
{
    struct step script[STEPS_MAX] = {{broken[_i].act, broken[_i].text}};

    peer.script = script;
    struct outcome o = send_hello();
    expect_ended(o, TRANSPORT_LOST, broken[_i].words);
    ck_assert_uint_eq(peer.requests, 1);
}
END_TEST

START_TEST(an_answer_over_the_limits_is_lost)
{
    static char text[6 * 1024 * 1024];
    struct step script[STEPS_MAX] = {{ANSWER, text}};
    bool in_head = _i == 0;
    int head = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s",
                        in_head ? "X: " : "Content-Length: 5000000\r\n\r\n");

    memset(text + head, 'x', 5000000);
    peer.script = script;
    struct outcome o = send_hello();
    expect_ended(o, TRANSPORT_LOST, in_head ? "too long" : "too large");
}
END_TEST

/* ---- the connection between requests ---- */

START_TEST(a_connection_is_kept)
{
    for (int i = 0; i < 3; i++) {
        struct outcome o = send_hello();
        expect_answered(o, 200);
    }
    ck_assert_uint_eq(peer.connections, 1);
}
END_TEST

START_TEST(a_connection_that_the_peer_ends_is_made_anew)
{
    static const struct step script[STEPS_MAX] = {
        {ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
        {ANSWER, OK_TEXT}};

    peer.script = script;
    expect_answered(send_hello(), 200);
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

START_TEST(an_idle_connection_that_was_closed_is_made_anew_silently)
{
    static const struct step script[STEPS_MAX] = {{ANSWER_CLOSE, OK_TEXT}, {ANSWER, OK_TEXT}};

    peer.script = script;
    expect_answered(send_hello(), 200);
    run_for(MILLISECONDS(20)); /* the FIN comes */
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

START_TEST(bytes_that_nobody_asked_for_end_an_idle_connection)
{
    static const struct step script[STEPS_MAX] = {
        {ANSWER, OK_TEXT "HTTP/1.1 408 Request Timeout\r\n\r\n"}, {ANSWER, OK_TEXT}};

    peer.script = script;
    expect_answered(send_hello(), 200);
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

START_TEST(a_request_on_a_kept_connection_that_closes_is_sent_once_more)
{
    struct step script[STEPS_MAX] = {
        {ANSWER, OK_TEXT}, {_i ? RESET : CLOSE, ""}, {ANSWER, OK_TEXT}};

    peer.script = script;
    expect_answered(send_hello(), 200);
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
    ck_assert_uint_eq(peer.requests, 3);
}
END_TEST

START_TEST(it_is_not_sent_a_third_time)
{
    static const struct step script[STEPS_MAX] = {{ANSWER, OK_TEXT}, {CLOSE, ""}, {CLOSE, ""}};

    peer.script = script;
    expect_answered(send_hello(), 200);
    struct outcome o = send_hello();
    expect_ended(o, TRANSPORT_LOST, "closed the connection");
    ck_assert_uint_eq(peer.requests, 3);
}
END_TEST

START_TEST(an_answer_before_the_end_of_the_body_counts_and_ends_the_connection)
{
    static char body[8 * 1024 * 1024];
    static const struct step script[STEPS_MAX] = {
        {ANSWER_EARLY, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"}, {ANSWER, OK_TEXT}};

    peer.script = script;
    expect_answered(send_body(str_of(body, sizeof(body))), 413);
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

START_TEST(a_large_body_arrives_as_it_was)
{
    static char body[5 * 1024 * 1024];

    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i * 31 >> 5);
    expect_answered(send_body(str_of(body, sizeof(body))), 200);
    size_t n = evbuffer_get_length(peer.last);
    ck_assert_uint_gt(n, sizeof(body));
    ck_assert(memcmp(evbuffer_pullup(peer.last, -1) + n - sizeof(body), body, sizeof(body)) == 0);
}
END_TEST

/* ---- no answer ---- */

START_TEST(a_peer_that_hangs_is_given_up_after_the_timeout)
{
    static const struct step script[STEPS_MAX] = {{HANG, ""}, {ANSWER, OK_TEXT}};
    struct outcome o;

    peer.script = script;
    begin(STR("/v1/traces"), STR("hello"), MILLISECONDS(100), &o);
    wait_for(&o);
    expect_ended(o, TRANSPORT_TIMEOUT, "did not answer within 100 ms");
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 2);
}
END_TEST

START_TEST(without_a_timeout_it_waits)
{
    static const struct step script[STEPS_MAX] = {{HANG, ""}};
    struct outcome o;

    peer.script = script;
    begin(STR("/v1/traces"), STR("hello"), 0, &o);
    run_for(MILLISECONDS(50));
    ck_assert_uint_eq(peer.requests, 1);
    ck_assert_uint_eq(o.times, 0);
}
END_TEST

START_TEST(what_is_cancelled_is_never_told)
{
    static const struct step script[STEPS_MAX] = {{HANG, ""}, {ANSWER, OK_TEXT}};
    struct outcome o;

    peer.script = script;
    begin(STR("/v1/traces"), STR("hello"), MILLISECONDS(50), &o);
    if (_i == 1) /* while it is sent, else while it connects */
        while (!peer.requests)
            event_base_loop(exporting.base, EVLOOP_ONCE);
    else
        peer.script++;
    exporting.client->ops->cancel(exporting.client);
    run_for(MILLISECONDS(100));
    ck_assert_uint_eq(o.times, 0);
    expect_answered(send_hello(), 200);
}
END_TEST

START_TEST(it_may_be_freed_while_a_request_is_under_way)
{
    static const struct step script[STEPS_MAX] = {{HANG, ""}};
    struct outcome o;

    peer.script = script;
    begin(STR("/v1/traces"), STR("hello"), MILLISECONDS(50), &o);
    while (_i == 1 && !peer.requests)
        event_base_loop(exporting.base, EVLOOP_ONCE);
    exporting.client->ops->free(exporting.client);
    exporting.client = NULL;
    run_for(MILLISECONDS(100));
    ck_assert_uint_eq(o.times, 0);
}
END_TEST

/* ---- connecting ---- */

START_TEST(a_refused_connection_says_where_and_why)
{
    char where[60];

    evconnlistener_free(peer.listener);
    peer.listener = NULL;
    struct outcome o = send_hello();
    snprintf(where, sizeof(where), "connect to 127.0.0.1:%u: refused", peer.port);
    expect_ended(o, TRANSPORT_CONNECT_FAILED, where);
}
END_TEST

START_TEST(a_peer_that_does_not_accept_is_given_up)
{
    /* A queue that is full makes the kernel ignore who knocks. */
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0), knocking[8];
    struct outcome o;

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    for (int i = 0; i < 8; i++) {
        knocking[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(knocking[i], (struct sockaddr *)&at, len);
    }
    exporting_to("127.0.0.1", ntohs(at.sin_port));
    begin(STR("/v1/traces"), STR("hello"), MILLISECONDS(200), &o);
    wait_for(&o);
    expect_ended(o, TRANSPORT_CONNECT_FAILED, "no answer in time");
    for (int i = 0; i < 8; i++)
        close(knocking[i]);
    close(fd);
}
END_TEST

/* The peer listens on ::1, at a port that is bound on 127.0.0.1 and listens to nobody, so that
 * nobody else can. Returns the socket that is bound there; -1: there is no IPv6 here. */
static int listen_on_ipv6_alone(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    for (;;) {
        evconnlistener_free(peer.listener);
        peer.listener = listen_on("::1", on_peer_accept, &peer.port);
        at.sin_port = htons(peer.port);
        if (!peer.listener) {
            close(fd);
            return -1;
        }
        if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
            return fd;
    }
}

START_TEST(each_address_of_a_name_is_tried_in_turn)
{
    int refusing = listen_on_ipv6_alone();

    if (refusing < 0)
        return;
    exporting_to_name("localhost", peer.port);
    expect_answered(send_hello(), 200);
    close(refusing);
}
END_TEST

/* It would take its part of the time, which is long. */
START_TEST(an_address_that_does_not_answer_is_not_waited_for_alone)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = listen_on_ipv6_alone(), knocking[8];
    nsec_t began = clock_monotonic();
    struct outcome o;

    if (fd < 0)
        return;
    at.sin_port = htons(peer.port);
    ck_assert_int_eq(listen(fd, 0), 0);
    for (int i = 0; i < 8; i++) {
        knocking[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(knocking[i], (struct sockaddr *)&at, sizeof(at));
    }
    exporting_to_name("localhost", peer.port);
    begin(STR("/v1/traces"), STR("hello"), SECONDS(40), &o);
    wait_for(&o);
    expect_answered(o, 200);
    ck_assert_int_lt(clock_monotonic() - began, SECONDS(20));
    for (int i = 0; i < 8; i++)
        close(knocking[i]);
    close(fd);
}
END_TEST

START_TEST(a_name_that_cannot_be_resolved_says_so)
{
    struct error err = {0};
    struct outcome o;

    evconnlistener_disable(peer.listener);
    exporting_to_name("collector.test.", 4318);
    ck_assert(resolver_set_servers(exporting.resolver, "127.0.0.1:1", &err));
    begin(STR("/v1/traces"), STR("hello"), MILLISECONDS(300), &o);
    wait_for(&o);
    expect_ended(o, TRANSPORT_CONNECT_FAILED, "resolve collector.test.: no ");
}
END_TEST

START_TEST(a_unix_socket_is_spoken_to)
{
    char path[] = "/tmp/sidespan-test-XXXXXX";
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", path);
    evconnlistener_free(peer.listener);
    peer.listener =
        evconnlistener_new_bind(exporting.base, on_peer_accept, NULL, LEV_OPT_CLOSE_ON_FREE, 8,
                                (struct sockaddr *)&at, sizeof(at));
    ck_assert_ptr_nonnull(peer.listener);
    exporting.config.to = (struct location){.text = str_from(at.sun_path),
                                            .address = {.family = AF_UNIX, .path = at.sun_path}};
    expect_answered(send_hello(), 200);
    ck_assert_ptr_nonnull(strstr(last_request(), "\r\nHost: localhost\r\n"));
    unlink(at.sun_path);
    rmdir(path);
}
END_TEST

START_TEST(a_unix_socket_that_is_not_there_says_so)
{
    exporting.config.to =
        (struct location){.text = STR_INIT("unix:/nowhere/socket"),
                          .address = {.family = AF_UNIX, .path = "/nowhere/socket"}};
    struct outcome o = send_hello();
    expect_ended(o, TRANSPORT_CONNECT_FAILED,
                 "connect to unix:/nowhere/socket: there is no such socket");
}
END_TEST

/* ---- TLS ---- */

enum { YEAR = 365 * 86400 };

/* The peer speaks TLS for this name, and the client believes the authority. */
static char *speak_tls(const char *san, struct certificate *ca)
{
    *ca = certificate_make("test authority", NULL, NULL, YEAR);
    struct certificate server = certificate_make("collector", san, ca, YEAR);
    char *file = pem_file(ca, 0);

    peer.tls = server_context(&server, NULL);
    certificate_release(&server);
    exporting.config.tls = true;
    exporting.config.ca = str_from(file);
    return file;
}

START_TEST(tls_carries_requests_and_answers)
{
    static char body[1024 * 1024];
    struct certificate ca;
    char *file = speak_tls(_i ? "DNS:localhost" : "IP:127.0.0.1", &ca);

    if (_i)
        exporting_to_name("localhost", peer.port);
    expect_answered(send_body(str_of(body, sizeof(body))), 200);
    expect_answered(send_hello(), 200);
    ck_assert_uint_eq(peer.connections, 1);
    pem_file_remove(file);
    certificate_release(&ca);
}
END_TEST

START_TEST(a_certificate_for_another_name_is_a_connection_that_failed)
{
    struct certificate ca;
    char *file = speak_tls("DNS:other.test", &ca);
    struct outcome o = send_hello();

    expect_ended(o, TRANSPORT_CONNECT_FAILED, "not for the name in the URL");
    ck_assert_uint_eq(peer.requests, 0);
    pem_file_remove(file);
    certificate_release(&ca);
}
END_TEST

START_TEST(a_peer_that_never_shakes_hands_is_given_up)
{
    static const struct step script[STEPS_MAX] = {{HANG, ""}};
    struct certificate ca;
    char *file = speak_tls("IP:127.0.0.1", &ca);
    struct outcome o;

    SSL_CTX_free(peer.tls);
    peer.tls = NULL;
    peer.script = script;
    begin(STR("/v1/traces"), STR("hello"), MILLISECONDS(100), &o);
    wait_for(&o);
    expect_ended(o, TRANSPORT_CONNECT_FAILED, "no answer in time");
    pem_file_remove(file);
    certificate_release(&ca);
}
END_TEST

START_TEST(a_ca_that_cannot_be_read_makes_no_client)
{
    struct error err = {0};

    exporting.config.tls = true;
    exporting.config.ca = STR("/nowhere/ca.pem");
    ck_assert_ptr_null(
        export_client_new(exporting.base, exporting.resolver, &exporting.config, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/ca.pem"));
}
END_TEST

static TCase *answer_tests(void)
{
    TCase *t = tcase_create("answers");

    tcase_add_test(t, a_request_is_one_post_with_its_fields_and_body);
    tcase_add_loop_test(t, an_answer_is_read_whole, 0, sizeof(answers) / sizeof(answers[0]));
    tcase_add_loop_test(t, an_answer_that_is_not_whole_or_not_http_is_lost, 0,
                        sizeof(broken) / sizeof(broken[0]));
    tcase_add_loop_test(t, an_answer_over_the_limits_is_lost, 0, 2);
    tcase_add_test(t, a_connection_is_kept);
    tcase_add_test(t, a_connection_that_the_peer_ends_is_made_anew);
    tcase_add_test(t, an_idle_connection_that_was_closed_is_made_anew_silently);
    tcase_add_test(t, bytes_that_nobody_asked_for_end_an_idle_connection);
    tcase_add_loop_test(t, a_request_on_a_kept_connection_that_closes_is_sent_once_more, 0, 2);
    tcase_add_test(t, it_is_not_sent_a_third_time);
    tcase_add_test(t, an_answer_before_the_end_of_the_body_counts_and_ends_the_connection);
    tcase_add_test(t, a_large_body_arrives_as_it_was);
    return t;
}

static TCase *connection_tests(void)
{
    TCase *t = tcase_create("connections");

    tcase_add_test(t, a_peer_that_hangs_is_given_up_after_the_timeout);
    tcase_add_test(t, without_a_timeout_it_waits);
    tcase_add_loop_test(t, what_is_cancelled_is_never_told, 0, 2);
    tcase_add_loop_test(t, it_may_be_freed_while_a_request_is_under_way, 0, 2);
    tcase_add_test(t, a_refused_connection_says_where_and_why);
    tcase_add_test(t, a_peer_that_does_not_accept_is_given_up);
    tcase_add_test(t, each_address_of_a_name_is_tried_in_turn);
    tcase_add_test(t, an_address_that_does_not_answer_is_not_waited_for_alone);
    tcase_add_test(t, a_name_that_cannot_be_resolved_says_so);
    tcase_add_test(t, a_unix_socket_is_spoken_to);
    tcase_add_test(t, a_unix_socket_that_is_not_there_says_so);
    tcase_add_loop_test(t, tls_carries_requests_and_answers, 0, 2);
    tcase_add_test(t, a_certificate_for_another_name_is_a_connection_that_failed);
    tcase_add_test(t, a_peer_that_never_shakes_hands_is_given_up);
    tcase_add_test(t, a_ca_that_cannot_be_read_makes_no_client);
    return t;
}

int main(void)
{
    TCase *cases[] = {answer_tests(), connection_tests()};
    Suite *suite = suite_create("export_client");

    for (int i = 0; i < 2; i++) {
        tcase_set_timeout(cases[i], 30);
        tcase_add_checked_fixture(cases[i], set_up, tear_down);
        suite_add_tcase(suite, cases[i]);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
