/*
 * The life of an HTTP/1 connection: bytes in, one message after the other, and
 * what becomes of it between messages.
 */
#include "proxy/http1.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proxy/http1_private.h"
#include "proxy/upstream_login.h"

static const struct conn_owner http1_owner;

static void on_timer(struct timer *t);

static struct http1 *http1_new(struct http_shared *shared, struct conn *c, bool server,
                               const struct http1_keeper *keeper, void *data)
{
    struct http1 *h = calloc(1, sizeof *h);

    if (!h) {
        conn_close(c);
        return NULL;
    }
    h->stream.codec = &http1_ops;
    h->conn = c;
    h->loop = c->loop;
    h->shared = shared;
    h->keeper = keeper;
    h->keeper_data = data;
    h->server = server;
    list_init(&h->link);
    timer_init(&h->timer, on_timer);
    llhttp_init(&h->parser, server ? HTTP_REQUEST : HTTP_RESPONSE, http1_settings());
    h->parser.data = h;
    h->output = OUTPUT_HEAD;
    conn_give(c, &http1_owner, h);
    return h;
}

static void arm(struct http1 *h, nsec_t after)
{
    if (after)
        timer_arm(h->loop->timers, &h->timer, loop_now(h->loop) + after);
    else
        timer_disarm(&h->timer);
}

struct http1 *http1_server(struct http_shared *shared, struct conn *c,
                           const struct http1_keeper *keeper, void *data)
{
    struct http1 *h = http1_new(shared, c, true, keeper, data);

    if (!h)
        return NULL;
    arm(h, h->shared->timeouts->header);
    conn_read(c, true);
    return h;
}

struct http1 *http1_client(struct http_shared *shared, struct conn *c,
                           const struct http1_keeper *keeper, void *data)
{
    struct http1 *h = http1_new(shared, c, false, keeper, data);

    if (h)
        conn_read(c, true);
    return h;
}

void http1_server_refuse(struct http1 *h, const struct refusal *why)
{
    h->stream.began = loop_now(h->loop);
    http1_refuse(h, why, NULL);
}

/* ---- the end ---- */

static void free_http1(struct burial *b)
{
    struct http1 *h = container_of(b, struct http1, burial);

    if (h->trailers)
        buffer_release(h->trailers);
    free(h->trailers);
    logins_unref(h->logins);
    http1_free_held(h);
    free(h);
}

/* The conn is closed or somebody else's; nothing is told any more. */
static void discard(struct http1 *h)
{
    if (h->gone)
        return;
    h->gone = true;
    h->in_pool = !list_empty(&h->link);
    timer_release(&h->timer);
    list_remove(&h->link);
    if (h->head)
        http1_head_drop(h);
    loop_bury(h->loop, &h->burial, free_http1);
}

void http1_gone(struct http1 *h)
{
    if (h->gone)
        return;
    discard(h);
    h->keeper->on_gone(h->keeper_data, h);
}

/*
 * A client that still sends, or may, must be able to read the answer first: to
 * close while bytes of it are unread would reset the connection.
 */
void http1_server_close(struct http1 *h)
{
    struct conn *c = h->conn;
    bool silent = c->eof || (h->client_closes && h->input == INPUT_OVER && !h->held && !h->rest.n);

    conn_flush(c);
    if (silent && conn_queued(c) == 0)
        conn_close(c);
    else
        conn_close_lingering(c);
}

static void close_conn(struct http1 *h)
{
    if (h->server)
        http1_server_close(h);
    else
        conn_close(h->conn);
}

void http1_close_idle(struct http1 *h)
{
    conn_close(h->conn);
    discard(h);
}

void http1_close_gone(struct http1 *h)
{
    conn_close(h->conn);
    http1_gone(h);
}

bool http1_has_begun(const struct http1 *h)
{
    return h->input != INPUT_IDLE || http1_held(h);
}

void http1_close_unasked(struct http1 *h)
{
    if (h->gone || h->stream.events || http1_has_begun(h))
        return;
    http1_server_close(h);
    http1_gone(h);
}

void http1_drain(struct http1 *h)
{
    conn_read_now(h->conn);
    http1_close_unasked(h);
}

/* ---- what the conn tells ---- */

