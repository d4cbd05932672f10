/*
 * The life of an HTTP/2 connection: its streams, its timer, and its end.
 */
#include "proxy/http2.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proxy/http2_private.h"
#include "proxy/http_rules.h"

/* How long the second GOAWAY waits for streams that were on their way; how long a connection may
 * take nothing while much waits for it; how long the peer has to read why it is ended. */
#define LAST_WORD_AFTER MILLISECONDS(500)
#define STALL_TIME      SECONDS(30)
#define BUSY_TIME       SECONDS(1)

static const struct conn_owner http2_owner;

static const struct config *config_of(const struct http2 *h)
{
    return worker_config(h->worker);
}

/* ---- making ---- */

/* A stream whose bytes are not taken may hold no more than what is buffered anyway; the window is
 * opened wide when they are. */
size_t http2_first_window(const struct http2 *h)
{
    const struct limits *l = &config_of(h)->limits;

    return l->stream_window < l->buffer_bytes ? l->stream_window : l->buffer_bytes;
}

static bool submit_settings(struct http2 *h)
{
    const struct limits *l = &config_of(h)->limits;
    uint32_t window = (uint32_t)http2_first_window(h);
    nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)l->streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)l->header_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)l->header_bytes},
    };
    nghttp2_settings_entry *v = h->server ? server : client;
    size_t n = h->server ? sizeof server / sizeof *server : sizeof client / sizeof *client;

    return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, v, n) == 0 &&
           nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)l->connection_window) == 0;
}

static bool make_session(struct http2 *h)
{
    struct http2_common *c = http2_common(h->worker);

    if (!c)
        return false;
    if ((h->server
             ? nghttp2_session_server_new3(&h->session, c->callbacks, h, c->options, &c->allocator)
             : nghttp2_session_client_new3(&h->session, c->callbacks, h, c->options,
                                           &c->allocator)) != 0)
        return false;
    return submit_settings(h);
}

static void on_timer(struct timer *t);
static void free_http2(struct burial *b);

static struct http2 *http2_new(struct conn *c, bool server, const struct http2_keeper *keeper,
                               void *data)
{
    struct http2 *h = calloc(1, sizeof *h);

    if (!h) {
        conn_close(c);
        return NULL;
    }
    h->conn = c;
    h->worker = c->worker;
    h->keeper = keeper;
    h->keeper_data = data;
    h->server = server;
    list_init(&h->link);
    list_init(&h->streams);
    list_init(&h->lent);
    list_init(&h->waiting);
    list_init(&h->turn_end.link);
    h->turn_end.run = http2_flush;
    timer_init(&h->timer, on_timer);
    h->heard = h->quiet_since = worker_now(h->worker);
    http2_watch_init(&h->watch, server, h->heard);
    if (!make_session(h)) {
        conn_close(c);
        nghttp2_session_del(h->session);
        free(h);
        return NULL;
    }
    conn_give(c, &http2_owner, h);
    conn_read(c, true);
    http2_touch(h);
    http2_rearm(h);
    return h;
}

struct http2 *http2_server(struct conn *c, const struct http2_keeper *keeper, void *data)
{
    struct http2 *h = http2_new(c, true, keeper, data);

    if (h && h->worker->draining)
        http2_drain(h);
    return h;
}

struct http2 *http2_client(struct conn *c, const struct http2_keeper *keeper, void *data,
                           unsigned streams)
{
    struct http2 *h = http2_new(c, false, keeper, data);

    if (h)
        h->peer_streams = streams;
    return h;
}

/* ---- streams ---- */

struct http2_stream *http2_stream_new(struct http2 *h)
{
    struct http2_stream *s = http2_memory_zeroed(1, sizeof *s, h->worker->http2->memory);

    if (!s)
        return NULL;
    s->stream.codec = &http2_ops;
    s->stream.began = worker_now(h->worker);
    s->h = h;
    s->memory = h->worker->http2->memory;
    list_init(&s->lent);
    list_init(&s->waiting);
    list_push_back(&h->streams, &s->link);
    h->n_streams++;
    h->messages++;
    h->quiet_since = 0;
    if (h->n_streams == 1)
        http2_rearm(h);
    return s;
}

