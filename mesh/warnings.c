/*
 * What is no mistake, but will be one for some request.
 */
#include "mesh/warnings.h"
#include <stdio.h>

#include "base/buffer.h"
#include "mesh/fault.h"
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

static bool sets_field(const struct route *r, const char *name)
{
    for (size_t i = 0; i < r->n_header_actions; i++) {
        const struct header_action *a = &r->header_actions[i];
        if (a->on_response && a->kind != HEADER_REMOVE && str_eq_nocase(a->name, str_from(name)))
            return true;
    }
    return false;
}

/* Fields without which a status does not say what it must (RFC 9110 section 15). */
static void warn_of_answer(struct errors *warnings, const struct route *r)
{
    static const struct {
        unsigned status;
        const char *field, *example;
    } rows[] = {
        {401, "WWW-Authenticate", "\"Basic realm=x\""},
        {405, "Allow", "\"GET, HEAD\""},
        {407, "Proxy-Authenticate", "\"Basic realm=x\""},
    };

    if (r->action != ACTION_RESPOND)
        return;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].status == r->status && !sets_field(r, rows[i].field))
            errors_add(warnings, r->at,
                       "a response with status %u must have %s (RFC 9110): set-header response "
                       "%s %s",
                       r->status, rows[i].field, rows[i].field, rows[i].example);
}

static void warn_of_fault(struct errors *warnings, const struct fault *f, nsec_t now)
{
    if (f->when)
        warn_of_rule(warnings, f->when);
    if (fault_is_over(f, now))
        errors_add(warnings, f->at,
                   "this fault strikes nobody any more: its time is over; take it away, or give it "
                   "a later `until`");
}

static void warn_of_route(struct errors *warnings, const struct route *r, nsec_t now)
{
    const struct regex *path = pattern_regex(r->pattern);

    if (path)
        warn_of(warnings, r->at, path, pattern_text(r->pattern), "a path");
    for (size_t i = 0; i < r->n_matches; i++)
        warn_of_rule(warnings, &r->matches[i]);
    for (size_t i = 0; i < r->n_faults; i++)
        warn_of_fault(warnings, &r->faults[i], now);
    warn_of_answer(warnings, r);
}

static void warn_of_direction(struct errors *warnings, const struct direction *d, nsec_t now)
{
    for (size_t i = 0; i < d->n_hosts; i++)
        for (size_t j = 0; j < d->hosts[i]->n_routes; j++)
            warn_of_route(warnings, d->hosts[i]->routes[j], now);
    for (size_t i = 0; i < d->n_routes; i++)
        warn_of_route(warnings, d->routes[i], now);
}

/* Masks values of the environment, as errors do. */
static void mask_text(const struct masks *masks, struct error *e)
{
    struct buffer masked;

    buffer_init(&masked, 0);
    mask_write(masks, str_from(e->text), &masked);
    snprintf(e->text, sizeof(e->text), "%.*s", STR_ARG(buffer_str(&masked)));
    buffer_release(&masked);
}

void config_warnings(const struct config *c, nsec_t wall_now, struct errors *warnings)
{
    size_t before = warnings->n;

    warn_of_listens(warnings, &c->inbound);
    warn_of_listens(warnings, &c->outbound);
    warn_of_direction(warnings, &c->inbound, wall_now);
    warn_of_direction(warnings, &c->outbound, wall_now);
    for (size_t i = before; c->masks.n && i < warnings->n; i++)
        mask_text(&c->masks, &warnings->v[i]);
}
