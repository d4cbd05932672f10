#include "otlp/otlp_request.h"

#include <stdio.h>

enum { FRAME_BYTES = 5 };

static bool add(struct otlp_request *r, struct str name, struct str value)
{
    return headers_add(&r->headers, &r->arena, name, value);
}

/* The server then knows when nobody waits any more. At most eight digits. */
static bool add_grpc_timeout(struct otlp_request *r, nsec_t timeout)
{
    if (timeout <= 0)
        return true;
    long long ms = timeout / MILLISECONDS(1);
    struct str value = arena_printf(&r->arena, "%lldm", ms > 99999999 ? 99999999LL : ms);
    return value.p && add(r, STR("grpc-timeout"), value);
}

/* b3: 0 tells a tracing proxy on the way that this is not to be traced in its turn. */
static bool add_headers(struct otlp_request *r, const struct exporter_options *o)
{
    bool grpc = r->kind == TRANSPORT_GRPC;
    bool ok =
        add(r, STR("content-type"), grpc ? STR("application/grpc") : STR("application/x-protobuf"));

    if (o->gzip)
        ok = ok && add(r, grpc ? STR("grpc-encoding") : STR("content-encoding"), STR("gzip"));
    if (grpc)
        ok = ok && add_grpc_timeout(r, o->timeout);
    ok = ok && add(r, STR("b3"), STR("0"));
    for (size_t i = 0; i < o->n_headers; i++)
        ok = ok && add(r, o->headers[i].name, o->headers[i].value);
    return ok;
}

/* A window of 15 bits, and 16 for gzip's own header. The fast level: spans repeat themselves. */
static bool start_gzip(struct otlp_request *r)
{
    r->gzip =
        deflateInit2(&r->deflate, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    return r->gzip;
}

bool otlp_request_init(struct otlp_request *r, const struct exporter_options *options,
                       const struct resource *resource)
{
    *r = (struct otlp_request){
        .kind = options->kind == EXPORTER_OTLP_GRPC ? TRANSPORT_GRPC : TRANSPORT_HTTP,
        .path = options->path,
    };
    if (r->kind == TRANSPORT_GRPC)
        r->path = STR("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    else if (r->path.n == 0)
        r->path = STR("/v1/traces");
    arena_init(&r->arena, 0, 0);
    buffer_init(&r->compressed, 0);
    return envelope_init(&r->envelope, resource) && add_headers(r, options) &&
           (!options->gzip || start_gzip(r));
}

void otlp_request_release(struct otlp_request *r)
{
    if (r->gzip)
        deflateEnd(&r->deflate);
    buffer_release(&r->compressed);
    envelope_release(&r->envelope);
    arena_release(&r->arena);
}

size_t otlp_request_room(const struct otlp_request *r)
{
    return FRAME_BYTES + envelope_room(&r->envelope);
}

static void put_frame(char *at, bool compressed, size_t n)
{
    unsigned char frame[FRAME_BYTES] = {compressed, (unsigned char)(n >> 24),
                                        (unsigned char)(n >> 16), (unsigned char)(n >> 8),
                                        (unsigned char)n};
    memcpy(at, frame, sizeof(frame));
}

/* Leaves room for the frame in front. False: no memory. */
static bool compress_message(struct otlp_request *r, struct str message)
{
    z_stream *z = &r->deflate;
    size_t room = deflateBound(z, message.n);

    buffer_reset(&r->compressed);
    if (deflateReset(z) != Z_OK || !buffer_reserve(&r->compressed, FRAME_BYTES + room))
        return false;
    z->next_in = (unsigned char *)message.p;
    z->avail_in = (uInt)message.n;
    z->next_out = (unsigned char *)r->compressed.p + FRAME_BYTES;
    z->avail_out = (uInt)room;
    if (deflate(z, Z_FINISH) != Z_STREAM_END)
        return false;
    r->compressed.n = FRAME_BYTES + room - z->avail_out;
    return true;
}

struct str otlp_request_body(struct otlp_request *r, struct batch *b)
{
    size_t room = otlp_request_room(r);
    char *spans = b->bytes.p + room;
    size_t n_spans_bytes = b->bytes.n - room;
    size_t before = envelope_put(&r->envelope, spans, n_spans_bytes);
    struct str message = {spans - before, before + n_spans_bytes};

    if (r->gzip) {
        if (!compress_message(r, message))
            return (struct str){0};
        message = str_of(r->compressed.p + FRAME_BYTES, r->compressed.n - FRAME_BYTES);
    }
    if (r->kind == TRANSPORT_GRPC) { /* there is room for it in front of either */
        message = str_of(message.p - FRAME_BYTES, message.n + FRAME_BYTES);
        put_frame((char *)message.p, r->gzip, message.n - FRAME_BYTES);
    }
    return message;
}