static void free_stream(struct burial *b)
{
    struct http2_stream *s = container_of(b, struct http2_stream, burial);

    if (s->out)
        buffer_release(s->out);
    free(s->out);
    free(s->kept_trailers);
    http2_memory_give(s, s->memory); /* h may have gone before it */
}

/* Both its owner and nghttp2 are done with it. */
static void bury_stream(struct http2_stream *s)
{
    struct http2 *h = s->h;

    http2_drop_output(s);
    h->n_asked -= s->asked != NULL;
    s->asked = NULL;
    list_remove(&s->link);
    list_remove(&s->waiting);
    if (h->coming == s)
        h->coming = NULL;
    h->n_streams--;
    worker_bury(h->worker, &s->burial, free_stream);
    if (h->n_streams == 0)
        h->quiet_since = worker_now(h->worker);
    if (h->server || h->gone || h->going)
        http2_touch(h); /* it may have been the last */
    else
        h->keeper->on_room(h->keeper_data, h);
    if (h->n_streams == 0)
        http2_rearm(h);
}

static void disown(struct http2_stream *s)
{
    s->stream.events = NULL;
    s->stream.owner = NULL;
    s->stream.arena = NULL;
}

/* What came of the body while nobody took it counts as taken: the connection's window is shared. */
static void consume_all(struct http2_stream *s)
{
    if (s->unconsumed && !s->closed)
        nghttp2_session_consume_stream(s->h->session, s->id, s->unconsumed);
    s->unconsumed = 0;
    s->paused = false;
}

static void reset(struct http2_stream *s, uint32_t code)
{
    http2_drop_output(s);
    s->output = H2_OUT_ENDED;
    if (!s->closed && s->id)
        nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, code);
    http2_touch(s->h);
}

static void ops_finish(struct stream *stream)
{
    struct http2_stream *s = http2_stream_of(stream);
    struct http2 *h = s->h;

    disown(s);
    if (s->closed || !s->id) {
        bury_stream(s);
        return;
    }
    consume_all(s);
    if (s->output != H2_OUT_ENDED) {
        reset(s, h->server ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_NO_ERROR);
    } else if (s->input != H2_OVER) {
        /* What is still to come of the request is not wanted (RFC 9113 section 8.1). */
        s->quit_after = true;
        if (s->ended_here)
            reset(s, NGHTTP2_NO_ERROR);
    }
}

static void ops_abort(struct stream *stream, enum stream_code code)
{
    struct http2_stream *s = http2_stream_of(stream);

    disown(s);
    if (s->closed || !s->id) {
        bury_stream(s);
        return;
    }
    consume_all(s);
    reset(s, code == STREAM_NO_ERROR ? NGHTTP2_CANCEL : (uint32_t)code);
}

static void ops_pause(struct stream *stream, bool paused)
{
    struct http2_stream *s = http2_stream_of(stream);

    if (paused) {
        s->paused = s->input != H2_OVER;
    } else if (s->paused) {
        consume_all(s);
        http2_touch(s->h);
    }
}

static void ops_switch_protocols(struct stream *stream)
{
    struct http2_stream *s = http2_stream_of(stream);

    s->upgrade = false; /* from here on an end is one */
    s->output = H2_OUT_BODY;
    s->input = s->input == H2_OVER ? H2_OVER : H2_BODY;
}

static bool ops_stale(struct stream *stream)
{
    return false; /* it is read all the time */
}

static bool ops_holds(struct stream *stream)
{
    struct http2_stream *s = http2_stream_of(stream);

    return s->input == H2_TRAILERS || s->asked;
}

static enum replay ops_replay(struct stream *stream, enum span_error why)
{
    struct http2_stream *s = http2_stream_of(stream);

    if (why == SPAN_ERROR_REFUSED_STREAM || s->h->falls_back)
        return REPLAY_SAFE;
    if ((why == SPAN_ERROR_CLOSED_EARLY || why == SPAN_ERROR_RESET) && s->h->messages > 1)
        return REPLAY_IF_IDEMPOTENT;
    return REPLAY_NEVER;
}

