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

/*
 * Parts of it with nothing masked, to be compared: those of two configs are the
 * same text if they mean the same.
 */
/* What is there once, from 0 on: "service", "limits" and so on; NULL: there are no more. */
const char *config_write_part(const struct config *c, size_t i, struct buffer *out);
void config_write_direction(const struct config *c, const struct direction *d, struct buffer *out);
void config_write_cluster(const struct config *c, const struct cluster *cluster,
                          struct buffer *out);
void config_write_route(const struct config *c, const struct direction *d, const struct route *r,
                        struct buffer *out);

/* Masked, each with a space before it: what stands behind the word route, and a name, in quotes if
 * it needs them. */
void config_write_path(const struct config *c, const struct route *r, struct buffer *out);
void config_write_name(const struct config *c, struct str name, struct buffer *out);
/* What an exporter depends on of the file, unmasked, as text: its `export`, the batch and what is
 * redacted. */
void config_write_export(const struct trace_config *t, const struct export_config *e,
                         struct buffer *out);

/* SipHash of the text, as 16 hex digits and a NUL. */
void config_hash(struct str text, char out[17]);

#endif
