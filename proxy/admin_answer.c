/*
 * How the admin port answers.
 */
#include <event2/buffer.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/admin_private.h"

static void free_bytes(const void *data, size_t n, void *extra)
{
    (void)data;
    (void)n;
    free(extra);
}

static void send_bytes(struct evhttp_request *req, int status, const char *type, char *p, size_t n)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    struct evbuffer *body = evbuffer_new();
    char length[24];

    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD) { /* evhttp would send the body */
        snprintf(length, sizeof(length), "%zu", n);
        evhttp_add_header(headers, "Content-Length", length);
        n = 0;
    }
    if (!body || !p || n == 0 || evbuffer_add_reference(body, p, n, free_bytes, p) != 0)
        free(p);
    evhttp_send_reply(req, status, NULL, body);
    if (body)
        evbuffer_free(body);
}

void admin_answer(struct evhttp_request *req, int status, const char *type, struct buffer *body)
{
    if (body->failed) {
        buffer_release(body);
        admin_answer_text(req, 500,
                          "The answer needs more memory than there is. "
                          "Ask for less, for example with ?limit=");
        return;
    }
    send_bytes(req, status, type, body->p, body->n);
    buffer_init(body, 0);
}

void admin_answer_text(struct evhttp_request *req, int status, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0)
        text = NULL;
    else
        text[n] = '\n'; /* in the place of the NUL */
    send_bytes(req, status, "text/plain; charset=utf-8", text, text ? (size_t)n + 1 : 0);
}

json_t *admin_json_of(struct str s)
{
    json_t *text = json_stringn(s.p ? s.p : "", s.n);

    return text ? text : json_string("(not UTF-8)");
}

void admin_answer_json(struct evhttp_request *req, int status, json_t *value)
{
    struct buffer out;
    char *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;

    json_decref(value);
    buffer_init(&out, 0);
    if (!text)
        out.failed = true;
    else
        buffer_printf(&out, "%s\n", text);
    free(text);
    admin_answer(req, status, "application/json", &out);
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

bool admin_query(struct evhttp_request *req, const char *const *names, struct evkeyvalq *out)
{
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
    const struct evkeyval *kv;

    if (!query) {
        TAILQ_INIT(out);
        return true;
    }
    if (evhttp_parse_query_str(query, out) != 0) {
        admin_answer_text(req, 400, "The query cannot be read: write it as ?NAME=VALUE&NAME=VALUE");
        return false;
    }
    TAILQ_FOREACH(kv, out, next)
    {
        if (!is_one_of(kv->key, names)) {
            admin_answer_text(req, 400,
                              "There is no parameter of that name here; GET / lists them");
            evhttp_clear_headers(out);
            return false;
        }
    }
    return true;
}
