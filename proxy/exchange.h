/*
 * An exchange is one request and its response. It is the only thing that knows
 * both sides.
 */
#ifndef SIDESPAN_PROXY_EXCHANGE_H
#define SIDESPAN_PROXY_EXCHANGE_H

#include "proxy/codec.h"
#include "proxy/front.h"
#include "proxy/worker.h"

struct exchange;

/* Exchanges that are over, to be used again. */
struct exchange_pool *exchange_pool_new(struct worker *w);
void exchange_pool_free(struct exchange_pool *p); /* NULL is fine */
/* Gives the system what it keeps. */
void exchange_pool_trim(struct exchange_pool *p);

/* A request is coming on that stream: becomes its owner. False: no memory. */
bool exchange_open(struct front *f, struct stream *client);
/* Ends all that are under way on the worker; each has its span. */
void exchanges_cut_all(struct worker *w, enum span_error why);

#endif
