/* What is told of requests, and in which time they must come. */
#include "http1_stage.h"

static const struct {
    const char *input, *story;
} requests[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / body none [Host=a]\nend\n"},
    {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / body none [Host=a]\nend\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nA:\r\nb:  x \t\r\nC:\ty\r\n\r\n",
     "GET / body none [Host=a] [A=] [b=x] [C=y]\nend\n"},
    {"GET http://b:80/c?d HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET http://b:80/c?d body none [Host=a]\nend\n"},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * body none [Host=a]\nend\n"},
    {"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:443 body none [Host=a]\nend\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
     "GET / body none close [Host=a] [Connection=close]\nend\n"},
    {"GET / HTTP/1.0\r\n\r\n", "GET / body none close\nend\n"},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "GET / body none [Connection=keep-alive]\nend\n"},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
     "GET / body none close [Connection=keep-alive, close]\nend\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\t\r\n\r\n",
     "GET / body none close [Host=a] [Connection=close]\nend\n"},
    {"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "BREW /pot body none [Host=a]\nend\n"},
    {"get / HTTP/1.1\r\nHost: a\r\n\r\n", "get / body none [Host=a]\nend\n"},
    {"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\nHost: a\r\n\r\n",
     "!#$%&'*+-.^_`|~09azAZ / body none [Host=a]\nend\n"},
    {"PLAY / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
     "PLAY / body length [Host=a] [Content-Length=2]\nhiend\n"},
    {"BREW / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "BREW / body chunked [Host=a] [Transfer-Encoding=chunked]\nend\n"},
    {"GET /\xc3\xa9?\xff=\xa0 HTTP/1.1\r\nHost: a\r\n\r\n",
     "GET /%C3%A9?%FF=%A0 body none [Host=a]\nend\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2 \t \t\r\nA: b\tc\t\r\n\r\n\t\r",
     "POST / body length [Host=a] [Content-Length=2] [A=b\tc]\n\t\rend\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t2\t\r\n\r\n\t\r",
     "POST / body length [Host=a] [Content-Length=2]\n\t\rend\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\tchunked\t \t\r\nA: b\tc\r\n\r\n"
     "2\r\n\t\r\r\n0\r\nt: u\t\r\n\r\n",
     "POST / body chunked [Host=a] [Transfer-Encoding=chunked] [A=b\tc]\n"
     "chunk 2\n\t\rend [t=u]\n"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
     "GET / body none upgrade [Host=a] [Connection=Upgrade] [Upgrade=websocket]\nend\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
     "POST / body none [Host=a] [Content-Length=0]\nend\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
     "POST / body length [Host=a] [Content-Length=5]\nhelloend\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
     "5\r\nhello\r\n1;a=\"b\";c\r\n!\r\n00a\r\n0123456789\r\n0\r\n\r\n",
     "POST / body chunked [Host=a] [Transfer-Encoding=Chunked]\n"
     "chunk 5\nhellochunk 1\n!chunk 10\n0123456789end\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "1\r\na\r\n0\r\nSum: 1\r\nX-b:  y \r\nz:\r\n\r\n",
     "POST / body chunked [Host=a] [Transfer-Encoding=chunked]\n"
     "chunk 1\naend [Sum=1] [X-b=y] [z=]\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\nHost: b\r\nConnection: x\r\nTE: y\r\ntraceparent: z\r\nAuthorization: q\r\nok: 1\r\n"
     "\r\n",
     "POST / body chunked [Host=a] [Transfer-Encoding=chunked]\nend [ok=1]\n"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\nGrpc-Status: 5\r\ngrpc-message: a b\r\ngrpc-timeout: 1S\r\ngrpc-trace-bin: AA\r\n"
     "\r\n",
     "POST / body chunked [Host=a] [Transfer-Encoding=chunked]\n"
     "end [Grpc-Status=5] [grpc-message=a b]\n"},
};

START_TEST(a_request_is_told_as_it_was_sent)
{
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, requests[_i].input);
    ck_told(&t, requests[_i].story);
    story_end(&t);
}
END_TEST

