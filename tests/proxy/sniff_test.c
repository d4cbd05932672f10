#include "proxy/sniff.h"

#include "base/random.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

struct sample {
    struct str bytes;
    enum sniffed is;
};
#define SAMPLE(literal, is)   \
    {                         \
        STR_INIT(literal), is \
    }

static const struct sample samples[] = {
    /* A known method before a path is HTTP whatever follows. */
    SAMPLE("GET /", SNIFF_HTTP1),
    SAMPLE("GET /\0\0\0", SNIFF_HTTP1),
    SAMPLE("GET \v /", SNIFF_HTTP1),
    SAMPLE("GET http://", SNIFF_HTTP1),
    SAMPLE("GET HTTPS://", SNIFF_HTTP1),
    SAMPLE("OPTIONS /", SNIFF_HTTP1),
    SAMPLE("GET  / HTTP/9.9\r\n", SNIFF_HTTP1),
    SAMPLE("GET\t/ HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("HEAD / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("POST /a b c", SNIFF_HTTP1),
    SAMPLE("DELETE /", SNIFF_HTTP1),
    SAMPLE("PATCH /", SNIFF_HTTP1),
    SAMPLE("TRACE /", SNIFF_HTTP1),
    SAMPLE("PROPFIND /dav HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("\r\nGET / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("\nGET / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("\r\n\r\nGET / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("\r\n\n\r\n\n\r\n\n\r\n\nGET /", SNIFF_HTTP1),
    SAMPLE("\n\n\n\n\n\n\n\n\nGET / HTTP/1.1\r\n", SNIFF_OTHER),
    /* And so is a version in the first line, however malformed the rest is. */
    SAMPLE(" GET / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("\rGET / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("GE(T / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("$ / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("G\xc3\x89T / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("THISISAMETHODOFMORETHANTHIRTYTWOBYTES / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("get / \001HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("get / HTTP/2.0\r\n", SNIFF_HTTP1),
    SAMPLE("get / HTTP/1.\r\n", SNIFF_HTTP1),
    SAMPLE("OPTIONS * HTTP/2.0\r\n", SNIFF_HTTP1),
    SAMPLE("x y http/1.1 z\r\n", SNIFF_HTTP1),
    SAMPLE(" HTTP/9 ", SNIFF_HTTP1),
    SAMPLE("\0GET / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("GE\0T / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("\x16 GET / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n", SNIFF_HTTP1),
    SAMPLE("PRI * HTTP/2.1\r\n", SNIFF_HTTP1),
    /* But not one that is quoted: a line of a log. */
    SAMPLE("<190>Nov 26 05:38:01 web: \"GET / HTTP/1.1\" 200\n", SNIFF_OTHER),
    SAMPLE("{\"line\":\"\\\"GET / HTTP/1.1\\\" 200\"}\n", SNIFF_OTHER),
    SAMPLE("get / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("get / HTTP/1.1\n", SNIFF_HTTP1),
    SAMPLE("get / HTTP/1.1 \r\n", SNIFF_HTTP1),
    SAMPLE("Brew /pot HTTP/1.0\r\n", SNIFF_HTTP1),
    SAMPLE("OPTIONS * HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("CONNECT a.example:443 HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("M-SEARCH * HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("GETX / HTTP/1.1\r\n", SNIFF_HTTP1),
    SAMPLE("PRI * HTTP/1.1\r\n", SNIFF_HTTP1),
    /* Protocols of text have lines too. */
    SAMPLE("GET foo\r\n", SNIFF_OTHER),
    SAMPLE("PUT key 3\r\n", SNIFF_OTHER),
    SAMPLE("HEAD\r\n", SNIFF_OTHER),
    SAMPLE("get /HTTP/1.1\r\n", SNIFF_OTHER),
    SAMPLE("get /\r\n", SNIFF_OTHER),
    SAMPLE("get key\r\nGET / HTTP/1.1\r\n", SNIFF_OTHER),
    SAMPLE("OPTIONS sip:a@b.example SIP/2.0\r\n", SNIFF_OTHER),
    SAMPLE("OPTIONS rtsp://b.example RTSP/1.0\r\n", SNIFF_OTHER),
    SAMPLE("CONNECT {\"verbose\":false}\r\n", SNIFF_OTHER),
    /* HTTP/2 with prior knowledge. */
    SAMPLE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SNIFF_HTTP2),
    SAMPLE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0", SNIFF_HTTP2),
    /* TLS. */
    SAMPLE("\x16\x03\x01\x02\x00\x01", SNIFF_TLS),
    SAMPLE("\x16\x03\x03\x40\x00\x01\x00\x00", SNIFF_TLS),
    SAMPLE("\x16\x03\x01\x02\x00\x02", SNIFF_OTHER), /* a ServerHello */
    SAMPLE("\x16\x03\x05", SNIFF_OTHER),
    SAMPLE("\x16\x02", SNIFF_OTHER),
    SAMPLE("\x16\x03\x01\x41", SNIFF_OTHER),
    SAMPLE("\x16\x03\x01\x00\x00", SNIFF_OTHER),
    SAMPLE("\x15\x03\x01\x00\x02\x02\x28", SNIFF_OTHER),         /* an alert */
    SAMPLE("\x80\x2e\x01\x03\x01\x00\x15\x00\x00", SNIFF_OTHER), /* the hello of SSL 2 */
    /* Others. */
    SAMPLE("SSH-2.0-OpenSSH_9.2p1\r\n", SNIFF_OTHER),
    SAMPLE("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", SNIFF_OTHER),
    SAMPLE("EHLO mail.example\r\n", SNIFF_OTHER),
    SAMPLE("HELO mail.example\r\n", SNIFF_OTHER),
    SAMPLE("a001 LOGIN user password\r\n", SNIFF_OTHER),
    SAMPLE("*1\r\n$4\r\nPING\r\n", SNIFF_OTHER),
    SAMPLE("PING\r\n", SNIFF_OTHER),
    SAMPLE("\x20\x00\x00\x01\x85\xa2\x1f\x00", SNIFF_OTHER), /* MySQL: the client's login */
    SAMPLE("\x4a\x00\x00\x00\x0a"
           "8.0.36\0",
           SNIFF_OTHER),                                             /* MySQL: the greeting */
    SAMPLE("\0\0\0\x08\x04\xd2\x16\x2f", SNIFF_OTHER),               /* PostgreSQL: SSLRequest */
    SAMPLE("\x10\x0e\0\4MQTT\4\2\0\x3c", SNIFF_OTHER),               /* MQTT */
    SAMPLE("\x3f\0\0\0\x01\0\0\0\0\0\0\0\xd4\x07\0\0", SNIFF_OTHER), /* MongoDB */
    SAMPLE("AMQP\0\0\x09\x01", SNIFF_OTHER),
    SAMPLE("\0", SNIFF_OTHER),
    SAMPLE("\xff\xff\xff\xff", SNIFF_OTHER),
    /* Too short to tell. */
    SAMPLE("", SNIFF_MORE),
    SAMPLE("G", SNIFF_MORE),
    SAMPLE("GET", SNIFF_MORE),
    SAMPLE("GET ", SNIFF_MORE),
    SAMPLE("PUT x", SNIFF_MORE),
    SAMPLE("*", SNIFF_MORE),
    SAMPLE("ruok", SNIFF_MORE),
    SAMPLE("JDWP-Handshake", SNIFF_MORE),
    SAMPLE("x \"GET / HTTP/1.1", SNIFF_MORE),
    SAMPLE("P", SNIFF_MORE),
    SAMPLE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", SNIFF_MORE),
    SAMPLE("get / HTTP/1.1", SNIFF_MORE),
    SAMPLE("\r", SNIFF_MORE),
    SAMPLE("\r\n", SNIFF_MORE),
    SAMPLE("\x16", SNIFF_MORE),
    SAMPLE("\x16\x03\x01\x02\x00", SNIFF_MORE),
};

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] < 0x20 && !memchr("\t\v\f\r\n", s.p[i], 5))
            return false;
    return true;
}

START_TEST(tells_what_is_spoken)
{
    ck_assert_int_eq(sniff(samples[_i].bytes), samples[_i].is);
}
END_TEST

/* Of one byte more than it was given the answer may only become known, not another, but that bytes
 * which are no text may still show the version of HTTP. */
START_TEST(never_takes_an_answer_back)
{
    struct str all = samples[_i].bytes;
    enum sniffed before = SNIFF_MORE;

    for (size_t n = 0; n <= all.n; n++) {
        char *exact = malloc(n + 1); /* so that a read past the end is seen */
        memcpy(exact, all.p, n);
        enum sniffed now = sniff(str_of(exact, n));
        bool late = before == SNIFF_OTHER && now == SNIFF_HTTP1 && !is_text(str_of(exact, n));
        if (before != SNIFF_MORE && !late)
            ck_assert_int_eq(now, before);
        before = now;
        free(exact);
    }
}
END_TEST

static const struct {
    struct str bytes;
    bool begins;
} beginnings[] = {
    {STR_INIT("G"), true},       {STR_INIT("GET "), true},      {STR_INIT("GET http"), true},
    {STR_INIT("\r\nP"), true},   {STR_INIT("PRI * HTT"), true}, {STR_INIT("PROPFIND \t"), true},
    {STR_INIT("ruok"), false},   {STR_INIT("GET k"), false},    {STR_INIT("get /"), false},
    {STR_INIT("\r\n"), false},   {STR_INIT(""), false},         {STR_INIT("JDWP-Hand"), false},
    {STR_INIT("BREW /"), false}, {STR_INIT("PUTT"), false},
};

START_TEST(knows_the_beginning_of_a_request)
{
    ck_assert_int_eq(sniff(beginnings[_i].bytes), SNIFF_MORE);
    ck_assert_int_eq(sniff_begins_http(beginnings[_i].bytes), beginnings[_i].begins);
}
END_TEST

START_TEST(does_not_wait_for_more_than_its_bound)
{
    static char bytes[SNIFF_BYTES_MAX + 1];
    struct str all = str_of(bytes, sizeof(bytes));

    memset(bytes, 'x', sizeof(bytes));
    memcpy(bytes, "get /", 5);
    ck_assert_int_eq(sniff(str_slice(all, 0, SNIFF_BYTES_MAX)), SNIFF_MORE);
    ck_assert_int_eq(sniff(all), SNIFF_OTHER);
}
END_TEST

START_TEST(answers_to_any_garbage)
{
    struct random r;

    random_init_seed(&r, 1);
    for (int i = 0; i < 20000; i++) {
        size_t n = (size_t)random_below(&r, 64);
        char *bytes = malloc(n + 1);
        for (size_t k = 0; k < n; k++)
            bytes[k] = (char)random_next(&r);
        if (n > 6 && i % 2)
            memcpy(bytes, "\x16\x03\x01\x00\x30\x01", 6);
        bool more;
        ck_assert_int_le(sniff(str_of(bytes, n)), SNIFF_OTHER);
        sniff_sni(str_of(bytes, n), &more);
        free(bytes);
    }
}
END_TEST

/* ---- a ClientHello ---- */

struct bytes {
    char p[2048];
    size_t n;
};

static void put(struct bytes *b, const void *data, size_t n)
{
    memcpy(b->p + b->n, data, n);
    b->n += n;
}

static void put_number(struct bytes *b, size_t value, unsigned bytes)
{
    while (bytes-- > 0)
        b->p[b->n++] = (char)(value >> 8 * bytes);
}

static void put_extension(struct bytes *b, size_t type, const struct bytes *body)
{
    put_number(b, type, 2);
    put_number(b, body->n, 2);
    put(b, body->p, body->n);
}

static void put_server_name(struct bytes *b, struct str name)
{
    struct bytes body = {.n = 0};

    put_number(&body, name.n + 3, 2);
    put_number(&body, 0, 1);
    put_number(&body, name.n, 2);
    put(&body, name.p, name.n);
    put_extension(b, 0, &body);
}

/* The handshake message alone. name.p NULL: without the extension. */
static struct bytes hello_message(struct str name)
{
    struct bytes extensions = {.n = 0}, other = {.n = 0}, body = {.n = 0}, message = {.n = 0};
    static const char random[32];

    put(&other, "\0\x0c\x02h2\x08http/1.1", 14);
    put_extension(&extensions, 16, &other);
    if (name.p)
        put_server_name(&extensions, name);
    put_extension(&extensions, 21, &other);

    put_number(&body, 0x0303, 2);
    put(&body, random, sizeof(random));
    put_number(&body, 4, 1);
    put(&body, "sess", 4);
    put_number(&body, 4, 2);
    put(&body, "\x13\x01\x13\x02", 4);
    put_number(&body, 1, 1);
    put_number(&body, 0, 1);
    put_number(&body, extensions.n, 2);
    put(&body, extensions.p, extensions.n);

    put_number(&message, 1, 1);
    put_number(&message, body.n, 3);
    put(&message, body.p, body.n);
    return message;
}

/* The message in records of at most `piece` bytes. */
static struct bytes records(const struct bytes *message, size_t piece)
{
    struct bytes out = {.n = 0};

    for (size_t at = 0; at < message->n; at += piece) {
        size_t n = message->n - at < piece ? message->n - at : piece;
        put(&out, "\x16\x03\x01", 3);
        put_number(&out, n, 2);
        put(&out, message->p + at, n);
    }
    return out;
}

static bool names(const struct bytes *b, size_t n, struct str expected, bool *more)
{
    char *exact = malloc(n + 1);
    memcpy(exact, b->p, n);
    struct str found = sniff_sni(str_of(exact, n), more);
    bool same = found.p ? str_eq(found, expected) : expected.p == NULL;
    free(exact);
    return same;
}

static const struct str none = {NULL, 0};

START_TEST(finds_the_server_name_however_the_bytes_are_split)
{
    struct str name = STR("users.shop.example");
    struct bytes message = hello_message(name), hello = records(&message, 1024);
    bool more, found = false;

    for (size_t n = 0; n <= hello.n; n++) {
        if (!found && names(&hello, n, none, &more)) {
            ck_assert(more);
            continue;
        }
        ck_assert(names(&hello, n, name, &more));
        ck_assert(!more);
        found = true;
    }
    ck_assert(found);
}
END_TEST

START_TEST(follows_a_message_through_many_records_unless_they_cut_the_name)
{
    struct str name = STR("a.example");
    struct bytes message = hello_message(name);
    unsigned had = 0, cut = 0;

    for (size_t piece = 1; piece <= message.n; piece++) {
        struct bytes hello = records(&message, piece);
        bool more;
        if (names(&hello, hello.n, name, &more))
            had++;
        else if (names(&hello, hello.n, none, &more))
            cut++;
        ck_assert(!more);
    }
    ck_assert_uint_eq(had + cut, message.n);
    ck_assert_uint_gt(had, 50);
    ck_assert_uint_gt(cut, 8);
}
END_TEST

START_TEST(a_hello_without_a_name_has_none_and_needs_no_more)
{
    struct bytes message = hello_message(none), hello = records(&message, 1024);
    bool more;

    ck_assert(names(&hello, hello.n, none, &more));
    ck_assert(!more);
    ck_assert(names(&hello, hello.n - 1, none, &more));
    ck_assert(more);
}
END_TEST

static const struct str bad_names[] = {
    STR_INIT(""),     STR_INIT("a b"),      STR_INIT("a\0b"),
    STR_INIT("a\nb"), STR_INIT("\xc3\xa9"), STR_INIT("a/b"),
};

START_TEST(a_name_of_other_bytes_is_not_taken)
{
    struct bytes message = hello_message(bad_names[_i]), hello = records(&message, 1024);
    bool more;

    ck_assert(names(&hello, hello.n, none, &more));
    ck_assert(!more);
}
END_TEST

START_TEST(a_name_that_is_too_long_is_not_taken)
{
    char text[256];

    memset(text, 'a', sizeof(text));
    for (size_t n = 254; n <= 256; n++) {
        struct str name = str_of(text, n);
        struct bytes message = hello_message(name), hello = records(&message, 2048);
        bool more;
        ck_assert(names(&hello, hello.n, n <= 255 ? name : none, &more));
    }
}
END_TEST

static const struct str not_hellos[] = {
    STR_INIT("GET / HTTP/1.1\r\n\r\n"),
    STR_INIT("\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00"),
    STR_INIT("\x17\x03\x01\x00\x05\x01\x00\x00\x01\x00"),
};

START_TEST(what_is_no_hello_has_no_name)
{
    bool more;
    struct str found = sniff_sni(not_hellos[_i], &more);

    ck_assert_ptr_null(found.p);
    ck_assert(!more);
}
END_TEST

static const struct {
    struct str first;
    bool is;
} servers[] = {
    {STR_INIT("\0\0\0\4\0\0\0\0\0"), true},
    {STR_INIT("\0\0\6\4\0\0\0\0\0\0\3\0\0\0\144"), true},
    {STR_INIT("\0\0\22\4\0\0\0\0\0\0\3"), true}, /* the rest is to come */
    {STR_INIT("\0\0\0\4\0\0\0\0"), false},       /* too short to tell */
    {STR_INIT("\0\0\0\4\1\0\0\0\0"), false},     /* an ACK is not the first */
    {STR_INIT("\0\0\0\4\0\0\0\0\1"), false},     /* of a stream */
    {STR_INIT("\0\0\5\4\0\0\0\0\0"), false},     /* not whole entries */
    {STR_INIT("\0\0\0\6\0\0\0\0\0"), false},     /* another frame */
    {STR_INIT("\x4a\0\0\0\x0a"
              "8.0.36\0"),
     false}, /* MySQL */
    {STR_INIT("220 mail.example ESMTP\r\n"), false},
    {STR_INIT("HTTP/1.1 400 Bad Request\r\n"), false},
    {STR_INIT(""), false},
};

START_TEST(a_server_of_http2_is_known_by_its_first_frame)
{
    ck_assert_int_eq(sniff_http2_server(servers[_i].first), servers[_i].is);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sniff");
    TCase *t = tcase_create("sniff");

    tcase_add_loop_test(t, tells_what_is_spoken, 0, COUNT(samples));
    tcase_add_loop_test(t, never_takes_an_answer_back, 0, COUNT(samples));
    tcase_add_loop_test(t, knows_the_beginning_of_a_request, 0, COUNT(beginnings));
    tcase_add_test(t, does_not_wait_for_more_than_its_bound);
    tcase_add_test(t, answers_to_any_garbage);
    tcase_add_test(t, finds_the_server_name_however_the_bytes_are_split);
    tcase_add_test(t, follows_a_message_through_many_records_unless_they_cut_the_name);
    tcase_add_test(t, a_hello_without_a_name_has_none_and_needs_no_more);
    tcase_add_loop_test(t, a_name_of_other_bytes_is_not_taken, 0, COUNT(bad_names));
    tcase_add_test(t, a_name_that_is_too_long_is_not_taken);
    tcase_add_loop_test(t, what_is_no_hello_has_no_name, 0, COUNT(not_hellos));
    tcase_add_loop_test(t, a_server_of_http2_is_known_by_its_first_frame, 0, COUNT(servers));
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
