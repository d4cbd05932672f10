#include "proxy/endpoints.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "proxy/prometheus.h"

/* A name that failed is asked again after 1 s, 2 s, 4 s, ... but no later than this. */
#define FAILURE_PAUSE_MAX SECONDS(30)
/* Whatever a TTL says. */
#define PAUSE_MIN MILLISECONDS(10)

/* One `endpoint` line whose address is a name. */
struct watched {
    struct cluster_watch *cluster;
    const struct endpoint_config *config;
    struct resolve *question; /* NULL: none is under way */
    bool asking;
    bool answered;     /* for the first time, well or not */
    char *error;       /* owned; why the last answer was none */
    unsigned failures; /* in a row */
    nsec_t asked, next;
    struct address *addresses; /* owned; the last good ones */
    size_t n;
};

struct cluster_watch {
    struct endpoints *all;
    const struct cluster *cluster;
    struct watched *names; /* owned; an entry for each endpoint, unused where it is a literal */
    struct endpoint_set *published; /* a reference; NULL: not yet */
};

struct endpoints {
    struct event_base *base;
    struct resolver *resolver;
    endpoints_publish_fn *publish;
    void *arg;
    struct event *timer;
    struct config *config;         /* a reference; NULL: none is followed yet */
    struct cluster_watch *watches; /* owned; one for each cluster of config */
    size_t n;
    bool following; /* answers are gathered, to be published together */
};

static bool is_name(const struct watched *w)
{
    return w->config->location.name.n > 0;
}

/* ---- publishing ---- */

static size_t count_addresses(const struct cluster_watch *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->cluster->n_endpoints; i++)
        n += is_name(&c->names[i]) ? c->names[i].n : 1;
    return n;
}

static void add_watched(struct endpoint_set *s, const struct watched *w)
{
    struct address a = w->config->location.address;

    if (!is_name(w)) {
        endpoint_set_add(s, &a, w->config->weight);
        return;
    }
    for (size_t i = 0; i < w->n; i++) {
        a = w->addresses[i];
        a.port = w->config->location.address.port;
        endpoint_set_add(s, &a, w->config->weight);
    }
    s->pending |= !w->answered;
    if (w->error && !s->error)
        s->error = strdup(w->error);
}

static struct endpoint_set *make_set(const struct cluster_watch *c)
{
    struct endpoint_set *s = endpoint_set_new(c->cluster->name, count_addresses(c));

    for (size_t i = 0; s && i < c->cluster->n_endpoints; i++)
        add_watched(s, &c->names[i]);
    return s;
}

static void publish(struct cluster_watch *c, bool even_if_equal)
{
    struct endpoint_set *s = make_set(c);

    if (!s) {
        log_write(LOG_ERROR, "endpoints", "no memory: cluster %.*s keeps its old addresses",
                  STR_ARG(c->cluster->name));
        return;
    }
    if (!even_if_equal && c->published && endpoint_set_eq(s, c->published)) {
        endpoint_set_unref(s);
        return;
    }
    endpoint_set_unref(c->published);
    c->published = endpoint_set_ref(s);
    c->all->publish(c->all->arg, s);
}

/* ---- asking ---- */

static bool take_addresses(struct watched *w, const struct resolved *result)
{
    struct address *copy = malloc(result->n * sizeof(*copy));

    if (!copy)
        return false;
    memcpy(copy, result->v, result->n * sizeof(*copy));
    free(w->addresses);
    w->addresses = copy;
    w->n = result->n;
    return true;
}

static void note_success(struct watched *w, nsec_t now, nsec_t ttl)
{
    if (w->error)
        log_write(LOG_INFO, "endpoints", "cluster %.*s: %.*s is resolved again",
                  STR_ARG(w->cluster->cluster->name), STR_ARG(w->config->location.name));
    free(w->error);
    w->error = NULL;
    w->failures = 0;
    w->next = now + (ttl > PAUSE_MIN ? ttl : PAUSE_MIN);
}

static void note_failure(struct watched *w, nsec_t now, const char *why)
{
    struct str name = w->config->location.name;
    nsec_t pause = FAILURE_PAUSE_MAX;
    char *text = NULL;

    if (asprintf(&text, "%.*s: %s", STR_ARG(name), why) < 0)
        text = NULL;
    if (text && (!w->error || strcmp(w->error, text) != 0))
        log_write(LOG_WARN, "endpoints", "cluster %.*s: %s; %s", STR_ARG(w->cluster->cluster->name),
                  text, w->n > 0 ? "its last addresses stay in use" : "it has no address");
    if (text) {
        free(w->error);
        w->error = text;
    }
    if (w->failures < 5)
        pause = SECONDS(1) << w->failures;
    w->failures++;
    w->next = now + pause;
}

