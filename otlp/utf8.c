#include "otlp/utf8.h"

/* The shape of characters by their first byte: how many follow, and what the first of those may be
 * (RFC 3629 section 4). The further ones are 80 to bf. */
static const struct lead {
    unsigned char from, to, follow, second_from, second_to;
} leads[] = {
    {0x00, 0x7f, 0, 0, 0},       {0xc2, 0xdf, 1, 0x80, 0xbf}, {0xe0, 0xe0, 2, 0xa0, 0xbf},
    {0xe1, 0xec, 2, 0x80, 0xbf}, {0xed, 0xed, 2, 0x80, 0x9f}, {0xee, 0xef, 2, 0x80, 0xbf},
    {0xf0, 0xf0, 3, 0x90, 0xbf}, {0xf1, 0xf3, 3, 0x80, 0xbf}, {0xf4, 0xf4, 3, 0x80, 0x8f},
};

static const struct lead *find_lead(unsigned char c)
{
    for (size_t i = 0; i < sizeof(leads) / sizeof(leads[0]); i++)
        if (c >= leads[i].from && c <= leads[i].to)
            return &leads[i];
    return NULL;
}

/* The length of the character at the front of s (not empty); 0: there is none. */
static size_t character(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    const struct lead *lead = find_lead(p[0]);

    if (!lead || lead->follow >= s.n)
        return 0;
    if (lead->follow > 0 && (p[1] < lead->second_from || p[1] > lead->second_to))
        return 0;
    for (size_t i = 2; i <= lead->follow; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return 1 + (size_t)lead->follow;
}

bool utf8_valid(struct str s)
{
    while (s.n > 0) {
        size_t n = character(s);
        if (n == 0)
            return false;
        s = str_of(s.p + n, s.n - n);
    }
    return true;
}

size_t utf8_repair(struct str s, char *out)
{
    char *at = out;

    while (s.n > 0) {
        size_t n = character(s);
        if (n == 0) {
            memcpy(at, "\xef\xbf\xbd", 3);
            at += 3;
            n = 1;
        } else {
            memcpy(at, s.p, n);
            at += n;
        }
        s = str_of(s.p + n, s.n - n);
    }
    return (size_t)(at - out);
}
