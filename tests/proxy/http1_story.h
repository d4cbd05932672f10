/*
 * An HTTP/1 codec on one end of a pair of sockets, and what it tells as text:
 * its tests compare whole stories.
 */
#ifndef SIDESPAN_TESTS_HTTP1_STORY_H
#define SIDESPAN_TESTS_HTTP1_STORY_H

#include "base/buffer.h"
#include "proxy/http1.h"
#include "stepped_worker.h"

#define HTTP1_CONF                                                            \
    "inbound { listen 127.0.0.1:0; }\n"                                       \
    "limits { buffer-bytes 64k; header-bytes 8k; url-bytes 8k; headers 20;\n" \
    "  response-header-bytes 16k; response-headers 30; }\n"

struct story {
    struct worker *worker;
    struct http1 *h;
    struct conn *conn;
    int peer;              /* the test's end */
    struct stream *stream; /* the message under way; NULL: none */
    struct message *message;
    struct arena arena;
    struct buffer text;
    bool server;
    bool answers; /* server: each whole request with an empty 200 */
    bool keeps;   /* client: the stream after the end of the response */
    bool gone, idle;
    bool leaves;      /* its listener is in a drain */
    unsigned refused; /* the status to refuse with */
    struct str leftover;
};

/* ---- what is told ---- */

static void tell_fields(struct story *t, const struct headers *f)
{
    for (size_t i = 0; f && i < f->n; i++)
        buffer_printf(&t->text, " [%.*s=%.*s]", STR_ARG(f->v[i].name), STR_ARG(f->v[i].value));
    buffer_add_char(&t->text, '\n');
}

static void story_on_head(void *owner, struct message *m)
{
    static const char *const bodies[] = {"none", "length", "chunked", "close"};
    struct story *t = owner;

    t->message = m;
    if (t->server)
        buffer_printf(&t->text, "%.*s %.*s", STR_ARG(m->method), STR_ARG(m->target));
    else
        buffer_printf(&t->text, "%u %.*s", m->status, STR_ARG(m->reason));
    buffer_printf(&t->text, " body %s%s%s", bodies[m->body], m->close ? " close" : "",
                  m->upgrade ? " upgrade" : "");
    tell_fields(t, &m->fields);
    if (m->upgrade && !t->server) {
        struct conn *c = t->stream->codec->detach(t->stream, &t->leftover);

        buffer_printf(&t->text, "left \"%.*s\"\n", STR_ARG(t->leftover));
        t->stream = NULL;
        conn_close(c);
    }
}

static void story_on_chunk(void *owner, uint64_t size)
{
    buffer_printf(&((struct story *)owner)->text, "chunk %llu\n", (unsigned long long)size);
}

/* How a body is cut into reads is nobody's business: its bytes are told without a mark. */
static void story_on_body(void *owner, struct str data)
{
    buffer_add_str(&((struct story *)owner)->text, data);
}

static void story_answer(struct story *t, unsigned status)
{
    struct message m = {.status = (uint16_t)status, .reason = STR_INIT("OK"), .version = 11};
    struct stream *s = t->stream;

    t->stream = NULL;
    s->codec->send_head(s, &m, true);
    s->codec->finish(s);
}

static void story_on_end(void *owner, const struct headers *trailers)
{
    struct story *t = owner;
    struct stream *s = t->stream;

    buffer_printf(&t->text, "end");
    tell_fields(t, trailers);
    if (t->answers) {
        story_answer(t, 200);
    } else if (!t->server && !t->keeps) {
        t->stream = NULL;
        s->codec->finish(s);
    }
}

static void story_on_refused(void *owner, const struct refusal *why, struct message *partial)
{
    struct story *t = owner;

    buffer_printf(&t->text, "refused %s %u: %.*s %.*s\n", why->rule, why->status,
                  STR_ARG(partial->method), STR_ARG(partial->path));
    t->refused = why->status;
    story_answer(t, why->status);
}

static void story_on_failed(void *owner, enum span_error why)
{
    struct story *t = owner;
    struct stream *s = t->stream;

    buffer_printf(&t->text, "failed %s%s%s\n", span_error_text(why), s->rule ? " by " : "",
                  s->rule ? s->rule->rule : "");
    t->stream = NULL;
    s->codec->abort(s, STREAM_NO_ERROR);
}

