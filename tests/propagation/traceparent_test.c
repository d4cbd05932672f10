#include "propagation/traceparent.h"

#include <check.h>
#include <stdlib.h>

#define TRACE  "12345678901234567890123456789012"
#define PARENT "1234567890123456"
#define GOOD   "00-" TRACE "-" PARENT "-01"

static const struct {
    const char *text;
    uint8_t flags;
} valid[] = {
    {GOOD, 0x01},
    {"00-" TRACE "-" PARENT "-00", 0x00},
    {"00-" TRACE "-" PARENT "-02", 0x02},
    {"00-" TRACE "-" PARENT "-03", 0x03},
    /* Reserved bits are not known, and dropped. */
    {"00-" TRACE "-" PARENT "-04", 0x00},
    {"00-" TRACE "-" PARENT "-09", 0x01},
    {"00-" TRACE "-" PARENT "-80", 0x00},
    {"00-" TRACE "-" PARENT "-fe", 0x02},
    {"00-" TRACE "-" PARENT "-ff", 0x03},
    /* OWS is not part of a value. */
    {" " GOOD, 0x01},
    {"\t" GOOD, 0x01},
    {GOOD " ", 0x01},
    {GOOD "\t", 0x01},
    {"\t " GOOD " \t", 0x01},
    /* Later versions are read by the layout of 00. */
    {"01-" TRACE "-" PARENT "-01", 0x01},
    {"cc-" TRACE "-" PARENT "-01", 0x01},
    {"fe-" TRACE "-" PARENT "-ff", 0x03},
    {"cc-" TRACE "-" PARENT "-01-", 0x01},
    {"cc-" TRACE "-" PARENT "-01-what-the-future-will-be-like", 0x01},
    {"cc-" TRACE "-" PARENT "-01-WHAT the.future=will", 0x01},
};

static const struct str invalid[] = {
    STR_INIT(""),
    STR_INIT(" "),
    STR_INIT("00"),
    STR_INIT("00-"),
    /* version */
    STR_INIT("ff-" TRACE "-" PARENT "-01"),
    STR_INIT("ff-" TRACE "-" PARENT "-01-more"),
    STR_INIT(".0-" TRACE "-" PARENT "-01"),
    STR_INIT("0.-" TRACE "-" PARENT "-01"),
    STR_INIT("0G-" TRACE "-" PARENT "-01"),
    STR_INIT("CC-" TRACE "-" PARENT "-01"),
    STR_INIT("000-" TRACE "-" PARENT "-01"),
    STR_INIT("0000-" TRACE "-" PARENT "-01"),
    STR_INIT("0-" TRACE "-" PARENT "-01"),
    STR_INIT("-" TRACE "-" PARENT "-01"),
    STR_INIT(TRACE "-" PARENT "-01"),
    STR_INIT("00_" TRACE "-" PARENT "-01"),
    STR_INIT("0 0-" TRACE "-" PARENT "-01"),
    /* version 00 is exactly 55 characters */
    STR_INIT(GOOD "."),
    STR_INIT(GOOD "-"),
    STR_INIT(GOOD "-more"),
    STR_INIT(GOOD "-what-the-future-will-be-like"),
    STR_INIT(GOOD "0"),
    STR_INIT(GOOD "\0"),
    STR_INIT("00-" TRACE "-" PARENT "-0"),
    STR_INIT("00-" TRACE "-" PARENT "-"),
    STR_INIT("00-" TRACE "-" PARENT),
    /* trace-id */
    STR_INIT("00-00000000000000000000000000000000-" PARENT "-01"),
    STR_INIT("00-.2345678901234567890123456789012-" PARENT "-01"),
    STR_INIT("00-1234567890123456789012345678901.-" PARENT "-01"),
    STR_INIT("00-1234567890123456789012345678901A-" PARENT "-01"),
    STR_INIT("00-ABCDEF78901234567890123456789012-" PARENT "-01"),
    STR_INIT("00-123456789012345678901234567890123-" PARENT "-01"),
    STR_INIT("00-1234567890123456789012345678901-" PARENT "-01"),
    STR_INIT("00--" PARENT "-01"),
    STR_INIT("00-" TRACE "_" PARENT "-01"),
    STR_INIT("00-" TRACE PARENT "-01-"),
    /* parent-id */
    STR_INIT("00-" TRACE "-0000000000000000-01"),
    STR_INIT("00-" TRACE "-.234567890123456-01"),
    STR_INIT("00-" TRACE "-123456789012345.-01"),
    STR_INIT("00-" TRACE "-123456789012345A-01"),
    STR_INIT("00-" TRACE "-12345678901234567-01"),
    STR_INIT("00-" TRACE "-123456789012345-01"),
    STR_INIT("00-" TRACE "--01"),
    STR_INIT("00-" TRACE "-" PARENT "_01"),
    STR_INIT("00-" TRACE "-" PARENT " 01"),
    /* trace-flags */
    STR_INIT("00-" TRACE "-" PARENT "-.0"),
    STR_INIT("00-" TRACE "-" PARENT "-0."),
    STR_INIT("00-" TRACE "-" PARENT "-0A"),
    STR_INIT("00-" TRACE "-" PARENT "-F0"),
    STR_INIT("00-" TRACE "-" PARENT "-001"),
    STR_INIT("00-" TRACE "-" PARENT "-1"),
    STR_INIT("00-" TRACE "-" PARENT "-1 "),
    /* later versions */
    STR_INIT("cc-" TRACE "-" PARENT "-0"),
    STR_INIT("cc-" TRACE "-" PARENT "-"),
    STR_INIT("cc-" TRACE),
    STR_INIT("01-00000000000000000000000000000000-" PARENT "-01"),
    STR_INIT("01-" TRACE "-0000000000000000-01"),
    STR_INIT("01-" TRACE "-" PARENT "-0g"),
    STR_INIT("01-ABCDEF78901234567890123456789012-" PARENT "-01"),
    STR_INIT("cc-" TRACE "-" PARENT "-01.what-the-future-will-not-be-like"),
    STR_INIT("cc-" TRACE "-" PARENT "-01 -"),
    STR_INIT("cc-" TRACE "-" PARENT "-010"),
    /* several values in one field */
    STR_INIT(GOOD "," GOOD),
    STR_INIT(GOOD ", " GOOD),
    STR_INIT(GOOD ","),
    STR_INIT("," GOOD),
    STR_INIT("cc-" TRACE "-" PARENT "-01,00-" TRACE "-" PARENT "-01"),
    STR_INIT("cc-" TRACE "-" PARENT "-01-,00-" TRACE "-" PARENT "-01"),
    STR_INIT("cc-" TRACE "-" PARENT "-01-a, cc-" TRACE "-" PARENT "-01-b"),
};

