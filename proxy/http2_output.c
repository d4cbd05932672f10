/*
 * From messages to frames. What is written in a turn is gathered by nghttp2 and
 * made into bytes at the turn's end, all streams of a connection together. What
 * the peer's windows, or its socket, do not take then is kept.
 */
#include <stdlib.h>

#include "proxy/http2_private.h"

enum {
    COPY_MAX = 1024,     /* longer payloads are described to the kernel, not copied */
    PENDING_FACTOR = 16, /* of buffer-bytes: what all streams of a connection may keep together */
};

void http2_touch(struct http2 *h)
{
    if (!h->gone)
        loop_at_turn_end(h->loop, &h->turn_end);
}

/* ---- what is borrowed in this turn ---- */

static void lend(struct http2_stream *s)
{
    if (list_empty(&s->lent))
        list_push_back(&s->h->lent, &s->lent);
}

static bool keep(struct http2_stream *s, struct str data)
{
    size_t cap;

    if (!s->out) {
        if (!(s->out = malloc(sizeof *s->out)))
            return false;
        buffer_init(s->out, 0);
        s->out_start = 0;
    }
    if (s->out_start) {
        buffer_consume(s->out, s->out_start);
        s->out_start = 0;
    }
    cap = s->out->cap;
    if (!buffer_add(s->out, data.p, data.n))
        return false;
    loop_took(s->h->loop, s->out->cap - cap);
    return true;
}

/* One block: the list, its fields, their text. */
static struct headers *copy_trailers(const struct headers *t)
{
    size_t bytes = sizeof *t + t->n * sizeof t->v[0];
    struct headers *copy;
    char *at;

    for (size_t i = 0; i < t->n; i++)
        bytes += t->v[i].name.n + t->v[i].value.n;
    if (!(copy = malloc(bytes)))
        return NULL;
    *copy = (struct headers){(struct header *)(copy + 1), t->n, t->n, t->absent};
    at = (char *)(copy->v + t->n);
    for (size_t i = 0; i < t->n; i++) {
        struct str *text[] = {&copy->v[i].name, &copy->v[i].value};

        copy->v[i] = t->v[i];
        for (size_t k = 0; k < 2; k++) {
            if (text[k]->n)
                memcpy(at, text[k]->p, text[k]->n);
            text[k]->p = at;
            at += text[k]->n;
        }
    }
    return copy;
}

void http2_give_up(struct http2_stream *s)
{
    http2_stream_reset(s, NGHTTP2_INTERNAL_ERROR);
}

static void settle(struct http2_stream *s)
{
    struct str now = s->now;

    list_remove(&s->lent);
    s->now = (struct str){0};
    if (s->out && s->out_start == s->out->n) { /* an idle stream keeps no buffer */
        buffer_release(s->out);
        free(s->out);
        s->out = NULL;
    }
    if (now.n && !keep(s, now)) {
        s->h->pending -= now.n;
        http2_give_up(s);
        return;
    }
    if (s->out_trailers && s->out_trailers != s->kept_trailers) {
        s->kept_trailers = copy_trailers(s->out_trailers);
        s->out_trailers = s->kept_trailers;
        if (!s->kept_trailers)
            http2_give_up(s);
    }
}

void http2_settle(struct stream *stream)
{
    settle(http2_stream_of(stream));
}

static void settle_all(struct http2 *h)
{
    while (!list_empty(&h->lent))
        settle(container_of(h->lent.next, struct http2_stream, lent));
}

void http2_drop_output(struct http2_stream *s)
{
    s->h->pending -= http2_unsent(s);
    s->now = (struct str){0};
    if (s->out)
        s->out_start = (uint32_t)s->out->n;
    s->out_trailers = NULL;
    list_remove(&s->lent);
}

/* ---- DATA, as nghttp2 asks for it ---- */

static bool submit_trailers(struct http2_stream *s)
{
    const struct headers *t = s->out_trailers;
    nghttp2_nv *nv;
    size_t n;

    if (!t || !t->n)
        return false;
    s->out_trailers = NULL;
    return (nv = http2_trailers(s, t, &n)) &&
           nghttp2_submit_trailer(s->h->session, s->id, nv, n) == 0;
}

ssize_t http2_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room,
                        uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct http2_stream *s = source->ptr;
    size_t unsent = http2_unsent(s), n = unsent < room ? unsent : room;
    bool last = n == unsent && s->output == H2_OUT_ENDED;

    if (s->cut && !n) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, s->cut);
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if ((!n && !last) || conn_blocked(s->h->conn)) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags = NGHTTP2_DATA_FLAG_NO_COPY;
    if (last) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (submit_trailers(s))
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)n;
}

static void wake(struct http2_stream *s)
{
    if (s->deferred && !s->closed) {
        s->deferred = false;
        nghttp2_session_resume_data(s->h->session, s->id);
    }
    http2_touch(s->h);
}

void http2_cut(struct http2_stream *s, uint32_t code)
{
    s->cut = code;
    wake(s);
}

/* ---- what the owner sends ---- */

void http2_send_chunk(struct stream *stream, uint64_t size)
{
}

