#include "mesh/pattern.h"

#include <ctype.h>

/* A segment: the text between two slashes. */
struct segment {
    enum pattern_part kind; /* LITERAL, ANY, or OPEN for {name*} */
    struct str text;        /* the literal, or the name */
};

struct pattern {
    enum pattern_kind kind;
    struct str text;
    /* All but regular expressions: the text's segments. "/a/" has two, "a" and "". */
    struct segment *segments;
    size_t n_segments;
    size_t n_names;
    /* A template's segments before the first name, compared in one go: "/a/b" of "/a/b/{id}". */
    struct str head;
    size_t n_head;
    struct regex *regex; /* owned; PATTERN_REGEX */
};

enum { SEGMENTS_MAX = 256 };

/* ---- reading ---- */

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_' && s.p[i] != '-')
            return false;
    return s.n > 0;
}

/* What no path on the wire can have would make a route that never matches. */
static bool check_path_text(struct str text, struct error *err)
{
    if (text.n == 0 || text.p[0] != '/')
        return error_set(err, "a path begins with \"/\", not \"%.*s\"", STR_ARG(text));
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '?')
            return error_set(err, "a path has no query; write \"match query NAME = VALUE\"");
        if (c == '#')
            return error_set(err, "a path has no \"#\": clients do not send the fragment");
        if (c <= ' ' || c == 0x7f)
            return error_set(err, "a path has no spaces or control characters; write %%%02X", c);
    }
    return true;
}

static bool read_name(struct pattern *p, struct segment *s, struct str whole, struct error *err)
{
    struct str name = str_slice(whole, 1, whole.n - 1);

    if (name.n && name.p[name.n - 1] == '*') {
        s->kind = PATTERN_OPEN;
        name.n--;
    } else {
        s->kind = PATTERN_ANY;
    }
    if (!is_name(name))
        return error_set(err, "a name in braces is of letters, digits, \"_\" and \"-\": \"%.*s\"",
                         STR_ARG(whole));
    for (size_t i = 0; i < p->n_segments; i++)
        if (p->segments[i].kind != PATTERN_LITERAL && str_eq(p->segments[i].text, name))
            return error_set(err, "{%.*s} stands twice", STR_ARG(name));
    if (p->n_names == PATTERN_PARAMS_MAX)
        return error_set(err, "more than %d names in a path", PATTERN_PARAMS_MAX);
    p->n_names++;
    s->text = name;
    return true;
}

static bool read_segment(struct pattern *p, struct str text, struct error *err)
{
    struct segment *s = &p->segments[p->n_segments];
    bool braces = str_index(text, '{', 0) < text.n || str_index(text, '}', 0) < text.n;

    if (p->kind == PATTERN_EXACT || !braces) {
        *s = (struct segment){PATTERN_LITERAL, text};
    } else if (p->kind == PATTERN_PREFIX) {
        return error_set(err,
                         "\"%.*s\": braces stand around the name of a whole segment, as in "
                         "/users/{id}",
                         STR_ARG(text));
    } else if (text.p[0] != '{' || str_index(text, '}', 0) != text.n - 1) {
        return error_set(err, "\"%.*s\": a {name} is a whole segment, between two slashes",
                         STR_ARG(text));
    } else if (!read_name(p, s, text, err)) {
        return false;
    }
    p->n_segments++;
    return true;
}

static bool read_segments(struct pattern *p, struct arena *arena, struct error *err)
{
    struct str rest = str_slice(p->text, 1, p->text.n), part;
    size_t slashes = 0;

    for (size_t i = 0; i < p->text.n; i++)
        slashes += p->text.p[i] == '/';
    if (slashes > SEGMENTS_MAX)
        return error_set(err, "more than %d segments in a path", SEGMENTS_MAX);
    p->segments = arena_array(arena, slashes, sizeof(*p->segments));
    if (!p->segments)
        return error_no_memory(err);
    while (str_split(&rest, '/', &part)) {
        if (p->n_segments && p->segments[p->n_segments - 1].kind == PATTERN_OPEN)
            return error_set(err, "{%.*s*} takes the rest of the path; nothing may follow it",
                             STR_ARG(p->segments[p->n_segments - 1].text));
        if (!read_segment(p, part, err))
            return false;
    }
    while (p->n_head < p->n_segments && p->segments[p->n_head].kind == PATTERN_LITERAL)
        p->head.n += 1 + p->segments[p->n_head++].text.n;
    p->head.p = p->text.p;
    return true;
}

