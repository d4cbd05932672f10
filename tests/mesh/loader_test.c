#include "loaded.h"
#include "mesh/route.h"

START_TEST(every_directive_of_a_whole_file_reaches_its_field)
{
    struct config *c =
        loaded("service checkout { namespace shop; version 1.4.2; instance i-7;\n"
               "  attribute deployment.environment.name production; attribute a \"b c\"; }\n"
               "inbound { listen :15006 transparent; listen 127.0.0.1:8080; x-forwarded off;\n"
               "  unmatched reject; timeout 30s; route / { to 127.0.0.1:3000; } }\n"
               "outbound { listen 127.0.0.1:15001 forward-proxy; route / { to original; } }\n"
               "limits { header-bytes 32k; headers 50; url-bytes 8k; body-bytes 10m; connections "
               "100; outbound-connections 70;\n"
               "  requests-per-connection 7; buffer-bytes 128k; memory 64m; streams 9; "
               "stream-window 512k;\n"
               "  connection-window 2m; }\n"
               "timeouts { header 1s; idle 2s; half-closed 11s; exchange-idle 3s; tunnel-idle 4s; "
               "tunnel-half-closed 14s; "
               "drain-delay 5s;\n"
               "  drain 6s; flush 7s; ping 8s; ping-timeout 9s;\n"
               "  keepalive 12s; keepalive-timeout 13s; }\n"
               "workers 3; admin 127.0.0.1:9901; log level debug; log format json;\n");

    ASSERT_STR(c->service.name, "checkout");
    ASSERT_STR(c->service.namespace_, "shop");
    ASSERT_STR(c->service.version, "1.4.2");
    ASSERT_STR(c->service.instance, "i-7");
    ck_assert_uint_eq(c->service.n_attributes, 2);
    ASSERT_STR(c->service.attributes[1].value, "b c");

    ck_assert(c->inbound.present && c->inbound.kind == DIRECTION_INBOUND);
    ck_assert_uint_eq(c->inbound.n_listens, 2);
    ck_assert(c->inbound.listens[0].any_address);
    ck_assert_int_eq(c->inbound.listens[0].mode, LISTEN_TRANSPARENT);
    ck_assert_uint_eq(c->inbound.listens[0].location.address.port, 15006);
    ck_assert(!c->inbound.listens[1].any_address);
    ck_assert_int_eq(c->inbound.listens[1].mode, LISTEN_PLAIN);
    ck_assert(!c->inbound.forwarded_headers);
    ck_assert_int_eq(c->inbound.unmatched, UNMATCHED_REJECT);
    ck_assert_int_eq(c->inbound.timeout, SECONDS(30));
    ck_assert_int_eq(c->outbound.listens[0].mode, LISTEN_FORWARD_PROXY);

    ck_assert_uint_eq(c->limits.header_bytes, 32 << 10);
    ck_assert_uint_eq(c->limits.headers, 50);
    ck_assert_uint_eq(c->limits.url_bytes, 8 << 10);
    ck_assert_uint_eq(c->limits.body_bytes, 10 << 20);
    ck_assert_uint_eq(c->limits.connections, 100);
    ck_assert_uint_eq(c->limits.inbound_connections, 100);
    ck_assert_uint_eq(c->limits.outbound_connections, 70);
    ck_assert_uint_eq(c->limits.requests_per_connection, 7);
    ck_assert_uint_eq(c->limits.buffer_bytes, 128 << 10);
    ck_assert_uint_eq(c->limits.memory, 64 << 20);
    ck_assert_uint_eq(c->limits.streams, 9);
    ck_assert_uint_eq(c->limits.stream_window, 512 << 10);
    ck_assert_uint_eq(c->limits.connection_window, 2 << 20);
    ck_assert_int_eq(c->timeouts.header, SECONDS(1));
    ck_assert_int_eq(c->timeouts.idle, SECONDS(2));
    ck_assert_int_eq(c->timeouts.half_closed, SECONDS(11));
    ck_assert_int_eq(c->timeouts.exchange_idle, SECONDS(3));
    ck_assert_int_eq(c->timeouts.tunnel_idle, SECONDS(4));
    ck_assert_int_eq(c->timeouts.tunnel_half_closed, SECONDS(14));
    ck_assert_int_eq(c->timeouts.drain_delay, SECONDS(5));
    ck_assert_int_eq(c->timeouts.drain, SECONDS(6));
    ck_assert_int_eq(c->timeouts.flush, SECONDS(7));
    ck_assert_int_eq(c->timeouts.ping, SECONDS(8));
    ck_assert_int_eq(c->timeouts.ping_timeout, SECONDS(9));
    ck_assert_int_eq(c->timeouts.keepalive, SECONDS(12));
    ck_assert_int_eq(c->timeouts.keepalive_timeout, SECONDS(13));
    ck_assert_uint_eq(c->workers, 3);
    ck_assert(c->admin.on && c->admin.location.address.port == 9901);
    ck_assert_int_eq(c->log_level, LOG_DEBUG);
    ck_assert(c->log_json);
    config_unref(c);
}
END_TEST

