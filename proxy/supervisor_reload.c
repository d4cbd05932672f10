/*
 * From one configuration to the next: checked whole before anything changes,
 * then swapped under what is running. No socket is touched whose address stays.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "mesh/config_changes.h"
#include "mesh/fault_count.h"
#include "proxy/environment.h"
#include "proxy/memory.h"
#include "proxy/supervisor_private.h"

struct config *supervisor_load(const char *path, bool again, struct sampler *sampler,
                               struct errors *errors, struct errors *warnings)
{
    struct config *config =
        again ? config_load_again(path, errors) : config_load(path, NULL, errors);

    if (config)
        environment_apply(config, NULL, sampler, warnings);
    return config;
}

void supervisor_watch(struct supervisor *s)
{
    const struct config *c = s->config;
    bool seen = c->n_files > 0 ? config_watch_follow(s->watch, c->files, c->n_files)
                               : config_watch_follow(s->watch, &c->path, 1);

    if (!seen)
        log_write(LOG_WARN, "reload",
                  "changes of the configuration will not all be seen: %s; SIGHUP reads it again",
                  strerror(errno));
}

static void log_errors(const struct errors *errors)
{
    for (size_t i = 0; i < errors->n; i++) {
        const struct error *e = &errors->v[i];
        if (e->at.file && e->at.line > 0)
            log_write(LOG_ERROR, "reload", "%s:%u:%u: %s", e->at.file, e->at.line, e->at.column,
                      e->text);
        else
            log_write(LOG_ERROR, "reload", "%s%s%s", e->at.file ? e->at.file : "",
                      e->at.file ? ": " : "", e->text);
    }
}

/* ---- memory ---- */

/* What a configuration takes, of each byte of its text: as it is read, and for each worker.
 * Measured with thousands of clusters, and a half more. */
enum { BYTES_TO_READ = 64, BYTES_A_WORKER = 24, BYTES_IN_ANY_CASE = 1 << 20 };

static size_t text_bytes(const struct supervisor *s)
{
    struct stat st;
    size_t n =
        stat(s->options.config_path, &st) == 0 && S_ISREG(st.st_mode) ? (size_t)st.st_size : 0;

    return n > s->config->text.n ? n : s->config->text.n; /* what it includes is in the latter */
}

/* To be refused at once is better than to take from the requests what is there, and then be
 * refused. */
static bool memory_is_there(const struct supervisor *s, struct error *err)
{
    size_t bytes = BYTES_IN_ANY_CASE +
                   text_bytes(s) * (BYTES_TO_READ + BYTES_A_WORKER * (size_t)fleet_size(s->fleet));

    return memory_can_be_had(bytes) || error_no_memory(err);
}

/* Everything of the new configuration that can fail. */
struct prepared {
    struct config *config;
    struct sampler sampler;
    struct listen_sockets *sockets;
    struct admin *admin;
    bool admin_moved; /* admin is to be put in the place of the old one */
};

static void prepared_release(struct prepared *p)
{
    if (p->admin_moved)
        admin_free(p->admin);
    listen_sockets_unref(p->sockets);
    config_unref(p->config);
}

static bool same_admin(const struct admin_config *a, const struct admin_config *b)
{
    return a->on == b->on && (!a->on || address_eq(&a->location.address, &b->location.address));
}

static bool prepare(struct supervisor *s, struct prepared *p, struct error *err)
{
    if (!config_keep_counts(p->config, s->config))
        return error_no_memory(err);
    p->sockets = listen_sockets_open(p->config, s->sockets, fleet_size(s->fleet), err);
    if (!p->sockets)
        return false;
    if (!same_admin(&p->config->admin, &s->config->admin)) {
        p->admin = supervisor_open_admin(s, p->config, err);
        p->admin_moved = p->admin || !p->config->admin.on;
        if (!p->admin_moved)
            return false;
    }
    return fleet_prepare(s->fleet, p->config, &p->sampler) || error_no_memory(err);
}

static void commit(struct supervisor *s, struct prepared *p)
{
    struct prepared old = {.config = s->config, .sockets = s->sockets};

    if (p->config->workers != s->config->workers && s->options.workers == 0)
        log_write(LOG_WARN, "reload", "another number of workers counts from the next start");
    s->config = p->config;
    s->sampler = p->sampler;
    s->sockets = p->sockets;
    if (p->admin_moved) {
        supervisor_retire_admin(s, s->admin);
        s->admin = p->admin;
    }
    log_set_level(s->config->log_level);
    log_set_json(s->config->log_json);
    supervisor_memory(s);
    telemetry_reload(s->telemetry, s->config);
    fleet_configure(s->fleet, s->config, &s->sampler);
    endpoints_follow(s->endpoints, s->config);
    fleet_listen(s->fleet, s->sockets);
    prepared_release(&old);
    supervisor_watch(s);
}

static const char no_memory[] =
    "not enough memory for the new configuration; the one in force stays";

static bool refuse(struct supervisor *s, struct errors *errors, struct error *err,
                   struct buffer *text)
{
    if (err->no_memory || errors->no_memory) {
        log_write(LOG_ERROR, "reload", "%s", no_memory);
        buffer_printf(text, "%s\n", no_memory);
        errors->no_memory = false;
    } else if (err->text[0] != '\0') {
        errors_add(errors, err->at, "%s", err->text);
    }
    log_errors(errors);
    log_write(LOG_ERROR, "reload", "%.*s was not taken: %s stays in force",
              STR_ARG(s->config->path), s->config->hash);
    config_print_errors(errors, text);
    s->reloads.refused++;
    s->reloads.last_ok = false;
    return false;
}

static void accept_unchanged(struct supervisor *s)
{
    s->reloads.unchanged++;
    s->reloads.last_ok = true;
    log_write(LOG_INFO, "reload", "the configuration is the same: %s", s->config->hash);
}

static void accept_changed(struct supervisor *s, struct prepared *p, struct buffer *text)
{
    config_changes(s->config, p->config, text);
    commit(s, p);
    s->reloads.changed++;
    s->reloads.last_ok = true;
    s->reloads.last_good = clock_wall();
    log_write(LOG_INFO, "reload", "a new configuration is in force: %s: %.*s", s->config->hash,
              STR_ARG(buffer_str(text)));
}

bool supervisor_reload(struct supervisor *s, bool *changed, struct buffer *text)
{
    struct prepared p = {0};
    struct errors errors = {0};
    struct error err = {0};
    bool ok = false;

    *changed = false;
    if (s->drain)
        error_set(&err, "the sidecar is draining: it takes no new configuration");
    else if (memory_is_there(s, &err))
        p.config = supervisor_load(s->options.config_path, true, &p.sampler, &errors, NULL);
    if (p.config && strcmp(p.config->hash, s->config->hash) == 0) {
        accept_unchanged(s);
        config_unref(p.config);
        ok = true;
    } else if (p.config && prepare(s, &p, &err)) {
        accept_changed(s, &p, text);
        *changed = ok = true;
    } else {
        refuse(s, &errors, &err, text);
        prepared_release(&p);
    }
    errors_release(&errors);
    return ok;
}
