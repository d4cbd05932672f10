/*
 * What the sidecar answers by itself: failures, refusals, `respond`,
 * `redirect`. A 5xx of ours says in sidespan-reason which it was.
 */
#include "mesh/template.h"
#include "proxy/exchange_private.h"
#include "proxy/http_rules.h"

unsigned status_of_error(enum span_error e)
{
    switch (e) {
    case SPAN_ERROR_TIMEOUT:
    case SPAN_ERROR_CONNECT_TIMEOUT:
    case SPAN_ERROR_IDLE:
        return 504;
    case SPAN_ERROR_OVERLOAD:
    case SPAN_ERROR_NO_ENDPOINT:
    case SPAN_ERROR_DNS:
    case SPAN_ERROR_DRAINING:
        return 503;
    case SPAN_ERROR_LOOP:
        return 508;
    default:
        return 502;
    }
}

/* Gives the final response; body may be empty. */
static void answer(struct exchange *x, struct message *m, struct str body)
{
    struct stream *client = x->client;
    bool head = x->request && str_eq(x->request->method, STR("HEAD"));
    bool none = m->status == 204 || m->status == 304 || m->status < 200;

    x->local = true;
    x->replayable = false;
    m->version = x->span.grpc ? 20 : 11; /* that the head is all is said as each codec says it */
    m->reason = reason_phrase(m->status);
    m->body = none || head || body.n == 0 ? BODY_NONE : BODY_LENGTH;
    m->length = body.n;
    if (m->body == BODY_NONE && !none && !x->span.grpc)
        headers_add_id(&m->fields, &x->arena, HEADER_CONTENT_LENGTH, STR("content-length"),
                       arena_printf(&x->arena, "%zu", body.n));
    /* What is still to come of the request would have to be read first. */
    m->close =
        m->close || (x->request && x->request->close) || !x->request_ended || x->worker->draining;
    if (x->request && x->request->body == BODY_NONE && !x->refused)
        m->close = x->request->close || x->worker->draining;
    x->span.status = m->status;
    if (x->state != EXCHANGE_ANSWERING)
        exchange_enter(x, EXCHANGE_ANSWERING);
    x->response_begun = true;
    client->codec->send_head(client, m, m->body == BODY_NONE);
    if (m->body == BODY_LENGTH) {
        client->codec->send_body(client, body);
        client->codec->send_end(client, NULL);
    }
    x->response_ended = true;
    if (x->request_ended || x->refused || m->close)
        exchange_end(x);
    else
        x->end_with_request = true; /* a request without a body is over in a moment */
}

/* For a person: text, as a body. */
static struct str plain_reply(struct exchange *x, struct message *m, struct str text)
{
    struct str body = text;

    if (body.n && body.p[body.n - 1] != '\n')
        body = arena_printf(&x->arena, "sidespan: %.*s\n", STR_ARG(text));
    if (body.n)
        headers_add_id(&m->fields, &x->arena, HEADER_CONTENT_TYPE, STR("content-type"),
                       STR("text/plain; charset=utf-8"));
    if (m->status == 405)
        headers_add(&m->fields, &x->arena, STR("allow"),
                    STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    return body;
}

void exchange_reply(struct exchange *x, unsigned status, struct str text, const char *reason)
{
    struct message *m = arena_zalloc(&x->arena, sizeof *m);
    struct str body = {0};

    exchange_release_upstream(x, false);
    if (!m || !x->client) {
        exchange_end(x);
        return;
    }
    m->status = (uint16_t)status;
    if (x->span.grpc)
        exchange_grpc_reply(x, m, text);
    else
        body = plain_reply(x, m, text);
    if (reason && *reason)
        headers_add_id(&m->fields, &x->arena, HEADER_SIDESPAN_REASON, STR("sidespan-reason"),
                       str_from(reason));
    answer(x, m, body);
}

void exchange_respond(struct exchange *x)
{
    const struct route *r = x->route;
    struct message *m = arena_zalloc(&x->arena, sizeof *m);
    struct str body = {0};

    if (!m) {
        exchange_end(x);
        return;
    }
    m->status = (uint16_t)r->status;
    if (r->action == ACTION_REDIRECT) {
        struct str to =
            template_expand_url(r->location, &x->asking->facts, x->asking->params, &x->arena);

        headers_add(&m->fields, &x->arena, STR("location"), to);
    } else if (r->body) {
        body = template_expand(r->body, &x->asking->facts, x->asking->params, &x->arena);
        headers_add_id(&m->fields, &x->arena, HEADER_CONTENT_TYPE, STR("content-type"),
                       STR("text/plain; charset=utf-8"));
    }
    m->version = 11;
    if (!exchange_edit_response(x, m)) {
        exchange_fail(x, SPAN_ERROR_OVERLOAD, "the response's headers are too large");
        return;
    }
    answer(x, m, body);
}

static void log_refusal(struct exchange *x, const struct refusal *why)
{
    unsigned held;
    char peer[ADDRESS_TEXT_MAX], hex[TRACE_ID_HEX];

    if (!log_limit_allow(&x->worker->refused_log, 10, worker_now(x->worker), &held))
        return;
    address_format(&x->front->conn->peer, peer);
    trace_id_to_hex(&x->span.trace_id, hex);
    log_write(LOG_WARN, "exchange", "refused a request of %s with %u: rule %s: %s; trace %.*s%s",
              peer, why->status, why->rule, why->cure, TRACE_ID_HEX, hex,
              held ? " (others were not written)" : "");
}

void exchange_refuse(struct exchange *x, const struct refusal *why)
{
    struct str text = arena_printf(&x->arena, "sidespan: refused (%s): %s\n", why->rule, why->cure);

    metrics_refused(x->worker->metrics, why->rule);
    log_refusal(x, why);
    x->refused = true;
    x->span.error = SPAN_ERROR_REQUEST;
    x->span.text[SPAN_REFUSAL] = str_from(why->rule);
    if (x->response_begun) {
        exchange_end(x);
        return;
    }
    exchange_reply(x, why->status, text.p ? text : STR(""), why->rule);
}
