/*
 * The life of an HTTP/1 connection: bytes in, one message after the other, and
 * what becomes of it between messages.
 */
#include "proxy/http1.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proxy/http1_private.h"

static const struct conn_owner http1_owner;

static void on_timer(struct timer *t);

static struct http1 *http1_new(struct conn *c, bool server, const struct http1_keeper *keeper,
                               void *data)
{
    struct http1 *h = calloc(1, sizeof *h);

    if (!h) {
        conn_close(c);
        return NULL;
    }
    h->stream.codec = &http1_ops;
    h->conn = c;
    h->worker = c->worker;
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
        timer_arm(h->worker->timers, &h->timer, worker_now(h->worker) + after);
    else
        timer_disarm(&h->timer);
}

struct http1 *http1_server(struct conn *c, const struct http1_keeper *keeper, void *data)
{
    struct http1 *h = http1_new(c, true, keeper, data);

    if (!h)
        return NULL;
    arm(h, worker_config(h->worker)->timeouts.header);
    conn_read(c, true);
    return h;
}

struct http1 *http1_client(struct conn *c, const struct http1_keeper *keeper, void *data)
{
    struct http1 *h = http1_new(c, false, keeper, data);

    if (h)
        conn_read(c, true);
    return h;
}

/* ---- the end ---- */