START_TEST(what_is_not_said_has_its_default)
{
    struct config *c = loaded("inbound { listen :8080; }");

    ck_assert_uint_eq(c->service.name.n, 0);
    ck_assert(c->inbound.forwarded_headers && !c->outbound.present);
    ck_assert_int_eq(c->inbound.unmatched, UNMATCHED_REJECT);
    ck_assert_int_eq(c->inbound.timeout, 0);
    ck_assert_uint_eq(c->workers, 0);
    ck_assert(c->admin.on);
    ASSERT_STR(c->admin.location.text, "127.0.0.1:15000");
    ck_assert(address_is_loopback(&c->admin.location.address));
    ck_assert_uint_eq(c->trace.n_exports, 1);
    ck_assert_int_eq(c->trace.exports[0].kind, EXPORT_MEMORY);
    ck_assert_uint_eq(c->trace.exports[0].memory_spans, 1000);
    ck_assert(!c->trace.said_export && !c->trace.said_sample && !c->trace.said_propagate);
    ck_assert(!c->trace.said_batch && c->trace.parent_based);
    ck_assert_int_eq(c->trace.root.kind, SAMPLE_ALWAYS);
    ck_assert_int_eq(c->trace.remote_sampled.kind, SAMPLE_ALWAYS);
    ck_assert_int_eq(c->trace.remote_not_sampled.kind, SAMPLE_NEVER);
    ck_assert_uint_eq(c->trace.propagators.n, propagators_default().n);
    config_unref(c);
}
END_TEST

/* ---- routes ---- */

