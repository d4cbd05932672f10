/*
 * The life of the process: what starts in which order, what a signal does, how
 * a new configuration comes into force, and how it all ends.
 */
#ifndef SIDESPAN_PROXY_SUPERVISOR_H
#define SIDESPAN_PROXY_SUPERVISOR_H

#include "mesh/config.h"
#include "otlp/sampler.h"

struct supervisor_options {
    const char *config_path;
    unsigned workers; /* 0: as the file says */
};

/* Runs until a signal ends it. Returns the exit status: 0 after a drain, 1 where it could not start
 * (standard error says why). */
int supervisor_run(const struct supervisor_options *options);

/* Reads the file and completes it from the environment. again: it is not the first time, so nothing
 * may be waited for. warnings (the place's file is the variable) may be NULL. NULL: errors says
 * everything that is wrong. */
struct config *supervisor_load(const char *path, bool again, struct sampler *sampler,
                               struct errors *errors, struct errors *warnings);

#endif
