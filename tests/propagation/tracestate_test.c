#include "propagation/tracestate.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static struct headers fields;

static void set_up(void)
{
    arena_init(&arena, 0, 0);
    fields = (struct headers){0};
}

static void tear_down(void)
{
    arena_release(&arena);
}

static void field(const char *value)
{
    ck_assert(headers_add(&fields, &arena, STR("tracestate"), str_from(value)));
}

static void assert_str(struct str got, const char *expected)
{
    ck_assert_msg(got.p && str_eq(got, str_from(expected)),
                  "got %zu: '%.*s', expected %zu: '%.300s'", got.n, got.n < 300 ? (int)got.n : 300,
                  got.p ? got.p : "", strlen(expected), expected);
}

/* n times c; several live at once. */
static const char *times(size_t n, char c)
{
    char *text = arena_alloc(&arena, n + 1);

    ck_assert_ptr_nonnull(text);
    memset(text, c, n);
    text[n] = '\0';
    return text;
}

/* k0=1,k1=1, and so on. */
static const char *members(unsigned n)
{
    char *text = arena_zalloc(&arena, n * 16 + 1), *p = text;

    for (unsigned i = 0; i < n; i++)
        p += sprintf(p, "%sk%u=1", i > 0 ? "," : "", i);
    return text;
}

static struct str format(const char *pattern, const char *a, const char *b)
{
    return arena_printf(&arena, pattern, a, b);
}

/* How many members, or -1: not valid. */
static const struct {
    const char *list;
    int members;
} lists[] = {
    {"foo=1", 1},
    {"foo=1,bar=2", 2},
    {"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", 2},
    /* Empty members and an empty header must be accepted. */
    {"", 0},
    {",", 0},
    {" \t, ,\t", 0},
    {"foo=1,", 1},
    {",foo=1", 1},
    {"foo=1,,bar=2", 2},
    {"foo=1, ,\t,bar=2", 2},
    /* OWS around members is not part of them. */
    {" foo=1", 1},
    {"foo=1\t", 1},
    {"foo=1 \t , \t bar=2,\t baz=3", 3},
    {"foo=1 \t \t,bar=2 \t ", 2},
    /* Keys of level 2. */
    {"f=1", 1},
    {"0foo=1", 1},
    {"9=1", 1},
    {"foo@bar=1", 1},
    {"fw529a3039@dt=1", 1},
    {"foo@=1,bar=2", 2},
    {"foo@bar@baz=1", 1},
    {"foo@@bar=1", 1},
    {"foo@0bar=1", 1},
    {"a_-*/@z=1", 1},
    {"foo =1", -1},
    {"foo\t=1", -1},
    {"fo o=1", -1},
    {"FOO=1", -1},
    {"fOO=1", -1},
    {"foo.bar=1", -1},
    {"foo:bar=1", -1},
    {"@foo=1,bar=2", -1},
    {"@=1,bar=2", -1},
    {"_foo=1", -1},
    {"-foo=1", -1},
    {"*foo=1", -1},
    {"/foo=1", -1},
    {"=1", -1},
    {"foo", -1},
    {"foo,bar=1", -1},
    {"bar=1,foo", -1},
    /* Values. */
    {"foo=  1", 1},
    {"foo=a b", 1},
    {"foo=a;b:c", 1},
    {"foo=1 ,bar=2", 2},
    {"foo=bar=baz", -1},
    {"foo==", -1},
    {"foo=", -1},
    {"foo= ", -1},
    {"foo=\t", -1},
    {"foo=,bar=3", -1},
    {"bar=3,foo=", -1},
    {"foo=a\tb", -1},
    {"foo=\t1", -1},
    {"foo=1 \t 2", -1},
    {"foo=1\x7f", -1},
    {"foo=\xc3\xa9", -1},
    {"foo=1\x1f", -1},
    {"foo=1\r", -1},
    /* A repeated key may be kept. */
    {"foo=1,foo=1", 2},
    {"foo=1,foo=2", 2},
};

START_TEST(accepts_what_level_2_allows_and_counts_the_members)
{
    unsigned got = 99;
    bool valid = tracestate_valid(str_from(lists[_i].list), &got);

    ck_assert_msg(valid == (lists[_i].members >= 0), "'%s'", lists[_i].list);
    ck_assert_msg(got == (valid ? (unsigned)lists[_i].members : 99), "'%s' has %u", lists[_i].list,
                  got);
}
END_TEST

