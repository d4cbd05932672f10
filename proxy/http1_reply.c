#include "proxy/http1_reply.h"

#include <llhttp.h>
#include <stdlib.h>

enum { FIELDS_MAX = 200 };

struct http1_reply_parser {
    llhttp_t llhttp;
    llhttp_settings_t settings;
    struct buffer name, value; /* of the field being read, with the head's ceiling */
    bool in_body;              /* what looks like a field now is a trailer */
};

static struct http1_reply *reply_of(llhttp_t *p)
{
    return p->data;
}

static int refuse(struct http1_reply *r, const char *why)
{
    r->error = why;
    return HPE_USER;
}

/* Also between an interim response and the one it announces. */
static void forget_message(struct http1_reply *r)
{
    struct http1_reply_parser *p = r->parser;

    r->status = 0;
    r->headers = (struct headers){0};
    r->complete = r->keep_alive = false;
    arena_reset(&r->arena);
    buffer_reset(&r->body);
    buffer_reset(&p->name);
    buffer_reset(&p->value);
    p->in_body = false;
}

/* ---- what llhttp tells ---- */

static int on_message_begin(llhttp_t *p)
{
    forget_message(reply_of(p));
    return HPE_OK;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct http1_reply *r = reply_of(p);

    if (!r->parser->in_body && !buffer_add(&r->parser->name, at, n))
        return refuse(r, "the name of a field is too long");
    return HPE_OK;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct http1_reply *r = reply_of(p);

    if (!r->parser->in_body && !buffer_add(&r->parser->value, at, n))
        return refuse(r, "the value of a field is too long");
    return HPE_OK;
}

static int on_value_complete(llhttp_t *p)
{
    struct http1_reply *r = reply_of(p);
    struct http1_reply_parser *parser = r->parser;

    if (parser->in_body)
        return HPE_OK;
    struct str name = arena_dup(&r->arena, buffer_str(&parser->name));
    struct str value = arena_dup(&r->arena, buffer_str(&parser->value));
    if (!name.p || !value.p || r->headers.n == FIELDS_MAX ||
        !headers_add(&r->headers, &r->arena, name, value))
        return refuse(r, "the head of the answer is too large");
    buffer_reset(&parser->name);
    buffer_reset(&parser->value);
    return HPE_OK;
}

static int on_headers_complete(llhttp_t *p)
{
    struct http1_reply *r = reply_of(p);

    r->status = llhttp_get_status_code(p);
    if (r->status == 101)
        return refuse(r, "it changes to a protocol that was not asked for");
    r->parser->in_body = true;
    return HPE_OK;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct http1_reply *r = reply_of(p);

    if (!buffer_add(&r->body, at, n))
        return refuse(r, "the body of the answer is too large");
    return HPE_OK;
}

static int on_message_complete(llhttp_t *p)
{
    struct http1_reply *r = reply_of(p);

    if (r->status < 200)
        return HPE_OK;
    r->complete = true;
    r->keep_alive = llhttp_should_keep_alive(p) != 0;
    return HPE_PAUSED;
}

/* ---- life ---- */

bool http1_reply_init(struct http1_reply *r, size_t head_limit_bytes, size_t body_limit_bytes)
{
    *r = (struct http1_reply){0};
    arena_init(&r->arena, 0, head_limit_bytes);
    buffer_init(&r->body, body_limit_bytes);
    r->parser = calloc(1, sizeof(*r->parser));
    if (!r->parser)
        return false;
    buffer_init(&r->parser->name, head_limit_bytes);
    buffer_init(&r->parser->value, head_limit_bytes);

    llhttp_settings_t *s = &r->parser->settings;
    llhttp_settings_init(s);
    s->on_message_begin = on_message_begin;
    s->on_header_field = on_field;
    s->on_header_value = on_value;
    s->on_header_value_complete = on_value_complete;
    s->on_headers_complete = on_headers_complete;
    s->on_body = on_body;
    s->on_message_complete = on_message_complete;
    http1_reply_reset(r);
    return true;
}

void http1_reply_release(struct http1_reply *r)
{
    arena_release(&r->arena);
    buffer_release(&r->body);
    if (r->parser) {
        buffer_release(&r->parser->name);
        buffer_release(&r->parser->value);
        free(r->parser);
    }
    *r = (struct http1_reply){0};
}

void http1_reply_reset(struct http1_reply *r)
{
    llhttp_init(&r->parser->llhttp, HTTP_RESPONSE, &r->parser->settings);
    r->parser->llhttp.data = r;
    r->begun = false;
    r->error = NULL;
    forget_message(r);
}

/* ---- bytes ---- */

size_t http1_reply_feed(struct http1_reply *r, const char *data, size_t n, bool *ok)
{
    llhttp_t *p = &r->parser->llhttp;

    *ok = true;
    if (n == 0 || r->complete)
        return 0;
    r->begun = true;
    enum llhttp_errno status = llhttp_execute(p, data, n);
    if (r->complete)
        return (size_t)(llhttp_get_error_pos(p) - data);
    if (status != HPE_OK) {
        *ok = false;
        if (!r->error)
            r->error = "it is not HTTP/1.1";
    }
    return n;
}

bool http1_reply_end(struct http1_reply *r)
{
    if (!r->complete && r->begun && !r->error)
        llhttp_finish(&r->parser->llhttp);
    r->keep_alive = false;
    return r->complete;
}
