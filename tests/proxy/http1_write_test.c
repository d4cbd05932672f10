/* How messages are written. */
#include "http1_stage.h"

/* Sends the head of `from`'s message on `to`'s stream. */
static void pass_on(struct story *from, struct story *to, bool end)
{
    loop_begin_turn(&worker->loop);
    to->stream->codec->send_head(to->stream, from->message, end);
    loop_end_turn(&worker->loop);
}

START_TEST(a_head_that_is_passed_on_keeps_order_case_and_bytes)
{
    static const char received[] = "GET /a?b HTTP/1.1\r\nhOST: a\r\nX-B:y\r\nx-a: 1\r\nX-A: 2\r\n"
                                   "Empty:\r\nTab:\tz\r\nSpaced:   q  \r\nlast: \xff\r\n\r\n";
    static const char sent[] = "GET /a?b HTTP/1.1\r\nhOST: a\r\nX-B: y\r\nx-a: 1\r\nX-A: 2\r\n"
                               "Empty: \r\nTab:\tz\r\nSpaced: q\r\nlast: \xff\r\n\r\n";
    struct story in, out;

    story_begin(&in, worker, true);
    story_begin(&out, worker, false);
    story_say(&in, received);
    loop_begin_turn(&worker->loop);
    story_open(&out, http1_take(out.h, STR("GET")));
    loop_end_turn(&worker->loop);
    pass_on(&in, &out, true);
    ck_assert_str_eq(story_heard(&out), sent);
    story_end(&in);
    story_end(&out);
}
END_TEST

START_TEST(runs_of_fields_are_copied_around_those_that_were_changed)
{
    struct story in, out;
    struct headers *f;

    story_begin(&in, worker, true);
    story_begin(&out, worker, false);
    story_say(&in, "GET / HTTP/1.1\r\nA: 1\r\nHost: h\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n");
    f = &in.message->fields;
    f->v[1].value = STR("other");
    f->v[4].value = str_slice(f->v[4].value, 0, 0);
    headers_remove_at(f, 2);
    ck_assert(headers_add(f, &in.arena, STR("New"), STR("6")));
    loop_begin_turn(&worker->loop);
    story_open(&out, http1_take(out.h, STR("GET")));
    loop_end_turn(&worker->loop);
    pass_on(&in, &out, true);
    ck_assert_str_eq(story_heard(&out), "GET / HTTP/1.1\r\nA: 1\r\nHost: other\r\nC: 3\r\nD: \r\n"
                                        "E: 5\r\nNew: 6\r\n\r\n");
    story_end(&in);
    story_end(&out);
}
END_TEST

static const struct {
    struct message m;
    const char *name, *value; /* a field, or NULL */
    const char *head;
    bool closes;
} heads[] = {
    {{.status = 200, .reason = STR_INIT("OK"), .body = BODY_LENGTH, .length = 1234567890123ull},
     NULL,
     NULL,
     "HTTP/1.1 200 OK\r\nContent-Length: 1234567890123\r\n\r\n",
     false},
    {{.status = 200, .reason = STR_INIT("OK"), .body = BODY_LENGTH, .length = 7},
     "content-length",
     "7",
     "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
     false},
    {{.status = 200, .body = BODY_CHUNKED},
     NULL,
     NULL,
     "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
     false},
    {{.status = 200, .body = BODY_CHUNKED},
     "TRANSFER-Encoding",
     "Chunked",
     "HTTP/1.1 200 \r\nTRANSFER-Encoding: Chunked\r\n\r\n",
     false},
    /* framing is made anew: the field does not say what the body is */
    {{.status = 200, .body = BODY_CHUNKED},
     "Content-Length",
     "7",
     "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
     false},
    {{.status = 200, .body = BODY_UNTIL_CLOSE, .close = true},
     "Transfer-Encoding",
     "chunked",
     "HTTP/1.1 200 \r\nConnection: close\r\n\r\n",
     true},
    {{.status = 204}, "Content-Length", "7", "HTTP/1.1 204 \r\n\r\n", false},
    {{.status = 304}, "Content-Length", "7", "HTTP/1.1 304 \r\nContent-Length: 7\r\n\r\n", false},
    {{.status = 200}, "Connection", "keep-alive", "HTTP/1.1 200 \r\n\r\n", false},
    {{.status = 200, .close = true},
     "Connection",
     "keep-alive",
     "HTTP/1.1 200 \r\nConnection: close\r\n\r\n",
     true},
};

