#include "mesh/report.h"

#include <stdio.h>

#include "base/buffer.h"
#include "mesh/must.h"

/* As many are sorted; the reader gets ERRORS_MAX. */
enum { ENTRIES_MAX = 2000 };

struct report_entry {
    struct place at;
    char text[sizeof(((struct error *)0)->text)];
    size_t number; /* as it was found */
};

void report_init(struct report *r, const struct sources *sources)
{
    *r = (struct report){.sources = sources};
}

void report_release(struct report *r)
{
    free(r->v);
    *r = (struct report){0};
}

static struct report_entry *entry_new(struct report *r, struct place at)
{
    if (r->n == ENTRIES_MAX) {
        r->more++;
        return NULL;
    }
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 8;
        r->v = must(realloc(r->v, cap * sizeof(*r->v)));
        r->cap = cap;
    }
    struct report_entry *e = &r->v[r->n];
    e->at = at;
    e->number = r->n++;
    return e;
}

/* A text that was cut must not end within a character. */
static void end_on_character(char *text)
{
    struct str s = str_from(text);

    for (size_t i = 0; i < s.n;) {
        size_t length = str_utf8_length(s, i);
        if (length == 0) {
            text[i] = '\0';
            return;
        }
        i += length;
    }
}

/* Masks values of the environment. word is the one that the text is about; its p is NULL for none.
 */
static void mask_text(const struct report *r, struct str word, char *text, size_t size)
{
    const struct masks *masks = r->sources ? &r->sources->masks : NULL;
    struct buffer masked;
    bool failed;

    if (!masks || masks->n == 0)
        return;
    buffer_init(&masked, 0);
    mask_write_of_word(masks, word, str_from(text), &masked);
    snprintf(text, size, "%.*s", STR_ARG(buffer_str(&masked)));
    failed = masked.failed;
    buffer_release(&masked);
    if (failed)
        memory_ended();
}

static bool finish_entry(const struct report *r, struct report_entry *e, struct str word)
{
    mask_text(r, word, e->text, sizeof(e->text));
    end_on_character(e->text);
    return false;
}

bool report_at(struct report *r, struct place at, const char *format, ...)
{
    struct report_entry *e = entry_new(r, at);
    va_list args;

    if (!e)
        return false;
    va_start(args, format);
    vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    return finish_entry(r, e, (struct str){0});
}

bool report_word(struct report *r, struct place at, struct str word, const char *text)
{
    struct report_entry *e = entry_new(r, at);

    if (!e)
        return false;
    snprintf(e->text, sizeof(e->text), "%s", text);
    return finish_entry(r, e, word);
}

bool report_error(struct report *r, struct place at, const struct error *err)
{
    return report_at(r, at, "%s", err->text);
}

/* Each inclusion has a name of its own, so the pointer tells them apart. */
static const struct source *source_of(const struct sources *all, const char *file)
{
    const struct source *s = all->newest;

    while (s && s->name != file)
        s = s->next;
    return s;
}

static int compare_numbers(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

/* A mistake without a line concerns the whole file, and comes after the others. */
static int compare_in_file(struct place a, struct place b)
{
    if ((a.line == 0) != (b.line == 0))
        return a.line == 0 ? 1 : -1;
    if (a.line != b.line)
        return compare_numbers(a.line, b.line);
    return compare_numbers(a.column, b.column);
}

/* Goes up from the deeper of the two, or from both, until they stand in one file. */
static int compare_places(const struct sources *all, struct place a, struct place b)
{
    const struct source *in_a = source_of(all, a.file), *in_b = source_of(all, b.file);
    unsigned depth_a = in_a ? in_a->depth : 0, depth_b = in_b ? in_b->depth : 0;
    unsigned number_a = in_a ? in_a->number : 0, number_b = in_b ? in_b->number : 0;

    while (in_a && in_b && in_a != in_b) {
        bool up_a = in_a->depth >= in_b->depth, up_b = in_b->depth >= in_a->depth;
        if (up_a) {
            number_a = in_a->number;
            a = in_a->included_at;
            in_a = in_a->parent;
        }
        if (up_b) {
            number_b = in_b->number;
            b = in_b->included_at;
            in_b = in_b->parent;
        }
    }
    int order = compare_in_file(a, b);
    if (order == 0)
        order = compare_numbers(number_a, number_b);
    return order ? order : compare_numbers(depth_a, depth_b);
}

static int compare_entries(const void *left, const void *right, void *all)
{
    const struct report_entry *a = left, *b = right;
    int order = compare_places(all, a->at, b->at);

    return order ? order : compare_numbers(a->number, b->number);
}

static struct str line_at(struct str text, unsigned line)
{
    size_t from = 0;

    for (unsigned i = 1; i < line && from < text.n; i++)
        from = str_index(text, '\n', from) + 1;
    struct str found = str_slice(text, from, str_index(text, '\n', from));
    if (found.n && found.p[found.n - 1] == '\r')
        found.n--;
    return found;
}

static void hand_on(const struct report_entry *e, const struct sources *all, struct errors *errors)
{
    const struct source *source = source_of(all, e->at.file);
    size_t before = errors->n;
    struct buffer excerpt;

    errors_add(errors, e->at, "%s", e->text);
    if (errors->n == before)
        return;
    struct error *err = &errors->v[before];
    if (e->at.file)
        err->at.file = errors_keep(errors, e->at.file, strlen(e->at.file));
    if (!source || e->at.line == 0)
        return;
    buffer_init(&excerpt, 0);
    report_excerpt(line_at(source->text, e->at.line), e->at.column, &excerpt);
    if (!excerpt.failed)
        err->excerpt = errors_keep(errors, excerpt.p, excerpt.n);
    buffer_release(&excerpt);
}

void report_finish(struct report *r, struct errors *errors)
{
    const struct report_entry *last = NULL;

    if (r->n)
        qsort_r(r->v, r->n, sizeof(*r->v), compare_entries, (void *)(uintptr_t)r->sources);
    for (size_t i = 0; i < r->n; i++) {
        const struct report_entry *e = &r->v[i];
        if (last && last->at.file == e->at.file && compare_in_file(last->at, e->at) == 0 &&
            e->at.line)
            continue;
        hand_on(e, r->sources, errors);
        last = e;
    }
    errors->more += r->more;
}
