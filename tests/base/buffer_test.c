#include "base/buffer.h"

#include <check.h>
#include <stdlib.h>

START_TEST(what_is_added_is_there_in_order)
{
    struct buffer b;

    buffer_init(&b, 0);
    ck_assert(buffer_add(&b, NULL, 0));
    ck_assert(buffer_add(&b, "ab", 2));
    ck_assert(buffer_add_str(&b, STR("cd")));
    ck_assert(buffer_add_char(&b, 'e'));
    ck_assert(buffer_printf(&b, "-%d-", 42));
    ck_assert(str_eq(buffer_str(&b), STR("abcde-42-")));
    buffer_release(&b);
    ck_assert_ptr_null(b.p);
}
END_TEST

START_TEST(it_grows_and_keeps_its_bytes)
{
    struct buffer b;

    buffer_init(&b, 0);
    for (size_t i = 0; i < 100000; i++)
        ck_assert(buffer_add_char(&b, (char)('a' + i % 26)));
    ck_assert_uint_eq(b.n, 100000);
    for (size_t i = 0; i < b.n; i++)
        ck_assert_int_eq(b.p[i], (char)('a' + i % 26));
    buffer_release(&b);
}
END_TEST

START_TEST(exactly_the_limit_fits)
{
    struct buffer b;

    buffer_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        ck_assert(buffer_add_char(&b, 'x'));
    ck_assert(!b.failed);
    ck_assert(!buffer_add_char(&b, 'x'));
    ck_assert(b.failed);
    ck_assert_uint_eq(b.n, 1000);
    buffer_release(&b);
}
END_TEST

START_TEST(printing_exactly_the_limit_fits_too)
{
    struct buffer b;

    buffer_init(&b, 400);
    ck_assert(buffer_printf(&b, "%100d", 1));
    ck_assert(buffer_printf(&b, "%300d", 2));
    ck_assert_uint_eq(b.n, 400);
    ck_assert(b.p[99] == '1' && b.p[399] == '2');
    ck_assert(!buffer_printf(&b, "%d", 3));
    ck_assert(b.failed);
    ck_assert_uint_eq(b.n, 400);
    buffer_release(&b);
}
END_TEST

START_TEST(a_failure_stays_until_reset)
{
    struct buffer b;

    buffer_init(&b, 10);
    ck_assert(buffer_add(&b, "12345", 5));
    ck_assert(!buffer_add(&b, "123456", 6));
    ck_assert(!buffer_add(&b, "1", 1));
    ck_assert(!buffer_printf(&b, "1"));
    ck_assert(!buffer_reserve(&b, 0));
    ck_assert(str_eq(buffer_str(&b), STR("12345")));
    char *memory = b.p;
    buffer_reset(&b);
    ck_assert(!b.failed && b.n == 0 && b.p == memory);
    ck_assert(buffer_add(&b, "1234567890", 10));
    buffer_release(&b);
}
END_TEST

START_TEST(sizes_that_overflow_fail)
{
    struct buffer b;

    buffer_init(&b, 0);
    ck_assert(buffer_add_char(&b, 'x'));
    ck_assert(!buffer_reserve(&b, SIZE_MAX));
    ck_assert(b.failed);
    buffer_release(&b);
}
END_TEST

START_TEST(reserved_room_can_be_filled_by_the_caller)
{
    struct buffer b;

    buffer_init(&b, 0);
    ck_assert(buffer_add(&b, "ab", 2));
    ck_assert(buffer_reserve(&b, 5000));
    memset(b.p + b.n, 'z', 5000);
    b.n += 5000;
    ck_assert(buffer_add_char(&b, '!'));
    ck_assert(b.p[1] == 'b' && b.p[5001] == 'z' && b.p[5002] == '!');
    buffer_release(&b);
}
END_TEST

START_TEST(consuming_takes_from_the_front)
{
    struct buffer b;

    buffer_init(&b, 10);
    ck_assert(buffer_add_str(&b, STR("0123456789")));
    buffer_consume(&b, 0);
    ck_assert_uint_eq(b.n, 10);
    buffer_consume(&b, 4);
    ck_assert(str_eq(buffer_str(&b), STR("456789")));
    ck_assert(buffer_add_str(&b, STR("abcd"))); /* the limit counts what is there */
    ck_assert(str_eq(buffer_str(&b), STR("456789abcd")));
    buffer_consume(&b, 10);
    ck_assert_uint_eq(b.n, 0);
    buffer_release(&b);
}
END_TEST

START_TEST(prints_text_of_any_length)
{
    static const int widths[] = {1, 255, 256, 257, 100000};
    struct buffer b;

    buffer_init(&b, 0);
    ck_assert(buffer_printf(&b, "%*d|", widths[_i], 7));
    ck_assert(buffer_printf(&b, "%*d|", widths[_i], 8));
    ck_assert_uint_eq(b.n, 2 * ((size_t)widths[_i] + 1));
    ck_assert(b.p[widths[_i] - 1] == '7' && b.p[b.n - 2] == '8' && b.p[b.n - 1] == '|');
    buffer_release(&b);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buffer");
    TCase *tc = tcase_create("buffer");
    tcase_add_test(tc, what_is_added_is_there_in_order);
    tcase_add_test(tc, it_grows_and_keeps_its_bytes);
    tcase_add_test(tc, exactly_the_limit_fits);
    tcase_add_test(tc, printing_exactly_the_limit_fits_too);
    tcase_add_test(tc, a_failure_stays_until_reset);
    tcase_add_test(tc, sizes_that_overflow_fail);
    tcase_add_test(tc, reserved_room_can_be_filled_by_the_caller);
    tcase_add_test(tc, consuming_takes_from_the_front);
    tcase_add_loop_test(tc, prints_text_of_any_length, 0, 5);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
