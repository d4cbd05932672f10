#include "propagation/propagator.h"

#include <check.h>
#include <stdlib.h>

#include "propagation/traceparent.h"

#define TRACE       "12345678901234567890123456789012"
#define OTHER_TRACE "12345678901234567890123456789011"
#define PARENT      "1234567890123456"
#define GOOD        "00-" TRACE "-" PARENT "-01"
#define OTHER       "00-" OTHER_TRACE "-" PARENT "-01"
/* TRACE, PARENT and sampled as OpenCensus writes it. */
#define BINARY "AAASNFZ4kBI0VniQEjRWeJASARI0VniQEjRWAgE"

static struct arena arena;
static struct headers fields;
static struct random chance;

static void set_up(void)
{
    arena_init(&arena, 0, 0);
    fields = (struct headers){0};
    random_init_seed(&chance, 1);
}

static void tear_down(void)
{
    arena_release(&arena);
}

static void field(const char *name, const char *value)
{
    ck_assert(headers_add(&fields, &arena, str_from(name), str_from(value)));
}

/* The value of the only field of that name; NULL p: there is none. */
static struct str only(enum header_id id, const char *name)
{
    const struct header *f = headers_find(&fields, id);

    if (!f)
        return (struct str){0};
    ck_assert_uint_eq(headers_count(&fields, id), 1);
    ck_assert_msg(str_eq(f->name, str_from(name)), "%.*s", STR_ARG(f->name));
    return f->value;
}

