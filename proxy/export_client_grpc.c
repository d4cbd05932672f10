/*
 * A unary gRPC call over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md): one stream at a
 * time on a connection that is kept. nghttp2 is never asked to end anything from
 * within a callback of its own: what its callbacks learn is looked at afterwards.
 */
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "proxy/export_client_private.h"

enum { WINDOW_BYTES = 8 * 1024 * 1024, NAMES_MAX = 128 };

struct grpc {
    nghttp2_session_callbacks *callbacks; /* owned */
    nghttp2_session *session;             /* owned; NULL: no connection */
    bool going_away;                      /* GOAWAY came */

    /* The call. */
    int32_t stream; /* 0: none, or it is closed */
    bool closed;    /* the stream, with error */
    uint32_t error;
    bool whole;  /* the peer's side of it ended in order */
    size_t sent; /* of the body */

    /* Its answer. A block of fields with :status is the head, one without the trailers. */
    int status, block_status;
    struct headers head, trailers, block;
    struct buffer body;
    struct arena arena;
    bool too_large;
};

static struct grpc *grpc_of(const struct export_client *c)
{
    return c->carried;
}

/* ---- what nghttp2 tells ---- */

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t n, int flags,
                       void *arg)
{
    struct export_client *c = arg;

    if (evbuffer_add(bufferevent_get_output(c->bev), data, n) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return (ssize_t)n;
}

static ssize_t on_body_wanted(nghttp2_session *session, int32_t stream, uint8_t *buf, size_t room,
                              uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct export_client *c = arg;
    size_t left = c->request.body.n - grpc_of(c)->sent;

    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (left <= room)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)(left < room ? left : room);
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head,
                        size_t n, nghttp2_data_source *source, void *arg)
{
    struct export_client *c = arg;
    struct grpc *g = grpc_of(c);

    /* Frames are never padded: that would take a callback. */
    if (evbuffer_add(bufferevent_get_output(c->bev), frame_head, 9) != 0 ||
        !export_client_write_body(c, g->sent, n))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    g->sent += n;
    return 0;
}

static bool is_ours(const struct grpc *g, int32_t stream)
{
    return stream == g->stream && stream != 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct grpc *g = grpc_of(arg);

    if (is_ours(g, frame->hd.stream_id)) {
        g->block = (struct headers){0};
        g->block_status = 0;
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    struct export_client *c = arg;
    struct grpc *g = grpc_of(c);
    struct str n = {(const char *)name, name_n}, v = {(const char *)value, value_n};
    uint64_t status;

    if (!is_ours(g, frame->hd.stream_id))
        return 0;
    c->answering = true;
    if (str_eq(n, STR(":status"))) {
        g->block_status = str_to_u64(v, &status) && status < 1000 ? (int)status : 0;
        return 0;
    }
    n = arena_dup(&g->arena, n);
    v = arena_dup(&g->arena, v);
    if (!n.p || !v.p || g->block.n == NAMES_MAX || !headers_add(&g->block, &g->arena, n, v))
        g->too_large = true;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct grpc *g = grpc_of(arg);

    if (frame->hd.type == NGHTTP2_GOAWAY)
        g->going_away = true;
    if (!is_ours(g, frame->hd.stream_id))
        return 0;
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        if (g->block_status >= 200) {
            g->status = g->block_status;
            g->head = g->block;
        }
        if (ends) /* perhaps of a trailers-only response */
            g->trailers = g->block;
    }
    if (ends)
        g->whole = true;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t n, void *arg)
{
    struct grpc *g = grpc_of(arg);

    if (is_ours(g, stream) && !buffer_add(&g->body, data, n))
        g->too_large = true;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t error, void *arg)
{
    struct grpc *g = grpc_of(arg);

    if (is_ours(g, stream)) {
        g->closed = true;
        g->error = error;
        g->stream = 0;
    }
    return 0;
}

/* ---- life ---- */

