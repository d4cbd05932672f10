#include "base/headers.h"

#include <string.h>

enum {
    HOP = HEADER_IS_HOP,
    HTTP1 = HEADER_IS_HTTP1,
    FRAMING = HEADER_IS_FRAMING,
    TRACE = HEADER_IS_TRACE,
    FRESH = HEADER_IS_FRESH,
    KEPT = HEADER_IS_KEPT,
    TRAILING = HEADER_IS_TRAILING
};
#define COLUMNS_ROW(id, name, columns) [id] = (columns),
const uint8_t header_columns[HEADER_ID_COUNT] = {HEADER_NAMES(COLUMNS_ROW)};
#undef COLUMNS_ROW

#define HOP_ROW(id, name, columns) | ((columns)&HOP ? HEADER_BIT(id) : 0)
const uint64_t header_hop_ids = 0 HEADER_NAMES(HOP_ROW);
#undef HOP_ROW

static inline uint64_t load(const char *p, size_t n)
{
    uint64_t word = 0;

    memcpy(&word, p, n);
    return word;
}

/* Bytes with the bit 0x40 are letters in the names we know (the others are '-'), and only letters
 * have a second case; in a literal this mask and the word are constants. */
static inline bool same_word(const char *p, const char *lower, size_t n)
{
    uint64_t want = load(lower, n);

    return (load(p, n) | (want & 0x4040404040404040) >> 1) == want;
}

/* p[0..n) in any case against a literal of the same length, by words that may overlap. */
static inline __attribute__((always_inline)) bool same_name(const char *p, const char *lower,
                                                            size_t n)
{
    size_t step = n >= 8 ? 8 : n >= 4 ? 4 : 2;

    for (size_t i = 0; i + step <= n; i += step)
        if (!same_word(p + i, lower + i, step))
            return false;
    return same_word(p + n - step, lower + n - step, step);
}

/* A name's length and first letter tell it from all others we know, but for one pair. */
#define KEY(length, first) ((length) << 8 | (first))
#define SAME(lower)        same_name(name.p, lower, sizeof(lower) - 1)
#define NAME(first, lower, id)          \
    case KEY(sizeof(lower) - 1, first): \
        return SAME(lower) ? (id) : HEADER_OTHER

enum header_id header_id_of(struct str name)
{
    if (name.n < 2)
        return HEADER_OTHER;
    switch (KEY(name.n, (unsigned char)name.p[0] | 0x20u)) {
        NAME('t', "te", HEADER_TE);
        NAME('v', "via", HEADER_VIA);
        NAME('h', "host", HEADER_HOST);
        NAME('c', "cookie", HEADER_COOKIE);
        NAME('e', "expect", HEADER_EXPECT);
        NAME('b', "baggage", HEADER_BAGGAGE);
        NAME('t', "trailer", HEADER_TRAILER);
        NAME('u', "upgrade", HEADER_UPGRADE);
        NAME('f', "forwarded", HEADER_FORWARDED);
        NAME('c', "connection", HEADER_CONNECTION);
        NAME('k', "keep-alive", HEADER_KEEP_ALIVE);
        NAME('t', "tracestate", HEADER_TRACESTATE);
        NAME('u', "user-agent", HEADER_USER_AGENT);
        NAME('x', "x-trace-id", HEADER_X_TRACE_ID);
        NAME('r', "retry-after", HEADER_RETRY_AFTER);
        NAME('g', "grpc-status", HEADER_GRPC_STATUS);
        NAME('s', "sidespan-via", HEADER_SIDESPAN_VIA);
        NAME('t', "traceparent", HEADER_TRACEPARENT);
        NAME('c', "content-type", HEADER_CONTENT_TYPE);
        NAME('m', "max-forwards", HEADER_MAX_FORWARDS);
        NAME('a', "authorization", HEADER_AUTHORIZATION);
        NAME('c', "content-length", HEADER_CONTENT_LENGTH);
        NAME('g', "grpc-trace-bin", HEADER_GRPC_TRACE_BIN);
        NAME('s', "sidespan-reason", HEADER_SIDESPAN_REASON);
        NAME('x', "x-forwarded-for", HEADER_X_FORWARDED_FOR);
        NAME('p', "proxy-connection", HEADER_PROXY_CONNECTION);
        NAME('w', "www-authenticate", HEADER_WWW_AUTHENTICATE);
        NAME('p', "proxy-authenticate", HEADER_PROXY_AUTHENTICATE);
        NAME('p', "proxy-authorization", HEADER_PROXY_AUTHORIZATION);
        NAME('x', "x-forwarded-host", HEADER_X_FORWARDED_HOST);
        NAME('t', "transfer-encoding", HEADER_TRANSFER_ENCODING);
        NAME('x', "x-forwarded-proto", HEADER_X_FORWARDED_PROTO);
    case KEY(12, 'g'):
        return SAME("grpc-timeout")   ? HEADER_GRPC_TIMEOUT
               : SAME("grpc-message") ? HEADER_GRPC_MESSAGE
                                      : HEADER_OTHER;
    default:
        return HEADER_OTHER;
    }
}

