#include "mesh/parser.h"

#include "mesh/must.h"

/* Where a list of statements is added to. */
struct tail {
    struct statement **end;
};

static void parse_file(struct parser *p, const struct source *source, struct tail *tail);
static void parse_block(struct parser *p, struct lexer *l, const struct place *open,
                        struct tail *tail);

static bool bound_met(struct parser *p, struct place at, const char *what, size_t bound)
{
    if (!p->full)
        report_at(p->report, at, "more than %zu %s; the rest is not read", bound, what);
    p->full = true;
    return true;
}

/* ---- include ---- */

static void note_file(struct parser *p, struct str name)
{
    struct arena *a = p->sources->names;

    p->files = array_room(a, p->files, p->n_files, sizeof(*p->files));
    p->files[p->n_files++] = must_str(arena_dup(a, name));
}

static void include_pattern(struct parser *p, const struct source *from, const struct word *pattern,
                            struct tail *tail)
{
    struct error err = {0};
    size_t n = 0;
    struct str *names = source_names(p->sources, from, pattern->text, &n, &err);
    struct str path = source_relative(p->sources->scratch, from->name, pattern->text);

    if (!names)
        report_error(p->report, pattern->at, &err);
    else if (n != 1 || !str_eq(names[0], path))
        note_file(p, path); /* a pattern, which may come to match others */
    for (size_t i = 0; names && i < n && !p->full; i++) {
        struct source *source = source_open(p->sources, names[i].p, from, pattern->at, &err);
        if (source)
            parse_file(p, source, tail);
        else
            report_error(p->report, pattern->at, &err);
        err = (struct error){0};
    }
}

static bool is_include(const struct statement *s)
{
    return !s->name.quoted && str_eq(s->name.text, STR("include"));
}

static void parse_include(struct parser *p, const struct lexer *l, const struct statement *s,
                          struct tail *tail)
{
    if (s->bad)
        return;
    if (s->has_block)
        report_at(p->report, s->open, "\"include\" takes no block");
    else if (s->n_args == 0)
        report_at(p->report, s->name.end, "\"include\" is incomplete; it is written: include FILE");
    else if (s->n_args > 1)
        report_at(p->report, s->args[1].at,
                  "\"include\" takes one name; a pattern such as conf.d/*.conf may name many");
    else if (s->args[0].text.n == 0)
        report_at(p->report, s->args[0].at, "the name of the file is empty");
    else
        include_pattern(p, l->source, &s->args[0], tail);
}

/* ---- statements ---- */

static void add_word(struct parser *p, const struct token *t)
{
    if (p->total_words++ >= WORDS_MAX) {
        bound_met(p, t->at, "words", WORDS_MAX);
        return;
    }
    p->words = array_room(p->sources->scratch, p->words, p->n_words, sizeof(*p->words));
    p->words[p->n_words++] = (struct word){t->text, t->at, t->end, t->quoted, t->first};
}

/* The words gathered become a statement; NULL: there were none. */
static struct statement *take_words(struct parser *p, bool bad)
{
    struct arena *a = p->sources->scratch;

    if (p->n_words == 0)
        return NULL;
    if (p->statements++ >= STATEMENTS_MAX) {
        bound_met(p, p->words[0].at, "directives", STATEMENTS_MAX);
        return NULL;
    }
    struct statement *s = must(arena_zalloc(a, sizeof(*s)));
    s->name = p->words[0];
    s->n_args = p->n_words - 1;
    if (s->n_args) {
        s->args = must(arena_array(a, s->n_args, sizeof(*s->args)));
        memcpy(s->args, p->words + 1, s->n_args * sizeof(*s->args));
    }
    s->bad = bad;
    p->n_words = 0;
    return s;
}

static void missing_semicolon(struct parser *p)
{
    const struct word *last = &p->words[p->n_words - 1];

    report_at(p->report, last->end, "a \";\" is missing here");
}

