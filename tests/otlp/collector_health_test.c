#include "otlp/collector_health.h"

#include <stdio.h>

#include "test_main.h"

static struct collector_health health;
static char last[1100];
static unsigned lines, warnings;

static void on_report(void *arg, bool warning, const char *text)
{
    (void)arg;
    lines++;
    warnings += warning;
    snprintf(last, sizeof(last), "%s", text);
}

static void set_up(void)
{
    lines = warnings = 0;
    last[0] = '\0';
    collector_health_init(&health, STR("http://collector:4318"), on_report, NULL);
}

static void note(enum otlp_verdict verdict, uint64_t rejected, const char *text, nsec_t now)
{
    struct otlp_outcome outcome = {.verdict = verdict, .rejected = rejected};

    snprintf(outcome.text, sizeof(outcome.text), "%s", text);
    collector_health_note(&health, &outcome, 10, now);
}

START_TEST(what_goes_well_is_not_told)
{
    for (int i = 0; i < 100; i++)
        note(OTLP_ACCEPTED, 0, "", SECONDS(i));
    ck_assert_uint_eq(lines, 0);
}
END_TEST

START_TEST(a_failure_is_told_when_it_begins_and_when_it_is_over)
{
    note(OTLP_RETRY, 0, "connect: refused", SECONDS(0));
    ck_assert_str_eq(last,
                     "http://collector:4318: connect: refused; spans wait and are sent again");
    ck_assert_uint_eq(warnings, 1);
    for (int i = 1; i < 100; i++)
        note(OTLP_RETRY, 0, "connect: refused", SECONDS(i));
    ck_assert_uint_eq(lines, 1);
    collector_health_note_lost(&health, 7);
    note(OTLP_ACCEPTED, 0, "", SECONDS(100));
    ck_assert_str_eq(last, "http://collector:4318: takes spans again after 100 s; 10 were exported "
                           "since, 7 were lost");
    ck_assert_uint_eq(lines, 2);
    ck_assert_uint_eq(warnings, 1);
}
END_TEST

START_TEST(another_kind_of_failure_is_told_too)
{
    note(OTLP_RETRY, 0, "connect: refused", SECONDS(0));
    note(OTLP_REFUSED, 0, "answered HTTP 404", SECONDS(20));
    ck_assert_uint_eq(warnings, 2);
    ck_assert_ptr_nonnull(strstr(last, "404; the spans are lost"));
    note(OTLP_ACCEPTED, 0, "", SECONDS(40));
    ck_assert_ptr_nonnull(strstr(last, "after 40 s; 10 were exported since, 10 were lost"));
}
END_TEST

START_TEST(one_that_comes_and_goes_does_not_fill_the_log)
{
    for (int i = 0; i < 1000; i++)
        note(i % 2 ? OTLP_ACCEPTED : OTLP_REFUSED, 0, i % 2 ? "" : "no", MILLISECONDS(i * 100));
    ck_assert_uint_le(lines, 11);
    ck_assert_uint_ge(lines, 9);
}
END_TEST

START_TEST(what_was_held_back_is_told_later)
{
    note(OTLP_RETRY, 0, "refused", SECONDS(0));
    note(OTLP_ACCEPTED, 0, "", SECONDS(1));
    ck_assert_uint_eq(lines, 1);
    note(OTLP_ACCEPTED, 0, "", SECONDS(11));
    ck_assert_uint_eq(lines, 2);
    ck_assert_ptr_nonnull(strstr(last, "takes spans again"));
}
END_TEST

START_TEST(what_was_held_back_is_told_though_nothing_follows)
{
    note(OTLP_RETRY, 0, "refused", SECONDS(0));
    ck_assert_int_eq(collector_health_tick(&health, SECONDS(1)), INT64_MAX);
    note(OTLP_ACCEPTED, 0, "", SECONDS(2));
    note(OTLP_ACCEPTED, 0, "", SECONDS(3));
    ck_assert_uint_eq(lines, 1);
    ck_assert_int_eq(collector_health_tick(&health, SECONDS(4)), SECONDS(10));
    ck_assert_uint_eq(lines, 1);
    ck_assert_int_eq(collector_health_tick(&health, SECONDS(10)), INT64_MAX);
    ck_assert_uint_eq(lines, 2);
    ck_assert_str_eq(last, "http://collector:4318: takes spans again after 2 s; 20 were exported "
                           "since, 0 were lost");
    ck_assert_int_eq(collector_health_tick(&health, SECONDS(11)), INT64_MAX);
    collector_health_end(&health);
    ck_assert_uint_eq(lines, 2);
}
END_TEST

