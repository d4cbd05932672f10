#include "propagation/baggage.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static struct headers fields;
static const struct trace_context ctx = {.trace_id = {{1}}, .span_id = {{2}}, .flags = 1};

static void set_up(void)
{
    arena_init(&arena, 0, 0);
    fields = (struct headers){0};
}

static void tear_down(void)
{
    arena_release(&arena);
}

static void field(const char *name, const char *value)
{
    ck_assert(headers_add(&fields, &arena, str_from(name), str_from(value)));
}

static void assert_field(size_t at, const char *name, const char *value)
{
    ck_assert_uint_lt(at, fields.n);
    ck_assert(str_eq(fields.v[at].name, str_from(name)));
    ck_assert_msg(str_eq(fields.v[at].value, str_from(value)), "got %zu bytes, expected '%.300s'",
                  fields.v[at].value.n, value);
}

/* k0=v,k1=v, and so on from k<from>. */
static char *members(unsigned from, unsigned n)
{
    char *text = arena_zalloc(&arena, n * 16 + 1), *p = text;

    for (unsigned i = 0; i < n; i++)
        p += sprintf(p, "%sk%u=v", i > 0 ? "," : "", from + i);
    return text;
}

/* A member of that many bytes. */
static char *member_of(size_t bytes)
{
    char *text = arena_alloc(&arena, bytes + 1);

    ck_assert_ptr_nonnull(text);
    memset(text, 'x', bytes);
    text[1] = '=';
    text[bytes] = '\0';
    return text;
}

START_TEST(says_nothing_of_the_trace)
{
    struct trace_context out = {.flags = 42};

    field("baggage", "userId=alice");
    ck_assert_int_eq(baggage_extract(&fields, &arena, &out), EXTRACT_ABSENT);
    ck_assert_uint_eq(out.flags, 42);
}
END_TEST

/* Forms of the specification, and ones that it does not define: all go on as they came. */
static const char *const forwarded[] = {
    "key1=value1",
    "key1=value1,key2=value2;property1;property2, key3=value3; propertyKey=propertyValue",
    "userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false",
    "SomeKey \t = \t SomeValue \t ; \t SomeProp \t ; \t AnotherProp=x, k=v",
    "SomeKey=SomeValue=equals",
    "dup=1,dup=2",
    "invalid=%C3%28",
    "",
    ",",
    "a=1,,b=2,",
    "not a member",
    "k=\"quoted\"",
};

START_TEST(goes_on_as_it_came)
{
    size_t used;

    field("Baggage", forwarded[_i]);
    field("host", "a");
    field("BAGGAGE", "other=1");
    used = arena.used_bytes;
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 3);
    assert_field(0, "Baggage", forwarded[_i]);
    assert_field(1, "host", "a");
    assert_field(2, "BAGGAGE", "other=1");
    ck_assert_uint_eq(arena.used_bytes, used);
}
END_TEST

START_TEST(no_baggage_stays_none)
{
    field("host", "a");
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 1);
}
END_TEST

START_TEST(of_65_members_64_go_on)
{
    field("baggage", members(0, 64));
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    assert_field(0, "baggage", members(0, 64));

    fields.n = 0;
    field("baggage", members(0, 65));
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 1);
    assert_field(0, "baggage", members(0, 64));
}
END_TEST

START_TEST(the_shortest_members_count_too)
{
    char text[2 * 65 + 1] = {0};

    for (size_t i = 0; i < 65; i++)
        memcpy(text + 2 * i, "a,", 2);
    text[2 * 65 - 1] = '\0';
    field("baggage", text);
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.v[0].value.n, 2 * 64 - 1);
}
END_TEST

START_TEST(members_of_all_fields_count_together)
{
    field("baggage", members(0, 40));
    field("host", "a");
    field("baggage", members(40, 24));
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    assert_field(2, "baggage", members(40, 24));

    field("baggage", "one=more");
    field("accept", "b");
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 4);
    assert_field(0, "baggage", members(0, 40));
    assert_field(1, "host", "a");
    assert_field(2, "baggage", members(40, 24));
    assert_field(3, "accept", "b");

    fields.n = 0;
    field("baggage", members(0, 40));
    field("baggage", members(40, 40));
    field("baggage", "one=more");
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 2);
    assert_field(1, "baggage", members(40, 24));
}
END_TEST

START_TEST(empty_members_do_not_count)
{
    struct str text = arena_printf(&arena, ",,%s,, ,", members(0, 64));

    field("baggage", text.p);
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    assert_field(0, "baggage", text.p);

    fields.n = 0;
    field("baggage", arena_printf(&arena, "%s , ,more=1", text.p).p);
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    assert_field(0, "baggage", arena_printf(&arena, ",,%s", members(0, 64)).p);
}
END_TEST

START_TEST(of_more_than_8192_bytes_whole_members_go_on)
{
    field("baggage", member_of(8192));
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    assert_field(0, "baggage", member_of(8192));

    fields.n = 0;
    field("baggage", arena_printf(&arena, "a=1,%s,b=2", member_of(8188)).p);
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    assert_field(0, "baggage", arena_printf(&arena, "a=1,%s", member_of(8188)).p);

    fields.n = 0;
    field("baggage", arena_printf(&arena, "a=1,%s,b=2", member_of(8189)).p);
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    assert_field(0, "baggage", "a=1");
}
END_TEST

START_TEST(bytes_of_all_fields_count_together_with_a_comma_between)
{
    field("baggage", member_of(4096));
    field("baggage", member_of(4095));
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 2);

    fields.n = 0;
    field("baggage", member_of(4096));
    field("baggage", member_of(4096));
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 1);

    fields.n = 0;
    field("baggage", member_of(4096));
    field("baggage", arena_printf(&arena, "%s,b=2,c=3", member_of(4095)).p);
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 2);
    assert_field(1, "baggage", member_of(4095));
}
END_TEST

START_TEST(a_first_member_over_the_limit_leaves_no_field)
{
    field("host", "a");
    field("baggage", member_of(8193));
    field("baggage", "small=1");
    ck_assert(baggage_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 1);
    assert_field(0, "host", "a");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("baggage");
    TCase *tc = tcase_create("baggage");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, says_nothing_of_the_trace);
    tcase_add_loop_test(tc, goes_on_as_it_came, 0, (int)(sizeof forwarded / sizeof forwarded[0]));
    tcase_add_test(tc, no_baggage_stays_none);
    tcase_add_test(tc, of_65_members_64_go_on);
    tcase_add_test(tc, the_shortest_members_count_too);
    tcase_add_test(tc, members_of_all_fields_count_together);
    tcase_add_test(tc, empty_members_do_not_count);
    tcase_add_test(tc, of_more_than_8192_bytes_whole_members_go_on);
    tcase_add_test(tc, bytes_of_all_fields_count_together_with_a_comma_between);
    tcase_add_test(tc, a_first_member_over_the_limit_leaves_no_field);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
