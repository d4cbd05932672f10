/*
 * From messages to bytes. A head is one piece of memory; fields that stand
 * together in what was received are copied together.
 */
#include <assert.h>
#include <stdio.h>

#include "proxy/http1_private.h"

/* ---- the head ---- */

struct writer {
    char *p;
    bool length_sent, coding_sent, te_sent, upgrade_sent;
};

static void put(struct writer *w, const char *p, size_t n)
{
    memcpy(w->p, p, n);
    w->p += n;
}

#define PUT(w, literal) put(w, literal, sizeof(literal) - 1)

static void put_number(struct writer *w, uint64_t n)
{
    char digits[20];
    size_t i = sizeof digits;

    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    put(w, digits + i, sizeof digits - i);
}

/* Framing is made anew: a field that says otherwise than m->body is left out. */
static bool goes_out(struct writer *w, const struct message *m, const struct header *f)
{
    switch (f->id) {
    case HEADER_CONTENT_LENGTH:
        if (m->body == BODY_CHUNKED || m->body == BODY_UNTIL_CLOSE ||
            (m->status && m->status < 200) || m->status == 204)
            return false;
        w->length_sent = true;
        return true;
    case HEADER_TRANSFER_ENCODING:
        if (m->body != BODY_CHUNKED)
            return false;
        w->coding_sent = true;
        return true;
    case HEADER_CONNECTION:
        return false;
    case HEADER_UPGRADE:
        w->upgrade_sent = true;
        return true;
    case HEADER_TE:
        w->te_sent = m->status == 0;
        return true;
    default:
        return true;
    }
}

/* Whether the bytes around it may be looked at: it stands in a received head. */
static bool as_received(const struct header *f)
{
    return f->value.p == f->name.p + f->name.n + 2 && f->value.p[-2] == ':';
}

/* How many bytes fields [i, *end) take in one run as they were received, or 0. */
static size_t run(struct writer *w, const struct message *m, size_t i, size_t *end)
{
    const struct header *v = m->fields.v;
    size_t n = 0, at = i;

    while (at < m->fields.n && as_received(&v[at]) && goes_out(w, m, &v[at])) {
        if (at > i && v[at].name.p != v[i].name.p + n)
            break;
        if (v[at].value.p[v[at].value.n] != '\r')
            break;
        n += v[at].name.n + 2 + v[at].value.n + 2;
        at++;
    }
    *end = at;
    return n;
}

static void put_fields(struct writer *w, const struct message *m)
{
    for (size_t i = 0; i < m->fields.n;) {
        const struct header *f = &m->fields.v[i];
        size_t end, n = run(w, m, i, &end);

        if (n) {
            put(w, f->name.p, n);
            i = end;
            continue;
        }
        if (goes_out(w, m, f)) {
            put(w, f->name.p, f->name.n);
            PUT(w, ": ");
            if (f->value.n)
                put(w, f->value.p, f->value.n);
            PUT(w, "\r\n");
        }
        i++;
    }
}

static size_t head_room(const struct message *m)
{
    size_t n = m->method.n + m->target.n + m->reason.n + 128;

    for (size_t i = 0; i < m->fields.n; i++)
        n += m->fields.v[i].name.n + m->fields.v[i].value.n + 4;
    return n;
}

static void put_start_line(struct writer *w, const struct http1 *h, const struct message *m)
{
    if (h->server) {
        PUT(w, "HTTP/1.1 ");
        put_number(w, m->status);
        PUT(w, " ");
        put(w, m->reason.p ? m->reason.p : "", m->reason.n);
        PUT(w, "\r\n");
        return;
    }
    put(w, m->method.p, m->method.n);
    PUT(w, " ");
    put(w, m->target.p, m->target.n);
    PUT(w, " HTTP/1.1\r\n");
}

/* What concerns this connection alone. TE and Upgrade are, and say so (RFC 9110 sections 10.1.4 and
 * 7.8). */
static void put_connection(struct writer *w, const struct http1 *h, const struct message *m)
{
    bool final = !m->status || m->status >= 200;
    bool close = final && !m->upgrade && (m->close || (h->server && h->close));
    bool upgrade = m->upgrade || w->upgrade_sent;

    if (upgrade && w->te_sent)
        PUT(w, "Connection: upgrade, TE\r\n");
    else if (upgrade && close)
        PUT(w, "Connection: upgrade, close\r\n");
    else if (upgrade)
        PUT(w, "Connection: upgrade\r\n");
    else if (w->te_sent)
        PUT(w, "Connection: TE\r\n");
    else if (close)
        PUT(w, "Connection: close\r\n");
    else if (final && h->server && h->client_asks_to_keep)
        PUT(w, "Connection: keep-alive\r\n");
}

/* HTTP/2 tells that there is no body by other means than a length. */
static bool lacks_length(const struct writer *w, const struct http1 *h, const struct message *m)
{
    if (m->version < 20 || m->body != BODY_NONE || w->length_sent || m->upgrade)
        return false;
    if (h->server)
        return m->status >= 200 && m->status != 204 && m->status != 304 &&
               h->parser.method != HTTP_HEAD && h->parser.method != HTTP_CONNECT;
    return str_eq(m->method, STR("POST")) || str_eq(m->method, STR("PUT")) ||
           str_eq(m->method, STR("PATCH"));
}

