/*
 * Text with parts of the request in it:
 *
 *   $(header NAME)   the first field of that name
 *   $(path NAME)     what {NAME} of the route's path, or the named group, stood for
 *   $(query NAME)    the first parameter of that name, still encoded
 *   $(trace-id)      32 hex digits
 *   $(source)        the caller's IP address
 *   $(host)          the host that was asked for, without its port
 *   $(port)          its port: as it was asked for, or that of the scheme
 *   $(authority)     host and port as they came
 *   $(scheme)        http or https
 *   $(method)        the method
 *   $(request-path)  the path as it came, without the query
 *   $(request-query) "?" and the query as it came; empty where there is none
 *   $(request-uri)   both
 */
#ifndef SIDESPAN_MESH_TEMPLATE_H
#define SIDESPAN_MESH_TEMPLATE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum { TEMPLATE_PARTS_MAX = 32 };

struct template;
struct request;
struct path_params;

/* text is borrowed for as long as the arena. NULL: err says why (unknown part, missing
 * parenthesis). "$$(" is a literal "$(". */
struct template *template_new(struct arena *arena, struct str text, struct error *err);
/* True when there is nothing to fill in; template_text() is then the result. */
bool template_is_literal(const struct template *t);
/* Of a literal its result ("$$(" undone), else the text as it was written. */
struct str template_text(const struct template *t);
/* Its literal text has a control character (a quoted "\n"), which no header, path or URL may. */
bool template_has_control(const struct template *t);
/* The name of the first $(path NAME) that names does not have; p NULL: all are there. */
struct str template_unknown_path_name(const struct template *t, const struct str *names, size_t n);

/* Filled in; what is absent is empty. CR, LF and NUL cannot come in: values of headers have none,
 * and control characters, but for tabs, are percent-encoded. p NULL: the arena is full. A literal
 * is returned as it is, without a copy. */
struct str template_expand(const struct template *t, const struct request *r,
                           const struct path_params *params, struct arena *arena);
/* The same for a rewritten path: of what is filled in, all that may not stand in a
 * URL (spaces, control characters, bytes above 0x7e and "#<>\^`{|}) is percent-encoded. */
struct str template_expand_url(const struct template *t, const struct request *r,
                               const struct path_params *params, struct arena *arena);
/* The same for a Location. A path that begins with two slashes would be read as the name of another
 * host (RFC 3986 section 4.2): "/." is put before it, unless the text itself says so, or begins
 * with a part of the request that may be a whole URL. */
struct str template_expand_location(const struct template *t, const struct request *r,
                                    const struct path_params *params, struct arena *arena);

#endif
