/*
 * Bytes in: cut into messages one after the other, and kept while they cannot
 * be.
 */
#include <stdlib.h>

#include "proxy/http1_private.h"

/* ---- what is held ---- */

/* Bytes that came and were not parsed, or are of a head that is not whole. What the parser was
 * given from it may be referred to until the turn is over, so it is buried, and never moves. */
struct held {
    struct burial burial;
    size_t start, end, cap;
    char bytes[];
};

static void free_held(struct burial *b)
{
    free(container_of(b, struct held, burial));
}

static void bury_held(struct http1 *h, struct held *b)
{
    if (b)
        loop_bury(h->loop, &b->burial, free_held);
}

size_t http1_held(const struct http1 *h)
{
    return h->held ? h->held->end - h->held->start : 0;
}

/* Adds bytes at the end. */
static bool hold(struct http1 *h, const char *p, size_t n)
{
    struct held *b = h->held;
    size_t had = http1_held(h);

    if (n == 0)
        return true;
    if (!b || b->cap - b->end < n) {
        struct held *more = malloc(sizeof *more + had + n);

        if (!more)
            return false;
        more->start = 0;
        more->end = had;
        more->cap = had + n;
        if (had)
            memcpy(more->bytes, b->bytes + b->start, had);
        bury_held(h, b);
        h->held = b = more;
    }
    memcpy(b->bytes + b->end, p, n);
    b->end += n;
    return true;
}

/* Puts back what is left of b, in front of what came meanwhile. */
static bool put_back(struct http1 *h, struct held *b)
{
    struct held *later = h->held;
    bool held;

    if (b->start == b->end) {
        bury_held(h, b);
        return true;
    }
    h->held = b;
    if (!later)
        return true;
    held = hold(h, later->bytes + later->start, later->end - later->start);
    bury_held(h, later);
    return held;
}

void http1_free_held(struct http1 *h)
{
    free(h->held);
}

struct str http1_held_bytes(const struct http1 *h)
{
    return h->held ? str_of(h->held->bytes + h->held->start, http1_held(h)) : (struct str){0};
}

/* ---- messages ---- */

static bool message_start(struct http1 *h, const char *at)
{
    if (!h->server) { /* else http1_line_tell() does */
        llhttp_reset(&h->parser);
        h->parser.settings = (void *)(uintptr_t)http1_settings();
    }
    h->refusal = NULL;
    h->last_head = NULL;
    h->trailer_pieces = 0;
    h->acknowledged = false;
    if (!h->head && !http1_head_take(h))
        return false;
    h->head->n = 0;
    h->head->url = h->head->url_end = h->head->reason = h->head->reason_end = h->head->bytes = 0;
    h->head->respaced = 0;
    h->head->whole_respaced = false;
    h->stream.rule = NULL;
    h->head->origin = at;
    http1_line_start(h->head);
    h->stream.began = loop_now(h->loop);
    h->input = INPUT_HEAD;
    return true;
}

/* The message is whole; rest is what came behind it. */
void http1_tell_over(struct http1 *h, struct str rest)
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
    llhttp_errno_t e;
    size_t taken = n;

    if (h->server && h->input == INPUT_HEAD && !http1_line_whole(h->head)) {
        taken = http1_line_read(h, p, n);
        if (h->refusal)
            http1_parse_failed(h, HPE_USER);
        return taken;
    }
    e = http1_read_again(h, llhttp_execute(&h->parser, p, n), p + n);
    if (h->gone || e == HPE_OK)
        return n;
    if (e == HPE_PAUSED || e == HPE_PAUSED_UPGRADE) {
        taken = (size_t)(llhttp_get_error_pos(&h->parser) - p);
        if (h->input == INPUT_OVER)
            http1_tell_over(h, str_of(p + taken, n - taken));
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
        if (h->input == INPUT_BYTES) {
            h->stream.events->on_body(h->stream.owner, str_of(p + at, n - at));
            return n;
        }
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
    nsec_t until = h->stream.began + h->shared->timeouts->header;

    if (until < h->timer.deadline)
        timer_arm(h->loop->timers, &h->timer, until);
}

