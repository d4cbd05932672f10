#include "proxy/export_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "mesh/config_text.h"
#include "proxy/environment.h"
#include "proxy/export_client.h"

/* ---- settings ---- */

/* Exporters that a reload left behind, at once. */
enum { LEAVING_MAX = 8 };

static void add_text(struct buffer *b, struct str s)
{
    buffer_printf(b, "%zu:", s.n);
    buffer_add_str(b, s);
}

/* A file counts with what is in it: a renewed certificate makes another exporter. */
static void add_file(struct buffer *b, struct str path)
{
    char name[4096];
    struct stat st;

    add_text(b, path);
    if (path.n == 0 || path.n >= sizeof(name))
        return;
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    if (stat(name, &st) == 0)
        buffer_printf(b, "%ju,%ju,%jd.%09ld,", (uintmax_t)st.st_ino, (uintmax_t)st.st_size,
                      (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

/* All that the file says of it, as the file's own writer has it; what the environment may have said
 * in another way; and what it is told besides. Where the line stands does not count. False: no
 * memory. */
static bool write_settings(struct buffer *b, const struct export_config *x,
                           const struct trace_config *t, const struct resource *resource)
{
    config_write_export(t, x, b);
    buffer_printf(b, "%d,%d,%d,", x->kind, x->tls, t->rpc);
    add_text(b, x->to.text);
    add_text(b, x->authority);
    add_text(b, x->path);
    add_file(b, x->ca);
    add_file(b, x->certificate);
    add_file(b, x->key);
    for (size_t i = 0; i < resource->n; i++) {
        add_text(b, resource->v[i].key);
        add_text(b, resource->v[i].value);
    }
    return !b->failed;
}

/* ---- rows ---- */

static void on_report(void *arg, bool warning, const char *text)
{
    log_write(warning ? LOG_WARN : LOG_INFO, "export", "%s", text);
}

static bool has_transport(const struct export_config *x)
{
    return x->kind == EXPORT_OTLP_GRPC || x->kind == EXPORT_OTLP_HTTP;
}

static struct exporter_options options_of(const struct export_config *x,
                                          const struct trace_config *t)
{
    static const enum exporter_kind kinds[] = {
        [EXPORT_OTLP_GRPC] = EXPORTER_OTLP_GRPC,
        [EXPORT_OTLP_HTTP] = EXPORTER_OTLP_HTTP,
        [EXPORT_CONSOLE] = EXPORTER_CONSOLE,
        [EXPORT_MEMORY] = EXPORTER_MEMORY,
    };
    struct exporter_options o = {.kind = kinds[x->kind],
                                 .name = x->shown,
                                 .path = x->path,
                                 .gzip = x->gzip,
                                 .timeout = x->timeout,
                                 .queue_spans = t->batch.queue,
                                 .batch_spans = t->batch.size,
                                 .delay = t->batch.delay,
                                 .retry_for = t->batch.timeout,
                                 .memory_spans = x->memory_spans,
                                 .pretty = x->pretty,
                                 .conventions = {.redact_query = t->redact_query,
                                                 .n_redact_query = t->n_redact_query,
                                                 .rpc = t->rpc}};
    if (x->kind == EXPORT_CONSOLE)
        o.name = STR("console");
    else if (x->kind == EXPORT_MEMORY)
        o.name = STR("memory");
    return o;
}

static struct exporter *make_exporter(struct export_table *t, const struct export_config *x,
                                      const struct trace_config *trace,
                                      const struct resource *resource, struct error *err)
{
    struct exporter_options options = options_of(x, trace);
    struct exporter_header *headers = calloc(x->n_headers + 1, sizeof(*headers));
    struct transport *transport = NULL;
    struct exporter *e = NULL;

    for (size_t i = 0; headers && i < x->n_headers; i++)
        headers[i] = (struct exporter_header){x->headers[i].key, x->headers[i].value};
    options.headers = headers;
    options.n_headers = x->n_headers;
    if (has_transport(x))
        transport = export_client_new(t->base, t->resolver, x, err);
    if (headers && (transport || !has_transport(x)))
        e = exporter_new(&options, resource, transport, on_report, NULL);
    free(headers);
    if (!e)
        error_set(err, "no memory");
    return e;
}

static void free_row(struct export_row *row)
{
    exporter_free(row->exporter);
    buffer_release(&row->settings);
    free(row);
}

static struct export_row *row_of(struct list *link)
{
    return container_of(link, struct export_row, link);
}

static void free_rows(struct list *rows)
{
    LIST_FOR_EACH_SAFE (at, next, rows) {
        list_remove(at);
        free_row(row_of(at));
    }
}

/* ---- configuring ---- */

static bool same_settings(const struct export_row *a, const struct export_row *b)
{
    return str_eq(buffer_str(&a->settings), buffer_str(&b->settings));
}

/* The row in force with the settings of the new one, unless it was found before. */
static struct export_row *find_same(const struct export_table *t, const struct export_row *fresh)
{
    LIST_FOR_EACH (at, &t->rows) {
        struct export_row *row = row_of(at);
        if (!row->wanted && same_settings(row, fresh))
            return row;
    }
    return NULL;
}

/* What this line of the config becomes: a row that is in force, or a new one. NULL: err says why.
 */
static struct export_row *find_or_make(struct export_table *t, const struct export_config *x,
                                       const struct trace_config *trace,
                                       const struct resource *resource, struct error *err)
{
    struct export_row *fresh = calloc(1, sizeof(*fresh));

    if (!fresh || !write_settings(&fresh->settings, x, trace, resource)) {
        error_set(err, "no memory");
        goto fail;
    }
    list_init(&fresh->link);
    struct export_row *same = find_same(t, fresh);
    if (same) {
        free_row(fresh);
        fresh = same;
    } else {
        fresh->exporter = make_exporter(t, x, trace, resource, err);
        if (!fresh->exporter)
            goto fail;
    }
    fresh->wanted = true;
    return fresh;
fail:
    if (fresh)
        free_row(fresh);
    return NULL;
}

/* The new ones are those that are in no list yet. */
static void give_up(struct export_table *t, struct export_row **v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        v[i]->wanted = false;
        if (list_empty(&v[i]->link))
            free_row(v[i]);
    }
}

static void leave(struct export_table *t, struct export_row *row, nsec_t now, nsec_t leave_by)
{
    list_remove(&row->link);
    list_push_back(&t->leaving, &row->link);
    row->leave_by = leave_by;
    exporter_flush(row->exporter, now);
}

/* Each reload may leave some behind, and their collector may take nothing: the oldest give up. */
static void bound_leaving(struct export_table *t, nsec_t now)
{
    size_t n = 0;

    for (struct list *at = t->leaving.prev; at != &t->leaving; at = at->prev)
        if (++n > LEAVING_MAX)
            row_of(at)->leave_by = now;
}

static void put_in_force(struct export_table *t, struct export_row **v, size_t n, nsec_t now,
                         nsec_t leave_by)
{
    pthread_mutex_lock(&t->lock);
    LIST_FOR_EACH_SAFE (at, next, &t->rows)
        if (!row_of(at)->wanted)
            leave(t, row_of(at), now, leave_by);
    for (size_t i = 0; i < n; i++) {
        v[i]->wanted = false;
        list_remove(&v[i]->link);
        list_push_back(&t->rows, &v[i]->link);
    }
    bound_leaving(t, now);
    pthread_mutex_unlock(&t->lock);
}

static bool says_instance(const struct service_config *s)
{
    for (size_t i = 0; i < s->n_attributes; i++)
        if (str_eq(s->attributes[i].key, STR("service.instance.id")))
            return true;
    return s->instance.n > 0;
}

/* A made-up instance id is made up once: a reload must not look like another process. */
static bool make_resource(struct export_table *t, const struct config *config,
                          struct resource *resource)
{
    environment_resource(config, resource);
    if (says_instance(&config->service))
        return true;
    for (size_t i = 0; i < resource->n; i++) {
        struct resource_attribute *a = &resource->v[i];

        if (!str_eq(a->key, STR("service.instance.id")))
            continue;
        if (!t->instance)
            t->instance = strndup(a->value.p, a->value.n);
        a->value = str_from(t->instance);
        return t->instance != NULL;
    }
    return true;
}

bool export_table_configure(struct export_table *t, const struct config *config, nsec_t now,
                            nsec_t leave_by, struct error *err)
{
    const struct trace_config *trace = &config->trace;
    struct export_row **v = calloc(trace->n_exports + 1, sizeof(struct export_row *));
    struct resource resource;
    size_t n = 0;
    bool ok = make_resource(t, config, &resource) && v;

    if (!ok)
        error_set(err, "no memory");
    for (; ok && n < trace->n_exports; n++) {
        v[n] = find_or_make(t, &trace->exports[n], trace, &resource, err);
        if (!v[n]) {
            ok = false;
            break;
        }
    }
    if (ok)
        put_in_force(t, v, n, now, leave_by);
    else
        give_up(t, v, n);
    resource_release(&resource);
    free(v);
    return ok;
}

/* ---- life ---- */

void export_table_init(struct export_table *t, struct event_base *base, struct resolver *resolver)
{
    *t = (struct export_table){.base = base, .resolver = resolver};
    pthread_mutex_init(&t->lock, NULL);
    list_init(&t->rows);
    list_init(&t->leaving);
}

void export_table_release(struct export_table *t)
{
    free_rows(&t->rows);
    free_rows(&t->leaving);
    free(t->instance);
    pthread_mutex_destroy(&t->lock);
}

/* "started 7 = exported 5 + rejected 0 + dropped 2 (queue_full 2) + waiting 0" */
static void log_last_line(const struct exporter *e)
{
    struct ledger_view v = exporter_ledger(e);
    struct buffer reasons;

    buffer_init(&reasons, 0);
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        if (v.dropped[i])
            buffer_printf(&reasons, "%s%s %" PRIu64, reasons.n ? ", " : " (",
                          drop_reason_name((enum drop_reason)i), v.dropped[i]);
    if (reasons.n)
        buffer_add_char(&reasons, ')');
    log_write(LOG_INFO, "export",
              "spans to %.*s: started %" PRIu64 " = exported %" PRIu64 " + rejected %" PRIu64
              " + dropped %" PRIu64 "%.*s + waiting %" PRIu64,
              STR_ARG(exporter_name(e)), v.started, v.exported, v.rejected, ledger_dropped(&v),
              STR_ARG(buffer_str(&reasons)), v.waiting);
    buffer_release(&reasons);
}

/* True: it is gone. */
static bool let_go(struct export_table *t, struct export_row *row, nsec_t now)
{
    if (!exporter_idle(row->exporter)) {
        if (now < row->leave_by)
            return false;
        exporter_abandon(row->exporter);
    }
    log_last_line(row->exporter);
    pthread_mutex_lock(&t->lock);
    list_remove(&row->link);
    pthread_mutex_unlock(&t->lock);
    free_row(row);
    return true;
}

nsec_t export_table_tick(struct export_table *t, nsec_t now)
{
    nsec_t next = INT64_MAX;

    LIST_FOR_EACH (at, &t->rows) {
        nsec_t wanted = exporter_tick(row_of(at)->exporter, now);
        if (wanted < next)
            next = wanted;
    }
    LIST_FOR_EACH_SAFE (at, following, &t->leaving) {
        struct export_row *row = row_of(at);
        nsec_t wanted = exporter_tick(row->exporter, now);

        if (wanted > row->leave_by)
            wanted = row->leave_by;
        if (!let_go(t, row, now) && wanted < next)
            next = wanted;
    }
    return next;
}

void export_table_add(struct export_table *t, const struct span *s, nsec_t now)
{
    LIST_FOR_EACH (at, &t->rows)
        exporter_add(row_of(at)->exporter, s, now);
}

void export_table_add_lost(struct export_table *t, uint64_t n)
{
    LIST_FOR_EACH (at, &t->rows)
        exporter_add_lost(row_of(at)->exporter, n);
}

void export_table_leave(struct export_table *t, nsec_t now, nsec_t leave_by)
{
    LIST_FOR_EACH (at, &t->leaving) {
        struct export_row *row = row_of(at);
        if (row->leave_by > leave_by)
            row->leave_by = leave_by;
    }
    put_in_force(t, NULL, 0, now, leave_by);
}

bool export_table_empty(const struct export_table *t)
{
    return list_empty(&t->rows) && list_empty(&t->leaving);
}
