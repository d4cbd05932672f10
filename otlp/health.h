/*
 * What an operator is told of a collector: when it begins to fail, fails in
 * another way, and takes spans again, with what was lost meanwhile. Never of
 * each batch; at most one line in ten seconds, so that one that comes and goes
 * does not fill the log.
 */
#ifndef SIDESPAN_OTLP_HEALTH_H
#define SIDESPAN_OTLP_HEALTH_H

#include "otlp/exporter.h"
#include "otlp/otlp_response.h"

#define HEALTH_QUIET SECONDS(10)

enum health_state {
    HEALTH_GOOD,
    HEALTH_WARNED,   /* takes all spans, and says something is wrong */
    HEALTH_REJECTED, /* takes only some of the spans */
    HEALTH_REFUSED,  /* takes none */
    HEALTH_FAILING,  /* takes none now; they wait */
};

struct health {
    struct str name; /* borrowed */
    exporter_report_fn *report;
    void *arg;
    enum health_state told, now_is;
    char text[sizeof(((struct otlp_outcome *)NULL)->text)]; /* of the last that was not good */
    uint64_t lost;        /* spans, since all was told to be good */
    uint64_t exported;    /* spans that it took since it was told not to be good */
    nsec_t bad_since;     /* when it was told not to be good */
    nsec_t good_since;    /* when it last came to be good */
    nsec_t quiet_until;   /* no line before */
    bool full, told_full; /* the queue is; that was told */
};

void health_init(struct health *h, struct str name, exporter_report_fn *report, void *arg);
/* A batch of n spans was answered. */
void health_note(struct health *h, const struct otlp_outcome *outcome, uint64_t n, nsec_t now);
/* What was held back is told once its time has come, though no batch follows: the last line that
 * was written stays true. Returns when to call it again; INT64_MAX: not before the next note. */
nsec_t health_tick(struct health *h, nsec_t now);
/* Nothing follows any more: what is held back is told now. */
void health_end(struct health *h);
/* A span was dropped since the queue, of that many spans, is full. */
void health_note_full(struct health *h, size_t queue_spans, nsec_t now);
/* There is room in the queue again. */
void health_note_room(struct health *h, nsec_t now);
/* n spans were given up for another reason. */
void health_note_lost(struct health *h, uint64_t n);

#endif
