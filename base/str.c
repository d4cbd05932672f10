#include "base/str.h"

#include "base/octets.h"

static inline unsigned char to_lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool same_octets_nocase(const char *a, const char *b)
{
    uint64_t x = octets_load(a), y = octets_load(b);

    return x == y || octets_lower(x) == octets_lower(y);
}

static bool same_nocase(const char *a, const char *b, size_t n)
{
    size_t i = 0;

    if (n >= 8) {
        for (; i + 8 < n; i += 8)
            if (!same_octets_nocase(a + i, b + i))
                return false;
        return same_octets_nocase(a + n - 8, b + n - 8);
    }
    for (; i < n; i++)
        if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i]))
            return false;
    return true;
}

bool str_eq_nocase(struct str a, struct str b)
{
    return a.n == b.n && same_nocase(a.p, b.p, a.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends_nocase(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || same_nocase(s.p + (s.n - suffix.n), suffix.p, suffix.n));
}

int str_order(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

size_t str_index(struct str s, char c, size_t from)
{
    if (from >= s.n)
        return s.n;
    const char *found = memchr(s.p + from, c, s.n - from);
    return found ? (size_t)(found - s.p) : s.n;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    if (to > s.n)
        to = s.n;
    if (from > to)
        from = to;
    return from ? str_of(s.p + from, to - from) : str_of(s.p, to);
}

static inline bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim_ows(struct str s)
{
    while (s.n && is_ows(s.p[s.n - 1]))
        s.n--;
    while (s.n && is_ows(s.p[0])) {
        s.p++;
        s.n--;
    }
    return s;
}

bool str_split(struct str *rest, char sep, struct str *part)
{
    if (!rest->p)
        return false;
    size_t at = str_index(*rest, sep, 0);
    *part = str_of(rest->p, at);
    *rest = at < rest->n ? str_of(rest->p + at + 1, rest->n - at - 1) : str_of(NULL, 0);
    return true;
}

bool str_next_member(struct str *rest, struct str *member)
{
    struct str part;

    while (str_split(rest, ',', &part)) {
        part = str_trim_ows(part);
        if (part.n) {
            *member = part;
            return true;
        }
    }
    return false;
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t value = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static inline unsigned min(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

enum { DISTANCE_WORD_MAX = 64 };

/* Optimal string alignment, a row of the table at a time: a swap looks two rows back. */
unsigned str_distance(struct str a, struct str b, unsigned limit)
{
    unsigned rows[3][DISTANCE_WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];

    if (a.n > DISTANCE_WORD_MAX || b.n > DISTANCE_WORD_MAX)
        return limit;
    for (unsigned j = 0; j <= b.n; j++)
        above[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned substituted = above[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            row[j] = min(substituted, min(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                row[j] = min(row[j], before[j - 2] + 1);
        }
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return min(above[b.n], limit);
}

/* True when s[at] is a continuation byte within [low, high]. */
static inline bool continues(struct str s, size_t at, unsigned low, unsigned high)
{
    return at < s.n && (unsigned char)s.p[at] >= low && (unsigned char)s.p[at] <= high;
}

/* The table of well-formed sequences, RFC 3629 section 4. */
size_t str_utf8_length(struct str s, size_t at)
{
    if (at >= s.n)
        return 0;
    unsigned c = (unsigned char)s.p[at];

    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return continues(s, at + 1, 0x80, 0xbf) ? 2 : 0;
    if (c >= 0xe0 && c <= 0xef) {
        bool second = continues(s, at + 1, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf);
        return second && continues(s, at + 2, 0x80, 0xbf) ? 3 : 0;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        bool second = continues(s, at + 1, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf);
        return second && continues(s, at + 2, 0x80, 0xbf) && continues(s, at + 3, 0x80, 0xbf) ? 4
                                                                                              : 0;
    }
    return 0;
}
