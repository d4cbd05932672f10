/*
 * What the files of the exchange share.
 */
#ifndef SIDESPAN_PROXY_EXCHANGE_PRIVATE_H
#define SIDESPAN_PROXY_EXCHANGE_PRIVATE_H

#include "base/buffer.h"
#include "mesh/fault.h"
#include "mesh/request.h"
#include "mesh/route.h"
#include "proxy/conn.h"
#include "proxy/exchange.h"
#include "proxy/timer.h"
#include "proxy/upstream.h"

/* What each state waits for, and the time allowed. */
enum exchange_state {
    EXCHANGE_NEW,        /* the request head: the codec's time */
    EXCHANGE_FAULT,      /* the end of an injected delay */
    EXCHANGE_RESOLVING,  /* the addresses of a name: route timeout; of a cluster: connect timeout */
    EXCHANGE_CONNECTING, /* an upstream connection, or a place in its queue: connect timeout */
    EXCHANGE_ASKED,      /* the response head: route timeout; a retry goes back */
    EXCHANGE_ANSWERING,  /* the rest of the response: idle timeout; too late for a retry */
    EXCHANGE_ENDED,      /* nothing: its memory goes when the turn is over */
};

enum {
    EXCHANGE_ARENA_LIMIT = 1024 * 1024,
    REPLAY_BYTES_MAX = 64 * 1024,
    TRIES_MAX = 16,
    ASKS_MAX = 4, /* that are waited for at once */
    EXCHANGE_POOL_MAX = 256,
};
/* How long nothing happens in an exchange that rests. */
#define EXCHANGE_REST_AFTER SECONDS(1)

/* A stream that an endpoint was asked for. */
struct asked {
    struct upstream_ask ask;
    struct upstream *endpoint; /* a reference, and one of its in_flight; NULL: nobody is asked */
    struct exchange *exchange;
};

/* What is needed until the response begins. */
struct asking {
    struct request facts;             /* what the decisions see */
    const struct path_params *params; /* in the arena: what {names} of the path stood for */
    struct trace_context context;     /* that is sent on */
    const struct tried *tried;        /* in the arena: where it could not be connected to */
    struct address *addresses;        /* in the arena: where no cluster says it */
    size_t n_addresses, next_address;
    uint16_t resolve_port;     /* of the name that is being resolved */
    struct resolve *resolving; /* NULL: no question is under way */
    nsec_t fault_until;
    bool elsewhere;       /* CONNECT: what is inside may find a way though it finds none */
    nsec_t queue_until;   /* a connection, or a place, must be had by then; 0: no wait */
    nsec_t ask_another;   /* beside those that are waited for; 0: not */
    nsec_t ask_again;     /* nobody is asked until then; 0: not */
    nsec_t refused_until; /* what refuses the stream is asked until then */
    uint8_t refusals;
    struct names_wait names; /* for those of the cluster */
    struct asked first;
    struct asked *more; /* in the arena: ASKS_MAX - 1 of them; NULL: not needed yet */
};

struct exchange {
    struct list link; /* in worker->active */
    struct burial burial;
    struct worker *worker;
    struct generation *generation; /* a reference */
    struct front *front;           /* borrowed: it outlives the stream */
    struct stream *client;         /* NULL once given back */
    struct stream *upstream;       /* NULL while there is none */
    struct asking *asking;         /* in the arena; NULL once it rested */
    struct message *request;       /* in the arena; NULL before it came, and once it rested */
    const struct headers *request_trailers; /* likewise */
    struct message *switching; /* in the arena: a 101 that came before the request's end; or NULL */
    const struct route *route; /* NULL: none took it */
    const struct fault *aborted;   /* strikes when the delay is over; NULL: none */
    struct cluster_state *cluster; /* borrowed of the generation; NULL: an original destination */
    struct upstream *endpoint; /* a reference: chosen, or, with counted, in use; NULL: neither */
    struct series *series;     /* of the cluster; NULL: none was chosen yet */
    struct timer timer;
    nsec_t began;                    /* of the present attempt's span */
    struct websocket_frames *frames; /* in the arena: of client and upstream; NULL: not followed */
    nsec_t switched;                 /* its bytes are opaque since then; 0: they are not */
    nsec_t started, deadline, last_activity, idle_limit;
    struct buffer held; /* of the body: not sent yet, or kept to be sent again */
    uint8_t state;
    bool request_ended, response_begun, response_ended;
    bool has_parent, sampled, recording, span_open;
    bool local;   /* answered by us: what else the client sends is thrown away */
    bool reused;  /* the attempt is on a kept connection */
    bool counted; /* one of endpoint's in_flight is its own */
    bool retried;
    uint8_t tries;        /* at connecting */
    bool replayable;      /* held has all of the body so far */
    bool upstream_closes; /* the response said so */
    bool refused;
    bool connects;         /* CONNECT: the upstream's connection is for bytes */
    bool tunnelled;        /* the tunnel reports the span */
    bool edited;           /* the request's fields are those that are sent on */
    bool interim;          /* an interim response came: somebody has read the request */
    bool end_with_request; /* answered by us; over when the request is */
    bool callers_deadline; /* deadline is that of grpc-timeout, not the route's */
    bool rested;           /* see exchange_rest() */
    bool told;             /* the log has a line of how it failed */
    uint32_t client_code,
        upstream_code; /* enum stream_code: why that side ended it; 0: it did not */
    struct span span;
    struct arena arena;
};

