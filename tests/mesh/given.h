/*
 * What tests of decisions are given: requests and routes made by hand, in one
 * arena.
 */
#ifndef SIDESPAN_TESTS_MESH_GIVEN_H
#define SIDESPAN_TESTS_MESH_GIVEN_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "mesh/route.h"

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 0, 0);
}

static void teardown(void)
{
    arena_release(&arena);
}

/* The trace id that a number gives: all of its bytes are a little of it. */
static inline struct trace_id given_trace(uint64_t number)
{
    static const struct siphash_key high = {1, 2}, low = {3, 4};
    uint64_t words[2] = {siphash(&high, &number, 8), siphash(&low, &number, 8)};
    struct trace_id id;

    memcpy(id.bytes, words, sizeof(id.bytes));
    return id;
}

/* url: "host/path?query", or "host*" for the path "*"; fields: "name: value" one a line, "" for
 * none. */
static inline struct request given_request(const char *method, const char *url, const char *fields)
{
    struct str rest = str_from(url), lines = str_from(fields), line;
    struct headers *headers = arena_zalloc(&arena, sizeof(*headers));
    size_t slash = str_index(rest, '/', 0), mark = str_index(rest, '?', 0);
    if (slash == rest.n)
        slash = str_index(rest, '*', 0);
    struct request r = {
        .method = str_from(method),
        .authority = str_slice(rest, 0, slash),
        .path = str_slice(rest, slash, mark),
        .query = mark < rest.n ? str_slice(rest, mark + 1, rest.n) : str_of(NULL, 0),
        .headers = headers,
        .trace_id = given_trace(1),
    };

    while (str_split(&lines, '\n', &line)) {
        size_t colon = str_index(line, ':', 0);
        if (line.n && !headers_add(headers, &arena, str_slice(line, 0, colon),
                                   str_trim_ows(str_slice(line, colon + 1, line.n))))
            abort();
    }
    const struct header *type = headers_find(headers, HEADER_CONTENT_TYPE);
    r.grpc = type && is_grpc_content_type(type->value);
    return r;
}

/* written as in routes.conf: "/prefix", "= /exact", "/with/{name}", "~ regex". */
static inline struct pattern *given_pattern(const char *written)
{
    struct error err = {0};
    struct str text = str_from(written);
    enum pattern_kind kind = PATTERN_PREFIX;
    struct pattern *p;

    if (text.p[0] == '=' || text.p[0] == '~') {
        kind = text.p[0] == '=' ? PATTERN_EXACT : PATTERN_REGEX;
        text = str_slice(text, 2, text.n);
    } else if (str_index(text, '{', 0) < text.n) {
        kind = PATTERN_TEMPLATE;
    }
    p = pattern_new(&arena, kind, text, &err);
    if (!p)
        ck_abort_msg("%s: %s", written, err.text);
    return p;
}

static inline struct route *given_route(const char *written)
{
    struct route *route = arena_zalloc(&arena, sizeof(*route));

    route->text = str_from(written);
    route->pattern = given_pattern(written);
    route->template = pattern_template(route->pattern);
    return route;
}

/* "method GET POST", "header NAME = VALUE", "header NAME", "header NAME absent",
 * "header NAME ~ REGEX", and the same of query. */
static inline struct match_rule given_match(const char *written)
{
    struct str rest = str_from(written), word;
    struct match_rule m = {.text = rest};
    struct error err = {0};

    str_split(&rest, ' ', &word);
    if (str_eq(word, STR("method"))) {
        m.kind = MATCH_METHOD;
        m.methods = arena_array(&arena, 10, sizeof(*m.methods));
        while (str_split(&rest, ' ', &m.methods[m.n_methods]))
            m.n_methods++;
        return m;
    }
    m.kind = str_eq(word, STR("query")) ? MATCH_QUERY : MATCH_HEADER;
    str_split(&rest, ' ', &m.name);
    m.header = m.kind == MATCH_HEADER ? header_id_of(m.name) : HEADER_OTHER;
    m.test = TEST_PRESENT;
    if (!str_split(&rest, ' ', &word))
        return m;
    m.test = word.p[0] == '=' ? TEST_EQUALS : word.p[0] == '~' ? TEST_REGEX : TEST_ABSENT;
    if (m.test == TEST_EQUALS)
        m.value = rest;
    if (m.test == TEST_REGEX) {
        m.regex = regex_new(rest, &err); /* the test frees it */
        ck_assert_msg(m.regex != NULL, "%s: %s", written, err.text);
    }
    return m;
}

/* Takes "[name: value]..." apart into lines; "[source IP]" is the caller. */
static inline struct str given_brackets(struct str line, struct str *source)
{
    struct str fields = arena_dup(&arena, line);
    char *at = (char *)(uintptr_t)fields.p;

    for (size_t from = str_index(line, '[', 0), to; from < line.n;
         from = str_index(line, '[', to)) {
        to = str_index(line, ']', from);
        struct str inside = str_slice(line, from + 1, to);
        if (str_starts(inside, STR("source "))) {
            *source = str_slice(inside, 7, inside.n);
            continue;
        }
        memcpy(at, inside.p, inside.n);
        at += inside.n;
        *at++ = '\n';
    }
    *at = '\0';
    return str_of(fields.p, (size_t)(at - fields.p));
}

/* A line of a file of cases: "[inbound] METHOD http://host/path?query [name: value]...". */
static inline struct request given_line(struct str line, bool *inbound)
{
    struct str method, url, source = STR("10.0.0.9");

    *inbound = str_starts(line, STR("inbound "));
    if (*inbound)
        line = str_slice(line, 8, line.n);
    ck_assert(str_split(&line, ' ', &method));
    if (!str_split(&line, ' ', &url))
        url = STR("");
    ck_assert_msg(str_starts(url, STR("http://")), "%.*s", STR_ARG(url));
    struct str fields = line.p ? given_brackets(line, &source) : STR("");
    struct request r = given_request(arena_dup(&arena, method).p,
                                     arena_dup(&arena, str_slice(url, 7, url.n)).p, fields.p);
    const struct header *trace = headers_find(r.headers, HEADER_TRACEPARENT);
    struct str id =
        trace ? str_slice(trace->value, 3, 35) : STR("4bf92f3577b34da6a3ce929d0e0e4736");
    ck_assert_msg(trace_id_from_hex(id, &r.trace_id), "%.*s", STR_ARG(id));
    ck_assert(address_parse_ip(source, &r.source));
    return r;
}

/* A whole file into the arena. */
static inline struct str given_file(const char *path)
{
    FILE *f = fopen(path, "r");
    size_t cap = 1 << 20;
    char *text = arena_alloc(&arena, cap);

    ck_assert_msg(f != NULL, "%s", path);
    size_t n = fread(text, 1, cap, f);
    fclose(f);
    ck_assert(n < cap);
    return str_of(text, n);
}

static inline struct config *given_config(const char *path)
{
    struct errors errors = {0};
    struct config *c = config_load(path, NULL, &errors);
    struct buffer out;

    if (!c) {
        buffer_init(&out, 0);
        config_print_errors(&errors, &out);
        ck_abort_msg("%.*s", STR_ARG(buffer_str(&out)));
    }
    errors_release(&errors);
    return c;
}

/* One more `match` line. */
static inline void given_route_match(struct route *route, const char *written)
{
    struct match_rule *v = arena_array(&arena, route->n_matches + 1, sizeof(*v));

    if (route->n_matches)
        memcpy(v, route->matches, route->n_matches * sizeof(*v));
    v[route->n_matches++] = given_match(written);
    route->matches = v;
}

static inline int given_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
