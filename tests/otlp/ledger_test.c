#include "otlp/ledger.h"

#include <pthread.h>

#include "base/str.h"
#include "test_main.h"

START_TEST(each_step_goes_from_a_balance_to_the_next)
{
    struct ledger l = {0};
    struct ledger_view v;

#define BALANCED() (v = ledger_read(&l), ledger_balances(&v))
    ck_assert(BALANCED());
    ledger_start_waiting(&l, 10);
    ck_assert(BALANCED());
    ledger_start_dropped(&l, 3, DROP_QUEUE_FULL);
    ck_assert(BALANCED());
    ledger_start_exported(&l, 1);
    ck_assert(BALANCED());
    ledger_settle_exported(&l, 4, 1);
    ck_assert(BALANCED());
    ledger_settle_dropped(&l, 2, DROP_EXPIRED);
    ck_assert(BALANCED());

    ck_assert_uint_eq(v.started, 14);
    ck_assert_uint_eq(v.exported, 4);
    ck_assert_uint_eq(v.rejected, 1);
    ck_assert_uint_eq(v.dropped[DROP_QUEUE_FULL], 3);
    ck_assert_uint_eq(v.dropped[DROP_EXPIRED], 2);
    ck_assert_uint_eq(ledger_dropped(&v), 5);
    ck_assert_uint_eq(v.waiting, 4);
}
END_TEST

START_TEST(a_view_that_does_not_balance_is_seen)
{
    struct ledger_view v = {.started = 3, .exported = 1, .waiting = 1};

    ck_assert(!ledger_balances(&v));
    v.dropped[DROP_SHUTDOWN] = 1;
    ck_assert(ledger_balances(&v));
}
END_TEST

START_TEST(every_reason_has_a_name)
{
    for (int i = 0; i < DROP_REASON_COUNT; i++)
        ck_assert(drop_reason_name((enum drop_reason)i)[0]);
    ck_assert_str_eq(drop_reason_name(DROP_RING_FULL), "ring_full");
    ck_assert_str_eq(drop_reason_name(DROP_SHUTDOWN), "shutdown");
}
END_TEST

static struct ledger shared;
static atomic_bool stop;

static void *write_steps(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
        ledger_start_waiting(&shared, 7);
        ledger_start_dropped(&shared, 2, (enum drop_reason)(i % DROP_REASON_COUNT));
        ledger_settle_exported(&shared, 4, i % 3);
        ledger_settle_dropped(&shared, 3, DROP_REFUSED);
    }
    return NULL;
}

START_TEST(a_reader_on_another_thread_never_sees_it_out_of_balance)
{
    pthread_t writer;

    atomic_store(&stop, false);
    ck_assert_int_eq(pthread_create(&writer, NULL, write_steps, NULL), 0);
    uint64_t last = 0;
    for (int i = 0; i < 50000; i++) {
        struct ledger_view v = ledger_read(&shared);
        ck_assert(ledger_balances(&v));
        ck_assert(v.started >= last);
        ck_assert(v.waiting <= 7);
        last = v.started;
    }
    atomic_store(&stop, true);
    pthread_join(writer, NULL);
    ck_assert(last > 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger");
    TCase *t = tcase_create("ledger");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, each_step_goes_from_a_balance_to_the_next);
    tcase_add_test(t, a_view_that_does_not_balance_is_seen);
    tcase_add_test(t, every_reason_has_a_name);
    tcase_add_test(t, a_reader_on_another_thread_never_sees_it_out_of_balance);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
