/*
 * The first line of a request: METHOD SP TARGET SP HTTP/1.x CR LF (RFC 9112
 * section 3), read byte by byte as it comes, so that what cannot become one is
 * refused at once. It is read here and not by llhttp, which has a list of
 * methods: any token is one (RFC 9110 section 9.1). What follows, the fields, is
 * read by a copy of a parser that has read a line of the same meaning.
 */
#include <stdlib.h>

#include "base/octets.h"
#include "proxy/http1_private.h"

enum line_state { LINE_METHOD, LINE_TARGET, LINE_VERSION, LINE_WHOLE };

/* Where each character of the version stands; 'd' is a digit. */
static const char version_form[] = "HTTP/d.d\r\n";

static const struct refusal method_token = {
    "method-invalid", 400, "the request line begins with a method, a token, and one space"};
static const struct refusal preface = {"http2-preface", 505, "send HTTP/1.1"};

void http1_line_start(struct http1_head *head)
{
    head->line = LINE_METHOD;
    head->version = head->version_at = 0;
    head->method_end = 0;
}

bool http1_line_whole(const struct http1_head *head)
{
    return head->line == LINE_WHOLE;
}

/* The one behind the method. */
static const struct refusal *method_byte(struct http1_head *head, uint32_t at, char c)
{
    if (c != ' ' || at == 0)
        return &method_token;
    head->method_end = at;
    head->url = head->url_end = at + 1;
    head->line = LINE_TARGET;
    return NULL;
}

/* The one behind the target. */
static const struct refusal *target_byte(struct http1_head *head, char c)
{
    /* No target, or no version. */
    if (c == '\r' || c == '\n' || (c == ' ' && head->url_end == head->url))
        return &refusal_request_line;
    if (c != ' ')
        return &refusal_target_character;
    head->line = LINE_VERSION;
    return NULL;
}

static const struct refusal *version_byte(struct http1_head *head, char c)
{
    char form = version_form[head->version_at++];

    if (form == 'd') {
        if (c < '0' || c > '9')
            return &refusal_request_line;
        head->version = (uint8_t)(head->version * 10 + (c - '0'));
        return NULL;
    }
    if (form == '\r' && c == '\n')
        return &refusal_line_end;
    if (form == '\n' && c != '\n')
        return &refusal_bare_cr;
    if (c != form)
        return &refusal_request_line;
    if (c == '\n')
        head->line = LINE_WHOLE;
    return NULL;
}

static const struct refusal *check_version(const struct http1_head *head)
{
    static const char pri[] = {'P', 'R', 'I'};

    if (head->method_end == sizeof pri && memcmp(head->origin, pri, sizeof pri) == 0)
        return &preface; /* RFC 9113 section 3.4: no method of HTTP/1 */
    return head->version == 10 || head->version == 11 ? NULL : &refusal_version;
}

/* Lines for llhttp of which it makes the same as of those that come: CONNECT and HEAD are all it
 * treats in ways of their own. */
enum stand_in { STAND_IN_ANY, STAND_IN_HEAD, STAND_IN_CONNECT, STAND_IN_COUNT };
static const struct str stand_ins[STAND_IN_COUNT][2] = {
    [STAND_IN_ANY] = {STR_INIT("POST / HTTP/1.0\r\n"), STR_INIT("POST / HTTP/1.1\r\n")},
    [STAND_IN_HEAD] = {STR_INIT("HEAD / HTTP/1.0\r\n"), STR_INIT("HEAD / HTTP/1.1\r\n")},
    [STAND_IN_CONNECT] = {STR_INIT("CONNECT a:1 HTTP/1.0\r\n"),
                          STR_INIT("CONNECT a:1 HTTP/1.1\r\n")},
};

/* Parsers that have read them, in the order of the lines. */
static llhttp_t readers[STAND_IN_COUNT][2];

