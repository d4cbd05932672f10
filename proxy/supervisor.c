#include "proxy/supervisor.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "proxy/notify.h"
#include "proxy/process.h"
#include "proxy/supervisor_private.h"

/* How long the end of the process waits for whoever reads the log. */
#define LAST_LINES MILLISECONDS(200)

/* ---- what happens while it runs ---- */

static void on_drained(void *arg, unsigned cut)
{
    struct supervisor *s = arg;

    if (cut > 0)
        log_write(LOG_WARN, "drain", "timeouts.drain is over: %u under way were cut", cut);
    else
        log_write(LOG_INFO, "drain", "all that was under way has ended");
    event_base_loopbreak(s->base);
}

static void stop_waiting_for_names(struct supervisor *s)
{
    if (s->names)
        event_free(s->names);
    s->names = NULL;
}

static void begin_drain(struct supervisor *s, int number)
{
    log_write(LOG_INFO, "drain", "%s: not ready any more; %u under way",
              number == SIGTERM ? "SIGTERM" : "SIGINT", fleet_busy(s->fleet));
    notify_manager("STOPPING", "draining, %u under way", fleet_busy(s->fleet));
    stop_waiting_for_names(s); /* it will not become ready any more */
    s->drain = drain_start(s->base, s->fleet, &s->config->timeouts, on_drained, s);
    if (!s->drain) {
        log_write(LOG_ERROR, "drain", "no memory to drain: what is under way is cut");
        event_base_loopbreak(s->base);
    }
}

/* The log has said what came of it, and so do the metrics. */
static void reload_unasked(struct supervisor *s)
{
    struct buffer text;
    bool changed;

    buffer_init(&text, 0);
    supervisor_reload(s, &changed, &text);
    buffer_release(&text);
}

static void on_signal(void *arg, int number)
{
    struct supervisor *s = arg;

    if (number == SIGHUP) {
        reload_unasked(s);
    } else if (s->drain) {
        log_write(LOG_WARN, "drain", "a second signal: %u under way are cut, spans may be lost",
                  fleet_busy(s->fleet));
        log_flush(LAST_LINES);
        _exit(1);
    } else {
        begin_drain(s, number);
    }
}

static void on_file_changed(void *arg)
{
    struct supervisor *s = arg;

    if (!s->drain)
        reload_unasked(s);
}

/* ---- ready ---- */

/* How long the names of the first file may take: who asks for others is to be served. */
static const struct timeval names_time = {.tv_sec = 5};

static void log_ready(const struct supervisor *s);

static void become_ready(struct supervisor *s)
{
    struct buffer late;

    stop_waiting_for_names(s);
    s->ready = true;
    buffer_init(&late, 0);
    endpoints_unsettled_print(s->endpoints, &late);
    if (late.n > 0)
        log_write(LOG_WARN, "start", "not all names are known, requests to them wait: %.*s",
                  (int)late.n - 1, late.p);
    buffer_release(&late);
    log_ready(s);
}

static void on_names_time(evutil_socket_t fd, short what, void *arg)
{
    become_ready(arg);
}

/* From here on it is ready to its end: a name that a reload brings is waited for by those who ask
 * for it, and is no reason to send nobody here. */
static void wait_for_names(struct supervisor *s)
{
    s->names = endpoints_settled(s->endpoints) ? NULL : evtimer_new(s->base, on_names_time, s);
    if (!s->names || evtimer_add(s->names, &names_time) != 0)
        become_ready(s);
}

static void on_endpoints(void *arg, struct endpoint_set *set)
{
    struct supervisor *s = arg;

    fleet_set_endpoints(s->fleet, set);
    if (s->names && endpoints_settled(s->endpoints))
        become_ready(s);
}

/* ---- start ---- */

/* From any thread; a loop that fails says so again and again. */
static void on_libevent_log(int severity, const char *text)
{
    static _Thread_local struct log_limit limit;
    char others[LOG_HELD_TEXT];
    unsigned held;
    enum log_level level = severity == EVENT_LOG_ERR    ? LOG_ERROR
                           : severity == EVENT_LOG_WARN ? LOG_WARN
                                                        : LOG_DEBUG;

    if (log_enabled(level) && log_limit_allow(&limit, 10, clock_monotonic(), &held))
        log_write(level, "libevent", "%s%s", text, log_held_text(held, others));
}

static struct event_base *loop_new(struct error *err)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config) {
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
        base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (!base)
        error_set(err, "the event loop could not be made");
    return base;
}

static bool load(struct supervisor *s)
{
    struct errors errors = {0}, warnings = {0};
    struct buffer text;

    s->config = supervisor_load(s->options.config_path, false, &s->sampler, &errors, &warnings);
    if (s->config) {
        log_set_level(s->config->log_level);
        log_set_json(s->config->log_json);
    } else {
        buffer_init(&text, 0);
        config_print_errors(&errors, &text);
        log_lines(buffer_str(&text));
        buffer_release(&text);
    }
    for (size_t i = 0; i < warnings.n; i++)
        log_write(LOG_WARN, "environment", "%s: %s", warnings.v[i].at.file, warnings.v[i].text);
    errors_release(&errors);
    errors_release(&warnings);
    return s->config != NULL;
}

static unsigned worker_count(const struct supervisor *s)
{
    unsigned processors = process_processors();

    if (s->options.workers > 0)
        return s->options.workers;
    if (s->config->workers > 0)
        return s->config->workers;
    return processors < CONFIG_WORKERS_MAX ? processors : CONFIG_WORKERS_MAX;
}

