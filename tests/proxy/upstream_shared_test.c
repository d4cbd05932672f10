/*
 * HTTP/2 connections to one endpoint: how requests share them, when further
 * ones are made, and who is told of what becomes of them.
 */
#include <poll.h>

#include "http2_story.h"
#include "proxy/upstream.h"

/* ---- one who asks ---- */

struct asker {
    struct upstream_ask ask;
    struct told told;
    unsigned readies, failures;
    bool reused;
    enum span_error why;
    int error;
};

static struct worker *worker;

static void on_ready(struct upstream_ask *ask, struct stream *s, bool reused)
{
    static const struct message get = {.method = STR_INIT("GET"),
                                       .target = STR_INIT("/"),
                                       .authority = STR_INIT("a"),
                                       .version = 11};
    static struct story nobody; /* a client */
    struct asker *a = container_of(ask, struct asker, ask);

    a->readies++;
    a->reused = reused;
    a->told.story = &nobody;
    a->told.stream = s;
    a->told.finishes = true;
    s->events = &told_events;
    s->owner = &a->told;
    s->arena = &a->told.arena;
    told_head(&a->told, (struct message *)(uintptr_t)&get, true);
}

static void on_ask_failed(struct upstream_ask *ask, enum span_error why, int error)
{
    struct asker *a = container_of(ask, struct asker, ask);

    a->failures++;
    a->why = why;
    a->error = error;
}

static enum span_error ask_as(struct asker *a, struct upstream *u, uint8_t version, bool fresh)
{
    enum span_error why;

    *a = (struct asker){.ask = {.ready = on_ready, .failed = on_ask_failed}};
    a->ask.method = STR("GET");
    a->ask.version = version;
    a->ask.fresh = fresh;
    arena_init(&a->told.arena, 1024, 0);
    buffer_init(&a->told.text, 0);
    loop_begin_turn(&worker->loop);
    why = upstream_ask(u, &a->ask, &a->error);
    loop_end_turn(&worker->loop);
    worker_step(worker);
    return why;
}

static void ask(struct asker *a, struct upstream *u)
{
    ck_assert_int_eq(ask_as(a, u, 20, false), SPAN_ERROR_NONE);
}

static void ask_by(struct asker *a, struct upstream *u, const struct upstream_ask *like)
{
    *a = (struct asker){.ask = *like};
    a->ask.ready = on_ready;
    a->ask.failed = on_ask_failed;
    a->ask.method = STR("GET");
    arena_init(&a->told.arena, 1024, 0);
    buffer_init(&a->told.text, 0);
    loop_begin_turn(&worker->loop);
    ck_assert_int_eq(upstream_ask(u, &a->ask, &a->error), SPAN_ERROR_NONE);
    loop_end_turn(&worker->loop);
    worker_step(worker);
}

static void ask_grpc(struct asker *a, struct upstream *u)
{
    ask_by(a, u, &(struct upstream_ask){.version = 20, .grpc = true});
}

static void forget(struct asker *a)
{
    loop_begin_turn(&worker->loop);
    upstream_cancel(&a->ask);
    if (a->told.stream)
        told_abort(&a->told, STREAM_NO_ERROR);
    loop_end_turn(&worker->loop);
    worker_step(worker);
    arena_release(&a->told.arena);
    buffer_release(&a->told.text);
}

/* ---- an origin ---- */

static struct address origin_at;
static int origin;
static struct story peer[4]; /* its connections */
static unsigned n_peers;

static bool is_waiting(void)
{
    struct pollfd p = {.fd = origin, .events = POLLIN};

    worker_step(worker);
    return poll(&p, 1, 0) == 1;
}

static struct story *accepted(void)
{
    struct story *p = &peer[n_peers++];

