/*
 * How an exporter asks for bytes to be carried. proxy/ implements it with
 * sockets; tests implement it with arrays. All calls are of the telemetry
 * thread.
 */
#ifndef SIDESPAN_OTLP_TRANSPORT_H
#define SIDESPAN_OTLP_TRANSPORT_H

#include "base/clock.h"
#include "base/headers.h"
#include "base/str.h"

enum transport_kind {
    TRANSPORT_HTTP, /* POST over HTTP/1.1 */
    TRANSPORT_GRPC, /* a unary call over HTTP/2; the body is one framed message */
};

struct transport_request {
    struct str path;
    const struct headers *headers; /* content-type and so on; not host, length, te, user-agent */
    struct str body;               /* borrowed until done or cancel */
    nsec_t timeout;                /* from send to the end of the response */
};

enum transport_result {
    TRANSPORT_ANSWERED,
    TRANSPORT_CONNECT_FAILED,
    TRANSPORT_LOST, /* no answer, or not a whole one */
    TRANSPORT_TIMEOUT,
};

struct transport_response {
    enum transport_result result;
    int status;                     /* HTTP */
    const struct headers *headers;  /* NULL unless ANSWERED */
    const struct headers *trailers; /* gRPC; may be the headers of a trailers-only response */
    struct str body;                /* at most 4 MiB; with gRPC the framed message */
    char detail[160];               /* for the log: "connect to 127.0.0.1:4317: refused" */
};

/* Called once for each send that was not cancelled; never from within send(). What the response
 * points at goes when it returns. */
typedef void transport_done_fn(void *arg, const struct transport_response *response);

struct transport;
struct transport_ops {
    /* One request at a time. */
    void (*send)(struct transport *t, const struct transport_request *request,
                 transport_done_fn *done, void *arg);
    /* Ends what is under way; done is not called. */
    void (*cancel)(struct transport *t);
    void (*free)(struct transport *t);
};
struct transport {
    const struct transport_ops *ops;
};

#endif
