/*
 * What is done to the fields of a message on its way: hop-by-hop fields end
 * here, a few are added, the rest stay as they came and where they stood.
 */
#include <sys/socket.h>

#include "base/authority.h"
#include "mesh/template.h"
#include "proxy/exchange_private.h"
#include "proxy/forwarding_loop.h"
#include "proxy/http_rules.h"
#include "proxy/http_upgrade.h"

/* ---- hop by hop (RFC 9110 section 7.6.1) ---- */

static void remove_named(struct headers *f, struct str value)
{
    struct str name;

    while (str_next_member(&value, &name)) {
        enum header_id id = header_id_of(name);

        if (header_is(id, HEADER_IS_KEPT) ||
            str_eq_nocase(str_slice(name, 0, 12), STR("x-forwarded-")))
            continue;
        if (id)
            headers_remove(f, id);
        else
            headers_remove_name(f, name);
    }
}

/* Whether the request still asks for another protocol. Through HTTP/2 only a WebSocket can be had
 * (RFC 8441), and with a body only where both connections are this exchange's alone. False: no
 * memory. */
static bool keep_upgrade(struct exchange *x, struct message *m)
{
    bool alone = x->client && x->client->codec->detach && x->upstream->codec->detach;
    struct str only = x->upstream->codec->detach ? (struct str){0} : STR("websocket");
    enum upgrade_kept kept = UPGRADE_NONE;

    m->upgrade = m->upgrade && m->version >= 11 && (alone || m->body == BODY_NONE);
    if (m->upgrade)
        kept = upgrade_keep(&m->fields, &x->arena, only);
    m->upgrade = kept == UPGRADE_SOME;
    return kept != UPGRADE_NO_MEMORY;
}

static void end_hop(struct headers *f, bool upgrades)
{
    if (!headers_may_have(f, header_hop_ids))
        return;
    for (;;) {
        const struct header *c = headers_find(f, HEADER_CONNECTION);
        struct str value;

        if (!c)
            break;
        value = c->value;
        /* One line at a time: removing what it names moves the array. */
        headers_remove_at(f, (size_t)(c - f->v));
        remove_named(f, value);
    }
    headers_remove(f, HEADER_KEEP_ALIVE);
    headers_remove(f, HEADER_PROXY_CONNECTION);
    if (!upgrades)
        headers_remove(f, HEADER_UPGRADE);
}

/*
 * What a client and a proxy say to each other about who the client is ends at
 * the proxy that it named (RFC 9110 sections 11.7.1 to 11.7.3): it is not the
 * origin's to see, nor the origin's to ask for. On any other listener the client
 * knows of no proxy here, and means another one further on.
 */
static void end_proxy_auth(const struct exchange *x, struct headers *f, bool response)
{
    if (!front_is_proxy(x->front))
        return;
    if (!response) {
        headers_remove(f, HEADER_PROXY_AUTHORIZATION);
        return;
    }
    headers_remove(f, HEADER_PROXY_AUTHENTICATE);
    headers_remove_name(f, STR("proxy-authentication-info"));
}

/* ---- what the routes say ---- */

/* p stays, where nothing is left too. */
static struct str trimmed(struct str value)
{
    struct str inside = str_trim_ows(value);

    return inside.n ? inside : str_of(value.p, 0);
}

static bool act(struct exchange *x, struct headers *f, bool response)
{
    const struct route *r = x->route;

    for (size_t i = 0; r && i < r->n_header_actions; i++) {
        const struct header_action *a = &r->header_actions[i];
        struct str value;

        if (a->on_response != response)
            continue;
        if (a->kind != HEADER_ADD) {
            if (a->id)
                headers_remove(f, a->id);
            else
                headers_remove_name(f, a->name);
        }
        if (a->kind == HEADER_REMOVE)
            continue;
        value = template_expand(a->value, &x->asking->facts, x->asking->params, &x->arena);
        if (value.p) /* white space around it is none of a value (RFC 9110 section 5.5) */
            value = trimmed(value);
        if (!value.p || !headers_add_id(f, &x->arena, a->id, a->name, value))
            return false;
    }
    return true;
}

/* ---- the request ---- */

static bool add_forwarded(struct exchange *x, struct headers *f)
{
    bool came = headers_may_have(f, HEADER_BIT(HEADER_X_FORWARDED_FOR));
    struct header *last = NULL;
    char ip[ADDRESS_TEXT_MAX];
    struct str text = str_of(ip, address_format_ip(&x->front->conn->peer, ip));

    for (size_t i = 0; came && i < f->n; i++)
        if (f->v[i].id == HEADER_X_FORWARDED_FOR)
            last = &f->v[i];
    if (last && last->value.n) {
        struct str joined =
            arena_printf(&x->arena, "%.*s, %.*s", STR_ARG(last->value), STR_ARG(text));

        if (!joined.p)
            return false;
        last->value = joined;
    } else if (!(text = arena_dup(&x->arena, text)).p ||
               !headers_add_id(f, &x->arena, HEADER_X_FORWARDED_FOR, STR("x-forwarded-for"),
                               text)) {
        return false;
    }
    return headers_find(f, HEADER_X_FORWARDED_PROTO) ||
           headers_add_id(f, &x->arena, HEADER_X_FORWARDED_PROTO, STR("x-forwarded-proto"),
                          STR("http"));
}

/* What a request without a Host was addressed to (RFC 9110 section 7.1): where its connection
 * went. p NULL: the arena is full. */
static struct str address_asked(struct exchange *x)
{
    const struct front *f = x->front;
    struct address at = f->original;
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    char text[ADDRESS_TEXT_MAX];

