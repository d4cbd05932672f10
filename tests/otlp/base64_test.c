#include "otlp/base64.h"

#include "test_main.h"

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
        ck_assert_text(str_of((const char *)out, n), row->decoded);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base64");
    TCase *t = tcase_create("decode");

    tcase_add_loop_test(t, decodes_with_and_without_padding_and_nothing_else, 0,
                        sizeof(rows) / sizeof(rows[0]));
    suite_add_tcase(suite, t);
    return test_main(suite);
}
