/*
 * Original destinations: endpoints that no cluster names, by their address. As
 * many are remembered as there may be connections worth keeping; the longest
 * unused is forgotten first.
 */
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "proxy/upstream_private.h"

enum { BUCKETS = 1024, ORIGINALS_MAX = 4096 };

struct originals {
    struct list used; /* all of them, the latest used first */
    unsigned n;
    struct siphash_key key; /* clients choose the addresses, not the buckets */
    struct list buckets[BUCKETS];
};

static struct originals *originals_new(struct worker *w)
{
    struct originals *o = calloc(1, sizeof *o);

    if (!o)
        return NULL;
    list_init(&o->used);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&o->buckets[i]);
    o->key = (struct siphash_key){random_next(&w->loop.random), random_next(&w->loop.random)};
    return o;
}

static struct list *bucket_of(struct originals *o, const struct address *a)
{
    struct {
        uint16_t family, port;
        uint8_t ip[16];
    } key = {.family = a->family, .port = a->port};

    memcpy(key.ip, a->ip, a->family == AF_INET ? 4 : sizeof key.ip);
    return &o->buckets[siphash(&o->key, &key, sizeof key) % BUCKETS];
}

static void forget(struct originals *o, struct upstream *u)
{
    list_remove(&u->link);
    list_remove(&u->bucket);
    o->n--;
    upstream_retire(u);
    upstream_unref(u);
}

/* Makes room: the longest unused of those that have nothing under way. */
static void forget_one(struct originals *o)
{
    for (struct list *at = o->used.prev; at != &o->used; at = at->prev) {
        struct upstream *u = container_of(at, struct upstream, link);

        if (u->n_open == u->n_idle && !u->n_connecting && !u->n_waiting) {
            forget(o, u);
            return;
        }
    }
}

struct upstream *upstream_known(struct upstreams *us, const struct address *address)
{
    struct list *bucket;

    if (!us->originals)
        return NULL;
    bucket = bucket_of(us->originals, address);
    LIST_FOR_EACH (at, bucket) {
        struct upstream *u = container_of(at, struct upstream, bucket);

        if (address_eq(&u->address, address))
            return u;
    }
    return NULL;
}

struct upstream *upstream_original(struct upstreams *us, const struct address *address)
{
    static const struct pool_rules rules = {
        .connect_timeout = SECONDS(5), .queue = SECONDS(5), .idle = SECONDS(30), .idle_max = 64};
    struct originals *o = us->originals;
    struct upstream *u = upstream_known(us, address);

    if (u) {
        list_remove(&u->link);
        list_push_front(&o->used, &u->link);
        return upstream_ref(u);
    }
    if (!o)
        o = us->originals = originals_new(us->worker);
    u = o ? upstream_new(us, STR("original"), address) : NULL;
    if (!u)
        return NULL;
    u->pool = rules;
    if (o->n >= ORIGINALS_MAX)
        forget_one(o);
    if (o->n >= ORIGINALS_MAX) { /* all are in use: this one is for its caller alone */
        u->retired = true;
        return u;
    }
    list_push_front(bucket_of(o, address), &u->bucket);
    list_push_front(&o->used, &u->link);
    o->n++;
    return upstream_ref(u);
}

void originals_free(struct originals *o)
{
    if (!o)
        return;
    while (!list_empty(&o->used))
        forget(o, container_of(o->used.next, struct upstream, link));
    free(o);
}
