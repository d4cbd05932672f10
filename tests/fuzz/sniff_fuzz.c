/*
 * The first bytes of a connection: an answer once given holds for whatever
 * follows, a request is seen however it is cut and whatever empty lines stand
 * before it, and a server's name lies within the bytes.
 */
#include "proxy/sniff.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What no request and no word of a protocol of text has: sniff() does not wait for its line. */
static bool is_text(struct str s)
{
    size_t first = 0;

    while (first < s.n && (s.p[first] == '\r' || s.p[first] == '\n'))
        first++;
    if (first < s.n && (s.p[first] & 0x80))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == 0x7f || ((uint8_t)s.p[i] < 0x20 && !memchr("\t\v\f\r\n", s.p[i], 5)))
            return false;
    return true;
}

/* The first line says " HTTP/1.1" and ends there: it is a request for whoever is lenient. */
static bool has_version(struct str s)
{
    static const struct str version = STR_INIT(" HTTP/1.1\r\n");
    size_t end = str_index(s, '\n', 0);

    return end < s.n && end + 1 > version.n &&
           str_eq(str_slice(s, end + 1 - version.n, end + 1), version);
}

/* A request behind two empty lines is one still. */
static void check_empty_lines(struct str s, enum sniffed found)
{
    char *longer = malloc(s.n + 4);

    if (!longer)
        return;
    memcpy(longer, "\r\n\n", 3);
    if (s.n)
        memcpy(longer + 3, s.p, s.n);
    enum sniffed behind = sniff(str_of(longer, s.n + 3));
    if (found == SNIFF_HTTP1 && s.n && s.p[0] != '\r' && s.p[0] != '\n' && behind != SNIFF_HTTP1)
        abort();
    free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size};
    struct str part = str_slice(all, 0, size ? data[size - 1] % size : 0);
    enum sniffed early = sniff(part), late = sniff(all);
    bool early_more, late_more;

    /* Bytes that are no text do not wait for the version that may come behind them. */
    bool shown_late = early == SNIFF_OTHER && late == SNIFF_HTTP1 && !is_text(all);

    if (early != SNIFF_MORE && early != late && !shown_late)
        abort();
    if (early == SNIFF_MORE && late == SNIFF_HTTP1 && sniff_begins_http(all))
        abort(); /* it is not waited for any more */
    if (size < SNIFF_BYTES_MAX && has_version(all) && late != SNIFF_HTTP1 && late != SNIFF_HTTP2 &&
        late != SNIFF_TLS)
        abort();
    check_empty_lines(all, late);
    struct str early_name = sniff_sni(part, &early_more);
    struct str name = sniff_sni(all, &late_more);
    if (!early_more && early_name.p && !str_eq(early_name, name))
        abort();
    if (name.p && (name.n == 0 || name.p < all.p || name.p + name.n > all.p + all.n))
        abort();
    return 0;
}
