/*
 * Which traces are recorded (OpenTelemetry specification, trace/sdk.md,
 * "Sampling"). Pure: the same context gives the same answer everywhere.
 */
#ifndef SIDESPAN_OTLP_SAMPLER_H
#define SIDESPAN_OTLP_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "propagation/context.h"

enum sampler_kind { SAMPLER_ALWAYS_ON, SAMPLER_ALWAYS_OFF, SAMPLER_RATIO };

/* A sampler that does not look at the parent. */
struct sampler_rule {
    enum sampler_kind kind;
    uint64_t threshold; /* RATIO: sampled when the low 56 bits of the trace id are >= it */
};

struct sampler {
    bool parent_based; /* else root alone decides, for every span */
    struct sampler_rule root;
    struct sampler_rule remote_sampled, remote_not_sampled;
};

struct sampler_rule sampler_always_on(void);
struct sampler_rule sampler_always_off(void);
/* ratio 0 never, 1 always; between them the 56-bit rule of consistent probability sampling:
 * sampled if and only if R >= 2^56 * (1 - ratio). A higher ratio samples a superset. */
struct sampler_rule sampler_ratio(double ratio);
/* Parent-based over root, with the specification's defaults for the delegates. */
struct sampler sampler_parent_based(struct sampler_rule root);

/*
 * The decision for a span of that trace. parent is what was extracted, NULL when
 * there was none (or it was invalid). trace_id is the parent's or the new one.
 */
bool sampler_decide(const struct sampler *s, const struct trace_context *parent,
                    const struct trace_id *trace_id);

/* OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. False: unknown name; *warning says what of the
 * two was ignored (NULL: nothing), and *out is then parent-based over always. */
bool sampler_from_environment(const char *name, const char *argument, struct sampler *out,
                              const char **warning);

/* "ParentBased{root:AlwaysOnSampler,...}" for people. */
void sampler_describe(const struct sampler *s, struct buffer *out);

#endif
