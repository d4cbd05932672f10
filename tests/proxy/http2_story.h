/*
 * An HTTP/2 codec on one end of a pair of sockets. The test is its peer, frame
 * by frame; what the peer hears, and what the owners of streams are told, is
 * text.
 */
#ifndef SIDESPAN_TESTS_HTTP2_STORY_H
#define SIDESPAN_TESTS_HTTP2_STORY_H

#include <nghttp2/nghttp2.h>
#include <stdarg.h>

#include "base/buffer.h"
#include "proxy/http2.h"
#include "stepped_worker.h"

#define HTTP2_LIMITS                                                          \
    "limits { buffer-bytes 64k; header-bytes 8k; url-bytes 8k; headers 20;\n" \
    "  response-header-bytes 8k; response-headers 20; }\n"
#define HTTP2_CONF "inbound { listen 127.0.0.1:0; }\n"
#define PREFACE    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

enum { STORY_STREAMS = 128, END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8, HEAD_BYTES = 9 };

#define FIELD_ROW(i, a, b)                                   \
    {                                                        \
        .name = STR_INIT(a), .value = STR_INIT(b), .id = (i) \
    }

struct story;

/* One stream, as its owner sees it. */
struct told {
    struct story *story;
    struct stream *stream; /* NULL: given back */
    struct message *message;
    struct arena arena;
    struct buffer text;
    enum replay replay; /* when it failed */
    uint32_t code;
    unsigned drains;
    bool finishes; /* when it is told the end */
};

struct story {
    struct worker *worker;
    struct http2 *h; /* NULL: gone */
    struct conn *conn;
    int peer; /* the test's end; -1: closed */
    bool server;
    bool refuses;    /* server: open() says no */
    bool falls_back; /* client: what on_stranger() says */
    unsigned strangers, rooms;
    nsec_t idle;
    struct told streams[STORY_STREAMS];
    unsigned n;
    nghttp2_hd_inflater *inflater; /* of the peer */
    struct buffer got, heard;
    uint32_t windows[2]; /* opened by us: the connection's, and any stream's */
    uint64_t data_bytes; /* of DATA that the peer got */
    bool eof;
};

/* ---- what owners are told ---- */

static inline void story_fields(struct buffer *b, const struct headers *f)
{
    for (size_t i = 0; f && i < f->n; i++)
        buffer_printf(b, " [%.*s=%.*s]", STR_ARG(f->v[i].name), STR_ARG(f->v[i].value));
    buffer_add_char(b, '\n');
}

static inline void told_on_head(void *owner, struct message *m)
{
    static const char *const bodies[] = {"none", "length", "chunked", "close"};
    struct told *d = owner;

    d->message = m;
    if (d->story->server)
        buffer_printf(&d->text, "%.*s %.*s %.*s", STR_ARG(m->method), STR_ARG(m->authority),
                      STR_ARG(m->target));
    else
        buffer_printf(&d->text, "%u %.*s", m->status, STR_ARG(m->reason));
    buffer_printf(&d->text, " body %s%s", bodies[m->body], m->upgrade ? " upgrade" : "");
    story_fields(&d->text, &m->fields);
}

static inline void told_on_chunk(void *owner, uint64_t size)
{
    ck_abort_msg("HTTP/2 knows no chunks");
}

static inline void told_on_body(void *owner, struct str data)
{
    buffer_add_str(&((struct told *)owner)->text, data);
}

static inline void told_on_end(void *owner, const struct headers *trailers)
{
    struct told *d = owner;
    struct stream *s = d->stream;

    buffer_printf(&d->text, "end");
    story_fields(&d->text, trailers);
    if (!d->finishes)
        return;
    d->stream = NULL;
    s->codec->finish(s);
}

static inline void told_on_refused(void *owner, const struct refusal *why, struct message *partial)
{
    struct told *d = owner;
    struct message m = {.status = (uint16_t)why->status, .version = 11};
    struct stream *s = d->stream;

    buffer_printf(&d->text, "refused %s %u: %.*s %.*s\n", why->rule, why->status,
                  STR_ARG(partial->method), STR_ARG(partial->path));
    d->stream = NULL;
    s->codec->send_head(s, &m, true);
    s->codec->finish(s);
}

static inline void told_on_failed(void *owner, enum span_error why)
{
    struct told *d = owner;
    struct stream *s = d->stream;

    buffer_printf(&d->text, "failed %s\n", span_error_text(why));
    d->code = s->code;
    d->replay = d->story->server ? REPLAY_NEVER : s->codec->replay(s, why);
    d->stream = NULL;
    s->codec->abort(s, STREAM_NO_ERROR);
}