/* A worker's. */
struct exchange_pool {
    struct worker *worker;
    struct pages *pages; /* owned: of the arenas */
    struct timer rest;   /* armed while there may be an exchange that is to rest */
    struct burial burial;
    struct rested_arena *rested; /* to be released at the end of the turn */
    unsigned n;
    struct exchange *free[EXCHANGE_POOL_MAX];
};

/* ---- exchange.c ---- */
void exchange_enter(struct exchange *x, enum exchange_state next);
/* Stamps a phase of the span, once. */
void exchange_phase(struct exchange *x, enum span_phase phase);
/* The one way out: gives both sides back, reports the span. */
void exchange_end(struct exchange *x);
void exchange_rearm(struct exchange *x);
void exchange_on_timer(struct timer *t);
static inline const struct config *exchange_config(const struct exchange *x)
{
    return x->generation->config;
}

/* ---- exchange_fail.c ---- */
/* Why an exchange cannot go on. Texts are literals, or live in the exchange's arena. */
struct failure {
    enum span_error why;
    const char *detail;      /* what happened, for a person */
    const char *rule, *cure; /* where they are known better than the row of span_error.h knows them:
                                "pool-max", "raise the max of pool"; NULL: the row's */
};
/* It cannot go on: answers, where the response has not begun; else cuts it. Span, log line and
 * answer say whose doing it was. */
void exchange_fail_by(struct exchange *x, const struct failure *by);
/* For a person who reads the answer: what happened, by which rule, and the cure. In the arena, or
 * detail. */
struct str exchange_failure_text(struct exchange *x, const struct failure *f);
/* Its connection was reset: where connections of ours come back to us, we did it, and it fails for
 * that. False: they do not. */
bool exchange_fail_as_own(struct exchange *x);
void exchange_fail(struct exchange *x, enum span_error why, const char *detail);
/* What came is not a request that may be passed on: by a rule of ours. */
void exchange_refuse(struct exchange *x, const struct refusal *why);
/* What is said of a body over limits { body-bytes }. */
extern const struct refusal exchange_body_too_large;

/* ---- exchange_pool.c ---- */
/* Its arena is empty; what else is in it is of the last use, and zero at first. NULL: no memory. */
struct exchange *exchange_take(struct exchange_pool *p);
void exchange_give(struct exchange *x);

/* ---- exchange_rest.c ---- */
/* Gives the memory back that an exchange does not need any more once its response has begun: all
 * of its arena but the texts of its span. False: no memory, nothing has changed. */
bool exchange_rest(struct exchange *x);
/* The exchanges of the pool's worker are looked at; each that is idle amid its response rests. */
void exchange_rest_init(struct exchange_pool *p);
/* Before the pool goes. */
void exchange_rest_release(struct exchange_pool *p);
/* One is in its response. */
static inline void exchange_rest_watch(struct exchange_pool *p)
{
    if (!timer_armed(&p->rest))
        timer_arm(p->worker->loop.timers, &p->rest,
                  loop_now(&p->worker->loop) + EXCHANGE_REST_AFTER);
}

/* ---- exchange_request.c ---- */
void exchange_begin(struct exchange *x, struct message *m);
/* The same for what is refused: it has its span, in its trace, but no route. */
void exchange_begin_refused(struct exchange *x, struct message *partial);
/* After faults: to the upstream. */
void exchange_go_on(struct exchange *x);

/* ---- exchange_target.c ---- */
/* To where its route sends it, or, without one, to where the client wanted: the redirected
 * connection's destination, or the name that it gave a forward proxy. */
void exchange_to_target(struct exchange *x);
/* Chooses the next address; there must be one. */
void exchange_next_address(struct exchange *x);

/* ---- exchange_route.c ---- */
/* False: no memory. undecided is the route of which it could not be told whether it takes the
 * request; NULL: none. */
bool exchange_find_route(struct exchange *x, const struct route **undecided);

/* ---- exchange_headers.c ---- */
/* Makes the request's fields those that are sent on. False: the arena is full, or it has been
 * refused. */
bool exchange_edit_request(struct exchange *x);
bool exchange_edit_response(struct exchange *x, struct message *m);
/* Puts the span's context into the request: anew for each attempt. */
bool exchange_inject(struct exchange *x);

/* ---- exchange_connect.c ---- */
/* Asks for a stream: of the endpoint that is chosen, or, without one, of one that is chosen here.
 */
