/*
 * The text that GET /config shows as a tree: what the words are, and which stand
 * in which block. It is what was read of the file, every default in place, and
 * has no more in it than the text: no value of the environment, no secret.
 */
#ifndef SIDESPAN_MESH_CONFIG_TREE_H
#define SIDESPAN_MESH_CONFIG_TREE_H

#include "mesh/parser.h"

struct config_tree {
    struct arena arena;
    const struct statement *first; /* NULL: there are none */
};

/* A variable stands for itself: "${NAME}". The text is borrowed until config_tree_release(), which
 * is called in either case. False: the text is not in the language; nothing is known of it. */
bool config_tree_read(struct config_tree *t, struct str text);
void config_tree_release(struct config_tree *t);

#endif