void http2_send_body(struct stream *stream, struct str data)
{
    struct http2_stream *s = http2_stream_of(stream);

    if (s->closed || s->output != H2_OUT_BODY || data.n == 0)
        return;
    if (s->now.n)
        settle(s);
    s->h->pending += data.n;
    s->now = data;
    lend(s);
    wake(s);
}

void http2_send_end(struct stream *stream, const struct headers *trailers)
{
    struct http2_stream *s = http2_stream_of(stream);

    if (s->closed || s->upgrade || s->output != H2_OUT_BODY)
        return;
    s->output = H2_OUT_ENDED;
    s->out_trailers = trailers;
    lend(s);
    wake(s);
}

/* ---- how much there may be ---- */

bool http2_blocked(struct stream *stream)
{
    struct http2_stream *s = http2_stream_of(stream);
    size_t limit = conns_high_mark(&s->h->loop->conns), unsent = http2_unsent(s);

    if (unsent <= limit && (!unsent || s->h->pending <= PENDING_FACTOR * limit))
        return false;
    if (list_empty(&s->waiting))
        list_push_back(&s->h->waiting, &s->waiting);
    return true;
}

static bool may_go_on(const struct http2_stream *s)
{
    size_t limit = conns_high_mark(&s->h->loop->conns), unsent = http2_unsent(s);

    return unsent <= limit / 2 && (!unsent || s->h->pending <= PENDING_FACTOR * limit / 2);
}

static void tell_drained(struct http2 *h)
{
    struct list all;

    if (list_empty(&h->waiting))
        return;
    list_init(&all);
    while (!list_empty(&h->waiting)) { /* each is looked at once; it may begin to wait again */
        struct list *link = h->waiting.next;

        list_remove(link);
        list_push_back(&all, link);
    }
    while (!list_empty(&all)) {
        struct http2_stream *s = container_of(all.next, struct http2_stream, waiting);

        list_remove(&s->waiting);
        if (!may_go_on(s))
            list_push_back(&h->waiting, &s->waiting);
        else if (s->stream.events)
            s->stream.events->on_drained(s->stream.owner);
    }
}

void http2_drained(struct http2 *h)
{
    LIST_FOR_EACH (at, &h->streams) {
        struct http2_stream *s = container_of(at, struct http2_stream, link);

        if (s->deferred && (http2_unsent(s) || s->output == H2_OUT_ENDED))
            wake(s);
    }
    http2_touch(h);
}

/* ---- bytes ---- */

static void pack_out(struct http2 *h)
{
    if (h->packed > h->pack_from)
        conn_write(h->conn,
                   str_of(h->shared->http2->pack + h->pack_from, h->packed - h->pack_from));
    h->pack_from = h->packed;
}

static void pack(struct http2 *h, const void *data, size_t n)
{
    const char *p = data;

    while (n) {
        size_t room = HTTP2_PACK_BYTES - h->packed, part = n < room ? n : room;

        memcpy(h->shared->http2->pack + h->packed, p, part);
        h->packed += part;
        p += part;
        n -= part;
        if (h->packed == HTTP2_PACK_BYTES) {
            pack_out(h);
            conn_flush(h->conn);
            h->packed = h->pack_from = 0;
        }
    }
}

ssize_t http2_on_send(nghttp2_session *session, const uint8_t *data, size_t n, int flags, void *arg)
{
    pack(arg, data, n);
    return (ssize_t)n;
}

static void put_payload(struct http2 *h, const char *p, size_t n)
{
    if (n <= COPY_MAX) {
        pack(h, p, n);
    } else {
        pack_out(h);
        conn_write(h->conn, str_of(p, n));
    }
}

int http2_on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                       size_t n, nghttp2_data_source *source, void *arg)
{
    struct http2_stream *s = source->ptr;
    struct http2 *h = arg;
    size_t kept = s->out ? s->out->n - s->out_start : 0, part = kept < n ? kept : n;

    pack(h, head, HTTP2_FRAME_HEAD);
    if (part)
        put_payload(h, s->out->p + s->out_start, part);
    s->out_start += (uint32_t)part;
    if (n > part)
        put_payload(h, s->now.p, n - part);
    s->now = str_slice(s->now, n - part, s->now.n);
    h->pending -= n;
    h->stalled = 0;
    lend(s); /* its buffer may have become empty */
    return 0;
}

/* Much waits and nothing of it goes: the peer keeps its windows shut. */
static void watch_stall(struct http2 *h)
{
    if (h->pending < PENDING_FACTOR / 2 * h->shared->limits->buffer_bytes) {
        h->stalled = 0;
    } else if (!h->stalled) {
        h->stalled = loop_now(h->loop);
        http2_rearm(h);
    }
}

static bool is_over(struct http2 *h)
{
    return h->ending ||
           (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session));
}

void http2_flush(struct turn_end *e)
{
    struct http2 *h = container_of(e, struct http2, turn_end);
    int error;

    if (h->gone)
        return;
    if (h->receiving) { /* called from amid a frame; the end of this turn comes back here */
        settle_all(h);
        return;
    }
    if (h->n_asked)
        http2_send_waiting_heads(h);
    h->packed = h->pack_from = 0;
    error = nghttp2_session_send(h->session);
    pack_out(h);
    conn_flush(h->conn);
    settle_all(h);
    if (error || is_over(h)) {
        http2_close(h);
        return;
    }
    tell_drained(h);
    watch_stall(h);
}
