/*
 * The exporters in force, made from the config's `export` lines, and those that a
 * reload left behind and that only wait for their last spans to be gone. Of the
 * telemetry thread; others may look while they hold the lock.
 */
#ifndef SIDESPAN_PROXY_EXPORT_TABLE_H
#define SIDESPAN_PROXY_EXPORT_TABLE_H

#include <event2/event.h>
#include <pthread.h>

#include "base/list.h"
#include "mesh/config.h"
#include "otlp/exporter.h"
#include "proxy/resolver.h"

struct export_row {
    struct list link;          /* in rows or leaving */
    struct exporter *exporter; /* owned */
    struct buffer settings;    /* owned: all that went into it, to be compared by value */
    bool wanted;               /* while a config is put in force: it is in that too */
    nsec_t leave_by;           /* once leaving: monotonic */
};

struct export_table {
    struct event_base *base; /* borrowed, as is the resolver */
    struct resolver *resolver;
    pthread_mutex_t
        lock;         /* of rows and leaving: taken to change them, and by other threads to look */
    struct list rows; /* in the order of the config */
    struct list leaving;
    char *instance; /* owned: the service.instance.id made up at the start; NULL: none yet */
};

void export_table_init(struct export_table *t, struct event_base *base, struct resolver *resolver);
/* Drops what still waits, without a word. */
void export_table_release(struct export_table *t);

/* Makes the exporters what the config says. Those with the same settings stay, with what waits in
 * them; those that are gone flush until leave_by, the newest eight of them. False: err says why,
 * and nothing has changed. */
bool export_table_configure(struct export_table *t, const struct config *config, nsec_t now,
                            nsec_t leave_by, struct error *err);
/* Ticks all; lets go of those that have left. Returns when it is to be called again; INT64_MAX:
 * never, by itself. */
nsec_t export_table_tick(struct export_table *t, nsec_t now);

void export_table_add(struct export_table *t, const struct span *s, nsec_t now);
void export_table_add_lost(struct export_table *t, uint64_t n);

/* All leave. */
void export_table_leave(struct export_table *t, nsec_t now, nsec_t leave_by);
/* True when none is left. */
bool export_table_empty(const struct export_table *t);

#endif