static void story_on_drained(void *owner)
{
    buffer_printf(&((struct story *)owner)->text, "drained\n");
}

static const struct stream_events story_events = {
    story_on_head,    story_on_chunk,  story_on_body,    story_on_end,
    story_on_refused, story_on_failed, story_on_drained,
};

/* ---- the keeper ---- */

static bool story_open(void *keeper, struct stream *s)
{
    struct story *t = keeper;

    arena_reset(&t->arena); /* slices of an earlier message must not be used any more */
    s->events = &story_events;
    s->owner = t;
    s->arena = &t->arena;
    t->stream = s;
    t->idle = false;
    return true;
}

static void story_on_idle(void *keeper, struct http1 *h)
{
    ((struct story *)keeper)->idle = true;
}

static void story_on_gone(void *keeper, struct http1 *h)
{
    struct story *t = keeper;

    t->gone = true;
    t->h = NULL;
}

static bool story_leaves(void *keeper)
{
    return ((struct story *)keeper)->leaves;
}

static const struct http1_keeper story_keeper = {
    .open = story_open, .on_idle = story_on_idle, .on_gone = story_on_gone, .leaves = story_leaves};

/* ---- the stage ---- */

static inline void story_begin(struct story *t, struct worker *w, bool server)
{
    struct address nobody = {.family = AF_UNIX, .path = ""};
    int fds[2];

    *t = (struct story){.worker = w, .server = server};
    buffer_init(&t->text, 0);
    arena_init(&t->arena, 1024, 1024 * 1024);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    t->peer = fds[1];
    loop_begin_turn(&w->loop);
    t->conn = conn_accepted(&w->loop, fds[0], &nobody, NULL, NULL);
    t->h = server ? http1_server(&w->http, t->conn, &story_keeper, t)
                  : http1_client(&w->http, t->conn, &story_keeper, t);
    loop_end_turn(&w->loop);
}

/* A client's next request is on its way: its response may come. */
static inline void story_ask(struct story *t, const char *method)
{
    struct message m = {.method = str_from(method), .target = STR_INIT("/"), .version = 11};

    loop_begin_turn(&t->worker->loop);
    story_open(t, http1_take(t->h, m.method));
    t->stream->codec->send_head(t->stream, &m, true);
    loop_end_turn(&t->worker->loop);
}

static inline void story_end(struct story *t)
{
    loop_begin_turn(&t->worker->loop);
    if (t->stream)
        t->stream->codec->abort(t->stream, STREAM_INTERNAL_ERROR);
    else if (t->h)
        http1_close_gone(t->h);
    loop_end_turn(&t->worker->loop);
    close(t->peer);
    RUN_UNTIL(t->worker, list_empty(&t->worker->loop.conns.lingering));
    buffer_release(&t->text);
    arena_release(&t->arena);
}

/* The peer sends, and all that follows from it happens. */
static inline void story_say_bytes(struct story *t, const char *p, size_t n)
{
    ck_assert_int_eq(send(t->peer, p, n, MSG_NOSIGNAL), (ssize_t)n);
    worker_step(t->worker);
}

static inline void story_say(struct story *t, const char *text)
{
    story_say_bytes(t, text, strlen(text));
}

/* One byte a read. */
static inline void story_trickle(struct story *t, const char *p, size_t n)
{
    for (size_t i = 0; i < n && !t->gone; i++)
        story_say_bytes(t, p + i, 1);
}

#define ck_told(t, expected)                    \
    do {                                        \
        struct story *t_ = (t);                 \
        buffer_add_char(&t_->text, '\0');       \
        ck_assert_str_eq(t_->text.p, expected); \
        buffer_reset(&t_->text);                \
    } while (0)

/* What the peer has got so far. */
static inline const char *story_heard(struct story *t)
{
    static char got[1 << 16];
    ssize_t n;

    worker_step(t->worker);
    n = recv(t->peer, got, sizeof got - 1, MSG_DONTWAIT);
    got[n > 0 ? n : 0] = '\0';
    return got;
}

#endif
