#include "base/ring.h"

#include "base/random.h"
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ring *ring_of(size_t capacity_bytes)
{
    struct ring *r = ring_new(capacity_bytes);

    ck_assert_ptr_nonnull(r);
    return r;
}

START_TEST(capacity_is_a_power_of_two)
{
    static const size_t wanted[] = {0, 1, 4096, 5000, 65537};
    struct ring *r = ring_of(wanted[_i]);

    size_t capacity = ring_capacity(r);
    ck_assert_uint_ge(capacity, wanted[_i]);
    ck_assert_uint_eq(capacity & (capacity - 1), 0);
    ck_assert_uint_eq(ring_used(r), 0);
    ring_free(r);
}
END_TEST

START_TEST(a_size_that_cannot_be_had_gives_no_ring)
{
    ck_assert_ptr_null(ring_new(SIZE_MAX));
    ck_assert_ptr_null(ring_new(SIZE_MAX / 2));
    ring_free(NULL);
}
END_TEST

/* Pages of this process in memory. */
static long resident_pages(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long total, resident;

    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%ld %ld", &total, &resident), 2);
    fclose(f);
    return resident;
}

START_TEST(pages_are_taken_only_as_they_are_written)
{
    long before = resident_pages();
    struct ring *r = ring_of((size_t)1 << 30);

    memset(ring_reserve(r, 100), 1, 100);
    ring_commit(r, 100);
    ck_assert_int_lt(resident_pages() - before, 5000); /* of 262144 */
    ring_free(r);
}
END_TEST

START_TEST(a_record_counts_only_when_committed)
{
    struct ring *r = ring_of(4096);
    size_t size;

    ck_assert_ptr_null(ring_peek(r, &size));
    char *first = ring_reserve(r, 100);
    ck_assert_ptr_nonnull(first);
    ck_assert_uint_eq((uintptr_t)first % 16, 0);
    ck_assert_ptr_null(ring_peek(r, &size));
    ck_assert_ptr_eq(ring_reserve(r, 5), first); /* the first is forgotten */
    memcpy(first, "12345", 5);
    ring_commit(r, 3);
    ck_assert_ptr_eq(ring_peek(r, &size), first);
    ck_assert_uint_eq(size, 3);
    ck_assert_ptr_eq(ring_peek(r, &size), first); /* it stays until it is popped */
    ck_assert_uint_eq(ring_used(r), 32);
    ring_pop(r);
    ck_assert_ptr_null(ring_peek(r, &size));
    ck_assert_uint_eq(ring_used(r), 0);
    ring_free(r);
}
END_TEST

START_TEST(a_record_may_be_empty)
{
    struct ring *r = ring_of(4096);
    size_t size = 9;

    ck_assert_ptr_nonnull(ring_reserve(r, 0));
    ring_commit(r, 0);
    ck_assert_ptr_nonnull(ring_peek(r, &size));
    ck_assert_uint_eq(size, 0);
    ring_pop(r);
    ck_assert_ptr_null(ring_peek(r, &size));
    ring_free(r);
}
END_TEST

START_TEST(a_full_ring_takes_no_more_until_one_is_popped)
{
    struct ring *r = ring_of(4096);
    size_t size;
    int taken = 0;

    for (void *p; (p = ring_reserve(r, 48)) != NULL; taken++)
        ring_commit(r, 48);
    ck_assert_int_eq(taken, 4096 / 64);
    ck_assert_uint_eq(ring_used(r), 4096);
    ck_assert_ptr_null(ring_reserve(r, 0));
    ck_assert_ptr_nonnull(ring_peek(r, &size));
    ring_pop(r);
    ck_assert_ptr_nonnull(ring_reserve(r, 48));
    ring_commit(r, 48);
    ck_assert_ptr_null(ring_reserve(r, 48));
    ring_free(r);
}
END_TEST

START_TEST(a_record_over_half_of_the_ring_is_refused)
{
    struct ring *r = ring_of(4096);

    ck_assert_ptr_nonnull(ring_reserve(r, 2048 - 16));
    ck_assert_ptr_null(ring_reserve(r, 2048 - 15));
    ck_assert_ptr_null(ring_reserve(r, 4096));
    ck_assert_ptr_null(ring_reserve(r, SIZE_MAX));
    ring_free(r);
}
END_TEST

