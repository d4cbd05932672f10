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
}

static struct config *config_new(const char *path)
{
    struct config *c = must(calloc(1, sizeof(*c)));

    atomic_init(&c->refs, 1);
    arena_init(&c->arena, CHUNK_BYTES, 0);
    c->path = must_str(arena_dup(&c->arena, str_from(path)));
    set_defaults(c);
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

    buffer_init(&text, 0);
    config_write(c, false, &text);
    config_hash(buffer_str(&text), c->hash);
    buffer_reset(&text);
    config_write(c, true, &text);
    c->text = must_str(arena_dup(&c->arena, buffer_str(&text)));
    buffer_release(&text);
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
    if (!build_tables(ld, &c->inbound, &err) || !build_tables(ld, &c->outbound, &err))
        return report_error(ld->report, err.at.line ? err.at : (struct place){.file = source->name},
                            &err);
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

static struct config *config_read(const char *name, const struct str *text, bool again,
                                  environment_fn *environment, struct errors *errors)
{
    struct config *c = config_new(name);
    struct arena scratch;
    struct sources sources;
    struct report report;
    struct error err = {0};
    bool good = false;

    arena_init(&scratch, CHUNK_BYTES, 0);
    sources_init(&sources, &c->arena, &scratch);
    sources.again = again;
    report_init(&report, &sources);
    struct place at = {0};
    const char *kind = NULL;
    struct source *source = text ? source_from_text(&sources, name, *text, &err)
                                 : source_open(&sources, name, NULL, (struct place){0}, &err);
    if (source)
        kind = foreign_file(source->text, &at);
    if (kind) {
        at.file = source->name;
        report_at(&report, at,
                  "this file seems to be %s, which routes.conf is not; it is written: inbound { "
                  "listen :8080; route / { to 127.0.0.1:3000; } }",
                  kind);
    } else if (source) {
        good = read_source(c, &sources, source, environment, &report);
    } else {
        report_error(&report, err.at, &err);
    }
    report_finish(&report, errors);
    report_release(&report);
    arena_release(&scratch);
    if (good)
        return c;
    config_unref(c);
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
