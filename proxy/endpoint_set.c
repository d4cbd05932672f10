/*
 * Sets of endpoints: made once, then only read.
 */
#include "proxy/endpoint_set.h"

#include <stdlib.h>
#include <string.h>

struct endpoint_set *endpoint_set_new(struct str cluster, size_t most)
{
    struct endpoint_set *s = calloc(1, sizeof(*s) + most * sizeof(s->v[0]));

    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->cluster = strndup(cluster.p ? cluster.p : "", cluster.n);
    if (!s->cluster) {
        free(s);
        return NULL;
    }
    return s;
}

void endpoint_set_add(struct endpoint_set *s, const struct address *address, unsigned weight)
{
    struct endpoint *added = &s->v[s->n];

    for (size_t i = 0; i < s->n; i++) {
        if (address_eq(&s->v[i].address, address)) {
            s->v[i].weight += weight;
            return;
        }
    }
    s->n++;
    added->address = *address;
    added->weight = weight;
    address_format(address, added->text);
    if (address->family == AF_UNIX)
        added->address.path = added->text + strlen("unix:");
}

bool endpoint_set_eq(const struct endpoint_set *a, const struct endpoint_set *b)
{
    if (a->n != b->n || a->pending != b->pending || !a->error != !b->error ||
        (a->error && strcmp(a->error, b->error) != 0))
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->v[i].weight != b->v[i].weight || !address_eq(&a->v[i].address, &b->v[i].address))
            return false;
    return true;
}

struct endpoint_set *endpoint_set_ref(struct endpoint_set *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void endpoint_set_unref(struct endpoint_set *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    free(s->cluster);
    free(s->error);
    free(s);
}