static void on_read(struct conn *c, char *data, size_t n)
{
    struct http1 *h = c->owner_data;

    if (http1_met_http2(h, data, n))
        return;
    if (h->doubted) {
        http1_trust(h);
        if (h->gone)
            return;
    }
    if (!h->server && !h->stream.events) { /* nobody asked: it cannot be an answer to anything */
        conn_close(c);
        http1_gone(h);
        return;
    }
    http1_feed(h, data, n);
}

static void client_eof(struct http1 *h)
{
    llhttp_errno_t e;

    if (!h->stream.events) {
        conn_close(h->conn);
        http1_gone(h);
        return;
    }
    h->close = true;
    if (h->input == INPUT_BYTES) {
        h->input = INPUT_OVER;
        h->stream.events->on_end(h->stream.owner, NULL);
        return;
    }
    if (h->input == INPUT_BODY) {
        h->parsing = true;
        e = llhttp_finish(&h->parser);
        if (e == HPE_PAUSED && h->input == INPUT_OVER)
            http1_tell_over(h, (struct str){0});
        h->parsing = false;
        if (h->gone || e == HPE_PAUSED)
            return;
    }
    h->stream.events->on_failed(h->stream.owner, SPAN_ERROR_CLOSED_EARLY);
}

static void on_error(struct conn *c, int error);

static void on_eof(struct conn *c)
{
    struct http1 *h = c->owner_data;

    if (c->broken) /* a write met the reset first, and left only this of it */
        on_error(c, c->error);
    else if (h->server)
        http1_server_eof(h);
    else
        client_eof(h);
}

static void on_drained(struct conn *c)
{
    struct http1 *h = c->owner_data;

    if (h->stream.events && http1_must_wait(h))
        return; /* it is told later */
    if (h->stream.events) {
        h->stream.events->on_drained(h->stream.owner);
    } else if (h->server) { /* it had to wait between two requests */
        http1_go_on(h);
    }
}

static void on_connected(struct conn *c)
{
}

static void on_error(struct conn *c, int error)
{
    struct http1 *h = c->owner_data;

    h->close = true;
    if (h->stream.events) {
        /* EPIPE: the peer had closed before the reset came. */
        h->stream.events->on_failed(h->stream.owner, h->server            ? SPAN_ERROR_CANCELLED
                                                     : error == EPIPE     ? SPAN_ERROR_CLOSED_EARLY
                                                     : error == ETIMEDOUT ? SPAN_ERROR_UNREACHABLE
                                                                          : SPAN_ERROR_RESET);
        return;
    }
    conn_close(c);
    http1_gone(h);
}

static const struct conn_owner http1_owner = {on_read, on_eof, on_drained, on_connected, on_error};

static void on_timer(struct timer *t)
{
    struct http1 *h = container_of(t, struct http1, timer);

    if (h->server && h->input == INPUT_HEAD) {
        metrics_add(h->shared->metrics, COUNT_HEADER_TIMEOUTS, 1);
        http1_refuse(h, &refusal_head_timeout, NULL);
    } else if (h->server && h->stream.events) {
        http1_look_for_client(h);
    } else if (h->doubted) {
        http1_trust(h);
    } else if (!h->stream.events) {
        if (h->server)
            metrics_add(h->shared->metrics, COUNT_IDLE_TIMEOUTS, 1);
        close_conn(h);
        http1_gone(h);
    }
}

/* ---- between messages ---- */

bool http1_is_last(const struct http1 *h)
{
    uint64_t most = h->shared->limits->requests_per_connection;

    return (h->keeper->leaves && h->keeper->leaves(h->keeper_data)) ||
           (most && h->messages + 1 >= most);
}

/* A response that was the last has said so: then h->close is set. Who was not told, since the drain
 * began after the head, may ask once more. */
static bool may_go_on(const struct http1 *h)
{
    return !h->close && h->input == INPUT_OVER && h->output == OUTPUT_OVER && !h->conn->broken &&
           (h->server || !h->held) && !(h->conn->eof && !h->held && !h->rest.n);
}

static void disown(struct stream *s)
{
    s->events = NULL;
    s->owner = NULL;
    s->arena = NULL;
}

