#include "mesh/balance.h"

#include <math.h>

#include "given.h"

enum { DRAWS = 100000 };

static struct random chance;

static void setup_chance(void)
{
    random_init_seed(&chance, 42);
}

static const struct weights_row {
    size_t n;
    unsigned weights[70];
} weights_rows[] = {
    {1, {1}}, {1, {7}}, {2, {1, 1}}, {3, {5, 1, 1}}, {4, {1, 2, 3, 4}}, {3, {1, 1000, 1}},
};

static size_t entries_of(const struct weights_row *row, struct balance_entry *v)
{
    for (size_t i = 0; i < row->n; i++)
        v[i] = (struct balance_entry){.weight = row->weights[i]};
    return row->n;
}

START_TEST(round_robin_gives_each_exactly_its_weight_in_a_cycle)
{
    struct balance_entry v[70];
    size_t n = entries_of(&weights_rows[_i], v);
    unsigned total = 0;

    for (size_t i = 0; i < n; i++)
        total += v[i].weight;
    for (int cycle = 0; cycle < 3; cycle++) {
        unsigned counts[70] = {0};
        for (unsigned i = 0; i < total; i++)
            counts[balance_choose(BALANCE_ROUND_ROBIN, v, n, &chance, random_next(&chance))]++;
        for (size_t i = 0; i < n; i++)
            ck_assert_uint_eq(counts[i], v[i].weight);
    }
}
END_TEST

START_TEST(round_robin_spreads_a_heavy_endpoint_over_the_cycle)
{
    struct balance_entry v[3];
    size_t n = entries_of(&weights_rows[3], v);
    char order[15] = "";

    for (int i = 0; i < 14; i++)
        order[i] =
            (char)('a' + balance_choose(BALANCE_ROUND_ROBIN, v, n, &chance, random_next(&chance)));
    ck_assert_str_eq(order, "aabacaaaabacaa");
}
END_TEST

static const enum balance_kind kinds[] = {BALANCE_ROUND_ROBIN, BALANCE_LEAST_REQUEST,
                                          BALANCE_RANDOM};

START_TEST(what_is_skipped_is_not_chosen_unless_all_are)
{
    struct balance_entry v[70];
    bool seen[70] = {false};

    for (size_t i = 0; i < 70; i++) {
        v[i] = (struct balance_entry){.weight = 1 + (unsigned)i % 3};
        if (i % 5 && i != 69)
            v[i].skip = BALANCE_TRIED;
    }
    for (int i = 0; i < 2000; i++)
        seen[balance_choose(kinds[_i], v, 70, &chance, random_next(&chance))] = true;
    for (size_t i = 0; i < 70; i++)
        ck_assert_msg(seen[i] == (i % 5 == 0 || i == 69), "%zu", i);

    for (size_t i = 0; i < 70; i++)
        v[i].skip = BALANCE_TRIED;
    for (int i = 0; i < 5000; i++)
        seen[balance_choose(kinds[_i], v, 70, &chance, random_next(&chance))] = true;
    for (size_t i = 0; i < 70; i++)
        ck_assert_msg(seen[i], "%zu", i);
}
END_TEST

START_TEST(one_that_is_left_takes_all)
{
    struct balance_entry v[] = {{.weight = 1}, {.weight = 2, .in_flight = 1000}, {.weight = 3}};
    v[0].skip = v[2].skip = BALANCE_TRIED;
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(balance_choose(kinds[_i], v, 3, &chance, random_next(&chance)), 1);
}
END_TEST

START_TEST(one_that_did_not_answer_comes_before_one_that_was_tried)
{
    struct balance_entry v[] = {{.weight = 9}, {.weight = 1}, {.weight = 9}};

    v[0].skip = BALANCE_TRIED;
    v[1].skip = v[2].skip = BALANCE_SHUN;
    for (int i = 0; i < 100; i++)
        ck_assert_uint_ne(balance_choose(kinds[_i], v, 3, &chance, random_next(&chance)), 0);
    v[1].skip = BALANCE_USE;
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(balance_choose(kinds[_i], v, 3, &chance, random_next(&chance)), 1);
}
END_TEST

START_TEST(of_none_and_of_one)
{
    struct balance_entry v = {.weight = 1};

    ck_assert_uint_eq(balance_choose(kinds[_i], NULL, 0, &chance, random_next(&chance)), SIZE_MAX);
    ck_assert_uint_eq(balance_choose(kinds[_i], &v, 1, &chance, random_next(&chance)), 0);
    ck_assert_uint_eq(balance_choose(kinds[_i], &v, 1, &chance, 0), 0);
}
END_TEST

