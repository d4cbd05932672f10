/*
 * A file of another kind that was given for a routes.conf: its first line tells,
 * so that one error says so and not one for each of its lines.
 */
#ifndef SIDESPAN_MESH_FOREIGN_FILE_H
#define SIDESPAN_MESH_FOREIGN_FILE_H

#include "base/error.h"
#include "base/str.h"

/* What the text seems to be, as "YAML", and the line and column that show it; NULL: nothing else
 * than a routes.conf. */
const char *foreign_file(struct str text, struct place *at);

#endif
