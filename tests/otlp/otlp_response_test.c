#include "otlp/otlp_response.h"

#include <stdio.h>

#include "rpc_status.pb-c.h"
#include "test_main.h"
#include "trace_service.pb-c.h"

static struct arena arena;
static struct headers headers, trailers;
static struct transport_response response;
static struct otlp_outcome outcome;

static void set_up(void)
{
    arena_init(&arena, 0, 0);
    headers = trailers = (struct headers){0};
    response = (struct transport_response){
        .result = TRANSPORT_ANSWERED, .status = 200, .headers = &headers, .trailers = &trailers};
}

static void tear_down(void)
{
    arena_release(&arena);
}

static void add(struct headers *h, const char *name, const char *value)
{
    headers_add(h, &arena, str_from(name), str_from(value));
}

/* What a call was answered with, and what it must mean. wait in seconds. */
static const struct row {
    int code;
    enum otlp_verdict verdict;
} grpc_rows[] = {
    {0, OTLP_ACCEPTED}, {1, OTLP_RETRY},    {2, OTLP_REFUSED},   {3, OTLP_REFUSED},
    {4, OTLP_RETRY},    {5, OTLP_REFUSED},  {6, OTLP_REFUSED},   {7, OTLP_REFUSED},
    {8, OTLP_REFUSED},  {9, OTLP_REFUSED},  {10, OTLP_RETRY},    {11, OTLP_RETRY},
    {12, OTLP_REFUSED}, {13, OTLP_REFUSED}, {14, OTLP_RETRY},    {15, OTLP_RETRY},
    {16, OTLP_REFUSED}, {17, OTLP_REFUSED}, {999, OTLP_REFUSED},
};

START_TEST(each_grpc_status_has_its_rule)
{
    char code[8];

    snprintf(code, sizeof(code), "%d", grpc_rows[_i].code);
    add(&trailers, "grpc-status", code);
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, grpc_rows[_i].verdict);
    ck_assert((outcome.text[0] != '\0') == (grpc_rows[_i].code != 0));
    ck_assert_int_eq(outcome.wait_at_least, 0);
}
END_TEST

START_TEST(the_status_may_come_with_the_headers)
{
    add(&headers, "grpc-status", "14");
    add(&headers, "grpc-message", "not%20yet%21");
    response.trailers = NULL;
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_RETRY);
    ck_assert_ptr_nonnull(strstr(outcome.text, "UNAVAILABLE"));
    ck_assert_ptr_nonnull(strstr(outcome.text, "not yet!"));
}
END_TEST

START_TEST(a_status_that_is_no_number_is_unknown)
{
    add(&trailers, "grpc-status", "14x");
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_REFUSED);
    ck_assert_ptr_nonnull(strstr(outcome.text, "UNKNOWN"));
}
END_TEST

/* Not gRPC's answer: gRPC says what HTTP's codes stand for then. */
static const struct {
    int status;
    enum otlp_verdict verdict;
    const char *name;
} plain_rows[] = {
    {200, OTLP_REFUSED, "UNKNOWN"},         {400, OTLP_REFUSED, "INTERNAL"},
    {401, OTLP_REFUSED, "UNAUTHENTICATED"}, {403, OTLP_REFUSED, "PERMISSION_DENIED"},
    {404, OTLP_REFUSED, "UNIMPLEMENTED"},   {429, OTLP_RETRY, "UNAVAILABLE"},
    {502, OTLP_RETRY, "UNAVAILABLE"},       {503, OTLP_RETRY, "UNAVAILABLE"},
    {504, OTLP_RETRY, "UNAVAILABLE"},       {500, OTLP_REFUSED, "UNKNOWN"},
};

START_TEST(an_http_answer_to_grpc_stands_for_a_status)
{
    response.status = plain_rows[_i].status;
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, plain_rows[_i].verdict);
    ck_assert_ptr_nonnull(strstr(outcome.text, plain_rows[_i].name));
}
END_TEST

