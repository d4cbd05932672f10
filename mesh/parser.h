/*
 * Words into statements: a directive, its arguments, and perhaps a block of
 * more. Includes are read in place. What the words mean is the loader's
 * business.
 */
#ifndef SIDESPAN_MESH_PARSER_H
#define SIDESPAN_MESH_PARSER_H

#include "mesh/lexer.h"

enum { BLOCK_DEPTH_MAX = 16, STATEMENTS_MAX = 500000, WORDS_MAX = 2000000 };

struct word {
    struct str text;
    struct place at, end;
    bool quoted;
    bool first; /* nothing stands before it on its line */
};

struct statement {
    struct word name;
    struct word *args;
    size_t n_args;
    bool has_block;
    struct place open;       /* the { */
    struct statement *block; /* the first in it; NULL: it is empty */
    struct statement *next;
    bool bad; /* a mistake in it has been reported: what it says is not known */
};

struct parser {
    struct sources *sources;
    struct report *report;
    environment_fn *environment;
    struct word *words; /* in the scratch arena: of the statement being read */
    size_t n_words, total_words, statements;
    unsigned depth;
    bool braces_lost;  /* a { or } is missing somewhere: blocks are not what they seem */
    bool full;         /* a bound was met: the rest is not read */
    struct str *files; /* read, and patterns looked for; in the arena of the sources' names */
    size_t n_files;
};

/* The statements of the source; NULL when there are none. The text and the scratch arena of
 * sources must outlive them. */
struct statement *parser_run(struct parser *p, const struct source *source);

#endif
