/*
 * A regular expression of the config: PCRE2, jitted where the machine can,
 * bytes and not characters, with limits on the work one match may do. A match
 * that meets a limit does not hold. Compiled once, used by any thread; matching
 * takes no memory from the heap unless the jit gave up.
 *
 * `$` is the very end of the subject. (*UTF) is refused.
 */
#ifndef SIDESPAN_MESH_REGEX_H
#define SIDESPAN_MESH_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

enum { REGEX_GROUPS_MAX = 32 };

struct regex;

/* The caller owns the result. NULL: err says why, and at which byte of text. */
struct regex *regex_new(struct str text, struct error *err);
void regex_free(struct regex *r); /* NULL is fine */

/* Anywhere in the subject, as PCRE2 does; anchor it yourself. Thread-safe. */
bool regex_match(const struct regex *r, struct str subject);

/* The named groups, in the order of their numbers: (?<name>...). The name lives with r. */
size_t regex_names(const struct regex *r);
struct str regex_name_at(const struct regex *r, size_t i);
/* The same as regex_match(); values[i], i < regex_names(r), gets what the i-th name stood for: a
 * slice of the subject, empty where the group took no part. Untouched when it does not match. */
bool regex_capture(const struct regex *r, struct str subject, struct str *values);

#endif
