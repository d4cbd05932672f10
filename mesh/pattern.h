/*
 * What a route says of the path: a prefix of whole segments, an exact path, a
 * template with {names}, or a regular expression (PCRE2, jitted, with match
 * limits).
 *
 * Paths are compared as they were received, byte for byte: nothing is decoded,
 * no dot segments or double slashes are folded, case counts.
 *
 *   /api            prefix: /api, /api/ and /api/x, not /apix
 *   /api/           prefix: /api/ and /api/x, not /api
 *   /               prefix: everything, also the * of OPTIONS *
 *   = /a            exact: /a, not /a/
 *   /a/{id}         template: /a/7, not /a, /a/ (a segment is never empty), /a/7/ or /a/7/b
 *   /a/{id}/        template: /a/7/, not /a/7
 *   /a/{rest*}      template: /a/x/y (rest is "x/y"), /a/x/ ("x/"), /a/ and /a (both empty)
 *   ~ ^/v[12]/      regular expression, anywhere in the path unless anchored
 *
 * A {name} is a whole segment; {name*} is the last one. What does not begin
 * with a slash (*, or the authority of a CONNECT) is taken only by the prefix /
 * and by regular expressions.
 */
#ifndef SIDESPAN_MESH_PATTERN_H
#define SIDESPAN_MESH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "mesh/regex.h"

enum pattern_kind { PATTERN_PREFIX, PATTERN_EXACT, PATTERN_TEMPLATE, PATTERN_REGEX };
enum { PATTERN_PARAMS_MAX = 16 };

/* What {names} stood for: slices of the path. Named groups of a regular expression likewise. */
struct path_params {
    size_t n;
    struct {
        struct str name, value;
    } v[PATTERN_PARAMS_MAX];
};

struct pattern;

/* In the arena, but regex code: pattern_release() before the arena goes. text is borrowed for as
 * long as the arena. NULL: err says why. */
struct pattern *pattern_new(struct arena *arena, enum pattern_kind kind, struct str text,
                            struct error *err);
void pattern_release(struct pattern *p); /* NULL is fine */
enum pattern_kind pattern_kind(const struct pattern *p);
/* NULL: it has none. */
const struct regex *pattern_regex(const struct pattern *p);
/* As it was given to pattern_new(). */
struct str pattern_text(const struct pattern *p);
/* What http.route says: the text; empty for a regular expression, and for the prefix "/", which
 * says nothing of what was asked for: http.route has low cardinality, yet tells routes apart. */
struct str pattern_template(const struct pattern *p);
/* Its {names} or named groups in their order into out, if out is not NULL; returns how many. */
size_t pattern_names(const struct pattern *p, struct str *out);

/* path is without query, as received. params may be NULL; its n is 0 unless the path matches
 * and the pattern has names. Only of a regular expression it may be undecided. */
enum verdict pattern_match(const struct pattern *p, struct str path, struct path_params *params);
/* True when every path that later takes, earlier takes too: never wrongly, though there are pairs
 * it does not see (of two regular expressions only equal texts). */
bool pattern_covers(const struct pattern *earlier, const struct pattern *later);

/*
 * The segments of a pattern, one by one, for those who index them. A regular
 * expression has none and is PATTERN_OPEN at once.
 */
enum pattern_part {
    PATTERN_LITERAL, /* this segment, and more parts follow */
    PATTERN_ANY,     /* any one segment that is not empty */
    PATTERN_OPEN,    /* the end: whatever follows, or nothing */
    PATTERN_CLOSED,  /* the end: nothing may follow */
};
/* The i-th part; literal is set for PATTERN_LITERAL. Where the parts accept a path the pattern may
 * still refuse it, never the other way round. */
enum pattern_part pattern_part_at(const struct pattern *p, size_t i, struct str *literal);

#endif
