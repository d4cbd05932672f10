/*
 * The arguments of a statement, one by one, and what is said of them where they are wrong.
 */
#include <stdarg.h>

#include "mesh/loader.h"

struct words words_of(const struct directive *row, const struct statement *s)
{
    return (struct words){row, s, row->word ? 1 : 0};
}

const struct word *words_next(struct words *w)
{
    return w->i < w->s->n_args ? &w->s->args[w->i++] : NULL;
}

bool word_is(const struct word *w, const char *text)
{
    return w && str_eq(w->text, str_from(text));
}

bool words_take(struct words *w, const char *text)
{
    if (w->i >= w->s->n_args || !word_is(&w->s->args[w->i], text))
        return false;
    w->i++;
    return true;
}

/* ---- what may be wrong ---- */

/* pool max=10, as others write it: max is a word of that row, and stands by itself. */
static bool is_key_and_value(const struct directive *row, const struct word *word, struct str *key,
                             struct str *value)
{
    size_t sign = str_index(word->text, '=', 0);

    *key = str_slice(word->text, 0, sign);
    *value = str_slice(word->text, sign + 1, word->text.n);
    return !word->quoted && key->n && value->n && directive_has_word(row, *key);
}

bool incomplete(struct loader *ld, const struct words *w)
{
    const struct statement *s = w->s;
    struct place end = s->n_args ? s->args[s->n_args - 1].end : s->name.end;
    struct str key, value;
    char shown[80];

    for (size_t i = 0; i < s->n_args; i++)
        if (is_key_and_value(w->row, &s->args[i], &key, &value))
            return wrongf(ld, &s->args[i], "\"%s\" is one word; write: %s %.*s %.*s",
                          value_shown(s->args[i].text, shown), w->row->shown.name, STR_ARG(key),
                          STR_ARG(value));
    return report_at(ld->report, end, "\"%s\" is incomplete; it is written: %s %s",
                     w->row->shown.name, w->row->shown.name, w->row->shown.arguments);
}

bool surplus(struct loader *ld, const struct words *w, const struct word *word)
{
    char shown[80];
    bool none = w->row->max_words == 0;

    return report_at(ld->report, word->at, "\"%s\" is one word too many; %s%s%s%s",
                     value_shown(word->text, shown), none ? w->row->shown.name : "it is written: ",
                     none ? " takes none" : w->row->shown.name, none ? "" : " ",
                     none ? "" : w->row->shown.arguments);
}

bool words_end(struct loader *ld, struct words *w)
{
    const struct word *more = words_next(w);

    return more ? surplus(ld, w, more) : true;
}

bool wrong(struct loader *ld, const struct word *word, const struct error *err)
{
    must_not_be_memory(err);
    return report_word(ld->report, word->at, word->text, err->text);
}

bool wrongf(struct loader *ld, const struct word *word, const char *format, ...)
{
    char text[sizeof(((struct error *)0)->text)];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return report_word(ld->report, word->at, word->text, text);
}

const char *words_listed(struct loader *ld, const char *const *choices)
{
    struct buffer b;
    struct held held;

    hold_buffer(&held, &b);
    for (size_t i = 0; choices[i]; i++) {
        if (i)
            buffer_add_str(&b, choices[i + 1] ? STR(", ") : STR(" or "));
        buffer_add_str(&b, str_from(choices[i]));
    }
    struct str text = must_text(ld->scratch, &b);
    let_go(&held);
    return text.p;
}

bool unknown_word(struct loader *ld, const struct words *w, const struct word *word,
                  const char *const *choices)
{
    const struct directive *row = w->row;
    const struct later *l = later_find(IN(row->in), str_from(row->shown.name), word->text);
    struct nearest near;
    char shown[80];

    if (l)
        return wrongf(ld, word, "\"%s %s\" is not supported by this version of sidespan%s%s",
                      l->name, l->word, l->cure ? "; " : "", l->cure ? l->cure : "");
    value_shown(word->text, shown);
    /* weight=90, as others write it: the word alone would be no cure. */
    size_t sign = str_index(word->text, '=', 0);
    struct str key = str_slice(word->text, 0, sign);
    for (size_t i = 0; sign + 1 < word->text.n && choices[i]; i++)
        if (str_eq(key, str_from(choices[i])))
            return wrongf(ld, word, "unknown word \"%s\" in %s; write: %s%s%s %s", shown,
                          row->shown.name, word == &w->s->args[0] ? row->shown.name : "",
                          word == &w->s->args[0] ? " " : "", choices[i], shown + sign + 1);
    const char *cure = foreign_cure(str_from(row->shown.name), word->text, word != &w->s->args[0]);
    if (cure)
        return wrongf(ld, word, "unknown word \"%s\" in %s; %s", shown, row->shown.name, cure);
    nearest_init(&near, word->text);
    for (size_t i = 0; choices[i]; i++)
        nearest_try(&near, str_from(choices[i]));
    if (near.best.n)
        return wrongf(ld, word, "unknown word \"%s\" in %s; did you mean \"%.*s\"?", shown,
                      row->shown.name, STR_ARG(near.best));
    return wrongf(ld, word, "unknown word \"%s\" in %s; it takes %s", shown, row->shown.name,
                  words_listed(ld, choices));
}