START_TEST(a_route_has_all_that_its_lines_say)
{
    struct config *c = loaded(
        "outbound { listen :8080 transparent; host users.shop users:80 {\n"
        "  route /api/users/{id} {\n"
        "    match method GET HEAD; match header X-Canary ~ \"^y\"; match query v = 2;\n"
        "    to users weight 90; to 127.0.0.1:3000 weight 10; by cookie session;\n"
        "    fault delay 2s jitter 100ms for 10%; fault abort 503 when header x-test = 1 first 5;\n"
        "    fault reset for 0.1%;\n"
        "    timeout 5s; idle-timeout 1m;\n"
        "    set-header request x-a $(path id); remove-header response Server;\n"
        "    rewrite /v2/$(path id); rewrite-host users.internal; attribute team shop; } } }\n"
        "cluster users { endpoint users.shop:8080; }\n");
    struct route *r = c->outbound.hosts[0]->routes[0];

    ck_assert_uint_eq(c->outbound.hosts[0]->n_names, 2);
    ASSERT_STR(r->text, "/api/users/{id}");
    ASSERT_STR(r->template, "/api/users/{id}");
    ck_assert_uint_eq(r->at.line, 2);
    ck_assert_uint_eq(r->at.column, 3);
    ck_assert_uint_eq(r->n_matches, 3);
    ck_assert_uint_eq(r->matches[0].n_methods, 2);
    ck_assert_int_eq(r->matches[1].test, TEST_REGEX);
    ck_assert_ptr_nonnull(r->matches[1].regex);
    ASSERT_STR(r->matches[1].text, "header X-Canary ~ ^y");
    ASSERT_STR(r->matches[2].text, "query v = 2");

    ck_assert_int_eq(r->action, ACTION_FORWARD);
    ck_assert_uint_eq(r->n_targets, 2);
    ck_assert_uint_eq(r->total_weight, 100);
    ck_assert_ptr_eq(r->targets[0].cluster, config_cluster(c, STR("users")));
    ck_assert(r->targets[1].cluster->implicit);
    ASSERT_STR(r->targets[1].name, "127.0.0.1:3000");
    ck_assert(memcmp(&r->targets[0].salt, &r->targets[1].salt, sizeof(struct siphash_key)) != 0);
    ck_assert_int_eq(r->by, SPLIT_BY_COOKIE);
    ASSERT_STR(r->by_name, "session");

    ck_assert_uint_eq(r->n_faults, 3);
    ck_assert_int_eq(r->faults[0].delay, SECONDS(2));
    ck_assert_int_eq(r->faults[0].jitter, MILLISECONDS(100));
    ck_assert_uint_eq(r->faults[0].share, 1844674407370955161u);
    ASSERT_STR(r->faults[0].text, "delay 2s jitter 100ms for 10%");
    ck_assert_uint_eq(r->faults[1].status, 503);
    ck_assert_int_eq(r->faults[1].grpc_status, -1);
    ck_assert_uint_eq(r->faults[1].share, SHARE_ALWAYS);
    ASSERT_STR(r->faults[1].when->value, "1");
    ck_assert_uint_eq(r->faults[1].first, 5);
    ck_assert_uint_eq(atomic_load(r->faults[1].struck), 0);
    ASSERT_STR(r->faults[1].text, "abort 503 when header x-test = 1 first 5");
    ck_assert_int_eq(r->faults[2].kind, FAULT_RESET);

    ck_assert_int_eq(r->timeout, SECONDS(5));
    ck_assert_int_eq(r->idle_timeout, SECONDS(60));
    ck_assert_uint_eq(r->n_header_actions, 2);
    ck_assert(!r->header_actions[0].on_response && r->header_actions[1].on_response);
    ck_assert_ptr_nonnull(r->header_actions[0].value);
    ck_assert_ptr_null(r->header_actions[1].value);
    ck_assert_ptr_nonnull(r->rewrite);
    ck_assert_ptr_nonnull(r->rewrite_host);
    ASSERT_STR(r->attributes[0].key, "team");
    config_unref(c);
}
END_TEST

static const struct {
    const char *said, *text;
    unsigned status;
    int grpc_status;
} aborts[] = {
    {"grpc UNAVAILABLE", "abort grpc UNAVAILABLE", 503, 14},
    {"grpc 14 for 5%", "abort grpc UNAVAILABLE for 5%", 503, 14},
    {"grpc CANCELLED first 2", "abort grpc CANCELLED first 2", 499, 1},
    {"grpc 16", "abort grpc UNAUTHENTICATED", 401, 16},
    {"grpc DEADLINE_EXCEEDED when header x", "abort grpc DEADLINE_EXCEEDED when header x", 504, 4},
    {"503", "abort 503", 503, -1},
    {"404 for 5%", "abort 404 for 5%", 404, -1},
};

