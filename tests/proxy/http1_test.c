#include "http1_story.h"

#include <stdio.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct worker *worker;
static char kilobytes_8[8192 + 1], fields_21[21 * 6 + 1], trailers_21[21 * 6 + 1];

static void set_up(void)
{
    worker = stepped_worker_of(HTTP1_CONF);
    memset(kilobytes_8, 'x', sizeof kilobytes_8 - 1);
    for (int i = 0; i < 21; i++) {
        memcpy(fields_21 + i * 6, "a: b\r\n", 6);
        memcpy(trailers_21 + i * 6, "t: u\r\n", 6);
    }
}

static void tear_down(void)
{
    worker_free(worker);
}

/* ---- what is refused ---- */

#define HOST     "Host: a\r\n"
#define GET      "GET / HTTP/1.1\r\n" HOST
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

/* ---- requests ---- */

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

/* ---- responses ---- */

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

/* ---- what is written ---- */

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

/* ---- the end of a connection ---- */

START_TEST(the_last_response_of_a_connection_says_so)
{
    struct worker *few =
        stepped_worker_of("inbound { listen 127.0.0.1:0; } limits { requests-per-connection 2; }");
    struct story t;

    story_begin(&t, few, true);
    t.answers = true;
    story_say(&t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 OK\r\n\r\n");
    story_say(&t, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    ck_assert(t.gone);
    story_end(&t);
    worker_free(few);
}
END_TEST

START_TEST(a_drain_ends_a_connection_with_its_response)
{
    struct story t;

    story_begin(&t, worker, true);
    story_say(&t, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
    t.leaves = true;
    loop_begin_turn(&worker->loop);
    story_answer(&t, 200);
    loop_end_turn(&worker->loop);
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    ck_assert(t.gone);
    story_end(&t);
}
END_TEST

START_TEST(a_drain_closes_an_idle_connection_but_not_a_request_that_is_there)
{
    static const struct {
        const char *there, *heard;
    } rows[] = {
        {"", ""},
        {"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
    };
    struct story t;

    story_begin(&t, worker, true);
    t.answers = true;
    if (*rows[_i].there)
        ck_assert_int_gt(send(t.peer, rows[_i].there, strlen(rows[_i].there), 0), 0);
    t.leaves = true;
    loop_begin_turn(&worker->loop);
    http1_drain(t.h);
    loop_end_turn(&worker->loop);
    ck_assert(t.gone);
    ck_assert_str_eq(story_heard(&t), rows[_i].heard);
    story_end(&t);
}
END_TEST

/* ---- a client that hangs up ---- */

static struct worker *worker_with_half_closed(const char *time)
{
    char conf[512];

    snprintf(conf, sizeof conf, HTTP1_CONF "timeouts { half-closed %s; }\n", time);
    return stepped_worker_of(conf);
}

static bool told(struct story *t, const char *text)
{
    return t->text.n >= strlen(text) &&
           memcmp(t->text.p + t->text.n - strlen(text), text, strlen(text)) == 0;
}

#define HUNG_UP "failed client_closed\n"

START_TEST(a_client_that_hung_up_is_waited_for_so_long)
{
    struct worker *w = worker_with_half_closed("30ms");
    struct story t;
    nsec_t from = clock_monotonic();

    story_begin(&t, w, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(t.peer, SHUT_WR);
    RUN_UNTIL(w, told(&t, HUNG_UP));
    ck_assert_int_ge(clock_monotonic() - from, MILLISECONDS(30));
    ck_assert(t.gone);
    story_end(&t);
    worker_free(w);
}
END_TEST

START_TEST(at_half_closed_0_its_end_is_the_clients)
{
    struct worker *w = worker_with_half_closed("0s");
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(t.peer, SHUT_WR);
    RUN_UNTIL(w, told(&t, HUNG_UP));
    ck_assert(t.gone);
    story_end(&t);
    worker_free(w);
}
END_TEST

/* Whoever is there still takes bytes: one that is gone would have reset the connection. */
START_TEST(a_half_closed_client_is_answered_as_long_as_something_goes_to_it)
{
    struct worker *w = worker_with_half_closed("200ms");
    struct message m = {.status = 200, .body = BODY_LENGTH, .length = 10, .version = 11};
    struct story t;
    nsec_t from = clock_monotonic();

    story_begin(&t, w, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(t.peer, SHUT_WR);
    loop_begin_turn(&w->loop);
    t.stream->codec->send_head(t.stream, &m, false);
    loop_end_turn(&w->loop);
    for (int i = 0; i < 10; i++) {
        nsec_t until = clock_monotonic() + MILLISECONDS(50);

        while (clock_monotonic() < until) {
            usleep(1000);
            loop_begin_turn(&w->loop); /* the load of the machine is not the client's silence */
            loop_end_turn(&w->loop);
        }
        loop_begin_turn(&w->loop);
        t.stream->codec->send_body(t.stream, STR("x"));
        loop_end_turn(&w->loop);
        worker_step(w);
        ck_assert(!told(&t, HUNG_UP));
    }
    ck_assert_int_ge(clock_monotonic() - from, MILLISECONDS(400));
    RUN_UNTIL(w, told(&t, HUNG_UP));
    story_end(&t);
    worker_free(w);
}
END_TEST

START_TEST(a_client_that_hung_up_while_it_was_not_read_is_noticed)
{
    struct worker *w = worker_with_half_closed(_i == 0 ? "30ms" : "0s");
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    loop_begin_turn(&w->loop);
    t.stream->codec->pause(t.stream, true);
    loop_end_turn(&w->loop);
    ck_assert_int_eq(send(t.peer, "def", 3, 0), 3);
    close(t.peer);
    RUN_UNTIL(w, told(&t, HUNG_UP));
    ck_assert(t.gone);
    t.peer = dup(1); /* closed by story_end() */
    story_end(&t);
    worker_free(w);
}
END_TEST

/* Its FIN comes while it is not read, and little before it would be looked for anyway. */
START_TEST(the_time_of_a_client_that_is_not_read_begins_with_its_fin)
{
    struct worker *w = worker_with_half_closed("300ms");
    nsec_t begun = clock_monotonic(), hung_up;
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc");
    loop_begin_turn(&w->loop);
    t.stream->codec->pause(t.stream, true);
    loop_end_turn(&w->loop);
    while (clock_monotonic() < begun + MILLISECONDS(250)) {
        usleep(1000);
        worker_step(w);
    }
    hung_up = clock_monotonic();
    shutdown(t.peer, SHUT_WR);
    RUN_UNTIL(w, told(&t, HUNG_UP));
    ck_assert_int_ge(clock_monotonic() - hung_up, MILLISECONDS(300));
    ck_assert(t.gone);
    story_end(&t);
    worker_free(w);
}
END_TEST

/* What stands before its FIN is another request, which waits until the first is answered. */
START_TEST(the_end_of_a_client_is_seen_behind_what_it_asked_meanwhile)
{
    struct worker *w = worker_with_half_closed("30ms");
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    shutdown(t.peer, SHUT_WR);
    RUN_UNTIL(w, told(&t, HUNG_UP));
    ck_assert(t.gone);
    story_end(&t);
    worker_free(w);
}
END_TEST

/* The FIN is read behind a body that was held back: that body says nothing of the client now. */
START_TEST(what_was_held_back_gives_a_client_that_hung_up_no_more_time)
{
    struct worker *w = worker_with_half_closed("400ms");
    nsec_t begun = clock_monotonic();
    struct story t;

    story_begin(&t, w, true);
    story_say(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    loop_begin_turn(&w->loop);
    t.stream->codec->pause(t.stream, true);
    loop_end_turn(&w->loop);
    ck_assert_int_eq(send(t.peer, "def", 3, 0), 3);
    shutdown(t.peer, SHUT_WR);
    while (clock_monotonic() < begun + MILLISECONDS(300)) {
        usleep(1000);
        worker_step(w);
    }
    ck_assert(!told(&t, HUNG_UP));
    nsec_t read = clock_monotonic();
    loop_begin_turn(&w->loop);
    t.stream->codec->pause(t.stream, false);
    loop_end_turn(&w->loop);
    RUN_UNTIL(w, told(&t, HUNG_UP));
    ck_assert_int_ge(clock_monotonic() - begun, MILLISECONDS(400));
    ck_assert_int_lt(clock_monotonic() - read, MILLISECONDS(400));
    story_end(&t);
    worker_free(w);
}
END_TEST

START_TEST(who_still_sends_can_read_the_answer)
{
    static char body[100000];
    struct story t;

    memset(body, 'b', sizeof body);
    story_begin(&t, worker, true);
    story_say(&t, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    loop_begin_turn(&worker->loop);
    story_answer(&t, 413);
    loop_end_turn(&worker->loop);
    ck_assert(t.gone);
    ck_assert_uint_eq(worker->loop.conns.n_lingering, 1);
    for (int i = 0; i < 2; i++) { /* it is read, and thrown away */
        ck_assert_int_gt(send(t.peer, body, sizeof body, MSG_NOSIGNAL), 0);
        worker_step(worker);
    }
    ck_assert_str_eq(story_heard(&t), "HTTP/1.1 413 OK\r\n\r\n");
    shutdown(t.peer, SHUT_WR);
    RUN_UNTIL(worker, worker->loop.conns.n_lingering == 0);
    story_end(&t);
}
END_TEST

START_TEST(a_client_that_resets_amid_its_response_is_noticed)
{
    struct message m = {.status = 200, .body = BODY_LENGTH, .length = 1 << 20};
    static char piece[1 << 16];
    struct story t;
    struct address at;
    int listening = listen_anywhere(&at, 1), fd = connect_to(&at);

    story_begin(&t, worker, true);
    loop_begin_turn(&worker->loop);
    http1_close_gone(t.h);
    close(t.peer);
    t.gone = false;
    t.conn = conn_accepted(&worker->loop, accept4(listening, NULL, NULL, SOCK_NONBLOCK), &at, NULL,
                           NULL);
    t.h = http1_server(t.conn, &story_keeper, &t);
    t.peer = fd;
    loop_end_turn(&worker->loop);
    ck_assert_int_gt(send(fd, GET "\r\n", sizeof GET + 1, 0), 0);
    RUN_UNTIL(worker, t.stream != NULL && t.text.n > 0);
    buffer_reset(&t.text);
    close_with_reset(fd);
    t.peer = -1;
    /* A write meets the reset first; what reading then finds looks like a half-close. */
    loop_begin_turn(&worker->loop);
    t.stream->codec->send_head(t.stream, &m, false);
    conn_flush(t.conn);
    t.stream->codec->send_body(t.stream, str_of(piece, sizeof piece));
    loop_end_turn(&worker->loop);
    RUN_UNTIL(worker, t.gone);
    ck_told(&t, "failed client_closed\n");
    close(listening);
    story_end(&t);
}
END_TEST

/* ---- */

#define LOOP(t, test, table) tcase_add_loop_test(t, test, 0, (int)COUNT(table))

int main(void)
{
    Suite *s = suite_create("http1");
    TCase *t = tcase_create("http1");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    LOOP(t, what_could_be_read_in_two_ways_is_refused_by_its_rule, refusals);
    LOOP(t, the_rule_does_not_depend_on_how_the_bytes_came, refusals);
    tcase_add_test(t, a_nul_is_refused_wherever_it_stands);
    tcase_add_test(t, what_was_understood_of_a_refused_request_is_told);
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
    tcase_add_test(t, a_head_that_is_passed_on_keeps_order_case_and_bytes);
    tcase_add_test(t, runs_of_fields_are_copied_around_those_that_were_changed);
    LOOP(t, framing_and_connection_are_the_codecs, heads);
    tcase_add_test(t, interim_responses_go_before_the_final_one);
    tcase_add_test(t, a_body_goes_out_in_the_chunks_it_is_given);
    tcase_add_test(t, a_request_announces_te_and_upgrade_in_connection);
    tcase_add_test(t, the_last_response_of_a_connection_says_so);
    tcase_add_test(t, a_drain_ends_a_connection_with_its_response);
    tcase_add_test(t, a_client_that_hung_up_is_waited_for_so_long);
    tcase_add_test(t, at_half_closed_0_its_end_is_the_clients);
    tcase_add_test(t, a_half_closed_client_is_answered_as_long_as_something_goes_to_it);
    tcase_add_test(t, the_time_of_a_client_that_is_not_read_begins_with_its_fin);
    tcase_add_test(t, the_end_of_a_client_is_seen_behind_what_it_asked_meanwhile);
    tcase_add_test(t, what_was_held_back_gives_a_client_that_hung_up_no_more_time);
    tcase_add_loop_test(t, a_client_that_hung_up_while_it_was_not_read_is_noticed, 0, 2);
    tcase_add_loop_test(t, a_drain_closes_an_idle_connection_but_not_a_request_that_is_there, 0, 2);
    tcase_add_test(t, who_still_sends_can_read_the_answer);
    tcase_add_test(t, a_client_that_resets_amid_its_response_is_noticed);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
