/*
 * WebSocket over HTTP/2 (RFC 8441): an extended CONNECT is, inside, the
 * request for an upgrade that HTTP/1.1 would have sent, and 101 its answer.
 */
#include "proxy/http2_private.h"
#include "proxy/tls_digest.h"

enum { KEY_BYTES = 16, KEY_TEXT = 24, ACCEPT_TEXT = 28 };

static struct str new_key(struct http2_stream *s)
{
    uint64_t random[KEY_BYTES / sizeof(uint64_t)];
    char *text = arena_alloc(s->stream.arena, KEY_TEXT + 1);

    if (!text)
        return (struct str){0};
    for (size_t i = 0; i < sizeof random / sizeof *random; i++)
        random[i] = random_next(&s->h->loop->random);
    tls_base64(random, sizeof random, text);
    return str_of(text, KEY_TEXT);
}

/* Of RFC 6455 section 4.2.2. p NULL: no memory. */
static struct str accept_of(struct arena *arena, struct str key)
{
    struct str joined =
        arena_printf(arena, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", STR_ARG(key));
    char *text = arena_alloc(arena, ACCEPT_TEXT + 1);
    uint8_t digest[SHA1_BYTES];

    if (!joined.p || !text || !tls_sha1(joined.p, joined.n, digest))
        return (struct str){0};
    tls_base64(digest, sizeof digest, text);
    return str_of(text, ACCEPT_TEXT);
}

const struct refusal *http2_from_connect(struct http2_stream *s, struct message *m)
{
    static const struct refusal unknown = {"protocol-unknown", 501,
                                           "the only :protocol of CONNECT is websocket"};
    static const struct refusal method = {"connect-form", 400,
                                          ":protocol belongs to the method CONNECT"};
    static const struct refusal no_memory = {"no-memory", 503, "try again later"};
    struct arena *a = s->stream.arena;
    const struct header *protocol = headers_find(&m->fields, HEADER_UPGRADE);

    if (!str_eq(m->method, STR("CONNECT")))
        return &method;
    if (!protocol || !str_eq_nocase(protocol->value, STR("websocket")))
        return &unknown;
    m->method = STR("GET");
    m->upgrade = true;
    headers_remove_name(&m->fields, STR("sec-websocket-key"));
    s->websocket_key = new_key(s);
    return s->websocket_key.p &&
                   headers_add(&m->fields, a, STR("Sec-WebSocket-Key"), s->websocket_key)
               ? NULL
               : &no_memory;
}

bool http2_from_connected(struct http2_stream *s)
{
    struct message *m = s->head;
    struct arena *a = s->stream.arena;
    struct str accept = accept_of(a, s->websocket_key);

    m->status = 101;
    m->upgrade = true;
    m->body = BODY_NONE;
    headers_remove_name(&m->fields, STR("sec-websocket-accept"));
    return accept.p &&
           headers_add_id(&m->fields, a, HEADER_UPGRADE, STR("Upgrade"), STR("websocket")) &&
           headers_add(&m->fields, a, STR("Sec-WebSocket-Accept"), accept);
}

bool http2_accepted(struct http2_stream *s, const struct message *m)
{
    const struct header *said = headers_find_name(&m->fields, STR("sec-websocket-accept"));
    struct str accept = accept_of(s->stream.arena, s->websocket_key);

    return said && accept.p && str_eq(said->value, accept);
}
