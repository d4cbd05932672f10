#include "mesh/split.h"

#include <math.h>
#include <stdio.h>

#include "given.h"

enum { KEYS = 100000 };

/* arms: "name weight name weight ..." */
static struct route *given_split(const char *arms)
{
    struct route *route = given_route("/");
    struct str rest = str_from(arms), name, weight;
    uint64_t number;

    route->targets = arena_array(&arena, 10, sizeof(*route->targets));
    while (str_split(&rest, ' ', &name)) {
        ck_assert(str_split(&rest, ' ', &weight) && str_to_u64(weight, &number));
        route->targets[route->n_targets++] =
            (struct target){.name = name, .weight = (unsigned)number, .salt = split_salt(name)};
        route->total_weight += number;
    }
    return route;
}

/* Asked so often that it does not check itself: a check of libcheck costs a system call. */
static size_t choose(const struct route *route, uint64_t key)
{
    struct request r = {.trace_id = given_trace(key)};

    return (size_t)(split_choose(route, &r) - route->targets);
}

static const char *const splits[] = {
    "a 1 b 1",
    "users-v1 90 users-v2 10",
    "users-v1 99 users-v2 1",
    "a 999 b 1",
    "a 1 b 2 c 3 d 4",
    "a 5 b 0 c 5",
    "v1 1000000 v2 3000000",
    "a 1 b 1 c 1 d 1 e 1 f 1 g 1 h 1",
};

START_TEST(shares_are_those_of_the_weights)
{
    struct route *route = given_split(splits[_i]);
    unsigned counts[10] = {0};

    for (uint64_t key = 0; key < KEYS; key++)
        counts[choose(route, key)]++;
    for (size_t i = 0; i < route->n_targets; i++) {
        double p = (double)route->targets[i].weight / (double)route->total_weight;
        double mean = (double)KEYS * p;
        double deviations = fabs(counts[i] - mean) / sqrt(mean * (1 - p) + 1e-9);
        if (p == 0)
            ck_assert_uint_eq(counts[i], 0);
        else
            ck_assert_msg(deviations < 3, "%s: %u of arm %zu", splits[_i], counts[i], i);
    }
}
END_TEST

START_TEST(a_raised_weight_moves_keys_only_into_that_arm)
{
    struct route *before = given_split("a 50 b 30 c 20"), *after = given_split("a 50 b 60 c 20");
    unsigned moved = 0, elsewhere = 0;

    for (uint64_t key = 0; key < KEYS; key++) {
        size_t old = choose(before, key), new = choose(after, key);
        moved += old != new;
        elsewhere += old != new &&new != 1;
    }
    ck_assert_uint_eq(elsewhere, 0);
    /* from 30 % to 46.15 % */
    ck_assert_msg(moved > 15000 && moved < 17300, "%u", moved);
}
END_TEST

START_TEST(a_new_arm_takes_keys_and_moves_no_others)
{
    struct route *before = given_split("a 50 b 50"), *after = given_split("c 25 b 50 a 50");
    static const size_t place[] = {2, 1};
    unsigned moved = 0, elsewhere = 0;

    for (uint64_t key = 0; key < KEYS; key++) {
        size_t old = place[choose(before, key)], new = choose(after, key);
        moved += old != new;
        elsewhere += old != new &&new != 0;
    }
    ck_assert_uint_eq(elsewhere, 0);
    ck_assert_msg(moved > 19500 && moved < 20500, "%u", moved);
}
END_TEST

START_TEST(weights_count_only_relative_to_each_other)
{
    struct route *one = given_split("a 9 b 1"), *many = given_split("a 900 b 100");

    unsigned differ = 0;

    for (uint64_t key = 0; key < 10000; key++)
        differ += choose(one, key) != choose(many, key);
    ck_assert_uint_eq(differ, 0);
}
END_TEST

/* What every release must choose: a change here breaks meshes that are half upgraded. */
START_TEST(chooses_as_every_other_release_does)
{
    struct route *route = given_split("users-v1 90 users-v2 10");
    struct siphash_key salt = split_salt(STR("users-v1"));
    char chosen[41] = "";

    for (uint64_t key = 0; key < 40; key++)
        chosen[key] = (char)('1' + choose(route, key));
    ck_assert_str_eq(chosen, "1111111221111111111112111111111111111111");
    ck_assert_uint_eq(salt.k0, 0x0990c5ac836648e9);
    ck_assert_uint_eq(salt.k1, 0x5d5d3cb8e76e04c4);
    struct trace_id id;
    ck_assert(trace_id_from_hex(STR("4bf92f3577b34da6a3ce929d0e0e4736"), &id));
    struct str key = str_of((const char *)id.bytes, sizeof(id.bytes));
    ck_assert_double_eq_tol(split_draw(&route->targets[0], key), -0.019629172892552862, 1e-15);
    ck_assert_double_eq_tol(split_draw(&route->targets[1], key), -0.05628405469269735, 1e-15);
}
END_TEST

