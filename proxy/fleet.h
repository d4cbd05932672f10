/*
 * The workers of this process, asked as one. Of the main thread.
 */
#ifndef SIDESPAN_PROXY_FLEET_H
#define SIDESPAN_PROXY_FLEET_H

#include "proxy/worker.h"

struct fleet;

/* n workers, their threads not yet started. NULL: err says why. */
struct fleet *fleet_new(unsigned n, struct config *config, const struct sampler *sampler,
                        struct telemetry *telemetry, struct error *err);
bool fleet_start(struct fleet *f, struct error *err);
/* Ends the threads; what is still open is closed. NULL is fine. */
void fleet_free(struct fleet *f);
unsigned fleet_size(const struct fleet *f);

/* Each in the order of the calls, on every worker. */
/* Makes all of them ready for a config that fleet_configure() then takes into use, and waits for
 * that. False: one has no memory for it, and all are as they were. */
bool fleet_prepare(struct fleet *f, struct config *config, const struct sampler *sampler);
void fleet_configure(struct fleet *f, struct config *config, const struct sampler *sampler);
void fleet_set_endpoints(struct fleet *f, struct endpoint_set *set); /* takes the reference */
void fleet_listen(struct fleet *f, struct listen_sockets *sockets);  /* borrowed */
void fleet_leave(struct fleet *f, enum direction_kind direction);
void fleet_shut(struct fleet *f, enum direction_kind direction);
void fleet_look(struct fleet *f);
void fleet_cut(struct fleet *f);
void fleet_trim(struct fleet *f);

/* Exchanges and tunnels under way. */
unsigned fleet_busy(const struct fleet *f);
/* Connections that have begun, as fleet_look() found. False: a worker has not carried out all
 * fleet_look() that were asked of it. */
bool fleet_begun(const struct fleet *f, unsigned *n);
/* rpc: the names of what is told of gRPC. */
void fleet_metrics_print(const struct fleet *f, enum semconv rpc, struct buffer *out);

#endif
