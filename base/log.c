#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/writer.h"

/* A pipe takes no more than PIPE_BUF bytes in one piece: a longer line could be mixed with
 * another thread's. A longer text is cut and ends in "...". */
enum { LINE_MAX_BYTES = PIPE_BUF };

static const struct str level_names[] = {
    [LOG_ERROR] = STR_INIT("error"),
    [LOG_WARN] = STR_INIT("warn"),
    [LOG_INFO] = STR_INIT("info"),
    [LOG_DEBUG] = STR_INIT("debug"),
};

/* What may wait to be written. */
enum { WAITING_BYTES = 256 * 1024 };

static struct writer *_Atomic writer; /* NULL: lines are written where they are logged */
static atomic_bool ended;
static _Atomic int level_written = LOG_INFO;
static atomic_bool json_lines;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_written, (int)level, memory_order_relaxed);
}

void log_set_json(bool json)
{
    atomic_store_explicit(&json_lines, json, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_written, memory_order_relaxed);
}

bool log_level_parse(struct str name, enum log_level *out)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (str_eq(name, level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

struct line {
    char p[LINE_MAX_BYTES];
    size_t n;
};

/* False, and nothing is written, where it does not fit before `end`. */
static bool put(struct line *line, size_t end, const char *p, size_t n)
{
    if (n > end - line->n)
        return false;
    memcpy(line->p + line->n, p, n);
    line->n += n;
    return true;
}

static void put_text(struct line *line, const char *text)
{
    bool fits = put(line, sizeof(line->p), text, strlen(text));
    assert(fits);
    (void)fits;
}

/* Bytes to take at s[at] as they are, a whole character; 0: the byte must be escaped. */
static size_t plain_length(struct str s, size_t at, bool json)
{
    unsigned char c = (unsigned char)s.p[at];

    if (c < 0x20 || c == 0x7f || (json && (c == '"' || c == '\\')))
        return 0;
    if (c == 0xc2 && at + 1 < s.n && (unsigned char)s.p[at + 1] < 0xa0)
        return 0; /* U+0080 to U+009F: control characters too */
    return str_utf8_length(s, at);
}

/* "\x0a"; in JSON "\n" becomes "\u000a", and a byte that is not of any character "\\x80". */
static size_t escape(char out[8], unsigned char c, bool json)
{
    const char *format = "\\x%02x";

    if (json)
        format = c == '"' || c == '\\' ? "\\%c" : c < 0x80 ? "\\u%04x" : "\\\\x%02x";
    return (size_t)snprintf(out, 8, format, c);
}

/* The text with what could forge or break a line escaped, cut to fit before `end`. */
static void put_escaped(struct line *line, size_t end, struct str s, bool json)
{
    static const char cut[] = "...";
    size_t fits_with_cut = line->n; /* "..." can follow up to here */

    for (size_t i = 0; i < s.n;) {
        char escaped[8];
        size_t taken = plain_length(s, i, json), n = taken;
        const char *from = s.p + i;
        if (taken == 0) {
            taken = 1;
            n = escape(escaped, (unsigned char)s.p[i], json);
            from = escaped;
        }
        if (!put(line, end, from, n)) {
            line->n = fits_with_cut;
            put(line, end, cut, sizeof(cut) - 1);
            return;
        }
        if (end - line->n >= sizeof(cut) - 1)
            fits_with_cut = line->n;
        i += taken;
    }
}

/* ISO 8601 in UTC: 2025-02-03T04:05:06.007Z */
static void put_time(struct line *line, nsec_t wall)
{
    char text[64];
    time_t seconds = (time_t)(wall / SECONDS(1));
    struct tm t;

    gmtime_r(&seconds, &t);
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900,
             t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec,
             (int)(wall % SECONDS(1) / MILLISECONDS(1)));
    put_text(line, text);
}

static void put_line(struct line *line, enum log_level level, struct str area, const char *trace,
                     struct str text)
{
    bool json = atomic_load_explicit(&json_lines, memory_order_relaxed);
    const char *tail = json ? "\"}\n" : "\n";
    size_t end = sizeof(line->p) - strlen(tail) - (trace ? strlen(" trace ") + strlen(trace) : 0);

    if (json)
        put_text(line, "{\"time\":\"");
    put_time(line, clock_wall());
    put_text(line, json ? "\",\"level\":\"" : " ");
    put_text(line, level_names[level].p);
    put_text(line, json ? "\",\"area\":\"" : " ");
    put_escaped(line, line->n + 64, area, json);
    if (json && trace) {
        put_text(line, "\",\"trace_id\":\"");
        put_text(line, trace);
    }
    put_text(line, json ? "\",\"message\":\"" : ": ");
    put_escaped(line, end, text, json);
    if (!json && trace) {
        put_text(line, " trace ");
        put_text(line, trace);
    }
    put_text(line, tail);
}

/* ---- where it goes ---- */

static size_t lost_notice(uint64_t lost, char *out, size_t size)
{
    char text[128];
    struct line line;

    snprintf(text, sizeof(text),
             "%" PRIu64 " line%s lost: standard error is read more slowly than it is written to",
             lost, lost == 1 ? " was" : "s were");
    line.n = 0;
    put_line(&line, LOG_WARN, STR("log"), NULL, str_from(text));
    size_t n = line.n < size ? line.n : size;
    memcpy(out, line.p, n);
    return n;
}

bool log_start(void)
{
    struct writer *w = writer_new(STDERR_FILENO, WAITING_BYTES, "log", lost_notice);

    atomic_store(&writer, w);
    return w != NULL;
}

void log_flush(nsec_t wait)
{
    struct writer *w = atomic_load(&writer);

    if (w)
        writer_flush(w, wait);
}

void log_end(nsec_t wait)
{
    struct writer *w = atomic_load(&writer);

    if (!w)
        return;
    bool flushed = writer_flush(w, wait);
    atomic_store(&ended, true);
    /* Where it is stuck it may not even be possible to stop it: it ends with the process. */
    if (flushed) {
        atomic_store(&writer, NULL);
        writer_free(w);
    }
}

uint64_t log_lost(void)
{
    struct writer *w = atomic_load(&writer);

    return w ? writer_lost(w) : 0;
}

static void put_out(const char *p, size_t n)
{
    struct writer *w = atomic_load_explicit(&writer, memory_order_acquire);

    if (atomic_load_explicit(&ended, memory_order_relaxed))
        return;
    if (w) {
        writer_put(w, p, n);
        return;
    }
    while (write(STDERR_FILENO, p, n) < 0 && errno == EINTR)
        ;
}

void log_lines(struct str text)
{
    /* A large one in pieces: each has room beside others. */
    for (size_t at = 0, n; at < text.n; at += n) {
        n = text.n - at < WAITING_BYTES / 8 ? text.n - at : WAITING_BYTES / 8;
        put_out(text.p + at, n);
    }
}

static void write_line(enum log_level level, const char *area, const char *trace,
                       const char *format, va_list args)
{
    int saved_errno = errno;
    char text[LINE_MAX_BYTES];
    int n = vsnprintf(text, sizeof(text), format, args);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;

    struct line line;
    line.n = 0;
    put_line(&line, level, str_from(area), trace, str_of(text, length));
    put_out(line.p, line.n);
    errno = saved_errno;
}

void log_write(enum log_level level, const char *area, const char *format, ...)
{
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    write_line(level, area, NULL, format, args);
    va_end(args);
}

void log_write_trace(enum log_level level, const char *area, const char *trace, const char *format,
                     ...)
{
    va_list args;

    if (!log_enabled(level))
        return;
    va_start(args, format);
    write_line(level, area, trace, format, args);
    va_end(args);
}

bool log_limit_allow(struct log_limit *limit, unsigned burst, nsec_t now, unsigned *held)
{
    nsec_t second = now / SECONDS(1);

    *held = 0;
    if (second != limit->second) {
        limit->second = second;
        limit->written = 0;
    }
    if (limit->written >= burst) {
        limit->held++;
        return false;
    }
    limit->written++;
    *held = limit->held;
    limit->held = 0;
    return true;
}

const char *log_held_text(unsigned held, char out[LOG_HELD_TEXT])
{
    out[0] = '\0';
    if (held)
        snprintf(out, LOG_HELD_TEXT, " (%u line%s like it %s not written)", held,
                 held == 1 ? "" : "s", held == 1 ? "was" : "were");
    return out;
}