/* Base64 of a google.rpc.Status with a RetryInfo, behind another detail. */
static void add_details(int code, int64_t seconds, int32_t nanos, bool with_delay, bool padded)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    Rpc__Duration delay;
    Rpc__RetryInfo info;
    Rpc__Any any[2];
    Rpc__Any *details[] = {&any[0], &any[1]};
    Rpc__Status status;
    uint8_t packed_info[64], packed[512];
    char text[1024];
    size_t n = 0;

    rpc__duration__init(&delay);
    delay.seconds = seconds;
    delay.nanos = nanos;
    rpc__retry_info__init(&info);
    info.retry_delay = with_delay ? &delay : NULL;
    rpc__any__init(&any[0]);
    any[0].type_url = (char *)"type.googleapis.com/google.rpc.DebugInfo";
    rpc__any__init(&any[1]);
    any[1].type_url = (char *)"type.googleapis.com/google.rpc.RetryInfo";
    any[1].value.data = packed_info;
    any[1].value.len = rpc__retry_info__pack(&info, packed_info);
    rpc__status__init(&status);
    status.code = code;
    status.n_details = 2;
    status.details = details;
    size_t length = rpc__status__pack(&status, packed);

    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t bits = (uint32_t)packed[i] << 16 | (left > 1 ? (uint32_t)packed[i + 1] << 8 : 0) |
                        (left > 2 ? packed[i + 2] : 0);
        for (size_t j = 0; j < 4; j++) {
            if (j <= left)
                text[n++] = digits[bits >> (18 - 6 * j) & 63];
            else if (padded)
                text[n++] = '=';
        }
    }
    struct str value = arena_dup(&arena, str_of(text, n));
    headers_add(&trailers, &arena, STR("grpc-status-details-bin"), value);
}

START_TEST(an_exhausted_resource_is_tried_again_only_when_it_says_when)
{
    add(&trailers, "grpc-status", "8");
    add_details(8, 7, 500000000, true, _i);
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_RETRY);
    ck_assert_int_eq(outcome.wait_at_least, MILLISECONDS(7500));
}
END_TEST

START_TEST(retry_info_holds_for_other_codes_too_but_makes_none_of_them_retryable)
{
    add(&trailers, "grpc-status", _i ? "14" : "3");
    add_details(14, 3, 0, true, true);
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, _i ? OTLP_RETRY : OTLP_REFUSED);
    ck_assert_int_eq(outcome.wait_at_least, SECONDS(3));
}
END_TEST

START_TEST(retry_info_without_a_delay_asks_for_none_and_still_allows)
{
    add(&trailers, "grpc-status", "8");
    add_details(8, 0, 0, false, true);
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_RETRY);
    ck_assert_int_eq(outcome.wait_at_least, 0);
}
END_TEST

START_TEST(a_delay_out_of_reason_does_not_wrap)
{
    add(&trailers, "grpc-status", "14");
    add_details(14, _i ? INT64_MAX : INT64_MIN, _i ? 0 : -5, true, true);
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    if (_i)
        ck_assert_int_gt(outcome.wait_at_least, SECONDS(1000000));
    else
        ck_assert_int_eq(outcome.wait_at_least, 0);
}
END_TEST

static const char *const bad_details[] = {"", "!", "A", "AAAA", "////", "CAgaBwoFAAAAAAA"};

START_TEST(details_that_cannot_be_read_say_nothing)
{
    add(&trailers, "grpc-status", "8");
    add(&trailers, "grpc-status-details-bin", bad_details[_i]);
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_REFUSED);
}
END_TEST

/* An ExportTraceServiceResponse, framed for gRPC. */
static struct str packed_response(int64_t rejected, const char *message, bool framed)
{
    Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess partial;
    Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse whole;
    uint8_t *bytes = arena_alloc(&arena, 1024);

    opentelemetry__proto__collector__trace__v1__export_trace_partial_success__init(&partial);
    partial.rejected_spans = rejected;
    partial.error_message = (char *)message;
    opentelemetry__proto__collector__trace__v1__export_trace_service_response__init(&whole);
    whole.partial_success = &partial;
    size_t n = opentelemetry__proto__collector__trace__v1__export_trace_service_response__pack(
        &whole, bytes + 5);
    memset(bytes, 0, 5);
    bytes[3] = (uint8_t)(n >> 8);
    bytes[4] = (uint8_t)n;
    return framed ? str_of((char *)bytes, n + 5) : str_of((char *)bytes + 5, n);
}

static const struct {
    int64_t rejected;
    const char *message;
    uint64_t counted;
    const char *told; /* NULL: nothing */
} partial_rows[] = {
    {0, "", 0, NULL},
    {3, "too old", 3, "too old"},
    {3, "", 3, "rejected 3 spans"},
    {0, "deprecated", 0, "deprecated"},
    {-1, "", 0, NULL},
};

static void check_partial(int i)
{
    ck_assert_int_eq(outcome.verdict, OTLP_ACCEPTED);
    ck_assert_uint_eq(outcome.rejected, partial_rows[i].counted);
    if (partial_rows[i].told)
        ck_assert_msg(strstr(outcome.text, partial_rows[i].told) != NULL, "%s", outcome.text);
    else
        ck_assert_str_eq(outcome.text, "");
}

START_TEST(partial_success_is_counted_and_never_sent_again)
{
    const char *message = partial_rows[_i].message;

    add(&trailers, "grpc-status", "0");
    response.body = packed_response(partial_rows[_i].rejected, message, true);
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    check_partial(_i);

    add(&headers, "content-type", "application/x-protobuf");
    response.body = packed_response(partial_rows[_i].rejected, message, false);
    otlp_response_read(TRANSPORT_HTTP, &response, &outcome);
    check_partial(_i);
}
END_TEST

