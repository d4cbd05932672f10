#include "proxy/environment.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The environment of a test: name, value, ..., NULL. */
static const char *const *variables;

static const char *get(const char *name)
{
    for (const char *const *v = variables; v && *v; v += 2)
        if (strcmp(v[0], name) == 0)
            return v[1];
    return NULL;
}

static struct config *config;
static struct sampler sampler;
static struct errors warnings;

static void teardown(void)
{
    config_unref(config);
    errors_release(&warnings);
    warnings = (struct errors){0};
    config = NULL;
}

/* The file's text and then the environment's. */
static void apply(const char *text, const char *const *environment)
{
    struct errors errors = {0};

    variables = environment;
    config = config_parse("t.conf", str_from(text), get, &errors);
    ck_assert_msg(config != NULL, "%s", errors.n ? errors.v[0].text : "?");
    errors_release(&errors);
    environment_apply(config, get, &sampler, &warnings);
}

#define ENV(...) ((const char *const[]){__VA_ARGS__, NULL})
#define PLAIN    "inbound { listen 127.0.0.1:0; route / { to 127.0.0.1:3000; } }"

#define ck_assert_text(text, literal)                                               \
    do {                                                                            \
        struct str text_ = (text), want_ = str_from(literal);                       \
        ck_assert_msg(str_eq(text_, want_), "%.*s instead of %.*s", STR_ARG(text_), \
                      STR_ARG(want_));                                              \
    } while (0)

static void expect_warning(const char *name)
{
    ck_assert_uint_eq(warnings.n, 1);
    ck_assert_str_eq(warnings.v[0].at.file, name);
}

/* ---- exporters ---- */

static const struct export_row {
    const char *traces_endpoint, *endpoint, *protocol, *insecure;
    enum export_kind kind;
    bool tls;
    const char *to, *path; /* to NULL: there is none, with a warning */
} export_rows[] = {
    /* the general endpoint is a base, joined with one slash */
    {"", "http://c:4318", "", "", EXPORT_OTLP_HTTP, false, "c:4318", "/v1/traces"},
    {"", "http://c:4318/", "", "", EXPORT_OTLP_HTTP, false, "c:4318", "/v1/traces"},
    {"", "http://c:4318/base", "", "", EXPORT_OTLP_HTTP, false, "c:4318", "/base/v1/traces"},
    {"", "http://c:4318/base/", "", "", EXPORT_OTLP_HTTP, false, "c:4318", "/base/v1/traces"},
    /* the one for traces is used as it is, and wins */
    {"http://t:9/x", "http://c:4318", "", "", EXPORT_OTLP_HTTP, false, "t:9", "/x"},
    {"http://t:9", "", "", "", EXPORT_OTLP_HTTP, false, "t:9", "/"},
    {"http://t:9/x/", "", "", "", EXPORT_OTLP_HTTP, false, "t:9", "/x/"},
    /* ports and schemes */
    {"", "http://c", "", "", EXPORT_OTLP_HTTP, false, "c:80", "/v1/traces"},
    {"", "https://c", "", "", EXPORT_OTLP_HTTP, true, "c:443", "/v1/traces"},
    {"", "HTTPS://c:1", "", "", EXPORT_OTLP_HTTP, true, "c:1", "/v1/traces"},
    {"", "http://[::1]:4318", "", "", EXPORT_OTLP_HTTP, false, "[::1]:4318", "/v1/traces"},
    {"", "http://[::1]", "", "", EXPORT_OTLP_HTTP, false, "[::1]:80", "/v1/traces"},
    /* gRPC: _INSECURE counts only without a scheme */
    {"", "http://c:4317", "grpc", "", EXPORT_OTLP_GRPC, false, "c:4317", ""},
    {"", "https://c:4317", "grpc", "true", EXPORT_OTLP_GRPC, true, "c:4317", ""},
    {"", "c:4317", "grpc", "", EXPORT_OTLP_GRPC, true, "c:4317", ""},
    {"", "c:4317", "grpc", "true", EXPORT_OTLP_GRPC, false, "c:4317", ""},
    {"", "c:4317", "GRPC", "True", EXPORT_OTLP_GRPC, false, "c:4317", ""},
    {"", "c:4317", "grpc", "false", EXPORT_OTLP_GRPC, true, "c:4317", ""},
    /* nothing is sent where it cannot be known */
    {"", "c:4318", "", "", EXPORT_OTLP_HTTP, false, NULL, NULL},
    {"", "ftp://c", "", "", EXPORT_OTLP_HTTP, false, NULL, NULL},
    {"", "http://", "", "", EXPORT_OTLP_HTTP, false, NULL, NULL},
    {"", "http://user:secret@c", "", "", EXPORT_OTLP_HTTP, false, NULL, NULL},
    {"", "http://c:99999", "", "", EXPORT_OTLP_HTTP, false, NULL, NULL},
    {"", "http://c/a?b", "", "", EXPORT_OTLP_HTTP, false, NULL, NULL},
};

