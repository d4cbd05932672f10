/*
 * listen: where connections arrive and what they carry; and which addresses
 * stand in each other's way, or lead back to where they came from.
 */
#include "mesh/loader.h"
#include "mesh/route.h"

/* ---- listen ---- */

/* How the destination is known, and what is carried: each once, in either order. */
static bool take_listen_words(struct loader *ld, struct words *w, struct listen_config *listen)
{
    static const char *const choices[] = {"transparent", "forward-proxy", "http",
                                          "tcp",         "auto",          NULL};
    static const enum listen_carries carries[] = {CARRIES_HTTP, CARRIES_TCP, CARRIES_AUTO};
    const struct word *word, *mode = NULL, *carried = NULL;
    size_t index;

    while ((word = words_next(w))) {
        const struct word **kind;

        if (!word_choice(ld, w, word, choices, &index))
            return false;
        kind = index < 2 ? &mode : &carried;
        if (*kind)
            return surplus(ld, w, word);
        *kind = word;
        if (index < 2)
            listen->mode = index == 0 ? LISTEN_TRANSPARENT : LISTEN_FORWARD_PROXY;
        else
            listen->carries = carries[index - 2];
    }
    if (!carried)
        listen->carries = listen->mode == LISTEN_PLAIN ? CARRIES_HTTP : CARRIES_AUTO;
    if (listen->mode == LISTEN_TRANSPARENT && listen->location.address.family == AF_UNIX)
        return wrongf(ld, mode, "nothing is redirected to a Unix socket: it cannot be transparent");
    if (listen->mode == LISTEN_FORWARD_PROXY && listen->carries == CARRIES_TCP)
        return wrongf(ld, carried,
                      "a forward proxy reads in the request where it is to go: it cannot be tcp");
    return true;
}

void read_listen(struct loader *ld, const struct directive *row, const struct statement *s,
                 struct block *in)
{
    struct words w = words_of(row, s);
    const struct word *address = words_next(&w);
    struct direction *d = in->target;
    struct listen_config listen = {.at = address->at};
    struct error err = {0};

    if (!value_location(address->text, ADDRESS_TO_LISTEN, ld->arena, &listen.location, &err)) {
        ld->listen_lost = true;
        wrong(ld, address, &err);
        return;
    }
    listen.any_address = address->text.p[0] == ':';
    if (!take_listen_words(ld, &w, &listen)) {
        ld->listen_lost = true;
        return;
    }
    d->listens = array_room(ld->arena, d->listens, d->n_listens, sizeof(*d->listens));
    d->listens[d->n_listens++] = listen;
}

/* ---- opaque bytes ---- */

/* What carries opaque bytes must know where to, and leave no rule aside. */
static void check_opaque_listen(struct loader *ld, const struct direction *d,
                                const struct listen_config *l)
{
    const char *word = l->carries == CARRIES_TCP ? "tcp" : "auto";

    if (l->carries == CARRIES_HTTP || l->mode == LISTEN_FORWARD_PROXY)
        return;
    if (l->mode == LISTEN_PLAIN && !d->opaque)
        report_at(
            ld->report, l->at,
            "\"%s\" needs a last \"route / { to ADDRESS; }\" without match and weights, which "
            "says where bytes go that are not HTTP",
            word);
    else if (l->mode == LISTEN_PLAIN && l->carries == CARRIES_TCP && d->refusing[BARS_ALL])
        report_at(
            ld->report, l->at,
            "\"tcp\" looks at nothing, so the route in %s, which may refuse requests, could be "
            "stepped over here: say http or auto, or take that route away",
            place_shown(ld, l->at, d->refusing[BARS_ALL]->at));
    else if (l->mode == LISTEN_TRANSPARENT && l->carries == CARRIES_TCP &&
             d->unmatched == UNMATCHED_REJECT)
        report_at(ld->report, l->at,
                  "\"tcp\" passes everything to where it was going, which \"unmatched reject\" "
                  "forbids: say http or auto, or unmatched pass");
}

void check_opaque(struct loader *ld, const struct direction *d)
{
    for (size_t i = 0; i < d->n_listens; i++)
        check_opaque_listen(ld, d, &d->listens[i]);
}

/* ---- addresses in each other's way ---- */

static bool is_any(const struct address *a)
{
    static const uint8_t zero[16];

    return memcmp(a->ip, zero, a->family == AF_INET ? 4 : 16) == 0;
}

