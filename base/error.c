#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void __attribute__((format(printf, 3, 0)))
fill(struct error *err, struct place at, const char *format, va_list args)
{
    err->at = at;
    err->excerpt = NULL;
    err->no_memory = false;
    vsnprintf(err->text, sizeof(err->text), format, args);
}

bool error_at(struct error *err, struct place at, const char *format, ...)
{
    va_list args;

    if (err->text[0])
        return false;
    va_start(args, format);
    fill(err, at, format, args);
    va_end(args);
    return false;
}

bool error_set(struct error *err, const char *format, ...)
{
    va_list args;

    if (err->text[0])
        return false;
    va_start(args, format);
    fill(err, (struct place){0}, format, args);
    va_end(args);
    return false;
}

bool error_no_memory(struct error *err)
{
    if (!err->text[0]) {
        error_set(err, "out of memory");
        err->no_memory = true;
    }
    return false;
}

/* Room for one more, or NULL: there are enough, or there is no memory. */
static struct error *next_free(struct errors *list)
{
    if (list->n == ERRORS_MAX)
        return NULL;
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 8;
        struct error *v = realloc(list->v, cap * sizeof(*v));
        if (!v)
            return NULL;
        list->v = v;
        list->cap = cap;
    }
    return &list->v[list->n++];
}

bool errors_add(struct errors *list, struct place at, const char *format, ...)
{
    struct error *err = next_free(list);
    va_list args;

    if (!err) {
        list->more++;
        return false;
    }
    va_start(args, format);
    fill(err, at, format, args);
    va_end(args);
    return false;
}

struct errors_text {
    struct errors_text *next;
    char bytes[];
};

const char *errors_keep(struct errors *list, const char *text, size_t n)
{
    struct errors_text *kept = malloc(sizeof(*kept) + n + 1);

    if (!kept)
        return NULL;
    memcpy(kept->bytes, text, n);
    kept->bytes[n] = '\0';
    kept->next = list->kept;
    list->kept = kept;
    return kept->bytes;
}

void errors_release(struct errors *list)
{
    while (list->kept) {
        struct errors_text *next = list->kept->next;
        free(list->kept);
        list->kept = next;
    }
    free(list->v);
    *list = (struct errors){0};
}
