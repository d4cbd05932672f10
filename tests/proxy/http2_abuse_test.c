/*
 * What a peer may ask of an HTTP/2 connection before it is ended, and what is
 * told of that.
 */
#include "http2_stage.h"

START_TEST(streams_that_are_opened_and_reset_use_up_the_credit)
{
    uint32_t id;

    for (id = 1; t.h && id < 6000; id += 2) {
        story_say_get(&t, id);
        story_say_u32(&t, NGHTTP2_RST_STREAM, id, NGHTTP2_CANCEL);
        story_forget(&t);
    }
    ck_assert_ptr_null(t.h);
    ck_assert_uint_gt(id, 2 * 900);
    ck_assert_int_eq(counted(worker, COUNT_ABUSE_RAPID_RESET), 1);
    RUN_UNTIL(worker, heard(" 11\n"));
}
END_TEST

static const struct {
    uint8_t type, flags;
    const char *payload;
    size_t n;
    enum counter counter;
} cheap[] = {
    {NGHTTP2_PING, 0, "12345678", 8, COUNT_ABUSE_RAPID_RESET + 4},
    {NGHTTP2_SETTINGS, 0, NULL, 0, COUNT_ABUSE_RAPID_RESET + 3},
    {NGHTTP2_PRIORITY, 0, "\0\0\0\0\1", 5, COUNT_ABUSE_RAPID_RESET + 7},
    {NGHTTP2_WINDOW_UPDATE, 0, "\0\0\0\1", 4, COUNT_ABUSE_RAPID_RESET + 8},
    {0x77, 0, NULL, 0, COUNT_ABUSE_RAPID_RESET + 5},
};

START_TEST(frames_that_cost_the_peer_nothing_use_up_the_credit)
{
    uint32_t id = cheap[_i].type == NGHTTP2_PRIORITY ? 3 : 0;

    for (int i = 0; t.h && i < 5000; i++) {
        story_say(&t, cheap[_i].type, cheap[_i].flags, id, cheap[_i].payload, cheap[_i].n);
        story_listen(&t);
    }
    ck_assert_ptr_null(t.h);
    ck_assert_int_eq(counted(worker, cheap[_i].counter), 1);
    RUN_UNTIL(worker, heard(" 11\n"));
}
END_TEST

/* What is answered pays for what a client asks besides; what it sends does not. */
START_TEST(answers_earn_it_back)
{
    char some[64] = "";

    story_say_get(&t, 1);
    IN_TURN(&t, told_head(&t.streams[0], &(struct message){.status = 200, .body = BODY_CHUNKED},
                          false));
    story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 0, 1 << 20);
    story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 1, 1 << 20);
    for (int i = 0; t.h && i < 3000; i++) {
        struct stream *stream = t.streams[0].stream;

        IN_TURN(&t, stream->codec->send_body(stream, str_of(some, sizeof some)));
        story_say(&t, NGHTTP2_PING, 0, 0, "12345678", 8);
        story_listen(&t);
    }
    ck_assert_ptr_nonnull(t.h);
    buffer_reset(&t.heard);
    give_up(0);
}
END_TEST

/* Messages as small as they are in gRPC, and the two windows opened for each, as grpc-core does. */
START_TEST(whoever_reads_small_messages_may_open_windows_for_each)
{
    enum { MESSAGE = 5, MESSAGES = 12000 };
    static char all[MESSAGE * MESSAGES];

    story_say_get(&t, 1);
    IN_TURN(&t, told_head(&t.streams[0], &(struct message){.status = 200, .body = BODY_CHUNKED},
                          false));
    for (unsigned round = 0; t.h && round < 2; round++) {
        IN_TURN(&t, stream(0)->codec->send_body(stream(0), str_of(all, sizeof all)));
        RUN_UNTIL(worker, (story_listen(&t), t.data_bytes == (round + 1) * sizeof all));
        for (int i = 0; t.h && i < MESSAGES; i++) {
            story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 1, MESSAGE);
            story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 0, MESSAGE);
        }
    }
    ck_assert_ptr_nonnull(t.h);
    buffer_reset(&t.heard);
    give_up(0);
}
END_TEST

