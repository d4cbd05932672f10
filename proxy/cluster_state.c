/*
 * A worker's clusters: their endpoints follow what is published, and keep
 * their connections where an address stays.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/siphash.h"
#include "mesh/split.h"
#include "proxy/upstream.h"
#include "proxy/upstream_private.h"

struct path {
    struct path *next;
    char text[];
};

/* p NULL: no memory. */
static struct str copy_text(struct str s)
{
    char *p = malloc(s.n + 1);

    if (!p)
        return (struct str){0};
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
    for (size_t i = 0; i < CLUSTER_BUCKETS; i++)
        list_init(&u->clusters[i]);
    return u;
}

/* ---- endpoints ---- */

/* What holds an address may outlive the set it is from: a path is kept as long as the worker. There
 * are as many as configurations have named. NULL: no memory. */
static const char *keep_path(struct upstreams *us, const char *path)
{
    struct path *kept;

    for (kept = us->paths; kept; kept = kept->next)
        if (strcmp(kept->text, path) == 0)
            return kept->text;
    kept = malloc(sizeof *kept + strlen(path) + 1);
    if (!kept)
        return NULL;
    strcpy(kept->text, path);
    kept->next = us->paths;
    us->paths = kept;
    return kept->text;
}

struct upstream *upstream_new(struct upstreams *us, struct str cluster,
                              const struct address *address)
{
    struct upstream *u = calloc(1, sizeof *u);

    if (!u)
        return NULL;
    u->refs = 1;
    u->worker = us->worker;
    u->cluster = copy_text(cluster);
    u->address = *address;
    if (address->family == AF_UNIX)
        u->address.path = keep_path(us, address->path);
    if (!u->cluster.p || (address->family == AF_UNIX && !u->address.path)) {
        free((char *)(uintptr_t)u->cluster.p);
        free(u);
        return NULL;
    }
    heard_init(&u->heard, &u->address);
    list_init(&u->link);
    list_init(&u->bucket);
    list_init(&u->idle);
    list_init(&u->logins);
    list_init(&u->waiting);
    list_init(&u->shared);
    list_init(&u->shared_waiting);
    u->streams = SHARED_STREAMS;
    return u;
}

