#include "mesh/config_changes.h"

#include "mesh/config_text.h"
#include "mesh/route_pairs.h"

/* ---- what is told ---- */

/* Changes of one kind. */
struct list {
    const char *heading;
    struct buffer text; /* owned */
    size_t n;
};

enum kind { CLUSTERS, ROUTES, TARGETS, WEIGHTS, FAULTS, PARTS, KINDS };

struct changes {
    const struct config *old, *now;
    struct list lists[KINDS];
    struct buffer a, b;   /* owned: what is being compared */
    struct buffer name;   /* owned: what is being told, a space before it */
    bool reordered;       /* routes, of which the first that fits counts */
    bool both_directions; /* so a route is called by its direction too */
};

/* What is in name, with the sign before it: "+", "-", "~" or "". */
static void tell(struct changes *c, enum kind kind, const char *sign)
{
    struct list *l = &c->lists[kind];
    struct str name = buffer_str(&c->name), whole;

    if (l->n++ >= CHANGES_NAMED_MAX || name.n == 0)
        return;
    whole = str_slice(name, 1, name.n); /* without the space */
    name = str_cut(whole, CHANGE_BYTES_MAX);
    buffer_printf(&l->text, "%s %s%.*s%s", l->n > 1 ? "," : "", sign, STR_ARG(name),
                  name.n < whole.n ? "..." : "");
}

static void write_all(const struct changes *c, struct buffer *out)
{
    size_t start = out->n;

    for (size_t i = 0; i < KINDS; i++) {
        const struct list *l = &c->lists[i];
        if (l->n == 0)
            continue;
        buffer_printf(out, "%s%s%.*s", out->n > start ? "; " : "", l->heading,
                      STR_ARG(buffer_str(&l->text)));
        if (l->n > CHANGES_NAMED_MAX)
            buffer_printf(out, " and %zu more", l->n - CHANGES_NAMED_MAX);
    }
    if (c->reordered)
        buffer_printf(out, "%sthe order of routes", out->n > start ? "; " : "");
    else if (out->n == start)
        buffer_add_str(out, STR("the same in another order"));
}

static bool differ(const struct changes *c)
{
    return !str_eq(buffer_str(&c->a), buffer_str(&c->b));
}

static void clear(struct changes *c)
{
    buffer_reset(&c->a);
    buffer_reset(&c->b);
}

/* ---- clusters ---- */

static void tell_cluster(struct changes *c, const struct config *of, const struct cluster *cluster,
                         const char *sign)
{
    buffer_reset(&c->name);
    config_write_name(of, cluster->name, &c->name);
    tell(c, CLUSTERS, sign);
}

static bool is_there(const struct cluster *cluster)
{
    return cluster && !cluster->implicit; /* else it is the routes that say it */
}

static void compare_clusters(struct changes *c)
{
    for (size_t i = 0; i < c->now->n_clusters; i++) {
        const struct cluster *now = c->now->clusters[i], *old = config_cluster(c->old, now->name);
        if (!is_there(now))
            continue;
        clear(c);
        if (is_there(old))
            config_write_cluster(c->old, old, &c->a);
        config_write_cluster(c->now, now, &c->b);
        if (differ(c))
            tell_cluster(c, c->now, now, is_there(old) ? "~" : "+");
    }
    for (size_t i = 0; i < c->old->n_clusters; i++)
        if (is_there(c->old->clusters[i]) &&
            !is_there(config_cluster(c->now, c->old->clusters[i]->name)))
            tell_cluster(c, c->old, c->old->clusters[i], "-");
}

/* ---- what a route says ---- */

static void write_name(struct changes *c, const struct config *of, const struct route_entry *e)
{
    buffer_reset(&c->name);
    if (c->both_directions)
        buffer_add_str(&c->name, e->direction->kind == DIRECTION_INBOUND ? STR(" inbound")
                                                                         : STR(" outbound"));
    if (e->host)
        config_write_name(of, e->host->names[0], &c->name);
    config_write_path(of, e->route, &c->name);
}

/* All but where to and its faults. */
static void write_bare(const struct config *c, const struct route_entry *e, struct buffer *out)
{
    struct route bare = *e->route;

    bare.n_targets = bare.n_faults = 0;
    config_write_route(c, e->direction, &bare, out);
}

static bool same_targets(const struct route *a, const struct route *b, bool weights)
{
    bool same = a->n_targets == b->n_targets;

    for (size_t i = 0; same && i < a->n_targets; i++)
        same = str_eq(a->targets[i].name, b->targets[i].name) &&
               (!weights || a->targets[i].weight == b->targets[i].weight);
    return same;
}

static bool same_faults(const struct route *a, const struct route *b)
{
    bool same = a->n_faults == b->n_faults;

    for (size_t i = 0; same && i < a->n_faults; i++)
        same = str_eq(a->faults[i].text, b->faults[i].text);
    return same;
}

