#include "proxy/fleet.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/admission.h"
#include "proxy/metrics_rpc.h"

struct fleet {
    unsigned n, looks;
    struct worker **workers;     /* owned */
    struct span_feed **feeds;    /* the telemetry's; one a worker */
    struct admission *admission; /* owned */
};

static struct worker_setup setup_of(const struct fleet *f, unsigned i, struct config *config,
                                    const struct sampler *sampler)
{
    const struct trace_config *t = &config->trace;

    return (struct worker_setup){.index = i,
                                 .admission = f->admission,
                                 .config = config,
                                 .sampler = *sampler,
                                 .propagators = t->propagators,
                                 .recording = !t->disabled,
                                 .exporting = !t->disabled && t->n_exports > 0,
                                 .spans = f->feeds[i]};
}

static bool add_worker(struct fleet *f, struct config *config, const struct sampler *sampler,
                       struct telemetry *telemetry, struct error *err)
{
    f->feeds[f->n] = span_feed_new(telemetry);
    if (!f->feeds[f->n])
        return error_set(err, "no memory for a worker's spans");
    struct worker_setup setup = setup_of(f, f->n, config, sampler);
    f->workers[f->n] = worker_new(&setup, err);
    if (!f->workers[f->n])
        return false;
    f->n++;
    return true;
}

struct fleet *fleet_new(unsigned n, struct config *config, const struct sampler *sampler,
                        struct telemetry *telemetry, struct error *err)
{
    struct fleet *f = calloc(1, sizeof(*f));

    if (f) {
        f->workers = calloc(n, sizeof(struct worker *));
        f->feeds = calloc(n, sizeof(struct span_feed *));
        f->admission = admission_new(n);
    }
    if (!f || !f->workers || !f->feeds || !f->admission) {
        error_set(err, "%u workers could not be made: %s", n, strerror(errno));
        fleet_free(f);
        return NULL;
    }
    while (f->n < n) {
        if (!add_worker(f, config, sampler, telemetry, err)) {
            fleet_free(f);
            return NULL;
        }
    }
    return f;
}

bool fleet_start(struct fleet *f, struct error *err)
{
    for (unsigned i = 0; i < f->n; i++)
        if (!worker_start(f->workers[i], err))
            return false;
    return true;
}

void fleet_free(struct fleet *f)
{
    if (!f)
        return;
    for (unsigned i = 0; i < f->n; i++)
        worker_free(f->workers[i]);
    free(f->workers);
    free(f->feeds);
    admission_free(f->admission);
    free(f);
}

unsigned fleet_size(const struct fleet *f)
{
    return f->n;
}

/* What becomes of the preparing, told by all workers. */
struct preparation {
    sem_t told;
    atomic_bool failed;
};

static void on_prepared(void *arg, bool ready)
{
    struct preparation *p = arg;

    if (!ready)
        atomic_store(&p->failed, true);
    sem_post(&p->told);
}

bool fleet_prepare(struct fleet *f, struct config *config, const struct sampler *sampler)
{
    struct preparation p = {.failed = false};

    sem_init(&p.told, 0, 0);
    for (unsigned i = 0; i < f->n; i++) {
        struct worker_setup setup = setup_of(f, i, config, sampler);
        worker_prepare(f->workers[i], &setup, on_prepared, &p);
    }
    for (unsigned i = 0; i < f->n; i++)
        while (sem_wait(&p.told) != 0 && errno == EINTR)
            ;
    sem_destroy(&p.told);
    for (unsigned i = 0; p.failed && i < f->n; i++)
        worker_forget(f->workers[i]);
    return !p.failed;
}

void fleet_configure(struct fleet *f, struct config *config, const struct sampler *sampler)
{
    for (unsigned i = 0; i < f->n; i++) {
        struct worker_setup setup = setup_of(f, i, config, sampler);
        worker_configure(f->workers[i], &setup);
    }
}

void fleet_set_endpoints(struct fleet *f, struct endpoint_set *set)
{
    for (unsigned i = 0; i < f->n; i++)
        worker_set_endpoints(f->workers[i], endpoint_set_ref(set));
    endpoint_set_unref(set);
}

void fleet_listen(struct fleet *f, struct listen_sockets *sockets)
{
    for (unsigned i = 0; i < f->n; i++)
        worker_listen(f->workers[i], listen_sockets_ref(sockets));
}

void fleet_leave(struct fleet *f, enum direction_kind direction)
{
    for (unsigned i = 0; i < f->n; i++)
        worker_leave(f->workers[i], direction);
}

void fleet_shut(struct fleet *f, enum direction_kind direction)
{
    for (unsigned i = 0; i < f->n; i++)
        worker_shut(f->workers[i], direction);
}

void fleet_trim(struct fleet *f)
{
    for (unsigned i = 0; i < f->n; i++)
        worker_trim(f->workers[i]);
}

void fleet_look(struct fleet *f)
{
    for (unsigned i = 0; i < f->n; i++)
        worker_look(f->workers[i]);
    f->looks++;
}

bool fleet_begun(const struct fleet *f, unsigned *n)
{
    *n = 0;
    for (unsigned i = 0; i < f->n; i++) {
        unsigned looked;

        *n += worker_begun(f->workers[i], &looked);
        if (looked != f->looks)
            return false;
    }
    return true;
}

void fleet_cut(struct fleet *f)
{
    for (unsigned i = 0; i < f->n; i++)
        worker_cut(f->workers[i]);
}

unsigned fleet_busy(const struct fleet *f)
{
    return admission_busy_in_all(f->admission);
}

void fleet_metrics_print(const struct fleet *f, enum semconv rpc, struct buffer *out)
{
    struct metrics **v = calloc(f->n, sizeof(struct metrics *));

    if (!v) {
        out->failed = true;
        return;
    }
    for (unsigned i = 0; i < f->n; i++)
        v[i] = f->workers[i]->metrics;
    metrics_print(v, f->n, out);
    metrics_rpc_print(v, f->n, rpc, out);
    free(v);
}
