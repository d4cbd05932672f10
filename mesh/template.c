#include "mesh/template.h"

#include "base/authority.h"
#include "mesh/pattern.h"
#include "mesh/request.h"
#include "mesh/route.h"

enum part_kind {
    PART_LITERAL,
    PART_HEADER,
    PART_PATH,
    PART_QUERY,
    PART_TRACE_ID,
    PART_SOURCE,
    PART_HOST,
    PART_METHOD,
    PART_REQUEST_PATH,
    PART_REQUEST_QUERY,
    PART_REQUEST_URI, /* while reading: it is the two above */
    PART_PORT,
    PART_AUTHORITY,
    PART_SCHEME,
};

struct part {
    enum part_kind kind;
    enum header_id header;
    struct str text; /* the literal, or the name */
};

struct template
{
    struct str text;
    size_t n;
    struct part parts[];
};

static const struct part_name {
    struct str word;
    enum part_kind kind;
    bool takes_name;
} part_names[] = {
    {STR_INIT("header"), PART_HEADER, true},
    {STR_INIT("path"), PART_PATH, true},
    {STR_INIT("query"), PART_QUERY, true},
    {STR_INIT("trace-id"), PART_TRACE_ID, false},
    {STR_INIT("source"), PART_SOURCE, false},
    {STR_INIT("host"), PART_HOST, false},
    {STR_INIT("method"), PART_METHOD, false},
    {STR_INIT("request-path"), PART_REQUEST_PATH, false},
    {STR_INIT("request-query"), PART_REQUEST_QUERY, false},
    {STR_INIT("request-uri"), PART_REQUEST_URI, false},
    {STR_INIT("port"), PART_PORT, false},
    {STR_INIT("authority"), PART_AUTHORITY, false},
    {STR_INIT("scheme"), PART_SCHEME, false},
};
enum { PART_NAMES = sizeof(part_names) / sizeof(part_names[0]), NEAR = 3 };

/* ---- reading ---- */

static bool unknown_part(struct str word, struct error *err)
{
    const struct part_name *nearest = NULL;
    unsigned least = NEAR;

    for (size_t i = 0; i < PART_NAMES; i++) {
        unsigned distance = str_distance(word, part_names[i].word, NEAR);
        if (distance < least) {
            least = distance;
            nearest = &part_names[i];
        }
    }
    if (nearest)
        return error_set(err, "unknown part \"$(%.*s)\"; did you mean \"%.*s\"?", STR_ARG(word),
                         STR_ARG(nearest->word));
    return error_set(err,
                     "unknown part \"$(%.*s)\"; there are header NAME, path NAME, query NAME, "
                     "trace-id, source, scheme, authority, host, port, method, request-path, "
                     "request-query and request-uri",
                     STR_ARG(word));
}

/* inside: what stands between the parentheses. */
static bool read_part(struct str inside, struct part *part, struct error *err)
{
    struct str trimmed = str_trim_ows(inside);
    size_t space = str_index(trimmed, ' ', 0);
    struct str word = str_slice(trimmed, 0, space);
    struct str name = str_trim_ows(str_slice(trimmed, space, trimmed.n));

    for (size_t i = 0; i < PART_NAMES; i++) {
        if (!str_eq(word, part_names[i].word))
            continue;
        if (part_names[i].takes_name && name.n == 0)
            return error_set(err, "$(%.*s) lacks a name: $(%.*s NAME)", STR_ARG(word),
                             STR_ARG(word));
        if (!part_names[i].takes_name && name.n)
            return error_set(err, "$(%.*s) takes no name", STR_ARG(word));
        if (str_index(name, ' ', 0) < name.n)
            return error_set(err, "$(%.*s): one name only", STR_ARG(trimmed));
        *part = (struct part){part_names[i].kind, HEADER_OTHER, name};
        if (part->kind == PART_HEADER)
            part->header = header_id_of(name);
        return true;
    }
    return unknown_part(word, err);
}

/* Where the next "$(" begins, or the end. */
static size_t next_opening(struct str text, size_t from)
{
    for (size_t i = str_index(text, '$', from); i + 1 < text.n; i = str_index(text, '$', i + 1))
        if (text.p[i + 1] == '(')
            return i;
    return text.n;
}

struct reader {
    struct part parts[TEMPLATE_PARTS_MAX];
    size_t n;
};

