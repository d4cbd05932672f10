/*
 * From llhttp's callbacks to messages. The callbacks only note where things
 * are; when a head is complete its bytes are copied once into the exchange's
 * arena and the slices made.
 */
#include <stdlib.h>

#include "proxy/http1_private.h"
#include "proxy/http_rules.h"

enum { CHUNK_EXTENSION_MAX = 256, HEAD_FIELDS_START = 32 };

/* What llhttp is told when a head is complete. With HEAD_HAS_BODY the fields decide. */
enum { HEAD_HAS_BODY = 0, HEAD_WITHOUT_BODY = 1, HEAD_ENDS_HTTP = 2 };

/* ---- the notes of a head ---- */

bool http1_head_take(struct http1 *h)
{
    struct http_shared *shared = h->shared;
    struct http1_head *head = shared->spare_head;

    if (head) {
        shared->spare_head = NULL;
    } else {
        head = malloc(sizeof *head + HEAD_FIELDS_START * sizeof head->v[0]);
        if (!head)
            return false;
        head->cap = HEAD_FIELDS_START;
    }
    h->head = head; /* message_start() makes it empty */
    return true;
}

void http1_head_drop(struct http1 *h)
{
    struct http_shared *shared = h->shared;

    if (!shared->spare_head)
        shared->spare_head = h->head;
    else
        free(h->head);
    h->head = NULL;
}

static int refuse(struct http1 *h, const struct refusal *why)
{
    h->refusal = why;
    return -1;
}

static uint32_t offset(const struct http1 *h, const char *at)
{
    return (uint32_t)(at - h->head->origin);
}

static const struct limits *limits_of(const struct http1 *h)
{
    return h->shared->limits;
}

/* Those of responses are the upstream's, which is ours to trust more. */
size_t http1_head_bytes_max(const struct http1 *h)
{
    return h->server ? limits_of(h)->header_bytes : limits_of(h)->response_header_bytes;
}

static size_t fields_max(const struct http1 *h)
{
    return h->server ? limits_of(h)->headers : limits_of(h)->response_headers;
}

const struct refusal *http1_too_large(const struct http1 *h)
{
    return h->server ? &refusal_head_bytes : &refusal_response_bytes;
}

static const struct refusal *too_many(const struct http1 *h)
{
    return h->server ? &refusal_headers : &refusal_response_headers;
}

static int on_status(llhttp_t *p, const char *at, size_t n)
{
    struct http1 *h = p->data;
    struct http1_head *head = h->head;

    if (head->reason_end == 0)
        head->reason = offset(h, at);
    head->reason_end = head->bytes = offset(h, at) + (uint32_t)n;
    if (head->bytes > http1_head_bytes_max(h))
        return refuse(h, http1_too_large(h));
    return 0;
}

static struct http1_field *new_field(struct http1 *h)
{
    struct http1_head *head = h->head;

    if (head->n == head->cap) {
        unsigned cap = head->cap * 2;
        struct http1_head *more = realloc(head, sizeof *head + cap * sizeof head->v[0]);

        if (!more)
            return NULL;
        more->cap = cap;
        h->head = head = more;
    }
    return &head->v[head->n++];
}

static const struct refusal *trailers_too_large(const struct http1 *h)
{
    return h->server ? &refusal_trailer : &refusal_response_bytes;
}

/* ---- trailers: kept as pairs of name NUL value NUL ---- */

static int trailer_piece(llhttp_t *p, const char *at, size_t n)
{
    struct http1 *h = p->data;

    if (!h->trailers) {
        if (!(h->trailers = malloc(sizeof *h->trailers)))
            return refuse(h, trailers_too_large(h));
        buffer_init(h->trailers, http1_head_bytes_max(h));
    }
    return buffer_add(h->trailers, at, n) ? 0 : refuse(h, trailers_too_large(h));
}