START_TEST(reads_what_the_specification_allows)
{
    struct trace_context ctx = {.tracestate = STR("a=1")};
    char hex[TRACE_ID_HEX];

    ck_assert_msg(traceparent_parse(str_from(valid[_i].text), &ctx), "%s", valid[_i].text);
    trace_id_to_hex(&ctx.trace_id, hex);
    ck_assert_mem_eq(hex, TRACE, TRACE_ID_HEX);
    span_id_to_hex(&ctx.span_id, hex);
    ck_assert_mem_eq(hex, PARENT, SPAN_ID_HEX);
    ck_assert_uint_eq(ctx.flags, valid[_i].flags);
    ck_assert_uint_eq(ctx.tracestate.n, 3);
}
END_TEST

START_TEST(refuses_all_else_and_leaves_the_context_alone)
{
    struct trace_context ctx, before;

    memset(&before, 0x5a, sizeof before);
    ctx = before;
    ck_assert_msg(!traceparent_parse(invalid[_i], &ctx), "%.*s", STR_ARG(invalid[_i]));
    ck_assert_mem_eq(&ctx, &before, sizeof ctx);
}
END_TEST

/* Every way to spoil one character of a good value, but for digits that stay digits. */
START_TEST(each_character_counts)
{
    static const char others[] = {'\0', ' ', ',', '-', '/', ':', 'A', 'F', 'G', '`', 'g', '\x7f'};
    char text[] = GOOD;
    struct trace_context ctx;

    for (size_t i = 0; i < sizeof others; i++) {
        char kept = text[_i];

        if (others[i] == kept)
            continue;
        text[_i] = others[i];
        ck_assert_msg(!traceparent_parse(str_of(text, TRACEPARENT_LENGTH), &ctx), "%s", text);
        text[_i] = kept;
    }
    if (text[_i] == '-') {
        text[_i] = '0';
        ck_assert(!traceparent_parse(str_of(text, TRACEPARENT_LENGTH), &ctx));
    }
}
END_TEST

START_TEST(writes_version_00_in_55_lower_case_characters)
{
    struct trace_context ctx;
    char out[TRACEPARENT_LENGTH + 1] = {0};

    ck_assert(
        traceparent_parse(STR("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-x"), &ctx));
    out[TRACEPARENT_LENGTH] = '!';
    traceparent_format(&ctx, out);
    ck_assert_mem_eq(out, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03!", sizeof out);
}
END_TEST

START_TEST(sends_no_flag_but_sampled_and_random)
{
    struct trace_context ctx;
    char out[TRACEPARENT_LENGTH];

    ck_assert(traceparent_parse(STR(GOOD), &ctx));
    for (unsigned flags = 0; flags < 256; flags++) {
        ctx.flags = (uint8_t)flags;
        traceparent_format(&ctx, out);
        ck_assert_int_eq(out[53], '0');
        ck_assert_int_eq(out[54], "0123"[flags & 3]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("traceparent");
    TCase *tc = tcase_create("traceparent");

    tcase_add_loop_test(tc, reads_what_the_specification_allows, 0,
                        (int)(sizeof valid / sizeof valid[0]));
    tcase_add_loop_test(tc, refuses_all_else_and_leaves_the_context_alone, 0,
                        (int)(sizeof invalid / sizeof invalid[0]));
    tcase_add_loop_test(tc, each_character_counts, 0, TRACEPARENT_LENGTH);
    tcase_add_test(tc, writes_version_00_in_55_lower_case_characters);
    tcase_add_test(tc, sends_no_flag_but_sampled_and_random);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
