/*
 * OTLP: spans are encoded into batches; the oldest closed batch is under way,
 * or waits for its next try; those behind it wait for it.
 */
#include <assert.h>
#include <stdlib.h>

#include "otlp/backoff.h"
#include "otlp/collector_health.h"
#include "otlp/export.h"
#include "otlp/otlp_request.h"
#include "otlp/otlp_response.h"

enum otlp_state {
    OTLP_READY,   /* to send what is due */
    OTLP_SENDING, /* the oldest batch is under way                 to on_done()   */
    OTLP_FAILED,  /* it was not delivered; when is not known yet   to the tick    */
    OTLP_WAITING, /* for the time of its next try                  to not_before  */
};

struct otlp_pipeline {
    struct exporter *e;          /* borrowed: it owns this */
    struct transport *transport; /* owned */
    struct otlp_request request;
    struct batch_queue queue;
    struct collector_health health;
    struct random random;
    enum otlp_state state;
    unsigned failures; /* in a row */
    nsec_t at_least;   /* FAILED: what the collector asked for */
    nsec_t not_before; /* WAITING */
    nsec_t now;        /* as last told */
    bool flushing;     /* no delay until all is sent */
};

static struct batch_limits limits_for(const struct exporter_options *o, size_t room)
{
    enum { QUEUE_BYTES_MIN = 8 * 1024 * 1024, SPAN_BYTES = 1024 };
    size_t bytes = o->queue_spans > SIZE_MAX / SPAN_BYTES ? SIZE_MAX : o->queue_spans * SPAN_BYTES;

    return (struct batch_limits){
        .spans = o->queue_spans,
        .bytes = bytes > QUEUE_BYTES_MIN ? bytes : QUEUE_BYTES_MIN,
        .batch_spans = o->batch_spans,
        .batch_bytes = room < OTLP_REQUEST_BYTES_MAX ? OTLP_REQUEST_BYTES_MAX - room : 0,
        .room = room,
    };
}

static bool otlp_open(struct exporter *e, const struct resource *resource,
                      struct transport *transport)
{
    struct otlp_pipeline *p = calloc(1, sizeof(*p));

    if (!p) {
        transport->ops->free(transport);
        return false;
    }
    e->own = p;
    p->e = e;
    p->transport = transport;
    bool ok = otlp_request_init(&p->request, &e->options, resource);
    size_t room = otlp_request_room(&p->request);
    batch_queue_init(&p->queue, limits_for(&e->options, room));
    collector_health_init(&p->health, e->options.name, e->report, e->report_arg);
    random_init(&p->random);
    return ok;
}

static void otlp_free(struct exporter *e)
{
    struct otlp_pipeline *p = e->own;

    if (!p)
        return;
    if (p->state == OTLP_SENDING)
        p->transport->ops->cancel(p->transport);
    collector_health_end(&p->health);
    p->transport->ops->free(p->transport);
    batch_queue_release(&p->queue);
    otlp_request_release(&p->request);
    free(p);
}

static void drop_new(struct otlp_pipeline *p, enum drop_reason why)
{
    ledger_start_dropped(&p->e->ledger, 1, why);
    if (why == DROP_QUEUE_FULL)
        collector_health_note_full(&p->health, p->e->options.queue_spans, p->now);
    else
        collector_health_note_lost(&p->health, 1);
}

static void otlp_add(struct exporter *e, const struct span *s, nsec_t now)
{
    struct otlp_pipeline *p = e->own;

    p->now = now;
    if (batch_queue_full(&p->queue)) { /* then it need not be described */
        drop_new(p, DROP_QUEUE_FULL);
        return;
    }
    exporter_describe(e, s);
    switch (batch_queue_add(&p->queue, s, &e->described, now)) {
    case BATCH_TAKEN:
        ledger_start_waiting(&e->ledger, 1);
        return;
    case BATCH_FULL:
        drop_new(p, DROP_QUEUE_FULL);
        return;
    case BATCH_TOO_LARGE:
        drop_new(p, DROP_TOO_LARGE);
        return;
    }
}

/* The oldest batch is done with, one way or the other: the ledger knows. */
static void pop_batch(struct otlp_pipeline *p)
{
    batch_queue_pop(&p->queue);
    if (p->queue.n_spans <= p->queue.limits.spans / 2)
        collector_health_note_room(&p->health, p->now);
    if (p->queue.n_spans == 0)
        p->flushing = false;
}

/* The batch to send now, or NULL. */
static struct batch *batch_due(struct otlp_pipeline *p)
{
    const struct batch *open = p->queue.open;

    if (list_empty(&p->queue.closed) && open &&
        (p->flushing || p->now - open->opened >= p->e->options.delay))
        batch_queue_close(&p->queue);
    return batch_queue_head(&p->queue);
}

static void on_done(void *arg, const struct transport_response *response);