bool word_choice(struct loader *ld, const struct words *w, const struct word *word,
                 const char *const *choices, size_t *index)
{
    if (!word)
        return incomplete(ld, w);
    for (size_t i = 0; choices[i]; i++)
        if (word_is(word, choices[i])) {
            *index = i;
            return true;
        }
    return unknown_word(ld, w, word, choices);
}

/* ---- values ---- */

bool take_duration(struct loader *ld, struct words *w, nsec_t *out)
{
    const struct word *word = words_next(w);
    struct error err = {0};

    if (!word)
        return incomplete(ld, w);
    return value_duration(word->text, out, &err) || wrong(ld, word, &err);
}

bool take_number(struct loader *ld, struct words *w, uint64_t min, uint64_t max, uint64_t *out)
{
    const struct word *word = words_next(w);
    struct error err = {0};

    if (!word)
        return incomplete(ld, w);
    return value_number(word->text, min, max, out, &err) || wrong(ld, word, &err);
}

bool take_share(struct loader *ld, struct words *w, share_t *share, double *ratio)
{
    const struct word *word = words_next(w);
    struct error err = {0};

    if (!word)
        return incomplete(ld, w);
    return value_share(word->text, share, ratio, &err) || wrong(ld, word, &err);
}

struct str keep(struct loader *ld, struct str text)
{
    return must_str(arena_dup(ld->arena, text));
}

struct str keep_lower(struct loader *ld, struct str text)
{
    char *p = must(arena_alloc(ld->arena, text.n + 1));

    for (size_t i = 0; i < text.n; i++)
        p[i] = text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] | 0x20) : text.p[i];
    p[text.n] = '\0';
    return str_of(p, text.n);
}

void read_attribute_into(struct loader *ld, struct words *w, struct key_value **v, size_t *n)
{
    const struct word *key = words_next(w), *value = words_next(w);

    if (!value_is_text(key->text)) {
        wrongf(ld, key, "an attribute's key is text without control characters");
        return;
    }
    for (size_t i = 0; i < *n; i++)
        if (str_eq((*v)[i].key, key->text)) {
            char shown[80];
            wrongf(ld, key, "attribute \"%s\" is given a second time",
                   value_shown(key->text, shown));
            return;
        }
    *v = array_room(ld->arena, *v, *n, sizeof(**v));
    (*v)[(*n)++] = (struct key_value){keep(ld, key->text), keep(ld, value->text)};
}

/* Often it is name and value in one: x-a=yes, "x-a: yes". */
static bool no_header_name(struct loader *ld, const struct words *w, const struct word *word)
{
    struct str text = word->text;
    bool test = w->row->read == read_match || str_eq(str_from(w->row->shown.name), STR("fault"));
    size_t equals = str_index(text, '=', 0), colon = str_index(text, ':', 0);
    size_t end = equals < colon ? equals : colon;
    struct str name = str_slice(text, 0, end);
    struct str value = str_trim_ows(str_slice(text, end + 1 < text.n ? end + 1 : text.n, text.n));
    char shown[80], shown_name[80];
    struct buffer cure;
    struct held held;

    value_shown(text, shown);
    if (end == text.n || !value_is_token(name) || value.n == 0)
        return wrongf(ld, word, "\"%s\" is not the name of a header", shown);
    value_shown(name, shown_name);
    hold_buffer(&held, &cure);
    if (test)
        buffer_add_str(&cure, STR(" = "));
    else if (w->row->shown.arguments && strstr(w->row->shown.arguments, "VALUE"))
        buffer_add_char(&cure, ' ');
    if (cure.n)
        lexer_write_word(value, &cure);
    wrongf(ld, word, "\"%s\" is not the name of a header; write: %s%.*s", shown, shown_name,
           STR_ARG(buffer_str(&cure)));
    let_go(&held);
    return false;
}

bool take_header_name(struct loader *ld, struct words *w, struct str *name, enum header_id *id)
{
    const struct word *word = words_next(w);

    if (!word)
        return incomplete(ld, w);
    if (!value_is_token(word->text))
        return no_header_name(ld, w, word);
    *name = keep(ld, word->text);
    *id = header_id_of(*name);
    return true;
}
