/*
 * tracestate: W3C Trace Context level 2, section "tracestate Header".
 *
 * Keys: 1 to 256 of a-z 0-9 _ - * / @, the first of a-z 0-9. Values: 1 to 256
 * of 0x20 to 0x7E without comma and equals sign; spaces in front belong to the
 * value, spaces behind do not.
 */
#ifndef SIDESPAN_PROPAGATION_TRACESTATE_H
#define SIDESPAN_PROPAGATION_TRACESTATE_H

#include "base/headers.h"

enum { TRACESTATE_MEMBERS_MAX = 32, TRACESTATE_KEEP_BYTES = 512, TRACESTATE_BYTES_MAX = 8192 };

/*
 * Joins all tracestate fields in the order received and checks the whole list
 * strictly by level 2. An invalid list, and one for which the arena has no
 * room, gives the empty str: a bad tracestate never spoils its traceparent. A
 * single well-formed field is returned as it is, without a copy; empty members
 * are left out. Lists over 8192 bytes are cut as by tracestate_cut().
 */
struct str tracestate_from_headers(const struct headers *fields, struct arena *arena);

/* Checks one joined list; *members gets their number (empty ones not counted). */
bool tracestate_valid(struct str list, unsigned *members);

/*
 * A valid list cut to limit_bytes as level 2 says, by whole members only:
 * those over 128 characters first, then any, both from the right end, and no
 * more than needed. A list within the limit is returned as it is. p NULL: the
 * arena is full.
 */
struct str tracestate_cut(struct str list, size_t limit_bytes, struct arena *arena);

/*
 * The list with key=value at the left end, an older member of that key removed,
 * the right-most dropped past 32 members, and cut to 8192 bytes. A key or value
 * that level 2 does not allow changes nothing. p NULL: the arena is full.
 */
struct str tracestate_put(struct str list, struct str key, struct str value, struct arena *arena);

/* The list without that key; as it is where the key is not in it. p NULL: the arena is full. */
struct str tracestate_remove(struct str list, struct str key, struct arena *arena);

/* The value of a key, or p NULL. Of a repeated key, the left-most: it is the newest. */
struct str tracestate_get(struct str list, struct str key);

#endif
