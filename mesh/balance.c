#include "mesh/balance.h"

#include <stdbool.h>

#include "mesh/config_words.h"

const char *balance_name(enum balance_kind kind)
{
    return balance_words[kind];
}

/* The endpoints whose skip is at most that are those to choose from. */
static enum balance_skip least_skipped(const struct balance_entry *v, size_t n)
{
    uint8_t least = BALANCE_TRIED;

    for (size_t i = 0; i < n && least; i++)
        if (v[i].skip < least)
            least = v[i].skip;
    return least;
}

static uint64_t usable_weight(const struct balance_entry *v, size_t n, enum balance_skip most)
{
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++)
        if (v[i].skip <= most)
            total += v[i].weight;
    return total;
}

/* Everyone gains its weight, the one with most goes, and pays for all that was gained. */
static size_t round_robin(struct balance_entry *v, size_t n, enum balance_skip most, uint64_t total)
{
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < n; i++) {
        if (v[i].skip > most)
            continue;
        v[i].current += v[i].weight;
        if (best == SIZE_MAX || v[i].current > v[best].current)
            best = i;
    }
    v[best].current -= (int64_t)total;
    return best;
}

/* The one in whose part of the summed weights `drawn` falls, `but` left out (SIZE_MAX: none). */
static size_t by_weight(const struct balance_entry *v, size_t n, enum balance_skip most, size_t but,
                        uint64_t drawn)
{
    for (size_t i = 0; i < n; i++) {
        if (i == but || v[i].skip > most)
            continue;
        if (drawn < v[i].weight)
            return i;
        drawn -= v[i].weight;
    }
    return SIZE_MAX;
}

static size_t least_request(const struct balance_entry *v, size_t n, enum balance_skip most,
                            uint64_t total, struct random *random)
{
    size_t one = by_weight(v, n, most, SIZE_MAX, random_below(random, total));
    uint64_t others = total - v[one].weight;

    if (others == 0)
        return one;
    size_t other = by_weight(v, n, most, one, random_below(random, others));
    /* in_flight / weight, compared without dividing */
    bool other_is_idler =
        (uint64_t)v[other].in_flight * v[one].weight < (uint64_t)v[one].in_flight * v[other].weight;
    return other_is_idler ? other : one;
}

/* The part of the way from 0 to total at which the hash stands of 0 to 2^64. */
static uint64_t share_of(uint64_t total, uint64_t hash)
{
    return (uint64_t)((unsigned __int128)total * hash >> 64);
}

size_t balance_choose(enum balance_kind kind, struct balance_entry *v, size_t n,
                      struct random *random, uint64_t hash)
{
    if (n == 0)
        return SIZE_MAX;
    if (n == 1)
        return 0;
    enum balance_skip most = least_skipped(v, n);
    uint64_t total = usable_weight(v, n, most);
    switch (kind) {
    case BALANCE_ROUND_ROBIN:
        return round_robin(v, n, most, total);
    case BALANCE_LEAST_REQUEST:
        return least_request(v, n, most, total, random);
    case BALANCE_RANDOM:
        return by_weight(v, n, most, SIZE_MAX, share_of(total, hash));
    }
    return SIZE_MAX;
}
