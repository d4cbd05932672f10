/*
 * A row of the language as the loader sees it: mesh/directives.h is what
 * everybody else sees of it.
 */
#ifndef SIDESPAN_MESH_DIRECTIVE_TABLE_H
#define SIDESPAN_MESH_DIRECTIVE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "mesh/directives.h"

/* Where a directive may stand, in the order of the manual. */
enum context {
    CONTEXT_ANY, /* wherever a directive may stand */
    CONTEXT_TOP,
    CONTEXT_SERVICE,
    CONTEXT_DIRECTION,
    CONTEXT_INBOUND,
    CONTEXT_HOST,
    CONTEXT_ROUTE,
    CONTEXT_CLUSTER,
    CONTEXT_TRACE,
    CONTEXT_EXPORT,
    CONTEXT_SAMPLE,
    CONTEXT_BATCH,
    CONTEXT_LIMITS,
    CONTEXT_TIMEOUTS,
    CONTEXT_COUNT,
};
#define IN(context) (1u << (context))

/* Their names, as directive_contexts() gives them. */
#define CONTEXT_ANY_NAME       "any block"
#define CONTEXT_TOP_NAME       ""
#define CONTEXT_SERVICE_NAME   "service"
#define CONTEXT_DIRECTION_NAME "inbound, outbound"
#define CONTEXT_INBOUND_NAME   "inbound"
#define CONTEXT_HOST_NAME      "host"
#define CONTEXT_ROUTE_NAME     "route"
#define CONTEXT_CLUSTER_NAME   "cluster"
#define CONTEXT_TRACE_NAME     "trace"
#define CONTEXT_EXPORT_NAME    "export otlp"
#define CONTEXT_SAMPLE_NAME    "sample parent"
#define CONTEXT_BATCH_NAME     "batch"
#define CONTEXT_LIMITS_NAME    "limits"
#define CONTEXT_TIMEOUTS_NAME  "timeouts"

enum { DIRECTIVES_MAX = 128, WORDS_ANY = 255 };
enum capture_side { CAPTURE_REQUEST, CAPTURE_RESPONSE };
enum block_rule { BLOCK_NONE, BLOCK_MAY, BLOCK_MUST };

struct loader;
struct statement;
struct block;
struct directive;

/* Called with at least min_words and at most max_words arguments. Where the row may have a block it
 * is called for bad statements too (s->bad: the arguments are not to be read), for their block. */
typedef void directive_fn(struct loader *ld, const struct directive *row, const struct statement *s,
                          struct block *in);

/* Writes what the target has of that directive, as lines of the language; target is that of the
 * block, as the reader filled it. */
struct lines;
typedef void directive_write_fn(struct lines *w, const struct directive *row, const void *target);

/* A field that a general reader fills: where it is in the target, how wide, and its bounds. */
struct field {
    size_t offset, size;
    uint64_t min, max;
    const char *zero; /* the word that is allowed besides, and is 0: "none"; NULL: there is none */
    const char *most; /* the same for UINT64_MAX */
};

struct directive {
    enum context in;
    struct directive_row shown;
    const char *word;   /* the first argument, where it chooses the row; NULL: it does not */
    unsigned value;     /* what name and word mean to the reader: SPLIT_BY_HEADER, FAULT_DELAY */
    directive_fn *read; /* NULL: include, which the parser reads */
    /* NULL: another row of the block writes it too, as is said there. */
    directive_write_fn *write;
    struct field field;
    uint8_t min_words, max_words; /* arguments, word included */
    enum block_rule block;
    bool repeats;    /* may stand several times */
    bool alone;      /* rows of this name with other words may stand beside it */
    bool free_words; /* an argument may be any word, also one that is a directive's name */
};

/* In the order of the manual. */
const struct directive *directive_table(size_t *n);

/* What the language has and this version has not. */
struct later {
    unsigned in;
    const char *name;
    const char *word; /* NULL: whatever its arguments; else one of its arguments */
    const char *cure; /* what to say instead; NULL: nothing comes near */
};
/* word empty: the directive itself. NULL: not such a one. */
const struct later *later_find(unsigned contexts, struct str name, struct str word);

/* What is to be written where somebody writes a word of another program, or another for what is
 * here. word's pointer NULL: the directive itself; else one of its arguments, later: not the
 * first. NULL: it is no such word. */
const char *foreign_cure(struct str name, struct str word, bool later);
/* The word stands for itself among the row's arguments: max of "[max N | none]". */
bool directive_has_word(const struct directive *row, struct str word);

/* Readers that rows of many nouns use. */
directive_fn read_duration_field, read_size_field, read_number_field, read_text_field,
    read_on_off_field;
/* And their writers. */
directive_write_fn write_duration_field, write_size_field, write_number_field, write_text_field,
    write_on_off_field;

/* One for each directive that has rules of its own; load_*.c. */
directive_fn read_service, read_attribute_of_service, read_direction, read_cluster, read_trace,
    read_limits, read_timeouts, read_admin, read_log_level, read_log_format;
directive_fn read_listen, read_unmatched, read_host, read_route;
directive_fn read_match, read_to, read_by, read_fault, read_header_action, read_rewrite,
    read_rewrite_host, read_respond, read_redirect, read_name, read_attribute_of_route;
directive_fn read_endpoint, read_balance, read_protocol, read_pool;
directive_fn read_export_otlp, read_export_console, read_export_memory, read_export_none,
    read_sample, read_sample_parent, read_sample_delegate, read_propagate, read_batch, read_redact,
    read_capture;
directive_fn read_compression, read_export_header, read_export_file;

enum which_rows { ROWS_ALL, ROWS_WITH_BLOCK, ROWS_WITHOUT };
/* Has the rows of a context write what target has, in the order of the table; */
void write_rows(struct lines *w, enum context in, enum which_rows which, const void *target);
/* all of them, in braces. */
void write_block(struct lines *w, enum context in, const void *target);
/* Their writers; config_text*.c, where a row without one is written by that of a row beside it. */
directive_write_fn write_service, write_attribute_of_service, write_inbound, write_outbound,
    write_clusters, write_trace, write_limits, write_timeouts, write_admin, write_log_level,
    write_log_format;
directive_write_fn write_listens, write_unmatched, write_hosts, write_routes_of_direction,
    write_routes_of_host;
directive_write_fn write_matches, write_targets, write_by, write_faults, write_route_timeout,
    write_route_idle, write_header_actions, write_rewrite, write_rewrite_host, write_answer,
    write_name, write_attributes_of_route;
directive_write_fn write_endpoints, write_balance, write_protocol, write_pool;
directive_write_fn write_exports, write_sample, write_sampler, write_propagate, write_batch,
    write_redact, write_capture;
directive_write_fn write_compression, write_export_headers;

#endif
