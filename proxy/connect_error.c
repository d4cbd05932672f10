#include "proxy/connect_error.h"

#include <errno.h>

enum span_error connect_error(int error)
{
    switch (error) {
    case ETIMEDOUT:
        return SPAN_ERROR_CONNECT_TIMEOUT;
    case ENETUNREACH:
    case ENETDOWN:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EACCES:
    case EPERM:
        return SPAN_ERROR_UNREACHABLE;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return SPAN_ERROR_OVERLOAD;
    case ECONNRESET:
        return SPAN_ERROR_RESET;
    default:
        return SPAN_ERROR_REFUSED;
    }
}
