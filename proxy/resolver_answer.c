#include "proxy/resolver_answer.h"

#include <ares.h>
#include <netdb.h>
#include <stdlib.h>

#include "proxy/resolver_cache.h"

static const nsec_t ttl_min = SECONDS(1), ttl_max = SECONDS(300), ttl_failed = SECONDS(1);
/* The hosts file has no TTL, but it can change. */
static const nsec_t ttl_hosts = SECONDS(60);

void resolved_fail(struct resolved *out, const char *why)
{
    *out = (struct resolved){.error = why, .ttl = ttl_failed};
}

const char *resolved_reason(int status)
{
    switch (status) {
    case ARES_ENOTFOUND:
        return "no such name";
    case ARES_ENODATA:
        return "the name has no address";
    case ARES_ESERVFAIL:
        return "the DNS server failed (SERVFAIL)";
    case ARES_EREFUSED:
        return "the DNS server refuses to answer (REFUSED)";
    case ARES_ENOTIMP:
        return "the DNS server does not know how to answer (NOTIMP)";
    case ARES_EFORMERR:
        return "the DNS server did not understand the question (FORMERR)";
    case ARES_ETIMEOUT:
        return "no DNS server answers";
    case ARES_ECONNREFUSED:
        return "no DNS server can be reached";
    default:
        return ares_strerror(status);
    }
}

/* IPv4 first, then by bytes. */
static int compare(const void *a, const void *b)
{
    const struct address *x = a, *y = b;

    if (x->family != y->family)
        return x->family == AF_INET ? -1 : 1;
    return memcmp(x->ip, y->ip, sizeof(x->ip));
}

/* Sorts the n addresses in v, and puts what is different into out. */
static void settle(struct resolved *out, struct address *v, size_t n, nsec_t ttl)
{
    *out = (struct resolved){.ttl = ttl};
    qsort(v, n, sizeof(*v), compare);
    for (size_t i = 0; i < n && out->n < RESOLVED_MAX; i++)
        if (i == 0 || compare(&v[i - 1], &v[i]) != 0)
            out->v[out->n++] = v[i];
    if (out->n == 0)
        resolved_fail(out, resolved_reason(ARES_ENODATA));
}

/* The shortest of all that were on the way to the addresses. */
static nsec_t ttl_of(const struct ares_addrinfo *info)
{
    nsec_t ttl = ttl_max;

    for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
        if (SECONDS(node->ai_ttl) < ttl)
            ttl = SECONDS(node->ai_ttl);
    for (const struct ares_addrinfo_cname *cname = info->cnames; cname; cname = cname->next)
        if (SECONDS(cname->ttl) < ttl)
            ttl = SECONDS(cname->ttl);
    return ttl < ttl_min ? ttl_min : ttl;
}

void resolved_read(struct resolved *out, const struct ares_addrinfo *info)
{
    size_t n = 0, taken = 0;

    for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next)
        n++;
    struct address *v = calloc(n ? n : 1, sizeof(*v));
    if (!v) {
        resolved_fail(out, "no memory");
        return;
    }
    for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
        if (address_from_sockaddr(node->ai_addr, (socklen_t)node->ai_addrlen, &v[taken])) {
            v[taken].port = 0;
            taken++;
        }
    }
    settle(out, v, taken, ttl_of(info));
    free(v);
}

static bool is_localhost(struct str name)
{
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    return str_eq_nocase(name, STR("localhost")) || str_ends_nocase(name, STR(".localhost"));
}

/* RFC 6761 section 6.3 and literals. */
bool resolved_without_asking(struct str name, struct resolved *out)
{
    struct address v[2] = {{0}};

    if (address_parse_ip(name, &v[0])) {
        settle(out, v, 1, ttl_max);
        return true;
    }
    if (is_localhost(name)) {
        address_parse_ip(STR("127.0.0.1"), &v[0]);
        address_parse_ip(STR("::1"), &v[1]);
        settle(out, v, 2, ttl_max);
        return true;
    }
    if (name.n == 0 || name.n > RESOLVER_NAME_BYTES_MAX || memchr(name.p, '\0', name.n)) {
        resolved_fail(out, "not the name of a host");
        return true;
    }
    return false;
}

static size_t read_hosts_file(struct ares_channeldata *channel, const char *name, int family,
                              struct address *v, size_t room)
{
    struct hostent *host = NULL;
    size_t n = 0;

    if (ares_gethostbyname_file(channel, name, family, &host) != ARES_SUCCESS)
        return 0;
    for (char **at = host->h_addr_list; *at && n < room; at++, n++) {
        v[n] = (struct address){.family = (uint16_t)family};
        memcpy(v[n].ip, *at, (size_t)host->h_length);
    }
    ares_free_hostent(host);
    return n;
}

bool resolved_from_hosts_file(struct ares_channeldata *channel, const char *name,
                              struct resolved *out)
{
    struct address v[RESOLVED_MAX];
    size_t n = read_hosts_file(channel, name, AF_INET, v, RESOLVED_MAX);

    n += read_hosts_file(channel, name, AF_INET6, v + n, RESOLVED_MAX - n);
    if (n == 0)
        return false;
    settle(out, v, n, ttl_hosts);
    return true;
}
