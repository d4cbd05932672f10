/*
 * Which faults of a route strike a request. Whether one strikes is decided by
 * SipHash of the trace id with a salt of the fault's own.
 */
#ifndef SIDESPAN_MESH_FAULT_H
#define SIDESPAN_MESH_FAULT_H

#include "base/buffer.h"
#include "mesh/config.h"
#include "mesh/request.h"

struct fault_decision {
    nsec_t delay;                /* 0: none */
    uint64_t struck;             /* a bit for each of the route's faults: bit 0, the first */
    const struct fault *aborted; /* abort or reset, after the delay; NULL: none */
    /* Whether this one strikes is not decided: the request is to be refused, and the rest says
     * nothing. NULL: all are. */
    const struct fault *undecided;
};

/* salt of the n-th fault of a route. It never changes: two releases strike alike. */
struct siphash_key fault_salt(struct str route_text, size_t n, enum fault_kind kind);

/* What decides: the fault strikes a trace whose draw is below its share. */
uint64_t fault_draw(const struct fault *f, const struct trace_id *trace_id);
/* Its `until` is past. */
bool fault_is_over(const struct fault *f, nsec_t now);
/* True if it strikes every request for ever: it has no share, condition, number or moment. */
bool fault_strikes_all(const struct fault *f);
/* Would this fault strike the request, `first` aside? */
enum verdict fault_strikes(const struct fault *f, const struct request *r);
/* How long it delays: delay plus a part of jitter that the trace id draws, the ends included. */
nsec_t fault_delay_of(const struct fault *f, const struct trace_id *trace_id);

/* Several delays add up; the first abort or reset that strikes counts. Takes one of the N of each
 * `first N` that strikes; none where it is undecided. */
struct fault_decision fault_decide(const struct route *route, const struct request *r);
/* What becomes of one of a route's faults. */
enum fault_fate {
    FATE_STRIKES,
    FATE_MISSES,
    FATE_NOT_REACHED, /* one before it ends the request */
    FATE_UNDECIDED,
};
typedef void fault_seen_fn(void *arg, const struct fault *f, enum fault_fate fate);
/* The same decision for who asks what would happen: `first N` is taken as not used up and nothing
 * is counted. seen, not NULL, is called for each fault in turn, until one is undecided. */
struct fault_decision fault_foresee(const struct route *route, const struct request *r,
                                    fault_seen_fn *seen, void *arg);
/* Those that struck, "delay 2s; abort 503", without secrets: the first few by name, the others by
 * their number. */
void fault_write_struck(const struct route *route, const struct fault_decision *d,
                        struct buffer *out);

#endif
