/*
 * From statements to rows: which row a statement is, whether it may stand
 * there, and how often. What it says is read by the row's own reader.
 */
#include "mesh/loader.h"

static struct str name_of(const struct directive *row)
{
    return str_from(row->shown.name);
}

/* ---- blocks ---- */

void block_init(struct block *b, const char *name, unsigned contexts, void *target)
{
    *b = (struct block){.name = name, .contexts = contexts | IN(CONTEXT_ANY), .target = target};
}

struct place block_first(const struct block *b, const char *directive)
{
    size_t n;
    const struct directive *table = directive_table(&n);

    for (size_t i = 0; i < n; i++)
        if (b->first[i].line && str_eq(str_from(directive), name_of(&table[i])))
            return b->first[i];
    return (struct place){0};
}

bool block_has(const struct block *b, const char *directive)
{
    return block_first(b, directive).line > 0;
}

/* ---- which row ---- */

static const struct directive *row_named(unsigned contexts, struct str name)
{
    size_t n;
    const struct directive *table = directive_table(&n);

    for (size_t i = 0; i < n; i++)
        if ((contexts & IN(table[i].in)) && str_eq(name, name_of(&table[i])))
            return &table[i];
    return NULL;
}

/* Of the rows with that name (they stand together) the one whose word it is; NULL: none. */
static const struct directive *row_with_word(const struct directive *row, struct str word)
{
    size_t n;
    const struct directive *end = directive_table(&n) + n, *at = row;

    for (; at < end && at->in == row->in && str_eq(name_of(at), name_of(row)); at++)
        if (at->word && str_eq(word, str_from(at->word)))
            return at;
    return NULL;
}

static bool not_supported(struct loader *ld, struct place at, const struct later *l)
{
    const char *space = l->word ? " " : "", *word = l->word ? l->word : "";

    return report_at(ld->report, at, "\"%s%s%s\" is not supported by this version of sidespan%s%s",
                     l->name, space, word, l->cure ? "; " : "", l->cure ? l->cure : "");
}

/* "in route", "at the top level". */
static const char *block_shown(const char *name, char out[40])
{
    if (name[0])
        snprintf(out, 40, "in %s", name);
    else
        snprintf(out, 40, "at the top level");
    return out;
}

/* Where a known word belongs that stands in the wrong block; NULL: it is not a known word. */
static const char *belongs(struct str name, char out[40])
{
    const struct directive *row = row_named(~0u, name);

    if (!row)
        return NULL;
    return block_shown(row->in == CONTEXT_DIRECTION ? "inbound or outbound" : row->shown.context,
                       out);
}

static void unknown_directive(struct loader *ld, const struct block *b, const struct word *name)
{
    const struct later *l = later_find(b->contexts, name->text, str_of(NULL, 0));
    char here[40], there[40], shown[80];
    struct nearest near;
    size_t n;
    const struct directive *table = directive_table(&n);

    if (l) {
        not_supported(ld, name->at, l);
        return;
    }
    value_shown(name->text, shown);
    block_shown(b->name, here);
    const char *cure = foreign_cure(name->text, str_of(NULL, 0), false);
    if (belongs(name->text, there)) {
        if (!ld->braces_lost) /* else it may stand where it should */
            report_at(ld->report, name->at, "\"%s\" stands %s, not %s%s%s", shown, there, here,
                      cure ? "; " : "", cure ? cure : "");
        return;
    }
    l = later_find(~0u, name->text, str_of(NULL, 0));
    if (l) {
        not_supported(ld, name->at, l);
        return;
    }
    if (cure) {
        report_at(ld->report, name->at, "unknown directive \"%s\" %s; %s", shown, here, cure);
        return;
    }
    size_t sign = str_index(name->text, '=', 0);
    struct str key = str_slice(name->text, 0, sign);
    for (size_t i = 0; sign + 1 < name->text.n && i < n; i++)
        if ((b->contexts & IN(table[i].in)) && str_eq(key, name_of(&table[i]))) {
            report_at(ld->report, name->at, "unknown directive \"%s\" %s; write: %.*s %s", shown,
                      here, STR_ARG(key), shown + sign + 1);
            return;
        }
    for (size_t i = 0; sign + 1 < name->text.n && i < n; i++)
        if ((b->contexts & IN(table[i].in)) && directive_has_word(&table[i], key)) {
            report_at(ld->report, name->at, "unknown directive \"%s\" %s; write %.*s %s in: %s %s",
                      shown, here, STR_ARG(key), shown + sign + 1, table[i].shown.name,
                      table[i].shown.arguments);
            return;
        }
    nearest_init(&near, name->text);
    for (size_t i = 0; i < n; i++)
        if (b->contexts & IN(table[i].in))
            nearest_try(&near, name_of(&table[i]));
    if (near.best.n)
        report_at(ld->report, name->at, "unknown directive \"%s\" %s; did you mean \"%.*s\"?",
                  shown, here, STR_ARG(near.best));
    else
        report_at(ld->report, name->at, "unknown directive \"%s\" %s", shown, here);
}

/* The words of all rows of that name, for a message. */
static void words_of_rows(const struct directive *row, const char *out[DIRECTIVES_MAX])
{
    size_t n, found = 0;
    const struct directive *end = directive_table(&n) + n, *at = row;

    for (; at < end && at->in == row->in && str_eq(name_of(at), name_of(row)); at++)
        if (at->word)
            out[found++] = at->word;
    out[found] = NULL;
}

