/*
 * What stands behind the word route: a path, or a service of gRPC, which is a
 * path too.
 */
#include "mesh/loader.h"

/* The words as they stand. */
struct written {
    enum pattern_kind kind; /* unless grpc: the name says */
    bool grpc;
    const struct word *word; /* the path, the expression or the name */
};

static bool take_written(struct loader *ld, struct words *w, struct written *out)
{
    const struct word *first = words_next(w);
    bool exact = word_is(first, "="), regex = word_is(first, "~");

    out->grpc = word_is(first, "grpc");
    out->word = exact || regex || out->grpc ? words_next(w) : first;
    if (!out->word)
        return incomplete(ld, w);
    out->kind = exact                                                    ? PATTERN_EXACT
                : regex                                                  ? PATTERN_REGEX
                : str_index(out->word->text, '{', 0) < out->word->text.n ? PATTERN_TEMPLATE
                                                                         : PATTERN_PREFIX;
    return words_end(ld, w);
}

/* But for that of {NAME*}; NULL: there is none. */
static const char *first_star(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '*' && (i + 1 == text.n || text.p[i + 1] != '}'))
            return text.p + i;
    return NULL;
}

/* Those of other programs would be letters here, and match nothing that anybody sends. */
static bool check_wildcards(struct loader *ld, const struct word *path)
{
    struct str text = path->text;
    const char *star = first_star(text), *colon = memmem(text.p, text.n, "/:", 2);
    char shown[80], wanted[80];

    value_shown(text, shown);
    if (colon) {
        struct str name = str_slice(text, (size_t)(colon + 2 - text.p), text.n);
        return wrongf(ld, path, "\"%s\": a segment of any text is written {%s}", shown,
                      value_shown(str_slice(name, 0, str_index(name, '/', 0)), wanted));
    }
    if (!star)
        return true;
    if (star + 1 < text.p + text.n)
        return wrongf(ld, path,
                      "\"%s\": a * stands for nothing here; one segment of any text is {NAME}, and "
                      "~ begins a regular expression",
                      shown);
    if (star > text.p + 1 && star[-1] == '/')
        star--;
    return wrongf(ld, path, "\"%s\": write %s, which takes all that is below it", shown,
                  value_shown(str_slice(text, 0, (size_t)(star - text.p)), wanted));
}

static bool check_path(struct loader *ld, const struct word *path, enum pattern_kind kind)
{
    char shown[80];

    value_shown(path->text, shown);
    if (kind == PATTERN_REGEX)
        return path->text.n > 0 || wrongf(ld, path, "the regular expression is empty");
    if (path->text.n == 0 || path->text.p[0] != '/')
        return wrongf(ld, path, "a path begins with /: \"%s\" does not", shown);
    if (memchr(path->text.p, '?', path->text.n))
        return wrongf(ld, path, "a path has no query; say match query NAME = VALUE");
    if (!value_is_text(path->text) || memchr(path->text.p, ' ', path->text.n))
        return wrongf(ld, path, "\"%s\" has characters that no path has", shown);
    return kind == PATTERN_EXACT || check_wildcards(ld, path);
}

/* text lives as long as the config. */
static struct pattern *new_pattern(struct loader *ld, const struct word *word,
                                   enum pattern_kind kind, struct str text)
{
    struct config *c = ld->config;
    struct error err = {0};
    struct pattern *p;

    /* The room comes first: from then on it is the config's, and goes with it. */
    c->patterns = array_room(ld->arena, c->patterns, c->n_patterns, sizeof(struct pattern *));
    p = pattern_new(ld->arena, kind, text, &err);
    if (!p) {
        wrong(ld, word, &err);
        return NULL;
    }
    c->patterns[c->n_patterns++] = p;
    return p;
}

static void set_path(struct loader *ld, const struct written *path, struct route *r)
{
    if (!check_path(ld, path->word, path->kind))
        return;
    r->pattern = new_pattern(ld, path->word, path->kind, keep(ld, path->word->text));
    if (!r->pattern)
        return;
    r->template = pattern_template(r->pattern);
    r->text =
        path->kind == PATTERN_EXACT || path->kind == PATTERN_REGEX
            ? must_str(arena_printf(ld->arena, "%s %.*s", path->kind == PATTERN_EXACT ? "=" : "~",
                                    STR_ARG(path->word->text)))
            : pattern_text(r->pattern);
}

/* ---- calls of gRPC ---- */

/* Letters, digits and '_', no digit first, as protobuf has them. */
static bool is_identifier(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], lower = (char)(c | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && c != '_' && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return s.n > 0;
}

/* "shop.v1.Users", or "Users" of no package. */
static bool is_service(struct str s)
{
    struct str rest = s, part;

    while (str_split(&rest, '.', &part))
        if (!is_identifier(part))
            return false;
    return s.n > 0;
}

static bool check_call(struct loader *ld, const struct word *name)
{
    struct str text = name->text;
    size_t slash = str_index(text, '/', 0);
    struct str service = str_slice(text, 0, slash), method = str_slice(text, slash + 1, text.n);
    char shown[80];

    if (text.n > 1 && slash == 0)
        return wrongf(ld, name, "a service is named without a leading slash: route grpc %s",
                      value_shown(str_slice(text, 1, text.n), shown));
    if (is_service(service) && slash == text.n)
        return true;
    if (is_service(service) && is_identifier(method))
        return true;
    if (is_service(service) && (method.n == 0 || str_eq(method, STR("*"))))
        return wrongf(ld, name, "all methods of a service are taken by its name alone: %s",
                      value_shown(service, shown));
    return wrongf(ld, name,
                  "\"%s\" is neither a service nor a method of one, as shop.Users and "
                  "shop.Users/Get are",
                  value_shown(text, shown));
}

/* A call's path is /SERVICE/METHOD: grpc/grpc doc/PROTOCOL-HTTP2.md, Requests. */
static void set_call(struct loader *ld, const struct word *name, struct route *r)
{
    bool one_method;
    struct str path;

    if (!check_call(ld, name))
        return;
    one_method = str_index(name->text, '/', 0) < name->text.n;
    path = must_str(arena_printf(ld->arena, one_method ? "/%.*s" : "/%.*s/", STR_ARG(name->text)));
    r->pattern = new_pattern(ld, name, one_method ? PATTERN_EXACT : PATTERN_PREFIX, path);
    if (!r->pattern)
        return;
    r->grpc = true;
    r->text = must_str(arena_printf(ld->arena, "grpc %.*s", STR_ARG(name->text)));
    if (one_method)
        r->template = keep(ld, name->text);
}

void read_path(struct loader *ld, const struct directive *row, const struct statement *s,
               struct route *r)
{
    struct words w = words_of(row, s);
    struct written path = {0};

    if (!take_written(ld, &w, &path))
        return;
    if (path.grpc)
        set_call(ld, path.word, r);
    else
        set_path(ld, &path, r);
}