static void schedule(struct endpoints *e);

static void on_resolved(void *arg, const struct resolved *result)
{
    struct watched *w = arg;
    struct endpoints *e = w->cluster->all;
    nsec_t now = clock_monotonic();

    w->question = NULL;
    w->asking = false;
    if (result->error)
        note_failure(w, now, result->error);
    else if (result->n == 0)
        note_failure(w, now, "it has no address");
    else if (take_addresses(w, result))
        note_success(w, now, result->ttl);
    else
        note_failure(w, now, "no memory");
    w->answered = true;
    if (!e->following) {
        publish(w->cluster, false);
        schedule(e);
    }
}

static void ask(struct watched *w, nsec_t now)
{
    w->asking = true;
    w->asked = now;
    struct resolve *q =
        resolver_ask(w->cluster->all->resolver, w->config->location.name, on_resolved, w);
    if (w->asking)
        w->question = q;
}

/* What is due is asked; the timer is set for what comes next. */
static void ask_due(struct endpoints *e)
{
    nsec_t now = clock_monotonic();

    for (size_t i = 0; i < e->n; i++)
        for (size_t k = 0; k < e->watches[i].cluster->n_endpoints; k++) {
            struct watched *w = &e->watches[i].names[k];
            if (is_name(w) && !w->asking && w->next <= now)
                ask(w, now);
        }
}

