/*
 * The HTTP/1 codec, as a server and as a client. Whatever comes, cut into
 * whatever reads: no memory error, and the messages do not depend on the cuts.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "proxy/http1.h"
#include "proxy/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The worker keeps what it lends for the next time: each run would look like a leak, and be
 * searched for one at great length. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static struct worker *worker;

/* What the codec told, as text. */
struct tale {
    struct buffer text;
    struct arena arena;
    struct stream *stream; /* the message under way */
    bool server, gone;
};

static const struct stream_events events;

static void tell_fields(struct tale *t, const struct headers *f)
{
    for (size_t i = 0; f && i < f->n; i++)
        buffer_printf(&t->text, "[%.*s=%.*s]", STR_ARG(f->v[i].name), STR_ARG(f->v[i].value));
}

static void on_head(void *owner, struct message *m)
{
    struct tale *t = owner;

    buffer_printf(&t->text, "\nHEAD %.*s %.*s %u v%u body %u %llu close %u up %u ",
                  STR_ARG(m->method), STR_ARG(m->target), m->status, m->version, m->body,
                  (unsigned long long)m->length, m->close, m->upgrade);
    tell_fields(t, &m->fields);
    assert(m->fields.n <= 20);
    buffer_printf(&t->text, "\nBODY ");
}

static void on_chunk(void *owner, uint64_t n)
{
    struct tale *t = owner;

    buffer_printf(&t->text, "<%llu>", (unsigned long long)n);
}

static void on_body(void *owner, struct str data)
{
    struct tale *t = owner;

    buffer_add(&t->text, data.p, data.n);
}

static void answer(struct stream *s)
{
    struct message m = {.status = 200, .reason = STR_INIT("OK"), .body = BODY_NONE};

    s->codec->send_head(s, &m, true);
}

static void on_end(void *owner, const struct headers *trailers)
{
    struct tale *t = owner;
    struct stream *s = t->stream;

    buffer_printf(&t->text, "\nEND ");
    tell_fields(t, trailers);
    if (s->events != &events)
        return;
    if (t->server)
        answer(s);
    t->stream = NULL;
    s->codec->finish(s);
}

static void on_refused(void *owner, const struct refusal *why, struct message *partial)
{
    struct tale *t = owner;

    assert(why->rule && why->status >= 400);
    buffer_printf(&t->text, "\nREFUSED");
    t->stream->codec->abort(t->stream, STREAM_NO_ERROR);
    t->stream = NULL;
}

static void on_failed(void *owner, enum span_error why)
{
    struct tale *t = owner;

    buffer_printf(&t->text, "\nFAILED");
    t->stream->codec->abort(t->stream, STREAM_INTERNAL_ERROR);
    t->stream = NULL;
}

static void on_drained(void *owner)
{
}

static const struct stream_events events = {on_head,    on_chunk,  on_body,   on_end,
                                            on_refused, on_failed, on_drained};

static bool keeper_open(void *keeper, struct stream *s)
{
    struct tale *t = keeper;

    arena_release(&t->arena); /* slices of an earlier message must not be used any more */
    s->events = &events;
    s->owner = t;
    s->arena = &t->arena;
    t->stream = s;
    return true;
}

static void keeper_on_idle(void *keeper, struct http1 *h)
{
}

static void keeper_on_gone(void *keeper, struct http1 *h)
{
    ((struct tale *)keeper)->gone = true;
}

static const struct http1_keeper keeper = {
    .open = keeper_open, .on_idle = keeper_on_idle, .on_gone = keeper_on_gone};

/* One read: bytes of exactly that size, gone when the turn is over. */
static void feed(struct http1 *h, const uint8_t *data, size_t n)
{
    char *copy = malloc(n ? n : 1);

    memcpy(copy, data, n);
    loop_begin_turn(&worker->loop);
    http1_feed(h, copy, n);
    loop_end_turn(&worker->loop);
    free(copy);
}

static void run(struct tale *t, bool server, const uint8_t *data, size_t size, size_t cut)
{
    struct address nobody = {.family = AF_UNIX, .path = ""};
    int fds[2];
    struct conn *c;
    struct http1 *h;

    buffer_init(&t->text, 0);
    arena_init(&t->arena, 1024, 1024 * 1024);
    t->stream = NULL;
    t->gone = false;
    t->server = server;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
        abort();
    loop_begin_turn(&worker->loop);
    c = conn_accepted(&worker->loop, fds[0], &nobody, NULL, NULL);
    h = server ? http1_server(&worker->http, c, &keeper, t)
               : http1_client(&worker->http, c, &keeper, t);
    if (!server)
        keeper_open(t, http1_take(h, STR("GET")));
    loop_end_turn(&worker->loop);
    for (size_t at = 0; at < size && !t->gone && (server || t->stream); at += cut)
        feed(h, data + at, at + cut > size ? size - at : cut);
    loop_begin_turn(&worker->loop);
    if (!t->gone) {
        if (t->stream) {
            buffer_printf(&t->text, "\nOPEN");
            t->stream->codec->abort(t->stream, STREAM_INTERNAL_ERROR);
        } else {
            http1_close_idle(h);
        }
    }
    loop_end_turn(&worker->loop);
    arena_release(&t->arena);
    close(fds[1]);
    event_base_loop(worker->loop.base, EVLOOP_NONBLOCK); /* what lingers sees the end */
}

static void start(void)
{
    static const char text[] = "service fuzz; limits { header-bytes 8k; url-bytes 8k; headers 20; "
                               "response-header-bytes 8k; response-headers 20; }\n"
                               "inbound { listen 127.0.0.1:1; route / { to 127.0.0.1:2; } }\n";
    struct errors errors = {0};
    struct error err = {0};
    struct worker_setup setup = {.sampler = sampler_parent_based(sampler_always_off()),
                                 .propagators = propagators_default()};

    setup.config = config_parse("fuzz", STR(text), NULL, &errors);
    if (!setup.config) {
        fprintf(stderr, "line %u: %s\n", errors.v[0].at.line, errors.v[0].text);
        abort();
    }
    if (!(worker = worker_new(&setup, &err)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tale whole, cut;
    bool server;
    size_t piece;

    if (size < 2)
        return 0;
    if (!worker)
        start();
    server = data[0] & 1;
    piece = 1u + data[1] % 16;
    run(&whole, server, data + 2, size - 2, size);
    run(&cut, server, data + 2, size - 2, piece);
    if (!str_eq(buffer_str(&whole.text), buffer_str(&cut.text))) {
        fprintf(stderr, "in one piece:%.*s\nin pieces of %zu:%.*s\n",
                STR_ARG(buffer_str(&whole.text)), piece, STR_ARG(buffer_str(&cut.text)));
        abort();
    }
    buffer_release(&whole.text);
    buffer_release(&cut.text);
    return 0;
}