START_TEST(a_list_that_is_not_valid_is_dropped_whole_and_a_valid_one_kept)
{
    struct str got;

    field(lists[_i].list);
    got = tracestate_from_headers(&fields, &arena);
    ck_assert_ptr_nonnull(got.p);
    ck_assert_msg((got.n > 0) == (lists[_i].members > 0), "'%s'", lists[_i].list);

    /* One bad field spoils the other. */
    field("other=1");
    got = tracestate_from_headers(&fields, &arena);
    ck_assert_msg((got.n > 0) == (lists[_i].members >= 0), "'%s'", lists[_i].list);
}
END_TEST

START_TEST(each_byte_has_its_places)
{
    char c = (char)_i, first[] = "?b=c", key[] = "a?b=ccd", value[] = "aab=0123456789abcdefg";
    bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    bool in_value = c >= 0x20 && c <= 0x7e && c != ',' && c != '=';
    unsigned n;

    first[0] = c;
    ck_assert_int_eq(tracestate_valid(STR(first), &n), alnum || c == ' ' || c == '\t' || c == ',');
    key[1] = c;
    ck_assert_int_eq(tracestate_valid(STR(key), &n), alnum || (c && strchr("_-*/@", c)));
    for (size_t i = 4; i < sizeof value - 2; i++) {
        char kept = value[i];

        value[i] = c;
        ck_assert_int_eq(tracestate_valid(STR(value), &n), in_value);
        value[i] = kept;
    }
}
END_TEST

START_TEST(keys_and_values_may_have_256_characters_and_no_more)
{
    unsigned n;

    ck_assert(tracestate_valid(format("%s=%s", times(256, 'z'), times(256, 'v')), &n));
    ck_assert(!tracestate_valid(format("%s=%s", times(257, 'z'), "1"), &n));
    ck_assert(!tracestate_valid(format("%s=%s", "foo", times(257, 'v')), &n));
    ck_assert(tracestate_valid(format("%s@%s=1", times(241, 't'), times(14, 'v')), &n));
    ck_assert(!tracestate_valid(format("foo=1,%s=%s", times(257, 'z'), "1"), &n));
    /* Trailing spaces are OWS and do not count, leading ones do. */
    ck_assert(tracestate_valid(format("foo=%s%s", times(256, 'v'), times(300, ' ')), &n));
    ck_assert(tracestate_valid(format("foo=%sv%s", times(255, ' '), ""), &n));
    ck_assert(!tracestate_valid(format("foo=%sv%s", times(256, ' '), ""), &n));
}
END_TEST

START_TEST(a_list_has_at_most_32_members)
{
    unsigned n = 0;

    ck_assert(tracestate_valid(str_from(members(32)), &n));
    ck_assert_uint_eq(n, 32);
    ck_assert(!tracestate_valid(str_from(members(33)), &n));
    ck_assert(tracestate_valid(format("%s%s", members(32), ",,, ,"), &n));

    field(members(32));
    assert_str(tracestate_from_headers(&fields, &arena), members(32));
    field("");
    assert_str(tracestate_from_headers(&fields, &arena), members(32));
    field("one=more");
    assert_str(tracestate_from_headers(&fields, &arena), "");
}
END_TEST

static const struct {
    const char *fields[4];
    const char *joined;
} joins[] = {
    {{NULL}, ""},
    {{""}, ""},
    {{"", " ", ","}, ""},
    {{"foo=1"}, "foo=1"},
    {{" foo=1 , bar=2\t"}, "foo=1 , bar=2"},
    {{"foo=1,"}, "foo=1"},
    {{"foo=1,,bar=2"}, "foo=1,bar=2"},
    {{"foo=1", "bar=2"}, "foo=1,bar=2"},
    {{"foo=1", "", "bar=2"}, "foo=1,bar=2"},
    {{"", "foo=1"}, "foo=1"},
    {{"foo=1,bar=2", "rojo=1,congo=2", "baz=3"}, "foo=1,bar=2,rojo=1,congo=2,baz=3"},
    {{"foo=1,", ",bar=2"}, "foo=1,bar=2"},
    {{" foo= 1 \t", "\tbar=2 "}, "foo= 1,bar=2"},
    {{"foo=1", "foo=2"}, "foo=1,foo=2"},
    /* A member cannot be begun in one field and ended in the next. */
    {{"foo=1,bar", "=2"}, ""},
    {{"foo=1", "BAR=2", "baz=3"}, ""},
};

START_TEST(fields_are_joined_in_the_order_received)
{
    for (size_t i = 0; i < 4 && joins[_i].fields[i]; i++)
        field(joins[_i].fields[i]);
    assert_str(tracestate_from_headers(&fields, &arena), joins[_i].joined);
}
END_TEST

