/*
 * What upstream.c and cluster_state.c share.
 */
#ifndef SIDESPAN_PROXY_UPSTREAM_PRIVATE_H
#define SIDESPAN_PROXY_UPSTREAM_PRIVATE_H

#include "proxy/upstream.h"

/* Nobody will ask it again: what is idle is closed, what is under way ends by itself. */
void upstream_retire(struct upstream *u);

#endif
