#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const uint8_t v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* One host has one form: ::ffff:1.2.3.4 is 1.2.3.4 (RFC 4291 section 2.5.5.2). */
static void set_ipv6(struct address *a, const uint8_t ip[16])
{
    if (memcmp(ip, v4_mapped, sizeof(v4_mapped)) == 0) {
        a->family = AF_INET;
        memcpy(a->ip, ip + sizeof(v4_mapped), 4);
    } else {
        a->family = AF_INET6;
        memcpy(a->ip, ip, 16);
    }
}

bool address_parse_ip(struct str text, struct address *out)
{
    bool brackets = text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']';
    if (brackets)
        text = str_slice(text, 1, text.n - 1);

    char ended[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof(ended) || memchr(text.p, '\0', text.n))
        return false;
    memcpy(ended, text.p, text.n);
    ended[text.n] = '\0';

    struct address a = {0};
    uint8_t ip[16];
    if (!brackets && inet_pton(AF_INET, ended, ip) == 1) {
        a.family = AF_INET;
        memcpy(a.ip, ip, 4);
    } else if (inet_pton(AF_INET6, ended, ip) == 1) {
        set_ipv6(&a, ip);
    } else {
        return false;
    }
    *out = a;
    return true;
}

/* The path lies in sa; an unnamed socket (a client that did not bind) has none. */
static const char *unix_path(const struct sockaddr *sa, socklen_t len)
{
    size_t path_at = offsetof(struct sockaddr_un, sun_path);
    if (len <= path_at)
        return "";
    const char *path = (const char *)sa + path_at;
    return memchr(path, '\0', len - path_at) ? path : NULL;
}

bool address_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *out)
{
    struct address a = {0};

    if (len < sizeof(sa->sa_family))
        return false;
    if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        a.family = AF_INET;
        a.port = ntohs(in.sin_port);
        memcpy(a.ip, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        a.port = ntohs(in6.sin6_port);
        set_ipv6(&a, in6.sin6_addr.s6_addr);
    } else if (sa->sa_family == AF_UNIX) {
        a.family = AF_UNIX;
        a.path = unix_path(sa, len);
        if (!a.path)
            return false;
    } else {
        return false;
    }
    *out = a;
    return true;
}

bool address_to_sockaddr(const struct address *a, struct sockaddr_storage *out, socklen_t *len)
{
    if (a->family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->ip, 4);
        memcpy(out, &in, sizeof(in));
        *len = sizeof(in);
        return true;
    }
    if (a->family == AF_INET6) {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
        memcpy(&in6.sin6_addr, a->ip, 16);
        memcpy(out, &in6, sizeof(in6));
        *len = sizeof(in6);
        return true;
    }
    if (a->family == AF_UNIX) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        size_t n = a->path ? strlen(a->path) : 0;
        if (n == 0 || n >= sizeof(un.sun_path))
            return false;
        memcpy(un.sun_path, a->path, n + 1);
        memcpy(out, &un, sizeof(un));
        *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
        return true;
    }
    return false;
}

/* The digits of each octet, and how many there are. */
#define OCTET_HUNDREDS(n) \
    (char)((n) >= 100 ? '0' + (n) / 100 : (n) >= 10 ? '0' + (n) / 10 : '0' + (n))
#define OCTET_TENS(n) (char)((n) >= 100 ? '0' + (n) / 10 % 10 : '0' + (n) % 10)
#define OCTET(n)                                                                             \
    {                                                                                        \
        OCTET_HUNDREDS(n), OCTET_TENS(n), '0' + (n) % 10, (n) >= 100 ? 3 : (n) >= 10 ? 2 : 1 \
    }