/* A name or a value of a trailer is over. */
static int on_piece_complete(llhttp_t *p)
{
    struct http1 *h = p->data;

    if (h->trailer_pieces++ >= 2 * fields_max(h))
        return refuse(h, trailers_too_large(h));
    return trailer_piece(p, "", 1);
}

/* ---- the fields of a head ---- */

static int on_header_field(llhttp_t *p, const char *at, size_t n)
{
    struct http1 *h = p->data;
    struct http1_head *head = h->head;
    struct http1_field *f;
    uint32_t off;

    off = offset(h, at);
    f = head->n ? &head->v[head->n - 1] : NULL;
    if (!f || off != f->name_end) {
        if (head->n >= fields_max(h) || !(f = new_field(h)))
            return refuse(h, too_many(h));
        f->name = off;
        f->value = f->value_end = 0;
    }
    f->name_end = off + (uint32_t)n;
    if (f->name_end > http1_head_bytes_max(h))
        return refuse(h, http1_too_large(h));
    return 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t n)
{
    struct http1 *h = p->data;
    struct http1_field *f;
    uint32_t off;

    off = offset(h, at);
    f = &h->head->v[h->head->n - 1];
    if (f->value_end == 0)
        f->value = off;
    f->value_end = h->head->bytes = off + (uint32_t)n;
    if (f->value_end > http1_head_bytes_max(h))
        return refuse(h, http1_too_large(h));
    return 0;
}

/* ---- a message of the notes ---- */

/* The bytes of the head go to the arena once; 2 more, so that the CR LF of the last field is there.
 */
static bool build(struct http1 *h, struct message *m)
{
    struct http1_head *head = h->head;
    struct arena *arena = h->stream.arena;
    size_t bytes = head->bytes + 2;
    char *copy = arena_alloc(arena, bytes);
    struct header *v = arena_alloc(arena, (head->n + 8) * sizeof *v);

    if (!copy || !v)
        return false;
    memcpy(copy, head->origin, bytes);
    m->target = str_of(copy + head->url, head->url_end - head->url);
    m->reason = str_of(copy + head->reason, head->reason_end - head->reason);
    m->fields = (struct headers){v, head->n, head->n + 8, HEADER_ANY_ID};
    for (unsigned i = 0; i < head->n; i++) {
        const struct http1_field *f = &head->v[i];

        v[i].name = str_of(copy + f->name, f->name_end - f->name);
        v[i].value = f->value_end ? str_of(copy + f->value, f->value_end - f->value)
                                  : str_of(copy + f->name_end, 0);
        if (v[i].value.n &&
            (v[i].value.p[v[i].value.n - 1] == ' ' || v[i].value.p[v[i].value.n - 1] == '\t'))
            v[i].value = str_trim_ows(v[i].value);
        v[i].id = header_id_of(v[i].name);
        m->fields.absent &= ~HEADER_BIT(v[i].id);
    }
    m->method = str_of(copy, head->method_end);
    m->version =
        (uint8_t)(llhttp_get_http_major(&h->parser) * 10 + llhttp_get_http_minor(&h->parser));
    return true;
}

/* HTTP/1.0 is kept only by who asks for it (RFC 9112 section 9.3). */
static bool closes(const struct message *m)
{
    return headers_have_member(&m->fields, HEADER_CONNECTION, STR("close")) ||
           (m->version < 11 &&
            !headers_have_member(&m->fields, HEADER_CONNECTION, STR("keep-alive")));
}