static __attribute__((noinline, cold)) bool grow(struct headers *h, struct arena *a)
{
    size_t cap = h->cap ? h->cap * 2 : 16;
    struct header *v = arena_alloc(a, cap * sizeof(*v));

    if (!v)
        return false;
    if (h->n)
        memcpy(v, h->v, h->n * sizeof(*v));
    h->v = v;
    h->cap = cap;
    return true;
}

bool headers_add(struct headers *h, struct arena *a, struct str name, struct str value)
{
    return headers_add_id(h, a, header_id_of(name), name, value);
}

bool headers_add_id(struct headers *h, struct arena *a, enum header_id id, struct str name,
                    struct str value)
{
    if (h->n == h->cap && !grow(h, a))
        return false;
    h->v[h->n++] = (struct header){.name = name, .value = value, .id = id};
    h->absent &= ~HEADER_BIT(id);
    return true;
}

static inline bool is_named(const struct header *f, enum header_id id, struct str name)
{
    return f->id == id && (id != HEADER_OTHER || str_eq_nocase(f->name, name));
}

static const struct header *find_from(const struct headers *h, size_t from, enum header_id id,
                                      struct str name)
{
    if (!headers_may_have(h, HEADER_BIT(id)))
        return NULL;
    for (size_t i = from; i < h->n; i++)
        if (is_named(&h->v[i], id, name))
            return &h->v[i];
    return NULL;
}

const struct header *headers_find_first(const struct headers *h, enum header_id id)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].id == id)
            return &h->v[i];
    return NULL;
}

const struct header *headers_find_name(const struct headers *h, struct str name)
{
    return find_from(h, 0, header_id_of(name), name);
}

const struct header *headers_next(const struct headers *h, const struct header *after)
{
    return find_from(h, (size_t)(after - h->v) + 1, after->id, after->name);
}

size_t headers_count(const struct headers *h, enum header_id id)
{
    size_t count = 0;

    if (!headers_may_have(h, HEADER_BIT(id)))
        return 0;
    for (size_t i = 0; i < h->n; i++)
        count += h->v[i].id == id;
    return count;
}

static size_t remove_all(struct headers *h, enum header_id id, struct str name)
{
    const struct header *first = find_from(h, 0, id, name);
    if (!first)
        return 0;

    size_t kept = (size_t)(first - h->v);
    for (size_t i = kept + 1; i < h->n; i++)
        if (!is_named(&h->v[i], id, name))
            h->v[kept++] = h->v[i];
    size_t removed = h->n - kept;
    h->n = kept;
    return removed;
}

size_t headers_remove(struct headers *h, enum header_id id)
{
    /* HEADER_OTHER is not a name: nobody means all the fields we do not know. */
    return id == HEADER_OTHER ? 0 : remove_all(h, id, (struct str){0});
}

size_t headers_remove_name(struct headers *h, struct str name)
{
    return remove_all(h, header_id_of(name), name);
}

bool headers_have_member(const struct headers *h, enum header_id id, struct str member)
{
    if (!headers_may_have(h, HEADER_BIT(id)))
        return false;
    for (size_t i = 0; i < h->n; i++) {
        if (h->v[i].id != id)
            continue;
        struct str rest = h->v[i].value, at;
        while (str_next_member(&rest, &at))
            if (str_eq_nocase(at, member))
                return true;
    }
    return false;
}

void headers_remove_at(struct headers *h, size_t index)
{
    memmove(&h->v[index], &h->v[index + 1], (h->n - index - 1) * sizeof h->v[0]);
    h->n--;
}