static inline void told_on_drained(void *owner)
{
    ((struct told *)owner)->drains++;
}

static const struct stream_events told_events = {
    told_on_head,    told_on_chunk,  told_on_body,    told_on_end,
    told_on_refused, told_on_failed, told_on_drained,
};

static inline struct told *story_own(struct story *t, struct stream *s)
{
    struct told *d = &t->streams[t->n++];

    ck_assert_uint_le(t->n, STORY_STREAMS);
    *d = (struct told){.story = t, .stream = s};
    arena_init(&d->arena, 1024, 1024 * 1024);
    buffer_init(&d->text, 0);
    s->events = &told_events;
    s->owner = d;
    s->arena = &d->arena;
    return d;
}

/* ---- the keeper ---- */

static inline bool story_open(void *keeper, struct stream *s)
{
    struct story *t = keeper;

    if (t->refuses)
        return false;
    story_own(t, s);
    return true;
}

static inline nsec_t story_idle(void *keeper, struct http2 *h)
{
    return ((struct story *)keeper)->idle;
}

static inline void story_on_room(void *keeper, struct http2 *h)
{
    ((struct story *)keeper)->rooms++;
}

static inline enum stranger story_on_stranger(void *keeper, struct http2 *h)
{
    struct story *t = keeper;

    t->strangers++;
    return t->falls_back ? STRANGER_FALLBACK : STRANGER_FAILS;
}

static inline void story_on_gone(void *keeper, struct http2 *h)
{
    ((struct story *)keeper)->h = NULL;
}

static const struct http2_keeper story_keeper = {
    story_open, story_idle, story_on_room, story_on_stranger, story_on_gone,
};

/* ---- what the peer says ---- */

static inline void story_say_bytes(struct story *t, const void *p, size_t n)
{
    const char *at = p;

    while (n) {
        ssize_t sent = send(t->peer, at, n, MSG_NOSIGNAL);

        ck_assert_msg(sent > 0 || errno == EAGAIN, "send: %s", strerror(errno));
        if (sent > 0) {
            at += sent;
            n -= (size_t)sent;
        }
        worker_step(t->worker);
    }
}

static inline size_t frame_put(unsigned char *to, uint8_t type, uint8_t flags, uint32_t id,
                               const void *payload, size_t n)
{
    const unsigned char head[HEAD_BYTES] = {(unsigned char)(n >> 16),
                                            (unsigned char)(n >> 8),
                                            (unsigned char)n,
                                            type,
                                            flags,
                                            (unsigned char)(id >> 24),
                                            (unsigned char)(id >> 16),
                                            (unsigned char)(id >> 8),
                                            (unsigned char)id};

    memcpy(to, head, sizeof head);
    if (n)
        memcpy(to + sizeof head, payload, n);
    return sizeof head + n;
}

static inline void story_say(struct story *t, uint8_t type, uint8_t flags, uint32_t id,
                             const void *payload, size_t n)
{
    unsigned char *frame = malloc(HEAD_BYTES + n);

    story_say_bytes(t, frame, frame_put(frame, type, flags, id, payload, n));
    free(frame);
}

static inline void story_say_data(struct story *t, uint32_t id, const char *text, uint8_t flags)
{
    story_say(t, NGHTTP2_DATA, flags, id, text, strlen(text));
}

static inline void story_say_u32(struct story *t, uint8_t type, uint32_t id, uint32_t v)
{
    unsigned char p[4] = {(unsigned char)(v >> 24), (unsigned char)(v >> 16),
                          (unsigned char)(v >> 8), (unsigned char)v};

    story_say(t, type, 0, id, p, sizeof p);
}

static inline void story_say_setting(struct story *t, uint16_t which, uint32_t v)
{
    unsigned char p[6] = {(unsigned char)(which >> 8), (unsigned char)which,
                          (unsigned char)(v >> 24),    (unsigned char)(v >> 16),
                          (unsigned char)(v >> 8),     (unsigned char)v};

    story_say(t, NGHTTP2_SETTINGS, 0, 0, p, sizeof p);
}

