/*
 * The span of an exchange: SERVER inbound, CLIENT outbound; one more for each
 * further attempt of an outbound one.
 */
#include "otlp/rpc_call.h"
#include "proxy/ending.h"
#include "proxy/exchange_private.h"
#include "proxy/forwarded.h"
#include "proxy/metrics_rpc.h"
#include "proxy/metrics_tcp.h"

void exchange_span_begin(struct exchange *x, nsec_t began)
{
    bool inbound = x->front->direction == DIRECTION_INBOUND;

    span_init(&x->span, inbound ? SPAN_SERVER : SPAN_CLIENT, SPAN_HTTP);
    x->span.start = began + x->worker->loop.wall_offset;
    x->span_open = true;
    x->began = began;
    exchange_phase(x, PHASE_HEAD);
}

static struct str value_of(const struct headers *f, enum header_id id)
{
    const struct header *h = headers_find(f, id);

    return h ? h->value : (struct str){0};
}

static struct str leftmost(struct str list)
{
    struct str member = {0};

    return list.n && str_next_member(&list, &member) ? member : (struct str){0};
}

/* What the first proxy knew of the client: Forwarded is the standard's, and counts where it says
 * so; else the fields that most send. */
static void set_forwarded(struct span *s, const struct headers *f)
{
    struct forwarded said = forwarded_first(value_of(f, HEADER_FORWARDED));

    s->text[SPAN_FORWARDED_FOR] =
        said.node.n ? said.node : leftmost(value_of(f, HEADER_X_FORWARDED_FOR));
    s->text[SPAN_FORWARDED_HOST] =
        said.host.n ? said.host : leftmost(value_of(f, HEADER_X_FORWARDED_HOST));
    s->text[SPAN_FORWARDED_PROTO] =
        said.proto.n ? said.proto : leftmost(value_of(f, HEADER_X_FORWARDED_PROTO));
}

static void add_attributes(struct exchange *x)
{
    const struct route *r = x->route;

    for (size_t i = 0; r && i < r->n_attributes; i++)
        span_add_extra(&x->span, &x->arena, EXTRA_ATTRIBUTE, r->attributes[i].key,
                       r->attributes[i].value);
}

void exchange_capture(struct exchange *x, const struct message *m, bool response)
{
    const struct trace_config *t = &exchange_config(x)->trace;
    const struct str *names = response ? t->capture_response : t->capture_request;
    size_t n = response ? t->n_capture_response : t->n_capture_request;

    for (size_t i = 0; i < n && x->sampled; i++) {
        const struct header *h = headers_find_name(&m->fields, names[i]);

        for (; h; h = headers_next(&m->fields, h))
            span_add_extra(&x->span, &x->arena,
                           response ? EXTRA_RESPONSE_HEADER : EXTRA_REQUEST_HEADER, names[i],
                           h->value);
    }
}

void exchange_span_request(struct exchange *x)
{
    const struct trace_context *context = &x->asking->context;
    const struct message *m = x->request;
    struct span *s = &x->span;

    s->trace_id = context->trace_id;
    s->span_id = context->span_id;
    s->flags = context->flags;
    s->text[SPAN_METHOD] = m->method;
    s->text[SPAN_SCHEME] = m->scheme;
    s->text[SPAN_AUTHORITY] = m->authority;
    s->text[SPAN_PATH] = m->path;
    s->text[SPAN_QUERY] = m->query;
    s->http_version = m->version;
    if (x->has_parent) {
        s->parent_remote = true;
        s->text[SPAN_TRACESTATE] = context->tracestate;
    }
    s->text[SPAN_USER_AGENT] = value_of(&m->fields, HEADER_USER_AGENT);
    if (s->kind == SPAN_SERVER) {
        s->peer = x->front->conn->peer;
        set_forwarded(s, &m->fields);
    }
    if (x->route) {
        s->text[SPAN_ROUTE] = x->route->template;
        add_attributes(x);
    }
    if (x->sampled)
        exchange_capture(x, m, false);
}

static enum local_answer answer_of(const struct exchange *x)
{
    if (x->span.error && x->span.error != SPAN_ERROR_FAULT)
        return LOCAL_FAILURE;
    if (x->aborted)
        return LOCAL_FAULT;
    if (!x->route || x->route->action == ACTION_FORWARD)
        return LOCAL_OPTIONS;
    return x->route->action == ACTION_RESPOND ? LOCAL_RESPOND : LOCAL_REDIRECT;
}

