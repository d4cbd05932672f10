/*
 * The part of a request's body that is kept: what comes before there is an
 * upstream to take it, and what may have to be sent again. Kept as records, so
 * that the borders of chunks survive.
 */
#include "proxy/exchange_private.h"

enum record_kind { RECORD_CHUNK, RECORD_DATA };

struct record {
    uint8_t kind;
    uint64_t size; /* of the chunk, or of the data that follows */
} __attribute__((packed));

static bool add(struct exchange *x, enum record_kind kind, uint64_t size, const char *data)
{
    struct record r = {(uint8_t)kind, size};

    return buffer_add(&x->held, &r, sizeof r) &&
           (!data || buffer_add(&x->held, data, (size_t)size));
}

/* Too much to keep: it was sent, and that must do. */
static void forget(struct exchange *x)
{
    x->replayable = false;
    buffer_reset(&x->held);
}

/* What is sent before the upstream has shown its protocol and taken the request up is kept whole,
 * as if there were no upstream yet: with protocol auto it may have to be asked in HTTP/1.1, and a
 * stream may be refused. The client is paused as ever, so that this is the first window of the
 * stream and what may be queued behind it. */
static bool unproven(const struct exchange *x)
{
    const struct codec_ops *codec = x->upstream->codec;

    return codec->unproven && codec->unproven(x->upstream);
}

static bool keep(struct exchange *x, enum record_kind kind, uint64_t size, const char *data)
{
    bool kept;

    if (x->upstream && (!x->replayable || (x->held.n + size > REPLAY_BYTES_MAX && !unproven(x)))) {
        forget(x);
        return true;
    }
    kept = add(x, kind, size, data);
    if (x->upstream && !kept)
        forget(x);
    return kept || x->upstream;
}

bool exchange_hold_chunk(struct exchange *x, uint64_t size)
{
    return keep(x, RECORD_CHUNK, size, NULL);
}

bool exchange_hold_data(struct exchange *x, struct str data)
{
    return keep(x, RECORD_DATA, data.n, data.p);
}

void exchange_send_held(struct exchange *x)
{
    const char *at = x->held.p, *end = at + x->held.n;

    while (at < end) {
        struct record r;

        memcpy(&r, at, sizeof r);
        at += sizeof r;
        if (r.kind == RECORD_CHUNK) {
            x->upstream->codec->send_chunk(x->upstream, r.size);
            continue;
        }
        x->upstream->codec->send_body(x->upstream, str_of(at, (size_t)r.size));
        at += r.size;
    }
}
