/*
 * Text as a pointer and a length. It never owns what it points at, and it is
 * not ended by a NUL: what holds the bytes (an arena, a receive buffer, a
 * literal) says how long it lasts.
 */
#ifndef SIDESPAN_BASE_STR_H
#define SIDESPAN_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p; /* may be NULL where n is 0 */
    size_t n;
};

/* A literal as a str; usable in initialisers. */
#define STR_INIT(literal)              \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }
#define STR(literal) ((struct str)STR_INIT(literal))
/* For printf: ("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){p, n};
}

/* A NUL-ended string as a str; NULL gives the empty one. */
static inline struct str str_from(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case is ignored, nothing else (RFC 9110 section 5.1). */
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends_nocase(struct str s, struct str suffix);

/* By their bytes; of two that begin alike the shorter comes first. Below, at or above 0. */
int str_order(struct str a, struct str b);
/* The first `most` bytes; a character of UTF-8 is kept whole or not at all. */
static inline struct str str_cut(struct str s, size_t most)
{
    if (s.n <= most)
        return s;
    s.n = most;
    for (int i = 0; i < 3 && s.n > 0 && (s.p[s.n] & 0xc0) == 0x80; i++)
        s.n--;
    return s;
}

/* The index of the first c at or after from, or s.n when there is none. */
size_t str_index(struct str s, char c, size_t from);
/* s[from..to), both cut to the length of s. */
struct str str_slice(struct str s, size_t from, size_t to);
/* Without leading and trailing SP and HTAB (OWS, RFC 9110 section 5.6.3). */
struct str str_trim_ows(struct str s);

/*
 * Takes the part before the first sep off the front of *rest and stores it in
 * *part, both without sep. False when *rest was exhausted (p NULL); the empty
 * str yields one empty part first.
 */
bool str_split(struct str *rest, char sep, struct str *part);

/*
 * The next member of a comma-separated list (RFC 9110 section 5.6.1): trimmed,
 * empty members skipped. False at the end.
 */
bool str_next_member(struct str *rest, struct str *member);

/* Plain decimal digits only, no sign, no space. False on anything else and on overflow. */
bool str_to_u64(struct str s, uint64_t *out);

/*
 * The edit distance of a and b (insert, delete, substitute, swap neighbours),
 * cut at limit. For "did you mean": words of at most 64 characters, else limit.
 */
unsigned str_distance(struct str a, struct str b, unsigned limit);

/* How many bytes the UTF-8 character at s[at] has, 1 to 4; 0: none that is valid (RFC 3629). */
size_t str_utf8_length(struct str s, size_t at);

#endif
