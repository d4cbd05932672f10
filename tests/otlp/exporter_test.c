/*
 * The OTLP pipeline: batches, what is sent when, what each answer leads to, and
 * a ledger that balances after each step.
 */
#include "otlp/exporter.h"

#include <stdio.h>
#include <zlib.h>

#include "example_span.h"
#include "fake_transport.h"
#include "otlp/otlp_request.h"
#include "test_main.h"
#include "trace_service.pb-c.h"

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest ExportRequest;

static struct fake_transport *transport;
static struct exporter *exporter;
static struct resource resource;
static struct arena arena;
static bool freed;
static nsec_t now;
static unsigned reports, warnings;
static char last_report[1024];

static void on_report(void *arg, bool warning, const char *text)
{
    ck_assert_ptr_eq(arg, &reports);
    reports++;
    warnings += warning;
    snprintf(last_report, sizeof(last_report), "%s", text);
}

static void set_up(void)
{
    resource_init(&resource);
    resource_complete(&resource);
    arena_init(&arena, 0, 0);
    now = SECONDS(1000);
    reports = warnings = 0;
    last_report[0] = '\0';
}

static struct ledger_view ledger(void)
{
    struct ledger_view v = exporter_ledger(exporter);

    ck_assert_msg(ledger_balances(&v), "out of balance");
    return v;
}

static void tear_down(void)
{
    if (exporter) {
        ledger();
        if (transport)
            ck_assert(!freed);
        exporter_free(exporter);
        ck_assert(freed);
    }
    exporter = NULL;
    resource_release(&resource);
    arena_release(&arena);
}

/* Four spans a batch, ten in all, a delay of 5 s. */
static struct exporter_options options_of(enum exporter_kind kind)
{
    return (struct exporter_options){
        .kind = kind,
        .name = STR("http://collector:4318"),
        .timeout = SECONDS(10),
        .queue_spans = 10,
        .batch_spans = 4,
        .delay = SECONDS(5),
        .retry_for = SECONDS(60),
    };
}

static void start(const struct exporter_options *options)
{
    transport = fake_transport_new(&freed);
    exporter = exporter_new(options, &resource, &transport->transport, on_report, &reports);
    ck_assert_ptr_nonnull(exporter);
}

static void start_default(void)
{
    struct exporter_options options = options_of(EXPORTER_OTLP_HTTP);
    start(&options);
}

static void add_spans(unsigned n)
{
    struct span s;

    for (unsigned i = 0; i < n; i++) {
        example_span(&s, SPAN_SERVER);
        exporter_add(exporter, &s, now);
        ledger();
    }
}

static nsec_t tick(void)
{
    nsec_t next = exporter_tick(exporter, now);
    ledger();
    return next;
}

static void answer(const struct transport_response *response)
{
    fake_answer(transport, response);
    ledger();
}

static void answer_http(int status, const char *name, const char *value)
{
    struct headers headers = {0};

    if (name)
        headers_add(&headers, &arena, str_from(name), str_from(value));
    answer(&(struct transport_response){
        .result = TRANSPORT_ANSWERED, .status = status, .headers = &headers});
}

static void answer_failed(void)
{
    answer(&(struct transport_response){.result = TRANSPORT_CONNECT_FAILED,
                                        .detail = "connect to 10.0.0.1:4318: refused"});
}

static void answer_partial(int64_t rejected)
{
    Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess partial;
    Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse whole;
    struct headers headers = {0};
    uint8_t packed[64];

    opentelemetry__proto__collector__trace__v1__export_trace_partial_success__init(&partial);
    partial.rejected_spans = rejected;
    opentelemetry__proto__collector__trace__v1__export_trace_service_response__init(&whole);
    whole.partial_success = &partial;
    size_t n = opentelemetry__proto__collector__trace__v1__export_trace_service_response__pack(
        &whole, packed);
    headers_add(&headers, &arena, STR("content-type"), STR("application/x-protobuf"));
    answer(&(struct transport_response){.result = TRANSPORT_ANSWERED,
                                        .status = 200,
                                        .headers = &headers,
                                        .body = str_of((char *)packed, n)});
}

