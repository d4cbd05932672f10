/*
 * A hash map from text to pointers, open addressing. Keys and values are
 * borrowed. For tables made when a config is read; lookups are for any thread
 * once it no longer changes.
 */
#ifndef SIDESPAN_BASE_MAP_H
#define SIDESPAN_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct map_slot {
    struct str key; /* p NULL: free */
    void *value;
};
struct map {
    struct map_slot *slots; /* owned */
    size_t n, cap;          /* cap is a power of two, or 0 */
    bool failed;            /* a key found no memory; it stays so until the release */
};

/* Zeroed is empty. Keeps the first value of a key: false when it was there, or when there was no
 * memory (failed). */
bool map_add(struct map *m, struct str key, void *value);
/* NULL when there is none. */
void *map_get(const struct map *m, struct str key);
/* Forgets the slots, not what they point at. */
void map_release(struct map *m);

#endif
