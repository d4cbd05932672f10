/*
 * sidespan explain: what a request would get, without a running sidecar.
 */
#include <stdio.h>
#include <string.h>

#include "base/authority.h"
#include "mesh/explain.h"
#include "mesh/explain_text.h"
#include "mesh/route.h"
#include "mesh/value.h"
#include "otlp/conventions.h"
#include "propagation/traceparent.h"
#include "proxy/commands.h"
#include "proxy/http_rules.h"
#include "proxy/supervisor.h"

struct question {
    const char *config_path;
    enum direction_kind direction;
    bool said_direction;
    bool grpc;
    bool said_trace;
    bool said_parent; /* the trace is that of a caller: a bare id is not */
    struct trace_context trace;
    struct headers headers;
    struct request request;
    struct arena arena;
};

static bool add_header(struct question *q, const char *text)
{
    struct str line = str_from(text);
    size_t colon = str_index(line, ':', 0);
    struct str name = str_slice(line, 0, colon);
    struct str value = str_trim_ows(str_slice(line, colon + 1, line.n));

    return colon < line.n && value_is_token(name) && value_is_field(value) &&
           headers_add(&q->headers, &q->arena, name, value);
}

/* A CONNECT has an authority with a port, and no path. */
static bool read_connect(struct question *q, struct str authority)
{
    uint64_t port;
    size_t colon = authority.n;

    while (colon && authority.p[colon - 1] != ':')
        colon--;
    q->request.authority = authority;
    q->request.path = STR("");
    return colon > 1 && value_is_text(authority) && str_index(authority, '/', 0) == authority.n &&
           str_index(authority, ' ', 0) == authority.n &&
           str_to_u64(str_slice(authority, colon, authority.n), &port) && port &&
           port <= UINT16_MAX;
}

/* "GET http://host/path?query"; the method may be left out, and the scheme with the host.
 * "CONNECT host:port". "grpc://host/package.Service/Method". */
static bool read_request(struct question *q, struct str text)
{
    size_t space = str_index(text, ' ', 0);
    struct str url = space < text.n ? str_slice(text, space + 1, text.n) : text;

    q->request.method = space < text.n ? str_slice(text, 0, space) : STR("GET");
    if (str_eq(q->request.method, STR("CONNECT")))
        return read_connect(q, url);
    q->request.scheme = str_starts(url, STR("https:")) ? STR("https") : STR("http");
    if (str_starts(url, STR("http://")) || (q->grpc = str_starts(url, STR("grpc://"))))
        url = str_slice(url, 7, url.n);
    else if (str_starts(url, STR("https://")))
        url = str_slice(url, 8, url.n);
    else if (url.n == 0 || url.p[0] != '/')
        return false;
    if (q->grpc)
        q->request.method = STR("POST");
    url = str_slice(url, 0, str_index(url, '#', 0));
    size_t slash = str_index(url, '/', 0), mark = str_index(url, '?', 0);
    size_t end = slash < mark ? slash : mark;
    q->request.authority = end > 0 ? str_slice(url, 0, end) : STR("localhost");
    q->request.path = str_slice(url, end, mark);
    if (q->request.path.n == 0)
        q->request.path = STR("/");
    if (mark < url.n)
        q->request.query = str_slice(url, mark + 1, url.n);
    return value_is_token(q->request.method) && authority_list_valid(q->request.authority) &&
           value_is_text(url) && str_index(url, ' ', 0) == url.n;
}

/* A traceparent, or the id of a trace that begins here. */
static bool read_trace(struct question *q, struct str text)
{
    struct random random;

    q->said_parent = text.n != TRACE_ID_HEX && traceparent_parse(text, &q->trace);
    if (q->said_parent || text.n != TRACE_ID_HEX)
        return q->said_parent;
    random_init(&random);
    trace_context_start(&q->trace, &random);
    return trace_id_from_hex(text, &q->trace.trace_id);
}

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"traceparent", required_argument, NULL, 't'},
    {"inbound", no_argument, NULL, 'i'},
    {"outbound", no_argument, NULL, 'o'},
    {"header", required_argument, NULL, 'H'},
    {"source", required_argument, NULL, 's'},
    {0},
};

/* 0, or the exit status. */
static int read_option(struct question *q, int c)
{
    switch (c) {
    case 'c':
        q->config_path = optarg;
        return 0;
    case 't':
        q->said_trace = read_trace(q, str_from(optarg));
        return q->said_trace
                   ? 0
                   : usage_error("\"%s\" is not a valid traceparent, nor the id of a trace",
                                 optarg);
    case 'i':
    case 'o':
        q->direction = c == 'i' ? DIRECTION_INBOUND : DIRECTION_OUTBOUND;
        q->said_direction = true;
        return 0;
    case 's':
        return address_parse_ip(str_from(optarg), &q->request.source)
                   ? 0
                   : usage_error("\"%s\" is not an IP address", optarg);
    default:
        return add_header(q, optarg) ? 0
                                     : usage_error("a header is NAME: VALUE, not \"%s\"", optarg);
    }
}