static bool add_part(struct reader *rd, struct part part, struct error *err)
{
    if (part.kind == PART_LITERAL && part.text.n == 0)
        return true;
    if (part.kind == PART_REQUEST_URI) {
        part.kind = PART_REQUEST_PATH;
        return add_part(rd, part, err) &&
               add_part(rd, (struct part){.kind = PART_REQUEST_QUERY}, err);
    }
    if (rd->n == TEMPLATE_PARTS_MAX)
        return error_set(err, "more than %d parts in a text", TEMPLATE_PARTS_MAX);
    rd->parts[rd->n++] = part;
    return true;
}

static bool read_parts(struct reader *rd, struct str text, struct error *err)
{
    size_t from = 0;

    while (from < text.n) {
        size_t open = next_opening(text, from);
        bool doubled = open < text.n && open > from && text.p[open - 1] == '$';
        struct part part = {PART_LITERAL, HEADER_OTHER,
                            str_slice(text, from, doubled ? open - 1 : open)};
        if (!add_part(rd, part, err))
            return false;
        if (open == text.n)
            break;
        if (doubled) {
            from = open + 2;
            part.text = str_slice(text, open, from);
        } else {
            size_t close = str_index(text, ')', open);
            if (close == text.n)
                return error_set(err, "\"$(\" without \")\"; a literal \"$(\" is written \"$$(\"");
            if (!read_part(str_slice(text, open + 2, close), &part, err))
                return false;
            from = close + 1;
        }
        if (!add_part(rd, part, err))
            return false;
    }
    return true;
}

/* A text of literals alone is one literal; text is then what it says. */
static bool join_literals(struct template *t, struct arena *arena)
{
    size_t total = 0, at = 0;

    for (size_t i = 0; i < t->n; i++) {
        if (t->parts[i].kind != PART_LITERAL)
            return true;
        total += t->parts[i].text.n;
    }
    char *p = arena_alloc(arena, total + 1);
    if (!p)
        return false;
    for (size_t i = 0; i < t->n; i++) {
        memcpy(p + at, t->parts[i].text.p, t->parts[i].text.n);
        at += t->parts[i].text.n;
    }
    p[total] = '\0';
    t->text = str_of(p, total);
    t->n = 0;
    return true;
}

struct template *template_new(struct arena *arena, struct str text, struct error *err)
{
    struct reader rd = {.n = 0};

    if (!read_parts(&rd, text, err))
        return NULL;
    struct template *t = arena_alloc(arena, sizeof(*t) + rd.n * sizeof(t->parts[0]));
    if (t) {
        t->text = text;
        t->n = rd.n;
        if (rd.n)
            memcpy(t->parts, rd.parts, rd.n * sizeof(t->parts[0]));
    }
    if (!t || !join_literals(t, arena)) {
        error_no_memory(err);
        return NULL;
    }
    return t;
}

/* ---- asking ---- */

bool template_is_literal(const struct template *t)
{
    return t->n == 0;
}

struct str template_text(const struct template *t)
{
    return t->text;
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return true;
    return false;
}

bool template_has_control(const struct template *t)
{
    if (t->n == 0)
        return has_control(t->text);
    for (size_t i = 0; i < t->n; i++)
        if (t->parts[i].kind == PART_LITERAL && has_control(t->parts[i].text))
            return true;
    return false;
}

struct str template_unknown_path_name(const struct template *t, const struct str *names, size_t n)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t j = 0;
        if (t->parts[i].kind != PART_PATH)
            continue;
        while (j < n && !str_eq(names[j], t->parts[i].text))
            j++;
        if (j == n)
            return t->parts[i].text;
    }
    return str_of(NULL, 0);
}

/* ---- filling in ---- */

/* What has no text of its own in the request. */
struct made {
    char trace_id[TRACE_ID_HEX];
    char source[ADDRESS_TEXT_MAX];
};

static struct str header_value(const struct part *part, const struct headers *headers)
{
    const struct header *h = part->header == HEADER_OTHER ? headers_find_name(headers, part->text)
                                                          : headers_find(headers, part->header);

    return h ? h->value : STR("");
}

static struct str path_value(const struct part *part, const struct path_params *params)
{
    for (size_t i = 0; params && i < params->n; i++)
        if (str_eq(params->v[i].name, part->text))
            return params->v[i].value;
    return STR("");
}

