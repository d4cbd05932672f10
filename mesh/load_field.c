/*
 * Plain fields: a row says where in the target the value is, and what bounds it
 * has; here are the readers and the writers of all such rows.
 */
#include "mesh/config_lines.h"
#include "mesh/loader.h"

static void store(const struct directive *row, const struct block *in, uint64_t value)
{
    char *at = (char *)in->target + row->field.offset;

    if (row->field.size == sizeof(uint32_t))
        memcpy(at, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
    else
        memcpy(at, &value, sizeof(value));
}

static uint64_t stored(const struct directive *row, const void *target)
{
    const char *at = (const char *)target + row->field.offset;
    uint32_t narrow;
    uint64_t value;

    if (row->field.size == sizeof(narrow)) {
        memcpy(&narrow, at, sizeof(narrow));
        return narrow;
    }
    memcpy(&value, at, sizeof(value));
    return value;
}

/* The words that stand for a value: 0 and the largest. */
static bool stands_for(const struct field *f, const struct word *word, uint64_t *value)
{
    if (f->zero && word_is(word, f->zero))
        *value = 0;
    else if (f->most && word_is(word, f->most))
        *value = UINT64_MAX;
    else
        return false;
    return true;
}

/* The name, and the value if a word stands for it. */
static bool begin_line(struct lines *w, const struct directive *row, uint64_t value)
{
    const char *word = value == 0 ? row->field.zero : value == UINT64_MAX ? row->field.most : NULL;

    lines_begin(w, row->shown.name);
    if (word)
        lines_raw(w, word);
    return word != NULL;
}

/* ---- durations ---- */

static void out_of_bounds(struct loader *ld, const struct directive *row, const struct word *word,
                          bool below)
{
    struct buffer bound;
    struct held held;

    hold_buffer(&held, &bound);
    value_write_duration((nsec_t)(below ? row->field.min : row->field.max), &bound);
    wrongf(ld, word, "\"%s\" is at %s %.*s", row->shown.name, below ? "least" : "most",
           STR_ARG(buffer_str(&bound)));
    let_go(&held);
}

void read_duration_field(struct loader *ld, const struct directive *row, const struct statement *s,
                         struct block *in)
{
    const struct word *word = &s->args[0];
    struct error err = {0};
    uint64_t value = 0;
    nsec_t t = 0;

    if (!stands_for(&row->field, word, &value)) {
        if (!value_duration(word->text, &t, &err)) {
            wrong(ld, word, &err);
            return;
        }
        if (t == 0 && row->field.min > 0) {
            wrongf(ld, word, "\"%s\" cannot be 0%s%s", row->shown.name,
                   row->field.zero ? "; say " : "", row->field.zero ? row->field.zero : "");
            return;
        }
        value = (uint64_t)t;
        if (value < row->field.min || value > row->field.max) {
            out_of_bounds(ld, row, word, value < row->field.min);
            return;
        }
    }
    store(row, in, value);
}

void write_duration_field(struct lines *w, const struct directive *row, const void *target)
{
    uint64_t value = stored(row, target);

    if (!begin_line(w, row, value))
        lines_duration(w, (nsec_t)value);
    lines_end(w);
}

/* ---- sizes ---- */

void read_size_field(struct loader *ld, const struct directive *row, const struct statement *s,
                     struct block *in)
{
    const struct word *word = &s->args[0];
    struct error err = {0};
    uint64_t n = 0;

    if (!stands_for(&row->field, word, &n)) {
        if (!value_size(word->text, &n, &err)) {
            wrong(ld, word, &err);
            return;
        }
        if (n < row->field.min || n > row->field.max) {
            struct buffer b;
            struct held held;
            hold_buffer(&held, &b);
            buffer_printf(&b, "\"%s\" is between ", row->shown.name);
            value_write_size(row->field.min, &b);
            buffer_add_str(&b, STR(" and "));
            value_write_size(row->field.max, &b);
            wrongf(ld, word, "%.*s", STR_ARG(buffer_str(&b)));
            let_go(&held);
            return;
        }
    }
    store(row, in, n);
}

void write_size_field(struct lines *w, const struct directive *row, const void *target)
{
    uint64_t value = stored(row, target);

    if (!begin_line(w, row, value))
        lines_size(w, value);
    lines_end(w);
}

/* ---- numbers ---- */

void read_number_field(struct loader *ld, const struct directive *row, const struct statement *s,
                       struct block *in)
{
    const struct word *word = &s->args[0];
    struct error err = {0};
    uint64_t n = 0;

    if (stands_for(&row->field, word, &n) ||
        value_number(word->text, row->field.min, row->field.max, &n, &err))
        store(row, in, n);
    else
        wrong(ld, word, &err);
}

void write_number_field(struct lines *w, const struct directive *row, const void *target)
{
    uint64_t value = stored(row, target);

    if (!begin_line(w, row, value))
        lines_number(w, value);
    lines_end(w);
}

/* ---- texts ---- */

void read_text_field(struct loader *ld, const struct directive *row, const struct statement *s,
                     struct block *in)
{
    if (!value_is_text(s->args[0].text)) {
        wrongf(ld, &s->args[0], "\"%s\" is empty or has control characters", row->shown.name);
        return;
    }
    struct str text = keep(ld, s->args[0].text);
    memcpy((char *)in->target + row->field.offset, &text, sizeof(text));
}

/* Nothing where nothing was said. */
void write_text_field(struct lines *w, const struct directive *row, const void *target)
{
    struct str text;

    memcpy(&text, (const char *)target + row->field.offset, sizeof(text));
    if (text.n)
        lines_text(w, row->shown.name, text);
}

/* ---- on and off ---- */

void read_on_off_field(struct loader *ld, const struct directive *row, const struct statement *s,
                       struct block *in)
{
    static const char *const choices[] = {"off", "on", NULL};
    struct words w = words_of(row, s);
    size_t index;

    if (word_choice(ld, &w, words_next(&w), choices, &index))
        memcpy((char *)in->target + row->field.offset, &(bool){index == 1}, sizeof(bool));
}

void write_on_off_field(struct lines *w, const struct directive *row, const void *target)
{
    bool on;

    memcpy(&on, (const char *)target + row->field.offset, sizeof(on));
    lines_text(w, row->shown.name, on ? STR("on") : STR("off"));
}