START_TEST(least_request_uses_an_idle_cluster_by_weight)
{
    struct balance_entry v[4];
    size_t n = entries_of(&weights_rows[4], v);
    unsigned counts[4] = {0};

    for (int i = 0; i < DRAWS; i++)
        counts[balance_choose(BALANCE_LEAST_REQUEST, v, n, &chance, random_next(&chance))]++;
    for (size_t i = 0; i < n; i++) {
        double p = v[i].weight / 10.0, mean = (double)DRAWS * p;
        ck_assert_msg(fabs(counts[i] - mean) < 3 * sqrt(mean * (1 - p)), "%u", counts[i]);
    }
}
END_TEST

START_TEST(least_request_prefers_the_idler_of_two)
{
    struct balance_entry v[] = {{.weight = 1, .in_flight = 3}, {.weight = 1, .in_flight = 2}};

    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(
            balance_choose(BALANCE_LEAST_REQUEST, v, 2, &chance, random_next(&chance)), 1);
    v[0].weight = 2; /* 3 of 2 are fewer than 2 of 1 */
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(
            balance_choose(BALANCE_LEAST_REQUEST, v, 2, &chance, random_next(&chance)), 0);
}
END_TEST

START_TEST(least_request_never_takes_the_busiest_of_many)
{
    struct balance_entry v[5];
    bool seen[5] = {false};

    for (size_t i = 0; i < 5; i++)
        v[i] = (struct balance_entry){.weight = 1, .in_flight = i == 3 ? 10 : (unsigned)i};
    for (int i = 0; i < 2000; i++)
        seen[balance_choose(BALANCE_LEAST_REQUEST, v, 5, &chance, random_next(&chance))] = true;
    for (size_t i = 0; i < 5; i++)
        ck_assert(seen[i] == (i != 3));
}
END_TEST

/* Requests end one at a time; with a slow endpoint the work in flight stays even. */
START_TEST(least_request_keeps_the_work_even)
{
    struct balance_entry v[] = {{.weight = 1}, {.weight = 1}, {.weight = 2}};

    for (int i = 0; i < 4000; i++)
        v[balance_choose(BALANCE_LEAST_REQUEST, v, 3, &chance, random_next(&chance))].in_flight++;
    ck_assert(abs((int)v[0].in_flight - 1000) < 50);
    ck_assert(abs((int)v[1].in_flight - 1000) < 50);
    ck_assert(abs((int)v[2].in_flight - 2000) < 50);
}
END_TEST

START_TEST(random_respects_the_weights)
{
    struct balance_entry v[4];
    size_t n = entries_of(&weights_rows[4], v);
    unsigned counts[4] = {0};

    for (int i = 0; i < DRAWS; i++)
        counts[balance_choose(BALANCE_RANDOM, v, n, NULL, random_next(&chance))]++;
    for (size_t i = 0; i < n; i++) {
        double p = v[i].weight / 10.0, mean = (double)DRAWS * p;
        ck_assert_msg(fabs(counts[i] - mean) < 3.5 * sqrt(mean * (1 - p)), "%u", counts[i]);
    }
}
END_TEST

/* Without state and without luck: sidecars that know the same endpoints choose alike. */
START_TEST(random_is_the_hash_and_nothing_else)
{
    struct balance_entry v[2] = {{.weight = 1, .in_flight = 9}, {.weight = 3}};

    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(balance_choose(BALANCE_RANDOM, v, 2, NULL, 0), 0);
        ck_assert_uint_eq(balance_choose(BALANCE_RANDOM, v, 2, NULL, UINT64_MAX / 4), 0);
        ck_assert_uint_eq(balance_choose(BALANCE_RANDOM, v, 2, NULL, UINT64_MAX / 4 + 2), 1);
        ck_assert_uint_eq(balance_choose(BALANCE_RANDOM, v, 2, NULL, UINT64_MAX), 1);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh/balance");
    TCase *tc = tcase_create("balance");

    tcase_add_checked_fixture(tc, setup_chance, NULL);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, round_robin_gives_each_exactly_its_weight_in_a_cycle, 0,
                        COUNT(weights_rows));
    tcase_add_test(tc, round_robin_spreads_a_heavy_endpoint_over_the_cycle);
    tcase_add_loop_test(tc, what_is_skipped_is_not_chosen_unless_all_are, 0, COUNT(kinds));
    tcase_add_loop_test(tc, one_that_is_left_takes_all, 0, COUNT(kinds));
    tcase_add_loop_test(tc, of_none_and_of_one, 0, COUNT(kinds));
    tcase_add_loop_test(tc, one_that_did_not_answer_comes_before_one_that_was_tried, 0,
                        COUNT(kinds));
    tcase_add_test(tc, random_respects_the_weights);
    tcase_add_test(tc, random_is_the_hash_and_nothing_else);
    tcase_add_test(tc, least_request_uses_an_idle_cluster_by_weight);
    tcase_add_test(tc, least_request_prefers_the_idler_of_two);
    tcase_add_test(tc, least_request_never_takes_the_busiest_of_many);
    tcase_add_test(tc, least_request_keeps_the_work_even);
    suite_add_tcase(suite, tc);
    return given_run(suite);
}