    if (!at.family && (getsockname(f->conn->fd, (struct sockaddr *)&sa, &len) != 0 ||
                       !address_from_sockaddr((struct sockaddr *)&sa, len, &at)))
        at.family = 0;
    if (at.family != AF_INET && at.family != AF_INET6) /* a socket in a file has no authority */
        return STR("localhost");
    return arena_dup(&x->arena, str_of(text, address_format(&at, text)));
}

static bool set_host(struct exchange *x, struct headers *f, struct str host)
{
    struct header *h = (struct header *)(uintptr_t)headers_find(f, HEADER_HOST);

    if (!h)
        return headers_add_id(f, &x->arena, HEADER_HOST, STR("Host"), host);
    if (!str_eq(h->value, host))
        h->value = host;
    return true;
}

static const struct refusal rewrite_invalid = {
    "rewrite-invalid", 400,
    "what rewrite makes of this request is no path: begin it with a / in the "
    "file, or send the field that it is made of"};
static const struct refusal rewrite_host_invalid = {
    "rewrite-host-invalid", 400,
    "what rewrite-host makes of this request is no host: name one in the "
    "file, or send the field that it is made of"};

/* What a rule makes of a request is checked like what a client sends. False: it is refused. */
static bool made_well(struct exchange *x, const struct refusal *why, bool well)
{
    if (!well)
        exchange_refuse(x, why);
    return well;
}

/* The target as an origin is asked: origin form, whatever it came in (RFC 9112 section 3.2.1). */
static bool set_target(struct exchange *x, struct message *m)
{
    if (x->route && x->route->rewrite) {
        struct str to =
            template_expand_url(x->route->rewrite, &x->asking->facts, x->asking->params, &x->arena);

        if (!to.p)
            return false;
        if (m->query.p && str_index(to, '?', 0) == to.n)
            to = arena_printf(&x->arena, "%.*s?%.*s", STR_ARG(to), STR_ARG(m->query));
        m->target = to;
        return to.p && made_well(x, &rewrite_invalid, target_valid(to) && to.n && to.p[0] == '/');
    }
    if (m->target.n && (m->target.p[0] == '/' || m->target.p[0] == '*'))
        return true;
    m->target = m->query.p
                    ? arena_printf(&x->arena, "%.*s?%.*s", STR_ARG(m->path), STR_ARG(m->query))
                    : m->path;
    return m->target.p != NULL;
}

static bool te_trailers(const struct headers *f)
{
    return headers_have_member(f, HEADER_TE, STR("trailers"));
}

bool exchange_edit_request(struct exchange *x)
{
    struct message *m = x->request;
    struct headers *f = &m->fields;
    bool trailers = headers_find(f, HEADER_TE) && te_trailers(f);
    struct str host = m->authority;

    if (!keep_upgrade(x, m))
        return false;
    end_hop(f, m->upgrade);
    end_proxy_auth(x, f, false);
    if (m->version <
        11) /* it is ignored there (RFC 9110 section 10.1.1), so nobody waits for a 100 */
        headers_remove(f, HEADER_EXPECT);
    headers_remove(f, HEADER_TE);
    if (trailers && !headers_add_id(f, &x->arena, HEADER_TE, STR("TE"), STR("trailers")))
        return false;
    if (x->route && x->route->rewrite_host) {
        host = template_expand(x->route->rewrite_host, &x->asking->facts, x->asking->params,
                               &x->arena);
        if (!host.p || !made_well(x, &rewrite_host_invalid, authority_valid(host)))
            return false;
    }
    if (host.n == 0 && !(host = address_asked(x)).p) /* HTTP/1.0 without Host */
        return false;
    if (!set_target(x, m) || !set_host(x, f, host))
        return false;
    if (x->front->direction == DIRECTION_INBOUND &&
        front_rules(x->front, exchange_config(x))->forwarded_headers && !add_forwarded(x, f))
        return false;
    m->close = false; /* between us and the upstream: kept */
    return forwarding_loop_mark(f, &x->arena) && act(x, f, false);
}

bool exchange_inject(struct exchange *x)
{
    if (!x->recording)
        return true; /* passed on as it came */
    x->asking->context.span_id = x->span.span_id;
    return propagators_inject(&x->generation->propagators, &x->asking->context, &x->request->fields,
                              &x->arena);
}

/* ---- the response ---- */

/* A proxy before this one may have passed on a Connection that it does not know, and wait for the
 * end (RFC 9112 section 9.3). */
static bool is_not_to_be_kept(const struct exchange *x)
{
    return x->request->version < 11 && x->front->mode == LISTEN_FORWARD_PROXY;
}

bool exchange_edit_response(struct exchange *x, struct message *m)
{
    /* A 426 without its Upgrade does not say what is required (RFC 9110 section 15.5.22). */
    end_hop(&m->fields, m->upgrade || m->status == 426);
    end_proxy_auth(x, &m->fields, true);
    if (m->status < 200 && !m->upgrade)
        return true;
    m->close = x->request->close || is_not_to_be_kept(x) || front_leaves(x->front);
    /* HTTP/1.0 has no chunks: the end of the connection ends the body. */
    if (x->request->version < 11 && m->body == BODY_CHUNKED)
        m->body = BODY_UNTIL_CLOSE;
    /* An end that is told: HTTP/1.1 needs no closed connection for it. */
    else if (x->request->version >= 11 && m->body == BODY_UNTIL_CLOSE)
        m->body = BODY_CHUNKED;
    return act(x, &m->fields, true);
}
