/*
 * What a route changes on the way, or answers itself: headers, path, host,
 * respond and redirect.
 */
#include "mesh/config_words.h"
#include "mesh/loader.h"

/* ---- templates ---- */

struct template *read_template(struct loader *ld, const struct word *word)
{
    struct error err = {0};
    struct template *t = template_new(ld->arena, keep(ld, word->text), &err);
    struct str names[PATTERN_PARAMS_MAX], unknown;

    if (!t) {
        wrong(ld, word, &err);
        return NULL;
    }
    if (!ld->route->pattern) /* a mistake of its own */
        return t;
    size_t n = pattern_names(ld->route->pattern, names);
    unknown = template_unknown_path_name(t, names, n);
    if (unknown.p) {
        wrongf(ld, word, "$(path %.*s): the path of this route has no {%.*s}", STR_ARG(unknown),
               STR_ARG(unknown));
        return NULL;
    }
    return t;
}

/* A template whose literal text holds what may stand in a header. */
static struct template *read_line(struct loader *ld, const struct word *word, const char *what)
{
    struct template *t = read_template(ld, word);

    if (t && template_has_control(t)) {
        wrongf(ld, word, "%s cannot have control characters", what);
        return NULL;
    }
    return t;
}

/* ---- headers ---- */

/* Why a rule may not write it; NULL: it may. */
static const char *why_reserved(enum header_id id)
{
    if (id == HEADER_HOST)
        return "is set by rewrite-host";
    if (header_is(id, HEADER_IS_FRAMING))
        return "says where the message ends";
    if (header_is(id, HEADER_IS_HOP))
        return "belongs to one connection, not to the message";
    return header_is(id, HEADER_IS_TRACE) ? "is written by the sidecar, exactly once" : NULL;
}

static bool check_reserved(struct loader *ld, const struct word *word,
                           const struct header_action *a)
{
    const char *why = why_reserved(a->id);
    char shown[80];

    return !why || wrongf(ld, word, "\"%s\" %s; it cannot be changed here",
                          value_shown(word->text, shown), why);
}

void read_header_action(struct loader *ld, const struct directive *row, const struct statement *s,
                        struct block *in)
{
    struct words w = words_of(row, s);
    struct route *r = in->target;
    struct header_action a = {.kind = (enum header_action_kind)row->value};
    size_t side;

    ld->route = r;
    if (!word_choice(ld, &w, words_next(&w), message_words, &side) ||
        !take_header_name(ld, &w, &a.name, &a.id) || !check_reserved(ld, &s->args[1], &a))
        return;
    a.on_response = side == 1;
    const struct word *value = words_next(&w);
    if (value) {
        a.value = read_line(ld, value, "the value of a header");
        if (!a.value)
            return;
        a.value_text = keep(ld, value->text);
    }
    r->header_actions =
        array_room(ld->arena, r->header_actions, r->n_header_actions, sizeof(*r->header_actions));
    r->header_actions[r->n_header_actions++] = a;
}

/* ---- where it goes ---- */

static bool has_space(struct str s)
{
    return s.n && (memchr(s.p, ' ', s.n) || memchr(s.p, '#', s.n));
}

/* True for what begins with a part of the request: that only shows when there is one. */
static bool begins_with_part(struct str s)
{
    return str_starts(s, STR("$("));
}

void read_rewrite(struct loader *ld, const struct directive *row, const struct statement *s,
                  struct block *in)
{
    const struct word *word = &s->args[0];
    struct route *r = in->target;
    struct template *t;

    ld->route = r;
    t = read_line(ld, word, "a path");
    if (!t)
        return;
    if (!begins_with_part(word->text) && !str_starts(word->text, STR("/")))
        wrongf(ld, word, "a path begins with /");
    else if (template_is_literal(t) && has_space(word->text))
        wrongf(ld, word, "a path has no spaces and no #");
    r->rewrite = t;
    r->rewrite_text = keep(ld, word->text);
}

void read_rewrite_host(struct loader *ld, const struct directive *row, const struct statement *s,
                       struct block *in)
{
    const struct word *word = &s->args[0];
    struct route *r = in->target;
    struct template *t;
    char shown[80];

    ld->route = r;
    t = read_line(ld, word, "a host");
    if (!t)
        return;
    if (template_is_literal(t) && !value_is_authority(word->text))
        wrongf(ld, word, "\"%s\" is not a host, as users.internal or users.internal:8080 are",
               value_shown(word->text, shown));
    r->rewrite_host = t;
    r->rewrite_host_text = keep(ld, word->text);
}

/* ---- answers ---- */

/* RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5. */
static bool status_has_body(unsigned status)
{
    return status != 204 && status != 205 && status != 304;
}

void read_respond(struct loader *ld, const struct directive *row, const struct statement *s,
                  struct block *in)
{
    struct words w = words_of(row, s);
    struct route *r = in->target;
    const struct word *body;
    uint64_t status;

    ld->route = r;
    r->action = ACTION_RESPOND;
    if (!take_number(ld, &w, 200, 599, &status))
        return;
    r->status = (unsigned)status;
    body = words_next(&w);
    if (!body)
        return;
    if (!status_has_body(r->status)) {
        wrongf(ld, body, "a response with status %u has no body", r->status);
        return;
    }
    r->body = read_template(ld, body);
    r->body_text = keep(ld, body->text);
}

void read_redirect(struct loader *ld, const struct directive *row, const struct statement *s,
                   struct block *in)
{
    struct words w = words_of(row, s);
    struct route *r = in->target;
    const struct word *word;
    struct error err = {0};
    uint64_t status;

    ld->route = r;
    r->action = ACTION_REDIRECT;
    word = words_next(&w);
    if (!value_number(word->text, 301, 308, &status, &err) || (status > 303 && status < 307))
        wrongf(ld, word, "the status of a redirect is 301, 302, 303, 307 or 308");
    else
        r->status = (unsigned)status;
    word = words_next(&w);
    r->location = read_line(ld, word, "a URL");
    r->location_text = keep(ld, word->text);
    if (r->location && (word->text.n == 0 || (template_is_literal(r->location) &&
                                              memchr(word->text.p, ' ', word->text.n))))
        wrongf(ld, word, "a URL is not empty and has no spaces");
}