/* What is left is kept: of a head that is not whole with what the parser knows of it. */
static void note_rest(struct http1 *h)
{
    h->held_parsed = h->input == INPUT_HEAD ? (uint32_t)http1_held(h) : 0;
    if (h->input != INPUT_HEAD)
        return;
    h->head->origin = http1_held_bytes(h).p;
    if (http1_held(h) > http1_head_bytes_max(h))
        http1_refuse(h, h->server && !http1_line_whole(h->head) ? &refusal_url : http1_too_large(h),
                     NULL);
    else if (h->server)
        arm_for_head(h);
}

static void consume_held(struct http1 *h)
{
    struct held *b = h->held;

    h->held = NULL;
    b->start += consume(h, b->bytes + b->start, b->end - b->start, h->held_parsed);
    if (h->gone) {
        bury_held(h, b);
        return;
    }
    if (put_back(h, b))
        note_rest(h);
    else
        http1_close_gone(h);
}

static void consume_read(struct http1 *h, const char *p, size_t n)
{
    size_t done = consume(h, p, n, 0);

    if (h->gone)
        return;
    if (hold(h, p + done, n - done))
        note_rest(h);
    else
        http1_close_gone(h);
}

/* Server: more is read only when what is held is used up, so that a client which asks faster than
 * it takes its answers costs no memory. */
void http1_want(struct http1 *h)
{
    bool held = http1_held(h) > 0;

    if (h->gone || !h->server)
        return;
    switch (h->input) {
    case INPUT_IDLE:
        conn_read(h->conn, !held && may_begin(h));
        break;
    case INPUT_HEAD:
        conn_read(h->conn, true);
        break;
    case INPUT_BODY:
    case INPUT_BYTES:
        conn_read(h->conn, !h->paused);
        break;
    case INPUT_OVER: /* the end of the connection is to be seen */
        if (held)
            http1_stop_reading(h);
        else
            conn_read(h->conn, true);
        break;
    default:
        break;
    }
}

void http1_go_on(struct http1 *h)
{
    while (!h->gone && h->server && h->input == INPUT_IDLE && h->held && may_begin(h)) {
        h->parsing = true;
        consume_held(h);
        h->parsing = false;
    }
    http1_want(h);
    if (!h->gone && h->server && h->conn->eof)
        http1_server_eof(h);
}

/*
 * A peer that writes a message in small pieces, head and body apart say, is not
 * kept waiting for the acknowledgement of the first. That costs a call for such a
 * message alone: one that comes whole needs none, nor a connection's first, which
 * the kernel acknowledges at once by itself.
 */
static void acknowledge(struct http1 *h, size_t n)
{
    enum { SMALL = 4096 };
    bool more = h->input == INPUT_HEAD || h->input == INPUT_BODY;

    if (!more || h->acknowledged || n > SMALL || !h->messages)
        return;
    h->acknowledged = true;
    conn_acknowledge(h->conn);
}

void http1_feed(struct http1 *h, char *data, size_t n)
{
    bool later = h->parsing || h->input == INPUT_OVER || (h->input == INPUT_IDLE && !may_begin(h));

    if (h->gone || h->input == INPUT_REFUSED)
        return;
    if ((later || h->held) && !hold(h, data, n)) {
        http1_close_gone(h);
        return;
    }
    if (later) {
        http1_stop_reading(h); /* enough: what is under way comes first */
        return;
    }
    h->parsing = true;
    if (h->held)
        consume_held(h);
    else
        consume_read(h, data, n);
    h->parsing = false;
    if (!h->gone)
        acknowledge(h, n);
    http1_go_on(h);
}

void http1_switch_protocols(struct stream *s)
{
    struct http1 *h = http1_of(s);

    h->input = INPUT_BYTES;
    h->output = OUTPUT_BYTES;
    h->close = true;
    h->paused = false;
    conn_read(h->conn, true);
    if (!h->parsing && h->held) { /* else whoever parses goes on with what came behind the head */
        h->parsing = true;
        consume_held(h);
        h->parsing = false;
    }
    if (!h->gone && h->conn->eof && h->server)
        http1_server_eof(h);
}

void http1_refuse(struct http1 *h, const struct refusal *why, struct message *partial)
{
    static struct message nothing;
    struct message *m = partial;

    if (!h->server) {
        bool limit = why == &refusal_response_bytes || why == &refusal_response_headers;

        h->input = INPUT_REFUSED;
        h->stream.rule = why;
        if (h->stream.events)
            h->stream.events->on_failed(h->stream.owner,
                                        limit ? SPAN_ERROR_RESPONSE_LIMIT : SPAN_ERROR_PROTOCOL);
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
