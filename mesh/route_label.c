#include "mesh/route_label.h"

#include "base/buffer.h"
#include "mesh/must.h"

/* Of one direction, while they are given. */
struct labels {
    struct config *config;
    struct map given; /* those that are taken; each is its own value */
};

static struct str without_quotes(struct str s)
{
    bool quoted = s.n > 1 && s.p[0] == '"' && s.p[s.n - 1] == '"';

    return quoted ? str_slice(s, 1, s.n - 1) : s;
}

static void write_shown(const struct masks *m, struct str text, struct buffer *out)
{
    struct str word = mask_word(m, text);

    if (word.p)
        buffer_add_str(out, without_quotes(word));
    else
        mask_write(m, text, out);
}

static void write_label(const struct masks *m, const struct route *r, struct buffer *out)
{
    enum pattern_kind kind = pattern_kind(r->pattern);

    if (r->named) {
        write_shown(m, r->template, out);
    } else if (r->grpc) {
        struct str mark = STR("grpc ");
        buffer_add_str(out, mark);
        write_shown(m, str_slice(r->text, mark.n, r->text.n), out);
    } else {
        if (kind == PATTERN_EXACT || kind == PATTERN_REGEX)
            buffer_add_str(out, kind == PATTERN_EXACT ? STR("= ") : STR("~ "));
        write_shown(m, pattern_text(r->pattern), out);
    }
}

static void cut(struct buffer *text)
{
    static const struct str dots = STR_INIT("...");

    if (text->n <= ROUTE_LABEL_BYTES_MAX)
        return;
    text->n = str_cut(buffer_str(text), ROUTE_LABEL_BYTES_MAX - dots.n).n;
    buffer_add_str(text, dots);
}

static struct str label_of(struct labels *l, struct str text)
{
    const struct str *given = map_get(&l->given, text);

    if (given)
        return *given;
    if (l->given.n == ROUTE_LABELS_MAX)
        return ROUTE_LABEL_OTHER;
    struct str *kept = must(arena_alloc(&l->config->arena, sizeof(*kept)));
    *kept = must_str(arena_dup(&l->config->arena, text));
    must_add(&l->given, *kept, kept);
    return *kept;
}

static void set_of(struct labels *l, struct route *const *routes, size_t n, struct buffer *text)
{
    for (size_t i = 0; i < n; i++) {
        buffer_reset(text);
        write_label(&l->config->masks, routes[i], text);
        cut(text);
        if (text->failed)
            memory_ended();
        routes[i]->label = label_of(l, buffer_str(text));
    }
}

void route_labels_set(struct config *c, struct direction *d)
{
    struct labels l = {.config = c};
    struct buffer text;
    struct held held_map, held_text;

    hold_map(&held_map, &l.given);
    hold_buffer(&held_text, &text);
    for (size_t i = 0; i < d->n_hosts; i++)
        set_of(&l, d->hosts[i]->routes, d->hosts[i]->n_routes, &text);
    set_of(&l, d->routes, d->n_routes, &text);
    let_go(&held_text);
    let_go(&held_map);
}
