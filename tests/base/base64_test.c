#include "base/base64.h"

#include <check.h>
#include <stdlib.h>

static const struct row {
    const char *encoded, *decoded; /* NULL: not base64 */
} rows[] = {
    {"", ""},       {"TQ==", "M"},   {"TWE=", "Ma"},     {"TWFu", "Man"},
    {"TQ", "M"},    {"TWE", "Ma"},   {"TWFuTQ", "ManM"}, {"+/+/", "\xfb\xff\xbf"},
    {"T", NULL},    {"TWFuT", NULL}, {"TQ=", NULL},      {"T===", NULL},
    {"TW-u", NULL}, {"TW Fu", NULL}, {"=TQ=", NULL},     {"TWFu====", NULL},
};

START_TEST(decodes_with_and_without_padding_and_nothing_else)
{
    const struct row *row = &rows[_i];
    uint8_t out[64];
    size_t n = 99;

    bool valid = base64_decode(str_from(row->encoded), out, &n);
    ck_assert_msg(valid == (row->decoded != NULL), "%s", row->encoded);
    if (valid)
        ck_assert(str_eq(str_of((const char *)out, n), str_from(row->decoded)));
}
END_TEST

START_TEST(encodes_without_padding_what_it_decodes)
{
    uint8_t bytes[64], back[64 + 3];
    char text[BASE64_LENGTH(64) + 1];
    size_t n_back;

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 3);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        memset(text, '!', sizeof text);
        base64_encode(bytes, n, text);
        ck_assert_int_eq(text[BASE64_LENGTH(n)], '!');
        ck_assert(base64_decode(str_of(text, BASE64_LENGTH(n)), back, &n_back));
        ck_assert_uint_eq(n_back, n);
        ck_assert_mem_eq(back, bytes, n);
    }
    base64_encode((const uint8_t *)"Ma", 2, text);
    ck_assert_mem_eq(text, "TWE", 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base64");
    TCase *t = tcase_create("decode");

    tcase_add_loop_test(t, decodes_with_and_without_padding_and_nothing_else, 0,
                        sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(t, encodes_without_padding_what_it_decodes);
    suite_add_tcase(suite, t);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
