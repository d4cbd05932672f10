/*
 * The life of an HTTP/2 connection: how it begins, what it waits for, what it
 * is ended for, and how.
 */
#include "http2_stage.h"

/* ---- the way out ---- */

START_TEST(a_drain_says_so_in_two_steps_and_waits_for_what_is_under_way)
{
    story_say_get(&t, 1);
    IN_TURN(&t, http2_drain(t.h));
    ck_heard(&t, "GOAWAY 2147483647 0\n");
    story_say_get(&t, 3); /* it was on its way */
    ck_told(&t, 1, "GET a / body none\nend\n");
    RUN_UNTIL(worker, heard("GOAWAY"));
    ck_heard(&t, "GOAWAY 3 0\n");
    story_say_get(&t, 5);
    ck_assert_uint_eq(t.n, 2);
    IN_TURN(&t, told_answer(&t.streams[0], 200));
    ck_heard(&t, "HEADERS 1 [:status=200] end\n");
    ck_assert_ptr_nonnull(t.h);
    IN_TURN(&t, told_answer(&t.streams[1], 200));
    ck_heard(&t, "HEADERS 3 [:status=200] end\n");
    ck_assert_ptr_null(t.h);
    ck_assert(t.eof);
}
END_TEST

START_TEST(trailers_of_a_stream_that_came_too_late_are_ignored_with_it)
{
    story_say_get(&t, 1);
    IN_TURN(&t, http2_drain(t.h));
    RUN_UNTIL(worker, heard("GOAWAY 1 0\n"));
    buffer_reset(&t.heard);
    story_say_head(&t, 0, 3, REQUEST("POST", "/"), NULL);
    story_say_data(&t, 3, "late", 0);
    story_say_head(&t, END_STREAM, 3, "sum", "1", NULL);
    IN_TURN(&t, told_answer(&t.streams[0], 200));
    ck_heard(&t, "HEADERS 1 [:status=200] end\n");
}
END_TEST

START_TEST(a_drain_closes_an_idle_connection_after_the_second_step)
{
    story_say_get(&t, 1);
    IN_TURN(&t, told_answer(&t.streams[0], 204));
    ck_heard(&t, "HEADERS 1 [:status=204] end\n");
    IN_TURN(&t, http2_drain(t.h));
    IN_TURN(&t, http2_drain(t.h));
    RUN_UNTIL(worker, t.h == NULL);
    ck_heard(&t, "GOAWAY 2147483647 0\nGOAWAY 1 0\n");
    ck_assert(t.eof);
}
END_TEST

/* gRPC takes a connection that says GOAWAY before it was asked for a server that serves nobody. */
START_TEST(a_drain_lets_who_has_just_come_ask_first)
{
    IN_TURN(&t, http2_drain(t.h));
    ck_heard(&t, "");
    ck_assert(http2_is_awaited(t.h));
    story_say_get(&t, 1);
    ck_heard(&t, "");
    IN_TURN(&t, told_answer(&t.streams[0], 204));
    ck_heard(&t, "HEADERS 1 [:status=204] end\nGOAWAY 2147483647 0\n");
    RUN_UNTIL(worker, t.h == NULL);
    ck_heard(&t, "GOAWAY 1 0\n");
    ck_assert(t.eof);
}
END_TEST

/* Else its time would be over again and again. */
START_TEST(a_drain_has_nothing_to_tell_who_leaves_before)
{
    IN_TURN(&t, http2_drain(t.h));
    story_say_get(&t, 1);
    story_say_goaway(&t, 0, NGHTTP2_NO_ERROR);
    RUN_UNTIL(worker, !http2_is_awaited(t.h));
    IN_TURN(&t, told_answer(&t.streams[0], 200));
    ck_heard(&t, "HEADERS 1 [:status=200] end\n");
    ck_assert_ptr_null(t.h);
}
END_TEST

START_TEST(a_drain_does_not_wait_for_ever_for_who_does_not_ask)
{
    IN_TURN(&t, http2_drain(t.h));
    RUN_UNTIL(worker, t.h == NULL);
    ck_heard(&t, "GOAWAY 2147483647 0\nGOAWAY 0 0\n");
    ck_assert(t.eof);
}
END_TEST