START_TEST(a_single_well_formed_field_is_not_copied)
{
    static const char value[] = " foo=1,bar=2 ";
    size_t used;
    struct str got;

    field(value);
    used = arena.used_bytes;
    got = tracestate_from_headers(&fields, &arena);
    ck_assert_ptr_eq(got.p, value + 1);
    ck_assert_uint_eq(arena.used_bytes, used);
}
END_TEST

START_TEST(other_fields_are_not_tracestate)
{
    ck_assert(headers_add(&fields, &arena, STR("trace-state"), STR("foo=1")));
    ck_assert(headers_add(&fields, &arena, STR("trace.state"), STR("foo=1")));
    ck_assert(headers_add(&fields, &arena, STR("traceparent"), STR("foo=1")));
    assert_str(tracestate_from_headers(&fields, &arena), "");
    ck_assert(headers_add(&fields, &arena, STR("TrAcEsTaTe"), STR("bar=1")));
    assert_str(tracestate_from_headers(&fields, &arena), "bar=1");
}
END_TEST

START_TEST(without_room_to_join_them_fields_are_dropped)
{
    field("foo=1");
    field("bar=2");
    arena.limit_bytes = arena.used_bytes;
    arena.end = arena.at;
    ck_assert_uint_eq(tracestate_from_headers(&fields, &arena).n, 0);
}
END_TEST

/* 32 members of 255 bytes but for number 20, of 104: 31 * 255 + 104 + 31 = 8040 bytes. */
static const char *long_list(void)
{
    char *text = arena_alloc(&arena, 32 * 256), *p = text;

    for (unsigned i = 0; i < 32; i++)
        p += sprintf(p, "%sm%02u=%s", i > 0 ? "," : "", i, times(i == 20 ? 100 : 251, 'v'));
    return text;
}

START_TEST(a_list_of_up_to_8192_bytes_is_passed_on_whole)
{
    const char *list = long_list();
    /* The first member, of 255 bytes, as one of 407: 8040 + 152 = 8192. */
    struct str full = format("%s%s", times(152, 'k'), list);

    ck_assert_uint_eq(full.n, TRACESTATE_BYTES_MAX);
    field(list);
    assert_str(tracestate_from_headers(&fields, &arena), list);
    fields.n = 0;
    field(full.p);
    assert_str(tracestate_from_headers(&fields, &arena), full.p);
}
END_TEST

START_TEST(a_list_over_8192_bytes_loses_the_right_most_large_member)
{
    struct str over = format("%s%s", times(153, 'k'), long_list());
    struct str kept = str_slice(over, 0, over.n - 256), got;

    field(over.p);
    ck_assert(str_eq(tracestate_from_headers(&fields, &arena), kept));

    /* In two fields too; and a put one pushes out the 33rd, then the right-most large one. */
    fields.n = 0;
    field(arena_dup(&arena, kept).p);
    field("m31=1");
    got = tracestate_from_headers(&fields, &arena);
    ck_assert_uint_eq(got.n, kept.n + 6);
    got = tracestate_put(got, STR("own"), str_from(times(256, 'v')), &arena);
    kept = str_slice(kept, 0, kept.n - 256);
    assert_str(got, format("own=%s,%s", times(256, 'v'), arena_dup(&arena, kept).p).p);
}
END_TEST

START_TEST(a_put_keeps_the_list_within_8192_bytes)
{
    /* 31 members of 255 and 104 bytes: with an own one of 407, exactly the limit. */
    struct str list = str_slice(str_from(long_list()), 0, 8040 - 256), got;

    got = tracestate_put(list, str_from(times(150, 'k')), str_from(times(256, 'v')), &arena);
    ck_assert_uint_eq(got.n, TRACESTATE_BYTES_MAX);
    got = tracestate_put(list, str_from(times(151, 'k')), str_from(times(256, 'v')), &arena);
    ck_assert_uint_eq(got.n, TRACESTATE_BYTES_MAX + 1 - 256);
    ck_assert(!tracestate_get(got, STR("m30")).p);
    ck_assert(tracestate_get(got, STR("m29")).p);
}
END_TEST

static const struct {
    const char *list;
    size_t limit;
    const char *cut;
} cuts[] = {
    {"", 0, ""},
    {"", 10, ""},
    {"a=1,b=2,c=3", 11, "a=1,b=2,c=3"},
    {"a=1,b=2,c=3", 10, "a=1,b=2"},
    {"a=1,b=2,c=3", 7, "a=1,b=2"},
    {"a=1,b=2,c=3", 6, "a=1"},
    {"a=1,b=2,c=3", 3, "a=1"},
    {"a=1,b=2,c=3", 2, ""},
    {"a=1,b=2,c=3", 0, ""},
    /* No part of a member is left. */
    {"a=1,b=23456", 10, "a=1"},
    /* OWS is the first to go. */
    {"a=1 , b=2", 8, "a=1,b=2"},
};

