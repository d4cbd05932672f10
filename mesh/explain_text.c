#include "mesh/explain_text.h"

#include <stdio.h>

#include "mesh/route.h"

enum { LABEL_WIDTH = 13, QUOTED_BYTES_MAX = 120, VALUES_SHOWN = 3 };

void text_label(struct buffer *out, const char *label)
{
    buffer_printf(out, "%-*s", LABEL_WIDTH, label ? label : "");
}

void text_plain(struct buffer *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == 0x7f)
            buffer_printf(out, "\\x%02x", c);
        else
            buffer_add_char(out, s.p[i]);
    }
}

void text_quoted(struct buffer *out, struct str s)
{
    struct str shown = str_slice(s, 0, QUOTED_BYTES_MAX);
    size_t from = 0;

    buffer_add_char(out, '"');
    while (from < shown.n) {
        size_t quote = str_index(shown, '"', from);
        text_plain(out, str_slice(shown, from, quote));
        if (quote < shown.n)
            buffer_add(out, "\\\"", 2);
        from = quote + 1;
    }
    buffer_add_char(out, '"');
    if (shown.n < s.n)
        buffer_printf(out, "... (%zu bytes)", s.n);
}

/* A number with at most `digits` decimals, trailing zeros left out. */
static void put_number(struct buffer *out, double value, int digits, const char *unit)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "%.*f", digits, value);

    while (n > 0 && digits > 0 && text[n - 1] == '0')
        n--;
    if (n > 0 && text[n - 1] == '.')
        n--;
    buffer_printf(out, "%.*s%s", n, text, unit);
}

void text_duration(struct buffer *out, nsec_t t)
{
    static const struct {
        nsec_t size;
        const char *unit;
    } units[] = {{SECONDS(3600), "h"}, {SECONDS(60), "m"}};

    for (size_t i = 0; i < 2; i++) {
        if (t && t % units[i].size == 0) {
            put_number(out, (double)(t / units[i].size), 0, units[i].unit);
            return;
        }
    }
    if (t == 0 || t >= SECONDS(1))
        put_number(out, (double)t / 1e9, 6, "s");
    else if (t >= MILLISECONDS(1))
        put_number(out, (double)t / 1e6, 3, "ms");
    else
        put_number(out, (double)t / 1e3, 3, "us");
}

void text_place(struct buffer *out, struct place at)
{
    if (at.file && at.line)
        buffer_printf(out, " (%s:%u)", at.file, at.line);
}

void text_share(struct buffer *out, uint64_t value)
{
    put_number(out, (double)value * 100 * 0x1p-64, 6, "%");
}

/* ---- why a match line does not hold ---- */

static void text_values(struct buffer *out, const struct str *values, size_t shown, size_t n)
{
    buffer_printf(out, n == 1 ? "it is " : "none of its %zu values is: ", n);
    for (size_t i = 0; i < shown; i++) {
        if (i)
            buffer_add(out, ", ", 2);
        text_quoted(out, values[i]);
    }
    if (shown < n)
        buffer_add(out, ", ...", 5);
}

static void why_not_header(struct buffer *out, const struct match_rule *m, const struct headers *hs)
{
    struct str values[VALUES_SHOWN];
    size_t n = 0;
    const struct header *h = headers_find_name(hs, m->name);

    for (; h; h = headers_next(hs, h), n++)
        if (n < VALUES_SHOWN)
            values[n] = h->value;
    if (n == 0)
        buffer_printf(out, "the header is absent");
    else
        text_values(out, values, n < VALUES_SHOWN ? n : VALUES_SHOWN, n);
}

static void why_not_query(struct buffer *out, const struct match_rule *m, struct str query)
{
    struct str value = query_value(query, m->name);

    if (!value.p)
        buffer_printf(out, "the query has no %.*s", STR_ARG(m->name));
    else
        text_values(out, &value, 1, 1);
}

void text_why_not(struct buffer *out, const struct match_rule *m, const struct request *r)
{
    char address[ADDRESS_TEXT_MAX];

    switch (m->kind) {
    case MATCH_METHOD:
        buffer_printf(out, "the method is ");
        text_plain(out, r->method);
        break;
    case MATCH_HEADER:
        why_not_header(out, m, r->headers);
        break;
    case MATCH_QUERY:
        why_not_query(out, m, r->query);
        break;
    case MATCH_SOURCE:
        buffer_printf(out, "the caller is ");
        buffer_printf(out, "%.*s", (int)address_format_ip(&r->source, address), address);
        break;
    }
}
