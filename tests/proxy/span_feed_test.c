#include "proxy/span_feed.h"

#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct span_wake wake;
static struct span span;

static void set_up(void)
{
    wake = (struct span_wake){.fd = eventfd(0, EFD_NONBLOCK)};
    span_init(&span, SPAN_SERVER, SPAN_HTTP);
    span.text[SPAN_PATH] = STR("/users/7");
}

static void tear_down(void)
{
    close(wake.fd);
}

/* How often the eventfd was written since the last call. */
static uint64_t calls(void)
{
    uint64_t n = 0;

    return read(wake.fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static unsigned take_all(struct span_feed *f)
{
    unsigned n = 0;

    for (; span_feed_peek(f); n++)
        span_feed_pop(f);
    return n;
}

START_TEST(spans_come_out_as_they_went_in)
{
    struct span_feed *f = span_feed_make(&wake, 65536);

    ck_assert(!span_feed_has_news(f));
    ck_assert_ptr_null(span_feed_peek(f));
    for (uint16_t i = 0; i < 5; i++) {
        span.status = i;
        span_feed_push(f, &span);
    }
    ck_assert(span_feed_has_news(f));
    for (uint16_t i = 0; i < 5; i++) {
        const struct span *s = span_feed_peek(f);
        ck_assert_uint_eq(s->status, i);
        ck_assert(str_eq(s->text[SPAN_PATH], STR("/users/7")));
        span_feed_pop(f);
    }
    ck_assert(!span_feed_has_news(f));
    ck_assert_uint_eq(span_feed_take_lost(f), 0);
    span_feed_free(f);
}
END_TEST

START_TEST(who_sleeps_is_called_once)
{
    struct span_feed *f = span_feed_make(&wake, 65536);

    atomic_store(&wake.asleep, true);
    span_feed_push(f, &span);
    ck_assert(!atomic_load(&wake.asleep));
    span_feed_push(f, &span);
    ck_assert_uint_eq(calls(), 1);
    span_feed_free(f);
}
END_TEST

START_TEST(who_is_awake_is_not_called)
{
    struct span_feed *f = span_feed_make(&wake, 65536);

    for (int i = 0; i < 20; i++)
        span_feed_push(f, &span);
    ck_assert_uint_eq(calls(), 0);
    span_feed_free(f);
}
END_TEST

START_TEST(a_ring_over_half_full_calls_once_for_each_time)
{
    struct span_feed *f = span_feed_make(&wake, 65536);

    for (int i = 1; i <= 3; i++) {
        while (ring_used(f->ring) <= f->half_bytes)
            span_feed_push(f, &span);
        ck_assert_uint_eq(calls(), 1);
        for (int more = 0; more < 10; more++)
            span_feed_push(f, &span);
        ck_assert_uint_eq(calls(), 0);
        take_all(f);
        span_feed_push(f, &span); /* under it again */
    }
    span_feed_free(f);
}
END_TEST

START_TEST(what_does_not_fit_is_counted_once)
{
    struct span_feed *f = span_feed_make(&wake, 65536);
    unsigned pushed = 1000;

    for (unsigned i = 0; i < pushed; i++)
        span_feed_push(f, &span);
    uint64_t lost = span_feed_take_lost(f);
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_eq(take_all(f) + lost, pushed);
    ck_assert_uint_eq(span_feed_take_lost(f), 0);
    ck_assert(!span_feed_has_news(f));
    span_feed_free(f);
}
END_TEST

START_TEST(a_lost_span_is_news_too)
{
    struct span_feed *f = span_feed_make(&wake, 65536);

    while (atomic_load(&f->lost) == 0)
        span_feed_push(f, &span);
    take_all(f);
    calls();
    ck_assert(span_feed_has_news(f));
    span_feed_take_lost(f);
    ck_assert(!span_feed_has_news(f));
    span_feed_free(f);
}
END_TEST

/* ---- no wake-up is lost ---- */

enum { FEEDS = 2, SPANS = 20000 };

static void *push_some_and_pause(void *arg)
{
    for (int i = 0; i < SPANS; i++) {
        span_feed_push(arg, &span);
        /* So that the other side falls asleep now and then, at all sorts of moments. */
        for (volatile int pause = 0; pause < i % 977; pause++)
            ;
    }
    return NULL;
}

/* The two steps of the telemetry thread. */
static bool fall_asleep(struct span_feed **f)
{
    atomic_store(&wake.asleep, true);
    for (int i = 0; i < FEEDS; i++)
        if (span_feed_has_news(f[i]))
            return false;
    return true;
}

START_TEST(a_sleeper_hears_of_every_span)
{
    struct span_feed *f[FEEDS];
    pthread_t threads[FEEDS];
    unsigned taken = 0;

    for (int i = 0; i < FEEDS; i++)
        f[i] = span_feed_make(&wake, 1 << 20);
    for (int i = 0; i < FEEDS; i++)
        pthread_create(&threads[i], NULL, push_some_and_pause, f[i]);
    while (taken < FEEDS * SPANS) {
        unsigned before = taken;
        for (int i = 0; i < FEEDS; i++)
            taken += take_all(f[i]) + (unsigned)span_feed_take_lost(f[i]);
        if (taken == before && fall_asleep(f)) {
            struct pollfd p = {.fd = wake.fd, .events = POLLIN};
            ck_assert_msg(poll(&p, 1, 10000) == 1, "nobody called: %u of %u", taken, FEEDS * SPANS);
            calls();
        }
    }
    for (int i = 0; i < FEEDS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(!span_feed_has_news(f[i]));
        span_feed_free(f[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("span_feed");
    TCase *t = tcase_create("span_feed");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, spans_come_out_as_they_went_in);
    tcase_add_test(t, who_sleeps_is_called_once);
    tcase_add_test(t, who_is_awake_is_not_called);
    tcase_add_test(t, a_ring_over_half_full_calls_once_for_each_time);
    tcase_add_test(t, what_does_not_fit_is_counted_once);
    tcase_add_test(t, a_lost_span_is_news_too);
    tcase_add_test(t, a_sleeper_hears_of_every_span);
    suite_add_tcase(suite, t);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
