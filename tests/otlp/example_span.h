/* A span as the request path leaves it, for tests to change. */
#ifndef SIDESPAN_TESTS_OTLP_EXAMPLE_SPAN_H
#define SIDESPAN_TESTS_OTLP_EXAMPLE_SPAN_H

#include <string.h>

#include "otlp/span.h"

static inline void example_address(struct address *a, const char *ip, uint16_t port)
{
    *a = (struct address){0};
    address_parse_ip(str_from(ip), a);
    a->port = port;
}

/* GET http://users.shop.local:8080/api/users/7?a=1, answered with 200. */
static inline void example_span(struct span *s, enum span_kind kind)
{
    span_init(s, kind, SPAN_HTTP);
    memset(s->trace_id.bytes, 0x11, sizeof(s->trace_id.bytes));
    memset(s->span_id.bytes, 0x22, sizeof(s->span_id.bytes));
    memset(s->parent_span_id.bytes, 0x33, sizeof(s->parent_span_id.bytes));
    s->flags = TRACE_FLAG_SAMPLED | TRACE_FLAG_RANDOM;
    s->parent_remote = true;
    s->http_version = 11;
    s->status = 200;
    s->start = SECONDS(1700000000) + 5;
    s->duration = MILLISECONDS(12);
    s->phase[PHASE_HEAD] = MILLISECONDS(1);
    s->phase[PHASE_CONNECTED] = MILLISECONDS(3);
    s->phase[PHASE_REQUEST] = MILLISECONDS(4);
    s->phase[PHASE_FIRST_BYTE] = MILLISECONDS(10);
    s->response_bytes = 128;
    example_address(&s->peer, "10.0.0.9", 40000);
    s->text[SPAN_METHOD] = STR("GET");
    s->text[SPAN_SCHEME] = STR("http");
    s->text[SPAN_AUTHORITY] = STR("users.shop.local:8080");
    s->text[SPAN_PATH] = STR("/api/users/7");
    s->text[SPAN_QUERY] = STR("a=1");
    s->text[SPAN_ROUTE] = STR("/api/users/{id}");
    s->text[SPAN_USER_AGENT] = STR("curl/8.0");
    s->text[SPAN_CLUSTER] = STR("users-v1");
}

#endif
