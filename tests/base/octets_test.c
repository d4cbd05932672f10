#include "base/octets.h"

#include <check.h>
#include <ctype.h>
#include <stdlib.h>

enum { LONGEST = 20 };

/* Each byte at each place of texts of each length, among others that are like those of a target. */
static void each_text(void (*look)(const char *p, size_t n, size_t at))
{
    char text[LONGEST];

    for (size_t n = 1; n <= LONGEST; n++)
        for (size_t at = 0; at < n; at++)
            for (int c = 0; c < 256; c++) {
                char *exact = malloc(n); /* so that a sanitizer sees a look behind it */

                memset(text, 'm', sizeof text);
                text[at] = (char)c;
                memcpy(exact, text, n);
                look(exact, n, at);
                free(exact);
            }
}

static void look_at_sets(const char *p, size_t n, size_t at)
{
    unsigned char c = (unsigned char)p[at];

    ck_assert_int_eq(octets_are_ascii(p, n), c < 0x80);
    ck_assert_int_eq(octets_are_visible(p, n), c > 0x20 && c < 0x7f);
}

START_TEST(one_byte_that_is_not_of_the_set_is_found_wherever_it_stands)
{
    each_text(look_at_sets);
    ck_assert(octets_are_ascii(NULL, 0));
    ck_assert(octets_are_visible(NULL, 0));
}
END_TEST

static void look_at_few(const char *p, size_t n, size_t at)
{
    uint64_t x;

    if (n > 7)
        return;
    x = octets_of_few(p, n);
    for (size_t i = 0; i < 8; i++) {
        char octet = (char)(x >> 8 * i & 0xff);

        ck_assert(memchr(p, octet, n));
    }
    for (size_t i = 0; i < n; i++) {
        bool found = false;

        for (size_t k = 0; k < 8; k++)
            found |= (char)(x >> 8 * k & 0xff) == p[i];
        ck_assert(found);
    }
}

START_TEST(a_few_bytes_in_a_word_are_those_and_no_others)
{
    each_text(look_at_few);
}
END_TEST

START_TEST(each_byte_is_made_lower_case_alone)
{
    for (int c = 0; c < 256; c++)
        for (unsigned place = 0; place < 8; place++) {
            uint64_t before = OCTETS('Z') & ~(UINT64_C(0xff) << 8 * place);
            uint64_t after = OCTETS('z') & ~(UINT64_C(0xff) << 8 * place);

            ck_assert_uint_eq(octets_lower(before | (uint64_t)c << 8 * place),
                              after | (uint64_t)(c < 0x80 ? tolower(c) : c) << 8 * place);
        }
}
END_TEST

START_TEST(bytes_that_no_plain_name_has_are_marked)
{
    for (unsigned c = 0; c < 256; c++) {
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '.';
        uint64_t x = OCTETS('m') ^ (uint64_t)('m' ^ c) << 24;

        ck_assert_uint_eq(octets_not_of_name(x) & OCTETS(0x80), plain ? 0 : 0x80000000);
    }
}
END_TEST

START_TEST(bytes_that_are_no_visible_characters_are_marked)
{
    for (uint64_t c = 0; c < 256; c++) {
        uint64_t marks = octets_not_visible(c | OCTETS('a') << 8) & OCTETS(0x80);

        ck_assert_uint_eq(marks, c > 0x20 && c < 0x7f ? 0 : 0x80);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("octets");
    TCase *tc = tcase_create("octets");
    tcase_add_test(tc, one_byte_that_is_not_of_the_set_is_found_wherever_it_stands);
    tcase_add_test(tc, a_few_bytes_in_a_word_are_those_and_no_others);
    tcase_add_test(tc, each_byte_is_made_lower_case_alone);
    tcase_add_test(tc, bytes_that_no_plain_name_has_are_marked);
    tcase_add_test(tc, bytes_that_are_no_visible_characters_are_marked);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