const struct codec_ops http2_ops = {
    .version = 20,
    .switched_status = 200,
    .send_head = http2_send_head,
    .send_chunk = http2_send_chunk,
    .send_body = http2_send_body,
    .send_end = http2_send_end,
    .blocked = http2_blocked,
    .pause = ops_pause,
    .finish = ops_finish,
    .abort = ops_abort,
    .switch_protocols = ops_switch_protocols,
    .settle = http2_settle,
    .holds = ops_holds,
    .stale = ops_stale,
    .replay = ops_replay,
};

/* Why a stream that its owner still has is over. */
static enum span_error failure_of(const struct http2_stream *s, uint32_t code)
{
    const struct http2 *h = s->h;

    if (h->server) /* a reset of ours, where it is not the client's fault, is for an answer */
        return code == NGHTTP2_INTERNAL_ERROR && !s->reset_by_peer ? SPAN_ERROR_PROTOCOL
                                                                   : SPAN_ERROR_CANCELLED;
    if (h->stranger)
        return SPAN_ERROR_PROTOCOL;
    if (code == NGHTTP2_REFUSED_STREAM)
        return SPAN_ERROR_REFUSED_STREAM;
    if (h->gone)
        return h->conn->eof || h->conn->error == EPIPE ? SPAN_ERROR_CLOSED_EARLY : SPAN_ERROR_RESET;
    return s->reset_by_peer ? SPAN_ERROR_STREAM_RESET : SPAN_ERROR_PROTOCOL;
}

static void tell_failed(struct http2_stream *s, uint32_t code)
{
    static const struct refusal malformed = {
        "http2-malformed", 400,
        "send well-formed HTTP/2: the pseudo-header fields once and first, lower-case names, no "
        "connection fields, a content-length that holds (RFC 9113 section 8.1.1)"};
    static struct message nothing;
    struct message *m = s->head ? s->head : &nothing;
    bool ours = s->h->server && !s->reset_by_peer && !s->h->gone;

    s->stream.code = code;
    if (ours && code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL &&
        code != NGHTTP2_INTERNAL_ERROR) {
        if (!m->path.n && m->target.n)
            message_split_path(m, m->target);
        s->stream.events->on_refused(s->stream.owner, &malformed, m);
        return;
    }
    if (s->stream.events)
        s->stream.events->on_failed(s->stream.owner, failure_of(s, code));
}

void http2_stream_closed(struct http2_stream *s, uint32_t code)
{
    s->closed = true;
    http2_drop_output(s);
    s->output = H2_OUT_ENDED;
    if (!s->stream.events) {
        bury_stream(s);
        return;
    }
    if (code == NGHTTP2_REFUSED_STREAM)
        s->h->busy_until = worker_now(s->h->worker) + BUSY_TIME;
    /* Whole both ways: its owner finishes it in a moment. */
    if (code == NGHTTP2_NO_ERROR && s->input == H2_OVER && s->ended_here)
        return;
    tell_failed(s, code);
}

bool http2_is_settled(const struct http2 *h)
{
    return h->settled;
}

bool http2_has_room(const struct http2 *h)
{
    return !h->going && !h->gone && !h->ending && h->n_streams < h->peer_streams &&
           nghttp2_session_check_request_allowed(h->session);
}

bool http2_is_shut(const struct http2 *h)
{
    return h->settled && !h->peer_streams && !h->going && !h->gone;
}

bool http2_is_idle(const struct http2 *h)
{
    return !h->n_streams && !h->going && !h->gone;
}

bool http2_is_busy(const struct http2 *h)
{
    return worker_now(h->worker) < h->busy_until;
}

struct stream *http2_take(struct http2 *h)
{
    struct http2_stream *s = http2_stream_new(h);

    if (!s)
        return NULL;
    s->stream.replayable = true;
    return &s->stream;
}

uint64_t http2_messages(const struct http2 *h)
{
    return h->messages;
}