    RUN_UNTIL(worker, is_waiting());
    *p = (struct story){.worker = worker};
    p->peer = accept4(origin, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    ck_assert_int_ge(p->peer, 0);
    buffer_init(&p->got, 0);
    buffer_init(&p->heard, 0);
    nghttp2_hd_inflate_new(&p->inflater);
    return p;
}

static void close_peer(struct story *p)
{
    close(p->peer);
    p->peer = -1;
    worker_step(worker);
}

#define REQUEST_HEARD(id) \
    "HEADERS " #id " [:method=GET] [:scheme=http] [:authority=a] [:path=/] end\n"

static void hears(struct story *p, const char *requests)
{
    RUN_UNTIL(worker, (story_listen(p), p->heard.n));
    ck_text(&p->heard, requests);
}

static void takes(struct story *p, uint32_t streams)
{
    story_say_setting(p, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams);
}

static void answers(struct story *p, uint32_t id, struct asker *a)
{
    story_say_head(p, END_STREAM, id, ":status", "200", NULL);
    RUN_UNTIL(worker, a->told.stream == NULL);
    ck_text(&a->told.text, "200 OK body none\nend\n");
    forget(a);
}

/* ---- the stage ---- */

/* The one endpoint of a worker with that cluster. */
static struct upstream *begin(const char *cluster)
{
    char text[400];

    snprintf(text, sizeof text,
             "inbound { listen 127.0.0.1:0; route / { to c; } }\n"
             "cluster c { endpoint 127.0.0.1:%u; connect-timeout 5s; %s }\n",
             origin_at.port, cluster);
    worker = stepped_worker_of(text);
    return worker->generation->clusters[0]->upstreams[0];
}

static void set_up(void)
{
    origin = listen_anywhere(&origin_at, 100);
    n_peers = 0;
}

static void tear_down(void)
{
    worker_free(worker);
    close(origin);
    for (unsigned i = 0; i < n_peers; i++) {
        if (peer[i].peer >= 0)
            close(peer[i].peer);
        nghttp2_hd_inflate_del(peer[i].inflater);
        buffer_release(&peer[i].got);
        buffer_release(&peer[i].heard);
    }
}

/* ---- sharing ---- */

START_TEST(a_first_connection_carries_one_request_until_it_has_said_how_many)
{
    struct upstream *u = begin("protocol h2;");
    struct asker a[3];
    struct story *p;

    for (int i = 0; i < 3; i++)
        ask(&a[i], u);
    p = accepted();
    hears(p, REQUEST_HEARD(1));
    ck_assert_uint_eq(a[1].readies, 0);
    takes(p, 100);
    ck_assert_uint_eq(a[1].readies + a[2].readies, 2);
    ck_assert(!a[0].reused && a[1].reused);
    ck_assert(!is_waiting()); /* for another connection */
    for (int i = 0; i < 3; i++)
        answers(p, 2 * (uint32_t)i + 1, &a[i]);
    ck_assert_uint_eq(u->n_open, 1); /* it is kept */
    ask(&a[0], u);
    ck_assert_uint_eq(a[0].readies, 1);
    forget(&a[0]);
}
END_TEST

START_TEST(a_further_connection_is_made_when_all_are_full)
{
    struct upstream *u = begin("protocol h2;");
    struct asker a[4];
    struct story *one, *two;

    ask(&a[0], u);
    one = accepted();
    takes(one, 2);
    ask(&a[1], u);
    ck_assert_uint_eq(a[1].readies, 1);
    ask(&a[2], u);
    ask(&a[3], u);
    two = accepted();
    RUN_UNTIL(worker, a[3].readies == 1); /* it is thought to take as many */
    hears(two, REQUEST_HEARD(1) REQUEST_HEARD(3));
    ck_assert_uint_eq(u->n_open, 2);
    for (int i = 0; i < 4; i++)
        forget(&a[i]);
}
END_TEST

START_TEST(who_waits_gets_the_next_place_where_no_more_connections_may_be)
{
    struct upstream *u = begin("protocol h2; pool max 1;");
    struct asker a, b, c;
    struct story *p;

    ask(&a, u);
    p = accepted();
    takes(p, 1);
    hears(p, REQUEST_HEARD(1));
    ask(&b, u);
    ask(&c, u);
    ck_assert(b.ask.queued && c.ask.queued);
    forget(&b);
    answers(p, 1, &a);
    ck_assert_uint_eq(c.readies, 1);
    hears(p, REQUEST_HEARD(3));
    ck_assert_uint_eq(u->n_shared_waiting, 0);
    forget(&c);
}
END_TEST

START_TEST(a_connection_carries_no_more_requests_than_the_pool_allows)
{
    struct upstream *u = begin("protocol h2; pool requests 2;");
    struct asker a, b, c;
    struct story *p;

    ask(&a, u);
    p = accepted();
    takes(p, 100);
    hears(p, REQUEST_HEARD(1));
    ask(&b, u);
    ask(&c, u);
    accepted();
    RUN_UNTIL(worker, c.readies == 1);
    ck_assert(!c.reused);
    hears(p, REQUEST_HEARD(3));
    answers(p, 1, &a);
    answers(p, 3, &b);
    RUN_UNTIL(worker, (story_listen(p), p->eof)); /* it is used up */
    ck_assert_uint_eq(u->n_open, 1);
    forget(&c);
}
END_TEST

START_TEST(who_was_refused_goes_to_another_connection)
{
    struct upstream *u = begin("protocol h2;");
    struct asker a, b;
    struct story *p;

    ask(&a, u);
    p = accepted();
    takes(p, 100);
    story_say_u32(p, NGHTTP2_RST_STREAM, 1, NGHTTP2_REFUSED_STREAM);
    ck_assert_ptr_null(a.told.stream);
    ck_assert_int_eq(ask_as(&b, u, 20, true), SPAN_ERROR_NONE);
    accepted();
    RUN_UNTIL(worker, b.readies == 1);
    ck_assert(!b.reused);
    forget(&a);
    forget(&b);
}
END_TEST

static void kept_in_http1(struct upstream *u)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct asker a;
    struct story *p;