static bool read_regex(struct pattern *p, struct error *err)
{
    if (p->text.n == 0)
        return error_set(err, "an empty regular expression");
    p->regex = regex_new(p->text, err);
    if (!p->regex)
        return false;
    p->n_names = regex_names(p->regex);
    if (p->n_names > PATTERN_PARAMS_MAX) {
        regex_free(p->regex);
        return error_set(err, "more than %d named groups", PATTERN_PARAMS_MAX);
    }
    return true;
}

struct pattern *pattern_new(struct arena *arena, enum pattern_kind kind, struct str text,
                            struct error *err)
{
    struct pattern *p = arena_zalloc(arena, sizeof(*p));

    if (!p) {
        error_no_memory(err);
        return NULL;
    }
    p->kind = kind;
    p->text = text;
    if (kind == PATTERN_REGEX)
        return read_regex(p, err) ? p : NULL;
    return check_path_text(text, err) && read_segments(p, arena, err) ? p : NULL;
}

void pattern_release(struct pattern *p)
{
    if (!p)
        return;
    regex_free(p->regex);
    p->regex = NULL;
}

/* ---- asking ---- */

enum pattern_kind pattern_kind(const struct pattern *p)
{
    return p->kind;
}

const struct regex *pattern_regex(const struct pattern *p)
{
    return p->regex;
}

struct str pattern_text(const struct pattern *p)
{
    return p->text;
}

struct str pattern_template(const struct pattern *p)
{
    bool takes_all = p->kind == PATTERN_PREFIX && str_eq(p->text, STR("/"));

    return p->kind == PATTERN_REGEX || takes_all ? STR("") : p->text;
}

size_t pattern_names(const struct pattern *p, struct str *out)
{
    size_t n = 0;

    for (size_t i = 0; out && p->regex && i < p->n_names; i++)
        out[i] = regex_name_at(p->regex, i);
    for (size_t i = 0; out && i < p->n_segments; i++)
        if (p->segments[i].kind != PATTERN_LITERAL)
            out[n++] = p->segments[i].text;
    return p->n_names;
}

enum pattern_part pattern_part_at(const struct pattern *p, size_t i, struct str *literal)
{
    size_t n = p->n_segments;

    if (p->kind == PATTERN_REGEX)
        return PATTERN_OPEN;
    /* The empty last segment of a prefix: /a/ is looked for at /a, and refuses /a itself. */
    if (p->kind == PATTERN_PREFIX && p->segments[n - 1].text.n == 0)
        n--;
    if (i >= n)
        return p->kind == PATTERN_PREFIX ? PATTERN_OPEN : PATTERN_CLOSED;
    if (p->segments[i].kind == PATTERN_LITERAL)
        *literal = p->segments[i].text;
    return p->segments[i].kind;
}

/* ---- matching ---- */

static bool match_prefix(struct str prefix, struct str path)
{
    if (prefix.n == 1)
        return true;
    if (!str_starts(path, prefix))
        return false;
    return path.n == prefix.n || prefix.p[prefix.n - 1] == '/' || path.p[prefix.n] == '/';
}

static void add_param(struct path_params *params, struct str name, struct str value)
{
    params->v[params->n].name = name;
    params->v[params->n].value = value;
    params->n++;
}

/* Whether the literal is the segment behind the slash at `at`; *end is where it ends. */
static bool literal_at(struct str path, size_t at, struct str literal, size_t *end)
{
    size_t left = path.n - at - 1;

    *end = at + 1 + literal.n;
    return left >= literal.n && memcmp(path.p + at + 1, literal.p, literal.n) == 0 &&
           (left == literal.n || path.p[*end] == '/');
}

/* The path begins with a slash. `at` is on the slash before a segment, or at the path's end. */
static bool match_template(const struct pattern *p, struct str path, struct path_params *params)
{
    size_t at = p->head.n, end;

    if (!str_starts(path, p->head) || (path.n > at && path.p[at] != '/'))
        return false;
    for (size_t i = p->n_head; i < p->n_segments; i++, at = end) {
        const struct segment *s = &p->segments[i];
        if (s->kind == PATTERN_OPEN) {
            if (params)
                add_param(params, s->text, str_slice(path, at + 1, path.n));
            return true;
        }
        if (at == path.n)
            return false;
        if (s->kind == PATTERN_LITERAL) {
            if (!literal_at(path, at, s->text, &end))
                return false;
            continue;
        }
        end = str_index(path, '/', at + 1);
        if (end == at + 1)
            return false;
        if (params)
            add_param(params, s->text, str_slice(path, at + 1, end));
    }
    return at == path.n;
}

