/*
 * A regular expression of the config: PCRE2, jitted where the machine can,
 * bytes and not characters, with limits on the work one match may do. A match
 * that meets a limit is not decided: it is neither a yes nor a no, since a peer
 * may have written the subject so that it meets it. Compiled once, used by any
 * thread; matching takes no memory from the heap unless the jit gave up.
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

/* What is known of a condition. Of several that must all hold a no decides, of several of which one
 * must hold a yes; whoever asked for the whole refuses what is undecided, since either answer could
 * be the wrong one. */
enum verdict {
    VERDICT_NO,
    VERDICT_YES,
    VERDICT_UNDECIDED, /* a limit of the work was met, or there was no memory for it */
};

struct regex;

/* The caller owns the result. NULL: err says why, and at which byte of text. */
struct regex *regex_new(struct str text, struct error *err);
void regex_free(struct regex *r); /* NULL is fine */

/* Anywhere in the subject, as PCRE2 does; anchor it yourself. Thread-safe. */
enum verdict regex_match(const struct regex *r, struct str subject);

/* The named groups, in the order of their numbers: (?<name>...). The name lives with r. */
size_t regex_names(const struct regex *r);
struct str regex_name_at(const struct regex *r, size_t i);
/* The same as regex_match(); values[i], i < regex_names(r), gets what the i-th name stood for: a
 * slice of the subject, empty where the group took no part. Untouched when it does not match. */
enum verdict regex_capture(const struct regex *r, struct str subject, struct str *values);

/*
 * Looks for a subject with which the expression, which text is as it was
 * written, meets the limit; the first that is found is added to example, at most
 * REGEX_EXAMPLE_BYTES of it. It tries what its own repetitions suggest: false is
 * no proof that there is none. It may take a second: for `check`, not for a
 * running sidecar (regex_probe.c).
 */
struct buffer;
enum { REGEX_EXAMPLE_BYTES = 8192 };
bool regex_runs_away(const struct regex *r, struct str text, struct buffer *example);
/* It can only match at the beginning. */
bool regex_is_anchored(const struct regex *r);
/* A byte without which nothing matches, as PCRE2 sees it; 0: it sees none. */
char regex_needed_byte(const struct regex *r);

#endif