START_TEST(an_abort_has_a_status_and_perhaps_a_code_of_grpc)
{
    char text[200];

    snprintf(text, sizeof(text), "inbound { listen :80; route / { fault abort %s; to a:1; } }",
             aborts[_i].said);
    struct config *c = loaded(text);
    const struct fault *f = &c->inbound.routes[0]->faults[0];
    ck_assert_int_eq(f->kind, FAULT_ABORT);
    ck_assert_uint_eq(f->status, aborts[_i].status);
    ck_assert_int_eq(f->grpc_status, aborts[_i].grpc_status);
    ck_assert(str_eq(f->text, str_from(aborts[_i].text)));
    config_unref(c);
}
END_TEST

START_TEST(no_other_fault_has_a_code_of_grpc)
{
    struct config *c = loaded("inbound { listen :80; route / { fault delay 1s; fault reset;\n"
                              "to a:1; } }");

    ck_assert_int_eq(c->inbound.routes[0]->faults[0].grpc_status, -1);
    ck_assert_int_eq(c->inbound.routes[0]->faults[1].grpc_status, -1);
    config_unref(c);
}
END_TEST

static const struct {
    const char *words, *text, *template;
    enum pattern_kind kind;
    const char *grpc; /* its pattern; NULL: not of gRPC */
} paths[] = {
    {"/", "/", "", PATTERN_PREFIX, NULL},
    {"= /", "= /", "/", PATTERN_EXACT, NULL},
    {"/{rest*}", "/{rest*}", "/{rest*}", PATTERN_TEMPLATE, NULL},
    {"/api", "/api", "/api", PATTERN_PREFIX, NULL},
    {"= /api", "= /api", "/api", PATTERN_EXACT, NULL},
    {"/a/{id}", "/a/{id}", "/a/{id}", PATTERN_TEMPLATE, NULL},
    {"/a/{rest*}", "/a/{rest*}", "/a/{rest*}", PATTERN_TEMPLATE, NULL},
    {"~ ^/v[12]/", "~ ^/v[12]/", "", PATTERN_REGEX, NULL},
    {"~ \"^/v\\\\d{1,2}$\"", "~ ^/v\\d{1,2}$", "", PATTERN_REGEX, NULL},
    {"grpc shop.v1.Users", "grpc shop.v1.Users", "", PATTERN_PREFIX, "/shop.v1.Users/"},
    {"grpc shop.Users/Get", "grpc shop.Users/Get", "shop.Users/Get", PATTERN_EXACT,
     "/shop.Users/Get"},
    {"grpc _U2/_g3", "grpc _U2/_g3", "_U2/_g3", PATTERN_EXACT, "/_U2/_g3"},
    {"grpc\n  Users", "grpc Users", "", PATTERN_PREFIX, "/Users/"},
    {"= /grpc", "= /grpc", "/grpc", PATTERN_EXACT, NULL},
};

START_TEST(a_path_is_a_prefix_an_exact_one_a_template_an_expression_or_of_grpc)
{
    char text[200];

    snprintf(text, sizeof(text), "inbound { listen :80; route %s { respond 200; } }",
             paths[_i].words);
    struct config *c = loaded(text);
    const struct route *r = c->inbound.routes[0];
    ck_assert_int_eq(pattern_kind(r->pattern), paths[_i].kind);
    ck_assert(str_eq(r->text, str_from(paths[_i].text)));
    ck_assert(str_eq(r->template, str_from(paths[_i].template)));
    ck_assert(r->grpc == (paths[_i].grpc != NULL));
    if (paths[_i].grpc)
        ck_assert(str_eq(pattern_text(r->pattern), str_from(paths[_i].grpc)));
    config_unref(c);
}
END_TEST

START_TEST(a_name_takes_the_place_of_the_pattern)
{
    struct config *c = loaded("inbound { listen :80; route ~ ^/v { name /v; respond 200; } }");

    ASSERT_STR(c->inbound.routes[0]->template, "/v");
    ck_assert(c->inbound.routes[0]->named);
    config_unref(c);
    c = loaded("inbound { listen :80; route grpc a.B { name \"users of old\"; respond 200; } }");
    ASSERT_STR(c->inbound.routes[0]->template, "users of old");
    config_unref(c);
}
END_TEST