static const struct {
    const char *bytes;
    size_t n;
} odd_bodies[] = {
    {"", 0},
    {"\0\0", 2},
    {"\0\0\0\0\0", 5},
    {"\1\0\0\0\2\x0a\0", 7},     /* compressed, which nobody asked for */
    {"\0\0\0\0\x50\x0a\0", 7},   /* longer than it is */
    {"\0\xff\xff\xff\xff\0", 6}, /* much longer */
    {"\0\0\0\0\2\xff\xff", 7},   /* not protobuf */
};

START_TEST(a_success_whose_message_cannot_be_read_is_one)
{
    add(&trailers, "grpc-status", "0");
    add(&headers, "content-type", "application/x-protobuf");
    response.body = str_of(odd_bodies[_i].bytes, odd_bodies[_i].n);
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_ACCEPTED);
    ck_assert_uint_eq(outcome.rejected, 0);
    otlp_response_read(TRANSPORT_HTTP, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_ACCEPTED);
    ck_assert_uint_eq(outcome.rejected, 0);
}
END_TEST

static const struct {
    int status;
    enum otlp_verdict verdict;
    const char *advice;
} http_rows[] = {
    {200, OTLP_ACCEPTED, NULL},
    {202, OTLP_ACCEPTED, NULL},
    {204, OTLP_ACCEPTED, NULL},
    {301, OTLP_REFUSED, "301"},
    {400, OTLP_REFUSED, "OTLP/HTTP port"},
    {401, OTLP_REFUSED, "credentials"},
    {403, OTLP_REFUSED, "credentials"},
    {404, OTLP_REFUSED, "path"},
    {405, OTLP_REFUSED, "path"},
    {408, OTLP_REFUSED, "408"},
    {413, OTLP_REFUSED, "smaller"},
    {415, OTLP_REFUSED, "protobuf"},
    {429, OTLP_RETRY, "fewer"},
    {500, OTLP_REFUSED, "500"},
    {501, OTLP_REFUSED, "501"},
    {502, OTLP_RETRY, "502"},
    {503, OTLP_RETRY, "503"},
    {504, OTLP_RETRY, "504"},
    {505, OTLP_REFUSED, "505"},
};

START_TEST(each_http_status_has_its_rule)
{
    response.status = http_rows[_i].status;
    response.trailers = NULL;
    otlp_response_read(TRANSPORT_HTTP, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, http_rows[_i].verdict);
    if (http_rows[_i].advice)
        ck_assert_msg(strstr(outcome.text, http_rows[_i].advice) != NULL, "%s", outcome.text);
    else
        ck_assert_str_eq(outcome.text, "");
}
END_TEST

