/*
 * Logins: connections that a server has authenticated as a whole (NTLM,
 * Negotiate, Kerberos; RFC 4559, and RFC 7235 section 5.1.2 on such schemes).
 * Whoever sends on one is taken for the client that logged in, so it is that
 * client connection's alone from then on: not kept for others, and ended with
 * it. A struct logins is what one client connection has of these, for as long
 * as they are idle between its requests.
 */
#ifndef SIDESPAN_PROXY_UPSTREAM_LOGIN_H
#define SIDESPAN_PROXY_UPSTREAM_LOGIN_H

#include "base/address.h"
#include "base/headers.h"
#include "base/list.h"

struct http1;
struct logins;
struct upstream;

/* Whether what has passed may have made the connection a login: the request brought credentials of
 * such a scheme, whatever became of them, or the response asks for them. */
bool login_passes(const struct headers *request, unsigned status, const struct headers *response);

/* Counted: by the client's connection, and by each connection that is one of its logins. NULL: no
 * memory. */
struct logins *logins_new(void);
struct logins *logins_ref(struct logins *l);
void logins_unref(struct logins *l); /* NULL is fine */
/* The client's connection ends: closes what is idle, takes no more, and drops its reference. NULL
 * is fine. */
void logins_end(struct logins *l);

/* The endpoint of that cluster at which the client has a login, idle now; NULL: there is none. */
struct upstream *logins_endpoint(const struct logins *l, struct str cluster);
/* Whether the client has one at that address, which no cluster names. */
bool logins_have(const struct logins *l, const struct address *to);
/* Takes out the latest of that endpoint; NULL: there is none. */
struct http1 *logins_take(struct logins *l, const struct upstream *u);

/* ---- for the pool ---- */

/* A login is idle: kept, or closed where that may not be. */
void login_idle(struct upstream *u, struct http1 *h);
/* One that was idle is gone by itself. */
void login_gone(struct http1 *h);
/* Closes all idle ones of an endpoint that nobody will ask again. */
void logins_retire(struct upstream *u);
/* Its place is wanted: closes the one that is idle longest, unless that is in the middle of
 * something. */
void login_make_way(struct upstream *u);

#endif
