/*
 * The rows, and W3C Trace Context as the one format that is always sent.
 */
#include "propagation/propagator.h"

#include <assert.h>

#include "propagation/baggage.h"
#include "propagation/grpc_trace_bin.h"
#include "propagation/traceparent.h"
#include "propagation/tracestate.h"
#include "propagation/x_trace_id.h"

/* A tracestate without a usable traceparent is never read, so it goes no further: inject removes
 * it. Several traceparents are none, for nobody can say which of them is the caller's. */
static enum extract_result tracecontext_extract(const struct headers *fields, struct arena *arena,
                                                struct trace_context *out)
{
    const struct header *parent = headers_find(fields, HEADER_TRACEPARENT);

    if (!parent)
        return EXTRACT_ABSENT;
    if (headers_next(fields, parent) || !traceparent_parse(parent->value, out))
        return EXTRACT_INVALID;
    out->tracestate = tracestate_from_headers(fields, arena);
    return EXTRACT_VALID;
}

static bool tracecontext_inject(const struct trace_context *ctx, struct headers *fields,
                                struct arena *arena)
{
    char *parent = arena_alloc(arena, TRACEPARENT_LENGTH);

    if (!parent)
        return false;
    traceparent_format(ctx, parent);
    if (!headers_add_id(fields, arena, HEADER_TRACEPARENT, STR("traceparent"),
                        str_of(parent, TRACEPARENT_LENGTH)))
        return false;
    return ctx->tracestate.n == 0 ||
           headers_add_id(fields, arena, HEADER_TRACESTATE, STR("tracestate"), ctx->tracestate);
}

_Static_assert(HEADER_ID_COUNT <= 64, "the fields that a format replaces are bits of a uint64_t");

static const struct propagator rows[PROPAGATOR_COUNT] = {
    [PROPAGATOR_TRACECONTEXT] = {"tracecontext", tracecontext_extract,
                                 HEADER_BIT(HEADER_TRACEPARENT) | HEADER_BIT(HEADER_TRACESTATE),
                                 tracecontext_inject},
    [PROPAGATOR_BAGGAGE] = {"baggage", baggage_extract, 0, baggage_inject},
    [PROPAGATOR_X_TRACE_ID] = {"x-trace-id", x_trace_id_extract, HEADER_BIT(HEADER_X_TRACE_ID),
                               x_trace_id_inject},
    [PROPAGATOR_GRPC_TRACE_BIN] = {"grpc-trace-bin", grpc_trace_bin_extract,
                                   HEADER_BIT(HEADER_GRPC_TRACE_BIN), grpc_trace_bin_inject},
};

const struct propagator *propagator_named(struct str name, enum propagator_id *id)
{
    for (unsigned i = 0; i < PROPAGATOR_COUNT; i++) {
        if (str_eq(name, str_from(rows[i].name))) {
            *id = (enum propagator_id)i;
            return &rows[i];
        }
    }
    return NULL;
}

const struct propagator *propagator_at(enum propagator_id id)
{
    assert(id < PROPAGATOR_COUNT);
    return &rows[id];
}

struct propagators propagators_default(void)
{
    return (struct propagators){.n = 4,
                                .v = {PROPAGATOR_TRACECONTEXT, PROPAGATOR_BAGGAGE,
                                      PROPAGATOR_X_TRACE_ID, PROPAGATOR_GRPC_TRACE_BIN},
                                .in_kind = 1u << PROPAGATOR_GRPC_TRACE_BIN,
                                .where_none = 1u << PROPAGATOR_X_TRACE_ID};
}

static bool propagators_have(const struct propagators *set, enum propagator_id id)
{
    for (unsigned i = 0; i < set->n; i++)
        if (set->v[i] == id)
            return true;
    return false;
}

bool propagators_add(struct propagators *set, enum propagator_id id)
{
    if (propagators_have(set, id))
        return false;
    assert(set->n < PROPAGATOR_COUNT);
    set->v[set->n++] = id;
    return true;
}

enum extract_result propagators_extract(const struct propagators *set, const struct headers *fields,
                                        struct arena *arena, struct trace_context *out)
{
    enum extract_result result = EXTRACT_ABSENT;

    for (unsigned i = 0; i < set->n; i++) {
        const struct propagator *row = &rows[set->v[i]];

        if (row->replaces && !headers_may_have(fields, row->replaces))
            continue;
        switch (row->extract(fields, arena, out)) {
        case EXTRACT_VALID:
            return EXTRACT_VALID;
        case EXTRACT_INVALID:
            result = EXTRACT_INVALID;
            break;
        case EXTRACT_ABSENT:
            break;
        }
    }
    return result;
}

/* All formats' fields in one pass, because moving the rest up is what costs. Returns the ids that
 * there were. */
static uint64_t take_out(struct headers *fields, uint64_t ids)
{
    uint64_t seen = 0;
    size_t kept = 0, i;

    while (kept < fields->n && !(ids & HEADER_BIT(fields->v[kept].id)))
        kept++;
    for (i = kept; i < fields->n; i++) {
        if (ids & HEADER_BIT(fields->v[i].id))
            seen |= HEADER_BIT(fields->v[i].id);
        else
            fields->v[kept++] = fields->v[i];
    }
    fields->n = kept;
    fields->absent |= seen;
    return seen;
}

/* The fields of a format that are the application's own: it has set them, and they stay. */
static uint64_t kept_fields(const struct propagators *set, const struct headers *fields)
{
    uint64_t kept = 0;

    for (unsigned i = 0; set->where_none && i < set->n; i++)
        if (set->where_none >> set->v[i] & 1)
            kept |= rows[set->v[i]].replaces;
    for (size_t i = 0; kept && i < fields->n; i++)
        if (kept & HEADER_BIT(fields->v[i].id))
            return kept;
    return 0;
}

static bool is_sent(const struct propagators *set, enum propagator_id id, uint64_t came,
                    uint64_t kept)
{
    if (rows[id].replaces && !(rows[id].replaces & ~kept))
        return false;
    return !(set->in_kind >> id & 1) || (rows[id].replaces & came);
}

bool propagators_inject(const struct propagators *set, const struct trace_context *ctx,
                        struct headers *fields, struct arena *arena)
{
    uint64_t replaced = rows[PROPAGATOR_TRACECONTEXT].replaces, kept = 0, came = 0;

    for (unsigned i = 0; i < set->n; i++)
        replaced |= rows[set->v[i]].replaces;
    if (headers_may_have(fields, replaced)) {
        kept = kept_fields(set, fields);
        came = take_out(fields, replaced & ~kept);
    }
    if (!propagators_have(set, PROPAGATOR_TRACECONTEXT) && !tracecontext_inject(ctx, fields, arena))
        return false;
    for (unsigned i = 0; i < set->n; i++)
        if (is_sent(set, set->v[i], came, kept) && !rows[set->v[i]].inject(ctx, fields, arena))
            return false;
    return true;
}