static const struct {
    const char *retry_after, *date;
    nsec_t wait;
} after_rows[] = {
    {"120", NULL, SECONDS(120)},
    {" 7 ", NULL, SECONDS(7)},
    {"0", NULL, 0},
    {"-1", NULL, 0},
    {"soon", NULL, 0},
    {"", NULL, 0},
    {"99999999999999999999", NULL, 0},
    {"9223372036854775807", NULL, -1}, /* very long, but no wrap */
    {"Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(30)},
    {"Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(30)},
    {"Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:07 GMT", SECONDS(30)},
    {"Sun, 06 Nov 1994 08:49:07 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", 0},
    {"Sun, 06 Nov 1994 08:49:37 GMT", NULL, 0},
    {"Sun, 06 Nov 1994 08:49:37 GMT", "yesterday", 0},
    {"Sun, 06 Nov 1994 08:49:37 GMT and more", "Sun, 06 Nov 1994 08:49:07 GMT", 0},
};

START_TEST(retry_after_is_seconds_or_a_date)
{
    add(&headers, "Retry-After", after_rows[_i].retry_after);
    if (after_rows[_i].date)
        add(&headers, "Date", after_rows[_i].date);
    nsec_t wait = otlp_retry_after(&headers);
    if (after_rows[_i].wait < 0)
        ck_assert_int_gt(wait, SECONDS(1000000));
    else
        ck_assert_int_eq(wait, after_rows[_i].wait);
}
END_TEST

START_TEST(retry_after_is_heard_with_429_and_503_only)
{
    static const int statuses[] = {429, 503, 502, 504};

    add(&headers, "retry-after", "9");
    response.status = statuses[_i];
    otlp_response_read(TRANSPORT_HTTP, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_RETRY);
    ck_assert_int_eq(outcome.wait_at_least, _i < 2 ? SECONDS(9) : 0);
}
END_TEST

START_TEST(what_an_error_says_is_passed_on)
{
    Rpc__Status status;
    uint8_t packed[128];

    rpc__status__init(&status);
    status.code = 3;
    status.message = (char *)"bad span id";
    response.body = str_of((char *)packed, rpc__status__pack(&status, packed));
    response.status = 400;
    add(&headers, "content-type", "application/x-protobuf");
    otlp_response_read(TRANSPORT_HTTP, &response, &outcome);
    ck_assert_ptr_nonnull(strstr(outcome.text, "bad span id"));

    headers.n = 0;
    add(&headers, "content-type", "text/plain; charset=utf-8");
    response.body = STR("404 page not found\nmore");
    response.status = 404;
    otlp_response_read(TRANSPORT_HTTP, &response, &outcome);
    ck_assert_ptr_nonnull(strstr(outcome.text, "(it says: 404 page not found)"));
    ck_assert_ptr_null(strstr(outcome.text, "more"));
}
END_TEST

START_TEST(a_redirect_is_not_followed_but_told)
{
    response.status = 308;
    add(&headers, "location", "http://elsewhere/v1/traces");
    otlp_response_read(TRANSPORT_HTTP, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_REFUSED);
    ck_assert_ptr_nonnull(strstr(outcome.text, "http://elsewhere/v1/traces"));
}
END_TEST

START_TEST(a_web_page_is_taken_for_success_with_a_warning)
{
    add(&headers, "content-type", "text/html; charset=utf-8");
    response.body = STR("<html>");
    otlp_response_read(TRANSPORT_HTTP, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_ACCEPTED);
    ck_assert_ptr_nonnull(strstr(outcome.text, "web page"));
}
END_TEST

START_TEST(no_answer_is_tried_again)
{
    static const enum transport_result results[] = {TRANSPORT_CONNECT_FAILED, TRANSPORT_LOST,
                                                    TRANSPORT_TIMEOUT};
    response = (struct transport_response){.result = results[_i / 2 % 3]};
    if (_i >= 6)
        snprintf(response.detail, sizeof(response.detail), "connect to 127.0.0.1:4317: refused");
    otlp_response_read(_i % 2 ? TRANSPORT_GRPC : TRANSPORT_HTTP, &response, &outcome);
    ck_assert_int_eq(outcome.verdict, OTLP_RETRY);
    ck_assert_int_eq(outcome.wait_at_least, 0);
    ck_assert(outcome.text[0]);
    if (_i >= 6)
        ck_assert_ptr_nonnull(strstr(outcome.text, "127.0.0.1:4317"));
}
END_TEST

START_TEST(a_message_too_long_is_cut)
{
    char *message = arena_alloc(&arena, 5001);

    memset(message, 'm', 5000);
    message[5000] = '\0';
    add(&trailers, "grpc-status", "13");
    add(&trailers, "grpc-message", message);
    otlp_response_read(TRANSPORT_GRPC, &response, &outcome);
    ck_assert_uint_lt(strlen(outcome.text), sizeof(outcome.text));
    ck_assert_ptr_nonnull(strstr(outcome.text, "log")); /* the advice is behind it */
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("otlp_response");
    TCase *t = tcase_create("response");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, each_grpc_status_has_its_rule, 0, COUNT(grpc_rows));
    tcase_add_test(t, the_status_may_come_with_the_headers);
    tcase_add_test(t, a_status_that_is_no_number_is_unknown);
    tcase_add_loop_test(t, an_http_answer_to_grpc_stands_for_a_status, 0, COUNT(plain_rows));
    tcase_add_loop_test(t, an_exhausted_resource_is_tried_again_only_when_it_says_when, 0, 2);
    tcase_add_loop_test(t, retry_info_holds_for_other_codes_too_but_makes_none_of_them_retryable, 0,
                        2);
    tcase_add_test(t, retry_info_without_a_delay_asks_for_none_and_still_allows);
    tcase_add_loop_test(t, a_delay_out_of_reason_does_not_wrap, 0, 2);
    tcase_add_loop_test(t, details_that_cannot_be_read_say_nothing, 0, COUNT(bad_details));
    tcase_add_loop_test(t, partial_success_is_counted_and_never_sent_again, 0, COUNT(partial_rows));
    tcase_add_loop_test(t, a_success_whose_message_cannot_be_read_is_one, 0, COUNT(odd_bodies));
    tcase_add_loop_test(t, each_http_status_has_its_rule, 0, COUNT(http_rows));
    tcase_add_loop_test(t, retry_after_is_seconds_or_a_date, 0, COUNT(after_rows));
    tcase_add_loop_test(t, retry_after_is_heard_with_429_and_503_only, 0, 4);
    tcase_add_test(t, what_an_error_says_is_passed_on);
    tcase_add_test(t, a_redirect_is_not_followed_but_told);
    tcase_add_test(t, a_web_page_is_taken_for_success_with_a_warning);
    tcase_add_loop_test(t, no_answer_is_tried_again, 0, 12);
    tcase_add_test(t, a_message_too_long_is_cut);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
