/*
 * What it means for a hop that a connection could not be made.
 */
#ifndef SIDESPAN_PROXY_CONNECT_ERROR_H
#define SIDESPAN_PROXY_CONNECT_ERROR_H

#include <stdbool.h>
#include <sys/socket.h>

#include "otlp/span.h"

/* error: the errno of socket(2), connect(2) or SO_ERROR; ETIMEDOUT also for a timeout of ours;
 * ELOOP that the address was not connected to, since we listen there. */
enum span_error connect_error(int error);

/* What connect(2) to that address failed with, as the functions here take it: EADDRNOTAVAIL is that
 * no local port is left, ENETUNREACH that there is no local address, and ELOOP is none. */
int connect_error_known(int error, const struct sockaddr *to, socklen_t len);

/* It lies with the sidecar or its machine, so that no other address would do better. */
bool connect_error_is_everywhere(int error);

/* For a person. A constant, or of strerror(3). */
const char *connect_error_text(int error);

#endif
