#include "base/random.h"

#include "base/clock.h"
#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The generator worked by hand from the state 1, 2, 3, 4. */
START_TEST(is_xoshiro256_starstar)
{
    struct random r = {{1, 2, 3, 4}};

    ck_assert_uint_eq(random_next(&r), 11520);
    ck_assert_uint_eq(random_next(&r), 0);
    ck_assert_uint_eq(random_next(&r), 1509978240);
    ck_assert_uint_eq(random_next(&r), 1215971899390074240);
}
END_TEST

/* The first outputs of splitmix64 for the seed 0 are the state. */
START_TEST(a_seed_is_spread_by_splitmix64)
{
    struct random r;

    random_init_seed(&r, 0);
    ck_assert_uint_eq(r.s[0], 0xe220a8397b1dcdaf);
    ck_assert_uint_eq(r.s[1], 0x6e789e6aa1b965f4);
    ck_assert_uint_eq(r.s[2], 0x06c45d188009454f);
    ck_assert_uint_eq(r.s[3], 0xf88bb8a8724c81ec);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_sequence)
{
    struct random a, b, c;

    random_init_seed(&a, 7);
    random_init_seed(&b, 7);
    random_init_seed(&c, 8);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        uint64_t n = random_next(&a);
        ck_assert_uint_eq(n, random_next(&b));
        differs |= n != random_next(&c);
    }
    ck_assert(differs);
}
END_TEST

START_TEST(two_generators_differ)
{
    struct random a, b;

    random_init(&a);
    random_init(&b);
    ck_assert(memcmp(&a, &b, sizeof(a)) != 0);
    ck_assert(random_next(&a) != random_next(&b));
}
END_TEST

START_TEST(numbers_below_a_bound_are_spread_evenly)
{
    enum { BOUND = 7, DRAWS = 70000 };
    struct random r;
    int counts[BOUND] = {0};

    random_init_seed(&r, 1);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t n = random_below(&r, BOUND);
        ck_assert_uint_lt(n, BOUND);
        counts[n]++;
    }
    for (int i = 0; i < BOUND; i++) {
        ck_assert_int_gt(counts[i], DRAWS / BOUND - 500);
        ck_assert_int_lt(counts[i], DRAWS / BOUND + 500);
    }
}
END_TEST

/* A bound of 3/4 of the range: without drawing again, a third of the results would come twice as
 * often as the rest. */
START_TEST(large_bounds_are_unbiased)
{
    enum { DRAWS = 30000 };
    uint64_t bound = UINT64_C(3) << 62;
    struct random r;
    int thirds[3] = {0};

    random_init_seed(&r, 2);
    for (int i = 0; i < DRAWS; i++)
        thirds[random_below(&r, bound) % 3]++;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_gt(thirds[i], DRAWS / 3 - 500);
        ck_assert_int_lt(thirds[i], DRAWS / 3 + 500);
    }
    ck_assert_uint_eq(random_below(&r, 1), 0);
}
END_TEST

START_TEST(clocks_go_forward_in_nanoseconds)
{
    nsec_t m = clock_monotonic(), w = clock_wall();

    ck_assert_int_ge(clock_monotonic(), m);
    ck_assert_int_gt(w, SECONDS(1600000000));
    ck_assert_int_lt(w, SECONDS(4000000000));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random");
    TCase *tc = tcase_create("random and clock");
    tcase_add_test(tc, is_xoshiro256_starstar);
    tcase_add_test(tc, a_seed_is_spread_by_splitmix64);
    tcase_add_test(tc, the_same_seed_gives_the_same_sequence);
    tcase_add_test(tc, two_generators_differ);
    tcase_add_test(tc, numbers_below_a_bound_are_spread_evenly);
    tcase_add_test(tc, large_bounds_are_unbiased);
    tcase_add_test(tc, clocks_go_forward_in_nanoseconds);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
