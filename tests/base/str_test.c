#include "base/str.h"

#include <check.h>
#include <stdlib.h>

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))
#define NOTHING     ((struct str){NULL, 0})

START_TEST(compares_bytes)
{
    ck_assert(str_eq(STR("abc"), str_of("abcd", 3)));
    ck_assert(!str_eq(STR("abc"), STR("abd")));
    ck_assert(!str_eq(STR("abc"), STR("ab")));
    ck_assert(!str_eq(STR("abc"), STR("ABC")));
    ck_assert(str_eq(NOTHING, STR("")));
    ck_assert(str_eq(STR("a\0b"), STR("a\0b")));
    ck_assert(!str_eq(STR("a\0b"), STR("a\0c")));
    ck_assert(str_eq(str_from(NULL), NOTHING));
    ck_assert(str_eq(str_from("x"), STR("x")));
}
END_TEST

START_TEST(ignores_only_the_case_of_ascii_letters)
{
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            char x = (char)a, y = (char)b;
            bool letters = (a | 0x20) >= 'a' && (a | 0x20) <= 'z' && a < 128;
            bool same = a == b || (letters && (a ^ b) == 0x20);
            ck_assert_msg(str_eq_nocase(str_of(&x, 1), str_of(&y, 1)) == same, "%d %d", a, b);
        }
    }
    ck_assert(str_eq_nocase(STR("Content-Length"), STR("cONTENT-lENGTH")));
    ck_assert(!str_eq_nocase(STR("a"), STR("ab")));
    ck_assert(str_eq_nocase(NOTHING, STR("")));
}
END_TEST

/* Each byte against each other, at each place of texts of each length. */
START_TEST(ignores_the_case_wherever_the_letter_stands)
{
    char one[20], other[20];

    for (size_t n = 1; n <= sizeof one; n++)
        for (size_t at = 0; at < n; at++)
            for (int c = 0; c < 256; c++)
                for (int k = 0; k < 2; k++) {
                    int d = k ? c ^ 0x20 : c + 1;
                    bool letters = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

                    memset(one, 'q', sizeof one);
                    memset(other, 'Q', sizeof other);
                    one[at] = (char)c;
                    other[at] = (char)d;
                    ck_assert_int_eq(str_eq_nocase(str_of(one, n), str_of(other, n)), k && letters);
                    other[at] = (char)c;
                    ck_assert(str_eq_nocase(str_of(one, n), str_of(other, n)));
                }
}
END_TEST

START_TEST(sees_how_a_text_starts_and_ends)
{
    ck_assert(str_starts(STR("abc"), STR("ab")));
    ck_assert(str_starts(STR("abc"), STR("abc")));
    ck_assert(str_starts(STR("abc"), NOTHING));
    ck_assert(str_starts(NOTHING, NOTHING));
    ck_assert(!str_starts(STR("abc"), STR("abcd")));
    ck_assert(!str_starts(STR("abc"), STR("AB")));
    ck_assert(str_ends_nocase(STR("a.Example.COM"), STR(".example.com")));
    ck_assert(str_ends_nocase(STR("abc"), STR("abc")));
    ck_assert(str_ends_nocase(NOTHING, NOTHING));
    ck_assert(!str_ends_nocase(STR("com"), STR(".com")));
    ck_assert(!str_ends_nocase(STR("a.org"), STR(".com")));
}
END_TEST

START_TEST(finds_a_character_from_a_place_on)
{
    ck_assert_uint_eq(str_index(STR("a=b=c"), '=', 0), 1);
    ck_assert_uint_eq(str_index(STR("a=b=c"), '=', 1), 1);
    ck_assert_uint_eq(str_index(STR("a=b=c"), '=', 2), 3);
    ck_assert_uint_eq(str_index(STR("a=b=c"), '=', 4), 5);
    ck_assert_uint_eq(str_index(STR("a=b=c"), '=', 99), 5);
    ck_assert_uint_eq(str_index(NOTHING, '=', 0), 0);
    ck_assert_uint_eq(str_index(str_of("ab=", 2), '=', 0), 2); /* not past the end */
}
END_TEST

START_TEST(slices_are_cut_to_the_length)
{
    struct str s = STR("0123456789");

    ck_assert(str_eq(str_slice(s, 2, 5), STR("234")));
    ck_assert(str_eq(str_slice(s, 0, 99), s));
    ck_assert(str_eq(str_slice(s, 8, 99), STR("89")));
    ck_assert_uint_eq(str_slice(s, 50, 99).n, 0);
    ck_assert_uint_eq(str_slice(s, 5, 2).n, 0);
    ck_assert_uint_eq(str_slice(NOTHING, 0, 1).n, 0);
}
END_TEST

