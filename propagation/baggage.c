/*
 * Nothing is parsed but the commas: baggage has no quoted strings, so each one
 * ends a member.
 */
#include "propagation/baggage.h"

enum extract_result baggage_extract(const struct headers *fields, struct arena *arena,
                                    struct trace_context *out)
{
    return EXTRACT_ABSENT;
}

/* Of all fields together. */
struct budget {
    unsigned members;
    size_t bytes; /* with the commas that would join the fields */
};

/* The front of the value that is within the limits; empty: no member is. Once
 * a member was over them, all that follow are. */
static struct str take_members(struct str value, struct budget *budget)
{
    size_t taken = 0, at = 0;

    while (at < value.n) {
        size_t end = str_index(value, ',', at);

        if (str_trim_ows(str_slice(value, at, end)).n > 0) {
            if (budget->members == BAGGAGE_MEMBERS_MAX || budget->bytes + end > BAGGAGE_BYTES_MAX) {
                budget->members = BAGGAGE_MEMBERS_MAX;
                break;
            }
            budget->members++;
            taken = end;
        }
        at = end + 1;
    }
    if (taken > 0)
        budget->bytes += taken + 1;
    return str_slice(value, 0, taken);
}

static void cut_to_limits(struct headers *fields)
{
    struct budget budget = {0};
    size_t kept = 0;

    for (size_t i = 0; i < fields->n; i++) {
        struct header field = fields->v[i];

        if (field.id == HEADER_BAGGAGE) {
            field.value = take_members(field.value, &budget);
            if (field.value.n == 0)
                continue;
        }
        fields->v[kept++] = field;
    }
    fields->n = kept;
}

static size_t bytes_together(const struct headers *fields, const struct header *first)
{
    size_t bytes = first->value.n;

    for (const struct header *f = first; (f = headers_next(fields, f));)
        bytes += 1 + f->value.n;
    return bytes;
}

static unsigned members_together(const struct headers *fields, const struct header *first)
{
    unsigned members = 0;

    for (const struct header *f = first; f; f = headers_next(fields, f)) {
        struct str rest = f->value, member;

        while (str_next_member(&rest, &member))
            members++;
    }
    return members;
}

static bool is_within_limits(const struct headers *fields, const struct header *first)
{
    size_t bytes = bytes_together(fields, first);

    /* A member and its comma are two bytes at least: little text needs no counting. */
    return bytes < 2 * BAGGAGE_MEMBERS_MAX ||
           (bytes <= BAGGAGE_BYTES_MAX && members_together(fields, first) <= BAGGAGE_MEMBERS_MAX);
}

bool baggage_inject(const struct trace_context *ctx, struct headers *fields, struct arena *arena)
{
    const struct header *first = headers_find(fields, HEADER_BAGGAGE);

    if (first && !is_within_limits(fields, first))
        cut_to_limits(fields);
    return true;
}