static void ops_finish(struct stream *s)
{
    struct http1 *h = http1_of(s);
    bool more = may_go_on(h);

    disown(s);
    h->messages++;
    if (!more) {
        close_conn(h);
        http1_gone(h);
        return;
    }
    h->input = INPUT_IDLE;
    h->output = OUTPUT_HEAD;
    h->paused = false;
    if (!h->server) {
        conn_read(h->conn, true);
        h->keeper->on_idle(h->keeper_data, h);
        return;
    }
    http1_want(h);
    arm(h, h->shared->timeouts->idle);
    h->keeper->on_idle(h->keeper_data, h);
    if (!h->parsing)
        http1_go_on(h);
}

static void ops_abort(struct stream *s, enum stream_code code)
{
    struct http1 *h = http1_of(s);

    /* Whoever reads it sees that it is not whole, and is given what there is of it. */
    bool framed =
        h->output == OUTPUT_BODY && (h->out_body == BODY_LENGTH || h->out_body == BODY_CHUNKED);

    disown(s);
    if (h->server && code != STREAM_NO_ERROR && !framed)
        conn_reset(h->conn);
    else
        close_conn(h);
    http1_gone(h);
}

static struct conn *ops_detach(struct stream *s, struct str *leftover)
{
    struct http1 *h = http1_of(s);
    struct conn *c = h->conn;

    *leftover = h->rest.n ? h->rest : http1_held_bytes(h);
    disown(s);
    http1_gone(h);
    return c;
}

static bool ops_blocked(struct stream *s)
{
    return conn_blocked(http1_of(s)->conn) || http1_must_wait(http1_of(s));
}

static void ops_pause(struct stream *s, bool paused)
{
    struct http1 *h = http1_of(s);

    if (h->input == INPUT_OVER || h->input == INPUT_REFUSED)
        return; /* what comes now is not the message's */
    h->paused = paused;
    if (paused)
        http1_stop_reading(h);
    else
        conn_read(h->conn, true);
}

static void ops_settle(struct stream *s)
{
    conn_flush(http1_of(s)->conn);
}

/* Once a login, always one, and of the client it was of first. */
static void ops_set_login(struct stream *s, struct logins *l)
{
    struct http1 *h = http1_of(s);

    if (h->is_login)
        return;
    h->is_login = true;
    h->logins = l ? logins_ref(l) : NULL;
}

const struct codec_ops http1_ops = {
    .version = 11,
    .switched_status = 101,
    .send_head = http1_send_head,
    .send_chunk = http1_send_chunk,
    .send_body = http1_send_body,
    .send_end = http1_send_end,
    .blocked = ops_blocked,
    .pause = ops_pause,
    .finish = ops_finish,
    .abort = ops_abort,
    .detach = ops_detach,
    .switch_protocols = http1_switch_protocols,
    .settle = ops_settle,
    .set_login = ops_set_login,
    .stale = http1_stale,
    .replay = http1_replay,
    .unproven = http1_unproven,
};

struct http1 *http1_of(struct stream *s)
{
    return container_of(s, struct http1, stream);
}

struct stream *http1_take(struct http1 *h, struct str method)
{
    assert(!h->held && !h->conn->eof);
    h->no_body = str_eq(method, STR("HEAD"));
    h->input = INPUT_IDLE;
    h->output = OUTPUT_HEAD;
    h->idled = http1_idle_time(h);
    h->idle_since = 0; /* who is used at once after this request was not idle */
    h->sent_before = h->conn->sent_bytes;
    h->received_before = h->conn->received_bytes;
    list_remove(&h->link);
    timer_disarm(&h->timer);
    h->doubted = false;
    return &h->stream;
}

nsec_t http1_idle_limit(const struct http1 *h)
{
    return h->idle_limit;
}

void http1_expire(struct http1 *h, nsec_t when)
{
    h->idle_since = loop_now(h->loop);
    timer_arm(h->loop->timers, &h->timer, when);
}

bool http1_was_idle(const struct http1 *h)
{
    return h->in_pool;
}

bool http1_is_login(const struct http1 *h)
{
    return h->is_login;
}

struct logins *http1_logins(const struct http1 *h)
{
    return h->logins;
}

uint64_t http1_messages(const struct http1 *h)
{
    return h->messages;
}

void *http1_keeper_data(const struct http1 *h)
{
    return h->keeper_data;
}

struct conn *http1_conn(const struct http1 *h)
{
    return h->conn;
}

struct list *http1_link(struct http1 *h)
{
    return &h->link;
}

struct http1 *http1_from_link(struct list *link)
{
    return container_of(link, struct http1, link);
}
