/* What the tests of the HTTP/1 codec have in common: a worker for each, and how they are run. */
#ifndef SIDESPAN_TESTS_HTTP1_STAGE_H
#define SIDESPAN_TESTS_HTTP1_STAGE_H

#include "http1_story.h"

#define COUNT(table)         (sizeof(table) / sizeof((table)[0]))
#define LOOP(t, test, table) tcase_add_loop_test(t, test, 0, (int)COUNT(table))

/* A request but for the empty line at its end. */
#define HOST "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n" HOST

static struct worker *worker;

static void set_up(void)
{
    worker = stepped_worker_of(HTTP1_CONF);
}

static void tear_down(void)
{
    worker_free(worker);
}

/* A case whose tests find a fresh worker. */
static inline TCase *stage(void)
{
    TCase *t = tcase_create("http1");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    return t;
}

/* The exit status. */
static inline int stage_run(const char *name, TCase *t)
{
    Suite *s = suite_create(name);
    SRunner *runner;
    int failed;

    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
