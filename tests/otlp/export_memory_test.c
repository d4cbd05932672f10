#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "example_span.h"
#include "otlp/exporter.h"
#include "test_main.h"

static struct exporter *exporter;
static struct resource resource;

static struct arena arena;

static void set_up(void)
{
    struct exporter_options options = {
        .kind = EXPORTER_MEMORY, .name = STR("memory"), .memory_spans = 5};

    arena_init(&arena, 0, 0);
    resource_init(&resource);
    resource_add(&resource, STR("service.name"), STR("checkout"));
    resource_complete(&resource);
    exporter = exporter_new(&options, &resource, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(exporter);
}

static void tear_down(void)
{
    arena_release(&arena);
    exporter_free(exporter);
    resource_release(&resource);
}

static void add(uint8_t trace, uint8_t span)
{
    struct span s;

    example_span(&s, SPAN_CLIENT);
    memset(s.trace_id.bytes, trace, sizeof(s.trace_id.bytes));
    memset(s.span_id.bytes, span, sizeof(s.span_id.bytes));
    exporter_add(exporter, &s, 0);
}

static json_t *json_of(const struct trace_id *trace, size_t limit)
{
    struct buffer out;
    json_error_t error;

    buffer_init(&out, 0);
    exporter_memory_json(exporter, trace, limit, &out);
    ck_assert(!out.failed);
    json_t *json = json_loadb(out.p, out.n, 0, &error);
    ck_assert_msg(json != NULL, "%s in %.*s", error.text, (int)out.n, out.p);
    buffer_release(&out);
    return json;
}

static json_t *first(json_t *object, const char *list)
{
    json_t *array = json_object_get(object, list);

    ck_assert_uint_eq(json_array_size(array), 1);
    return json_array_get(array, 0);
}

static json_t *spans_of(json_t *json)
{
    return json_object_get(first(first(json, "resourceSpans"), "scopeSpans"), "spans");
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    ck_assert_msg(text != NULL, "%s is no text", key);
    return text;
}

static json_t *attribute(json_t *object, const char *key)
{
    size_t i;
    json_t *pair;

    json_array_foreach(json_object_get(object, "attributes"), i,
                       pair) if (strcmp(text_of(pair, "key"), key) ==
                                 0) return json_object_get(pair, "value");
    ck_abort_msg("%s is not there", key);
    return NULL;
}

/* The span ids of the answer, each as the first digit but one, in order. */
static void check_ids(const struct trace_id *trace, size_t limit, const char *want)
{
    json_t *json = json_of(trace, limit), *span;
    char ids[32] = "";
    size_t i;

    json_array_foreach(spans_of(json), i, span) strncat(ids, text_of(span, "spanId") + 1, 1);
    ck_assert_str_eq(ids, want);
    json_decref(json);
}

START_TEST(without_spans_there_is_an_empty_list)
{
    check_ids(NULL, 10, "");
}
END_TEST

START_TEST(the_last_spans_are_kept_the_oldest_first)
{
    for (uint8_t i = 1; i <= 3; i++)
        add(1, i);
    check_ids(NULL, 10, "123");
    for (uint8_t i = 4; i <= 8; i++)
        add(1, i);
    check_ids(NULL, 10, "45678");
    check_ids(NULL, SIZE_MAX, "45678");
    check_ids(NULL, 2, "78");
    check_ids(NULL, 0, "");
}
END_TEST

START_TEST(one_trace_can_be_asked_for)
{
    struct trace_id two;

    memset(&two, 2, sizeof(two));
    add(1, 1);
    add(2, 2);
    add(1, 3);
    add(2, 4);
    check_ids(&two, 10, "24");
    check_ids(&two, 1, "4");
    memset(&two, 9, sizeof(two));
    check_ids(&two, 10, "");
}
END_TEST

START_TEST(a_kept_span_is_exported_and_one_pushed_out_stays_so)
{
    for (uint8_t i = 1; i <= 7; i++)
        add(1, i);
    struct ledger_view v = exporter_ledger(exporter);
    ck_assert(ledger_balances(&v));
    ck_assert_uint_eq(v.started, 7);
    ck_assert_uint_eq(v.exported, 7);
    ck_assert(exporter_idle(exporter));
    ck_assert_int_eq(exporter_tick(exporter, 0), INT64_MAX);
}
END_TEST

START_TEST(the_json_is_otlp)
{
    struct span s;

    example_span(&s, SPAN_CLIENT);
    s.status = 503;
    s.weight = s.total_weight = 100;
    s.pooled = true;
    s.text[SPAN_TRACESTATE] = STR("a=1");
    span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, STR("x-id"), STR("one \"\xff"));
    span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, STR("x-id"), STR("two"));
    s.n_dropped_extras = 3;
    exporter_add(exporter, &s, 0);

    json_t *json = json_of(NULL, 1);
    json_t *resource_spans = first(json, "resourceSpans");
    json_t *scope_spans = first(resource_spans, "scopeSpans");
    json_t *span = first(scope_spans, "spans");
    json_t *whose = json_object_get(resource_spans, "resource");

    ck_assert_str_eq(text_of(attribute(whose, "service.name"), "stringValue"), "checkout");
    ck_assert(text_of(attribute(whose, "process.pid"), "intValue")[0]);
    ck_assert_str_eq(text_of(json_object_get(scope_spans, "scope"), "name"), "sidespan");
    ck_assert_ptr_nonnull(strstr(text_of(resource_spans, "schemaUrl"), "1.44.0"));
    ck_assert_str_eq(text_of(span, "traceId"), "11111111111111111111111111111111");
    ck_assert_str_eq(text_of(span, "spanId"), "2222222222222222");
    ck_assert_str_eq(text_of(span, "parentSpanId"), "3333333333333333");
    ck_assert_str_eq(text_of(span, "traceState"), "a=1");
    ck_assert_str_eq(text_of(span, "name"), "GET /api/users/{id}");
    ck_assert_int_eq(json_integer_value(json_object_get(span, "kind")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(span, "flags")), 0x303);
    ck_assert_str_eq(text_of(span, "startTimeUnixNano"), "1700000000000000005");
    ck_assert_str_eq(text_of(span, "endTimeUnixNano"), "1700000000012000005");
    ck_assert_int_eq(json_integer_value(json_object_get(span, "droppedAttributesCount")), 3);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(span, "status"), "code")),
                     2);

    ck_assert_str_eq(text_of(attribute(span, "error.type"), "stringValue"), "503");
    ck_assert_str_eq(text_of(attribute(span, "http.response.status_code"), "intValue"), "503");
    ck_assert(json_is_true(json_object_get(attribute(span, "sidespan.pooled"), "boolValue")));
    ck_assert(json_real_value(json_object_get(attribute(span, "sidespan.time.connect"),
                                              "doubleValue")) == 0.002);
    json_t *values = json_object_get(
        json_object_get(attribute(span, "http.request.header.x-id"), "arrayValue"), "values");
    ck_assert_uint_eq(json_array_size(values), 2);
    ck_assert_str_eq(text_of(json_array_get(values, 0), "stringValue"), "one \"\xef\xbf\xbd");
    ck_assert_str_eq(text_of(json_array_get(values, 1), "stringValue"), "two");
    json_decref(json);
}
END_TEST

