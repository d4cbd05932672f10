/*
 * The pages about spans: those kept in memory, and where all of them went.
 */
#include <string.h>

#include "proxy/admin_private.h"

enum { TRACES_LIMIT = 1000, TRACES_LIMIT_MAX = 1000000 };

/* False: the answer has been given. */
static bool read_limit(struct evhttp_request *req, const char *text, size_t *out)
{
    uint64_t n = TRACES_LIMIT;

    if (text && (!str_to_u64(str_from(text), &n) || n == 0 || n > TRACES_LIMIT_MAX)) {
        admin_answer_text(req, 400, "limit is the number of spans at most: 1 to %d",
                          TRACES_LIMIT_MAX);
        return false;
    }
    *out = n;
    return true;
}

static bool read_trace_id(struct evhttp_request *req, const char *text, struct trace_id *out)
{
    char lower[TRACE_ID_HEX];
    size_t n = strlen(text);

    for (size_t i = 0; n == TRACE_ID_HEX && i < n; i++)
        lower[i] = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] | 0x20) : text[i];
    if (n == TRACE_ID_HEX && trace_id_from_hex(str_of(lower, n), out))
        return true;
    admin_answer_text(req, 400, "trace_id is 32 hexadecimal digits, not all of them 0");
    return false;
}

static void answer_traces(struct admin *a, struct evhttp_request *req,
                          const struct trace_id *trace_id, size_t limit)
{
    struct buffer out;

    buffer_init(&out, ADMIN_ANSWER_BYTES_MAX);
    if (a->ops->traces(a->arg, trace_id, limit, &out)) {
        if (trace_id && !out.failed && !memmem(out.p, out.n, "\"traceId\"", 9)) {
            buffer_release(&out);
            admin_answer_text(
                req, 404,
                "No span of that trace is kept here: it was not sampled, did not come "
                "by, has not ended yet, or newer ones took its place");
            return;
        }
        admin_answer(req, 200, "application/json", &out);
        return;
    }
    buffer_release(&out);
    admin_answer_text(req, 404,
                      "No spans are kept in memory: add \"export memory;\" to the trace block of "
                      "the configuration");
}

void admin_traces(struct admin *a, struct evhttp_request *req)
{
    static const char *const names[] = {"trace_id", "limit", NULL};
    struct evkeyvalq query;
    struct trace_id trace_id;
    size_t limit;

    if (!admin_query(req, names, &query))
        return;
    const char *id = evhttp_find_header(&query, "trace_id");
    if (read_limit(req, evhttp_find_header(&query, "limit"), &limit) &&
        (!id || read_trace_id(req, id, &trace_id)))
        answer_traces(a, req, id ? &trace_id : NULL, limit);
    evhttp_clear_headers(&query);
}

void admin_ledger(struct admin *a, struct evhttp_request *req)
{
    struct buffer out;

    buffer_init(&out, ADMIN_ANSWER_BYTES_MAX);
    a->ops->ledger(a->arg, &out);
    admin_answer(req, 200, "application/json", &out);
}