#define OCTETS_4(n)  OCTET(n), OCTET((n) + 1), OCTET((n) + 2), OCTET((n) + 3)
#define OCTETS_16(n) OCTETS_4(n), OCTETS_4((n) + 4), OCTETS_4((n) + 8), OCTETS_4((n) + 12)
#define OCTETS_64(n) OCTETS_16(n), OCTETS_16((n) + 16), OCTETS_16((n) + 32), OCTETS_16((n) + 48)
static const char octets[256][4] = {OCTETS_64(0), OCTETS_64(64), OCTETS_64(128), OCTETS_64(192)};

/* Written for each request, hence without printf. Up to three bytes behind its end are overwritten.
 */
static char *write_ipv4(char *at, const uint8_t ip[4])
{
    for (int i = 0; i < 4; i++) {
        const char *digits = octets[ip[i]];

        memcpy(at, digits, sizeof octets[0]);
        at += digits[3];
        *at++ = '.';
    }
    return at - 1;
}

static char *write_port(char *at, unsigned port)
{
    size_t n = port >= 10000 ? 5 : port >= 1000 ? 4 : port >= 100 ? 3 : port >= 10 ? 2 : 1;

    for (size_t i = n; i--; port /= 10)
        at[i] = (char)('0' + port % 10);
    return at + n;
}

/* Copies a path as far as it fits before the NUL. */
static char *write_path(char *at, const char *end, const char *path)
{
    size_t room = (size_t)(end - at) - 1;
    size_t n = path ? strnlen(path, room) : 0;

    if (n)
        memcpy(at, path, n);
    return at + n;
}

size_t address_format_ip(const struct address *a, char *out)
{
    char *at = out;

    if (a->family == AF_INET)
        at = write_ipv4(at, a->ip);
    else if (a->family == AF_INET6 && inet_ntop(AF_INET6, a->ip, out, INET6_ADDRSTRLEN))
        at += strlen(out);
    else if (a->family == AF_UNIX)
        at = write_path(at, out + ADDRESS_TEXT_MAX, a->path);
    *at = '\0';
    return (size_t)(at - out);
}

size_t address_format(const struct address *a, char *out)
{
    char *at = out;

    if (a->family == AF_INET) {
        at = write_ipv4(at, a->ip);
    } else if (a->family == AF_INET6) {
        *at++ = '[';
        at += address_format_ip(a, at);
        *at++ = ']';
    } else if (a->family == AF_UNIX) {
        memcpy(at, "unix:", 5);
        at = write_path(at + 5, out + ADDRESS_TEXT_MAX, a->path);
    }
    if (a->family == AF_INET || a->family == AF_INET6) {
        *at++ = ':';
        at = write_port(at, a->port);
    }
    *at = '\0';
    return (size_t)(at - out);
}

bool address_eq(const struct address *a, const struct address *b)
{
    if (a->family != b->family)
        return false;
    if (a->family == AF_UNIX)
        return str_eq(str_from(a->path), str_from(b->path));
    size_t ip_bytes = a->family == AF_INET ? 4 : a->family == AF_INET6 ? 16 : 0;
    return memcmp(a->ip, b->ip, ip_bytes) == 0 && (ip_bytes == 0 || a->port == b->port);
}

bool address_is_loopback(const struct address *a)
{
    static const uint8_t one[16] = {[15] = 1};

    if (a->family == AF_INET)
        return a->ip[0] == 127;
    if (a->family == AF_INET6)
        return memcmp(a->ip, one, 16) == 0 ||
               (memcmp(a->ip, v4_mapped, sizeof(v4_mapped)) == 0 && a->ip[12] == 127);
    return a->family == AF_UNIX;
}

bool address_within(const struct address *a, const struct address *network, unsigned bits)
{
    size_t whole = bits / 8;
    unsigned rest = bits % 8, mask = 0xffu << (8 - rest) & 0xff;

    if (a->family != network->family || (a->family != AF_INET && a->family != AF_INET6) ||
        memcmp(a->ip, network->ip, whole) != 0)
        return false;
    return rest == 0 || ((a->ip[whole] ^ network->ip[whole]) & mask) == 0;
}
