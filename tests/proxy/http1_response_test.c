/* What is told of responses, and of bytes where none are expected. */
#include "http1_stage.h"

#include <stdio.h>

static const struct {
    const char *method, *input, *story;
    bool kept;
} responses[] = {
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
     "200 OK body length [Content-Length=2]\nhiend\n", true},
    {"GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
     "200  body none [Content-Length=0]\nend\n", true},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nt: u\r\n\r\n",
     "200 OK body chunked [Transfer-Encoding=chunked]\nchunk 1\naend [t=u]\n", true},
    {"GET",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
     "HTTP/1.1 204 No Content\r\n\r\n",
     "100 Continue body none\n103 Early Hints body none [Link=x]\n204 No Content body none\nend\n",
     true},
    {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
     "304 Not Modified body none [Content-Length=9]\nend\n", true},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
     "200 OK body none [Content-Length=9]\nend\n", true},
    {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
     "200 OK body none [Transfer-Encoding=chunked]\nend\n", true},
    {"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "200 OK body none\nend\n", true},
    {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
     "200 OK body none close [Connection=close] [Content-Length=0]\nend\n", false},
    {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
     "200 OK body none close [Content-Length=0]\nend\n", false},
    {"GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
     "200 OK body none [Connection=keep-alive] [Content-Length=0]\nend\n", true},
    {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
     "101 Switching Protocols body none upgrade [Upgrade=x] [Connection=Upgrade]\nleft \"\"\n",
     false},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\t\r\n\r\nhi",
     "200 OK body length [Content-Length=2]\nhiend\n", true},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked \t\r\n\r\n0\r\n\r\n",
     "200 OK body chunked [Transfer-Encoding=chunked]\nend\n", true},
    {"GET", "HTTP/1.1 418 caf\xc3\xa9\tpot\r\nContent-Length: 0\r\n\r\n",
     "418 caf\xc3\xa9\tpot body none [Content-Length=0]\nend\n", true},
    {"GET", "HTTP/1.1 418 a\x01z\r\nContent-Length: 0\r\n\r\n",
     "418 I'm a teapot body none [Content-Length=0]\nend\n", true},
    /* Nothing in them may be taken for the next response. */
    {"GET", "HTTP/1.1 500 \r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
     "failed protocol_error by content-length-with-transfer-encoding\n", false},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
     "failed protocol_error by content-length-repeated\n", false},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
     "failed protocol_error by transfer-encoding-unknown\n", false},
    {"GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
     "failed protocol_error by transfer-encoding-in-http-1.0\n", false},
    {"GET", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "failed protocol_error by obs-fold\n", false},
    {"GET", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "failed protocol_error by header-character\n",
     false},
    {"GET", "HTTP/1.1 200 OK\nA: b\r\n\r\n", "failed protocol_error by line-end\n", false},
    {"GET", "HTTP/1.1 200 OK\r\nA: b\n\r\n", "failed protocol_error by line-end\n", false},
    {"GET", "HTTP/1.1 20 OK\r\n\r\n", "failed protocol_error by status-line\n", false},
    {"GET", "HTTP/1.1 600 OK\r\n\r\n", "failed protocol_error by status-line\n", false},
    {"GET", "220 smtp ready\r\n", "failed protocol_error by status-line\n", false},
};

START_TEST(a_response_is_told_as_it_was_sent)
{
    struct story t;

    story_begin(&t, worker, false);
    story_ask(&t, responses[_i].method);
    story_say(&t, responses[_i].input);
    ck_told(&t, responses[_i].story);
    ck_assert_int_eq(t.idle, responses[_i].kept);
    ck_assert_int_eq(t.gone, !responses[_i].kept);
    story_end(&t);
}
END_TEST

START_TEST(a_response_is_the_same_byte_by_byte)
{
    struct story t;

    story_begin(&t, worker, false);
    story_ask(&t, responses[_i].method);
    story_trickle(&t, responses[_i].input, strlen(responses[_i].input));
    ck_told(&t, responses[_i].story);
    ck_assert_int_eq(t.gone, !responses[_i].kept);
    story_end(&t);
}
END_TEST

START_TEST(without_a_length_the_end_of_the_connection_ends_the_body)
{
    struct story t;

    story_begin(&t, worker, false);
    story_ask(&t, "GET");
    story_say(&t, "HTTP/1.1 200 OK\r\n\r\nall of");
    story_say(&t, " it");
    story_heard(&t);
    close(t.peer);
    RUN_UNTIL(worker, t.gone);
    ck_told(&t, "200 OK body close close\nall of itend\n");
    t.peer = -1;
    story_end(&t);
}
END_TEST

START_TEST(a_nul_in_a_reason_is_not_told)
{
    static const char input[] = "HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n";
    struct story t;

    story_begin(&t, worker, false);
    story_ask(&t, "GET");
    story_say_bytes(&t, input, sizeof input - 1);
    ck_told(&t, "200 OK body none [Content-Length=0]\nend\n");
    story_end(&t);
}
END_TEST

