/*
 * A worker's clusters: their endpoints follow what is published, and keep
 * their connections where an address stays.
 */
#include <stdlib.h>

#include "proxy/upstream.h"
#include "proxy/upstream_private.h"

enum { ORIGINALS_MAX = 4096 };

struct upstreams {
    struct worker *worker;
    struct list clusters;
    struct list originals; /* endpoints no cluster names, the latest used first */
    unsigned n_originals;
};

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static struct str copy_text(struct str s)
{
    char *p = must(malloc(s.n + 1));

    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_of(p, s.n);
}

struct upstreams *upstreams_new(struct worker *w)
{
    struct upstreams *u = calloc(1, sizeof *u);

    if (!u)
        return NULL;
    u->worker = w;
    list_init(&u->clusters);
    list_init(&u->originals);
    return u;
}

/* ---- endpoints ---- */

static struct upstream *upstream_new(struct worker *w, struct str cluster,
                                     const struct address *address)
{
    struct upstream *u = must(calloc(1, sizeof *u));

    u->refs = 1;
    u->worker = w;
    u->cluster = copy_text(cluster);
    u->address = *address;
    list_init(&u->link);
    list_init(&u->idle);
    list_init(&u->waiting);
    return u;
}

static void configure(struct upstream *u, const struct cluster *c)
{
    u->connect_timeout = c->connect_timeout;
    u->pool_idle = c->pool_idle;
    u->pool_max = c->pool_max;
    u->pool_idle_max = c->pool_idle_max;
    u->pool_requests = c->pool_requests;
}

static struct upstream *endpoint_of(const struct cluster_state *c, const struct address *a)
{
    for (size_t i = 0; i < c->n; i++)
        if (address_eq(&c->upstreams[i]->address, a))
            return c->upstreams[i];
    return NULL;
}

static void release_endpoints(struct upstream **v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (v[i]->refs_of_sets-- == 1)
            upstream_retire(v[i]);
        upstream_unref(v[i]);
    }
    free(v);
}

static void use_set(struct upstreams *u, struct cluster_state *c, struct endpoint_set *set)
{
    struct upstream **v = must(calloc(set->n + 1, sizeof *v));
    struct balance_entry *entries = must(calloc(set->n + 1, sizeof *entries));
    struct upstream **old = c->upstreams;
    size_t n_old = c->n;

    for (size_t i = 0; i < set->n; i++) {
        struct upstream *was = endpoint_of(c, &set->v[i].address);

        v[i] = was ? upstream_ref(was) : upstream_new(u->worker, c->name, &set->v[i].address);
        v[i]->refs_of_sets++;
        configure(v[i], c->config);
        entries[i].weight = set->v[i].weight;
    }
    free(c->entries);
    c->upstreams = v;
    c->entries = entries;
    c->n = set->n;
    endpoint_set_unref(c->set);
    c->set = set;
    release_endpoints(old, n_old);
}

/* ---- clusters ---- */

static struct cluster_state *find(struct upstreams *u, struct str name)
{
    LIST_FOR_EACH(at, &u->clusters)
    {
        struct cluster_state *c = container_of(at, struct cluster_state, link);

        if (str_eq(c->name, name))
            return c;
    }
    return NULL;
}

static void unref_cluster(struct cluster_state *c)
{
    if (--c->refs)
        return;
    list_remove(&c->link);
    release_endpoints(c->upstreams, c->n);
    endpoint_set_unref(c->set);
    free(c->entries);
    free((char *)(uintptr_t)c->name.p);
    free(c);
}

/* Literal addresses need nobody to resolve them: they are there with the config. */
static struct endpoint_set *literal_set(const struct cluster *c)
{
    struct endpoint_set *set =
        must(calloc(1, sizeof *set + c->n_endpoints * sizeof set->v[0]));

