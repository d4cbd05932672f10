#include "proxy/own_dials.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "base/siphash.h"

enum { PLACES = 4096 };
#define A_MOMENT SECONDS(2)

static atomic_bool watched;
static _Atomic uint64_t places[PLACES];
static _Atomic nsec_t returned_at; /* 0: never */
static struct siphash_key key;

/* Nobody can make ports that share a place. */
__attribute__((constructor)) static void make_key(void)
{
    if (getrandom(&key, sizeof key, GRND_NONBLOCK) != (ssize_t)sizeof key)
        key = (struct siphash_key){0x6f776e206469616c, 1};
}

void own_dials_watch(void)
{
    atomic_store_explicit(&watched, true, memory_order_relaxed);
}

static void put(uint8_t *out, const struct address *a)
{
    memcpy(out, a->ip, a->family == AF_INET ? 4 : 16);
    memcpy(out + 16, &a->port, 2);
    memcpy(out + 18, &a->family, 2);
}

/* Never 0. */
static uint64_t name_of(const struct address *from, const struct address *to)
{
    uint8_t ends[40] = {0};

    put(ends, from);
    put(ends + 20, to);
    return siphash(&key, ends, sizeof ends) | 1;
}

static _Atomic uint64_t *place_of(uint64_t dial)
{
    return &places[(dial >> 1) % PLACES];
}

uint64_t own_dial_note(int fd, const struct address *to)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    struct address from;
    uint64_t dial;

    if (!atomic_load_explicit(&watched, memory_order_relaxed) || to->family == AF_UNIX ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0 ||
        !address_from_sockaddr((struct sockaddr *)&sa, len, &from))
        return 0;
    dial = name_of(&from, to);
    atomic_store_explicit(place_of(dial), dial, memory_order_release);
    return dial;
}

void own_dial_forget(uint64_t dial)
{
    uint64_t expected = dial;

    if (dial)
        atomic_compare_exchange_strong_explicit(place_of(dial), &expected, 0, memory_order_relaxed,
                                                memory_order_relaxed);
}

bool own_dial_returned(const struct address *from, const struct address *to, nsec_t now)
{
    uint64_t dial = name_of(from, to);

    if (atomic_load_explicit(place_of(dial), memory_order_acquire) != dial)
        return false;
    atomic_store_explicit(&returned_at, now, memory_order_relaxed);
    return true;
}

bool own_dials_return(nsec_t now)
{
    nsec_t at = atomic_load_explicit(&returned_at, memory_order_relaxed);

    return at && now < at + A_MOMENT;
}
