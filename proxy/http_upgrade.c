#include "proxy/http_upgrade.h"

/* Without the version behind the slash. */
static struct str name_of(struct str protocol)
{
    return str_slice(protocol, 0, str_index(protocol, '/', 0));
}

static bool is_ours(struct str protocol)
{
    static const struct str names[] = {STR_INIT("h2c"), STR_INIT("h2"), STR_INIT("HTTP"),
                                       STR_INIT("TLS")};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_eq_nocase(name_of(protocol), names[i]))
            return true;
    return false;
}

/* A token, perhaps with a slash and another. */
static bool is_protocol(struct str s)
{
    static const struct str others = STR_INIT("!#$%&'*+-.^_`|~");
    size_t slash = str_index(s, '/', 0);

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        if (!alphanumeric && i != slash && str_index(others, c, 0) == others.n)
            return false;
    }
    return slash > 0 && slash + 1 != s.n;
}

static bool may_pass(struct str protocol, struct str only)
{
    return is_protocol(protocol) && !is_ours(protocol) &&
           (!only.p || str_eq_nocase(protocol, only));
}

/* Those that may pass, joined; *all: there are no others. */
static struct str join(const struct headers *f, struct arena *arena, struct str only, bool *all)
{
    struct str joined = {0};

    *all = true;
    for (const struct header *h = headers_find(f, HEADER_UPGRADE); h; h = headers_next(f, h)) {
        struct str rest = h->value, protocol;

        while (str_next_member(&rest, &protocol)) {
            if (!may_pass(protocol, only)) {
                *all = false;
                continue;
            }
            joined = joined.n
                         ? arena_printf(arena, "%.*s, %.*s", STR_ARG(joined), STR_ARG(protocol))
                         : protocol;
            if (!joined.p)
                return joined;
        }
    }
    if (!joined.p)
        joined.p = "";
    return joined;
}

enum upgrade_kept upgrade_keep(struct headers *f, struct arena *arena, struct str only)
{
    bool all;
    struct str kept = join(f, arena, only, &all);

    if (!kept.p)
        return UPGRADE_NO_MEMORY;
    if (!all || !kept.n)
        headers_remove(f, HEADER_UPGRADE);
    if (!all && kept.n && !headers_add_id(f, arena, HEADER_UPGRADE, STR("Upgrade"), kept))
        return UPGRADE_NO_MEMORY;
    return kept.n ? UPGRADE_SOME : UPGRADE_NONE;
}

static bool is_asked(const struct headers *request, struct str protocol)
{
    for (const struct header *h = headers_find(request, HEADER_UPGRADE); h;
         h = headers_next(request, h)) {
        struct str rest = h->value, asked;

        while (str_next_member(&rest, &asked))
            if (str_eq_nocase(asked, protocol) || (str_eq_nocase(name_of(asked), protocol)))
                return true;
    }
    return false;
}

bool upgrade_agreed(const struct headers *response, const struct headers *request)
{
    for (const struct header *h = headers_find(response, HEADER_UPGRADE); h;
         h = headers_next(response, h)) {
        struct str rest = h->value, protocol;

        while (str_next_member(&rest, &protocol))
            if (!is_asked(request, protocol))
                return false;
    }
    return true;
}
