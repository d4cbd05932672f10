#include "otlp/otlp_response.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/base64.h"
#include "base/grpc_status.h"
#include "otlp/percent.h"
#include "rpc_status.pb-c.h"
#include "trace_service.pb-c.h"

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse ExportResponse;

/* What is said of an answer fits in little; unpacking a long one would cost many times its size. */
enum { BODY_BYTES_MAX = 64 * 1024, DETAILS_BYTES_MAX = 8 * 1024, MESSAGE_BYTES_MAX = 200 };

static void say(struct otlp_outcome *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct otlp_outcome *out, const char *format, ...)
{
    size_t n = strlen(out->text);
    va_list args;

    va_start(args, format);
    vsnprintf(out->text + n, sizeof(out->text) - n, format, args);
    va_end(args);
}

/* The collector's own words, cut. */
static void quote(struct otlp_outcome *out, struct str message)
{
    if (message.n > 0)
        say(out, " (it says: %.*s)", STR_ARG(str_slice(message, 0, MESSAGE_BYTES_MAX)));
}

/* RFC 9110 section 5.6.7: the form to be sent, and the two that are only to be understood. */
static bool parse_date(struct str text, time_t *out)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %d %H:%M:%S %Y",
    };
    char ended[64];

    if (text.n == 0 || text.n >= sizeof(ended))
        return false;
    memcpy(ended, text.p, text.n);
    ended[text.n] = '\0';
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = {0};
        const char *end = strptime(ended, forms[i], &tm);
        if (end && *end == '\0') {
            *out = timegm(&tm);
            return true;
        }
    }
    return false;
}

/* A wait that was asked for in seconds, as far as the type goes. */
static nsec_t seconds_to_wait(int64_t seconds)
{
    int64_t most = INT64_MAX / SECONDS(1) / 2;
    return SECONDS(seconds < 0 ? 0 : seconds > most ? most : seconds);
}

nsec_t otlp_retry_after(const struct headers *fields)
{
    const struct header *after = headers_find(fields, HEADER_RETRY_AFTER);
    const struct header *date = headers_find_name(fields, STR("date"));
    uint64_t seconds;
    time_t until, now;

    if (!after)
        return 0;
    struct str value = str_trim_ows(after->value);
    if (str_to_u64(value, &seconds))
        return seconds_to_wait(seconds > INT64_MAX ? INT64_MAX : (int64_t)seconds);
    if (date && parse_date(value, &until) && parse_date(str_trim_ows(date->value), &now))
        return seconds_to_wait((int64_t)(until - now));
    return 0;
}

/* What the collector took, from the message of a successful answer. A message that cannot be read
 * is no reason to send the spans twice. */
static void read_partial_success(struct str message, struct otlp_outcome *out)
{
    if (message.n == 0 || message.n > BODY_BYTES_MAX)
        return;
    ExportResponse *response =
        opentelemetry__proto__collector__trace__v1__export_trace_service_response__unpack(
            NULL, message.n, (const uint8_t *)message.p);
    if (!response)
        return;
    if (response->partial_success) {
        int64_t rejected = response->partial_success->rejected_spans;
        out->rejected = rejected > 0 ? (uint64_t)rejected : 0;
        struct str why = str_from(response->partial_success->error_message);
        if (out->rejected)
            say(out, "rejected %llu spans", (unsigned long long)out->rejected);
        else if (why.n)
            say(out, "took the spans with a warning");
        quote(out, why);
    }
    opentelemetry__proto__collector__trace__v1__export_trace_service_response__free_unpacked(
        response, NULL);
}

/* RetryInfo says how long to wait; the delay may be longer than what is asked by chance. */
static bool read_retry_info(const Rpc__Any *detail, nsec_t *wait)
{
    struct str type = str_from(detail->type_url);

    if (!str_ends_nocase(type, STR("/google.rpc.RetryInfo")))
        return false;
    Rpc__RetryInfo *info = rpc__retry_info__unpack(NULL, detail->value.len, detail->value.data);
    if (!info)
        return false;
    *wait = 0;
    if (info->retry_delay) {
        int32_t nanos = info->retry_delay->nanos;
        *wait = seconds_to_wait(info->retry_delay->seconds) + (nanos > 0 ? nanos : 0);
    }
    rpc__retry_info__free_unpacked(info, NULL);
    return true;
}