START_TEST(a_request_is_the_same_wherever_it_is_cut)
{
    size_t n = strlen(requests[_i].input);

    for (size_t cut = 1; cut < n; cut++) {
        struct story t;

        story_begin(&t, worker, true);
        story_say_bytes(&t, requests[_i].input, cut);
        story_say_bytes(&t, requests[_i].input + cut, n - cut);
        ck_told(&t, requests[_i].story);
        story_end(&t);
    }
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    struct story t;

    story_begin(&t, worker, true);
    story_trickle(&t, requests[_i].input, strlen(requests[_i].input));
    ck_told(&t, requests[_i].story);
    story_end(&t);
}
END_TEST

START_TEST(the_target_and_host_are_taken_apart)
{
    static const struct {
        const char *line, *authority, *path, *query;
    } rows[] = {
        {"GET /a/b?c=d?e", "a", "/a/b", "c=d?e"},
        {"GET /a?", "a", "/a", ""},
        {"GET /", "a", "/", NULL},
        {"GET http://b", "b", "/", NULL},
        {"GET HTTP://b?c", "b", "/", "c"},
        {"OPTIONS http://b:8", "b:8", "*", NULL},
        {"OPTIONS *", "a", "*", NULL},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[200];
        struct story t;

        snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].line);
        story_begin(&t, worker, true);
        story_say(&t, text);
        ck_assert_msg(str_eq(t.message->authority, str_from(rows[i].authority)), "%s", text);
        ck_assert_msg(str_eq(t.message->path, str_from(rows[i].path)), "%s", text);
        ck_assert_msg(str_eq(t.message->query, str_from(rows[i].query)), "%s", text);
        ck_assert_int_eq(t.message->query.p == NULL, rows[i].query == NULL);
        story_end(&t);
    }
}
END_TEST

START_TEST(requests_that_come_together_are_answered_in_turn)
{
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\n"
                  "Content-Length: 2\r\n\r\nhiGET /3 HTTP/1.1\r\nHo");
    ck_told(&t, "GET /1 body none [Host=a]\nend\n");
    loop_begin_turn(&worker->loop);
    story_answer(&t, 200);
    loop_end_turn(&worker->loop);
    ck_told(&t, "POST /2 body length [Host=a] [Content-Length=2]\nhiend\n");
    t.answers = true;
    loop_begin_turn(&worker->loop);
    story_answer(&t, 200);
    loop_end_turn(&worker->loop);
    ck_told(&t, "");
    story_say(&t, "st: a\r\n\r\n");
    ck_told(&t, "GET /3 body none [Host=a]\nend\n");
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
                                      "HTTP/1.1 200 OK\r\n\r\n");
    story_end(&t);
}
END_TEST