START_TEST(routes_inherit_the_timeout_of_their_direction_wherever_it_stands)
{
    struct config *c = loaded("inbound { listen :80; route /a { respond 200; }\n"
                              "route /b { respond 200; timeout 1s; }\n"
                              "route /c { respond 200; timeout none; }\n"
                              "host x { route / { respond 200; } } timeout 9s; }");

    ck_assert_int_eq(c->inbound.routes[0]->timeout, SECONDS(9));
    ck_assert_int_eq(c->inbound.routes[1]->timeout, SECONDS(1));
    ck_assert_int_eq(c->inbound.routes[2]->timeout, 0);
    ck_assert_int_eq(c->inbound.hosts[0]->routes[0]->timeout, SECONDS(9));
    config_unref(c);
}
END_TEST

START_TEST(an_address_written_twice_is_one_cluster)
{
    struct config *c = loaded("inbound { listen :80; route /a { to 127.0.0.1:3000; }\n"
                              "route /b { to 127.0.0.1:3000; to users.shop:80; }\n"
                              "route /c { to named; } }\n"
                              "cluster named { endpoint 127.0.0.1:3000; }");

    ck_assert_uint_eq(c->n_clusters, 3);
    ASSERT_STR(c->clusters[0]->name, "named");
    ck_assert_ptr_eq(c->inbound.routes[0]->targets[0].cluster,
                     c->inbound.routes[1]->targets[0].cluster);
    for (unsigned i = 0; i < c->n_clusters; i++)
        ck_assert_uint_eq(c->clusters[i]->index, i);
    ASSERT_STR(c->clusters[2]->endpoints[0].location.name, "users.shop");
    ck_assert_ptr_eq(config_cluster(c, STR("users.shop:80")), c->clusters[2]);
    ck_assert_ptr_null(config_cluster(c, STR("other")));
    config_unref(c);
}
END_TEST

START_TEST(answers_have_status_body_and_location)
{
    struct config *c = loaded("inbound { listen :80; route /a { respond 418 \"tea\\n\"; }\n"
                              "route /b { respond 204; }\n"
                              "route /c { redirect 308 https://x$(request-path); } }");
    struct route **r = c->inbound.routes;

    ck_assert_int_eq(r[0]->action, ACTION_RESPOND);
    ck_assert_uint_eq(r[0]->status, 418);
    ASSERT_STR(template_text(r[0]->body), "tea\n");
    ck_assert_ptr_null(r[1]->body);
    ck_assert_int_eq(r[2]->action, ACTION_REDIRECT);
    ck_assert_uint_eq(r[2]->status, 308);
    ck_assert(!template_is_literal(r[2]->location));
    config_unref(c);
}
END_TEST

START_TEST(routes_are_found_in_a_loaded_config)
{
    struct config *c = loaded("inbound { listen :80; host a { route /x { respond 201; } }\n"
                              "route /x { respond 202; } route / { respond 203; } }");
    struct headers none = {0};
    struct request r = {.method = STR("GET"), .authority = STR("a"), .headers = &none};
    struct route_choice found;

    r.path = STR("/x/1");
    ck_assert(route_find(&c->inbound, &r, &found));
    ck_assert_uint_eq(found.route->status, 201);
    r.authority = STR("b");
    ck_assert(route_find(&c->inbound, &r, &found));
    ck_assert_uint_eq(found.route->status, 202);
    r.path = STR("/y");
    ck_assert(route_find(&c->inbound, &r, &found));
    ck_assert_uint_eq(found.route->status, 203);
    config_unref(c);
}
END_TEST