/* grpc-status-details-bin: a google.rpc.Status in base64. True: it has a RetryInfo. */
static bool read_details(const struct headers *trailers, nsec_t *wait)
{
    const struct header *field = headers_find_name(trailers, STR("grpc-status-details-bin"));
    uint8_t bytes[DETAILS_BYTES_MAX];
    struct str rest, encoded;
    size_t n;

    if (!field)
        return false;
    rest = field->value;
    if (!str_next_member(&rest, &encoded) || encoded.n > DETAILS_BYTES_MAX ||
        !base64_decode(encoded, bytes, &n))
        return false;
    Rpc__Status *status = rpc__status__unpack(NULL, n, bytes);
    if (!status)
        return false;
    bool found = false;
    for (size_t i = 0; i < status->n_details && !found; i++)
        found = read_retry_info(status->details[i], wait);
    rpc__status__free_unpacked(status, NULL);
    return found;
}

/* By the number of the status. */
static const struct grpc_code {
    bool retry; /* RESOURCE_EXHAUSTED only with RetryInfo */
    const char *advice;
} grpc_codes[GRPC_STATUS_MAX + 1] = {
    {false, ""},
    {true, ""},
    {false, "is this an OTLP/gRPC port?"},
    {false, "see the collector's log"},
    {true, "it is slow"},
    {false, "is this an OTLP/gRPC port?"},
    {false, ""},
    {false, "check the credentials in the exporter's headers"},
    {false, "a request is larger than it takes (make batches smaller), or its quota is used up"},
    {false, ""},
    {true, ""},
    {true, ""},
    {false, "is this an OTLP/gRPC port, and does it take traces?"},
    {false, "see the collector's log"},
    {true, "it is starting, stopping or overloaded"},
    {true, ""},
    {false, "set the credentials in the exporter's headers"},
};

static const struct header *find_either(const struct transport_response *r, struct str name)
{
    const struct header *found = r->trailers ? headers_find_name(r->trailers, name) : NULL;
    return found || !r->headers ? found : headers_find_name(r->headers, name);
}

static void read_grpc_message(const struct transport_response *r, struct otlp_outcome *out)
{
    const struct header *message = find_either(r, STR("grpc-message"));
    char decoded[MESSAGE_BYTES_MAX];
    bool valid;

    if (!message)
        return;
    struct str encoded = str_slice(message->value, 0, sizeof(decoded));
    quote(out, str_of(decoded, percent_decode(encoded, decoded, &valid)));
}

/* A frame: whether it is compressed, the length in four bytes, the message. We never asked for
 * compression. */
static struct str unframe(struct str body)
{
    const unsigned char *p = (const unsigned char *)body.p;

    if (body.n < 5 || p[0] != 0)
        return (struct str){0};
    size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    return n <= body.n - 5 ? str_of(body.p + 5, n) : (struct str){0};
}

static void read_grpc(const struct transport_response *r, struct otlp_outcome *out)
{
    const struct header *status = find_either(r, STR("grpc-status"));
    uint64_t code = GRPC_UNKNOWN;

    if (!status)
        code = grpc_status_of_http((unsigned)r->status);
    else if (!str_to_u64(str_trim_ows(status->value), &code) || code > GRPC_STATUS_MAX)
        code = GRPC_UNKNOWN;
    if (status && code == 0) {
        out->verdict = OTLP_ACCEPTED;
        read_partial_success(unframe(r->body), out);
        return;
    }
    const struct grpc_code *row = &grpc_codes[code];
    bool asked = (r->trailers && read_details(r->trailers, &out->wait_at_least)) ||
                 (r->headers && read_details(r->headers, &out->wait_at_least));

    out->verdict =
        row->retry || (code == GRPC_RESOURCE_EXHAUSTED && asked) ? OTLP_RETRY : OTLP_REFUSED;
    say(out, "answered %s", grpc_status_name((unsigned)code));
    if (!status)
        say(out, " (HTTP %d without grpc-status)", r->status);
    read_grpc_message(r, out);
    if (row->advice[0])
        say(out, "; %s", row->advice);
}

