/*
 * What the sidecar answers by itself: failures, refusals, `respond`,
 * `redirect`. A failure says in sidespan-reason which it was, and in
 * sidespan-ended-by whose.
 */
#include "mesh/template.h"
#include "proxy/exchange_private.h"
#include "proxy/http_rules.h"

/* Gives the final response; body may be empty. */
static void answer(struct exchange *x, struct message *m, struct str body)
{
    struct stream *client = x->client;
    bool head = x->request && str_eq(x->request->method, STR("HEAD"));
    bool none = m->status == 204 || m->status == 304 || m->status < 200;

    if (!status_has_content(m->status))
        body = (struct str){0};

    x->local = x->span.answered_here = true;
    x->replayable = false;
    m->version = x->span.grpc ? 20 : 11; /* that the head is all is said as each codec says it */
    m->reason = reason_phrase(m->status);
    m->body = none || head || body.n == 0 ? BODY_NONE : BODY_LENGTH;
    m->length = body.n;
    if (m->body == BODY_NONE && !none && !x->span.grpc)
        headers_add_id(&m->fields, &x->arena, HEADER_CONTENT_LENGTH, STR("content-length"),
                       arena_printf(&x->arena, "%zu", body.n));
    /* What is still to come of the request would have to be read first. */
    m->close = m->close || (x->request && x->request->close) || !x->request_ended ||
               front_leaves(x->front);
    if (x->request && x->request->body == BODY_NONE && !x->refused)
        m->close = x->request->close || front_leaves(x->front);
    x->span.status = m->status;
    if (x->state != EXCHANGE_ANSWERING)
        exchange_enter(x, EXCHANGE_ANSWERING);
    x->response_begun = true;
    client->codec->send_head(client, m, m->body == BODY_NONE);
    if (m->body == BODY_LENGTH) {
        x->span.response_bytes = body.n;
        client->codec->send_body(client, body);
        client->codec->send_end(client, NULL);
    }
    x->response_ended = true;
    if (x->request_ended || x->refused || m->close)
        exchange_end(x);
    else
        x->end_with_request = true; /* a request without a body is over in a moment */
}

/* For a person: text, as a body. Methods that are answered with more than a refusal are named where
 * that is asked for (RFC 9110 sections 9.3.7 and 15.5.6). */
static struct str plain_reply(struct exchange *x, struct message *m, struct str text)
{
    struct str body = text;

    if (!status_has_content(m->status))
        return (struct str){0};
    if (body.n && body.p[body.n - 1] != '\n')
        body = arena_printf(&x->arena, "sidespan: %.*s\n", STR_ARG(text));
    if (body.n)
        headers_add_id(&m->fields, &x->arena, HEADER_CONTENT_TYPE, STR("content-type"),
                       STR("text/plain; charset=utf-8"));
    if (m->status == 405 ||
        (x->request && m->status == 200 && str_eq(x->request->method, STR("OPTIONS"))))
        headers_add(&m->fields, &x->arena, STR("allow"),
                    STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    return body;
}

static void add_reason(struct exchange *x, struct message *m, const char *reason)
{
    enum ended_by by = x->span.error ? span_error_row(x->span.error)->by : ENDED_BY_SIDECAR;

    headers_add_id(&m->fields, &x->arena, HEADER_SIDESPAN_REASON, STR("sidespan-reason"),
                   str_from(reason));
    headers_add(&m->fields, &x->arena, STR("sidespan-ended-by"), str_from(ended_by_text(by)));
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
        add_reason(x, m, reason);
    answer(x, m, body);
}

void exchange_respond(struct exchange *x)
{
    static const struct refusal redirect_invalid = {
        "redirect-invalid", 400,
        "what redirect makes of this request is empty: send the field that it is made of"};
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
            template_expand_location(r->location, &x->asking->facts, x->asking->params, &x->arena);

        if (to.p && to.n == 0) {
            exchange_refuse(x, &redirect_invalid);
            return;
        }
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
