#include "base/error.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(the_first_message_wins)
{
    struct error err = {0};

    ck_assert(!error_at(&err, (struct place){"routes.conf", 3, 7}, "no %s", "cluster"));
    ck_assert(!error_set(&err, "another"));
    ck_assert(!error_at(&err, (struct place){"x", 1, 1}, "a third"));
    ck_assert_str_eq(err.text, "no cluster");
    ck_assert_str_eq(err.at.file, "routes.conf");
    ck_assert_uint_eq(err.at.line, 3);
    ck_assert_uint_eq(err.at.column, 7);
}
END_TEST

START_TEST(an_error_without_a_place_has_line_0)
{
    struct error err = {0};

    ck_assert(!error_set(&err, "cannot listen on %d", 80));
    ck_assert_str_eq(err.text, "cannot listen on 80");
    ck_assert_ptr_null(err.at.file);
    ck_assert_uint_eq(err.at.line, 0);
}
END_TEST

START_TEST(a_long_message_is_cut)
{
    struct error err = {0};

    ck_assert(!error_set(&err, "%1000d", 1));
    ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
}
END_TEST

START_TEST(a_list_keeps_its_errors_in_order_and_counts_the_rest)
{
    struct errors list = {0};

    for (unsigned i = 1; i <= ERRORS_MAX + 7; i++)
        ck_assert(!errors_add(&list, (struct place){"f", i, 1}, "error %u", i));
    ck_assert_uint_eq(list.n, ERRORS_MAX);
    ck_assert_uint_eq(list.more, 7);
    ck_assert_uint_eq(list.v[0].at.line, 1);
    ck_assert_str_eq(list.v[0].text, "error 1");
    ck_assert_uint_eq(list.v[ERRORS_MAX - 1].at.line, ERRORS_MAX);
    errors_release(&list);
    ck_assert(!list.v && list.n == 0 && list.more == 0);
    ck_assert(!errors_add(&list, (struct place){0}, "again"));
    ck_assert_uint_eq(list.n, 1);
    errors_release(&list);
}
END_TEST

START_TEST(texts_kept_with_a_list_outlive_their_owner)
{
    struct errors list = {0};
    char name[] = "a.conf and more";

    const char *kept = errors_keep(&list, name, 6);
    const char *other = errors_keep(&list, "", 0);
    memset(name, 'x', sizeof(name));
    ck_assert_str_eq(kept, "a.conf");
    ck_assert_str_eq(other, "");
    errors_add(&list, (struct place){kept, 1, 1}, "no");
    ck_assert_ptr_null(list.v[0].excerpt);
    errors_release(&list);
    ck_assert_ptr_null(list.kept);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error");
    TCase *tc = tcase_create("error");
    tcase_add_test(tc, the_first_message_wins);
    tcase_add_test(tc, an_error_without_a_place_has_line_0);
    tcase_add_test(tc, a_long_message_is_cut);
    tcase_add_test(tc, a_list_keeps_its_errors_in_order_and_counts_the_rest);
    tcase_add_test(tc, texts_kept_with_a_list_outlive_their_owner);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
