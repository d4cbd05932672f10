#include "proxy/without_context.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "mesh/config.h"

START_TEST(what_all_workers_serve_is_added_up)
{
    ck_assert_int_eq(without_context_served(), 0);
    without_context_serves(0, 1);
    without_context_serves(CONFIG_WORKERS_MAX - 1, 1);
    without_context_serves(CONFIG_WORKERS_MAX - 1, 1);
    ck_assert_int_eq(without_context_served(), 3);
    without_context_serves(CONFIG_WORKERS_MAX - 1, -1);
    without_context_serves(0, -1);
    ck_assert_int_eq(without_context_served(), 1);
    without_context_serves(CONFIG_WORKERS_MAX - 1, -1);
    ck_assert_int_eq(without_context_served(), 0);
}
END_TEST

enum { TURNS = 20000, THREADS = 4 };

static void *serve(void *arg)
{
    const unsigned *index = arg;

    for (int i = 0; i < TURNS; i++) {
        without_context_serves(*index, 1);
        ck_assert_int_ge(without_context_served(), 1);
        if (i)
            without_context_serves(*index, -1);
    }
    return NULL;
}

START_TEST(no_count_is_lost_between_workers)
{
    static unsigned index[THREADS] = {3, 0, 2, 1};
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, serve, &index[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(without_context_served(), THREADS);
}
END_TEST

START_TEST(it_is_said_once)
{
    ck_assert(without_context_warn(STR("GET"), STR("users"), 1));
    ck_assert(!without_context_warn(STR("GET"), STR("users"), 1));
    ck_assert(!without_context_warn(STR("PUT"), STR("orders"), 2));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("without_context");
    TCase *t = tcase_create("without_context");

    tcase_add_test(t, what_all_workers_serve_is_added_up);
    tcase_add_test(t, no_count_is_lost_between_workers);
    tcase_add_test(t, it_is_said_once);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
