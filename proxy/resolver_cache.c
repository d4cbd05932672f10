#include "proxy/resolver_cache.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/random.h"

void resolver_cache_init(struct resolver_cache *c)
{
    struct random random;

    *c = (struct resolver_cache){0};
    random_init(&random);
    c->key = (struct siphash_key){random_next(&random), random_next(&random)};
    list_init(&c->ages);
}

static struct resolver_entry **bucket_of(struct resolver_cache *c, const char *name, size_t n)
{
    return &c->buckets[siphash(&c->key, name, n) % RESOLVER_BUCKETS];
}

static void forget(struct resolver_cache *c, struct resolver_entry *e)
{
    struct resolver_entry **at = bucket_of(c, e->name, e->name_bytes);

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_remove(&e->age);
    c->n--;
    free(e->answer);
    free(e);
}

void resolver_cache_release(struct resolver_cache *c)
{
    LIST_FOR_EACH_SAFE (at, next, &c->ages)
        forget(c, container_of(at, struct resolver_entry, age));
}

/* False: somebody waits for each of them. */
static bool forget_oldest(struct resolver_cache *c)
{
    for (struct list *at = c->ages.prev; at != &c->ages; at = at->prev) {
        struct resolver_entry *e = container_of(at, struct resolver_entry, age);

        if (!e->asking && list_empty(&e->waiting)) {
            forget(c, e);
            return true;
        }
    }
    return false;
}

struct resolver_entry *resolver_cache_get(struct resolver_cache *c, struct str name)
{
    char lower[RESOLVER_NAME_BYTES_MAX];

    for (size_t i = 0; i < name.n; i++)
        lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]);
    for (struct resolver_entry *e = *bucket_of(c, lower, name.n); e; e = e->next) {
        if (e->name_bytes == name.n && memcmp(e->name, lower, name.n) == 0) {
            list_remove(&e->age);
            list_push_front(&c->ages, &e->age);
            return e;
        }
    }
    if (c->n == RESOLVER_NAMES_MAX && !forget_oldest(c))
        return NULL;

    struct resolver_entry *e = calloc(1, sizeof(*e) + name.n + 1);
    if (!e)
        return NULL;
    list_init(&e->waiting);
    e->name_bytes = name.n;
    memcpy(e->name, lower, name.n);

    struct resolver_entry **bucket = bucket_of(c, e->name, e->name_bytes);
    e->next = *bucket;
    *bucket = e;
    list_push_front(&c->ages, &e->age);
    c->n++;
    return e;
}

void resolver_entry_store(struct resolver_entry *e, const struct resolved *answer, nsec_t expires)
{
    size_t bytes = offsetof(struct resolved, v) + answer->n * sizeof(answer->v[0]);

    free(e->answer);
    e->answer = malloc(bytes);
    if (e->answer)
        memcpy(e->answer, answer, bytes);
    e->expires = expires;
}
