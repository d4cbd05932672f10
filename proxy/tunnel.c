#include "proxy/tunnel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/connect_error.h"
#include "proxy/front.h"
#include "proxy/own_dials.h"
#include "proxy/tunnel_private.h"

static const struct conn_owner tunnel_owner;

/* ---- bytes ---- */

/* The time that counts is the one of a tunnel of which a side has ended. */
static bool is_by_half(const struct tunnel *t)
{
    return (t->client.ended || t->upstream.ended) && t->half_closed &&
           (!t->idle || t->half_closed < t->idle);
}

static void keep_awake(struct tunnel *t)
{
    nsec_t time = is_by_half(t) ? t->half_closed : t->idle;

    if (time)
        timer_arm(t->worker->loop.timers, &t->timer, loop_now(&t->worker->loop) + time);
}

static void forward(struct side *from, struct str bytes)
{
    struct conn *to = from->other->conn;

    from->bytes += bytes.n;
    if (from->tunnel->websocket)
        websocket_feed(&from->frames, bytes);
    conn_write(to, bytes);
    if (conn_blocked(to))
        conn_read(from->conn, false);
}

static void on_read(struct conn *c, char *data, size_t n)
{
    struct side *s = c->owner_data;
    struct tunnel *t = s->tunnel;
    struct str bytes = str_of(data, n);

    keep_awake(t);
    if (s == &t->client)
        tunnel_record_client_bytes(&t->record, bytes);
    forward(s, bytes);
}

static void note_end(struct side *s)
{
    struct tunnel *t = s->tunnel;

    if (!t->first)
        t->first = s == &t->client ? ENDED_BY_CLIENT : ENDED_BY_UPSTREAM;
}

/* Where connections of ours come back to us, what reset one of them was us. */
static enum span_error reset_by(const struct tunnel *t)
{
    return own_dials_return(loop_now(&t->worker->loop)) ? SPAN_ERROR_LOOP : SPAN_ERROR_RESET;
}

/* A client that leaves with a last word does not read the answer to it, and where a server's end
 * meets that it becomes a reset: which of the two is seen first is chance. So a server that breaks
 * off is the second where the client's own end has come, though it was not read so far. */
static enum conn_end end_before(const struct side *s)
{
    struct tunnel *t = s->tunnel;

    return s == &t->client || t->first || s->conn->error == ETIMEDOUT
               ? CONN_GOES_ON
               : conn_end_now(t->client.conn);
}

static enum span_error why_broken(const struct side *s)
{
    struct tunnel *t = s->tunnel;

    return s == &t->client               ? SPAN_ERROR_CANCELLED
           : s->conn->error == ETIMEDOUT ? SPAN_ERROR_UNREACHABLE
                                         : reset_by(t);
}

/* A reset is passed on as a reset; what came before it was sent in the turn before. Once an end has
 * come it is how many protocols close: whoever has said goodbye reads no answer to it. */
static void side_broke(struct side *s)
{
    struct tunnel *t = s->tunnel;
    enum conn_end before = end_before(s);
    bool ending = s->ended || s->other->ended || before == CONN_FIN;
    enum span_error why = why_broken(before == CONN_GOES_ON ? s : s->other);

    note_end(before == CONN_GOES_ON ? s : s->other);
    conn_reset(s->other->conn);
    tunnel_end(t, ending ? SPAN_ERROR_NONE : why);
}

/* True: everything was handed to the socket. Else on_drained() will be called: it is owed from here
 * on, however little is queued. */
static bool all_sent(struct side *s)
{
    conn_flush(s->conn);
    if (conn_queued(s->conn) == 0)
        return true;
    s->conn->blocked = true;
    return false;
}

static void finish(struct tunnel *t)
{
    t->state = TUNNEL_FINISHING;
    bool client_sent = all_sent(&t->client), upstream_sent = all_sent(&t->upstream);

    if (t->client.conn->broken)
        side_broke(&t->client);
    else if (t->upstream.conn->broken)
        side_broke(&t->upstream);
    else if (client_sent && upstream_sent)
        tunnel_end(t, SPAN_ERROR_NONE);
}

static void on_drained(struct conn *c)
{
    struct side *s = c->owner_data;
    struct tunnel *t = s->tunnel;

    keep_awake(t);
    if (t->state == TUNNEL_FINISHING)
        finish(t);
    else if (!s->other->ended)
        conn_read(s->other->conn, true);
}

static void on_eof(struct conn *c)
{
    struct side *s = c->owner_data;
    struct tunnel *t = s->tunnel;

    if (c->broken) { /* a write met the reset first, and left only this of it */
        side_broke(s);
        return;
    }
    note_end(s);
    s->ended = true;
    keep_awake(t);
    conn_shut(s->other->conn);
    if (s->other->ended)
        finish(t);
}

/* ---- connecting ---- */

static void dial_failed(struct tunnel *t, const struct address *to, int error)
{
    enum span_error why = error == ECONNRESET ? reset_by(t) : connect_error(error);

    t->to = *to;
    t->detail = connect_error_text(error);
    conn_reset(t->client.conn); /* what the client would have seen without us */
    tunnel_end(t, why);
}

static void on_error(struct conn *c, int error)
{
    struct side *s = c->owner_data;
    struct tunnel *t = s->tunnel;

    if (t->state != TUNNEL_CONNECTING)
        side_broke(s);
    else
        tunnel_end(t, SPAN_ERROR_CANCELLED);
}

