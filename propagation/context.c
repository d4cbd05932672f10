#include "propagation/context.h"

#include "propagation/hex.h"

bool trace_id_is_zero(const struct trace_id *id)
{
    uint64_t halves[2];

    memcpy(halves, id->bytes, sizeof halves);
    return (halves[0] | halves[1]) == 0;
}

bool span_id_is_zero(const struct span_id *id)
{
    uint64_t bits;

    memcpy(&bits, id->bytes, sizeof bits);
    return bits == 0;
}

bool trace_id_eq(const struct trace_id *a, const struct trace_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool span_id_eq(const struct span_id *a, const struct span_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void trace_id_to_hex(const struct trace_id *id, char *out)
{
    hex_encode4(id->bytes, out);
    hex_encode4(id->bytes + 4, out + 8);
    hex_encode4(id->bytes + 8, out + 16);
    hex_encode4(id->bytes + 12, out + 24);
}

void span_id_to_hex(const struct span_id *id, char *out)
{
    hex_encode4(id->bytes, out);
    hex_encode4(id->bytes + 4, out + 8);
}

bool trace_id_from_hex(struct str hex, struct trace_id *out)
{
    struct trace_id id;

    if (hex.n != TRACE_ID_HEX)
        return false;
    if (hex_decode4(hex.p, id.bytes) | hex_decode4(hex.p + 8, id.bytes + 4) |
        hex_decode4(hex.p + 16, id.bytes + 8) | hex_decode4(hex.p + 24, id.bytes + 12))
        return false;
    if (trace_id_is_zero(&id))
        return false;
    *out = id;
    return true;
}

bool span_id_from_hex(struct str hex, struct span_id *out)
{
    struct span_id id;

    if (hex.n != SPAN_ID_HEX)
        return false;
    if (hex_decode4(hex.p, id.bytes) | hex_decode4(hex.p + 8, id.bytes + 4))
        return false;
    if (span_id_is_zero(&id))
        return false;
    *out = id;
    return true;
}

void trace_context_start(struct trace_context *ctx, struct random *random)
{
    uint64_t halves[2];

    /* All 16 bytes are random, so the right-most 7 are, which is what the flag promises. */
    do {
        halves[0] = random_next(random);
        halves[1] = random_next(random);
    } while ((halves[0] | halves[1]) == 0);
    memcpy(ctx->trace_id.bytes, halves, sizeof ctx->trace_id.bytes);
    ctx->span_id = span_id_new(random);
    ctx->flags = TRACE_FLAG_RANDOM;
    ctx->tracestate = (struct str){0};
}

struct span_id span_id_new(struct random *random)
{
    struct span_id id;
    uint64_t bits;

    do
        bits = random_next(random);
    while (bits == 0);
    memcpy(id.bytes, &bits, sizeof id.bytes);
    return id;
}
