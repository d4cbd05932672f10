#include "proxy/tunnel_record.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/sniff.h"

/* ---- the record ---- */

bool tunnel_record_init(struct tunnel_record *r, const struct span *span, bool sampled)
{
    *r = (struct tunnel_record){0};
    buffer_init(&r->hello, SNIFF_BYTES_MAX);
    if (!sampled)
        return true;
    void *memory = malloc(span_copy_bytes(span));

    if (!memory)
        return false;
    r->span = span_copy(span, memory);
    r->may_be_hello =
        (span->protocol == SPAN_TCP || str_eq(span->text[SPAN_METHOD], STR("CONNECT"))) &&
        span->text[SPAN_SERVER_NAME].n == 0;
    return true;
}

void tunnel_record_release(struct tunnel_record *r)
{
    free(r->span);
    free(r->server_name);
    buffer_release(&r->hello);
    *r = (struct tunnel_record){0};
}

void tunnel_record_client_bytes(struct tunnel_record *r, struct str bytes)
{
    struct str first = bytes;
    bool more;

    if (!r->may_be_hello)
        return;
    if (r->hello.n > 0) {
        buffer_add_str(&r->hello, str_slice(bytes, 0, SNIFF_BYTES_MAX - r->hello.n));
        first = buffer_str(&r->hello);
    }
    struct str name = sniff_sni(first, &more);
    if (more && first.n < SNIFF_BYTES_MAX && !r->hello.failed) {
        if (r->hello.n == 0)
            buffer_add_str(&r->hello, bytes);
        return;
    }
    r->may_be_hello = false;
    if (name.n > 0)
        r->server_name = strndup(name.p, name.n);
    buffer_release(&r->hello);
}

void tunnel_record_push(struct tunnel_record *r, const struct address *to, struct span_feed *feed)
{
    char endpoint[ADDRESS_TEXT_MAX];

    if (!r->span)
        return;
    if (to->family) {
        span_set_upstream(r->span, to);
        if (r->span->kind == SPAN_SERVER && r->span->protocol == SPAN_TCP)
            r->span->text[SPAN_TUNNEL_ENDPOINT] = str_of(endpoint, address_format(to, endpoint));
    }
    if (r->server_name)
        r->span->text[SPAN_SERVER_NAME] = str_from(r->server_name);
    span_feed_push(feed, r->span);
}
