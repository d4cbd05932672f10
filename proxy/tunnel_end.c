/*
 * The end of a tunnel, and what is told of it.
 */
#include <assert.h>
#include <stdlib.h>

#include "proxy/ending.h"
#include "proxy/front.h"
#include "proxy/metrics_tcp.h"
#include "proxy/tunnel_private.h"

const struct tunnel_rule tunnel_rule_half_closed = {
    .detail = "one side had ended, and no byte passed since for timeouts { tunnel-half-closed }",
    .rule = "tunnel-half-closed",
    .cure = "raise timeouts { tunnel-half-closed } where the other side may be silent for longer",
};

void tunnel_free(struct burial *b)
{
    struct tunnel *t = container_of(b, struct tunnel, burial);

    tunnel_record_release(&t->record);
    free((char *)(uintptr_t)t->pending.p);
    free(t);
}

enum counter tunnel_open_counter(const struct tunnel *t)
{
    return t->direction == DIRECTION_INBOUND ? COUNT_TUNNELS_OPEN_INBOUND
                                             : COUNT_TUNNELS_OPEN_OUTBOUND;
}

/* What is told is what the record has; an unsampled tunnel has the ends of its connections. */
static void log_end_of(struct tunnel *t, enum span_error why)
{
    const struct span *s = t->record.span;
    const struct tunnel_rule *r = t->rule;

    ending_log(t->worker, &(struct ending){.why = why,
                                           .area = "tunnel",
                                           .detail = r ? r->detail : t->detail,
                                           .rule = r ? r->rule : NULL,
                                           .cure = r ? r->cure : NULL,
                                           .trace = s ? &s->trace_id : NULL,
                                           .request = s && s->protocol == SPAN_HTTP ? s : NULL,
                                           .from = &t->from,
                                           .to = &t->to});
}

static void tell(struct tunnel *t, enum span_error why)
{
    struct worker *w = t->worker;
    struct span *s = t->record.span;
    nsec_t duration = loop_now(&w->loop) - t->began;

    enum ended_by by = why ? span_error_row(why)->by : t->first;

    metrics_ended(w->metrics, t->direction, why);
    if (why)
        log_end_of(t, why);
    if (t->series)
        series_record_tcp(t->series, by, loop_now(&w->loop) - t->opaque, t->client.bytes,
                          t->upstream.bytes);
    if (!s) {
        metrics_add(w->metrics, COUNT_UNSAMPLED, 1);
        return;
    }
    s->duration = duration;
    s->request_bytes += t->client.bytes;
    s->response_bytes += t->upstream.bytes;
    s->error = (uint8_t)why;
    s->ended_by = (uint8_t)by;
    if (t->rule)
        s->text[SPAN_RULE] = str_from(t->rule->rule);
    tunnel_record_push(&t->record, &t->to, w->spans);
}

void tunnel_end(struct tunnel *t, enum span_error why)
{
    struct worker *w = t->worker;

    assert(t->state != TUNNEL_ENDED);
    if (t->client.conn)
        conn_close(t->client.conn);
    if (t->upstream.conn) {
        conn_close(t->upstream.conn);
        metrics_add(w->metrics, COUNT_UPSTREAM_OPEN, -1);
    }
    race_cancel(t->race);
    t->race = NULL;
    t->state = TUNNEL_ENDED;
    front_count(w, t->direction, -1);
    metrics_add(w->metrics, tunnel_open_counter(t), -1);
    loop_busy_add(&w->loop, -1);
    list_remove(&t->link);
    timer_release(&t->timer);
    tell(t, why);
    loop_bury(&w->loop, &t->burial, tunnel_free);
}

void tunnel_cut(struct tunnel *t, enum span_error why)
{
    if (t->state == TUNNEL_ENDED)
        return;
    conn_reset(t->client.conn);
    if (t->upstream.conn)
        conn_reset(t->upstream.conn);
    tunnel_end(t, why);
}

/* What is sent to that side is over. A mask is for servers. */
static void go_away(struct side *to, uint32_t mask)
{
    struct worker *w = to->tunnel->worker;
    char *frame = loop_scratch(&w->loop, WEBSOCKET_CLOSE_MAX);

    if (frame && to->tunnel->websocket && !to->other->ended &&
        websocket_between(&to->other->frames))
        conn_write(to->conn, str_of(frame, websocket_going_away((uint8_t *)frame, mask)));
    conn_close_lingering(to->conn);
    to->conn = NULL;
}

static void tunnel_leave(struct tunnel *t, enum span_error why)
{
    struct worker *w = t->worker;

    if (t->state == TUNNEL_CONNECTING) {
        tunnel_cut(t, why);
        return;
    }
    go_away(&t->client, 0);
    go_away(&t->upstream, (uint32_t)random_next(&w->loop.random) | 1);
    metrics_add(w->metrics, COUNT_UPSTREAM_OPEN, -1);
    tunnel_end(t, why);
}

void tunnels_cut_all(struct worker *w, enum span_error why)
{
    while (!list_empty(&w->tunnels))
        tunnel_leave(container_of(w->tunnels.next, struct tunnel, link), why);
}
