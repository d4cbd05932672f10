/*
 * HTTP/2 as a server: what becomes of requests that come.
 */
#include "http2_stage.h"

static char kilobytes_7[7 * 1024 + 1];

static void serve_at_length(void)
{
    serve();
    memset(kilobytes_7, 'x', sizeof kilobytes_7 - 1);
}

/* ---- requests that come ---- */

static const struct {
    const char *fields[13]; /* names and values in turn */
    const char *told;
    uint8_t flags;
} requests[] = {
    {{REQUEST("GET", "/a?b=c")}, "GET a /a?b=c body none\nend\n", END_STREAM},
    {{REQUEST("POST", "/")}, "POST a / body chunked\n", 0},
    {{REQUEST("POST", "/"), "content-length", "5"}, "POST a / body length [content-length=5]\n", 0},
    {{REQUEST("GET", "/"), "x-own", "v", "accept", "*/*"},
     "GET a / body none [x-own=v] [accept=*/*]\nend\n",
     END_STREAM},
    {{":method", "GET", ":scheme", "http", ":path", "/", "host", "b:8080"},
     "GET b:8080 / body none [host=b:8080]\nend\n",
     END_STREAM},
    {{REQUEST("GET", "/"), "host", "A"}, "GET a / body none [host=A]\nend\n", END_STREAM},
    {{":method", "OPTIONS", ":scheme", "http", ":authority", "a", ":path", "*"},
     "OPTIONS a * body none\nend\n",
     END_STREAM},
    {{REQUEST("GET", "/"), "te", "trailers"}, "GET a / body none [te=trailers]\nend\n", END_STREAM},
};

static void say_fields(uint8_t flags, uint32_t id, const char *const *v)
{
    struct buffer b;

    buffer_init(&b, 0);
    for (; *v; v += 2)
        block_add(&b, v[0], v[1]);
    story_say(&t, NGHTTP2_HEADERS, flags | END_HEADERS, id, b.p, b.n);
    buffer_release(&b);
}

START_TEST(a_request_is_told_as_a_message)
{
    say_fields(requests[_i].flags, 1, requests[_i].fields);
    ck_told(&t, 0, requests[_i].told);
    give_up(0);
}
END_TEST

START_TEST(cookies_are_one_field)
{
    story_say_head(&t, END_STREAM, 1, REQUEST("GET", "/"), "cookie", "a=1", "x", "y", "cookie",
                   "b=2", "cookie", "c=3", NULL);
    ck_told(&t, 0, "GET a / body none [cookie=a=1; b=2; c=3] [x=y]\nend\n");
    give_up(0);
}
END_TEST

START_TEST(a_head_may_come_in_many_frames_and_byte_by_byte)
{
    unsigned char frames[400];
    struct buffer b;
    size_t n;

    buffer_init(&b, 0);
    for (const char *const *v = (const char *const[]){REQUEST("GET", "/"), "a", "b", NULL}; *v;
         v += 2)
        block_add(&b, v[0], v[1]);
    n = frame_put(frames, NGHTTP2_HEADERS, END_STREAM, 1, b.p, 10);
    n += frame_put(frames + n, NGHTTP2_CONTINUATION, 0, 1, b.p + 10, 3);
    n += frame_put(frames + n, NGHTTP2_CONTINUATION, END_HEADERS, 1, b.p + 13, b.n - 13);
    for (size_t i = 0; i < n; i++)
        story_say_bytes(&t, frames + i, 1);
    ck_told(&t, 0, "GET a / body none [a=b]\nend\n");
    buffer_release(&b);
    give_up(0);
}
END_TEST

/* ---- what is refused ---- */

