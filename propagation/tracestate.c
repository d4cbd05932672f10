/*
 * A list is checked in one pass over its bytes. The usual one, a single field
 * without empty members, is then passed on as the slice that came; all else is
 * taken apart into members and joined anew with one allocation.
 */
#include "propagation/tracestate.h"

#include "base/octets.h"

enum { KEY_MAX = 256, VALUE_MAX = 256, LARGE_MEMBER = 128 };

/* What a byte may be part of. */
enum { KEY_START = 1, KEY = 2, VALUE = 4, OWS = 8 };
enum { ALNUM = KEY_START | KEY | VALUE, MARK = KEY | VALUE };

static const uint8_t classes[256] = {
    ['\t'] = OWS,          [' '] = OWS | VALUE,   ['!' ... ')'] = VALUE, ['*'] = MARK,
    ['+'] = VALUE, /* ',' ends a member */
    ['-'] = MARK,          ['.'] = VALUE,         ['/'] = MARK,          ['0' ... '9'] = ALNUM,
    [':' ... '<'] = VALUE, /* '=' ends a key */
    ['>' ... '?'] = VALUE, ['@'] = MARK,          ['A' ... '^'] = VALUE, ['_'] = MARK,
    ['`'] = VALUE,         ['a' ... 'z'] = ALNUM, ['{' ... '~'] = VALUE,
};

/* The first byte at or after p that is not of the class. */
static const char *skip(const char *p, const char *end, uint8_t class)
{
    while (p < end && (classes[(uint8_t)*p] & class))
        p++;
    return p;
}

/* p is behind a key that may be one and the equals sign, or NULL. */
static const char *skip_key(const char *p, const char *end)
{
    const char *from = p;

    if (p == end || !(classes[(uint8_t)*p] & KEY_START))
        return NULL;
    p = skip(p, end, KEY);
    if (p - from > KEY_MAX || p == end || *p != '=')
        return NULL;
    return p + 1;
}

/* The same for VALUE, eight bytes at a time where there are as many: values are the long part. */
static const char *skip_value_bytes(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t x = octets_load(p), low = x & OCTETS(0x7f);
        uint64_t is_value = octets_within(low, 0x20, 0x7e) & octets_differ(low, ',') &
                            octets_differ(low, '=') & ~x & OCTETS(0x80);

        if (is_value != OCTETS(0x80))
            return p + __builtin_ctzll(~is_value & OCTETS(0x80)) / 8;
    }
    return skip(p, end, VALUE);
}

/* p is behind a value that may be one and the OWS after it, or NULL. */
static const char *skip_value(const char *p, const char *end)
{
    const char *from = p, *last;

    p = skip_value_bytes(p, end);
    for (last = p; last > from && last[-1] == ' ';)
        last--;
    if (last == from || last - from > VALUE_MAX)
        return NULL;
    return skip(p, end, OWS);
}

struct tally {
    unsigned members;
    bool gaps; /* some members were empty */
};

/* Checks one field and adds to the tally. */
static bool count_members(struct str field, struct tally *tally)
{
    const char *p = field.p, *end;

    if (field.n == 0) {
        tally->gaps = true;
        return true;
    }
    for (end = p + field.n;; p++) {
        p = skip(p, end, OWS);
        if (p == end || *p == ',') {
            tally->gaps = true;
        } else {
            p = skip_key(p, end);
            if (!p || !(p = skip_value(p, end)) || ++tally->members > TRACESTATE_MEMBERS_MAX)
                return false;
        }
        if (p == end)
            return true;
        if (*p != ',')
            return false;
    }
}

bool tracestate_valid(struct str list, unsigned *members)
{
    struct tally tally = {0};

    if (!count_members(list, &tally))
        return false;
    *members = tally.members;
    return true;
}

struct members {
    struct str v[TRACESTATE_MEMBERS_MAX];
    unsigned n;
};

static void members_add(struct members *members, struct str list)
{
    struct str member;

    while (members->n < TRACESTATE_MEMBERS_MAX && str_next_member(&list, &member))
        members->v[members->n++] = member;
}

static bool member_has_key(struct str member, struct str key)
{
    return member.n > key.n && member.p[key.n] == '=' && str_starts(member, key);
}

/* As a list: each with a comma but the last. */
static size_t members_bytes(const struct members *members)
{
    size_t bytes = members->n > 0 ? members->n - 1 : 0;

    for (unsigned i = 0; i < members->n; i++)
        bytes += members->v[i].n;
    return bytes;
}

