/*
 * What becomes of a request: its trace, its route, its faults.
 */
#include <stdlib.h>

#include "proxy/exchange_private.h"
#include "proxy/fault_switch.h"
#include "proxy/forwarding_loop.h"
#include "proxy/without_context.h"

/* ---- the trace ---- */

/* Extracts or starts the context; decides; the ids of our span are made in any case. */
static void join_trace(struct exchange *x, struct message *m)
{
    struct trace_context parent, *context = &x->asking->context;
    enum extract_result found =
        propagators_extract(&x->generation->propagators, &m->fields, &x->arena, &parent);

    x->has_parent = found == EXTRACT_VALID;
    x->span.invalid_parent = found == EXTRACT_INVALID;
    if (found == EXTRACT_INVALID)
        metrics_add(x->worker->metrics, COUNT_INVALID_CONTEXTS, 1);
    if (x->has_parent) {
        *context = parent;
        if (x->generation->exporting)
            context->span_id = span_id_new(&x->worker->loop.random);
        x->span.parent_span_id = parent.span_id;
    } else {
        trace_context_start(context, &x->worker->loop.random);
    }
    x->sampled = x->recording && sampler_decide(&x->generation->sampler,
                                                x->has_parent ? &parent : NULL, &context->trace_id);
    context->flags =
        (uint8_t)((context->flags & ~TRACE_FLAG_SAMPLED) | (x->sampled ? TRACE_FLAG_SAMPLED : 0));
    if (x->recording && !x->sampled)
        metrics_add(x->worker->metrics, COUNT_UNSAMPLED, 1);
    x->sampled = x->sampled && x->generation->exporting;
}

/* A CONNECT has none, what is asked inside of it has. A context that came and cannot be used was
 * not forgotten, and is counted as invalid. */
static void look_for_context(struct exchange *x, const struct message *m)
{
    long served;

    if (x->front->direction != DIRECTION_OUTBOUND || x->has_parent || x->span.invalid_parent ||
        !x->recording || str_eq(m->method, STR("CONNECT")) || !(served = without_context_served()))
        return;
    metrics_add(x->worker->metrics, COUNT_WITHOUT_CONTEXT, 1);
    without_context_warn(m->method, m->authority, served);
}

/* ---- the route ---- */

static void set_facts(struct exchange *x, const struct message *m)
{
    exchange_grpc_detect(x, m);
    x->asking->facts = (struct request){
        .method = m->method,
        .scheme = m->scheme,
        .authority = m->authority,
        .path = m->path,
        .query = m->query,
        .headers = &m->fields,
        .grpc = x->span.grpc,
        .trace_id = x->asking->context.trace_id,
        .source = x->front->conn->peer,
        .now = loop_now(&x->worker->loop) + x->worker->loop.wall_offset,
    };
}

/* ---- what is answered here ---- */

