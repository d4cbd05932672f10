#include "otlp/resource.h"

#include <stdio.h>
#include <unistd.h>

#include "test_main.h"

static struct resource r;

static void set_up(void)
{
    resource_init(&r);
}

static void tear_down(void)
{
    resource_release(&r);
}

START_TEST(the_first_value_of_a_key_stays)
{
    char value[] = "checkout";

    ck_assert(resource_add(&r, STR("service.name"), str_from(value)));
    value[0] = 'X'; /* it was copied */
    ck_assert(!resource_add(&r, STR("service.name"), STR("other")));
    ck_assert_text(resource_get(&r, STR("service.name")), "checkout");
    ck_assert_uint_eq(r.n, 1);
}
END_TEST

START_TEST(an_empty_value_is_as_if_it_were_not_set)
{
    ck_assert(resource_add(&r, STR("service.name"), STR("")));
    ck_assert(resource_add(&r, STR("service.name"), STR("later")));
    ck_assert_text(resource_get(&r, STR("service.name")), "later");
    ck_assert(!resource_get(&r, STR("missing")).p);
}
END_TEST

START_TEST(many_attributes_and_bytes_that_are_no_text_are_kept)
{
    char key[16];

    for (int i = 0; i < 200; i++) {
        int n = snprintf(key, sizeof(key), "k%d", i);
        ck_assert(resource_add(&r, str_of(key, (size_t)n), STR("v\xff")));
    }
    ck_assert_uint_eq(r.n, 200);
    ck_assert_text(resource_get(&r, STR("k0")), "v\xef\xbf\xbd");
    ck_assert_text(resource_get(&r, STR("k199")), "v\xef\xbf\xbd");
}
END_TEST

static const struct row {
    const char *list;
    bool valid;
    const char *a, *b; /* the values of these keys; NULL: not there */
} rows[] = {
    {"", true, NULL, NULL},           {"a=1", true, "1", NULL},
    {"a=1,b=2", true, "1", "2"},      {" a = 1 , b=2 ", true, "1", "2"},
    {"a=1,,b=2,", true, "1", "2"},    {"a=x%2Cy%3Dz,b=%20", true, "x,y=z", " "},
    {"%61=1", true, "1", NULL},       {"a=,b=2", true, NULL, "2"},
    {"a=1,a=2", true, "1", NULL},     {"a=\xc3\xbc", true, "\xc3\xbc", NULL},
    {"a=1,b", false, NULL, NULL},     {"a=1,=2", false, NULL, NULL},
    {"a=1,b=2=3", false, NULL, NULL}, {"a=1,b=%4", false, NULL, NULL},
    {"a=1,b=%zz", false, NULL, NULL}, {"a=1,b=%ff", false, NULL, NULL},
};

START_TEST(a_list_is_taken_whole_or_not_at_all)
{
    const struct row *row = &rows[_i];

    ck_assert_msg(resource_add_list(&r, str_from(row->list)) == row->valid, "%s", row->list);
    ck_assert_text(resource_get(&r, STR("a")), row->a);
    ck_assert_text(resource_get(&r, STR("b")), row->b);
    if (!row->valid)
        ck_assert_uint_eq(r.n, 0);
}
END_TEST

START_TEST(what_was_set_before_wins_over_a_list)
{
    resource_add(&r, STR("service.name"), STR("from the file"));
    ck_assert(resource_add_list(&r, STR("service.name=from-list,k=v")));
    ck_assert_text(resource_get(&r, STR("service.name")), "from the file");
    ck_assert_text(resource_get(&r, STR("k")), "v");
}
END_TEST

START_TEST(what_must_be_there_is_completed)
{
    char pid[24];

    resource_complete(&r);
    ck_assert_text(resource_get(&r, STR("service.name")), "unknown_service:sidespan");
    ck_assert_text(resource_get(&r, STR("telemetry.sdk.name")), "sidespan");
    ck_assert_text(resource_get(&r, STR("telemetry.sdk.language")), "c");
    ck_assert_text(resource_get(&r, STR("telemetry.sdk.version")), SIDESPAN_VERSION);
    ck_assert_text(resource_get(&r, STR("telemetry.distro.name")), "sidespan");
    ck_assert_text(resource_get(&r, STR("telemetry.distro.version")), SIDESPAN_VERSION);
    ck_assert(resource_get(&r, STR("host.name")).n > 0);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    ck_assert_text(resource_get(&r, STR("process.pid")), pid);
}
END_TEST

START_TEST(what_was_set_is_not_completed)
{
    resource_add(&r, STR("service.name"), STR("checkout"));
    resource_add(&r, STR("service.instance.id"), STR("one"));
    resource_complete(&r);
    ck_assert_text(resource_get(&r, STR("service.name")), "checkout");
    ck_assert_text(resource_get(&r, STR("service.instance.id")), "one");
}
END_TEST

START_TEST(the_instance_is_a_random_uuid)
{
    struct resource other;

    resource_complete(&r);
    struct str id = resource_get(&r, STR("service.instance.id"));
    ck_assert_uint_eq(id.n, 36);
    for (size_t i = 0; i < id.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        ck_assert_msg(dash ? id.p[i] == '-' : strchr("0123456789abcdef", id.p[i]) != NULL, "%s",
                      id.p);
    }
    ck_assert_int_eq(id.p[14], '4');
    ck_assert(strchr("89ab", id.p[19]));

    resource_init(&other);
    resource_complete(&other);
    ck_assert(!str_eq(id, resource_get(&other, STR("service.instance.id"))));
    resource_release(&other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resource");
    TCase *t = tcase_create("resource");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, the_first_value_of_a_key_stays);
    tcase_add_test(t, an_empty_value_is_as_if_it_were_not_set);
    tcase_add_test(t, many_attributes_and_bytes_that_are_no_text_are_kept);
    tcase_add_loop_test(t, a_list_is_taken_whole_or_not_at_all, 0, sizeof(rows) / sizeof(rows[0]));
    tcase_add_test(t, what_was_set_before_wins_over_a_list);
    tcase_add_test(t, what_must_be_there_is_completed);
    tcase_add_test(t, what_was_set_is_not_completed);
    tcase_add_test(t, the_instance_is_a_random_uuid);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
