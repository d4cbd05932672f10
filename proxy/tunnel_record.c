#include "proxy/tunnel_record.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/sniff.h"

/* ---- a copy of a span, in one block with its text ---- */

/* Calls fn for each text of the span. */
static void each_text(struct span *s, void (*fn)(void *arg, struct str *text), void *arg)
{
    for (unsigned i = 0; i < SPAN_TEXT_COUNT; i++)
        fn(arg, &s->text[i]);
    for (unsigned i = 0; i < s->n_extras; i++) {
        fn(arg, &s->extras[i].key);
        fn(arg, &s->extras[i].value);
    }
}

static size_t kept_bytes(struct str text)
{
    return text.n < SPAN_TEXT_BYTES_MAX ? text.n : SPAN_TEXT_BYTES_MAX;
}

static void measure(void *arg, struct str *text)
{
    size_t *bytes = arg;

    *bytes += kept_bytes(*text);
}

static void move_text(void *arg, struct str *text)
{
    char **to = arg;
    size_t n = kept_bytes(*text);

    if (n == 0)
        return;
    memcpy(*to, text->p, n);
    *text = str_of(*to, n);
    *to += n;
}

static size_t path_bytes(const struct address *a)
{
    return a->family == AF_UNIX && a->path ? strlen(a->path) + 1 : 0;
}

static void move_path(char **to, struct address *a)
{
    size_t n = path_bytes(a);

    if (n == 0)
        return;
    a->path = memcpy(*to, a->path, n);
    *to += n;
}

static struct span *copy_span(const struct span *from)
{
    struct span s = *from;
    size_t bytes = path_bytes(&s.peer) + path_bytes(&s.client);

    each_text(&s, measure, &bytes);
    struct span *copy = malloc(sizeof(*copy) + bytes);
    if (!copy)
        return NULL;
    char *to = (char *)(copy + 1);
    each_text(&s, move_text, &to);
    move_path(&to, &s.peer);
    move_path(&to, &s.client);
    *copy = s;
    return copy;
}

/* ---- the record ---- */

bool tunnel_record_init(struct tunnel_record *r, const struct span *span, bool sampled)
{
    *r = (struct tunnel_record){0};
    buffer_init(&r->hello, SNIFF_BYTES_MAX);
    if (!sampled)
        return true;
    r->span = copy_span(span);
    if (!r->span)
        return false;
    r->may_be_hello = span->protocol == SPAN_TCP && span->text[SPAN_SERVER_NAME].n == 0;
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

void tunnel_record_push(struct tunnel_record *r, struct span_feed *feed)
{
    if (!r->span)
        return;
    if (r->server_name)
        r->span->text[SPAN_SERVER_NAME] = str_from(r->server_name);
    span_feed_push(feed, r->span);
}
