/*
 * What nghttp2 tells of the frames that come, made into messages of streams.
 */
#include <stdlib.h>

#include "proxy/http2_private.h"
#include "proxy/http_rules.h"

enum { DRIP_BYTES = 64 }; /* what a window lets through by less, it hardly lets through */

static struct http2_stream *stream_at(struct http2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->session, id);
}

/* ---- heads and trailers ---- */

/* limits { requests-per-connection } is met: this stream is the last. */
static void end_with_last(struct http2 *h, int32_t id)
{
    uint64_t most = h->shared->limits->requests_per_connection;

    if (!most || h->messages < most || h->going)
        return;
    h->going = true;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR, NULL, 0);
}

/* A block of fields begins. Server: a new stream; without memory for it, it is refused. */
static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct http2 *h = arg;
    struct http2_stream *s;

    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        h->coming = s = stream_at(h, frame->hd.stream_id);
        if (s && s->input == H2_BODY) {
            s->input = H2_TRAILERS;
            s->head_bytes = 0;
        }
        return 0;
    }
    h->coming = s = http2_stream_new(h);
    if (!s)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    s->id = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    end_with_last(h, s->id);
    if (!h->keeper->open(h->keeper_data, &s->stream)) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_REFUSED_STREAM);
        s->output = H2_OUT_ENDED;
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    struct http2 *h = arg;
    struct http2_stream *s = h->coming;

    if (!s || !s->stream.events)
        return 0;
    if (!http2_field(s, str_of((const char *)name, name_n), str_of((const char *)value, value_n)))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static void tell_end(struct http2_stream *s)
{
    s->input = H2_OVER;
    if (!s->stream.events)
        return;
    s->paused = false;
    s->stream.events->on_end(s->stream.owner, s->trailers);
}

/* Where nothing is known of a request, or all was told. */
static struct message nothing;

static void request_head(struct http2_stream *s, bool end)
{
    const struct refusal *why = http2_request_complete(s, end);
    struct message *m = s->head;

    s->head = NULL; /* it is the owner's */
    s->input = end ? H2_OVER : H2_BODY;
    if (why) {
        if (m && !m->path.n && m->target.n)
            message_split_path(m, m->target);
        s->stream.events->on_refused(s->stream.owner, why, m ? m : &nothing);
        return;
    }
    s->stream.events->on_head(s->stream.owner, m);
    if (end)
        tell_end(s);
}

/* A response, or its trailers, against a rule or over a limit. */
static void not_taken(struct http2_stream *s, const struct refusal *why)
{
    bool limit = why == &refusal_response_bytes || why == &refusal_response_headers;

    s->stream.rule = why;
    nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id,
                              limit ? NGHTTP2_CANCEL : NGHTTP2_PROTOCOL_ERROR);
    s->stream.events->on_failed(s->stream.owner,
                                limit ? SPAN_ERROR_RESPONSE_LIMIT : SPAN_ERROR_PROTOCOL);
}

static void response_head(struct http2_stream *s, bool end)
{
    const struct refusal *why = http2_response_complete(s, end);
    struct message *m = s->head;
    bool interim = m && m->status < 200 && m->status != 101;

    static const struct refusal interim_ends = {
        "interim-ends", 502, "an interim response (1xx) has no body and does not end the stream"};

    if (why || (interim && end)) {
        not_taken(s, why ? why : &interim_ends);
        return;
    }
    s->head = NULL;
    if (!interim)
        s->input = end ? H2_OVER : H2_BODY;
    s->stream.events->on_head(s->stream.owner, m);
    if (end)
        tell_end(s);
}

/* Cut short they could mean something else. */
static void trailers(struct http2_stream *s)
{
    if (!s->rule) {
        tell_end(s);
    } else if (s->h->server) {
        s->input = H2_OVER;
        s->stream.events->on_refused(s->stream.owner, s->rule, &nothing); /* the head was told */
    } else {
        not_taken(s, s->rule);
    }
}

static void on_block(struct http2 *h, struct http2_stream *s, bool end)
{
    if (!s->stream.events)
        s->input = end ? H2_OVER : H2_BODY;
    else if (s->input == H2_TRAILERS)
        trailers(s);
    else if (h->server)
        request_head(s, end);
    else
        response_head(s, end);
}

/* ---- the rest ---- */

/* So much was taken as it came that more may be on its way at once. Sockets take a part for a
 * reader that takes nothing. */
static void widen(struct http2_stream *s, size_t n)
{
    struct http2 *h = s->h;
    size_t wide = h->shared->limits->stream_window;

    if (s->wide || (s->taken += (uint32_t)n) < wide)
        return;
    s->wide = true;
    nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, s->id, (int32_t)wide);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t n, void *arg)
{
    struct http2 *h = arg;
    struct http2_stream *s = stream_at(h, id);

    /* The connection's window is shared, so that one slow reader does not stop the others; the
     * stream's is given back as its bytes are taken. */
    nghttp2_session_consume_connection(session, n);
    if (!s || !s->stream.events) {
        nghttp2_session_consume_stream(session, id, n);
        return 0;
    }
    s->stream.events->on_body(s->stream.owner, str_of((const char *)data, n));
    if (s->paused) {
        s->unconsumed += (uint32_t)n;
    } else if (!s->closed) {
        nghttp2_session_consume_stream(session, id, n);
        widen(s, n);
    }
    return 0;
}

