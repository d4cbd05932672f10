/*
 * What encode.c writes by hand is read by the generated code, field by field.
 */
#include "otlp/encode.h"

#include <stdio.h>

#include "example_span.h"
#include "test_main.h"
#include "trace_service.pb-c.h"

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest ExportRequest;
typedef Opentelemetry__Proto__Trace__V1__ResourceSpans ResourceSpans;
typedef Opentelemetry__Proto__Trace__V1__ScopeSpans ScopeSpans;
typedef Opentelemetry__Proto__Trace__V1__Span Span;
typedef Opentelemetry__Proto__Common__V1__KeyValue KeyValue;
typedef Opentelemetry__Proto__Common__V1__AnyValue AnyValue;

#define unpack_request \
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack
#define free_request \
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked
#define VALUE(type) OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_##type

static struct resource resource;
static struct envelope envelope;
static struct buffer out, scratch;
static struct described_span described;

static struct arena arena;

static void set_up(void)
{
    arena_init(&arena, 0, 0);
    resource_init(&resource);
    resource_add(&resource, STR("service.name"), STR("checkout"));
    resource_complete(&resource);
    ck_assert(envelope_init(&envelope, &resource));
    buffer_init(&out, 0);
    buffer_init(&scratch, 0);
    ck_assert(buffer_reserve(&out, envelope_room(&envelope)));
    out.n = envelope_room(&envelope);
}

static void tear_down(void)
{
    arena_release(&arena);
    buffer_release(&out);
    buffer_release(&scratch);
    envelope_release(&envelope);
    resource_release(&resource);
}

static void encode(const struct span *s)
{
    span_describe(s, &(struct conventions){0}, &scratch, &described);
    ck_assert(encode_span(s, &described, &out));
}

/* The whole request that the spans of out make; the caller frees it. */
static ExportRequest *request_of_out(void)
{
    size_t room = envelope_room(&envelope);
    size_t before = envelope_put(&envelope, out.p + room, out.n - room);

    ck_assert_uint_le(before, room);
    ExportRequest *request =
        unpack_request(NULL, before + out.n - room, (const uint8_t *)out.p + room - before);
    ck_assert_ptr_nonnull(request);
    ck_assert_uint_eq(request->n_resource_spans, 1);
    ck_assert_uint_eq(request->resource_spans[0]->n_scope_spans, 1);
    return request;
}

static ScopeSpans *scope_of(ExportRequest *request)
{
    return request->resource_spans[0]->scope_spans[0];
}

static void check_bytes(ProtobufCBinaryData data, const uint8_t *want, size_t n)
{
    ck_assert_uint_eq(data.len, n);
    if (n > 0)
        ck_assert_int_eq(memcmp(data.data, want, n), 0);
}

static void check_value(const AnyValue *value, const struct attribute *a)
{
    switch (a->type) {
    case ATTRIBUTE_STRING:
        ck_assert_int_eq(value->value_case, VALUE(STRING_VALUE));
        ck_assert(str_eq(str_from(value->string_value), a->value.string));
        return;
    case ATTRIBUTE_INT:
        ck_assert_int_eq(value->value_case, VALUE(INT_VALUE));
        ck_assert_int_eq(value->int_value, a->value.integer);
        return;
    case ATTRIBUTE_DOUBLE:
        ck_assert_int_eq(value->value_case, VALUE(DOUBLE_VALUE));
        ck_assert(value->double_value == a->value.number);
        return;
    case ATTRIBUTE_BOOL:
        ck_assert_int_eq(value->value_case, VALUE(BOOL_VALUE));
        ck_assert_int_eq(value->bool_value, a->value.boolean);
        return;
    case ATTRIBUTE_STRINGS:
        ck_assert_int_eq(value->value_case, VALUE(ARRAY_VALUE));
        ck_assert_uint_eq(value->array_value->n_values, a->value.strings.n);
        for (size_t i = 0; i < a->value.strings.n; i++)
            ck_assert(str_eq(str_from(value->array_value->values[i]->string_value),
                             a->value.strings.v[i]));
        return;
    }
    ck_abort();
}

