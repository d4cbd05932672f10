/*
 * The HTTP/2 codec, as a server and as a client. Whatever comes, cut into
 * whatever reads: no memory error, every stream has one end, and the messages do
 * not depend on the cuts.
 *
 * Where messages are compared, requests are answered when all has come: an answer
 * goes out at the end of a turn, and so what the peer may still do to its stream
 * depends on the turns. So does whether a frame on a stream that was reset is one that was on its
 * way, or the end of the connection; where one of both is ended early, it has told the beginning of
 * what the other has.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "proxy/http2.h"
#include "proxy/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The worker keeps what it lends for the next time: each run would look like a leak, and be
 * searched for one at great length. What a connection has is told by ending(). */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

enum { PARTS_MAX = 40, FIELDS_MAX = 20, ASKED = 3 };

/* What the owner of the streams does. */
enum manner {
    WAITS,   /* answers what is whole when all has come */
    PAUSES,  /* the same, but takes no more of a body than the first of it */
    ANSWERS, /* at once */
    QUITS,   /* gives up at a head */
};

static struct worker *worker;

/* One message, as text. */
struct part {
    struct buffer text;
    struct arena arena;
    struct stream *stream; /* NULL: it is done with */
    bool head, whole, broken;
};

struct tale {
    struct part parts[PARTS_MAX];
    unsigned n_parts, n_open;
    enum manner manner;
    bool server;
    bool gone; /* before all had come */
    bool over;
};

static struct tale *telling; /* the one that is told now */

static const struct stream_events events;

static void tell_fields(struct part *p, const struct headers *f)
{
    for (size_t i = 0; f && i < f->n; i++) {
        struct str value = f->v[i].value;

        if (str_eq_nocase(f->v[i].name, STR("sec-websocket-key"))) /* the codec draws it */
            value = STR("...");
        buffer_printf(&p->text, "[%.*s=%.*s]", STR_ARG(f->v[i].name), STR_ARG(value));
    }
}

static void done(struct part *p)
{
    p->stream = NULL;
    telling->n_open--;
}

static void on_head(void *owner, struct message *m)
{
    struct part *p = owner;

    assert(p->stream && !p->whole);
    assert(!p->head || !telling->server);
    p->head = m->status == 0 || m->status >= 200;
    assert(m->fields.n <= FIELDS_MAX);
    buffer_printf(&p->text, "\nHEAD %.*s %.*s at %.*s %u body %u %llu up %u ", STR_ARG(m->method),
                  STR_ARG(m->target), STR_ARG(m->authority), m->status, m->body,
                  (unsigned long long)m->length, m->upgrade);
    tell_fields(p, &m->fields);
    buffer_printf(&p->text, "\nBODY ");
    if (telling->manner == QUITS) {
        struct stream *s = p->stream;

        done(p);
        s->codec->abort(s, STREAM_CANCEL);
    }
}

static void on_chunk(void *owner, uint64_t n)
{
    abort(); /* HTTP/2 has none */
}

static void on_body(void *owner, struct str data)
{
    struct part *p = owner;

    assert(p->stream && p->head && !p->whole);
    buffer_add(&p->text, data.p, data.n);
    if (telling->manner == PAUSES)
        p->stream->codec->pause(p->stream, true);
}

static void answer(struct stream *s)
{
    struct message m = {.status = 200, .reason = STR_INIT("OK"), .version = 20};

    s->codec->send_head(s, &m, false);
    s->codec->send_body(s, STR("answer"));
    s->codec->send_end(s, NULL);
    s->codec->finish(s);
}

static void on_end(void *owner, const struct headers *trailers)
{
    struct part *p = owner;
    struct stream *s = p->stream;

    assert(s && p->head && !p->whole);
    p->whole = true;
    buffer_printf(&p->text, "\nEND ");
    tell_fields(p, trailers);
    if (!telling->server) {
        done(p);
        s->codec->finish(s);
    } else if (telling->manner == ANSWERS) {
        done(p);
        answer(s);
    }
}

static void on_refused(void *owner, const struct refusal *why, struct message *partial)
{
    struct part *p = owner;
    struct stream *s = p->stream;

    assert(s && why->rule && why->status >= 400 && partial && telling->server);
    p->broken = true;
    done(p);
    s->codec->abort(s, STREAM_NO_ERROR);
}

static void on_failed(void *owner, enum span_error why)
{
    struct part *p = owner;
    struct stream *s = p->stream;

    assert(s);
    p->broken = true;
    done(p);
    s->codec->abort(s, STREAM_INTERNAL_ERROR);
}

static void on_drained(void *owner)
{
}

static const struct stream_events events = {on_head,    on_chunk,  on_body,   on_end,
                                            on_refused, on_failed, on_drained};

static bool keeper_open(void *keeper, struct stream *s)
{
    struct tale *t = keeper;
    struct part *p = &t->parts[t->n_parts];

    if (t->n_parts == PARTS_MAX)
        return false;
    t->n_parts++;
    t->n_open++;
    *p = (struct part){.stream = s};
    buffer_init(&p->text, 0);
    arena_init(&p->arena, 1024, 1024 * 1024);
    s->events = &events;
    s->owner = p;
    s->arena = &p->arena;
    return true;
}

static nsec_t keeper_idle(void *keeper, struct http2 *h)
{
    return SECONDS(60);
}

static void keeper_on_room(void *keeper, struct http2 *h)
{
}

static enum stranger keeper_on_stranger(void *keeper, struct http2 *h)
{
    return STRANGER_FAILS;
}

