/*
 * A worker is one thread with one loop and all that its connections need: timers,
 * buffers to lend, upstream pools, counters, a feed of spans, and the config in
 * force. A connection lives and dies on one worker; nothing here is locked.
 */
#ifndef SIDESPAN_PROXY_WORKER_H
#define SIDESPAN_PROXY_WORKER_H

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/list.h"
#include "base/log.h"
#include "mesh/config.h"
#include "otlp/sampler.h"
#include "otlp/span.h"
#include "proxy/admission.h"
#include "proxy/endpoint_set.h"
#include "proxy/http_shared.h"
#include "proxy/listener.h"
#include "proxy/loop.h"
#include "proxy/metrics.h"
#include "proxy/resolver.h"
#include "proxy/telemetry.h"

struct cluster_state;

/* How far a direction is on its way out. */
enum leaving {
    LEAVING_NOT,
    LEAVING_TOLD, /* responses say so; new connections are still taken */
    LEAVING_SHUT, /* none is taken any more; who has begun is served */
};

/* One config as this worker uses it. References are counted without atomics: only this worker's
 * exchanges hold them; the worker holds one of the config itself. */
struct generation {
    struct list link; /* in worker->dying, or alone */
    unsigned refs;
    struct config *config; /* a reference */
    struct sampler sampler;
    struct propagators propagators;
    bool recording; /* false: contexts are passed on as they came, none is begun */
    bool
        exporting; /* false: no span is made, so that none becomes a parent that nobody ever sees */
    struct cluster_state **clusters; /* owned array, by cluster->index; each counted */
    size_t n_adopted;                /* of these are there */
    struct worker *worker;
};

struct upstreams;
struct exchange_pool;

struct worker {
    unsigned index;
    struct loop loop;
    struct metrics *metrics;
    struct span_feed *spans;
    struct resolver *resolver;     /* NULL until a name of a request must be resolved */
    struct generation *generation; /* in force; a reference */
    struct generation *coming;     /* is being made; a reference; or NULL */
    struct list dying;             /* generations nobody uses any more */
    bool ends;                     /* the worker does */
    struct listeners *listeners;
    struct upstreams *upstreams; /* owned */
    struct exchange_pool *pool;  /* owned: exchanges to use again */
    struct list idle;            /* client connections between exchanges: closed in a drain */
    struct list tunnels;         /* all tunnels: ended when the drain's time is up */
    struct list active;          /* all exchanges under way, likewise */
    atomic_uint begun;           /* connections that may still become some; when last looked at */
    atomic_uint looked;          /* how often that was */
    struct list dialling;        /* connections to upstreams that are being made */
    struct list sniffing;        /* client connections whose protocol is not known yet */
    unsigned early; /* upstreams that were dialled for clients who have said nothing yet */
    struct admission *admission;     /* who may be accepted: borrowed, of all workers; or alone: */
    struct admission *own_admission; /* owned; NULL: it is not alone */
    uint8_t leaving[2];              /* enum leaving, by direction */
    struct http_shared http;
    struct list http2_clients; /* HTTP/2 connections of clients: told in a drain */
    struct log_limit refused_log, upstream_log, ending_log;
    pthread_t thread;
    bool started;
};

/* What the main thread gives a worker. */
struct worker_setup {
    unsigned index;
    struct admission *admission; /* of all workers; outlives them. NULL: this one is alone */
    struct config *config;       /* a reference is taken of it */
    struct sampler sampler;
    struct propagators propagators;
    bool recording;          /* false: OTEL_SDK_DISABLED */
    bool exporting;          /* false: nor is there an exporter */
    struct span_feed *spans; /* borrowed: outlives the worker */
};
/* NULL: err says why. */
struct worker *worker_new(const struct worker_setup *setup, struct error *err);
/* Starts its thread. False: err says why. */
bool worker_start(struct worker *w, struct error *err);
/* Ends the loop, joins the thread, frees all: connections still open are closed. */
void worker_free(struct worker *w);

/* From the main thread; each is carried out on the worker's thread, in this order. */
void worker_listen(struct worker *w, struct listen_sockets *sockets); /* takes a reference */
/* Makes ready what worker_configure() takes for the same config, which then needs no memory to
 * speak of. told(arg) is called on the worker's thread when that is done, or has failed: then
 * worker_forget() is due for all. */
void worker_prepare(struct worker *w, const struct worker_setup *setup,
                    void (*told)(void *arg, bool ready), void *arg);
void worker_forget(struct worker *w);
void worker_configure(struct worker *w, const struct worker_setup *setup);
void worker_set_endpoints(struct worker *w, struct endpoint_set *set); /* takes a reference */
/* The direction is to be left: responses say Connection: close, HTTP/2 connections that were used
 * say GOAWAY, but listening goes on, and who comes now is served. */
void worker_leave(struct worker *w, enum direction_kind direction);
/* Stops listening in that direction: what waits in the queues is accepted first. Connections that
 * are idle are closed; one that has begun to ask, or was made a moment ago, is not idle. */
void worker_shut(struct worker *w, enum direction_kind direction);
/* Counts what has begun in the directions that are shut, and closes what is waited for no more. */
void worker_look(struct worker *w);
/* Gives the system what it keeps to be used again. */
void worker_trim(struct worker *w);
/* Ends what is still under way: responses are cut, tunnels reset, each with its span. */
void worker_cut(struct worker *w);
/* From any thread: the connections that the last worker_look() found to have begun; *looked: how
 * many of these were carried out. */
unsigned worker_begun(struct worker *w, unsigned *looked);

/* ---- generation.c ---- */
/* With one reference. NULL: no memory. */
struct generation *generation_new(struct worker *w, const struct worker_setup *setup);
/* Makes a part of the next generation, in a turn of its own: what is done for many clusters at once
 * would keep requests waiting. It is called until there is no more to do; where there is no memory,
 * nothing is left of it. */
enum preparing { PREPARE_MORE, PREPARE_DONE, PREPARE_FAILED };
enum preparing generation_prepare(struct worker *w, const struct worker_setup *setup);
/* What was prepared will not come into force. */
void generation_forget(struct worker *w);
/* Takes a new config into use, which may be prepared; exchanges under way keep theirs. */
void worker_adopt(struct worker *w, const struct worker_setup *setup);
/* Gives up all: the worker ends, nobody holds one any more. */
void generations_end(struct worker *w);
struct generation *generation_ref(struct generation *g);
void generation_unref(struct generation *g);
static inline const struct config *worker_config(const struct worker *w)
{
    return w->generation->config;
}
/* Whether memory is full, and not by what is idle: who is alone in the process is served, as
 * nothing that ends could make room for it. under_way: exchanges and tunnels of its own. */
static inline bool worker_is_full(const struct worker *w, unsigned under_way)
{
    return memory_state() == MEMORY_FULL && admission_busy_in_all(w->admission) > under_way;
}
/* Its conns and codecs follow the config in force from here on. */
void worker_tell_config(struct worker *w);
/* NULL: err says why. Made at the first call. */
struct resolver *worker_resolver(struct worker *w, struct error *err);

#endif
