#include "proxy/environment.h"

#include <stdlib.h>

#include "mesh/value.h"
#include "proxy/environment_export.h"

static const char *from_process(const char *name)
{
    return getenv(name);
}

/* ---- sampler ---- */

static struct sampler_rule sampler_rule_of(const struct sample_config *c)
{
    switch (c->kind) {
    case SAMPLE_ALWAYS:
        return sampler_always_on();
    case SAMPLE_NEVER:
        return sampler_always_off();
    case SAMPLE_RATIO:
        break;
    }
    return sampler_ratio(c->ratio);
}

static void take_sampler(struct environment *e, struct sampler *out)
{
    const struct trace_config *t = &e->config->trace;
    const char *name = e->get("OTEL_TRACES_SAMPLER"), *warning = NULL;
    char shown[80];

    *out = (struct sampler){.parent_based = t->parent_based,
                            .root = sampler_rule_of(&t->root),
                            .remote_sampled = sampler_rule_of(&t->remote_sampled),
                            .remote_not_sampled = sampler_rule_of(&t->remote_not_sampled)};
    if (t->said_sample || !name || !*name)
        return;
    const char *argument = e->get("OTEL_TRACES_SAMPLER_ARG");
    bool known = sampler_from_environment(name, argument, out, &warning);
    if (warning)
        environment_warn(e, known ? "OTEL_TRACES_SAMPLER_ARG" : "OTEL_TRACES_SAMPLER", "\"%s\" %s",
                         value_shown(str_from(known ? argument : name), shown), warning);
    buffer_add_str(&e->notes, STR("# sample "));
    sampler_describe(out, &e->notes);
    buffer_add_char(&e->notes, '\n');
}

/* Spans are not wanted, and what others decided travels on. */
static void disable(struct environment *e, struct sampler *sampler)
{
    e->config->trace.disabled = true;
    e->config->trace.n_exports = 0;
    *sampler = sampler_parent_based(sampler_always_off());
    buffer_add_str(&e->notes, STR("# nothing is recorded: OTEL_SDK_DISABLED\n"));
}

/* ---- propagators ---- */

static void take_propagators(struct environment *e)
{
    static const char name[] = "OTEL_PROPAGATORS";
    struct str all = environment_text(e, name), rest = all, member;
    struct propagators set = {0};
    bool none = false;
    char shown[80];

    if (e->config->trace.said_propagate || all.n == 0)
        return;
    while (str_next_member(&rest, &member)) {
        enum propagator_id id;
        if (str_eq_nocase(member, STR("none")))
            none = true;
        else if (propagator_named(member, &id))
            propagators_add(&set, id);
        else
            environment_warn(e, name, "\"%s\" is not supported and is ignored",
                             value_shown(member, shown));
    }
    if (set.n == 0 && !none)
        return; /* all of it was ignored */
    e->config->trace.propagators = set;
    buffer_add_str(&e->notes, STR("# propagate"));
    for (unsigned i = 0; i < set.n; i++)
        buffer_printf(&e->notes, " %s", propagator_at(set.v[i])->name);
    buffer_add_str(&e->notes, set.n > 0 ? STR("\n") : STR(" none\n"));
}

/* ---- conventions ---- */

/* A list that all instrumentations share, so the words of others are no mistake. The stable HTTP
 * conventions are the only ones there ever were here. */
static void take_opt_in(struct environment *e)
{
    struct str rest = environment_text(e, "OTEL_SEMCONV_STABILITY_OPT_IN"), word;
    enum semconv *rpc = &e->config->trace.rpc;

    while (str_next_member(&rest, &word)) {
        if (str_eq_nocase(word, STR("rpc/dup")))
            *rpc = SEMCONV_BOTH;
        else if (str_eq_nocase(word, STR("rpc")) && *rpc == SEMCONV_OLD)
            *rpc = SEMCONV_NEW;
    }
    if (*rpc != SEMCONV_OLD)
        buffer_printf(&e->notes, "# names of RPC attributes and metrics: %s\n",
                      *rpc == SEMCONV_NEW ? "the new ones" : "the old and the new ones");
}

/* ---- batch ---- */