static int request_complete(struct http1 *h)
{
    struct message *m;
    const struct refusal *why;
    static const struct refusal no_memory = {"no-memory", 503, "try again later"};

    if (!h->keeper->open(h->keeper_data, &h->stream))
        return refuse(h, &no_memory);
    if (!(m = arena_zalloc(h->stream.arena, sizeof *m)) || !build(h, m) ||
        !target_encode(&m->target, h->stream.arena))
        return refuse(h, &refusal_head_bytes);
    m->close = closes(m);
    http1_head_drop(h);
    why = http1_check_request(m, limits_of(h));
    if (why) {
        http1_refuse(h, why, m);
        return -1;
    }
    h->input = INPUT_BODY;
    h->client_closes = m->close;
    h->client_asks_to_keep = m->version < 11 && !m->close;
    timer_disarm(&h->timer);
    if (str_eq(m->method, STR("CONNECT"))) {
        h->last_head = m;
        return HEAD_ENDS_HTTP;
    }
    h->stream.events->on_head(h->stream.owner, m);
    return h->gone || h->input == INPUT_REFUSED ? -1 : HEAD_HAS_BODY;
}

static void learn_idle_limit(struct http1 *h, const struct message *m)
{
    const struct header *k = headers_find(&m->fields, HEADER_KEEP_ALIVE);
    struct str rest, member;
    uint64_t seconds;

    if (!k)
        return;
    rest = k->value;
    while (str_next_member(&rest, &member))
        if (str_starts(member, STR("timeout=")) &&
            str_to_u64(str_slice(member, 8, member.n), &seconds) && seconds < 86400)
            h->idle_limit = seconds ? SECONDS(seconds) : 1;
}

static int response_complete(struct http1 *h)
{
    struct message *m = arena_zalloc(h->stream.arena, sizeof *m);
    bool no_body;

    if (!m || !build(h, m))
        return refuse(h, &refusal_response_bytes);
    m->status = (uint16_t)llhttp_get_status_code(&h->parser);
    if (!field_value_valid(m->reason)) /* it says nothing that the status does not */
        m->reason = reason_phrase(m->status);
    http1_head_drop(h);
    if ((h->refusal = http1_check_response(m)))
        return -1;
    if (m->status < 200 && m->status != 101) {
        m->body = BODY_NONE;
        h->stream.events->on_head(h->stream.owner, m);
        return h->gone ? -1 : HEAD_WITHOUT_BODY;
    }
    m->upgrade = m->status == 101;
    no_body = h->no_body || m->status == 204 || m->status == 304 || m->upgrade;
    if (no_body)
        m->body = BODY_NONE;
    else if (m->body == BODY_NONE && !headers_find(&m->fields, HEADER_CONTENT_LENGTH))
        m->body = BODY_UNTIL_CLOSE;
    m->close = m->body == BODY_UNTIL_CLOSE || closes(m);
    if (m->close)
        h->close = true;
    learn_idle_limit(h, m);
    h->input = INPUT_BODY;
    if (m->upgrade) {
        h->last_head = m;
        return HEAD_ENDS_HTTP;
    }
    h->stream.events->on_head(h->stream.owner, m);
    return h->gone ? -1 : no_body ? HEAD_WITHOUT_BODY : HEAD_HAS_BODY;
}

/* With its line ends; what is said of the whole must not depend on how it was cut into reads. */
static size_t head_bytes(const struct http1_head *head)
{
    return head->bytes + (head->n ? sizeof "\r\n\r\n" - 1 : sizeof " HTTP/1.1\r\n\r\n" - 1);
}

/* Fields that come behind it are others, and so is what is called for them. */
static int on_headers_complete(llhttp_t *p)
{
    struct http1 *h = p->data;

    /* "chunked" with a tab behind it, perhaps. */
    if ((p->flags & F_TRANSFER_ENCODING) && !(p->flags & F_CHUNKED) && !h->head->whole_respaced) {
        h->head->whole_respaced = true;
        return -1;
    }
    if (head_bytes(h->head) > http1_head_bytes_max(h))
        return refuse(h, http1_too_large(h));
    p->settings = (void *)(uintptr_t)http1_settings_behind_head();
    return h->server ? request_complete(h) : response_complete(h);
}

/* ---- the body ---- */

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct http1 *h = p->data;

    h->stream.events->on_body(h->stream.owner, str_of(at, n));
    return h->gone || h->input != INPUT_BODY ? -1 : 0;
}