START_TEST(framing_and_connection_are_the_codecs)
{
    struct message m = heads[_i].m;
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    if (heads[_i].name)
        headers_add(&m.fields, &t.arena, str_from(heads[_i].name), str_from(heads[_i].value));
    loop_begin_turn(&worker->loop);
    t.stream->codec->send_head(t.stream, &m, m.body == BODY_NONE);
    loop_end_turn(&worker->loop);
    ck_assert_str_eq(story_heard(&t), heads[_i].head);
    if (m.body == BODY_NONE) {
        loop_begin_turn(&worker->loop);
        t.stream->codec->finish(t.stream);
        t.stream = NULL;
        loop_end_turn(&worker->loop);
        ck_assert_int_eq(t.gone, heads[_i].closes);
    }
    story_end(&t);
}
END_TEST

START_TEST(interim_responses_go_before_the_final_one)
{
    struct message hints = {.status = 103, .reason = STR_INIT("Early Hints")};
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    loop_begin_turn(&worker->loop);
    t.stream->codec->send_head(t.stream, &hints, true);
    story_answer(&t, 200);
    loop_end_turn(&worker->loop);
    ck_assert_str_eq(
        story_heard(&t),
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    ck_assert(t.gone);
    story_end(&t);
}
END_TEST

START_TEST(a_body_goes_out_in_the_chunks_it_is_given)
{
    struct message m = {.status = 200, .body = BODY_CHUNKED};
    const struct codec_ops *ops;
    struct headers trailers = {0};
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    ops = t.stream->codec;
    headers_add(&trailers, &t.arena, STR("Sum"), STR("1"));
    loop_begin_turn(&worker->loop);
    ops->send_head(t.stream, &m, false);
    ops->send_chunk(t.stream, 26);
    ops->send_body(t.stream, STR("0123456789"));
    ops->send_body(t.stream, STR("abcdefghijklmnop"));
    ops->send_body(t.stream, STR("no border")); /* what comes without one is its own */
    ops->send_chunk(t.stream, 2);
    ops->send_body(t.stream, STR("xyz")); /* more than was said: another */
    ops->send_body(t.stream, STR(""));
    ops->send_end(t.stream, &trailers);
    loop_end_turn(&worker->loop);
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "1a\r\n0123456789abcdefghijklmnop\r\n9\r\nno border\r\n"
                                      "2\r\nxy\r\n1\r\nz\r\n0\r\nSum: 1\r\n\r\n");
    story_end(&t);
}
END_TEST

START_TEST(a_request_announces_te_and_upgrade_in_connection)
{
    static const struct {
        bool upgrade;
        const char *te, *sent;
    } rows[] = {
        {false, "trailers", "GET / HTTP/1.1\r\nTE: trailers\r\nConnection: TE\r\n\r\n"},
        {true, NULL, "GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n"},
        {true, "trailers", "GET / HTTP/1.1\r\nTE: trailers\r\nConnection: upgrade, TE\r\n\r\n"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct message m = {
            .method = STR_INIT("GET"), .target = STR_INIT("/"), .upgrade = rows[i].upgrade};
        struct story t;

        story_begin(&t, worker, false);
        loop_begin_turn(&worker->loop);
        story_open(&t, http1_take(t.h, STR("GET")));
        if (rows[i].te)
            headers_add(&m.fields, &t.arena, STR("TE"), str_from(rows[i].te));
        t.stream->codec->send_head(t.stream, &m, true);
        loop_end_turn(&worker->loop);
        ck_assert_str_eq(story_heard(&t), rows[i].sent);
        story_end(&t);
    }
}
END_TEST

int main(void)
{
    TCase *t = stage();

    tcase_add_test(t, a_head_that_is_passed_on_keeps_order_case_and_bytes);
    tcase_add_test(t, runs_of_fields_are_copied_around_those_that_were_changed);
    LOOP(t, framing_and_connection_are_the_codecs, heads);
    tcase_add_test(t, interim_responses_go_before_the_final_one);
    tcase_add_test(t, a_body_goes_out_in_the_chunks_it_is_given);
    tcase_add_test(t, a_request_announces_te_and_upgrade_in_connection);
    return stage_run("http1_write", t);
}
