/*
 * POST over HTTP/1.1, one at a time, the connection kept.
 */
#include <stdlib.h>

#include "proxy/export_client_private.h"
#include "proxy/http1_reply.h"

static bool http_create(struct export_client *c)
{
    struct http1_reply *reply = malloc(sizeof(*reply));

    c->carried = reply;
    return reply && http1_reply_init(reply, EXPORT_HEAD_BYTES_MAX, EXPORT_BODY_BYTES_MAX);
}

static void http_destroy(struct export_client *c)
{
    if (c->carried)
        http1_reply_release(c->carried);
    free(c->carried);
}

static bool http_open(struct export_client *c)
{
    return true;
}

static void http_close(struct export_client *c)
{
}

static void http_submit(struct export_client *c)
{
    const struct transport_request *q = &c->request;
    struct evbuffer *out = bufferevent_get_output(c->bev);
    bool ok;

    http1_reply_reset(c->carried);
    ok = evbuffer_add_printf(out,
                             "POST %.*s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: " EXPORT_USER_AGENT
                             "\r\nContent-Length: %zu\r\n",
                             STR_ARG(q->path), STR_ARG(c->authority), q->body.n) > 0;
    for (size_t i = 0; i < c->headers.n; i++) {
        const struct header *h = &c->headers.v[i];
        ok = ok &&
             evbuffer_add_printf(out, "%.*s: %.*s\r\n", STR_ARG(h->name), STR_ARG(h->value)) > 0;
    }
    ok = ok && evbuffer_add(out, "\r\n", 2) == 0 && export_client_write_body(c, 0, q->body.n);
    if (!ok)
        export_client_failed(c, TRANSPORT_LOST, "no memory for a request");
}

static void answered(struct export_client *c)
{
    const struct http1_reply *reply = c->carried;

    c->response = (struct transport_response){
        .status = reply->status, .headers = &reply->headers, .body = buffer_str(&reply->body)};
    c->stop_using = !reply->keep_alive;
    export_client_answered(c);
}

static void http_receive(struct export_client *c, struct evbuffer *in)
{
    struct http1_reply *reply = c->carried;
    struct evbuffer_iovec piece;

    while (evbuffer_peek(in, -1, NULL, &piece, 1) > 0 && piece.iov_len > 0) {
        bool ok = true;
        size_t used = 0;

        c->answering = true;
        if (c->busy && !c->ended)
            used = http1_reply_feed(reply, piece.iov_base, piece.iov_len, &ok);
        if (!ok) {
            export_client_failed(c, TRANSPORT_LOST, "the answer of %.*s: %s; %s",
                                 STR_ARG(c->to.text), reply->error, c->carrier->hint);
            return;
        }
        if (reply->complete && c->busy && !c->ended)
            answered(c);
        if (used < piece.iov_len) { /* nobody asked for these */
            c->stop_using = true;
            if (!c->busy)
                export_client_close(c);
            return;
        }
        evbuffer_drain(in, used);
    }
}

static bool http_finish(struct export_client *c)
{
    struct http1_reply *reply = c->carried;

    if (!http1_reply_end(reply))
        return false;
    answered(c);
    return true;
}

const struct export_carrier export_carrier_http = {
    .alpn = STR_INIT("http/1.1"),
    .hint = "is it the port for OTLP over HTTP (4318)?",
    .create = http_create,
    .destroy = http_destroy,
    .open = http_open,
    .close = http_close,
    .submit = http_submit,
    .receive = http_receive,
    .finish = http_finish,
};
