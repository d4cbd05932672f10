#include "proxy/own_address.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REMEMBERED = 32 };
/* Addresses come and go with interfaces. */
#define FOR_SO_LONG SECONDS(5)

bool address_is_own(const struct address *a)
{
    struct address any_port = *a;
    struct sockaddr_storage sa;
    socklen_t len;

    any_port.port = 0;
    if (!address_to_sockaddr(&any_port, &sa, &len))
        return false;
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool bound = bind(fd, (struct sockaddr *)&sa, len) == 0;
    close(fd);
    return bound;
}

bool address_was_own(const struct address *a, nsec_t now)
{
    static _Thread_local struct {
        struct address address; /* port 0 */
        nsec_t until;
        bool own;
    } known[REMEMBERED];
    struct address host = *a;
    unsigned at = 0;

    host.port = 0;
    for (size_t i = 0; i < sizeof host.ip; i++)
        at = at * 31 + host.ip[i];
    at %= REMEMBERED;
    if (known[at].until <= now || !address_eq(&known[at].address, &host)) {
        known[at].address = host;
        known[at].until = now + FOR_SO_LONG;
        known[at].own = address_is_own(&host);
    }
    return known[at].own;
}
