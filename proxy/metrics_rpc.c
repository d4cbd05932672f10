#include "proxy/metrics_rpc.h"

#include <stdlib.h>
#include <string.h>

#include "base/grpc_status.h"
#include "base/siphash.h"
#include "otlp/rpc_call.h"
#include "proxy/metrics_tables.h"

static void publish(struct rpc_table *t, struct rpc_set *s)
{
    s->next = atomic_load_explicit(&t->newest, memory_order_relaxed);
    atomic_store_explicit(&t->newest, s, memory_order_release);
}

/* The one that all share for whom there is no place; seen by others from its first use. */
static struct rpc_set *rest_of(struct rpc_table *t, const struct series *series)
{
    struct rpc_set *s = &t->rest[series->direction];

    if (!s->series) {
        s->series = series;
        s->overflow = true;
        publish(t, s);
    }
    return s;
}

/* Where the set is, or the empty place where it belongs. */
static struct rpc_set **find(struct rpc_table *t, const struct series *series, struct str method,
                             unsigned status)
{
    struct siphash_key key = {t->seed, (uintptr_t)series + status};
    size_t at = siphash(&key, method.p, method.n) & (RPC_SLOTS - 1);

    for (; t->slots[at]; at = (at + 1) & (RPC_SLOTS - 1)) {
        const struct rpc_set *s = t->slots[at];
        if (s->series == series && s->status == status && str_eq(s->method, method))
            break;
    }
    return &t->slots[at];
}

static bool has_room(struct rpc_table *t, const struct series *series, struct str method,
                     unsigned status)
{
    if (t->n < RPC_SETS_MAX / 2)
        return true;
    return t->n < RPC_SETS_MAX && (status == GRPC_OK || *find(t, series, method, GRPC_OK) != NULL);
}

/* The method lies behind the struct, in the same piece of memory. */
static struct rpc_set *set_new(const struct series *series, struct str method, unsigned status)
{
    struct rpc_set *s = calloc(1, sizeof(*s) + method.n);

    if (!s)
        return NULL;
    s->series = series;
    s->status = status;
    s->method = str_of(memcpy(s + 1, method.p, method.n), method.n);
    return s;
}

static struct rpc_set *set_of(struct rpc_table *t, const struct series *series, struct str method,
                              unsigned status)
{
    struct rpc_set **place = find(t, series, method, status);

    if (*place)
        return *place;
    if (!has_room(t, series, method, status) || !(*place = set_new(series, method, status)))
        return rest_of(t, series);
    t->n++;
    publish(t, *place);
    return *place;
}

void metrics_rpc_record(struct metrics *m, const struct series *series, struct str path,
                        unsigned status, nsec_t duration)
{
    struct rpc_method method;

    if (!rpc_method_parse(path, &method))
        method.full = STR("_OTHER");
    histogram_record(&set_of(&m->tables->rpc, series, method.full, status)->duration, duration);
}

void rpc_table_release(struct rpc_table *t)
{
    for (size_t i = 0; i < RPC_SLOTS; i++)
        free(t->slots[i]);
}
