/*
 * The checked result of reading routes.conf: immutable, counted, swapped whole
 * on reload. Everything in it lives in its arena. It says what to do; it holds
 * nothing that changes while requests pass, but for the counters of
 * `fault ... first N`.
 */
#ifndef SIDESPAN_MESH_CONFIG_H
#define SIDESPAN_MESH_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/headers.h"
#include "base/log.h"
#include "base/map.h"
#include "base/semconv.h"
#include "base/siphash.h"
#include "mesh/mask.h"
#include "mesh/pattern.h"
#include "mesh/template.h"
#include "propagation/propagator.h"

struct key_value {
    struct str key, value;
};

/* A part of all: 0 never, SHARE_ALWAYS always, else hash < share. 10% is 2^63 / 10 * 2. */
typedef uint64_t share_t;
#define SHARE_ALWAYS UINT64_MAX

/* An address as it is written: an IP literal, or a name that is resolved. */
struct location {
    struct str text;        /* "users.shop:8080", for messages and attributes */
    struct str name;        /* to be resolved; empty where address holds */
    struct address address; /* family 0 where name holds; its port is set in either case */
};

/* ---- clusters ---- */

enum balance_kind { BALANCE_ROUND_ROBIN, BALANCE_LEAST_REQUEST, BALANCE_RANDOM };
/* What is spoken to endpoints. auto: what the client spoke; HTTP/1.1 to one that turned out not to
 * know HTTP/2. */
enum cluster_protocol { PROTOCOL_AUTO, PROTOCOL_H1, PROTOCOL_H2 };

struct endpoint_config {
    struct location location;
    unsigned weight; /* at least 1 */
};

struct cluster {
    struct str name;
    unsigned index;    /* in config->clusters */
    atomic_uint *news; /* whether its endpoints were heard of: the proxy's, who says it once */
    bool implicit;     /* made of an address written in `to`; its name is that text */
    struct place at;
    struct endpoint_config *endpoints;
    size_t n_endpoints;
    enum balance_kind balance;
    enum cluster_protocol protocol;
    nsec_t connect_timeout;
    nsec_t pool_queue;      /* how long a request waits for a place where pool_max is met */
    unsigned pool_max;      /* connections to one endpoint a worker may have open; 0: no bound */
    unsigned pool_idle_max; /* idle ones a worker keeps for each endpoint */
    nsec_t pool_idle;       /* how long an idle one is kept */
    uint64_t pool_requests; /* requests on one connection; 0: no bound */
};

/* ---- routes ---- */

enum route_match_kind { MATCH_METHOD, MATCH_HEADER, MATCH_QUERY, MATCH_SOURCE };
enum match_test { TEST_PRESENT, TEST_ABSENT, TEST_EQUALS, TEST_REGEX };

/* One `match` line, or the `when` of a fault. */
struct match_rule {
    enum route_match_kind kind;
    enum match_test test;
    struct str name; /* of the header or query parameter */
    enum header_id header;
    struct str value;       /* TEST_EQUALS; for TEST_REGEX the text of the expression */
    struct regex *regex;    /* TEST_REGEX; compiled */
    struct address network; /* MATCH_SOURCE: its first bits are those of the caller */
    unsigned network_bits;
    struct str *methods; /* MATCH_METHOD: any of these */
    size_t n_methods;
    struct str text;  /* as it was written, for explain */
    struct str shown; /* the same with secret values masked, for all who may ask */
    struct place at;
};

enum target_kind { TARGET_CLUSTER, TARGET_ORIGINAL };

/* One arm of a weighted choice. */
struct target {
    enum target_kind kind;
    const struct cluster *cluster; /* TARGET_CLUSTER */
    struct str name;               /* of the cluster, or "original" */
    unsigned weight;
    struct siphash_key salt; /* made of the name, so that every sidecar draws alike */
};

enum split_key { SPLIT_BY_TRACE, SPLIT_BY_HEADER, SPLIT_BY_COOKIE, SPLIT_BY_SOURCE };

enum { FAULTS_OF_ROUTE_MAX = 64 };
enum fault_kind { FAULT_DELAY, FAULT_ABORT, FAULT_RESET };

struct fault_counter; /* fault_count.c: what outlives a reload */

