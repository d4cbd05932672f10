/*
 * The life of a config: made with every default, filled by the loader, counted,
 * and released whole.
 */
#include "mesh/config.h"

#include "mesh/config_text.h"
#include "mesh/fault_count.h"
#include "mesh/foreign_file.h"
#include "mesh/loader.h"
#include "mesh/route.h"
#include "mesh/route_label.h"

enum { CHUNK_BYTES = 16 << 10 };

static void set_defaults(struct config *c)
{
    c->inbound.kind = DIRECTION_INBOUND;
    c->inbound.forwarded_headers = true;
    c->outbound.kind = DIRECTION_OUTBOUND;
    c->trace.parent_based = true;
    c->trace.root = c->trace.remote_sampled = (struct sample_config){SAMPLE_ALWAYS, 1};
    c->trace.remote_not_sampled = (struct sample_config){SAMPLE_NEVER, 1};
    c->trace.propagators = propagators_default();
    c->trace.batch.queue = 16384;
    c->trace.batch.size = 512;
    c->trace.batch.delay = SECONDS(1);
    c->trace.batch.timeout = SECONDS(600);
    c->limits = (struct limits){.header_bytes = 64 << 10,
                                .headers = 100,
                                .response_header_bytes = 256 << 10,
                                .response_headers = 1000,
                                .url_bytes = 16 << 10,
                                .connections = 65536,
                                .inbound_connections = 65536,
                                .outbound_connections = 65536,
                                .buffer_bytes = 64 << 10,
                                .memory = MEMORY_AUTO,
                                .streams = 100,
                                .stream_window = 256 << 10,
                                .connection_window = 1 << 20};
    c->timeouts = (struct timeouts){.header = SECONDS(10),
                                    .idle = SECONDS(300),
                                    .half_closed = SECONDS(10),
                                    .tunnel_half_closed = SECONDS(3600),
                                    .keepalive = SECONDS(60),
                                    .keepalive_timeout = SECONDS(120),
                                    .ping = SECONDS(360),
                                    .ping_timeout = SECONDS(20),
                                    .drain_delay = SECONDS(1),
                                    .drain = SECONDS(30),
                                    .flush = SECONDS(5)};
    c->log_level = LOG_INFO;
    struct error err = {0};
    c->admin.on = value_location(STR("127.0.0.1:15000"), ADDRESS_TO_LISTEN, &c->arena,
                                 &c->admin.location, &err);
    must_not_be_memory(&err);
}

/* Without anything in it. NULL: no memory. */
static struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    arena_init(&c->arena, CHUNK_BYTES, 0);
    return c;
}

static void config_free(struct config *c)
{
    for (size_t i = 0; i < c->n_patterns; i++)
        pattern_release(c->patterns[i]);
    for (size_t i = 0; i < c->n_regexes; i++)
        regex_free(c->regexes[i]);
    fault_counters_release(c->fault_counters);
    host_table_release(c->inbound.table);
    host_table_release(c->outbound.table);
    map_release(&c->clusters_by_name);
    arena_release(&c->arena);
    free(c);
}