START_TEST(the_last_request_of_a_connection_is_answered)
{
    story_end(&t);
    worker_free(worker);
    worker = stepped_worker_of(HTTP2_CONF "limits { requests-per-connection 2; }\n");
    story_meet(&t, worker, true);
    story_say_get(&t, 1);
    ck_heard(&t, "");
    story_say_get(&t, 3);
    ck_heard(&t, "GOAWAY 3 0\n");
    story_say_get(&t, 5);
    ck_assert_uint_eq(t.n, 2);
    IN_TURN(&t, told_answer(&t.streams[1], 204); told_answer(&t.streams[0], 204));
    ck_heard(&t, "HEADERS 3 [:status=204] end\nHEADERS 1 [:status=204] end\n");
    ck_assert_ptr_null(t.h);
}
END_TEST

START_TEST(a_client_that_leaves_is_answered_first)
{
    story_say_get(&t, 1);
    story_say_goaway(&t, 0, NGHTTP2_NO_ERROR);
    IN_TURN(&t, told_answer(&t.streams[0], 200));
    ck_heard(&t, "HEADERS 1 [:status=200] end\n");
    ck_assert_ptr_null(t.h);
}
END_TEST

START_TEST(what_an_upstream_that_leaves_has_not_read_may_be_asked_again)
{
    struct told *a = story_ask(&t, "POST", true), *b = story_ask(&t, "POST", true);

    story_say_goaway(&t, INT32_MAX, NGHTTP2_NO_ERROR);
    ck_assert(!http2_has_room(t.h));
    story_say_goaway(&t, 1, NGHTTP2_NO_ERROR);
    ck_text(&b->text, "failed refused_stream\n");
    ck_assert_int_eq(b->replay, REPLAY_SAFE);
    ck_assert_ptr_nonnull(a->stream);
    IN_TURN(&t, told_abort(a, STREAM_NO_ERROR));
    worker_step(worker);
    ck_assert_ptr_null(t.h);
}
END_TEST

START_TEST(streams_fail_with_their_connection)
{
    struct told *a = story_ask(&t, "GET", true), *b = story_ask(&t, "GET", true);

    close(t.peer);
    t.peer = -1;
    RUN_UNTIL(worker, t.h == NULL);
    ck_assert_int_eq(a->replay, REPLAY_IF_IDEMPOTENT);
    ck_assert_ptr_null(b->stream);
}
END_TEST

/* ---- time ---- */