static void tell_targets(struct changes *c, const struct route_entry *now, enum kind kind)
{
    const struct route *r = now->route;

    write_name(c, c->now, now);
    for (size_t i = 0; i < r->n_targets; i++) {
        config_write_name(c->now, r->targets[i].name, &c->name);
        if (r->n_targets > 1)
            buffer_printf(&c->name, " %u", r->targets[i].weight);
    }
    tell(c, kind, "");
}

static void tell_faults(struct changes *c, const struct route_entry *now)
{
    const struct route *r = now->route;

    write_name(c, c->now, now);
    for (size_t i = 0; i < r->n_faults; i++)
        buffer_printf(&c->name, "%s %.*s", i ? " and" : "", STR_ARG(r->faults[i].shown));
    if (r->n_faults == 0)
        buffer_add_str(&c->name, STR(" none"));
    tell(c, FAULTS, "");
}

static void compare_route(struct changes *c, const struct route_entry *now)
{
    const struct route *a = now->other->route, *b = now->route;

    clear(c);
    write_bare(c->old, now->other, &c->a);
    write_bare(c->now, now, &c->b);
    if (differ(c)) {
        write_name(c, c->now, now);
        tell(c, ROUTES, "~");
    }
    if (b->n_targets > 0 && !same_targets(a, b, true))
        tell_targets(c, now, same_targets(a, b, false) ? WEIGHTS : TARGETS);
    if (!same_faults(a, b))
        tell_faults(c, now);
}

static void compare_lists(struct changes *c, const struct route_list *old,
                          const struct route_list *now)
{
    const struct route_entry *before = NULL; /* in the same list */

    for (size_t i = 0; i < now->n; i++) {
        const struct route_entry *e = &now->v[i];
        if (!e->other) {
            write_name(c, c->now, e);
            tell(c, ROUTES, "+");
            continue;
        }
        compare_route(c, e);
        if (before && before->direction == e->direction && before->host == e->host)
            c->reordered |= e->other->at < before->other->at;
        before = e;
    }
    for (size_t i = 0; i < old->n; i++) {
        if (old->v[i].other)
            continue;
        write_name(c, c->old, &old->v[i]);
        tell(c, ROUTES, "-");
    }
}

static void compare_routes(struct changes *c)
{
    struct route_list old = {0}, now = {0};

    if (route_list_init(&old, c->old) && route_list_init(&now, c->now)) {
        route_lists_pair(&old, &now);
        compare_lists(c, &old, &now);
    } else {
        buffer_reset(&c->name);
        buffer_add_str(&c->name, STR(" (there is no memory to compare them)"));
        tell(c, ROUTES, "");
    }
    route_list_release(&old);
    route_list_release(&now);
}

/* ---- the rest ---- */

static void tell_part(struct changes *c, const char *direction, const char *name)
{
    buffer_reset(&c->name);
    buffer_printf(&c->name, " %s%s", direction, name);
    tell(c, PARTS, "");
}

/* Its listeners, and what else it says outside of routes. */
static void compare_direction(struct changes *c, const struct direction *old,
                              const struct direction *now)
{
    const char *name = now->kind == DIRECTION_INBOUND ? "inbound" : "outbound";
    struct direction a = *old, b = *now;

    a.n_hosts = a.n_routes = b.n_hosts = b.n_routes = 0;
    clear(c);
    config_write_direction(c->old, &a, &c->a);
    config_write_direction(c->now, &b, &c->b);
    if (!differ(c))
        return;
    a.n_listens = b.n_listens = 0;
    clear(c);
    config_write_direction(c->old, &a, &c->a);
    config_write_direction(c->now, &b, &c->b);
    tell_part(c, name, differ(c) ? "" : " listeners");
}

static void compare_parts(struct changes *c)
{
    const char *name;

    compare_direction(c, &c->old->inbound, &c->now->inbound);
    compare_direction(c, &c->old->outbound, &c->now->outbound);
    for (size_t i = 0; clear(c), (name = config_write_part(c->now, i, &c->b)); i++) {
        config_write_part(c->old, i, &c->a);
        if (differ(c))
            tell_part(c, "", name);
    }
}

void config_changes(const struct config *old, const struct config *now, struct buffer *out)
{
    struct changes c = {
        .old = old,
        .now = now,
        .lists = {[CLUSTERS] = {.heading = "clusters"},
                  [ROUTES] = {.heading = "routes"},
                  [TARGETS] = {.heading = "targets"},
                  [WEIGHTS] = {.heading = "weights"},
                  [FAULTS] = {.heading = "faults"},
                  [PARTS] = {.heading = "settings"}},
        .both_directions = (old->inbound.present || now->inbound.present) &&
                           (old->outbound.present || now->outbound.present),
    };

    compare_clusters(&c);
    compare_routes(&c);
    compare_parts(&c);
    write_all(&c, out);
    for (size_t i = 0; i < KINDS; i++)
        buffer_release(&c.lists[i].text);
    buffer_release(&c.a);
    buffer_release(&c.b);
    buffer_release(&c.name);
}