static bool grpc_create(struct export_client *c)
{
    struct grpc *g = calloc(1, sizeof(*g));

    c->carried = g;
    if (!g)
        return false;
    arena_init(&g->arena, 0, EXPORT_HEAD_BYTES_MAX);
    buffer_init(&g->body, EXPORT_BODY_BYTES_MAX);
    if (nghttp2_session_callbacks_new(&g->callbacks) != 0)
        return false;
    nghttp2_session_callbacks_set_send_callback(g->callbacks, on_send);
    nghttp2_session_callbacks_set_send_data_callback(g->callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_begin_headers_callback(g->callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(g->callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(g->callbacks, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(g->callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(g->callbacks, on_stream_close);
    return true;
}

static void grpc_destroy(struct export_client *c)
{
    struct grpc *g = grpc_of(c);

    if (!g)
        return;
    nghttp2_session_callbacks_del(g->callbacks);
    buffer_release(&g->body);
    arena_release(&g->arena);
    free(g);
}

static bool grpc_open(struct export_client *c)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, EXPORT_HEAD_BYTES_MAX},
    };
    struct grpc *g = grpc_of(c);

    g->going_away = false;
    g->stream = 0;
    if (nghttp2_session_client_new(&g->session, g->callbacks, c) != 0)
        return false;
    if (nghttp2_submit_settings(g->session, NGHTTP2_FLAG_NONE, settings,
                                sizeof(settings) / sizeof(settings[0])) == 0 &&
        nghttp2_session_set_local_window_size(g->session, NGHTTP2_FLAG_NONE, 0, WINDOW_BYTES) == 0)
        return true;
    nghttp2_session_del(g->session);
    g->session = NULL;
    return false;
}

static void grpc_close(struct export_client *c)
{
    struct grpc *g = grpc_of(c);

    nghttp2_session_del(g->session);
    g->session = NULL;
    g->stream = 0;
}

/* ---- the call ---- */

static void add_field(nghttp2_nv *fields, size_t *n, struct str name, struct str value)
{
    fields[(*n)++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.p,
                                  .value = (uint8_t *)(uintptr_t)value.p,
                                  .namelen = name.n,
                                  .valuelen = value.n};
}

/* Names are lower case in HTTP/2 (RFC 9113 section 8.2.1). */
static struct str lower(struct arena *a, struct str name)
{
    char *p = arena_alloc(a, name.n + 1);

    for (size_t i = 0; p && i < name.n; i++)
        p[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]);
    return str_of(p ? p : "", p ? name.n : 0);
}

/* At most eight digits and a unit: milliseconds as long as they fit. */
static struct str timeout_text(struct arena *a, nsec_t timeout)
{
    long long ms = (long long)((timeout + MILLISECONDS(1) - 1) / MILLISECONDS(1));

    return ms < 100000000 ? arena_printf(a, "%lldm", ms) : arena_printf(a, "%lldS", ms / 1000);
}

static size_t make_fields(struct export_client *c, nghttp2_nv *fields)
{
    size_t n = 0;

    add_field(fields, &n, STR(":method"), STR("POST"));
    add_field(fields, &n, STR(":scheme"), c->tls ? STR("https") : STR("http"));
    add_field(fields, &n, STR(":path"), c->request.path);
    add_field(fields, &n, STR(":authority"), c->authority);
    add_field(fields, &n, STR("te"), STR("trailers"));
    if (c->request.timeout > 0)
        add_field(fields, &n, STR("grpc-timeout"), timeout_text(&c->arena, c->request.timeout));
    for (size_t i = 0; i < c->headers.n && n < NAMES_MAX - 1; i++)
        add_field(fields, &n, lower(&c->arena, c->headers.v[i].name), c->headers.v[i].value);
    add_field(fields, &n, STR("user-agent"), STR(EXPORT_USER_AGENT));
    return n;
}

/* Writes what the session has to say. False: the connection cannot go on; it was told. */
static bool flush(struct export_client *c)
{
    int status = nghttp2_session_send(grpc_of(c)->session);

    if (status == 0)
        return true;
    if (c->busy && !c->ended)
        export_client_failed(c, TRANSPORT_LOST, "%.*s: %s", STR_ARG(c->to.text),
                             nghttp2_strerror(status));
    else
        c->stop_using = true;
    return false;
}

static void grpc_submit(struct export_client *c)
{
    struct grpc *g = grpc_of(c);
    nghttp2_nv fields[NAMES_MAX];
    nghttp2_data_provider body = {.read_callback = on_body_wanted};

    g->closed = g->whole = g->too_large = false;
    g->sent = 0;
    g->status = 0;
    g->head = g->trailers = g->block = (struct headers){0};
    buffer_reset(&g->body);
    arena_reset(&g->arena);
    int32_t stream =
        nghttp2_submit_request(g->session, NULL, fields, make_fields(c, fields), &body, NULL);
    if (stream < 0) {
        export_client_lost(c, nghttp2_strerror(stream));
        return;
    }
    g->stream = stream;
    flush(c);
}

static void answered(struct export_client *c)
{
    struct grpc *g = grpc_of(c);

    c->response = (struct transport_response){.status = g->status,
                                              .headers = &g->head,
                                              .trailers = &g->trailers,
                                              .body = buffer_str(&g->body)};
    if (g->stream) /* it does not want the rest of the request */
        c->stop_using = true;
    export_client_answered(c);
}

/* What the bytes that came mean for the call. */
static void judge_call(struct export_client *c)
{
    struct grpc *g = grpc_of(c);
    char why[80];

    if (g->too_large) {
        export_client_failed(c, TRANSPORT_LOST, "the answer of %.*s is too large",
                             STR_ARG(c->to.text));
    } else if (g->whole && g->status) {
        answered(c);
    } else if (g->closed) {
        snprintf(why, sizeof(why), "reset the call: %s", nghttp2_http2_strerror(g->error));
        if (g->error == NGHTTP2_REFUSED_STREAM)
            export_client_lost(c, why);
        else
            export_client_failed(c, TRANSPORT_LOST, "%.*s %s", STR_ARG(c->to.text), why);
    } else if (!nghttp2_session_want_read(g->session)) {
        export_client_failed(c, TRANSPORT_LOST, "the answer of %.*s is not HTTP/2; %s",
                             STR_ARG(c->to.text), c->carrier->hint);
    }
}

/* False: these bytes are not HTTP/2, and it was told. */
static bool take_bytes(struct export_client *c, const uint8_t *data, size_t n)
{
    ssize_t taken = nghttp2_session_mem_recv(grpc_of(c)->session, data, n);

    if (taken >= 0)
        return true;
    if (c->busy && !c->ended)
        export_client_failed(c, TRANSPORT_LOST, "the answer of %.*s is not HTTP/2: %s; %s",
                             STR_ARG(c->to.text), nghttp2_strerror((int)taken), c->carrier->hint);
    else if (c->ended)
        c->stop_using = true;
    else
        export_client_close(c);
    return false;
}

static void grpc_receive(struct export_client *c, struct evbuffer *in)
{
    struct grpc *g = grpc_of(c);
    struct evbuffer_iovec piece;

    while (evbuffer_peek(in, -1, NULL, &piece, 1) > 0 && piece.iov_len > 0) {
        if (!take_bytes(c, piece.iov_base, piece.iov_len))
            return;
        evbuffer_drain(in, piece.iov_len);
    }
    if (!flush(c))
        return;
    if (g->going_away || !nghttp2_session_want_read(g->session))
        c->stop_using = true;
    if (c->busy && !c->ended)
        judge_call(c);
    else if (!c->busy && c->stop_using)
        export_client_close(c);
}

static bool grpc_finish(struct export_client *c)
{
    return false; /* what was whole has been told */
}

const struct export_carrier export_carrier_grpc = {
    .alpn = STR_INIT("h2"),
    .hint = "is it the port for OTLP over gRPC (4317)?",
    .create = grpc_create,
    .destroy = grpc_destroy,
    .open = grpc_open,
    .close = grpc_close,
    .submit = grpc_submit,
    .receive = grpc_receive,
    .finish = grpc_finish,
};