/* Drops members of over `over` bytes from the right end until the list is within the limit. */
static void members_drop(struct members *members, size_t over, size_t limit_bytes)
{
    size_t bytes = members_bytes(members);

    for (unsigned i = members->n; i-- > 0 && bytes > limit_bytes;) {
        if (members->v[i].n <= over)
            continue;
        bytes -= members->v[i].n + (members->n > 1);
        members->n--;
        memmove(&members->v[i], &members->v[i + 1], (members->n - i) * sizeof members->v[0]);
    }
}

/* In the order of level 2: the large ones first. */
static void members_fit(struct members *members, size_t limit_bytes)
{
    members_drop(members, LARGE_MEMBER, limit_bytes);
    members_drop(members, 0, limit_bytes);
}

/* Writes members_bytes() bytes. */
static void members_write(const struct members *members, char *p)
{
    for (unsigned i = 0; i < members->n; i++) {
        if (i > 0)
            *p++ = ',';
        memcpy(p, members->v[i].p, members->v[i].n);
        p += members->v[i].n;
    }
}

/* As a new list. */
static struct str members_join(const struct members *members, struct arena *arena)
{
    size_t bytes = members_bytes(members);
    char *list;

    if (bytes == 0)
        return STR("");
    list = arena_alloc(arena, bytes);
    if (!list)
        return (struct str){0};
    members_write(members, list);
    return str_of(list, bytes);
}

struct str tracestate_from_headers(const struct headers *fields, struct arena *arena)
{
    const struct header *first = headers_find(fields, HEADER_TRACESTATE), *f;
    struct members members = {.n = 0};
    struct tally tally = {0};

    for (f = first; f; f = headers_next(fields, f))
        if (!count_members(f->value, &tally))
            return STR("");
    if (tally.members == 0)
        return STR("");
    if (!tally.gaps && !headers_next(fields, first)) {
        struct str whole = str_trim_ows(first->value);

        if (whole.n <= TRACESTATE_BYTES_MAX)
            return whole;
    }
    for (f = first; f; f = headers_next(fields, f))
        members_add(&members, f->value);
    members_fit(&members, TRACESTATE_BYTES_MAX);
    return members_join(&members, arena);
}

struct str tracestate_cut(struct str list, size_t limit_bytes, struct arena *arena)
{
    struct members members = {.n = 0};

    if (list.n <= limit_bytes)
        return list.p ? list : STR("");
    members_add(&members, list);
    members_fit(&members, limit_bytes);
    return members_join(&members, arena);
}

/* Removes all of a key; false: there was none. */
static bool members_remove(struct members *members, struct str key)
{
    unsigned kept = 0, before = members->n;

    for (unsigned i = 0; i < before; i++)
        if (!member_has_key(members->v[i], key))
            members->v[kept++] = members->v[i];
    members->n = kept;
    return kept < before;
}

static bool member_allowed(struct str key, struct str value)
{
    const char *key_end, *value_end;

    if (key.n == 0 || key.n > KEY_MAX || value.n == 0 || value.n > VALUE_MAX)
        return false;
    key_end = key.p + key.n;
    value_end = value.p + value.n;
    return (classes[(uint8_t)key.p[0]] & KEY_START) && skip(key.p, key_end, KEY) == key_end &&
           skip_value_bytes(value.p, value_end) == value_end && value_end[-1] != ' ';
}

struct str tracestate_put(struct str list, struct str key, struct str value, struct arena *arena)
{
    struct members others = {.n = 0};
    size_t own_bytes = key.n + 1 + value.n, bytes;
    char *p;

    if (!member_allowed(key, value))
        return list.p ? list : STR("");
    members_add(&others, list);
    members_remove(&others, key);
    if (others.n == TRACESTATE_MEMBERS_MAX)
        others.n--;
    members_fit(&others, TRACESTATE_BYTES_MAX - own_bytes - 1);

    bytes = own_bytes + (others.n > 0) + members_bytes(&others);
    p = arena_alloc(arena, bytes);
    if (!p)
        return (struct str){0};
    memcpy(p, key.p, key.n);
    p[key.n] = '=';
    memcpy(p + key.n + 1, value.p, value.n);
    if (others.n > 0)
        p[own_bytes] = ',';
    members_write(&others, p + own_bytes + 1);
    return str_of(p, bytes);
}

struct str tracestate_remove(struct str list, struct str key, struct arena *arena)
{
    struct members members = {.n = 0};

    members_add(&members, list);
    if (!members_remove(&members, key))
        return list.p ? list : STR("");
    return members_join(&members, arena);
}

struct str tracestate_get(struct str list, struct str key)
{
    struct str member;

    while (str_next_member(&list, &member))
        if (member_has_key(member, key))
            return str_slice(member, key.n + 1, member.n);
    return (struct str){0};
}