static void put_framing(struct writer *w, const struct http1 *h, const struct message *m)
{
    if (lacks_length(w, h, m))
        PUT(w, "Content-Length: 0\r\n");
    if (m->body == BODY_CHUNKED && !w->coding_sent)
        PUT(w, "Transfer-Encoding: chunked\r\n");
    if (m->body == BODY_LENGTH && !w->length_sent) {
        PUT(w, "Content-Length: ");
        put_number(w, m->length);
        PUT(w, "\r\n");
    }
}

void http1_send_head(struct stream *s, const struct message *m, bool end)
{
    struct http1 *h = http1_of(s);
    size_t room = head_room(m);
    struct writer w = {.p = loop_scratch(h->loop, room)};
    char *start = w.p;

    if (!start) {
        h->close = true;
        h->output = OUTPUT_OVER;
        return;
    }
    if (h->server && (m->close || h->client_closes || http1_is_last(h)))
        h->close = true;
    if (m->body == BODY_UNTIL_CLOSE)
        h->close = true;
    put_start_line(&w, h, m);
    put_fields(&w, m);
    put_framing(&w, h, m);
    put_connection(&w, h, m);
    PUT(&w, "\r\n");
    assert((size_t)(w.p - start) <= room);
    conn_write(h->conn, str_of(start, (size_t)(w.p - start)));
    if (m->status && m->status < 200 && m->status != 101)
        return;
    h->out_body = m->body;
    h->left = m->body == BODY_LENGTH ? m->length : 0;
    h->output = end ? OUTPUT_OVER : OUTPUT_BODY;
}

/* ---- the body ---- */

static void put_chunk_size(struct http1 *h, uint64_t size)
{
    enum { ROOM = 20 };
    char *line = loop_scratch(h->loop, ROOM);

    if (line)
        conn_write(h->conn, str_of(line, (size_t)snprintf(line, ROOM, "%llx\r\n",
                                                          (unsigned long long)size)));
}

void http1_send_chunk(struct stream *s, uint64_t size)
{
    struct http1 *h = http1_of(s);

    if (h->output != OUTPUT_BODY || h->out_body != BODY_CHUNKED || h->left)
        return;
    put_chunk_size(h, size);
    h->left = size;
}

static void send_chunked(struct http1 *h, struct str data)
{
    if (h->left == 0) { /* where the sender had no chunks, what came together is one */
        put_chunk_size(h, data.n);
        h->left = data.n;
    }
    while (data.n > h->left) {
        struct str part = str_slice(data, 0, (size_t)h->left);

        data = str_slice(data, part.n, data.n);
        conn_write(h->conn, part);
        conn_write(h->conn, STR("\r\n"));
        put_chunk_size(h, data.n);
        h->left = data.n;
    }
    conn_write(h->conn, data);
    h->left -= data.n;
    if (h->left == 0)
        conn_write(h->conn, STR("\r\n"));
}

void http1_send_body(struct stream *s, struct str data)
{
    struct http1 *h = http1_of(s);

    if (h->output == OUTPUT_BYTES)
        conn_write(h->conn, data);
    if (h->output != OUTPUT_BODY || data.n == 0)
        return;
    if (h->out_body == BODY_CHUNKED) {
        send_chunked(h, data);
        return;
    }
    if (h->out_body == BODY_LENGTH) {
        /* The other side's codec holds its message to its length. */
        assert(data.n <= h->left);
        h->left -= data.n;
    }
    conn_write(h->conn, data);
}

static void put_trailers(struct http1 *h, const struct headers *t)
{
    size_t room = 8;
    struct writer w;
    char *start;

    for (size_t i = 0; i < t->n; i++)
        room += t->v[i].name.n + t->v[i].value.n + 4;
    if (!(start = loop_scratch(h->loop, room)))
        return;
    w = (struct writer){.p = start};
    PUT(&w, "0\r\n");
    for (size_t i = 0; i < t->n; i++) {
        put(&w, t->v[i].name.p, t->v[i].name.n);
        PUT(&w, ": ");
        put(&w, t->v[i].value.p, t->v[i].value.n);
        PUT(&w, "\r\n");
    }
    PUT(&w, "\r\n");
    conn_write(h->conn, str_of(start, (size_t)(w.p - start)));
}

void http1_send_end(struct stream *s, const struct headers *trailers)
{
    struct http1 *h = http1_of(s);

    if (h->output == OUTPUT_BYTES) {
        h->output = OUTPUT_OVER;
        conn_shut(h->conn);
    }
    if (h->output != OUTPUT_BODY)
        return;
    h->output = OUTPUT_OVER;
    if (h->out_body != BODY_CHUNKED)
        return;
    if (trailers && trailers->n)
        put_trailers(h, trailers);
    else
        conn_write(h->conn, STR("0\r\n\r\n"));
}
