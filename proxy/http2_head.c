/*
 * Heads and trailers: from fields that nghttp2 has decoded to messages, and
 * back (RFC 9113 section 8). nghttp2 has checked that pseudo-header fields are
 * there, once and first, and that no field belongs to a connection.
 */
#include <stdlib.h>

#include "base/authority.h"
#include "base/octets.h"
#include "proxy/http2_private.h"
#include "proxy/http_rules.h"

enum {
    FIELD_OVERHEAD = 32, /* of each in the size of a list: RFC 9113 section 6.5.2 */
    REQUEST_FIELDS = 16, /* room at first */
    RESPONSE_FIELDS = 8,
};

static const struct limits *limits_of(const struct http2_stream *s)
{
    return s->h->shared->limits;
}

/* The rules that a head of this side breaks by its size. */
static const struct refusal *too_large(const struct http2_stream *s)
{
    return s->h->server ? &refusal_head_bytes : &refusal_response_bytes;
}

static const struct refusal *too_many(const struct http2_stream *s)
{
    return s->h->server ? &refusal_headers : &refusal_response_headers;
}

static size_t fields_max(const struct http2_stream *s)
{
    return s->h->server ? limits_of(s)->headers : limits_of(s)->response_headers;
}

size_t http2_head_limit(const struct http2 *h)
{
    const struct limits *l = h->shared->limits;

    return h->server ? l->header_bytes : l->response_header_bytes;
}

/* ---- fields that come ---- */

#define NAME_ROW(id, name, columns) [id] = STR_INIT(name),
static const struct str known_names[HEADER_ID_COUNT] = {HEADER_NAMES(NAME_ROW)};
#undef NAME_ROW

static struct message *head_of(struct http2_stream *s)
{
    size_t room = s->h->server ? REQUEST_FIELDS : RESPONSE_FIELDS;
    struct message *m;
    struct header *v;

    if (s->head)
        return s->head;
    m = arena_zalloc(s->stream.arena, sizeof *m);
    if (!m || !(v = arena_alloc(s->stream.arena, room * sizeof *v)))
        return NULL;
    m->fields = headers_empty(v, room);
    m->version = 20;
    return s->head = m;
}

static struct str method_kept(struct arena *a, struct str value)
{
    static const struct str common[] = {STR_INIT("GET"), STR_INIT("POST")};

    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (str_eq(value, common[i]))
            return common[i];
    return arena_dup(a, value);
}

/* One piece of the arena for both. */
static bool keep_unknown(struct arena *a, struct headers *f, struct str name, struct str value)
{
    char *p = arena_alloc(a, name.n + value.n);

    if (!p)
        return false;
    memcpy(p, name.p, name.n);
    if (value.n > 0)
        memcpy(p + name.n, value.p, value.n);
    return headers_add_id(f, a, HEADER_OTHER, str_of(p, name.n), str_of(p + name.n, value.n));
}

static bool keep_field(struct http2_stream *s, struct headers *f, struct str name, struct str value)
{
    enum header_id id = header_id_of(name);
    struct arena *a = s->stream.arena;
    struct str text;

    if (id == HEADER_OTHER)
        return keep_unknown(a, f, name, value);
    text = value.n ? arena_dup(a, value) : str_of(known_names[id].p, 0);
    return text.p && headers_add_id(f, a, id, known_names[id], text);
}

static bool pseudo_field(struct http2_stream *s, struct message *m, struct str name,
                         struct str value)
{
    struct arena *a = s->stream.arena;
    struct str *to = NULL;

    switch (name.n) {
    case sizeof ":path" - 1:
        to = &m->target;
        break;
    case sizeof ":authority" - 1:
        to = &m->authority;
        break;
    case sizeof ":protocol" - 1:
        s->upgrade = true;
        return keep_field(s, &m->fields, STR("upgrade"), value);
    case sizeof ":method" - 1: /* :scheme and :status are as long */
        if (name.p[1] == 'm') {
            m->method = method_kept(a, value);
            return m->method.p != NULL;
        }
        if (name.p[2] == 't') {
            m->status =
                (uint16_t)((value.p[0] - '0') * 100 + (value.p[1] - '0') * 10 + (value.p[2] - '0'));
            return true;
        }
        to = &m->scheme;
        if (str_eq(value, STR("http"))) {
            *to = STR("http");
            return true;
        }
        break;
    default:
        return true;
    }
    *to = arena_dup(a, value);
    return to->p != NULL;
}