/* Both sides are there: what came early goes first. */
static void open_both(struct tunnel *t, struct str from_client, struct str from_upstream)
{
    struct span *span = t->record.span;

    t->state = TUNNEL_OPEN;
    if (span && span->phase[PHASE_CONNECTED] < 0)
        span->phase[PHASE_CONNECTED] = loop_now(&t->worker->loop) - t->began;
    timer_disarm(&t->timer);
    keep_awake(t);
    conn_read(t->client.conn, true);
    conn_read(t->upstream.conn, true);
    forward(&t->client, from_client);
    forward(&t->upstream, from_upstream);
    /* The caller's bytes need not live until the end of the turn. */
    conn_flush(t->upstream.conn);
    conn_flush(t->client.conn);
}

/* The conn connects no more when it is the tunnel's. */
static void on_connected(struct conn *c)
{
}

static const struct conn_owner tunnel_owner = {on_read, on_eof, on_drained, on_connected, on_error};

static void on_race_won(void *arg, struct conn *c, const struct address *at)
{
    struct tunnel *t = arg;
    bool client_ended = t->client.conn->eof;

    t->race = NULL;
    t->upstream.conn = c;
    conn_give(c, &tunnel_owner, &t->upstream);
    t->to = *at;
    metrics_add(t->worker->metrics, COUNT_UPSTREAM_OPEN, 1);
    open_both(t, t->pending, (struct str){NULL, 0});
    free((char *)(uintptr_t)t->pending.p);
    t->pending = (struct str){NULL, 0};
    if (client_ended) /* before it was ours, and was told then */
        on_eof(t->client.conn);
}

static void on_race_lost(void *arg, const struct address *at, int error)
{
    struct tunnel *t = arg;

    t->race = NULL;
    dial_failed(t, at, error);
}

static const struct race_events race_events = {on_race_won, on_race_lost};

static void on_timer(struct timer *timer)
{
    struct tunnel *t = container_of(timer, struct tunnel, timer);

    metrics_add(t->worker->metrics, COUNT_IDLE_TIMEOUTS, 1);
    if (is_by_half(t))
        t->rule = &tunnel_rule_half_closed;
    tunnel_cut(t, SPAN_ERROR_IDLE);
}

/* ---- the beginning ---- */

static bool keep_pending(struct tunnel *t, struct str bytes)
{
    char *copy;

    if (bytes.n == 0)
        return true;
    copy = malloc(bytes.n);
    if (!copy)
        return false;
    memcpy(copy, bytes.p, bytes.n);
    t->pending = str_of(copy, bytes.n);
    return true;
}

static bool is_connected(const struct conn *upstream)
{
    return upstream && upstream->state == CONN_OPEN;
}

static struct tunnel *tunnel_new(const struct tunnel_setup *setup)
{
    struct tunnel *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->worker = setup->worker;
    t->series = setup->series;
    t->idle = setup->idle;
    t->half_closed = setup->half_closed;
    t->websocket = setup->websocket;
    t->direction = (uint8_t)setup->direction;
    t->client = (struct side){.tunnel = t, .other = &t->upstream, .conn = setup->client};
    t->from = setup->client->peer;
    if (is_connected(setup->upstream))
        t->to = setup->upstream->peer;
    t->upstream = (struct side){.tunnel = t, .other = &t->client};
    timer_init(&t->timer, on_timer);
    /* The span may have begun before its bytes became a tunnel's. */
    nsec_t before = setup->span->start ? loop_wall(&t->worker->loop) - setup->span->start : 0;
    t->began = loop_now(&t->worker->loop) - (before > 0 ? before : 0);
    t->opaque = setup->began ? setup->began : t->began;
    if (!tunnel_record_init(&t->record, setup->span, setup->sampled) ||
        (!is_connected(setup->upstream) && !keep_pending(t, setup->from_client))) {
        tunnel_free(&t->burial);
        return NULL;
    }
    return t;
}

/* Dials, or waits for the dial that is under way. */
static void dial(struct tunnel *t, const struct tunnel_setup *setup)
{
    struct address at = {0};
    int error;

    if (t->record.span && t->record.span->phase[PHASE_HEAD] < 0 && !setup->upstream)
        t->record.span->phase[PHASE_HEAD] = loop_now(&t->worker->loop) - t->began;
    t->race = race_start(t->worker, setup->generation, &setup->from, setup->upstream, &race_events,
                         t, &at, &error);
    if (!t->race)
        dial_failed(t, &at, error);
}

struct tunnel *tunnel_start(const struct tunnel_setup *setup)
{
    struct worker *w = setup->worker;
    struct tunnel *t = tunnel_new(setup);

    if (!t) {
        conn_close(setup->client);
        front_count(w, setup->direction, -1);
        if (setup->upstream) {
            metrics_add(w->metrics, COUNT_UPSTREAM_OPEN, is_connected(setup->upstream) ? -1 : 0);
            conn_close(setup->upstream);
        }
        return NULL;
    }
    list_push_back(&w->tunnels, &t->link);
    loop_busy_add(&w->loop, 1);
    metrics_add(w->metrics, tunnel_open_counter(t), 1);
    metrics_add(w->metrics,
                t->direction == DIRECTION_INBOUND ? COUNT_TUNNELS_INBOUND : COUNT_TUNNELS_OUTBOUND,
                1);
    conn_give(t->client.conn, &tunnel_owner, &t->client);
    tunnel_record_client_bytes(&t->record, setup->from_client);
    if (!is_connected(setup->upstream)) {
        conn_read(t->client.conn, false);
        dial(t, setup);
        return t;
    }
    t->upstream.conn = setup->upstream;
    conn_give(t->upstream.conn, &tunnel_owner, &t->upstream);
    open_both(t, setup->from_client, setup->from_upstream);
    if (t->client.conn->eof)
        on_eof(t->client.conn);
    if (t->state == TUNNEL_OPEN && t->upstream.conn->eof)
        on_eof(t->upstream.conn);
    return t;
}
