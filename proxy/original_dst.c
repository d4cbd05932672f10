#include "proxy/original_dst.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/own_address.h"

/* linux/netfilter_ipv4.h, which does not go together with netinet/in.h: SO_ORIGINAL_DST and
 * IP6T_SO_ORIGINAL_DST have one number. */
enum { ORIGINAL_DST_OPTION = 80 };

static bool is_mapped(const struct sockaddr_storage *sa)
{
    struct sockaddr_in6 in6;

    memcpy(&in6, sa, sizeof(in6));
    return IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
}

/* An IPv4 client of a socket for both families is tracked as IPv4, and only known there. */
static bool ask_netfilter(int fd, const struct sockaddr_storage *local, struct address *out)
{
    bool v6 = local->ss_family == AF_INET6 && !is_mapped(local);
    struct sockaddr_storage sa;
    socklen_t len = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    if (getsockopt(fd, v6 ? SOL_IPV6 : SOL_IP, ORIGINAL_DST_OPTION, &sa, &len) != 0)
        return false;
    return address_from_sockaddr((struct sockaddr *)&sa, len, out);
}

bool original_dst_is_listener(const struct address *dst, const struct address *local,
                              uint16_t listener_port)
{
    if (address_eq(dst, local))
        return true;
    return dst->port == listener_port && address_is_own(dst);
}

enum original_dst original_dst_get(int fd, uint16_t listener_port, struct address *out)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct address local, dst;

    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0 ||
        (sa.ss_family != AF_INET && sa.ss_family != AF_INET6) ||
        !address_from_sockaddr((struct sockaddr *)&sa, len, &local))
        return ORIGINAL_DST_NONE;
    if (!ask_netfilter(fd, &sa, &dst)) /* ENOENT: not tracked, hence not redirected */
        return ORIGINAL_DST_NONE;
    if (original_dst_is_listener(&dst, &local, listener_port))
        return ORIGINAL_DST_ITSELF;
    *out = dst;
    return ORIGINAL_DST_FOUND;
}