static bool trailer_field(struct http2_stream *s, struct str name, struct str value)
{
    if (!s->trailers && !(s->trailers = arena_zalloc(s->stream.arena, sizeof *s->trailers)))
        return false;
    return !field_may_trail(name) || keep_field(s, s->trailers, name, value);
}

/* Of the block that is coming. */
static size_t fields_so_far(const struct http2_stream *s)
{
    if (s->input == H2_TRAILERS)
        return s->trailers ? s->trailers->n : 0;
    return s->head->fields.n;
}

bool http2_field(struct http2_stream *s, struct str name, struct str value)
{
    size_t limit = http2_head_limit(s->h);
    bool whole = !s->h->block || http2_block_value(s->h, &value), kept;

    if (!whole)
        s->rule = too_large(s);
    s->head_bytes += (uint32_t)(name.n + value.n + FIELD_OVERHEAD);
    if (s->head_bytes > HTTP2_BOMB_FACTOR * limit) {
        http2_abused(s->h, ABUSE_HEADER_LIST, NGHTTP2_ENHANCE_YOUR_CALM);
        return false;
    }
    if (s->rule)
        return true;
    if ((s->input != H2_TRAILERS && !head_of(s)) || s->head_bytes > limit) {
        s->rule = too_large(s);
        return true;
    }
    if (name.p[0] != ':' && fields_so_far(s) >= fields_max(s)) {
        s->rule = too_many(s);
        return true;
    }
    if (s->input == H2_TRAILERS)
        kept = trailer_field(s, name, value);
    else if (name.p[0] == ':')
        kept = pseudo_field(s, s->head, name, value);
    else
        kept = keep_field(s, &s->head->fields, name, value);
    if (!kept)
        s->rule = too_large(s);
    return true;
}

/* ---- a head that is whole ---- */

/* Several lines are one in HTTP/1, and for whoever reads cookies (RFC 9113 section 8.2.3). */
static bool join_cookies(struct message *m, struct arena *a)
{
    struct headers *f = &m->fields;
    struct header *first = NULL;
    size_t n = 0, bytes = 0, kept = 0;
    char *p;

    if (!headers_may_have(f, HEADER_BIT(HEADER_COOKIE)))
        return true;
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].id == HEADER_COOKIE) {
            n++;
            bytes += f->v[i].value.n + 2;
        }
    if (n < 2)
        return true;
    if (!(p = arena_alloc(a, bytes)))
        return false;
    for (size_t i = 0; i < f->n; i++) {
        struct header *at = &f->v[i];

        if (at->id == HEADER_COOKIE && first) {
            memcpy(p + first->value.n, "; ", 2);
            memcpy(p + first->value.n + 2, at->value.p, at->value.n);
            first->value.n += 2 + at->value.n;
            continue;
        }
        f->v[kept] = *at;
        if (at->id == HEADER_COOKIE) {
            first = &f->v[kept];
            memcpy(p, at->value.p, at->value.n);
            first->value.p = p;
        }
        kept++;
    }
    f->n = kept;
    return true;
}

static const struct refusal *check_authority(struct message *m)
{
    static const struct refusal missing = {"host-missing", 400, "send :authority"};
    static const struct refusal differs = {"host-differs", 400,
                                           "send :authority, or Host, or both the same"};
    static const struct refusal invalid = {"host-invalid", 400,
                                           "the authority is a name or an address, perhaps with a "
                                           "port"};
    const struct header *host = headers_find(&m->fields, HEADER_HOST);

    if (headers_count(&m->fields, HEADER_HOST) > 1 ||
        (host && m->authority.n && !str_eq_nocase(host->value, m->authority)))
        return &differs;
    if (!m->authority.n && host)
        m->authority = host->value;
    if (!m->authority.n)
        return &missing;
    return authority_list_valid(m->authority) ? NULL : &invalid;
}

