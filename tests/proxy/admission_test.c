/*
 * A limit of connections holds for all workers together, and who found no place
 * hears of the next.
 */
#include "proxy/admission.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "proxy/worker.h"

static struct admission *a;

static void set_up(void)
{
    a = admission_new(3);
    ck_assert_ptr_nonnull(a);
}

static void tear_down(void)
{
    admission_free(a);
}

static bool told(unsigned worker)
{
    struct pollfd p = {.fd = admission_descriptor(a, worker), .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static bool takes(unsigned worker, size_t limit)
{
    return admission_take(a, worker, DIRECTION_INBOUND, limit);
}

START_TEST(one_worker_may_have_all_places)
{
    for (int i = 0; i < 5; i++)
        ck_assert(takes(1, 5));
    ck_assert_uint_eq(admission_open(a, DIRECTION_INBOUND), 5);
    for (unsigned w = 0; w < 3; w++)
        ck_assert(!takes(w, 5));
    ck_assert_uint_eq(admission_open(a, DIRECTION_INBOUND), 5);
}
END_TEST

START_TEST(a_direction_has_places_of_its_own)
{
    ck_assert(takes(0, 1));
    ck_assert(!takes(0, 1));
    ck_assert(admission_take(a, 0, DIRECTION_OUTBOUND, 1));
    admission_give_back(a, DIRECTION_OUTBOUND);
    ck_assert(!told(0));
    ck_assert(admission_waits(a, 0, DIRECTION_INBOUND));
    ck_assert(!admission_waits(a, 0, DIRECTION_OUTBOUND));
}
END_TEST

START_TEST(no_limit_is_none_and_counts_all_the_same)
{
    for (int i = 0; i < 1000; i++)
        ck_assert(takes(0, 0));
    ck_assert(!takes(0, 1000));
    ck_assert(takes(0, 1001));
}
END_TEST

START_TEST(all_that_wait_are_told_once)
{
    ck_assert(takes(0, 1));
    ck_assert(!takes(0, 1) && !takes(2, 1) && !takes(2, 1));
    admission_give_back(a, DIRECTION_INBOUND);
    ck_assert(told(0) && !told(1) && told(2));
    ck_assert(!admission_waits(a, 2, DIRECTION_INBOUND));
    admission_heard(a, 0);
    admission_heard(a, 2);
    ck_assert(!told(0) && !told(2));
    ck_assert(takes(2, 1));
    admission_give_back(a, DIRECTION_INBOUND);
    ck_assert(!told(0) && !told(2)); /* nobody has waited since */
}
END_TEST

START_TEST(what_is_there_already_has_a_place_beyond_the_limit)
{
    ck_assert(takes(0, 1));
    admission_take_anyway(a, DIRECTION_INBOUND);
    ck_assert_uint_eq(admission_open(a, DIRECTION_INBOUND), 2);
    admission_give_back(a, DIRECTION_INBOUND);
    ck_assert(!takes(0, 1));
    admission_give_back(a, DIRECTION_INBOUND);
    ck_assert(takes(0, 1));
}
END_TEST

START_TEST(what_is_under_way_is_what_all_workers_have)
{
    ck_assert_uint_eq(admission_busy_in_all(a), 0);
    atomic_store(admission_busy(a, 0), 2);
    atomic_store(admission_busy(a, 2), 3);
    ck_assert_uint_eq(admission_busy_in_all(a), 5);
}
END_TEST

/* A worker that has nothing under way is not alone while others fill the memory. */
START_TEST(memory_is_full_for_all_workers_and_not_only_for_who_filled_it)
{
    struct worker idle = {.admission = a};

    atomic_store(&memory_state_now, MEMORY_FULL);
    ck_assert(!worker_is_full(&idle, 0));
    atomic_store(admission_busy(a, 0), 1);
    ck_assert(worker_is_full(&idle, 0));
    atomic_store(admission_busy(a, 0), 0);
    atomic_store(admission_busy(a, 1), 1);
    ck_assert(worker_is_full(&idle, 0));
    ck_assert(!worker_is_full(&idle, 1)); /* it is the one */
    atomic_store(&memory_state_now, MEMORY_SHORT);
    ck_assert(!worker_is_full(&idle, 0));
}
END_TEST

/* ---- from several threads ---- */

enum { LIMIT = 2, ROUNDS = 20000 };

static atomic_int inside, most;

/* Takes, holds and gives back; waits for its descriptor alone where there is no place. */
static void *comes_and_goes(void *arg)
{
    static char lost[] = "nobody told it of a place";
    unsigned worker = (unsigned)(uintptr_t)arg;
    struct pollfd p = {.fd = admission_descriptor(a, worker), .events = POLLIN};

    for (int i = 0; i < ROUNDS; i++) {
        while (!takes(worker, LIMIT)) {
            if (poll(&p, 1, 10000) != 1)
                return lost;
            admission_heard(a, worker);
        }
        int now = atomic_fetch_add(&inside, 1) + 1, was = atomic_load(&most);
        while (now > was && !atomic_compare_exchange_weak(&most, &was, now))
            ;
        atomic_fetch_sub(&inside, 1);
        admission_give_back(a, DIRECTION_INBOUND);
    }
    return NULL;
}

START_TEST(the_limit_holds_and_no_telling_is_lost_among_threads)
{
    pthread_t threads[3];

    for (uintptr_t i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, comes_and_goes, (void *)i), 0);
    for (int i = 0; i < 3; i++) {
        void *failure;

        pthread_join(threads[i], &failure);
        ck_assert_msg(failure == NULL, "%s", (const char *)failure);
    }
    ck_assert_int_le(atomic_load(&most), LIMIT);
    ck_assert_uint_eq(admission_open(a, DIRECTION_INBOUND), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("proxy/admission");
    TCase *t = tcase_create("admission");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, one_worker_may_have_all_places);
    tcase_add_test(t, a_direction_has_places_of_its_own);
    tcase_add_test(t, no_limit_is_none_and_counts_all_the_same);
    tcase_add_test(t, all_that_wait_are_told_once);
    tcase_add_test(t, what_is_there_already_has_a_place_beyond_the_limit);
    tcase_add_test(t, what_is_under_way_is_what_all_workers_have);
    tcase_add_test(t, memory_is_full_for_all_workers_and_not_only_for_who_filled_it);
    tcase_add_test(t, the_limit_holds_and_no_telling_is_lost_among_threads);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
