#include "base/writer.h"

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int reading, writing;
static struct writer *w;
static char got[1 << 20];
static size_t n_got;

static size_t notice(uint64_t lost, char *out, size_t size)
{
    return (size_t)snprintf(out, size, "lost %d\n", (int)lost);
}

static void setup(void)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    reading = ends[0];
    writing = ends[1];
    n_got = 0;
    w = NULL;
}

static void teardown(void)
{
    writer_free(w);
    close(reading);
    close(writing);
}

static void start(size_t capacity)
{
    w = writer_new(writing, capacity, "test", notice);
    ck_assert_ptr_nonnull(w);
}

/* The pipe takes no more: a write() to it waits. Returns how many bytes are in it. */
static size_t fill(void)
{
    static const char block[PIPE_BUF];
    size_t bytes = 0;
    ssize_t n;

    ck_assert_int_eq(fcntl(writing, F_SETFL, O_NONBLOCK), 0);
    while ((n = write(writing, block, sizeof(block))) > 0)
        bytes += (size_t)n;
    ck_assert_int_eq(fcntl(writing, F_SETFL, 0), 0);
    return bytes;
}

static void drop(size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = read(reading, got, bytes < sizeof(got) ? bytes : sizeof(got));
        ck_assert_int_gt(n, 0);
        bytes -= (size_t)n;
    }
}

/* Reads until the text ends so. */
static const char *read_until(const char *end)
{
    while (n_got < strlen(end) || memcmp(got + n_got - strlen(end), end, strlen(end)) != 0) {
        ssize_t n = read(reading, got + n_got, sizeof(got) - 1 - n_got);
        ck_assert_int_gt(n, 0);
        n_got += (size_t)n;
    }
    got[n_got] = '\0';
    return got;
}

static bool put(const char *text)
{
    return writer_put(w, text, strlen(text));
}

START_TEST(what_is_put_is_written_in_order)
{
    start(4096);
    ck_assert(put("one\n"));
    ck_assert(put("two\n"));
    ck_assert(writer_flush(w, SECONDS(60)));
    ck_assert_str_eq(read_until("two\n"), "one\ntwo\n");
    ck_assert_uint_eq(writer_done(w), 2);
    ck_assert_uint_eq(writer_lost(w), 0);
}
END_TEST

START_TEST(the_ring_is_used_again_and_again)
{
    char line[64];

    start(4096);
    for (int i = 0; i < 5000; i++) {
        int n = snprintf(line, sizeof(line), "%d%.*s\n", i, i % 50,
                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
        ck_assert(writer_put(w, line, (size_t)n));
        n_got = 0;
        ck_assert_str_eq(read_until("\n"), line);
    }
}
END_TEST

START_TEST(nobody_waits_for_who_does_not_read)
{
    size_t filled = fill();
    unsigned kept = 0, lost = 0;

    start(4096);
    for (int i = 0; i < 1000; i++) {
        bool ok = put("a line that is to be written\n");
        kept += ok;
        lost += !ok;
    }
    ck_assert_uint_gt(kept, 20);
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_eq(writer_lost(w), lost);
    ck_assert(!writer_flush(w, MILLISECONDS(10)));

    /* And once it flows again, all that was kept comes, and then, once, what was lost. */
    char end[32];
    snprintf(end, sizeof(end), "lost %u\n", lost);
    drop(filled);
    const char *text = read_until(end);
    ck_assert_uint_eq(strlen(text), kept * strlen("a line that is to be written\n") + strlen(end));
    ck_assert(put("next\n"));
    n_got = 0;
    ck_assert_str_eq(read_until("next\n"), "next\n");
}
END_TEST

START_TEST(it_ends_amid_a_write)
{
    fill();
    start(4096);
    ck_assert(put("never\n"));
    ck_assert(!writer_flush(w, MILLISECONDS(20)));
    /* teardown() comes back */
}
END_TEST

START_TEST(who_does_not_block_by_somebody_elses_wish_is_waited_for)
{
    size_t filled = fill();

    ck_assert_int_eq(fcntl(writing, F_SETFL, O_NONBLOCK), 0);
    start(4096);
    ck_assert(put("late\n"));
    drop(filled);
    ck_assert_str_eq(read_until("late\n"), "late\n");
}
END_TEST

START_TEST(what_cannot_be_written_is_lost)
{
    start(4096);
    signal(SIGPIPE, SIG_IGN);
    close(reading);
    ck_assert(put("nobody\n"));
    ck_assert(writer_flush(w, SECONDS(60)));
    ck_assert_uint_eq(writer_failed(w), 1);
    ck_assert_uint_eq(writer_lost(w), 1);
    reading = dup(writing);
}
END_TEST

START_TEST(what_is_too_long_is_lost)
{
    static const char text[2100];

    start(4096);
    ck_assert(!writer_put(w, text, sizeof(text)));
    ck_assert_uint_eq(writer_lost(w), 1);
}
END_TEST

enum { THREADS = 4, LINES = 20000 };

static void *many(void *arg)
{
    char line[32];

    for (int i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof(line), "%c%d\n", 'a' + (int)(intptr_t)arg, i);
        while (!writer_put(w, line, (size_t)n))
            sched_yield();
    }
    return NULL;
}

START_TEST(lines_of_many_threads_come_whole_and_each_threads_in_order)
{
    pthread_t threads[THREADS];
    int next[THREADS] = {0}, total = 0;
    FILE *lines = fdopen(dup(reading), "r");
    char line[64];

    w = writer_new(writing, 8192, "test", NULL);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, many, (void *)(intptr_t)i), 0);
    for (; total < THREADS * LINES; total++) {
        ck_assert_ptr_nonnull(fgets(line, sizeof(line), lines));
        int thread = line[0] - 'a';
        ck_assert(thread >= 0 && thread < THREADS);
        ck_assert_int_eq(atoi(line + 1), next[thread]);
        next[thread]++;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    fclose(lines);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("writer");
    TCase *t = tcase_create("writer");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, what_is_put_is_written_in_order);
    tcase_add_test(t, the_ring_is_used_again_and_again);
    tcase_add_test(t, nobody_waits_for_who_does_not_read);
    tcase_add_test(t, it_ends_amid_a_write);
    tcase_add_test(t, who_does_not_block_by_somebody_elses_wish_is_waited_for);
    tcase_add_test(t, what_cannot_be_written_is_lost);
    tcase_add_test(t, what_is_too_long_is_lost);
    tcase_add_test(t, lines_of_many_threads_come_whole_and_each_threads_in_order);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