/* The peer's settings have come: more, or fewer, streams may be opened. */
static void on_settings(struct http2 *h)
{
    uint32_t most =
        nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    h->settled = true;
    if (h->server)
        return;
    h->peer_streams = most;
    http2_send_waiting_heads(h);
    h->keeper->on_room(h->keeper_data, h);
}

/* A frame of ours is worth one of the peer's: who measures the bandwidth (grpc-go) sends a PING for
 * DATA that it got. */
static void earn(struct http2 *h, const nghttp2_frame *frame, const struct http2_stream *s)
{
    size_t n = frame->hd.length;
    bool waiting = s && http2_unsent(s) > 0;

    if (frame->hd.type == NGHTTP2_DATA)
        http2_moved(h, n, waiting);
    if (frame->hd.type == NGHTTP2_HEADERS || !waiting || n >= DRIP_BYTES)
        http2_earn(h, 1);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct http2 *h = arg;
    struct http2_stream *s = frame->hd.stream_id ? stream_at(h, frame->hd.stream_id) : NULL;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        h->probes = 0;
        if (s)
            on_block(h, s, end);
        break;
    case NGHTTP2_DATA:
        if (!end && frame->hd.length && frame->hd.length <= frame->data.padlen)
            http2_spend(h, ABUSE_EMPTY_FRAMES, 1); /* nothing but padding */
        if (s && end)
            tell_end(s);
        break;
    case NGHTTP2_RST_STREAM:
        if (s)
            s->reset_by_peer = true;
        break;
    case NGHTTP2_SETTINGS:
        if (!(frame->hd.flags & NGHTTP2_FLAG_ACK))
            on_settings(h);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        if (s)
            s->welcome = true;
        http2_spend_update(h);
        break;
    case NGHTTP2_GOAWAY:
        h->going = true;
        break;
    }
    return h->ending ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct http2 *h = arg;
    struct http2_stream *s;

    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code && !h->ended_for)
        h->ended_for = SPAN_ERROR_PROTOCOL; /* nghttp2 has found an error of the connection */
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        s = stream_at(h, frame->hd.stream_id);
        if (!h->server)
            return 0;
        if (!s) /* it was never opened: frames of it may be on their way all the same */
            http2_watch_closed(h, (uint32_t)frame->hd.stream_id, false);
        /* What we end by our own will costs the peer nothing. */
        if ((!s || s->stream.events) && frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
            http2_spend(h, ABUSE_RESET, 1);
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    s = stream_at(h, frame->hd.stream_id);
    earn(h, frame, s);
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || !s)
        return 0;
    s->ended_here = true;
    if (s->quit_after && s->input != H2_OVER)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    return 0;
}

/* A head or trailers too large to be sent: there is no other end of the stream. Where a request
 * cannot be sent, on_close() follows. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat != NGHTTP2_HCAT_REQUEST &&
        error == NGHTTP2_ERR_FRAME_SIZE_ERROR)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_INTERNAL_ERROR);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct http2 *h = arg;
    struct http2_stream *s = stream_at(h, id);
    bool by_peer = !s || s->input == H2_OVER || s->reset_by_peer;

    if (h->server)
        http2_watch_closed(h, (uint32_t)id, by_peer);
    if (s)
        http2_stream_closed(s, code);
    return 0;
}

/* ---- what connections share ---- */

static bool make_callbacks(struct http2_common *c)
{
    nghttp2_session_callbacks *v;

    if (nghttp2_session_callbacks_new(&v) != 0)
        return false;
    c->callbacks = v;
    nghttp2_session_callbacks_set_send_callback(v, http2_on_send);
    nghttp2_session_callbacks_set_send_data_callback(v, http2_on_send_data);
    nghttp2_session_callbacks_set_on_begin_headers_callback(v, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(v, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(v, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(v, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(v, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(v, on_not_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(v, on_close);
    return true;
}

static bool make_options(struct http2_common *c)
{
    nghttp2_option *o;

    if (nghttp2_option_new(&o) != 0)
        return false;
    c->options = o;
    /* Windows are given back as the other side takes what came. */
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_max_send_header_block_length(o, 2 << 20);
    nghttp2_option_set_peer_max_concurrent_streams(o, 100);
    /* Ours comes before it, and says with the right code which it was. */
    nghttp2_option_set_stream_reset_rate_limit(o, UINT32_MAX, UINT32_MAX);
    nghttp2_option_set_max_continuations(o, SIZE_MAX); /* it counts one anew with each read */
    return true;
}

struct http2_common *http2_common(struct http_shared *shared)
{
    struct http2_common *c = shared->http2;

    if (c)
        return c;
    if (!(c = calloc(1, sizeof *c)))
        return NULL;
    if (!(c->pack = malloc(HTTP2_PACK_BYTES)) || !(c->memory = http2_memory_new()) ||
        !make_callbacks(c) || !make_options(c)) {
        http2_common_free(c);
        return NULL;
    }
    c->allocator = (nghttp2_mem){c->memory, http2_memory_get, http2_memory_give,
                                 http2_memory_zeroed, http2_memory_resize};
    return shared->http2 = c;
}

void http2_common_free(struct http2_common *c)
{
    if (!c)
        return;
    nghttp2_session_callbacks_del(c->callbacks);
    nghttp2_option_del(c->options);
    http2_memory_delete(c->memory);
    free(c->pack);
    free(c);
}