static size_t spans_in(struct str message)
{
    ExportRequest *request =
        opentelemetry__proto__collector__trace__v1__export_trace_service_request__unpack(
            NULL, message.n, (const uint8_t *)message.p);
    ck_assert_ptr_nonnull(request);
    ck_assert_uint_eq(request->n_resource_spans, 1);
    ck_assert_uint_eq(request->resource_spans[0]->resource->n_attributes, resource.n);
    size_t n = request->resource_spans[0]->scope_spans[0]->n_spans;
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__free_unpacked(request,
                                                                                            NULL);
    return n;
}

static struct str header(const char *name)
{
    const struct header *h = headers_find_name(transport->request.headers, str_from(name));
    return h ? h->value : (struct str){0};
}

/* --- what is sent, and when --- */

START_TEST(nothing_is_sent_when_nothing_waits)
{
    start_default();
    ck_assert_int_eq(tick(), INT64_MAX);
    ck_assert(exporter_idle(exporter));
    exporter_flush(exporter, now);
    ck_assert_uint_eq(transport->sends, 0);
}
END_TEST

START_TEST(a_full_batch_is_sent_at_once)
{
    start_default();
    add_spans(4);
    ck_assert_uint_eq(ledger().waiting, 4);
    tick();
    ck_assert_uint_eq(transport->sends, 1);
    ck_assert_uint_eq(spans_in(transport->request.body), 4);
    ck_assert_int_eq(transport->request.timeout, SECONDS(10));
    answer_http(200, NULL, NULL);
    ck_assert_uint_eq(ledger().exported, 4);
    ck_assert(exporter_idle(exporter));
    ck_assert_uint_eq(reports, 0);
}
END_TEST

START_TEST(a_batch_that_is_not_full_is_sent_after_the_delay)
{
    start_default();
    add_spans(1);
    nsec_t first = now;
    now += SECONDS(3);
    add_spans(1);
    ck_assert_int_eq(tick(), first + SECONDS(5));
    ck_assert_uint_eq(transport->sends, 0);
    now = first + SECONDS(5) - 1;
    ck_assert_int_eq(tick(), first + SECONDS(5));
    ck_assert_uint_eq(transport->sends, 0);
    now++;
    tick();
    ck_assert_uint_eq(transport->sends, 1);
    ck_assert_uint_eq(spans_in(transport->request.body), 2);
    answer_http(200, NULL, NULL);
    ck_assert_int_eq(tick(), INT64_MAX);
}
END_TEST

START_TEST(one_request_is_under_way_at_a_time_and_the_next_follows_the_answer)
{
    start_default();
    add_spans(9);
    tick();
    tick();
    ck_assert_uint_eq(transport->sends, 1);
    answer_http(200, NULL, NULL);
    ck_assert_uint_eq(transport->sends, 2);
    answer_http(200, NULL, NULL);
    ck_assert_uint_eq(transport->sends, 2); /* the ninth waits for the delay */
    ck_assert_uint_eq(ledger().exported, 8);
    ck_assert_uint_eq(ledger().waiting, 1);
    ck_assert_int_eq(tick(), now + SECONDS(5));
}
END_TEST

START_TEST(a_flush_does_not_wait_for_the_delay)
{
    start_default();
    add_spans(6);
    exporter_flush(exporter, now);
    ck_assert_uint_eq(spans_in(transport->request.body), 4);
    ck_assert(!exporter_idle(exporter));
    answer_http(200, NULL, NULL);
    ck_assert_uint_eq(spans_in(transport->request.body), 2);
    answer_http(200, NULL, NULL);
    ck_assert(exporter_idle(exporter));

    add_spans(1); /* and then the delay holds again */
    tick();
    ck_assert_uint_eq(transport->sends, 2);
}
END_TEST

START_TEST(a_full_queue_drops_new_spans_until_there_is_room)
{
    start_default();
    add_spans(4);
    tick(); /* under way counts as waiting */
    add_spans(10);
    ck_assert_uint_eq(ledger().waiting, 10);
    ck_assert_uint_eq(ledger().dropped[DROP_QUEUE_FULL], 4);
    ck_assert_uint_eq(warnings, 1);
    ck_assert_ptr_nonnull(strstr(last_report, "10 spans wait"));

    answer_http(200, NULL, NULL);
    add_spans(1);
    ck_assert_uint_eq(ledger().waiting, 7);
    ck_assert_uint_eq(ledger().dropped[DROP_QUEUE_FULL], 4);
    answer_http(200, NULL, NULL);
    ck_assert_ptr_nonnull(strstr(last_report, "4 were lost"));
    ck_assert_uint_eq(reports, 2);
}
END_TEST

