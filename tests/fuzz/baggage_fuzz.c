/*
 * Baggage of any fields: what goes on is within the limits, is made of members
 * that came, in their order, and is all of them where they were within.
 */
#include <stdlib.h>

#include "fuzz_fields.h"
#include "propagation/baggage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct total {
    unsigned members;
    size_t bytes; /* with the commas that join the fields */
};

static struct total total_of(const struct headers *fields)
{
    struct total t = {0};

    for (size_t i = 0; i < fields->n; i++) {
        struct str rest = fields->v[i].value, member;

        if (fields->v[i].id != HEADER_BAGGAGE)
            continue;
        t.bytes += (t.bytes > 0) + fields->v[i].value.n;
        while (str_next_member(&rest, &member))
            t.members++;
    }
    return t;
}

/* The next member of all baggage fields together. */
static bool next_member(const struct headers *fields, size_t *at, struct str *rest,
                        struct str *member)
{
    for (;;) {
        if (rest->p && str_next_member(rest, member))
            return true;
        while (*at < fields->n && fields->v[*at].id != HEADER_BAGGAGE)
            (*at)++;
        if (*at == fields->n)
            return false;
        *rest = fields->v[(*at)++].value;
    }
}

/* Those that are left are the first of those that came. */
static void check_front(const struct headers *came, const struct headers *left)
{
    size_t a = 0, b = 0;
    struct str rest_a = {0}, rest_b = {0}, member_a, member_b;

    while (next_member(left, &b, &rest_b, &member_b)) {
        assert(next_member(came, &a, &rest_a, &member_a));
        assert(str_eq(member_a, member_b));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct headers fields = {0}, came;
    struct trace_context ctx = {0};
    struct arena arena;

    arena_init(&arena, 0, 0);
    fuzz_fields(str_of((const char *)data, size), &fields, &arena);
    came = fields;
    if (fields.n > 0) {
        came.v = arena_alloc(&arena, fields.n * sizeof(*fields.v));
        assert(came.v);
        memcpy(came.v, fields.v, fields.n * sizeof(*fields.v));
    }

    struct total before = total_of(&came);
    assert(baggage_inject(&ctx, &fields, &arena));
    struct total after = total_of(&fields);
    assert(after.members <= BAGGAGE_MEMBERS_MAX && after.bytes <= BAGGAGE_BYTES_MAX);
    if (before.members <= BAGGAGE_MEMBERS_MAX && before.bytes <= BAGGAGE_BYTES_MAX)
        assert(after.members == before.members);
    assert(headers_count(&fields, HEADER_OTHER) == headers_count(&came, HEADER_OTHER));
    check_front(&came, &fields);
    arena_release(&arena);
    return 0;
}
