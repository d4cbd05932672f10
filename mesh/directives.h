/*
 * The table of the language: every directive, where it may stand, what it
 * takes, and what it means. The parser, the error texts, `sidespan help
 * directives` and the test that holds the manual page against it all read this
 * one table.
 */
#ifndef SIDESPAN_MESH_DIRECTIVES_H
#define SIDESPAN_MESH_DIRECTIVES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

/* The contexts, in the order the manual page has them. "" is the top level, "any block" is what may
 * stand everywhere. */
const char *const *directive_contexts(size_t *n);

/* One row as a reader sees it. */
struct directive_row {
    const char *context; /* "", "inbound", "route", "cluster", ... */
    const char *name;
    const char *arguments; /* "TIME [jitter TIME] [for SHARE]" */
    const char *meaning;   /* one line */
    const char *fallback;  /* the default, as it would be written; NULL: none */
    const char *example;   /* statements that are accepted in that context */
};
/* NULL past the end. */
const struct directive_row *directive_row_at(size_t i);

/* The whole table as text for a terminal, or as the DIRECTIVES section of routes.conf(5) (mdoc). */
void directives_print(struct buffer *out);
/* The rows of that name, each under its block. False: there is no such directive; *nearest is then
 * the name that comes near, or empty. */
bool directives_print_named(struct str name, struct buffer *out, struct str *nearest);
void directives_print_mdoc(struct buffer *out);

#endif
