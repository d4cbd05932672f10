#include "mesh/fault_count.h"

#include <stdlib.h>

#include "mesh/must.h"

/* Counted by the configurations that have it. */
struct fault_count {
    atomic_uint refs;
    atomic_uint_fast64_t struck;
};

/* One configuration's hold on it; in its arena. */
struct fault_counter {
    struct fault_counter *next;
    struct fault_count *count; /* a reference */
};

static void unref(struct fault_count *n)
{
    if (atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1)
        free(n);
}

void fault_counter_add(struct config *c, struct fault *f)
{
    f->counter = must(arena_zalloc(&c->arena, sizeof *f->counter));
    f->counter->count = must(calloc(1, sizeof *f->counter->count));
    atomic_init(&f->counter->count->refs, 1);
    f->struck = &f->counter->count->struck;
    f->counter->next = c->fault_counters;
    c->fault_counters = f->counter;
}

void fault_counters_release(struct fault_counter *first)
{
    for (; first; first = first->next)
        unref(first->count);
}

/* ---- the same fault in another configuration ---- */

/* The faults with a count, by all that says which they are. */
struct known {
    struct map faults;
    struct arena arena; /* of the keys */
};

static struct str texts_of(struct arena *a, struct str all, struct str more)
{
    return must_str(arena_printf(a, "%.*s\n%.*s", STR_ARG(all), STR_ARG(more)));
}

static struct str key_of(struct arena *a, const struct direction *d, const struct host *h,
                         const struct route *r, const struct fault *f)
{
    struct str key = d->kind == DIRECTION_INBOUND ? STR("inbound") : STR("outbound");

    for (size_t i = 0; h && i < h->n_names; i++)
        key = texts_of(a, key, h->names[i]);
    key = texts_of(a, key, r->text);
    for (size_t i = 0; i < r->n_matches; i++)
        key = texts_of(a, key, r->matches[i].text);
    return texts_of(a, key, f->text);
}

/* What is written twice is told apart by its place among its like. */
static void note(struct known *k, struct str key, struct fault *f)
{
    while (!must_add(&k->faults, key, f))
        key = texts_of(&k->arena, key, STR("again"));
}

static void each_of_route(struct known *k, const struct direction *d, const struct host *h,
                          const struct route *r)
{
    for (size_t i = 0; i < r->n_faults; i++)
        if (r->faults[i].counter)
            note(k, key_of(&k->arena, d, h, r, &r->faults[i]), &r->faults[i]);
}

static void each_of(struct known *k, const struct direction *d)
{
    for (size_t i = 0; i < d->n_routes; i++)
        each_of_route(k, d, NULL, d->routes[i]);
    for (size_t i = 0; i < d->n_hosts; i++)
        for (size_t n = 0; n < d->hosts[i]->n_routes; n++)
            each_of_route(k, d, d->hosts[i], d->hosts[i]->routes[n]);
}

static void known_of(struct known *k, const struct config *c)
{
    each_of(k, &c->inbound);
    each_of(k, &c->outbound);
}

static void known_init(struct known *k)
{
    *k = (struct known){0};
    arena_init(&k->arena, 4096, 0);
}

static void known_release(struct known *k)
{
    map_release(&k->faults);
    arena_release(&k->arena);
}

/* What a configuration has of the one before it. */
struct keeping {
    const struct config *old, *now;
    struct known was, is;
};

static void look_at_both(void *arg)
{
    struct keeping *k = arg;

    known_of(&k->was, k->old);
    known_of(&k->is, k->now);
}

static void share_counts(struct keeping *k)
{
    for (size_t i = 0; i < k->is.faults.cap; i++) {
        const struct map_slot *slot = &k->is.faults.slots[i];
        struct fault *f = slot->value;
        const struct fault *same = slot->key.p ? map_get(&k->was.faults, slot->key) : NULL;

        if (!same)
            continue;
        atomic_fetch_add_explicit(&same->counter->count->refs, 1, memory_order_relaxed);
        unref(f->counter->count);
        f->counter->count = same->counter->count;
        f->struck = same->struck;
    }
}

bool config_keep_counts(struct config *c, const struct config *old)
{
    struct keeping k = {.old = old, .now = c};
    bool good;

    if (!c->fault_counters || !old->fault_counters)
        return true;
    known_init(&k.was);
    known_init(&k.is);
    good = with_memory(look_at_both, &k);
    if (good)
        share_counts(&k);
    known_release(&k.was);
    known_release(&k.is);
    return good;
}