static inline void story_say_goaway(struct story *t, uint32_t last, uint32_t code)
{
    unsigned char p[8] = {(unsigned char)(last >> 24),
                          (unsigned char)(last >> 16),
                          (unsigned char)(last >> 8),
                          (unsigned char)last,
                          0,
                          0,
                          (unsigned char)(code >> 8),
                          (unsigned char)code};

    story_say(t, NGHTTP2_GOAWAY, 0, 0, p, sizeof p);
}

static inline void block_text(struct buffer *b, const char *text)
{
    size_t n = strlen(text);

    if (n < 127) { /* RFC 7541 section 5.1 */
        buffer_add_char(b, (char)n);
    } else {
        buffer_add_char(b, 127);
        for (n -= 127; n >= 128; n >>= 7)
            buffer_add_char(b, (char)(n | 128));
        buffer_add_char(b, (char)n);
    }
    buffer_add(b, text, strlen(text));
}

static inline void block_add(struct buffer *b, const char *name, const char *value)
{
    buffer_add_char(b, 0); /* a literal that no table takes */
    block_text(b, name);
    block_text(b, value);
}

/* Names and values in turn; NULL ends them. */
__attribute__((sentinel)) static inline void story_say_head(struct story *t, uint8_t flags,
                                                            uint32_t id, ...)
{
    const char *name;
    struct buffer b;
    va_list args;

    buffer_init(&b, 0);
    va_start(args, id);
    while ((name = va_arg(args, const char *)))
        block_add(&b, name, va_arg(args, const char *));
    va_end(args);
    story_say(t, NGHTTP2_HEADERS, flags | END_HEADERS, id, b.p, b.n);
    buffer_release(&b);
}

#define REQUEST(method, path) ":method", method, ":scheme", "http", ":authority", "a", ":path", path

static inline void story_say_get(struct story *t, uint32_t id)
{
    story_say_head(t, END_STREAM, id, REQUEST("GET", "/"), NULL);
}

/* ---- what the peer hears ---- */

static inline uint32_t u32_at(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void hear_block(struct story *t, const unsigned char *p, size_t n)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(t->inflater, &nv, &flags, p, n, 1);

        ck_assert_int_ge(used, 0);
        p += used;
        n -= (size_t)used;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            buffer_printf(&t->heard, " [%.*s=%.*s]", (int)nv.namelen, nv.name, (int)nv.valuelen,
                          nv.value);
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
    }
    nghttp2_hd_inflate_end_headers(t->inflater);
}

static inline void hear_frame(struct story *t, const unsigned char *head, const unsigned char *p,
                              size_t n)
{
    uint32_t id = u32_at(head + 5);

    switch (head[3]) {
    case NGHTTP2_DATA:
        t->data_bytes += n;
        buffer_printf(&t->heard, "DATA %u %.*s", id, n > 100 ? 3 : (int)n,
                      n > 100 ? "..." : (char *)p);
        break;
    case NGHTTP2_HEADERS:
        buffer_printf(&t->heard, "HEADERS %u", id);
        hear_block(t, p, n);
        break;
    case NGHTTP2_RST_STREAM:
        buffer_printf(&t->heard, "RST_STREAM %u %u", id, u32_at(p));
        break;
    case NGHTTP2_GOAWAY:
        buffer_printf(&t->heard, "GOAWAY %u %u", u32_at(p), u32_at(p + 4));
        break;
    case NGHTTP2_PING:
        buffer_printf(&t->heard, "PING%s", head[4] & ACK ? " ack" : "");
        break;
    case NGHTTP2_WINDOW_UPDATE:
        t->windows[id > 0] += u32_at(p);
        return;
    default: /* SETTINGS */
        return;
    }
    if (head[3] <= NGHTTP2_HEADERS && head[4] & END_STREAM)
        buffer_printf(&t->heard, " end");
    buffer_add_char(&t->heard, '\n');
}

static inline void hear_frames(struct story *t)
{
    size_t at = 0;

    while (t->got.n - at >= HEAD_BYTES) {
        const unsigned char *p = (unsigned char *)t->got.p + at;
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];

        if (t->got.n - at < HEAD_BYTES + n)
            break;
        hear_frame(t, p, p + HEAD_BYTES, n);
        at += HEAD_BYTES + n;
    }
    buffer_consume(&t->got, at);
}

