/*
 * sidespan explain: what a request would get, without a running sidecar.
 */
#include <stdio.h>
#include <string.h>

#include "mesh/explain.h"
#include "mesh/value.h"
#include "propagation/traceparent.h"
#include "proxy/commands.h"
#include "proxy/http_rules.h"

struct question {
    const char *config_path;
    enum direction_kind direction;
    bool said_direction;
    bool said_trace;
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

/* "GET http://host/path?query"; the method may be left out. "CONNECT host:port". */
static bool read_request(struct question *q, struct str text)
{
    size_t space = str_index(text, ' ', 0);
    struct str url = space < text.n ? str_slice(text, space + 1, text.n) : text;

    q->request.method = space < text.n ? str_slice(text, 0, space) : STR("GET");
    if (str_eq(q->request.method, STR("CONNECT")))
        return read_connect(q, url);
    if (str_starts(url, STR("http://")))
        url = str_slice(url, 7, url.n);
    else if (str_starts(url, STR("https://")))
        url = str_slice(url, 8, url.n);
    else
        return false;
    url = str_slice(url, 0, str_index(url, '#', 0));
    size_t slash = str_index(url, '/', 0), mark = str_index(url, '?', 0);
    size_t end = slash < mark ? slash : mark;
    q->request.authority = str_slice(url, 0, end);
    q->request.path = str_slice(url, end, mark);
    if (q->request.path.n == 0)
        q->request.path = STR("/");
    if (mark < url.n)
        q->request.query = str_slice(url, mark + 1, url.n);
    return value_is_token(q->request.method) && host_valid(q->request.authority) &&
           value_is_text(url) && str_index(url, ' ', 0) == url.n;
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
        q->said_trace = traceparent_parse(str_from(optarg), &q->trace);
        return q->said_trace ? 0 : usage_error("\"%s\" is not a valid traceparent", optarg);
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
    if (optind + 1 != argc || !read_request(q, str_from(argv[optind])))
        return usage_error(
            "explain needs one request: 'GET http://HOST/PATH' or 'CONNECT HOST:PORT'");
    return 0;
}

/* A Host, traceparent or content-type among the headers counts as it would in a request. */
static void complete(struct question *q)
{
    struct random random;
    const struct header *host = headers_find(&q->headers, HEADER_HOST);
    const struct header *parent = headers_find(&q->headers, HEADER_TRACEPARENT);
    const struct header *type = headers_find(&q->headers, HEADER_CONTENT_TYPE);

    q->request.grpc = type && is_grpc_content_type(type->value);
    if (host)
        q->request.authority = host->value;
    if (!q->said_trace && parent)
        q->said_trace = traceparent_parse(parent->value, &q->trace);
    if (!q->said_trace) {
        random_init(&random);
        trace_context_start(&q->trace, &random);
    }
    q->request.trace_id = q->trace.trace_id;
    q->request.headers = &q->headers;
}

static int answer(struct question *q, const struct config *c)
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
    buffer_init(&shown, 0);
    mask_write(&c->masks, buffer_str(&out), &shown);
    fwrite(shown.p, 1, shown.n, stdout);
    buffer_release(&shown);
    buffer_release(&out);
    if (!q->said_trace)
        puts("The trace id was drawn for this answer; --traceparent asks for a certain one.");
    return EXIT_OK;
}

static int ask(struct question *q)
{
    struct errors errors = {0};
    int status = EXIT_FAILED;
    struct config *c = config_load(q->config_path, NULL, &errors);

    if (c) {
        complete(q);
        status = answer(q, c);
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
