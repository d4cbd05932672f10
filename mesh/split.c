#include "mesh/split.h"

#include <math.h>

struct siphash_key split_salt(struct str name)
{
    /* "sidespan", "split v1" and the same with the halves exchanged. */
    static const struct siphash_key first = {0x736964657370616e, 0x73706c6974207631};
    static const struct siphash_key second = {0x73706c6974207631, 0x736964657370616e};

    return (struct siphash_key){siphash(&first, name.p, name.n), siphash(&second, name.p, name.n)};
}

struct str cookie_value(const struct headers *headers, struct str name)
{
    const struct header *h = headers_find(headers, HEADER_COOKIE);

    for (; h; h = headers_next(headers, h)) {
        struct str rest = h->value, pair;
        while (str_split(&rest, ';', &pair)) {
            size_t equals = str_index(pair, '=', 0);
            if (equals < pair.n && str_eq(str_trim_ows(str_slice(pair, 0, equals)), name))
                return str_trim_ows(str_slice(pair, equals + 1, pair.n));
        }
    }
    return str_of(NULL, 0);
}

static struct str header_value(const struct route *route, const struct request *r)
{
    const struct header *h = route->by_header == HEADER_OTHER
                                 ? headers_find_name(r->headers, route->by_name)
                                 : headers_find(r->headers, route->by_header);

    return h ? h->value : str_of(NULL, 0);
}

static struct str source_bytes(const struct address *source, uint8_t scratch[16])
{
    size_t n = source->family == AF_INET ? 4 : source->family == AF_INET6 ? 16 : 0;

    memcpy(scratch, source->ip, n);
    return str_of((const char *)scratch, n);
}

struct str split_key_of(const struct route *route, const struct request *r, uint8_t scratch[16])
{
    struct str key = {NULL, 0};

    switch (route->by) {
    case SPLIT_BY_TRACE:
        break;
    case SPLIT_BY_HEADER:
        key = header_value(route, r);
        break;
    case SPLIT_BY_COOKIE:
        key = cookie_value(r->headers, route->by_name);
        break;
    case SPLIT_BY_SOURCE:
        key = source_bytes(&r->source, scratch);
        break;
    }
    if (key.n)
        return key;
    return str_of((const char *)r->trace_id.bytes, sizeof(r->trace_id.bytes));
}

double split_draw(const struct target *target, struct str key)
{
    if (target->weight == 0)
        return -INFINITY;
    /* The top 53 bits, as a number above 0 and at most 1: its logarithm is finite. */
    uint64_t top = (siphash(&target->salt, key.p, key.n) >> 11) + 1;
    return log((double)top * 0x1p-53) / target->weight;
}

const struct target *split_choose(const struct route *route, const struct request *r)
{
    const struct target *best = NULL;
    double best_draw = -INFINITY;
    uint8_t scratch[16];

    if (route->n_targets == 1)
        return route->targets[0].weight ? &route->targets[0] : NULL;
    struct str key = split_key_of(route, r, scratch);
    for (size_t i = 0; i < route->n_targets; i++) {
        double draw = split_draw(&route->targets[i], key);
        if (draw > best_draw) {
            best = &route->targets[i];
            best_draw = draw;
        }
    }
    return best;
}
