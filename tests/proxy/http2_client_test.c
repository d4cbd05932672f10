/*
 * HTTP/2 as a client: what becomes of requests that are sent, and of answers
 * that come; and upgrades.
 */
#include "http2_stage.h"

#include "proxy/http2_private.h"

static char kilobytes_7[7 * 1024 + 1];

static void ask_at_length(void)
{
    ask();
    memset(kilobytes_7, 'x', sizeof kilobytes_7 - 1);
}

/* ---- messages ---- */

START_TEST(a_request_goes_with_its_pseudo_header_fields_first)
{
    struct header fields[] = {FIELD_ROW(HEADER_HOST, "Host", "b:80"),
                              FIELD_ROW(HEADER_CONNECTION, "Connection", "x-hop"),
                              FIELD_ROW(HEADER_TE, "TE", "trailers"),
                              FIELD_ROW(HEADER_OTHER, "HTTP2-Settings", "AAMAAABk"),
                              FIELD_ROW(HEADER_OTHER, "X-Own", "v")};
    struct message m = {.method = STR_INIT("GET"),
                        .target = STR_INIT("/p?q"),
                        .authority = STR_INIT("a"),
                        .version = 11,
                        .fields = {.v = fields, .n = 5, .cap = 5}};

    IN_TURN(&t, told_head(story_own(&t, http2_take(t.h)), &m, true));
    ck_heard(&t, "HEADERS 1 [:method=GET] [:scheme=http] [:authority=b:80] [:path=/p?q] "
                 "[te=trailers] [x-own=v] end\n");
    give_up(0);
}
END_TEST

/* SETTINGS may come between the making of a head and the end of the turn. */
START_TEST(requests_that_must_wait_keep_their_fields)
{
    static unsigned char one[] = {0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1};
    struct header fields[] = {FIELD_ROW(HEADER_OTHER, "X-Upper", "v")};
    struct message m = {.method = STR_INIT("GET"),
                        .target = STR_INIT("/"),
                        .authority = STR_INIT("a"),
                        .version = 11,
                        .fields = {.v = fields, .n = 1, .cap = 1}};

    IN_TURN(&t, {
        told_head(story_own(&t, http2_take(t.h)), &m, true);
        told_head(story_own(&t, http2_take(t.h)), &m, true);
        http2_feed(t.h, (char *)one, sizeof one);
    });
    ck_heard(&t, "HEADERS 1 [:method=GET] [:scheme=http] [:authority=a] [:path=/] [x-upper=v] "
                 "end\n");
    IN_TURN(&t, memset(loop_scratch(&worker->loop, 4096), '!', 4096));
    story_say_head(&t, END_STREAM, 1, ":status", "204", NULL);
    IN_TURN(&t, told_finish(&t.streams[0]));
    ck_heard(&t, "HEADERS 3 [:method=GET] [:scheme=http] [:authority=a] [:path=/] [x-upper=v] "
                 "end\n");
    give_up(1);
}
END_TEST

START_TEST(a_response_is_told_as_a_message)
{
    story_ask(&t, "POST", false);
    IN_TURN(&t, {
        stream(0)->codec->send_body(stream(0), STR("body"));
        stream(0)->codec->send_end(stream(0), NULL);
    });
    ck_heard(&t, "HEADERS 1 [:method=POST] [:scheme=http] [:authority=a] [:path=/]\n"
                 "DATA 1 body end\n");
    story_say_head(&t, 0, 1, ":status", "103", "link", "</a>", NULL);
    story_say_head(&t, 0, 1, ":status", "200", "x", "y", NULL);
    story_say_data(&t, 1, "hello", 0);
    story_say_head(&t, END_STREAM, 1, "grpc-status", "0", NULL);
    ck_told(&t, 0,
            "103  body none [link=</a>]\n200 OK body chunked [x=y]\n"
            "helloend [grpc-status=0]\n");
}
END_TEST

