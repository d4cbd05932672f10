#include "base/map.h"

#include "base/siphash.h"
#include <stdlib.h>

enum { FIRST_CAP = 16 };

/* Keys come from the operator's config, so the hash's key need not be a secret. */
static const struct siphash_key hash_key = {0x736964657370616e, 0x6d61702e68617368};

/* The slot of key, or the free one where it would go. There is always a free one. */
static struct map_slot *slot_of(const struct map *m, struct str key)
{
    size_t mask = m->cap - 1;
    size_t i = (size_t)siphash(&hash_key, key.p, key.n) & mask;

    while (m->slots[i].key.p && !str_eq(m->slots[i].key, key))
        i = (i + 1) & mask;
    return &m->slots[i];
}

static bool grow(struct map *m)
{
    struct map bigger = {.n = m->n, .cap = m->cap ? m->cap * 2 : FIRST_CAP};

    bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
    if (!bigger.slots) {
        m->failed = true;
        return false;
    }
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key.p)
            *slot_of(&bigger, m->slots[i].key) = m->slots[i];
    free(m->slots);
    *m = bigger;
    return true;
}

bool map_add(struct map *m, struct str key, void *value)
{
    if (!key.p)
        key = STR("");
    /* Half full at most, for short searches. */
    if (m->failed || (m->n >= m->cap / 2 && !grow(m)))
        return false;
    struct map_slot *slot = slot_of(m, key);
    if (slot->key.p)
        return false;
    *slot = (struct map_slot){key, value};
    m->n++;
    return true;
}

void *map_get(const struct map *m, struct str key)
{
    return m->cap ? slot_of(m, key)->value : NULL;
}

void map_release(struct map *m)
{
    free(m->slots);
    *m = (struct map){0};
}
