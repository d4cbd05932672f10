/*
 * What the two ways to carry an export share: the connection, its deadlines and
 * the one request under way. For export_client*.c alone.
 */
#ifndef SIDESPAN_PROXY_EXPORT_CLIENT_PRIVATE_H
#define SIDESPAN_PROXY_EXPORT_CLIENT_PRIVATE_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "base/arena.h"
#include "proxy/dial.h"
#include "proxy/export_client.h"
#include "proxy/tls.h"

#define EXPORT_USER_AGENT "sidespan/" SIDESPAN_VERSION " OTel-OTLP-Exporter-C/" SIDESPAN_VERSION

enum { EXPORT_HEAD_BYTES_MAX = 64 * 1024, EXPORT_BODY_BYTES_MAX = 4 * 1024 * 1024 };

struct export_client;

/* A protocol over a connection. */
struct export_carrier {
    struct str alpn;
    const char *hint; /* when the peer's bytes are not of this protocol */
    /* What lives as long as the client. False: no memory. */
    bool (*create)(struct export_client *c);
    void (*destroy)(struct export_client *c);
    /* A connection is there, c->bev. False: no memory. */
    bool (*open)(struct export_client *c);
    /* It goes. What an answer consists of stays until the next submit. */
    void (*close)(struct export_client *c);
    /* Writes c->request. */
    void (*submit)(struct export_client *c);
    /* Bytes came. Ends with export_client_answered(), _lost() or _close() at most once. */
    void (*receive)(struct export_client *c, struct evbuffer *in);
    /* The peer closed while a request was under way; true: this completed its answer. */
    bool (*finish)(struct export_client *c);
};

enum export_phase {
    EXPORT_CLOSED,    /* no connection                          no deadline       */
    EXPORT_DIALLING,  /* c->dial is under way                   the dial's        */
    EXPORT_HANDSHAKE, /* c->bev speaks TLS first                connect deadline  */
    EXPORT_OPEN,      /* c->bev carries a request or nothing    request deadline  */
};

struct export_client {
    struct transport transport; /* what the exporter holds: first */
    const struct export_carrier *carrier;
    void *carried;             /* the carrier's, owned */
    struct event_base *base;   /* borrowed */
    struct resolver *resolver; /* borrowed */
    struct arena settings;     /* owned: what follows, up to tls, is in it */
    struct location to;
    struct str authority;
    struct tls_client *tls; /* owned; NULL: plain */

    enum export_phase phase;
    struct dial *dial;       /* owned while EXPORT_DIALLING */
    struct bufferevent *bev; /* owned from EXPORT_HANDSHAKE on */
    nsec_t connect_deadline;
    bool stop_using;   /* the peer wants no more requests on this connection */
    size_t references; /* pieces of the request's body that the output still points into */

    bool busy;                        /* a request is under way */
    struct transport_request request; /* path and headers are copies in arena, the body is not */
    struct headers headers;
    struct arena arena;
    nsec_t deadline;
    bool fresh;     /* the connection was made for this request */
    bool answering; /* its answer has begun; the carrier says so */
    bool ended;     /* response is complete, and told by `tell` */
    struct transport_response response;
    transport_done_fn *done;
    void *arg;
    struct event *timer; /* the deadline of the phase */
    struct event *tell;  /* made active to call done() from the loop itself */
};

extern const struct export_carrier export_carrier_http, export_carrier_grpc;

/* Writes the request on the connection that is open, under its own deadline. */
void export_client_submit(struct export_client *c);
/* Makes a connection for the request, which is then submitted. */
void export_client_connect(struct export_client *c);
void export_client_arm(struct export_client *c, nsec_t deadline); /* c->timer */
/* The request has its answer: c->response is filled but for the result. */
void export_client_answered(struct export_client *c);
/* It has none; the text is for people. The connection is closed. */
void export_client_failed(struct export_client *c, enum transport_result result, const char *format,
                          ...) __attribute__((format(printf, 3, 4)));
/* The connection broke: a request that was sent on a kept one, and whose answer has not begun, is
 * sent once more on a new one; else it failed as TRANSPORT_LOST. */
void export_client_lost(struct export_client *c, const char *why);
void export_client_close(struct export_client *c);
/* Appends a part of the request's body to the output without copying it. False: no memory. */
bool export_client_write_body(struct export_client *c, size_t from, size_t n);

#endif