START_TEST(trailers_over_a_limit_are_a_failure)
{
    story_ask(&t, "GET", true);
    story_say_head(&t, 0, 1, ":status", "200", NULL);
    story_listen(&t);
    buffer_reset(&t.heard);
    story_say_head(&t, END_STREAM, 1, "a", kilobytes_7, "b", kilobytes_7, "grpc-status", "0", NULL);
    ck_told(&t, 0, "200 OK body chunked\nfailed response_limit\n");
}
END_TEST

static const struct {
    uint8_t flags;
    const char *status, *method, *length, *told;
} responses[] = {
    {END_STREAM, "204", "GET", NULL, "204 No Content body none\nend\n"},
    {END_STREAM, "304", "GET", "5", "304 Not Modified body none [content-length=5]\nend\n"},
    {END_STREAM, "200", "HEAD", "5", "200 OK body none [content-length=5]\nend\n"},
    {0, "200", "GET", "5", "200 OK body length [content-length=5]\n"},
    {0, "600", "GET", NULL, "failed protocol_error\n"},
    {0, "101", "GET", NULL, "failed protocol_error\n"},
    {END_STREAM, "100", "GET", NULL, "failed protocol_error\n"},
    {END_STREAM, "200", "GET", "5", "failed protocol_error\n"},
    {END_STREAM, "2xx", "GET", NULL, "failed protocol_error\n"},
};

START_TEST(whether_a_response_has_a_body_is_known_from_its_head)
{
    story_ask(&t, responses[_i].method, true);
    if (responses[_i].length)
        story_say_head(&t, responses[_i].flags, 1, ":status", responses[_i].status,
                       "content-length", responses[_i].length, NULL);
    else
        story_say_head(&t, responses[_i].flags, 1, ":status", responses[_i].status, NULL);
    ck_told(&t, 0, responses[_i].told);
    if (stream(0))
        give_up(0);
}
END_TEST

START_TEST(a_response_before_the_end_of_the_request_that_says_to_stop_is_no_failure_of_it)
{
    story_ask(&t, "POST", false);
    story_say_head(&t, END_STREAM, 1, ":status", "200", NULL);
    ck_told(&t, 0, "200 OK body none\nend\n");
    story_say_u32(&t, NGHTTP2_RST_STREAM, 1, NGHTTP2_NO_ERROR);
    ck_told(&t, 0, "failed stream_reset\n"); /* its owner has its end already */
    ck_assert_uint_eq(t.streams[0].code, STREAM_NO_ERROR);
}
END_TEST

static const struct {
    uint32_t code;
    const char *told;
    enum replay replay;
} resets[] = {
    {NGHTTP2_REFUSED_STREAM, "failed refused_stream\n", REPLAY_SAFE},
    {NGHTTP2_CANCEL, "failed stream_reset\n", REPLAY_NEVER},
    {NGHTTP2_ENHANCE_YOUR_CALM, "failed stream_reset\n", REPLAY_NEVER},
    {NGHTTP2_INTERNAL_ERROR, "failed stream_reset\n", REPLAY_NEVER},
};

START_TEST(the_code_of_a_reset_says_whether_to_ask_again)
{
    story_ask(&t, "GET", true);
    story_say_u32(&t, NGHTTP2_RST_STREAM, 1, resets[_i].code);
    ck_told(&t, 0, resets[_i].told);
    ck_assert_uint_eq(t.streams[0].code, resets[_i].code);
    ck_assert_int_eq(t.streams[0].replay, resets[_i].replay);
    ck_assert_int_eq(http2_is_busy(t.h), resets[_i].code == NGHTTP2_REFUSED_STREAM);
}
END_TEST

/* ---- WebSockets (RFC 8441) ---- */

static struct message upgrade(struct header *key)
{
    static struct header fields[2];

    fields[0] = *key;
    fields[1] = (struct header)FIELD_ROW(HEADER_UPGRADE, "Upgrade", "websocket");
    return (struct message){.method = STR_INIT("GET"),
                            .target = STR_INIT("/chat"),
                            .authority = STR_INIT("a"),
                            .version = 11,
                            .upgrade = true,
                            .fields = {.v = fields, .n = 2, .cap = 2}};
}

