/*
 * Requests that a service makes while it serves others, and into which it has
 * not copied the trace context: each is a trace of its own, and nothing else
 * tells. Such a request may as well be the service's own affair (a poll, a job),
 * so it is counted, and the operator is told once a process what it may mean.
 */
#ifndef SIDESPAN_PROXY_WITHOUT_CONTEXT_H
#define SIDESPAN_PROXY_WITHOUT_CONTEXT_H

#include <stdbool.h>

#include "base/str.h"

/* By the worker of that index (less than CONFIG_WORKERS_MAX): n more inbound exchanges are under
 * way. Each writes a cache line of its own. */
void without_context_serves(unsigned worker, int n);
/* From any worker, without a lock: inbound exchanges under way in all of them. */
long without_context_served(void);
/* An outbound request began a trace though some are served. True: it was the first of this process,
 * and a warning was written. */
bool without_context_warn(struct str method, struct str authority, long served);

#endif
