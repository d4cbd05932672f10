/*
 * What is wrong with a configuration, gathered as it is found and handed on in
 * the order of the file, an included file standing where its include stands.
 * Of several mistakes found at one place only the first is told.
 */
#ifndef SIDESPAN_MESH_REPORT_H
#define SIDESPAN_MESH_REPORT_H

#include "base/error.h"
#include "mesh/source.h"

struct report_entry;
struct report {
    const struct sources *sources; /* borrowed */
    struct report_entry *v;        /* owned */
    size_t n, cap;
    size_t more; /* past the bound: only counted */
};

void report_init(struct report *r, const struct sources *sources);
void report_release(struct report *r);

/* Always false. */
bool report_at(struct report *r, struct place at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for an error that somebody else worded; its own place is ignored. Always false. */
bool report_error(struct report *r, struct place at, const struct error *err);
/* The same for an error in that word of the file, of which the text may quote any part. */
bool report_word(struct report *r, struct place at, struct str word, const char *text);

/* Sorts, and adds all to errors, each with the line it points at. */
void report_finish(struct report *r, struct errors *errors);

/* The line that holds column (bytes, from 1), cut to what a terminal shows, and a caret below. */
struct buffer;
void report_excerpt(struct str line, size_t column, struct buffer *out);

#endif
