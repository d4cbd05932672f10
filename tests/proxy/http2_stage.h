/* What the tests of the HTTP/2 codec have in common: a worker and a connection for each, and how
 * they are run. */
#ifndef SIDESPAN_TESTS_HTTP2_STAGE_H
#define SIDESPAN_TESTS_HTTP2_STAGE_H

#include <stdio.h>

#include "http2_story.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static struct worker *worker;
static struct story t;

/* A worker with other timeouts than usual. */
static inline void stage_with(const char *timeouts)
{
    char conf[500];

    snprintf(conf, sizeof conf, HTTP2_CONF HTTP2_LIMITS "timeouts { %s }\n", timeouts);
    worker = stepped_worker_of(conf);
}

static inline void stage(void)
{
    stage_with("");
}

/* A client has come, and has said what clients begin with. */
static inline void serve(void)
{
    stage();
    story_meet(&t, worker, true);
}

/* The same with an upstream. */
static inline void ask(void)
{
    stage();
    story_meet(&t, worker, false);
}

static inline void tear_down(void)
{
    story_end(&t);
    worker_free(worker);
}

static inline struct stream *stream(unsigned i)
{
    return t.streams[i].stream;
}

static inline void give_up(unsigned i)
{
    IN_TURN(&t, told_abort(&t.streams[i], STREAM_NO_ERROR));
}

/* The peer has been sent that, among other things. */
static inline bool heard(const char *text)
{
    story_listen(&t);
    buffer_add_char(&t.heard, '\0');
    t.heard.n--;
    return strstr(t.heard.p, text) != NULL;
}

static inline TCase *tcase(Suite *s, const char *name, void (*begin)(void))
{
    TCase *c = tcase_create(name);

    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, begin, tear_down);
    suite_add_tcase(s, c);
    return c;
}

/* The exit status. */
static inline int stage_run(Suite *s)
{
    SRunner *runner = srunner_create(s);
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
