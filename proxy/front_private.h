/*
 * What the files of the front share.
 */
#ifndef SIDESPAN_PROXY_FRONT_PRIVATE_H
#define SIDESPAN_PROXY_FRONT_PRIVATE_H

#include "proxy/codec.h"
#include "proxy/conn.h"
#include "proxy/front.h"
#include "proxy/sniff.h"
#include "proxy/timer.h"
#include "proxy/upstream.h"

/* Makes the conn, for which it is to be found out what it speaks. f->conn stays NULL without
 * memory. */
void front_sniff(struct front *f, int fd, const struct address *peer);
/* Begins with that; the connection is counted. */
void front_sniff_begin(struct front *f);
/* It is HTTP, and these are its first bytes. */
void front_http(struct front *f, char *data, size_t n);
void front_http2(struct front *f, char *data, size_t n);
/* Refuses what came, or did not, with an answer of HTTP. */
void front_refuse(struct front *f, const struct refusal *why);
/* The conn is closed or a tunnel's: counts it no more, frees the front. */
void front_end(struct front *f);
/* Of the CONNECT that a connection is inside of: what a tunnel there begins with. */
struct inside {
    struct span *span;                /* owned, its text in the same block */
    struct series *series, *requests; /* see inside_setup */
    nsec_t answered;
    enum span_error otherwise;
    const struct refusal *refusal;
    bool sampled;
    bool told; /* the span was pushed */
};

/* A connection while it is not known what it speaks. */
struct sniffing {
    struct list link; /* in worker->sniffing */
    struct front *front;
    struct timer timer;
    struct burial burial;
    struct generation *generation; /* a reference */
    struct conn *upstream;         /* dialled; NULL: not */
    /* Where the connection goes without a request: both NULL: nowhere. */
    struct cluster_state *cluster; /* borrowed of the generation */
    struct upstream *endpoint;     /* a reference; of a cluster it is chosen when it is needed */
    struct trace_id trace_id;      /* of the trace that a tunnel begins */
    bool connected;
    bool early;                   /* its upstream was dialled though the client had said nothing */
    nsec_t dialled, connected_at; /* when that began, and was done; 0: it was not */
    int dial_error;               /* errno; 0: none */
    nsec_t dial_at;               /* the destination is dialled then; 0: not, or done */
    nsec_t dial_until;            /* the connection must be there by then; 0: none is being made */
    nsec_t give_up;               /* whoever has not said enough by then is not waited for */
    nsec_t pass_at;               /* what has come is passed on then as it is; 0: not */
    /* A rule that could have refused what came if it were HTTP: it does not pass as anything else.
     * NULL: none. Borrowed of the generation's config. */
    const struct route *under;
    struct inside *inside; /* owned; NULL: it is not inside a CONNECT */
    size_t n;
    char *bytes; /* owned: the first bytes while they do not tell */
};

/* Ends a connection whose protocol is not known; link is that of worker->sniffing. */
void front_sniff_cut(struct list *link);

/* ---- front_sniff.c ---- */
/* Forgets it; the connections are somebody else's, or closed. */
void sniffing_end(struct sniffing *s);
/* Closes both connections, and ends. */
void sniffing_close(struct sniffing *s, bool reset);
/* The destination is connected to no longer. */
void sniffing_close_upstream(struct sniffing *s);
/* Makes a sniffing of what is inside a CONNECT, where the upstream, if there is one, is connected.
 * Takes in and the connections. False: no memory, nothing was taken. */
struct inside_setup;
bool front_sniff_inside(struct front *f, struct inside *in, const struct inside_setup *setup);

/* ---- front_inside.c ---- */
void inside_free(struct inside *in); /* NULL is fine */
/* The CONNECT came to nothing: its span says why. */
void inside_tell(struct sniffing *s, enum span_error why);

/* ---- front_tunnel.c ---- */
void sniffing_find_destination(struct sniffing *s);
bool sniffing_has_destination(const struct sniffing *s);
/* Chooses the endpoint, once. False: there is none. */
bool sniffing_choose(struct sniffing *s);
/* The endpoint is this sidecar itself, or none of the client's business. */
bool sniffing_leads_back(const struct sniffing *s);
/* What was heard of the destination: enum speaks; NULL: there is none. */
uint8_t *sniffing_speaks(struct sniffing *s);
/* Bytes that are not HTTP may go there. */
bool sniffing_may_pass(const struct sniffing *s);
/* What begins with a ClientHello goes to a server of that name: whether a rule for it forbids that
 * is found out. True: more bytes are needed to tell. */
bool sniffing_needs_name(struct sniffing *s, struct str first);
/* It goes nowhere, and there is a span that says why. */
void sniffing_fail(struct sniffing *s, enum span_error why);
/* Refuses what is not HTTP: the client has an answer where it has said something. */
void sniffing_refuse(struct sniffing *s, enum sniffed what);
/* A tunnel takes both connections, or dials; the bytes are what came already. */
void sniffing_to_tunnel(struct sniffing *s, struct str from_client, struct str from_upstream);

#endif