/* Reads on until the } that fits, minding nothing. */
static void skip_block(struct parser *p, struct lexer *l)
{
    for (unsigned open = 1; open > 0;) {
        struct token t = lexer_next(l);
        if (t.kind == TOKEN_END) {
            p->braces_lost = true;
            return;
        }
        open += t.kind == TOKEN_OPEN;
        open -= t.kind == TOKEN_CLOSE;
    }
}

static void open_block(struct parser *p, struct lexer *l, struct statement *s, struct place open)
{
    struct statement *unused = NULL;
    struct tail inner = {s ? &s->block : &unused};

    if (s) {
        s->has_block = true;
        s->open = open;
    } else if (!p->full) {
        report_at(p->report, open, "a block without a directive before it");
    }
    if (p->depth + 1 >= BLOCK_DEPTH_MAX) {
        report_at(p->report, open, "blocks are nested more than %d deep", BLOCK_DEPTH_MAX - 1);
        skip_block(p, l);
        return;
    }
    /* The words of inner statements use an array of their own. */
    struct word *words = p->words;
    p->words = NULL;
    p->depth++;
    parse_block(p, l, &open, &inner);
    p->depth--;
    p->words = words;
    p->n_words = 0;
}

static void finish(struct parser *p, struct lexer *l, struct statement *s, struct tail *tail)
{
    if (!s)
        return;
    if (is_include(s)) {
        parse_include(p, l, s, tail);
        return;
    }
    *tail->end = s;
    tail->end = &s->next;
}

static void close_without_open(struct parser *p, struct place at)
{
    report_at(p->report, at, "this \"}\" closes nothing");
    p->braces_lost = true;
}

/* The end of the file, or of the block whose { stood at *open. */
static bool block_ends(struct parser *p, struct lexer *l, const struct token *t,
                       const struct place *open, bool bad, struct tail *tail)
{
    if (t->kind != TOKEN_CLOSE && t->kind != TOKEN_END)
        return false;
    if (p->n_words && (t->kind == TOKEN_CLOSE || !open)) {
        if (!bad)
            missing_semicolon(p);
        finish(p, l, take_words(p, bad), tail);
    }
    if (t->kind == TOKEN_CLOSE && !open) {
        close_without_open(p, t->at);
        return false;
    }
    if (t->kind == TOKEN_END && open) {
        if (!p->full)
            report_at(p->report, *open, "this \"{\" is not closed");
        p->braces_lost = true;
    }
    return true;
}

static void parse_block(struct parser *p, struct lexer *l, const struct place *open,
                        struct tail *tail)
{
    bool bad = false, after_block = false;

    p->n_words = 0;
    while (!p->full) {
        struct token t = lexer_next(l);
        if (block_ends(p, l, &t, open, bad, tail))
            return;
        if (t.kind == TOKEN_WORD) {
            add_word(p, &t);
            bad |= t.bad;
            after_block = false;
            continue;
        }
        if (t.kind == TOKEN_SEMICOLON && p->n_words == 0)
            report_at(p->report, t.at,
                      after_block ? "no \";\" follows a block" : "a \";\" without a directive");
        struct statement *s = take_words(p, bad);
        if (t.kind == TOKEN_OPEN)
            open_block(p, l, s, t.at);
        finish(p, l, s, tail);
        after_block = t.kind == TOKEN_OPEN;
        bad = false;
    }
}

static void give_back_lexer(void *what)
{
    lexer_release(what);
}

static void parse_file(struct parser *p, const struct source *source, struct tail *tail)
{
    struct word *words = p->words;
    struct lexer l;
    struct held held;

    p->words = NULL;
    note_file(p, str_from(source->name));
    lexer_init(&l, source, p->sources, p->environment, p->report);
    hold(&held, give_back_lexer, &l);
    parse_block(p, &l, NULL, tail);
    let_go(&held);
    p->words = words;
    p->n_words = 0;
}

struct statement *parser_run(struct parser *p, const struct source *source)
{
    struct statement *first = NULL;
    struct tail tail = {&first};

    parse_file(p, source, &tail);
    return first;
}
