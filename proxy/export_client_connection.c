/*
 * How the connection comes and goes. Only a request makes one; between requests
 * it is kept, and when the peer closes it then, nobody is told.
 */
#include <stdio.h>

#include "proxy/export_client_private.h"

static const nsec_t connect_time_max = SECONDS(5);
/* What one turn of the loop reads or writes at most. */
enum { TURN_BYTES_MAX = 256 * 1024 };

/* ---- the end of it ---- */

void export_client_close(struct export_client *c)
{
    if (c->phase == EXPORT_OPEN)
        c->carrier->close(c);
    dial_cancel(c->dial);
    c->dial = NULL;
    if (c->bev) {
        struct evbuffer *out = bufferevent_get_output(c->bev);

        /* Now, and not when libevent comes to it: the body may be gone then. */
        evbuffer_unfreeze(out, 1);
        evbuffer_drain(out, evbuffer_get_length(out));
        bufferevent_free(c->bev);
    }
    c->bev = NULL;
    c->stop_using = false;
    c->phase = EXPORT_CLOSED;
}

/* ---- the peer ---- */

static void on_open(struct export_client *c)
{
    c->phase = EXPORT_OPEN;
    if (!c->carrier->open(c)) {
        c->phase = EXPORT_HANDSHAKE; /* there is nothing to be closed */
        export_client_failed(c, TRANSPORT_CONNECT_FAILED, "no memory for a connection");
        return;
    }
    if (c->busy && !c->ended)
        export_client_submit(c);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
    struct export_client *c = arg;

    c->carrier->receive(c, bufferevent_get_input(bev));
}

/* Why a request under way lost its connection. */
static void write_reason(struct export_client *c, bool eof, int error, char *out, size_t n)
{
    /* Who refuses our certificate, or the lack of one, does so after the handshake (TLS 1.3), and
     * the reset may overtake the alert that tells. */
    const char *hint =
        c->tls && c->fresh && !c->answering ? "; perhaps it wants another client certificate" : "";

    out[0] = '\0';
    if (c->tls)
        tls_bufferevent_error(c->bev, out, n);
    if (out[0])
        return;
    if (eof)
        snprintf(out, n, "closed the connection before it answered%s", hint);
    else
        snprintf(out, n, "%s%s", evutil_socket_error_to_string(error), hint);
}

/* The peer closed, or the connection broke. */
static void on_end(struct export_client *c, bool eof, int error)
{
    char why[120];

    if (!c->busy || c->ended) { /* an idle connection: made anew when it is needed */
        c->stop_using = true;
        if (!c->ended)
            export_client_close(c);
        return;
    }
    if (eof && c->carrier->finish(c))
        return;
    write_reason(c, eof, error, why, sizeof(why));
    export_client_lost(c, why);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct export_client *c = arg;
    int error = EVUTIL_SOCKET_ERROR();
    char why[120];

    if (what & BEV_EVENT_CONNECTED) {
        struct str chosen = tls_bufferevent_alpn(bev);

        if (c->phase != EXPORT_HANDSHAKE)
            return;
        if (str_eq(c->carrier->alpn, STR("h2")) && !str_eq(chosen, c->carrier->alpn))
            export_client_failed(c, TRANSPORT_CONNECT_FAILED,
                                 "TLS with %.*s: it does not offer HTTP/2 (ALPN h2); %s",
                                 STR_ARG(c->to.text), c->carrier->hint);
        else
            on_open(c);
    } else if (c->phase == EXPORT_HANDSHAKE) {
        tls_bufferevent_error(bev, why, sizeof(why));
        export_client_failed(c, TRANSPORT_CONNECT_FAILED, "TLS with %.*s: %s", STR_ARG(c->to.text),
                             why[0] ? why : "it closed the connection; is TLS spoken there?");
    } else if (c->phase == EXPORT_OPEN) {
        /* A peer that closed may have answered before: the reading side tells. */
        if (!c->tls && (what & BEV_EVENT_ERROR) && (what & BEV_EVENT_WRITING))
            return;
        on_end(c, what & BEV_EVENT_EOF, error);
    }
}

static void on_dialled(void *arg, int fd, const char *detail)
{
    struct export_client *c = arg;

    c->dial = NULL;
    if (fd < 0) {
        export_client_failed(c, TRANSPORT_CONNECT_FAILED, "%s", detail);
        return;
    }
    c->bev = c->tls ? tls_client_bufferevent(c->tls, c->base, fd)
                    : bufferevent_socket_new(c->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!c->bev) {
        evutil_closesocket(fd);
        export_client_failed(c, TRANSPORT_CONNECT_FAILED, "no memory for a connection");
        return;
    }
    bufferevent_set_max_single_read(c->bev, TURN_BYTES_MAX);
    bufferevent_set_max_single_write(c->bev, TURN_BYTES_MAX);
    bufferevent_setcb(c->bev, on_readable, NULL, on_event, c);
    bufferevent_enable(c->bev, EV_READ | EV_WRITE);
    c->phase = EXPORT_HANDSHAKE;
    if (!c->tls)
        on_open(c);
    else
        export_client_arm(c, c->connect_deadline);
}

void export_client_connect(struct export_client *c)
{
    nsec_t left = c->deadline - clock_monotonic();
    nsec_t allowed = left < connect_time_max ? left : connect_time_max;

    c->fresh = true;
    c->connect_deadline = clock_monotonic() + allowed;
    event_del(c->timer); /* the dial has its own */
    c->dial = dial_start(c->base, c->resolver, &c->to, allowed, on_dialled, c);
    if (c->dial)
        c->phase = EXPORT_DIALLING;
    else
        export_client_failed(c, TRANSPORT_CONNECT_FAILED, "no memory for a connection");
}

void export_client_lost(struct export_client *c, const char *why)
{
    if (!c->fresh && !c->answering) {
        export_client_close(c);
        export_client_connect(c);
        return;
    }
    export_client_failed(c, TRANSPORT_LOST, "%.*s: %s", STR_ARG(c->to.text), why);
}

/* ---- bytes of the body ---- */

static void on_body_written(const void *data, size_t n, void *arg)
{
    struct export_client *c = arg;

    c->references--;
}

bool export_client_write_body(struct export_client *c, size_t from, size_t n)
{
    if (n == 0)
        return true;
    if (evbuffer_add_reference(bufferevent_get_output(c->bev), c->request.body.p + from, n,
                               on_body_written, c) != 0)
        return false;
    c->references++;
    return true;
}
