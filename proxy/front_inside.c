#include "proxy/front_inside.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/ending.h"
#include "proxy/front_private.h"

/* ---- what is kept of the CONNECT ---- */

void inside_free(struct inside *in)
{
    if (!in)
        return;
    free(in->span);
    free(in);
}

static struct inside *inside_new(const struct inside_setup *setup)
{
    struct inside *in = calloc(1, sizeof *in);
    void *memory = malloc(span_copy_bytes(setup->span));

    if (!in || !memory) {
        free(in);
        free(memory);
        return NULL;
    }
    in->span = span_copy(setup->span, memory);
    in->sampled = setup->sampled;
    in->series = setup->series;
    in->requests = setup->requests;
    in->answered = setup->answered;
    in->otherwise = setup->otherwise;
    in->refusal = setup->refusal;
    return in;
}

static struct front *front_new(const struct inside_setup *setup)
{
    struct front *f = calloc(1, sizeof *f);
    char *authority = malloc(setup->authority.n + 1);

    if (!f || !authority) {
        free(f);
        free(authority);
        return NULL;
    }
    memcpy(authority, setup->authority.p, setup->authority.n);
    f->worker = setup->outer->worker;
    f->direction = setup->outer->direction;
    f->mode = setup->outer->mode;
    f->port = setup->outer->port;
    f->accepted = loop_now(&f->worker->loop); /* it has begun anew */
    f->conn = setup->client;
    f->authority = str_of(authority, setup->authority.n);
    f->drawn = setup->drawn;
    return f;
}

/* ---- the beginning ---- */

void front_inside_failed(const struct inside_setup *setup)
{
    struct worker *w = setup->outer->worker;
    struct span span = *setup->span;

    span.error = SPAN_ERROR_OVERLOAD;
    metrics_ended(w->metrics, setup->outer->direction, SPAN_ERROR_OVERLOAD);
    ending_log(w, &(struct ending){.why = SPAN_ERROR_OVERLOAD,
                                   .area = "exchange",
                                   .detail = "no memory for what is inside the CONNECT",
                                   .trace = &span.trace_id,
                                   .request = &span});
    conn_reset(setup->client);
    if (setup->upstream)
        conn_close(setup->upstream);
    if (setup->sampled)
        span_feed_push(w->spans, &span);
}

void front_inside(const struct inside_setup *setup)
{
    struct worker *w = setup->outer->worker;
    struct inside *in = inside_new(setup);
    struct front *f = front_new(setup);

    if (!in || !f) {
        inside_free(in);
        if (f)
            free((char *)(uintptr_t)f->authority.p);
        free(f);
        front_inside_failed(setup);
        return;
    }
    front_count(w, f->direction, 1);
    if (front_sniff_inside(f, in, setup))
        return;
    inside_free(in);
    front_inside_failed(setup);
    front_end(f);
}

/* ---- the end ---- */

static void log_opaque(struct sniffing *s)
{
    struct front *f = s->front;
    char peer[ADDRESS_TEXT_MAX], others[LOG_HELD_TEXT];
    unsigned held;

    if (!log_limit_allow(&f->worker->refused_log, 10, loop_now(&f->worker->loop), &held))
        return;
    address_format(&f->conn->peer, peer);
    log_write(LOG_WARN, "front", "refused what %s sent inside CONNECT %.*s: rule %s: %s%s", peer,
              STR_ARG(f->authority), s->inside->refusal->rule, s->inside->refusal->cure,
              log_held_text(held, others));
}

void inside_tell(struct sniffing *s, enum span_error why)
{
    struct worker *w = s->front->worker;
    struct inside *in = s->inside;

    if (why == in->otherwise && in->refusal) {
        in->span->text[SPAN_RULE] = str_from(in->refusal->rule);
        metrics_refused(w->metrics, in->refusal->rule);
        log_opaque(s);
    } else {
        ending_log(w, &(struct ending){.why = why,
                                       .area = "exchange",
                                       .trace = &in->span->trace_id,
                                       .request = in->span});
    }
    metrics_ended(w->metrics, s->front->direction, why);
    in->span->error = (uint8_t)why;
    in->span->duration = loop_wall(&w->loop) - in->span->start;
    if (in->sampled)
        span_feed_push(w->spans, in->span);
    in->told = true;
}
