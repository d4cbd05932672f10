/*
 * How explain writes what a decision is made of: one field a line, a label of
 * fixed width before it; values quoted, so that nothing in them can pass for
 * something else or reach the terminal.
 */
#ifndef SIDESPAN_MESH_EXPLAIN_TEXT_H
#define SIDESPAN_MESH_EXPLAIN_TEXT_H

#include "base/buffer.h"
#include "mesh/config.h"
#include "mesh/request.h"

/* Begins a line: the label, padded. Of a label NULL only the padding. */
void text_label(struct buffer *out, const char *label);
/* "abc", control characters and quotes escaped, cut when long. */
void text_quoted(struct buffer *out, struct str s);
/* The same escapes, without quotes and never cut. */
void text_plain(struct buffer *out, struct str s);
/* For reading, at most microseconds or six digits: 1.5s, 150ms, 2m, 116.415ms. */
void text_duration(struct buffer *out, nsec_t t);
/* " (routes.conf:20)"; nothing where there is no place. */
void text_place(struct buffer *out, struct place at);
/* value / 2^64 in percent, the digits that count only: 10%, 0.1%, 33.333333%. */
void text_share(struct buffer *out, uint64_t value);
/* Why a `match` line does not hold: "the header is absent", "it is \"no\"". */
void text_why_not(struct buffer *out, const struct match_rule *m, const struct request *r);

/* ---- explain_connect.c ---- */
struct direction;
struct route;
/* What becomes of a request that no route takes. */
void explain_untaken(const struct direction *d, const struct request *r, struct buffer *out);
/* It is a CONNECT that is answered with 200 only so that requests inside it may take their routes.
 */
bool explain_is_for_inside(const struct direction *d, const struct request *r,
                           const struct route *taken);
/* Of a CONNECT that taken (or NULL) takes: what becomes of what is inside. */
void explain_inside(const struct direction *d, const struct request *r, const struct route *taken,
                    struct buffer *out);

#endif
