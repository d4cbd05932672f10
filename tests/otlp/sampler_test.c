#include "otlp/sampler.h"

#include <math.h>
#include <stdio.h>

#include "test_main.h"

/*
 * The truth table: what came in by what the sampler is. An invalid context is
 * none: what extracts it gives no parent. RATIO stands for two trace ids, one
 * whose random part a ratio of a half takes and one that it does not.
 */
enum incoming { NO_PARENT, NOT_SAMPLED, SAMPLED, INVALID, INCOMING_COUNT };
enum { NO, YES, RATIO };

static const struct row {
    const char *sampler;
    bool parent_based;
    const char *root, *remote_sampled, *remote_not_sampled; /* NULL: the default */
    int decision[INCOMING_COUNT];
} rows[] = {
    /*                                                            none   00     01     invalid */
    {"always", false, "always", NULL, NULL, {YES, YES, YES, YES}},
    {"never", false, "never", NULL, NULL, {NO, NO, NO, NO}},
    {"ratio", false, "ratio", NULL, NULL, {RATIO, RATIO, RATIO, RATIO}},
    {"parent, root always", true, "always", NULL, NULL, {YES, NO, YES, YES}},
    {"parent, root never", true, "never", NULL, NULL, {NO, NO, YES, NO}},
    {"parent, root ratio", true, "ratio", NULL, NULL, {RATIO, NO, YES, RATIO}},
    {"parent, sampled never", true, "always", "never", NULL, {YES, NO, NO, YES}},
    {"parent, sampled ratio", true, "always", "ratio", NULL, {YES, NO, RATIO, YES}},
    {"parent, not sampled always", true, "never", NULL, "always", {NO, YES, YES, NO}},
    {"parent, not sampled ratio", true, "never", NULL, "ratio", {NO, RATIO, YES, NO}},
    {"parent, all turned", true, "never", "never", "always", {NO, YES, NO, NO}},
};

static struct sampler_rule rule_named(const char *name)
{
    if (name[0] == 'a')
        return sampler_always_on();
    return name[0] == 'n' ? sampler_always_off() : sampler_ratio(0.5);
}

static struct sampler sampler_of(const struct row *row)
{
    struct sampler s = sampler_parent_based(rule_named(row->root));

    s.parent_based = row->parent_based;
    if (row->remote_sampled)
        s.remote_sampled = rule_named(row->remote_sampled);
    if (row->remote_not_sampled)
        s.remote_not_sampled = rule_named(row->remote_not_sampled);
    return s;
}

START_TEST(decides_by_the_truth_table)
{
    const struct row *row = &rows[_i];
    struct sampler s = sampler_of(row);

    for (int in = 0; in < INCOMING_COUNT; in++) {
        for (int taken = 0; taken < 2; taken++) {
            struct trace_context parent = {.trace_id = {{1}}, .span_id = {{1}}};
            parent.trace_id.bytes[9] = taken ? 0x80 : 0x7f;
            /* Other bits of the flags do not count. */
            parent.flags = TRACE_FLAG_RANDOM | (in == SAMPLED ? TRACE_FLAG_SAMPLED : 0);
            bool has_parent = in == SAMPLED || in == NOT_SAMPLED;
            bool want = row->decision[in] == RATIO ? taken : row->decision[in] == YES;

            ck_assert_msg(sampler_decide(&s, has_parent ? &parent : NULL, &parent.trace_id) == want,
                          "%s, incoming %d, taken by ratio %d", row->sampler, in, taken);
        }
    }
}
END_TEST

static struct trace_id id_of_randomness(uint64_t r)
{
    struct trace_id id = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

    for (int i = 15; i >= 9; i--, r >>= 8)
        id.bytes[i] = (uint8_t)r;
    return id;
}

/* The thresholds that the specification gives for these ratios, padded to 14 digits. */
static const struct ratio_row {
    double ratio;
    uint64_t threshold, tolerance;
} ratio_rows[] = {
    {0.5, 0x80000000000000, 0},
    {0.25, 0xc0000000000000, 0},
    {1.0 / 3, 0xaaab0000000000, 0xffffffffff},
    {0.1, 0xe6660000000000, 0xffffffffff},
    {0.01, 0xfd70a000000000, 0xfffffffff},
    {0.001, 0xffbe7700000000, 0xffffffff},
    {0x1p-56, 0xffffffffffffff, 0},
    {1e-30, 0xffffffffffffff, 0},
};

START_TEST(a_ratio_takes_what_is_not_below_its_threshold)
{
    const struct ratio_row *row = &ratio_rows[_i];
    struct sampler s = {.root = sampler_ratio(row->ratio)};
    uint64_t t = s.root.threshold;

    ck_assert_int_eq(s.root.kind, SAMPLER_RATIO);
    ck_assert_msg(t + row->tolerance >= row->threshold && t <= row->threshold + row->tolerance,
                  "%llx", (unsigned long long)t);
    struct trace_id at = id_of_randomness(t), below = id_of_randomness(t - 1);
    ck_assert(sampler_decide(&s, NULL, &at));
    ck_assert(!sampler_decide(&s, NULL, &below));
}
END_TEST

