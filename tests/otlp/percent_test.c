#include "otlp/percent.h"

#include "test_main.h"

static const struct row {
    const char *encoded, *decoded;
    bool valid;
} rows[] = {
    {"", "", true},         {"plain", "plain", true}, {"a%2Cb%3dc", "a,b=c", true},
    {"%41%42", "AB", true}, {"%", "%", false},        {"%4", "%4", false},
    {"%4g", "%4g", false},  {"%%41", "%A", false},    {"100%", "100%", false},
    {"a+b", "a+b", true},
};

START_TEST(decodes_and_keeps_what_it_cannot_decode)
{
    char out[64];
    bool valid;
    size_t n = percent_decode(str_from(rows[_i].encoded), out, &valid);

    ck_assert_text(str_of(out, n), rows[_i].decoded);
    ck_assert(valid == rows[_i].valid);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("percent");
    TCase *t = tcase_create("decode");

    tcase_add_loop_test(t, decodes_and_keeps_what_it_cannot_decode, 0,
                        sizeof(rows) / sizeof(rows[0]));
    suite_add_tcase(suite, t);
    return test_main(suite);
}
