/*
 * What gRPC asks of an exchange, whatever version of HTTP carries the call: its
 * deadline goes on with the time that is left, its status is read, and what the
 * sidecar has to say by itself is a status too (grpc/grpc
 * doc/PROTOCOL-HTTP2.md).
 */
#include "proxy/exchange_private.h"
#include "proxy/grpc_field.h"

/* ---- the call ---- */

void exchange_grpc_detect(struct exchange *x, const struct message *m)
{
    const struct header *type = headers_find(&m->fields, HEADER_CONTENT_TYPE);

    x->span.grpc = type && str_eq(m->method, STR("POST")) && is_grpc_content_type(type->value);
}

/* ---- the deadline ---- */

/* A deadline that cannot be read is refused with INTERNAL, as grpc-go does: the caller believes
 * that the call ends in time, so it must not go on without an end. */
static bool refuse_timeout(struct exchange *x)
{
    static const struct refusal malformed = {
        "grpc-timeout", 400, "grpc-timeout is one to eight digits and one of H M S m u n"};

    exchange_refuse(x, &malformed);
    return false;
}

bool exchange_grpc_begin(struct exchange *x)
{
    const struct headers *f = &x->request->fields;
    const struct header *h;
    nsec_t timeout;

    if (!x->span.grpc || !(h = headers_find(f, HEADER_GRPC_TIMEOUT)))
        return true;
    if (headers_next(f, h) || !grpc_timeout_read(h->value, &timeout))
        return refuse_timeout(x);
    if (x->deadline && x->deadline <= x->started + timeout)
        return true;
    x->deadline = x->started + timeout;
    x->callers_deadline = true;
    if (x->deadline > loop_now(&x->worker->loop))
        return true;
    exchange_fail_timeout(x);
    return false;
}

void exchange_fail_timeout(struct exchange *x)
{
    static const struct failure route = {.why = SPAN_ERROR_TIMEOUT,
                                         .detail = "the route's timeout was over"};
    static const struct failure callers = {
        .why = SPAN_ERROR_TIMEOUT,
        .detail = "the call's deadline was over",
        .rule = "grpc-timeout",
        .cure = "find out what the upstream waits for; the caller asked for no more time"};

    exchange_fail_by(x, x->callers_deadline ? &callers : &route);
}

bool exchange_grpc_send_timeout(struct exchange *x)
{
    struct headers *f = &x->request->fields;
    struct header *h;
    nsec_t left;
    char *text;

    if (!x->span.grpc || !x->deadline)
        return true;
    left = x->deadline - loop_now(&x->worker->loop);
    if (left <= 0) {
        exchange_fail_timeout(x);
        return false;
    }
    h = (struct header *)(uintptr_t)headers_find(f, HEADER_GRPC_TIMEOUT);
    text = arena_alloc(&x->arena, GRPC_TIMEOUT_TEXT_MAX);
    if (text && h)
        h->value = str_of(text, grpc_timeout_write(left, text));
    else if (!text || !headers_add_id(f, &x->arena, HEADER_GRPC_TIMEOUT, STR("grpc-timeout"),
                                      str_of(text, grpc_timeout_write(left, text)))) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "the request's headers are too large to rewrite");
        return false;
    }
    return true;
}

/* ---- the status ---- */

void exchange_grpc_status(struct exchange *x, const struct headers *f)
{
    const struct header *h = x->span.grpc && f ? headers_find(f, HEADER_GRPC_STATUS) : NULL;

    if (h)
        x->span.grpc_status = (int16_t)grpc_status_read(h->value);
}

/* What a refusal's status is to a call: a limit of ours is no fault of the call's form. */
static enum grpc_status status_of_refusal(unsigned http)
{
    switch (http) {
    case 413:
    case 414:
    case 431:
        return GRPC_RESOURCE_EXHAUSTED;
    case 408:
        return GRPC_DEADLINE_EXCEEDED;
    case 501:
        return GRPC_UNIMPLEMENTED;
    default:
        return (enum grpc_status)grpc_status_of_http(http);
    }
}

static enum grpc_status status_of_fault(const struct exchange *x, unsigned http)
{
    if (x->aborted && x->aborted->kind == FAULT_ABORT && x->aborted->grpc_status >= 0)
        return (enum grpc_status)x->aborted->grpc_status;
    return (enum grpc_status)grpc_status_of_http(http);
}

