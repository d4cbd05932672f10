/* The main() of a test of one suite. */
#ifndef SIDESPAN_TESTS_OTLP_TEST_MAIN_H
#define SIDESPAN_TESTS_OTLP_TEST_MAIN_H

#include <check.h>
#include <stdlib.h>

/* For texts: says both where they differ. */
#define ck_assert_text(text, literal)                                               \
    do {                                                                            \
        struct str text_ = (text), want_ = str_from(literal);                       \
        ck_assert_msg(str_eq(text_, want_), "%.*s instead of %.*s", STR_ARG(text_), \
                      STR_ARG(want_));                                              \
    } while (0)

static inline int test_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
