/*
 * What the language has and this version has not: said so, instead of being
 * taken for a spelling mistake.
 */
#include "base/str.h"
#include "mesh/directive_table.h"

#define DIRECTIONS (IN(CONTEXT_DIRECTION) | IN(CONTEXT_INBOUND))

static const struct later rows[] = {
    {IN(CONTEXT_TOP), "user", NULL, NULL},
    {IN(CONTEXT_TOP), "canary", NULL, "give the weights yourself: to CLUSTER weight N"},
    {IN(CONTEXT_TOP), "metrics", NULL, "GET /metrics at the admin address has them"},
    {IN(CONTEXT_TOP) | DIRECTIONS | IN(CONTEXT_ROUTE), "access-log", NULL, NULL},
    {IN(CONTEXT_TOP) | DIRECTIONS | IN(CONTEXT_CLUSTER), "tls", NULL, NULL},

    {DIRECTIONS, "listen", "tls", NULL},
    {DIRECTIONS, "listen", "https", NULL},
    {DIRECTIONS, "listen", "ssl", NULL},
    {DIRECTIONS, "limits", NULL, "limits at the top level hold for both directions"},
    {DIRECTIONS | IN(CONTEXT_ROUTE), "retry", NULL, NULL},

    {IN(CONTEXT_ROUTE), "mirror", NULL, NULL},
    {IN(CONTEXT_ROUTE), "rate-limit", NULL, NULL},
    {IN(CONTEXT_ROUTE), "concurrency", NULL, NULL},
    {IN(CONTEXT_ROUTE), "allow", NULL, NULL},
    {IN(CONTEXT_ROUTE), "deny", NULL, NULL},
    {IN(CONTEXT_ROUTE), "trace", NULL, NULL},
    {IN(CONTEXT_ROUTE), "sample", NULL, "sample in trace holds for all routes"},
    {IN(CONTEXT_ROUTE), "match", "source", NULL},
    {IN(CONTEXT_ROUTE), "match", "principal", NULL},
    {IN(CONTEXT_ROUTE), "fault", "rate", NULL},

    {IN(CONTEXT_CLUSTER), "breaker", NULL, "pool max N bounds the connections"},
    {IN(CONTEXT_CLUSTER), "health", NULL, NULL},
    {IN(CONTEXT_CLUSTER), "outlier", NULL, NULL},
    {IN(CONTEXT_CLUSTER), "dns", NULL, "endpoint NAME:PORT resolves a name"},
    {IN(CONTEXT_CLUSTER), "endpoints", NULL, "give each: endpoint ADDRESS"},
    {IN(CONTEXT_CLUSTER), "endpoint", "zone", NULL},
    {IN(CONTEXT_CLUSTER), "balance", "ring-hash",
     "by header NAME in a route keeps a key's cluster"},

    {IN(CONTEXT_TRACE), "drop", NULL, NULL},
    {IN(CONTEXT_TRACE), "name", NULL, "name in a route says it"},
    {IN(CONTEXT_TRACE), "infer-parent", NULL, NULL},
    {IN(CONTEXT_TRACE), "export", "otlp-json", "export otlp http://HOST:PORT sends protobuf"},
    {IN(CONTEXT_TRACE), "export", "zipkin", "export otlp URL"},
    {IN(CONTEXT_TRACE), "export", "file", "export console writes to standard output"},
    {IN(CONTEXT_TRACE), "sample", "rate", "sample ratio SHARE"},
    {IN(CONTEXT_TRACE), "sample", "errors", NULL},
    {IN(CONTEXT_TRACE), "propagate", "b3", NULL},
    {IN(CONTEXT_TRACE), "propagate", "b3multi", NULL},
    {IN(CONTEXT_TRACE), "propagate", "jaeger", NULL},
    {IN(CONTEXT_TRACE), "propagate", "xray", NULL},
    {IN(CONTEXT_TRACE), "propagate", "datadog", NULL},
    {IN(CONTEXT_SAMPLE), "local-sampled", NULL, "a sidecar's parents are all remote"},
    {IN(CONTEXT_SAMPLE), "local-not-sampled", NULL, "a sidecar's parents are all remote"},

    {IN(CONTEXT_TIMEOUTS), "connect", NULL, "connect-timeout in cluster"},
};

const struct later *later_find(unsigned contexts, struct str name, struct str word)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if ((rows[i].in & contexts) && str_eq(name, str_from(rows[i].name)) &&
            str_eq(word, str_from(rows[i].word)))
            return &rows[i];
    return NULL;
}
