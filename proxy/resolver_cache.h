/*
 * What a resolver remembers: one entry a name, found by hash, the least recently
 * used one forgotten first. An entry that somebody waits for is never forgotten.
 */
#ifndef SIDESPAN_PROXY_RESOLVER_CACHE_H
#define SIDESPAN_PROXY_RESOLVER_CACHE_H

#include "base/list.h"
#include "base/siphash.h"
#include "proxy/resolver.h"

enum { RESOLVER_NAMES_MAX = 1024, RESOLVER_NAME_BYTES_MAX = 254, RESOLVER_BUCKETS = 512 };

struct resolver_entry {
    struct resolver *resolver;   /* borrowed */
    struct resolver_entry *next; /* in its bucket */
    struct list age;             /* in the cache's */
    struct list waiting;         /* struct resolve, in the order they asked */
    bool asking;                 /* c-ares owes an answer */
    bool frankly;                /* of resolver->frank */
    struct resolved *answer;     /* owned, cut after n addresses; NULL: none yet */
    nsec_t expires;              /* of the answer, monotonic */
    size_t name_bytes;
    char name[]; /* lower case, NUL behind it */
};

struct resolver_cache {
    struct siphash_key key; /* random, so that nobody can choose names of one bucket */
    struct resolver_entry *buckets[RESOLVER_BUCKETS];
    struct list ages; /* most recently used first */
    size_t n;
};

void resolver_cache_init(struct resolver_cache *c);
/* Nobody may wait any more. */
void resolver_cache_release(struct resolver_cache *c);
/* The entry of a name (in any case, at most RESOLVER_NAME_BYTES_MAX), made where there is none.
 * NULL: no memory, or as many names as there may be are all being asked for. */
struct resolver_entry *resolver_cache_get(struct resolver_cache *c, struct str name);
/* Keeps a copy of the answer until then. Without memory it forgets what it knew. */
void resolver_entry_store(struct resolver_entry *e, const struct resolved *answer, nsec_t expires);

#endif
