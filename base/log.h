/*
 * The log: one line an event on standard error, "TIME LEVEL area: text". Only
 * proxy/ logs. Lines are written whole, from any thread. Once log_start() was
 * called nobody waits for whoever reads them: what has no room is lost and
 * counted, and the log says how many lines that were as soon as it flows again.
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

/* From here on lines go through a thread of their own (base/writer.h). Of the main thread, once.
 * False: no memory, or no thread; lines are written where they are logged, as before. */
bool log_start(void);
/* Waits until all that was logged is written, for at most that long. Of the main thread. */
void log_flush(nsec_t wait);
/* The same for the last time: what is logged afterwards is lost. Other threads that log have ended.
 */
void log_end(nsec_t wait);
/* Lines that were lost since log_start(). From any thread. */
uint64_t log_lost(void);
/* Text that is lines already, whatever the level: what is wrong with a configuration. */
void log_lines(struct str text);

/* Control characters in the text are written as \xNN (in JSON \u00NN): a peer cannot forge a line.
 * A line has at most PIPE_BUF bytes; a longer text is cut and ends in "...". errno is kept. */
void log_write(enum log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of something that belongs to a trace: its id, 32 hex digits, ends the line, and is a
 * member of its own ("trace_id") in JSON. */
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
/* What such a line ends with: " (5 lines like it were not written)"; "" for none. Every caller of
 * log_limit_allow() writes it: a line that is missing unsaid is taken for one that never was. */
enum { LOG_HELD_TEXT = 64 };
const char *log_held_text(unsigned held, char out[LOG_HELD_TEXT]);

#endif