struct config *config_ref(struct config *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void config_unref(struct config *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        config_free(c);
}

const struct cluster *config_cluster(const struct config *c, struct str name)
{
    return map_get(&c->clusters_by_name, name);
}

/* ---- reading ---- */

/* The text shown has no secrets; the hash knows them. */
static void set_text(struct config *c)
{
    struct buffer text;
    struct held held;

    hold_buffer(&held, &text);
    config_write(c, false, &text);
    if (text.failed)
        memory_ended();
    config_hash(buffer_str(&text), c->hash);
    buffer_reset(&text);
    config_write(c, true, &text);
    c->text = must_text(&c->arena, &text);
    let_go(&held);
}

static void load_all(struct loader *ld, const struct source *source, const struct statement *first)
{
    struct config *c = ld->config;
    struct block top;

    block_init(&top, CONTEXT_TOP_NAME, IN(CONTEXT_TOP), c);
    load_block(ld, &top, first);
    resolve_references(ld);
    finish_clusters(ld);
    finish_trace(ld);
    check_listens(ld);
    check_loops(ld);
    if (!c->inbound.present && !c->outbound.present && ld->report->n == 0)
        report_at(ld->report, (struct place){.file = source->name},
                  "neither inbound nor outbound: there is nothing to do");
}

/* Tables are for configs that will be used. */
static bool finish(struct loader *ld, const struct source *source)
{
    struct config *c = ld->config;
    struct error err = {0};

    if (ld->report->n)
        return false;
    if (!build_tables(ld, &c->inbound, &err) || !build_tables(ld, &c->outbound, &err)) {
        must_not_be_memory(&err);
        return report_error(ld->report, err.at.line ? err.at : (struct place){.file = source->name},
                            &err);
    }
    route_labels_set(c, &c->inbound);
    route_labels_set(c, &c->outbound);
    set_text(c);
    return true;
}

/* What was read, for whoever watches it. */
static void set_files(struct config *c, struct parser *p)
{
    c->files = p->files;
    c->n_files = p->n_files;
}

static bool read_source(struct config *c, struct sources *sources, struct source *source,
                        environment_fn *environment, struct report *report)
{
    struct parser parser = {.sources = sources, .report = report, .environment = environment};
    struct statement *first = parser_run(&parser, source);
    struct loader ld = {.config = c,
                        .arena = &c->arena,
                        .scratch = sources->scratch,
                        .report = report,
                        .braces_lost = parser.braces_lost};

    ld.last_reference = &ld.references;
    set_files(c, &parser);
    c->masks = sources->masks;
    load_all(&ld, source, first);
    return finish(&ld, source);
}

/* One reading of a configuration. All that it takes is in the two arenas, in the report, or held.
 */
struct reading {
    const char *name;
    const struct str *text; /* NULL: it is in the file of that name */
    environment_fn *environment;
    struct config *config;
    struct arena scratch;
    struct sources sources;
    struct report report;
    bool good;
};

static void report_foreign(struct reading *r, const struct source *source, struct place at,
                           const char *kind)
{
    at.file = source->name;
    report_at(&r->report, at,
              "this file seems to be %s, which routes.conf is not; it is written: inbound { "
              "listen :8080; route / { to 127.0.0.1:3000; } }",
              kind);
}

/* Where there is no memory for it, it does not return. */
static void read_all(void *arg)
{
    struct reading *r = arg;
    struct config *c = r->config;
    struct error err = {0};
    struct place at = {0};
    const char *kind = NULL;
    struct source *source;

    c->path = must_str(arena_dup(&c->arena, str_from(r->name)));
    set_defaults(c);
    source = r->text ? source_from_text(&r->sources, r->name, *r->text, &err)
                     : source_open(&r->sources, r->name, NULL, (struct place){0}, &err);
    if (source)
        kind = foreign_file(source->text, &at);
    if (kind)
        report_foreign(r, source, at, kind);
    else if (source)
        r->good = read_source(c, &r->sources, source, r->environment, &r->report);
    else
        report_error(&r->report, err.at, &err);
}

static struct config *config_read(const char *name, const struct str *text, bool again,
                                  environment_fn *environment, struct errors *errors)
{
    struct reading r = {
        .name = name, .text = text, .environment = environment, .config = config_new()};

    if (!r.config) {
        errors->no_memory = true;
        return NULL;
    }
    arena_init(&r.scratch, CHUNK_BYTES, 0);
    sources_init(&r.sources, &r.config->arena, &r.scratch);
    r.sources.again = again;
    report_init(&r.report, &r.sources);
    if (with_memory(read_all, &r))
        report_finish(&r.report, errors);
    else
        errors->no_memory = true;
    report_release(&r.report);
    arena_release(&r.scratch);
    if (r.good && !errors->no_memory)
        return r.config;
    config_unref(r.config);
    return NULL;
}

struct config *config_load(const char *path, environment_fn *environment, struct errors *errors)
{
    return config_read(path, NULL, false, environment, errors);
}

struct config *config_load_again(const char *path, struct errors *errors)
{
    return config_read(path, NULL, true, NULL, errors);
}

struct config *config_parse(const char *name, struct str text, environment_fn *environment,
                            struct errors *errors)
{
    return config_read(name, &text, false, environment, errors);
}