static int on_chunk_header(llhttp_t *p)
{
    struct http1 *h = p->data;

    h->extension_bytes = 0;
    if (p->content_length)
        h->stream.events->on_chunk(h->stream.owner, p->content_length);
    return h->gone || h->input != INPUT_BODY ? -1 : 0;
}

static int on_chunk_extension(llhttp_t *p, const char *at, size_t n)
{
    struct http1 *h = p->data;

    if (n > CHUNK_EXTENSION_MAX || (h->extension_bytes += (uint16_t)n) > CHUNK_EXTENSION_MAX)
        return refuse(h, &refusal_extension);
    return 0;
}

const struct headers *http1_take_trailers(struct http1 *h)
{
    struct headers *out;
    struct str rest, name, value;

    if (!h->trailers)
        return NULL;
    /* In the arena: the message may be sent on later. */
    out = arena_zalloc(h->stream.arena, sizeof *out);
    rest = arena_dup(h->stream.arena, buffer_str(h->trailers));
    buffer_release(h->trailers);
    free(h->trailers);
    h->trailers = NULL;
    if (!out || !rest.p)
        return NULL;
    while (rest.n && str_split(&rest, '\0', &name) && str_split(&rest, '\0', &value))
        if (field_may_trail(name) && !headers_add(out, h->stream.arena, name, str_trim_ows(value)))
            return NULL;
    return out;
}

/* http1_input.c passes the end on, when it is known what came behind the message. */
static int on_message_complete(llhttp_t *p)
{
    struct http1 *h = p->data;

    /* After an interim response the next head follows. */
    h->input = h->input == INPUT_HEAD ? INPUT_IDLE : INPUT_OVER;
    return HPE_PAUSED;
}

const llhttp_settings_t *http1_settings(void)
{
    static const llhttp_settings_t settings = {
        .on_status = on_status,
        .on_header_field = on_header_field,
        .on_header_value = on_header_value,
        .on_headers_complete = on_headers_complete,
        .on_message_complete = on_message_complete,
    };

    return &settings;
}

const llhttp_settings_t *http1_settings_behind_head(void)
{
    static const llhttp_settings_t settings = {
        .on_header_field = trailer_piece,
        .on_header_field_complete = on_piece_complete,
        .on_header_value = trailer_piece,
        .on_header_value_complete = on_piece_complete,
        .on_body = on_body,
        .on_chunk_header = on_chunk_header,
        .on_chunk_extension_name = on_chunk_extension,
        .on_chunk_extension_value = on_chunk_extension,
        .on_message_complete = on_message_complete,
    };

    return &settings;
}

/* ---- refusing ---- */

struct message *http1_partial(struct http1 *h)
{
    struct message *m = arena_zalloc(h->stream.arena, sizeof *m);

    if (!m || !h->head)
        return m;
    if (h->head->url_end) {
        size_t cut = h->head->url_end - h->head->url;

        if (cut > SPAN_TEXT_BYTES_MAX)
            cut = SPAN_TEXT_BYTES_MAX;
        m->method = arena_dup(h->stream.arena, str_of(h->head->origin, h->head->method_end));
        m->target = m->path =
            arena_dup(h->stream.arena, str_of(h->head->origin + h->head->url, cut));
        m->path = str_slice(m->path, 0, str_index(m->path, '?', 0));
    }
    return m;
}

void http1_parse_failed(struct http1 *h, llhttp_errno_t e)
{
    struct message *partial;

    if (!h->refusal)
        h->refusal = http1_refusal_of(e, llhttp_get_error_reason(&h->parser));
    if (!h->server) {
        http1_refuse(h, h->refusal, NULL);
        return;
    }
    if (!h->stream.events && !h->keeper->open(h->keeper_data, &h->stream)) {
        h->input = INPUT_REFUSED;
        conn_close(h->conn);
        http1_gone(h);
        return;
    }
    partial = http1_partial(h);
    http1_refuse(h, h->refusal, partial);
}
