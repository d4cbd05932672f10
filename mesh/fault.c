#include "mesh/fault.h"

#include "mesh/route.h"

/* How many delays of a request are told one by one. */
enum { DELAYS_NAMED = 8 };

struct siphash_key fault_salt(struct str route_text, size_t n, enum fault_kind kind)
{
    /* "sidespan" and "fault v1", the fault's number and kind in the last bytes. */
    struct siphash_key first = {0x736964657370616e ^ (uint64_t)n, 0x6661756c74207631};
    struct siphash_key second = {0x6661756c74207631, 0x736964657370616e ^ (uint64_t)n};

    first.k1 ^= (uint64_t)kind << 56;
    second.k0 ^= (uint64_t)kind << 56;
    return (struct siphash_key){siphash(&first, route_text.p, route_text.n),
                                siphash(&second, route_text.p, route_text.n)};
}

uint64_t fault_draw(const struct fault *f, const struct trace_id *trace_id)
{
    return siphash(&f->salt, trace_id->bytes, sizeof(trace_id->bytes));
}

bool fault_is_over(const struct fault *f, nsec_t now)
{
    return f->until && now >= f->until;
}

enum verdict fault_strikes(const struct fault *f, const struct request *r)
{
    if (f->share == 0 || (r->faults_drawn && !f->when))
        return VERDICT_NO;
    if (fault_is_over(f, r->now))
        return VERDICT_NO;
    if (f->share != SHARE_ALWAYS && fault_draw(f, &r->trace_id) >= f->share)
        return VERDICT_NO;
    return f->when ? match_rule_holds(f->when, r) : VERDICT_YES;
}

bool fault_strikes_all(const struct fault *f)
{
    return f->share == SHARE_ALWAYS && !f->first && !f->when && !f->until;
}

nsec_t fault_delay_of(const struct fault *f, const struct trace_id *trace_id)
{
    if (f->jitter <= 0)
        return f->delay;
    /* A draw of its own: those that strike are alike in theirs. */
    struct siphash_key salt = {f->salt.k0, ~f->salt.k1};
    uint64_t draw = siphash(&salt, trace_id->bytes, sizeof(trace_id->bytes));
    /* draw / 2^64 of the jitter: the upper half of a product of 128 bits. */
    __extension__ unsigned __int128 product = (unsigned __int128)draw * ((uint64_t)f->jitter + 1);
    return f->delay + (nsec_t)(product >> 64);
}

/* ended: one before it ends the request, so that only a delay still counts; the others keep their
 * numbers. */
static enum fault_fate fate_of(const struct fault *f, const struct request *r, bool ended)
{
    if (f->kind != FAULT_DELAY && ended)
        return FATE_NOT_REACHED;
    switch (fault_strikes(f, r)) {
    case VERDICT_YES:
        return FATE_STRIKES;
    case VERDICT_NO:
        return FATE_MISSES;
    case VERDICT_UNDECIDED:
        break;
    }
    return FATE_UNDECIDED;
}

/* Takes one of `first N`; false when all are taken. Once they are, it only reads. */
static bool take_one(const struct fault *f)
{
    uint_fast64_t struck = atomic_load_explicit(f->struck, memory_order_relaxed);

    while (struck < f->first)
        if (atomic_compare_exchange_weak_explicit(f->struck, &struck, struck + 1,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

/* The request is refused for another reason, so that it did not strike. */
static void give_back(const struct route *route, uint64_t struck)
{
    for (size_t i = 0; i < route->n_faults; i++)
        if ((struck >> i & 1) && route->faults[i].first)
            atomic_fetch_sub_explicit(route->faults[i].struck, 1, memory_order_relaxed);
}

/* One walk decides and explains. seen NULL: it is decided, and `first N` is counted. */
static inline struct fault_decision walk(const struct route *route, const struct request *r,
                                         fault_seen_fn *seen, void *arg)
{
    struct fault_decision d = {0};

    for (size_t i = 0; i < route->n_faults; i++) {
        const struct fault *f = &route->faults[i];
        enum fault_fate fate = fate_of(f, r, d.aborted != NULL);
        if (fate == FATE_STRIKES && f->first && !seen && !take_one(f))
            fate = FATE_MISSES;
        if (seen)
            seen(arg, f, fate);
        if (fate == FATE_UNDECIDED) {
            if (!seen)
                give_back(route, d.struck);
            return (struct fault_decision){.undecided = f};
        }
        if (fate != FATE_STRIKES)
            continue;
        d.struck |= UINT64_C(1) << i;
        if (f->kind == FAULT_DELAY)
            d.delay += fault_delay_of(f, &r->trace_id);
        else
            d.aborted = f;
    }
    return d;
}

struct fault_decision fault_decide(const struct route *route, const struct request *r)
{
    return walk(route, r, NULL, NULL);
}

struct fault_decision fault_foresee(const struct route *route, const struct request *r,
                                    fault_seen_fn *seen, void *arg)
{
    return walk(route, r, seen, arg);
}

void fault_write_struck(const struct route *route, const struct fault_decision *d,
                        struct buffer *out)
{
    unsigned named = 0, more = 0;

    /* The one that ends the request comes last, and is always told. */
    for (size_t i = 0; i < route->n_faults; i++) {
        const struct fault *f = &route->faults[i];

        if (!(d->struck >> i & 1) || f == d->aborted)
            continue;
        if (named == DELAYS_NAMED)
            more++;
        else
            buffer_printf(out, "%s%.*s", named++ ? "; " : "", STR_ARG(f->shown));
    }
    if (more)
        buffer_printf(out, "; and %u more", more);
    if (d->aborted)
        buffer_printf(out, "%s%.*s", named ? "; " : "", STR_ARG(d->aborted->shown));
}
