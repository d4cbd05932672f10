/*
 * A stream of HTTP/2, as its owner and as nghttp2 see it: it goes when both are
 * done with it.
 */
#include <stdlib.h>

#include "proxy/http2_private.h"
#include "proxy/http_rules.h"

/* How long a connection that has refused a stream is passed over, where there is another. */
#define BUSY_TIME SECONDS(1)

struct http2_stream *http2_stream_new(struct http2 *h)
{
    struct http2_stream *s = http2_memory_zeroed(1, sizeof *s, h->shared->http2->memory);

    if (!s)
        return NULL;
    s->stream.codec = &http2_ops;
    s->stream.began = loop_now(h->loop);
    s->h = h;
    s->memory = h->shared->http2->memory;
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
    loop_bury(h->loop, &s->burial, free_stream);
    if (h->n_streams == 0)
        h->quiet_since = loop_now(h->loop);
    if (h->first_word)
        http2_drain(h);
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

void http2_stream_reset(struct http2_stream *s, uint32_t code)
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
        http2_stream_reset(s, h->server ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_NO_ERROR);
    } else if (s->input != H2_OVER) {
        /* What is still to come of the request is not wanted (RFC 9113 section 8.1). */
        s->quit_after = true;
        if (s->ended_here)
            http2_stream_reset(s, NGHTTP2_NO_ERROR);
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
    http2_doubt(s);
    if (s->h->server && s->output == H2_OUT_BODY && code != STREAM_NO_ERROR)
        http2_cut(s, code);
    else
        http2_stream_reset(s, code == STREAM_NO_ERROR ? NGHTTP2_CANCEL : (uint32_t)code);
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
    if (s->input != H2_OVER)
        s->input = H2_BODY;
    else
        stream->events->on_end(stream->owner,
                               NULL); /* it had ended before it was asked for bytes */
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
    if (s->h->gone)
        return REPLAY_IF_IDEMPOTENT;
    return REPLAY_NEVER;
}

/* A server that ends its connection by age refuses the streams that it did not come to, and gives
 * none of them more room than the first. Copies of what they were sent are kept for as many streams
 * as a connection may cost memory for. */
static bool ops_unproven(struct stream *stream)
{
    enum { WINDOW_MAX = 128 * 1024, COPIES_MAX = 64 }; /* of so much, and of so many streams */
    const struct http2_stream *s = http2_stream_of(stream);
    const struct http2 *h = s->h;

    if (h->server || h->gone)
        return false;
    return !h->settled || (!s->welcome && h->n_streams <= COPIES_MAX &&
                           nghttp2_session_get_remote_settings(
                               h->session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE) <= WINDOW_MAX);
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
    .unproven = ops_unproven,
};

/* What the row of an error says of a connection to an upstream, of a client's another one says. */
static enum span_error of_ended_connection(const struct http2 *h)
{
    if (h->server && h->ended_for == SPAN_ERROR_PROTOCOL)
        return SPAN_ERROR_REQUEST;
    return h->ended_for;
}

/* Why a stream that its owner still has is over. */
static enum span_error failure_of(const struct http2_stream *s, uint32_t code)
{
    const struct http2 *h = s->h;

    if (h->ended_for && !s->reset_by_peer)
        return of_ended_connection(h);
    if (h->server) /* a reset of ours, where it is not the client's fault, is for an answer */
        return code == NGHTTP2_INTERNAL_ERROR && !s->reset_by_peer ? SPAN_ERROR_PROTOCOL
                                                                   : SPAN_ERROR_CANCELLED;
    if (h->stranger && http2_was_answered(h))
        return SPAN_ERROR_PROTOCOL;
    if (code == NGHTTP2_REFUSED_STREAM)
        return SPAN_ERROR_REFUSED_STREAM;
    if (h->gone)
        return h->conn->eof || h->conn->error == EPIPE ? SPAN_ERROR_CLOSED_EARLY : SPAN_ERROR_RESET;
    return s->reset_by_peer ? SPAN_ERROR_STREAM_RESET : SPAN_ERROR_PROTOCOL;
}

void http2_stream_failed(struct http2_stream *s, uint32_t code)
{
    static const struct refusal malformed = {
        "http2-malformed", 400,
        "send well-formed HTTP/2: the pseudo-header fields once and first, lower-case names, no "
        "connection fields, a content-length that holds (RFC 9113 section 8.1.1)"};
    static struct message nothing;
    static const struct refusal not_http2 = {
        "upstream-not-http2", 502,
        "the upstream does not speak HTTP/2 by prior knowledge: say protocol h1, or auto, in its "
        "cluster"};
    static const struct refusal hung_up = {
        "upstream-not-http2", 502,
        "the upstream hung up on the preface of HTTP/2 without a word, as servers do that do not "
        "speak it: say protocol h1, or auto, in its cluster, unless it is only starting or ending"};
    struct message *m = s->head ? s->head : &nothing;
    bool ours = s->h->server && !s->reset_by_peer && !s->h->gone;

    s->stream.code = s->reset_by_peer || code == NGHTTP2_REFUSED_STREAM ? code : 0;
    if (ours && code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL &&
        code != NGHTTP2_INTERNAL_ERROR) {
        if (!m->path.n && m->target.n)
            message_split_path(m, m->target);
        s->stream.events->on_refused(s->stream.owner, &malformed, m);
        return;
    }
    if (s->h->stranger && !s->h->falls_back)
        s->stream.rule = http2_was_answered(s->h) ? &not_http2 : &hung_up;
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
        s->h->busy_until = loop_now(s->h->loop) + BUSY_TIME;
    /* Whole both ways: its owner finishes it in a moment. */
    if (code == NGHTTP2_NO_ERROR && s->input == H2_OVER && s->ended_here)
        return;
    http2_stream_failed(s, code);
}

struct stream *http2_take(struct http2 *h)
{
    struct http2_stream *s = http2_stream_new(h);

    if (!s)
        return NULL;
    s->stream.replayable = true;
    return &s->stream;
}
