/*
 * Statements into a config: what the readers of directives (load_*.c) share.
 * A reader takes what it understands, reports the rest, and goes on: nothing
 * stops at the first mistake, and nothing that one mistake made impossible is
 * reported as another.
 */
#ifndef SIDESPAN_MESH_LOADER_H
#define SIDESPAN_MESH_LOADER_H

#include "mesh/config.h"
#include "mesh/directive_table.h"
#include "mesh/must.h"
#include "mesh/parser.h"
#include "mesh/value.h"

/* A `to` that waits until all clusters are known. */
struct reference {
    const struct direction *direction;
    struct route *route;
    size_t target; /* which of the route's */
    struct place at;
    struct reference *next;
};

struct loader {
    struct config *config;
    struct arena *arena;   /* the config's */
    struct arena *scratch; /* gone when the file is read */
    struct report *report;
    bool braces_lost;            /* blocks are not what they seem */
    bool clusters_lost;          /* a cluster's name could not be read */
    struct direction *direction; /* that is being read */
    struct map hosts;            /* of it, by name: struct place */
    bool listen_lost;            /* one of its `listen` could not be read */
    struct route *route;         /* that is being read */
    bool target_lost;            /* one of its `to` could not be read */
    struct reference *references, **last_reference;
    struct cluster **implicit; /* in the order of their first use */
    size_t n_implicit;
};

/* One { block } as it is read: where each directive of it stood first. */
struct block {
    const char *name;  /* "route"; "": the top level */
    unsigned contexts; /* IN() of those whose rows may stand in it */
    void *target;      /* what the rows fill */
    struct place first[DIRECTIVES_MAX];
};
void block_init(struct block *b, const char *name, unsigned contexts, void *target);
/* Where any row of that name stands first; line 0: nowhere. */
struct place block_first(const struct block *b, const char *directive);
bool block_has(const struct block *b, const char *directive);

/* Reads the statements of a block, row by row. */
void load_block(struct loader *ld, struct block *b, const struct statement *first);

/* ---- arguments ---- */

/* The words of a statement, taken one by one; those that chose the row are behind already. */
struct words {
    const struct directive *row;
    const struct statement *s;
    size_t i;
};
struct words words_of(const struct directive *row, const struct statement *s);
/* NULL when there are no more. */
const struct word *words_next(struct words *w);
/* Takes the next word if it is that one. */
bool words_take(struct words *w, const char *text);
bool word_is(const struct word *w, const char *text);

/* All of these return false and report. How the directive is written is part of the text. */
bool incomplete(struct loader *ld, const struct words *w);
bool surplus(struct loader *ld, const struct words *w, const struct word *word);
/* No more words may follow. */
bool words_end(struct loader *ld, struct words *w);
/* "trace, header, cookie or source": the choices, NULL at their end; in the loader's scratch. */
const char *words_listed(struct loader *ld, const char *const *choices);
/* The word is none of the choices (NULL at their end): says which is near, or that this version
 * does not have it. */
bool unknown_word(struct loader *ld, const struct words *w, const struct word *word,
                  const char *const *choices);
/* True: *index is that of the word among the choices. */
bool word_choice(struct loader *ld, const struct words *w, const struct word *word,
                 const char *const *choices, size_t *index);
/* The same sentence for what somebody else worded. */
bool wrong(struct loader *ld, const struct word *word, const struct error *err);
bool wrongf(struct loader *ld, const struct word *word, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The next word as a value; false has been reported, also when there is none. */
bool take_duration(struct loader *ld, struct words *w, nsec_t *out);
bool take_number(struct loader *ld, struct words *w, uint64_t min, uint64_t max, uint64_t *out);
bool take_share(struct loader *ld, struct words *w, share_t *share, double *ratio);
/* A word that is text of its own: copied into the config, NUL behind it. */
struct str keep(struct loader *ld, struct str text);
struct str keep_lower(struct loader *ld, struct str text);

/* "KEY VALUE" of an attribute, appended unless the key is there. */
void read_attribute_into(struct loader *ld, struct words *w, struct key_value **v, size_t *n);
/* A header name that a rule may look at; HEADER_OTHER when it is not a known one. */
bool take_header_name(struct loader *ld, struct words *w, struct str *name, enum header_id *id);
/* `header NAME …` and its kin from the next word on; until the words end, or the test does. */
bool take_match(struct loader *ld, struct words *w, enum route_match_kind kind,
                struct match_rule *out);
/* How a place is told of in a message that stands elsewhere: "line 12", "line 3 of a.conf". */
const char *place_shown(struct loader *ld, struct place from, struct place at);

/* ---- pieces of one noun that another needs ---- */

struct cluster *cluster_new(struct loader *ld, struct str name, struct place at);
/* The words behind `route` into pattern, text, template and grpc; pattern stays NULL where they are
 * wrong. */
void read_path(struct loader *ld, const struct directive *row, const struct statement *s,
               struct route *r);
struct template *read_template(struct loader *ld, const struct word *word);
void check_unreachable(struct loader *ld, struct route *const *routes, size_t n);
/* Listeners that carry what is not HTTP. */
void check_opaque(struct loader *ld, const struct direction *d);

/* After all is read: what only the whole file shows. */
void resolve_references(struct loader *ld);
void finish_clusters(struct loader *ld);
void finish_trace(struct loader *ld);
void check_listens(struct loader *ld);
/* Targets that are this direction's own listeners. */
void check_loops(struct loader *ld);
/* Hosts hashed, paths indexed. Only for a config without mistakes. */
bool build_tables(struct loader *ld, struct direction *d, struct error *err);

#endif