START_TEST(a_cut_takes_whole_members_from_the_right_end)
{
    assert_str(tracestate_cut(str_from(cuts[_i].list), cuts[_i].limit, &arena), cuts[_i].cut);
}
END_TEST

START_TEST(a_cut_takes_members_over_128_characters_first)
{
    /* a=… of 128 characters is not over, b and d of 129 are. */
    struct str a = format("a=%s%s", times(126, '1'), "");
    struct str b = format("b=%s%s", times(127, '2'), "");
    struct str d = format("d=%s%s", times(127, '4'), "");
    struct str list = arena_printf(&arena, "%s,%s,c=3,%s,e=5", a.p, b.p, d.p);

    ck_assert_uint_eq(list.n, 128 + 129 + 3 + 129 + 3 + 4);
    assert_str(tracestate_cut(list, list.n - 1, &arena),
               arena_printf(&arena, "%s,%s,c=3,e=5", a.p, b.p).p);
    assert_str(tracestate_cut(list, 200, &arena), arena_printf(&arena, "%s,c=3,e=5", a.p).p);
    assert_str(tracestate_cut(list, 135, &arena), arena_printf(&arena, "%s,c=3", a.p).p);
    assert_str(tracestate_cut(list, 130, &arena), a.p);
    assert_str(tracestate_cut(list, 127, &arena), "");
}
END_TEST

static const struct {
    const char *list, *key, *value, *result;
} puts_[] = {
    {"", "ot", "th:8", "ot=th:8"},
    {"foo=1", "ot", "th:8", "ot=th:8,foo=1"},
    {"foo=1,bar=2", "bar", "3", "bar=3,foo=1"},
    {"foo=1,bar=2", "foo", "1", "foo=1,bar=2"},
    {"foo=1,bar=2,foo=3", "foo", "4", "foo=4,bar=2"},
    {"foo=1", "foo", "2", "foo=2"},
    {"foobar=1,fo=2", "foo", "3", "foo=3,foobar=1,fo=2"},
    {"foo=1 ,\tbar=2", "ot", " 1", "ot= 1,foo=1,bar=2"},
    /* What may not be sent changes nothing. */
    {"foo=1", "", "1", "foo=1"},
    {"foo=1", "Foo", "1", "foo=1"},
    {"foo=1", "@ot", "1", "foo=1"},
    {"foo=1", "ot ", "1", "foo=1"},
    {"foo=1", "ot", "", "foo=1"},
    {"foo=1", "ot", "a,b=1", "foo=1"},
    {"foo=1", "ot", "a=1", "foo=1"},
    {"foo=1", "ot", "1 ", "foo=1"},
    {"foo=1", "ot", "1\r\nx: y", "foo=1"},
};

START_TEST(a_put_member_is_at_the_left_end_and_there_only)
{
    struct str got = tracestate_put(str_from(puts_[_i].list), str_from(puts_[_i].key),
                                    str_from(puts_[_i].value), &arena);

    assert_str(got, puts_[_i].result);
}
END_TEST

START_TEST(a_put_into_no_list_works_as_into_an_empty_one)
{
    assert_str(tracestate_put((struct str){0}, STR("a"), STR("1"), &arena), "a=1");
    assert_str(tracestate_put((struct str){0}, STR("A"), STR("1"), &arena), "");
    assert_str(tracestate_remove((struct str){0}, STR("a"), &arena), "");
    assert_str(tracestate_cut((struct str){0}, 0, &arena), "");
    ck_assert_ptr_null(tracestate_get((struct str){0}, STR("a")).p);
}
END_TEST

START_TEST(keys_and_values_to_put_have_at_most_256_characters)
{
    const char *key = times(256, 'k'), *value = times(256, 'v');

    assert_str(tracestate_put(STR("a=1"), str_from(key), str_from(value), &arena),
               arena_printf(&arena, "%s=%s,a=1", key, value).p);
    assert_str(tracestate_put(STR("a=1"), str_from(times(257, 'k')), STR("1"), &arena), "a=1");
    assert_str(tracestate_put(STR("a=1"), STR("k"), str_from(times(257, 'v')), &arena), "a=1");
}
END_TEST