static const struct directive *find_row(struct loader *ld, const struct block *b,
                                        const struct statement *s)
{
    const char *words[DIRECTIVES_MAX];
    const struct directive *row = row_named(b->contexts, s->name.text), *exact;

    if (!row) {
        unknown_directive(ld, b, &s->name);
        return NULL;
    }
    if (!row->word)
        return row;
    struct words w = {row, s, 0};
    words_of_rows(row, words);
    if (s->n_args == 0) {
        report_at(ld->report, s->name.end, "\"%s\" is incomplete: which? %s", row->shown.name,
                  words_listed(ld, words));
        return NULL;
    }
    exact = row_with_word(row, s->args[0].text);
    if (!exact)
        unknown_word(ld, &w, &s->args[0], words);
    return exact;
}

/* ---- one statement ---- */

const char *place_shown(struct loader *ld, struct place from, struct place at)
{
    if (at.file == from.file)
        return must_str(arena_printf(ld->scratch, "line %u", at.line)).p;
    return must_str(arena_printf(ld->scratch, "line %u of %.150s", at.line, at.file)).p;
}

/* Notes where the row stands; a single-valued one may stand once. */
static void note_first(struct loader *ld, struct block *b, const struct directive *row,
                       const struct statement *s)
{
    size_t n;
    const struct directive *table = directive_table(&n);
    struct place *own = &b->first[row - table];
    struct place before = row->alone ? *own : block_first(b, row->shown.name);

    if (!row->repeats && before.line)
        report_at(ld->report, s->name.at,
                  "\"%s%s%s\" stands here a second time; the first is in %s", row->shown.name,
                  row->alone ? " " : "", row->alone ? row->word : "",
                  place_shown(ld, s->name.at, before));
    if (own->line == 0)
        *own = s->name.at;
}

/* Perhaps because of a word that a later version knows what to do with. */
static bool too_many(struct loader *ld, const struct words *w)
{
    const struct statement *s = w->s;
    const struct later *l;

    for (size_t i = 0; i < s->n_args; i++) {
        l = later_find(IN(w->row->in), s->name.text, s->args[i].text);
        if (l && l->word)
            return not_supported(ld, s->args[i].at, l);
    }
    return surplus(ld, w, &s->args[w->row->max_words]);
}

/* The argument with which a directive that has a block begins, where this one has none; NULL: none.
 */
static const struct word *begins_another(const struct directive *row, const struct statement *s)
{
    size_t n;
    const struct directive *table = directive_table(&n);

    for (size_t i = 0; s->has_block && row->block == BLOCK_NONE && i < s->n_args; i++)
        for (size_t k = 0; k < n; k++)
            if (table[k].block == BLOCK_MUST && str_eq(s->args[i].text, name_of(&table[k])))
                return &s->args[i];
    return NULL;
}

static bool check_shape(struct loader *ld, const struct directive *row, const struct statement *s)
{
    struct words w = {row, s, 0};
    const struct word *another = begins_another(row, s);
    char shown[80];

    if (another)
        return report_at(ld->report, another->at, "a \";\" is missing before \"%s\"",
                         value_shown(another->text, shown));
    if (s->n_args < row->min_words)
        return incomplete(ld, &w);
    if (s->n_args > row->max_words && row->max_words != WORDS_ANY)
        return too_many(ld, &w);
    if (s->has_block && row->block == BLOCK_NONE)
        return report_at(ld->report, s->open, "\"%s%s%s\" takes no block", row->shown.name,
                         row->word ? " " : "", row->word ? row->word : "");
    if (!s->has_block && row->block == BLOCK_MUST)
        return report_at(ld->report, s->n_args ? s->args[s->n_args - 1].end : s->name.end,
                         "\"%s\" lacks its { block }", row->shown.name);
    return true;
}

static void load_statement(struct loader *ld, struct block *b, const struct statement *s)
{
    const struct directive *row = find_row(ld, b, s);
    struct statement checked = *s;

    if (!row)
        return;
    note_first(ld, b, row, s);
    if (!checked.bad && !check_shape(ld, row, s))
        checked.bad = true;
    if (!row->read || (checked.bad && row->block == BLOCK_NONE))
        return;
    row->read(ld, row, &checked, b);
}

/* ---- forgotten semicolons ---- */

/* A word that begins a line and is a directive of this block was not meant as an argument. */
static size_t forgotten_end(const struct block *b, const struct statement *s)
{
    const struct directive *row = row_named(b->contexts, s->name.text);

    if (row && row->free_words)
        return s->n_args;
    for (size_t i = 0; i < s->n_args; i++) {
        const struct word *w = &s->args[i];
        if (w->first && !w->quoted &&
            (row_named(b->contexts, w->text) || later_find(b->contexts, w->text, str_of(NULL, 0))))
            return i;
    }
    return s->n_args;
}

void load_block(struct loader *ld, struct block *b, const struct statement *first)
{
    for (; first; first = first->next) {
        struct statement s = *first;
        size_t end;
        while ((end = forgotten_end(b, &s)) < s.n_args) {
            struct statement before = {.name = s.name, .args = s.args, .n_args = end, .bad = s.bad};
            report_at(ld->report, end ? s.args[end - 1].end : s.name.end,
                      "a \";\" is missing here");
            load_statement(ld, b, &before);
            s.name = s.args[end];
            s.args += end + 1;
            s.n_args -= end + 1;
        }
        load_statement(ld, b, &s);
    }
}
