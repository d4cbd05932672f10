#include "proxy/ending.h"

#include "proxy/worker.h"

enum log_level ending_level(enum span_error why)
{
    switch (why) {
    case SPAN_ERROR_CANCELLED:
    case SPAN_ERROR_HALF_CLOSED: /* most of them have left */
        return LOG_DEBUG;
    case SPAN_ERROR_FAULT:
        return LOG_INFO;
    default:
        return LOG_WARN;
    }
}

static const char *or_row(const char *said, const char *row)
{
    return said ? said : row;
}

/* ": GET host/path", or ": 127.0.0.1:5 to 127.0.0.1:6". */
static void write_subject(const struct ending *e, struct buffer *out)
{
    char text[ADDRESS_TEXT_MAX];

    if (e->request) {
        const struct str *t = e->request->text;
        buffer_printf(out, ": %.*s %.*s%.*s", STR_ARG(t[SPAN_METHOD]), STR_ARG(t[SPAN_AUTHORITY]),
                      STR_ARG(t[SPAN_PATH]));
    }
    if (e->from && e->from->family) {
        address_format(e->from, text);
        buffer_printf(out, ": %s", text);
    }
    if (e->to && e->to->family) {
        address_format(e->to, text);
        buffer_printf(out, "%s %s", e->from && e->from->family ? " to" : ": to", text);
    }
}

void ending_log(struct worker *w, const struct ending *e)
{
    enum { SUBJECT_BYTES_MAX = 8192 }; /* a line is cut before that */
    const struct span_error_row *row = span_error_row(e->why);
    enum log_level level = ending_level(e->why);
    const char *rule = or_row(e->rule, row->rule), *cure = or_row(e->cure, row->cure);
    char hex[TRACE_ID_HEX + 1], others[LOG_HELD_TEXT];
    struct buffer subject;
    unsigned held;

    if (!log_enabled(level) ||
        !log_limit_allow(level == LOG_WARN ? &w->upstream_log : &w->ending_log, 10,
                         loop_now(&w->loop), &held))
        return;
    buffer_init(&subject, SUBJECT_BYTES_MAX);
    write_subject(e, &subject);
    if (e->trace)
        trace_id_to_hex(e->trace, hex);
    hex[TRACE_ID_HEX] = '\0';
    log_write_trace(level, e->area, e->trace ? hex : NULL, "%s, ended by the %s%s%s: %s%s%s%.*s%s",
                    row->name, ended_by_text(row->by), rule ? ", rule " : "", rule ? rule : "",
                    or_row(e->detail, row->what), cure ? "; " : "", cure ? cure : "",
                    STR_ARG(buffer_str(&subject)), log_held_text(held, others));
    buffer_release(&subject);
}
