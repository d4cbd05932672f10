/*
 * inbound and outbound: where they listen, their hosts, and what only shows
 * when the whole direction has been read.
 */
#include "base/authority.h"
#include "mesh/config_words.h"
#include "mesh/loader.h"
#include "mesh/route.h"

static bool knows_original(const struct direction *d)
{
    for (size_t i = 0; i < d->n_listens; i++)
        if (d->listens[i].mode != LISTEN_PLAIN)
            return true;
    return false;
}

/* ---- directives ---- */

void read_unmatched(struct loader *ld, const struct directive *row, const struct statement *s,
                    struct block *in)
{
    struct words w = words_of(row, s);
    struct direction *d = in->target;
    size_t index;

    if (word_choice(ld, &w, words_next(&w), unmatched_words, &index))
        d->unmatched = (enum unmatched)index;
}

/* "users.shop", "*.shop", "*", "[::1]", each perhaps with a port. */
static bool is_host(struct str name)
{
    struct authority a = authority_split(name);
    uint16_t port;

    if (str_eq(a.host, STR("*")))
        return !a.has_port || (authority_port(a.port, &port) && port > 0);
    return value_is_authority(str_starts(name, STR("*.")) ? str_slice(name, 2, name.n) : name);
}

/* The form in which two names of hosts are the same. */
static struct str host_key(struct loader *ld, struct str name)
{
    struct authority a = authority_split(name);
    struct str host = a.host, port = str_slice(name, host.n, name.n);

    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--;
    return keep_lower(
        ld, must_str(arena_printf(ld->scratch, "%.*s%.*s", STR_ARG(host), STR_ARG(port))));
}

static void add_host_name(struct loader *ld, struct host *h, const struct word *word)
{
    char shown[80];

    value_shown(word->text, shown);
    if (!is_host(word->text)) {
        wrongf(ld, word, "\"%s\" is not a host, as users.shop, *.shop, * or users.shop:8080 are",
               shown);
        return;
    }
    struct str key = host_key(ld, word->text);
    const struct place *before = map_get(&ld->hosts, key);
    if (before) {
        wrongf(ld, word, "host \"%s\" stands twice; the first is in %s", shown,
               place_shown(ld, word->at, *before));
        return;
    }
    must_add(&ld->hosts, key, (void *)(uintptr_t)&word->at);
    h->names = array_room(ld->arena, h->names, h->n_names, sizeof(*h->names));
    h->names[h->n_names++] = keep(ld, word->text);
}

void read_host(struct loader *ld, const struct directive *row, const struct statement *s,
               struct block *in)
{
    struct host *h = must(arena_zalloc(ld->arena, sizeof(*h)));
    struct direction *d = in->target;
    struct block b;

    h->at = s->name.at;
    for (size_t i = 0; i < s->n_args && !s->bad; i++)
        add_host_name(ld, h, &s->args[i]);
    d->hosts = array_room(ld->arena, d->hosts, d->n_hosts, sizeof(*d->hosts));
    d->hosts[d->n_hosts++] = h;

    block_init(&b, "host", IN(CONTEXT_HOST), h);
    load_block(ld, &b, s->block);
    check_unreachable(ld, h->routes, h->n_routes);
}

/* ---- the whole direction ---- */

static void inherit_timeout(struct direction *d, struct route *r)
{
    if (r->timeout < 0)
        r->timeout = d->timeout;
}

/* Whether which upstream it is depends on the request. */
static bool chooses(const struct route *r)
{
    for (size_t i = 0; i < r->n_targets; i++)
        if (r->targets[i].kind != TARGET_ORIGINAL)
            return true;
    return r->action != ACTION_FORWARD;
}

static void finish_routes(struct direction *d, struct route *const *routes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        inherit_timeout(d, routes[i]);
        d->needs_request |= chooses(routes[i]);
    }
}

/* The first of them that may answer by itself; NULL: none. */
static const struct route *first_bar(struct route *const *routes, size_t n, enum bars which)
{
    for (size_t i = 0; i < n; i++)
        if (route_bars_opaque(routes[i], which))
            return routes[i];
    return NULL;
}

