/*
 * Carries an exporter's requests to a collector over TCP, TLS or a Unix socket:
 * OTLP over HTTP/1.1, and over HTTP/2 (nghttp2) for gRPC. One connection,
 * kept; names are resolved at each new connection.
 */
#ifndef SIDESPAN_PROXY_EXPORT_CLIENT_H
#define SIDESPAN_PROXY_EXPORT_CLIENT_H

#include <event2/event.h>

#include "mesh/config.h"
#include "otlp/transport.h"
#include "proxy/resolver.h"

/* On the loop of base. NULL: err says why (a certificate that cannot be read, ...). */
struct transport *export_client_new(struct event_base *base, struct resolver *resolver,
                                    const struct export_config *config, struct error *err);

#endif
