/*
 * Calls from one thread to be made on another: a locked list and an eventfd.
 * For the control plane; nothing on the request path uses it.
 */
#ifndef SIDESPAN_PROXY_MAILBOX_H
#define SIDESPAN_PROXY_MAILBOX_H

#include <event2/event.h>
#include <stdbool.h>

struct mailbox;

/* Made by, or before, the thread that runs base. NULL: no memory or no descriptor. */
struct mailbox *mailbox_new(struct event_base *base);
/* No thread may post any more. What was not run is dropped. */
void mailbox_free(struct mailbox *m);
/* From any thread: fn(arg) will run on the loop's thread, in the order posted. Aborts without
 * memory. */
void mailbox_post(struct mailbox *m, void (*fn)(void *arg), void *arg);
/* Posts and waits until it has run. Never from the loop's own thread. */
void mailbox_call(struct mailbox *m, void (*fn)(void *arg), void *arg);

#endif