static const struct {
    const char *inside;
    bool needs_request;
} targets[] = {
    {"", false},
    {"route / { to original; }", false},
    {"route /a { to original; fault delay 1s; }", false},
    {"route / { to 127.0.0.1:3000; }", true},
    {"route / { respond 200; }", true},
    {"host a { route / { to a:80; to original; } }", true},
    {"unmatched reject;", true},
};

START_TEST(a_connection_needs_a_request_where_a_rule_could_change_its_target)
{
    char text[200];

    snprintf(text, sizeof(text), "outbound { listen :80 transparent; %s }", targets[_i].inside);
    struct config *c = loaded(text);
    ck_assert(c->outbound.needs_request == targets[_i].needs_request);
    config_unref(c);
}
END_TEST

/* ---- clusters ---- */

START_TEST(a_cluster_has_endpoints_a_balance_and_a_pool)
{
    struct config *c = loaded(
        "inbound { listen :80; }\n"
        "cluster a { endpoint a.shop:80 weight 3; endpoint [::1]:81; balance least-request;\n"
        "  protocol h1; connect-timeout 1s; pool max 10 queue 2s idle 20s idle-max 5 requests 100; "
        "}\n"
        "cluster b { endpoint unix:/run/b.sock; pool requests 7; protocol h2; balance random; }\n"
        "cluster d { endpoint d.shop:80; }");
    const struct cluster *a = c->clusters[0], *b = c->clusters[1], *d = c->clusters[2];

    ck_assert_uint_eq(a->n_endpoints, 2);
    ck_assert_uint_eq(a->endpoints[0].weight, 3);
    ck_assert_uint_eq(a->endpoints[0].location.address.port, 80);
    ck_assert_uint_eq(a->endpoints[1].weight, 1);
    ck_assert_int_eq(a->endpoints[1].location.address.family, AF_INET6);
    ck_assert_int_eq(a->balance, BALANCE_LEAST_REQUEST);
    ck_assert_int_eq(a->protocol, PROTOCOL_H1);
    ck_assert_int_eq(a->connect_timeout, SECONDS(1));
    ck_assert_uint_eq(a->pool_max, 10);
    ck_assert_int_eq(a->pool_queue, SECONDS(2));
    ck_assert_int_eq(a->pool_idle, SECONDS(20));
    ck_assert_uint_eq(a->pool_idle_max, 5);
    ck_assert_uint_eq(a->pool_requests, 100);
    ck_assert_int_eq(d->balance, BALANCE_ROUND_ROBIN);
    ck_assert_int_eq(b->protocol, PROTOCOL_H2);
    ck_assert_int_eq(d->protocol, PROTOCOL_AUTO);
    ck_assert_uint_eq(b->pool_max, 0);
    ck_assert_int_eq(b->pool_queue, SECONDS(5));
    ck_assert_int_eq(b->balance, BALANCE_RANDOM);
    ck_assert_uint_eq(b->pool_requests, 7);
    ck_assert_int_eq(b->endpoints[0].location.address.family, AF_UNIX);
    config_unref(c);
}
END_TEST

/* ---- trace ---- */

static const struct {
    const char *url, *name, *authority, *path;
    enum export_kind kind;
    bool tls;
    unsigned port;
} urls[] = {
    {"grpc://collector:4317", "collector", "collector:4317", "", EXPORT_OTLP_GRPC, false, 4317},
    {"grpc://collector", "collector", "collector", "", EXPORT_OTLP_GRPC, false, 4317},
    {"grpcs://collector:443/", "collector", "collector:443", "", EXPORT_OTLP_GRPC, true, 443},
    {"http://collector", "collector", "collector", "/v1/traces", EXPORT_OTLP_HTTP, false, 4318},
    {"http://collector/", "collector", "collector", "/v1/traces", EXPORT_OTLP_HTTP, false, 4318},
    {"https://a.b:9/in?x=1", "a.b", "a.b:9", "/in?x=1", EXPORT_OTLP_HTTP, true, 9},
    {"http://127.0.0.1:80", "", "127.0.0.1:80", "/v1/traces", EXPORT_OTLP_HTTP, false, 80},
    {"http://[::1]", "", "[::1]", "/v1/traces", EXPORT_OTLP_HTTP, false, 4318},
};

