/*
 * Values of environment variables are masked, since secrets are kept there: text
 * of a configuration that is shown (GET /config, explain, spans, errors, warnings)
 * has the variable in place of its value, as it is written in the file.
 */
#ifndef SIDESPAN_MESH_MASK_H
#define SIDESPAN_MESH_MASK_H

#include "base/arena.h"
#include "base/buffer.h"

/* A value of fewer bytes is masked only where it is a whole word of the file: it is too short for a
 * secret, and would be found in text that has nothing to do with it. */
enum { MASK_PART_BYTES = 4 };

struct mask {
    struct str value, shown; /* "Bearer 123", "\"Bearer ${TOKEN}\""; or "123", "${TOKEN}" */
    bool is_word;
};

struct masks {
    struct mask *v; /* in the arena that mask_add_*() is given, always the same one */
    size_t n;
};

/* Adds a variable that was replaced by its value. The slices are copied. */
void mask_add_variable(struct masks *m, struct arena *a, struct str name, struct str value);
/* Adds a word that has variables in it: its value, and how the file has it, quotes included. */
void mask_add_word(struct masks *m, struct arena *a, struct str value, struct str shown);

/* How the file has the word of that value; p is NULL if no such word has a variable in it. */
struct str mask_word(const struct masks *m, struct str value);
/* Writes the text with the variables in place of their values, also of a value that was cut
 * ("..."). */
void mask_write(const struct masks *m, struct str text, struct buffer *out);

/* Like mask_write(), for a message about that word of the file. If the word has variables in it,
 * the message may quote parts of their values (the host of a URL, what stands behind a colon):
 * those of MASK_PART_BYTES that are no part of a longer word are masked too. */
void mask_write_of_word(const struct masks *m, struct str word, struct str text,
                        struct buffer *out);

/* True if the value of a header field of that name (case does not matter) is always masked. */
bool mask_is_secret_header(struct str name);

#endif