/* Before main(): they are read by every worker and never change. */
__attribute__((constructor)) static void make_readers(void)
{
    for (size_t i = 0; i < STAND_IN_COUNT; i++)
        for (size_t k = 0; k < 2; k++) {
            llhttp_init(&readers[i][k], HTTP_REQUEST, http1_settings());
            if (llhttp_execute(&readers[i][k], stand_ins[i][k].p, stand_ins[i][k].n) != HPE_OK)
                abort();
        }
}

static const llhttp_t *reader_of(const struct http1_head *head)
{
    struct str method = str_of(head->origin, head->method_end);
    enum stand_in i = str_eq(method, STR("HEAD"))      ? STAND_IN_HEAD
                      : str_eq(method, STR("CONNECT")) ? STAND_IN_CONNECT
                                                       : STAND_IN_ANY;

    return &readers[i][head->version == 11];
}

/* A parser that has read such a line is a copy of one that did. */
void http1_line_tell(struct http1 *h)
{
    h->parser = *reader_of(h->head);
    h->parser.data = h;
}

/* How many bytes at the front may stand in a target: no space, no control character. Those above
 * 0x7f are encoded later, target_encode(). */
static size_t target_run(const char *p, size_t n)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        uint64_t x = octets_load(p + i),
                 end = octets_not_visible(x & OCTETS(0x7f)) & ~x & OCTETS(0x80);

        if (end)
            return i + (size_t)__builtin_ctzll(end) / 8;
    }
    while (i < n && (unsigned char)p[i] > ' ' && p[i] != 0x7f)
        i++;
    return i;
}

/* Reads the characters of the method or the target from p[i] on, which is most of the line. Returns
 * the index of the first that is none of them, or n. */
static size_t run_of(struct http1_head *head, const char *p, size_t i, size_t n)
{
    size_t from = i;

    if (head->line == LINE_METHOD)
        while (i < n && field_name_char((unsigned char)p[i]))
            i++;
    else if (head->line == LINE_TARGET)
        i += target_run(p + i, n - i);
    if (head->line == LINE_TARGET && i > from)
        head->url_end = (uint32_t)(p + i - head->origin);
    return i;
}

/* The usual end of the line in one look. True: the line is whole. */
static bool usual_version(struct http1_head *head, const char *p, size_t n)
{
    static const char before[] = "HTTP/1.", behind[] = "\r\n";
    const size_t digit = sizeof before - 1;

    if (n < digit + 3 || head->version_at || memcmp(p, before, digit) != 0 ||
        (p[digit] != '0' && p[digit] != '1') || memcmp(p + digit + 1, behind, 2) != 0)
        return false;
    head->version = (uint8_t)(10 + (p[digit] - '0'));
    head->line = LINE_WHOLE;
    return true;
}

static const struct refusal *byte_of(struct http1_head *head, uint32_t at, char c)
{
    if (head->line == LINE_METHOD)
        return method_byte(head, at, c);
    if (head->line == LINE_TARGET)
        return target_byte(head, c);
    return version_byte(head, c);
}

size_t http1_line_read(struct http1 *h, const char *p, size_t n)
{
    const struct limits *limits = h->shared->limits;
    struct http1_head *head = h->head;
    const struct refusal *why = NULL;
    size_t i = 0;

    while (i < n && !why && head->line != LINE_WHOLE) {
        i = run_of(head, p, i, n);
        if (head->line == LINE_VERSION && usual_version(head, p + i, n - i)) {
            i += sizeof version_form - 1;
        } else if (i < n) {
            why = byte_of(head, (uint32_t)(p + i - head->origin), p[i]);
            i++;
        }
        if (!why && (head->url_end - head->url > limits->url_bytes ||
                     (size_t)(p + i - head->origin) > limits->header_bytes + 1))
            why = &refusal_url;
    }
    head->bytes = head->url_end;
    if (!why && head->line == LINE_WHOLE && !(why = check_version(head)))
        http1_line_tell(h);
    h->refusal = why;
    return i;
}