/* Wherever the ring stands, an empty one has room for the largest record, in one piece. */
START_TEST(the_largest_record_fits_at_every_position)
{
    struct ring *r = ring_of(4096);
    size_t size, largest = 4096 / 2 - 16;

    for (int i = 0; i < 1000; i++) {
        ck_assert_ptr_nonnull(ring_reserve(r, 16));
        ring_commit(r, 16);
        ck_assert_ptr_nonnull(ring_peek(r, &size));
        ring_pop(r);
        char *p = ring_reserve(r, largest);
        ck_assert_ptr_nonnull(p);
        memset(p, i & 0x7f, largest);
        ring_commit(r, largest);
        p = ring_peek(r, &size);
        ck_assert_uint_eq(size, largest);
        ck_assert_int_eq(p[0], i & 0x7f);
        ck_assert_int_eq(p[largest - 1], i & 0x7f);
        ring_pop(r);
        ck_assert_uint_eq(ring_used(r), 0);
    }
    ring_free(r);
}
END_TEST

/* What thread A writes, thread B must read: sizes and bytes follow from one seed. */
struct traffic {
    struct ring *ring;
    struct random random;
    int records;
};

static size_t next_size(struct traffic *t)
{
    return (size_t)random_below(&t->random, random_next(&t->random) % 16 == 0 ? 2000 : 100);
}

static void *produce(void *arg)
{
    struct traffic *t = arg;

    for (int i = 0; i < t->records; i++) {
        size_t size = next_size(t);
        unsigned char *p;
        /* More is reserved than is used in the end. */
        while (!(p = ring_reserve(t->ring, size + 20)))
            sched_yield();
        memset(p, i & 0xff, size);
        ring_commit(t->ring, size);
    }
    return NULL;
}

/* Says what was wrong, or NULL: check's assertions are of the main thread. */
static const char *consume(struct traffic *t)
{
    for (int i = 0; i < t->records; i++) {
        size_t size, expected = next_size(t);
        const unsigned char *p;
        while (!(p = ring_peek(t->ring, &size)))
            sched_yield();
        if (ring_used(t->ring) > ring_capacity(t->ring))
            return "more is used than there is";
        if (size != expected)
            return "a record has another size";
        if ((uintptr_t)p % 16 != 0)
            return "a record is not aligned";
        for (size_t j = 0; j < size; j++)
            if (p[j] != (i & 0xff))
                return "a record has other bytes";
        ring_pop(t->ring);
    }
    size_t size;
    return ring_peek(t->ring, &size) ? "there is a record too many" : NULL;
}

START_TEST(two_threads_pass_every_record_in_order)
{
    static const size_t capacities[] = {4096, 8192, 1 << 20};
    struct ring *r = ring_of(capacities[_i]);
    struct traffic in = {.ring = r, .records = 200000}, out;
    pthread_t producer;

    random_init_seed(&in.random, 42);
    out = in;
    ck_assert_int_eq(pthread_create(&producer, NULL, produce, &in), 0);
    const char *wrong = consume(&out);
    ck_assert_msg(!wrong, "%s", wrong);
    pthread_join(producer, NULL);
    ring_free(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *tc = tcase_create("ring");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, capacity_is_a_power_of_two, 0, 5);
    tcase_add_test(tc, a_size_that_cannot_be_had_gives_no_ring);
    tcase_add_test(tc, pages_are_taken_only_as_they_are_written);
    tcase_add_test(tc, a_record_counts_only_when_committed);
    tcase_add_test(tc, a_record_may_be_empty);
    tcase_add_test(tc, a_full_ring_takes_no_more_until_one_is_popped);
    tcase_add_test(tc, a_record_over_half_of_the_ring_is_refused);
    tcase_add_test(tc, the_largest_record_fits_at_every_position);
    tcase_add_loop_test(tc, two_threads_pass_every_record_in_order, 0, 3);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