/* They are larger than those of requests, and named by what they are. */
START_TEST(a_response_has_limits_of_its_own)
{
    static const struct {
        const char *many;
        size_t times;
        const char *rule;
    } rows[] = {
        {"a: b\r\n", 29, NULL},
        {"a: b\r\n", 31, "response_limit by response-headers"},
        {"xxxxxxxx", 2000, NULL},
        {"xxxxxxxx", 2050, "response_limit by response-header-bytes"},
    };
    static char input[20000];
    struct story t;
    int n = sprintf(input, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%s",
                    rows[_i].many[0] == 'x' ? "A: " : "");

    for (size_t i = 0; i < rows[_i].times; i++)
        n += sprintf(input + n, "%s", rows[_i].many);
    n += sprintf(input + n, "%s", rows[_i].many[0] == 'x' ? "\r\n\r\n" : "\r\n");
    story_begin(&t, worker, false);
    story_ask(&t, "GET");
    story_say_bytes(&t, input, (size_t)n);
    buffer_add_char(&t.text, '\0');
    if (rows[_i].rule)
        ck_assert_msg(strstr(t.text.p, rows[_i].rule) != NULL, "%s", t.text.p);
    else
        ck_assert_msg(strncmp(t.text.p, "200 OK", 6) == 0, "%s", t.text.p);
    story_end(&t);
}
END_TEST

START_TEST(a_response_that_is_cut_short_is_a_failure)
{
    static const struct {
        const char *input, *story;
    } rows[] = {
        {"", "failed upstream_closed_early\n"},
        {"HTTP/1.1 2", "failed upstream_closed_early\n"},
        {"HTTP/1.1 100 Continue\r\n\r\n", "100 Continue body none\nfailed upstream_closed_early\n"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
         "200 OK body length [Content-Length=3]\nabfailed upstream_closed_early\n"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
         "200 OK body chunked [Transfer-Encoding=chunked]\nchunk 1\nafailed "
         "upstream_closed_early\n"},
    };
    struct story t;

    story_begin(&t, worker, false);
    story_ask(&t, "GET");
    story_say(&t, rows[_i].input);
    story_heard(&t);
    close(t.peer);
    RUN_UNTIL(worker, t.gone);
    ck_told(&t, rows[_i].story);
    t.peer = -1;
    story_end(&t);
}
END_TEST

START_TEST(bytes_behind_a_response_end_the_connection)
{
    struct story t;

    story_begin(&t, worker, false);
    story_ask(&t, "GET");
    story_say(&t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
    ck_told(&t, "200 OK body none [Content-Length=0]\nend\n");
    ck_assert(t.gone && !t.idle);
    story_end(&t);
}
END_TEST

START_TEST(bytes_that_nobody_asked_for_end_an_idle_connection)
{
    struct story t;

    story_begin(&t, worker, false);
    story_ask(&t, "GET");
    story_say(&t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ck_assert(t.idle && !t.gone);
    story_say(&t, "H");
    ck_assert(t.gone);
    story_end(&t);
}
END_TEST

START_TEST(bytes_while_the_rest_of_an_early_answered_request_is_sent_end_it_too)
{
    struct story t;

    story_begin(&t, worker, false);
    t.keeps = true;
    story_ask(&t, "GET");
    story_say(&t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    story_say(&t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    loop_begin_turn(&worker->loop);
    t.stream->codec->finish(t.stream);
    t.stream = NULL;
    loop_end_turn(&worker->loop);
    ck_assert(t.gone && !t.idle);
    story_end(&t);
}
END_TEST

START_TEST(the_first_bytes_of_the_other_protocol_come_with_the_101)
{
    static const char head[] = "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n";
    char input[sizeof head + 10];
    struct story t;

    for (int cut = 0; cut < 2; cut++) {
        snprintf(input, sizeof input, "%s%s", head, "\001frame");
        story_begin(&t, worker, false);
        story_ask(&t, "GET");
        if (cut)
            story_say_bytes(&t, input, 12);
        story_say(&t, input + (cut ? 12 : 0));
        ck_told(&t, "101 Switching body none upgrade [Upgrade=x]\nleft \"\001frame\"\n");
        story_end(&t);
    }
}
END_TEST

START_TEST(how_long_the_peer_keeps_it_is_learnt)
{
    static const struct {
        const char *field;
        nsec_t limit;
    } rows[] = {
        {"Keep-Alive: timeout=5, max=100\r\n", SECONDS(5)},
        {"Keep-Alive: max=100, timeout=7\r\n", SECONDS(7)},
        {"Keep-Alive: timeout=0\r\n", 1},
        {"Keep-Alive: timeout=x\r\n", 0},
        {"", 0},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char input[200];
        struct story t;

        snprintf(input, sizeof input, "HTTP/1.1 204 No\r\n%s\r\n", rows[i].field);
        story_begin(&t, worker, false);
        story_ask(&t, "GET");
        story_say(&t, input);
        ck_assert_int_eq(http1_idle_limit(t.h), rows[i].limit);
        story_end(&t);
    }
}
END_TEST

int main(void)
{
    TCase *t = stage();

    LOOP(t, a_response_is_told_as_it_was_sent, responses);
    LOOP(t, a_response_is_the_same_byte_by_byte, responses);
    tcase_add_test(t, without_a_length_the_end_of_the_connection_ends_the_body);
    tcase_add_test(t, a_nul_in_a_reason_is_not_told);
    tcase_add_loop_test(t, a_response_has_limits_of_its_own, 0, 4);
    tcase_add_loop_test(t, a_response_that_is_cut_short_is_a_failure, 0, 5);
    tcase_add_test(t, bytes_behind_a_response_end_the_connection);
    tcase_add_test(t, bytes_that_nobody_asked_for_end_an_idle_connection);
    tcase_add_test(t, bytes_while_the_rest_of_an_early_answered_request_is_sent_end_it_too);
    tcase_add_test(t, the_first_bytes_of_the_other_protocol_come_with_the_101);
    tcase_add_test(t, how_long_the_peer_keeps_it_is_learnt);
    return stage_run("http1_response", t);
}