static bool is_for_all(const struct host *h)
{
    for (size_t i = 0; i < h->n_names; i++)
        if (str_eq(authority_split(h->names[i]).host, STR("*")))
            return true;
    return false;
}

static void find_bars(struct direction *d, enum bars which)
{
    const struct route *bar = first_bar(d->routes, d->n_routes, which);

    d->refusing[which] = d->refusing_all[which] = bar;
    for (size_t i = 0; i < d->n_hosts; i++) {
        struct host *h = d->hosts[i];

        bar = h->refusing[which] = first_bar(h->routes, h->n_routes, which);
        if (!d->refusing[which])
            d->refusing[which] = bar;
        if (!d->refusing_all[which] && is_for_all(h))
            d->refusing_all[which] = bar;
    }
}

static void finish_all_routes(struct direction *d)
{
    finish_routes(d, d->routes, d->n_routes);
    for (size_t i = 0; i < d->n_hosts; i++)
        finish_routes(d, d->hosts[i]->routes, d->hosts[i]->n_routes);
    find_bars(d, BARS_ALL);
    find_bars(d, BARS_BUT_FAULTS);
    if (d->n_routes && route_takes_all(d->routes[d->n_routes - 1]))
        d->opaque = d->routes[d->n_routes - 1];
}

static void check_original(struct loader *ld, const struct direction *d, const struct block *b)
{
    if (block_has(b, "unmatched") && d->unmatched == UNMATCHED_PASS)
        report_at(ld->report, block_first(b, "unmatched"),
                  "\"unmatched pass\" needs a listen that knows where the client wanted to go: "
                  "listen ADDRESS transparent, or forward-proxy");
    for (const struct reference *r = ld->references; r; r = r->next)
        if (r->direction == d && r->route->targets[r->target].kind == TARGET_ORIGINAL)
            report_at(ld->report, r->at,
                      "\"to original\" needs a listen that knows where the client wanted to go: "
                      "listen ADDRESS transparent, or forward-proxy");
}

/* mistakes: those that stood before the direction. */
static void finish_direction(struct loader *ld, struct direction *d, const struct block *b,
                             const struct statement *s, size_t mistakes)
{
    if (!block_has(b, "listen")) {
        report_at(ld->report, s->name.at, "%s has no listen: nothing arrives", b->name);
    } else {
        if (!block_has(b, "unmatched"))
            d->unmatched = knows_original(d) ? UNMATCHED_PASS : UNMATCHED_REJECT;
        if (!knows_original(d) && !ld->listen_lost)
            check_original(ld, d, b);
    }
    d->needs_request |= d->unmatched == UNMATCHED_REJECT;
    finish_all_routes(d);
    check_unreachable(ld, d->routes, d->n_routes);
    if (ld->report->n == mistakes) /* else what is missing may have been lost */
        check_opaque(ld, d);
}

void read_direction(struct loader *ld, const struct directive *row, const struct statement *s,
                    struct block *in)
{
    bool inbound = row->value == DIRECTION_INBOUND;
    struct direction *d = inbound ? &ld->config->inbound : &ld->config->outbound;
    size_t mistakes = ld->report->n;
    struct block b;
    struct held held;

    d->present = true;
    d->unmatched = UNMATCHED_REJECT;
    ld->direction = d;
    hold_map(&held, &ld->hosts);
    ld->listen_lost = false;
    block_init(&b, inbound ? "inbound" : "outbound",
               IN(CONTEXT_DIRECTION) | (inbound ? IN(CONTEXT_INBOUND) : 0), d);
    load_block(ld, &b, s->block);
    finish_direction(ld, d, &b, s, mistakes);
    let_go(&held);
}

bool build_tables(struct loader *ld, struct direction *d, struct error *err)
{
    for (size_t i = 0; i < d->n_hosts; i++) {
        struct host *h = d->hosts[i];
        h->index = must(route_index_new(ld->arena, h->routes, h->n_routes));
    }
    d->index = must(route_index_new(ld->arena, d->routes, d->n_routes));
    d->table = host_table_new(ld->arena, d->hosts, d->n_hosts, err);
    return d->table != NULL;
}
