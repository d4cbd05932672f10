/*
 * The Prometheus text format 0.0.4, a line at a time. Whoever writes metrics
 * writes a whole family at once: prometheus_family(), then its samples.
 */
#ifndef SIDESPAN_PROXY_PROMETHEUS_H
#define SIDESPAN_PROXY_PROMETHEUS_H

#include "base/buffer.h"
#include "base/str.h"

/* What GET /metrics says its content is. */
#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The HELP and TYPE lines; help is plain text without backslash and line break. */
void prometheus_family(struct buffer *out, const char *name, const char *type, const char *help);
/* NAME="value" for a label, the value escaped. */
void prometheus_label(struct buffer *out, const char *name, struct str value);

#endif