static void keeper_on_gone(void *keeper, struct http2 *h)
{
    struct tale *t = keeper;

    assert(!t->over && t->n_open == 0);
    t->over = true;
}

static const struct http2_keeper keeper = {keeper_open, keeper_idle, keeper_on_room,
                                           keeper_on_stranger, keeper_on_gone};

/* One read: bytes of exactly that size, gone when the turn is over. */
static void feed(struct http2 *h, const uint8_t *data, size_t n)
{
    char *copy = malloc(n ? n : 1);

    memcpy(copy, data, n);
    loop_begin_turn(&worker->loop);
    http2_feed(h, copy, n);
    loop_end_turn(&worker->loop);
    event_base_loop(worker->loop.base,
                    EVLOOP_NONBLOCK); /* where something is gathered it goes on */
    free(copy);
}

/* A client's requests, which responses may come to: with a body that ends, one that does not, and
 * one that is answered without a body. */
static void ask(struct http2 *h, struct tale *t)
{
    static const char *const methods[ASKED] = {"GET", "POST", "HEAD"};

    for (size_t i = 0; i < ASKED; i++) {
        struct message m = {.method = str_from(methods[i]),
                            .target = STR_INIT("/"),
                            .scheme = STR_INIT("http"),
                            .authority = STR_INIT("fuzz"),
                            .path = STR_INIT("/"),
                            .version = 20};
        struct stream *s = http2_take(h);

        assert(s && keeper_open(t, s));
        s->codec->send_head(s, &m, i != 1);
    }
}

/* All has come: what is whole is answered, the rest is given up, and then nothing may be left. */
static void ending(struct http2 *h, struct tale *t)
{
    loop_begin_turn(&worker->loop);
    for (unsigned i = 0; i < t->n_parts && !t->over; i++) {
        struct part *p = &t->parts[i];
        struct stream *s = p->stream;

        if (!s)
            continue;
        done(p);
        s->codec->pause(s, false);
        if (p->whole)
            answer(s);
        else
            s->codec->abort(s, STREAM_INTERNAL_ERROR);
    }
    loop_end_turn(&worker->loop);
    loop_begin_turn(&worker->loop);
    if (!t->over)
        http2_close(h);
    loop_end_turn(&worker->loop);
    assert(t->over && t->n_open == 0);
}

static void run(struct tale *t, unsigned how, const uint8_t *data, size_t size, size_t cut)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct address nobody = {.family = AF_UNIX, .path = ""};
    int fds[2];
    struct conn *c;
    struct http2 *h;

    *t = (struct tale){.server = how & 1, .manner = (enum manner)(how >> 1 & 3)};
    telling = t;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
        abort();
    loop_begin_turn(&worker->loop);
    c = conn_accepted(&worker->loop, fds[0], &nobody, NULL, NULL);
    h = t->server ? http2_server(&worker->http, c, &keeper, t)
                  : http2_client(&worker->http, c, &keeper, t, 100);
    assert(h);
    if (!t->server)
        ask(h, t);
    loop_end_turn(&worker->loop);
    if (t->server)
        feed(h, (const uint8_t *)preface, sizeof preface - 1);
    for (size_t at = 0; at < size && !t->over; at += cut)
        feed(h, data + at, at + cut > size ? size - at : cut);
    if (!(t->gone = t->over))
        ending(h, t);
    close(fds[1]);
    event_base_loop(worker->loop.base, EVLOOP_NONBLOCK); /* what lingers sees the end */
}

static void release(struct tale *t)
{
    for (unsigned i = 0; i < t->n_parts; i++) {
        buffer_release(&t->parts[i].text);
        arena_release(&t->parts[i].arena);
    }
}

static void start(void)
{
    static const char text[] = "service fuzz; limits { header-bytes 8k; url-bytes 8k; headers 20;\n"
                               "  response-header-bytes 8k; response-headers 20; }\n"
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
    log_set_level(LOG_ERROR);
}

/* Of what is broken, one has the beginning of what the other has. */
static bool agree_on(const struct part *a, const struct part *b, bool early)
{
    struct str x = buffer_str(&a->text), y = buffer_str(&b->text);

    if (early || (a->broken && b->broken))
        return str_starts(x, y) || str_starts(y, x);
    return str_eq(x, y) && a->broken == b->broken;
}

static bool agree(const struct tale *a, const struct tale *b)
{
    bool early = a->gone || b->gone;

    for (unsigned i = 0; i < a->n_parts && i < b->n_parts; i++)
        if (!agree_on(&a->parts[i], &b->parts[i], early))
            return false;
    return early || a->n_parts == b->n_parts;
}

static void print(const struct tale *t, const char *how)
{
    for (unsigned i = 0; i < t->n_parts; i++)
        fprintf(stderr, "%u %s:%.*s%s\n", i, how, STR_ARG(buffer_str(&t->parts[i].text)),
                t->parts[i].broken ? "\nBROKEN" : "");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tale whole, cut;
    size_t piece;

    if (size < 2)
        return 0;
    if (!worker)
        start();
    piece = 1u + data[1] % 16;
    run(&whole, data[0], data + 2, size - 2, size);
    run(&cut, data[0], data + 2, size - 2, piece);
    if (whole.manner <= PAUSES && !agree(&whole, &cut)) {
        print(&whole, "in one piece");
        print(&cut, "in pieces");
        abort();
    }
    release(&whole);
    release(&cut);
    return 0;
}
