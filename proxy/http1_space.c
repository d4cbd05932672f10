/*
 * White space behind a value is none of it, tabs neither (RFC 9110 section 5.5).
 * llhttp strips spaces behind a Content-Length and a Transfer-Encoding, and takes
 * a tab there for a part of it. A head that fails for this is read again with
 * spaces in their place; its bytes are the connection's, or held, and nobody
 * else's.
 */
#include "proxy/http1_private.h"

enum { RESPACED_MAX = 8 };

static bool is_framing(struct str line)
{
    struct str name = str_slice(line, 0, str_index(line, ':', 0));

    return str_eq_nocase(name, STR("content-length")) ||
           str_eq_nocase(name, STR("transfer-encoding"));
}

/* Tabs at the end of the line, with which no value ends (RFC 9110 section 5.5), become spaces. */
static bool respace_line(struct str line)
{
    char *at = (char *)(uintptr_t)line.p + line.n;
    bool found = false;

    if (line.n && at[-1] == '\r')
        at--;
    for (; at > line.p && (at[-1] == ' ' || at[-1] == '\t'); at--) {
        found |= at[-1] == '\t';
        at[-1] = ' ';
    }
    return found;
}

/* llhttp strips spaces behind a length or a coding, and takes a tab there for a part of it. The
 * bytes are the connection's, or held: nobody else's. */
static bool respace_head(struct http1 *h, const char *end)
{
    struct str rest = str_of(h->head->origin, (size_t)(end - h->head->origin)), line;
    bool found = false;

    if (h->head->respaced++ >= RESPACED_MAX)
        return false;
    while (str_split(&rest, '\n', &line) && line.n && line.p[0] != '\r')
        if (is_framing(line))
            found |= respace_line(line);
    return found;
}

/* The head is read anew from its beginning, up to end. */
static llhttp_errno_t read_again(struct http1 *h, const char *end)
{
    struct http1_head *head = h->head;
    const char *from = head->origin;

    h->refusal = NULL;
    head->n = 0;
    head->bytes = head->url_end;
    if (h->server) {
        http1_line_tell(h);
        from = memchr(from, '\n', (size_t)(end - from));
        from++;
    } else {
        llhttp_reset(&h->parser);
        h->parser.settings = (void *)(uintptr_t)http1_settings();
        head->reason = head->reason_end = 0;
    }
    return llhttp_execute(&h->parser, from, (size_t)(end - from));
}

/* Whether the head is to be read anew, of what was made of it. The whole of it is, once, if only so
 * that its rule is found: llhttp tells of a coding only after it. */
static bool is_to_be_read_again(struct http1 *h, llhttp_errno_t e, const char *end)
{
    if (h->gone || h->input != INPUT_HEAD || !h->head || h->refusal)
        return false;
    if (e == HPE_CB_HEADERS_COMPLETE && h->head->whole_respaced) {
        respace_head(h, end);
        return true;
    }
    return e == HPE_INVALID_CONTENT_LENGTH && respace_head(h, end);
}

llhttp_errno_t http1_read_again(struct http1 *h, llhttp_errno_t e, const char *end)
{
    while (is_to_be_read_again(h, e, end))
        e = read_again(h, end);
    return e;
}
