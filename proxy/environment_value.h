/*
 * One environment variable, read by the rules that all OTEL_* variables share:
 * empty is unset, and what cannot be read is warned of and is unset too.
 */
#ifndef SIDESPAN_PROXY_ENVIRONMENT_VALUE_H
#define SIDESPAN_PROXY_ENVIRONMENT_VALUE_H

#include "base/buffer.h"
#include "mesh/config.h"

struct environment {
    const char *(*get)(const char *name);
    struct errors *warnings; /* NULL: nobody wants them */
    struct config *config;   /* being completed */
    struct buffer notes;     /* "# ..." lines: what was taken */
};

/* Says that the variable (a literal) is not used, or how. Never the value of a secret. */
void environment_warn(struct environment *e, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Without surrounding white space; empty: unset. */
struct str environment_text(const struct environment *e, const char *name);
/* True only for "true" in any case. */
bool environment_true(struct environment *e, const char *name);
/* An integer from min to 2^31 - 1. False: unset, *out untouched. */
bool environment_number(struct environment *e, const char *name, uint64_t min, uint64_t *out);
/* Milliseconds; 0 is no limit and becomes a day. */
bool environment_duration(struct environment *e, const char *name, nsec_t *out);

#endif