static const struct refusal *check_target(struct message *m, const struct limits *l)
{
    static const struct refusal character = {"target-character", 400,
                                             "percent-encode what is not a URL character"};
    static const struct refusal fragment = {"target-fragment", 400,
                                            "a request target has no fragment (#...)"};
    static const struct refusal form = {"target-form", 400, ":path is a path, or * for OPTIONS"};

    static const struct refusal connect = {"connect-target", 400,
                                           "the :authority of CONNECT is HOST:PORT"};

    if (str_eq(m->method, STR("CONNECT"))) {
        m->target = m->authority;
        return connect_target_valid(m->target) ? NULL : &connect;
    }
    if (m->target.n > l->url_bytes)
        return &refusal_url;
    if (!target_valid(m->target))
        return &character;
    if (str_index(m->target, '#', 0) < m->target.n)
        return &fragment;
    if (m->target.n && m->target.p[0] == '/') {
        message_split_path(m, m->target);
        return NULL;
    }
    m->path = m->target;
    return str_eq(m->target, STR("*")) && str_eq(m->method, STR("OPTIONS")) ? NULL : &form;
}

static void set_body(struct message *m, bool end)
{
    const struct header *length = headers_find(&m->fields, HEADER_CONTENT_LENGTH);

    if (end)
        m->body = BODY_NONE;
    else if (length && str_to_u64(length->value, &m->length))
        m->body = BODY_LENGTH;
    else
        m->body = BODY_CHUNKED; /* its end will be told */
}

const struct refusal *http2_request_complete(struct http2_stream *s, bool end)
{
    struct message *m = head_of(s);
    const struct refusal *why;

    if (!m || s->rule)
        return s->rule ? s->rule : &refusal_head_bytes;
    if (!target_encode(&m->target, s->stream.arena))
        return &refusal_head_bytes;
    if ((s->upgrade && (why = http2_from_connect(s, m))) || (why = check_authority(m)) ||
        (why = check_target(m, limits_of(s))))
        return why;
    if (!join_cookies(m, s->stream.arena))
        return &refusal_head_bytes;
    set_body(m, end);
    if (m->upgrade)
        m->body = BODY_NONE; /* what follows is not HTTP's */
    return NULL;
}

const struct refusal *http2_response_complete(struct http2_stream *s, bool end)
{
    struct message *m = head_of(s);

    static const struct refusal status = {"status", 502, "answer with a status from 100 to 599"};

    if (!m || s->rule)
        return s->rule ? s->rule : &refusal_response_bytes;
    if (m->status < 100 || m->status > 599 || m->status == 101) /* which HTTP/2 does not have */
        return &status;
    set_body(m, end);
    if (m->status < 200 || s->no_body)
        m->body = BODY_NONE;
    if (s->upgrade && m->status >= 200 && m->status < 300 && !http2_from_connected(s))
        return &refusal_response_bytes;
    m->reason = reason_phrase(m->status);
    return NULL;
}

/* ---- fields that go ---- */

struct fields {
    struct loop *loop;
    nghttp2_nv *v;
    size_t n;
};

static void put(struct fields *f, struct str name, struct str value, uint8_t flags)
{
    nghttp2_nv *nv = &f->v[f->n++];

    nv->name = (uint8_t *)(uintptr_t)name.p;
    nv->value = (uint8_t *)(uintptr_t)(value.p ? value.p : "");
    nv->namelen = name.n;
    nv->valuelen = value.n;
    /* All of it lives until the frame is made: when the turn ends, but for a request's head, which
     * may have to wait until the peer takes another stream. */
    nv->flags = flags | NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
}

