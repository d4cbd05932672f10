#include "proxy/metrics_rpc.h"
#include "proxy/metrics_tcp.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grpc_status.h"
#include "mesh/config.h"

static struct metrics *a, *b;
static struct buffer text;

static void setup(void)
{
    a = metrics_new();
    b = metrics_new();
    buffer_init(&text, 0);
}

static void teardown(void)
{
    metrics_free(a);
    metrics_free(b);
    buffer_release(&text);
}

static const char *print(void)
{
    struct metrics *both[] = {a, b};

    metrics_print(both, 2, &text);
    buffer_add_char(&text, '\0');
    ck_assert(!text.failed);
    return text.p;
}

static unsigned occurrences(const char *in, const char *what)
{
    unsigned n = 0;

    for (const char *at = strstr(in, what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

#define ck_assert_has(text, what) ck_assert_msg(strstr(text, what), "no %s in\n%s", what, text)

START_TEST(adds_up_the_workers)
{
    struct metrics *both[] = {a, b};

    metrics_add(a, COUNT_OPEN_INBOUND, 3);
    metrics_add(a, COUNT_OPEN_INBOUND, -1);
    metrics_add(b, COUNT_OPEN_INBOUND, 5);
    ck_assert_int_eq(metrics_total(both, 2, COUNT_OPEN_INBOUND), 7);
    ck_assert_has(print(), "\nsidespan_connections_open{direction=\"inbound\"} 7\n");
}
END_TEST

START_TEST(says_what_a_family_is_once)
{
    series_record(metrics_series(a, DIRECTION_INBOUND, STR("x")), 200, 0, 0, 0);
    series_record(metrics_series(b, DIRECTION_OUTBOUND, STR("y")), 200, 0, 0, 0);
    const char *out = print();

    for (const char *at = strstr(out, "# TYPE "); at; at = strstr(at + 1, "# TYPE ")) {
        char line[100];
        snprintf(line, sizeof(line), "%.*s ", (int)strcspn(at + 7, " "), at + 7);
        char type[120], help[120];
        snprintf(type, sizeof(type), "# TYPE %s", line);
        snprintf(help, sizeof(help), "# HELP %s", line);
        ck_assert_msg(occurrences(out, type) == 1, "%s", type);
        ck_assert_msg(occurrences(out, help) == 1, "%s", help);
    }
}
END_TEST

START_TEST(counts_requests_of_a_cluster_by_class)
{
    static const unsigned statuses[] = {200, 204, 301, 503, 0, 700};

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        series_record(metrics_series(i % 2 ? a : b, DIRECTION_OUTBOUND, STR("users")), statuses[i],
                      0, 10, 100);
    const char *out = print();
    ck_assert_has(out, "sidespan_requests_total{direction=\"outbound\",cluster=\"users\","
                       "route=\"\",status_class=\"2xx\"} 2\n");
    ck_assert_has(out, "status_class=\"3xx\"} 1\n");
    ck_assert_has(out, "status_class=\"5xx\"} 1\n");
    ck_assert_has(out, "status_class=\"none\"} 2\n");
    ck_assert_has(out, "sidespan_request_body_bytes_total{direction=\"outbound\","
                       "cluster=\"users\",route=\"\"} 60\n");
    ck_assert_has(out, "sidespan_response_body_bytes_total{direction=\"outbound\","
                       "cluster=\"users\",route=\"\"} 600\n");
}
END_TEST

START_TEST(a_cluster_without_requests_is_left_out)
{
    metrics_series(a, DIRECTION_OUTBOUND, STR("silent"));
    ck_assert_ptr_null(strstr(print(), "silent"));
}
END_TEST

START_TEST(keeps_directions_apart)
{
    struct series *in = metrics_series(a, DIRECTION_INBOUND, STR("users"));
    struct series *out = metrics_series(a, DIRECTION_OUTBOUND, STR("users"));

    ck_assert_ptr_ne(in, out);
    ck_assert_ptr_eq(in, metrics_series(a, DIRECTION_INBOUND, STR("users")));
}
END_TEST

START_TEST(a_histogram_is_cumulative_and_its_last_bucket_is_the_count)
{
    struct series *s = metrics_series(a, DIRECTION_INBOUND, STR("c"));

    series_record(s, 200, MILLISECONDS(5), 0, 0); /* the bound belongs to its bucket */
    series_record(s, 200, MILLISECONDS(6), 0, 0);
    series_record(s, 200, SECONDS(60), 0, 0);
    const char *out = print();
#define BUCKET                                                                                 \
    "sidespan_request_duration_seconds_bucket{direction=\"inbound\",cluster=\"c\",route=\"\"," \
    "le="
    ck_assert_has(out, BUCKET "\"0.005\"} 1\n");
    ck_assert_has(out, BUCKET "\"0.01\"} 2\n");
    ck_assert_has(out, BUCKET "\"2.5\"} 2\n");
    ck_assert_has(out, BUCKET "\"10\"} 2\n");
    ck_assert_has(out, BUCKET "\"+Inf\"} 3\n");
    ck_assert_has(out, "_seconds_count{direction=\"inbound\",cluster=\"c\",route=\"\"} 3\n");
    ck_assert_has(out, "_seconds_sum{direction=\"inbound\",cluster=\"c\",route=\"\"} 60.011000\n");
    ck_assert_uint_eq(occurrences(out, BUCKET), DURATION_BUCKETS + 1);
}
END_TEST

START_TEST(counts_refusals_by_rule)
{
    metrics_refused(a, "content-length-repeated");
    metrics_refused(a, "bare-lf");
    metrics_refused(b, "content-length-repeated");
    const char *out = print();
    ck_assert_has(out, "sidespan_refusals_total{rule=\"content-length-repeated\"} 2\n");
    ck_assert_has(out, "sidespan_refusals_total{rule=\"bare-lf\"} 1\n");
}
END_TEST

START_TEST(past_the_bound_of_rules_the_rest_is_other)
{
    static char names[REFUSAL_RULES_MAX + 10][20];

    for (int i = 0; i < REFUSAL_RULES_MAX + 10; i++) {
        snprintf(names[i], sizeof(names[i]), "rule-%d", i);
        metrics_refused(a, names[i]);
        metrics_refused(a, names[i]);
    }
    const char *out = print();
    ck_assert_has(out, "sidespan_refusals_total{rule=\"rule-127\"} 2\n");
    ck_assert_ptr_null(strstr(out, "rule-128"));
    ck_assert_has(out, "sidespan_refusals_total{rule=\"other\"} 20\n");
}
END_TEST

START_TEST(past_the_bound_of_clusters_the_rest_is_other)
{
    char name[16];

    for (int i = 0; i < SERIES_MAX + 10; i++) {
        snprintf(name, sizeof(name), "c%d", i);
        series_record(metrics_series(a, DIRECTION_INBOUND, str_from(name)), 200, 0, 0, 0);
    }
    ck_assert_ptr_eq(metrics_series(a, DIRECTION_INBOUND, STR("new")),
                     metrics_series(a, DIRECTION_INBOUND, STR("newer")));
    const char *out = print();
    ck_assert_has(out, "cluster=\"c511\",route=\"\",status_class=\"2xx\"} 1\n");
    ck_assert_ptr_null(strstr(out, "cluster=\"c512\""));
    ck_assert_has(out, "cluster=\"other\",route=\"\",status_class=\"2xx\"} 10\n");
}
END_TEST

static void serve(struct metrics *m, const char *cluster, const char *route)
{
    struct series *s = metrics_series(m, DIRECTION_INBOUND, str_from(cluster));

    series_record(metrics_route_series(m, s, str_from(route)), 200, 0, 0, 0);
}

START_TEST(requests_are_counted_by_their_route)
{
    serve(a, "users", "/api/users/{id}");
    serve(b, "users", "/api/users/{id}");
    serve(a, "users", "= /login");
    serve(a, "users-v2", "/api/users/{id}");
    serve(a, "users", "");
    const char *out = print();
    ck_assert_has(out, "_total{direction=\"inbound\",cluster=\"users\",route=\"/api/users/{id}\","
                       "status_class=\"2xx\"} 2\n");
    ck_assert_has(out, "cluster=\"users\",route=\"= /login\",status_class=\"2xx\"} 1\n");
    ck_assert_has(out, "cluster=\"users-v2\",route=\"/api/users/{id}\",status_class=\"2xx\"} 1\n");
    ck_assert_has(out, "cluster=\"users\",route=\"\",status_class=\"2xx\"} 1\n");
    ck_assert_has(out, "_seconds_count{direction=\"inbound\",cluster=\"users\","
                       "route=\"/api/users/{id}\"} 2\n");
}
END_TEST

static int count_of(const char *out, const char *cluster, const char *route)
{
    char line[128];

    snprintf(line, sizeof line, "cluster=\"%s\",route=\"%s\",status_class=\"2xx\"} ", cluster,
             route);
    const char *at = strstr(out, line);
    return at ? atoi(at + strlen(line)) : 0;
}

START_TEST(a_label_may_lie_where_another_lay)
{
    char label[16];

    for (int i = 0; i < 6; i++) {
        snprintf(label, sizeof label, "/r%d", i % 3);
        serve(a, i < 3 ? "users" : "orders", label);
        serve(a, "users", label);
    }
    const char *out = print();
    for (int i = 0; i < 3; i++) {
        snprintf(label, sizeof label, "/r%d", i);
        ck_assert_int_eq(count_of(out, "users", label), 3);
        ck_assert_int_eq(count_of(out, "orders", label), 1);
    }
}
END_TEST

START_TEST(past_the_bound_of_routes_the_rest_of_a_cluster_is_other)
{
    char name[16];

    for (int i = 0; i < ROUTE_SERIES_MAX + 10; i++) {
        snprintf(name, sizeof(name), "/r%d", i);
        serve(a, "c", name);
    }
    serve(a, "d", "/new");
    serve(a, "d", "other"); /* of a route that the configuration has no label for */
    const char *out = print();
    ck_assert_has(out, "route=\"/r1023\",status_class=\"2xx\"} 1\n");
    ck_assert_ptr_null(strstr(out, "route=\"/r1024\""));
    ck_assert_has(out, "cluster=\"c\",route=\"other\",status_class=\"2xx\"} 10\n");
    ck_assert_has(out, "cluster=\"d\",route=\"other\",status_class=\"2xx\"} 2\n");
}
END_TEST

START_TEST(clusters_and_routes_past_their_bounds_are_all_there)
{
    struct metrics *both[] = {a, b};
    char name[16];

    for (int w = 0; w < 2; w++)
        for (int i = 0; i < SERIES_MAX + 1; i++) {
            snprintf(name, sizeof(name), "c%d", i);
            for (int r = 0; r < 4; r++)
                serve(both[w], name, (const char *[]){"", "/a", "/b", "/c"}[r]);
        }
    const char *out = print();
    unsigned total = 0;

    for (const char *at = strstr(out, "status_class=\"2xx\"} "); at;
         at = strstr(at + 1, "status_class=\"2xx\"} "))
        total += (unsigned)atoi(at + strlen("status_class=\"2xx\"} "));
    ck_assert_uint_eq(total, 2 * 4 * (SERIES_MAX + 1));
}
END_TEST

START_TEST(a_label_cannot_break_out_of_its_quotes)
{
    series_record(metrics_series(a, DIRECTION_INBOUND, STR("a\"b\\c\nd")), 200, 0, 0, 0);
    ck_assert_has(print(), "{direction=\"inbound\",cluster=\"a\\\"b\\\\c\\nd\",");
}
END_TEST

/* ---- calls of gRPC ---- */

static const char *print_rpc(enum semconv names)
{
    struct metrics *both[] = {a, b};

    buffer_reset(&text);
    metrics_rpc_print(both, 2, names, &text);
    buffer_add_char(&text, '\0');
    ck_assert(!text.failed);
    return text.p;
}

static void call(struct metrics *m, unsigned direction, const char *path, unsigned status,
                 nsec_t duration)
{
    metrics_rpc_record(m, metrics_series(m, direction, STR("users")), str_from(path), status,
                       duration);
}

START_TEST(calls_are_told_by_the_old_names)
{
    call(a, DIRECTION_INBOUND, "/shop.Users/Get", GRPC_OK, MILLISECONDS(5));
    call(b, DIRECTION_INBOUND, "/shop.Users/Get", GRPC_OK, MILLISECONDS(2600));
    call(b, DIRECTION_INBOUND, "/shop.Users/Get", GRPC_NOT_FOUND, SECONDS(60));
    call(b, DIRECTION_OUTBOUND, "/shop.Users/Get", 99, 0);
    const char *out = print_rpc(SEMCONV_OLD);
#define OLD_LABELS                                                                          \
    "{cluster=\"users\",rpc_system=\"grpc\",rpc_service=\"shop.Users\",rpc_method=\"Get\"," \
    "rpc_grpc_status_code="
    ck_assert_has(out, "# TYPE rpc_server_duration_seconds histogram\n");
    ck_assert_has(out, "rpc_server_duration_seconds_bucket" OLD_LABELS "\"0\",le=\"0.005\"} 1\n");
    ck_assert_has(out, OLD_LABELS "\"0\",le=\"2.5\"} 1\n");
    ck_assert_has(out, OLD_LABELS "\"0\",le=\"5\"} 2\n");
    ck_assert_has(out, OLD_LABELS "\"0\",le=\"+Inf\"} 2\n");
    ck_assert_has(out, "rpc_server_duration_seconds_sum" OLD_LABELS "\"0\"} 2.605000\n");
    ck_assert_has(out, "rpc_server_duration_seconds_count" OLD_LABELS "\"0\"} 2\n");
    ck_assert_has(out, "rpc_server_duration_seconds_count" OLD_LABELS "\"5\"} 1\n");
    ck_assert_has(out, "rpc_client_duration_seconds_count" OLD_LABELS "\"99\"} 1\n");
    ck_assert_ptr_null(strstr(out, "seconds_bucket{cluster=\"users\",rpc_system_name"));
    ck_assert_ptr_null(strstr(out, "call_duration"));
}
END_TEST

START_TEST(calls_are_told_by_the_new_names)
{
    call(a, DIRECTION_INBOUND, "/shop.Users/Get", GRPC_OK, MILLISECONDS(5));
    call(b, DIRECTION_OUTBOUND, "/shop.Users/Get", GRPC_NOT_FOUND, SECONDS(60));
    call(b, DIRECTION_OUTBOUND, "/shop.Users/Get", 99, 0);
    const char *out = print_rpc(SEMCONV_NEW);
#define NEW_LABELS                                                               \
    "{cluster=\"users\",rpc_system_name=\"grpc\",rpc_method=\"shop.Users/Get\"," \
    "rpc_response_status_code="
    ck_assert_has(out, "# TYPE rpc_client_call_duration_seconds histogram\n");
    ck_assert_has(out,
                  "rpc_server_call_duration_seconds_bucket" NEW_LABELS "\"OK\",le=\"0.005\"} 1\n");
    ck_assert_has(out,
                  "rpc_client_call_duration_seconds_sum" NEW_LABELS "\"NOT_FOUND\"} 60.000000\n");
    ck_assert_has(out, "rpc_client_call_duration_seconds_count" NEW_LABELS "\"99\"} 1\n");
    ck_assert_ptr_null(strstr(out, "milliseconds"));
}
END_TEST

START_TEST(calls_are_told_by_both_names)
{
    call(a, DIRECTION_INBOUND, "/shop.Users/Get", GRPC_OK, 0);
    const char *out = print_rpc(SEMCONV_BOTH);
    ck_assert_has(out, "rpc_server_duration_seconds_count" OLD_LABELS "\"0\"} 1\n");
    ck_assert_has(out, "rpc_server_call_duration_seconds_count" NEW_LABELS "\"OK\"} 1\n");
    ck_assert_ptr_null(strstr(out, "rpc_client"));
}
END_TEST

START_TEST(without_calls_nothing_is_told_of_them)
{
    ck_assert_str_eq(print_rpc(SEMCONV_BOTH), "");
}
END_TEST

START_TEST(a_path_that_is_no_method_is_other)
{
    call(a, DIRECTION_INBOUND, "/etc/passwd/..", GRPC_UNIMPLEMENTED, 0);
    call(a, DIRECTION_INBOUND, "/a\"b/c", GRPC_UNIMPLEMENTED, 0);
    call(b, DIRECTION_INBOUND, "", GRPC_UNIMPLEMENTED, 0);
    const char *out = print_rpc(SEMCONV_BOTH);
    ck_assert_has(out, "seconds_count{cluster=\"users\",rpc_system=\"grpc\","
                       "rpc_method=\"_OTHER\",rpc_grpc_status_code=\"12\"} 3\n");
    ck_assert_has(out, "seconds_count{cluster=\"users\",rpc_system_name=\"grpc\","
                       "rpc_method=\"_OTHER\",rpc_response_status_code=\"UNIMPLEMENTED\"} 3\n");
}
END_TEST

START_TEST(clusters_are_kept_apart)
{
    call(a, DIRECTION_OUTBOUND, "/S/m", GRPC_OK, 0);
    metrics_rpc_record(a, metrics_series(a, DIRECTION_OUTBOUND, STR("carts")), STR("/S/m"), GRPC_OK,
                       0);
    const char *out = print_rpc(SEMCONV_NEW);
    ck_assert_has(out, "seconds_count{cluster=\"carts\",");
    ck_assert_has(out, "seconds_count{cluster=\"users\",");
}
END_TEST

static void call_made_up(int i, unsigned status)
{
    char path[32];

    snprintf(path, sizeof(path), "/made.Up/M%d", i);
    call(a, DIRECTION_INBOUND, path, status, 0);
}

START_TEST(made_up_methods_leave_room_for_those_that_exist)
{
    for (int i = 0; i < 2 * RPC_SETS_MAX; i++)
        call_made_up(i, GRPC_UNAUTHENTICATED);
    call(a, DIRECTION_INBOUND, "/shop.Users/Get", GRPC_INTERNAL, 0); /* not known to be one yet */
    call(a, DIRECTION_INBOUND, "/shop.Users/Get", GRPC_OK, 0);
    call(a, DIRECTION_INBOUND, "/shop.Users/Get", GRPC_INTERNAL, 0);
    call(b, DIRECTION_OUTBOUND, "/shop.Users/Get", GRPC_INTERNAL, 0);
    const char *out = print_rpc(SEMCONV_OLD);
    ck_assert_uint_eq(occurrences(out, "_count{cluster=\"users\",rpc_system=\"grpc\","
                                       "rpc_service=\"made.Up\""),
                      RPC_SETS_MAX / 2);
    ck_assert_has(out, "server_duration_seconds_count" OLD_LABELS "\"0\"} 1\n");
    ck_assert_has(out, "server_duration_seconds_count" OLD_LABELS "\"13\"} 1\n");
    ck_assert_has(out, "server_duration_seconds_count{otel_metric_overflow=\"true\"} 1537\n");
    ck_assert_ptr_null(strstr(out, "client_duration_seconds_count{otel"));
}
END_TEST

START_TEST(past_the_bound_of_methods_the_rest_of_a_direction_is_one)
{
    for (int i = 0; i < RPC_SETS_MAX + 10; i++)
        call_made_up(i, GRPC_OK);
    call(a, DIRECTION_OUTBOUND, "/S/m", GRPC_OK, 0);
    for (int i = 0; i < RPC_SETS_MAX + 10; i++)
        call_made_up(i, GRPC_OK);
    const char *out = print_rpc(SEMCONV_NEW);
    ck_assert_uint_eq(occurrences(out, "_count{cluster="), RPC_SETS_MAX);
    ck_assert_has(out, "server_call_duration_seconds_count{otel_metric_overflow=\"true\"} 20\n");
    ck_assert_has(out, "client_call_duration_seconds_count{otel_metric_overflow=\"true\"} 1\n");
}
END_TEST

START_TEST(connections_are_counted_apart_from_requests)
{
    struct series *s = metrics_series(a, DIRECTION_OUTBOUND, STR("redis"));

    series_record_tcp(s, ENDED_BY_CLIENT, SECONDS(10), 3, 4);
    series_record_tcp(s, ENDED_BY_UPSTREAM, SECONDS(10) + 1, 30, 40);
    series_record_tcp(metrics_series(b, DIRECTION_OUTBOUND, STR("redis")), ENDED_BY_CLIENT,
                      SECONDS(100000), 0, 0);
    series_record_tcp(metrics_series(b, DIRECTION_INBOUND, STR("a")), ENDED_BY_SIDECAR, 0, 1, 2);
    const char *got = print();

    ck_assert_has(got, "sidespan_tcp_connections_total{direction=\"outbound\",cluster=\"redis\","
                       "ended_by=\"client\"} 2\n");
    ck_assert_has(got, "cluster=\"redis\",ended_by=\"upstream\"} 1\n");
    ck_assert_has(got, "cluster=\"a\",ended_by=\"sidecar\"} 1\n");
    ck_assert_has(got, "duration_seconds_bucket{direction=\"outbound\",cluster=\"redis\",le=\"1\"} "
                       "0\n");
    ck_assert_has(got, "cluster=\"redis\",le=\"10\"} 1\n");
    ck_assert_has(got, "cluster=\"redis\",le=\"86400\"} 2\n");
    ck_assert_has(got, "cluster=\"redis\",le=\"+Inf\"} 3\n");
    ck_assert_has(got, "duration_seconds_count{direction=\"outbound\",cluster=\"redis\"} 3\n");
    ck_assert_has(got,
                  "sidespan_tcp_received_bytes_total{direction=\"outbound\",cluster=\"redis\"} "
                  "33\n");
    ck_assert_has(got, "sidespan_tcp_sent_bytes_total{direction=\"outbound\",cluster=\"redis\"} "
                       "44\n");
    ck_assert_ptr_null(strstr(got, "sidespan_requests_total{"));
    ck_assert_uint_eq(occurrences(got, "# TYPE sidespan_tcp_connections_total"), 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metrics");
    TCase *t = tcase_create("metrics");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, adds_up_the_workers);
    tcase_add_test(t, connections_are_counted_apart_from_requests);
    tcase_add_test(t, says_what_a_family_is_once);
    tcase_add_test(t, counts_requests_of_a_cluster_by_class);
    tcase_add_test(t, a_cluster_without_requests_is_left_out);
    tcase_add_test(t, keeps_directions_apart);
    tcase_add_test(t, a_histogram_is_cumulative_and_its_last_bucket_is_the_count);
    tcase_add_test(t, counts_refusals_by_rule);
    tcase_add_test(t, past_the_bound_of_rules_the_rest_is_other);
    tcase_add_test(t, past_the_bound_of_clusters_the_rest_is_other);
    tcase_add_test(t, requests_are_counted_by_their_route);
    tcase_add_test(t, a_label_may_lie_where_another_lay);
    tcase_add_test(t, past_the_bound_of_routes_the_rest_of_a_cluster_is_other);
    tcase_add_test(t, clusters_and_routes_past_their_bounds_are_all_there);
    tcase_add_test(t, a_label_cannot_break_out_of_its_quotes);
    tcase_add_test(t, calls_are_told_by_the_old_names);
    tcase_add_test(t, calls_are_told_by_the_new_names);
    tcase_add_test(t, calls_are_told_by_both_names);
    tcase_add_test(t, without_calls_nothing_is_told_of_them);
    tcase_add_test(t, a_path_that_is_no_method_is_other);
    tcase_add_test(t, clusters_are_kept_apart);
    tcase_add_test(t, made_up_methods_leave_room_for_those_that_exist);
    tcase_add_test(t, past_the_bound_of_methods_the_rest_of_a_direction_is_one);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
