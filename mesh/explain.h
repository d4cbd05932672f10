/*
 * What a request would get and why, in words, without a running sidecar.
 */
#ifndef SIDESPAN_MESH_EXPLAIN_H
#define SIDESPAN_MESH_EXPLAIN_H

#include "base/buffer.h"
#include "mesh/config.h"
#include "mesh/request.h"

/*
 * Writes which host, route (each one passed over, with the line that did not
 * hold), faults, target and timeout the request gets; for the weighted choice
 * each arm's share and draw.
 */
void explain_request(const struct config *c, const struct direction *d, const struct request *r,
                     struct buffer *out);

#endif
