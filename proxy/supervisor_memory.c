/*
 * The main thread's part in limits { memory }: it looks regularly, and while
 * memory is short has what is idle given back to the system.
 */
#include <malloc.h>

#include "base/clock.h"
#include "proxy/memory.h"
#include "proxy/supervisor_private.h"

static const struct timeval look_every = {.tv_usec = 200 * 1000};

#define TRIM_PAUSE_MIN SECONDS(1)
#define TRIM_PAUSE_MAX SECONDS(16)

/* It stops whoever allocates meanwhile, so it is tried less and less often where it does not help.
 * Other libraries than glibc give back what is free by themselves. */
static void trim(struct supervisor *s)
{
    nsec_t now = clock_monotonic();

    if (memory_state() == MEMORY_FINE) {
        s->trim_pause = 0;
        return;
    }
    if (s->trim_pause && now < s->trim_due)
        return;
    s->trim_pause = !s->trim_pause                       ? TRIM_PAUSE_MIN
                    : s->trim_pause < TRIM_PAUSE_MAX / 2 ? 2 * s->trim_pause
                                                         : TRIM_PAUSE_MAX;
    s->trim_due = now + s->trim_pause;
    fleet_trim(s->fleet);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;

    memory_watch();
    trim(s);
    if (!memory_is_watched())
        event_del(s->memory);
}

void supervisor_memory(struct supervisor *s)
{
    memory_configure(s->config->limits.memory);
    if (!s->memory)
        s->memory = event_new(s->base, -1, EV_PERSIST, on_time, s);
    if (s->memory)
        event_add(s->memory, &look_every);
}
