/*
 * What an operator is told of a collector: when it begins to fail, fails in
 * another way, and takes spans again, with what was lost meanwhile. Never of
 * each batch; at most one line in ten seconds, so that one that comes and goes
 * does not fill the log.
 */
#ifndef SIDESPAN_OTLP_COLLECTOR_HEALTH_H
#define SIDESPAN_OTLP_COLLECTOR_HEALTH_H

#include "otlp/exporter.h"
#include "otlp/otlp_response.h"

#define COLLECTOR_QUIET SECONDS(10)

enum collector_state {
    COLLECTOR_GOOD,
    COLLECTOR_WARNED,   /* takes all spans, and says something is wrong */
    COLLECTOR_REJECTED, /* takes only some of the spans */
    COLLECTOR_REFUSED,  /* takes none */
    COLLECTOR_FAILING,  /* takes none now; they wait */
};

struct collector_health {
    struct str name; /* borrowed */
    exporter_report_fn *report;
    void *arg;
    enum collector_state told, now_is;
    char text[sizeof(((struct otlp_outcome *)NULL)->text)]; /* of the last that was not good */
    uint64_t lost;        /* spans, since all was told to be good */
    uint64_t exported;    /* spans that it took since it was told not to be good */
    nsec_t bad_since;     /* when it was told not to be good */
    nsec_t good_since;    /* when it last came to be good */
    nsec_t quiet_until;   /* no line before */
    bool full, told_full; /* the queue is; that was told */
};

void collector_health_init(struct collector_health *h, struct str name, exporter_report_fn *report,
                           void *arg);
/* A batch of n spans was answered. */
void collector_health_note(struct collector_health *h, const struct otlp_outcome *outcome,
                           uint64_t n, nsec_t now);
/* What was held back is told once its time has come, though no batch follows: the last line that
 * was written stays true. Returns when to call it again; INT64_MAX: not before the next note. */
nsec_t collector_health_tick(struct collector_health *h, nsec_t now);
/* Nothing follows any more: what is held back is told now. */
void collector_health_end(struct collector_health *h);
/* A span was dropped since the queue, of that many spans, is full. */
void collector_health_note_full(struct collector_health *h, size_t queue_spans, nsec_t now);
/* There is room in the queue again. */
void collector_health_note_room(struct collector_health *h, nsec_t now);
/* n spans were given up for another reason. */
void collector_health_note_lost(struct collector_health *h, uint64_t n);

#endif