/* A letter of A to Z; or a byte that is one but for its top bit, which no name has. */
static inline uint64_t may_be_upper(uint64_t x)
{
    return octets_within(x & OCTETS(0x7f), 'A', 'Z');
}

static struct str lower(struct arena *arena, struct str name)
{
    char *p;

    if (!octets_any(name.p, name.n, may_be_upper) || !(p = arena_alloc(arena, name.n)))
        return name;
    for (size_t i = 0; i < name.n; i++)
        p[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]);
    return str_of(p, name.n);
}

/* What belongs to the other side's connection, or is said in another way here. */
static bool stays(const struct message *m, const struct header *f)
{
    if (header_is(f->id, HEADER_IS_HTTP1))
        return true;
    switch (f->id) {
    case HEADER_HOST:
        return m->status == 0; /* it is the authority */
    case HEADER_TE:
        return m->status != 0 || !str_eq_nocase(f->value, STR("trailers"));
    case HEADER_CONTENT_LENGTH:
        return m->body == BODY_CHUNKED || m->body == BODY_UNTIL_CLOSE || m->upgrade ||
               (m->status && (m->status < 200 || m->status == 204));
    case HEADER_OTHER:
        return (m->upgrade && (str_eq_nocase(f->name, STR("sec-websocket-key")) ||
                               str_eq_nocase(f->name, STR("sec-websocket-accept")))) ||
               str_eq_nocase(f->name, STR("http2-settings"));
    default:
        return false;
    }
}

/* New with each request: in the table of the compression they would only push others out. */
static uint8_t flags_of(enum header_id id)
{
    return header_is(id, HEADER_IS_FRESH) ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
}

static void put_request_line(struct fields *f, const struct message *m)
{
    const struct header *host = headers_find(&m->fields, HEADER_HOST);
    const struct header *protocol = headers_find(&m->fields, HEADER_UPGRADE);

    put(f, STR(":method"), m->upgrade ? STR("CONNECT") : m->method, 0);
    if (m->upgrade && protocol)
        put(f, STR(":protocol"), protocol->value, 0);
    put(f, STR(":scheme"), m->scheme.n ? m->scheme : STR("http"), 0);
    put(f, STR(":authority"), host ? host->value : m->authority, 0);
    put(f, STR(":path"), m->target, 0);
}

static bool put_status(struct fields *f, const struct message *m)
{
    unsigned status = m->upgrade ? 200 : m->status;
    char *p = loop_scratch(f->loop, 3);

    if (!p)
        return false;
    p[0] = (char)('0' + status / 100 % 10);
    p[1] = (char)('0' + status / 10 % 10);
    p[2] = (char)('0' + status % 10);
    put(f, STR(":status"), str_of(p, 3), 0);
    return true;
}

nghttp2_nv *http2_fields(struct http2_stream *s, const struct message *m, size_t *n)
{
    struct loop *l = s->h->loop;
    struct arena *arena = s->h->server ? &l->scratch : s->stream.arena;
    struct fields f = {.loop = l};

    f.v = (void *)loop_scratch(l, (m->fields.n + 6) * sizeof *f.v);
    if (!f.v || (m->status && !put_status(&f, m)))
        return NULL;
    if (!m->status)
        put_request_line(&f, m);
    for (size_t i = 0; i < m->fields.n; i++) {
        const struct header *at = &m->fields.v[i];

        if (!stays(m, at))
            put(&f, at->id ? known_names[at->id] : lower(arena, at->name), at->value,
                flags_of(at->id));
    }
    *n = f.n;
    return f.v;
}

nghttp2_nv *http2_trailers(struct http2_stream *s, const struct headers *t, size_t *n)
{
    struct loop *l = s->h->loop;
    struct fields f = {.loop = l};

    if (!(f.v = (void *)loop_scratch(l, (t->n + 1) * sizeof *f.v)))
        return NULL;
    for (size_t i = 0; i < t->n; i++)
        put(&f, lower(&l->scratch, t->v[i].name), t->v[i].value, 0);
    *n = f.n;
    return f.v;
}
