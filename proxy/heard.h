/*
 * What an endpoint of `protocol auto` was heard to speak. What one worker has
 * learnt all know, so that an endpoint is asked once and not by each of them:
 * a table of words that is the process's, where an address has one place. Two
 * addresses may meet there; then the latest has it, and who is without goes by
 * what this worker has heard itself.
 */
#ifndef SIDESPAN_PROXY_HEARD_H
#define SIDESPAN_PROXY_HEARD_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/address.h"
#include "base/clock.h"

enum heard_bits {
    HEARD_HTTP1 = 1,    /* it has answered a request of HTTP/1.1 */
    HEARD_HTTP2 = 2,    /* it has sent SETTINGS */
    HEARD_NO_HTTP1 = 4, /* that was its answer to HTTP/1.1 */
    HEARD_NO_HTTP2 = 8, /* it has answered the preface of HTTP/2 with something else: for
                           HEARD_NO_HTTP2_TIME */
};

/* How long an endpoint is not asked again whether it knows HTTP/2. */
#define HEARD_NO_HTTP2_TIME SECONDS(60)

/* One worker's view of one endpoint. */
struct heard {
    atomic_uint_fast64_t *shared; /* its place in the table */
    uint64_t own;                 /* what this worker has heard last */
};

/* Of an address that nothing was heard of by this worker. */
void heard_init(struct heard *h, const struct address *a);
/* enum heard_bits. now: monotonic. Takes no lock, and writes nothing. */
unsigned heard_bits(const struct heard *h, nsec_t now);
/* Writes only where it changes something. */
void heard_note(struct heard *h, unsigned set, unsigned clear, nsec_t now);

#endif
