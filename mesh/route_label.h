/*
 * What metrics call a route: few words, and few of them, whatever the file says.
 */
#ifndef SIDESPAN_MESH_ROUTE_LABEL_H
#define SIDESPAN_MESH_ROUTE_LABEL_H

#include "mesh/config.h"

/* Past so many in a direction the rest share one, and past so many bytes one is cut. */
enum { ROUTE_LABELS_MAX = 200, ROUTE_LABEL_BYTES_MAX = 120 };
#define ROUTE_LABEL_OTHER STR("other")

/*
 * Sets label of each route of the direction: the name that the file gives it, else
 * its path as it is written ("= /", "~ ^/v1", "grpc shop.Users/Get"), with variables in
 * place of values of the environment. Routes of the same text share a label. The
 * first ROUTE_LABELS_MAX in the order of the file have one of their own, those of
 * hosts before those of none, so that every worker and every sidecar with that file
 * decides alike. The labels are in the config's arena.
 */
void route_labels_set(struct config *c, struct direction *d);

#endif