START_TEST(trims_spaces_and_tabs_only)
{
    ck_assert(str_eq(str_trim_ows(STR(" \t a b\t ")), STR("a b")));
    ck_assert(str_eq(str_trim_ows(STR("\na\r")), STR("\na\r")));
    ck_assert(str_eq(str_trim_ows(STR(" \t")), STR("")));
    ck_assert(str_eq(str_trim_ows(NOTHING), STR("")));
}
END_TEST

static const struct {
    struct str text;
    const char *parts; /* joined by '|' */
    const char *members;
} lists[] = {
    {STR_INIT("a,b,c"), "a|b|c|", "a|b|c|"},
    {STR_INIT("a"), "a|", "a|"},
    {STR_INIT(""), "|", ""},
    {STR_INIT(","), "||", ""},
    {STR_INIT("a,"), "a||", "a|"},
    {STR_INIT(",a"), "|a|", "a|"},
    {STR_INIT(" a ,,\tb "), " a ||\tb |", "a|b|"},
    {STR_INIT(" , \t,"), " | \t||", ""},
    {{NULL, 0}, "", ""},
};

static const char *join(struct str text, bool members)
{
    static char joined[100];
    size_t n = 0;
    struct str part;

    while (members ? str_next_member(&text, &part) : str_split(&text, ',', &part)) {
        ck_assert_uint_lt(n + part.n, 90);
        memcpy(joined + n, part.p, part.n);
        n += part.n;
        joined[n++] = '|';
    }
    joined[n] = '\0';
    ck_assert_ptr_null(text.p);
    ck_assert(!str_split(&text, ',', &part)); /* stays exhausted */
    return joined;
}

START_TEST(splits_and_lists)
{
    ck_assert_str_eq(join(lists[_i].text, false), lists[_i].parts);
    ck_assert_str_eq(join(lists[_i].text, true), lists[_i].members);
}
END_TEST

static const struct {
    const char *text;
    bool valid;
    uint64_t value;
} numbers[] = {
    {"0", true, 0},
    {"007", true, 7},
    {"18446744073709551615", true, UINT64_MAX},
    {"0000000000000000000000000000001", true, 1},
    {"18446744073709551616", false, 0},
    {"18446744073709551620", false, 0},
    {"99999999999999999999", false, 0},
    {"184467440737095516150", false, 0},
    {"", false, 0},
    {"-1", false, 0},
    {"+1", false, 0},
    {" 1", false, 0},
    {"1 ", false, 0},
    {"0x1", false, 0},
    {"1/", false, 0},
    {"1:", false, 0},
    {"\xb1", false, 0},
};

START_TEST(reads_plain_decimal_numbers_only)
{
    uint64_t value = 12345;

    ck_assert_msg(str_to_u64(str_from(numbers[_i].text), &value) == numbers[_i].valid, "%s",
                  numbers[_i].text);
    ck_assert_uint_eq(value, numbers[_i].valid ? numbers[_i].value : 12345);
}
END_TEST

#define WORD_64 "0123456789012345678901234567890123456789012345678901234567890123"

static const struct {
    const char *a, *b;
    unsigned limit, distance;
} distances[] = {
    {"", "", 9, 0},
    {"", "abc", 9, 3},
    {"timeout", "timeout", 9, 0},
    {"timout", "timeout", 9, 1},
    {"timeout", "timoeut", 9, 1}, /* a swap is one */
    {"timeout", "timeour", 9, 1},
    {"ca", "abc", 9, 3}, /* a swapped pair is not edited again */
    {"kitten", "sitting", 9, 3},
    {"abcdef", "badcfe", 9, 3},
    {"abc", "xyz", 9, 3},
    {"abc", "xyz", 2, 2}, /* cut */
    {"abc", "ABC", 9, 3},
    {WORD_64, WORD_64, 9, 0},
    {WORD_64, "", 99, 64},
    {WORD_64 "x", WORD_64 "x", 9, 9}, /* too long to tell */
};

START_TEST(counts_edits)
{
    struct str a = str_from(distances[_i].a), b = str_from(distances[_i].b);

    ck_assert_uint_eq(str_distance(a, b, distances[_i].limit), distances[_i].distance);
    ck_assert_uint_eq(str_distance(b, a, distances[_i].limit), distances[_i].distance);
}
END_TEST

