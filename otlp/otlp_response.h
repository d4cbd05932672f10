/*
 * What a collector's answer means for the batch that was sent (OTLP
 * specification, "OTLP/gRPC Response" and "OTLP/HTTP Response").
 */
#ifndef SIDESPAN_OTLP_OTLP_RESPONSE_H
#define SIDESPAN_OTLP_OTLP_RESPONSE_H

#include "otlp/transport.h"

enum otlp_verdict {
    OTLP_ACCEPTED, /* never to be sent again, also where some spans were rejected */
    OTLP_RETRY,
    OTLP_REFUSED, /* sending it again would not help */
};

struct otlp_outcome {
    enum otlp_verdict verdict;
    uint64_t rejected;    /* ACCEPTED: spans that the collector did not take */
    nsec_t wait_at_least; /* RETRY: what the collector asked for; 0: nothing */
    char text[400];       /* what went wrong and what to do, for an operator; "": nothing did */
};

/* kind says whose rules hold. */
void otlp_response_read(enum transport_kind kind, const struct transport_response *response,
                        struct otlp_outcome *out);

/* Retry-After (RFC 9110 section 10.2.3): seconds, or a date, which is taken relative to the Date of
 * the same response, so that no clock is needed. 0: neither, or in the past. */
nsec_t otlp_retry_after(const struct headers *fields);

#endif
