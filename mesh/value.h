/*
 * The values of the language: durations, sizes, shares, numbers, addresses and
 * names. Each reader is strict and total: false leaves the result as it was
 * and err says what is wrong, in a sentence that names the value.
 */
#ifndef SIDESPAN_MESH_VALUE_H
#define SIDESPAN_MESH_VALUE_H

#include "base/buffer.h"
#include "mesh/config.h"

/* "150ms", "1.5s"; us, ms, s, m, h; whole microseconds up to 1000 hours. */
bool value_duration(struct str text, nsec_t *out, struct error *err);
/* "512", "64k", "1m", "1g": bytes, powers of 1024. */
bool value_size(struct str text, uint64_t *out, struct error *err);
/* "10%", "0.1%": at most 100%, at most 9 digits behind the point. */
bool value_share(struct str text, share_t *share, double *ratio, struct error *err);
/* Decimal digits; min and max are allowed. */
bool value_number(struct str text, uint64_t min, uint64_t max, uint64_t *out, struct error *err);

enum address_use {
    ADDRESS_TO_LISTEN, /* an IP address or none (":8080"), or unix:/path; port 0: any free one */
    ADDRESS_TO_REACH,  /* a name or an IP address, or unix:/path */
};
/* "host:port", ":port", "1.2.3.4:port", "[::1]:port", "unix:/path", into the arena. ":port" gives
 * the IPv6 any-address. */
bool value_location(struct str text, enum address_use use, struct arena *arena,
                    struct location *out, struct error *err);

/* Letters, digits, '-', '_' and dots, as DNS has them; no empty label. */
bool value_is_host_name(struct str text);
/* Such a name or an IP address, IPv6 in brackets, perhaps with a port from 1 on. */
bool value_is_authority(struct str text);
/* A token of RFC 9110 section 5.6.2: the name of a header, a method. */
bool value_is_token(struct str text);
/* "10.0.0.0/8", "2001:db8::/32"; an address alone is a network of one. */
bool value_network(struct str text, struct address *network, unsigned *bits, struct error *err);
/* A moment as RFC 3339 section 5.6 writes it: 2026-12-01T10:00:00Z, or with +01:00 for Z. In
 * nanoseconds since 1970. */
bool value_moment(struct str text, nsec_t *out, struct error *err);
/* No control characters but tab: what a header's value may hold. */
bool value_is_field(struct str text);
/* No control characters and not empty: a name in a span. */
bool value_is_text(struct str text);

/* As the language writes them: the shortest that reads as the same. */
void value_write_duration(nsec_t t, struct buffer *out);
void value_write_size(uint64_t bytes, struct buffer *out);
void value_write_ratio(double ratio, struct buffer *out);

/* At most 60 bytes of a word, for use within a message; of buffers that go round. */
const char *value_shown(struct str text, char out[80]);

/* Of many words, the one that was most likely meant. */
struct nearest {
    struct str word, best; /* best: empty while none is near */
    unsigned distance;
};
void nearest_init(struct nearest *n, struct str word);
void nearest_try(struct nearest *n, struct str candidate);

#endif
