#include "propagation/grpc_trace_bin.h"

#include <check.h>
#include <stdlib.h>

#define TRACE "12345678901234567890123456789012"
#define SPAN  "1234567890123456"
/* Of them and the options, without the last two of the 29 bytes. */
#define IDS "AAASNFZ4kBI0VniQEjRWeJASARI0VniQEjRW"

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
    ck_assert(headers_add(&fields, &arena, STR("grpc-trace-bin"), str_from(value)));
}

static const struct {
    const char *value;
    enum extract_result result;
    uint8_t flags;
} values[] = {
    {IDS "AgE", EXTRACT_VALID, TRACE_FLAG_SAMPLED},
    {IDS "AgE=", EXTRACT_VALID, TRACE_FLAG_SAMPLED}, /* padded */
    {" " IDS "AgE\t", EXTRACT_VALID, TRACE_FLAG_SAMPLED},
    {IDS "AgA", EXTRACT_VALID, 0},
    {IDS "Av8", EXTRACT_VALID, TRACE_FLAG_SAMPLED}, /* one bit of the options is defined */
    /* Options may be missing, and what follows be unknown. */
    {IDS, EXTRACT_VALID, 0},
    {IDS "Ag", EXTRACT_VALID, 0},
    {IDS "AwE", EXTRACT_VALID, 0},
    {IDS "AgEDBw", EXTRACT_VALID, TRACE_FLAG_SAMPLED},
    /* Another version, another order, a byte too few. */
    {"AQASNFZ4kBI0VniQEjRWeJASARI0VniQEjRWAgE", EXTRACT_INVALID, 0},
    {"AAESNFZ4kBI0VgASNFZ4kBI0VniQEjRWeJASAgE", EXTRACT_INVALID, 0},
    {"AAASNFZ4kBI0VniQEjRWeJASBRI0VniQEjRWAgE", EXTRACT_INVALID, 0},
    {"AAASNFZ4kBI0VniQEjRWeJASARI0VniQEjQ", EXTRACT_INVALID, 0},
    /* Zero ids. */
    {"AAAAAAAAAAAAAAAAAAAAAAAAARI0VniQEjRWAgE", EXTRACT_INVALID, 0},
    {"AAASNFZ4kBI0VniQEjRWeJASAQAAAAAAAAAAAgE", EXTRACT_INVALID, 0},
    /* Not base64, or two of them. */
    {"", EXTRACT_INVALID, 0},
    {IDS "AgE==", EXTRACT_INVALID, 0},
    {IDS "Ag_", EXTRACT_INVALID, 0},
    {IDS "AgE," IDS "AgE", EXTRACT_INVALID, 0},
    {"00-" TRACE "-" SPAN "-01", EXTRACT_INVALID, 0},
};

START_TEST(reads_what_opencensus_writes)
{
    struct trace_context out, before;
    char trace[TRACE_ID_HEX], span[SPAN_ID_HEX];

    memset(&out, 0x5a, sizeof out);
    before = out;
    field(values[_i].value);
    ck_assert_msg(grpc_trace_bin_extract(&fields, &arena, &out) == values[_i].result, "%s",
                  values[_i].value);
    if (values[_i].result != EXTRACT_VALID) {
        ck_assert_mem_eq(&out, &before, sizeof out);
        return;
    }
    trace_id_to_hex(&out.trace_id, trace);
    span_id_to_hex(&out.span_id, span);
    ck_assert_mem_eq(trace, TRACE, sizeof trace);
    ck_assert_mem_eq(span, SPAN, sizeof span);
    ck_assert_uint_eq(out.flags, values[_i].flags);
    ck_assert_uint_eq(out.tracestate.n, 0);
}
END_TEST

START_TEST(absent_or_repeated_it_says_nothing)
{
    struct trace_context out;

    ck_assert_int_eq(grpc_trace_bin_extract(&fields, &arena, &out), EXTRACT_ABSENT);
    field(IDS "AgE");
    field(IDS "AgE");
    ck_assert_int_eq(grpc_trace_bin_extract(&fields, &arena, &out), EXTRACT_INVALID);
}
END_TEST

/* It is cut to what a field may hold of it, wherever its end is. */
START_TEST(a_long_one_is_read_to_its_bound_only)
{
    struct trace_context out;
    char text[512];

    memset(text, 'A', sizeof text);
    memcpy(text, IDS, sizeof IDS - 1);
    ck_assert(headers_add(&fields, &arena, STR("grpc-trace-bin"), str_of(text, 256)));
    ck_assert_int_eq(grpc_trace_bin_extract(&fields, &arena, &out), EXTRACT_VALID);
    fields.v[0].value.n = 260;
    ck_assert_int_eq(grpc_trace_bin_extract(&fields, &arena, &out), EXTRACT_INVALID);
}
END_TEST

START_TEST(writes_29_bytes_without_padding)
{
    struct trace_context ctx = {.flags = TRACE_FLAG_SAMPLED | TRACE_FLAG_RANDOM};

    ck_assert(trace_id_from_hex(STR(TRACE), &ctx.trace_id));
    ck_assert(span_id_from_hex(STR(SPAN), &ctx.span_id));
    ck_assert(grpc_trace_bin_inject(&ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 1);
    ck_assert_int_eq(fields.v[0].id, HEADER_GRPC_TRACE_BIN);
    ck_assert(str_eq(fields.v[0].name, STR("grpc-trace-bin")));
    ck_assert(str_eq(fields.v[0].value, STR(IDS "AgE")));
    ctx.flags = TRACE_FLAG_RANDOM;
    ck_assert(grpc_trace_bin_inject(&ctx, &fields, &arena));
    ck_assert(str_eq(fields.v[1].value, STR(IDS "AgA")));
}
END_TEST

START_TEST(a_full_arena_is_told)
{
    struct trace_context ctx = {.flags = 0};
    struct arena full;

    for (size_t limit = 16; limit <= 64; limit += 48) {
        arena_init(&full, 0, limit);
        ck_assert(!grpc_trace_bin_inject(&ctx, &fields, &full));
        arena_release(&full);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grpc-trace-bin");
    TCase *tc = tcase_create("grpc-trace-bin");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, reads_what_opencensus_writes, 0,
                        (int)(sizeof values / sizeof values[0]));
    tcase_add_test(tc, absent_or_repeated_it_says_nothing);
    tcase_add_test(tc, a_long_one_is_read_to_its_bound_only);
    tcase_add_test(tc, writes_29_bytes_without_padding);
    tcase_add_test(tc, a_full_arena_is_told);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
