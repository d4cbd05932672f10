/*
 * What is other in a configuration than in the one before it, in a line: for the
 * log of a reload.
 */
#ifndef SIDESPAN_MESH_CONFIG_CHANGES_H
#define SIDESPAN_MESH_CONFIG_CHANGES_H

#include "base/buffer.h"
#include "mesh/config.h"

/* Of each kind so many are named, each with so many bytes at most; the rest are counted. */
enum { CHANGES_NAMED_MAX = 4, CHANGE_BYTES_MAX = 100 };

/*
 * "clusters +canary, -old, ~users; routes ~/api; weights /api stable 90 canary 10;
 * faults /api delay 2s for 10%; settings limits": + came, - went, ~ says something else. A
 * route is called by its path, with its host and, where there are both, its
 * direction. Values of the environment are masked. Two that say the same, but in
 * another order: "the same in another order".
 */
void config_changes(const struct config *old, const struct config *now, struct buffer *out);

#endif