unsigned http2_capacity(const struct http2 *h)
{
    return h->peer_streams;
}

struct list *http2_link(struct http2 *h)
{
    return &h->link;
}

struct http2 *http2_from_link(struct list *link)
{
    return container_of(link, struct http2, link);
}

/* ---- the end ---- */

static void free_http2(struct burial *b)
{
    struct http2 *h = container_of(b, struct http2, burial);

    nghttp2_session_del(h->session);
    free(h);
}

/* A server of HTTP/2 sends SETTINGS before all else; one that ends the connection instead has not
 * understood the preface. */
static bool hung_up_on_preface(const struct http2 *h)
{
    return !h->server && !h->settled && h->conn->received_bytes == 0 &&
           (h->conn->eof || h->conn->broken);
}

void http2_close(struct http2 *h)
{
    if (h->gone)
        return;
    if (hung_up_on_preface(h))
        h->stranger = h->falls_back = h->keeper->on_stranger(h->keeper_data, h);
    h->gone = h->going = true;
    timer_release(&h->timer);
    list_remove(&h->link);
    while (!list_empty(&h->streams)) {
        struct http2_stream *s = container_of(h->streams.next, struct http2_stream, link);

        if (s->closed && s->stream.events) /* whole, and its owner has not heard of it yet */
            tell_failed(s, NGHTTP2_NO_ERROR);
        else
            http2_stream_closed(s, NGHTTP2_CANCEL);
        assert(h->streams.next != &s->link);
    }
    list_remove(&h->turn_end.link);
    if (h->conn->state != CONN_CLOSED && h->conn->owner_data == h) {
        if (h->server && !h->conn->broken)
            conn_close_lingering(h->conn);
        else
            conn_close(h->conn);
    }
    h->keeper->on_gone(h->keeper_data, h);
    worker_bury(h->worker, &h->burial, free_http2);
}

void http2_terminate(struct http2 *h, uint32_t code)
{
    if (h->ending || h->gone)
        return;
    h->ending = h->going = true;
    timer_disarm(&h->timer); /* it is closed when the turn ends */
    nghttp2_session_terminate_session(h->session, code);
    http2_touch(h);
}

void http2_drain(struct http2 *h)
{
    if (h->gone || h->going)
        return;
    h->going = true;
    if (h->server) {
        nghttp2_submit_shutdown_notice(h->session);
        h->last_word = worker_now(h->worker) + LAST_WORD_AFTER;
    } else {
        nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    }
    http2_touch(h);
    http2_rearm(h);
}

void http2_retire(struct http2 *h)
{
    http2_terminate(h, NGHTTP2_NO_ERROR);
}

/* No stream that was on its way can still be one that we have to take. */
static void say_last_word(struct http2 *h)
{
    h->last_word = 0;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
    http2_touch(h);
}

/* ---- time ---- */

static void earliest(nsec_t *at, nsec_t since, nsec_t time)
{
    if (since && since + time < *at)
        *at = since + time;
}

static nsec_t idle_time(struct http2 *h)
{
    return h->keeper->idle(h->keeper_data, h);
}

static nsec_t stall_time(const struct timeouts *t)
{
    return t->idle && t->idle < STALL_TIME ? t->idle : STALL_TIME;
}

/* All but the idle time, which is looked at when it may be over. */
void http2_rearm(struct http2 *h)
{
    const struct timeouts *t = &config_of(h)->timeouts;
    nsec_t at = TIMER_NEVER;

    if (h->gone || h->ending)
        return;
    if (h->quiet_since)
        earliest(&at, h->quiet_since, idle_time(h));
    earliest(&at, h->block_since, t->header);
    earliest(&at, h->last_word, 0);
    earliest(&at, h->stalled, stall_time(t));
    if (h->pinged)
        earliest(&at, h->pinged, t->ping_timeout);
    else if (h->n_streams && t->ping)
        earliest(&at, h->heard, t->ping);
    if (at < h->timer.deadline || !timer_armed(&h->timer))
        timer_arm(h->worker->timers, &h->timer, at);
}

