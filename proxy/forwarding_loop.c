#include "proxy/forwarding_loop.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proxy/own_address.h"

/* ---- addresses ---- */

static bool is_any(const struct address *a)
{
    static const uint8_t zero[16];

    return memcmp(a->ip, zero, a->family == AF_INET ? 4 : 16) == 0;
}

/* A name may stand for an IPv4 address as IPv6 maps it; connections to it are of IPv4. */
static struct address unmapped(const struct address *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct address v4 = {.family = AF_INET, .port = a->port};

    if (a->family != AF_INET6 || memcmp(a->ip, mapped, sizeof mapped) != 0)
        return *a;
    memcpy(v4.ip, a->ip + sizeof mapped, 4);
    return v4;
}

/* Whether a connection to `to` arrives where somebody listens at l; any: for both families. */
static bool arrives(const struct address *to, const struct address *l, bool any, nsec_t now)
{
    struct address a = unmapped(to);

    if (a.family == AF_UNIX || l->family == AF_UNIX)
        return a.family == l->family && strcmp(a.path, l->path) == 0;
    if (a.port != l->port || a.port == 0 || (!any && a.family != l->family))
        return false;
    if (any || is_any(l))
        return is_any(&a) || address_is_loopback(&a) || address_was_own(&a, now);
    /* A connection to 0.0.0.0 goes to the loopback. */
    return address_eq(&a, l) || (is_any(&a) && address_is_loopback(l));
}

bool forwarding_loop_to_listeners(const struct direction *d, const struct address *to, nsec_t now)
{
    for (size_t i = 0; i < d->n_listens; i++)
        if ((to->family == AF_UNIX || to->port == d->listens[i].location.address.port) &&
            arrives(to, &d->listens[i].location.address, d->listens[i].any_address, now))
            return true;
    return false;
}

bool forwarding_loop_to_admin(const struct config *c, const struct address *to, nsec_t now)
{
    const struct location *l = &c->admin.location;

    return c->admin.on && arrives(to, &l->address, l->text.n && l->text.p[0] == ':', now);
}

/* ---- marks ---- */

enum { MARK_BYTES = 8 };
static char mark[MARK_BYTES + 1];

/* Before main(): it is read by every worker and never changes. */
__attribute__((constructor)) static void make_mark(void)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t n;

    if (getrandom(&n, sizeof n, GRND_NONBLOCK) != (ssize_t)sizeof n)
        n = (uint32_t)getpid();
    for (size_t i = 0; i < MARK_BYTES; i++, n >>= 4)
        mark[i] = digits[n & 15];
}

static struct str own_mark(void)
{
    return (struct str){mark, MARK_BYTES};
}

unsigned forwarding_loop_passes(const struct headers *f)
{
    const struct header *h = headers_find(f, HEADER_SIDESPAN_VIA);
    unsigned n = 0;

    for (; h; h = headers_next(f, h)) {
        struct str rest = h->value, member;

        while (str_next_member(&rest, &member))
            n += str_eq(member, own_mark());
    }
    return n;
}

bool forwarding_loop_mark(struct headers *f, struct arena *a)
{
    struct header *h = (struct header *)(uintptr_t)headers_find(f, HEADER_SIDESPAN_VIA);
    struct str joined;

    if (!h)
        return headers_add_id(f, a, HEADER_SIDESPAN_VIA, STR("sidespan-via"), own_mark());
    joined = arena_printf(a, "%.*s, %.*s", STR_ARG(h->value), STR_ARG(own_mark()));
    if (joined.p)
        h->value = joined;
    return joined.p != NULL;
}
