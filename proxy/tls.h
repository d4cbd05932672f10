/*
 * TLS as a client, for exporters (OpenSSL). Only tls*.c include openssl/.
 */
#ifndef SIDESPAN_PROXY_TLS_H
#define SIDESPAN_PROXY_TLS_H

#include <event2/bufferevent.h>

#include "base/error.h"
#include "base/str.h"

struct tls_client;

/* ca empty: the system's. certificate and key: both or neither (mutual TLS). alpn: "h2", "http/1.1"
 * or empty. TLS 1.2 or later, the peer's certificate is verified for server_name. NULL: err says
 * why. */
struct tls_client *tls_client_new(struct str ca, struct str certificate, struct str key,
                                  struct str server_name, struct str alpn, struct error *err);
void tls_client_free(struct tls_client *c);
/* A bufferevent that speaks TLS over the connected or connecting fd (-1: to be connected). NULL: no
 * memory. */
struct bufferevent *tls_client_bufferevent(struct tls_client *c, struct event_base *base, int fd);
/* The protocol both agreed on; empty: none. Borrowed from bev. */
struct str tls_bufferevent_alpn(struct bufferevent *bev);
/* Why the handshake failed, for people, into out; the empty string when there is no TLS error. */
void tls_bufferevent_error(struct bufferevent *bev, char *out, size_t n);

#endif
