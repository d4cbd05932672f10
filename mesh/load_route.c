/*
 * route: what it does, its targets, and what decides between them.
 */
#include "mesh/loader.h"
#include "mesh/route.h"
#include "mesh/split.h"

enum { WEIGHT_MAX = 1000000 };

/* ---- what it does ---- */

static void exclude(struct loader *ld, const struct block *b, const char *a, const char *other)
{
    if (block_has(b, a) && block_has(b, other))
        report_at(ld->report, block_first(b, a),
                  "\"%s\" and \"%s\" exclude each other: a route does one of them", a, other);
}

/* A rule for requests that are forwarded, in a route that forwards none. */
static void needs_forwarding(struct loader *ld, const struct block *b, const char *directive)
{
    if (block_has(b, directive))
        report_at(ld->report, block_first(b, directive),
                  "\"%s\" does nothing in a route that forwards nothing", directive);
}

static void check_route(struct loader *ld, const struct block *b, const struct statement *s,
                        const struct route *r)
{
    bool answers = block_has(b, "respond") || block_has(b, "redirect");

    exclude(ld, b, "respond", "to");
    exclude(ld, b, "redirect", "to");
    exclude(ld, b, "redirect", "respond");
    if (answers && !block_has(b, "to")) {
        needs_forwarding(ld, b, "by");
        needs_forwarding(ld, b, "rewrite");
        needs_forwarding(ld, b, "rewrite-host");
    }
    if (!answers && !block_has(b, "to") && s->has_block && !ld->braces_lost)
        report_at(ld->report, s->name.at,
                  "this route does nothing: it needs \"to\", \"respond\" or \"redirect\"");
    if (r->n_targets && r->total_weight == 0 && !ld->target_lost)
        report_at(ld->report, block_first(b, "to"), "the weights of this route sum to 0");
}

/* The list the route goes into: of the host, or of the direction. */
static void add_route(struct loader *ld, const struct block *in, struct route *r)
{
    bool in_host = (in->contexts & IN(CONTEXT_HOST)) != 0;
    struct host *h = in->target;
    struct direction *d = in->target;
    struct route ***list = in_host ? &h->routes : &d->routes;
    size_t *n = in_host ? &h->n_routes : &d->n_routes;

    *list = array_room(ld->arena, *list, *n, sizeof(struct route *));
    (*list)[(*n)++] = r;
}

void read_route(struct loader *ld, const struct directive *row, const struct statement *s,
                struct block *in)
{
    struct route *r = must(arena_zalloc(ld->arena, sizeof(*r)));
    struct block b;

    r->at = s->name.at;
    r->timeout = -1; /* not said: that of the direction */
    if (!s->bad)
        read_path(ld, row, s, r);
    ld->target_lost = false;
    block_init(&b, "route", IN(CONTEXT_ROUTE), r);
    load_block(ld, &b, s->block);
    check_route(ld, &b, s, r);
    if (r->pattern)
        add_route(ld, in, r);
}

/* ---- to ---- */

/* Its name is its address, so that two routes to one address share its connections. */
static struct cluster *implicit_cluster(struct loader *ld, const struct word *word)
{
    struct config *config = ld->config;
    struct cluster *c = map_get(&config->clusters_by_name, word->text);
    struct endpoint_config e = {.weight = 1};
    struct error err = {0};

    if (c)
        return c;
    if (!value_location(word->text, ADDRESS_TO_REACH, ld->arena, &e.location, &err)) {
        wrong(ld, word, &err);
        return NULL;
    }
    c = cluster_new(ld, e.location.text, word->at);
    c->implicit = true;
    c->endpoints = must(arena_array(ld->arena, 1, sizeof(e)));
    c->endpoints[0] = e;
    c->n_endpoints = 1;
    must_add(&config->clusters_by_name, c->name, c);
    ld->implicit = array_room(ld->arena, ld->implicit, ld->n_implicit, sizeof(struct cluster *));
    ld->implicit[ld->n_implicit++] = c;
    return c;
}

static void refer(struct loader *ld, struct route *r, struct place at)
{
    struct reference *reference = must(arena_zalloc(ld->scratch, sizeof(*reference)));

    *reference = (struct reference){ld->direction, r, r->n_targets, at, NULL};
    *ld->last_reference = reference;
    ld->last_reference = &reference->next;
}

static bool take_weight(struct loader *ld, struct words *w, struct target *t)
{
    static const char *const choices[] = {"weight", NULL};
    const struct word *option = words_next(w);
    uint64_t weight = 1;
    size_t index;

    if (option && (!word_choice(ld, w, option, choices, &index) ||
                   !take_number(ld, w, 0, WEIGHT_MAX, &weight) || !words_end(ld, w)))
        return false;
    t->weight = (unsigned)weight;
    return true;
}

