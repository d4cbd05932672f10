#include "mesh/balance.h"

#include <stdbool.h>

static inline bool is_skipped(const uint64_t *skip, size_t i)
{
    return skip && (skip[i / 64] >> (i % 64) & 1);
}

static uint64_t usable_weight(const struct balance_entry *v, size_t n, const uint64_t *skip)
{
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++)
        if (!is_skipped(skip, i))
            total += v[i].weight;
    return total;
}

/* Everyone gains its weight, the one with most goes, and pays for all that was gained. */
static size_t round_robin(struct balance_entry *v, size_t n, const uint64_t *skip, uint64_t total)
{
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < n; i++) {
        if (is_skipped(skip, i))
            continue;
        v[i].current += v[i].weight;
        if (best == SIZE_MAX || v[i].current > v[best].current)
            best = i;
    }
    v[best].current -= (int64_t)total;
    return best;
}

/* The one in whose part of the summed weights `drawn` falls, `but` left out (SIZE_MAX: none). */
static size_t by_weight(const struct balance_entry *v, size_t n, const uint64_t *skip, size_t but,
                        uint64_t drawn)
{
    for (size_t i = 0; i < n; i++) {
        if (i == but || is_skipped(skip, i))
            continue;
        if (drawn < v[i].weight)
            return i;
        drawn -= v[i].weight;
    }
    return SIZE_MAX;
}

static size_t least_request(const struct balance_entry *v, size_t n, const uint64_t *skip,
                            uint64_t total, struct random *random)
{
    size_t one = by_weight(v, n, skip, SIZE_MAX, random_below(random, total));
    uint64_t others = total - v[one].weight;

    if (others == 0)
        return one;
    size_t other = by_weight(v, n, skip, one, random_below(random, others));
    /* in_flight / weight, compared without dividing */
    bool other_is_idler =
        (uint64_t)v[other].in_flight * v[one].weight < (uint64_t)v[one].in_flight * v[other].weight;
    return other_is_idler ? other : one;
}

size_t balance_choose(enum balance_kind kind, struct balance_entry *v, size_t n,
                      const uint64_t *skip, struct random *random)
{
    if (n == 0)
        return SIZE_MAX;
    if (n == 1)
        return 0;
    uint64_t total = usable_weight(v, n, skip);
    if (total == 0) {
        skip = NULL;
        total = usable_weight(v, n, skip);
    }
    switch (kind) {
    case BALANCE_ROUND_ROBIN:
        return round_robin(v, n, skip, total);
    case BALANCE_LEAST_REQUEST:
        return least_request(v, n, skip, total, random);
    }
    return SIZE_MAX;
}