START_TEST(what_is_not_set_is_left_out)
{
    struct span s;

    span_init(&s, SPAN_SERVER, SPAN_HTTP);
    exporter_add(exporter, &s, 0);
    json_t *json = json_of(NULL, 1);
    json_t *span = json_array_get(spans_of(json), 0);

    ck_assert_ptr_null(json_object_get(span, "parentSpanId"));
    ck_assert_ptr_null(json_object_get(span, "traceState"));
    ck_assert_ptr_null(json_object_get(span, "droppedAttributesCount"));
    ck_assert_uint_eq(json_object_size(json_object_get(span, "status")), 0);
    json_decref(json);
}
END_TEST

static atomic_bool stop;

static void *ask(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        json_t *json = json_of(NULL, 5);
        ck_assert_uint_le(json_array_size(spans_of(json)), 5);
        json_decref(json);
        struct ledger_view v = exporter_ledger(exporter);
        ck_assert(ledger_balances(&v));
    }
    return NULL;
}

START_TEST(it_can_be_asked_from_other_threads_while_spans_come)
{
    pthread_t readers[2];

    atomic_store(&stop, false);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, ask, NULL), 0);
    for (int i = 0; i < 20000; i++)
        add((uint8_t)(i % 3 + 1), (uint8_t)(i % 9 + 1));
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("export_memory");
    TCase *t = tcase_create("memory");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, without_spans_there_is_an_empty_list);
    tcase_add_test(t, the_last_spans_are_kept_the_oldest_first);
    tcase_add_test(t, one_trace_can_be_asked_for);
    tcase_add_test(t, a_kept_span_is_exported_and_one_pushed_out_stays_so);
    tcase_add_test(t, the_json_is_otlp);
    tcase_add_test(t, what_is_not_set_is_left_out);
    tcase_add_test(t, it_can_be_asked_from_other_threads_while_spans_come);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
