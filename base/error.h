/*
 * An error is told once, where it is known, with its place. Modules report;
 * proxy/ logs.
 */
#ifndef SIDESPAN_BASE_ERROR_H
#define SIDESPAN_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct place {
    const char *file; /* borrowed; NULL: none */
    unsigned line;    /* from 1; 0: nowhere in particular */
    unsigned column;  /* from 1, in bytes */
};

struct error {
    struct place at;
    char text[300];      /* zero it; the first message wins */
    const char *excerpt; /* of the file, a caret under the place; borrowed; NULL: none */
    bool no_memory;      /* that is what is wrong: error_no_memory() has told it */
};

/* Always false, so that a failing function ends with: return error_set(err, "..."); */
bool error_at(struct error *err, struct place at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "out of memory", which concerns the process and not what it reads. */
bool error_no_memory(struct error *err);

/* Many errors of one file, reported in one go. */
enum { ERRORS_MAX = 100 };
struct errors_text;
struct errors {
    struct error *v; /* owned */
    size_t n, cap;
    size_t more;              /* found past ERRORS_MAX and only counted */
    bool no_memory;           /* it was not read to its end: there was no memory for it */
    struct errors_text *kept; /* owned: what errors_keep() copied */
};

/* Always false. Adds one; past ERRORS_MAX it is only counted. */
bool errors_add(struct errors *list, struct place at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A NUL-ended copy that lives as long as the list: the name of a file, an excerpt. NULL: no memory.
 */
const char *errors_keep(struct errors *list, const char *text, size_t n);
void errors_release(struct errors *list);

#endif
