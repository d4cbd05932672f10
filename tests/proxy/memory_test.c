/*
 * When memory is short, when it is full, and when it is neither any more.
 */
#include "proxy/memory.h"

#include <check.h>
#include <stdlib.h>

#include "mesh/config.h"

#define MIB      ((uint64_t)1 << 20)
#define COUNT(a) (int)(sizeof(a) / sizeof(a[0]))

static const struct {
    enum memory_state was;
    unsigned mib; /* of 100 */
    enum memory_state next;
} steps[] = {
    /* up */
    {MEMORY_FINE, 0, MEMORY_FINE},
    {MEMORY_FINE, 74, MEMORY_FINE},
    {MEMORY_FINE, 75, MEMORY_SHORT},
    {MEMORY_FINE, 89, MEMORY_SHORT},
    {MEMORY_FINE, 90, MEMORY_FULL},
    {MEMORY_FINE, 500, MEMORY_FULL},
    {MEMORY_SHORT, 89, MEMORY_SHORT},
    {MEMORY_SHORT, 90, MEMORY_FULL},
    /* and down, later than up */
    {MEMORY_FULL, 89, MEMORY_FULL},
    {MEMORY_FULL, 80, MEMORY_FULL},
    {MEMORY_FULL, 79, MEMORY_SHORT},
    {MEMORY_FULL, 65, MEMORY_SHORT},
    {MEMORY_FULL, 64, MEMORY_FINE},
    {MEMORY_SHORT, 74, MEMORY_SHORT},
    {MEMORY_SHORT, 65, MEMORY_SHORT},
    {MEMORY_SHORT, 64, MEMORY_FINE},
};

START_TEST(each_state_begins_at_one_mark_and_ends_at_a_lower_one)
{
    ck_assert_int_eq(memory_decide(steps[_i].was, steps[_i].mib * MIB, 100 * MIB), steps[_i].next);
}
END_TEST

START_TEST(without_a_limit_nothing_is_short)
{
    for (enum memory_state s = MEMORY_FINE; s <= MEMORY_FULL; s++) {
        ck_assert_int_eq(memory_decide(s, UINT64_MAX, 0), MEMORY_FINE);
        ck_assert_int_eq(memory_decide(s, 0, UINT64_MAX), MEMORY_FINE);
    }
}
END_TEST

START_TEST(auto_is_four_fifths_of_what_the_container_may_have)
{
    ck_assert_uint_eq(memory_limit(MEMORY_AUTO, 100 * MIB), 80 * MIB);
    ck_assert_uint_eq(memory_limit(MEMORY_AUTO, 0), 0);
    ck_assert_uint_eq(memory_limit(64 * MIB, 100 * MIB), 64 * MIB);
    ck_assert_uint_eq(memory_limit(64 * MIB, 0), 64 * MIB);
    ck_assert_uint_eq(memory_limit(0, 100 * MIB), 0);
}
END_TEST

/* This process has more than a byte, and less than the most there can be. */
START_TEST(the_process_is_held_against_what_was_configured)
{
    memory_configure(1);
    ck_assert(memory_is_watched());
    ck_assert_int_eq(memory_state(), MEMORY_FULL);
    memory_configure(UINT64_MAX - 1);
    ck_assert_int_eq(memory_state(), MEMORY_FINE);
    memory_configure(1000);
    ck_assert_int_eq(memory_state(), MEMORY_FULL);
    memory_configure(0);
    ck_assert(!memory_is_watched());
    ck_assert_int_eq(memory_state(), MEMORY_FINE);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory");
    TCase *t = tcase_create("memory");

    tcase_add_loop_test(t, each_state_begins_at_one_mark_and_ends_at_a_lower_one, 0, COUNT(steps));
    tcase_add_test(t, without_a_limit_nothing_is_short);
    tcase_add_test(t, auto_is_four_fifths_of_what_the_container_may_have);
    tcase_add_test(t, the_process_is_held_against_what_was_configured);
    suite_add_tcase(s, t);

    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
