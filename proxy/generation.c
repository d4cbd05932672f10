/*
 * One configuration as a worker uses it: taken into use, and given up, a part at
 * a time where it has many clusters, so that no request waits for it.
 */
#include <stdlib.h>

#include "proxy/upstream.h"
#include "proxy/worker.h"

/* A config of thousands takes milliseconds; of so many clusters each part is a tenth of one. */
enum { CLUSTERS_IN_A_GO = 128 };

static void generation_free(struct generation *g)
{
    list_remove(&g->link);
    config_unref(g->config);
    free(g->clusters);
    free(g);
}

/* Without its clusters. NULL: no memory. */
static struct generation *generation_begin(struct worker *w, const struct worker_setup *setup)
{
    struct generation *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    list_init(&g->link);
    g->refs = 1;
    g->worker = w;
    g->config = config_ref(setup->config);
    g->sampler = setup->sampler;
    g->propagators = setup->propagators;
    g->recording = setup->recording;
    g->exporting = setup->exporting;
    g->clusters = calloc(g->config->n_clusters + 1, sizeof(struct cluster_state *));
    if (!g->clusters) {
        generation_free(g);
        return NULL;
    }
    return g;
}

/* False: no memory for all of these. */
static bool adopt_some(struct generation *g, size_t most)
{
    size_t left = g->config->n_clusters - g->n_adopted, n = left < most ? left : most;
    size_t to = g->n_adopted + n;

    g->n_adopted = upstreams_adopt(g->worker->upstreams, g->config, g->clusters, g->n_adopted, to);
    return g->n_adopted == to;
}

/* True: none of its clusters is left. */
static bool abandon_some(struct generation *g, size_t most)
{
    size_t n = g->n_adopted < most ? g->n_adopted : most;

    upstreams_abandon(g->clusters, g->n_adopted - n, g->n_adopted);
    g->n_adopted -= n;
    return g->n_adopted == 0;
}

struct generation *generation_new(struct worker *w, const struct worker_setup *setup)
{
    struct generation *g = generation_begin(w, setup);

    if (g && !adopt_some(g, SIZE_MAX)) {
        generation_unref(g);
        return NULL;
    }
    return g;
}

enum preparing generation_prepare(struct worker *w, const struct worker_setup *setup)
{
    if (!w->coming)
        w->coming = generation_begin(w, setup);
    if (!w->coming || !adopt_some(w->coming, CLUSTERS_IN_A_GO)) {
        generation_forget(w);
        return PREPARE_FAILED;
    }
    return w->coming->n_adopted < w->coming->config->n_clusters ? PREPARE_MORE : PREPARE_DONE;
}

void generation_forget(struct worker *w)
{
    /* At once, not in parts: a letter to go on with would want memory, of which there is none. */
    if (w->coming) {
        abandon_some(w->coming, SIZE_MAX);
        generation_free(w->coming);
    }
    w->coming = NULL;
    upstreams_keep_to(w->generation->config, w->generation->clusters);
}

void worker_adopt(struct worker *w, const struct worker_setup *setup)
{
    struct generation *old = w->generation;

    while (!w->coming || w->coming->n_adopted < w->coming->config->n_clusters)
        if (generation_prepare(w, setup) == PREPARE_FAILED) {
            log_write(LOG_ERROR, "worker", "no memory: worker %u stays with its config", w->index);
            return;
        }
    w->generation = w->coming;
    w->coming = NULL;
    worker_tell_config(w);
    generation_unref(old);
}

void worker_tell_config(struct worker *w)
{
    const struct config *c = worker_config(w);

    w->http.limits = &c->limits;
    w->http.timeouts = &c->timeouts;
    w->http.metrics = w->metrics;
    conns_follow(&w->loop, &(struct conn_rules){
                               .high_mark = c->limits.buffer_bytes,
                               .keepalive = c->timeouts.keepalive,
                               .keepalive_timeout = c->timeouts.keepalive_timeout,
                           });
}

struct generation *generation_ref(struct generation *g)
{
    g->refs++;
    return g;
}

/* On the worker's thread, posted by it. */
static void on_dying(void *arg)
{
    struct worker *w = arg;
    struct generation *g;

    if (list_empty(&w->dying)) /* the end of the worker came first */
        return;
    g = container_of(w->dying.next, struct generation, link);
    loop_begin_turn(&w->loop);
    if (abandon_some(g, CLUSTERS_IN_A_GO))
        generation_free(g);
    loop_end_turn(&w->loop);
    if (!list_empty(&w->dying))
        mailbox_post(w->loop.mailbox, on_dying, w);
}

void generation_unref(struct generation *g)
{
    struct worker *w;

    if (!g || --g->refs)
        return;
    w = g->worker;
    if (g->n_adopted <= CLUSTERS_IN_A_GO || w->ends) {
        abandon_some(g, SIZE_MAX);
        generation_free(g);
        return;
    }
    if (list_empty(&w->dying))
        mailbox_post(w->loop.mailbox, on_dying, w);
    list_push_back(&w->dying, &g->link);
}

void generations_end(struct worker *w)
{
    w->ends = true;
    generation_unref(w->coming);
    generation_unref(w->generation);
    w->coming = w->generation = NULL;
    while (!list_empty(&w->dying)) {
        struct generation *g = container_of(w->dying.next, struct generation, link);

        abandon_some(g, SIZE_MAX);
        generation_free(g);
    }
}