static bool take_target(struct loader *ld, struct words *w, struct route *r, struct target *t)
{
    const struct word *name = words_next(w);
    char shown[80];

    if (word_is(name, "original")) {
        t->kind = TARGET_ORIGINAL;
    } else if (str_index(name->text, ':', 0) < name->text.n) {
        t->cluster = implicit_cluster(ld, name);
        if (!t->cluster)
            return false;
    } else if (!value_is_text(name->text)) {
        return wrongf(ld, name, "the name of the cluster is empty");
    }
    t->name = keep(ld, name->text);
    t->salt = split_salt(t->name);
    for (size_t i = 0; i < r->n_targets; i++)
        if (str_eq(r->targets[i].name, t->name))
            return wrongf(ld, name,
                          "\"%s\" is a target of this route already; weight N gives it "
                          "its share",
                          value_shown(name->text, shown));
    return take_weight(ld, w, t);
}

void read_to(struct loader *ld, const struct directive *row, const struct statement *s,
             struct block *in)
{
    struct words w = words_of(row, s);
    struct route *r = in->target;
    struct target t = {.kind = TARGET_CLUSTER};

    if (!take_target(ld, &w, r, &t)) {
        ld->target_lost = true;
        return;
    }
    refer(ld, r, s->args[0].at);
    r->targets = array_room(ld->arena, r->targets, r->n_targets, sizeof(*r->targets));
    r->targets[r->n_targets++] = t;
    r->total_weight += t.weight;
}

void read_by(struct loader *ld, const struct directive *row, const struct statement *s,
             struct block *in)
{
    struct words w = words_of(row, s);
    struct route *r = in->target;
    enum header_id ignored;

    r->by = (enum split_key)row->value;
    if (r->by == SPLIT_BY_HEADER)
        take_header_name(ld, &w, &r->by_name, &r->by_header);
    else if (r->by ==
             SPLIT_BY_COOKIE) /* the name of a cookie is a token too: RFC 6265 section 4.1.1 */
        take_header_name(ld, &w, &r->by_name, &ignored);
}

/* ---- name, attribute ---- */

void read_name(struct loader *ld, const struct directive *row, const struct statement *s,
               struct block *in)
{
    struct route *r = in->target;

    if (!value_is_text(s->args[0].text)) {
        wrongf(ld, &s->args[0], "the name is empty or has control characters");
        return;
    }
    r->template = keep(ld, s->args[0].text);
    r->named = true;
}

void read_attribute_of_route(struct loader *ld, const struct directive *row,
                             const struct statement *s, struct block *in)
{
    struct words w = words_of(row, s);
    struct route *r = in->target;

    read_attribute_into(ld, &w, &r->attributes, &r->n_attributes);
}

/* ---- when all clusters are known ---- */

static void unknown_cluster(struct loader *ld, const struct reference *ref, struct str name)
{
    const struct config *c = ld->config;
    struct nearest near;
    uint64_t port;
    char shown[80];

    value_shown(name, shown);
    nearest_init(&near, name);
    for (size_t i = 0; i < c->n_clusters; i++)
        nearest_try(&near, c->clusters[i]->name);
    if (near.best.n)
        report_at(ld->report, ref->at, "unknown cluster \"%s\"; did you mean \"%.*s\"?", shown,
                  STR_ARG(near.best));
    else if (str_to_u64(name, &port) && port <= 65535)
        report_at(ld->report, ref->at,
                  "unknown cluster \"%s\"; if it is a port, write 127.0.0.1:%s, or HOST:%s", shown,
                  shown, shown);
    else
        report_at(ld->report, ref->at, "unknown cluster \"%s\"%s%s%s", shown,
                  memchr(name.p, '.', name.n) ? "; an address has a port: " : "",
                  memchr(name.p, '.', name.n) ? shown : "",
                  memchr(name.p, '.', name.n) ? ":80" : "");
}

void resolve_references(struct loader *ld)
{
    for (const struct reference *ref = ld->references; ref; ref = ref->next) {
        struct target *t = &ref->route->targets[ref->target];
        if (t->kind == TARGET_ORIGINAL || t->cluster)
            continue;
        t->cluster = map_get(&ld->config->clusters_by_name, t->name);
        if (!t->cluster && !ld->clusters_lost)
            unknown_cluster(ld, ref, t->name);
    }
}
