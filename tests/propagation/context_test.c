#include "propagation/context.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct trace_id trace_of(uint8_t last)
{
    struct trace_id id = {{0}};

    id.bytes[sizeof id.bytes - 1] = last;
    return id;
}

START_TEST(an_id_is_zero_only_when_every_byte_is)
{
    struct trace_id trace = {{0}};
    struct span_id span = {{0}};

    ck_assert(trace_id_is_zero(&trace));
    ck_assert(span_id_is_zero(&span));
    for (size_t i = 0; i < sizeof trace.bytes; i++) {
        trace = (struct trace_id){{0}};
        trace.bytes[i] = 0x80;
        ck_assert(!trace_id_is_zero(&trace));
    }
    for (size_t i = 0; i < sizeof span.bytes; i++) {
        span = (struct span_id){{0}};
        span.bytes[i] = 1;
        ck_assert(!span_id_is_zero(&span));
    }
}
END_TEST

START_TEST(ids_are_equal_when_all_their_bytes_are)
{
    struct trace_id a = trace_of(1), b = trace_of(1), c = trace_of(2);
    struct span_id s = {{1, 2, 3, 4, 5, 6, 7, 8}}, t = {{1, 2, 3, 4, 5, 6, 7, 9}}, u = s;

    ck_assert(trace_id_eq(&a, &b));
    ck_assert(!trace_id_eq(&a, &c));
    ck_assert(span_id_eq(&s, &u));
    ck_assert(!span_id_eq(&s, &t));
}
END_TEST

START_TEST(every_byte_becomes_two_lower_case_digits_and_back)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        struct span_id id = {{1, 0, 0, (uint8_t)byte, 0, 0, 0, (uint8_t)byte}}, back;
        char hex[SPAN_ID_HEX], expected[SPAN_ID_HEX + 1];

        snprintf(expected, sizeof expected, "010000%02x000000%02x", byte, byte);
        span_id_to_hex(&id, hex);
        ck_assert_mem_eq(hex, expected, sizeof hex);
        ck_assert(span_id_from_hex(str_of(hex, sizeof hex), &back));
        ck_assert(span_id_eq(&id, &back));
    }
}
END_TEST

START_TEST(a_trace_id_is_written_as_it_is_read)
{
    static const char hex[] = "0af7651916cd43dd8448eb211c80319c";
    struct trace_id id;
    char out[TRACE_ID_HEX];

    ck_assert(trace_id_from_hex(STR(hex), &id));
    ck_assert_uint_eq(id.bytes[0], 0x0a);
    ck_assert_uint_eq(id.bytes[15], 0x9c);
    trace_id_to_hex(&id, out);
    ck_assert_mem_eq(out, hex, sizeof out);
}
END_TEST

/* Each 16 characters for a span id; for a trace id 16 good ones are put before. */
static const struct str bad_span_ids[] = {
    STR_INIT(""),
    STR_INIT("b7ad6b716920333"),
    STR_INIT("b7ad6b71692033311"),
    STR_INIT("B7ad6b7169203331"),
    STR_INIT("b7ad6b716920333F"),
    STR_INIT("b7ad6b716920333g"),
    STR_INIT("b7ad6b716920333/"),
    STR_INIT("b7ad6b716920333:"),
    STR_INIT("b7ad6b716920333`"),
    STR_INIT(" 7ad6b7169203331"),
    STR_INIT("0xad6b7169203331"),
    STR_INIT("b7ad6b71\0009203331"),
    STR_INIT("b7ad6b71\3769203331"),
    STR_INIT("b7ad6b71\2609203331"),
    STR_INIT("b7ad6b7169203\34131"),
};

START_TEST(what_is_not_lower_case_hex_of_the_right_length_is_no_id)
{
    struct str bad = bad_span_ids[_i];
    struct span_id span = {{42}};
    struct trace_id trace = {{42}};
    char text[64] = "0af7651916cd43dd";

    memcpy(text + 16, bad.p, bad.n);
    ck_assert(!span_id_from_hex(bad, &span));
    ck_assert(!trace_id_from_hex(str_of(text, 16 + bad.n), &trace));
    ck_assert_uint_eq(span.bytes[0], 42);
    ck_assert_uint_eq(trace.bytes[0], 42);
}
END_TEST

START_TEST(an_id_of_zeros_is_none)
{
    struct span_id span = {{42}};
    struct trace_id trace = {{42}};

    ck_assert(!span_id_from_hex(STR("0000000000000000"), &span));
    ck_assert(!trace_id_from_hex(STR("00000000000000000000000000000000"), &trace));
    ck_assert_uint_eq(span.bytes[0], 42);
    ck_assert_uint_eq(trace.bytes[0], 42);
    ck_assert(trace_id_from_hex(STR("00000000000000000000000000000001"), &trace));
}
END_TEST

START_TEST(a_new_trace_is_random_undecided_and_carries_nothing)
{
    struct random random;
    struct trace_context a = {.flags = 0xff, .tracestate = STR("a=1")}, b;
    uint8_t seen_in_trace[16] = {0}, seen_in_span[8] = {0};

    random_init_seed(&random, 7);
    trace_context_start(&a, &random);
    trace_context_start(&b, &random);
    ck_assert(!trace_id_is_zero(&a.trace_id));
    ck_assert(!span_id_is_zero(&a.span_id));
    ck_assert(!trace_id_eq(&a.trace_id, &b.trace_id));
    ck_assert(!span_id_eq(&a.span_id, &b.span_id));
    ck_assert_uint_eq(a.flags, TRACE_FLAG_RANDOM);
    ck_assert_uint_eq(a.tracestate.n, 0);

    /* No byte is left out of the randomness. */
    for (unsigned n = 0; n < 100; n++) {
        trace_context_start(&a, &random);
        for (size_t i = 0; i < 16; i++)
            seen_in_trace[i] |= a.trace_id.bytes[i];
        for (size_t i = 0; i < 8; i++)
            seen_in_span[i] |= a.span_id.bytes[i];
    }
    for (size_t i = 0; i < 16; i++)
        ck_assert_uint_eq(seen_in_trace[i], 0xff);
    for (size_t i = 0; i < 8; i++)
        ck_assert_uint_eq(seen_in_span[i], 0xff);
}
END_TEST

START_TEST(span_ids_differ_from_call_to_call)
{
    struct random random;
    struct span_id a, b;

    random_init_seed(&random, 7);
    a = span_id_new(&random);
    b = span_id_new(&random);
    ck_assert(!span_id_is_zero(&a));
    ck_assert(!span_id_eq(&a, &b));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("context");
    TCase *tc = tcase_create("context");

    tcase_add_test(tc, an_id_is_zero_only_when_every_byte_is);
    tcase_add_test(tc, ids_are_equal_when_all_their_bytes_are);
    tcase_add_test(tc, every_byte_becomes_two_lower_case_digits_and_back);
    tcase_add_test(tc, a_trace_id_is_written_as_it_is_read);
    tcase_add_loop_test(tc, what_is_not_lower_case_hex_of_the_right_length_is_no_id, 0,
                        (int)(sizeof bad_span_ids / sizeof bad_span_ids[0]));
    tcase_add_test(tc, an_id_of_zeros_is_none);
    tcase_add_test(tc, a_new_trace_is_random_undecided_and_carries_nothing);
    tcase_add_test(tc, span_ids_differ_from_call_to_call);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
