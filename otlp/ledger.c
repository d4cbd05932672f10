/*
 * A version counter around plain counters (a sequence lock of one writer). No
 * fence is needed: the counters are stored with release, so who sees a new one
 * sees the odd version before it too, and loaded with acquire, so the version is
 * looked at again only after them.
 */
#include "otlp/ledger.h"

#include <assert.h>

#define DROP_REASON_NAME(id, text) [id] = text,
static const char *const drop_reason_names[DROP_REASON_COUNT] = {DROP_REASONS(DROP_REASON_NAME)};
#undef DROP_REASON_NAME

const char *drop_reason_name(enum drop_reason r)
{
    assert((unsigned)r < DROP_REASON_COUNT);
    return drop_reason_names[r];
}

static void turn_version(struct ledger *l)
{
    uint64_t version = atomic_load_explicit(&l->version, memory_order_relaxed);
    atomic_store_explicit(&l->version, version + 1, memory_order_release);
}

/* One thread writes, so a load and a store do; by may stand for a negative number. */
static void add(atomic_uint_fast64_t *counter, uint64_t by)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + by, memory_order_release);
}

void ledger_start_waiting(struct ledger *l, uint64_t n)
{
    turn_version(l);
    add(&l->started, n);
    add(&l->waiting, n);
    turn_version(l);
}

void ledger_start_dropped(struct ledger *l, uint64_t n, enum drop_reason why)
{
    turn_version(l);
    add(&l->started, n);
    add(&l->dropped[why], n);
    turn_version(l);
}

void ledger_start_exported(struct ledger *l, uint64_t n)
{
    turn_version(l);
    add(&l->started, n);
    add(&l->exported, n);
    turn_version(l);
}

void ledger_settle_exported(struct ledger *l, uint64_t n, uint64_t rejected)
{
    assert(rejected <= n);
    turn_version(l);
    add(&l->waiting, -n);
    add(&l->exported, n - rejected);
    add(&l->rejected, rejected);
    turn_version(l);
}

void ledger_settle_dropped(struct ledger *l, uint64_t n, enum drop_reason why)
{
    turn_version(l);
    add(&l->waiting, -n);
    add(&l->dropped[why], n);
    turn_version(l);
}

struct ledger_view ledger_read(const struct ledger *l)
{
    struct ledger_view v;
    uint64_t before, after;

    do {
        before = atomic_load_explicit(&l->version, memory_order_acquire);
        v.started = atomic_load_explicit(&l->started, memory_order_acquire);
        v.exported = atomic_load_explicit(&l->exported, memory_order_acquire);
        v.rejected = atomic_load_explicit(&l->rejected, memory_order_acquire);
        for (int i = 0; i < DROP_REASON_COUNT; i++)
            v.dropped[i] = atomic_load_explicit(&l->dropped[i], memory_order_acquire);
        v.waiting = atomic_load_explicit(&l->waiting, memory_order_acquire);
        after = atomic_load_explicit(&l->version, memory_order_relaxed);
    } while (before != after || before % 2);
    return v;
}

uint64_t ledger_dropped(const struct ledger_view *v)
{
    uint64_t sum = 0;

    for (int i = 0; i < DROP_REASON_COUNT; i++)
        sum += v->dropped[i];
    return sum;
}

bool ledger_balances(const struct ledger_view *v)
{
    return v->started == v->exported + v->rejected + ledger_dropped(v) + v->waiting;
}
