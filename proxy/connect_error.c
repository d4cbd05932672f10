#include "proxy/connect_error.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum span_error connect_error(int error)
{
    switch (error) {
    case ETIMEDOUT:
        return SPAN_ERROR_CONNECT_TIMEOUT;
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case EAFNOSUPPORT:
    case EACCES:
    case EPERM:
        return SPAN_ERROR_UNREACHABLE;
    case EADDRNOTAVAIL:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return SPAN_ERROR_OVERLOAD;
    case ECONNRESET:
        return SPAN_ERROR_RESET;
    case ELOOP:
        return SPAN_ERROR_LOOP;
    default:
        return SPAN_ERROR_REFUSED;
    }
}

/* Without an address of our own in its family (IPv6 is off, say) the kernel tells the same number
 * as when no port is left. A datagram socket needs the one and not the other. */
int connect_error_known(int error, const struct sockaddr *to, socklen_t len)
{
    int fd;
    bool has_address;

    if (error == ELOOP) /* the links of a socket's path: there is none at their end */
        return ENOENT;
    if (error != EADDRNOTAVAIL || (fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
        return error;
    has_address = connect(fd, to, len) == 0;
    close(fd);
    return has_address ? error : ENETUNREACH;
}

/* The ports that are used up are those for one address. */
bool connect_error_is_everywhere(int error)
{
    return connect_error(error) == SPAN_ERROR_OVERLOAD && error != EADDRNOTAVAIL;
}

const char *connect_error_text(int error)
{
    switch (error) {
    case ENOENT:
        return "there is no such socket";
    case ELOOP:
        return "it is this sidecar itself";
    case EAGAIN:
        return "its queue of connections is full";
    case EHOSTUNREACH:
    case ENETUNREACH:
        return "no route to it";
    case ETIMEDOUT:
        return "no answer in time";
    case EADDRNOTAVAIL:
        return "every local port for it is in use";
    default:
        return strerror(error);
    }
}
