/*
 * What the files of conventions.c share while they describe one span.
 */
#ifndef SIDESPAN_OTLP_DESCRIBE_H
#define SIDESPAN_OTLP_DESCRIBE_H

#include <assert.h>

#include "otlp/conventions.h"
#include "otlp/utf8.h"

struct describing {
    const struct span *s;
    struct described_span *out;
    char *at, *end; /* what is free of the scratch memory */
    const struct conventions *conventions;
};

/* conventions_http.c, conventions_rpc.c, conventions_tcp.c: all but what every span has. */
void describe_http(struct describing *d);
void describe_rpc(struct describing *d);
void describe_tcp(struct describing *d);

/* conventions_network.c */
/* host[:port] with the user's name and password, and the brackets of IPv6, taken off; port 0: it
 * names none. */
struct str describe_authority(struct str authority, uint16_t *port);
/* network.peer.*; the peer's address as text, empty: there is none. */
struct str describe_peer(struct describing *d);
/* server.*: the authority's host, and its port or the scheme's. A CLIENT span without authority
 * names the peer. */
void describe_server_address(struct describing *d, struct str authority, struct str scheme,
                             struct str peer);
/* client.address: the one forwarded, else the peer's. */
void describe_client_address(struct describing *d, struct str peer);
/* sidespan.endpoint of a SERVER span: whom the sidecar passed it on to. A CLIENT span has that in
 * network.peer.*. */
void describe_endpoint(struct describing *d);
/* network.protocol.version */
void describe_version(struct describing *d);

/* The address without its port as made text. */
struct str make_address(struct describing *d, const struct address *a);
/* Error, with error.type and, where there is no status code to explain it, a description. */
void describe_failure(struct describing *d, bool explained);
/* The text itself where it is valid UTF-8, else a repaired copy. */
struct str make_valid(struct describing *d, struct str text);

static inline bool describe_has_room(const struct describing *d, size_t n)
{
    return (size_t)(d->end - d->at) >= n;
}

/* Appends to the text being made; what has no room is left out. */
static inline void make_str(struct describing *d, struct str text)
{
    if (text.n > 0 && describe_has_room(d, text.n)) {
        memcpy(d->at, text.p, text.n);
        d->at += text.n;
    }
}

static inline struct attribute *add_attribute(struct describing *d, struct str key,
                                              enum attribute_type type)
{
    assert(d->out->n < ATTRIBUTES_MAX);
    struct attribute *a = &d->out->v[d->out->n++];
    a->key = key;
    a->type = type;
    return a;
}

/* Left out where it is empty. */
static inline void add_string(struct describing *d, struct str key, struct str value)
{
    if (value.n == 0)
        return;
    if (__builtin_expect(!utf8_is_ascii(value), 0))
        value = make_valid(d, value);
    add_attribute(d, key, ATTRIBUTE_STRING)->value.string = value;
}

static inline void add_integer(struct describing *d, struct str key, int64_t value)
{
    add_attribute(d, key, ATTRIBUTE_INT)->value.integer = value;
}

static inline void add_bool(struct describing *d, struct str key, bool value)
{
    add_attribute(d, key, ATTRIBUTE_BOOL)->value.boolean = value;
}

static inline void add_seconds(struct describing *d, struct str key, nsec_t value)
{
    add_attribute(d, key, ATTRIBUTE_DOUBLE)->value.number = (double)value / 1e9;
}

#endif
