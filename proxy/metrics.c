#include "proxy/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/siphash.h"
#include "mesh/route_label.h"
#include "proxy/metrics_tables.h"

static void publish_series(struct metrics_tables *t, struct series *s)
{
    s->next = atomic_load_explicit(&t->newest, memory_order_relaxed);
    atomic_store_explicit(&t->newest, s, memory_order_release);
}

struct metrics *metrics_new(void)
{
    struct metrics *m = calloc(1, sizeof(*m));
    struct metrics_tables *t = calloc(1, sizeof(*t));
    struct random random;

    if (!m || !t) {
        free(m);
        free(t);
        return NULL;
    }
    m->tables = t;
    random_init(&random);
    t->rpc.seed = random_next(&random);
    for (unsigned d = 0; d < 2; d++)
        t->other[d] = (struct series){.direction = d, .cluster = STR_INIT("other")};
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < SERIES_SLOTS; i++) {
        if (m->tables->slots[i])
            free(m->tables->slots[i]->rest);
        free(m->tables->slots[i]);
    }
    for (size_t i = 0; i < ROUTE_SLOTS; i++)
        free(m->tables->routes[i]);
    for (unsigned d = 0; d < 2; d++)
        free(m->tables->other[d].rest);
    rpc_table_release(&m->tables->rpc);
    free(m->tables);
    free(m);
}

/* ---- what a worker writes ---- */

void metrics_refused(struct metrics *m, const char *rule)
{
    struct metrics_tables *t = m->tables;
    size_t n = atomic_load_explicit(&t->n_refusals, memory_order_relaxed);

    for (size_t i = 0; i < n; i++) {
        if (t->refusals[i].rule == rule || strcmp(t->refusals[i].rule, rule) == 0) {
            metric_add(&t->refusals[i].count, 1);
            return;
        }
    }
    if (n > REFUSAL_RULES_MAX) {
        metric_add(&t->refusals[REFUSAL_RULES_MAX].count, 1);
        return;
    }
    t->refusals[n].rule = n < REFUSAL_RULES_MAX ? rule : "other";
    metric_add(&t->refusals[n].count, 1);
    atomic_store_explicit(&t->n_refusals, n + 1, memory_order_release);
}

static struct str put(char *at, struct str text)
{
    if (text.n > 0)
        memcpy(at, text.p, text.n);
    return str_of(at, text.n);
}

/* The names lie behind the struct, in the same piece of memory. */
static struct series *series_new(unsigned direction, struct str cluster, struct str route)
{
    struct series *s = calloc(1, sizeof(*s) + cluster.n + route.n + 1);

    if (!s)
        return NULL;
    s->direction = direction;
    s->cluster = put((char *)(s + 1), cluster);
    s->route = put((char *)(s + 1) + cluster.n, route);
    return s;
}

/* The one all share for whom there is no place; seen by others from its first use. */
static struct series *series_other(struct metrics_tables *t, unsigned direction)
{
    struct series *s = &t->other[direction];

    if (!t->other_shown[direction]) {
        t->other_shown[direction] = true;
        publish_series(t, s);
    }
    return s;
}

struct series *metrics_series(struct metrics *m, unsigned direction, struct str cluster)
{
    struct metrics_tables *t = m->tables;
    struct siphash_key key = {direction, 0};
    size_t at = siphash(&key, cluster.p, cluster.n) & (SERIES_SLOTS - 1);

    for (; t->slots[at]; at = (at + 1) & (SERIES_SLOTS - 1))
        if (t->slots[at]->direction == direction && str_eq(t->slots[at]->cluster, cluster))
            return t->slots[at];
    if (t->n_series == SERIES_MAX)
        return series_other(t, direction);
    struct series *s = series_new(direction, cluster, STR(""));
    if (!s)
        return series_other(t, direction);
    t->slots[at] = s;
    t->n_series++;
    publish_series(t, s);
    return s;
}

/* What the routes of a cluster share that have no place. */
static struct series *route_rest(struct metrics_tables *t, struct series *cluster)
{
    if (!cluster->rest) {
        cluster->rest = series_new(cluster->direction, cluster->cluster, ROUTE_LABEL_OTHER);
        if (!cluster->rest)
            return cluster;
        publish_series(t, cluster->rest);
    }
    return cluster->rest;
}

static struct series *route_series(struct metrics_tables *t, struct series *cluster,
                                   struct str route)
{
    struct siphash_key key = {(uintptr_t)cluster, 0};
    size_t at = siphash(&key, route.p, route.n) & (ROUTE_SLOTS - 1);

    for (; t->routes[at]; at = (at + 1) & (ROUTE_SLOTS - 1))
        if (t->routes[at]->of == cluster && str_eq(t->routes[at]->route, route))
            return t->routes[at];
    if (t->n_routes == ROUTE_SERIES_MAX)
        return route_rest(t, cluster);
    struct series *s = series_new(cluster->direction, cluster->cluster, route);
    if (!s)
        return route_rest(t, cluster);
    s->of = cluster;
    t->routes[at] = s;
    t->n_routes++;
    publish_series(t, s);
    return s;
}

/* A label lies where its configuration has it, so that no request hashes it. After a reload another
 * may lie there: what is found is compared. */
struct series *metrics_route_series(struct metrics *m, struct series *cluster, struct str route)
{
    struct metrics_tables *t = m->tables;

    if (!route.n)
        return cluster;
    if (str_eq(route, ROUTE_LABEL_OTHER))
        return route_rest(t, cluster);
    uintptr_t place = (uintptr_t)route.p / 16 + (uintptr_t)cluster / 64;
    struct series **recent = &t->recent[place & (RECENT_SLOTS - 1)];
    if (!*recent || (*recent)->of != cluster || !str_eq((*recent)->route, route))
        *recent = route_series(t, cluster, route);
    return *recent;
}

void series_record(struct series *s, unsigned status, nsec_t duration, uint64_t request_bytes,
                   uint64_t response_bytes)
{
    histogram_record(&s->duration, duration);
    metric_add(&s->by_class[status < 600 ? status / 100 : 0], 1);
    metric_add(&s->request_bytes, request_bytes);
    metric_add(&s->response_bytes, response_bytes);
}

int64_t metrics_total(struct metrics *const *v, size_t n, enum counter c)
{
    int64_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += atomic_load_explicit(&v[i]->v[c], memory_order_relaxed);
    return total;
}