START_TEST(spans_lost_before_they_came_are_counted)
{
    start_default();
    exporter_add_lost(exporter, 7);
    exporter_add_lost(exporter, 0);
    ck_assert_uint_eq(ledger().dropped[DROP_RING_FULL], 7);
    ck_assert_uint_eq(ledger().started, 7);
}
END_TEST

/* --- the request --- */

START_TEST(otlp_http_is_a_post_of_plain_protobuf)
{
    struct exporter_header mine[] = {{STR_INIT("authorization"), STR_INIT("Bearer x")}};
    struct exporter_options options = options_of(EXPORTER_OTLP_HTTP);

    options.path = STR("/custom/v1/traces");
    options.headers = mine;
    options.n_headers = 1;
    start(&options);
    mine[0].value = STR("changed"); /* options were copied */
    add_spans(4);
    tick();
    ck_assert_text(transport->request.path, "/custom/v1/traces");
    ck_assert_text(header("content-type"), "application/x-protobuf");
    ck_assert_text(header("authorization"), "Bearer x");
    ck_assert_text(header("b3"), "0");
    ck_assert(!header("content-encoding").p);
    ck_assert_uint_eq(spans_in(transport->request.body), 4);
}
END_TEST

static struct str unframed(struct str body, int flag)
{
    const unsigned char *p = (const unsigned char *)body.p;

    ck_assert_uint_ge(body.n, 5);
    ck_assert_int_eq(p[0], flag);
    ck_assert_uint_eq((size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4],
                      body.n - 5);
    return str_of(body.p + 5, body.n - 5);
}

