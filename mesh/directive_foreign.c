/*
 * Words of other programs, and others for what is here: who writes them knows
 * what they want, and is told how it is written here.
 */
#include "base/str.h"
#include "mesh/directive_table.h"

/* Words that stand for many. */
#define SHARE  "%" /* all that end so */
#define NUMBER "#" /* all of digits */

static const struct foreign {
    const char *name, *word; /* NULL: the name itself is foreign */
    const char *cure;
} rows[] = {
    {"location", NULL, "a path is route here: route /PATH { to HOST:PORT; }"},
    {"proxy_pass", NULL, "write: to HOST:PORT"},
    {"server", NULL, "write inbound { listen ADDRESS; ... }, or in a cluster: endpoint HOST:PORT"},
    {"upstream", NULL, "write: cluster NAME { endpoint HOST:PORT; }"},
    {"backend", NULL, "write: cluster NAME { endpoint HOST:PORT; }"},
    {"frontend", NULL, "write: inbound { listen ADDRESS; ... }"},
    {"bind", NULL, "write: listen ADDRESS"},
    {"port", NULL, "write: listen ADDRESS"},
    {"return", NULL, "write: respond STATUS [BODY], or: redirect STATUS URL"},
    {"abort", NULL, "write: fault abort STATUS for SHARE"},
    {"delay", NULL, "write in a route: fault delay TIME for SHARE"},
    {"header", NULL, "write in a route: set-header request | response NAME VALUE"},
    {"proxy_set_header", NULL, "write: set-header request NAME VALUE"},
    {"request-header", NULL, "write: set-header request NAME VALUE"},
    {"response-header", NULL, "write: set-header response NAME VALUE"},
    {"proxy_read_timeout", NULL,
     "write: idle-timeout TIME, or for the whole exchange: timeout TIME"},
    {"proxy_connect_timeout", NULL, "write in a cluster: connect-timeout TIME"},
    {"lb", NULL, "write: balance round-robin | least-request | random"},
    {"lb_policy", NULL, "write: balance round-robin | least-request | random"},
    {"lb-policy", NULL, "write: balance round-robin | least-request | random"},
    {"load-balancing", NULL, "write: balance round-robin | least-request | random"},
    {"least_conn", NULL, "write: balance least-request"},
    {"//", NULL, "a comment begins with #"},
    {"/*", NULL, "a comment begins with #, in each line"},
    {"retries", NULL,
     "retry is of a later version; what no server can have read is sent again by itself"},
    {"retry-on", NULL,
     "retry is of a later version; what no server can have read is sent again by itself"},
    {"circuit-breaker", NULL, "breaker is of a later version; pool max N bounds the connections"},
    {"circuit-breakers", NULL, "breaker is of a later version; pool max N bounds the connections"},
    {"outlier-detection", NULL, "outlier is of a later version"},
    {"health-check", NULL, "health is of a later version"},
    {"rate-limiting", NULL, "rate-limit is of a later version"},
    {"sampler", NULL, "write in trace: sample ratio SHARE"},
    {"exporter", NULL, "write in trace: export otlp grpc://HOST:4317"},

    {"export", "jaeger", "Jaeger takes OTLP: export otlp grpc://HOST:4317"},
    {"export", "stdout", "write: export console"},
    {"export", "stderr", "write: export console, to standard output"},
    {"export", "logging", "write: export console"},
    {"export", "grpc", "write: export otlp grpc://HOST:4317"},
    {"export", "http", "write: export otlp http://HOST:4318"},
    {"propagate", "w3c", "that is tracecontext, and baggage"},
    {"propagate", "traceparent", "that is tracecontext"},
    {"sample", SHARE, "write: sample ratio SHARE"},
    {"sample", "parentbased", "write: sample parent { ... }"},
    {"fault", NUMBER, "write: fault abort STATUS for SHARE"},
    {"fault", "respond", "write: fault abort STATUS for SHARE"},
    {"fault", "error", "write: fault abort STATUS for SHARE"},
    {"fault", "latency", "write: fault delay TIME for SHARE"},
};

/* Words behind the first. */
static const struct foreign later_rows[] = {
    {"fault", SHARE, "a share stands behind for: for SHARE"},
    {"to", NUMBER, "write: weight N"},
    {"to", SHARE, "write: weight N"},
    {"endpoint", NUMBER, "write: weight N"},
    {"endpoint", SHARE, "write: weight N"},
};

static bool is_word(struct str word, const char *wanted)
{
    if (wanted[0] == SHARE[0])
        return word.n > 1 && word.p[word.n - 1] == '%';
    if (wanted[0] == NUMBER[0]) {
        for (size_t i = 0; i < word.n; i++)
            if (word.p[i] < '0' || word.p[i] > '9')
                return false;
        return word.n > 0;
    }
    return str_eq(word, str_from(wanted));
}

const char *foreign_cure(struct str name, struct str word, bool later)
{
    const struct foreign *row = later ? later_rows : rows;
    const struct foreign *end = later ? later_rows + sizeof(later_rows) / sizeof(later_rows[0])
                                      : rows + sizeof(rows) / sizeof(rows[0]);

    for (; row < end; row++)
        if (str_eq(name, str_from(row->name)) &&
            (row->word ? word.p && is_word(word, row->word) : !word.p))
            return row->cure;
    return NULL;
}

bool directive_has_word(const struct directive *row, struct str word)
{
    struct str rest = str_from(row->shown.arguments);

    for (size_t i = 0; i < rest.n;) {
        size_t from = i;

        while (i < rest.n && ((rest.p[i] >= 'a' && rest.p[i] <= 'z') || rest.p[i] == '-'))
            i++;
        if (i > from && str_eq(str_slice(rest, from, i), word))
            return true;
        if (i == from)
            i++;
    }
    return false;
}
