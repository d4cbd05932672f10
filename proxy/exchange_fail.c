/*
 * How an exchange fails. Whose doing it was, what the span, the log, the counter
 * and the answer say of it, all come from one row of otlp/span_error.h.
 */
#include "proxy/ending.h"
#include "proxy/exchange_private.h"
#include "proxy/own_dials.h"

/* ---- failures ---- */

static void log_failure(struct exchange *x, const struct failure *f)
{
    x->told = true;
    ending_log(x->worker, &(struct ending){.why = f->why,
                                           .area = "exchange",
                                           .detail = f->detail,
                                           .rule = f->rule,
                                           .cure = f->cure,
                                           .trace = &x->span.trace_id,
                                           .request = &x->span});
}

struct str exchange_failure_text(struct exchange *x, const struct failure *f)
{
    struct str text;

    if (!f->rule)
        return str_from(f->detail);
    text = arena_printf(&x->arena, "sidespan: %s (%s): %s\n", f->detail, f->rule, f->cure);
    return text.p ? text : str_from(f->detail);
}

void exchange_fail_by(struct exchange *x, const struct failure *by)
{
    const struct span_error_row *row = span_error_row(by->why);
    struct failure f = *by;

    f.rule = f.rule ? f.rule : row->rule;
    f.cure = f.cure ? f.cure : row->cure;
    if (exchange_connect_anyway(x, f.why))
        return;
    x->span.error = (uint8_t)f.why;
    x->span.text[SPAN_RULE] = f.rule ? str_from(f.rule) : (struct str){0};
    if (x->span_open)
        log_failure(x, &f);
    if (x->response_begun || !x->client) {
        exchange_grpc_cut(x, f.detail);
        exchange_end(x);
        return;
    }
    exchange_release_upstream(x, false);
    exchange_reply(x, row->http_status, exchange_failure_text(x, &f), row->name);
}

void exchange_fail(struct exchange *x, enum span_error why, const char *detail)
{
    exchange_fail_by(x, &(struct failure){.why = why, .detail = detail});
}

bool exchange_fail_as_own(struct exchange *x)
{
    if (!x->front->original.family || !own_dials_return(loop_now(&x->worker->loop)))
        return false;
    exchange_fail_by(
        x, &(struct failure){.why = SPAN_ERROR_LOOP,
                             .rule = "own-connection",
                             .detail = "the connection of this sidecar was redirected back to it",
                             .cure = "run it as the user whose connections the interception rules "
                                     "leave alone (uid 15337)"});
    return true;
}

/* ---- refusals ---- */

const struct refusal exchange_body_too_large = {"body-too-large", 413,
                                                "send less, or raise limits { body-bytes }"};

/* The trace, so that a line of the log leads to it. */
static void trace_text(const struct exchange *x, char hex[TRACE_ID_HEX + 1])
{
    trace_id_to_hex(&x->span.trace_id, hex);
    hex[TRACE_ID_HEX] = '\0';
}

static void log_refusal(struct exchange *x, const struct refusal *why)
{
    char peer[ADDRESS_TEXT_MAX], hex[TRACE_ID_HEX + 1], others[LOG_HELD_TEXT];
    unsigned held;

    if (!log_limit_allow(&x->worker->refused_log, 10, loop_now(&x->worker->loop), &held))
        return;
    address_format(&x->front->conn->peer, peer);
    trace_text(x, hex);
    log_write_trace(LOG_WARN, "exchange", hex, "refused a request of %s with %u: rule %s: %s%s",
                    peer, why->status, why->rule, why->cure, log_held_text(held, others));
}

void exchange_refuse(struct exchange *x, const struct refusal *why)
{
    struct str text = arena_printf(&x->arena, "sidespan: refused (%s): %s\n", why->rule, why->cure);

    metrics_refused(x->worker->metrics, why->rule);
    log_refusal(x, why);
    x->refused = x->told = true;
    x->span.error = SPAN_ERROR_REQUEST;
    x->span.text[SPAN_RULE] = str_from(why->rule);
    if (x->response_begun) {
        exchange_end(x);
        return;
    }
    exchange_reply(x, why->status, text.p ? text : STR(""), why->rule);
}
