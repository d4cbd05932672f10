#include "mesh/fault.h"

#include <math.h>
#include <pthread.h>

#include "given.h"

enum { TRACES = 100000 };

static struct fault given_fault(enum fault_kind kind, share_t share)
{
    return (struct fault){
        .kind = kind, .share = share, .salt = fault_salt(STR("/api"), 0, kind), .status = 503};
}

static struct request given_number(uint64_t number)
{
    return (struct request){.trace_id = given_trace(number)};
}

/* A share as 1 / n. */
static share_t one_of(uint64_t n)
{
    return UINT64_MAX / n;
}

static const uint64_t parts[] = {2, 3, 10, 100, 1000};

START_TEST(strikes_its_share_of_traces)
{
    struct fault f = given_fault(FAULT_DELAY, one_of(parts[_i]));
    double p = 1.0 / (double)parts[_i], struck = 0;

    for (uint64_t i = 0; i < TRACES; i++) {
        struct request r = given_number(i);
        struck += fault_strikes(&f, &r) == VERDICT_YES;
    }
    double mean = (double)TRACES * p;
    ck_assert_msg(fabs(struck - mean) < 3 * sqrt(mean * (1 - p)), "%g of 1/%g", struck, 1 / p);
}
END_TEST

START_TEST(strikes_always_or_never_at_the_ends)
{
    struct fault always = given_fault(FAULT_ABORT, SHARE_ALWAYS);
    struct fault never = given_fault(FAULT_ABORT, 0);

    for (uint64_t i = 0; i < 1000; i++) {
        struct request r = given_number(i);
        ck_assert(fault_strikes(&always, &r));
        ck_assert(!fault_strikes(&never, &r));
    }
}
END_TEST

START_TEST(a_larger_share_strikes_all_that_a_smaller_one_does)
{
    struct fault few = given_fault(FAULT_DELAY, one_of(10)),
                 many = given_fault(FAULT_DELAY, one_of(5));

    unsigned struck = 0, spared = 0;

    for (uint64_t i = 0; i < 10000; i++) {
        struct request r = given_number(i);
        struck += fault_strikes(&few, &r);
        spared += fault_strikes(&few, &r) && !fault_strikes(&many, &r);
    }
    ck_assert_uint_gt(struck, 0);
    ck_assert_uint_eq(spared, 0);
}
END_TEST

START_TEST(two_faults_of_a_route_draw_independently)
{
    struct fault a = given_fault(FAULT_DELAY, one_of(2)), b = a;
    unsigned both = 0;

    b.salt = fault_salt(STR("/api"), 1, FAULT_DELAY);
    for (uint64_t i = 0; i < TRACES; i++) {
        struct request r = given_number(i);
        both += fault_strikes(&a, &r) && fault_strikes(&b, &r);
    }
    ck_assert_msg(both > 24500 && both < 25500, "%u", both);
}
END_TEST

/* What every release must draw: a change here breaks meshes that are half upgraded. */
START_TEST(strikes_as_every_other_release_does)
{
    struct siphash_key abort_salt = fault_salt(STR("/api"), 1, FAULT_ABORT);
    struct fault f = given_fault(FAULT_DELAY, one_of(10));
    struct trace_id id;
    char struck[61] = "";

    ck_assert(trace_id_from_hex(STR("4bf92f3577b34da6a3ce929d0e0e4736"), &id));
    ck_assert_uint_eq(f.salt.k0, 0x6db92640955810f6);
    ck_assert_uint_eq(f.salt.k1, 0x0d06e0101a57d4cb);
    ck_assert_uint_eq(abort_salt.k0, 0x8593781889a96b8f);
    ck_assert_uint_eq(abort_salt.k1, 0x389bf962f41501f6);
    ck_assert_uint_eq(fault_draw(&f, &id), 0x26393b8a831ae0dd);
    f.jitter = SECONDS(1);
    ck_assert_int_eq(fault_delay_of(&f, &id), 65264705);
    for (uint64_t i = 0; i < 60; i++) {
        struct request r = given_number(i);
        struck[i] = fault_strikes(&f, &r) ? 'x' : '.';
    }
    ck_assert_str_eq(struck, "......x......x......x.........x..........x..x.....x.........");
}
END_TEST