START_TEST(otlp_grpc_is_a_framed_message)
{
    struct exporter_options options = options_of(EXPORTER_OTLP_GRPC);

    start(&options);
    add_spans(4);
    tick();
    ck_assert_text(transport->request.path,
                   "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    ck_assert_text(header("content-type"), "application/grpc");
    ck_assert_text(header("grpc-timeout"), "10000m");
    ck_assert(!header("grpc-encoding").p);
    ck_assert_uint_eq(spans_in(unframed(transport->request.body, 0)), 4);
}
END_TEST

static struct str inflated(struct str compressed)
{
    size_t room = 1 << 20;
    char *out = arena_alloc(&arena, room);
    z_stream z = {.next_in = (unsigned char *)compressed.p,
                  .avail_in = (uInt)compressed.n,
                  .next_out = (unsigned char *)out,
                  .avail_out = (uInt)room};

    ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
    ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    inflateEnd(&z);
    return str_of(out, room - z.avail_out);
}

START_TEST(gzip_is_the_body_of_http_and_the_message_of_grpc)
{
    bool grpc = _i;
    struct exporter_options options = options_of(grpc ? EXPORTER_OTLP_GRPC : EXPORTER_OTLP_HTTP);

    options.gzip = true;
    start(&options);
    for (int i = 0; i < 3; i++) { /* the stream is used again */
        add_spans(4);
        tick();
        struct str body = transport->request.body;
        ck_assert_text(header(grpc ? "grpc-encoding" : "content-encoding"), "gzip");
        ck_assert(!header(grpc ? "content-encoding" : "grpc-encoding").p);
        ck_assert_uint_eq(spans_in(inflated(grpc ? unframed(body, 1) : body)), 4);
        struct headers trailers = {0};
        headers_add(&trailers, &arena, STR("grpc-status"), STR("0"));
        answer(&(struct transport_response){.result = TRANSPORT_ANSWERED,
                                            .status = 200,
                                            .headers = &trailers,
                                            .trailers = &trailers});
    }
    ck_assert_uint_eq(ledger().exported, 12);
}
END_TEST

/* --- what answers lead to --- */

START_TEST(a_failure_is_tried_again_with_growing_waits_and_the_same_spans)
{
    static const nsec_t waits[] = {MILLISECONDS(1000), MILLISECONDS(1500), MILLISECONDS(2250),
                                   MILLISECONDS(3375), MILLISECONDS(5000), MILLISECONDS(5000)};

    start_default();
    add_spans(4);
    tick();
    for (unsigned i = 0; i < 6; i++) {
        struct str body = arena_dup(&arena, transport->request.body);
        answer_failed();
        ck_assert_uint_eq(transport->sends, i + 1);
        ck_assert_uint_eq(ledger().waiting, 4);
        nsec_t next = tick();
        ck_assert_int_ge(next - now, waits[i] * 8 / 10);
        ck_assert_int_le(next - now, waits[i] * 12 / 10);
        now = next - 1;
        ck_assert_int_eq(tick(), next);
        ck_assert_uint_eq(transport->sends, i + 1);
        now = next;
        tick();
        ck_assert_uint_eq(transport->sends, i + 2);
        ck_assert(str_eq(transport->request.body, body));
    }
    answer_http(200, NULL, NULL);
    ck_assert_uint_eq(ledger().exported, 4);

    add_spans(4); /* a success begins the waits anew */
    tick();
    answer_failed();
    ck_assert_int_le(tick() - now, MILLISECONDS(1200));
}
END_TEST

START_TEST(the_wait_counts_from_the_tick_that_sees_the_answer)
{
    start_default();
    add_spans(4);
    tick();
    answer_http(503, "retry-after", "30");
    now += SECONDS(2);
    ck_assert_int_eq(tick(), now + SECONDS(30));
}
END_TEST

START_TEST(each_answer_that_may_be_tried_again_keeps_the_spans)
{
    static const int statuses[] = {429, 502, 503, 504, 0, 0};
    static const enum transport_result results[] = {TRANSPORT_ANSWERED, TRANSPORT_ANSWERED,
                                                    TRANSPORT_ANSWERED, TRANSPORT_ANSWERED,
                                                    TRANSPORT_LOST,     TRANSPORT_TIMEOUT};
    start_default();
    add_spans(5);
    tick();
    if (statuses[_i])
        answer_http(statuses[_i], NULL, NULL);
    else
        answer(&(struct transport_response){.result = results[_i]});
    ck_assert_uint_eq(ledger().waiting, 5);
    ck_assert_uint_eq(ledger().exported, 0);
    now = tick();
    tick();
    ck_assert_uint_eq(transport->sends, 2);
}
END_TEST

START_TEST(an_answer_that_may_not_drops_the_batch_and_says_why_once)
{
    start_default();
    add_spans(9);
    tick();
    answer_http(404, NULL, NULL);
    ck_assert_uint_eq(ledger().dropped[DROP_REFUSED], 4);
    ck_assert_uint_eq(transport->sends, 2); /* the next one has its own chance */
    answer_http(404, NULL, NULL);
    ck_assert_uint_eq(ledger().dropped[DROP_REFUSED], 8);
    ck_assert_uint_eq(reports, 1);
    ck_assert_uint_eq(warnings, 1);
    ck_assert_ptr_nonnull(strstr(last_report, "http://collector:4318"));
    ck_assert_ptr_nonnull(strstr(last_report, "/v1/traces"));
}
END_TEST

START_TEST(partial_success_counts_what_was_rejected)
{
    start_default();
    add_spans(4);
    tick();
    answer_partial(_i ? 1000 : 1); /* more than were sent is all of them */
    ck_assert_uint_eq(ledger().exported, _i ? 0 : 3);
    ck_assert_uint_eq(ledger().rejected, _i ? 4 : 1);
    ck_assert_uint_eq(ledger().waiting, 0);
    ck_assert_uint_eq(transport->sends, 1);
    ck_assert_uint_eq(warnings, 1);
}
END_TEST

START_TEST(a_batch_expires_when_its_time_is_over_and_the_next_has_its_own)
{
    start_default();
    add_spans(8);
    tick();
    nsec_t first_try = now;
    while (ledger().dropped[DROP_EXPIRED] == 0) {
        ck_assert_int_le(now, first_try + SECONDS(60));
        if (transport->done)
            answer_failed();
        nsec_t next = tick();
        now = next == INT64_MAX ? now : next;
    }
    ck_assert_int_ge(now, first_try + SECONDS(60));
    ck_assert_uint_eq(ledger().dropped[DROP_EXPIRED], 4);
    ck_assert_uint_eq(ledger().waiting, 4);
    tick();
    now += SECONDS(7);
    tick();
    answer_http(200, NULL, NULL);
    ck_assert_uint_eq(ledger().exported, 4);
}
END_TEST

START_TEST(without_an_end_a_batch_is_tried_for_ever)
{
    struct exporter_options options = options_of(EXPORTER_OTLP_HTTP);

    options.retry_for = 0;
    start(&options);
    add_spans(4);
    for (int i = 0; i < 1000; i++) {
        now = tick() == INT64_MAX ? now : now + SECONDS(7);
        tick();
        answer_failed();
    }
    ck_assert_uint_eq(ledger().waiting, 4);
    ck_assert_int_gt(now, SECONDS(6000));
}
END_TEST

START_TEST(a_collector_that_comes_back_gets_what_waited)
{
    struct exporter_options options = options_of(EXPORTER_OTLP_HTTP);

    options.queue_spans = 100;
    options.retry_for = 0;
    start(&options);
    for (int i = 0; i < 1000; i++) {
        add_spans(1);
        now += MILLISECONDS(100);
        tick();
        if (transport->done)
            answer_failed();
    }
    ck_assert_uint_eq(ledger().waiting, 100);
    ck_assert_uint_eq(ledger().dropped[DROP_QUEUE_FULL], 900);
    ck_assert_uint_eq(warnings, 2); /* that it fails, and that the queue is full */

    tick();
    now += SECONDS(20);
    tick();
    while (transport->done)
        answer_http(200, NULL, NULL);
    ck_assert_uint_eq(ledger().exported, 100);
    ck_assert_uint_eq(ledger().waiting, 0);
    ck_assert_uint_eq(reports, 3);
    ck_assert_ptr_nonnull(strstr(last_report, "takes spans again after 1"));
    ck_assert_ptr_nonnull(strstr(last_report, "900 were lost"));
}
END_TEST

/* --- the end --- */

START_TEST(what_waits_at_the_end_is_dropped_and_counted)
{
    start_default();
    add_spans(9);
    tick();
    ck_assert_ptr_nonnull(transport->done);
    exporter_abandon(exporter);
    ck_assert_uint_eq(transport->cancels, 1);
    ck_assert_uint_eq(ledger().dropped[DROP_SHUTDOWN], 9);
    ck_assert_uint_eq(ledger().waiting, 0);
    ck_assert(exporter_idle(exporter));
    add_spans(4); /* and it can go on */
    tick();
    answer_http(200, NULL, NULL);
    ck_assert_uint_eq(ledger().exported, 4);
}
END_TEST

START_TEST(an_exporter_may_be_freed_at_any_time)
{
    start_default();
    add_spans(9);
    tick();
    if (_i == 1)
        answer_failed();
    if (_i == 2) {
        answer_failed();
        tick();
    }
}
END_TEST

/* --- sizes --- */

static char long_text[SPAN_TEXT_BYTES_MAX];

static void long_span(struct span *s)
{
    memset(long_text, 'l', sizeof(long_text));
    example_span(s, SPAN_SERVER);
    for (int i = 0; i < SPAN_EXTRAS_MAX; i++)
        span_add_extra(s, &arena, EXTRA_RESPONSE_HEADER, str_of(long_text, (size_t)i + 1),
                       str_of(long_text, sizeof(long_text)));
}

START_TEST(no_request_is_larger_than_a_collector_takes)
{
    struct exporter_options options = options_of(EXPORTER_OTLP_GRPC);
    struct headers trailers = {0};
    unsigned added = 200;
    struct span s;

    headers_add(&trailers, &arena, STR("grpc-status"), STR("0"));
    options.queue_spans = options.batch_spans = 100000;
    start(&options);
    long_span(&s);
    for (unsigned i = 0; i < added; i++)
        exporter_add(exporter, &s, now);
    ck_assert_uint_eq(ledger().waiting, added);
    exporter_flush(exporter, now);
    size_t got = 0;
    while (transport->done) {
        struct str body = transport->request.body;
        ck_assert_uint_le(body.n, OTLP_REQUEST_BYTES_MAX);
        got += spans_in(unframed(body, 0));
        answer(&(struct transport_response){.result = TRANSPORT_ANSWERED,
                                            .status = 200,
                                            .headers = &trailers,
                                            .trailers = &trailers});
    }
    ck_assert_uint_eq(got, added);
    ck_assert_uint_gt(transport->sends, 5);
    ck_assert_uint_eq(ledger().exported, added);
}
END_TEST

START_TEST(a_queue_of_few_long_spans_is_bounded_in_bytes)
{
    struct exporter_options options = options_of(EXPORTER_OTLP_HTTP);
    struct span s;

    options.queue_spans = 1000; /* 1 KiB each is less than the least, 8 MiB */
    start(&options);
    long_span(&s);
    for (int i = 0; i < 1000; i++)
        exporter_add(exporter, &s, now);
    struct ledger_view v = ledger();
    ck_assert_uint_gt(v.dropped[DROP_QUEUE_FULL], 0);
    ck_assert_uint_ge(v.waiting * SPAN_EXTRAS_MAX * sizeof(long_text), 7 << 20);
    ck_assert_uint_le(v.waiting * SPAN_EXTRAS_MAX * sizeof(long_text), 9 << 20);
}
END_TEST

START_TEST(a_span_over_the_limit_alone_is_dropped)
{
    static char huge[OTLP_REQUEST_BYTES_MAX];

    /* No span is that long; a resource may be, so that no room is left. */
    memset(huge, 'h', sizeof(huge));
    resource_add(&resource, STR("huge"), str_of(huge, sizeof(huge)));
    start_default();
    add_spans(3);
    ck_assert_uint_eq(ledger().dropped[DROP_TOO_LARGE], 3);
    ck_assert_uint_eq(ledger().waiting, 0);
    tick();
    ck_assert_uint_eq(transport->sends, 0);
    ck_assert(exporter_idle(exporter));
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("exporter");
    TCase *t = tcase_create("exporter");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, nothing_is_sent_when_nothing_waits);
    tcase_add_test(t, a_full_batch_is_sent_at_once);
    tcase_add_test(t, a_batch_that_is_not_full_is_sent_after_the_delay);
    tcase_add_test(t, one_request_is_under_way_at_a_time_and_the_next_follows_the_answer);
    tcase_add_test(t, a_flush_does_not_wait_for_the_delay);
    tcase_add_test(t, a_full_queue_drops_new_spans_until_there_is_room);
    tcase_add_test(t, spans_lost_before_they_came_are_counted);
    tcase_add_test(t, otlp_http_is_a_post_of_plain_protobuf);
    tcase_add_test(t, otlp_grpc_is_a_framed_message);
    tcase_add_loop_test(t, gzip_is_the_body_of_http_and_the_message_of_grpc, 0, 2);
    tcase_add_test(t, a_failure_is_tried_again_with_growing_waits_and_the_same_spans);
    tcase_add_test(t, the_wait_counts_from_the_tick_that_sees_the_answer);
    tcase_add_loop_test(t, each_answer_that_may_be_tried_again_keeps_the_spans, 0, 6);
    tcase_add_test(t, an_answer_that_may_not_drops_the_batch_and_says_why_once);
    tcase_add_loop_test(t, partial_success_counts_what_was_rejected, 0, 2);
    tcase_add_test(t, a_batch_expires_when_its_time_is_over_and_the_next_has_its_own);
    tcase_add_test(t, without_an_end_a_batch_is_tried_for_ever);
    tcase_add_test(t, a_collector_that_comes_back_gets_what_waited);
    tcase_add_test(t, what_waits_at_the_end_is_dropped_and_counted);
    tcase_add_loop_test(t, an_exporter_may_be_freed_at_any_time, 0, 3);
    tcase_add_test(t, no_request_is_larger_than_a_collector_takes);
    tcase_add_test(t, a_queue_of_few_long_spans_is_bounded_in_bytes);
    tcase_add_test(t, a_span_over_the_limit_alone_is_dropped);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
