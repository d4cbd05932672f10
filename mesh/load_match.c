/*
 * match, and the `when` of a fault: tests of one part of a request.
 */
#include "mesh/loader.h"

static struct regex *new_regex(struct loader *ld, const struct word *word)
{
    struct config *c = ld->config;
    struct error err = {0};
    struct regex *r;

    /* The room comes first: from then on it is the config's, and goes with it. */
    c->regexes = array_room(ld->arena, c->regexes, c->n_regexes, sizeof(struct regex *));
    r = regex_new(word->text, &err);
    if (!r) {
        wrong(ld, word, &err);
        return NULL;
    }
    c->regexes[c->n_regexes++] = r;
    return r;
}

/* "= VALUE", "~ REGEX", "absent", or something else that is not ours. */
static bool take_test(struct loader *ld, struct words *w, struct match_rule *m)
{
    bool equals = words_take(w, "="), regex = !equals && words_take(w, "~");

    if (equals || regex) {
        const struct word *value = words_next(w);
        if (!value)
            return incomplete(ld, w);
        m->test = equals ? TEST_EQUALS : TEST_REGEX;
        m->value = keep(ld, value->text);
        return equals || (m->regex = new_regex(ld, value)) != NULL;
    }
    m->test = m->kind == MATCH_HEADER && words_take(w, "absent") ? TEST_ABSENT : TEST_PRESENT;
    return true;
}

/* Writes the variable for a value of the environment, and *** for that of a secret header field. */
static void write_masked(const struct loader *ld, const struct match_rule *m, struct buffer *b)
{
    struct str shown = mask_word(&ld->config->masks, m->value);

    if (shown.p)
        buffer_add_str(b, shown);
    else if (m->kind == MATCH_HEADER && mask_is_secret_header(m->name))
        buffer_add_str(b, STR("***"));
    else
        lexer_write_word(m->value, b);
}

static struct str rule_text(struct loader *ld, const struct match_rule *m, bool masked)
{
    struct buffer b;
    struct held held;

    hold_buffer(&held, &b);
    if (m->kind == MATCH_METHOD) {
        buffer_add_str(&b, STR("method"));
        for (size_t i = 0; i < m->n_methods; i++) {
            buffer_add_char(&b, ' ');
            lexer_write_word(m->methods[i], &b);
        }
    } else {
        buffer_add_str(&b, m->kind == MATCH_HEADER ? STR("header ") : STR("query "));
        lexer_write_word(m->name, &b);
    }
    if (m->test == TEST_EQUALS || m->test == TEST_REGEX) {
        buffer_add_str(&b, m->test == TEST_EQUALS ? STR(" = ") : STR(" ~ "));
        if (masked)
            write_masked(ld, m, &b);
        else
            lexer_write_word(m->value, &b);
    } else if (m->test == TEST_ABSENT) {
        buffer_add_str(&b, STR(" absent"));
    }
    struct str text = must_text(ld->arena, &b);
    let_go(&held);
    return text;
}

static void set_texts(struct loader *ld, struct match_rule *m)
{
    m->text = rule_text(ld, m, false);
    m->shown = rule_text(ld, m, true);
}

static bool take_source(struct loader *ld, struct words *w, struct match_rule *out)
{
    const struct word *word = words_next(w);
    struct match_rule m = {.kind = MATCH_SOURCE, .at = w->s->name.at};
    struct error err = {0};

    if (!word)
        return incomplete(ld, w);
    if (!value_network(word->text, &m.network, &m.network_bits, &err))
        return wrong(ld, word, &err);
    m.text = must_str(arena_printf(ld->arena, "source %.*s", STR_ARG(word->text)));
    m.shown = m.text;
    *out = m;
    return true;
}

bool take_match(struct loader *ld, struct words *w, enum route_match_kind kind,
                struct match_rule *out)
{
    struct match_rule m = {.kind = kind};

    if (kind == MATCH_SOURCE)
        return take_source(ld, w, out);
    if (kind == MATCH_HEADER) {
        if (!take_header_name(ld, w, &m.name, &m.header))
            return false;
    } else {
        const struct word *name = words_next(w);
        if (!name)
            return incomplete(ld, w);
        if (!value_is_text(name->text))
            return wrongf(ld, name, "a query parameter's name is text without control characters");
        m.name = keep(ld, name->text);
    }
    m.at = w->s->name.at;
    if (!take_test(ld, w, &m))
        return false;
    set_texts(ld, &m);
    *out = m;
    return true;
}

static bool is_known_method_in_lower_case(struct str name)
{
    static const char *const known[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (str_eq_nocase(name, str_from(known[i])))
            return !str_eq(name, str_from(known[i]));
    return false;
}

static bool take_methods(struct loader *ld, struct words *w, struct match_rule *m)
{
    const struct word *word;
    char shown[80];
    bool good = true;

    m->kind = MATCH_METHOD;
    while ((word = words_next(w)) != NULL) {
        value_shown(word->text, shown);
        if (!value_is_token(word->text)) {
            good = wrongf(ld, word, "\"%s\" is not a method", shown);
        } else if (is_known_method_in_lower_case(word->text)) {
            good = wrongf(ld, word, "methods are written in capitals: \"%s\" would match nothing",
                          shown);
        }
        m->methods = array_room(ld->arena, m->methods, m->n_methods, sizeof(*m->methods));
        m->methods[m->n_methods++] = keep(ld, word->text);
    }
    set_texts(ld, m);
    return good;
}

void read_match(struct loader *ld, const struct directive *row, const struct statement *s,
                struct block *in)
{
    struct words w = words_of(row, s);
    struct route *r = in->target;
    struct match_rule m = {0};
    bool good;

    if (row->value == MATCH_METHOD)
        good = take_methods(ld, &w, &m);
    else
        good = take_match(ld, &w, (enum route_match_kind)row->value, &m) && words_end(ld, &w);
    if (!good)
        return;
    r->matches = array_room(ld->arena, r->matches, r->n_matches, sizeof(*r->matches));
    r->matches[r->n_matches++] = m;
}
