/*
 * The life of the client and of its one request. A request ends in one way: its
 * response is filled and `tell` is made active, so that done() is
 * called by the loop, with nothing of ours or of a library's on the stack.
 */
#include "proxy/export_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/export_client_private.h"
#include "proxy/timeval.h"

/* For a request without a limit of its own. */
static const nsec_t no_limit = SECONDS(365 * 86400);

static struct export_client *client_of(struct transport *t)
{
    return (struct export_client *)(void *)t;
}

/* ---- deadlines ---- */

void export_client_arm(struct export_client *c, nsec_t deadline)
{
    struct timeval tv = timeval_of(deadline - clock_monotonic());

    event_add(c->timer, &tv);
}

static long long in_ms(nsec_t t)
{
    return (long long)(t / MILLISECONDS(1));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct export_client *c = arg;

    if (c->phase == EXPORT_HANDSHAKE)
        export_client_failed(c, TRANSPORT_CONNECT_FAILED, "TLS with %.*s: no answer in time",
                             STR_ARG(c->to.text));
    else
        export_client_failed(c, TRANSPORT_TIMEOUT, "%.*s did not answer within %lld ms",
                             STR_ARG(c->to.text), in_ms(c->request.timeout));
}

/* ---- the end of a request ---- */

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
    struct export_client *c = arg;

    c->busy = c->ended = false;
    /* The body is the exporter's again: nothing may point into it. */
    if (c->stop_using || c->references)
        export_client_close(c);
    c->done(c->arg, &c->response); /* may send the next */
}

static void end(struct export_client *c, enum transport_result result)
{
    c->response.result = result;
    c->ended = true;
    event_del(c->timer);
    event_active(c->tell, EV_TIMEOUT, 0);
}

void export_client_answered(struct export_client *c)
{
    end(c, TRANSPORT_ANSWERED);
}

void export_client_failed(struct export_client *c, enum transport_result result, const char *format,
                          ...)
{
    va_list args;

    c->response = (struct transport_response){0};
    va_start(args, format);
    vsnprintf(c->response.detail, sizeof(c->response.detail), format, args);
    va_end(args);
    export_client_close(c);
    end(c, result);
}

/* ---- what an exporter calls ---- */

void export_client_submit(struct export_client *c)
{
    c->answering = false;
    export_client_arm(c, c->deadline);
    c->carrier->submit(c);
}

/* A field that would end its line early is left out: one request must stay one. */
static bool is_one_line(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

static bool copy_request(struct export_client *c, const struct transport_request *request)
{
    arena_reset(&c->arena);
    c->headers = (struct headers){0};
    c->request = *request;
    c->request.path = arena_dup(&c->arena, request->path);
    c->request.headers = &c->headers;
    if (!c->request.path.p)
        return false;
    for (size_t i = 0; request->headers && i < request->headers->n; i++) {
        const struct header *h = &request->headers->v[i];
        struct str name = arena_dup(&c->arena, h->name), value = arena_dup(&c->arena, h->value);

        if (!name.p || !value.p)
            return false;
        if (is_one_line(name) && is_one_line(value) &&
            !headers_add_id(&c->headers, &c->arena, h->id, name, value))
            return false;
    }
    return true;
}

static void client_send(struct transport *t, const struct transport_request *request,
                        transport_done_fn *done, void *arg)
{
    struct export_client *c = client_of(t);

    c->busy = true;
    c->ended = c->answering = false;
    c->done = done;
    c->arg = arg;
    c->response = (struct transport_response){0};
    c->deadline = clock_monotonic() + (request->timeout > 0 ? request->timeout : no_limit);
    if (!copy_request(c, request)) {
        export_client_failed(c, TRANSPORT_CONNECT_FAILED, "no memory for a request");
    } else if (c->phase == EXPORT_OPEN) {
        c->fresh = false;
        export_client_submit(c);
    } else {
        export_client_connect(c);
    }
}

static void client_cancel(struct transport *t)
{
    struct export_client *c = client_of(t);

    if (!c->busy)
        return;
    c->busy = c->ended = false;
    event_del(c->timer);
    event_del(c->tell);
    export_client_close(c);
}

static void client_free(struct transport *t)
{
    struct export_client *c = client_of(t);

    if (!c)
        return;
    client_cancel(t);
    export_client_close(c);
    c->carrier->destroy(c);
    if (c->timer)
        event_free(c->timer);
    if (c->tell)
        event_free(c->tell);
    tls_client_free(c->tls);
    arena_release(&c->arena);
    arena_release(&c->settings);
    free(c);
}

/* ---- making one ---- */

static bool copy_location(struct export_client *c, const struct export_config *config)
{
    struct str path = {0};

    c->to = config->to;
    c->to.text = arena_dup(&c->settings, config->to.text);
    c->to.name = arena_dup(&c->settings, config->to.name);
    if (config->to.address.family == AF_UNIX) {
        path = arena_dup(&c->settings, str_from(config->to.address.path));
        c->to.address.path = path.p;
    }
    c->authority = arena_dup(
        &c->settings, config->to.address.family == AF_UNIX ? STR("localhost") : config->authority);
    return c->to.text.p && c->to.name.p && c->authority.p &&
           (c->to.address.family != AF_UNIX || path.p);
}

/* The host of the URL, as the certificate must have it. */
static struct str server_name(const struct export_client *c, char *ip_text)
{
    if (c->to.name.n)
        return c->to.name;
    if (c->to.address.family == AF_UNIX)
        return STR("localhost");
    return str_of(ip_text, address_format_ip(&c->to.address, ip_text));
}

static bool set_up(struct export_client *c, const struct export_config *config, struct error *err)
{
    char ip_text[ADDRESS_TEXT_MAX];

    c->timer = evtimer_new(c->base, on_timer, c);
    c->tell = evtimer_new(c->base, on_tell, c);
    if (!c->timer || !c->tell || !copy_location(c, config) || !c->carrier->create(c))
        return error_set(err, "no memory");
    if (config->tls) {
        c->tls = tls_client_new(config->ca, config->certificate, config->key,
                                server_name(c, ip_text), c->carrier->alpn, err);
        return c->tls != NULL;
    }
    return true;
}

struct transport *export_client_new(struct event_base *base, struct resolver *resolver,
                                    const struct export_config *config, struct error *err)
{
    static const struct transport_ops ops = {client_send, client_cancel, client_free};
    struct export_client *c = calloc(1, sizeof(*c));

    if (!c) {
        error_set(err, "no memory");
        return NULL;
    }
    c->transport.ops = &ops;
    c->carrier = config->kind == EXPORT_OTLP_GRPC ? &export_carrier_grpc : &export_carrier_http;
    c->base = base;
    c->resolver = resolver;
    arena_init(&c->settings, 0, 0);
    arena_init(&c->arena, 0, EXPORT_HEAD_BYTES_MAX);
    if (!set_up(c, config, err)) {
        client_free(&c->transport);
        return NULL;
    }
    return &c->transport;
}
