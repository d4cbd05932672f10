#include "propagation/x_trace_id.h"

#include <check.h>
#include <stdlib.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"

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

static void field(const char *name, const char *value)
{
    ck_assert(headers_add(&fields, &arena, str_from(name), str_from(value)));
}

static struct trace_context context(void)
{
    struct trace_context ctx = {.span_id = {{2}}, .flags = 1};

    ck_assert(trace_id_from_hex(STR(TRACE), &ctx.trace_id));
    return ctx;
}

START_TEST(is_never_believed)
{
    struct trace_context out = {.flags = 42};

    field("x-trace-id", TRACE);
    ck_assert_int_eq(x_trace_id_extract(&fields, &arena, &out), EXTRACT_ABSENT);
    ck_assert_uint_eq(out.flags, 42);
    ck_assert(trace_id_is_zero(&out.trace_id));
}
END_TEST

START_TEST(replaces_all_that_came_by_the_trace_id_in_hex)
{
    struct trace_context ctx = context();
    struct propagators set = {0};
    const struct header *sent;

    field("X-Trace-Id", "forged");
    field("host", "a");
    field("x-trace-id", TRACE);
    ck_assert(propagators_add(&set, PROPAGATOR_X_TRACE_ID));
    ck_assert(propagators_inject(&set, &ctx, &fields, &arena));
    ck_assert(str_eq(fields.v[0].name, STR("host")));
    ck_assert_uint_eq(headers_count(&fields, HEADER_X_TRACE_ID), 1);
    sent = headers_find(&fields, HEADER_X_TRACE_ID);
    ck_assert(str_eq(sent->name, STR("x-trace-id")));
    ck_assert(str_eq(sent->value, STR(TRACE)));
}
END_TEST

START_TEST(is_added_where_there_was_none)
{
    struct trace_context ctx = context();

    ck_assert(x_trace_id_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 1);
    ck_assert_int_eq(fields.v[0].id, HEADER_X_TRACE_ID);
    ck_assert(str_eq(fields.v[0].value, STR(TRACE)));
}
END_TEST

START_TEST(stays_as_it_came_where_it_is_not_configured)
{
    struct trace_context ctx = context();
    struct propagators none = {0};

    field("X-Request-Id", "1");
    field("X-Trace-Id", "theirs");
    ck_assert(propagators_inject(&none, &ctx, &fields, &arena));
    ck_assert(str_eq(fields.v[1].value, STR("theirs")));
    ck_assert_uint_eq(headers_count(&fields, HEADER_X_TRACE_ID), 1);
}
END_TEST

START_TEST(a_full_arena_is_told)
{
    struct trace_context ctx = context();
    struct arena full;

    arena_init(&full, 0, 16);
    ck_assert(!x_trace_id_inject(&ctx, &fields, &full));
    arena_release(&full);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("x-trace-id");
    TCase *tc = tcase_create("x-trace-id");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, is_never_believed);
    tcase_add_test(tc, replaces_all_that_came_by_the_trace_id_in_hex);
    tcase_add_test(tc, is_added_where_there_was_none);
    tcase_add_test(tc, stays_as_it_came_where_it_is_not_configured);
    tcase_add_test(tc, a_full_arena_is_told);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