static struct str scheme_of(const struct request *r)
{
    return str_eq_nocase(r->scheme, STR("https")) ? STR("https") : STR("http");
}

static struct str port_of(const struct request *r)
{
    struct str port = authority_split(r->authority).port;

    if (port.n)
        return port;
    return scheme_of(r).n == 5 ? STR("443") : STR("80");
}

/* The mark before a query is part of what stands for it. */
static bool has_mark(const struct part *part, const struct request *r)
{
    return part->kind == PART_REQUEST_QUERY && r->query.p;
}

static struct str value_of(const struct part *part, const struct request *r,
                           const struct path_params *params, struct made *made)
{
    switch (part->kind) {
    case PART_LITERAL:
        return part->text;
    case PART_HEADER:
        return header_value(part, r->headers);
    case PART_PATH:
        return path_value(part, params);
    case PART_QUERY:
        return query_value(r->query, part->text);
    case PART_TRACE_ID:
        trace_id_to_hex(&r->trace_id, made->trace_id);
        return str_of(made->trace_id, sizeof(made->trace_id));
    case PART_SOURCE:
        return str_of(made->source, address_format_ip(&r->source, made->source));
    case PART_HOST:
        return authority_split(r->authority).host;
    case PART_METHOD:
        return r->method;
    case PART_REQUEST_PATH:
    case PART_REQUEST_URI:
        return r->path;
    case PART_REQUEST_QUERY:
        return r->query;
    case PART_PORT:
        return port_of(r);
    case PART_AUTHORITY:
        return r->authority;
    case PART_SCHEME:
        return scheme_of(r);
    }
    return STR("");
}

static bool is_escaped(unsigned char c, bool url)
{
    if (c < ' ')
        return url || c != '\t';
    if (!url)
        return c == 0x7f;
    return c == ' ' || c > 0x7e || memchr("\"#<>\\^`{|}", c, 10) != NULL;
}

static size_t escaped_length(struct str s, bool url)
{
    size_t n = s.n;

    for (size_t i = 0; i < s.n; i++)
        if (is_escaped((unsigned char)s.p[i], url))
            n += 2;
    return n;
}

static char *put_escaped(char *at, struct str s, bool url)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_escaped(c, url)) {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        } else {
            *at++ = (char)c;
        }
    }
    return at;
}

static struct str expand(const struct template *t, const struct request *r,
                         const struct path_params *params, struct arena *arena, bool url)
{
    struct str values[TEMPLATE_PARTS_MAX];
    struct made made;
    size_t total = 0;

    if (t->n == 0)
        return t->text;
    for (size_t i = 0; i < t->n; i++) {
        values[i] = value_of(&t->parts[i], r, params, &made);
        total += t->parts[i].kind == PART_LITERAL ? values[i].n : escaped_length(values[i], url);
        total += has_mark(&t->parts[i], r);
    }
    char *p = arena_alloc(arena, total + 1), *at = p;
    if (!p)
        return str_of(NULL, 0);
    for (size_t i = 0; i < t->n; i++) {
        if (t->parts[i].kind != PART_LITERAL) {
            if (has_mark(&t->parts[i], r))
                *at++ = '?';
            at = put_escaped(at, values[i], url);
        } else {
            memcpy(at, values[i].p, values[i].n);
            at += values[i].n;
        }
    }
    *at = '\0';
    return str_of(p, total);
}

struct str template_expand(const struct template *t, const struct request *r,
                           const struct path_params *params, struct arena *arena)
{
    return expand(t, r, params, arena, false);
}

struct str template_expand_url(const struct template *t, const struct request *r,
                               const struct path_params *params, struct arena *arena)
{
    return expand(t, r, params, arena, true);
}

static bool begins_with_path(const struct template *t)
{
    const struct part *first = &t->parts[0];

    if (t->n == 0)
        return false;
    return first->kind == PART_REQUEST_PATH ||
           (first->kind == PART_LITERAL && !str_starts(first->text, STR("//")));
}

struct str template_expand_location(const struct template *t, const struct request *r,
                                    const struct path_params *params, struct arena *arena)
{
    struct str location = expand(t, r, params, arena, true);

    if (!str_starts(location, STR("//")) || !begins_with_path(t))
        return location;
    return arena_printf(arena, "/.%.*s", STR_ARG(location));
}
