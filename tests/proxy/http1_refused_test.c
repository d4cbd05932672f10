/* Requests that could be read in two ways, and those that are too large: each is refused by its
 * rule. */
#include "http1_stage.h"

#include <stdio.h>

static char kilobytes_8[8192 + 1], fields_21[21 * 6 + 1], trailers_21[21 * 6 + 1];

static void fill_long_parts(void)
{
    memset(kilobytes_8, 'x', sizeof kilobytes_8 - 1);
    for (int i = 0; i < 21; i++) {
        memcpy(fields_21 + i * 6, "a: b\r\n", 6);
        memcpy(trailers_21 + i * 6, "t: u\r\n", 6);
    }
}

#define POST     "POST /p HTTP/1.1\r\n" HOST
#define CHUNKED  POST "Transfer-Encoding: chunked\r\n\r\n"
#define LEN(n)   "Content-Length: " n "\r\n"
#define TE(name) "Transfer-Encoding: " name "\r\n"

static const struct {
    const char *head, *long_part, *tail; /* long_part: NULL, or what stands between */
    const char *rule;
    unsigned status;
} refusals[] = {
    /* the request line */
    {"GE(T / HTTP/1.1\r\n" HOST "\r\n", NULL, "", "method-invalid", 400},
    {" GET / HTTP/1.1\r\n" HOST "\r\n", NULL, "", "method-invalid", 400},
    {"GET\t/ HTTP/1.1\r\n" HOST "\r\n", NULL, "", "method-invalid", 400},
    {"G\xc3\x89T / HTTP/1.1\r\n" HOST "\r\n", NULL, "", "method-invalid", 400},
    {"", kilobytes_8, " / HTTP/1.1\r\n" HOST "\r\n", "target-too-long", 414},
    {"BREW\r\n" HOST "\r\n", NULL, "", "method-invalid", 400},
    {"BREW /\r\n" HOST "\r\n", NULL, "", "request-line", 400},
    {"BREW / \r\n" HOST "\r\n", NULL, "", "request-line", 400},
    {"BREW / HTTP/1.1 \r\n" HOST "\r\n", NULL, "", "request-line", 400},
    {"BREW / HTTP/1.10\r\n" HOST "\r\n", NULL, "", "request-line", 400},
    {"BREW / HTTP/x.1\r\n" HOST "\r\n", NULL, "", "request-line", 400},
    {"BREW / HTTP/1.1\rX" HOST "\r\n", NULL, "", "bare-cr", 400},
    {"BREW / HTTP/1.1\r\n\r\n", NULL, "", "host-missing", 400},
    {"BREW / HTTP/1.1\r\n" HOST LEN("5") LEN("6") "\r\n", NULL, "", "content-length-repeated", 400},
    {"DESCRIBE / RTSP/1.0\r\n\r\n", NULL, "", "request-line", 400},
    {"SOURCE / ICE/1.0\r\n\r\n", NULL, "", "request-line", 400},
    {"PRI / HTTP/1.1\r\n" HOST "\r\n", NULL, "", "http2-preface", 505},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", NULL, "", "version-unknown", 505},
    {"GET / HTTP/1.2\r\n" HOST "\r\n", NULL, "", "version-unknown", 505},
    {"GET / HTTP/0.9\r\n" HOST "\r\n", NULL, "", "version-unknown", 505},
    {"GET / http/1.1\r\n" HOST "\r\n", NULL, "", "request-line", 400},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NULL, "", "http2-preface", 505},
    {"GET  / HTTP/1.1\r\n" HOST "\r\n", NULL, "", "request-line", 400},
    {"GET /  HTTP/1.1\r\n" HOST "\r\n", NULL, "", "request-line", 400},
    {"GET /a\tb HTTP/1.1\r\n" HOST "\r\n", NULL, "", "target-character", 400},
    {"GET /\xc3\xa9\x01 HTTP/1.1\r\n" HOST "\r\n", NULL, "", "target-character", 400},
    {"GET /a#b HTTP/1.1\r\n" HOST "\r\n", NULL, "", "target-fragment", 400},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", NULL, "", "target-form", 400},
    {"CONNECT a HTTP/1.1\r\n" HOST "\r\n", NULL, "", "connect-target", 400},
    {"CONNECT a: HTTP/1.1\r\n" HOST "\r\n", NULL, "", "connect-target", 400},
    {"CONNECT /a HTTP/1.1\r\n" HOST "\r\n", NULL, "", "connect-target", 400},
    {"CONNECT [::1] HTTP/1.1\r\n" HOST "\r\n", NULL, "", "connect-target", 400},
    {"CONNECT a:65536 HTTP/1.1\r\n" HOST "\r\n", NULL, "", "connect-target", 400},
    {"GET https://a/ HTTP/1.1\r\n" HOST "\r\n", NULL, "", "target-scheme", 400},
    {"GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n", NULL, "", "host-invalid", 400},
    {"GET http:///x HTTP/1.1\r\n" HOST "\r\n", NULL, "", "host-invalid", 400},
    {"GET /", kilobytes_8, " HTTP/1.1\r\n" HOST "\r\n", "target-too-long", 414},
    /* lines */
    {"GET / HTTP/1.1\n" HOST "\r\n", NULL, "", "line-end", 400},
    {"GET / HTTP/1.1\r\nHost: a\n\r\n", NULL, "", "line-end", 400},
    {GET "A: a\rb\r\n\r\n", NULL, "", "bare-cr", 400},
    {GET "A: a\r\r\n\r\n", NULL, "", "bare-cr", 400},
    {GET "A: a\r\n b\r\n\r\n", NULL, "", "obs-fold", 400},
    {GET "A: a\r\n\tb\r\n\r\n", NULL, "", "obs-fold", 400},
    /* fields */
    {GET "A : a\r\n\r\n", NULL, "", "header-character", 400},
    {GET "A\t: a\r\n\r\n", NULL, "", "header-character", 400},
    {GET "A b: a\r\n\r\n", NULL, "", "header-character", 400},
    {GET ": a\r\n\r\n", NULL, "", "header-character", 400},
    {GET "A\r\n\r\n", NULL, "", "header-character", 400},
    {GET "A: a\001\r\n\r\n", NULL, "", "header-character", 400},
    {GET "A: a\177\r\n\r\n", NULL, "", "header-character", 400},
    {GET "\xc3\xa9: a\r\n\r\n", NULL, "", "header-character", 400},
    {GET, fields_21, "\r\n", "too-many-headers", 431},
    {GET "A: ", kilobytes_8, "\r\n\r\n", "head-too-large", 431},
    /* Host */
    {"GET / HTTP/1.1\r\n\r\n", NULL, "", "host-missing", 400},
    {GET HOST "\r\n", NULL, "", "host-repeated", 400},
    {"GET http://b/ HTTP/1.1\r\n\r\n", NULL, "", "host-missing", 400},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", NULL, "", "host-invalid", 400},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", NULL, "", "host-invalid", 400},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", NULL, "", "host-invalid", 400},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", NULL, "", "host-invalid", 400},
    {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", NULL, "", "host-invalid", 400},
    {"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", NULL, "", "host-invalid", 400},
    {"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", NULL, "", "host-invalid", 400},
    {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", NULL, "", "host-invalid", 400},
    {"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", NULL, "", "host-invalid", 400},
    /* Content-Length */
    {POST LEN("+5") "\r\n", NULL, "", "content-length-invalid", 400},
    {POST LEN("-5") "\r\n", NULL, "", "content-length-invalid", 400},
    {POST LEN("0x5") "\r\n", NULL, "", "content-length-invalid", 400},
    {POST LEN("5 5") "\r\n", NULL, "", "content-length-invalid", 400},
    {POST LEN("5\t5") "\r\n", NULL, "", "content-length-invalid", 400},
    {POST LEN("5\t") LEN("5\t") "\r\n", NULL, "", "content-length-repeated", 400},
    {POST LEN("5\t") TE("chunked\t") "\r\n", NULL, "", "content-length-with-transfer-encoding",
     400},
    {POST LEN("5,5") "\r\n", NULL, "", "content-length-invalid", 400},
    {POST LEN("") "\r\n", NULL, "", "content-length-invalid", 400},
    {POST LEN("18446744073709551616") "\r\n", NULL, "", "content-length-invalid", 400},
    {POST LEN("5") LEN("5") "\r\n", NULL, "", "content-length-repeated", 400},
    {POST LEN("5") LEN("6") "\r\n", NULL, "", "content-length-repeated", 400},
    {POST LEN("5") TE("chunked") "\r\n", NULL, "", "content-length-with-transfer-encoding", 400},
    {POST TE("chunked") LEN("5") "\r\n", NULL, "", "content-length-with-transfer-encoding", 400},
    /* Transfer-Encoding */
    {POST TE("gzip") "\r\n", NULL, "", "transfer-encoding-unknown", 501},
    {POST TE("identity") "\r\n", NULL, "", "transfer-encoding-unknown", 501},
    {POST TE("gzip\t") "\r\n", NULL, "", "transfer-encoding-unknown", 501},
    {POST TE("chunked\tx") "\r\n", NULL, "", "transfer-encoding-unknown", 501},
    {POST TE("chunked\t\v") "\r\n", NULL, "", "header-character", 400},
    {POST TE("chunked, gzip") "\r\n", NULL, "", "transfer-encoding-invalid", 400},
    {POST TE("gzip, chunked") "\r\n", NULL, "", "transfer-encoding-unknown", 501},
    {POST TE("chunked") TE("chunked") "\r\n", NULL, "", "transfer-encoding-invalid", 400},
    {"POST / HTTP/1.0\r\n" TE("chunked") "\r\n", NULL, "", "transfer-encoding-in-http-1.0", 400},
    /* chunks */
    {CHUNKED "g\r\n", NULL, "", "chunk-size", 400},
    {CHUNKED "-1\r\n", NULL, "", "chunk-size", 400},
    {CHUNKED "1 \r\n", NULL, "", "chunk-size", 400},
    {CHUNKED "0x1\r\n", NULL, "", "chunk-size", 400},
    {CHUNKED "10000000000000000\r\n", NULL, "", "chunk-size", 400},
    {CHUNKED "1\na\r\n", NULL, "", "line-end", 400},
    {CHUNKED "1\r\naX\r\n", NULL, "", "chunk-end", 400},
    {CHUNKED "1\r\na\n", NULL, "", "line-end", 400},
    {CHUNKED "1;", kilobytes_8, "\r\na\r\n", "chunk-extension-too-long", 400},
    {CHUNKED "0\r\nt: ", kilobytes_8, "\r\n\r\n", "trailers-too-large", 431},
    {CHUNKED "0\r\n", trailers_21, "\r\n", "trailers-too-large", 431},
    {CHUNKED "0\r\nt : u\r\n\r\n", NULL, "", "header-character", 400},
    {CHUNKED "0\r\nContent-Length: 3\r\n\r\n", NULL, "", "content-length-with-transfer-encoding",
     400},
};

static size_t input_of(int row, char *out)
{
    const char *part = refusals[row].long_part;

    return (size_t)sprintf(out, "%s%s%s", refusals[row].head, part ? part : "", refusals[row].tail);
}

static void check_refused(struct story *t, int row)
{
    char *line;

    buffer_add_char(&t->text, '\0');
    line = strstr(t->text.p, "refused ");
    ck_assert_msg(line != NULL, "not refused: %s", t->text.p);
    line[strcspn(line, ":")] = '\0';
    ck_assert_msg(strncmp(line + 8, refusals[row].rule, strlen(refusals[row].rule)) == 0 &&
                      line[8 + strlen(refusals[row].rule)] == ' ',
                  "row %d is refused by another rule than %s: %s", row, refusals[row].rule, line);
    ck_assert_uint_eq(t->refused, refusals[row].status);
    ck_assert(t->gone);
}

START_TEST(what_could_be_read_in_two_ways_is_refused_by_its_rule)
{
    static char input[3 * 8192];
    struct story t;
    size_t n = input_of(_i, input);

    story_begin(&t, worker, true);
    story_say_bytes(&t, input, n);
    check_refused(&t, _i);
    story_end(&t);
}
END_TEST

START_TEST(the_rule_does_not_depend_on_how_the_bytes_came)
{
    static char input[3 * 8192];
    struct story t;
    size_t n = input_of(_i, input);

    story_begin(&t, worker, true);
    story_trickle(&t, input, n);
    check_refused(&t, _i);
    story_end(&t);
}
END_TEST

START_TEST(a_nul_is_refused_wherever_it_stands)
{
    static const char input[] = "GET /a HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n";

    for (size_t i = 0; i < sizeof input - 1; i++) {
        char copy[sizeof input];
        struct story t;

        memcpy(copy, input, sizeof input);
        copy[i] = '\0';
        story_begin(&t, worker, true);
        story_say_bytes(&t, copy, sizeof input - 1);
        ck_assert_msg(t.refused >= 400, "with a NUL for byte %zu", i);
        story_end(&t);
    }
}
END_TEST

START_TEST(what_was_understood_of_a_refused_request_is_told)
{
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "PUT /a/b?c HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n");
    ck_told(&t, "refused header-character 400: PUT /a/b\n");
    story_end(&t);
}
END_TEST

int main(void)
{
    TCase *t = stage();

    tcase_add_checked_fixture(t, fill_long_parts, NULL);
    LOOP(t, what_could_be_read_in_two_ways_is_refused_by_its_rule, refusals);
    LOOP(t, the_rule_does_not_depend_on_how_the_bytes_came, refusals);
    tcase_add_test(t, a_nul_is_refused_wherever_it_stands);
    tcase_add_test(t, what_was_understood_of_a_refused_request_is_told);
    return stage_run("http1_refused", t);
}