/* The same where the window is full, and each opens it for one more. */
START_TEST(small_messages_may_come_through_one_by_one)
{
    enum { MESSAGE = 5 };
    static char more[128 * 1024];

    story_say_get(&t, 1);
    IN_TURN(&t,
            told_head(&t.streams[0], &(struct message){.status = 200, .body = BODY_CHUNKED}, false);
            stream(0)->codec->send_body(stream(0), str_of(more, sizeof more)));
    for (int i = 0; t.h && i < 10000; i++) {
        story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 1, MESSAGE);
        story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 0, MESSAGE);
        story_listen(&t);
        buffer_reset(&t.heard);
    }
    ck_assert_ptr_nonnull(t.h);
    give_up(0);
}
END_TEST

START_TEST(octet_by_octet_is_a_drip)
{
    static char more[128 * 1024];

    story_say_get(&t, 1);
    IN_TURN(&t,
            told_head(&t.streams[0], &(struct message){.status = 200, .body = BODY_CHUNKED}, false);
            stream(0)->codec->send_body(stream(0), str_of(more, sizeof more)));
    story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 0, 1 << 20);
    for (int i = 0; t.h && i < 60000; i++) {
        story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 1, 1);
        story_listen(&t);
        buffer_reset(&t.heard);
    }
    ck_assert_ptr_null(t.h);
    ck_text(&t.streams[0].text, "GET a / body none\nend\nfailed abuse\n");
    ck_assert_int_eq(counted(worker, COUNT_ABUSE_RAPID_RESET + 8), 1);
}
END_TEST

/* ---- upstreams ---- */

START_TEST(an_upstream_may_open_windows_without_end)
{
    struct told *a = story_ask(&t, "POST", false);

    for (int i = 0; t.h && i < 20000; i++) {
        story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 1, 2);
        story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 0, 2);
    }
    ck_assert_ptr_nonnull(t.h);
    ck_text(&a->text, "");
    give_up(0);
}
END_TEST

START_TEST(an_upstream_that_is_ended_for_abuse_was_ended_by_us)
{
    struct told *a = story_ask(&t, "POST", false);

    for (int i = 0; t.h && i < 5000; i++) {
        story_say(&t, NGHTTP2_PING, 0, 0, "12345678", 8);
        story_listen(&t);
    }
    ck_assert_ptr_null(t.h);
    ck_text(&a->text, "failed abuse\n");
}
END_TEST

START_TEST(an_upstream_that_breaks_the_protocol_was_ended_by_us)
{
    struct told *a = story_ask(&t, "POST", false);

    story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 0, INT32_MAX);
    RUN_UNTIL(worker, t.h == NULL);
    ck_text(&a->text, "failed protocol_error\n");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http2_abuse");
    TCase *c = tcase(s, "client", serve);

    tcase_add_test(c, streams_that_are_opened_and_reset_use_up_the_credit);
    tcase_add_loop_test(c, frames_that_cost_the_peer_nothing_use_up_the_credit, 0,
                        (int)COUNT(cheap));
    tcase_add_test(c, answers_earn_it_back);
    tcase_add_test(c, whoever_reads_small_messages_may_open_windows_for_each);
    tcase_add_test(c, small_messages_may_come_through_one_by_one);
    tcase_add_test(c, octet_by_octet_is_a_drip);

    c = tcase(s, "upstream", ask);
    tcase_add_test(c, an_upstream_may_open_windows_without_end);
    tcase_add_test(c, an_upstream_that_is_ended_for_abuse_was_ended_by_us);
    tcase_add_test(c, an_upstream_that_breaks_the_protocol_was_ended_by_us);

    return stage_run(s);
}