    ck_assert_int_eq(ask_as(&a, u, 11, false), SPAN_ERROR_NONE);
    p = accepted();
    RUN_UNTIL(worker, a.readies == 1);
    story_say_bytes(p, ok, sizeof ok - 1);
    RUN_UNTIL(worker, u->n_idle == 1);
    forget(&a);
}

START_TEST(an_idle_connection_of_http1_makes_way_for_a_shared_one)
{
    struct upstream *u = begin("protocol auto; pool max 1;");
    struct asker a;

    kept_in_http1(u);
    ask_grpc(&a, u);
    accepted();
    RUN_UNTIL(worker, a.readies == 1);
    ck_assert_uint_eq(a.told.stream->codec->version, 20);
    ck_assert_uint_eq(u->n_open, 1);
    forget(&a);
}
END_TEST

START_TEST(an_idle_shared_connection_makes_way_for_one_of_http1)
{
    struct upstream *u = begin("protocol auto; pool max 1;");
    struct asker a, b;
    struct story *p;

    ask_grpc(&a, u);
    p = accepted();
    takes(p, 10);
    hears(p, REQUEST_HEARD(1));
    if (_i == 0)
        answers(p, 1, &a);
    ck_assert_int_eq(ask_as(&b, u, 11, false), SPAN_ERROR_NONE);
    if (_i == 1)
        answers(p, 1, &a);
    accepted();
    RUN_UNTIL(worker, b.readies == 1);
    ck_assert_uint_eq(b.told.stream->codec->version, 11);
    forget(&b);
}
END_TEST

START_TEST(who_waits_for_a_shared_connection_gets_the_place_of_one_of_http1)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct upstream *u = begin("protocol auto; pool max 1;");
    struct asker a, b;
    struct story *p;

    ck_assert_int_eq(ask_as(&a, u, 11, false), SPAN_ERROR_NONE);
    p = accepted();
    ask_grpc(&b, u);
    story_say_bytes(p, ok, sizeof ok - 1);
    accepted();
    RUN_UNTIL(worker, b.readies == 1);
    forget(&a);
    forget(&b);
}
END_TEST

/* A further connection would be told the same, or refused. */
START_TEST(an_endpoint_that_takes_no_streams_is_waited_for)
{
    struct upstream *u = begin("protocol h2;");
    struct asker a, b, c;
    struct story *p;

    ask(&a, u);
    p = accepted();
    ask(&b, u);
    takes(p, 0);
    ask(&c, u);
    ck_assert(!is_waiting());
    ck_assert_uint_eq(b.readies + c.readies, 0);
    takes(p, 2);
    ck_assert_uint_eq(b.readies, 1);
    close_peer(p); /* another may take some */
    accepted();
    RUN_UNTIL(worker, c.readies == 1);
    forget(&a);
    forget(&b);
    forget(&c);
}
END_TEST