START_TEST(an_idle_connection_is_ended)
{
    story_end(&t);
    worker_free(worker);
    stage();
    story_begin(&t, worker, false);
    t.idle = MILLISECONDS(50);
    story_say(&t, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    struct told *a = story_ask(&t, "GET", true);

    usleep(100000);
    worker_step(worker);
    ck_assert_ptr_nonnull(t.h);
    IN_TURN(&t, told_abort(a, STREAM_NO_ERROR));
    RUN_UNTIL(worker, t.h == NULL);
    ck_assert(heard("GOAWAY 0 0\n"));
}
END_TEST

static void serve_with_pings(void)
{
    stage_with("ping 50ms; ping-timeout 100ms;");
    story_meet(&t, worker, true);
}

START_TEST(a_silent_peer_is_asked_whether_it_is_there)
{
    story_say_get(&t, 1);
    RUN_UNTIL(worker, heard("PING\n"));
    story_say(&t, NGHTTP2_PING, ACK, 0, "\0\0\0\0\0\0\0\0", 8);
    buffer_reset(&t.heard);
    RUN_UNTIL(worker, heard("PING\n"));
    RUN_UNTIL(worker, t.h == NULL);
    ck_assert_int_eq(counted(worker, COUNT_PING_TIMEOUTS), 1);
    ck_told(&t, 0, "GET a / body none\nend\nfailed ping_timeout\n");
}
END_TEST

START_TEST(a_connection_without_streams_is_not_asked)
{
    usleep(200000);
    worker_step(worker);
    ck_heard(&t, "");
}
END_TEST

static void serve_with_header_timeout(void)
{
    stage_with("header 100ms;");
    story_meet(&t, worker, true);
}

START_TEST(a_head_that_does_not_come_to_an_end_ends_the_connection)
{
    story_say(&t, NGHTTP2_HEADERS, END_STREAM, 1, "\x82", 1);
    RUN_UNTIL(worker, t.h == NULL);
    ck_assert(heard("GOAWAY 1 11\n"));
    ck_assert_int_eq(counted(worker, COUNT_HEADER_TIMEOUTS), 1);
}
END_TEST

START_TEST(a_head_that_was_refused_is_over)
{
    story_say_get(&t, 1);
    story_say_head(&t, END_STREAM, 3, REQUEST("GET", "/"), "connection", "close", NULL);
    ck_heard(&t, "RST_STREAM 3 1\n");
    usleep(250000);
    IN_TURN(&t, told_answer(&t.streams[0], 200));
    ck_heard(&t, "HEADERS 1 [:status=200] end\n");
    ck_assert_ptr_nonnull(t.h);
}
END_TEST

START_TEST(a_head_has_its_time_also_beside_other_streams)
{
    story_say_get(&t, 1);
    usleep(50000);
    story_say(&t, NGHTTP2_HEADERS, END_STREAM, 3, "\x82", 1);
    RUN_UNTIL(worker, t.h == NULL);
    ck_assert(heard("GOAWAY 3 11\n"));
}
END_TEST

/* ---- frames on streams that are gone (RFC 9113 section 5.1) ---- */

START_TEST(data_after_both_ends_is_an_error_of_the_connection)
{
    story_say_get(&t, 1);
    IN_TURN(&t, told_answer(&t.streams[0], 200));
    story_say_data(&t, 1, "late", 0);
    ck_assert(heard("GOAWAY 1 5\n"));
    ck_assert_ptr_null(t.h);
}
END_TEST

START_TEST(what_was_on_its_way_when_we_reset_is_ignored)
{
    story_say_head(&t, 0, 1, REQUEST("POST", "/"), NULL);
    give_up(0);
    ck_heard(&t, "RST_STREAM 1 8\n");
    story_say_data(&t, 1, "late", 0);
    story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 1, 1);
    story_say_head(&t, END_STREAM, 1, "sum", "1", NULL);
    ck_heard(&t, "");
    ck_assert_ptr_nonnull(t.h);
}
END_TEST

START_TEST(a_stream_that_was_passed_by_cannot_be_opened)
{
    story_say_get(&t, 5);
    story_say_get(&t, 3);
    ck_assert(heard("GOAWAY 5 1\n"));
    ck_assert_ptr_null(t.h);
}
END_TEST

