/*
 * Any fields in, one good traceparent out, and what the next hop reads from it
 * is what was sent.
 */
#include <stdlib.h>

#include "fuzz_fields.h"
#include "propagation/baggage.h"
#include "propagation/propagator.h"
#include "propagation/traceparent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct trace_context *a, const struct trace_context *b)
{
    return trace_id_eq(&a->trace_id, &b->trace_id) && span_id_eq(&a->span_id, &b->span_id) &&
           a->flags == b->flags && str_eq(a->tracestate, b->tracestate);
}

/* What was read is written in the one field that came, letter by letter. */
static void check_valid(const struct trace_context *ctx, const struct headers *fields)
{
    const struct header *parent = headers_find(fields, HEADER_TRACEPARENT);
    char expected[TRACEPARENT_LENGTH];
    struct trace_context read;
    struct str value;

    if (!parent || headers_next(fields, parent) || !traceparent_parse(parent->value, &read)) {
        assert(headers_count(fields, HEADER_GRPC_TRACE_BIN) == 1);
        assert(!trace_id_is_zero(&ctx->trace_id) && !span_id_is_zero(&ctx->span_id));
        return;
    }
    value = str_trim_ows(parent->value);
    assert(headers_count(fields, HEADER_TRACEPARENT) == 1);
    assert(value.n == TRACEPARENT_LENGTH || !str_starts(value, STR("00")));
    assert(str_index(value, ',', 0) == value.n);
    assert(!trace_id_is_zero(&ctx->trace_id) && !span_id_is_zero(&ctx->span_id));
    assert((ctx->flags & ~(TRACE_FLAG_SAMPLED | TRACE_FLAG_RANDOM)) == 0);
    traceparent_format(ctx, expected);
    assert(memcmp(value.p + 2, expected + 2, TRACEPARENT_LENGTH - 4) == 0);
}

/* An application's own x-trace-id stays as it came, however often; where none came one is sent. */
static void check_sent(const struct headers *fields, size_t own_ids)
{
    const struct header *parent = headers_find(fields, HEADER_TRACEPARENT);
    struct str members = {0}, member;
    unsigned n = 0;

    assert(headers_count(fields, HEADER_TRACEPARENT) == 1);
    assert(headers_count(fields, HEADER_TRACESTATE) <= 1);
    assert(headers_count(fields, HEADER_X_TRACE_ID) == (own_ids ? own_ids : 1));
    assert(headers_count(fields, HEADER_GRPC_TRACE_BIN) <= 1);
    assert(str_eq(parent->name, STR("traceparent")));
    assert(parent->value.n == TRACEPARENT_LENGTH && str_starts(parent->value, STR("00-")));
    for (size_t i = 0; i < parent->value.n; i++)
        assert(strchr("0123456789abcdef-", parent->value.p[i]));
    for (size_t i = 0; i < fields->n; i++) {
        if (fields->v[i].id != HEADER_BAGGAGE)
            continue;
        members = fields->v[i].value;
        while (str_next_member(&members, &member))
            n++;
    }
    assert(n <= BAGGAGE_MEMBERS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct propagators set = propagators_default();
    struct trace_context ctx, next;
    struct headers fields = {0};
    struct arena arena;
    struct random chance;
    size_t others, own_ids;

    arena_init(&arena, 0, 0);
    random_init_seed(&chance, size);
    fuzz_fields(str_of((const char *)data, size), &fields, &arena);
    others = headers_count(&fields, HEADER_OTHER);
    own_ids = headers_count(&fields, HEADER_X_TRACE_ID);

    if (propagators_extract(&set, &fields, &arena, &ctx) == EXTRACT_VALID)
        check_valid(&ctx, &fields);
    else
        trace_context_start(&ctx, &chance);
    for (unsigned hop = 0; hop < 2; hop++) {
        assert(propagators_inject(&set, &ctx, &fields, &arena));
        check_sent(&fields, own_ids);
        assert(headers_count(&fields, HEADER_OTHER) == others);
        assert(propagators_extract(&set, &fields, &arena, &next) == EXTRACT_VALID);
        assert(same(&ctx, &next));
    }
    arena_release(&arena);
    return 0;
}
