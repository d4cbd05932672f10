/*
 * What it means for a hop that a connection could not be made.
 */
#ifndef SIDESPAN_PROXY_CONNECT_ERROR_H
#define SIDESPAN_PROXY_CONNECT_ERROR_H

#include "otlp/span.h"

/* error: the errno of socket(2), connect(2) or SO_ERROR; ETIMEDOUT also for a timeout of ours. */
enum span_error connect_error(int error);

#endif