START_TEST(strikes_only_when_its_condition_holds)
{
    struct match_rule when = given_match("header x-chaos = yes");
    struct fault f = given_fault(FAULT_ABORT, SHARE_ALWAYS);
    struct request with = given_request("GET", "a/", "x-chaos: yes");
    struct request without = given_request("GET", "a/", "x-chaos: no");

    f.when = &when;
    ck_assert(fault_strikes(&f, &with));
    ck_assert(!fault_strikes(&f, &without));
}
END_TEST

START_TEST(jitter_is_spread_evenly_and_the_same_for_a_trace)
{
    struct fault f = given_fault(FAULT_DELAY, one_of(10));
    unsigned tenths[10] = {0}, struck = 0;

    f.delay = SECONDS(2);
    f.jitter = MILLISECONDS(500) - 1;
    for (uint64_t i = 0; i < TRACES; i++) {
        struct request r = given_number(i);
        if (!fault_strikes(&f, &r)) /* those that strike must be spread like all */
            continue;
        nsec_t delay = fault_delay_of(&f, &r.trace_id);
        if (delay != fault_delay_of(&f, &r.trace_id) || delay < SECONDS(2) ||
            delay >= SECONDS(2) + MILLISECONDS(500))
            ck_abort_msg("%lld", (long long)delay);
        tenths[(delay - SECONDS(2)) / MILLISECONDS(50)]++;
        struck++;
    }
    for (int i = 0; i < 10; i++)
        ck_assert_msg(fabs(tenths[i] - struck / 10.0) < 4 * sqrt(struck * 0.09), "%u", tenths[i]);
}
END_TEST

START_TEST(the_ends_of_jitter_can_be_drawn)
{
    struct fault f = {.delay = 5, .jitter = 1, .salt = {1, 2}};
    unsigned counts[2] = {0};

    for (uint64_t i = 0; i < 100; i++) {
        struct trace_id id = given_trace(i);
        nsec_t delay = fault_delay_of(&f, &id);
        ck_assert(delay == 5 || delay == 6);
        counts[delay - 5]++;
    }
    ck_assert(counts[0] > 30 && counts[1] > 30);
}
END_TEST

START_TEST(delays_add_up_and_the_first_abort_counts)
{
    atomic_uint_fast64_t struck = 0;
    struct request r = given_number(1);
    struct fault faults[] = {
        {.kind = FAULT_DELAY, .share = SHARE_ALWAYS, .delay = SECONDS(2)},
        {.kind = FAULT_ABORT, .share = 0, .status = 500},
        {.kind = FAULT_RESET, .share = SHARE_ALWAYS},
        {.kind = FAULT_ABORT, .share = SHARE_ALWAYS, .status = 503, .first = 5, .struck = &struck},
        {.kind = FAULT_DELAY, .share = SHARE_ALWAYS, .delay = SECONDS(1)},
        {.kind = FAULT_DELAY, .share = 0, .delay = SECONDS(9)},
    };
    struct route route = {.faults = faults, .n_faults = COUNT(faults)};
    struct fault_decision d = fault_decide(&route, &r);

    ck_assert_int_eq(d.delay, SECONDS(3));
    ck_assert_uint_eq(d.struck, 1u << 0 | 1u << 2 | 1u << 4);
    ck_assert_ptr_eq(d.aborted, &faults[2]);
    ck_assert_uint_eq(atomic_load(&struck), 0); /* not reached, so not counted */
}
END_TEST

START_TEST(without_faults_nothing_happens)
{
    struct request r = given_number(1);
    struct route route = {0};
    struct fault_decision d = fault_decide(&route, &r);

    ck_assert_int_eq(d.delay, 0);
    ck_assert_uint_eq(d.struck, 0);
    ck_assert_ptr_null(d.aborted);
}
END_TEST