/* What may fail for want of something comes first, and every socket is had before any is used. */
static bool prepare(struct supervisor *s, struct error *err)
{
    unsigned workers = worker_count(s);

    s->base = loop_new(err);
    if (!s->base)
        return false;
    s->sockets = listen_sockets_open(s->config, NULL, workers, err);
    if (!s->sockets)
        return false;
    s->admin = supervisor_open_admin(s, s->config, err);
    if (!s->admin && s->config->admin.on)
        return false;
    s->resolver = resolver_new(s->base, err);
    s->telemetry = s->resolver ? telemetry_start(s->config, err) : NULL;
    if (!s->telemetry)
        return false;
    s->fleet = fleet_new(workers, s->config, &s->sampler, s->telemetry, err);
    s->endpoints = endpoints_new(s->base, s->resolver, on_endpoints, s);
    s->watch = config_watch_new(s->base, on_file_changed, s);
    s->signals = signals_new(s->base, on_signal, s);
    if (!s->endpoints || !s->watch || !s->signals)
        error_set(err, "no memory");
    return s->fleet && s->endpoints && s->watch && s->signals;
}

static bool start(struct supervisor *s, struct error *err)
{
    if (!prepare(s, err))
        return false;
    supervisor_memory(s);
    if (!fleet_start(s->fleet, err))
        return false;
    endpoints_follow(s->endpoints, s->config);
    fleet_listen(s->fleet, s->sockets);
    s->reloads = (struct reloads){.last_ok = true, .last_good = clock_wall()};
    return true;
}

static void describe_exports(const struct config *c, struct buffer *out)
{
    for (size_t i = 0; i < c->trace.n_exports; i++) {
        const struct export_config *x = &c->trace.exports[i];
        if (i > 0)
            buffer_add_str(out, STR(", "));
        if (x->kind == EXPORT_MEMORY)
            buffer_add_str(out, STR("memory"));
        else if (x->kind == EXPORT_CONSOLE)
            buffer_add_str(out, STR("console"));
        else
            buffer_add_str(out, x->shown);
    }
    if (c->trace.n_exports == 0)
        buffer_add_str(out, STR("nowhere"));
}

static void describe_direction(const struct supervisor *s, enum direction_kind kind,
                               struct buffer *out)
{
    size_t before = out->n;

    buffer_add_str(out, kind == DIRECTION_INBOUND ? STR("inbound ") : STR(", outbound "));
    size_t begun = out->n;
    listen_sockets_describe(s->sockets, kind, out);
    if (out->n == begun)
        out->n = before; /* it listens nowhere */
}

static void log_ready(const struct supervisor *s)
{
    char admin[ADDRESS_TEXT_MAX] = "off";
    struct buffer text;

    if (s->admin)
        address_format(admin_address(s->admin), admin);
    buffer_init(&text, 0);
    describe_direction(s, DIRECTION_INBOUND, &text);
    describe_direction(s, DIRECTION_OUTBOUND, &text);
    buffer_printf(&text, ", %u %s, admin %s, exporting to ", fleet_size(s->fleet),
                  fleet_size(s->fleet) == 1 ? "worker" : "workers", admin);
    describe_exports(s->config, &text);
    struct str line = buffer_str(&text);
    if (str_starts(line, STR(", ")))
        line = str_slice(line, 2, line.n);
    log_write(LOG_INFO, "start", "sidespan %s ready: %.*s; configuration %s", SIDESPAN_VERSION,
              STR_ARG(line), s->config->hash);
    notify_manager("READY", "%.*s", STR_ARG(line));
    buffer_release(&text);
    if (s->admin && !address_is_loopback(admin_address(s->admin)))
        log_write(LOG_WARN, "start",
                  "the admin port can be reached from other machines: whoever "
                  "does sees the configuration and the spans");
}

/* ---- end ---- */

/* Takes a half-built one. Spans are the last to go: every worker has ended by then. */
static void release(struct supervisor *s)
{
    nsec_t flush = s->config ? s->config->timeouts.flush : 0;

    drain_free(s->drain);
    stop_waiting_for_names(s);
    if (s->memory)
        event_free(s->memory);
    signals_free(s->signals);
    admin_free(s->admin);
    supervisor_free_retired(s);
    config_watch_free(s->watch);
    endpoints_free(s->endpoints);
    resolver_free(s->resolver);
    fleet_free(s->fleet);
    listen_sockets_unref(s->sockets);
    if (s->telemetry)
        telemetry_stop(s->telemetry, flush);
    config_unref(s->config);
    if (s->base)
        event_base_free(s->base);
}

int supervisor_run(const struct supervisor_options *options)
{
    struct supervisor s = {.options = *options};
    struct error err = {0};
    int status = 1;

    list_init(&s.retired);
    signals_block();
    log_start();
    process_raise_descriptors();
    event_set_log_callback(on_libevent_log);
    if (load(&s)) {
        if (start(&s, &err)) {
            wait_for_names(&s);
            supervisor_watch(&s);
            event_base_loop(s.base, EVLOOP_NO_EXIT_ON_EMPTY);
            status = 0;
        } else {
            log_write(LOG_ERROR, "start", "%s", err.text);
            notify_manager(NULL, "%s", err.text);
        }
    }
    signals_exit_at_once();
    release(&s);
    if (status == 0)
        log_write(LOG_INFO, "start", "ended");
    log_end(LAST_LINES);
    return status;
}
