/*
 * The words of routes.conf: bare ones, "quoted strings", and ; { }.
 *
 * ${NAME} and ${NAME:-default} are replaced by the environment's value as a
 * word is read, so a value never begins or ends a word, a block or a comment.
 */
#ifndef SIDESPAN_MESH_LEXER_H
#define SIDESPAN_MESH_LEXER_H

#include "base/buffer.h"
#include "mesh/report.h"
#include "mesh/source.h"

enum token_kind { TOKEN_WORD, TOKEN_SEMICOLON, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END };

struct token {
    enum token_kind kind;
    struct str text;  /* of a word: the source's own, or in the arena */
    struct place at;  /* where it begins */
    struct place end; /* just behind it */
    bool quoted;
    bool first; /* nothing stands before it on its line */
    bool bad;   /* a mistake in it has been reported */
};

typedef const char *environment_fn(const char *name);

struct lexer {
    const struct source *source; /* borrowed */
    struct sources *sources;     /* borrowed: values of the environment count as text read */
    environment_fn *environment; /* NULL: getenv(3) */
    struct report *report;       /* borrowed */
    struct buffer piece;         /* owned: a word that differs from its source */
    size_t at, line_start, run;  /* run: from here on not yet in piece */
    unsigned line;
    bool anything_on_line;
    bool bad;
    bool replaced; /* a variable of this word, by a value of the environment */
};

void lexer_init(struct lexer *l, const struct source *source, struct sources *sources,
                environment_fn *environment, struct report *report);
void lexer_release(struct lexer *l);
/* TOKEN_END for ever at the end. Mistakes are reported, and what remains is a word. */
struct token lexer_next(struct lexer *l);

/* The text as one word of the language: bare where it can be, else quoted. */
void lexer_write_word(struct str text, struct buffer *out);
/* The same in quotes, where ${NAME} in the text is a variable. */
void lexer_write_variables(struct str text, struct buffer *out);

#endif
