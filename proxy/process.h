/*
 * What the system gives this process, and what it has taken of it.
 */
#ifndef SIDESPAN_PROXY_PROCESS_H
#define SIDESPAN_PROXY_PROCESS_H

#include <stdbool.h>

#include "base/buffer.h"

/* Raises the soft limit of open descriptors nearly to the hard one: every connection takes one or
 * two. A few are kept for the admin port, so that it answers when connections have taken all
 * others. */
void process_raise_descriptors(void);
/* From now on, or no longer, those that are kept may be taken. Of the main thread; what another
 * thread opens meanwhile may take one too, so it is for a moment. False: there are none. */
bool process_use_spare_descriptors(bool on);
/* Opens /dev/null in the place of standard input, output and error where they are closed: else a
 * socket would get their number, and be written the log into. First of all. */
void process_keep_standard_descriptors(void);
/* How many threads can run at once: the processors it may use, but no more than the control group's
 * share of time pays for (a container limited to 1.5 processors gets 2). At least 1. */
unsigned process_processors(void);
/* The process_* metrics every Prometheus client has. */
void process_metrics_print(struct buffer *out);

#endif
