/*
 * The files a configuration is read from: the one that was named and those it
 * includes, within bounds of size, number and depth.
 */
#ifndef SIDESPAN_MESH_SOURCE_H
#define SIDESPAN_MESH_SOURCE_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "mesh/mask.h"

enum {
    SOURCE_BYTES_MAX = 16 << 20, /* of all files together, values of the environment included */
    SOURCE_FILES_MAX = 1000,
    SOURCE_DEPTH_MAX = 16,
};

struct source {
    const char *name; /* as errors show it; each inclusion has a pointer of its own */
    struct str text;
    const struct source *parent; /* NULL: the file that was named */
    struct place included_at;    /* in parent */
    unsigned depth;              /* 0: the file that was named */
    unsigned number;             /* in the order they were opened */
    bool is_file;                /* the next two hold */
    dev_t device;
    ino_t inode;
    struct source *next; /* the one opened before it */
};

struct sources {
    struct arena *names;   /* outlives the texts: a config keeps places */
    struct arena *scratch; /* texts */
    struct source *newest;
    unsigned n;
    size_t bytes_left;
    struct masks masks; /* in names: what was replaced by values of the environment */
    bool again;         /* a running process reads them: regular files only */
};

void sources_init(struct sources *s, struct arena *names, struct arena *scratch);

/* Text that is in memory already, as if read from a file of that name. NULL: it is too long. */
struct source *source_from_text(struct sources *s, const char *name, struct str text,
                                struct error *err);
/* Reads a file; included_by NULL: the one that was named. NULL: err says why. */
struct source *source_open(struct sources *s, const char *name, const struct source *included_by,
                           struct place at, struct error *err);

/*
 * The files a pattern means: relative to the folder of `from`, in name order.
 * A name without wildcards is returned as it is, whether or not it exists; a
 * pattern may match nothing. NULL: err says why.
 */
struct str *source_names(struct sources *s, const struct source *from, struct str pattern,
                         size_t *n, struct error *err);

/* The path relative to the folder of the file `from`; absolute ones stay. */
struct str source_relative(struct arena *arena, const char *from, struct str path);

#endif
