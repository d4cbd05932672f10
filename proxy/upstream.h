/*
 * The other side: for each cluster its endpoints as they are now, and for each
 * endpoint the connections kept for the next request, last in first out. One
 * worker's; nothing is shared.
 */
#ifndef SIDESPAN_PROXY_UPSTREAM_H
#define SIDESPAN_PROXY_UPSTREAM_H

#include "mesh/balance.h"
#include "proxy/codec.h"
#include "proxy/heard.h"
#include "proxy/worker.h"

/* What an endpoint was heard to speak, so that the next connection to it need not be guessed at. */
enum speaks { SPEAKS_UNKNOWN, SPEAKS_CLIENT_FIRST, SPEAKS_SERVER_FIRST };

/* Of a cluster's configuration what its connections follow; a copy, since that may go before they
 * do. */
struct pool_rules {
    nsec_t connect_timeout; /* 0: none */
    nsec_t queue;           /* how long a request waits for a place, where max is met */
    nsec_t idle;            /* an idle connection is kept that long */
    unsigned max, idle_max; /* connections, of these idle; 0: no bound */
    uint64_t requests;      /* on one connection; 0: no bound */
    uint8_t protocol;       /* enum cluster_protocol */
};

/* One address, reached on behalf of one cluster. Counted: by the lists of endpoints it stands in,
 * by its connections and by who asks. */
struct upstream {
    struct list link;   /* of an original destination: among these, the latest used first */
    struct list bucket; /* of an original destination: among those of the same hash */
    unsigned refs;
    unsigned refs_of_sets; /* how many lists of endpoints it stands in */
    bool retired;          /* nobody will ask again, nothing is kept */
    struct worker *worker;
    struct address address; /* a Unix path is the worker's */
    struct str cluster;     /* its name; owned */
    struct list idle;       /* kept connections, the latest first */
    struct list logins;     /* kept connections that are one client's each, the latest first */
    struct list waiting;
    unsigned n_idle, n_open, n_connecting, n_waiting;
    /* HTTP/2: each carries many requests. */
    struct list shared; /* connections, the latest first */
    struct list shared_waiting;
    unsigned n_shared_connecting, n_shared_waiting;
    unsigned streams;   /* what a connection is thought to carry at once */
    bool streams_told;  /* by its settings, once */
    struct heard heard; /* what it speaks: protocol auto */
    uint8_t hang_ups;   /* in a row: connections that it ended on the preface, without a word */
    unsigned in_flight;
    nsec_t closes_after; /* how long it kept an idle connection, the last time that it ended one; 0:
                            not known */
    uint8_t speaks;      /* enum speaks */
    /* It did not answer of late: upstream_shun.c. */
    bool shunned;
    uint8_t silences; /* in a row */
    nsec_t ask_again; /* when it is asked; TIMER_NEVER: it is being asked */
    struct pool_rules pool;
};

/* A cluster as this worker knows it. Counted: by each generation that has it. */
struct cluster_state {
    struct list link; /* among those of the same hash */
    unsigned refs;
    struct str name;             /* owned */
    struct upstreams *all;       /* it is one of */
    struct endpoint_set *set;    /* a reference */
    struct endpoint_set *owed;   /* a newer one, for which there was no memory; or NULL */
    struct upstream **upstreams; /* owned array, of the set's order; each counted */
    struct balance_entry *entries;
    size_t n;
    struct series *series[2];  /* by direction */
    uint8_t speaks;            /* enum speaks: its endpoints are alike */
    struct siphash_key salt;   /* of `balance random` */
    bool answered;             /* one of its endpoints, once */
    enum balance_kind balance; /* of the newest configuration that has it, and so */
    struct pool_rules pool;
    struct list waiting; /* of struct names_wait */
};

/* Who waits until a cluster's names are known, or have failed. */
struct names_wait {
    struct list link; /* empty: it does not wait */
    void (*known)(struct names_wait *w);
    void *arg; /* the waiter's */
};
/* True: none of its endpoints is known yet, and known() will be called, in a turn of its own,
 * unless the link is removed before. False: there is nothing to wait for. */
bool cluster_await_names(struct cluster_state *c, struct names_wait *w);

struct upstreams *upstreams_new(struct worker *w);
void upstreams_free(struct upstreams *u); /* NULL is fine */

/* For a generation, whose array v is by cluster->index: a reference of each from the first to the
 * last, that one not included. Returns how far it came: less than last without memory. */
