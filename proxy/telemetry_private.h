/*
 * What telemetry.c and telemetry_report.c share.
 */
#ifndef SIDESPAN_PROXY_TELEMETRY_PRIVATE_H
#define SIDESPAN_PROXY_TELEMETRY_PRIVATE_H

#include "proxy/export_table.h"
#include "proxy/mailbox.h"
#include "proxy/span_feed.h"

struct telemetry {
    struct span_wake wake; /* read by the workers: in a line of its own */
    alignas(SPAN_FEED_LINE) pthread_t thread;
    struct event_base *base;
    struct resolver *resolver;
    struct mailbox *mailbox;
    struct event *woken;       /* by a worker */
    struct event *drain_timer; /* when the feeds are looked at next */
    struct event *tick_timer;  /* when an exporter wants to be ticked */
    struct export_table table;
    struct list feeds; /* of struct span_feed, owned; of the thread */
    size_t ring_bytes; /* of a new feed */
    bool started;
    nsec_t stop_by; /* 0: not stopping */
};

/* On the thread: takes all there is in the rings now. */
void telemetry_drain_all(struct telemetry *t);

#endif
