/*
 * Answers as the resolver gives them: made of what c-ares found, of the hosts
 * file, or of the name alone.
 */
#ifndef SIDESPAN_PROXY_RESOLVER_ANSWER_H
#define SIDESPAN_PROXY_RESOLVER_ANSWER_H

#include "proxy/resolver.h"

struct ares_addrinfo;
struct ares_channeldata;

void resolved_fail(struct resolved *out, const char *why);
/* An ARES_ status, for people. */
const char *resolved_reason(int status);
/* All addresses, each once and sorted, with the shortest TTL of the chain within the bounds. */
void resolved_read(struct resolved *out, const struct ares_addrinfo *info);

/* True: answered. Literals, localhost (RFC 6761 section 6.3), and what cannot be a name. */
bool resolved_without_asking(struct str name, struct resolved *out);
/* True: the name is in the hosts file. */
bool resolved_from_hosts_file(struct ares_channeldata *channel, const char *name,
                              struct resolved *out);

#endif