START_TEST(a_client_that_takes_no_response_is_given_no_more)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct story t;
    size_t most = 0;

    story_begin(&t, worker, true);
    t.answers = true;
    for (int i = 0; i < 100000 && conn_queued(t.conn) <= 64 * 1024; i++)
        if (send(t.peer, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
            worker_step(worker);
    ck_assert_uint_gt(conn_queued(t.conn), 64 * 1024);
    for (int i = 0; i < 2000; i++) { /* it goes on sending */
        send(t.peer, request, sizeof request - 1, MSG_NOSIGNAL);
        worker_step(worker);
        most = conn_queued(t.conn) > most ? conn_queued(t.conn) : most;
    }
    ck_assert_uint_lt(most, 64 * 1024 + 2 * LOOP_RECEIVE_BYTES);
    buffer_reset(&t.text);
    while (*story_heard(&t)) /* until it takes them: then it is served again */
        ;
    RUN_UNTIL(worker, (story_heard(&t), conn_queued(t.conn) == 0));
    story_say(&t, "GET /last HTTP/1.1\r\nHost: a\r\n\r\n");
    RUN_UNTIL(worker, (story_heard(&t), memmem(t.text.p, t.text.n, "/last", 5) != NULL));
    story_end(&t);
}
END_TEST

START_TEST(a_half_close_after_a_request_is_no_reason_not_to_answer)
{
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(t.peer, SHUT_WR);
    worker_step(worker);
    ck_assert(!t.gone);
    loop_begin_turn(&worker->loop);
    story_answer(&t, 200);
    loop_end_turn(&worker->loop);
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 OK\r\n\r\n");
    ck_assert(t.gone);
    story_end(&t);
}
END_TEST

START_TEST(a_half_close_amid_what_waits_is_seen_when_its_turn_comes)
{
    static const struct {
        const char *second, *story;
    } rows[] = {
        {"GET /2 HTTP/1.1\r\nHo", ""},
        {"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab",
         "POST /2 body length [Host=a] [Content-Length=9]\nabfailed client_closed\n"},
    };
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    story_say(&t, rows[_i].second);
    shutdown(t.peer, SHUT_WR);
    worker_step(worker);
    worker_step(worker);
    ck_told(&t, "GET /1 body none [Host=a]\nend\n");
    loop_begin_turn(&worker->loop);
    story_answer(&t, 200);
    loop_end_turn(&worker->loop);
    RUN_UNTIL(worker, t.gone);
    ck_told(&t, rows[_i].story);
    story_end(&t);
}
END_TEST

START_TEST(a_body_that_ends_too_early_is_a_failure)
{
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab");
    shutdown(t.peer, SHUT_WR);
    worker_step(worker);
    ck_told(&t, "POST / body length [Host=a] [Content-Length=3]\nabfailed client_closed\n");
    ck_assert(t.gone);
    story_end(&t);
}
END_TEST

START_TEST(connect_leaves_what_came_with_it_to_the_tunnel)
{
    struct story t;
    struct conn *c;

    story_begin(&t, worker, true);
    t.keeps = true;
    story_say(&t, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nGET eager");
    ck_told(&t, "CONNECT a:1 body none [Host=a]\nend\n");
    loop_begin_turn(&worker->loop);
    c = t.stream->codec->detach(t.stream, &t.leftover);
    t.stream = NULL;
    ck_assert(str_eq(t.leftover, STR("GET eager")));
    ck_assert(t.gone);
    conn_close(c);
    loop_end_turn(&worker->loop);
    story_end(&t);
}
END_TEST

/* ---- time ---- */

#define TIMED_CONF HTTP1_CONF "timeouts { header 40ms; idle 80ms; }"

START_TEST(a_head_that_does_not_come_to_an_end_is_refused_in_time)
{
    struct worker *timed = stepped_worker_of(TIMED_CONF);
    bool second = _i == 1;
    struct story t;
    nsec_t began = clock_monotonic();

    story_begin(&t, timed, true);
    t.answers = true;
    if (second) { /* on a kept connection too, and from its own first byte */
        story_say(&t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
        began = clock_monotonic();
    }
    buffer_reset(&t.text);
    story_say(&t, "GET /2 HTTP/1.1\r\n");
    RUN_UNTIL(timed, t.gone);
    ck_assert_int_ge(clock_monotonic() - began, MILLISECONDS(39));
    ck_told(&t, "refused head-timeout 408: GET /2\n");
    ck_assert_int_eq(counted(timed, COUNT_HEADER_TIMEOUTS), 1);
    story_end(&t);
    worker_free(timed);
}
END_TEST

START_TEST(an_idle_connection_is_closed_in_silence)
{
    struct worker *timed = stepped_worker_of(TIMED_CONF);
    struct story t;

    story_begin(&t, timed, true);
    t.answers = true;
    story_say(&t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 OK\r\n\r\n");
    RUN_UNTIL(timed, t.gone);
    ck_assert_str_eq(story_heard(&t), "");
    ck_assert_int_eq(counted(timed, COUNT_IDLE_TIMEOUTS), 1);
    story_end(&t);
    worker_free(timed);
}
END_TEST

int main(void)
{
    TCase *t = stage();

    LOOP(t, a_request_is_told_as_it_was_sent, requests);
    LOOP(t, a_request_is_the_same_wherever_it_is_cut, requests);
    LOOP(t, a_request_may_come_byte_by_byte, requests);
    tcase_add_test(t, the_target_and_host_are_taken_apart);
    tcase_add_test(t, requests_that_come_together_are_answered_in_turn);
    tcase_add_test(t, a_client_that_takes_no_response_is_given_no_more);
    tcase_add_test(t, a_half_close_after_a_request_is_no_reason_not_to_answer);
    tcase_add_loop_test(t, a_half_close_amid_what_waits_is_seen_when_its_turn_comes, 0, 2);
    tcase_add_test(t, a_body_that_ends_too_early_is_a_failure);
    tcase_add_test(t, connect_leaves_what_came_with_it_to_the_tunnel);
    tcase_add_loop_test(t, a_head_that_does_not_come_to_an_end_is_refused_in_time, 0, 2);
    tcase_add_test(t, an_idle_connection_is_closed_in_silence);
    return stage_run("http1_request", t);
}
