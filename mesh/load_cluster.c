/*
 * cluster, and the clusters that a `to ADDRESS` makes.
 */
#include "mesh/config_words.h"
#include "mesh/loader.h"

enum { WEIGHT_MAX = 1000000, CONNECTIONS_MAX = 1000000, REQUESTS_MAX = 1000000000 };

struct cluster *cluster_new(struct loader *ld, struct str name, struct place at)
{
    struct cluster *c = must(arena_zalloc(ld->arena, sizeof(*c)));

    c->name = name;
    c->news = must(arena_zalloc(ld->arena, sizeof *c->news));
    c->at = at;
    c->balance = BALANCE_ROUND_ROBIN;
    c->protocol = PROTOCOL_AUTO;
    c->connect_timeout = SECONDS(5);
    c->pool_queue = SECONDS(5);
    c->pool_idle = SECONDS(30);
    c->pool_idle_max = 256;
    return c;
}

static bool is_cluster_name(struct str name)
{
    return value_is_text(name) && str_index(name, ':', 0) == name.n &&
           str_index(name, ' ', 0) == name.n;
}

/* Its name is taken even where the rest is wrong, so that nobody misses it. */
static void add_cluster(struct loader *ld, struct cluster *c, const struct word *name)
{
    struct config *config = ld->config;
    const struct cluster *before = map_get(&config->clusters_by_name, c->name);
    char shown[80];

    if (before) {
        wrongf(ld, name, "cluster \"%s\" stands twice; the first is in %s",
               value_shown(c->name, shown), place_shown(ld, name->at, before->at));
        return;
    }
    must_add(&config->clusters_by_name, c->name, c);
    config->clusters =
        array_room(ld->arena, config->clusters, config->n_clusters, sizeof(*config->clusters));
    c->index = (unsigned)config->n_clusters;
    config->clusters[config->n_clusters++] = c;
}

void read_cluster(struct loader *ld, const struct directive *row, const struct statement *s,
                  struct block *in)
{
    const struct word *name = s->n_args ? &s->args[0] : &s->name;
    struct cluster *c = cluster_new(ld, keep(ld, name->text), name->at);
    char shown[80];
    struct block b;

    if (s->n_args == 0)
        ld->clusters_lost = true;
    else if (word_is(name, "original"))
        wrongf(ld, name,
               "\"original\" means the destination the client asked for; a cluster needs "
               "another name");
    else if (!is_cluster_name(name->text))
        wrongf(ld, name, "a cluster's name has no spaces and no colons");
    else
        add_cluster(ld, c, name);

    block_init(&b, "cluster", IN(CONTEXT_CLUSTER), c);
    load_block(ld, &b, s->block);
    if (s->has_block && !s->bad && !block_has(&b, "endpoint"))
        wrongf(ld, name, "cluster \"%s\" has no endpoint", value_shown(name->text, shown));
}

static void add_endpoint(struct loader *ld, struct cluster *c, const struct endpoint_config *e)
{
    c->endpoints = array_room(ld->arena, c->endpoints, c->n_endpoints, sizeof(*c->endpoints));
    c->endpoints[c->n_endpoints++] = *e;
}

void read_endpoint(struct loader *ld, const struct directive *row, const struct statement *s,
                   struct block *in)
{
    static const char *const choices[] = {"weight", NULL};
    struct words w = words_of(row, s);
    const struct word *address = words_next(&w), *option;
    struct endpoint_config e = {.weight = 1};
    struct cluster *c = in->target;
    struct error err = {0};
    uint64_t weight = 1;

    if (!value_location(address->text, ADDRESS_TO_REACH, ld->arena, &e.location, &err)) {
        wrong(ld, address, &err);
        return;
    }
    if ((option = words_next(&w)) != NULL) {
        size_t index;
        if (!word_choice(ld, &w, option, choices, &index) ||
            !take_number(ld, &w, 1, WEIGHT_MAX, &weight) || !words_end(ld, &w))
            return;
        e.weight = (unsigned)weight;
    }
    for (size_t i = 0; i < c->n_endpoints; i++)
        if (str_eq_nocase(c->endpoints[i].location.text, e.location.text)) {
            wrongf(ld, address,
                   "endpoint %.*s stands twice in this cluster; weight N counts one "
                   "more than once",
                   STR_ARG(e.location.text));
            return;
        }
    add_endpoint(ld, c, &e);
}

void read_balance(struct loader *ld, const struct directive *row, const struct statement *s,
                  struct block *in)
{
    struct words w = words_of(row, s);
    size_t index;

    if (word_choice(ld, &w, words_next(&w), balance_words, &index))
        ((struct cluster *)in->target)->balance = (enum balance_kind)index;
}

void read_protocol(struct loader *ld, const struct directive *row, const struct statement *s,
                   struct block *in)
{
    struct words w = words_of(row, s);
    size_t index;

    if (word_choice(ld, &w, words_next(&w), protocol_words, &index))
        ((struct cluster *)in->target)->protocol = (enum cluster_protocol)index;
}

/* "N", or "none" where that is a value. */
static bool take_count(struct loader *ld, struct words *w, bool none, uint64_t max, uint64_t *out)
{
    *out = 0;
    return (none && words_take(w, "none")) || take_number(ld, w, none ? 1 : 0, max, out);
}

void read_pool(struct loader *ld, const struct directive *row, const struct statement *s,
               struct block *in)
{
    enum { MAX, QUEUE, IDLE, IDLE_MAX, REQUESTS, OPTIONS };
    static const char *const choices[] = {
        [MAX] = "max",           [QUEUE] = "queue",       [IDLE] = "idle",
        [IDLE_MAX] = "idle-max", [REQUESTS] = "requests", NULL};
    struct words w = words_of(row, s);
    struct cluster *c = in->target;
    const struct word *option;
    bool said[OPTIONS] = {false};
    uint64_t n = 0;
    size_t index;

    while ((option = words_next(&w)) != NULL) {
        if (!word_choice(ld, &w, option, choices, &index))
            return;
        if (said[index]) {
            wrongf(ld, option, "\"%s\" stands twice in pool", choices[index]);
            return;
        }
        said[index] = true;
        if (index == QUEUE || index == IDLE) {
            if (!take_duration(ld, &w, index == QUEUE ? &c->pool_queue : &c->pool_idle))
                return;
            continue;
        }
        if (!take_count(ld, &w, index != IDLE_MAX,
                        index == REQUESTS ? REQUESTS_MAX : CONNECTIONS_MAX, &n))
            return;
        if (index == MAX)
            c->pool_max = (unsigned)n;
        else if (index == IDLE_MAX)
            c->pool_idle_max = (unsigned)n;
        else
            c->pool_requests = n;
    }
}

/* The implicit ones stand behind those of the file. */
void finish_clusters(struct loader *ld)
{
    struct config *config = ld->config;

    for (size_t i = 0; i < ld->n_implicit; i++) {
        config->clusters =
            array_room(ld->arena, config->clusters, config->n_clusters, sizeof(*config->clusters));
        ld->implicit[i]->index = (unsigned)config->n_clusters;
        config->clusters[config->n_clusters++] = ld->implicit[i];
    }
}
