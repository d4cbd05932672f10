/*
 * A version byte of 0, then fields of fixed length in the order of their ids:
 * 0 and the trace id, 1 and the span id, 2 and the options. Fields behind these
 * belong to whoever knows them.
 */
#include "propagation/grpc_trace_bin.h"

#include "base/base64.h"

enum { VERSION = 0, ID_TRACE = 0, ID_SPAN = 1, ID_OPTIONS = 2, OPTION_SAMPLED = 0x01 };
/* Where the ids of the fields stand. */
enum { TRACE_AT = 1, SPAN_AT = 18, OPTIONS_AT = 27, CONTEXT_BYTES = 29 };
enum { CONTEXT_DIGITS = BASE64_LENGTH(CONTEXT_BYTES) };
/* Room for what a later writer appends; more is nothing that identifies a span. */
enum { DIGITS_MAX = 256 };

static bool parse(const uint8_t *bytes, size_t n, struct trace_context *out)
{
    struct trace_context ctx = {0};

    if (n < OPTIONS_AT || bytes[0] != VERSION || bytes[TRACE_AT] != ID_TRACE ||
        bytes[SPAN_AT] != ID_SPAN)
        return false;
    memcpy(ctx.trace_id.bytes, bytes + TRACE_AT + 1, sizeof ctx.trace_id.bytes);
    memcpy(ctx.span_id.bytes, bytes + SPAN_AT + 1, sizeof ctx.span_id.bytes);
    if (trace_id_is_zero(&ctx.trace_id) || span_id_is_zero(&ctx.span_id))
        return false;
    if (n >= CONTEXT_BYTES && bytes[OPTIONS_AT] == ID_OPTIONS &&
        (bytes[OPTIONS_AT + 1] & OPTION_SAMPLED))
        ctx.flags = TRACE_FLAG_SAMPLED;
    *out = ctx;
    return true;
}

enum extract_result grpc_trace_bin_extract(const struct headers *fields, struct arena *arena,
                                           struct trace_context *out)
{
    const struct header *field = headers_find(fields, HEADER_GRPC_TRACE_BIN);
    uint8_t bytes[3 * DIGITS_MAX / 4 + 3];
    size_t n;

    if (!field)
        return EXTRACT_ABSENT;
    struct str value = str_trim_ows(field->value);
    if (headers_next(fields, field) || value.n > DIGITS_MAX || !base64_decode(value, bytes, &n) ||
        !parse(bytes, n, out))
        return EXTRACT_INVALID;
    return EXTRACT_VALID;
}

bool grpc_trace_bin_inject(const struct trace_context *ctx, struct headers *fields,
                           struct arena *arena)
{
    uint8_t bytes[CONTEXT_BYTES] = {
        [0] = VERSION, [TRACE_AT] = ID_TRACE, [SPAN_AT] = ID_SPAN, [OPTIONS_AT] = ID_OPTIONS};
    char *digits = arena_alloc(arena, CONTEXT_DIGITS);

    if (!digits)
        return false;
    memcpy(bytes + TRACE_AT + 1, ctx->trace_id.bytes, sizeof ctx->trace_id.bytes);
    memcpy(bytes + SPAN_AT + 1, ctx->span_id.bytes, sizeof ctx->span_id.bytes);
    bytes[OPTIONS_AT + 1] = ctx->flags & TRACE_FLAG_SAMPLED ? OPTION_SAMPLED : 0;
    base64_encode(bytes, sizeof bytes, digits);
    return headers_add_id(fields, arena, HEADER_GRPC_TRACE_BIN, STR("grpc-trace-bin"),
                          str_of(digits, CONTEXT_DIGITS));
}
