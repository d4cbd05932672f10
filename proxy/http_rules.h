/*
 * What holds for a message in every version of HTTP (RFC 9110).
 */
#ifndef SIDESPAN_PROXY_HTTP_RULES_H
#define SIDESPAN_PROXY_HTTP_RULES_H

#include "proxy/codec.h"

/* Over a limit, whatever the version. */
extern const struct refusal refusal_head_bytes, refusal_headers, refusal_url;
/* Over a limit that an upstream has told. */
extern const struct refusal refusal_upstream_head;

/* uri-host [":" port], section 7.2; no userinfo, and no port above 65535. */
bool host_valid(struct str host);
/* Visible ASCII only. */
bool target_valid(struct str target);
/* Sets path and query from an origin-form target; where it has no path, "/" or the "*" of OPTIONS.
 */
void message_split_path(struct message *m, struct str target);
/* Fields that frame, route, authorise or describe a message mean nothing behind it, but for a
 * reader who merges them into the head (section 6.5.1): they do not travel as trailers. */
bool field_may_trail(struct str name);
/* RFC 9110 sections 15.2, 15.3.5, 15.3.6 and 15.4.5; that of HEAD aside. */
bool status_has_content(unsigned status);
/* "OK", ...; empty: none is known. */
struct str reason_phrase(unsigned status);

/* May be sent twice (RFC 9110 section 9.2.2). */
bool method_is_idempotent(struct str method);

#endif