/* Before it can know how many, it is refused; then it is an error (section 5.1.2). */
START_TEST(more_streams_than_are_allowed_are_not_opened)
{
    if (_i == 0) {
        story_end(&t);
        story_begin(&t, worker, true);
        story_say_bytes(&t, PREFACE, sizeof PREFACE - 1);
        story_say(&t, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    }
    for (uint32_t i = 0; i < 101; i++)
        story_say_get(&t, 2 * i + 1);
    ck_assert_uint_eq(t.n, 100);
    ck_heard(&t, _i == 0 ? "RST_STREAM 201 7\n" : "GOAWAY 199 1\n");
    for (unsigned i = 0; i < 100 && t.h; i++)
        give_up(i);
}
END_TEST

/* ---- a peer that is something else ---- */

static void begin_to_ask(void)
{
    stage();
    story_begin(&t, worker, false);
    t.falls_back = true;
}

static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";

START_TEST(one_that_answers_in_http1_is_a_stranger)
{
    struct told *a = story_ask(&t, "POST", true);

    story_say_bytes(&t, answer, sizeof answer - 1);
    ck_assert_uint_eq(t.strangers, 1);
    ck_assert_ptr_null(t.h);
    ck_text(&a->text, "failed protocol_error\n");
    ck_assert_int_eq(a->replay, REPLAY_SAFE);
}
END_TEST

START_TEST(one_whose_first_bytes_trickle_is_a_stranger_too)
{
    struct told *a = story_ask(&t, "POST", true);

    for (size_t i = 0; t.h && i < sizeof answer - 1; i++)
        story_say_bytes(&t, answer + i, 1);
    ck_assert_uint_eq(t.strangers, 1);
    ck_assert_int_eq(a->replay, REPLAY_SAFE);
}
END_TEST

START_TEST(one_that_hangs_up_on_the_preface_is_a_stranger)
{
    struct told *a = story_ask(&t, "POST", true);

    close(t.peer);
    t.peer = -1;
    RUN_UNTIL(worker, t.h == NULL);
    ck_assert_uint_eq(t.strangers, 1);
    ck_assert_int_eq(a->replay, REPLAY_SAFE);
}
END_TEST

/* ---- a socket that is full ---- */

START_TEST(a_full_socket_stops_the_streams_until_it_takes_bytes_again)
{
    static char big[256 * 1024];
    struct message m = {.status = 200, .version = 11, .body = BODY_CHUNKED};
    size_t sent = 0;

    story_say_setting(&t, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, INT32_MAX);
    story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 0, INT32_MAX - 65535);
    story_say_get(&t, 1);
    IN_TURN(&t, told_head(&t.streams[0], &m, false));
    while (!stream(0)->codec->blocked(stream(0)) && sent < (16u << 20)) {
        IN_TURN(&t, stream(0)->codec->send_body(stream(0), str_of(big, sizeof big)));
        worker_step(worker);
        sent += sizeof big;
    }
    ck_assert_uint_lt(sent, 16u << 20);
    ck_assert_uint_eq(t.streams[0].drains, 0);
    RUN_UNTIL(worker, (story_listen(&t), t.data_bytes == sent));
    ck_assert_uint_eq(t.streams[0].drains, 1);
    IN_TURN(&t, stream(0)->codec->send_end(stream(0), NULL); told_finish(&t.streams[0]));
    ck_assert(heard("DATA 1  end\n"));
}
END_TEST

/* ---- */

int main(void)
{
    Suite *s = suite_create("http2_life");
    TCase *c = tcase(s, "server", serve);

    tcase_add_test(c, a_drain_says_so_in_two_steps_and_waits_for_what_is_under_way);
    tcase_add_test(c, trailers_of_a_stream_that_came_too_late_are_ignored_with_it);
    tcase_add_test(c, a_drain_closes_an_idle_connection_after_the_second_step);
    tcase_add_test(c, a_drain_lets_who_has_just_come_ask_first);
    tcase_add_test(c, a_drain_does_not_wait_for_ever_for_who_does_not_ask);
    tcase_add_test(c, a_drain_has_nothing_to_tell_who_leaves_before);
    tcase_add_test(c, the_last_request_of_a_connection_is_answered);
    tcase_add_test(c, a_client_that_leaves_is_answered_first);
    tcase_add_test(c, data_after_both_ends_is_an_error_of_the_connection);
    tcase_add_test(c, what_was_on_its_way_when_we_reset_is_ignored);
    tcase_add_test(c, a_stream_that_was_passed_by_cannot_be_opened);
    tcase_add_loop_test(c, more_streams_than_are_allowed_are_not_opened, 0, 2);
    tcase_add_test(c, a_full_socket_stops_the_streams_until_it_takes_bytes_again);

    c = tcase(s, "client", ask);
    tcase_add_test(c, what_an_upstream_that_leaves_has_not_read_may_be_asked_again);
    tcase_add_test(c, streams_fail_with_their_connection);
    tcase_add_test(c, an_idle_connection_is_ended);

    c = tcase(s, "pings", serve_with_pings);
    tcase_add_test(c, a_silent_peer_is_asked_whether_it_is_there);
    tcase_add_test(c, a_connection_without_streams_is_not_asked);

    c = tcase(s, "heads", serve_with_header_timeout);
    tcase_add_test(c, a_head_that_does_not_come_to_an_end_ends_the_connection);
    tcase_add_test(c, a_head_that_was_refused_is_over);
    tcase_add_test(c, a_head_has_its_time_also_beside_other_streams);

    c = tcase(s, "strangers", begin_to_ask);
    tcase_add_test(c, one_that_answers_in_http1_is_a_stranger);
    tcase_add_test(c, one_whose_first_bytes_trickle_is_a_stranger_too);
    tcase_add_test(c, one_that_hangs_up_on_the_preface_is_a_stranger);

    return stage_run(s);
}