/* ---- what fails ---- */

START_TEST(all_who_wait_are_told_that_it_could_not_be_made)
{
    struct upstream *u = begin("protocol h2;");
    struct asker a[3];

    close(origin);
    for (int i = 0; i < 3; i++)
        ask(&a[i], u);
    RUN_UNTIL(worker, a[0].failures + a[1].failures + a[2].failures == 3);
    ck_assert_int_eq(a[0].error, ECONNREFUSED);
    ck_assert_uint_eq(u->n_open, 0);
    for (int i = 0; i < 3; i++)
        forget(&a[i]);
    origin = listen_anywhere(&origin_at, 1);
}
END_TEST

START_TEST(a_connection_that_breaks_makes_way_for_another)
{
    struct upstream *u = begin("protocol h2; pool max 1;");
    struct asker a, b;
    struct story *p;

    ask(&a, u);
    p = accepted();
    takes(p, 1);
    ask(&b, u);
    close_peer(p);
    ck_assert_ptr_null(a.told.stream);
    accepted();
    RUN_UNTIL(worker, b.readies == 1);
    ck_assert_uint_eq(u->n_open, 1);
    forget(&a);
    forget(&b);
}
END_TEST

START_TEST(an_endpoint_that_does_not_know_it_is_asked_in_http1)
{
    struct upstream *u = begin("protocol auto;");
    static const char http1[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    struct asker a, b, c;
    char byte;
    int fd;

    ask_grpc(&a, u);
    ask_grpc(&b, u); /* it waits for SETTINGS */
    story_say_bytes(accepted(), http1, sizeof http1 - 1);
    ck_assert_ptr_null(a.told.stream);
    ck_assert_int_eq(a.told.replay, REPLAY_SAFE);
    RUN_UNTIL(worker, is_waiting());
    fd = accept4(origin, NULL, NULL, SOCK_CLOEXEC);
    RUN_UNTIL(worker, b.readies == 1);
    ck_assert_uint_eq(b.told.stream->codec->version, 11);
    ck_assert_int_eq(recv(fd, &byte, 1, 0), 1);
    ck_assert_int_eq(byte, 'G');
    ask_grpc(&c, u); /* it is remembered */
    RUN_UNTIL(worker, c.readies == 1);
    ck_assert_uint_eq(c.told.stream->codec->version, 11);
    forget(&a);
    forget(&b);
    forget(&c);
    close(fd);
}
END_TEST

/* ---- what an endpoint was seen to speak ---- */

static void hears_a_get(struct story *p)
{
    char bytes[4] = {0};
    ssize_t n = -1;

    RUN_UNTIL(worker, (n = recv(p->peer, bytes, sizeof bytes - 1, 0)) > 0);
    ck_assert_str_eq(bytes, "GET");
}

/* A server of HTTP/1.1 may serve the preface as a request. */
START_TEST(who_was_not_seen_to_speak_http2_is_asked_in_http1)
{
    struct upstream *u = begin("protocol auto;");
    struct asker a;

    ask(&a, u);
    hears_a_get(accepted());
    ck_assert_uint_eq(a.told.stream->codec->version, 11);
    forget(&a);
}
END_TEST

START_TEST(who_has_spoken_http2_is_asked_in_what_the_client_speaks)
{
    struct upstream *u = begin("protocol auto;");
    struct asker grpc, a, old, websocket;
    struct story *p;

    ask_grpc(&grpc, u);
    p = accepted();
    takes(p, 100);
    ask(&a, u);
    ck_assert_uint_eq(a.told.stream->codec->version, 20);
    ck_assert_int_eq(ask_as(&old, u, 11, false), SPAN_ERROR_NONE);
    hears_a_get(accepted());
    ask_by(&websocket, u, &(struct upstream_ask){.version = 20, .upgrade = true});
    hears_a_get(accepted());
    forget(&grpc);
    forget(&a);
    forget(&old);
    forget(&websocket);
}
END_TEST

/* Whoever waits does not have to find it out, nor does who comes later, whatever they speak. */
START_TEST(who_answers_http1_with_settings_is_asked_in_http2)
{
    static const char settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    struct upstream *u = begin("protocol auto; pool max 1;");
    struct asker a, b, c;
    struct story *p;

    ask(&a, u);
    ask(&b, u);
    p = accepted();
    hears_a_get(p);
    story_say_bytes(p, settings, _i ? (size_t)_i : sizeof settings);
    RUN_UNTIL(worker, a.told.stream == NULL);
    ck_assert_int_eq(a.told.replay, REPLAY_SAFE);
    p = accepted();
    takes(p, 10);
    RUN_UNTIL(worker, b.readies == 1);
    ck_assert_uint_eq(b.told.stream->codec->version, 20);
    ck_assert_int_eq(ask_as(&c, u, 11, false), SPAN_ERROR_NONE);
    ck_assert_uint_eq(c.readies, 1);
    ck_assert_uint_eq(c.told.stream->codec->version, 20);
    forget(&a);
    forget(&b);
    forget(&c);
}
END_TEST

START_TEST(who_answers_http1_with_settings_where_the_cluster_says_h1_has_failed)
{
    static const char settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    struct upstream *u = begin("protocol h1;");
    struct asker a;
    struct story *p;

    ask(&a, u);
    p = accepted();
    hears_a_get(p);
    story_say_bytes(p, settings, sizeof settings);
    RUN_UNTIL(worker, a.told.stream == NULL);
    ck_assert_int_eq(a.told.replay, REPLAY_NEVER);
    ck_assert_uint_eq(heard_bits(&u->heard, 0), 0);
    forget(&a);
}
END_TEST

/* ---- the end ---- */

START_TEST(a_retired_endpoint_lets_its_streams_end)
{
    struct upstream *u = begin("protocol h2;");
    struct asker a;
    struct story *p;

    ask(&a, u);
    p = accepted();
    takes(p, 100);
    hears(p, REQUEST_HEARD(1));
    upstream_ref(u);
    loop_begin_turn(&worker->loop);
    upstreams_set_endpoints(worker->upstreams, endpoint_set_new(STR("c"), 0));
    loop_end_turn(&worker->loop);
    worker_step(worker);
    ck_assert(u->retired);
    ck_heard(p, "GOAWAY 0 0\n");
    ck_assert_ptr_nonnull(a.told.stream);
    answers(p, 1, &a);
    RUN_UNTIL(worker, (story_listen(p), p->eof));
    ck_assert_uint_eq(u->n_open, 0);
    upstream_unref(u);
}
END_TEST

/* ---- */

int main(void)
{
    Suite *s = suite_create("upstream_shared");
    TCase *c = tcase_create("upstream_shared");

    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, a_first_connection_carries_one_request_until_it_has_said_how_many);
    tcase_add_test(c, a_further_connection_is_made_when_all_are_full);
    tcase_add_test(c, who_waits_gets_the_next_place_where_no_more_connections_may_be);
    tcase_add_test(c, a_connection_carries_no_more_requests_than_the_pool_allows);
    tcase_add_test(c, who_was_refused_goes_to_another_connection);
    tcase_add_test(c, an_endpoint_that_takes_no_streams_is_waited_for);
    tcase_add_test(c, an_idle_connection_of_http1_makes_way_for_a_shared_one);
    tcase_add_loop_test(c, an_idle_shared_connection_makes_way_for_one_of_http1, 0, 2);
    tcase_add_test(c, who_waits_for_a_shared_connection_gets_the_place_of_one_of_http1);
    tcase_add_test(c, all_who_wait_are_told_that_it_could_not_be_made);
    tcase_add_test(c, a_connection_that_breaks_makes_way_for_another);
    tcase_add_test(c, an_endpoint_that_does_not_know_it_is_asked_in_http1);
    tcase_add_test(c, who_was_not_seen_to_speak_http2_is_asked_in_http1);
    tcase_add_test(c, who_has_spoken_http2_is_asked_in_what_the_client_speaks);
    tcase_add_loop_test(c, who_answers_http1_with_settings_is_asked_in_http2, 0, 5);
    tcase_add_test(c, who_answers_http1_with_settings_where_the_cluster_says_h1_has_failed);
    tcase_add_test(c, a_retired_endpoint_lets_its_streams_end);
    suite_add_tcase(s, c);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
