/*
 * HTTP/2 as a server: what becomes of answers that are sent, and of WebSockets.
 */
#include "http2_stage.h"

/* ---- responses that go ---- */

static struct message response(unsigned status, struct header *v, size_t n)
{
    return (struct message){.status = (uint16_t)status,
                            .version = 11,
                            .body = BODY_CHUNKED,
                            .fields = {.v = v, .n = n, .cap = n}};
}

START_TEST(a_response_goes_as_head_body_and_trailers)
{
    struct header fields[] = {FIELD_ROW(HEADER_OTHER, "X-Upper", "Case"),
                              FIELD_ROW(HEADER_CONNECTION, "Connection", "close"),
                              FIELD_ROW(HEADER_TRANSFER_ENCODING, "Transfer-Encoding", "chunked"),
                              FIELD_ROW(HEADER_KEEP_ALIVE, "Keep-Alive", "timeout=5")};
    struct header last[] = {FIELD_ROW(HEADER_OTHER, "Sum", "1")};
    struct headers trailers = {.v = last, .n = 1, .cap = 1};
    struct message m = response(200, fields, 4);

    story_say_get(&t, 1);
    IN_TURN(&t, {
        told_head(&t.streams[0], &m, false);
        stream(0)->codec->send_body(stream(0), STR("one"));
        stream(0)->codec->send_body(stream(0), STR("two"));
        stream(0)->codec->send_end(stream(0), &trailers);
        told_finish(&t.streams[0]);
    });
    ck_heard(&t, "HEADERS 1 [:status=200] [x-upper=Case]\nDATA 1 onetwo\nHEADERS 1 [sum=1] end\n");
}
END_TEST

START_TEST(interim_responses_go_before_the_final_one)
{
    struct header link[] = {FIELD_ROW(HEADER_OTHER, "Link", "</a>")};
    struct message early = response(103, link, 1);

    story_say_get(&t, 1);
    IN_TURN(&t, told_head(&t.streams[0], &early, true); told_answer(&t.streams[0], 204));
    ck_heard(&t, "HEADERS 1 [:status=103] [link=</a>]\nHEADERS 1 [:status=204] end\n");
}
END_TEST

START_TEST(a_head_that_is_too_large_to_be_sent_resets_the_stream)
{
    static char megabytes_3[3 << 20];
    struct header large = FIELD_ROW(HEADER_OTHER, "a", "");
    struct message m = response(200, &large, 1);

    large.value = str_of(memset(megabytes_3, 'a', sizeof megabytes_3), sizeof megabytes_3);
    story_say_get(&t, 1);
    IN_TURN(&t, {
        told_head(&t.streams[0], &m, _i);
        if (_i)
            told_finish(&t.streams[0]);
    });
    ck_heard(&t, "RST_STREAM 1 2\n");
    ck_told(&t, 0,
            _i ? "GET a / body none\nend\n" : "GET a / body none\nend\nfailed protocol_error\n");
}
END_TEST

START_TEST(what_a_window_does_not_let_through_is_kept_until_it_opens)
{
    static char big[200 * 1024];
    struct message m = response(200, NULL, 0);

    story_say_get(&t, 1);
    memset(big, 'b', sizeof big);
    IN_TURN(&t, {
        told_head(&t.streams[0], &m, false);
        stream(0)->codec->send_body(stream(0), str_of(big, sizeof big));
        ck_assert(stream(0)->codec->blocked(stream(0)));
    });
    memset(big, '!', sizeof big); /* it was lent for that turn only */
    story_listen(&t);
    ck_assert_uint_eq(t.data_bytes, 65535);
    ck_assert_uint_eq(t.streams[0].drains, 0);
    story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 0, 1 << 20);
    story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 1, 1 << 20);
    story_listen(&t);
    ck_assert_uint_eq(t.data_bytes, sizeof big);
    ck_assert_uint_eq(t.streams[0].drains, 1);
    buffer_add_char(&t.heard, '\0');
    ck_assert_ptr_null(strchr(t.heard.p, '!'));
    give_up(0);
}
END_TEST

START_TEST(a_wider_initial_window_opens_those_that_are_shut)
{
    static char big[200 * 1024];
    struct message m = response(200, NULL, 0);

    story_say_get(&t, 1);
    story_say_u32(&t, NGHTTP2_WINDOW_UPDATE, 0, 1 << 20);
    IN_TURN(&t, {
        told_head(&t.streams[0], &m, false);
        stream(0)->codec->send_body(stream(0), str_of(big, sizeof big));
    });
    story_listen(&t);
    ck_assert_uint_eq(t.data_bytes, 65535);
    story_say_setting(&t, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20);
    story_listen(&t);
    ck_assert_uint_eq(t.data_bytes, sizeof big);
    give_up(0);
}
END_TEST

