/*
 * The lines of a written configuration: each is indented by the depth of its
 * block, and each value is quoted where it has to be. A masked one shows no
 * value of the environment and of no secret header field.
 */
#ifndef SIDESPAN_MESH_CONFIG_LINES_H
#define SIDESPAN_MESH_CONFIG_LINES_H

#include "base/buffer.h"
#include "mesh/config.h"

struct lines {
    struct buffer *out;
    unsigned depth; /* of blocks that are open */
    bool masked;
    const struct masks *masks;
    const struct direction *direction; /* that is being written */
};

/* The indentation and the first word, which is written as it is. */
void lines_begin(struct lines *w, const char *name);
void lines_end(struct lines *w);
/* " {", behind the words of a directive; and the "}" on a line of its own. */
void lines_open(struct lines *w);
void lines_close(struct lines *w);

/* Each of these writes a space and one argument: a value, in quotes if it needs them; */
void lines_word(struct lines *w, struct str text);
/* the value of a header field of that name; */
void lines_field_value(struct lines *w, struct str name, struct str value);
/* a word of the language itself, which needs no quotes; */
void lines_raw(struct lines *w, const char *text);
void lines_number(struct lines *w, uint64_t n);
void lines_size(struct lines *w, uint64_t bytes);
void lines_duration(struct lines *w, nsec_t t);

/* Arguments that are written in the language already, without a space before them. */
void lines_words(struct lines *w, struct str text);

/* A whole line of a name and one value. */
void lines_text(struct lines *w, const char *name, struct str value);
/* The same of a word of the language. */
void lines_choice(struct lines *w, const char *name, const char *word);
/* A line for each of them. */
void lines_attributes(struct lines *w, const struct key_value *v, size_t n);

#endif
