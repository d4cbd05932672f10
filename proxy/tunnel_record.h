/*
 * What a tunnel remembers of itself to tell at its end: its span, when it is to
 * have one, and the server name that the client asked TLS for.
 */
#ifndef SIDESPAN_PROXY_TUNNEL_RECORD_H
#define SIDESPAN_PROXY_TUNNEL_RECORD_H

#include "base/buffer.h"
#include "otlp/span.h"
#include "proxy/telemetry.h"

struct tunnel_record {
    struct span *span;   /* owned, its text in the same block; NULL: not sampled */
    struct buffer hello; /* owned: the client's first bytes while a ClientHello is not whole */
    bool may_be_hello;   /* the next bytes of the client are looked at */
    char *server_name;   /* owned */
};

/* sampled false: nothing is kept. False: no memory. */
bool tunnel_record_init(struct tunnel_record *r, const struct span *span, bool sampled);
void tunnel_record_release(struct tunnel_record *r);
/* Looks for a server name in what the client sends first; a bounded part of it is copied. */
void tunnel_record_client_bytes(struct tunnel_record *r, struct str bytes);
/* Completes the span and hands it over. to: whom the tunnel led to; family 0: nobody. */
void tunnel_record_push(struct tunnel_record *r, const struct address *to, struct span_feed *feed);

#endif