/* Mostly where it stood before. */
static struct upstream *endpoint_of(const struct cluster_state *c, const struct address *a,
                                    size_t before)
{
    if (before < c->n && address_eq(&c->upstreams[before]->address, a))
        return c->upstreams[before];
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

static void unref_cluster(struct cluster_state *c);

/* Takes the reference. False: no memory; the set stays its caller's, and the cluster as it is. */
static bool use_set(struct upstreams *u, struct cluster_state *c, struct endpoint_set *set)
{
    struct upstream **v = calloc(set->n + 1, sizeof *v);
    struct balance_entry *entries = calloc(set->n + 1, sizeof *entries);
    struct upstream **old = c->upstreams;
    size_t n_old = c->n;

    for (size_t i = 0; i < set->n; i++) {
        struct upstream *was = endpoint_of(c, &set->v[i].address, i);

        if (v && entries)
            v[i] = was ? upstream_ref(was) : upstream_new(u, c->name, &set->v[i].address);
        if (!v || !entries || !v[i]) {
            release_endpoints(v, i);
            free(entries);
            return false;
        }
        v[i]->refs_of_sets++;
        v[i]->pool = c->pool;
        entries[i].weight = set->v[i].weight;
    }
    free(c->entries);
    c->upstreams = v;
    c->entries = entries;
    c->n = set->n;
    endpoint_set_unref(c->set);
    c->set = set;
    release_endpoints(old, n_old);
    return true;
}

/* ---- names that are not known yet ---- */

static bool names_pending(const struct cluster_state *c)
{
    return c->n == 0 && c->set && c->set->pending;
}

bool cluster_await_names(struct cluster_state *c, struct names_wait *w)
{
    if (!names_pending(c))
        return false;
    list_push_back(&c->waiting, &w->link);
    return true;
}

/* Whoever is told may be the last to hold the cluster. */
static void tell_waiting(struct cluster_state *c)
{
    c->refs++;
    while (!list_empty(&c->waiting) && !names_pending(c)) {
        struct names_wait *w = container_of(c->waiting.next, struct names_wait, link);

        list_remove(&w->link);
        w->known(w);
    }
    unref_cluster(c);
}

/* ---- clusters ---- */

static struct list *bucket_of(struct upstreams *u, struct str name)
{
    static const struct siphash_key key = {0x636c7573746572, 0x6275636b6574};

    return &u->clusters[siphash(&key, name.p, name.n) % CLUSTER_BUCKETS];
}

static struct cluster_state *find(struct upstreams *u, struct str name)
{
    LIST_FOR_EACH (at, bucket_of(u, name)) {
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
    endpoint_set_unref(c->owed);
    free(c->entries);
    free((char *)(uintptr_t)c->name.p);
    free(c);
}

/* Literal addresses need nobody to resolve them: they are there with the config. NULL: no memory.
 */
static struct endpoint_set *literal_set(const struct cluster *c)
{
    struct endpoint_set *set = endpoint_set_new(c->name, c->n_endpoints);

    if (!set)
        return NULL;
    for (size_t i = 0; i < c->n_endpoints; i++) {
        const struct endpoint_config *e = &c->endpoints[i];

        if (e->location.address.family == 0)
            set->pending = true;
        else
            endpoint_set_add(set, &e->location.address, e->weight);
    }
    return set;
}

static void configure(struct cluster_state *c, const struct cluster *config)
{
    c->balance = config->balance;
    c->pool = (struct pool_rules){
        .connect_timeout = config->connect_timeout,
        .queue = config->pool_queue,
        .idle = config->pool_idle,
        .max = config->pool_max,
        .idle_max = config->pool_idle_max,
        .requests = config->pool_requests,
        .protocol = (uint8_t)config->protocol,
    };
    for (size_t i = 0; i < c->n; i++)
        c->upstreams[i]->pool = c->pool;
}

/* With one reference, which is the caller's. NULL: no memory. */
static struct cluster_state *cluster_new(struct upstreams *u, const struct cluster *config)
{
    struct cluster_state *c = calloc(1, sizeof *c);
    struct endpoint_set *set = literal_set(config);

    if (c) {
        c->refs = 1;
        c->all = u;
        list_init(&c->link);
        list_init(&c->waiting);
        c->name = copy_text(config->name);
    }
    if (!c || !set || !c->name.p)
        goto fail;
    c->salt = split_salt(config->name);
    configure(c, config);
    if (!use_set(u, c, set))
        goto fail;
    c->series[0] = metrics_series(u->worker->metrics, 0, config->name);
    c->series[1] = metrics_series(u->worker->metrics, 1, config->name);
    list_push_back(bucket_of(u, c->name), &c->link);
    return c;
fail:
    endpoint_set_unref(set);
    if (c)
        unref_cluster(c);
    return NULL;
}

static struct cluster_state *adopt(struct upstreams *u, const struct cluster *config)
{
    struct cluster_state *c = find(u, config->name);

    if (!c)
        return cluster_new(u, config);
    configure(c, config);
    c->refs++;
    return c;
}

size_t upstreams_adopt(struct upstreams *u, const struct config *c, struct cluster_state **v,
                       size_t first, size_t last)
{
    for (size_t i = first; i < last; i++) {
        v[i] = adopt(u, c->clusters[i]);
        if (!v[i])
            return i;
    }
    return last;
}

void upstreams_abandon(struct cluster_state **v, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++)
        unref_cluster(v[i]);
}

void upstreams_keep_to(const struct config *c, struct cluster_state **v)
{
    for (size_t i = 0; i < c->n_clusters; i++)
        configure(v[i], c->clusters[i]);
}

/* Tried again when somebody asks, until there is memory, or a newer set. */
static void use_owed(struct cluster_state *c)
{
    struct endpoint_set *set = c->owed;

    c->owed = NULL;
    if (!use_set(c->all, c, set))
        c->owed = set;
}

void upstreams_set_endpoints(struct upstreams *u, struct endpoint_set *set)
{
    struct cluster_state *c = find(u, str_from(set->cluster));

    if (!c) {
        endpoint_set_unref(set);
        return;
    }
    endpoint_set_unref(c->owed);
    c->owed = set;
    use_owed(c);
    if (c->owed)
        log_write(LOG_ERROR, "endpoints", "no memory: cluster %.*s keeps its old addresses for now",
                  STR_ARG(c->name));
    tell_waiting(c);
}

bool was_tried(const struct tried *tried, const struct address *a)
{
    for (; tried; tried = tried->next)
        if (address_eq(&tried->address, a))
            return true;
    return false;
}

bool cluster_has_another(const struct cluster_state *c, const struct tried *tried, bool answering)
{
    for (size_t i = 0; i < c->n; i++)
        if (!was_tried(tried, &c->upstreams[i]->address) &&
            !(answering && c->upstreams[i]->shunned))
            return true;
    return false;
}

static enum balance_skip skip_of(struct upstream *u, const struct tried *tried)
{
    if (was_tried(tried, &u->address))
        return BALANCE_TRIED;
    return upstream_is_shunned(u) ? BALANCE_SHUN : BALANCE_USE;
}

struct upstream *cluster_choose(struct cluster_state *c, const struct tried *tried,
                                const struct trace_id *key)
{
    uint64_t hash = 0;
    size_t i;

    if (c->owed)
        use_owed(c);
    if (c->n == 0)
        return NULL;
    if (c->n == 1)
        return c->upstreams[0];
    for (i = 0; i < c->n; i++) {
        c->entries[i].in_flight = c->upstreams[i]->in_flight;
        c->entries[i].skip = (uint8_t)skip_of(c->upstreams[i], tried);
    }
    if (c->balance == BALANCE_RANDOM)
        hash = siphash(&c->salt, key->bytes, sizeof key->bytes);
    i = balance_choose(c->balance, c->entries, c->n, &c->upstreams[0]->worker->loop.random, hash);
    return i < c->n ? c->upstreams[i] : NULL;
}

void upstreams_close(struct upstreams *us)
{
    for (size_t b = 0; b < CLUSTER_BUCKETS; b++)
        LIST_FOR_EACH (at, &us->clusters[b]) {
            struct cluster_state *c = container_of(at, struct cluster_state, link);

            for (size_t i = 0; i < c->n; i++)
                shared_close(c->upstreams[i]);
        }
    originals_free(us->originals);
    us->originals = NULL;
}

void upstreams_free(struct upstreams *us)
{
    if (!us)
        return;
    upstreams_hang_up(us->worker);
    originals_free(us->originals);
    while (us->paths) {
        struct path *next = us->paths->next;

        free(us->paths);
        us->paths = next;
    }
    free(us);
}
