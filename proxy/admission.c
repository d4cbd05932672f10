#include "proxy/admission.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CACHE_LINE = 64 };

/* Of one worker, on a line of its own. */
struct seat {
    alignas(CACHE_LINE) atomic_bool waits[2]; /* by direction */
    int room;                                 /* eventfd */
    atomic_uint busy;
};

struct admission {
    alignas(CACHE_LINE) atomic_size_t open[2];
    atomic_uint waiting[2]; /* seats of which waits is true */
    unsigned n;
    struct seat v[];
};

/* ---- life ---- */

struct admission *admission_new(unsigned workers)
{
    size_t bytes = sizeof(struct admission) + workers * sizeof(struct seat);
    struct admission *a = aligned_alloc(CACHE_LINE, bytes);

    if (!a)
        return NULL;
    a->n = 0;
    for (unsigned d = 0; d < 2; d++) {
        atomic_init(&a->open[d], 0);
        atomic_init(&a->waiting[d], 0);
    }
    while (a->n < workers) {
        struct seat *s = &a->v[a->n];

        atomic_init(&s->waits[0], false);
        atomic_init(&s->waits[1], false);
        atomic_init(&s->busy, 0);
        s->room = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (s->room < 0) {
            admission_free(a);
            return NULL;
        }
        a->n++;
    }
    return a;
}

void admission_free(struct admission *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < a->n; i++)
        close(a->v[i].room);
    free(a);
}

/* ---- places ---- */

static bool take(struct admission *a, enum direction_kind direction, size_t limit)
{
    size_t open = atomic_load(&a->open[direction]);

    while (!limit || open < limit)
        if (atomic_compare_exchange_weak(&a->open[direction], &open, open + 1))
            return true;
    return false;
}

static void wait_for_place(struct admission *a, struct seat *s, enum direction_kind direction)
{
    if (!atomic_exchange(&s->waits[direction], true))
        atomic_fetch_add(&a->waiting[direction], 1);
}

/* True: it did wait. */
static bool wait_no_more(struct admission *a, struct seat *s, enum direction_kind direction)
{
    if (!atomic_exchange(&s->waits[direction], false))
        return false;
    atomic_fetch_sub(&a->waiting[direction], 1);
    return true;
}

bool admission_take(struct admission *a, unsigned worker, enum direction_kind direction,
                    size_t limit)
{
    struct seat *s = &a->v[worker];

    if (take(a, direction, limit))
        return true;
    wait_for_place(a, s, direction);
    /* Whoever gave one back before that did not see us wait. */
    if (!take(a, direction, limit))
        return false;
    wait_no_more(a, s, direction);
    return true;
}

void admission_take_anyway(struct admission *a, enum direction_kind direction)
{
    atomic_fetch_add(&a->open[direction], 1);
}

/* All that wait are told, since nobody knows in whose queue a connection is; who finds none there
 * waits no longer, and is not told again. */
static void tell_waiting(struct admission *a, enum direction_kind direction)
{
    static const uint64_t one = 1;

    for (unsigned i = 0; i < a->n; i++)
        if (wait_no_more(a, &a->v[i], direction))
            (void)!write(a->v[i].room, &one, sizeof one);
}

void admission_give_back(struct admission *a, enum direction_kind direction)
{
    atomic_fetch_sub(&a->open[direction], 1);
    if (atomic_load(&a->waiting[direction]) > 0)
        tell_waiting(a, direction);
}

size_t admission_open(const struct admission *a, enum direction_kind direction)
{
    return atomic_load(&a->open[direction]);
}

/* ---- what is under way ---- */

atomic_uint *admission_busy(struct admission *a, unsigned worker)
{
    return &a->v[worker].busy;
}

unsigned admission_busy_in_all(const struct admission *a)
{
    unsigned n = 0;

    for (unsigned i = 0; i < a->n; i++)
        n += atomic_load_explicit(&a->v[i].busy, memory_order_relaxed);
    return n;
}

/* ---- being told ---- */

int admission_descriptor(const struct admission *a, unsigned worker)
{
    return a->v[worker].room;
}

void admission_heard(struct admission *a, unsigned worker)
{
    uint64_t count;

    (void)!read(a->v[worker].room, &count, sizeof count);
}

bool admission_waits(const struct admission *a, unsigned worker, enum direction_kind direction)
{
    return atomic_load(&a->v[worker].waits[direction]);
}