static void free_http1(struct burial *b)
{
    struct http1 *h = container_of(b, struct http1, burial);

    if (h->trailers)
        buffer_release(h->trailers);
    free(h->trailers);
    free(h->held);
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
    worker_bury(h->worker, &h->burial, free_http1);
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
static void server_close(struct http1 *h)
{
    struct conn *c = h->conn;
    bool silent =
        c->eof || (h->client_closes && h->input == INPUT_OVER && !h->held_n && !h->rest.n);

    conn_flush(c);
    if (silent && conn_queued(c) == 0)
        conn_close(c);
    else
        conn_close_lingering(c);
}

static void close_conn(struct http1 *h)
{
    if (h->server)
        server_close(h);
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

void http1_drain(struct http1 *h)
{
    conn_read_now(h->conn);
    if (h->gone || h->stream.events || h->input != INPUT_IDLE || h->held_n)
        return;
    server_close(h);
    http1_gone(h);
}

/* ---- bytes in ---- */

static void bury_bytes(struct burial *b)
{
    free(b);
}

/* What the parser was given from `held` may be referred to until the turn is over. */
struct held_block {
    struct burial burial;
    char bytes[];
};

static bool hold(struct http1 *h, const char *p, size_t n)
{
    if (n == 0)
        return true;
    if (h->held_n + n > h->held_cap) {
        size_t cap = h->held_n + n;
        char *more = realloc(h->held, cap);

        if (!more)
            return false;
        h->held = more;
        h->held_cap = (uint32_t)cap;
    }
    memcpy(h->held + h->held_n, p, n);
    h->held_n += (uint32_t)n;
    return true;
}

static void held_none(struct http1 *h)
{
    h->held = NULL;
    h->held_n = h->held_cap = h->held_parsed = 0;
}

static bool message_start(struct http1 *h, const char *at)
{
    llhttp_reset(&h->parser);
    h->refusal = NULL;
    h->last_head = NULL;
    h->trailer_pieces = 0;
    if (!h->head && !http1_head_take(h))
        return false;
    h->head->n = 0;
    h->head->url = h->head->url_end = h->head->reason = h->head->reason_end = h->head->bytes = 0;
    h->head->origin = at;
    h->stream.began = worker_now(h->worker);
    h->input = INPUT_HEAD;
    return true;
}

/* The message is whole; rest is what came behind it. */
static void tell_over(struct http1 *h, struct str rest)
{
    struct message *last = h->last_head;

    h->last_head = NULL;
    h->rest = rest;
    if (h->server &&
        h->paused) { /* there is nothing more to hold back, and its end is to be seen */
        h->paused = false;
        conn_read(h->conn, true);
    }
    if (!h->server && rest.n) /* nobody asked for it: it must not become the next answer */
        h->close = true;
    if (last)
        h->stream.events->on_head(h->stream.owner, last);
    if (!h->gone && h->input == INPUT_OVER && h->stream.events)
        h->stream.events->on_end(h->stream.owner, http1_take_trailers(h));
    h->rest = (struct str){0};
}

/* Parses until the message is over or the bytes are. Returns how many were taken. */
static size_t parse(struct http1 *h, const char *p, size_t n)
{
    llhttp_errno_t e = llhttp_execute(&h->parser, p, n);
    size_t taken = n;

    if (h->gone || e == HPE_OK)
        return n;
    if (e == HPE_PAUSED || e == HPE_PAUSED_UPGRADE) {
        taken = (size_t)(llhttp_get_error_pos(&h->parser) - p);
        if (h->input == INPUT_OVER)
            tell_over(h, str_of(p + taken, n - taken));
    } else if (h->input != INPUT_REFUSED) {
        http1_parse_failed(h, e);
    }
    return taken;
}

/* Blank lines before a message are skipped (RFC 9112 section 2.2). */
static size_t blank(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && (p[i] == '\r' || p[i] == '\n'))
        i++;
    return i;
}

/* A client must take its responses before it is given more: what is queued has a bound. */
static bool may_begin(struct http1 *h)
{
    return h->server ? !conn_blocked(h->conn) : h->stream.events != NULL;
}

/*
 * Gives [p, p + n) to the parser, of which `seen` bytes belong to a head it has
 * begun. Returns how many bytes at the front are done with.
 */
static size_t consume(struct http1 *h, const char *p, size_t n, size_t seen)
{
    size_t at = seen, begin = 0;

    if (h->head)
        h->head->origin = p;
    while (at < n && !h->gone && h->input != INPUT_OVER && h->input != INPUT_REFUSED) {
        if (h->input == INPUT_IDLE) {
            if (!may_begin(h)) {
                begin = at;
                break;
            }
            if (h->server) {
                at += blank(p + at, n - at);
                begin = at;
                if (at == n)
                    break;
            }
            begin = at;
            if (!message_start(h, p + at)) {
                http1_refuse(h, &refusal_head_bytes, NULL);
                return n;
            }
        }
        at += parse(h, p + at, n - at);
    }
    if (h->gone || h->input == INPUT_REFUSED)
        return n;
    return h->input == INPUT_HEAD ? begin : at;
}

/* The whole head has its time from its first byte on, or from the connection's begin. */
static void arm_for_head(struct http1 *h)
{
    nsec_t until = h->stream.began + worker_config(h->worker)->timeouts.header;

    if (until < h->timer.deadline)
        timer_arm(h->worker->timers, &h->timer, until);
}

/* What is left is kept: of a head that is not whole with what the parser knows of it. */
static bool keep_rest(struct http1 *h, const char *p, size_t n)
{
    if (n && !hold(h, p, n))
        return false;
    h->held_parsed = h->input == INPUT_HEAD ? h->held_n : 0;
    if (h->input == INPUT_HEAD) {
        h->head->origin = h->held;
        if (h->held_n > worker_config(h->worker)->limits.header_bytes) {
            http1_refuse(h, h->head->url_end ? &refusal_head_bytes : &refusal_url, NULL);
            return true;
        }
        if (h->server)
            arm_for_head(h);
    }
    return true;
}

static void consume_held(struct http1 *h)
{
    struct held_block *block = malloc(sizeof *block + h->held_n);
    size_t n = h->held_n, seen = h->held_parsed, done;

    if (!block) {
        http1_close_gone(h);
        return;
    }
    memcpy(block->bytes, h->held, n);
    free(h->held);
    held_none(h);
    worker_bury(h->worker, &block->burial, bury_bytes);
    done = consume(h, block->bytes, n, seen);
    if (!h->gone && !keep_rest(h, block->bytes + done, n - done))
        http1_close_gone(h);
}

static void server_eof(struct http1 *h);

/* The next message may be there already, and so may the end. */
static void go_on(struct http1 *h)
{
    while (!h->gone && h->server && h->input == INPUT_IDLE && h->held_n && may_begin(h)) {
        h->parsing = true;
        consume_held(h);
        h->parsing = false;
    }
    if (!h->gone && h->server && h->conn->eof)
        server_eof(h);
}

void http1_feed(struct http1 *h, char *data, size_t n)
{
    bool later = h->parsing || h->input == INPUT_OVER || (h->input == INPUT_IDLE && !may_begin(h));
    size_t done;

    if (h->gone || h->input == INPUT_REFUSED)
        return;
    if ((later || h->held_n) && !hold(h, data, n)) {
        http1_close_gone(h);
        return;
    }
    if (later) {
        conn_read(h->conn, false); /* enough: what is under way comes first */
        return;
    }
    h->parsing = true;
    if (h->held_n) {
        consume_held(h);
    } else {
        done = consume(h, data, n, 0);
        if (!h->gone && !keep_rest(h, data + done, n - done))
            http1_close_gone(h);
    }
    h->parsing = false;
    go_on(h);
}

void http1_refuse(struct http1 *h, const struct refusal *why, struct message *partial)
{
    static struct message nothing;
    struct message *m = partial;

    if (!h->server) {
        h->input = INPUT_REFUSED;
        if (h->stream.events)
            h->stream.events->on_failed(h->stream.owner, SPAN_ERROR_PROTOCOL);
        return;
    }
    if (!h->stream.events && !h->keeper->open(h->keeper_data, &h->stream)) {
        conn_close(h->conn);
        http1_gone(h);
        return;
    }
    if (!m)
        m = http1_partial(h);
    h->input = INPUT_REFUSED;
    h->close = true;
    timer_disarm(&h->timer);
    h->stream.events->on_refused(h->stream.owner, why, m ? m : &nothing);
}

/* ---- what the conn tells ---- */

static void on_read(struct conn *c, char *data, size_t n)
{
    struct http1 *h = c->owner_data;

    if (!h->server && !h->stream.events) { /* nobody asked: it cannot be an answer to anything */
        conn_close(c);
        http1_gone(h);
        return;
    }
    http1_feed(h, data, n);
}

/* The client will send no more. INPUT_OVER: a half-close; the response is still wanted. */
static void server_eof(struct http1 *h)
{
    if (h->input == INPUT_BODY && h->stream.events) {
        h->stream.events->on_failed(h->stream.owner, SPAN_ERROR_CANCELLED);
    } else if (h->input == INPUT_HEAD || (h->input == INPUT_IDLE && !h->held_n)) {
        server_close(h);
        http1_gone(h);
    }
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
    if (h->input == INPUT_BODY) {
        h->parsing = true;
        e = llhttp_finish(&h->parser);
        if (e == HPE_PAUSED && h->input == INPUT_OVER)
            tell_over(h, (struct str){0});
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
        server_eof(h);
    else
        client_eof(h);
}

static void on_drained(struct conn *c)
{
    struct http1 *h = c->owner_data;

    if (h->stream.events) {
        h->stream.events->on_drained(h->stream.owner);
    } else if (h->server) { /* it had to wait between two requests */
        conn_read(c, true);
        go_on(h);
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
        h->stream.events->on_failed(h->stream.owner, h->server        ? SPAN_ERROR_CANCELLED
                                                     : error == EPIPE ? SPAN_ERROR_CLOSED_EARLY
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
        metrics_add(h->worker->metrics, COUNT_HEADER_TIMEOUTS, 1);
        http1_refuse(h, &refusal_head_timeout, NULL);
    } else if (!h->stream.events) {
        if (h->server)
            metrics_add(h->worker->metrics, COUNT_IDLE_TIMEOUTS, 1);
        close_conn(h);
        http1_gone(h);
    }
}

/* ---- between messages ---- */

bool http1_is_last(const struct http1 *h)
{
    uint64_t most = worker_config(h->worker)->limits.requests_per_connection;

    return h->worker->draining || (most && h->messages + 1 >= most);
}

static bool may_go_on(const struct http1 *h)
{
    return !h->close && h->input == INPUT_OVER && h->output == OUTPUT_OVER && !h->conn->broken &&
           (h->server ? !http1_is_last(h) : !h->held_n) &&
           !(h->conn->eof && !h->held_n && !h->rest.n);
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
    conn_read(h->conn, may_begin(h));
    arm(h, worker_config(h->worker)->timeouts.idle);
    h->keeper->on_idle(h->keeper_data, h);
    if (!h->parsing)
        go_on(h);
}

static void ops_abort(struct stream *s, bool reset)
{
    struct http1 *h = http1_of(s);

    disown(s);
    if (reset)
        conn_reset(h->conn);
    else
        close_conn(h);
    http1_gone(h);
}

static struct conn *ops_detach(struct stream *s, struct str *leftover)
{
    struct http1 *h = http1_of(s);
    struct conn *c = h->conn;

    *leftover = h->rest.n ? h->rest : str_of(h->held, h->held_n);
    disown(s);
    http1_gone(h);
    return c;
}

static bool ops_blocked(struct stream *s)
{
    return conn_blocked(http1_of(s)->conn);
}

static void ops_pause(struct stream *s, bool paused)
{
    struct http1 *h = http1_of(s);

    if (h->input == INPUT_OVER || h->input == INPUT_REFUSED)
        return; /* what comes now is not the message's */
    h->paused = paused;
    conn_read(h->conn, !paused);
}

const struct codec_ops http1_ops = {
    http1_send_head, http1_send_chunk, http1_send_body, http1_send_end, ops_blocked,
    ops_pause,       ops_finish,       ops_abort,       ops_detach,
};

struct http1 *http1_of(struct stream *s)
{
    return container_of(s, struct http1, stream);
}

struct stream *http1_take(struct http1 *h, struct str method)
{
    assert(!h->held_n && !h->conn->eof);
    h->no_body = str_eq(method, STR("HEAD"));
    h->input = INPUT_IDLE;
    h->output = OUTPUT_HEAD;
    list_remove(&h->link);
    timer_disarm(&h->timer);
    return &h->stream;
}

nsec_t http1_idle_limit(const struct http1 *h)
{
    return h->idle_limit;
}

void http1_expire(struct http1 *h, nsec_t when)
{
    timer_arm(h->worker->timers, &h->timer, when);
}

bool http1_was_idle(const struct http1 *h)
{
    return h->in_pool;
}

uint64_t http1_messages(const struct http1 *h)
{
    return h->messages;
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
