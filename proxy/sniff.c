#include "proxy/sniff.h"

#include <stdbool.h>

/* ---- TLS ---- */

enum {
    TLS_HANDSHAKE = 22,
    TLS_CLIENT_HELLO = 1,
    TLS_RECORD_HEAD = 5,
    TLS_RECORD_MAX = 16384,
    EXTENSION_SERVER_NAME = 0,
    NAME_TYPE_HOST = 0,
    HOST_NAME_MAX_BYTES = 255,
};

static uint8_t byte_at(struct str s, size_t i)
{
    return (uint8_t)s.p[i];
}

/* A handshake record (RFC 8446 section 5.1) that begins at `at`; as far as it is there. */
static enum sniffed sniff_record(struct str s, size_t at)
{
    for (size_t i = at; i < s.n && i < at + TLS_RECORD_HEAD; i++) {
        uint8_t b = byte_at(s, i);
        bool fits = true;
        if (i == at)
            fits = b == TLS_HANDSHAKE;
        else if (i == at + 1)
            fits = b == 3;
        else if (i == at + 2)
            fits = b <= 4;
        else if (i == at + 3)
            fits = b <= TLS_RECORD_MAX >> 8;
        else
            fits = b > 0 || byte_at(s, i - 1) > 0;
        if (!fits)
            return SNIFF_OTHER;
    }
    return s.n - at < TLS_RECORD_HEAD ? SNIFF_MORE : SNIFF_TLS;
}

static enum sniffed sniff_tls(struct str s)
{
    enum sniffed record = sniff_record(s, 0);

    if (record != SNIFF_TLS)
        return record;
    if (s.n == TLS_RECORD_HEAD)
        return SNIFF_MORE;
    return byte_at(s, TLS_RECORD_HEAD) == TLS_CLIENT_HELLO ? SNIFF_TLS : SNIFF_OTHER;
}

/* ---- HTTP/1 ---- */

/* An empty line before the request is skipped (RFC 9112 section 2.2), and more of them, but not
 * without end. */
enum { EMPTY_LINES_MAX = 8 };

/* Methods that are known before their line is whole, when a path follows them. Not the lower-case
 * ones: memcached says "get /a". */
static const struct str methods[] = {
    STR_INIT("GET"),     STR_INIT("HEAD"),     STR_INIT("POST"),       STR_INIT("PUT"),
    STR_INIT("DELETE"),  STR_INIT("PATCH"),    STR_INIT("OPTIONS"),    STR_INIT("TRACE"),
    STR_INIT("CONNECT"), STR_INIT("PROPFIND"), STR_INIT("PROPPATCH"),  STR_INIT("MKCOL"),
    STR_INIT("COPY"),    STR_INIT("MOVE"),     STR_INIT("LOCK"),       STR_INIT("UNLOCK"),
    STR_INIT("REPORT"),  STR_INIT("SEARCH"),   STR_INIT("MKCALENDAR"),
};
enum { METHODS = sizeof(methods) / sizeof(methods[0]) };

/* What follows a method where it is meant as one. */
static const struct str targets[] = {STR_INIT("/"), STR_INIT("http://"), STR_INIT("https://")};
enum { TARGETS = sizeof(targets) / sizeof(targets[0]) };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What a lenient origin may take for a space (RFC 9112 section 3): such a request is to be refused,
 * not to be passed through as something else. */