static void schedule(struct endpoints *e)
{
    nsec_t next = INT64_MAX, now = clock_monotonic();

    for (size_t i = 0; i < e->n; i++)
        for (size_t k = 0; k < e->watches[i].cluster->n_endpoints; k++) {
            const struct watched *w = &e->watches[i].names[k];
            if (is_name(w) && !w->asking && w->next < next)
                next = w->next;
        }
    if (next == INT64_MAX) {
        event_del(e->timer);
        return;
    }
    nsec_t wait = next > now ? next - now : 0;
    struct timeval tv = {(time_t)(wait / SECONDS(1)), (suseconds_t)(wait % SECONDS(1) / 1000) + 1};
    event_add(e->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct endpoints *e = arg;

    (void)fd;
    (void)what;
    ask_due(e);
    schedule(e);
}

/* ---- following a config ---- */

static void watch_release(struct cluster_watch *c)
{
    for (size_t i = 0; c->names && i < c->cluster->n_endpoints; i++) {
        resolver_cancel(c->names[i].question);
        free(c->names[i].error);
        free(c->names[i].addresses);
    }
    free(c->names);
    endpoint_set_unref(c->published);
}

static void watches_free(struct cluster_watch *v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        watch_release(&v[i]);
    free(v);
}

/* What was known before a reload, by name. */
struct known {
    struct map names;    /* of struct watched: answered ones */
    struct map clusters; /* of struct cluster_watch */
};

static struct known what_is_known(const struct endpoints *e)
{
    struct known k = {0};

    for (size_t i = 0; i < e->n; i++) {
        struct cluster_watch *c = &e->watches[i];

        map_add(&k.clusters, c->cluster->name, c);
        for (size_t n = 0; n < c->cluster->n_endpoints; n++)
            if (is_name(&c->names[n]) && c->names[n].answered)
                map_add(&k.names, c->names[n].config->location.name, &c->names[n]);
    }
    return k;
}

static void known_release(struct known *k)
{
    map_release(&k->names);
    map_release(&k->clusters);
}

/* What is known of the name already, so that a reload does not ask anew. */
static void inherit(struct watched *w, const struct watched *from)
{
    w->addresses = from->n > 0 ? malloc(from->n * sizeof(*w->addresses)) : NULL;
    if (from->n > 0 && !w->addresses)
        return;
    if (from->n > 0)
        memcpy(w->addresses, from->addresses, from->n * sizeof(*w->addresses));
    w->n = from->n;
    w->answered = true;
    w->error = from->error ? strdup(from->error) : NULL;
    w->failures = from->failures;
    w->next = from->next;
    w->asked = from->asked;
}

static bool watch_init(struct cluster_watch *c, struct endpoints *e, const struct known *k,
                       const struct cluster *cluster)
{
    const struct cluster_watch *before = map_get(&k->clusters, cluster->name);

    *c = (struct cluster_watch){.all = e, .cluster = cluster};
    if (before && before->published)
        c->published = endpoint_set_ref(before->published);
    c->names = calloc(cluster->n_endpoints + 1, sizeof(*c->names));
    if (!c->names)
        return false;
    for (size_t i = 0; i < cluster->n_endpoints; i++) {
        struct watched *w = &c->names[i];
        w->cluster = c;
        w->config = &cluster->endpoints[i];
        if (!is_name(w))
            continue;
        const struct watched *known = map_get(&k->names, w->config->location.name);
        if (known)
            inherit(w, known);
    }
    return true;
}

void endpoints_follow(struct endpoints *e, struct config *config)
{
    struct cluster_watch *v = calloc(config->n_clusters + 1, sizeof(*v));
    struct known k = what_is_known(e);

    for (size_t i = 0; i < config->n_clusters; i++) {
        if (!v || k.names.failed || k.clusters.failed ||
            !watch_init(&v[i], e, &k, config->clusters[i])) {
            log_write(LOG_ERROR, "endpoints", "no memory to follow the clusters of the new file");
            watches_free(v, v ? i + 1 : 0);
            known_release(&k);
            return;
        }
    }
    known_release(&k);
    watches_free(e->watches, e->n);
    config_ref(config);
    config_unref(e->config);
    e->config = config;
    e->watches = v;
    e->n = config->n_clusters;

    e->following = true;
    ask_due(e);
    e->following = false;
    for (size_t i = 0; i < e->n; i++)
        publish(&e->watches[i], !e->watches[i].published);
    schedule(e);
}

struct endpoints *endpoints_new(struct event_base *base, struct resolver *resolver,
                                endpoints_publish_fn *publish_fn, void *arg)
{
    struct endpoints *e = calloc(1, sizeof(*e));

    if (!e)
        return NULL;
    *e = (struct endpoints){.base = base, .resolver = resolver, .publish = publish_fn, .arg = arg};
    e->timer = evtimer_new(base, on_timer, e);
    if (!e->timer) {
        free(e);
        return NULL;
    }
    return e;
}

void endpoints_free(struct endpoints *e)
{
    if (!e)
        return;
    watches_free(e->watches, e->n);
    config_unref(e->config);
    event_free(e->timer);
    free(e);
}

void endpoints_hint_stale(struct endpoints *e, struct str cluster)
{
    for (size_t i = 0; i < e->n; i++) {
        struct cluster_watch *c = &e->watches[i];
        if (!str_eq(c->cluster->name, cluster))
            continue;
        for (size_t k = 0; k < c->cluster->n_endpoints; k++)
            if (c->names[k].next > c->names[k].asked + SECONDS(1))
                c->names[k].next = c->names[k].asked + SECONDS(1);
        schedule(e);
    }
}

/* ---- what an operator sees ---- */

bool endpoints_settled(const struct endpoints *e)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->watches[i].published && e->watches[i].published->pending)
            return false;
    return true;
}

void endpoints_unsettled_print(const struct endpoints *e, struct buffer *out)
{
    for (size_t i = 0; i < e->n; i++)
        for (size_t k = 0; k < e->watches[i].cluster->n_endpoints; k++) {
            const struct watched *w = &e->watches[i].names[k];
            if (is_name(w) && !w->answered)
                buffer_printf(out, "cluster %.*s: %.*s has not been resolved yet\n",
                              STR_ARG(w->cluster->cluster->name),
                              STR_ARG(w->config->location.name));
        }
}

static void print_gauge(const struct endpoints *e, const char *name, bool failing,
                        struct buffer *out)
{
    for (size_t i = 0; i < e->n; i++) {
        const struct endpoint_set *s = e->watches[i].published;
        buffer_printf(out, "%s{", name);
        prometheus_label(out, "cluster", e->watches[i].cluster->name);
        buffer_printf(out, "} %zu\n", !s ? 0 : failing ? (size_t)(s->error != NULL) : s->n);
    }
}

void endpoints_metrics_print(const struct endpoints *e, struct buffer *out)
{
    const char *n = "sidespan_cluster_endpoints", *f = "sidespan_cluster_resolution_failing";

    prometheus_family(out, n, "gauge", "Addresses the cluster has");
    print_gauge(e, n, false, out);
    prometheus_family(out, f, "gauge",
                      "1 when a name of the cluster could not be resolved the last time");
    print_gauge(e, f, true, out);
}
