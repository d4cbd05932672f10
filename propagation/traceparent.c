/*
 * version "-" trace-id "-" parent-id "-" trace-flags, with a fixed place for
 * every byte.
 */
#include "propagation/traceparent.h"

#include "propagation/hex.h"

/* Where the fields of version 00 begin; the version is at 0. */
enum { TRACE_ID_AT = 3, SPAN_ID_AT = 36, FLAGS_AT = 53 };
enum { VERSION_KNOWN = 0x00, VERSION_FORBIDDEN = 0xff };
enum { FLAGS_KNOWN = TRACE_FLAG_SAMPLED | TRACE_FLAG_RANDOM };

/* Text behind the 55 characters: none in version 00, "-" and anything in later ones. A comma is
 * never part of it, because two values that somebody joined must not pass for one. */
static bool tail_is_allowed(uint8_t version, struct str tail)
{
    if (tail.n == 0)
        return true;
    return version != VERSION_KNOWN && tail.p[0] == '-' && str_index(tail, ',', 0) == tail.n;
}

bool traceparent_parse(struct str value, struct trace_context *out)
{
    struct str v = str_trim_ows(value);
    struct trace_id trace_id;
    struct span_id span_id;
    uint8_t version, flags;

    if (v.n < TRACEPARENT_LENGTH || v.p[TRACE_ID_AT - 1] != '-' || v.p[SPAN_ID_AT - 1] != '-' ||
        v.p[FLAGS_AT - 1] != '-')
        return false;
    if (!hex_decode1(v.p, &version) || version == VERSION_FORBIDDEN)
        return false;
    if (!trace_id_from_hex(str_of(v.p + TRACE_ID_AT, TRACE_ID_HEX), &trace_id) ||
        !span_id_from_hex(str_of(v.p + SPAN_ID_AT, SPAN_ID_HEX), &span_id) ||
        !hex_decode1(v.p + FLAGS_AT, &flags))
        return false;
    if (!tail_is_allowed(version, str_slice(v, TRACEPARENT_LENGTH, v.n)))
        return false;
    out->trace_id = trace_id;
    out->span_id = span_id;
    out->flags = flags & FLAGS_KNOWN;
    return true;
}

void traceparent_format(const struct trace_context *ctx, char *out)
{
    memcpy(out, "00-", TRACE_ID_AT);
    trace_id_to_hex(&ctx->trace_id, out + TRACE_ID_AT);
    out[SPAN_ID_AT - 1] = '-';
    span_id_to_hex(&ctx->span_id, out + SPAN_ID_AT);
    out[FLAGS_AT - 1] = '-';
    out[FLAGS_AT] = '0';
    out[FLAGS_AT + 1] = hex_digit(ctx->flags & FLAGS_KNOWN);
}