#define FORMS \
    "'GET http://HOST/PATH', /PATH, grpc://HOST/PACKAGE.SERVICE/METHOD or 'CONNECT HOST:PORT'"

static int read_options(struct question *q, int argc, char **argv)
{
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, ":c:H:", options, NULL)) != -1) {
        int status =
            c == '?' || c == ':' ? usage_option_error(argv, options, c) : read_option(q, c);
        if (status != 0)
            return status;
    }
    if (!q->config_path)
        return usage_error("explain needs --config FILE");
    if (optind + 1 < argc)
        return usage_error("explain takes one request, in one argument: '%s %s' in quotes, and the "
                           "options before it",
                           argv[optind], argv[optind + 1]);
    if (optind == argc)
        return usage_error("explain needs one request: " FORMS);
    if (!read_request(q, str_from(argv[optind])))
        return usage_error("\"%s\" is no request: write " FORMS, argv[optind]);
    return 0;
}

/* A Host, traceparent or content-type among the headers counts as it would in a request. */
static void complete(struct question *q)
{
    struct random random;
    const struct header *host = headers_find(&q->headers, HEADER_HOST);
    const struct header *parent = headers_find(&q->headers, HEADER_TRACEPARENT);
    const struct header *type = headers_find(&q->headers, HEADER_CONTENT_TYPE);

    q->request.grpc = q->grpc || (type && is_grpc_content_type(type->value));
    if (host)
        q->request.authority = host->value;
    if (!q->said_trace && parent)
        q->said_trace = q->said_parent = traceparent_parse(parent->value, &q->trace);
    if (!q->said_trace) {
        random_init(&random);
        trace_context_start(&q->trace, &random);
    }
    q->request.trace_id = q->trace.trace_id;
    q->request.now = clock_wall();
    q->request.headers = &q->headers;
}

/* What the hop is called, and whether it is recorded. */
static void print_span(const struct question *q, const struct direction *d,
                       const struct sampler *sampler, struct buffer *out)
{
    struct route_choice choice;
    enum route_found found = route_find(d, &q->request, &choice);
    struct str path = q->request.path;
    bool recorded = sampler_decide(sampler, q->said_parent ? &q->trace : NULL, &q->trace.trace_id);

    text_label(out, "span");
    if (q->request.grpc)
        buffer_add_str(out, str_slice(path, path.n > 0 && path.p[0] == '/', path.n));
    else
        buffer_add_str(out, span_method_known(q->request.method) ? q->request.method : STR("HTTP"));
    if (!q->request.grpc && found == ROUTE_TAKES && choice.route->template.n > 0)
        buffer_printf(out, " %.*s", STR_ARG(choice.route->template));
    buffer_printf(out, ", %s\n", recorded ? "recorded" : "not recorded: it is not sampled");
}

static int answer(struct question *q, const struct config *c, const struct sampler *sampler)
{
    const struct direction *d = &c->outbound;
    struct buffer out, shown;

    if (q->said_direction ? q->direction == DIRECTION_INBOUND : !d->present)
        d = &c->inbound;
    if (!d->present) {
        fprintf(stderr, "sidespan: %s has no %s block\n", q->config_path,
                d == &c->inbound ? "inbound" : "outbound");
        return EXIT_FAILED;
    }
    buffer_init(&out, 0);
    explain_request(c, d, &q->request, &out);
    print_span(q, d, sampler, &out);
    buffer_init(&shown, 0);
    mask_write(&c->masks, buffer_str(&out), &shown);
    fwrite(shown.p, 1, shown.n, stdout);
    buffer_release(&shown);
    buffer_release(&out);
    if (!q->said_direction && c->inbound.present && c->outbound.present)
        puts("It was taken for a request of the service; --inbound asks for one to it.");
    if (!q->said_trace)
        puts("The trace id was drawn for this answer; --traceparent asks for a certain one.");
    return EXIT_OK;
}

static int ask(struct question *q)
{
    struct errors errors = {0};
    int status = EXIT_FAILED;
    struct sampler sampler;
    struct config *c = supervisor_load(q->config_path, false, &sampler, &errors, NULL);

    if (c) {
        complete(q);
        status = answer(q, c, &sampler);
    } else {
        command_print_errors(&errors);
    }
    config_unref(c);
    errors_release(&errors);
    return status;
}

int command_explain(int argc, char **argv)
{
    struct question q = {0};

    arena_init(&q.arena, 0, 0);
    q.request.source = (struct address){.family = AF_INET, .ip = {127, 0, 0, 1}};
    int status = read_options(&q, argc, argv);
    if (status == 0)
        status = ask(&q);
    arena_release(&q.arena);
    return status;
}
