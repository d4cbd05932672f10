#include "propagation/x_trace_id.h"

enum extract_result x_trace_id_extract(const struct headers *fields, struct arena *arena,
                                       struct trace_context *out)
{
    return EXTRACT_ABSENT;
}

bool x_trace_id_inject(const struct trace_context *ctx, struct headers *fields, struct arena *arena)
{
    char *hex = arena_alloc(arena, TRACE_ID_HEX);

    if (!hex)
        return false;
    trace_id_to_hex(&ctx->trace_id, hex);
    return headers_add_id(fields, arena, HEADER_X_TRACE_ID, STR("x-trace-id"),
                          str_of(hex, TRACE_ID_HEX));
}
