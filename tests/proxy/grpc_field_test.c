#include "proxy/grpc_field.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/codec.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define HOURS(n)     SECONDS(3600ll * (n))
#define LONGEST      HOURS(10 * 365 * 24)

static const struct {
    const char *text;
    nsec_t timeout; /* -1: malformed */
} read_rows[] = {
    {"1n", 1},
    {"0n", 0},
    {"99999999n", 99999999},
    {"5u", 5000},
    {"250m", MILLISECONDS(250)},
    {"1S", SECONDS(1)},
    {"00000001S", SECONDS(1)},
    {"3M", SECONDS(180)},
    {"2H", HOURS(2)},
    {"99999999H", LONGEST}, /* more than 64 bits of nanoseconds */
    {"99999999M", LONGEST},
    {"99999999S", SECONDS(99999999)},
    {"", -1},
    {"S", -1},
    {"5", -1},
    {"5s", -1},
    {"5ms", -1},
    {"5 S", -1},
    {" 5S", -1},
    {"5S ", -1},
    {"+5S", -1},
    {"-5S", -1},
    {"1.5S", -1},
    {"0x5S", -1},
    {"000000001S", -1}, /* nine digits */
    {"5S, 6S", -1},
};

START_TEST(a_timeout_is_digits_and_a_unit)
{
    nsec_t timeout = -1;
    bool read = grpc_timeout_read(str_from(read_rows[_i].text), &timeout);

    ck_assert_msg(read == (read_rows[_i].timeout >= 0), "%s", read_rows[_i].text);
    ck_assert_msg(timeout == read_rows[_i].timeout, "%s: %lld", read_rows[_i].text,
                  (long long)timeout);
}
END_TEST

static const struct {
    nsec_t timeout;
    const char *text;
} write_rows[] = {
    {1, "1n"},
    {10, "10n"},
    {99999999, "99999999n"},
    {100000000, "100000u"},
    {100000999, "100000u"}, /* never more than there is */
    {SECONDS(1), "1000000u"},
    {SECONDS(100) - 1, "99999999u"},
    {SECONDS(100), "100000m"},
    {SECONDS(100000), "100000S"},
    {SECONDS(99999999), "99999999S"},
    {SECONDS(100000000), "1666666M"},
    {LONGEST, "5256000M"},
    {INT64_MAX, "2562047H"},
};

START_TEST(a_timeout_is_written_in_the_finest_unit_that_eight_digits_can_say)
{
    char out[GRPC_TIMEOUT_TEXT_MAX];
    size_t n = grpc_timeout_write(write_rows[_i].timeout, out);
    nsec_t back = -1;

    ck_assert_msg(str_eq(str_of(out, n), str_from(write_rows[_i].text)), "%s: %.*s",
                  write_rows[_i].text, (int)n, out);
    ck_assert(grpc_timeout_read(str_of(out, n), &back));
    ck_assert(back <= write_rows[_i].timeout);
}
END_TEST

START_TEST(a_status_is_the_number_of_a_code_or_unknown)
{
    static const struct {
        const char *text;
        enum grpc_status status;
    } rows[] = {
        {"0", GRPC_OK},       {"14", GRPC_UNAVAILABLE}, {"16", GRPC_UNAUTHENTICATED},
        {"17", GRPC_UNKNOWN}, {"99999", GRPC_UNKNOWN},  {"-1", GRPC_UNKNOWN},
        {"", GRPC_UNKNOWN},   {"OK", GRPC_UNKNOWN},     {"18446744073709551616", GRPC_UNKNOWN},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        ck_assert_msg(grpc_status_read(str_from(rows[i].text)) == rows[i].status, "%s",
                      rows[i].text);
}
END_TEST

START_TEST(a_message_is_utf8_that_is_percent_encoded)
{
    static const struct {
        const char *text, *sent;
    } rows[] = {
        {"", ""},
        {"no route takes GET a/b", "no route takes GET a/b"},
        {"100% ~!\"#$&'", "100%25 ~!\"#$&'"},
        {"a\r\nb\t\x7f", "a%0D%0Ab%09%7F"},
        {"gr\xc3\xbc\xc3\x9f", "gr%C3%BC%C3%9F"},
        {"\xf0\x9f\x98\x80", "%F0%9F%98%80"},
        {"\xff\xfe\xfd", "%EF%BF%BD%EF%BF%BD%EF%BF%BD"},
        {"cut \xe2\x82", "cut %EF%BF%BD%EF%BF%BD"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str text = str_from(rows[i].text);
        char *out = malloc(9 * text.n + 1);
        size_t n = grpc_message_write(text, out);

        ck_assert_msg(str_eq(str_of(out, n), str_from(rows[i].sent)), "%s: %.*s", rows[i].sent,
                      (int)n, out);
        free(out);
    }
}
END_TEST

START_TEST(the_code_of_a_stream_says_what_a_status_would)
{
    static const enum grpc_status of[] = {
        [STREAM_NO_ERROR] = GRPC_INTERNAL,
        [STREAM_PROTOCOL_ERROR] = GRPC_INTERNAL,
        [STREAM_INTERNAL_ERROR] = GRPC_INTERNAL,
        [3] = GRPC_INTERNAL,
        [4] = GRPC_INTERNAL,
        [5] = GRPC_INTERNAL,
        [6] = GRPC_INTERNAL,
        [STREAM_REFUSED] = GRPC_UNAVAILABLE,
        [STREAM_CANCEL] = GRPC_CANCELLED,
        [9] = GRPC_INTERNAL,
        [10] = GRPC_INTERNAL,
        [STREAM_ENHANCE_YOUR_CALM] = GRPC_RESOURCE_EXHAUSTED,
        [12] = GRPC_PERMISSION_DENIED,
        [13] = GRPC_INTERNAL,
    };

    for (uint32_t code = 0; code < COUNT(of); code++)
        ck_assert_uint_eq(grpc_status_of_stream(code), of[code]);
    ck_assert_uint_eq(grpc_status_of_stream(0xffffffff), GRPC_INTERNAL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grpc_field");
    TCase *t = tcase_create("grpc_field");

    tcase_add_loop_test(t, a_timeout_is_digits_and_a_unit, 0, (int)COUNT(read_rows));
    tcase_add_loop_test(t, a_timeout_is_written_in_the_finest_unit_that_eight_digits_can_say, 0,
                        (int)COUNT(write_rows));
    tcase_add_test(t, a_status_is_the_number_of_a_code_or_unknown);
    tcase_add_test(t, a_message_is_utf8_that_is_percent_encoded);
    tcase_add_test(t, the_code_of_a_stream_says_what_a_status_would);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