static const struct http_code {
    int status;
    bool retry;
    const char *advice;
} http_codes[] = {
    {400, false, "the spans were not understood: is this an OTLP/HTTP port?"},
    {401, false, "set the credentials in the exporter's headers"},
    {403, false, "check the credentials in the exporter's headers"},
    {404, false, "check the path of the URL: OTLP/HTTP wants /v1/traces"},
    {405, false, "check the path of the URL: OTLP/HTTP wants /v1/traces"},
    {413, false, "a request is larger than it takes: make batches smaller"},
    {415, false, "it does not take protobuf over HTTP, or no gzip: is this an OTLP/HTTP port?"},
    {429, true, "it asks for fewer requests"},
    {502, true, "the proxy in front of it cannot reach it"},
    {503, true, "it is starting, stopping or overloaded"},
    {504, true, "the proxy in front of it waits for it in vain"},
};

static const struct http_code *find_http_code(int status)
{
    for (size_t i = 0; i < sizeof(http_codes) / sizeof(http_codes[0]); i++)
        if (http_codes[i].status == status)
            return &http_codes[i];
    return NULL;
}

static struct str content_type(const struct transport_response *r)
{
    const struct header *type = r->headers ? headers_find(r->headers, HEADER_CONTENT_TYPE) : NULL;
    if (!type)
        return (struct str){0};
    return str_trim_ows(str_slice(type->value, 0, str_index(type->value, ';', 0)));
}

/* The message of an error's body: google.rpc.Status, or plain text. */
static void quote_body(const struct transport_response *r, struct otlp_outcome *out)
{
    struct str type = content_type(r);

    if (str_eq_nocase(type, STR("text/plain"))) {
        quote(out, str_slice(r->body, 0, str_index(r->body, '\n', 0)));
        return;
    }
    if (!str_eq_nocase(type, STR("application/x-protobuf")) || r->body.n > BODY_BYTES_MAX)
        return;
    Rpc__Status *status = rpc__status__unpack(NULL, r->body.n, (const uint8_t *)r->body.p);
    if (!status)
        return;
    quote(out, str_from(status->message));
    rpc__status__free_unpacked(status, NULL);
}

/* A web server that says 200 to everything is no collector, but nothing says so for certain. */
static void read_http_success(const struct transport_response *r, struct otlp_outcome *out)
{
    struct str type = content_type(r);

    out->verdict = OTLP_ACCEPTED;
    if (str_eq_nocase(type, STR("application/x-protobuf")))
        read_partial_success(r->body, out);
    else if (str_eq_nocase(type, STR("text/html")))
        say(out, "answered HTTP %d with a web page; is this an OTLP/HTTP port?", r->status);
}

static void read_http(const struct transport_response *r, struct otlp_outcome *out)
{
    if (r->status >= 200 && r->status < 300) {
        read_http_success(r, out);
        return;
    }
    const struct http_code *row = find_http_code(r->status);
    out->verdict = row && row->retry ? OTLP_RETRY : OTLP_REFUSED;
    if (r->headers && (r->status == 429 || r->status == 503))
        out->wait_at_least = otlp_retry_after(r->headers);

    say(out, "answered HTTP %d", r->status);
    quote_body(r, out);
    const struct header *location =
        r->headers ? headers_find_name(r->headers, STR("location")) : NULL;
    if (r->status >= 300 && r->status < 400 && location)
        say(out, "; it is at %.*s", STR_ARG(str_slice(location->value, 0, MESSAGE_BYTES_MAX)));
    else if (row)
        say(out, "; %s", row->advice);
}

void otlp_response_read(enum transport_kind kind, const struct transport_response *response,
                        struct otlp_outcome *out)
{
    *out = (struct otlp_outcome){.verdict = OTLP_RETRY};
    switch (response->result) {
    case TRANSPORT_ANSWERED:
        if (kind == TRANSPORT_GRPC)
            read_grpc(response, out);
        else
            read_http(response, out);
        return;
    case TRANSPORT_CONNECT_FAILED:
        say(out, "%s%s", response->detail[0] ? response->detail : "cannot connect",
            strstr(response->detail, "refused") ? "; is a collector listening there?" : "");
        return;
    case TRANSPORT_LOST:
        say(out, "%s", response->detail[0] ? response->detail : "closed without a whole answer");
        return;
    case TRANSPORT_TIMEOUT:
        say(out, "%s", response->detail[0] ? response->detail : "gave no answer in time");
        return;
    }
}
