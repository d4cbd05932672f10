/*
 * The log: one line an event on standard error, "TIME LEVEL area: text". Only
 * proxy/ logs. Lines are written whole, from any thread. After log_start() a slow
 * reader of standard error blocks no thread: a line for which the buffer has no
 * room is dropped and counted, and the number of dropped lines is logged as soon
 * as lines can be written again.
 */
#ifndef SIDESPAN_BASE_LOG_H
#define SIDESPAN_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
/* JSON lines ({"time":…,"level":…,"area":…,"message":…}) instead of text. */
void log_set_json(bool json);
bool log_enabled(enum log_level level);
/* False: not the name of a level ("error", "warn", "info", "debug"). */
bool log_level_parse(struct str name, enum log_level *out);

/* Starts the thread that writes the lines from now on (base/writer.h). Call it once, from the main
 * thread. Returns false if memory or a thread is lacking; lines are then written by the thread that
 * logs them, as before. */
bool log_start(void);
/* Waits at most that long until all lines are written. Call it from the main thread. */
void log_flush(nsec_t wait);
/* Flushes, and ends the thread; lines that are logged afterwards are dropped. Other threads that
 * log must have ended. */
void log_end(nsec_t wait);
/* The number of lines that were dropped since log_start(). From any thread. */
uint64_t log_lost(void);
/* Writes text that consists of whole lines as it is, at any level: the errors of a configuration.
 */
void log_lines(struct str text);

/* Control characters in the text are written as \xNN (in JSON \u00NN): a peer cannot forge a line.
 * A line has at most PIPE_BUF bytes; a longer text is cut and ends in "...". errno is kept. */
void log_write(enum log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Like log_write(), for an event of a trace: the trace id (32 hex digits) ends the line; in JSON it
 * is the member "trace_id". */
void log_write_trace(enum log_level level, const char *area, const char *trace, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));

/*
 * Holds back what would repeat: at most `burst` lines a second for the place
 * that owns it; the first line of the next second says how many were held back.
 * Of one thread. Zero it.
 */
struct log_limit {
    nsec_t second;
    unsigned written, held;
};
/* True: write it. *held: how many were held back since the last one written. */
bool log_limit_allow(struct log_limit *limit, unsigned burst, nsec_t now, unsigned *held);
/* The end of such a line: " (5 lines like it were not written)"; "" for none. Every caller of
 * log_limit_allow() must write it, so that a reader knows of the lines that are missing. */
enum { LOG_HELD_TEXT = 64 };
const char *log_held_text(unsigned held, char out[LOG_HELD_TEXT]);

#endif