START_TEST(first_n_counts_only_requests_it_strikes)
{
    atomic_uint_fast64_t struck = 0;
    struct fault f = given_fault(FAULT_ABORT, one_of(2));
    struct route route = {.faults = &f, .n_faults = 1};
    unsigned seen = 0, passed = 0;

    f.first = 3;
    f.struck = &struck;
    for (uint64_t i = 0; i < 100; i++) {
        struct request r = given_number(i);
        bool would = fault_strikes(&f, &r), does = fault_decide(&route, &r).aborted != NULL;
        ck_assert(does == (would && seen < 3));
        seen += would;
        passed += does;
    }
    ck_assert_uint_eq(passed, 3);
    ck_assert_uint_eq(atomic_load(&struck), 3);
}
END_TEST

/* It is refused for the pattern, so none of the faults before it has struck. */
START_TEST(first_n_counts_no_request_that_is_undecided)
{
    atomic_uint_fast64_t struck[2] = {0};
    struct match_rule when = given_match("header x-a ~ ^(a+)+$");
    struct request r = given_request("GET", "a/", "x-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    struct fault faults[] = {
        {.kind = FAULT_DELAY, .share = SHARE_ALWAYS, .delay = 1, .first = 1, .struck = &struck[0]},
        {.kind = FAULT_ABORT, .share = SHARE_ALWAYS, .first = 1, .struck = &struck[1]},
        {.kind = FAULT_DELAY, .share = SHARE_ALWAYS, .when = &when},
    };
    struct route route = {.faults = faults, .n_faults = COUNT(faults)};

    ck_assert_ptr_eq(fault_decide(&route, &r).undecided, &faults[2]);
    ck_assert_uint_eq(atomic_load(&struck[0]) + atomic_load(&struck[1]), 0);
    r = given_request("GET", "a/", "x-b: 1");
    ck_assert_ptr_eq(fault_decide(&route, &r).aborted, &faults[1]);
    ck_assert_uint_eq(atomic_load(&struck[0]) + atomic_load(&struck[1]), 2);
    regex_free(when.regex);
}
END_TEST

static void note_fate(void *arg, const struct fault *f, enum fault_fate fate)
{
    char *fates = arg;

    (void)f;
    fates[strlen(fates)] = "+-.?"[fate];
}

/* Explaining is the same walk, so that it cannot come to another end. */
START_TEST(what_is_foreseen_is_what_is_decided_and_counts_nothing)
{
    atomic_uint_fast64_t struck = 0;
    struct match_rule when = given_match("header x-a ~ ^(a+)+$");
    struct request r = given_request("GET", "a/", "x-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    struct fault faults[] = {
        {.kind = FAULT_DELAY, .share = SHARE_ALWAYS, .delay = 7},
        {.kind = FAULT_RESET, .share = 0},
        {.kind = FAULT_ABORT, .share = SHARE_ALWAYS, .first = 1, .struck = &struck},
        {.kind = FAULT_RESET, .share = SHARE_ALWAYS, .when = &when}, /* nobody looks at it */
        {.kind = FAULT_DELAY, .share = SHARE_ALWAYS, .delay = 7},
        {.kind = FAULT_DELAY, .share = SHARE_ALWAYS, .when = &when},
    };
    struct route route = {.faults = faults, .n_faults = COUNT(faults) - 1};
    char fates[8] = "";

    struct fault_decision d = fault_foresee(&route, &r, note_fate, fates);
    ck_assert_str_eq(fates, "+-+.+");
    ck_assert_uint_eq(atomic_load(&struck), 0);
    struct fault_decision done = fault_decide(&route, &r);
    ck_assert(done.aborted == d.aborted && done.aborted == &faults[2]);
    ck_assert(done.delay == d.delay && done.delay == 14);
    ck_assert_uint_eq(done.struck, d.struck);
    ck_assert_uint_eq(atomic_load(&struck), 1);
    ck_assert(!done.undecided && !d.undecided);

    atomic_store(&struck, 0);
    route.n_faults = COUNT(faults);
    memset(fates, 0, sizeof(fates));
    ck_assert_ptr_eq(fault_foresee(&route, &r, note_fate, fates).undecided, &faults[5]);
    ck_assert_str_eq(fates, "+-+.+?");
    ck_assert_uint_eq(atomic_load(&struck), 0);
    ck_assert_ptr_eq(fault_decide(&route, &r).undecided, &faults[5]);
    regex_free(when.regex);
}
END_TEST

