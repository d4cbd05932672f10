#include "otlp/utf8.h"

#include "test_main.h"

#define BAD "\xef\xbf\xbd"

/* repaired NULL: it is valid as it is. */
static const struct row {
    const char *text, *repaired;
} rows[] = {
    {"", NULL},
    {"plain text, longer than a word", NULL},
    {"gr\xc3\xbc\xc3\x9f", NULL},
    {"\xe2\x82\xac", NULL},
    {"\xf0\x9f\x98\x80", NULL},
    {"\xf4\x8f\xbf\xbf", NULL},
    {"\xee\x80\x80", NULL},
    {"\xff", BAD},
    {"a\x80z", "a" BAD "z"},
    {"\xc0\xaf", BAD BAD},                 /* overlong */
    {"\xe0\x80\xaf", BAD BAD BAD},         /* overlong */
    {"\xed\xa0\x80", BAD BAD BAD},         /* a surrogate */
    {"\xf4\x90\x80\x80", BAD BAD BAD BAD}, /* over U+10FFFF */
    {"\xf0\x80\x80\x80", BAD BAD BAD BAD}, /* overlong */
    {"end \xe2\x82", "end " BAD BAD},      /* cut */
    {"\xe2\x82z", BAD BAD "z"},
    {"12345678\xc3", "12345678" BAD}, /* behind a whole word */
    {"\xc3\xbc\xff\xc3\xbc", "\xc3\xbc" BAD "\xc3\xbc"},
};

START_TEST(finds_what_is_no_character_and_repairs_only_that)
{
    struct str text = str_from(rows[_i].text);
    const char *repaired = rows[_i].repaired;
    char out[128];

    ck_assert(utf8_valid(text) == (repaired == NULL));
    size_t n = utf8_repair(text, out);
    ck_assert_text(str_of(out, n), repaired ? repaired : rows[_i].text);
    ck_assert(n <= 3 * text.n);
    ck_assert(utf8_valid(str_of(out, n)));
}
END_TEST

START_TEST(ascii_has_no_high_byte_wherever_it_is)
{
    char text[40];

    for (size_t n = 0; n <= sizeof(text); n++) {
        memset(text, 0x7f, sizeof(text));
        ck_assert(utf8_is_ascii(str_of(text, n)));
        for (size_t at = 0; at < n; at++) {
            text[at] = (char)0x80;
            ck_assert(!utf8_is_ascii(str_of(text, n)));
            text[at] = 0x7f;
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("utf8");
    TCase *t = tcase_create("utf8");

    tcase_add_loop_test(t, finds_what_is_no_character_and_repairs_only_that, 0,
                        sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(t, ascii_has_no_high_byte_wherever_it_is);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
