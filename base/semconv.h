/*
 * Which names a convention that was renamed is written with: what
 * OTEL_SEMCONV_STABILITY_OPT_IN says of it.
 */
#ifndef SIDESPAN_BASE_SEMCONV_H
#define SIDESPAN_BASE_SEMCONV_H

#include <stdbool.h>

enum semconv {
    SEMCONV_OLD, /* nothing was said */
    SEMCONV_NEW,
    SEMCONV_BOTH, /* "/dup" */
};

static inline bool semconv_old(enum semconv names)
{
    return names != SEMCONV_NEW;
}

static inline bool semconv_new(enum semconv names)
{
    return names != SEMCONV_OLD;
}

#endif