/* What came in, what is read from it, and the tracestate that is sent. */
static const struct {
    struct {
        const char *name, *value;
    } in[5];
    enum extract_result result;
    const char *tracestate; /* NULL: none is sent */
} requests[] = {
    {{{NULL, NULL}}, EXTRACT_ABSENT, NULL},
    {{{"traceparent", GOOD}}, EXTRACT_VALID, NULL},
    {{{"traceparent", GOOD}, {"tracestate", "foo=1"}}, EXTRACT_VALID, "foo=1"},
    {{{"tracestate", "foo=1"}, {"traceparent", GOOD}}, EXTRACT_VALID, "foo=1"},
    /* Names: any case, one word. */
    {{{"TraceParent", GOOD}, {"TraceState", "foo=1"}}, EXTRACT_VALID, "foo=1"},
    {{{"TrAcEpArEnT", GOOD}, {"TrAcEsTaTe", "foo=1"}}, EXTRACT_VALID, "foo=1"},
    {{{"TRACEPARENT", GOOD}, {"TRACESTATE", "foo=1"}}, EXTRACT_VALID, "foo=1"},
    {{{"trace-parent", GOOD}, {"tracestate", "foo=1"}}, EXTRACT_ABSENT, NULL},
    {{{"trace.parent", GOOD}, {"tracestate", "foo=1"}}, EXTRACT_ABSENT, NULL},
    {{{"traceparent", GOOD}, {"trace-state", "foo=1"}}, EXTRACT_VALID, NULL},
    {{{"traceparent", GOOD}, {"trace.state", "foo=1"}}, EXTRACT_VALID, NULL},
    /* A tracestate that came alone is dropped. */
    {{{"tracestate", "foo=1"}}, EXTRACT_ABSENT, NULL},
    {{{"tracestate", "foo=1"}, {"tracestate", "bar=2"}}, EXTRACT_ABSENT, NULL},
    /* OWS */
    {{{"traceparent", " " GOOD "\t"}, {"tracestate", "\tfoo=1 "}}, EXTRACT_VALID, "foo=1"},
    /* Several parents are none, whichever way they came, even when equal. */
    {{{"traceparent", OTHER}, {"traceparent", GOOD}, {"tracestate", "foo=1"}},
     EXTRACT_INVALID,
     NULL},
    {{{"traceparent", GOOD}, {"traceparent", GOOD}}, EXTRACT_INVALID, NULL},
    {{{"traceparent", GOOD}, {"host", "a"}, {"Traceparent", GOOD}}, EXTRACT_INVALID, NULL},
    {{{"traceparent", ""}, {"traceparent", GOOD}}, EXTRACT_INVALID, NULL},
    {{{"traceparent", GOOD}, {"traceparent", "bad"}}, EXTRACT_INVALID, NULL},
    {{{"traceparent", GOOD "," GOOD}, {"tracestate", "foo=1"}}, EXTRACT_INVALID, NULL},
    {{{"traceparent", GOOD ", " OTHER}}, EXTRACT_INVALID, NULL},
    {{{"traceparent", "cc-" TRACE "-" PARENT "-01-," GOOD}}, EXTRACT_INVALID, NULL},
    /* Versions. */
    {{{"traceparent", "cc-" TRACE "-" PARENT "-01-what-the-future-will-be-like"},
      {"tracestate", "foo=1"}},
     EXTRACT_VALID,
     "foo=1"},
    {{{"traceparent", "cc-" TRACE "-" PARENT "-01.x"}, {"tracestate", "foo=1"}},
     EXTRACT_INVALID,
     NULL},
    {{{"traceparent", "ff-" TRACE "-" PARENT "-01"}, {"tracestate", "foo=1"}},
     EXTRACT_INVALID,
     NULL},
    {{{"traceparent", GOOD "-more"}, {"tracestate", "foo=1"}}, EXTRACT_INVALID, NULL},
    {{{"traceparent", ""}, {"tracestate", "foo=1"}}, EXTRACT_INVALID, NULL},
    /* A bad tracestate never spoils its parent. */
    {{{"traceparent", GOOD}, {"tracestate", ""}}, EXTRACT_VALID, NULL},
    {{{"traceparent", GOOD}, {"tracestate", "foo"}}, EXTRACT_VALID, NULL},
    {{{"traceparent", GOOD}, {"tracestate", "FOO=1"}}, EXTRACT_VALID, NULL},
    {{{"traceparent", GOOD}, {"tracestate", "foo=1"}, {"tracestate", "B=2"}}, EXTRACT_VALID, NULL},
    /* Several tracestates are one. */
    {{{"traceparent", GOOD}, {"tracestate", "foo=1,"}, {"tracestate", "bar=2"}},
     EXTRACT_VALID,
     "foo=1,bar=2"},
    {{{"tracestate", "foo=1"},
      {"traceparent", GOOD},
      {"TraceState", "bar=2,rojo=1"},
      {"host", "a"},
      {"tracestate", "baz=3"}},
     EXTRACT_VALID,
     "foo=1,bar=2,rojo=1,baz=3"},
    /* What is for logs, or for services, is no parent. */
    {{{"x-trace-id", TRACE}}, EXTRACT_ABSENT, NULL},
    {{{"baggage", "a=1"}}, EXTRACT_ABSENT, NULL},
    {{{"x-trace-id", TRACE}, {"traceparent", "bad"}}, EXTRACT_INVALID, NULL},
    /* What older services of gRPC send, where there is nothing better. */
    {{{"grpc-trace-bin", BINARY}}, EXTRACT_VALID, NULL},
    {{{"grpc-trace-bin", BINARY}, {"tracestate", "foo=1"}}, EXTRACT_VALID, NULL},
    {{{"grpc-trace-bin", "bad"}}, EXTRACT_INVALID, NULL},
    {{{"grpc-trace-bin", BINARY}, {"traceparent", "bad"}}, EXTRACT_VALID, NULL},
    {{{"grpc-trace-bin", "bad"}, {"traceparent", GOOD}, {"tracestate", "foo=1"}},
     EXTRACT_VALID,
     "foo=1"},
};

START_TEST(one_traceparent_goes_on_and_a_tracestate_only_with_its_own)
{
    struct propagators set = propagators_default();
    struct trace_context ctx, before;
    char expected[TRACEPARENT_LENGTH], trace[TRACE_ID_HEX];
    struct str sent;

    for (size_t i = 0; i < 5 && requests[_i].in[i].name; i++)
        field(requests[_i].in[i].name, requests[_i].in[i].value);
    memset(&ctx, 0x5a, sizeof ctx);
    before = ctx;
    ck_assert_int_eq(propagators_extract(&set, &fields, &arena, &ctx), requests[_i].result);
    if (requests[_i].result == EXTRACT_VALID) {
        trace_id_to_hex(&ctx.trace_id, trace);
        ck_assert_mem_eq(trace, TRACE, sizeof trace);
    } else {
        ck_assert_mem_eq(&ctx, &before, sizeof ctx);
        trace_context_start(&ctx, &chance);
    }
    ctx.span_id = span_id_new(&chance);
    ck_assert(propagators_inject(&set, &ctx, &fields, &arena));

    sent = only(HEADER_TRACEPARENT, "traceparent");
    traceparent_format(&ctx, expected);
    ck_assert_uint_eq(sent.n, TRACEPARENT_LENGTH);
    ck_assert_mem_eq(sent.p, expected, TRACEPARENT_LENGTH);
    /* The application's own stays what it is. */
    bool own = false;
    for (size_t i = 0; i < 5 && requests[_i].in[i].name; i++)
        own |= strcmp(requests[_i].in[i].name, "x-trace-id") == 0;
    trace_id_to_hex(&ctx.trace_id, trace);
    ck_assert(str_eq(only(HEADER_X_TRACE_ID, "x-trace-id"),
                     own ? STR(TRACE) : str_of(trace, sizeof trace)));
    sent = only(HEADER_TRACESTATE, "tracestate");
    if (requests[_i].tracestate)
        ck_assert_msg(str_eq(sent, str_from(requests[_i].tracestate)), "%.*s", STR_ARG(sent));
    else
        ck_assert_ptr_null(sent.p);
}
END_TEST