static void ask_whether_there(struct http2 *h, nsec_t now)
{
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
    h->pinged = now;
    http2_touch(h);
}

static void header_timeout(struct http2 *h)
{
    metrics_add(h->worker->metrics, COUNT_HEADER_TIMEOUTS, 1);
    http2_terminate(h, NGHTTP2_ENHANCE_YOUR_CALM);
}

static void idle_timeout(struct http2 *h)
{
    if (h->server)
        metrics_add(h->worker->metrics, COUNT_IDLE_TIMEOUTS, 1);
    http2_terminate(h, NGHTTP2_NO_ERROR);
}

static void peer_is_dead(struct http2 *h)
{
    metrics_add(h->worker->metrics, COUNT_PING_TIMEOUTS, 1);
    h->conn->broken = true;
    h->conn->error = ETIMEDOUT;
    http2_close(h);
}

static void on_timer(struct timer *timer)
{
    struct http2 *h = container_of(timer, struct http2, timer);
    const struct timeouts *t = &config_of(h)->timeouts;
    nsec_t now = worker_now(h->worker);

    if (h->last_word && now >= h->last_word)
        say_last_word(h);
    if (h->quiet_since && now >= h->quiet_since + idle_time(h)) {
        idle_timeout(h);
    } else if (h->block_since && now >= h->block_since + t->header) {
        header_timeout(h);
    } else if (h->stalled && now >= h->stalled + stall_time(t)) {
        http2_abused(h, ABUSE_STALL, NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (h->pinged && now >= h->pinged + t->ping_timeout) {
        peer_is_dead(h);
        return;
    } else if (h->n_streams && t->ping && !h->pinged && now >= h->heard + t->ping) {
        ask_whether_there(h, now);
    }
    http2_rearm(h);
}

/* ---- what the conn tells ---- */

/* True: the first bytes of the peer are not a SETTINGS frame. */
static bool is_stranger(const struct http2 *h, const char *data, size_t n)
{
    enum { TYPE = 3 }; /* where it stands in a frame */
    uint64_t before = h->conn->received_bytes - n;

    return !h->server && !h->settled && before <= TYPE && before + n > TYPE &&
           data[TYPE - before] != NGHTTP2_SETTINGS;
}

static void receive(struct http2 *h, const char *data, size_t n)
{
    bool stop = false;

    h->receiving = true;
    while (n && !stop && !h->gone) {
        size_t part = http2_look(h, data, n, &stop);
        ssize_t taken =
            part ? nghttp2_session_mem_recv(h->session, (const uint8_t *)data, part) : 0;

        if (taken < 0) {
            if (taken != NGHTTP2_ERR_CALLBACK_FAILURE || !h->ending)
                http2_terminate(h, taken == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM
                                                                : NGHTTP2_PROTOCOL_ERROR);
            break;
        }
        data += part;
        n -= part;
    }
    h->receiving = false;
}

void http2_feed(struct http2 *h, char *data, size_t n)
{
    if (h->gone || h->ending)
        return;
    h->heard = worker_now(h->worker);
    h->pinged = 0;
    if (is_stranger(h, data, n)) {
        h->stranger = true;
        h->falls_back = h->keeper->on_stranger(h->keeper_data, h);
        http2_close(h);
        return;
    }
    receive(h, data, n);
    h->conn->expects = h->n_streams > 0;
    http2_touch(h);
}

static void on_read(struct conn *c, char *data, size_t n)
{
    http2_feed(c->owner_data, data, n);
}

static void on_eof(struct conn *c)
{
    struct http2 *h = c->owner_data;

    h->ending = h->going = true; /* no other stream can end well; what is answered goes out first */
    timer_disarm(&h->timer);
    http2_touch(h);
}

static void on_drained(struct conn *c)
{
    http2_drained(c->owner_data);
}

static void on_connected(struct conn *c)
{
}

static void on_error(struct conn *c, int error)
{
    http2_close(c->owner_data);
}

static const struct conn_owner http2_owner = {on_read, on_eof, on_drained, on_connected, on_error};
