/*
 * Paths and hosts against what a config may say of them. The first line of the
 * input is an authority and the second a path, which come from peers; the rest
 * are hosts ("host NAME"), texts with parts ("text $(path id)") and routes, a
 * line each, written as in routes.conf.
 *
 * Must hold: the index answers as trying in turn does; a pattern that covers
 * another takes what that takes; nothing that is filled in breaks a line.
 */
#include <assert.h>

#include "base/buffer.h"
#include "mesh/route.h"
#include "mesh/template.h"

enum { ROUTES_MAX = 32, HOSTS_MAX = 32, TEXTS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct arena arena;
    struct request request;
    struct headers headers;
    struct route *routes[ROUTES_MAX];
    size_t n_routes;
    struct host *hosts[HOSTS_MAX];
    size_t n_hosts;
    struct template *texts[TEXTS_MAX];
    size_t n_texts;
};

static struct pattern *read_pattern(struct arena *arena, struct str line)
{
    struct error err = {0};
    enum pattern_kind kind = PATTERN_PREFIX;

    if (str_starts(line, STR("= ")) || str_starts(line, STR("~ "))) {
        kind = line.p[0] == '=' ? PATTERN_EXACT : PATTERN_REGEX;
        line = str_slice(line, 2, line.n);
    } else if (str_index(line, '{', 0) < line.n) {
        kind = PATTERN_TEMPLATE;
    }
    struct pattern *p = pattern_new(arena, kind, line, &err);
    assert((p == NULL) == (err.text[0] != '\0'));
    return p;
}

static void read_line(struct input *in, struct str line)
{
    struct error err = {0};

    if (str_starts(line, STR("host ")) && in->n_hosts < HOSTS_MAX) {
        struct host *host = arena_zalloc(&in->arena, sizeof(*host));
        host->names = arena_alloc(&in->arena, sizeof(struct str));
        host->names[host->n_names++] = str_slice(line, 5, line.n);
        in->hosts[in->n_hosts++] = host;
    } else if (str_starts(line, STR("text ")) && in->n_texts < TEXTS_MAX) {
        struct template *t = template_new(&in->arena, str_slice(line, 5, line.n), &err);
        if (t)
            in->texts[in->n_texts++] = t;
    } else if (in->n_routes < ROUTES_MAX) {
        struct pattern *p = read_pattern(&in->arena, line);
        struct route *route = p ? arena_zalloc(&in->arena, sizeof(*route)) : NULL;
        if (route) {
            route->pattern = p;
            in->routes[in->n_routes++] = route;
        }
    }
}

static void check_covers(const struct input *in)
{
    for (size_t i = 0; i < in->n_routes; i++)
        for (size_t j = i + 1; j < in->n_routes; j++)
            if (route_covers(in->routes[i], in->routes[j]) &&
                pattern_match(in->routes[j]->pattern, in->request.path, NULL) == VERDICT_YES)
                assert(pattern_match(in->routes[i]->pattern, in->request.path, NULL) != VERDICT_NO);
}

static void check_texts(struct input *in, const struct path_params *params)
{
    for (size_t i = 0; i < in->n_texts; i++) {
        struct str s = template_expand_url(in->texts[i], &in->request, params, &in->arena);
        assert(s.p);
        for (size_t j = 0; j < s.n && !template_has_control(in->texts[i]); j++)
            assert((unsigned char)s.p[j] >= ' ');
    }
}

/* What is said of one can be shown. */
static void check_probes(const struct input *in)
{
    for (size_t i = 0; i < in->n_routes && i < 2; i++) {
        const struct pattern *p = in->routes[i]->pattern;
        struct buffer example;

        buffer_init(&example, 0);
        if (pattern_regex(p) && regex_runs_away(pattern_regex(p), pattern_text(p), &example))
            assert(regex_match(pattern_regex(p), buffer_str(&example)) == VERDICT_UNDECIDED);
        assert(example.n <= REGEX_EXAMPLE_BYTES);
        buffer_release(&example);
    }
}

static void check(struct input *in)
{
    struct error err = {0};
    struct direction plain = {.routes = in->routes, .n_routes = in->n_routes}, indexed;
    struct route_choice a = {0}, b = {0};

    plain.hosts = in->hosts;
    plain.n_hosts = in->n_hosts;
    plain.table = host_table_new(&in->arena, in->hosts, in->n_hosts, &err);
    indexed = plain;
    indexed.index = route_index_new(&in->arena, in->routes, in->n_routes);
    enum route_found answer = route_find(&plain, &in->request, &a);
    bool found = answer == ROUTE_TAKES;
    assert(route_find(&indexed, &in->request, &b) == answer);
    assert(!found || (a.route == b.route && a.params.n == b.params.n));
    for (size_t i = 0; found && i < a.params.n; i++)
        assert(a.params.v[i].value.n <= in->request.path.n);
    check_covers(in);
    check_probes(in);
    check_texts(in, found ? &a.params : NULL);
    host_table_release(plain.table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.n_routes = 0};
    struct str rest = {(const char *)data, size}, line;

    arena_init(&in.arena, 0, 0);
    in.request.headers = &in.headers;
    if (size && str_split(&rest, '\n', &in.request.authority) &&
        str_split(&rest, '\n', &in.request.path)) {
        in.request.query = in.request.path;
        while (str_split(&rest, '\n', &line))
            read_line(&in, line);
        check(&in);
    }
    for (size_t i = 0; i < in.n_routes; i++)
        pattern_release(in.routes[i]->pattern);
    arena_release(&in.arena);
    return 0;
}
