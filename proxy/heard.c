#include "proxy/heard.h"

#include <string.h>

#include "base/siphash.h"

/*
 * A word has the tag of its address in the upper half, by which it is known to
 * be of that address; then the second until which HEARD_NO_HTTP2 holds; then the
 * bits.
 */
enum { PLACES = 4096, BITS = 4 };
#define TAG_MASK (UINT64_C(0xffffffff) << 32)
#define BIT_MASK ((UINT64_C(1) << BITS) - 1)

static atomic_uint_fast64_t places[PLACES];

static uint64_t hash_of(const struct address *a)
{
    static const struct siphash_key key = {0x656e64706f696e74, 0x6865617264};
    struct {
        uint16_t family, port;
        uint8_t ip[16];
    } whole = {.family = a->family, .port = a->port};

    if (a->family == AF_UNIX)
        return siphash(&key, a->path, strlen(a->path));
    memcpy(whole.ip, a->ip, a->family == AF_INET ? 4 : sizeof whole.ip);
    return siphash(&key, &whole, sizeof whole);
}

void heard_init(struct heard *h, const struct address *a)
{
    uint64_t hash = hash_of(a);

    h->shared = &places[hash % PLACES];
    /* No word of an address is that of none, 0. */
    h->own = (hash | UINT64_C(1) << 32) & TAG_MASK;
}

/* What all have heard last; where another address has the place, what this worker has. */
static uint64_t word_of(const struct heard *h)
{
    uint64_t shared = atomic_load_explicit(h->shared, memory_order_relaxed);

    return (shared & TAG_MASK) == (h->own & TAG_MASK) ? shared : h->own;
}

static uint64_t until_of(uint64_t word)
{
    return (word & ~TAG_MASK) >> BITS;
}

static unsigned bits_of(uint64_t word, nsec_t now)
{
    unsigned bits = (unsigned)(word & BIT_MASK);

    if ((bits & HEARD_NO_HTTP2) && (uint64_t)(now / SECONDS(1)) >= until_of(word))
        bits &= ~(unsigned)HEARD_NO_HTTP2;
    return bits;
}

unsigned heard_bits(const struct heard *h, nsec_t now)
{
    return bits_of(word_of(h), now);
}

void heard_note(struct heard *h, unsigned set, unsigned clear, nsec_t now)
{
    uint64_t word = word_of(h), until = until_of(word);
    unsigned before = bits_of(word, now), bits = (before & ~clear) | set;

    if (set & HEARD_NO_HTTP2)
        until = (uint64_t)((now + HEARD_NO_HTTP2_TIME) / SECONDS(1));
    else if (bits == before)
        return;
    h->own = (word & TAG_MASK) | (until << BITS & ~TAG_MASK) | bits;
    atomic_store_explicit(h->shared, h->own, memory_order_relaxed);
}
