/*
 * Fuzz input as the fields of a message: one a line, its name by the first
 * character, its value the rest. Values are copied to the arena, where the
 * address sanitizer knows their ends.
 */
#ifndef SIDESPAN_TESTS_FUZZ_FIELDS_H
#define SIDESPAN_TESTS_FUZZ_FIELDS_H

#include <assert.h>

#include "base/headers.h"

static inline struct str fuzz_name(char c)
{
    switch (c) {
    case 'p':
        return STR("traceparent");
    case 'P':
        return STR("TraceParent");
    case 's':
        return STR("tracestate");
    case 'b':
        return STR("baggage");
    case 'x':
        return STR("x-trace-id");
    case 'g':
        return STR("grpc-trace-bin");
    default:
        return STR("x-other");
    }
}

static inline struct str fuzz_copy(struct str s, struct arena *arena)
{
    char *p = arena_alloc(arena, s.n);

    assert(p);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return str_of(p, s.n);
}

static inline void fuzz_fields(struct str input, struct headers *fields, struct arena *arena)
{
    struct str line;

    while (str_split(&input, '\n', &line)) {
        struct str value = fuzz_copy(str_slice(line, 1, line.n), arena);

        assert(headers_add(fields, arena, fuzz_name(line.n > 0 ? line.p[0] : '-'), value));
    }
}

#endif