static void take_batch(struct environment *e)
{
    struct trace_config *t = &e->config->trace;
    uint64_t queue = t->batch.queue, size = t->batch.size;

    if (t->said_batch)
        return;
    bool taken = environment_number(e, "OTEL_BSP_MAX_QUEUE_SIZE", 1, &queue);
    taken |= environment_number(e, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, &size);
    taken |= environment_duration(e, "OTEL_BSP_EXPORT_TIMEOUT", &t->batch.timeout);
    uint64_t delay_ms;
    if (environment_number(e, "OTEL_BSP_SCHEDULE_DELAY", 0, &delay_ms)) {
        t->batch.delay = MILLISECONDS(delay_ms);
        taken = true;
    }
    if (size > queue) {
        if (environment_text(e, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE").n > 0)
            environment_warn(e, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
                             "a batch cannot be larger than the queue; it is cut to its size");
        size = queue;
    }
    t->batch.queue = queue;
    t->batch.size = size;
    if (!taken)
        return;
    buffer_printf(&e->notes, "# batch { queue %zu; size %zu; delay ", t->batch.queue,
                  t->batch.size);
    value_write_duration(t->batch.delay, &e->notes);
    buffer_add_str(&e->notes, STR("; timeout "));
    value_write_duration(t->batch.timeout, &e->notes);
    buffer_add_str(&e->notes, STR("; }\n"));
}

/* ---- resource ---- */

static void add_service(struct resource *r, const struct service_config *s)
{
    resource_add(r, STR("service.name"), s->name);
    resource_add(r, STR("service.namespace"), s->namespace_);
    resource_add(r, STR("service.version"), s->version);
    resource_add(r, STR("service.instance.id"), s->instance);
    for (size_t i = 0; i < s->n_attributes; i++)
        resource_add(r, s->attributes[i].key, s->attributes[i].value);
}

void environment_resource_from(const struct config *config, const char *(*get)(const char *name),
                               struct resource *out)
{
    struct environment e = {.get = get ? get : from_process};

    resource_init(out);
    add_service(out, &config->service);
    resource_add(out, STR("service.name"), environment_text(&e, "OTEL_SERVICE_NAME"));
    resource_add_list(out, environment_text(&e, "OTEL_RESOURCE_ATTRIBUTES"));
    resource_complete(out);
}

void environment_resource(const struct config *config, struct resource *out)
{
    environment_resource_from(config, NULL, out);
}

static void check_resource(struct environment *e)
{
    struct resource r;

    resource_init(&r);
    if (!resource_add_list(&r, environment_text(e, "OTEL_RESOURCE_ATTRIBUTES")))
        environment_warn(e, "OTEL_RESOURCE_ATTRIBUTES",
                         "not KEY=VALUE,... with ',', '=' and '%%' percent-encoded in the values; "
                         "all of it is ignored");
    resource_release(&r);
}

/* ---- all of it ---- */

static void append_notes(struct environment *e)
{
    struct config *c = e->config;

    if (e->notes.n == 0 || e->notes.failed)
        return;
    struct str text =
        arena_printf(&c->arena, "%.*s\n# From the environment, where the file does not say:\n%.*s",
                     STR_ARG(c->text), STR_ARG(buffer_str(&e->notes)));
    if (text.p)
        c->text = text;
}

void environment_apply(struct config *config, const char *(*get)(const char *name),
                       struct sampler *sampler, struct errors *warnings)
{
    struct environment e = {
        .get = get ? get : from_process, .warnings = warnings, .config = config};

    buffer_init(&e.notes, 64 * 1024);
    if (environment_text(&e, "OTEL_CONFIG_FILE").n > 0)
        environment_warn(&e, "OTEL_CONFIG_FILE",
                         "declarative configuration is not supported; "
                         "routes.conf is what counts");
    check_resource(&e);
    take_propagators(&e);
    take_sampler(&e, sampler);
    take_opt_in(&e);
    take_batch(&e);
    if (environment_true(&e, "OTEL_SDK_DISABLED"))
        disable(&e, sampler);
    else if (!config->trace.said_export)
        environment_exports(&e);
    append_notes(&e);
    buffer_release(&e.notes);
}
