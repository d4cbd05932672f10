/*
 * What the files that make up config_warnings() share.
 */
#ifndef SIDESPAN_MESH_WARNINGS_H
#define SIDESPAN_MESH_WARNINGS_H

#include "mesh/config.h"

/* ---- warn_listen.c ---- */
void warn_of_listens(struct errors *warnings, const struct direction *d);

#endif