size_t upstreams_adopt(struct upstreams *u, const struct config *c, struct cluster_state **v,
                       size_t first, size_t last);
void upstreams_abandon(struct cluster_state **v, size_t first, size_t last);
/* What a newer config has said of its clusters, and did not come into force, is taken back. */
void upstreams_keep_to(const struct config *c, struct cluster_state **v);
/* Takes the reference. Connections to addresses that stay are kept. */
void upstreams_set_endpoints(struct upstreams *u, struct endpoint_set *set);

/* Addresses that were tried for something already; it is not the index of an endpoint that is
 * remembered, since what a cluster has may change meanwhile. */
struct tried {
    struct address address;
    const struct tried *next; /* NULL: the last */
};
bool was_tried(const struct tried *tried, const struct address *a);
/* The endpoint for the next request, or NULL when there is none: what was tried, or did not answer
 * of late, only where there is no other. key: what `balance random` draws from. */
struct upstream *cluster_choose(struct cluster_state *c, const struct tried *tried,
                                const struct trace_id *key);
/* It has an endpoint that was not tried; answering: and that answered, when it was asked last. */
bool cluster_has_another(const struct cluster_state *c, const struct tried *tried, bool answering);
/* What came of connecting: where none of its endpoints ever answered that is said once, by all
 * workers together, and so is it when one does then. g: whose cluster it is. */
void cluster_has_answered(const struct generation *g, struct cluster_state *c,
                          const struct address *at);
void cluster_has_not_answered(const struct generation *g, const struct cluster_state *c,
                              const struct address *at, int error);
/* The one for an address that no cluster names: the original destination. Counted for the caller.
 * NULL: no memory. */
struct upstream *upstream_original(struct upstreams *u, const struct address *address);
/* The same, where there is one, not counted; else NULL. */
struct upstream *upstream_known(struct upstreams *u, const struct address *address);
/* What came of an attempt to connect that the pool did not make: error is the errno. */
void upstream_answered(struct upstream *u);
void upstream_did_not_answer(struct upstream *u, int error);
/* Another was tried beside it, since it took its time. */
void upstream_is_slow(struct upstream *u);
/* It did not answer of late. Once in a while this begins to find out whether it does again. */
bool upstream_is_shunned(struct upstream *u);
struct upstream *upstream_ref(struct upstream *u);
void upstream_unref(struct upstream *u); /* NULL is fine */

enum { UPSTREAM_WAITING_MAX = 1024 }; /* asks of one endpoint that wait at once */

/* Asks for a stream. */
struct upstream_ask {
    struct list link;
    struct upstream *upstream; /* set while waiting */
    /* Whoever is told sets the stream's events, owner and arena. */
    void (*ready)(struct upstream_ask *a, struct stream *s, bool reused);
    void (*failed)(struct upstream_ask *a, enum span_error why, int error);
    struct str method;
    struct logins
        *logins;     /* of the client, borrowed: one of these comes first; NULL: it has none */
    uint8_t version; /* of the request: 10, 11, 20 */
    bool grpc;       /* whoever serves it speaks HTTP/2, unless it has said otherwise */
    bool upgrade;    /* it asks to switch protocols, which HTTP/1.1 knows best */
    bool alone;      /* a connection for bytes: HTTP/1.1, whatever is spoken there */
    bool once;       /* it may not be sent twice: a kept connection must be far from its end */
    bool busy_too;   /* a connection that has refused a stream of late will do */
    bool fresh;      /* not a kept connection, or, shared, not one that has refused */
    bool shared;     /* it waits for a place on a shared connection */
    bool queued;     /* set when it waits for a place: pool max was met */
};
/* SPAN_ERROR_NONE: exactly one of the two will be called unless it is cancelled, ready() perhaps
 * before this returns, failed() never. Else none is, and *error is the errno, or 0. */
enum span_error upstream_ask(struct upstream *u, struct upstream_ask *a, int *error);
void upstream_cancel(struct upstream_ask *a);
/* Closes what is shared, and forgets original destinations: the worker ends, its config is still
 * there. */
void upstreams_close(struct upstreams *u);
/* Ends the making of connections that nobody waits for: the worker ends. */
void upstreams_hang_up(struct worker *w);
/* A connection that was dialled on accept and turned out to be for HTTP: kept like any other, made
 * or still being made. http2: what the client speaks. */
void upstream_donate(struct upstream *u, struct conn *c, bool http2);

#endif