START_TEST(the_fields_between_keep_their_order)
{
    static const char *const expected[] = {"host",    "accept",      "baggage",   "X-Trace-Id",
                                           "x-other", "traceparent", "tracestate"};
    struct propagators set = propagators_default();
    struct trace_context ctx;

    field("host", "a");
    field("tracestate", "foo=1");
    field("accept", "*/*");
    field("Traceparent", GOOD);
    field("baggage", "k=v");
    field("X-Trace-Id", "1");
    field("x-other", "b");
    ck_assert_int_eq(propagators_extract(&set, &fields, &arena, &ctx), EXTRACT_VALID);
    ck_assert(propagators_inject(&set, &ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 7);
    for (size_t i = 0; i < 7; i++)
        ck_assert(str_eq(fields.v[i].name, str_from(expected[i])));
}
END_TEST

START_TEST(the_random_flag_is_copied_and_reserved_ones_are_not)
{
    static const struct {
        const char *in, *out;
    } flags[] = {{"00", "00"}, {"01", "01"}, {"02", "02"}, {"03", "03"},
                 {"fc", "00"}, {"fd", "01"}, {"fe", "02"}, {"ff", "03"}};
    struct propagators set = propagators_default();
    struct trace_context ctx;

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        fields.n = 0;
        field("traceparent", arena_printf(&arena, "00-" TRACE "-" PARENT "-%s", flags[i].in).p);
        ck_assert_int_eq(propagators_extract(&set, &fields, &arena, &ctx), EXTRACT_VALID);
        ck_assert(propagators_inject(&set, &ctx, &fields, &arena));
        ck_assert_mem_eq(only(HEADER_TRACEPARENT, "traceparent").p + 53, flags[i].out, 2);
    }
}
END_TEST

