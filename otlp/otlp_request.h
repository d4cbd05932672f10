/*
 * A batch as the request that carries it: envelope, gzip, gRPC's frame, and
 * the headers, which are the same for all requests of an exporter.
 */
#ifndef SIDESPAN_OTLP_OTLP_REQUEST_H
#define SIDESPAN_OTLP_OTLP_REQUEST_H

#include <zlib.h>

#include "base/headers.h"
#include "otlp/batch.h"
#include "otlp/exporter.h"

/* What collectors take at most, unless they are told otherwise. */
enum { OTLP_REQUEST_BYTES_MAX = 4 * 1024 * 1024 };

struct otlp_request {
    enum transport_kind kind;
    struct str path;
    struct headers headers; /* in the arena */
    struct arena arena;
    struct envelope envelope;
    bool gzip;
    z_stream deflate; /* owned where gzip */
    struct buffer compressed;
};

/* Text of options is borrowed. False: no memory; otlp_request_release() takes it all the same. */
bool otlp_request_init(struct otlp_request *r, const struct exporter_options *options,
                       const struct resource *resource);
void otlp_request_release(struct otlp_request *r);
/* Bytes a batch keeps free in front of its spans. */
size_t otlp_request_room(const struct otlp_request *r);
/* The body, in the batch or in r: good until the batch goes or the next call. p NULL: no memory. */
struct str otlp_request_body(struct otlp_request *r, struct batch *b);

#endif