struct series *exchange_requests(struct exchange *x)
{
    struct metrics *m = x->worker->metrics;

    if (!x->series)
        x->series = metrics_series(m, x->front->direction, STR(""));
    return x->route ? metrics_route_series(m, x->series, x->route->label) : x->series;
}

/* Every request is counted, that for which no cluster was chosen too. */
static void count(struct exchange *x, nsec_t duration)
{
    const struct span *s = &x->span;
    struct metrics *m = x->worker->metrics;
    unsigned direction = x->front->direction;
    struct series *requests = exchange_requests(x);

    metrics_ended(m, direction, s->error);
    if (s->answered_here)
        metrics_answered(m, direction, answer_of(x));
    if (x->switched)
        series_record_tcp(
            x->series, s->error ? span_error_row(s->error)->by : (enum ended_by)s->ended_by,
            loop_now(&x->worker->loop) - x->switched, s->request_bytes, s->response_bytes);
    else
        series_record(requests, s->status, duration, s->request_bytes, s->response_bytes);
    if (s->grpc)
        metrics_rpc_record(m, x->series, s->text[SPAN_PATH], rpc_call_status(s), duration);
}

void exchange_span_report(struct exchange *x)
{
    struct span *s = &x->span;
    nsec_t now = loop_now(&x->worker->loop);

    if (!x->span_open)
        return;
    x->span_open = false;
    exchange_grpc_settle(x);
    s->duration = now - x->began;
    count(x, now - x->started);
    if (s->error && !x->told)
        ending_log(x->worker, &(struct ending){.why = (enum span_error)s->error,
                                               .area = "exchange",
                                               .trace = &s->trace_id,
                                               .request = s});
    if (x->sampled)
        span_feed_push(x->worker->spans, s);
}

static struct str or_dash(struct str s)
{
    enum { SHOWN = 255 };

    return s.n ? str_slice(s, 0, s.n < SHOWN ? s.n : SHOWN) : STR("-");
}

void exchange_log(const struct exchange *x, const char *endpoint)
{
    const struct span *s = &x->span;
    const struct span_error_row *row = span_error_row(s->error);
    char hex[TRACE_ID_HEX + 1] = "";

    if (!log_enabled(LOG_DEBUG))
        return;
    trace_id_to_hex(&s->trace_id, hex);
    hex[TRACE_ID_HEX] = '\0';
    log_write_trace(
        LOG_DEBUG, "exchange", hex,
        "%s %.*s %.*s route %.*s cluster %.*s endpoint %s status %u in %.3f ms%s%s%s%s",
        s->kind == SPAN_SERVER ? "inbound" : "outbound", STR_ARG(or_dash(s->text[SPAN_METHOD])),
        STR_ARG(or_dash(s->text[SPAN_AUTHORITY])), STR_ARG(or_dash(s->text[SPAN_ROUTE])),
        STR_ARG(or_dash(s->text[SPAN_CLUSTER])), endpoint[0] ? endpoint : "-", s->status,
        (double)s->duration / 1e6, s->error ? ", ended by the " : "",
        s->error ? ended_by_text(row->by) : "", s->error ? ": " : "", row->name);
}

/* An attempt is over and another begins: outbound, each that reached the network has its span. */
void exchange_span_again(struct exchange *x)
{
    struct span *s = &x->span;
    nsec_t now = loop_now(&x->worker->loop);

    if (s->kind == SPAN_CLIENT) {
        s->duration = now - x->began;
        exchange_grpc_settle(x);
        if (x->sampled)
            span_feed_push(x->worker->spans, s);
        if (x->generation->exporting)
            s->span_id = span_id_new(&x->worker->loop.random);
        s->resend_count++;
        s->start = now + x->worker->loop.wall_offset;
        x->began = now;
        s->fault_delay = 0;
    }
    s->error = SPAN_ERROR_NONE;
    s->text[SPAN_RULE] = (struct str){0};
    s->grpc_status = -1;
    s->phase[PHASE_CONNECTED] = s->phase[PHASE_REQUEST] = s->phase[PHASE_FIRST_BYTE] = -1;
}
