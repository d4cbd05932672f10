/*
 * The first news of a cluster: a wrong address in the file shows with the first
 * request, in one sentence that says what to do, and not as one failure among
 * many. What is said last is true: when an endpoint answers later, that is said.
 */
#include "proxy/connect_error.h"
#include "proxy/upstream.h"

enum { NEWS_NONE, NEWS_BAD, NEWS_GOOD };

/* NULL: it is not of that generation's file. */
static const struct cluster *configured(const struct generation *g, const struct cluster_state *c)
{
    const struct config *config = g->config;

    for (size_t i = 0; i < config->n_clusters; i++)
        if (str_eq(config->clusters[i]->name, c->name))
            return config->clusters[i];
    return NULL;
}

void cluster_has_answered(const struct generation *g, struct cluster_state *c,
                          const struct address *at)
{
    const struct cluster *of;
    char where[ADDRESS_TEXT_MAX];

    if (c->answered)
        return;
    c->answered = true;
    if (!(of = configured(g, c)) || atomic_exchange(of->news, NEWS_GOOD) != NEWS_BAD)
        return;
    address_format(at, where);
    log_write(LOG_INFO, "cluster", "cluster %.*s answers now, at %s", STR_ARG(c->name), where);
}

void cluster_has_not_answered(const struct generation *g, const struct cluster_state *c,
                              const struct address *at, int error)
{
    const struct cluster *of;
    char where[ADDRESS_TEXT_MAX];
    unsigned none = NEWS_NONE;

    if (c->answered || !(of = configured(g, c)) ||
        !atomic_compare_exchange_strong(of->news, &none, NEWS_BAD))
        return;
    address_format(at, where);
    log_write(LOG_WARN, "cluster",
              "no endpoint of cluster %.*s has ever answered (connecting to %s: %s): see that the "
              "service runs and listens there (ss -ltn), or mend the address in the file",
              STR_ARG(c->name), where, connect_error_text(error));
}