struct fault {
    enum fault_kind kind;
    share_t share;
    nsec_t delay, jitter;          /* FAULT_DELAY: delay plus up to jitter */
    unsigned status;               /* FAULT_ABORT: for all but calls of gRPC */
    int grpc_status;               /* FAULT_ABORT: their code; -1: what goes with status */
    const struct match_rule *when; /* NULL: for all */
    nsec_t until;                  /* wall clock: over from then on; 0: never */
    uint64_t first;                /* 0: no bound; else the first N requests only */
    atomic_uint_fast64_t *struck;  /* with first: how many it has struck, all workers together */
    struct fault_counter *counter; /* it belongs to; NULL: there is no first */
    struct siphash_key salt;
    struct str text;  /* as it was written: "delay 2s for 10%" */
    struct str shown; /* the same with secret values masked, for spans and GET /config */
    struct place at;
};

enum header_action_kind { HEADER_SET, HEADER_ADD, HEADER_REMOVE };

struct header_action {
    enum header_action_kind kind;
    bool on_response;
    struct str name;
    enum header_id id;
    struct template *value; /* NULL for HEADER_REMOVE */
    struct str value_text;  /* as it was written */
};

/* What answers instead of an upstream. */
enum route_action { ACTION_FORWARD, ACTION_RESPOND, ACTION_REDIRECT };

struct route {
    struct str text; /* as it was written: "/api/users/{id}" */
    struct place at;
    struct pattern *pattern;
    /* http.route and span name: the prefix, the template, or SERVICE/METHOD of gRPC; `name`
     * overrides. Empty without `name` for a regular expression and for the prefix "/", whose spans
     * are named by the method alone, and for a whole service of gRPC, whose spans are named by the
     * call itself. */
    struct str template;
    struct str label; /* what metrics call it, see route_label.h */
    struct match_rule *matches;
    size_t n_matches;
    enum route_action action;
    struct target *targets; /* ACTION_FORWARD */
    size_t n_targets;
    uint64_t total_weight;
    enum split_key by;
    struct str by_name; /* of the header or cookie */
    enum header_id by_header;
    struct fault *faults;
    size_t n_faults;
    nsec_t timeout;      /* the whole exchange; 0: none */
    nsec_t idle_timeout; /* between bytes of the exchange; 0: timeouts.exchange-idle */
    struct header_action *header_actions;
    size_t n_header_actions;
    struct template *rewrite;      /* the new path and query; NULL: unchanged */
    struct template *rewrite_host; /* the new authority; NULL: unchanged */
    unsigned status;               /* ACTION_RESPOND, ACTION_REDIRECT */
    struct template *body;         /* ACTION_RESPOND; NULL: empty */
    struct template *location;     /* ACTION_REDIRECT */
    struct key_value *attributes;  /* put on this route's spans */
    size_t n_attributes;
    bool named; /* template comes from `name` */
    bool grpc;  /* `route grpc`: takes calls of gRPC only */
    /* The templates above as they were written. */
    struct str rewrite_text, rewrite_host_text, body_text, location_text;
};

struct route_index; /* route_index.c: paths in a tree of segments */

/* What bars opaque bytes: routes and their faults, or, while all faults are silenced, routes alone.
 */
enum bars { BARS_ALL, BARS_BUT_FAULTS, BARS_KINDS };

struct host {
    struct str *names; /* as written: exact, "*.suffix" or "*", perhaps with ":port" */
    size_t n_names;
    struct route **routes; /* in file order */
    size_t n_routes;
    struct route_index *index; /* of its routes, built by the loader; NULL: tried in turn */
    const struct route *refusing[BARS_KINDS]; /* the first that opaque bytes may not go past */
    struct place at;
};

/* ---- directions ---- */

enum listen_mode { LISTEN_PLAIN, LISTEN_TRANSPARENT, LISTEN_FORWARD_PROXY };

/* What a listener carries. */
enum listen_carries {
    CARRIES_HTTP, /* and refuses all else */
    CARRIES_AUTO, /* HTTP, and as opaque bytes what cannot be HTTP */
    CARRIES_TCP,  /* opaque bytes, which are never looked at */
};

struct listen_config {
    struct location location; /* never a name; ":port" is the IPv6 any-address, both families */
    bool any_address;         /* ":port" */
    enum listen_mode mode;
    enum listen_carries carries;
    struct place at;
};

enum direction_kind { DIRECTION_INBOUND, DIRECTION_OUTBOUND };
enum unmatched { UNMATCHED_PASS, UNMATCHED_REJECT };

