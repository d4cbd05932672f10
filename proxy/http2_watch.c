/*
 * A look at the head of each frame before nghttp2 has it. What costs a peer
 * less than us is paid from a credit that useful frames and time fill up again;
 * and frames on streams that are gone are told apart by who ended them (RFC
 * 9113 section 5.1), which nghttp2 does not remember.
 */
#include "proxy/http2_private.h"

enum {
    PREFACE_BYTES = 24,
    CREDIT = 1000,         /* at first */
    CREDIT_A_SECOND = 100, /* for nothing */
    CONTINUATIONS_MORE = 8,
    SETTINGS_COST = 5,
    MESSAGE_HEAD = 5,     /* of gRPC: no message is smaller */
    MOVED_FOR_A_BYTE = 2, /* so a message pays for the windows of its stream and its connection */
    UPDATE_COST = 3,
    MOVED_MOST = 32 << 20, /* more than implementations of gRPC let be under way */
};

void http2_watch_init(struct http2_watch *w, bool server, nsec_t now)
{
    w->skip = server ? PREFACE_BYTES : 0;
    w->credit = CREDIT;
    w->credited = now;
}

/* ---- credit ---- */

static const char *const kinds[ABUSE_COUNT] = {
    [ABUSE_RAPID_RESET] = "rapid-reset",
    [ABUSE_RESET] = "reset",
    [ABUSE_CONTINUATION] = "continuation",
    [ABUSE_SETTINGS] = "settings",
    [ABUSE_PING] = "ping",
    [ABUSE_EMPTY_FRAMES] = "empty-frames",
    [ABUSE_HEADER_LIST] = "header-list",
    [ABUSE_PRIORITY] = "priority",
    [ABUSE_WINDOW_UPDATE] = "window-update",
    [ABUSE_STALL] = "stall",
};

void http2_abused(struct http2 *h, enum http2_abuse kind, uint32_t code)
{
    struct http_shared *shared = h->shared;
    char peer[ADDRESS_TEXT_MAX], others[LOG_HELD_TEXT];
    unsigned held;

    if (h->ending || h->gone)
        return;
    metrics_add(shared->metrics, (enum counter)((unsigned)COUNT_ABUSE_RAPID_RESET + (unsigned)kind),
                1);
    if (log_limit_allow(&shared->abuse_log, 10, loop_now(h->loop), &held)) {
        address_format(&h->conn->peer, peer);
        log_write(LOG_WARN, "http2",
                  "ended the HTTP/2 connection of %s: it is abused (%s), GOAWAY %u%s", peer,
                  kinds[kind], code, log_held_text(held, others));
    }
    http2_terminate(h, code, SPAN_ERROR_ABUSE);
}

static void refill(struct http2 *h)
{
    struct http2_watch *w = &h->watch;
    nsec_t now = loop_now(h->loop);
    nsec_t earned = (now - w->credited) / (SECONDS(1) / CREDIT_A_SECOND);

    if (earned > HTTP2_CREDIT_MOST)
        earned = HTTP2_CREDIT_MOST;
    w->credit += (int32_t)earned;
    if (w->credit > HTTP2_CREDIT_MOST)
        w->credit = HTTP2_CREDIT_MOST;
    if (earned)
        w->credited = now;
}

void http2_spend(struct http2 *h, enum http2_abuse kind, int cost)
{
    struct http2_watch *w = &h->watch;

    w->credit -= cost;
    if (w->credit > HTTP2_CREDIT_MOST || w->credit < 0)
        refill(h);
    if (w->credit < 0)
        http2_abused(h, kind, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Whoever reads message by message opens the windows for each (grpc-core does), however small it is
 * and whether or not more waits: as many times as there were messages. What comes through octet by
 * octet pays for nothing. */
void http2_moved(struct http2 *h, size_t n, bool waiting)
{
    struct http2_watch *w = &h->watch;

    if (waiting && n < MESSAGE_HEAD)
        return;
    w->moved = n < (MOVED_MOST - w->moved) / MOVED_FOR_A_BYTE
                   ? w->moved + MOVED_FOR_A_BYTE * (uint32_t)n
                   : MOVED_MOST;
}

/* An upstream opens windows for what we have sent to it; nothing is kept of one, nor answered, and
 * others' requests are on that connection: it is never the reason to end it. */
void http2_spend_update(struct http2 *h)
{
    struct http2_watch *w = &h->watch;

    if (!h->server)
        return;
    if (w->moved >= UPDATE_COST)
        w->moved -= UPDATE_COST;
    else
        http2_spend(h, ABUSE_WINDOW_UPDATE, 1);
}

/* ---- streams that are gone ---- */

static bool has(const uint32_t *ids, uint32_t id)
{
    for (size_t i = 0; i < HTTP2_LATE_MAX; i++)
        if (ids[i] == id)
            return true;
    return false;
}

void http2_watch_closed(struct http2 *h, uint32_t id, bool by_peer)
{
    struct http2_watch *w = &h->watch;

    if (by_peer) {
        w->ended[w->n_ended++ % HTTP2_LATE_MAX] = id;
    } else {
        w->reset[w->n_reset++ % HTTP2_LATE_MAX] = id;
        w->forgot |= w->n_reset > HTTP2_LATE_MAX;
    }
}

/* The code that the connection is ended with for a frame on a stream that is not open; 0: none. */
static uint32_t gone_stream_error(const struct http2 *h, uint8_t type, uint32_t id)
{
    const struct http2_watch *w = &h->watch;

    if (nghttp2_session_get_stream_user_data(h->session, (int32_t)id))
        return 0;
    if (has(w->ended, id))
        return NGHTTP2_STREAM_CLOSED;
    /* After GOAWAY nghttp2 passes over new streams without a word. */
    if (type != NGHTTP2_HEADERS || has(w->reset, id) || w->forgot || h->going)
        return 0;
    return NGHTTP2_PROTOCOL_ERROR; /* it never was, and its number has been passed by */
}

/* ---- the look ---- */

struct frame_head {
    uint32_t length, id;
    uint8_t type, flags;
};

static uint32_t id_at(const unsigned char *p)
{
    return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]) & 0x7fffffff;
}