START_TEST(the_url_of_a_collector_is_taken_apart)
{
    char text[200];

    snprintf(text, sizeof(text), "inbound { listen :80; } trace { export otlp %s; }", urls[_i].url);
    struct config *c = loaded(text);
    const struct export_config *e = &c->trace.exports[0];
    ck_assert(c->trace.said_export && c->trace.n_exports == 1);
    ck_assert_int_eq(e->kind, urls[_i].kind);
    ck_assert(e->tls == urls[_i].tls);
    ck_assert(str_eq(e->url, str_from(urls[_i].url)));
    ck_assert(str_eq(e->to.name, str_from(urls[_i].name)));
    ck_assert_uint_eq(e->to.address.port, urls[_i].port);
    ck_assert(str_eq(e->authority, str_from(urls[_i].authority)));
    ck_assert(str_eq(e->path, str_from(urls[_i].path)));
    ck_assert_int_eq(e->timeout, SECONDS(10));
    ck_assert(!e->gzip);
    config_unref(c);
}
END_TEST

START_TEST(exports_stand_side_by_side_with_their_own_blocks)
{
    struct config *c =
        loaded("inbound { listen :80; } trace {\n"
               "export otlp grpcs://a { compression gzip; header X-Key \"s 1\"; timeout 3s;\n"
               "  ca certs/ca.pem; certificate /own.pem; key own.key; }\n"
               "export console pretty; export memory 50; }");
    const struct export_config *e = c->trace.exports;

    ck_assert_uint_eq(c->trace.n_exports, 3);
    ck_assert(e[0].gzip && e[0].timeout == SECONDS(3));
    ASSERT_STR(e[0].headers[0].key, "x-key");
    ASSERT_STR(e[0].headers[0].value, "s 1");
    ASSERT_STR(e[0].ca, "certs/ca.pem");
    ASSERT_STR(e[0].certificate, "/own.pem");
    ASSERT_STR(e[0].key, "own.key");
    ck_assert(e[1].kind == EXPORT_CONSOLE && e[1].pretty);
    ck_assert(e[2].kind == EXPORT_MEMORY && e[2].memory_spans == 50);
    config_unref(c);
}
END_TEST

static const struct {
    const char *said;
    bool parent_based;
    enum sample_kind root, remote_sampled, remote_not_sampled;
    double ratio;
} samples[] = {
    {"sample always;", false, SAMPLE_ALWAYS, SAMPLE_ALWAYS, SAMPLE_NEVER, 1},
    {"sample never;", false, SAMPLE_NEVER, SAMPLE_ALWAYS, SAMPLE_NEVER, 1},
    {"sample ratio 10%;", true, SAMPLE_RATIO, SAMPLE_ALWAYS, SAMPLE_NEVER, 0.1},
    {"sample parent;", true, SAMPLE_ALWAYS, SAMPLE_ALWAYS, SAMPLE_NEVER, 1},
    {"sample parent { root ratio 50%; remote-sampled never; remote-not-sampled always; }", true,
     SAMPLE_RATIO, SAMPLE_NEVER, SAMPLE_ALWAYS, 0.5},
};

START_TEST(always_and_never_hold_for_all_and_ratio_for_new_traces)
{
    char text[200];

    snprintf(text, sizeof(text), "inbound { listen :80; } trace { %s }", samples[_i].said);
    struct config *c = loaded(text);
    const struct trace_config *t = &c->trace;
    ck_assert(t->said_sample && t->parent_based == samples[_i].parent_based);
    ck_assert_int_eq(t->root.kind, samples[_i].root);
    ck_assert_int_eq(t->remote_sampled.kind, samples[_i].remote_sampled);
    ck_assert_int_eq(t->remote_not_sampled.kind, samples[_i].remote_not_sampled);
    ck_assert_double_eq(t->root.ratio, samples[_i].ratio);
    config_unref(c);
}
END_TEST