START_TEST(an_endpoint_becomes_an_exporter)
{
    const struct export_row *row = &export_rows[_i];

    apply(PLAIN, ENV("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", row->traces_endpoint,
                     "OTEL_EXPORTER_OTLP_ENDPOINT", row->endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL",
                     row->protocol, "OTEL_EXPORTER_OTLP_INSECURE", row->insecure));
    const struct trace_config *t = &config->trace;
    if (!row->to) {
        ck_assert_uint_eq(t->n_exports, 1);
        ck_assert_int_eq(t->exports[0].kind, EXPORT_MEMORY);
        ck_assert_uint_eq(warnings.n, 1);
        ck_assert_ptr_null(strstr(warnings.v[0].text, "secret"));
        return;
    }
    ck_assert_uint_eq(warnings.n, 0);
    ck_assert_uint_eq(t->n_exports, 2);
    ck_assert_int_eq(t->exports[0].kind, row->kind);
    ck_assert_int_eq(t->exports[0].tls, row->tls);
    ck_assert_text(t->exports[0].to.text, row->to);
    ck_assert_text(t->exports[0].path, row->path);
    ck_assert_int_eq(t->exports[1].kind, EXPORT_MEMORY); /* GET /traces goes on to work */
    ck_assert_int_eq(t->exports[0].timeout, SECONDS(10));
}
END_TEST

START_TEST(without_variables_the_spans_stay_in_memory)
{
    apply(PLAIN, ENV("OTEL_EXPORTER_OTLP_HEADERS", "a=b"));
    ck_assert_uint_eq(config->trace.n_exports, 1);
    ck_assert_int_eq(config->trace.exports[0].kind, EXPORT_MEMORY);
    ck_assert_uint_eq(warnings.n, 0);
    ck_assert(sampler.parent_based);
    ck_assert_int_eq(sampler.root.kind, SAMPLER_ALWAYS_ON);
}
END_TEST

START_TEST(what_the_file_says_wins)
{
    apply(PLAIN "trace { export otlp http://f:4318; sample ratio 25%; propagate tracecontext;"
                " batch { size 7; } }",
          ENV("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", "OTEL_TRACES_SAMPLER", "always_off",
              "OTEL_PROPAGATORS", "baggage", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9",
              "OTEL_TRACES_EXPORTER", "none"));
    ck_assert_uint_eq(config->trace.n_exports, 1);
    ck_assert_text(config->trace.exports[0].to.text, "f:4318");
    ck_assert_int_eq(sampler.root.kind, SAMPLER_RATIO);
    ck_assert_uint_eq(config->trace.propagators.n, 1);
    ck_assert_int_eq(config->trace.propagators.v[0], PROPAGATOR_TRACECONTEXT);
    ck_assert_uint_eq(config->trace.batch.size, 7);
    ck_assert_uint_eq(warnings.n, 0);
}
END_TEST

