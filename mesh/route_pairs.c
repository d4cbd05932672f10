#include "mesh/route_pairs.h"

#include <stdlib.h>

#include "base/buffer.h"

static uint64_t key_of(const struct route_entry *e, struct buffer *text)
{
    static const struct siphash_key key;

    buffer_reset(text);
    buffer_add_char(text, (char)('0' + e->direction->kind));
    for (size_t i = 0; e->host && i < e->host->n_names; i++)
        buffer_printf(text, "\n%.*s", STR_ARG(e->host->names[i]));
    buffer_printf(text, "\n\n%.*s", STR_ARG(e->route->text));
    for (size_t i = 0; i < e->route->n_matches; i++)
        buffer_printf(text, "\n%.*s", STR_ARG(e->route->matches[i].text));
    return siphash(&key, text->p, text->n);
}

static void take(struct route_list *l, const struct direction *d, const struct host *h,
                 struct buffer *scratch)
{
    struct route *const *routes = h ? h->routes : d->routes;
    size_t n = h ? h->n_routes : d->n_routes;

    for (size_t i = 0; i < n; i++) {
        struct route_entry *e = &l->v[l->n];
        *e = (struct route_entry){.at = l->n, .direction = d, .host = h, .route = routes[i]};
        e->key = key_of(e, scratch);
        l->order[l->n++] = e;
    }
}

static size_t n_routes(const struct direction *d)
{
    size_t n = d->n_routes;

    for (size_t i = 0; i < d->n_hosts; i++)
        n += d->hosts[i]->n_routes;
    return n;
}

static int by_key(const void *a, const void *b)
{
    const struct route_entry *x = *(struct route_entry *const *)a,
                             *y = *(struct route_entry *const *)b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

bool route_list_init(struct route_list *l, const struct config *c)
{
    const struct direction *both[] = {&c->inbound, &c->outbound};
    size_t n = n_routes(both[0]) + n_routes(both[1]);
    struct buffer scratch;

    *l = (struct route_list){.v = calloc(n + 1, sizeof(struct route_entry)),
                             .order = calloc(n + 1, sizeof(struct route_entry *))};
    if (!l->v || !l->order)
        return false;
    buffer_init(&scratch, 0);
    for (size_t d = 0; d < 2; d++) {
        for (size_t i = 0; i < both[d]->n_hosts; i++)
            take(l, both[d], both[d]->hosts[i], &scratch);
        take(l, both[d], NULL, &scratch);
    }
    buffer_release(&scratch);
    qsort(l->order, l->n, sizeof(struct route_entry *), by_key);
    return true;
}

void route_list_release(struct route_list *l)
{
    free(l->v);
    free(l->order);
}

void route_lists_pair(struct route_list *a, struct route_list *b)
{
    for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
        struct route_entry *x = a->order[i], *y = b->order[k];
        if (x->key == y->key) {
            x->other = y;
            y->other = x;
        }
        i += x->key <= y->key;
        k += y->key <= x->key;
    }
}