    atomic_init(&set->refs, 1);
    set->cluster = (char *)(uintptr_t)copy_text(c->name).p;
    for (size_t i = 0; i < c->n_endpoints; i++) {
        const struct endpoint_config *e = &c->endpoints[i];

        if (e->location.address.family == 0)
            set->pending = true;
        else {
            set->v[set->n].address = e->location.address;
            set->v[set->n].weight = e->weight;
            address_format(&e->location.address, set->v[set->n].text);
            set->n++;
        }
    }
    return set;
}

static struct cluster_state *adopt(struct upstreams *u, const struct cluster *config)
{
    struct cluster_state *c = find(u, config->name);

    if (!c) {
        c = must(calloc(1, sizeof *c));
        c->name = copy_text(config->name);
        list_push_back(&u->clusters, &c->link);
        c->config = config;
        c->series[0] = metrics_series(u->worker->metrics, 0, config->name);
        c->series[1] = metrics_series(u->worker->metrics, 1, config->name);
        use_set(u, c, literal_set(config));
    }
    c->refs++;
    c->config = config;
    for (size_t i = 0; i < c->n; i++)
        configure(c->upstreams[i], config);
    return c;
}

struct cluster_state **upstreams_adopt(struct upstreams *u, const struct config *c)
{
    struct cluster_state **v = must(calloc(c->n_clusters + 1, sizeof *v));

    for (size_t i = 0; i < c->n_clusters; i++)
        v[i] = adopt(u, c->clusters[i]);
    return v;
}

void upstreams_abandon(struct upstreams *u, struct cluster_state **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        unref_cluster(v[i]);
    free(v);
}

void upstreams_set_endpoints(struct upstreams *u, struct endpoint_set *set)
{
    struct cluster_state *c = find(u, str_from(set->cluster));

    if (c)
        use_set(u, c, set);
    else
        endpoint_set_unref(set);
}

struct upstream *cluster_choose(struct cluster_state *c, const uint64_t *skip, size_t *index)
{
    size_t i;

    if (c->n == 0)
        return NULL;
    if (c->n == 1) {
        *index = 0;
        return c->upstreams[0];
    }
    for (i = 0; i < c->n; i++)
        c->entries[i].in_flight = c->upstreams[i]->in_flight;
    i = balance_choose(c->config->balance, c->entries, c->n, skip, &c->upstreams[0]->worker->random);
    *index = i;
    return i < c->n ? c->upstreams[i] : NULL;
}

/* ---- original destinations ---- */

static void forget(struct upstreams *us, struct upstream *u)
{
    list_remove(&u->link);
    us->n_originals--;
    upstream_retire(u);
    upstream_unref(u);
}

/* Makes room: one that nobody uses, the longest unused first. */
static void forget_one(struct upstreams *us)
{
    for (struct list *at = us->originals.prev; at != &us->originals; at = at->prev) {
        struct upstream *u = container_of(at, struct upstream, link);

        if (u->n_open == u->n_idle && !u->n_connecting && !u->n_waiting) {
            forget(us, u);
            return;
        }
    }
}

struct upstream *upstream_original(struct upstreams *us, const struct address *address)
{
    static const struct cluster defaults = {
        .connect_timeout = SECONDS(5), .pool_idle = SECONDS(30), .pool_idle_max = 64};
    struct upstream *u;

    LIST_FOR_EACH(at, &us->originals)
    {
        u = container_of(at, struct upstream, link);
        if (address_eq(&u->address, address)) {
            list_remove(&u->link);
            list_push_front(&us->originals, &u->link);
            return upstream_ref(u);
        }
    }
    if (us->n_originals >= ORIGINALS_MAX)
        forget_one(us);
    u = upstream_new(us->worker, STR("original"), address);
    configure(u, &defaults);
    list_push_front(&us->originals, &u->link);
    us->n_originals++;
    return upstream_ref(u);
}

void upstreams_free(struct upstreams *us)
{
    if (!us)
        return;
    while (!list_empty(&us->originals))
        forget(us, container_of(us->originals.next, struct upstream, link));
    free(us);
}
