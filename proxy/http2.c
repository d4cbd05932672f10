/*
 * The life of an HTTP/2 connection: how it begins, bytes in, and its end.
 */
#include "proxy/http2.h"

#include <assert.h>
#include <stdlib.h>

#include "proxy/http2_private.h"

/* How long the second GOAWAY waits for streams that were on their way. */
#define LAST_WORD_AFTER MILLISECONDS(500)
/* How long a client that has just come may take to ask before it hears of a drain. */
#define FIRST_WORD_AFTER SECONDS(3)

static const struct conn_owner http2_owner;

/* ---- making ---- */

/* A stream whose bytes are not taken may hold no more than what is buffered anyway; the window is
 * opened wide when they are. */
size_t http2_first_window(const struct http2 *h)
{
    const struct limits *l = h->shared->limits;

    return l->stream_window < l->buffer_bytes ? l->stream_window : l->buffer_bytes;
}

static bool submit_settings(struct http2 *h)
{
    const struct limits *l = h->shared->limits;
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
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)l->response_header_bytes},
    };
    nghttp2_settings_entry *v = h->server ? server : client;
    size_t n = h->server ? sizeof server / sizeof *server : sizeof client / sizeof *client;

    return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, v, n) == 0 &&
           nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)l->connection_window) == 0;
}

static bool make_session(struct http2 *h)
{
    struct http2_common *c = http2_common(h->shared);

    if (!c)
        return false;
    if ((h->server
             ? nghttp2_session_server_new3(&h->session, c->callbacks, h, c->options, &c->allocator)
             : nghttp2_session_client_new3(&h->session, c->callbacks, h, c->options,
                                           &c->allocator)) != 0)
        return false;
    return submit_settings(h);
}

static struct http2 *http2_new(struct http_shared *shared, struct conn *c, bool server,
                               const struct http2_keeper *keeper, void *data)
{
    struct http2 *h = calloc(1, sizeof *h);

    if (!h) {
        conn_close(c);
        return NULL;
    }
    h->conn = c;
    h->loop = c->loop;
    h->shared = shared;
    h->keeper = keeper;
    h->keeper_data = data;
    h->server = server;
    list_init(&h->link);
    list_init(&h->streams);
    list_init(&h->lent);
    list_init(&h->waiting);
    list_init(&h->turn_end.link);
    h->turn_end.run = http2_flush;
    timer_init(&h->timer, http2_on_timer);
    h->begun = h->heard = h->quiet_since = loop_now(h->loop);
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

struct http2 *http2_server(struct http_shared *shared, struct conn *c,
                           const struct http2_keeper *keeper, void *data)
{
    return http2_new(shared, c, true, keeper, data);
}

struct http2 *http2_client(struct http_shared *shared, struct conn *c,
                           const struct http2_keeper *keeper, void *data, unsigned streams)
{
    struct http2 *h = http2_new(shared, c, false, keeper, data);

    if (h)
        h->peer_streams = streams;
    return h;
}

/* ---- what is asked of it ---- */

bool http2_is_settled(const struct http2 *h)
{
    return h->settled;
}

bool http2_was_answered(const struct http2 *h)
{
    return h->conn->received_bytes > 0;
}

bool http2_has_room(const struct http2 *h)
{
    return !h->going && !h->gone && !h->ending && !h->doubted && h->n_streams < h->peer_streams &&
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
    return loop_now(h->loop) < h->busy_until;
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
    http2_block_free(h);
    free(h);
}

/* A server of HTTP/2 sends SETTINGS before all else; one that ends the connection instead has not
 * understood the preface. */
static bool hung_up_on_preface(const struct http2 *h)
{
    return !h->server && !h->settled && h->conn->received_bytes == 0 &&
           (h->conn->eof || h->conn->broken);
}

static void meet_stranger(struct http2 *h)
{
    enum stranger is = h->keeper->on_stranger(h->keeper_data, h);

    h->stranger = is != STRANGER_NOT;
    h->falls_back = is == STRANGER_FALLBACK;
}

void http2_close(struct http2 *h)
{
    if (h->gone)
        return;
    if (hung_up_on_preface(h))
        meet_stranger(h);
    h->gone = h->going = true;
    timer_release(&h->timer);
    list_remove(&h->link);
    while (!list_empty(&h->streams)) {
        struct http2_stream *s = container_of(h->streams.next, struct http2_stream, link);

        if (s->closed && s->stream.events) /* whole, and its owner has not heard of it yet */
            http2_stream_failed(s, NGHTTP2_NO_ERROR);
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
    loop_bury(h->loop, &h->burial, free_http2);
}

void http2_terminate(struct http2 *h, uint32_t code, enum span_error why)
{
    if (h->ending || h->gone)
        return;
    if (!h->ended_for)
        h->ended_for = (uint8_t)why;
    h->ending = h->going = true;
    timer_disarm(&h->timer); /* it is closed when the turn ends */
    nghttp2_session_terminate_session(h->session, code);
    http2_touch(h);
}

/* gRPC takes a connection that says GOAWAY before it has answered for one that never will, so its
 * calls would fail as long as the listener is there. */
static bool put_off(struct http2 *h)
{
    nsec_t until = h->begun + FIRST_WORD_AFTER;

    if (!h->server || h->messages || loop_now(h->loop) >= until)
        return false;
    h->first_word = until;
    http2_rearm(h);
    return true;
}

bool http2_is_awaited(const struct http2 *h)
{
    return h->first_word || h->last_word || h->block_since;
}

void *http2_keeper_data(const struct http2 *h)
{
    return h->keeper_data;
}

void http2_drain(struct http2 *h)
{
    if (!h->going && put_off(h))
        return;
    h->first_word = 0; /* though it leaves by itself: there is nothing to wait for then */
    if (h->gone || h->going)
        return;
    h->going = true;
    if (h->server) {
        nghttp2_submit_shutdown_notice(h->session);
        h->last_word = loop_now(h->loop) + LAST_WORD_AFTER;
    } else {
        nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0);
    }
    http2_touch(h);
    http2_rearm(h);
}

void http2_retire(struct http2 *h)
{
    http2_terminate(h, NGHTTP2_NO_ERROR, SPAN_ERROR_NONE);
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

static void receive_failed(struct http2 *h, bool flooded)
{
    if (flooded)
        http2_terminate(h, NGHTTP2_ENHANCE_YOUR_CALM, SPAN_ERROR_ABUSE);
    else
        http2_terminate(h, NGHTTP2_PROTOCOL_ERROR, SPAN_ERROR_PROTOCOL);
}

bool http2_give(struct http2 *h, const char *data, size_t n)
{
    ssize_t taken = n ? nghttp2_session_mem_recv(h->session, (const uint8_t *)data, n) : 0;

    if (taken < 0 && (taken != NGHTTP2_ERR_CALLBACK_FAILURE || !h->ending))
        receive_failed(h, taken == NGHTTP2_ERR_FLOODED);
    return taken >= 0 && !h->ending && !h->gone;
}

/* It is there after all: whoever waits may have its room. */
static void trust(struct http2 *h)
{
    if (!h->doubted)
        return;
    h->doubted = false;
    if (!h->going)
        h->keeper->on_room(h->keeper_data, h);
}

void http2_feed(struct http2 *h, char *data, size_t n)
{
    if (h->gone || h->ending)
        return;
    h->heard = loop_now(h->loop);
    h->pinged = 0;
    trust(h);
    if (is_stranger(h, data, n)) {
        meet_stranger(h);
        http2_close(h);
        return;
    }
    h->receiving = true;
    http2_look(h, data, n);
    h->receiving = false;
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