static void check_told(const struct route *route, uint64_t struck, const struct fault *aborted,
                       const char *told)
{
    struct fault_decision d = {.struck = struck, .aborted = aborted};
    struct buffer out;

    buffer_init(&out, 0);
    fault_write_struck(route, &d, &out);
    ck_assert_msg(str_eq(buffer_str(&out), str_from(told)), "%.*s", STR_ARG(buffer_str(&out)));
    buffer_release(&out);
}

START_TEST(those_that_struck_are_told_and_of_many_the_number)
{
    struct fault faults[12];
    struct route route = {.faults = faults, .n_faults = COUNT(faults)};

    for (size_t i = 0; i < COUNT(faults); i++)
        faults[i] = (struct fault){.kind = FAULT_DELAY, .shown = STR("delay 1s")};
    faults[1] = (struct fault){.kind = FAULT_ABORT, .shown = STR("abort 503")};
    faults[2].shown = STR("delay 2s");
    check_told(&route, 1 << 1, &faults[1], "abort 503");
    check_told(&route, 1 << 0, NULL, "delay 1s");
    check_told(&route, 1 << 0 | 1 << 1 | 1 << 2, &faults[1], "delay 1s; delay 2s; abort 503");
    check_told(&route, 0xfff, &faults[1],
               "delay 1s; delay 2s; delay 1s; delay 1s; delay 1s; delay 1s; delay 1s; delay 1s; "
               "and 3 more; abort 503");
}
END_TEST

static void *count_strikes(void *data)
{
    const struct route *route = data;
    uintptr_t struck = 0;

    for (uint64_t i = 0; i < 20000; i++) {
        struct request r = given_number(i);
        struck += fault_decide(route, &r).aborted != NULL;
    }
    return (void *)struck;
}

START_TEST(first_n_is_never_exceeded_by_many_threads)
{
    atomic_uint_fast64_t struck = 0;
    struct fault f = given_fault(FAULT_RESET, SHARE_ALWAYS);
    struct route route = {.faults = &f, .n_faults = 1};
    pthread_t threads[4];
    uintptr_t total = 0;

    f.first = 50001;
    f.struck = &struck;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_strikes, &route), 0);
    for (int i = 0; i < 4; i++) {
        void *counted;
        pthread_join(threads[i], &counted);
        total += (uintptr_t)counted;
    }
    ck_assert_uint_eq(total, 50001);
    ck_assert_uint_eq(atomic_load(&struck), 50001);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh/fault");
    TCase *tc = tcase_create("fault");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, strikes_its_share_of_traces, 0, COUNT(parts));
    tcase_add_test(tc, strikes_always_or_never_at_the_ends);
    tcase_add_test(tc, a_larger_share_strikes_all_that_a_smaller_one_does);
    tcase_add_test(tc, two_faults_of_a_route_draw_independently);
    tcase_add_test(tc, strikes_as_every_other_release_does);
    tcase_add_test(tc, strikes_only_when_its_condition_holds);
    tcase_add_test(tc, jitter_is_spread_evenly_and_the_same_for_a_trace);
    tcase_add_test(tc, the_ends_of_jitter_can_be_drawn);
    tcase_add_test(tc, delays_add_up_and_the_first_abort_counts);
    tcase_add_test(tc, without_faults_nothing_happens);
    tcase_add_test(tc, first_n_counts_only_requests_it_strikes);
    tcase_add_test(tc, first_n_counts_no_request_that_is_undecided);
    tcase_add_test(tc, what_is_foreseen_is_what_is_decided_and_counts_nothing);
    tcase_add_test(tc, those_that_struck_are_told_and_of_many_the_number);
    tcase_add_test(tc, first_n_is_never_exceeded_by_many_threads);
    suite_add_tcase(suite, tc);
    return given_run(suite);
}