START_TEST(at_the_end_it_is_not_held_back)
{
    note(OTLP_RETRY, 0, "refused", SECONDS(0));
    note(OTLP_ACCEPTED, 0, "", SECONDS(2));
    collector_health_end(&health);
    ck_assert_uint_eq(lines, 2);
    ck_assert_ptr_nonnull(strstr(last, "after 2 s; 10 were exported since, 0 were lost"));
    collector_health_end(&health);
    ck_assert_uint_eq(lines, 2);
}
END_TEST

START_TEST(one_that_goes_on_to_fail_is_not_looked_at_again_and_again)
{
    note(OTLP_RETRY, 0, "refused", SECONDS(0));
    ck_assert_int_eq(collector_health_tick(&health, SECONDS(1)), INT64_MAX);
    ck_assert_int_eq(collector_health_tick(&health, SECONDS(20)), INT64_MAX);
    ck_assert_uint_eq(lines, 1);
}
END_TEST

START_TEST(rejected_spans_and_warnings_are_told)
{
    note(OTLP_ACCEPTED, 3, "rejected 3 spans (it says: old)", SECONDS(0));
    ck_assert_ptr_nonnull(strstr(last, "rejected 3 spans (it says: old); the rest was taken"));
    note(OTLP_ACCEPTED, 0, "took the spans with a warning", SECONDS(20));
    ck_assert_str_eq(last, "http://collector:4318: took the spans with a warning");
    note(OTLP_ACCEPTED, 0, "", SECONDS(40));
    ck_assert_ptr_nonnull(strstr(last, "3 were lost"));
    ck_assert_uint_eq(lines, 3);
}
END_TEST

START_TEST(a_full_queue_is_told_once_with_its_size_and_its_losses_when_there_is_room)
{
    for (int i = 0; i < 50; i++)
        collector_health_note_full(&health, 2048, SECONDS(i));
    ck_assert_uint_eq(warnings, 1);
    ck_assert_ptr_nonnull(strstr(last, "2048 spans wait"));
    collector_health_note_room(&health, SECONDS(60));
    ck_assert_ptr_nonnull(strstr(last, "50 were lost"));
    collector_health_note_room(&health, SECONDS(61));
    ck_assert_uint_eq(lines, 2);
}
END_TEST

START_TEST(nobody_needs_to_listen)
{
    collector_health_init(&health, STR("x"), NULL, NULL);
    note(OTLP_RETRY, 0, "refused", SECONDS(0));
    collector_health_note_full(&health, 1, SECONDS(20));
    note(OTLP_ACCEPTED, 0, "", SECONDS(40));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("collector_health");
    TCase *t = tcase_create("collector_health");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, what_goes_well_is_not_told);
    tcase_add_test(t, a_failure_is_told_when_it_begins_and_when_it_is_over);
    tcase_add_test(t, another_kind_of_failure_is_told_too);
    tcase_add_test(t, one_that_comes_and_goes_does_not_fill_the_log);
    tcase_add_test(t, what_was_held_back_is_told_later);
    tcase_add_test(t, what_was_held_back_is_told_though_nothing_follows);
    tcase_add_test(t, at_the_end_it_is_not_held_back);
    tcase_add_test(t, one_that_goes_on_to_fail_is_not_looked_at_again_and_again);
    tcase_add_test(t, rejected_spans_and_warnings_are_told);
    tcase_add_test(t, a_full_queue_is_told_once_with_its_size_and_its_losses_when_there_is_room);
    tcase_add_test(t, nobody_needs_to_listen);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