START_TEST(an_early_answer_is_whole_and_the_rest_of_the_request_is_not_wanted)
{
    story_say_head(&t, 0, 1, REQUEST("POST", "/"), NULL);
    IN_TURN(&t, told_answer(&t.streams[0], 200));
    ck_heard(&t, "HEADERS 1 [:status=200] end\nRST_STREAM 1 0\n");
    story_say_data(&t, 1, "on its way", END_STREAM);
    ck_heard(&t, "");
}
END_TEST

START_TEST(the_code_of_an_abort_is_sent)
{
    struct message m = response(200, NULL, 0);

    story_say_get(&t, 1);
    IN_TURN(&t, {
        told_head(&t.streams[0], &m, false);
        stream(0)->codec->send_body(stream(0), STR("half"));
        told_abort(&t.streams[0], STREAM_ENHANCE_YOUR_CALM);
    });
    story_listen(&t);
    buffer_add_char(&t.heard, '\0');
    ck_assert_ptr_nonnull(strstr(t.heard.p, "RST_STREAM 1 11\n"));
    ck_assert_ptr_null(strstr(t.heard.p, " end"));
}
END_TEST

START_TEST(the_code_of_a_client_that_cancels_is_told)
{
    story_say_get(&t, 1);
    story_say_u32(&t, NGHTTP2_RST_STREAM, 1, NGHTTP2_CANCEL);
    ck_told(&t, 0, "GET a / body none\nend\nfailed client_closed\n");
    ck_assert_uint_eq(t.streams[0].code, STREAM_CANCEL);
}
END_TEST

/* ---- WebSockets (RFC 8441) ---- */

#define UPGRADE                                                                                    \
    ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", \
        "/chat"

START_TEST(an_extended_connect_is_told_as_an_upgrade)
{
    const struct header *key;

    story_say_head(&t, 0, 1, UPGRADE, "sec-websocket-version", "13", NULL);
    ck_assert(t.streams[0].message->upgrade);
    ck_assert(str_eq(t.streams[0].message->method, STR("GET")));
    key = headers_find_name(&t.streams[0].message->fields, STR("sec-websocket-key"));
    ck_assert_uint_eq(key->value.n, 24);
    IN_TURN(&t, told_answer(&t.streams[0], 403)); /* like any other request */
    ck_heard(&t, "HEADERS 1 [:status=403] end\nRST_STREAM 1 0\n");
}
END_TEST

START_TEST(a_switch_without_the_proof_of_the_key_resets_the_stream)
{
    struct message m = response(101, NULL, 0);

    m.upgrade = true;
    story_say_head(&t, 0, 1, UPGRADE, NULL);
    buffer_reset(&t.streams[0].text);
    IN_TURN(&t, {
        told_head(&t.streams[0], &m, false);
        stream(0)->codec->switch_protocols(stream(0));
    });
    ck_heard(&t, "RST_STREAM 1 2\n");
    ck_told(&t, 0, "failed protocol_error\n"); /* the upstream's, not the client's */
}
END_TEST

/* ---- */

int main(void)
{
    Suite *s = suite_create("http2_answer");
    TCase *c = tcase_create("server");

    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, serve, tear_down);
    tcase_add_test(c, a_response_goes_as_head_body_and_trailers);
    tcase_add_test(c, interim_responses_go_before_the_final_one);
    tcase_add_loop_test(c, a_head_that_is_too_large_to_be_sent_resets_the_stream, 0, 2);
    tcase_add_test(c, what_a_window_does_not_let_through_is_kept_until_it_opens);
    tcase_add_test(c, a_wider_initial_window_opens_those_that_are_shut);
    tcase_add_test(c, an_early_answer_is_whole_and_the_rest_of_the_request_is_not_wanted);
    tcase_add_test(c, the_code_of_an_abort_is_sent);
    tcase_add_test(c, the_code_of_a_client_that_cancels_is_told);
    tcase_add_test(c, an_extended_connect_is_told_as_an_upgrade);
    tcase_add_test(c, a_switch_without_the_proof_of_the_key_resets_the_stream);
    suite_add_tcase(s, c);

    return stage_run(s);
}
