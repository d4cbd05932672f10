#include "proxy/without_context.h"

#include <stdalign.h>
#include <stdatomic.h>

#include "base/log.h"
#include "mesh/config.h"

/* The process's, so that one worker may read the count of another that has ended. */
static struct {
    alignas(64) atomic_long n;
} serving[CONFIG_WORKERS_MAX];
static atomic_uint used; /* of these: the highest index that was written, and one */
static atomic_bool told;

void without_context_serves(unsigned worker, int n)
{
    atomic_long *own = &serving[worker].n;
    unsigned before = atomic_load_explicit(&used, memory_order_relaxed);

    while (before <= worker && !atomic_compare_exchange_weak(&used, &before, worker + 1))
        ;
    atomic_store_explicit(own, atomic_load_explicit(own, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

long without_context_served(void)
{
    unsigned n = atomic_load_explicit(&used, memory_order_relaxed);
    long sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += atomic_load_explicit(&serving[i].n, memory_order_relaxed);
    return sum;
}

bool without_context_warn(struct str method, struct str authority, long served)
{
    enum { AUTHORITY_SHOWN = 255 };

    if (atomic_load_explicit(&told, memory_order_relaxed) || atomic_exchange(&told, true))
        return false;
    log_write(LOG_WARN, "trace",
              "an outbound request (%.*s to %.*s) came without trace context while %ld inbound %s "
              "being served: if it was made for %s, the service must copy traceparent, tracestate "
              "and baggage of the request it serves into it (for gRPC: into its metadata), or "
              "the trace ends at the service; sidespan_outbound_without_context_total counts such "
              "requests, and this is said once",
              STR_ARG(method), STR_ARG(str_slice(authority, 0, AUTHORITY_SHOWN)), served,
              served == 1 ? "one is" : "ones are", served == 1 ? "it" : "one of them");
    return true;
}
