/*
 * A head on its way out: whether the peer takes it, and when.
 */
#include "proxy/http2_private.h"
#include "proxy/http_rules.h"

/* Other protocols have no answer that could be made a 101 of. */
static bool takes_upgrade(const struct http2 *h, const struct message *m)
{
    const struct header *protocol = headers_find(&m->fields, HEADER_UPGRADE);

    return protocol && str_eq_nocase(protocol->value, STR("websocket")) &&
           nghttp2_session_get_remote_settings(h->session,
                                               NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

static bool submit(struct http2_stream *s, const struct message *m, nghttp2_nv *nv, size_t n,
                   bool end)
{
    nghttp2_data_provider body = {{.ptr = s}, http2_read_body};
    nghttp2_session *session = s->h->session;

    if (s->h->server)
        return nghttp2_submit_response(session, s->id, nv, n, end ? NULL : &body) == 0;
    s->no_body = str_eq(m->method, STR("HEAD"));
    s->id = nghttp2_submit_request(session, NULL, nv, n, end ? NULL : &body, s);
    if (s->id > 0)
        return true;
    s->id = 0;
    s->h->going = true; /* it has used up its stream ids */
    return false;
}

/* The head cannot go out: its owner is told when the turn ends. */
static void cannot_send(struct http2_stream *s, const struct message *m)
{
    s->asked = m;
    s->h->n_asked++;
    s->output = H2_OUT_ENDED;
    http2_touch(s->h);
}

/* What the peer has said that it does not take (RFC 9113 section 6.5.2) it may answer by ending the
 * connection, and others' requests with it. */
static bool too_large_for_peer(const struct http2_stream *s, const nghttp2_nv *nv, size_t n)
{
    enum { FIELD_OVERHEAD = 32 };
    size_t most =
        nghttp2_session_get_remote_settings(s->h->session, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
    size_t bytes = 0;

    if (s->h->server || most == UINT32_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        bytes += nv[i].namelen + nv[i].valuelen + FIELD_OVERHEAD;
    return bytes > most;
}

static void send_now(struct http2_stream *s, const struct message *m, bool end)
{
    bool interim = m->status && m->status < 200 && m->status != 101;
    size_t n;
    nghttp2_nv *nv = http2_fields(s, m, &n);

    if (nv && interim) {
        nghttp2_submit_headers(s->h->session, NGHTTP2_FLAG_NONE, s->id, NULL, nv, n, NULL);
        http2_touch(s->h);
        return;
    }
    if (s->output != H2_OUT_HEAD)
        return;
    if (s->h->server)
        s->upgrade = m->upgrade; /* else it is answered like any other request */
    if (nv && too_large_for_peer(s, nv, n))
        s->stream.rule = &refusal_upstream_head;
    if (!nv || s->stream.rule || !submit(s, m, nv, n, end)) {
        if (s->h->server)
            http2_give_up(s);
        else
            cannot_send(s, m);
        return;
    }
    s->output = end ? H2_OUT_ENDED : H2_OUT_BODY;
    http2_touch(s->h);
}

void http2_send_head(struct stream *stream, const struct message *m, bool end)
{
    struct http2_stream *s = http2_stream_of(stream);

    if (s->closed)
        return;
    if (s->h->server && m->upgrade && !http2_accepted(s, m)) {
        http2_give_up(s);
        return;
    }
    if (!s->h->server && m->upgrade) { /* whether it may, the peer's SETTINGS say */
        const struct header *key = headers_find_name(&m->fields, STR("sec-websocket-key"));

        s->upgrade = true;
        s->websocket_key = key ? key->value : (struct str){0};
        s->asked = m;
        s->h->n_asked++;
        http2_touch(s->h);
        return;
    }
    send_now(s, m, end);
}

static enum span_error why_not_sent(struct http2_stream *s)
{
    static const struct refusal no_upgrade = {
        "upgrade-over-http2", 502,
        "over HTTP/2 the upstream takes no such upgrade (RFC 8441 has WebSocket alone, where the "
        "server offers it): say protocol h1 in its cluster"};

    if (s->stream.rule)
        return SPAN_ERROR_REQUEST;
    if (!s->upgrade)
        return SPAN_ERROR_REFUSED_STREAM;
    s->stream.rule = &no_upgrade;
    return SPAN_ERROR_PROTOCOL;
}

void http2_send_waiting_heads(struct http2 *h)
{
    LIST_FOR_EACH_SAFE (at, next, &h->streams) {
        struct http2_stream *s = container_of(at, struct http2_stream, link);
        const struct message *m = s->asked;

        if (!m || (s->upgrade && !h->settled))
            continue;
        s->asked = NULL;
        h->n_asked--;
        if (!s->stream.events)
            continue;
        if (s->upgrade && s->output == H2_OUT_HEAD && takes_upgrade(h, m))
            send_now(s, m, false);
        else
            s->stream.events->on_failed(s->stream.owner, why_not_sent(s));
    }
}
