/*
 * What the OpenTelemetry semantic conventions make of a span's facts: its
 * name, its status, its attributes (stable HTTP conventions, 1.44; those of RPC
 * under the names asked for). The one mapping that every exporter uses. All
 * text that comes out is valid UTF-8.
 *
 * Besides the conventions' own, a span has these:
 *
 *   sidespan.cluster         string  the cluster chosen
 *   sidespan.weight          int     of the arm chosen, of
 *   sidespan.weight_total    int     all arms: 90 of 100
 *   sidespan.fault           string  what was injected: "delay 2s for 10%; abort 503"
 *   sidespan.fault_delay     double  seconds, as drawn
 *   sidespan.ended_by        string  who ended it, where it did not end by itself: "client",
 *                                    "upstream", "sidecar" (an answer of its own too)
 *   sidespan.rule            string  by which rule of the sidecar: "connect-timeout"
 *   sidespan.refusal         string  the same of a request that was refused
 *   sidespan.pooled          bool    CLIENT: a kept connection was used (or a new one)
 *   sidespan.invalid_parent  bool    true: a trace context came in and could not be used
 *   sidespan.tunnel.received_bytes, sidespan.tunnel.sent_bytes
 *                            int     of a tunnel: from and to the client
 *
 *   sidespan.time.head       double  seconds until the request head was complete
 *   sidespan.time.fault              held back by an injected delay
 *   sidespan.time.queue              waiting for a place in the cluster
 *   sidespan.time.connect            until an upstream connection was had; pooled: next to nothing
 *   sidespan.time.send               until the request was sent whole
 *   sidespan.time.first_byte         from then until the response head was complete
 *   sidespan.time.body               from the response head to the end
 *
 * The times follow each other without gap or overlap: each runs from the end of
 * the last part that was reached, and those of a finished exchange add up to the
 * span's duration. A part that took no time is left out. A hop that fails amid
 * a part gives the rest of its duration to that part.
 */
#ifndef SIDESPAN_OTLP_CONVENTIONS_H
#define SIDESPAN_OTLP_CONVENTIONS_H

#include "base/buffer.h"
#include "base/semconv.h"
#include "otlp/span.h"

enum attribute_type {
    ATTRIBUTE_STRING,
    ATTRIBUTE_INT,
    ATTRIBUTE_DOUBLE,
    ATTRIBUTE_BOOL,
    ATTRIBUTE_STRINGS,
};
struct attribute {
    struct str key;
    enum attribute_type type;
    union {
        struct str string;
        int64_t integer;
        double number;
        bool boolean;
        struct {
            const struct str *v; /* of described_span.strings */
            size_t n;
        } strings;
    } value;
};
enum { ATTRIBUTES_MAX = 112 };

/* The numbers of opentelemetry.proto.trace.v1.Status.StatusCode. */
enum span_status { STATUS_UNSET = 0, STATUS_ERROR = 2 };

/* Keys are unique. */
struct described_span {
    struct str name;
    enum span_status status;
    struct str status_message; /* empty where the status code says it */
    size_t n;
    struct attribute v[ATTRIBUTES_MAX];
    struct str strings[SPAN_EXTRAS_MAX]; /* what arrays of strings point into */
};

/* What may be chosen of them; zeroed is the default. */
struct conventions {
    const struct str *redact_query; /* parameters besides the conventions' own: become REDACTED */
    size_t n_redact_query;
    enum semconv rpc;
};

/* A method that the conventions name; spans of any other are named "HTTP". */
bool span_method_known(struct str method);

/* Text that has to be made is put into scratch (reset first); the result points into it and into s.
 * Without memory for scratch, what would have to be made is left out. */
void span_describe(const struct span *s, const struct conventions *conventions,
                   struct buffer *scratch, struct described_span *out);

#endif