static struct frame_head unpack(const unsigned char *p)
{
    return (struct frame_head){
        .length = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2],
        .type = p[3],
        .flags = p[4],
        .id = id_at(p + 5),
    };
}

/* We have said that we take no priorities, so nghttp2 does not look at them (sections 5.3, 6.3). */
static bool priority_invalid(const struct http2_watch *w, const struct frame_head *f)
{
    return f->type == NGHTTP2_PRIORITY &&
           (f->id == 0 ||
            (w->n_head > HTTP2_FRAME_HEAD && id_at(w->head + HTTP2_FRAME_HEAD) == f->id));
}

/* How much of a frame is to be seen at once: its head, and whom a PRIORITY depends on. */
static size_t wanted(const struct http2_watch *w)
{
    if (w->n_head < HTTP2_FRAME_HEAD || w->head[3] != NGHTTP2_PRIORITY ||
        unpack(w->head).length < HTTP2_DEPENDENCY)
        return HTTP2_FRAME_HEAD;
    return HTTP2_FRAME_HEAD + HTTP2_DEPENDENCY;
}

/* As many as a head has that may be told to be too large, and some that are smaller than need be.
 */
static size_t continuations_max(const struct http2 *h)
{
    return CONTINUATIONS_MORE + 2 * HTTP2_BOMB_FACTOR * http2_head_limit(h) / HTTP2_FRAME_BYTES;
}

static void count(struct http2 *h, const struct frame_head *f)
{
    bool ack = (f->flags & NGHTTP2_FLAG_ACK) != 0;

    switch (f->type) {
    case NGHTTP2_DATA:
        if (f->length == 0 && !(f->flags & NGHTTP2_FLAG_END_STREAM))
            http2_spend(h, ABUSE_EMPTY_FRAMES, 1);
        break;
    case NGHTTP2_HEADERS:
        h->watch.continuations = 0;
        break;
    case NGHTTP2_CONTINUATION:
        if (++h->watch.continuations > continuations_max(h))
            http2_abused(h, ABUSE_CONTINUATION, NGHTTP2_ENHANCE_YOUR_CALM);
        else if (f->length == 0)
            http2_spend(h, ABUSE_EMPTY_FRAMES, 1);
        break;
    case NGHTTP2_PRIORITY:
        http2_spend(h, ABUSE_PRIORITY, 1);
        break;
    case NGHTTP2_RST_STREAM: /* an upstream may end what we have begun, once */
        if (h->server || !nghttp2_session_get_stream_user_data(h->session, (int32_t)f->id))
            http2_spend(h, ABUSE_RAPID_RESET, 1);
        break;
    case NGHTTP2_SETTINGS:
        http2_spend(h, ABUSE_SETTINGS, ack ? 1 : SETTINGS_COST);
        break;
    case NGHTTP2_PING:
        http2_spend(h, ABUSE_PING, 1);
        break;
    case NGHTTP2_WINDOW_UPDATE: /* when it is known by how much */
    case NGHTTP2_GOAWAY:
        break;
    default:
        http2_spend(h, ABUSE_EMPTY_FRAMES, 1);
        break;
    }
}

/* Opens a stream, or belongs to one that is to be looked up, when all before it was read. */
static bool needs_stream(const struct http2 *h, const struct frame_head *f)
{
    return h->server && f->id && f->id <= h->watch.highest &&
           (f->type == NGHTTP2_DATA || f->type == NGHTTP2_HEADERS);
}

/* Part of a block that comes in several frames, which goes another way: http2_block.c. What is an
 * error of its frames is left to nghttp2. */