START_TEST(an_upgrade_waits_for_settings_that_allow_it)
{
    /* The example of RFC 6455 section 1.3. */
    struct header key = FIELD_ROW(HEADER_OTHER, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    struct message m = upgrade(&key);

    story_begin(&t, worker, false);
    IN_TURN(&t, told_head(story_own(&t, http2_take(t.h)), &m, false));
    ck_heard(&t, "");
    story_say_setting(&t, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
    ck_heard(&t, "HEADERS 1 [:method=CONNECT] [:protocol=websocket] [:scheme=http] "
                 "[:authority=a] [:path=/chat]\n");
    story_say_head(&t, 0, 1, ":status", "200", NULL);
    ck_told(&t, 0,
            "101  body none upgrade [Upgrade=websocket] "
            "[Sec-WebSocket-Accept=s3pPLMBiTxaQ9kYGzzhZRbK+xOo=]\n");
    IN_TURN(&t, {
        stream(0)->codec->switch_protocols(stream(0));
        stream(0)->codec->send_body(stream(0), STR("frame"));
    });
    ck_heard(&t, "DATA 1 frame\n");
    story_say_data(&t, 1, "back", END_STREAM);
    ck_told(&t, 0, "backend\n");
    IN_TURN(&t, stream(0)->codec->send_end(stream(0), NULL); told_finish(&t.streams[0]));
    ck_heard(&t, "DATA 1  end\n");
}
END_TEST

START_TEST(an_upgrade_fails_where_the_peer_does_not_know_it)
{
    struct header key = FIELD_ROW(HEADER_OTHER, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    struct message m = upgrade(&key);

    story_begin(&t, worker, false);
    IN_TURN(&t, told_head(story_own(&t, http2_take(t.h)), &m, false));
    story_say(&t, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    ck_told(&t, 0, "failed protocol_error\n");
    ck_heard(&t, "");
}
END_TEST

START_TEST(an_upgrade_that_is_given_up_is_waited_for_no_more)
{
    struct header key = FIELD_ROW(HEADER_OTHER, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    struct message m = upgrade(&key);

    story_begin(&t, worker, false);
    IN_TURN(&t, told_head(story_own(&t, http2_take(t.h)), &m, false));
    give_up(0);
    ck_assert_uint_eq(t.h->n_asked, 0);
}
END_TEST

START_TEST(only_a_websocket_is_an_extended_connect)
{
    struct header fields[] = {FIELD_ROW(HEADER_UPGRADE, "Upgrade", "tcp")};
    struct header key = FIELD_ROW(HEADER_OTHER, "Sec-WebSocket-Key", "");
    struct message m = upgrade(&key);

    m.fields = (struct headers){.v = fields, .n = 1, .cap = 1};
    story_begin(&t, worker, false);
    story_say_setting(&t, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
    IN_TURN(&t, told_head(story_own(&t, http2_take(t.h)), &m, false));
    ck_heard(&t, "");
    ck_told(&t, 0, "failed protocol_error\n");
}
END_TEST

/* ---- */

#define LOOP(c, test, table) tcase_add_loop_test(c, test, 0, (int)COUNT(table))

int main(void)
{
    Suite *s = suite_create("http2_client");
    TCase *c;

    c = tcase(s, "client", ask_at_length);
    tcase_add_test(c, a_request_goes_with_its_pseudo_header_fields_first);
    tcase_add_test(c, requests_that_must_wait_keep_their_fields);
    tcase_add_test(c, a_response_is_told_as_a_message);
    tcase_add_test(c, trailers_over_a_limit_are_a_failure);
    LOOP(c, whether_a_response_has_a_body_is_known_from_its_head, responses);
    tcase_add_test(c,
                   a_response_before_the_end_of_the_request_that_says_to_stop_is_no_failure_of_it);
    LOOP(c, the_code_of_a_reset_says_whether_to_ask_again, resets);

    c = tcase(s, "upgrades", stage);
    tcase_add_test(c, an_upgrade_waits_for_settings_that_allow_it);
    tcase_add_test(c, an_upgrade_that_is_given_up_is_waited_for_no_more);
    tcase_add_test(c, an_upgrade_fails_where_the_peer_does_not_know_it);
    tcase_add_test(c, only_a_websocket_is_an_extended_connect);

    return stage_run(s);
}
