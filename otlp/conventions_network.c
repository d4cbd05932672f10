/*
 * Who talked to whom, as the general conventions name it (docs/general/
 * attributes.md): server.*, client.*, network.*.
 */
#include "base/authority.h"
#include "otlp/describe.h"

struct str describe_authority(struct str authority, uint16_t *port)
{
    struct authority a;
    struct str host;

    if (authority_plain(authority, &host, port))
        return host;
    a = authority_split(authority_without_user(authority));
    if (!authority_port(a.port, port))
        *port = 0;
    return authority_bare_host(a.host);
}

struct str describe_peer(struct describing *d)
{
    const struct address *peer = &d->s->peer;
    struct str text = make_address(d, peer);

    add_string(d, STR("network.peer.address"), text);
    if (peer->family == AF_UNIX)
        add_string(d, STR("network.transport"), STR("unix"));
    else if (peer->port)
        add_integer(d, STR("network.peer.port"), peer->port);
    return text;
}

static uint16_t default_port(struct str scheme)
{
    if (str_eq_nocase(scheme, STR("http")))
        return 80;
    return str_eq_nocase(scheme, STR("https")) ? 443 : 0;
}

void describe_server_address(struct describing *d, struct str authority, struct str scheme,
                             struct str peer)
{
    const struct span *s = d->s;
    bool by_peer = s->kind == SPAN_CLIENT && authority.n == 0;
    uint16_t port = by_peer ? s->peer.port : 0;
    struct str host = by_peer ? peer : describe_authority(authority, &port);

    add_string(d, STR("server.address"), host);
    if (port == 0 && host.n > 0 && !by_peer)
        port = default_port(scheme);
    if (port && host.n > 0)
        add_integer(d, STR("server.port"), port);
}

/* It may carry the port: "1.2.3.4:5", "[::1]:5". "unknown", and what a proxy made up to hide who it
 * was (RFC 7239 section 6.3), are no address: empty. */
static struct str forwarded_address(struct str text)
{
    struct address address;
    uint16_t port;

    if (!text.n)
        return text;
    if (address_parse_ip(text, &address))
        return text.p[0] == '[' ? str_slice(text, 1, text.n - 1) : text;
    struct str host = describe_authority(text, &port);
    return address_parse_ip(host, &address) ? host : str_of(NULL, 0);
}

void describe_client_address(struct describing *d, struct str peer)
{
    struct str forwarded = forwarded_address(d->s->text[SPAN_FORWARDED_FOR]);

    add_string(d, STR("client.address"), forwarded.n ? forwarded : peer);
}

void describe_endpoint(struct describing *d)
{
    const struct span *s = d->s;
    struct str text = s->text[SPAN_TUNNEL_ENDPOINT];

    if (s->kind != SPAN_SERVER)
        return;
    if (s->protocol == SPAN_HTTP) {
        if (s->endpoint.family == 0 || !describe_has_room(d, ADDRESS_TEXT_MAX))
            return;
        text = str_of(d->at, address_format(&s->endpoint, d->at));
        d->at += text.n;
    }
    add_string(d, STR("sidespan.endpoint"), text);
}

static struct str version_text(uint8_t http_version)
{
    switch (http_version) {
    case 10:
        return STR("1.0");
    case 11:
        return STR("1.1");
    case 20:
        return STR("2");
    case 30:
        return STR("3");
    }
    return (struct str){0};
}

void describe_version(struct describing *d)
{
    add_string(d, STR("network.protocol.version"), version_text(d->s->http_version));
}
