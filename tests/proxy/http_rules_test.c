#include "proxy/http_rules.h"

#include <check.h>
#include <stdlib.h>

/* RFC 9110 section 5.6.2. */
START_TEST(a_token_has_these_characters)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    for (int c = 0; c < 256; c++) {
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        ck_assert_msg(field_name_char((unsigned char)c) ==
                          (alphanumeric || (c && strchr(others, c))),
                      "%d", c);
    }
}
END_TEST

START_TEST(what_is_above_ascii_is_encoded_and_nothing_else)
{
    struct arena arena;
    struct str target = STR("/caf\xc3\xa9?q=a%20b"), plain = STR("/a/b?c#d");

    arena_init(&arena, 0, 0);
    ck_assert(target_encode(&target, &arena));
    ck_assert(str_eq(target, STR("/caf%C3%A9?q=a%20b")));
    ck_assert(target_encode(&plain, &arena));
    ck_assert(str_eq(plain, STR("/a/b?c#d")));
    arena_release(&arena);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http_rules");
    TCase *tc = tcase_create("http_rules");
    tcase_add_test(tc, a_token_has_these_characters);
    tcase_add_test(tc, what_is_above_ascii_is_encoded_and_nothing_else);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
