#include "proxy/config_watch.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct event_base *base;
static struct config_watch *watch;
static unsigned changes;
static char folder[64];

static void on_changed(void *arg)
{
    (void)arg;
    changes++;
    event_base_loopbreak(base);
}

/* A path in the test's own folder; four at a time. */
static const char *in(const char *name)
{
    static char paths[4][200];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void make_folder(const char *name)
{
    ck_assert_int_eq(mkdir(in(name), 0700), 0);
}

static void make_link(const char *target, const char *name)
{
    ck_assert_int_eq(symlink(target, in(name)), 0);
}

static void follow(const char *name)
{
    struct str path = str_from(in(name));

    ck_assert(config_watch_follow(watch, &path, 1));
}

/* How many changes were told within that time. */
static unsigned run_for(unsigned milliseconds)
{
    struct timeval most = {milliseconds / 1000, (suseconds_t)(milliseconds % 1000 * 1000)};

    changes = 0;
    event_base_loopexit(base, &most);
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY);
    return changes;
}

static void expect_change(void)
{
    ck_assert_uint_eq(run_for(5000), 1);
}

static void setup(void)
{
    strcpy(folder, "/tmp/config_watch_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    base = event_base_new();
    watch = config_watch_new(base, on_changed, NULL);
}

static void teardown(void)
{
    char command[100];

    config_watch_free(watch);
    event_base_free(base);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(tells_of_a_file_that_is_written)
{
    write_file("routes.conf", "a");
    follow("routes.conf");
    write_file("routes.conf", "b");
    expect_change();
    write_file("routes.conf", "c"); /* and goes on to look */
    expect_change();
}
END_TEST

START_TEST(tells_of_a_file_that_takes_its_place)
{
    write_file("routes.conf", "a");
    write_file("new", "b");
    follow("routes.conf");
    ck_assert_int_eq(rename(in("new"), in("routes.conf")), 0);
    expect_change();
}
END_TEST

START_TEST(says_nothing_of_other_files_beside_it)
{
    write_file("routes.conf", "a");
    follow("routes.conf");
    write_file("other.conf", "b");
    ck_assert_uint_eq(run_for(400), 0);
}
END_TEST

START_TEST(many_writes_are_one_change)
{
    write_file("routes.conf", "a");
    follow("routes.conf");
    for (int i = 0; i < 20; i++)
        write_file("routes.conf", "b");
    expect_change();
    ck_assert_uint_eq(run_for(400), 0);
}
END_TEST

/* As a mounted ConfigMap: routes.conf -> ..data/routes.conf, ..data -> ..1, and then ..data is
 * replaced by a link to ..2. */
START_TEST(sees_a_mounted_config_map_change)
{
    make_folder("..1");
    make_folder("..2");
    write_file("..1/routes.conf", "a");
    write_file("..2/routes.conf", "b");
    make_link("..1", "..data");
    make_link("..data/routes.conf", "routes.conf");
    follow("routes.conf");
    make_link("..2", "..data_tmp");
    ck_assert_int_eq(rename(in("..data_tmp"), in("..data")), 0);
    expect_change();

    write_file("..2/routes.conf", "c"); /* where the link now leads */
    expect_change();
    write_file("..1/routes.conf", "d"); /* where it once led */
    ck_assert_uint_eq(run_for(400), 0);
}
END_TEST

START_TEST(sees_an_absolute_link_in_the_middle_of_the_path_change)
{
    make_folder("real");
    make_folder("real/one");
    make_folder("real/two");
    write_file("real/one/routes.conf", "a");
    write_file("real/two/routes.conf", "b");
    make_link(in("real/one"), "current");
    follow("current/routes.conf");
    make_link(in("real/two"), "next");
    ck_assert_int_eq(rename(in("next"), in("current")), 0);
    expect_change();
}
END_TEST

START_TEST(a_pattern_sees_files_come_and_go)
{
    make_folder("conf.d");
    follow("conf.d/*.conf");
    write_file("conf.d/a.conf", "a");
    expect_change();
    write_file("conf.d/a.txt", "a");
    ck_assert_uint_eq(run_for(400), 0);
    ck_assert_int_eq(unlink(in("conf.d/a.conf")), 0);
    expect_change();
}
END_TEST

START_TEST(a_file_that_is_not_there_yet_is_seen_when_it_comes)
{
    follow("routes.conf");
    write_file("routes.conf", "a");
    expect_change();
}
END_TEST

START_TEST(links_in_a_circle_do_no_harm)
{
    make_link("b", "a");
    make_link("a", "b");
    follow("a");
    ck_assert_uint_eq(run_for(50), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config_watch");
    TCase *t = tcase_create("config_watch");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, tells_of_a_file_that_is_written);
    tcase_add_test(t, tells_of_a_file_that_takes_its_place);
    tcase_add_test(t, says_nothing_of_other_files_beside_it);
    tcase_add_test(t, many_writes_are_one_change);
    tcase_add_test(t, sees_a_mounted_config_map_change);
    tcase_add_test(t, sees_an_absolute_link_in_the_middle_of_the_path_change);
    tcase_add_test(t, a_pattern_sees_files_come_and_go);
    tcase_add_test(t, a_file_that_is_not_there_yet_is_seen_when_it_comes);
    tcase_add_test(t, links_in_a_circle_do_no_harm);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