START_TEST(past_32_members_the_right_most_goes)
{
    struct str list = str_from(members(32));

    assert_str(tracestate_put(list, STR("own"), STR("1"), &arena),
               format("own=1,%s%s", members(31), "").p);
    /* A member that is only moved costs nobody his place. */
    assert_str(tracestate_put(list, STR("k0"), STR("1"), &arena), list.p);
}
END_TEST

START_TEST(removes_a_key_and_keeps_the_rest_in_order)
{
    struct str list = STR("foo=1,bar=2,foo=3,baz=4");

    assert_str(tracestate_remove(list, STR("foo"), &arena), "bar=2,baz=4");
    assert_str(tracestate_remove(list, STR("baz"), &arena), "foo=1,bar=2,foo=3");
    ck_assert_ptr_eq(tracestate_remove(list, STR("fo"), &arena).p, list.p);
    ck_assert_uint_eq(tracestate_remove(list, STR("fo"), &arena).n, list.n);
    assert_str(tracestate_remove(STR("foo=1"), STR("foo"), &arena), "");
}
END_TEST

static const struct {
    const char *list, *key, *value;
} gets_[] = {
    {"foo=1", "foo", "1"},    {"foo=1,bar=2", "bar", "2"},    {"foo=1,bar=2", "baz", NULL},
    {"", "foo", NULL},        {"foobar=1,foo=2", "foo", "2"}, {"foo=1", "fo", NULL},
    {"foo=1", "foo=1", NULL}, {"foo=1,foo=2", "foo", "1"},    {"foo= a b \t,c=1", "foo", " a b"},
};

START_TEST(gets_the_value_of_exactly_that_key)
{
    struct str got = tracestate_get(str_from(gets_[_i].list), str_from(gets_[_i].key));

    if (gets_[_i].value)
        assert_str(got, gets_[_i].value);
    else
        ck_assert_ptr_null(got.p);
}
END_TEST

START_TEST(a_full_arena_is_told)
{
    struct str list = STR("a=1,b=2,c=3");
    struct arena full;

    arena_init(&full, 0, 16);
    ck_assert_ptr_nonnull(arena_alloc(&full, 16));
    ck_assert_ptr_null(tracestate_put(list, STR("d"), STR("4"), &full).p);
    ck_assert_ptr_null(tracestate_remove(list, STR("a"), &full).p);
    ck_assert_ptr_null(tracestate_cut(list, 8, &full).p);
    arena_release(&full);
}
END_TEST

#define ROWS(table) (int)(sizeof(table) / sizeof((table)[0]))

int main(void)
{
    Suite *suite = suite_create("tracestate");
    TCase *tc = tcase_create("tracestate");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, accepts_what_level_2_allows_and_counts_the_members, 0, ROWS(lists));
    tcase_add_loop_test(tc, a_list_that_is_not_valid_is_dropped_whole_and_a_valid_one_kept, 0,
                        ROWS(lists));
    tcase_add_loop_test(tc, each_byte_has_its_places, 0, 256);
    tcase_add_test(tc, keys_and_values_may_have_256_characters_and_no_more);
    tcase_add_test(tc, a_list_has_at_most_32_members);
    tcase_add_loop_test(tc, fields_are_joined_in_the_order_received, 0, ROWS(joins));
    tcase_add_test(tc, a_single_well_formed_field_is_not_copied);
    tcase_add_test(tc, other_fields_are_not_tracestate);
    tcase_add_test(tc, without_room_to_join_them_fields_are_dropped);
    tcase_add_test(tc, a_list_of_up_to_8192_bytes_is_passed_on_whole);
    tcase_add_test(tc, a_list_over_8192_bytes_loses_the_right_most_large_member);
    tcase_add_test(tc, a_put_keeps_the_list_within_8192_bytes);
    tcase_add_loop_test(tc, a_cut_takes_whole_members_from_the_right_end, 0, ROWS(cuts));
    tcase_add_test(tc, a_cut_takes_members_over_128_characters_first);
    tcase_add_loop_test(tc, a_put_member_is_at_the_left_end_and_there_only, 0, ROWS(puts_));
    tcase_add_test(tc, a_put_into_no_list_works_as_into_an_empty_one);
    tcase_add_test(tc, keys_and_values_to_put_have_at_most_256_characters);
    tcase_add_test(tc, past_32_members_the_right_most_goes);
    tcase_add_test(tc, removes_a_key_and_keeps_the_rest_in_order);
    tcase_add_loop_test(tc, gets_the_value_of_exactly_that_key, 0, ROWS(gets_));
    tcase_add_test(tc, a_full_arena_is_told);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