/* Every field of what came out against the span that went in. */
static void check_span(const Span *got, const struct span *s)
{
    check_bytes(got->trace_id, s->trace_id.bytes, 16);
    check_bytes(got->span_id, s->span_id.bytes, 8);
    check_bytes(got->parent_span_id, s->parent_span_id.bytes,
                span_id_is_zero(&s->parent_span_id) ? 0 : 8);
    ck_assert(str_eq(str_from(got->trace_state), s->text[SPAN_TRACESTATE]));
    ck_assert(str_eq(str_from(got->name), described.name));
    ck_assert_int_eq((int)got->kind, s->kind);
    ck_assert_uint_eq(got->start_time_unix_nano, (uint64_t)s->start);
    ck_assert_uint_eq(got->end_time_unix_nano, (uint64_t)(s->start + s->duration));
    ck_assert_uint_eq(got->n_attributes, described.n);
    for (size_t i = 0; i < described.n; i++) {
        ck_assert(str_eq(str_from(got->attributes[i]->key), described.v[i].key));
        check_value(got->attributes[i]->value, &described.v[i]);
    }
    ck_assert_uint_eq(got->dropped_attributes_count, s->n_dropped_extras);
    ck_assert_uint_eq(got->n_events, 0);
    ck_assert_uint_eq(got->n_links, 0);
    ck_assert_uint_eq(got->flags, span_otlp_flags(s));
    ck_assert_int_eq(got->status ? (int)got->status->code : 0, described.status);
    ck_assert(str_eq(str_from(got->status ? got->status->message : ""), described.status_message));
    ck_assert_uint_eq(got->base.n_unknown_fields, 0);
}

static char long_text[20000];

/* One kind of span a row. */
static void vary(struct span *s, int i)
{
    memset(long_text, 'l', sizeof(long_text));
    example_span(s, i % 2 ? SPAN_CLIENT : SPAN_SERVER);
    switch (i / 2) {
    case 1: /* a root, unsampled parent's flags, no text to speak of */
        memset(&s->parent_span_id, 0, sizeof(s->parent_span_id));
        s->parent_remote = false;
        memset(s->text, 0, sizeof(s->text));
        break;
    case 2: /* an error with a description, and tracestate */
        s->status = 0;
        s->error = SPAN_ERROR_DNS;
        s->text[SPAN_TRACESTATE] = STR("a=1,ot=th:8");
        break;
    case 3: /* an error that its code explains */
        s->status = 503;
        break;
    case 4: /* arrays, one of many values and one longer than a length of one byte */
        for (int n = 0; n < 20; n++)
            span_add_extra(s, &arena, EXTRA_REQUEST_HEADER, STR("x-many"), STR("value"));
        span_add_extra(s, &arena, EXTRA_RESPONSE_HEADER, STR("x-long"), str_of(long_text, 300));
        span_add_extra(s, &arena, EXTRA_ATTRIBUTE, STR("empty"), STR(""));
        s->n_dropped_extras = 300;
        break;
    case 5: /* numbers of more than one byte */
        s->weight = 1000000;
        s->total_weight = UINT32_MAX;
        s->response_bytes = UINT64_C(1) << 40;
        s->request_bytes = INT64_MAX;
        break;
    case 6: /* a length of three bytes */
        s->text[SPAN_USER_AGENT] = s->text[SPAN_PATH] = str_of(long_text, sizeof(long_text));
        break;
    case 7: /* a length of one byte: next to nothing is known */
        span_init(s, SPAN_SERVER, SPAN_HTTP);
        s->trace_id.bytes[0] = s->span_id.bytes[0] = 1;
        break;
    case 8: /* a tunnel */
        s->protocol = SPAN_TCP;
        s->request_bytes = 5;
        break;
    }
}
enum { VARIATIONS = 18 };

START_TEST(a_span_is_read_as_it_was_written)
{
    struct span s;

    vary(&s, _i);
    encode(&s);
    ExportRequest *request = request_of_out();
    ck_assert_uint_eq(scope_of(request)->n_spans, 1);
    check_span(scope_of(request)->spans[0], &s);
    free_request(request, NULL);
}
END_TEST