static bool is_number(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static bool answer_max_forwards(struct exchange *x, struct message *m)
{
    const struct header *h = headers_find(&m->fields, HEADER_MAX_FORWARDS);
    uint64_t n;

    if (!h || !str_eq(m->method, STR("OPTIONS")) || !is_number(h->value))
        return false;
    if (!str_to_u64(h->value,
                    &n)) /* more than we can count: section 7.6.2 allows the most we can */
        n = UINT64_MAX;
    if (n == 0) {
        exchange_reply(x, 200, STR(""), NULL);
        return true;
    }
    /* Decremented (RFC 9110 section 7.6.2). */
    headers_remove(&m->fields, HEADER_MAX_FORWARDS);
    headers_add_id(&m->fields, &x->arena, HEADER_MAX_FORWARDS, STR("Max-Forwards"),
                   arena_printf(&x->arena, "%llu", (unsigned long long)(n - 1)));
    return false;
}

/* The longest of a registry has 17; spans and logs carry it. */
enum { METHOD_BYTES_MAX = 255 };

static bool refuse_method(struct exchange *x, struct message *m)
{
    static const struct refusal trace = {"method-trace", 405, "TRACE is not passed on"};
    static const struct refusal connect = {
        "connect-without-forward-proxy", 405,
        "CONNECT is for a listener that says: listen ADDRESS forward-proxy"};
    static const struct refusal too_long = {"method-too-long", 501,
                                            "no method has more than 255 characters"};
    const struct refusal *why = NULL;

    if (m->method.n > METHOD_BYTES_MAX)
        why = &too_long;
    else if (str_eq(m->method, STR("TRACE")))
        why = &trace;
    else if (str_eq(m->method, STR("CONNECT")) && !front_is_proxy(x->front))
        why = &connect;
    if (why)
        exchange_refuse(x, why);
    return why != NULL;
}

/* Whether a rule takes it cannot be told, and either answer might be the way around another rule.
 */
static void refuse_undecided(struct exchange *x, struct place at)
{
    struct str cure = arena_printf(
        &x->arena,
        "a regular expression in line %u of the routes met its limit of work on this request: send "
        "a shorter path and shorter fields, or write it without one repetition in or after "
        "another (sidespan check names those)",
        at.line);
    struct refusal why = {"pattern-undecided", 400, cure.p ? cure.p : "send a shorter request"};

    exchange_refuse(x, &why);
}

/* Each pass leaves a mark, whatever stands between two of them. */
static bool refuse_loop(struct exchange *x, const struct message *m)
{
    if (forwarding_loop_passes(&m->fields) < FORWARDING_LOOP_PASSES_MAX)
        return false;
    metrics_add(x->worker->metrics, COUNT_LOOPS, 1);
    exchange_fail_by(
        x, &(struct failure){.why = SPAN_ERROR_LOOP,
                             .rule = "sidespan-via",
                             .detail = "the request has come back to this sidecar too often",
                             .cure = "find the route that sends it back: each sidecar it passed is "
                                     "named in its field sidespan-via"});
    return true;
}

/* ---- faults ---- */

static void note_faults(struct exchange *x, const struct fault_decision *d)
{
    struct buffer text;

    if (!d->struck)
        return;
    buffer_init(&text, 0);
    fault_write_struck(x->route, d, &text);
    x->span.text[SPAN_FAULT] = arena_dup(&x->arena, buffer_str(&text));
    buffer_release(&text);
}

static void abort_by_fault(struct exchange *x, const struct fault *f)
{
    const struct span_error_row *row = span_error_row(SPAN_ERROR_FAULT);
    struct failure injected = {SPAN_ERROR_FAULT, row->what, row->rule, row->cure};

    if (f->kind == FAULT_RESET) {
        struct stream *client = x->client;

        metrics_add(x->worker->metrics, COUNT_FAULT_RESETS, 1);
        x->span.error = SPAN_ERROR_FAULT;
        x->client = NULL;
        client->codec->abort(client, STREAM_INTERNAL_ERROR);
        exchange_end(x);
        return;
    }
    metrics_add(x->worker->metrics, COUNT_FAULT_ABORTS, 1);
    x->span.error = f->status >= 500 ? SPAN_ERROR_FAULT : SPAN_ERROR_NONE;
    exchange_reply(x, f->status, exchange_failure_text(x, &injected),
                   span_error_text(SPAN_ERROR_FAULT));
}

/* True: the exchange waits, or is over. */
static bool inject_faults(struct exchange *x)
{
    struct fault_decision d;

    if (!x->route || x->route->n_faults == 0)
        return false;
    x->asking->facts.faults_drawn = x->front->drawn == x->route;
    x->front->drawn = NULL;
    if (faults_are_off())
        return false;
    d = fault_decide(x->route, &x->asking->facts);
    if (d.undecided) {
        refuse_undecided(x, d.undecided->at);
        return true;
    }
    note_faults(x, &d);
    x->aborted = d.aborted;
    if (d.delay) {
        metrics_add(x->worker->metrics, COUNT_FAULT_DELAYS, 1);
        x->span.fault_delay = d.delay;
        x->asking->fault_until = loop_now(&x->worker->loop) + d.delay;
        exchange_enter(x, EXCHANGE_FAULT);
        return true;
    }
    if (d.aborted) {
        abort_by_fault(x, d.aborted);
        return true;
    }
    return false;
}

/* ---- in order ---- */

void exchange_go_on(struct exchange *x)
{
    if (x->aborted) {
        abort_by_fault(x, x->aborted);
        return;
    }
    if (str_eq(x->request->method, STR("CONNECT")) && !exchange_connect_method(x))
        return;
    exchange_to_target(x);
}

void exchange_begin_refused(struct exchange *x, struct message *partial)
{
    x->request = partial;
    x->recording = x->generation->recording;
    exchange_span_begin(x, x->client->began);
    join_trace(x, partial);
    set_facts(x, partial);
    exchange_span_request(x);
}

static bool refuse_for_memory(struct exchange *x)
{
    if (!worker_is_full(x->worker, 1))
        return false;
    metrics_add(x->worker->metrics, COUNT_MEMORY_LIMIT, 1);
    exchange_fail_by(
        x, &(struct failure){.why = SPAN_ERROR_OVERLOAD,
                             .rule = "memory",
                             .detail = "the sidecar has nearly all the memory that it may have",
                             .cure = "ask again later; raise limits { memory }, or find who reads "
                                     "slowly and holds it"});
    return true;
}

void exchange_begin(struct exchange *x, struct message *m)
{
    uint64_t most = exchange_config(x)->limits.body_bytes;
    const struct route *undecided;
    bool kept;

    x->request = m;
    /* Of a proxy an HTTP/1.0 client is never kept (RFC 9112 section 9.3). */
    if (m->version < 11 && x->front->mode == LISTEN_FORWARD_PROXY)
        m->close = true;
    x->recording = x->generation->recording;
    exchange_span_begin(x, x->client->began);
    join_trace(x, m);
    look_for_context(x, m);
    set_facts(x, m);
    kept = exchange_find_route(x, &undecided);
    exchange_span_request(x);
    if (!kept) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "no memory for the parts of the path");
        return;
    }
    if (undecided) {
        refuse_undecided(x, undecided->at);
        return;
    }
    if (refuse_for_memory(x) || refuse_method(x, m) || answer_max_forwards(x, m) ||
        refuse_loop(x, m))
        return;
    if (most && m->body == BODY_LENGTH && m->length > most) {
        exchange_refuse(x, &exchange_body_too_large);
        return;
    }
    if (!exchange_grpc_begin(x))
        return;
    if (x->deadline || x->idle_limit)
        exchange_rearm(x);
    if (!inject_faults(x))
        exchange_go_on(x);
}