static void send_due(struct otlp_pipeline *p)
{
    assert(p->state == OTLP_READY);
    struct batch *b = batch_due(p);
    if (!b)
        return;
    struct transport_request request = {
        .path = p->request.path,
        .headers = &p->request.headers,
        .body = otlp_request_body(&p->request, b),
        .timeout = p->e->options.timeout,
    };
    if (b->first_try < 0)
        b->first_try = p->now;
    if (!request.body.p) { /* no memory now */
        p->failures++;
        p->at_least = 0;
        p->state = OTLP_FAILED;
        return;
    }
    p->state = OTLP_SENDING;
    p->transport->ops->send(p->transport, &request, on_done, p);
}

static void settle(struct otlp_pipeline *p, const struct otlp_outcome *outcome, uint64_t n)
{
    struct ledger *ledger = &p->e->ledger;

    if (outcome->verdict == OTLP_ACCEPTED)
        ledger_settle_exported(ledger, n, outcome->rejected < n ? outcome->rejected : n);
    else
        ledger_settle_dropped(ledger, n, DROP_REFUSED);
    p->failures = 0;
    p->state = OTLP_READY;
    pop_batch(p);
}

static void on_done(void *arg, const struct transport_response *response)
{
    struct otlp_pipeline *p = arg;
    struct batch *b = batch_queue_head(&p->queue);
    struct otlp_outcome outcome;

    assert(p->state == OTLP_SENDING && b);
    uint64_t n = b->n_spans;
    otlp_response_read(p->request.kind, response, &outcome);
    if (outcome.verdict == OTLP_RETRY) {
        p->failures++;
        p->at_least = outcome.wait_at_least;
        p->state = OTLP_FAILED;
    } else {
        settle(p, &outcome, n);
    }
    collector_health_note(&p->health, &outcome, n, p->now);
    /* The next one goes at once: a tick may be a while away. */
    if (p->state == OTLP_READY)
        send_due(p);
}

/* The time of a batch is over once its tries have lasted retry_for. */
static nsec_t batch_deadline(const struct otlp_pipeline *p, const struct batch *b)
{
    nsec_t retry_for = p->e->options.retry_for;
    return retry_for > 0 && retry_for < INT64_MAX - b->first_try ? b->first_try + retry_for
                                                                 : INT64_MAX;
}

/* Only the oldest was ever tried. The next one has its whole time before it. */
static void drop_expired(struct otlp_pipeline *p)
{
    const struct batch *b = batch_queue_head(&p->queue);

    if (!b || b->first_try < 0 || p->now < batch_deadline(p, b))
        return;
    ledger_settle_dropped(&p->e->ledger, b->n_spans, DROP_EXPIRED);
    collector_health_note_lost(&p->health, b->n_spans);
    pop_batch(p);
}

static nsec_t next_tick(const struct otlp_pipeline *p)
{
    const struct batch *head = batch_queue_head(&p->queue);
    const struct batch *open = p->queue.open;

    switch (p->state) {
    case OTLP_SENDING: /* till the answer comes */
        return INT64_MAX;
    case OTLP_WAITING:
        if (head && head->first_try >= 0 && batch_deadline(p, head) < p->not_before)
            return batch_deadline(p, head);
        return head || open ? p->not_before : INT64_MAX;
    case OTLP_FAILED:
        return p->now;
    case OTLP_READY:
        break;
    }
    return open ? open->opened + p->e->options.delay : INT64_MAX;
}

static nsec_t otlp_tick(struct exporter *e, nsec_t now)
{
    struct otlp_pipeline *p = e->own;

    p->now = now;
    if (p->state == OTLP_FAILED) {
        p->not_before = now + backoff_wait(p->failures, p->at_least, &p->random);
        p->state = OTLP_WAITING;
    }
    if (p->state == OTLP_WAITING) {
        drop_expired(p);
        if (now >= p->not_before)
            p->state = OTLP_READY;
    }
    if (p->state == OTLP_READY)
        send_due(p);
    nsec_t due = next_tick(p), tell = collector_health_tick(&p->health, now);
    return tell < due ? tell : due;
}

static void otlp_flush(struct exporter *e, nsec_t now)
{
    struct otlp_pipeline *p = e->own;

    p->flushing = p->queue.n_spans > 0;
    otlp_tick(e, now);
}

static bool otlp_idle(const struct exporter *e)
{
    const struct otlp_pipeline *p = e->own;
    return p->queue.n_spans == 0;
}

static void otlp_abandon(struct exporter *e)
{
    struct otlp_pipeline *p = e->own;

    if (p->state == OTLP_SENDING)
        p->transport->ops->cancel(p->transport);
    p->state = OTLP_READY;
    p->failures = 0;
    batch_queue_close(&p->queue);
    for (struct batch *b; (b = batch_queue_head(&p->queue));) {
        ledger_settle_dropped(&e->ledger, b->n_spans, DROP_SHUTDOWN);
        pop_batch(p);
    }
}

const struct export_ops export_otlp = {
    .open = otlp_open,
    .free = otlp_free,
    .add = otlp_add,
    .tick = otlp_tick,
    .flush = otlp_flush,
    .idle = otlp_idle,
    .abandon = otlp_abandon,
};
