#include "otlp/backoff.h"

#include "test_main.h"

/* What each wait is around; a fifth more or less is by chance. */
static const nsec_t around[] = {
    MILLISECONDS(1000), MILLISECONDS(1500), MILLISECONDS(2250), MILLISECONDS(3375),
    MILLISECONDS(5000), MILLISECONDS(5000), MILLISECONDS(5000),
};

START_TEST(waits_half_as_long_again_each_time_up_to_five_seconds)
{
    struct random random;
    nsec_t least = INT64_MAX, most = 0, middle = around[_i];

    random_init_seed(&random, 7);
    for (int i = 0; i < 10000; i++) {
        nsec_t wait = backoff_wait((unsigned)_i + 1, 0, &random);
        ck_assert(wait >= middle - middle / 5 && wait <= middle + middle / 5);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    /* The jitter uses its whole width. */
    ck_assert(least < middle - middle * 19 / 100);
    ck_assert(most > middle + middle * 19 / 100);
}
END_TEST

START_TEST(waits_at_least_as_long_as_the_collector_asked)
{
    struct random random;

    random_init_seed(&random, 7);
    ck_assert_int_eq(backoff_wait(1, SECONDS(30), &random), SECONDS(30));
    ck_assert_int_ge(backoff_wait(1, 1, &random), MILLISECONDS(800));
}
END_TEST

START_TEST(many_failures_wait_no_longer_than_the_cap)
{
    struct random random;

    random_init_seed(&random, 7);
    ck_assert_int_le(backoff_wait(4000000000u, 0, &random), SECONDS(6));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("backoff");
    TCase *t = tcase_create("backoff");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, waits_half_as_long_again_each_time_up_to_five_seconds, 0,
                        sizeof(around) / sizeof(around[0]));
    tcase_add_test(t, waits_at_least_as_long_as_the_collector_asked);
    tcase_add_test(t, many_failures_wait_no_longer_than_the_cap);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