struct host_table; /* host_table.c: exact names hashed, suffixes by length */

struct direction {
    enum direction_kind kind;
    bool present;
    struct listen_config *listens;
    size_t n_listens;
    enum unmatched unmatched; /* what no route takes: to the original destination, or refused */
    struct host **hosts;
    size_t n_hosts;
    struct route **routes; /* outside of any host: for every host, after the host's own */
    size_t n_routes;
    struct route_index *index; /* of routes, built by the loader; NULL: tried in turn */
    struct host_table *table;  /* built by the loader */
    /* Where opaque bytes of a plain listener go: the last route, if it takes every request and has
     * one target; NULL: nowhere. */
    const struct route *opaque;
    /* The first route that opaque bytes may not go past, see route_bars_opaque(): of all, and of
     * those that are not of some hosts alone. NULL: none. */
    const struct route *refusing[BARS_KINDS], *refusing_all[BARS_KINDS];
    nsec_t timeout;         /* default of its routes; 0: none */
    bool forwarded_headers; /* add x-forwarded-for and -proto; inbound only, on unless said */
    /* Any rule that needs a request to choose the target. Without one, a transparent connection
     * is dialled on accept, so that either side may speak first. */
    bool needs_request;
};

/* ---- the rest ---- */

struct service_config {
    struct str name, namespace_, version, instance; /* empty: not said */
    struct key_value *attributes;
    size_t n_attributes;
};

enum export_kind { EXPORT_OTLP_GRPC, EXPORT_OTLP_HTTP, EXPORT_CONSOLE, EXPORT_MEMORY };

struct export_config {
    enum export_kind kind;
    struct str url;       /* as written */
    struct str shown;     /* what it is called: without a path that came from the environment */
    bool tls;             /* https:// or grpcs:// */
    struct location to;   /* host and port; default 4317, 4318 */
    struct str authority; /* host[:port] as written */
    struct str path;      /* HTTP: "/v1/traces" unless the URL has a path of its own */
    bool gzip;
    struct key_value *headers;
    size_t n_headers;
    nsec_t timeout;                  /* of one request; 10 s */
    struct str ca, certificate, key; /* files; empty: none */
    bool pretty;                     /* console */
    size_t memory_spans;             /* memory: how many are kept */
    struct place at;
};

/* Its URL came from the environment: a path of its own, which may be a token, is not shown. */
void export_hide_path(struct export_config *e, struct arena *arena);

enum sample_kind { SAMPLE_ALWAYS, SAMPLE_NEVER, SAMPLE_RATIO };
struct sample_config {
    enum sample_kind kind;
    double ratio; /* SAMPLE_RATIO: 0 to 1 */
};

struct trace_config {
    bool said_export; /* the file has `export`; else there is one, memory, and OTEL_* may say */
    bool export_none; /* and nothing else: n_exports is 0 */
    struct place none_at;
    struct export_config *exports;
    size_t n_exports;
    bool said_sample; /* the file has `sample`; else OTEL_TRACES_SAMPLER may say */
    bool parent_based;
    struct sample_config root, remote_sampled, remote_not_sampled;
    bool said_propagate; /* else OTEL_PROPAGATORS may say */
    struct propagators propagators;
    bool said_batch; /* the file has `batch`; else OTEL_BSP_* may say */
    struct {
        size_t queue, size;
        nsec_t delay, timeout;
    } batch;
    /* OTEL_SDK_DISABLED: no span is recorded or exported, and a context is passed on as it came,
     * its span id too. Never from the file. */
    bool disabled;
    enum semconv rpc;         /* OTEL_SEMCONV_STABILITY_OPT_IN, never the file */
    struct str *redact_query; /* besides those the conventions name */
    size_t n_redact_query;
    struct str *capture_request, *capture_response; /* header names, lower case */
    size_t n_capture_request, n_capture_response;
};

/* Four fifths of what the container may have: the kernel's own for our sockets counts there too. */
#define MEMORY_AUTO UINT64_MAX

