/*
 * What is no mistake, but will be one for some request.
 */
#include "base/buffer.h"
#include "mesh/config.h"
#include "mesh/value.h"

static void warn_of(struct errors *warnings, struct place at, const struct regex *r,
                    struct str text, const char *where)
{
    char pattern[80], shown[80];
    struct buffer example;

    buffer_init(&example, 0);
    if (regex_runs_away(r, text, &example)) {
        size_t n = example.n;
        value_shown(text, pattern);
        value_shown(buffer_str(&example), shown);
        errors_add(warnings, at,
                   "\"%s\" can run away: %s as \"%s\", of %zu bytes, meets its limit and is "
                   "refused; avoid one repetition in or after another of the same characters",
                   pattern, where, shown, n);
    }
    buffer_release(&example);
}

static void warn_of_rule(struct errors *warnings, const struct match_rule *m)
{
    if (m->test == TEST_REGEX && m->regex)
        warn_of(warnings, m->at, m->regex, m->value, "a value");
}

static void warn_of_route(struct errors *warnings, const struct route *r)
{
    const struct regex *path = pattern_regex(r->pattern);

    if (path)
        warn_of(warnings, r->at, path, pattern_text(r->pattern), "a path");
    for (size_t i = 0; i < r->n_matches; i++)
        warn_of_rule(warnings, &r->matches[i]);
    for (size_t i = 0; i < r->n_faults; i++)
        if (r->faults[i].when)
            warn_of_rule(warnings, r->faults[i].when);
}

static void warn_of_direction(struct errors *warnings, const struct direction *d)
{
    for (size_t i = 0; i < d->n_hosts; i++)
        for (size_t j = 0; j < d->hosts[i]->n_routes; j++)
            warn_of_route(warnings, d->hosts[i]->routes[j]);
    for (size_t i = 0; i < d->n_routes; i++)
        warn_of_route(warnings, d->routes[i]);
}

void config_warnings(const struct config *c, struct errors *warnings)
{
    warn_of_direction(warnings, &c->inbound);
    warn_of_direction(warnings, &c->outbound);
}
