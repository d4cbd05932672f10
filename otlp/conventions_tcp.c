/*
 * A tunnel: bytes each way between a client and what it wanted to reach. There
 * is no convention for such a span; the names are those of the general ones
 * (network.*, server.*, tls.*).
 */
#include "otlp/describe.h"

/* Where the client wanted to go: the name it told TLS, else the address that it connected to, else
 * whom the sidecar connected to. */
static void describe_destination(struct describing *d, struct str peer)
{
    const struct span *s = d->s;
    uint16_t port = 0;
    struct str host = describe_authority(s->text[SPAN_AUTHORITY], &port);

    if (host.n == 0)
        host = s->text[SPAN_SERVER_NAME];
    const struct address *at = s->kind == SPAN_CLIENT ? &s->peer : &s->local;

    if (host.n == 0)
        host = s->kind == SPAN_CLIENT ? peer : make_address(d, at);
    if (port == 0 && at->family != AF_UNIX)
        port = at->port;
    add_string(d, STR("server.address"), host);
    if (host.n && port)
        add_integer(d, STR("server.port"), port);
}

void describe_tcp(struct describing *d)
{
    const struct span *s = d->s;

    d->out->name = STR("TCP"); /* whatever goes through it: few distinct names */
    if (s->peer.family != AF_UNIX)
        add_string(d, STR("network.transport"), STR("tcp"));
    struct str peer = describe_peer(d);
    describe_destination(d, peer);
    if (s->kind == SPAN_SERVER && s->local.family && s->local.family != AF_UNIX) {
        add_string(d, STR("network.local.address"), make_address(d, &s->local));
        add_integer(d, STR("network.local.port"), s->local.port);
    }
    if (s->kind == SPAN_SERVER)
        add_string(d, STR("client.address"), peer);
    add_string(d, STR("tls.client.server_name"), s->text[SPAN_SERVER_NAME]);
    add_integer(d, STR("sidespan.tunnel.received_bytes"), (int64_t)s->request_bytes);
    add_integer(d, STR("sidespan.tunnel.sent_bytes"), (int64_t)s->response_bytes);

    /* A client that ends its connection ends the tunnel: that is how tunnels end. */
    if (s->error == SPAN_ERROR_NONE || s->error == SPAN_ERROR_CANCELLED)
        return;
    add_string(d, STR("error.type"), str_from(span_error_text(s->error)));
    describe_failure(d, false);
}