/* A caller cancels what its deadline ends. It counts from when it sent the call, we from when that
 * came, so it may be a little before us. */
static bool out_of_time(const struct exchange *x)
{
    return x->deadline && loop_now(&x->worker->loop) >= x->deadline - MILLISECONDS(5);
}

/* The status of a call that has none from an upstream; http is what another request is answered
 * with. */
static enum grpc_status status_of_failure(const struct exchange *x, unsigned http)
{
    switch (x->span.error) {
    case SPAN_ERROR_NONE:
    case SPAN_ERROR_FAULT:
        return status_of_fault(x, http);
    case SPAN_ERROR_CANCELLED:
        return out_of_time(x) ? GRPC_DEADLINE_EXCEEDED : GRPC_CANCELLED;
    case SPAN_ERROR_STREAM_RESET:
        /* A server ends with CANCEL what has no time left, as we told it, and may be quicker. */
        if (x->upstream_code == STREAM_CANCEL && out_of_time(x))
            return GRPC_DEADLINE_EXCEEDED;
        return grpc_status_of_stream(x->upstream_code);
    case SPAN_ERROR_REQUEST:
        return status_of_refusal(http);
    default:
        return (enum grpc_status)span_error_row(x->span.error)->grpc_status;
    }
}

void exchange_grpc_settle(struct exchange *x)
{
    if (x->span.grpc && x->span.grpc_status < 0 && x->span.error)
        x->span.grpc_status = (int16_t)status_of_failure(x, 0);
}

/* ---- what the sidecar says by itself ---- */

static bool add_message(struct exchange *x, struct headers *f, struct str text)
{
    enum { BYTES_MAX = 1024 }; /* clients take no more than 8 KiB of fields */
    static const struct str prefix = STR_INIT("sidespan: ");
    size_t n;
    char *out;

    if (text.n && text.p[text.n - 1] == '\n')
        text.n--;
    if (!text.n)
        return true;
    if (!str_eq(str_slice(text, 0, prefix.n), prefix))
        text = arena_printf(&x->arena, "%.*s%.*s", STR_ARG(prefix), STR_ARG(text));
    text = str_slice(text, 0, BYTES_MAX);
    out = arena_alloc(&x->arena, 9 * text.n);
    if (!out)
        return false;
    n = grpc_message_write(text, out);
    return headers_add_id(f, &x->arena, HEADER_GRPC_MESSAGE, STR("grpc-message"), str_of(out, n));
}

static bool add_status(struct exchange *x, struct headers *f, enum grpc_status code)
{
    struct str text = arena_printf(&x->arena, "%u", (unsigned)code);

    return text.p && headers_add_id(f, &x->arena, HEADER_GRPC_STATUS, STR("grpc-status"), text);
}

void exchange_grpc_reply(struct exchange *x, struct message *m, struct str text)
{
    enum grpc_status code = status_of_failure(x, m->status);

    x->span.grpc_status = (int16_t)code;
    m->status = 200;
    headers_add_id(&m->fields, &x->arena, HEADER_CONTENT_TYPE, STR("content-type"),
                   STR("application/grpc"));
    add_status(x, &m->fields, code);
    add_message(x, &m->fields, text);
}

/* Whether a call whose response has begun is told its status in trailers. A reset by the upstream
 * goes on as one; a caller whose time is over reads its own end of it, see abort_code(). */
static bool ends_with_status(const struct exchange *x)
{
    switch (x->span.error) {
    case SPAN_ERROR_NONE:
    case SPAN_ERROR_CANCELLED:
    case SPAN_ERROR_TIMEOUT:
    case SPAN_ERROR_IDLE:
    case SPAN_ERROR_STREAM_RESET:
        return false;
    default:
        return x->span.grpc && x->client && x->response_begun && !x->response_ended && !x->local;
    }
}

void exchange_grpc_cut(struct exchange *x, const char *detail)
{
    struct headers *trailers;
    enum grpc_status code;

    if (!ends_with_status(x) || !(trailers = arena_zalloc(&x->arena, sizeof *trailers)))
        return;
    code = status_of_failure(x, 0);
    if (!add_status(x, trailers, code))
        return;
    add_message(x, trailers, str_from(detail));
    exchange_release_upstream(x, false);
    x->client->codec->send_end(x->client, trailers);
    x->span.grpc_status = (int16_t)code;
    x->response_ended = true;
}