struct limits {
    size_t header_bytes;          /* of a request's head, 431 */
    size_t headers;               /* fields, 431 */
    size_t response_header_bytes; /* of a response's head, 502 */
    size_t response_headers;      /* fields, 502 */
    size_t url_bytes;             /* of the request target, 414 */
    uint64_t body_bytes;          /* of a request, 413; 0: none */
    size_t connections;           /* of clients in each direction, all workers; 0: none */
    size_t inbound_connections, outbound_connections; /* of these directions; 0: none */
    uint64_t requests_per_connection;                 /* 0: none */
    size_t buffer_bytes; /* held for one side of an exchange before its reading pauses */
    uint64_t memory;     /* of the process; MEMORY_AUTO; 0: none */
    /* HTTP/2 */
    size_t streams;           /* a client may have open on one connection */
    size_t stream_window;     /* bytes a peer may send on a stream before they are taken */
    size_t connection_window; /* and on all streams of a connection together */
};

struct timeouts {
    nsec_t header;             /* for a whole request head, 408 */
    nsec_t idle;               /* a client's connection between requests */
    nsec_t half_closed;        /* HTTP/1: a client that has sent FIN is answered for so long */
    nsec_t exchange_idle;      /* between bytes of an exchange; 0: none */
    nsec_t tunnel_idle;        /* between bytes of a tunnel; 0: none */
    nsec_t tunnel_half_closed; /* the same once one side of it has sent FIN; 0: none */
    /* TCP: a silent peer is asked; 0: not. And must answer within, or acknowledge what it is sent.
     */
    nsec_t keepalive, keepalive_timeout;
    nsec_t ping;         /* HTTP/2: a silent peer with open streams is asked; 0: not */
    nsec_t ping_timeout; /* and must answer within */
    nsec_t drain_delay;  /* from SIGTERM to the close of the inbound listeners */
    nsec_t drain;        /* from then to the end, whatever is still open */
    nsec_t flush;        /* for the last spans */
};

struct admin_config {
    bool on;
    struct location location;
    struct place at;
};

enum { CONFIG_WORKERS_MAX = 1024 };

struct config {
    atomic_uint refs;
    struct arena arena;
    char hash[17]; /* 16 hex digits of what was read, includes and environment in place; NUL */
    struct str
        text; /* canonical form, what GET /config shows: secrets are masked, see config_text.h */
    struct str path; /* the file it came from */
    /* What was read, in that order: path first, then each included file and, for the files that may
     * come to be there, each pattern of an include (made absolute, or relative to the working
     * directory as path is). For whoever watches them. */
    struct str *files;
    size_t n_files;
    struct masks masks; /* what of it came from the environment, and is not shown */
    struct service_config service;
    struct direction inbound, outbound;
    struct cluster **clusters;
    size_t n_clusters;
    struct trace_config trace;
    struct limits limits;
    struct timeouts timeouts;
    unsigned workers; /* 0: one a processor; at most CONFIG_WORKERS_MAX */
    struct admin_config admin;
    enum log_level log_level;
    bool log_json;
    struct map clusters_by_name; /* of struct cluster */
    struct fault_counter *fault_counters;
    /* What must be released besides the arena. */
    struct regex **regexes;
    struct pattern **patterns;
    size_t n_regexes, n_patterns;
};

/*
 * Reads the file and all it includes, checks the whole, and returns a config
 * with one reference; NULL: errors tells everything that is wrong, in the order
 * of the file, or that there is no memory for it. environment may be NULL: getenv(3).
 */
struct config *config_load(const char *path, const char *(*environment)(const char *name),
                           struct errors *errors);
/* The same for a process that has begun its work and must not wait: of regular files alone. */
struct config *config_load_again(const char *path, struct errors *errors);
/* The same from memory, as if read from a file of that name; includes are relative to it. */
struct config *config_parse(const char *name, struct str text,
                            const char *(*environment)(const char *name), struct errors *errors);

/*
 * Prints each error as FILE:LINE:COLUMN: text, then the line itself with a
 * caret under the place (of a very long line only the part around it). The
 * lines are kept in the errors as they were when the file was read. At the end
 * says how many more there were.
 */
struct buffer;
void config_print_errors(const struct errors *errors, struct buffer *out);

/*
 * What the file says that is no mistake, but may surprise: each with its place.
 * It takes its time (seconds, for many regular expressions), so it is for who
 * checks a file, not for who runs it. wall_now decides which faults are over.
 */
void config_warnings(const struct config *c, nsec_t wall_now, struct errors *warnings);

struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* NULL is fine */

/* NULL: none of that name. */
const struct cluster *config_cluster(const struct config *c, struct str name);

#endif
