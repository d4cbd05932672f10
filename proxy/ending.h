/*
 * The log's line of an exchange or a tunnel that did not end well: the fourth
 * voice beside span, counter and answer. Its words are those of the row in
 * otlp/span_error.h, so that it cannot tell another story than they do.
 *
 * Every such end has its line. What was asked for (a fault) is told at info, a
 * client that leaves, or has half-closed and may have left, at debug, anything else as a warning;
 * of warnings there are ten a second at most, and of the rest ten as well, which take no room from
 * warnings.
 */
#ifndef SIDESPAN_PROXY_ENDING_H
#define SIDESPAN_PROXY_ENDING_H

#include "base/address.h"
#include "base/log.h"
#include "otlp/span.h"

struct worker;

/* All borrowed, for the call. */
struct ending {
    enum span_error why;              /* not SPAN_ERROR_NONE */
    const char *area;                 /* of the log: "exchange", "tunnel" */
    const char *detail, *rule, *cure; /* NULL: what the row says */
    const struct trace_id *trace;     /* so that the line leads to it; NULL: there is none */
    const struct span *request;       /* its method, authority and path; NULL: it is not one */
    const struct address *from, *to;  /* of opaque bytes; NULL, or of no family: not known */
};
void ending_log(struct worker *w, const struct ending *e);
/* The level of its line. */
enum log_level ending_level(enum span_error why);

#endif
