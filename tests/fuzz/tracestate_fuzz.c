/*
 * Any tracestate fields behind a good traceparent: what goes on is a valid list
 * within the limits, the next hop reads the same, and changing a member changes
 * that member only. The first line is the limit of a cut, and a key to change.
 */
#include <stdlib.h>

#include "fuzz_fields.h"
#include "propagation/propagator.h"
#include "propagation/tracestate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The number of members; the list must be valid, and within the limit. */
static unsigned check_list(struct str list, size_t limit_bytes)
{
    unsigned members;

    assert(list.p && list.n <= limit_bytes);
    assert(tracestate_valid(list, &members));
    assert(members <= TRACESTATE_MEMBERS_MAX);
    return members;
}

/* Every member of the part is in the whole, and in the same order. */
static void check_part(struct str part, struct str whole)
{
    struct str member, other;

    while (str_next_member(&part, &member)) {
        do
            assert(str_next_member(&whole, &other));
        while (!str_eq(member, other));
    }
}

static void check_joined(const struct headers *fields, struct str list)
{
    bool all_valid = true;
    unsigned members, sum = 0;
    size_t bytes = 0;

    for (size_t i = 0; i < fields->n; i++) {
        bytes += 1 + fields->v[i].value.n;
        if (fields->v[i].id != HEADER_TRACESTATE)
            continue;
        if (tracestate_valid(fields->v[i].value, &members))
            sum += members;
        else
            all_valid = false;
    }
    members = check_list(list, TRACESTATE_BYTES_MAX);
    assert((members == 0) == (list.n == 0));
    if (!all_valid || sum > TRACESTATE_MEMBERS_MAX)
        assert(members == 0);
    else if (bytes <= TRACESTATE_BYTES_MAX)
        assert(members == sum);
}

static void check_changes(struct str list, struct str key, struct arena *arena)
{
    static const struct str value = STR_INIT("th:8");
    unsigned before = check_list(list, TRACESTATE_BYTES_MAX), after;
    struct str put = tracestate_put(list, key, value, arena);
    struct str gone = tracestate_remove(list, key, arena);

    after = check_list(put, TRACESTATE_BYTES_MAX);
    check_list(gone, list.n);
    check_part(gone, list);
    if (str_eq(put, list))
        return;
    assert(after >= 1 && after <= before + 1);
    assert(str_eq(tracestate_get(put, key), value));
    assert(!tracestate_get(gone, key).p);
    check_part(str_slice(put, key.n + 1 + value.n, put.n), gone);
}

static void check_next_hop(struct headers *fields, const struct trace_context *ctx,
                           struct arena *arena)
{
    struct propagators set = propagators_default();
    struct trace_context next;

    assert(propagators_inject(&set, ctx, fields, arena));
    assert(headers_count(fields, HEADER_TRACESTATE) == (ctx->tracestate.n > 0));
    assert(propagators_extract(&set, fields, arena, &next) == EXTRACT_VALID);
    assert(str_eq(next.tracestate, ctx->tracestate));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct propagators set = propagators_default();
    struct str input = str_of((const char *)data, size), key, line, cut;
    struct headers fields = {0};
    struct trace_context ctx;
    struct arena arena;
    size_t limit;

    if (!str_split(&input, '\n', &key))
        return 0;
    limit = key.n > 0 ? (size_t)(uint8_t)key.p[0] * 4 : 0;
    arena_init(&arena, 0, 0);
    assert(headers_add(&fields, &arena, STR("traceparent"),
                       STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03")));
    while (str_split(&input, '\n', &line))
        assert(headers_add(&fields, &arena, STR("tracestate"), fuzz_copy(line, &arena)));

    assert(propagators_extract(&set, &fields, &arena, &ctx) == EXTRACT_VALID);
    check_joined(&fields, ctx.tracestate);
    check_changes(ctx.tracestate, key, &arena);
    cut = tracestate_cut(ctx.tracestate, limit, &arena);
    check_list(cut, limit);
    check_part(cut, ctx.tracestate);
    check_next_hop(&fields, &ctx, &arena);
    arena_release(&arena);
    return 0;
}