START_TEST(what_is_recorded_and_sent_on_is_listed)
{
    struct config *c =
        loaded("inbound { listen :80; } trace { propagate x-trace-id tracecontext;\n"
               "batch { queue 10; size 5; delay 1ms; timeout 2ms; }\n"
               "redact query token key; redact query sig; capture request header X-User X-Team;\n"
               "capture response header X-Cache; }");
    const struct trace_config *t = &c->trace;

    ck_assert(t->said_propagate);
    ck_assert_uint_eq(t->propagators.n, 2);
    ck_assert_int_eq(t->propagators.v[0], PROPAGATOR_X_TRACE_ID);
    ck_assert_int_eq(t->propagators.v[1], PROPAGATOR_TRACECONTEXT);
    ck_assert(t->said_batch && t->batch.queue == 10 && t->batch.size == 5);
    ck_assert(t->batch.delay == MILLISECONDS(1) && t->batch.timeout == MILLISECONDS(2));
    ck_assert_uint_eq(t->n_redact_query, 3);
    ASSERT_STR(t->redact_query[2], "sig");
    ck_assert_uint_eq(t->n_capture_request, 2);
    ASSERT_STR(t->capture_request[1], "x-team");
    ASSERT_STR(t->capture_response[0], "x-cache");
    config_unref(c);
}
END_TEST

START_TEST(names_that_are_also_directives_may_be_arguments)
{
    struct config *c = loaded("inbound { listen :80; route / { match method GET\n\n POST;\n"
                              "attribute\n to\n name; respond 200; } }\n"
                              "trace { redact query\n token\n sample\n batch; }");

    ck_assert_uint_eq(c->trace.n_redact_query, 3);
    ASSERT_STR(c->inbound.routes[0]->attributes[0].value, "name");
    config_unref(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loader");
    TCase *tc = tcase_create("loader");
    SRunner *sr = srunner_create(s);

    tcase_add_test(tc, every_directive_of_a_whole_file_reaches_its_field);
    tcase_add_test(tc, what_is_not_said_has_its_default);
    tcase_add_test(tc, a_route_has_all_that_its_lines_say);
    tcase_add_loop_test(tc, an_abort_has_a_status_and_perhaps_a_code_of_grpc, 0, COUNT(aborts));
    tcase_add_test(tc, no_other_fault_has_a_code_of_grpc);
    tcase_add_loop_test(tc, a_path_is_a_prefix_an_exact_one_a_template_an_expression_or_of_grpc, 0,
                        COUNT(paths));
    tcase_add_test(tc, a_name_takes_the_place_of_the_pattern);
    tcase_add_test(tc, routes_inherit_the_timeout_of_their_direction_wherever_it_stands);
    tcase_add_test(tc, an_address_written_twice_is_one_cluster);
    tcase_add_test(tc, answers_have_status_body_and_location);
    tcase_add_test(tc, routes_are_found_in_a_loaded_config);
    tcase_add_loop_test(tc, a_connection_needs_a_request_where_a_rule_could_change_its_target, 0,
                        COUNT(targets));
    tcase_add_test(tc, a_cluster_has_endpoints_a_balance_and_a_pool);
    tcase_add_loop_test(tc, the_url_of_a_collector_is_taken_apart, 0, COUNT(urls));
    tcase_add_test(tc, exports_stand_side_by_side_with_their_own_blocks);
    tcase_add_loop_test(tc, always_and_never_hold_for_all_and_ratio_for_new_traces, 0,
                        COUNT(samples));
    tcase_add_test(tc, what_is_recorded_and_sent_on_is_listed);
    tcase_add_test(tc, names_that_are_also_directives_may_be_arguments);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