void exchange_connect(struct exchange *x);
static inline bool exchange_connect_is_due(const struct exchange *x)
{
    const struct asking *a = x->asking;
    nsec_t now = loop_now(&x->worker->loop);

    return (a->queue_until && now >= a->queue_until) || (a->ask_another && now >= a->ask_another) ||
           (a->ask_again && now >= a->ask_again);
}
/* It is: asks another one too, or gives up. */
void exchange_connect_timer(struct exchange *x);
/* Nobody is asked any more. */
void exchange_stop_asking(struct exchange *x);
/* The same in a while; 0: now. */
void exchange_connect_after(struct exchange *x, nsec_t pause);
/* The cluster, or the name, has an address that was not tried; _than: and is not the present one.
 */
bool exchange_has_another_than(struct exchange *x);
bool exchange_has_another(const struct exchange *x);
/* Gives the endpoint up; tried: it is not to be chosen again. */
void exchange_leave_endpoint(struct exchange *x, bool tried);

/* ---- exchange_attempt.c ---- */
/* A stream is there. */
void exchange_attempt(struct exchange *x, struct stream *s, bool reused, bool queued);
/* The upstream side is over, whole or not. */
void exchange_release_upstream(struct exchange *x, bool whole);
extern const struct stream_events exchange_upstream_events;

/* ---- exchange_body.c ---- */
/* Keeps what came of the body. False: no memory, and it was not sent either. */
bool exchange_hold_chunk(struct exchange *x, uint64_t size);
bool exchange_hold_data(struct exchange *x, struct str data);
/* Sends all that is kept. */
void exchange_send_held(struct exchange *x);

/* ---- exchange_reply.c ---- */
/* Answers instead of an upstream. Text is borrowed until the end of the turn. */
void exchange_reply(struct exchange *x, unsigned status, struct str text, const char *reason);
void exchange_respond(struct exchange *x); /* `respond` and `redirect` */

/* ---- exchange_grpc.c ---- */
/* Whether it is a call of gRPC: said by span.grpc from here on. The functions below do nothing for
 * what is none. */
void exchange_grpc_detect(struct exchange *x, const struct message *m);
/* The deadline becomes the earlier one of grpc-timeout and the route's. False: the call has been
 * answered. */
bool exchange_grpc_begin(struct exchange *x);
/* Puts the time that is left into the request: anew for each attempt. False: it has failed. */
bool exchange_grpc_send_timeout(struct exchange *x);
/* grpc-status of a response's trailers, or of its head where that is all there is. NULL: none. */
void exchange_grpc_status(struct exchange *x, const struct headers *f);
/* A call that failed without a status: the span has the one that the client makes of it. */
void exchange_grpc_settle(struct exchange *x);
/* A call whose response has begun and that fails by span.error is given its status as trailers,
 * where its client can make nothing else of it. */
void exchange_grpc_cut(struct exchange *x, const char *detail);
/* Makes the reply of exchange_reply() one of gRPC: trailers only. */
void exchange_grpc_reply(struct exchange *x, struct message *m, struct str text);
/* Its deadline is over: the route's, or the caller's. */
void exchange_fail_timeout(struct exchange *x);

/* ---- exchange_span.c ---- */
void exchange_span_begin(struct exchange *x, nsec_t began);
/* What the message and the decisions say. */
void exchange_span_request(struct exchange *x);
/* Reports it; a retry begins another. */
void exchange_span_report(struct exchange *x);
/* What its request is counted in: of its cluster and its route. */
struct series *exchange_requests(struct exchange *x);
void exchange_span_again(struct exchange *x);
/* After the report: one line with what became of it, if `log level debug` wants it. endpoint: who
 * was asked last; "": nobody. */
void exchange_log(const struct exchange *x, const char *endpoint);
void exchange_capture(struct exchange *x, const struct message *m, bool response);

/* ---- exchange_tunnel.c ---- */
void exchange_upgrade(struct exchange *x, struct message *m); /* 101 came */
/* One side has ended. Of opaque bytes the other has been told, and has its time to end too. */
void exchange_half_ended(struct exchange *x);
/* Nothing passed for its idle limit, whichever that is. */
void exchange_fail_idle(struct exchange *x);
/* A connection carries other streams too: the bytes pass as bodies, which both begin anew. held:
 * what is kept was not sent yet. */
void exchange_go_on_as_bytes(struct exchange *x, bool held);
/* One whose bytes are opaque is over, as who goes away ends it. */
void exchange_go_away(struct exchange *x);

/* ---- exchange_connect_method.c ---- */
/* True: it is to be dialled, where any request of its route would go. False: it is dealt with. */
bool exchange_connect_method(struct exchange *x);
/* The upstream's connection is there, for the bytes of a CONNECT. */
void exchange_connected(struct exchange *x);
/* It cannot be had. True: requests inside may go elsewhere, so the client was told that it is
 * connected. */
bool exchange_connect_anyway(struct exchange *x, enum span_error why);

#endif
