/*
 * What holds for a message in every version of HTTP (RFC 9110).
 */
#ifndef SIDESPAN_PROXY_HTTP_RULES_H
#define SIDESPAN_PROXY_HTTP_RULES_H

#include "proxy/codec.h"

/* Over a limit, whatever the version. */
extern const struct refusal refusal_head_bytes, refusal_headers, refusal_response_bytes,
    refusal_response_headers, refusal_url;
/* Over a limit that an upstream has told. */
extern const struct refusal refusal_upstream_head;

/* HTAB, SP, VCHAR and obs-text alone (section 5.5); a reason phrase has no others either. */
bool field_value_valid(struct str value);
/* A character of a token (section 5.6.2): of a method, or of a field's name. */
bool field_name_char(unsigned char c);
/* Visible ASCII only. */
bool target_valid(struct str target);
/* Bytes above ASCII, which no URI has (RFC 3986 section 2) and some servers take for spaces, are
 * percent-encoded as RFC 3987 section 3.1 does. False: the arena is full. */
bool target_encode(struct str *target, struct arena *arena);
/* host ":" port, section 9.3.6. */
bool connect_target_valid(struct str target);
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
