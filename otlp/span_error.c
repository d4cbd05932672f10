#include "otlp/span_error.h"

#include <assert.h>
#include <stddef.h>

#define SPAN_ERROR_ROW(id, name, by, http, grpc, what, rule, cure) \
    [id] = {name, ENDED_BY_##by, http, grpc, what, rule, cure},
static const struct span_error_row rows[SPAN_ERROR_COUNT] = {SPAN_ERRORS(SPAN_ERROR_ROW)};
#undef SPAN_ERROR_ROW

const struct span_error_row *span_error_row(enum span_error e)
{
    assert((unsigned)e < SPAN_ERROR_COUNT);
    return &rows[e];
}

const char *ended_by_text(enum ended_by by)
{
    static const char *const names[] = {
        [ENDED_BY_NOBODY] = "",
        [ENDED_BY_CLIENT] = "client",
        [ENDED_BY_UPSTREAM] = "upstream",
        [ENDED_BY_SIDECAR] = "sidecar",
    };

    return names[by];
}
