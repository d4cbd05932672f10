/*
 * What the decisions of a request cost, in nanoseconds of one core. Not a test:
 * run it with `meson test --benchmark` on a quiet machine, built for release.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "mesh/fault.h"
#include "mesh/route.h"
#include "mesh/split.h"

enum { CALLS = 2000000, ROUNDS = 5 };

static struct arena arena;

static struct route *route_of(const char *format, int i)
{
    struct error err = {0};
    struct route *route = arena_zalloc(&arena, sizeof(*route));
    char text[100];
    int n = snprintf(text, sizeof(text), format, i, i, i);
    enum pattern_kind kind = text[0] == '~'      ? PATTERN_REGEX
                             : strchr(text, '{') ? PATTERN_TEMPLATE
                                                 : PATTERN_PREFIX;
    struct str copy = arena_dup(&arena, str_of(text, (size_t)n));

    route->text = kind == PATTERN_REGEX ? str_slice(copy, 2, copy.n) : copy;
    route->pattern = pattern_new(&arena, kind, route->text, &err);
    if (!route->pattern) {
        fprintf(stderr, "%s: %s\n", text, err.text);
        exit(1);
    }
    return route;
}

static void add_routes(struct direction *d, int n, const char *format)
{
    d->routes = realloc(d->routes, (d->n_routes + (size_t)n) * sizeof(struct route *));
    for (int i = 0; i < n; i++)
        d->routes[d->n_routes++] = route_of(format, i);
}

static void report(const char *what, nsec_t best)
{
    printf("%-52s %6.1f ns\n", what, (double)best / (double)CALLS);
}

static void time_find(const char *what, struct direction *d, const struct request *r)
{
    nsec_t best = INT64_MAX;
    struct route_choice choice;

    d->index = route_index_new(&arena, d->routes, d->n_routes);
    if (!route_find(d, r, &choice)) {
        fprintf(stderr, "%s: no route\n", what);
        exit(1);
    }
    for (int round = 0; round < ROUNDS; round++) {
        nsec_t start = clock_monotonic();
        for (int i = 0; i < CALLS; i++) {
            route_find(d, r, &choice);
            __asm__ volatile("" ::"r"(&choice) : "memory");
        }
        nsec_t took = clock_monotonic() - start;
        best = took < best ? took : best;
    }
    report(what, best);
    for (size_t i = 0; i < d->n_routes; i++)
        pattern_release(d->routes[i]->pattern);
    free(d->routes);
    *d = (struct direction){0};
}

static void time_choice(const struct request *r)
{
    struct target targets[] = {
        {.name = STR("users-v1"), .weight = 90, .salt = split_salt(STR("users-v1"))},
        {.name = STR("users-v2"), .weight = 10, .salt = split_salt(STR("users-v2"))},
    };
    struct fault faults[] = {
        {.kind = FAULT_DELAY, .share = SHARE_ALWAYS / 10, .salt = {1, 2}},
        {.kind = FAULT_ABORT, .share = SHARE_ALWAYS / 100, .salt = {3, 4}},
    };
    struct route route = {
        .targets = targets, .n_targets = 2, .faults = faults, .n_faults = 2, .total_weight = 100};
    nsec_t start = clock_monotonic();

    for (int i = 0; i < CALLS; i++) {
        const struct target *t = split_choose(&route, r);
        __asm__ volatile("" ::"r"(t) : "memory");
    }
    report("split_choose, two arms", clock_monotonic() - start);
    start = clock_monotonic();
    for (int i = 0; i < CALLS; i++) {
        struct fault_decision d = fault_decide(&route, r);
        __asm__ volatile("" ::"r"(&d) : "memory");
    }
    report("fault_decide, two faults", clock_monotonic() - start);
}

static void with_host(struct direction *d, const char *name)
{
    struct error err = {0};
    struct host *host = arena_zalloc(&arena, sizeof(*host)), **hosts = arena_alloc(&arena, 8);

    host->names = arena_alloc(&arena, sizeof(*host->names));
    host->names[0] = str_from(name);
    host->n_names = 1;
    *hosts = host;
    d->hosts = hosts;
    d->n_hosts = 1;
    d->table = host_table_new(&arena, hosts, 1, &err);
}

int main(void)
{
    struct direction d = {0};
    struct headers none = {0};
    struct request r = {.method = STR("GET"),
                        .authority = STR("users.shop.local:8080"),
                        .path = STR("/api/v1/thing499/7"),
                        .headers = &none,
                        .trace_id = {{1, 2, 3}}};

    arena_init(&arena, 1 << 20, 0);
    add_routes(&d, 1, "/");
    time_find("one route, /", &d, &r);
    add_routes(&d, 1, "/api");
    time_find("one route, /api", &d, &r);
    add_routes(&d, 1, "/api/v1/{thing}/{id}");
    time_find("one route, a template of two names", &d, &r);
    add_routes(&d, 1, "~ ^/api/v[12]/");
    time_find("one route, a regular expression", &d, &r);
    with_host(&d, "users.shop.local");
    add_routes(&d, 1, "/api");
    time_find("one host that fits, one route for every host", &d, &r);
    with_host(&d, "*.shop.local");
    add_routes(&d, 1, "/api");
    time_find("one *.host that fits, one route for every host", &d, &r);
    add_routes(&d, 500, "/api/v1/thing%d");
    time_find("500 routes /api/v1/thingN, the last", &d, &r);
    add_routes(&d, 500, "/api/v1/thing%d/{id}");
    time_find("500 routes /api/v1/thingN/{id}, the last", &d, &r);
    add_routes(&d, 500, "/{a}/v1/thing%d/{id}");
    time_find("500 routes /{a}/v1/thingN/{id}, the last", &d, &r);
    add_routes(&d, 499, "/other%d");
    add_routes(&d, 1, "/");
    time_find("500 routes, the last is /", &d, &r);
    add_routes(&d, 10, "~ ^/other%d/");
    add_routes(&d, 1, "/");
    time_find("10 regular expressions that fail, then /", &d, &r);
    time_choice(&r);
    arena_release(&arena);
    return 0;
}