/* ":80" is any address of both families. Port 0 is a free one, which nobody else has. */
static bool clash(const struct location *a, const struct location *b)
{
    const struct address *x = &a->address, *y = &b->address;

    if (x->family == AF_UNIX || y->family == AF_UNIX)
        return x->family == y->family && strcmp(x->path, y->path) == 0;
    if (x->port != y->port || x->port == 0)
        return false;
    if (a->text.p[0] == ':' || b->text.p[0] == ':')
        return true;
    return x->family == y->family && (is_any(x) || is_any(y) || address_eq(x, y));
}

/* The first n listens of a direction stand before it. True: one of them is in its way. */
static bool is_taken(struct loader *ld, const struct listen_config *listen,
                     const struct direction *d, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (clash(&listen->location, &d->listens[i].location)) {
            report_at(ld->report, listen->at, "%.*s is listened to already in %s",
                      STR_ARG(listen->location.text),
                      place_shown(ld, listen->at, d->listens[i].at));
            return true;
        }
    return false;
}

static void check_admin(struct loader *ld, const struct listen_config *listen)
{
    const struct admin_config *admin = &ld->config->admin;

    if (admin->on && clash(&listen->location, &admin->location))
        report_at(ld->report, listen->at, "%.*s is the admin address%s",
                  STR_ARG(listen->location.text),
                  admin->at.line ? "" : " (127.0.0.1:15000 unless admin says another)");
}

void check_listens(struct loader *ld)
{
    const struct direction *in = &ld->config->inbound, *out = &ld->config->outbound;

    for (size_t i = 0; i < in->n_listens; i++)
        if (!is_taken(ld, &in->listens[i], in, i))
            check_admin(ld, &in->listens[i]);
    for (size_t i = 0; i < out->n_listens; i++)
        if (!is_taken(ld, &out->listens[i], in, in->n_listens) &&
            !is_taken(ld, &out->listens[i], out, i))
            check_admin(ld, &out->listens[i]);
}

/* ---- addresses that lead back ---- */

/* By its name alone; what others resolve to is only known at run time. */
static bool is_localhost(const struct location *l)
{
    return l->name.n && str_eq_nocase(l->name, STR("localhost"));
}

/* Whether a connection to that endpoint arrives at that listener, as far as the file shows. */
static bool arrives_at(const struct location *to, const struct listen_config *l)
{
    const struct address *a = &to->address, *b = &l->location.address;

    if (a->family == AF_UNIX || b->family == AF_UNIX)
        return a->family == b->family && strcmp(a->path, b->path) == 0;
    if (a->port != b->port || a->port == 0)
        return false;
    if (is_localhost(to))
        return l->any_address || is_any(b) || address_is_loopback(b);
    if (a->family == 0)
        return false;
    bool here = address_is_loopback(a) || is_any(a); /* a connection to 0.0.0.0 stays here too */
    if (l->any_address)
        return here;
    if (a->family != b->family)
        return false;
    return address_eq(a, b) || (is_any(b) && here) || (is_any(a) && address_is_loopback(b));
}

static void check_way_back(struct loader *ld, const struct reference *ref,
                           const struct endpoint_config *e)
{
    const struct direction *d = ref->direction;
    const struct cluster *c = ref->route->targets[ref->target].cluster;

    for (size_t i = 0; i < d->n_listens; i++) {
        const struct listen_config *l = &d->listens[i];

        if (!arrives_at(&e->location, l))
            continue;
        report_at(ld->report, ref->at,
                  "%.*s%s%.*s is where %s itself listens (%s): every request would come back here; "
                  "name the port of the service",
                  STR_ARG(e->location.text), c->implicit ? "" : " of cluster ",
                  STR_ARG(c->implicit ? STR("") : c->name),
                  d->kind == DIRECTION_INBOUND ? "inbound" : "outbound",
                  place_shown(ld, ref->at, l->at));
        return;
    }
}

void check_loops(struct loader *ld)
{
    for (const struct reference *ref = ld->references; ref; ref = ref->next) {
        const struct cluster *c = ref->route->targets[ref->target].cluster;

        for (size_t i = 0; c && i < c->n_endpoints; i++)
            check_way_back(ld, ref, &c->endpoints[i]);
    }
}
