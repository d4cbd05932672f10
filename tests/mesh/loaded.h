/*
 * Configs for tests, from text in the test.
 */
#ifndef SIDESPAN_TESTS_MESH_LOADED_H
#define SIDESPAN_TESTS_MESH_LOADED_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "mesh/config.h"

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static inline const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

/* The test fails, and says why, where the text is refused. */
static inline struct config *loaded(const char *text)
{
    struct errors errors = {0};
    struct buffer said;
    struct config *c = config_parse("routes.conf", str_from(text), no_environment, &errors);

    buffer_init(&said, 0);
    config_print_errors(&errors, &said);
    if (!c)
        ck_abort_msg("%.*s", STR_ARG(buffer_str(&said)));
    ck_assert_uint_eq(errors.n, 0);
    buffer_release(&said);
    errors_release(&errors);
    return c;
}

#define ASSERT_STR(s, text) \
    ck_assert_msg(str_eq((s), STR(text)), "%.*s is not %s", STR_ARG(s), text)

#endif