START_TEST(an_attribute_of_any_length_is_read_as_it_was_written)
{
    struct span s;

    for (size_t n = 0; n < 700; n++) {
        out.n = envelope_room(&envelope);
        memset(long_text, 'l', sizeof(long_text));
        span_init(&s, SPAN_SERVER, SPAN_HTTP);
        s.trace_id.bytes[0] = s.span_id.bytes[0] = 1;
        s.text[SPAN_METHOD] = STR("GET");
        s.text[SPAN_PATH] = str_of(long_text, n % 350);
        span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, str_of(long_text, n / 2 + 1),
                       str_of(long_text, n % 50));
        encode(&s);
        ExportRequest *request = request_of_out();
        check_span(scope_of(request)->spans[0], &s);
        free_request(request, NULL);
    }
}
END_TEST

START_TEST(many_spans_are_one_request)
{
    struct span s;

    for (int i = 0; i < 500; i++) {
        vary(&s, i % VARIATIONS);
        s.span_id.bytes[7] = (uint8_t)i;
        encode(&s);
    }
    ExportRequest *request = request_of_out();
    ck_assert_uint_eq(scope_of(request)->n_spans, 500);
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq(scope_of(request)->spans[i]->span_id.data[7], (uint8_t)i);
    free_request(request, NULL);
}
END_TEST

START_TEST(the_envelope_says_whose_spans_they_are)
{
    struct span s;

    vary(&s, 0);
    encode(&s);
    ExportRequest *request = request_of_out();
    const ResourceSpans *rs = request->resource_spans[0];

    ck_assert_str_eq(rs->schema_url, OTLP_SCHEMA_URL);
    ck_assert_uint_eq(rs->resource->n_attributes, resource.n);
    for (size_t i = 0; i < resource.n; i++) {
        const KeyValue *pair = rs->resource->attributes[i];
        ck_assert(str_eq(str_from(pair->key), resource.v[i].key));
        if (resource.v[i].integer) {
            ck_assert_int_eq(pair->value->value_case, VALUE(INT_VALUE));
            ck_assert_int_eq(pair->value->int_value, atoll(resource.v[i].value.p));
        } else {
            ck_assert(str_eq(str_from(pair->value->string_value), resource.v[i].value));
        }
    }
    ck_assert_str_eq(scope_of(request)->scope->name, "sidespan");
    ck_assert_str_eq(scope_of(request)->scope->version, SIDESPAN_VERSION);
    ck_assert_str_eq(scope_of(request)->schema_url, OTLP_SCHEMA_URL);
    free_request(request, NULL);
}
END_TEST

START_TEST(a_span_never_ends_before_it_starts)
{
    struct span s;

    vary(&s, 0);
    s.duration = -5;
    encode(&s);
    ExportRequest *request = request_of_out();
    ck_assert_uint_eq(scope_of(request)->spans[0]->end_time_unix_nano, (uint64_t)s.start);
    free_request(request, NULL);
}
END_TEST

START_TEST(a_full_buffer_stays_as_it_is)
{
    struct buffer small;
    struct span s;

    vary(&s, 0);
    span_describe(&s, &(struct conventions){0}, &scratch, &described);
    buffer_init(&small, 100);
    buffer_add(&small, "before", 6);
    ck_assert(!encode_span(&s, &described, &small));
    ck_assert_text(buffer_str(&small), "before");
    buffer_release(&small);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("encode");
    TCase *t = tcase_create("encode");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, a_span_is_read_as_it_was_written, 0, VARIATIONS);
    tcase_add_test(t, an_attribute_of_any_length_is_read_as_it_was_written);
    tcase_add_test(t, many_spans_are_one_request);
    tcase_add_test(t, the_envelope_says_whose_spans_they_are);
    tcase_add_test(t, a_span_never_ends_before_it_starts);
    tcase_add_test(t, a_full_buffer_stays_as_it_is);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