static enum verdict match_regex(const struct pattern *p, struct str path,
                                struct path_params *params)
{
    struct str values[REGEX_GROUPS_MAX];
    enum verdict verdict;

    if (!params || p->n_names == 0)
        return regex_match(p->regex, path);
    verdict = regex_capture(p->regex, path, values);
    for (size_t i = 0; verdict == VERDICT_YES && i < p->n_names; i++)
        add_param(params, regex_name_at(p->regex, i), values[i]);
    return verdict;
}

static enum verdict verdict_of(bool holds)
{
    return holds ? VERDICT_YES : VERDICT_NO;
}

enum verdict pattern_match(const struct pattern *p, struct str path, struct path_params *params)
{
    bool matches;

    if (params)
        params->n = 0;
    switch (p->kind) {
    case PATTERN_PREFIX:
        return verdict_of(match_prefix(p->text, path));
    case PATTERN_EXACT:
        return verdict_of(str_eq(p->text, path));
    case PATTERN_TEMPLATE:
        matches = path.n && path.p[0] == '/' && match_template(p, path, params);
        if (!matches && params)
            params->n = 0;
        return verdict_of(matches);
    default:
        return match_regex(p, path, params);
    }
}

/* ---- covering ---- */

/* Every path of a template begins with its literal segments. */
static bool prefix_covers_template(const struct pattern *prefix, const struct pattern *later)
{
    size_t head = str_index(later->text, '{', 0);

    /* /a/{rest*} takes /a too. */
    if (head < later->text.n && later->n_names == 1 &&
        later->segments[later->n_segments - 1].kind == PATTERN_OPEN)
        head--;
    return match_prefix(prefix->text, str_slice(later->text, 0, head));
}

static bool template_covers_template(const struct pattern *earlier, const struct pattern *later)
{
    for (size_t i = 0; i < earlier->n_segments; i++) {
        const struct segment *e = &earlier->segments[i];
        if (e->kind == PATTERN_OPEN)
            return true;
        if (i == later->n_segments)
            return false;
        const struct segment *l = &later->segments[i];
        if (l->kind == PATTERN_OPEN)
            return false;
        if (e->kind == PATTERN_LITERAL ? l->kind != PATTERN_LITERAL || !str_eq(e->text, l->text)
                                       : l->kind == PATTERN_LITERAL && l->text.n == 0)
            return false;
    }
    return earlier->n_segments == later->n_segments;
}

/* A prefix takes its own text and what follows it: only a {rest*} takes as much. What follows /a/
 * goes on in its last segment, which therefore must be of the rest. */
static bool template_covers_prefix(const struct pattern *earlier, const struct pattern *later)
{
    size_t before_rest = earlier->n_segments - 1;
    size_t whole = later->n_segments - (later->text.p[later->text.n - 1] == '/');

    return earlier->segments[before_rest].kind == PATTERN_OPEN && before_rest <= whole &&
           later->text.n > 1 && pattern_match(earlier, later->text, NULL) == VERDICT_YES;
}

bool pattern_covers(const struct pattern *earlier, const struct pattern *later)
{
    if (earlier->kind == PATTERN_PREFIX && earlier->text.n == 1)
        return true;
    if (later->kind == PATTERN_EXACT)
        return pattern_match(earlier, later->text, NULL) == VERDICT_YES;
    if (earlier->kind == PATTERN_REGEX || later->kind == PATTERN_REGEX)
        return earlier->kind == later->kind && str_eq(earlier->text, later->text);
    switch (earlier->kind) {
    case PATTERN_PREFIX:
        return later->kind == PATTERN_PREFIX ? match_prefix(earlier->text, later->text)
                                             : prefix_covers_template(earlier, later);
    case PATTERN_TEMPLATE:
        return later->kind == PATTERN_PREFIX ? template_covers_prefix(earlier, later)
                                             : template_covers_template(earlier, later);
    default: /* an exact path is all that an exact one takes, or a template without names */
        return later->kind == PATTERN_TEMPLATE && later->n_names == 0 &&
               str_eq(earlier->text, later->text);
    }
}
