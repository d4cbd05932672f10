/*
 * What came from the environment is not told: it is where secrets are kept.
 * Text of a configuration that is shown (GET /config, explain, errors) has the
 * variable in the place of its value, as the file has it.
 */
#ifndef SIDESPAN_MESH_MASK_H
#define SIDESPAN_MESH_MASK_H

#include "base/arena.h"
#include "base/buffer.h"

/* A value of less bytes is masked only where it is a whole word of the file: as a part of other
 * text it would be found where it does not stand, and it is no secret. */
enum { MASK_PART_BYTES = 4 };

struct mask {
    struct str value, shown; /* "Bearer 123", "\"Bearer ${TOKEN}\""; or "123", "${TOKEN}" */
    bool is_word;
};

struct masks {
    struct mask *v; /* in the arena that was given; the same one for all */
    size_t n;
};

/* A variable that was replaced. The slices are copied. */
void mask_add_variable(struct masks *m, struct arena *a, struct str name, struct str value);
/* A word with variables in it: as it became, and as the file has it, with its quotes. */
void mask_add_word(struct masks *m, struct arena *a, struct str value, struct str shown);

/* How the file has a word that became this; p NULL: no variable was in any such word. */
struct str mask_word(const struct masks *m, struct str value);
/* The text with the variables in the place of their values; of a value that was cut ("...") too. */
void mask_write(const struct masks *m, struct str text, struct buffer *out);

/* The same for a message about that word of the file. Where variables are in it the message may
 * quote parts of their values (the host of a URL, what stands behind a colon): those of
 * MASK_PART_BYTES that are no part of a longer word are masked too. */
void mask_write_of_word(const struct masks *m, struct str word, struct str text,
                        struct buffer *out);

/* The value of a field of that name (in any case) is a secret, wherever it came from. */
bool mask_is_secret_header(struct str name);

#endif
