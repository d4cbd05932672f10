/* How connections end, and what becomes of a client that hangs up. */
#include "http1_stage.h"

#include <stdio.h>

START_TEST(the_last_response_of_a_connection_says_so)
{
    struct worker *few =
        stepped_worker_of("inbound { listen 127.0.0.1:0; } limits { requests-per-connection 2; }");
    struct story t;

    story_begin(&t, few, true);
    t.answers = true;
    story_say(&t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 OK\r\n\r\n");
    story_say(&t, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    ck_assert(t.gone);
    story_end(&t);
    worker_free(few);
}
END_TEST

START_TEST(a_drain_ends_a_connection_with_its_response)
{
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    t.leaves = true;
    loop_begin_turn(&worker->loop);
    story_answer(&t, 200);
    loop_end_turn(&worker->loop);
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    ck_assert(t.gone);
    story_end(&t);
}
END_TEST

START_TEST(a_drain_closes_an_idle_connection_but_not_a_request_that_is_there)
{
    static const struct {
        const char *there, *heard;
    } rows[] = {
        {"", ""},
        {"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
    };
    struct story t;

    story_begin(&t, worker, true);
    t.answers = true;
    if (*rows[_i].there)
        ck_assert_int_gt(send(t.peer, rows[_i].there, strlen(rows[_i].there), 0), 0);
    t.leaves = true;
    loop_begin_turn(&worker->loop);
    http1_drain(t.h);
    loop_end_turn(&worker->loop);
    ck_assert(t.gone);
    ck_assert_str_eq(story_heard(&t), rows[_i].heard);
    story_end(&t);
}
END_TEST

/* ---- a client that hangs up ---- */

static struct worker *worker_with_half_closed(const char *time)
{
    char conf[512];

    snprintf(conf, sizeof conf, HTTP1_CONF "timeouts { half-closed %s; }\n", time);
    return stepped_worker_of(conf);
}

static bool told(struct story *t, const char *text)
{
    return t->text.n >= strlen(text) &&
           memcmp(t->text.p + t->text.n - strlen(text), text, strlen(text)) == 0;
}

#define HUNG_UP  "failed half_closed_timeout\n"
#define HAS_LEFT "failed client_closed\n"

/* A client that says so much and then FIN is given up, and this is told of it. */
static void expect_end_behind(const char *said, const char *half_closed, const char *end)
{
    struct worker *w = worker_with_half_closed(half_closed);
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, said);
    shutdown(t.peer, SHUT_WR);
    RUN_UNTIL(w, told(&t, end));
    ck_assert(t.gone);
    story_end(&t);
    worker_free(w);
}

START_TEST(a_client_that_hung_up_is_waited_for_so_long)
{
    nsec_t from = clock_monotonic();

    expect_end_behind("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "30ms", HUNG_UP);
    ck_assert_int_ge(clock_monotonic() - from, MILLISECONDS(30));
}
END_TEST

START_TEST(at_half_closed_0_its_end_is_the_clients)
{
    expect_end_behind("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "0s", HAS_LEFT);
}
END_TEST

/* Whoever is there still takes bytes: one that is gone would have reset the connection. */
START_TEST(a_half_closed_client_is_answered_as_long_as_something_goes_to_it)
{
    struct worker *w = worker_with_half_closed("200ms");
    struct message m = {.status = 200, .body = BODY_LENGTH, .length = 10, .version = 11};
    struct story t;
    nsec_t from = clock_monotonic();

    story_begin(&t, w, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(t.peer, SHUT_WR);
    loop_begin_turn(&w->loop);
    t.stream->codec->send_head(t.stream, &m, false);
    loop_end_turn(&w->loop);
    for (int i = 0; i < 10; i++) {
        nsec_t until = clock_monotonic() + MILLISECONDS(50);

        while (clock_monotonic() < until) {
            usleep(1000);
            loop_begin_turn(&w->loop); /* the load of the machine is not the client's silence */
            loop_end_turn(&w->loop);
        }
        loop_begin_turn(&w->loop);
        t.stream->codec->send_body(t.stream, STR("x"));
        loop_end_turn(&w->loop);
        worker_step(w);
        ck_assert(!told(&t, HUNG_UP));
    }
    ck_assert_int_ge(clock_monotonic() - from, MILLISECONDS(400));
    RUN_UNTIL(w, told(&t, HUNG_UP));
    story_end(&t);
    worker_free(w);
}
END_TEST

START_TEST(a_client_that_hung_up_while_it_was_not_read_is_noticed)
{
    struct worker *w = worker_with_half_closed(_i == 0 ? "30ms" : "0s");
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    loop_begin_turn(&w->loop);
    t.stream->codec->pause(t.stream, true);
    loop_end_turn(&w->loop);
    ck_assert_int_eq(send(t.peer, "def", 3, 0), 3);
    close(t.peer);
    RUN_UNTIL(w, told(&t, HAS_LEFT));
    ck_assert(t.gone);
    t.peer = dup(1); /* closed by story_end() */
    story_end(&t);
    worker_free(w);
}
END_TEST

/* Its FIN comes while it is not read, and little before it would be looked for anyway. */
START_TEST(the_time_of_a_client_that_is_not_read_begins_with_its_fin)
{
    struct worker *w = worker_with_half_closed("300ms");
    nsec_t begun = clock_monotonic(), hung_up;
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    loop_begin_turn(&w->loop);
    t.stream->codec->pause(t.stream, true);
    loop_end_turn(&w->loop);
    while (clock_monotonic() < begun + MILLISECONDS(250)) {
        usleep(1000);
        worker_step(w);
    }
    hung_up = clock_monotonic();
    shutdown(t.peer, SHUT_WR);
    RUN_UNTIL(w, told(&t, HUNG_UP));
    ck_assert_int_ge(clock_monotonic() - hung_up, MILLISECONDS(300));
    ck_assert(t.gone);
    story_end(&t);
    worker_free(w);
}
END_TEST

/* A tunnel's limits are its owner's, whether its FIN came before there was one or stands behind
 * bytes that are not read. */
START_TEST(half_a_tunnel_is_not_ended_as_half_an_exchange)
{
    struct worker *w = worker_with_half_closed("30ms");
    nsec_t until;
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    if (_i == 0)
        shutdown(t.peer, SHUT_WR);
    worker_step(w);
    loop_begin_turn(&w->loop);
    t.stream->codec->switch_protocols(t.stream);
    t.stream->codec->pause(t.stream, true);
    loop_end_turn(&w->loop);
    if (_i == 1) {
        ck_assert_int_eq(send(t.peer, "abc", 3, 0), 3);
        shutdown(t.peer, SHUT_WR);
    }
    until = clock_monotonic() + MILLISECONDS(150);
    while (clock_monotonic() < until) {
        usleep(1000);
        worker_step(w);
    }
    ck_assert(!told(&t, HUNG_UP));
    ck_assert(!t.gone);
    story_end(&t);
    worker_free(w);
}
END_TEST

/* What stands before its FIN is another request, which waits until the first is answered. */
START_TEST(the_end_of_a_client_is_seen_behind_what_it_asked_meanwhile)
{
    expect_end_behind("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
                      "30ms", HUNG_UP);
}
END_TEST

/* The FIN is read behind a body that was held back: that body says nothing of the client now. */
START_TEST(what_was_held_back_gives_a_client_that_hung_up_no_more_time)
{
    struct worker *w = worker_with_half_closed("400ms");
    nsec_t begun = clock_monotonic();
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    loop_begin_turn(&w->loop);
    t.stream->codec->pause(t.stream, true);
    loop_end_turn(&w->loop);
    ck_assert_int_eq(send(t.peer, "def", 3, 0), 3);
    shutdown(t.peer, SHUT_WR);
    while (clock_monotonic() < begun + MILLISECONDS(300)) {
        usleep(1000);
        worker_step(w);
    }
    ck_assert(!told(&t, HUNG_UP));
    nsec_t read = clock_monotonic();
    loop_begin_turn(&w->loop);
    t.stream->codec->pause(t.stream, false);
    loop_end_turn(&w->loop);
    RUN_UNTIL(w, told(&t, HUNG_UP));
    ck_assert_int_ge(clock_monotonic() - begun, MILLISECONDS(400));
    ck_assert_int_lt(clock_monotonic() - read, MILLISECONDS(400));
    story_end(&t);
    worker_free(w);
}
END_TEST

START_TEST(who_still_sends_can_read_the_answer)
{
    static char body[100000];
    struct story t;

    memset(body, 'b', sizeof body);
    story_begin(&t, worker, true);
    story_say(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    loop_begin_turn(&worker->loop);
    story_answer(&t, 413);
    loop_end_turn(&worker->loop);
    ck_assert(t.gone);
    ck_assert_uint_eq(worker->loop.conns.n_lingering, 1);
    for (int i = 0; i < 2; i++) { /* it is read, and thrown away */
        ck_assert_int_gt(send(t.peer, body, sizeof body, MSG_NOSIGNAL), 0);
        worker_step(worker);
    }
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 413 OK\r\n\r\n");
    shutdown(t.peer, SHUT_WR);
    RUN_UNTIL(worker, worker->loop.conns.n_lingering == 0);
    story_end(&t);
}
END_TEST

START_TEST(a_client_that_resets_amid_its_response_is_noticed)
{
    struct message m = {.status = 200, .body = BODY_LENGTH, .length = 1 << 20};
    static char piece[1 << 16];
    struct story t;
    struct address at;
    int listening = listen_anywhere(&at, 1), fd = connect_to(&at);

    story_begin(&t, worker, true);
    loop_begin_turn(&worker->loop);
    http1_close_gone(t.h);
    close(t.peer);
    t.gone = false;
    t.conn = conn_accepted(&worker->loop, accept4(listening, NULL, NULL, SOCK_NONBLOCK), &at, NULL,
                           NULL);
    t.h = http1_server(&t.worker->http, t.conn, &story_keeper, &t);
    t.peer = fd;
    loop_end_turn(&worker->loop);
    ck_assert_int_gt(send(fd, GET "\r\n", sizeof GET + 1, 0), 0);
    RUN_UNTIL(worker, t.stream != NULL && t.text.n > 0);
    buffer_reset(&t.text);
    close_with_reset(fd);
    t.peer = -1;
    /* A write meets the reset first; what reading then finds looks like a half-close. */
    loop_begin_turn(&worker->loop);
    t.stream->codec->send_head(t.stream, &m, false);
    conn_flush(t.conn);
    t.stream->codec->send_body(t.stream, str_of(piece, sizeof piece));
    loop_end_turn(&worker->loop);
    RUN_UNTIL(worker, t.gone);
    ck_told(&t, "failed client_closed\n");
    close(listening);
    story_end(&t);
}
END_TEST

int main(void)
{
    TCase *t = stage();

    tcase_add_test(t, the_last_response_of_a_connection_says_so);
    tcase_add_test(t, a_drain_ends_a_connection_with_its_response);
    tcase_add_test(t, a_client_that_hung_up_is_waited_for_so_long);
    tcase_add_test(t, at_half_closed_0_its_end_is_the_clients);
    tcase_add_test(t, a_half_closed_client_is_answered_as_long_as_something_goes_to_it);
    tcase_add_test(t, the_time_of_a_client_that_is_not_read_begins_with_its_fin);
    tcase_add_loop_test(t, half_a_tunnel_is_not_ended_as_half_an_exchange, 0, 2);
    tcase_add_test(t, the_end_of_a_client_is_seen_behind_what_it_asked_meanwhile);
    tcase_add_test(t, what_was_held_back_gives_a_client_that_hung_up_no_more_time);
    tcase_add_loop_test(t, a_client_that_hung_up_while_it_was_not_read_is_noticed, 0, 2);
    tcase_add_loop_test(t, a_drain_closes_an_idle_connection_but_not_a_request_that_is_there, 0, 2);
    tcase_add_test(t, who_still_sends_can_read_the_answer);
    tcase_add_test(t, a_client_that_resets_amid_its_response_is_noticed);
    return stage_run("http1_end", t);
}