static const struct {
    const char *fields[13];
    const char *told, *heard;
} refused[] = {
    /* by nghttp2: the stream is reset */
    {{REQUEST("GET", "/"), "connection", "close"},
     "refused http2-malformed 400: GET /\n",
     "RST_STREAM 1 1\n"},
    {{REQUEST("GET", "/"), "Upper", "a"},
     "refused http2-malformed 400: GET /\n",
     "RST_STREAM 1 1\n"},
    {{REQUEST("GET", "/"), "te", "gzip"},
     "refused http2-malformed 400: GET /\n",
     "RST_STREAM 1 1\n"},
    {{REQUEST("GET", "/"), "content-length", "5"},
     "refused http2-malformed 400: GET /\n",
     "RST_STREAM 1 1\n"},
    {{":method", "GET", ":scheme", "http", ":path", "/"},
     "refused http2-malformed 400: GET /\n",
     "RST_STREAM 1 1\n"},
    {{":method", "GET", ":path", "/"}, "refused http2-malformed 400: GET /\n", "RST_STREAM 1 1\n"},
    {{REQUEST("GET", "/"), ":late", "x"},
     "refused http2-malformed 400: GET /\n",
     "RST_STREAM 1 1\n"},
    /* by us: it is answered */
    {{REQUEST("GET", "/"), "host", "b"},
     "refused host-differs 400: GET /\n",
     "HEADERS 1 [:status=400] end\n"},
    {{":method", "GET", ":scheme", "http", ":authority", "a:b", ":path", "/"},
     "refused host-invalid 400: GET /\n",
     "HEADERS 1 [:status=400] end\n"},
    {{REQUEST("GET", "/a#b")},
     "refused target-fragment 400: GET /a#b\n",
     "HEADERS 1 [:status=400] end\n"},
    {{REQUEST("GET", "/"), "a", kilobytes_7, "b", kilobytes_7},
     "refused head-too-large 431: GET /\n",
     "HEADERS 1 [:status=431] end\n"},
    {{":method", "CONNECT", ":scheme", "http", ":authority", "a", ":path", "/", ":protocol",
      "other"},
     "refused protocol-unknown 501: CONNECT /\n",
     "HEADERS 1 [:status=501] end\n"},
};

START_TEST(what_is_against_a_rule_is_refused)
{
    say_fields(END_STREAM, 1, refused[_i].fields);
    ck_heard(&t, refused[_i].heard);
    ck_told(&t, 0, refused[_i].told);
    story_say_get(&t, 3);
    ck_told(&t, 1, "GET a / body none\nend\n"); /* the connection lives on */
    give_up(1);
}
END_TEST

START_TEST(too_many_fields_are_refused)
{
    struct buffer b;

    buffer_init(&b, 0);
    for (const char *const *v = (const char *const[]){REQUEST("GET", "/"), NULL}; *v; v += 2)
        block_add(&b, v[0], v[1]);
    for (int i = 0; i < 21; i++)
        block_add(&b, "f", "v");
    story_say(&t, NGHTTP2_HEADERS, END_STREAM | END_HEADERS, 1, b.p, b.n);
    ck_told(&t, 0, "refused too-many-headers 431: GET /\n");
    buffer_release(&b);
}
END_TEST

START_TEST(what_the_keeper_does_not_open_is_refused_as_a_stream)
{
    t.refuses = true;
    story_say_get(&t, 1);
    ck_heard(&t, "RST_STREAM 1 7\n");
    ck_assert_uint_eq(t.n, 0);
}
END_TEST

/* ---- bodies that come ---- */

START_TEST(a_body_is_told_and_its_trailers)
{
    story_say_head(&t, 0, 1, REQUEST("POST", "/"), NULL);
    story_say_data(&t, 1, "hello ", 0);
    story_say(&t, NGHTTP2_DATA, PADDED, 1, "\3world\0\0\0", 9);
    story_say_head(&t, END_STREAM, 1, "sum", "1", "trailer", "x", NULL);
    ck_told(&t, 0, "POST a / body chunked\nhello worldend [sum=1]\n");
    give_up(0);
}
END_TEST

START_TEST(trailers_over_a_limit_are_refused)
{
    story_say_head(&t, 0, 1, REQUEST("POST", "/"), "a", kilobytes_7, NULL);
    story_say_head(&t, 0, 3, REQUEST("POST", "/"), NULL);
    buffer_reset(&t.streams[0].text);
    story_say_head(&t, END_STREAM, 1, "sum", "1", "big", kilobytes_7, NULL);
    buffer_add_char(&t.streams[0].text, '\0');
    ck_assert(strncmp(t.streams[0].text.p, "end [sum=1] [big=xxx", 20) == 0); /* its own limit */
    story_say_head(&t, END_STREAM, 3, "a", kilobytes_7, "b", kilobytes_7, "sum", "1", NULL);
    ck_told(&t, 1, "POST a / body chunked\nrefused head-too-large 431:  \n");
    ck_heard(&t, "HEADERS 3 [:status=431] end\n");
    give_up(0);
}
END_TEST