static bool in_parts(const struct http2 *h, const struct frame_head *f)
{
    uint32_t id = http2_block_id(h);

    if (f->length > HTTP2_FRAME_BYTES || f->id == 0)
        return false;
    return id ? f->type == NGHTTP2_CONTINUATION && f->id == id
              : f->type == NGHTTP2_HEADERS && !(f->flags & NGHTTP2_FLAG_END_HEADERS);
}

/* This frame may be the one that the connection is ended for. */
static bool may_end(const struct http2 *h, const struct frame_head *f)
{
    const struct http2_watch *w = &h->watch;

    return w->credit <= SETTINGS_COST || w->continuations >= continuations_max(h) ||
           priority_invalid(w, f);
}

/* What stands before it must have been read before this frame is looked at. */
static bool waits_for_others(const struct http2 *h, const struct frame_head *f)
{
    return h->watch.in_parts || needs_stream(h, f) || may_end(h, f);
}

/* Looks at the frame whose head is there. False: the connection is being ended. */
static bool look_at(struct http2 *h, const struct frame_head *f)
{
    struct http2_watch *w = &h->watch;
    uint32_t error = 0;

    if (needs_stream(h, f))
        error = gone_stream_error(h, f->type, f->id);
    else if (f->type == NGHTTP2_HEADERS && f->id > w->highest)
        w->highest = f->id;
    if (priority_invalid(w, f))
        error = NGHTTP2_PROTOCOL_ERROR;
    if (error)
        http2_terminate(h, error, SPAN_ERROR_PROTOCOL);
    else
        count(h, f);
    if (f->type == NGHTTP2_HEADERS || f->type == NGHTTP2_CONTINUATION) {
        w->block = true;
        w->block_ends = f->flags & NGHTTP2_FLAG_END_HEADERS;
    }
    w->skip = f->length - (w->n_head - HTTP2_FRAME_HEAD);
    if (h->ending || !w->in_parts)
        return !h->ending;
    if (f->type == NGHTTP2_HEADERS)
        return http2_block_begin(h, f->id, f->flags, f->length);
    http2_block_goes_on(h, f->length);
    return true;
}

/* A frame is all there. False: the connection is being ended. */
static bool frame_over(struct http2 *h)
{
    struct http2_watch *w = &h->watch;

    if (!w->block || !w->block_ends)
        return true;
    w->block = w->block_ends = false;
    h->block_since = 0;
    return !w->in_parts || http2_block_end(h);
}

/* A block that has not come at once has its time, whatever nghttp2 makes of it. */
static void watch_block(struct http2 *h)
{
    if (!h->watch.block || h->block_since)
        return;
    h->block_since = loop_now(h->loop);
    http2_rearm(h);
}

/* Bytes that came: those before `given` were given to nghttp2. */
struct came {
    const char *p;
    size_t n, at, given;
    size_t start; /* of the frame whose head is being read; 0: or before */
    bool held;    /* its first bytes came before, and were not given */
};

static bool give_up_to(struct http2 *h, struct came *in, size_t end)
{
    size_t from = in->given;

    in->given = end;
    return end == from || http2_give(h, in->p + from, end - from);
}

/* The next bytes of a payload. */
static bool pass_payload(struct http2 *h, struct came *in, size_t step)
{
    struct http2_watch *w = &h->watch;
    const char *p = in->p + in->at;

    w->skip -= (uint32_t)step;
    in->at += step;
    if (w->in_parts) {
        in->given = in->at;
        if (!http2_block_take(h, p, step))
            return false;
    }
    return w->skip || frame_over(h);
}

/* The next bytes of a frame's head. */
static bool pass_head(struct http2 *h, struct came *in, size_t step)
{
    struct http2_watch *w = &h->watch;
    struct frame_head f;

    if (w->n_head == 0)
        in->start = in->at;
    memcpy(w->head + w->n_head, in->p + in->at, step);
    w->n_head = (uint8_t)(w->n_head + step);
    in->at += step;
    if (w->n_head < wanted(w))
        return true;
    f = unpack(w->head);
    w->in_parts = in_parts(h, &f);
    if (waits_for_others(h, &f) && !give_up_to(h, in, in->start))
        return false;
    if (!look_at(h, &f))
        return false;
    if (w->in_parts || in->held) {
        in->given = in->at;
        if (!w->in_parts && !http2_give(h, (const char *)w->head, w->n_head))
            return false;
    }
    in->held = false;
    w->n_head = 0;
    return w->skip || frame_over(h);
}

void http2_look(struct http2 *h, const char *data, size_t n)
{
    struct http2_watch *w = &h->watch;
    struct came in = {.p = data, .n = n, .held = w->n_head > 0};

    while (in.at < n) {
        size_t left = w->skip ? w->skip : wanted(w) - w->n_head;
        size_t step = n - in.at < left ? n - in.at : left;

        if (!(w->skip ? pass_payload(h, &in, step) : pass_head(h, &in, step)))
            return;
    }
    if (give_up_to(h, &in, w->n_head ? in.start : n))
        watch_block(h);
}
