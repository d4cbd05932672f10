/*
 * A config as text in the language it was read from.
 */
#ifndef SIDESPAN_MESH_CONFIG_TEXT_H
#define SIDESPAN_MESH_CONFIG_TEXT_H

#include "base/buffer.h"
#include "mesh/config.h"

/*
 * All that is in force, defaults included, in one order whatever the order of
 * the file. Unless masked it reads as an equal config, with the same hash.
 * Masked: "***" for the values of an exporter's headers and of header fields
 * whose name says that they are secret (Authorization, X-Api-Token), and the
 * variable in the place of each value of the environment.
 */
void config_write(const struct config *c, bool masked, struct buffer *out);

/* SipHash of the text, as 16 hex digits and a NUL. */
void config_hash(struct str text, char out[17]);

#endif