/* Reads what is there. */
static inline void story_listen(struct story *t)
{
    char some[16384];
    ssize_t n;

    worker_step(t->worker);
    while (t->peer >= 0 && (n = recv(t->peer, some, sizeof some, MSG_DONTWAIT)) >= 0) {
        t->eof |= n == 0;
        if (n == 0)
            break;
        buffer_add(&t->got, some, (size_t)n);
        worker_step(t->worker);
    }
    if (!t->server && t->got.n >= sizeof PREFACE - 1 &&
        memcmp(t->got.p, PREFACE, sizeof PREFACE - 1) == 0)
        buffer_consume(&t->got, sizeof PREFACE - 1);
    hear_frames(t);
}

#define ck_text(b, expected)               \
    do {                                   \
        struct buffer *b_ = (b);           \
        buffer_add_char(b_, '\0');         \
        ck_assert_str_eq(b_->p, expected); \
        buffer_reset(b_);                  \
    } while (0)
/* All that was heard since; told to the owner of stream i since. */
#define ck_heard(t, expected)           \
    do {                                \
        story_listen(t);                \
        ck_text(&(t)->heard, expected); \
    } while (0)
#define ck_told(t, i, expected) ck_text(&(t)->streams[i].text, expected)

/* ---- the stage ---- */

static inline void story_begin(struct story *t, struct worker *w, bool server)
{
    struct address nobody = {.family = AF_UNIX, .path = ""};
    int fds[2];

    *t = (struct story){.worker = w, .server = server, .idle = SECONDS(60)};
    buffer_init(&t->got, 0);
    buffer_init(&t->heard, 0);
    ck_assert_int_eq(nghttp2_hd_inflate_new(&t->inflater), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    t->peer = fds[1];
    loop_begin_turn(&w->loop);
    t->conn = conn_accepted(&w->loop, fds[0], &nobody, NULL, NULL);
    t->h = server ? http2_server(&w->http, t->conn, &story_keeper, t)
                  : http2_client(&w->http, t->conn, &story_keeper, t, 100);
    loop_end_turn(&w->loop);
}

/* The same, with the peer's preface said. */
static inline void story_meet(struct story *t, struct worker *w, bool server)
{
    story_begin(t, w, server);
    if (server)
        story_say_bytes(t, PREFACE, sizeof PREFACE - 1);
    story_say(t, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    story_say(t, NGHTTP2_SETTINGS, ACK, 0, NULL, 0);
    ck_heard(t, "");
}

#define IN_TURN(t, what)                     \
    do {                                     \
        loop_begin_turn(&(t)->worker->loop); \
        what;                                \
        loop_end_turn(&(t)->worker->loop);   \
    } while (0)

static inline void told_finish(struct told *d)
{
    struct stream *s = d->stream;

    d->stream = NULL;
    s->codec->finish(s);
}

static inline void told_abort(struct told *d, enum stream_code code)
{
    struct stream *s = d->stream;

    d->stream = NULL;
    s->codec->abort(s, code);
}

static inline void told_head(struct told *d, struct message *m, bool end)
{
    d->stream->codec->send_head(d->stream, m, end);
}

/* Server: answers with that status and no body. */
static inline void told_answer(struct told *d, unsigned status)
{
    struct message m = {.status = (uint16_t)status, .version = 11};

    told_head(d, &m, true);
    told_finish(d);
}

/* Client: the next request is sent, with a body to come or not. */
static inline struct told *story_ask(struct story *t, const char *method, bool end)
{
    static struct message m;
    struct told *d;

    m = (struct message){.method = str_from(method),
                         .target = STR_INIT("/"),
                         .authority = STR_INIT("a"),
                         .body = end ? BODY_NONE : BODY_CHUNKED,
                         .version = 11};
    loop_begin_turn(&t->worker->loop);
    d = story_own(t, http2_take(t->h));
    told_head(d, &m, end);
    loop_end_turn(&t->worker->loop);
    worker_step(t->worker);
    return d;
}

/* All streams are given back: their numbers are used again. */
static inline void story_forget(struct story *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        ck_assert_ptr_null(t->streams[i].stream);
        arena_release(&t->streams[i].arena);
        buffer_release(&t->streams[i].text);
    }
    t->n = 0;
}

static inline void story_end(struct story *t)
{
    loop_begin_turn(&t->worker->loop);
    if (t->h)
        http2_close(t->h);
    loop_end_turn(&t->worker->loop);
    worker_step(t->worker);
    if (t->peer >= 0)
        close(t->peer);
    RUN_UNTIL(t->worker, list_empty(&t->worker->loop.conns.lingering));
    story_forget(t);
    nghttp2_hd_inflate_del(t->inflater);
    buffer_release(&t->got);
    buffer_release(&t->heard);
}

#endif
