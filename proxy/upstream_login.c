#include "proxy/upstream_login.h"

#include <stdlib.h>

#include "proxy/http1.h"
#include "proxy/upstream_private.h"

enum { LOGINS_MAX = 8 }; /* idle ones of one client connection: the oldest goes first */

/* A handshake takes several requests, each at once after the answer to the last. */
#define HANDSHAKE_TIME SECONDS(2)

struct logins {
    unsigned refs;
    bool ended;
    unsigned n;
    struct {
        struct http1 *http;
        struct upstream *upstream; /* good as long as the connection, which holds it */
        nsec_t since;
    } v[LOGINS_MAX]; /* the oldest first */
};

/* ---- what makes a login ---- */

static bool of_connection(struct str member)
{
    static const struct str schemes[] = {STR_INIT("negotiate"), STR_INIT("ntlm"),
                                         STR_INIT("kerberos"), STR_INIT("nego2")};
    size_t end = str_index(member, ' ', 0), tab = str_index(member, '\t', 0);
    struct str scheme = str_slice(member, 0, end < tab ? end : tab);

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (str_eq_nocase(scheme, schemes[i]))
            return true;
    return false;
}

/* A comma within a parameter's value may show a scheme where there is none; that costs no more than
 * the sharing of the connection. */
static bool is_of_connection(struct str value)
{
    struct str member;

    while (str_next_member(&value, &member))
        if (of_connection(member))
            return true;
    return false;
}

/* One pass for both: each request comes by here, and most have neither. */
static bool names_scheme(const struct headers *f, enum header_id one, enum header_id other)
{
    if (!headers_may_have(f, HEADER_BIT(one) | HEADER_BIT(other)))
        return false;
    for (const struct header *h = f->v; h < f->v + f->n; h++)
        if ((h->id == one || h->id == other) && is_of_connection(h->value))
            return true;
    return false;
}

bool login_passes(const struct headers *request, unsigned status, const struct headers *response)
{
    if (names_scheme(request, HEADER_AUTHORIZATION, HEADER_PROXY_AUTHORIZATION))
        return true;
    if (status == 401)
        return names_scheme(response, HEADER_WWW_AUTHENTICATE, HEADER_WWW_AUTHENTICATE);
    return status == 407 &&
           names_scheme(response, HEADER_PROXY_AUTHENTICATE, HEADER_PROXY_AUTHENTICATE);
}

/* ---- those of a client ---- */

struct logins *logins_new(void)
{
    struct logins *l = calloc(1, sizeof *l);

    if (l)
        l->refs = 1;
    return l;
}

struct logins *logins_ref(struct logins *l)
{
    l->refs++;
    return l;
}

void logins_unref(struct logins *l)
{
    if (l && !--l->refs)
        free(l);
}

static void take_out(struct logins *l, unsigned at)
{
    l->n--;
    for (unsigned i = at; i < l->n; i++)
        l->v[i] = l->v[i + 1];
}

static void close_login(struct logins *l, unsigned at)
{
    struct http1 *h = l->v[at].http;
    struct upstream *u = l->v[at].upstream;

    take_out(l, at);
    list_remove(http1_link(h));
    http1_close_idle(h);
    upstream_closed(u);
}

void logins_end(struct logins *l)
{
    if (!l)
        return;
    l->ended = true;
    while (l->n)
        close_login(l, l->n - 1);
    logins_unref(l);
}

struct upstream *logins_endpoint(const struct logins *l, struct str cluster)
{
    for (unsigned i = l->n; i-- > 0;)
        if (str_eq(l->v[i].upstream->cluster, cluster))
            return l->v[i].upstream;
    return NULL;
}

bool logins_have(const struct logins *l, const struct address *to)
{
    for (unsigned i = 0; i < l->n; i++)
        if (address_eq(&l->v[i].upstream->address, to) &&
            str_eq(l->v[i].upstream->cluster, STR("original")))
            return true;
    return false;
}

struct http1 *logins_take(struct logins *l, const struct upstream *u)
{
    for (unsigned i = l->n; i-- > 0;)
        if (l->v[i].upstream == u) {
            struct http1 *h = l->v[i].http;

            take_out(l, i);
            return h;
        }
    return NULL;
}

/* ---- for the pool ---- */

static unsigned place_of(const struct logins *l, const struct http1 *h)
{
    unsigned at = 0;

    while (l->v[at].http != h)
        at++;
    return at;
}

/* pool idle and pool requests do not end it: it lives as its client's connection does. */
void login_idle(struct upstream *u, struct http1 *h)
{
    struct logins *l = http1_logins(h);

    if (!l || l->ended || u->retired) {
        http1_close_idle(h);
        upstream_closed(u);
        return;
    }
    if (l->n == LOGINS_MAX)
        close_login(l, 0);
    l->v[l->n].http = h;
    l->v[l->n].upstream = u;
    l->v[l->n].since = loop_now(&u->worker->loop);
    l->n++;
    list_push_front(&u->logins, http1_link(h));
}

void login_gone(struct http1 *h)
{
    struct logins *l = http1_logins(h);

    take_out(l, place_of(l, h));
}

void logins_retire(struct upstream *u)
{
    while (!list_empty(&u->logins)) {
        struct http1 *h = http1_from_link(u->logins.next);

        close_login(http1_logins(h), place_of(http1_logins(h), h));
    }
}

void login_make_way(struct upstream *u)
{
    struct http1 *h;
    struct logins *l;
    unsigned at;

    if (list_empty(&u->logins))
        return;
    h = http1_from_link(u->logins.prev);
    l = http1_logins(h);
    at = place_of(l, h);
    if (loop_now(&u->worker->loop) - l->v[at].since >= HANDSHAKE_TIME)
        close_login(l, at);
}