START_TEST(traceparent_goes_out_even_where_it_is_not_configured)
{
    struct propagators none = {0}, logs = {0};
    struct trace_context ctx;

    ck_assert(propagators_add(&logs, PROPAGATOR_X_TRACE_ID));
    trace_context_start(&ctx, &chance);
    ctx.tracestate = STR("ot=th:8");
    field("traceparent", GOOD);
    field("tracestate", "foo=1");
    ck_assert(propagators_inject(&none, &ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 2);
    ck_assert(str_eq(only(HEADER_TRACESTATE, "tracestate"), ctx.tracestate));
    ck_assert(!str_eq(only(HEADER_TRACEPARENT, "traceparent"), STR(GOOD)));

    ck_assert(propagators_inject(&logs, &ctx, &fields, &arena));
    ck_assert_uint_eq(fields.n, 3);
    ck_assert_uint_eq(only(HEADER_X_TRACE_ID, "x-trace-id").n, TRACE_ID_HEX);
}
END_TEST

START_TEST(a_format_that_is_not_configured_is_not_read)
{
    struct propagators set = {0};
    struct trace_context ctx;

    field("traceparent", GOOD);
    ck_assert(propagators_add(&set, PROPAGATOR_BAGGAGE));
    ck_assert_int_eq(propagators_extract(&set, &fields, &arena, &ctx), EXTRACT_ABSENT);
    ck_assert(propagators_add(&set, PROPAGATOR_TRACECONTEXT));
    ck_assert_int_eq(propagators_extract(&set, &fields, &arena, &ctx), EXTRACT_VALID);
}
END_TEST

START_TEST(formats_are_found_by_the_names_of_otel_propagators)
{
    static const char *const names[] = {"tracecontext", "baggage", "x-trace-id", "grpc-trace-bin"};
    enum propagator_id id = PROPAGATOR_COUNT;

    for (unsigned i = 0; i < PROPAGATOR_COUNT; i++) {
        const struct propagator *p = propagator_named(str_from(names[i]), &id);

        ck_assert_ptr_nonnull(p);
        ck_assert_int_eq(id, i);
        ck_assert_ptr_eq(p, propagator_at(id));
        ck_assert_str_eq(p->name, names[i]);
    }
    id = PROPAGATOR_COUNT;
    ck_assert_ptr_null(propagator_named(STR("none"), &id));
    ck_assert_ptr_null(propagator_named(STR("tracecontex"), &id));
    ck_assert_ptr_null(propagator_named(STR(""), &id));
    ck_assert_int_eq(id, PROPAGATOR_COUNT);
}
END_TEST

START_TEST(a_format_is_in_a_set_once)
{
    struct propagators set = propagators_default();

    ck_assert_uint_eq(set.n, 4);
    ck_assert_int_eq(set.v[0], PROPAGATOR_TRACECONTEXT);
    ck_assert_int_eq(set.v[1], PROPAGATOR_BAGGAGE);
    ck_assert_int_eq(set.v[2], PROPAGATOR_X_TRACE_ID);
    ck_assert_int_eq(set.v[3], PROPAGATOR_GRPC_TRACE_BIN);
    ck_assert(!propagators_add(&set, PROPAGATOR_BAGGAGE));
    ck_assert_uint_eq(set.n, 4);
}
END_TEST

/* A service that reads this format alone joins the trace; one that does not hears nothing of it. */
START_TEST(a_format_in_kind_answers_itself_alone)
{
    struct propagators set = propagators_default(), named = {0};
    struct trace_context ctx, read;

    ck_assert_uint_eq(set.in_kind, 1u << PROPAGATOR_GRPC_TRACE_BIN);
    ck_assert(propagators_add(&named, PROPAGATOR_GRPC_TRACE_BIN));
    trace_context_start(&ctx, &chance);
    ctx.flags |= TRACE_FLAG_SAMPLED;
    ctx.span_id = span_id_new(&chance);

    ck_assert(propagators_inject(&set, &ctx, &fields, &arena));
    ck_assert_uint_eq(headers_count(&fields, HEADER_GRPC_TRACE_BIN), 0);

    /* As it came, several or spoiled: what goes on is ours. */
    for (int i = 0; i < 3; i++) {
        fields.n = 0;
        field("traceparent", GOOD);
        field("Grpc-Trace-Bin", i == 1 ? "bad" : BINARY);
        if (i == 2)
            field("grpc-trace-bin", BINARY);
        ck_assert(propagators_inject(&set, &ctx, &fields, &arena));
        ck_assert(!str_eq(only(HEADER_GRPC_TRACE_BIN, "grpc-trace-bin"), STR(BINARY)));
        ck_assert_int_eq(propagators_extract(&named, &fields, &arena, &read), EXTRACT_VALID);
        ck_assert(trace_id_eq(&read.trace_id, &ctx.trace_id));
        ck_assert(span_id_eq(&read.span_id, &ctx.span_id));
        ck_assert_uint_eq(read.flags, TRACE_FLAG_SAMPLED);
    }

    fields.n = 0;
    ck_assert(propagators_inject(&named, &ctx, &fields, &arena));
    ck_assert_uint_eq(headers_count(&fields, HEADER_GRPC_TRACE_BIN), 1);
}
END_TEST

START_TEST(a_full_arena_is_told)
{
    struct propagators set = propagators_default();
    struct trace_context ctx;
    size_t limits[] = {16, 64, 64 + 16 * sizeof(struct header)};

    trace_context_start(&ctx, &chance);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct headers empty = {0};
        struct arena full;

        arena_init(&full, 0, limits[i]);
        ck_assert(!propagators_inject(&set, &ctx, &empty, &full));
        arena_release(&full);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("propagator");
    TCase *tc = tcase_create("propagator");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, one_traceparent_goes_on_and_a_tracestate_only_with_its_own, 0,
                        (int)(sizeof requests / sizeof requests[0]));
    tcase_add_test(tc, the_fields_between_keep_their_order);
    tcase_add_test(tc, the_random_flag_is_copied_and_reserved_ones_are_not);
    tcase_add_test(tc, traceparent_goes_out_even_where_it_is_not_configured);
    tcase_add_test(tc, a_format_that_is_not_configured_is_not_read);
    tcase_add_test(tc, formats_are_found_by_the_names_of_otel_propagators);
    tcase_add_test(tc, a_format_is_in_a_set_once);
    tcase_add_test(tc, a_format_in_kind_answers_itself_alone);
    tcase_add_test(tc, a_full_arena_is_told);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