START_TEST(a_ratio_of_nothing_and_of_all_is_exact)
{
    ck_assert_int_eq(sampler_ratio(0).kind, SAMPLER_ALWAYS_OFF);
    ck_assert_int_eq(sampler_ratio(-1).kind, SAMPLER_ALWAYS_OFF);
    ck_assert_int_eq(sampler_ratio(NAN).kind, SAMPLER_ALWAYS_OFF);
    ck_assert_int_eq(sampler_ratio(1).kind, SAMPLER_ALWAYS_ON);
    ck_assert_int_eq(sampler_ratio(2).kind, SAMPLER_ALWAYS_ON);
}
END_TEST

START_TEST(a_higher_ratio_takes_all_that_a_lower_one_takes_and_its_share)
{
    struct sampler low = {.root = sampler_ratio(0.1)}, high = {.root = sampler_ratio(0.3)};
    struct random random;
    int by_low = 0, by_high = 0;

    random_init_seed(&random, 1);
    for (int i = 0; i < 100000; i++) {
        struct trace_context ctx;
        trace_context_start(&ctx, &random);
        bool l = sampler_decide(&low, NULL, &ctx.trace_id);
        bool h = sampler_decide(&high, NULL, &ctx.trace_id);
        ck_assert(!l || h);
        by_low += l;
        by_high += h;
    }
    ck_assert_int_ge(by_low, 9700);
    ck_assert_int_le(by_low, 10300);
    ck_assert_int_ge(by_high, 29500);
    ck_assert_int_le(by_high, 30500);
}
END_TEST

static const struct environment_row {
    const char *name, *argument, *described;
    bool known, warned;
} environment_rows[] = {
#define PARENT(root)         \
    "ParentBased{root:" root \
    ",remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler}"
    {NULL, NULL, PARENT("AlwaysOnSampler"), true, false},
    {"", "0.5", PARENT("AlwaysOnSampler"), true, false},
    {NULL, "rubbish", PARENT("AlwaysOnSampler"), true, false},
    {"always_on", NULL, "AlwaysOnSampler", true, false},
    {"ALWAYS_OFF", "0.5", "AlwaysOffSampler", true, false},
    {"traceidratio", "0.25", "TraceIdRatioBased{0.25}", true, false},
    {"traceidratio", "0", "AlwaysOffSampler", true, false},
    {"traceidratio", "1", "AlwaysOnSampler", true, false},
    {"traceidratio", NULL, "AlwaysOnSampler", true, false},
    {"traceidratio", "", "AlwaysOnSampler", true, false},
    {"traceidratio", "1.5", "AlwaysOnSampler", true, true},
    {"traceidratio", "-0.5", "AlwaysOnSampler", true, true},
    {"traceidratio", "half", "AlwaysOnSampler", true, true},
    {"traceidratio", "0.5x", "AlwaysOnSampler", true, true},
    {"traceidratio", "nan", "AlwaysOnSampler", true, true},
    {"parentbased_always_on", NULL, PARENT("AlwaysOnSampler"), true, false},
    {"ParentBased_Always_Off", NULL, PARENT("AlwaysOffSampler"), true, false},
    {"parentbased_traceidratio", "0.125", PARENT("TraceIdRatioBased{0.125}"), true, false},
    {"parentbased_traceidratio", "many", PARENT("AlwaysOnSampler"), true, true},
    {"jaeger_remote", NULL, PARENT("AlwaysOnSampler"), false, true},
    {"sometimes", NULL, PARENT("AlwaysOnSampler"), false, true},
};

START_TEST(the_environment_names_a_sampler)
{
    const struct environment_row *row = &environment_rows[_i];
    struct sampler s;
    const char *warning = "untouched";
    struct buffer text;

    ck_assert(sampler_from_environment(row->name, row->argument, &s, &warning) == row->known);
    ck_assert_msg((warning != NULL) == row->warned, "%s", warning ? warning : "no warning");
    buffer_init(&text, 0);
    sampler_describe(&s, &text);
    ck_assert_text(buffer_str(&text), row->described);
    buffer_release(&text);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *t = tcase_create("sampler");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, decides_by_the_truth_table, 0, COUNT(rows));
    tcase_add_loop_test(t, a_ratio_takes_what_is_not_below_its_threshold, 0, COUNT(ratio_rows));
    tcase_add_test(t, a_ratio_of_nothing_and_of_all_is_exact);
    tcase_add_test(t, a_higher_ratio_takes_all_that_a_lower_one_takes_and_its_share);
    tcase_add_loop_test(t, the_environment_names_a_sampler, 0, COUNT(environment_rows));
    suite_add_tcase(suite, t);
    return test_main(suite);
}
