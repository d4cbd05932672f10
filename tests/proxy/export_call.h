/*
 * Calls of an export client in tests: one client, one loop, and what became of a
 * send. Who includes this provides the peer.
 */
#ifndef SIDESPAN_TESTS_PROXY_EXPORT_CALL_H
#define SIDESPAN_TESTS_PROXY_EXPORT_CALL_H

#include <arpa/inet.h>
#include <check.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "proxy/export_client.h"

struct outcome {
    unsigned times;
    enum transport_result result;
    int status;
    bool has_headers, has_trailers;
    char headers[1000], trailers[1000]; /* "name=value;" each */
    size_t body_n;
    char body[200]; /* the start of it */
    char detail[160];
};

struct exporting {
    struct event_base *base;
    struct resolver *resolver;
    struct export_config config;
    struct transport *client;
    struct arena arena;
    bool in_send;
};

static struct exporting exporting;

static void exporting_set_up(enum export_kind kind)
{
    struct error err = {0};

    signal(SIGPIPE, SIG_IGN);
    exporting = (struct exporting){.base = event_base_new()};
    arena_init(&exporting.arena, 0, 0);
    exporting.resolver = resolver_new(exporting.base, &err);
    ck_assert_msg(exporting.resolver != NULL, "%s", err.text);
    exporting.config =
        (struct export_config){.kind = kind, .authority = STR_INIT("collector:4317")};
}

static void exporting_tear_down(void)
{
    if (exporting.client)
        exporting.client->ops->free(exporting.client);
    resolver_free(exporting.resolver);
    event_base_free(exporting.base);
    arena_release(&exporting.arena);
}

/* The address to export to. */
static void exporting_to(const char *ip, uint16_t port)
{
    struct location *to = &exporting.config.to;

    ck_assert(address_parse_ip(str_from(ip), &to->address));
    to->address.port = port;
    to->text = arena_printf(&exporting.arena, "%s:%u", ip, port);
}

static inline void exporting_to_name(const char *name, uint16_t port)
{
    struct location *to = &exporting.config.to;

    to->address = (struct address){.port = port};
    to->name = str_from(name);
    to->text = arena_printf(&exporting.arena, "%s:%u", name, port);
}

static void on_done(void *arg, const struct transport_response *response);

static inline void write_fields(char *out, size_t room, const struct headers *h)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < h->n && n < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%.*s=%.*s;", STR_ARG(h->v[i].name),
                              STR_ARG(h->v[i].value));
}

static void on_done(void *arg, const struct transport_response *response)
{
    struct outcome *o = arg;
    size_t n = response->body.n < sizeof(o->body) - 1 ? response->body.n : sizeof(o->body) - 1;

    ck_assert_msg(!exporting.in_send, "done() from within send()");
    o->times++;
    o->result = response->result;
    o->status = response->status;
    o->has_headers = response->headers != NULL;
    o->has_trailers = response->trailers != NULL;
    if (response->headers)
        write_fields(o->headers, sizeof(o->headers), response->headers);
    if (response->trailers)
        write_fields(o->trailers, sizeof(o->trailers), response->trailers);
    o->body_n = response->body.n;
    if (n)
        memcpy(o->body, response->body.p, n);
    o->body[n] = '\0';
    snprintf(o->detail, sizeof(o->detail), "%s", response->detail);
}

static struct transport *exporting_client(void)
{
    struct error err = {0};

    if (!exporting.client)
        exporting.client =
            export_client_new(exporting.base, exporting.resolver, &exporting.config, &err);
    ck_assert_msg(exporting.client != NULL, "%s", err.text);
    return exporting.client;
}

static void begin(struct str path, struct str body, nsec_t timeout, struct outcome *o)
{
    static struct header fields[] = {
        {STR_INIT("Content-Type"), STR_INIT("application/x-protobuf"), HEADER_CONTENT_TYPE},
        {STR_INIT("X-Tenant"), STR_INIT("shop"), HEADER_OTHER},
        {STR_INIT("x-broken"), STR_INIT("a\r\nb: c"), HEADER_OTHER},
    };
    struct headers headers = {.v = fields, .n = 3, .cap = 3};
    struct transport_request request = {path, &headers, body, timeout};
    struct transport *client = exporting_client();

    *o = (struct outcome){0};
    exporting.in_send = true;
    client->ops->send(client, &request, on_done, o);
    exporting.in_send = false;
    headers.v = NULL; /* only the body is borrowed */
}

static void wait_for(const struct outcome *o)
{
    while (!o->times)
        ck_assert_int_eq(event_base_loop(exporting.base, EVLOOP_ONCE), 0);
}

static struct outcome send_body(struct str body)
{
    struct outcome o;

    begin(STR("/v1/traces"), body, SECONDS(5), &o);
    wait_for(&o);
    return o;
}

static struct outcome send_hello(void)
{
    return send_body(STR("hello"));
}

/* Lets what is under way happen. */
static inline void run_for(nsec_t time)
{
    struct timeval tv = {.tv_sec = time / SECONDS(1), .tv_usec = time % SECONDS(1) / 1000};

    event_base_loopexit(exporting.base, &tv);
    event_base_dispatch(exporting.base);
}

static inline void expect_answered(struct outcome o, int status)
{
    ck_assert_msg(o.result == TRANSPORT_ANSWERED, "%s", o.detail);
    ck_assert_int_eq(o.status, status);
    ck_assert_uint_eq(o.times, 1);
}

/* words: what the detail says. */
static inline void expect_ended(struct outcome o, enum transport_result as, const char *words)
{
    ck_assert_msg(o.result == as, "%d %s", o.result, o.detail);
    ck_assert_msg(strstr(o.detail, words) != NULL, "%s", o.detail);
    ck_assert_uint_eq(o.times, 1);
    ck_assert(!o.has_headers);
}

/* A listener on loopback; its port into *port. */
static struct evconnlistener *listen_on(const char *ip, evconnlistener_cb fn, uint16_t *port)
{
    struct address a;
    struct sockaddr_storage sa;
    socklen_t len;

    ck_assert(address_parse_ip(str_from(ip), &a));
    ck_assert(address_to_sockaddr(&a, &sa, &len));
    struct evconnlistener *l = evconnlistener_new_bind(
        exporting.base, fn, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16,
        (struct sockaddr *)&sa, (int)len);
    if (!l)
        return NULL;
    len = sizeof(sa);
    getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&sa, &len);
    ck_assert(address_from_sockaddr((struct sockaddr *)&sa, len, &a));
    *port = a.port;
    return l;
}

#endif
