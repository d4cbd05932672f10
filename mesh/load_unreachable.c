/*
 * Routes that no request can reach, for an earlier one of the same list takes
 * all that they could.
 *
 * A route can only be covered by one whose literal beginning is a beginning of
 * its own, so routes are filed under theirs ("/api/users" for /api/users/{id})
 * and few need be compared.
 */
#include "mesh/loader.h"
#include "mesh/route.h"

struct filed {
    struct route **v;
    size_t n;
};

/* The literal segments a route's path begins with, each behind a slash. */
struct beginning {
    struct buffer text;
    size_t ends[64]; /* of the first segment, of the first two, ... in the text */
    size_t n;
};

static void set_beginning(struct beginning *b, const struct pattern *p)
{
    struct str segment;

    buffer_reset(&b->text);
    for (b->n = 0; b->n < sizeof(b->ends) / sizeof(b->ends[0]); b->n++) {
        if (pattern_part_at(p, b->n, &segment) != PATTERN_LITERAL)
            return;
        buffer_add_char(&b->text, '/');
        buffer_add_str(&b->text, segment);
        if (b->text.failed)
            memory_ended();
        b->ends[b->n] = b->text.n;
    }
}

/* The first n segments. */
static struct str beginning_of(const struct beginning *b, size_t n)
{
    return str_slice(buffer_str(&b->text), 0, n ? b->ends[n - 1] : 0);
}

static const struct route *find_cover(const struct map *files, const struct beginning *b,
                                      const struct route *r)
{
    for (size_t n = 0; n <= b->n; n++) {
        const struct filed *f = map_get(files, beginning_of(b, n));
        for (size_t i = 0; f && i < f->n; i++)
            if (route_covers(f->v[i], r))
                return f->v[i];
    }
    return NULL;
}

static void file_under(struct loader *ld, struct map *files, struct str key, struct route *r)
{
    struct filed *f = map_get(files, key);

    if (!f) {
        f = must(arena_zalloc(ld->scratch, sizeof(*f)));
        must_add(files, must_str(arena_dup(ld->scratch, key)), f);
    }
    f->v = array_room(ld->scratch, f->v, f->n, sizeof(struct route *));
    f->v[f->n++] = r;
}

void check_unreachable(struct loader *ld, struct route *const *routes, size_t n)
{
    struct map files;
    struct beginning b;
    struct held held_files, held_text;
    char shown[80];

    hold_map(&held_files, &files);
    hold_buffer(&held_text, &b.text);
    for (size_t i = 0; i < n; i++) {
        set_beginning(&b, routes[i]->pattern);
        const struct route *cover = find_cover(&files, &b, routes[i]);
        if (!cover) {
            file_under(ld, &files, beginning_of(&b, b.n), routes[i]);
            continue;
        }
        report_at(ld->report, routes[i]->at,
                  "this route is never reached: \"%s\" in %s takes all that it could",
                  value_shown(cover->text, shown), place_shown(ld, routes[i]->at, cover->at));
    }
    let_go(&held_text);
    let_go(&held_files);
}
