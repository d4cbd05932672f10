/*
 * The admin port: HTTP for operators and their tools, on the main thread.
 *
 * On a loopback address only requests whose Host is an IP address or localhost
 * are answered: a page in a browser on this machine may reach the port under a
 * name of its own (DNS rebinding), and must not read what is here.
 */
#ifndef SIDESPAN_PROXY_ADMIN_H
#define SIDESPAN_PROXY_ADMIN_H

#include <event2/event.h>

#include "base/buffer.h"
#include "mesh/config.h"
#include "propagation/context.h"

/* What it shows and does. All are called from the loop. */
struct admin_ops {
    /* False: not ready; *reasons gets a line for each reason. */
    bool (*ready)(void *arg, struct buffer *reasons);
    /* The one in force; borrowed. */
    const struct config *(*config)(void *arg);
    /* OTLP JSON; trace_id NULL: of all. False: no spans are kept here. */
    bool (*traces)(void *arg, const struct trace_id *trace_id, size_t limit, struct buffer *out);
    void (*ledger)(void *arg, struct buffer *out);  /* JSON */
    void (*metrics)(void *arg, struct buffer *out); /* Prometheus text */
    /* Reads the file again. False: the old one stays, *text says why. *changed: it was another, and
     * *text says what is other in it. */
    bool (*reload)(void *arg, bool *changed, struct buffer *text);
};

struct admin;

/* Listens; requests are answered as the loop runs. NULL: err says why. */
struct admin *admin_open(struct event_base *base, const struct address *address,
                         const struct admin_ops *ops, void *arg, struct error *err);
/* Not from within an op: the request being answered is the port's. NULL is fine. */
void admin_free(struct admin *a);
/* Listens no more; connections that are open are served until admin_free(). */
void admin_close(struct admin *a);
/* Where it listens, the port that the system chose for port 0 included. */
const struct address *admin_address(const struct admin *a);

#endif