static bool is_gap(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static bool is_control(char c)
{
    return (uint8_t)c < 0x20 || c == 0x7f;
}

/* Whether one is the beginning of the other; case does not matter. */
static bool begin_alike(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;

    return str_eq_nocase(str_slice(a, 0, n), str_slice(b, 0, n));
}

/* What follows a method and a gap. */
static enum sniffed sniff_target(struct str s)
{
    size_t i = 0;

    while (i < s.n && is_gap(s.p[i]))
        i++;
    for (size_t k = 0; k < TARGETS; k++)
        if (begin_alike(str_slice(s, i, s.n), targets[k]))
            return s.n - i >= targets[k].n ? SNIFF_HTTP1 : SNIFF_MORE;
    return SNIFF_OTHER;
}

/* A method before a path, or what may become one. */
static enum sniffed sniff_method(struct str s)
{
    for (size_t i = 0; i < METHODS; i++) {
        if (s.n <= methods[i].n ? str_starts(methods[i], s)
                                : str_starts(s, methods[i]) && is_gap(s.p[methods[i].n]))
            return s.n <= methods[i].n ? SNIFF_MORE
                                       : sniff_target(str_slice(s, methods[i].n + 1, s.n));
    }
    return SNIFF_OTHER;
}

/* "HTTP/", digits and dots from there on. What stands in quotes is quoted: a line of a log. */
static enum sniffed sniff_version_at(struct str s)
{
    static const struct str name = STR_INIT("HTTP/");
    size_t i = name.n;

    if (!begin_alike(s, name))
        return SNIFF_OTHER;
    if (s.n <= i)
        return SNIFF_MORE;
    if (!is_digit(s.p[i]))
        return SNIFF_OTHER;
    while (i < s.n && (is_digit(s.p[i]) || s.p[i] == '.'))
        i++;
    if (i == s.n)
        return SNIFF_MORE;
    return s.p[i] == '"' || s.p[i] == '\\' ? SNIFF_OTHER : SNIFF_HTTP1;
}

/* Looks for a gap and a version in a first line, as far as it came. */
static enum sniffed sniff_line(struct str s)
{
    bool text = (s.p[0] & 0x80) == 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n')
            return SNIFF_OTHER;
        text &= !is_control(s.p[i]) || is_gap(s.p[i]);
        if ((is_gap(s.p[i]) || is_control(s.p[i])) &&
            sniff_version_at(str_slice(s, i + 1, s.n)) == SNIFF_HTTP1)
            return SNIFF_HTTP1;
    }
    return text ? SNIFF_MORE : SNIFF_OTHER; /* who sends no text is not made to wait */
}

/* ---- all ---- */

/* True: what is left, which may be nothing, or a lone CR. */
static bool skip_empty_lines(struct str *s)
{
    for (size_t lines = 0; s->n; lines++) {
        size_t end = s->p[0] == '\r' && s->n > 1 ? 1 : 0;

        if (s->p[end] != '\n')
            return true;
        if (lines == EMPTY_LINES_MAX)
            return false;
        *s = str_slice(*s, end + 1, s->n);
    }
    return true;
}

static const struct str preface = STR_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

static enum sniffed sniff_text(struct str s)
{
    enum sniffed found;

    if (str_starts(s, preface))
        return SNIFF_HTTP2;
    if (str_starts(preface, s))
        return SNIFF_MORE;
    if (!skip_empty_lines(&s))
        return SNIFF_OTHER;
    if (s.n == 0)
        return SNIFF_MORE;
    found = sniff_method(s);
    return found == SNIFF_HTTP1 ? SNIFF_HTTP1 : sniff_line(s);
}

enum sniffed sniff(struct str first)
{
    enum sniffed found = SNIFF_MORE;

    if (first.n > 0 && byte_at(first, 0) == TLS_HANDSHAKE)
        found = sniff_tls(first);
    if (first.n > 0 && (byte_at(first, 0) != TLS_HANDSHAKE || found == SNIFF_OTHER))
        found = sniff_text(first);
    if (found == SNIFF_MORE && first.n > SNIFF_BYTES_MAX)
        return SNIFF_OTHER;
    return found;
}

bool sniff_begins_http(struct str first)
{
    if (first.n && str_starts(preface, first))
        return true;
    return skip_empty_lines(&first) && first.n > 0 && sniff_method(first) == SNIFF_MORE;
}

bool sniff_http2_server(struct str first)
{
    enum { FRAME_HEAD = 9, SETTINGS = 4, ENTRY = 6 };
    size_t length;

    if (first.n < FRAME_HEAD || byte_at(first, 3) != SETTINGS || byte_at(first, 4))
        return false;
    length = (size_t)byte_at(first, 0) << 16 | (size_t)byte_at(first, 1) << 8 | byte_at(first, 2);
    for (size_t i = 5; i < FRAME_HEAD; i++)
        if (byte_at(first, i))
            return false;
    return length % ENTRY == 0;
}

/* ---- the server's name in a ClientHello ---- */

