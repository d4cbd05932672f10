/*
 * What the system gives this process, and what it has taken of it.
 */
#ifndef SIDESPAN_PROXY_PROCESS_H
#define SIDESPAN_PROXY_PROCESS_H

#include "base/buffer.h"

/* Raises the soft limit of open descriptors to the hard one: every connection takes one or two. */
void process_raise_descriptors(void);
/* Opens /dev/null in the place of standard input, output and error where they are closed: else a
 * socket would get their number, and be written the log into. First of all. */
void process_keep_standard_descriptors(void);
/* How many threads can run at once: the processors it may use, but no more than the control group's
 * share of time pays for (a container limited to 1.5 processors gets 2). At least 1. */
unsigned process_processors(void);
/* The process_* metrics every Prometheus client has. */
void process_metrics_print(struct buffer *out);

#endif