static const struct {
    struct str text;
    size_t length;
} characters[] = {
    {STR_INIT("a"), 1},
    {STR_INIT("\0"), 1},
    {STR_INIT("\x7f"), 1},
    {STR_INIT("\xc2\x80"), 2},
    {STR_INIT("\xdf\xbf"), 2},
    {STR_INIT("\xe0\xa0\x80"), 3},
    {STR_INIT("\xed\x9f\xbf"), 3},
    {STR_INIT("\xef\xbf\xbfx"), 3},
    {STR_INIT("\xf0\x90\x80\x80"), 4},
    {STR_INIT("\xf4\x8f\xbf\xbf"), 4},
    {STR_INIT(""), 0},
    {STR_INIT("\x80"), 0},
    {STR_INIT("\xc0\x80"), 0},         /* overlong */
    {STR_INIT("\xc1\xbf"), 0},         /* overlong */
    {STR_INIT("\xe0\x9f\xbf"), 0},     /* overlong */
    {STR_INIT("\xf0\x8f\xbf\xbf"), 0}, /* overlong */
    {STR_INIT("\xed\xa0\x80"), 0},     /* a surrogate */
    {STR_INIT("\xf4\x90\x80\x80"), 0}, /* past U+10FFFF */
    {STR_INIT("\xf5\x80\x80\x80"), 0},
    {STR_INIT("\xff"), 0},
    {STR_INIT("\xc2"), 0},
    {STR_INIT("\xe2\x82"), 0},
    {STR_INIT("\xe2\x82x"), 0},
    {STR_INIT("\xe2x\x82"), 0},
    {STR_INIT("\xf0\x9f\x90"), 0},
    {STR_INIT("\xf0\x9fx\x80"), 0},
    {STR_INIT("\xf0\x9f\x90x"), 0},
};

START_TEST(knows_well_formed_utf8)
{
    ck_assert_uint_eq(str_utf8_length(characters[_i].text, 0), characters[_i].length);
    ck_assert_uint_eq(str_utf8_length(characters[_i].text, 10), 0);
}
END_TEST

START_TEST(texts_are_ordered_by_their_bytes_and_then_by_their_length)
{
    ck_assert_int_lt(str_order(STR("a"), STR("b")), 0);
    ck_assert_int_gt(str_order(STR("b"), STR("abc")), 0);
    ck_assert_int_lt(str_order(STR("ab"), STR("abc")), 0);
    ck_assert_int_gt(str_order(STR("a"), STR("")), 0);
    ck_assert_int_eq(str_order(STR("ab"), STR("ab")), 0);
    ck_assert_int_eq(str_order((struct str){0}, STR("")), 0);
}
END_TEST

START_TEST(what_is_cut_has_whole_characters)
{
    struct str text = STR("a\xc3\xa4\xf0\x9f\x98\x80z"); /* of 1, 2, 4 and 1 bytes */
    static const size_t kept[] = {0, 1, 1, 3, 3, 3, 3, 7, 8, 8};

    for (size_t most = 0; most < sizeof(kept) / sizeof(kept[0]); most++)
        ck_assert_uint_eq(str_cut(text, most).n, kept[most]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("str");
    TCase *tc = tcase_create("str");
    tcase_add_test(tc, compares_bytes);
    tcase_add_test(tc, ignores_only_the_case_of_ascii_letters);
    tcase_add_test(tc, ignores_the_case_wherever_the_letter_stands);
    tcase_add_test(tc, sees_how_a_text_starts_and_ends);
    tcase_add_test(tc, finds_a_character_from_a_place_on);
    tcase_add_test(tc, slices_are_cut_to_the_length);
    tcase_add_test(tc, trims_spaces_and_tabs_only);
    tcase_add_loop_test(tc, splits_and_lists, 0, COUNT(lists));
    tcase_add_loop_test(tc, reads_plain_decimal_numbers_only, 0, COUNT(numbers));
    tcase_add_loop_test(tc, counts_edits, 0, COUNT(distances));
    tcase_add_loop_test(tc, knows_well_formed_utf8, 0, COUNT(characters));
    tcase_add_test(tc, texts_are_ordered_by_their_bytes_and_then_by_their_length);
    tcase_add_test(tc, what_is_cut_has_whole_characters);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
