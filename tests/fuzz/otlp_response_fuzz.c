/*
 * Whatever a collector answers has a verdict, a wait that is no less than none,
 * and a text that ends.
 *
 * Input: a digit of the status, then fields, one a line, the name by the first
 * character; an empty line; the body.
 */
#include <assert.h>
#include <stdlib.h>

#include "otlp/otlp_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str name_of(char c)
{
    switch (c) {
    case 's':
        return STR("grpc-status");
    case 'm':
        return STR("grpc-message");
    case 'd':
        return STR("grpc-status-details-bin");
    case 'r':
        return STR("retry-after");
    case 'D':
        return STR("date");
    case 't':
        return STR("content-type");
    default:
        return STR("location");
    }
}

/* A copy whose ends the address sanitizer knows. */
static struct str copy(struct str s, struct arena *arena)
{
    char *p = arena_alloc(arena, s.n);

    assert(p);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return str_of(p, s.n);
}

static void read_fields(struct str *rest, struct headers *fields, struct arena *arena)
{
    struct str line;

    while (str_split(rest, '\n', &line) && line.n > 0) {
        struct str value = copy(str_slice(line, 1, line.n), arena);
        assert(headers_add(fields, arena, name_of(line.p[0]), value));
    }
}

static void check(enum transport_kind kind, const struct transport_response *response)
{
    struct otlp_outcome outcome;

    memset(&outcome, 0xff, sizeof(outcome));
    otlp_response_read(kind, response, &outcome);
    assert(outcome.verdict <= OTLP_REFUSED);
    assert(outcome.wait_at_least >= 0);
    assert(outcome.rejected <= INT64_MAX);
    assert(outcome.rejected == 0 || outcome.verdict == OTLP_ACCEPTED);
    assert(memchr(outcome.text, '\0', sizeof(outcome.text)));
    assert(outcome.verdict == OTLP_ACCEPTED || outcome.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 400, 404, 429, 503, 301};
    struct str rest = str_of((const char *)data, size);
    struct headers fields = {0};
    struct arena arena;

    if (size == 0)
        return 0;
    arena_init(&arena, 1, 0);
    rest = str_slice(rest, 1, rest.n);
    read_fields(&rest, &fields, &arena);
    struct transport_response response = {
        .result = TRANSPORT_ANSWERED,
        .status = statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))],
        .headers = &fields,
        .body = copy(rest, &arena),
    };
    check(TRANSPORT_HTTP, &response);
    check(TRANSPORT_GRPC, &response);
    response.trailers = &fields;
    check(TRANSPORT_GRPC, &response);
    arena_release(&arena);
    return 0;
}