START_TEST(how_it_is_sent_is_read_for_traces_before_all_signals)
{
    apply(PLAIN,
          ENV("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318", "OTEL_EXPORTER_OTLP_HEADERS",
              "authorization=Bearer%20abc%2C, x-two = 2 ", "OTEL_EXPORTER_OTLP_TIMEOUT", "1",
              "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500", "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip",
              "OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem", "OTEL_EXPORTER_OTLP_CLIENT_KEY",
              "/k.pem", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem"));
    const struct export_config *x = &config->trace.exports[0];

    ck_assert_uint_eq(warnings.n, 0);
    ck_assert_uint_eq(x->n_headers, 2);
    ck_assert_text(x->headers[0].key, "authorization");
    ck_assert_text(x->headers[0].value, "Bearer abc,");
    ck_assert_text(x->headers[1].key, "x-two");
    ck_assert_text(x->headers[1].value, "2");
    ck_assert_int_eq(x->timeout, MILLISECONDS(2500));
    ck_assert(x->gzip);
    ck_assert_text(x->ca, "/ca.pem");
    ck_assert_text(x->key, "/k.pem");
    ck_assert_text(x->certificate, "/c.pem");
    struct buffer shown = {.p = (char *)(uintptr_t)config->text.p, .n = config->text.n};
    ck_assert_ptr_nonnull(memmem(shown.p, shown.n, "# export otlp https://c:4318", 28));
    ck_assert_ptr_null(memmem(shown.p, shown.n, "Bearer", 6));
}
END_TEST

START_TEST(a_timeout_of_0_is_no_limit)
{
    apply(PLAIN, ENV("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", "OTEL_EXPORTER_OTLP_TIMEOUT", "0"));
    ck_assert_int_ge(config->trace.exports[0].timeout, SECONDS(3600));
}
END_TEST

static const struct exporter_row {
    const char *value;
    size_t n;
    enum export_kind first;
    bool warned;
} exporter_rows[] = {
    {"otlp", 2, EXPORT_OTLP_HTTP, false},         {"console", 2, EXPORT_CONSOLE, false},
    {"OTLP,console", 3, EXPORT_OTLP_HTTP, false}, {"none", 0, 0, false},
    {"none,console", 2, EXPORT_CONSOLE, true},    {"zipkin", 1, EXPORT_MEMORY, true},
    {"logging,otlp", 2, EXPORT_OTLP_HTTP, true},
};

START_TEST(the_exporters_are_those_that_are_named)
{
    const struct exporter_row *row = &exporter_rows[_i];

    apply(PLAIN, ENV("OTEL_TRACES_EXPORTER", row->value));
    ck_assert_uint_eq(config->trace.n_exports, row->n);
    if (row->n > 0)
        ck_assert_int_eq(config->trace.exports[0].kind, row->first);
    ck_assert_uint_eq(warnings.n, row->warned);
}
END_TEST

START_TEST(the_endpoint_of_an_exporter_that_is_named_has_a_default)
{
    apply(PLAIN, ENV("OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc",
                     "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"));
    ck_assert_text(config->trace.exports[0].to.text, "localhost:4317");
    ck_assert(!config->trace.exports[0].tls);
}
END_TEST

/* ---- values that cannot be used ---- */

static const struct bad_row {
    const char *name, *value;
} bad_rows[] = {
    {"OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"},
    {"OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"},
    {"OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT", "10s"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT", "-1"},
    {"OTEL_EXPORTER_OTLP_TIMEOUT", "2147483648"},
    {"OTEL_EXPORTER_OTLP_HEADERS", "no-value"},
    {"OTEL_EXPORTER_OTLP_HEADERS", "a b=c"},
    {"OTEL_EXPORTER_OTLP_HEADERS", "a=%0d%0ab: c"},
    {"OTEL_EXPORTER_OTLP_HEADERS", "a=%zz"},
    {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "/only/the/key"},
    {"OTEL_SDK_DISABLED", "yes"},
    {"OTEL_PROPAGATORS", "b3,ottrace"},
    {"OTEL_TRACES_SAMPLER", "jaeger_remote"},
    {"OTEL_BSP_MAX_QUEUE_SIZE", "0"},
    {"OTEL_BSP_SCHEDULE_DELAY", "soon"},
    {"OTEL_RESOURCE_ATTRIBUTES", "a=b,c"},
    {"OTEL_RESOURCE_ATTRIBUTES", "a=%zz"},
    {"OTEL_CONFIG_FILE", "/etc/otel.yaml"},
};

START_TEST(what_cannot_be_used_is_warned_of_and_ignored)
{
    const struct bad_row *row = &bad_rows[_i];

    apply(PLAIN, ENV("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318", row->name, row->value));
    ck_assert_uint_ge(warnings.n, 1);
    ck_assert_str_eq(warnings.v[0].at.file, row->name);
    const struct trace_config *t = &config->trace;
    ck_assert_uint_eq(t->n_exports, 2);
    ck_assert_int_eq(t->exports[0].kind, EXPORT_OTLP_HTTP);
    ck_assert_int_eq(t->exports[0].timeout, SECONDS(10));
    ck_assert(!t->exports[0].gzip);
    ck_assert_uint_eq(t->exports[0].n_headers, 0);
    ck_assert_uint_eq(t->exports[0].key.n, 0);
    ck_assert_uint_eq(t->propagators.n, propagators_default().n);
    ck_assert(!t->disabled);
    ck_assert(sampler.parent_based);
    ck_assert_int_eq(sampler.root.kind, SAMPLER_ALWAYS_ON);
}
END_TEST

START_TEST(a_batch_is_not_larger_than_the_queue)
{
    apply(PLAIN, ENV("OTEL_BSP_MAX_QUEUE_SIZE", "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "200",
                     "OTEL_BSP_SCHEDULE_DELAY", "250", "OTEL_BSP_EXPORT_TIMEOUT", "1000"));
    ck_assert_uint_eq(config->trace.batch.queue, 100);
    ck_assert_uint_eq(config->trace.batch.size, 100);
    ck_assert_int_eq(config->trace.batch.delay, MILLISECONDS(250));
    ck_assert_int_eq(config->trace.batch.timeout, SECONDS(1));
    expect_warning("OTEL_BSP_MAX_EXPORT_BATCH_SIZE");
}
END_TEST

/* ---- sampler, propagators, the switch ---- */

START_TEST(the_sampler_and_its_ratio_are_taken)
{
    apply(PLAIN, ENV("OTEL_TRACES_SAMPLER", "traceidratio", "OTEL_TRACES_SAMPLER_ARG", "0.5"));
    ck_assert(!sampler.parent_based);
    ck_assert_int_eq(sampler.root.kind, SAMPLER_RATIO);
    ck_assert_uint_eq(sampler.root.threshold, UINT64_C(1) << 55);
}
END_TEST

START_TEST(an_argument_without_a_sampler_is_ignored)
{
    apply(PLAIN, ENV("OTEL_TRACES_SAMPLER_ARG", "0.5"));
    ck_assert(sampler.parent_based);
    ck_assert_int_eq(sampler.root.kind, SAMPLER_ALWAYS_ON);
}
END_TEST

START_TEST(propagators_keep_their_order)
{
    apply(PLAIN, ENV("OTEL_PROPAGATORS", " baggage , tracecontext,b3"));
    ck_assert_uint_eq(config->trace.propagators.n, 2);
    ck_assert_int_eq(config->trace.propagators.v[0], PROPAGATOR_BAGGAGE);
    ck_assert_int_eq(config->trace.propagators.v[1], PROPAGATOR_TRACECONTEXT);
    expect_warning("OTEL_PROPAGATORS");
}
END_TEST

/* A list for all instrumentations, in any order. */
static const struct opt_in_row {
    const char *value;
    enum semconv rpc;
} opt_in_rows[] = {
    {"", SEMCONV_OLD},
    {"rpc", SEMCONV_NEW},
    {"rpc/dup", SEMCONV_BOTH},
    {"http, rpc", SEMCONV_NEW},
    {"rpc,rpc/dup", SEMCONV_BOTH},
    {"rpc/dup , rpc", SEMCONV_BOTH},
    {"RPC/Dup", SEMCONV_BOTH},
    {"http/dup,database,database/dup,gen_ai_latest_experimental", SEMCONV_OLD},
    {"rpc2,rpc/", SEMCONV_OLD},
    {",,rpc,", SEMCONV_NEW},
};

START_TEST(the_names_of_rpc_are_those_opted_in_for)
{
    const struct opt_in_row *row = &opt_in_rows[_i];

    apply(PLAIN, ENV("OTEL_SEMCONV_STABILITY_OPT_IN", row->value));
    ck_assert_msg(config->trace.rpc == row->rpc, "%s", row->value);
    ck_assert_uint_eq(warnings.n, 0);
}
END_TEST

START_TEST(disabled_it_records_nothing_and_goes_on_to_propagate)
{
    apply(PLAIN "trace { export otlp http://f:4318; sample always; }",
          ENV("OTEL_SDK_DISABLED", "TRUE"));
    ck_assert(config->trace.disabled);
    ck_assert_uint_eq(config->trace.n_exports, 0);
    ck_assert_uint_ge(config->trace.propagators.n, 1);
    ck_assert(sampler.parent_based); /* what others decided travels on */
    ck_assert_int_eq(sampler.root.kind, SAMPLER_ALWAYS_OFF);
    ck_assert_int_eq(sampler.remote_sampled.kind, SAMPLER_ALWAYS_ON);
}
END_TEST

/* ---- resource ---- */

static const struct resource_row {
    const char *file, *name, *attributes, *want;
} resource_rows[] = {
    {"service file { version 1; }", "env", "service.name=list,service.version=2", "file 1"},
    {"", "env", "service.name=list,service.version=2", "env 2"},
    {"", "", "service.name=list", "list "},
    {"", "", "", "unknown_service:sidespan "},
    {"", "env", "a=b,broken", "env "},
};

START_TEST(the_resource_is_the_files_then_the_environments)
{
    const struct resource_row *row = &resource_rows[_i];
    char text[300], got[200];
    struct resource r;

    snprintf(text, sizeof(text), "%s " PLAIN, row->file);
    apply(text, ENV("OTEL_SERVICE_NAME", row->name, "OTEL_RESOURCE_ATTRIBUTES", row->attributes));
    environment_resource_from(config, get, &r);
    struct str name = resource_get(&r, STR("service.name"));
    struct str version = resource_get(&r, STR("service.version"));
    snprintf(got, sizeof(got), "%.*s %.*s", STR_ARG(name), STR_ARG(version));
    ck_assert_str_eq(got, row->want);
    ck_assert_uint_gt(resource_get(&r, STR("service.instance.id")).n, 0);
    resource_release(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("environment");
    TCase *t = tcase_create("environment");
#define ROWS(v) (int)(sizeof(v) / sizeof((v)[0]))

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_loop_test(t, an_endpoint_becomes_an_exporter, 0, ROWS(export_rows));
    tcase_add_test(t, without_variables_the_spans_stay_in_memory);
    tcase_add_test(t, what_the_file_says_wins);
    tcase_add_test(t, how_it_is_sent_is_read_for_traces_before_all_signals);
    tcase_add_test(t, a_timeout_of_0_is_no_limit);
    tcase_add_loop_test(t, the_exporters_are_those_that_are_named, 0, ROWS(exporter_rows));
    tcase_add_test(t, the_endpoint_of_an_exporter_that_is_named_has_a_default);
    tcase_add_loop_test(t, what_cannot_be_used_is_warned_of_and_ignored, 0, ROWS(bad_rows));
    tcase_add_test(t, a_batch_is_not_larger_than_the_queue);
    tcase_add_test(t, the_sampler_and_its_ratio_are_taken);
    tcase_add_test(t, an_argument_without_a_sampler_is_ignored);
    tcase_add_test(t, propagators_keep_their_order);
    tcase_add_loop_test(t, the_names_of_rpc_are_those_opted_in_for, 0,
                        sizeof(opt_in_rows) / sizeof(opt_in_rows[0]));
    tcase_add_test(t, disabled_it_records_nothing_and_goes_on_to_propagate);
    tcase_add_loop_test(t, the_resource_is_the_files_then_the_environments, 0, ROWS(resource_rows));
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
