#include "otlp/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <strings.h>

#define RANDOMNESS_VALUES (UINT64_C(1) << 56)

struct sampler_rule sampler_always_on(void)
{
    return (struct sampler_rule){.kind = SAMPLER_ALWAYS_ON};
}

struct sampler_rule sampler_always_off(void)
{
    return (struct sampler_rule){.kind = SAMPLER_ALWAYS_OFF};
}

struct sampler_rule sampler_ratio(double ratio)
{
    if (!(ratio > 0)) /* and what is no number */
        return sampler_always_off();
    if (ratio >= 1)
        return sampler_always_on();

    /* The share that is taken is rounded, not the share that is rejected: a small ratio has more
     * digits than what is left of 1. The least is one value of 2^56. */
    uint64_t taken = (uint64_t)(ldexp(ratio, 56) + 0.5);
    if (taken == 0)
        taken = 1;
    return (struct sampler_rule){.kind = SAMPLER_RATIO, .threshold = RANDOMNESS_VALUES - taken};
}

struct sampler sampler_parent_based(struct sampler_rule root)
{
    return (struct sampler){
        .parent_based = true,
        .root = root,
        .remote_sampled = sampler_always_on(),
        .remote_not_sampled = sampler_always_off(),
    };
}

/* The right-most 7 bytes of the trace id: what W3C level 2 calls its random part. */
static uint64_t randomness(const struct trace_id *id)
{
    uint64_t r = 0;

    for (int i = 9; i < 16; i++)
        r = r << 8 | id->bytes[i];
    return r;
}

static bool rule_decide(const struct sampler_rule *rule, const struct trace_id *trace_id)
{
    switch (rule->kind) {
    case SAMPLER_ALWAYS_ON:
        return true;
    case SAMPLER_ALWAYS_OFF:
        return false;
    case SAMPLER_RATIO:
        return randomness(trace_id) >= rule->threshold;
    }
    return false;
}

bool sampler_decide(const struct sampler *s, const struct trace_context *parent,
                    const struct trace_id *trace_id)
{
    const struct sampler_rule *rule = &s->root;

    if (s->parent_based && parent)
        rule = parent->flags & TRACE_FLAG_SAMPLED ? &s->remote_sampled : &s->remote_not_sampled;
    return rule_decide(rule, trace_id);
}

/* The names of OTEL_TRACES_SAMPLER; how far each is from plain always. */
static const struct named_sampler {
    const char *name;
    enum sampler_kind root;
    bool parent_based;
} named_samplers[] = {
    {"always_on", SAMPLER_ALWAYS_ON, false},
    {"always_off", SAMPLER_ALWAYS_OFF, false},
    {"traceidratio", SAMPLER_RATIO, false},
    {"parentbased_always_on", SAMPLER_ALWAYS_ON, true},
    {"parentbased_always_off", SAMPLER_ALWAYS_OFF, true},
    {"parentbased_traceidratio", SAMPLER_RATIO, true},
};

/* 1 where there is no argument, or a bad one: that is as if it were not set. */
static double parse_ratio(const char *argument, const char **warning)
{
    if (!argument || !*argument)
        return 1;
    char *end;
    double ratio = strtod(argument, &end);
    if (end == argument || *end || !(ratio >= 0 && ratio <= 1)) {
        *warning = "is not a ratio from 0 to 1 and was ignored: "
                   "all traces are sampled";
        return 1;
    }
    return ratio;
}

static const struct named_sampler *find_sampler(const char *name)
{
    for (size_t i = 0; i < sizeof(named_samplers) / sizeof(named_samplers[0]); i++)
        if (strcasecmp(name, named_samplers[i].name) == 0)
            return &named_samplers[i];
    return NULL;
}

bool sampler_from_environment(const char *name, const char *argument, struct sampler *out,
                              const char **warning)
{
    *warning = NULL;
    *out = sampler_parent_based(sampler_always_on());
    if (!name || !*name)
        return true;

    const struct named_sampler *named = find_sampler(name);
    if (!named) {
        *warning = "names no sampler that is known here (always_on, always_off, traceidratio, and "
                   "these behind parentbased_) and was ignored: "
                   "parentbased_always_on is used";
        return false;
    }
    struct sampler_rule root = {.kind = named->root};
    if (named->root == SAMPLER_RATIO)
        root = sampler_ratio(parse_ratio(argument, warning));
    *out = sampler_parent_based(root);
    out->parent_based = named->parent_based;
    return true;
}

static void describe_rule(const struct sampler_rule *rule, struct buffer *out)
{
    switch (rule->kind) {
    case SAMPLER_ALWAYS_ON:
        buffer_add_str(out, STR("AlwaysOnSampler"));
        break;
    case SAMPLER_ALWAYS_OFF:
        buffer_add_str(out, STR("AlwaysOffSampler"));
        break;
    case SAMPLER_RATIO:
        buffer_printf(out, "TraceIdRatioBased{%.6g}",
                      ldexp((double)(RANDOMNESS_VALUES - rule->threshold), -56));
        break;
    }
}

void sampler_describe(const struct sampler *s, struct buffer *out)
{
    if (!s->parent_based) {
        describe_rule(&s->root, out);
        return;
    }
    buffer_add_str(out, STR("ParentBased{root:"));
    describe_rule(&s->root, out);
    buffer_add_str(out, STR(",remoteParentSampled:"));
    describe_rule(&s->remote_sampled, out);
    buffer_add_str(out, STR(",remoteParentNotSampled:"));
    describe_rule(&s->remote_not_sampled, out);
    buffer_add_char(out, '}');
}