/* Reads a handshake message across the records it is cut into (RFC 8446 section 5.1). */
struct hello {
    struct str s;
    size_t at;
    size_t record_left;
    bool more; /* the bytes ended before the message did */
    bool bad;
};

static bool failed(const struct hello *h)
{
    return h->more || h->bad;
}

/* Makes sure that a byte of a record can be read. */
static bool hello_byte_there(struct hello *h)
{
    if (failed(h))
        return false;
    if (h->record_left == 0) {
        enum sniffed record = sniff_record(h->s, h->at);
        h->more = record == SNIFF_MORE;
        h->bad = record == SNIFF_OTHER;
        if (failed(h))
            return false;
        h->record_left = (size_t)byte_at(h->s, h->at + 3) << 8 | byte_at(h->s, h->at + 4);
        h->bad = h->record_left > TLS_RECORD_MAX;
        h->at += TLS_RECORD_HEAD;
    }
    h->more = h->at >= h->s.n;
    return !failed(h);
}

static size_t hello_number(struct hello *h, unsigned bytes)
{
    size_t value = 0;

    while (bytes-- > 0 && hello_byte_there(h)) {
        value = value << 8 | byte_at(h->s, h->at++);
        h->record_left--;
    }
    return failed(h) ? 0 : value;
}

static void hello_skip(struct hello *h, size_t n)
{
    while (n > 0 && hello_byte_there(h)) {
        size_t step = n < h->record_left ? n : h->record_left;
        if (step > h->s.n - h->at)
            step = h->s.n - h->at;
        h->at += step;
        h->record_left -= step;
        n -= step;
    }
}

/* A number of `bytes` bytes, and as many bytes as it says. */
static void hello_skip_vector(struct hello *h, unsigned bytes)
{
    hello_skip(h, hello_number(h, bytes));
}

static bool is_host_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        if (!letter && !is_digit(c) && c != '-' && c != '_' && c != '.')
            return false;
    }
    return s.n > 0 && s.n <= HOST_NAME_MAX_BYTES;
}

/* n bytes in one piece; a name that is cut by the border of two records is not had. */
static struct str hello_text(struct hello *h, size_t n)
{
    struct str none = {NULL, 0}, text;

    if (n == 0 || !hello_byte_there(h) || h->record_left < n)
        return none;
    if (h->s.n - h->at < n) {
        h->more = true;
        return none;
    }
    text = str_slice(h->s, h->at, h->at + n);
    return is_host_name(text) ? text : none;
}

/* ServerNameList of RFC 6066 section 3. There is at most one of each type. */
static struct str hello_server_name(struct hello *h)
{
    size_t left = hello_number(h, 2);

    while (left > 3 && !failed(h)) {
        size_t type = hello_number(h, 1), n = hello_number(h, 2);
        if (failed(h) || n > left - 3)
            break;
        if (type == NAME_TYPE_HOST)
            return hello_text(h, n);
        hello_skip(h, n);
        left -= 3 + n;
    }
    return (struct str){NULL, 0};
}

static struct str hello_extensions(struct hello *h)
{
    size_t left = hello_number(h, 2);

    while (left >= 4 && !failed(h)) {
        size_t type = hello_number(h, 2), n = hello_number(h, 2);
        if (failed(h) || n > left - 4)
            break;
        if (type == EXTENSION_SERVER_NAME)
            return hello_server_name(h);
        hello_skip(h, n);
        left -= 4 + n;
    }
    return (struct str){NULL, 0};
}

struct str sniff_sni(struct str first, bool *more)
{
    struct hello h = {.s = first};
    struct str name = {NULL, 0};

    /* RFC 8446 section 4.1.2: type and length, version and random, session id, cipher suites,
     * compression methods, extensions. */
    if (hello_number(&h, 1) == TLS_CLIENT_HELLO) {
        hello_skip(&h, 3 + 2 + 32);
        hello_skip_vector(&h, 1);
        hello_skip_vector(&h, 2);
        hello_skip_vector(&h, 1);
        name = hello_extensions(&h);
    }
    *more = h.more && !name.p && first.n <= SNIFF_BYTES_MAX;
    return name;
}