START_TEST(without_a_weight_there_is_no_choice)
{
    struct request r = {.trace_id = given_trace(1)};
    struct route *one = given_split("a 1");

    ck_assert_ptr_eq(split_choose(one, &r), &one->targets[0]);
    ck_assert_ptr_null(split_choose(given_split("a 0"), &r));
    ck_assert_ptr_null(split_choose(given_split("a 0 b 0"), &r));
    ck_assert_ptr_null(split_choose(given_route("/"), &r));
    ck_assert_uint_eq(choose(given_split("a 0 b 1 c 0"), 5), 1);
}
END_TEST

static const struct {
    enum split_key by;
    const char *name, *fields, *source;
    const char *key; /* NULL: the trace id */
    size_t key_n;
} keys[] = {
    {SPLIT_BY_TRACE, "", "x-user: ann", "1.2.3.4", NULL, 0},
    {SPLIT_BY_HEADER, "x-user", "X-User: ann\nx-user: bob", "1.2.3.4", "ann", 3},
    {SPLIT_BY_HEADER, "user-agent", "User-Agent: curl", "1.2.3.4", "curl", 4},
    {SPLIT_BY_HEADER, "x-user", "", "1.2.3.4", NULL, 0},
    {SPLIT_BY_HEADER, "x-user", "x-user:", "1.2.3.4", NULL, 0},
    {SPLIT_BY_COOKIE, "sid", "cookie: a=b; sid=7; sid=8", "1.2.3.4", "7", 1},
    {SPLIT_BY_COOKIE, "sid", "cookie: a=b\ncookie: x; sid = \"q\" ;", "1.2.3.4", "\"q\"", 3},
    {SPLIT_BY_COOKIE, "sid", "cookie: sid=a=b", "1.2.3.4", "a=b", 3},
    {SPLIT_BY_COOKIE, "sid", "cookie: SID=7; xsid=8; sid", "1.2.3.4", NULL, 0},
    {SPLIT_BY_COOKIE, "sid", "cookie: sid=", "1.2.3.4", NULL, 0},
    {SPLIT_BY_COOKIE, "sid", "", "1.2.3.4", NULL, 0},
    {SPLIT_BY_SOURCE, "", "", "1.2.3.4", "\1\2\3\4", 4},
    {SPLIT_BY_SOURCE, "", "", "::5", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\5", 16},
    {SPLIT_BY_SOURCE, "", "", "", NULL, 0},
};

START_TEST(hashes_what_the_route_names_or_else_the_trace)
{
    struct route *route = given_split("a 1 b 1");
    struct request r = given_request("GET", "a/", keys[_i].fields);
    uint8_t scratch[16];

    address_parse_ip(str_from(keys[_i].source), &r.source);
    r.source.port = (uint16_t)rand(); /* of the address alone */
    route->by = keys[_i].by;
    route->by_name = str_from(keys[_i].name);
    route->by_header = route->by == SPLIT_BY_HEADER ? header_id_of(route->by_name) : HEADER_OTHER;
    struct str key = split_key_of(route, &r, scratch);
    struct str expected = keys[_i].key ? str_of(keys[_i].key, keys[_i].key_n)
                                       : str_of((const char *)r.trace_id.bytes, 16);
    ck_assert(str_eq(key, expected));
    ck_assert((key.p == (const char *)r.trace_id.bytes) == !keys[_i].key);
}
END_TEST

START_TEST(a_key_keeps_its_arm_whatever_its_trace)
{
    struct route *route = given_split("a 1 b 1");
    struct request r = given_request("GET", "a/", "x-user: ann");

    route->by = SPLIT_BY_HEADER;
    route->by_name = STR("x-user");
    const struct target *first = split_choose(route, &r);
    for (uint64_t i = 0; i < 1000; i++) {
        r.trace_id = given_trace(i);
        ck_assert_ptr_eq(split_choose(route, &r), first);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh/split");
    TCase *tc = tcase_create("split");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, shares_are_those_of_the_weights, 0, COUNT(splits));
    tcase_add_test(tc, a_raised_weight_moves_keys_only_into_that_arm);
    tcase_add_test(tc, a_new_arm_takes_keys_and_moves_no_others);
    tcase_add_test(tc, weights_count_only_relative_to_each_other);
    tcase_add_test(tc, chooses_as_every_other_release_does);
    tcase_add_test(tc, without_a_weight_there_is_no_choice);
    tcase_add_loop_test(tc, hashes_what_the_route_names_or_else_the_trace, 0, COUNT(keys));
    tcase_add_test(tc, a_key_keeps_its_arm_whatever_its_trace);
    suite_add_tcase(suite, tc);
    return given_run(suite);
}
