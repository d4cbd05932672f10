/*
 * Signals as events of the main thread's loop (signalfd(2)): SIGHUP, SIGTERM,
 * SIGINT. No other thread ever sees one.
 */
#ifndef SIDESPAN_PROXY_SIGNALS_H
#define SIDESPAN_PROXY_SIGNALS_H

#include <event2/event.h>

struct signals;

/* Before any thread is made: they inherit what is blocked. SIGPIPE is ignored from now on. */
void signals_block(void);
/* on_signal is called from the loop. NULL: no memory or no descriptor. */
struct signals *signals_new(struct event_base *base, void (*on_signal)(void *arg, int number),
                            void *arg);
void signals_free(struct signals *s);
/* For the last steps, when no loop runs any more: SIGTERM and SIGINT end the process at once with
 * exit status 1, one that already waits included. */
void signals_exit_at_once(void);

#endif
