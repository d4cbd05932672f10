/*
 * What the admin port shows of this process.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "proxy/fault_switch.h"
#include "proxy/memory.h"
#include "proxy/process.h"
#include "proxy/prometheus.h"
#include "proxy/supervisor_private.h"

static bool ready(void *arg, struct buffer *reasons)
{
    const struct supervisor *s = arg;

    if (s->drain)
        buffer_add_str(reasons, STR("draining\n"));
    if (!s->ready)
        endpoints_unsettled_print(s->endpoints, reasons);
    return !s->drain && s->ready;
}

static const struct config *config_in_force(void *arg)
{
    return ((const struct supervisor *)arg)->config;
}

static bool traces(void *arg, const struct trace_id *trace_id, size_t limit, struct buffer *out)
{
    return telemetry_traces_json(((struct supervisor *)arg)->telemetry, trace_id, limit, out);
}

static void ledger(void *arg, struct buffer *out)
{
    telemetry_ledger_json(((struct supervisor *)arg)->telemetry, out);
}

static bool reload(void *arg, bool *changed, struct buffer *text)
{
    return supervisor_reload(arg, changed, text);
}

/* ---- metrics ---- */

static void print_reloads(const struct reloads *r, struct buffer *out)
{
    const char *total = "sidespan_config_reloads_total";
    const char *last = "sidespan_config_last_reload_successful";
    const char *when = "sidespan_config_last_reload_success_timestamp_seconds";

    prometheus_family(out, total, "counter", "Times the configuration was read again");
    buffer_printf(out, "%s{result=\"changed\"} %" PRIu64 "\n", total, r->changed);
    buffer_printf(out, "%s{result=\"unchanged\"} %" PRIu64 "\n", total, r->unchanged);
    buffer_printf(out, "%s{result=\"refused\"} %" PRIu64 "\n", total, r->refused);
    prometheus_family(out, last, "gauge", "0 when the last one read was not taken");
    buffer_printf(out, "%s %d\n", last, r->last_ok);
    prometheus_family(out, when, "gauge",
                      "When the configuration in force was taken, in seconds since 1970");
    buffer_printf(out, "%s %.3f\n", when, (double)r->last_good / 1e9);
}

static void print_self(struct supervisor *s, struct buffer *out)
{
    struct buffer reasons;

    prometheus_family(out, "sidespan_build_info", "gauge", "What is running");
    buffer_printf(out, "sidespan_build_info{version=\"%s\"} 1\n", SIDESPAN_VERSION);
    prometheus_family(out, "sidespan_config_info", "gauge", "The configuration in force");
    buffer_printf(out, "sidespan_config_info{hash=\"%s\",", s->config->hash);
    prometheus_label(out, "path", s->config->path);
    buffer_add_str(out, STR("} 1\n"));
    buffer_init(&reasons, 0);
    prometheus_family(out, "sidespan_ready", "gauge", "1 when GET /readyz answers 200");
    buffer_printf(out, "sidespan_ready %d\n", ready(s, &reasons));
    buffer_release(&reasons);
    prometheus_family(out, "sidespan_log_lines_lost_total", "counter",
                      "Lines of the log that were not written: who reads it is too slow");
    buffer_printf(out, "sidespan_log_lines_lost_total %" PRIu64 "\n", log_lost());
    prometheus_family(out, "sidespan_workers", "gauge", "Threads that carry requests");
    buffer_printf(out, "sidespan_workers %u\n", fleet_size(s->fleet));
}

static void metrics(void *arg, struct buffer *out)
{
    struct supervisor *s = arg;

    print_self(s, out);
    print_reloads(&s->reloads, out);
    fault_switch_metrics_print(out);
    fleet_metrics_print(s->fleet, s->config->trace.rpc, out);
    endpoints_metrics_print(s->endpoints, out);
    telemetry_metrics(s->telemetry, out);
    memory_metrics_print(out);
    process_metrics_print(out);
}

struct admin *supervisor_open_admin(struct supervisor *s, const struct config *config,
                                    struct error *err)
{
    static const struct admin_ops ops = {.ready = ready,
                                         .config = config_in_force,
                                         .traces = traces,
                                         .ledger = ledger,
                                         .metrics = metrics,
                                         .reload = reload};

    if (!config->admin.on)
        return NULL;
    return admin_open(s->base, &config->admin.location.address, &ops, s, err);
}

/* ---- one that was replaced ---- */

struct retired_admin {
    struct list link;
    struct admin *admin;
    struct event *timer;
};

static void retired_free(struct retired_admin *r)
{
    list_remove(&r->link);
    admin_free(r->admin);
    if (r->timer)
        event_free(r->timer);
    free(r);
}

static void on_retired(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    retired_free(arg);
}

void supervisor_retire_admin(struct supervisor *s, struct admin *admin)
{
    struct timeval moment = {1, 0};

    if (!admin)
        return;
    admin_close(admin);
    struct retired_admin *r = calloc(1, sizeof(*r));
    if (!r)
        abort(); /* a few bytes at a reload: there is nothing better to do */
    r->admin = admin;
    list_push_back(&s->retired, &r->link);
    r->timer = evtimer_new(s->base, on_retired, r);
    if (r->timer)
        evtimer_add(r->timer, &moment);
}

void supervisor_free_retired(struct supervisor *s)
{
    LIST_FOR_EACH_SAFE (at, next, &s->retired) {
        retired_free(container_of(at, struct retired_admin, link));
    }
}
