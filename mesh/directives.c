/*
 * The language, as a table. The parser dispatches from it, messages quote it,
 * the manual is printed from it, and so is a config, whose hash is that of the
 * text.
 */
#include "mesh/directives.h"

#include "mesh/config.h"
#include "mesh/directive_table.h"

#define ROW(context, ...)   .in = context, .shown = {context##_NAME, __VA_ARGS__}
#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define BOTH(what)          .read = read_##what, .write = write_##what
#define YEARS               ((uint64_t)SECONDS(1000 * 3600))
/* What every peer may send before it has heard of another window: RFC 9113 section 6.9.2. */
enum { WINDOW_MIN = 65535 };
/* A value that needs no reader of its own: the kind, where it goes and its bounds. */
#define PLAIN(kind, type, member, ...) \
    BOTH(kind##_field), .field = {FIELD(type, member), ##__VA_ARGS__}, ARGS(1, 1)
/* min and max words */
#define ARGS(least, most) .min_words = (least), .max_words = (most)

static const struct directive rows[] = {
    {ROW(CONTEXT_ANY, "include", "FILE",
         "other files in its place; the name may be a pattern, its files are read in name order, "
         "and is relative to the folder of the file it stands in",
         NULL, "include \"conf.d/*.conf\";"),
     ARGS(1, 1), .repeats = true},

    /* ---- the top level ---- */
    {ROW(CONTEXT_TOP, "service", "NAME { ... }",
         "whom the sidecar stands beside: service.name of every span; without it OTEL_SERVICE_NAME "
         "says",
         NULL, "service shop;"),
     BOTH(service), ARGS(1, 1), .block = BLOCK_MAY},
    {ROW(CONTEXT_TOP, "inbound", "{ ... }", "requests to the service beside us: SERVER spans", NULL,
         "inbound { listen :8080; route / { to 127.0.0.1:3000; } }"),
     .value = DIRECTION_INBOUND, .read = read_direction, .write = write_inbound, ARGS(0, 0),
     .block = BLOCK_MUST},
    {ROW(CONTEXT_TOP, "outbound", "{ ... }", "requests from the service beside us: CLIENT spans",
         NULL, "outbound { listen 127.0.0.1:15001 transparent; }"),
     .value = DIRECTION_OUTBOUND, .read = read_direction, .write = write_outbound, ARGS(0, 0),
     .block = BLOCK_MUST},
    {ROW(CONTEXT_TOP, "cluster", "NAME { ... }", "servers that stand in for each other", NULL,
         "cluster users { endpoint users.shop:8080; }"),
     .read = read_cluster, .write = write_clusters, ARGS(1, 1), .block = BLOCK_MUST,
     .repeats = true},
    {ROW(CONTEXT_TOP, "trace", "{ ... }", "which traces are kept and where they go", NULL,
         "trace { export console; }"),
     BOTH(trace), ARGS(0, 0), .block = BLOCK_MUST},
    {ROW(CONTEXT_TOP, "limits", "{ ... }", "how much of anything there may be", NULL,
         "limits { headers 50; }"),
     BOTH(limits), ARGS(0, 0), .block = BLOCK_MUST},
    {ROW(CONTEXT_TOP, "timeouts", "{ ... }", "how long anything may take", NULL,
         "timeouts { header 5s; }"),
     BOTH(timeouts), ARGS(0, 0), .block = BLOCK_MUST},
    {ROW(CONTEXT_TOP, "workers", "N | auto",
         "threads that carry requests; auto is one for each processor", "auto", "workers 2;"),
     PLAIN(number, struct config, workers, 1, CONFIG_WORKERS_MAX, "auto")},
    {ROW(CONTEXT_TOP, "admin", "ADDRESS | off",
         "where an operator sees health, config, traces and metrics", "127.0.0.1:15000",
         "admin 127.0.0.1:15009;"),
     BOTH(admin), ARGS(1, 1)},
    {ROW(CONTEXT_TOP, "log", "level error | warn | info | debug",
         "how much is logged; debug: each exchange too", "info", "log level debug;"),
     .word = "level", BOTH(log_level), ARGS(2, 2), .alone = true},
    {ROW(CONTEXT_TOP, "log", "format text | json", "how a line of the log looks", "text",
         "log format json;"),
     .word = "format", BOTH(log_format), ARGS(2, 2), .alone = true},

    /* ---- service ---- */
    {ROW(CONTEXT_SERVICE, "namespace", "TEXT", "service.namespace", NULL, "namespace shop;"),
     PLAIN(text, struct service_config, namespace_)},
    {ROW(CONTEXT_SERVICE, "version", "TEXT", "service.version", NULL, "version 1.4.2;"),
     PLAIN(text, struct service_config, version)},
    {ROW(CONTEXT_SERVICE, "instance", "TEXT", "service.instance.id", "a random UUID",
         "instance shop-7;"),
     PLAIN(text, struct service_config, instance)},
    {ROW(CONTEXT_SERVICE, "attribute", "KEY VALUE", "any other attribute of the resource", NULL,
         "attribute deployment.environment.name production;"),
     BOTH(attribute_of_service), ARGS(2, 2), .repeats = true, .free_words = true},

    /* ---- inbound, outbound ---- */
    {ROW(CONTEXT_DIRECTION, "listen", "ADDRESS [transparent | forward-proxy] [http | tcp | auto]",
         "where connections arrive; transparent: redirected by the kernel, their original "
         "destination is the target; forward-proxy: from clients that were told of a proxy, "
         "CONNECT too; http: what is not HTTP is refused; auto: it passes as opaque bytes, unless "
         "a "
         "rule could refuse it; tcp: all bytes pass, and none is looked at",
         "auto where transparent or forward-proxy, else http",
         "listen 127.0.0.1:15002 forward-proxy;"),
     .read = read_listen, .write = write_listens, ARGS(1, 3), .repeats = true},
    {ROW(CONTEXT_DIRECTION, "unmatched", "pass | reject",
         "what no route takes goes to the destination the client asked for, or is refused with 404",
         "pass where a listen knows that destination, else reject", "unmatched reject;"),
     BOTH(unmatched), ARGS(1, 1)},
    {ROW(CONTEXT_DIRECTION, "host", "NAME... { ... }",
         "routes for these hosts: exact names, *.suffix or *, each perhaps with a port", NULL,
         "host users.shop.local users { route / { to 127.0.0.1:3000; } }"),
     .read = read_host, .write = write_hosts, ARGS(1, WORDS_ANY), .block = BLOCK_MUST,
     .repeats = true},
    {ROW(CONTEXT_DIRECTION, "route",
         "/PREFIX | = /PATH | /WITH/{NAME} | /WITH/{NAME*} | ~ REGEX | grpc SERVICE | "
         "grpc SERVICE/METHOD { ... }",
         "what happens to requests for these paths, or to calls of gRPC; in a direction, for every "
         "host, after the host's own routes",
         NULL, "route /api/users/{id} { to 127.0.0.1:3000; }"),
     .read = read_route, .write = write_routes_of_direction, ARGS(1, 2), .block = BLOCK_MUST,
     .repeats = true},
    {ROW(CONTEXT_DIRECTION, "timeout", "TIME | none", "the timeout of routes that say none", "none",
         "timeout 30s;"),
     PLAIN(duration, struct direction, timeout, 1, YEARS, "none")},
    {ROW(CONTEXT_INBOUND, "x-forwarded", "on | off",
         "add x-forwarded-for and x-forwarded-proto to requests", "on", "x-forwarded off;"),
     PLAIN(on_off, struct direction, forwarded_headers)},

    /* ---- host ---- */
    {ROW(CONTEXT_HOST, "route",
         "/PREFIX | = /PATH | /WITH/{NAME} | /WITH/{NAME*} | ~ REGEX | grpc SERVICE | "
         "grpc SERVICE/METHOD { ... }",
         "as in inbound and outbound, for this host", NULL,
         "route grpc shop.Users/Get { to 127.0.0.1:3000; }"),
     .read = read_route, .write = write_routes_of_host, ARGS(1, 2), .block = BLOCK_MUST,
     .repeats = true},

    /* ---- route ---- */
    {ROW(CONTEXT_ROUTE, "match", "method NAME...", "only requests of these methods", NULL,
         "match method GET HEAD;"),
     .word = "method", .value = MATCH_METHOD, .read = read_match, .write = write_matches,
     ARGS(2, WORDS_ANY), .repeats = true, .free_words = true},
    {ROW(CONTEXT_ROUTE, "match", "header NAME [= VALUE | ~ REGEX | absent]",
         "only requests with that header", NULL, "match header x-canary = yes;"),
     .word = "header", .value = MATCH_HEADER, .read = read_match, ARGS(2, 4), .repeats = true,
     .free_words = true},
    {ROW(CONTEXT_ROUTE, "match", "query NAME [= VALUE | ~ REGEX]",
         "only requests with that query parameter", NULL, "match query version ~ ^2;"),
     .word = "query", .value = MATCH_QUERY, .read = read_match, ARGS(2, 4), .repeats = true,
     .free_words = true},
    {ROW(CONTEXT_ROUTE, "to", "CLUSTER | ADDRESS | original [weight N]",
         "a cluster, an address, or the destination the client asked for; several share the "
         "requests by weight",
         "weight 1", "to 127.0.0.1:3000 weight 90;"),
     .read = read_to, .write = write_targets, ARGS(1, 3), .repeats = true},
    {ROW(CONTEXT_ROUTE, "by", "trace",
         "the weighted choice hashes the trace id, so a trace keeps its version through all hops",
         "by trace", "by trace;"),
     .word = "trace", .value = SPLIT_BY_TRACE, .read = read_by, .write = write_by, ARGS(1, 1)},
    {ROW(CONTEXT_ROUTE, "by", "header NAME",
         "the weighted choice hashes that header; requests without it go by trace", NULL,
         "by header x-user;"),
     .word = "header", .value = SPLIT_BY_HEADER, .read = read_by, ARGS(2, 2)},
    {ROW(CONTEXT_ROUTE, "by", "cookie NAME",
         "the weighted choice hashes that cookie; requests without it go by trace", NULL,
         "by cookie session;"),
     .word = "cookie", .value = SPLIT_BY_COOKIE, .read = read_by, ARGS(2, 2)},
    {ROW(CONTEXT_ROUTE, "by", "source", "the weighted choice hashes the caller's IP address", NULL,
         "by source;"),
     .word = "source", .value = SPLIT_BY_SOURCE, .read = read_by, ARGS(1, 1)},
    {ROW(CONTEXT_ROUTE, "respond", "STATUS [BODY]", "answer so, and forward nothing", NULL,
         "respond 200 \"ok\\n\";"),
     .read = read_respond, .write = write_answer, ARGS(1, 2)},
    {ROW(CONTEXT_ROUTE, "redirect", "STATUS URL",
         "send the client there; $(request-uri) is the path with its query", NULL,
         "redirect 308 https://$(host)$(request-uri);"),
     .read = read_redirect, ARGS(2, 2)},
    {ROW(CONTEXT_ROUTE, "fault",
         "delay TIME [jitter TIME] [for SHARE] "
         "[when header NAME [= VALUE | ~ REGEX | absent] | source CIDR] [first N] [until MOMENT]",
         "requests wait so long before they are forwarded, and up to jitter longer; for a share of "
         "them, drawn by trace id; only those with that header, or of callers of that network; "
         "only "
         "the first N; not after that moment, written as 2026-12-01T10:00:00Z",
         "for 100%", "fault delay 2s jitter 100ms for 10% when header x-test first 5;"),
     .word = "delay", .value = FAULT_DELAY, .read = read_fault, .write = write_faults,
     ARGS(2, WORDS_ANY), .repeats = true},
    {ROW(CONTEXT_ROUTE, "fault",
         "abort STATUS | grpc CODE [for SHARE] "
         "[when header NAME [= VALUE | ~ REGEX | absent] | source CIDR] [first N] [until MOMENT]",
         "requests are answered so instead of being forwarded; a call of gRPC gets the code, any "
         "other request the status, and where the one is said the other goes with it",
         "for 100%", "fault abort 503 for 1%;"),
     .word = "abort", .value = FAULT_ABORT, .read = read_fault, ARGS(2, WORDS_ANY),
     .repeats = true},
    {ROW(CONTEXT_ROUTE, "fault",
         "reset [for SHARE] [when header NAME [= VALUE | ~ REGEX | absent] | source CIDR] "
         "[first N] [until MOMENT]",
         "the client's connection is reset instead of an answer", "for 100%",
         "fault reset when source 10.0.0.0/8 until 2026-12-01T10:00:00Z;"),
     .word = "reset", .value = FAULT_RESET, .read = read_fault, ARGS(1, WORDS_ANY),
     .repeats = true},
    {ROW(CONTEXT_ROUTE, "timeout", "TIME | none",
         "for the whole exchange, faults included; then 504", "that of the direction",
         "timeout 5s;"),
     .read = read_duration_field, .write = write_route_timeout,
     .field = {FIELD(struct route, timeout), 1, YEARS, "none"}, ARGS(1, 1)},
    {ROW(CONTEXT_ROUTE, "idle-timeout", "TIME", "between bytes of the exchange",
         "exchange-idle of timeouts", "idle-timeout 1m;"),
     .read = read_duration_field, .write = write_route_idle,
     .field = {FIELD(struct route, idle_timeout), 1, YEARS}, ARGS(1, 1)},
    {ROW(CONTEXT_ROUTE, "set-header", "request | response NAME VALUE",
         "the header has this value and no other", NULL, "set-header request x-team \"shop\";"),
     .value = HEADER_SET, .read = read_header_action, .write = write_header_actions, ARGS(3, 3),
     .repeats = true},
    {ROW(CONTEXT_ROUTE, "add-header", "request | response NAME VALUE",
         "one more header, whatever there is", NULL, "add-header response x-trace $(trace-id);"),
     .value = HEADER_ADD, .read = read_header_action, ARGS(3, 3), .repeats = true},
    {ROW(CONTEXT_ROUTE, "remove-header", "request | response NAME",
         "no header of that name goes on", NULL, "remove-header response server;"),
     .value = HEADER_REMOVE, .read = read_header_action, ARGS(2, 2), .repeats = true},
    {ROW(CONTEXT_ROUTE, "rewrite", "PATH", "the path and query that are sent on", "as received",
         "rewrite /v2$(request-path);"),
     BOTH(rewrite), ARGS(1, 1)},
    {ROW(CONTEXT_ROUTE, "rewrite-host", "HOST", "the host that is sent on", "as received",
         "rewrite-host users.internal;"),
     BOTH(rewrite_host), ARGS(1, 1)},
    {ROW(CONTEXT_ROUTE, "name", "TEXT", "http.route and the name of the spans",
         "the pattern; of / and of a regular expression none: the method alone",
         "name /api/orders;"),
     BOTH(name), ARGS(1, 1)},
    {ROW(CONTEXT_ROUTE, "attribute", "KEY VALUE", "an attribute of this route's spans", NULL,
         "attribute team shop;"),
     .read = read_attribute_of_route, .write = write_attributes_of_route, ARGS(2, 2),
     .repeats = true, .free_words = true},

    /* ---- cluster ---- */
    {ROW(CONTEXT_CLUSTER, "endpoint", "ADDRESS [weight N]",
         "a server; a name is resolved again as its TTL runs out, and each of its addresses counts",
         "weight 1", "endpoint users.shop:8080 weight 2;"),
     .read = read_endpoint, .write = write_endpoints, ARGS(1, 3), .repeats = true},
    {ROW(CONTEXT_CLUSTER, "balance", "round-robin | least-request | random",
         "which endpoint gets a request: the next, the idler of two drawn at random, or one drawn "
         "from the trace id, so that every sidecar draws alike and a trace stays with one",
         "round-robin", "balance least-request;"),
     BOTH(balance), ARGS(1, 1)},
    {ROW(CONTEXT_CLUSTER, "protocol", "auto | h1 | h2",
         "what is spoken to the endpoints; auto is HTTP/1.1 to one that was not seen to speak "
         "HTTP/2, since the handlers of an HTTP/1.1 server may be run for the preface of HTTP/2. "
         "It was seen when a call of gRPC, which goes by HTTP/2 unless that is answered in "
         "HTTP/1.1, was taken: then it gets in HTTP/2 what clients ask in HTTP/2, but for requests "
         "to switch protocols. One that answers a request of HTTP/1.1 with SETTINGS speaks HTTP/2 "
         "alone: it gets everything so, that request too, since no more than 64 KiB of a first "
         "body "
         "are sent before it had 250 ms to say so. One that answers otherwise later, or hangs up "
         "twice in a row, is asked anew; what one worker has learnt all know. Say h2 for a server "
         "that speaks both, or that only hangs up on HTTP/1.1",
         "auto", "protocol h2;"),
     BOTH(protocol), ARGS(1, 1)},
    {ROW(CONTEXT_CLUSTER, "connect-timeout", "TIME", "for a connection to be made", "5s",
         "connect-timeout 1s;"),
     PLAIN(duration, struct cluster, connect_timeout, 1, YEARS)},
    {ROW(CONTEXT_CLUSTER, "pool",
         "[max N | none] [queue TIME] [idle TIME] [idle-max N] [requests N | none]",
         "connections of a worker to one endpoint: how many at most, how long a request waits for "
         "a "
         "place where there are as many, how long an idle one is kept, how many idle ones, "
         "requests on one",
         "max none queue 5s idle 30s idle-max 256 requests none",
         "pool max 100 queue 1s idle 10s requests 1000;"),
     BOTH(pool), ARGS(2, 10)},

    /* ---- trace ---- */
    {ROW(CONTEXT_TRACE, "export", "otlp URL { ... }",
         "spans go to a collector: grpc://HOST:PORT, grpcs://, http:// or https://; ports 4317 and "
         "4318, path /v1/traces unless said",
         NULL, "export otlp grpc://collector:4317;"),
     .word = "otlp", .read = read_export_otlp, .write = write_exports, ARGS(2, 2),
     .block = BLOCK_MAY, .repeats = true},
    {ROW(CONTEXT_TRACE, "export", "console [pretty]",
         "spans are written to standard output, a line each, or with all attributes as JSON", NULL,
         "export console pretty;"),
     .word = "console", .read = read_export_console, ARGS(1, 2), .repeats = true},
    {ROW(CONTEXT_TRACE, "export", "memory [N]",
         "the last N spans are kept for GET /traces at the admin address",
         "memory 1000, where no export is said", "export memory 500;"),
     .word = "memory", .read = read_export_memory, ARGS(1, 2), .repeats = true},
    {ROW(CONTEXT_TRACE, "export", "none",
         "no span is recorded; traces are joined, begun and passed on all the same", NULL,
         "export none;"),
     .word = "none", .read = read_export_none, ARGS(1, 1), .repeats = true},
    {ROW(CONTEXT_TRACE, "sample", "always", "every trace is kept, whatever its parent says", NULL,
         "sample always;"),
     .word = "always", .value = SAMPLE_ALWAYS, .read = read_sample, .write = write_sample,
     ARGS(1, 1)},
    {ROW(CONTEXT_TRACE, "sample", "never", "no trace is kept, whatever its parent says", NULL,
         "sample never;"),
     .word = "never", .value = SAMPLE_NEVER, .read = read_sample, ARGS(1, 1)},
    {ROW(CONTEXT_TRACE, "sample", "ratio SHARE",
         "this share of new traces is kept; of others, those whose parent was", NULL,
         "sample ratio 10%;"),
     .word = "ratio", .value = SAMPLE_RATIO, .read = read_sample, ARGS(2, 2)},
    {ROW(CONTEXT_TRACE, "sample", "parent { ... }",
         "as the parent says; what is said of each case stands in the block",
         "parent { root always; remote-sampled always; remote-not-sampled never; }",
         "sample parent { root ratio 1%; }"),
     .word = "parent", .read = read_sample_parent, ARGS(1, 1), .block = BLOCK_MAY},
    {ROW(CONTEXT_TRACE, "propagate", "FORMAT...",
         "how a trace's identity travels: the first of these that a request carries counts, all "
         "are sent on: tracecontext, baggage, grpc-trace-bin, and x-trace-id, which is not read",
         "tracecontext baggage, x-trace-id where none came in, grpc-trace-bin where one did",
         "propagate tracecontext baggage;"),
     BOTH(propagate), ARGS(1, WORDS_ANY)},
    {ROW(CONTEXT_TRACE, "batch", "{ ... }", "spans wait for each other", NULL,
         "batch { delay 1s; }"),
     BOTH(batch), ARGS(0, 0), .block = BLOCK_MUST},
    {ROW(CONTEXT_TRACE, "redact", "query NAME...",
         "values of these query parameters (*: of all) are not recorded, besides those the "
         "conventions name",
         NULL, "redact query token;"),
     .word = "query", BOTH(redact), ARGS(2, WORDS_ANY), .repeats = true, .free_words = true},
    {ROW(CONTEXT_TRACE, "capture", "request header NAME...",
         "these headers of requests are recorded", NULL, "capture request header x-user;"),
     .word = "request", .value = CAPTURE_REQUEST, BOTH(capture), ARGS(3, WORDS_ANY),
     .repeats = true, .free_words = true},
    {ROW(CONTEXT_TRACE, "capture", "response header NAME...",
         "these headers of responses are recorded", NULL, "capture response header x-cache;"),
     .word = "response", .value = CAPTURE_RESPONSE, BOTH(capture), ARGS(3, WORDS_ANY),
     .repeats = true, .free_words = true},

    /* ---- export otlp ---- */
    {ROW(CONTEXT_EXPORT, "compression", "gzip | none", "of what is sent", "none",
         "compression gzip;"),
     BOTH(compression), ARGS(1, 1)},
    {ROW(CONTEXT_EXPORT, "header", "NAME VALUE", "a header of every request to the collector", NULL,
         "header authorization \"Bearer 123\";"),
     .read = read_export_header, .write = write_export_headers, ARGS(2, 2), .repeats = true,
     .free_words = true},
    {ROW(CONTEXT_EXPORT, "timeout", "TIME", "of one request", "10s", "timeout 3s;"),
     PLAIN(duration, struct export_config, timeout, 1, YEARS)},
    {ROW(CONTEXT_EXPORT, "ca", "FILE", "who may have signed the collector's certificate",
         "those the system trusts", "ca ca.pem;"),
     .read = read_export_file, .write = write_text_field,
     .field = {FIELD(struct export_config, ca)}, ARGS(1, 1)},
    {ROW(CONTEXT_EXPORT, "certificate", "FILE", "our own certificate", NULL,
         "certificate own.pem; key own.key;"),
     .read = read_export_file, .write = write_text_field,
     .field = {FIELD(struct export_config, certificate)}, ARGS(1, 1)},
    {ROW(CONTEXT_EXPORT, "key", "FILE", "its key", NULL, "key own.key; certificate own.pem;"),
     .read = read_export_file, .write = write_text_field,
     .field = {FIELD(struct export_config, key)}, ARGS(1, 1)},

    /* ---- sample parent ---- */
    {ROW(CONTEXT_SAMPLE, "root", "always | never | ratio SHARE", "requests without a parent",
         "always", "root ratio 5%;"),
     .read = read_sample_delegate, .write = write_sampler,
     .field = {FIELD(struct trace_config, root)}, ARGS(1, 2)},
    {ROW(CONTEXT_SAMPLE, "remote-sampled", "always | never | ratio SHARE",
         "requests whose parent is kept", "always", "remote-sampled ratio 50%;"),
     .read = read_sample_delegate, .write = write_sampler,
     .field = {FIELD(struct trace_config, remote_sampled)}, ARGS(1, 2)},
    {ROW(CONTEXT_SAMPLE, "remote-not-sampled", "always | never | ratio SHARE",
         "requests whose parent is not kept", "never", "remote-not-sampled always;"),
     .read = read_sample_delegate, .write = write_sampler,
     .field = {FIELD(struct trace_config, remote_not_sampled)}, ARGS(1, 2)},

    /* ---- batch ---- */
    {ROW(CONTEXT_BATCH, "queue", "N", "spans that may wait; more are dropped and counted", "16384",
         "queue 1000;"),
     PLAIN(number, struct trace_config, batch.queue, 1, 1 << 20)},
    {ROW(CONTEXT_BATCH, "size", "N", "spans in one request at most",
         "512, or queue where that is less", "size 100;"),
     PLAIN(number, struct trace_config, batch.size, 1, 1 << 16)},
    {ROW(CONTEXT_BATCH, "delay", "TIME", "the longest a span waits for others", "1s",
         "delay 200ms;"),
     PLAIN(duration, struct trace_config, batch.delay, 1, YEARS)},
    {ROW(CONTEXT_BATCH, "timeout", "TIME", "of one batch, its retries included", "10m",
         "timeout 10s;"),
     PLAIN(duration, struct trace_config, batch.timeout, 1, YEARS)},

    /* ---- limits ---- */
    {ROW(CONTEXT_LIMITS, "header-bytes", "SIZE", "of a request's head; then 431", "64k",
         "header-bytes 32k;"),
     PLAIN(size, struct limits, header_bytes, 8 << 10, 1 << 20)},
    {ROW(CONTEXT_LIMITS, "headers", "N", "fields of a request's head; then 431", "100",
         "headers 200;"),
     PLAIN(number, struct limits, headers, 8, 10000)},
    {ROW(CONTEXT_LIMITS, "response-header-bytes", "SIZE",
         "of the head of an upstream's response; then 502", "256k", "response-header-bytes 512k;"),
     PLAIN(size, struct limits, response_header_bytes, 8 << 10, 16 << 20)},
    {ROW(CONTEXT_LIMITS, "response-headers", "N",
         "fields of the head of an upstream's response; then 502", "1000",
         "response-headers 2000;"),
     PLAIN(number, struct limits, response_headers, 8, 10000)},
    {ROW(CONTEXT_LIMITS, "url-bytes", "SIZE", "of a request's target; then 414", "16k",
         "url-bytes 8k;"),
     PLAIN(size, struct limits, url_bytes, 8 << 10, 1 << 20)},
    {ROW(CONTEXT_LIMITS, "body-bytes", "SIZE | none", "of a request's body; then 413", "none",
         "body-bytes 10m;"),
     PLAIN(size, struct limits, body_bytes, 1, INT64_MAX, "none")},
    {ROW(CONTEXT_LIMITS, "connections", "N | none",
         "of clients in each direction, all workers together; the next have to wait, and those of "
         "one "
         "direction never for those of the other",
         "65536", "connections 10000;"),
     PLAIN(number, struct limits, connections, 1, 10000000, "none")},
    {ROW(CONTEXT_LIMITS, "inbound-connections", "N | none",
         "the same of inbound alone; without it what connections says", "65536",
         "inbound-connections 5000;"),
     PLAIN(number, struct limits, inbound_connections, 1, 10000000, "none")},
    {ROW(CONTEXT_LIMITS, "outbound-connections", "N | none",
         "the same of outbound alone; without it what connections says", "65536",
         "outbound-connections 5000;"),
     PLAIN(number, struct limits, outbound_connections, 1, 10000000, "none")},
    {ROW(CONTEXT_LIMITS, "requests-per-connection", "N | none",
         "then the client is told to make a new one", "none", "requests-per-connection 1000;"),
     PLAIN(number, struct limits, requests_per_connection, 1, 1000000000, "none")},
    {ROW(CONTEXT_LIMITS, "buffer-bytes", "SIZE",
         "held for one side of an exchange before its reading pauses", "64k", "buffer-bytes 128k;"),
     PLAIN(size, struct limits, buffer_bytes, 4 << 10, 64 << 20)},
    {ROW(CONTEXT_LIMITS, "memory", "SIZE | auto | none",
         "of the whole process; from three quarters of it on slow readers are buffered less, from "
         "nine tenths on connections have to wait and requests get 503; auto is four fifths of "
         "what the container may have, and none where that has no limit",
         "auto", "memory 64m;"),
     PLAIN(size, struct limits, memory, 8 << 20, (uint64_t)1 << 40, "none", "auto")},
    {ROW(CONTEXT_LIMITS, "streams", "N", "open at once on one HTTP/2 connection of a client", "100",
         "streams 1000;"),
     PLAIN(number, struct limits, streams, 1, 1000000)},
    {ROW(CONTEXT_LIMITS, "stream-window", "SIZE",
         "bytes a peer may send on one HTTP/2 stream before they are taken from there", "256k",
         "stream-window 1m;"),
     PLAIN(size, struct limits, stream_window, WINDOW_MIN, 16 << 20)},
    {ROW(CONTEXT_LIMITS, "connection-window", "SIZE",
         "bytes a peer may send on all streams of an HTTP/2 connection together", "1m",
         "connection-window 4m;"),
     PLAIN(size, struct limits, connection_window, 64 << 10, 1 << 30)},

    /* ---- timeouts ---- */
    {ROW(CONTEXT_TIMEOUTS, "header", "TIME", "for a whole request head; then 408", "10s",
         "header 5s;"),
     PLAIN(duration, struct timeouts, header, 1, YEARS)},
    {ROW(CONTEXT_TIMEOUTS, "idle", "TIME", "a client's connection between requests", "5m",
         "idle 1m;"),
     PLAIN(duration, struct timeouts, idle, 1, YEARS)},
    {ROW(CONTEXT_TIMEOUTS, "half-closed", "TIME",
         "an HTTP/1.1 client that has ended its side is answered as long as something can be sent "
         "to it within this time; then its exchange ends with 408 (half_closed_timeout); 0s: at "
         "once, as ended by the client",
         "10s", "half-closed 1m;"),
     PLAIN(duration, struct timeouts, half_closed, 0, YEARS)},
    {ROW(CONTEXT_TIMEOUTS, "exchange-idle", "TIME | none", "between bytes of an exchange", "none",
         "exchange-idle 5m;"),
     PLAIN(duration, struct timeouts, exchange_idle, 1, YEARS, "none")},
    {ROW(CONTEXT_TIMEOUTS, "tunnel-idle", "TIME | none", "between bytes of what is not HTTP",
         "none", "tunnel-idle 1h;"),
     PLAIN(duration, struct timeouts, tunnel_idle, 1, YEARS, "none")},
    {ROW(CONTEXT_TIMEOUTS, "tunnel-half-closed", "TIME | none",
         "the same once one side has ended and the other has not; then both are reset", "1h",
         "tunnel-half-closed 30s;"),
     PLAIN(duration, struct timeouts, tunnel_half_closed, 1, YEARS, "none")},
    {ROW(CONTEXT_TIMEOUTS, "keepalive", "TIME | none",
         "a TCP connection on which nothing came for so long is probed, of either side, whatever "
         "it "
         "carries",
         "1m", "keepalive 5m;"),
     PLAIN(duration, struct timeouts, keepalive, SECONDS(1), SECONDS(32767), "none")},
    {ROW(CONTEXT_TIMEOUTS, "keepalive-timeout", "TIME",
         "for the answer, and for what is sent to be acknowledged; then the connection is lost",
         "2m", "keepalive-timeout 30s;"),
     PLAIN(duration, struct timeouts, keepalive_timeout, SECONDS(1), SECONDS(32767))},
    {ROW(CONTEXT_TIMEOUTS, "ping", "TIME | none",
         "an HTTP/2 connection with open streams on which nothing came for so long is asked with a "
         "PING; servers of gRPC take more than one in 5 minutes for abuse",
         "6m", "ping 10m;"),
     PLAIN(duration, struct timeouts, ping, 1, YEARS, "none")},
    {ROW(CONTEXT_TIMEOUTS, "ping-timeout", "TIME",
         "for the answer to a PING; then the connection is lost", "20s", "ping-timeout 5s;"),
     PLAIN(duration, struct timeouts, ping_timeout, 1, YEARS)},
    {ROW(CONTEXT_TIMEOUTS, "drain-delay", "TIME",
         "from SIGTERM, which ends readiness, to the close of the inbound listeners", "1s",
         "drain-delay 0s;"),
     PLAIN(duration, struct timeouts, drain_delay, 0, YEARS)},
    {ROW(CONTEXT_TIMEOUTS, "drain", "TIME", "from then to the end, whatever is still open", "30s",
         "drain 10s;"),
     PLAIN(duration, struct timeouts, drain, 0, YEARS)},
    {ROW(CONTEXT_TIMEOUTS, "flush", "TIME", "for the last spans", "5s", "flush 2s;"),
     PLAIN(duration, struct timeouts, flush, 0, YEARS)},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
_Static_assert((int)ROWS <= (int)DIRECTIVES_MAX, "a block notes each row");

const struct directive *directive_table(size_t *n)
{
    *n = ROWS;
    return rows;
}

const struct directive_row *directive_row_at(size_t i)
{
    return i < ROWS ? &rows[i].shown : NULL;
}