START_TEST(a_body_unlike_its_length_is_refused)
{
    story_say_head(&t, 0, 1, REQUEST("POST", "/"), "content-length", "5", NULL);
    story_say_data(&t, 1, "four", END_STREAM);
    ck_told(&t, 0, "POST a / body length [content-length=5]\nfourrefused http2-malformed 400:  \n");
    ck_heard(&t, "RST_STREAM 1 1\n");
}
END_TEST

static void say_kilobytes(uint32_t id, size_t n)
{
    static char kilobyte[1024];

    for (size_t i = 0; i < n; i++)
        story_say(&t, NGHTTP2_DATA, 0, id, kilobyte, sizeof kilobyte);
}

START_TEST(a_pause_keeps_the_streams_window_and_not_the_connections)
{
    story_say_head(&t, 0, 1, REQUEST("POST", "/"), NULL);
    story_say_head(&t, 0, 3, REQUEST("POST", "/"), NULL);
    story_listen(&t);
    memset(t.windows, 0, sizeof t.windows);
    IN_TURN(&t, stream(0)->codec->pause(stream(0), true));
    say_kilobytes(1, 64);
    story_listen(&t);
    ck_assert_uint_eq(t.windows[1], 0);
    say_kilobytes(3, 64); /* that would not stop another */
    story_listen(&t);
    ck_assert_uint_ge(t.windows[1], 32 * 1024);
    memset(t.windows, 0, sizeof t.windows);
    IN_TURN(&t, stream(0)->codec->pause(stream(0), false));
    story_listen(&t);
    ck_assert_uint_eq(t.windows[1], 64 * 1024);
    give_up(0);
    give_up(1);
}
END_TEST

START_TEST(what_came_for_a_stream_that_is_given_up_counts_as_taken)
{
    story_say_head(&t, 0, 1, REQUEST("POST", "/"), NULL);
    story_listen(&t);
    memset(t.windows, 0, sizeof t.windows);
    IN_TURN(&t, stream(0)->codec->pause(stream(0), true));
    say_kilobytes(1, 64);
    give_up(0);
    ck_heard(&t, "RST_STREAM 1 8\n");
    for (int i = 0; i < 1024; i++) /* and what is still on its way */
        say_kilobytes(1, 1);
    ck_heard(&t, "");
    ck_assert_uint_ge(t.windows[0], 512 * 1024);
}
END_TEST

START_TEST(a_window_opens_wide_for_who_takes_what_comes)
{
    story_say_head(&t, 0, 1, REQUEST("POST", "/"), NULL);
    story_listen(&t);
    memset(t.windows, 0, sizeof t.windows);
    for (int i = 0; i < 16; i++) {
        say_kilobytes(1, 32);
        story_listen(&t);
    }
    ck_assert_uint_ge(t.windows[1], 512 * 1024 - 32 * 1024);
    give_up(0);
}
END_TEST

/* ---- */

#define LOOP(c, test, table) tcase_add_loop_test(c, test, 0, (int)COUNT(table))

int main(void)
{
    Suite *s = suite_create("http2");
    TCase *c = tcase(s, "server", serve_at_length);

    LOOP(c, a_request_is_told_as_a_message, requests);
    tcase_add_test(c, cookies_are_one_field);
    tcase_add_test(c, a_head_may_come_in_many_frames_and_byte_by_byte);
    LOOP(c, what_is_against_a_rule_is_refused, refused);
    tcase_add_test(c, too_many_fields_are_refused);
    tcase_add_test(c, what_the_keeper_does_not_open_is_refused_as_a_stream);
    tcase_add_test(c, a_body_is_told_and_its_trailers);
    tcase_add_test(c, trailers_over_a_limit_are_refused);
    tcase_add_test(c, a_body_unlike_its_length_is_refused);
    tcase_add_test(c, a_pause_keeps_the_streams_window_and_not_the_connections);
    tcase_add_test(c, what_came_for_a_stream_that_is_given_up_counts_as_taken);
    tcase_add_test(c, a_window_opens_wide_for_who_takes_what_comes);

    return stage_run(s);
}
