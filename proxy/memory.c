#include "proxy/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "mesh/config.h"
#include "proxy/prometheus.h"

atomic_int memory_state_now;

static atomic_uint_fast64_t limit, seen; /* bytes; limit 0: none */
static atomic_uint_fast64_t times[MEMORY_FULL + 1];
static int statm = -1; /* set before the workers start, and kept */

/* ---- deciding ---- */

/* In hundredths of the limit: where a state begins, and where it ends. */
static const struct {
    unsigned begins, ends;
} marks[] = {[MEMORY_SHORT] = {75, 65}, [MEMORY_FULL] = {90, 80}};

enum memory_state memory_decide(enum memory_state was, uint64_t bytes, uint64_t most)
{
    uint64_t hundredth = most / 100;

    if (most == 0)
        return MEMORY_FINE;
    for (enum memory_state s = MEMORY_FULL; s > MEMORY_FINE; s--)
        if (bytes >= hundredth * (was >= s ? marks[s].ends : marks[s].begins))
            return s;
    return MEMORY_FINE;
}

uint64_t memory_limit(uint64_t configured, uint64_t group_bytes)
{
    return configured == MEMORY_AUTO ? group_bytes / 5 * 4 : configured;
}

/* ---- finding out ---- */

/* The second number of /proc/self/statm, in pages. False: it is not told. */
static bool resident(uint64_t *bytes)
{
    char text[128];
    ssize_t n = statm < 0 ? -1 : pread(statm, text, sizeof text - 1, 0);
    const char *second;

    if (n <= 0)
        return false;
    text[n] = '\0';
    second = strchr(text, ' ');
    if (!second)
        return false;
    *bytes = strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

/* Two that look at once decide one after the other, so that each step is counted once. */
void memory_look(void)
{
    uint64_t most = atomic_load_explicit(&limit, memory_order_relaxed), bytes;
    int was = atomic_load_explicit(&memory_state_now, memory_order_relaxed), next;

    if (!resident(&bytes))
        return;
    atomic_store_explicit(&seen, bytes, memory_order_relaxed);
    do {
        next = (int)memory_decide((enum memory_state)was, bytes, most);
        if (next == was)
            return;
    } while (!atomic_compare_exchange_weak_explicit(&memory_state_now, &was, next,
                                                    memory_order_relaxed, memory_order_relaxed));
    for (int s = was + 1; s <= next; s++)
        atomic_fetch_add_explicit(&times[s], 1, memory_order_relaxed);
}

/* More than there is in the machine is how the first version says that there is no limit; "max", in
 * the place of a number, the second. In a container its own group is the root of what it sees. */
static uint64_t group_limit(void)
{
    static const char *const files[] = {"/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), bytes = 0;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        FILE *f = fopen(files[i], "re");

        if (!f)
            continue;
        if (fscanf(f, "%" SCNu64, &bytes) != 1 || bytes > all)
            bytes = 0;
        fclose(f);
        break;
    }
    return bytes;
}

/* ---- the main thread's ---- */

void memory_configure(uint64_t configured)
{
    if (statm < 0)
        statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    atomic_store_explicit(&limit, memory_limit(configured, group_limit()), memory_order_relaxed);
    if (statm < 0 && memory_is_watched())
        log_write(LOG_WARN, "memory", "limits { memory } cannot be held: no /proc/self/statm: %s",
                  strerror(errno));
    memory_look();
}

bool memory_can_be_had(size_t bytes)
{
    void *volatile p = malloc(bytes);

    free(p);
    return p;
}

bool memory_is_watched(void)
{
    return atomic_load_explicit(&limit, memory_order_relaxed) > 0;
}

static void say(enum memory_state s, unsigned mib, unsigned most_mib)
{
    if (s == MEMORY_FULL)
        log_write(
            LOG_WARN, "memory",
            "full: %u MiB of limits { memory } %u MiB: new connections wait, and new requests "
            "are refused with 503 as long as others are under way; raise it, or give the "
            "sidecar less to do",
            mib, most_mib);
    else
        log_write(LOG_WARN, "memory",
                  "short: %u MiB of limits { memory } %u MiB: less is buffered for slow readers",
                  mib, most_mib);
}

/* How long it must have been fine before the next shortage is another one. */
#define FINE_AGAIN SECONDS(10)

/* A shortage is said once, whatever goes up and down in it, and its end once. A state may have come
 * and gone between two looks. */
void memory_watch(void)
{
    static enum memory_state said;
    static uint64_t known[MEMORY_FULL + 1];
    static nsec_t last;
    nsec_t now = clock_monotonic();
    unsigned mib, most_mib;

    memory_look();
    mib = (unsigned)(atomic_load_explicit(&seen, memory_order_relaxed) >> 20);
    most_mib = (unsigned)(atomic_load_explicit(&limit, memory_order_relaxed) >> 20);
    for (enum memory_state s = MEMORY_SHORT; s <= MEMORY_FULL; s++) {
        uint64_t n = atomic_load_explicit(&times[s], memory_order_relaxed);

        if (n != known[s] && s > said) {
            say(s, mib, most_mib);
            said = s;
        }
        known[s] = n;
    }
    if (memory_state() != MEMORY_FINE)
        last = now;
    if (said != MEMORY_FINE && now - last >= FINE_AGAIN) {
        log_write(LOG_INFO, "memory", "enough again: %u MiB of %u MiB", mib, most_mib);
        said = MEMORY_FINE;
    }
}

void memory_metrics_print(struct buffer *out)
{
    static const char *const names[] = {[MEMORY_SHORT] = "short", [MEMORY_FULL] = "full"};
    const char *total = "sidespan_memory_pressure_total";

    memory_look();
    prometheus_family(out, "sidespan_memory_bytes", "gauge",
                      "Resident memory, as it is held against limits { memory }");
    buffer_printf(out, "sidespan_memory_bytes %" PRIuFAST64 "\n",
                  atomic_load_explicit(&seen, memory_order_relaxed));
    prometheus_family(out, "sidespan_memory_limit_bytes", "gauge",
                      "limits { memory } in force; 0 is none");
    buffer_printf(out, "sidespan_memory_limit_bytes %" PRIuFAST64 "\n",
                  atomic_load_explicit(&limit, memory_order_relaxed));
    prometheus_family(out, "sidespan_memory_state", "gauge",
                      "0: fine; 1: short, slow readers are buffered less; 2: full, new requests "
                      "are refused");
    buffer_printf(out, "sidespan_memory_state %d\n", (int)memory_state());
    prometheus_family(out, total, "counter", "Times memory became short, or full");
    for (int s = MEMORY_SHORT; s <= MEMORY_FULL; s++)
        buffer_printf(out, "%s{state=\"%s\"} %" PRIuFAST64 "\n", total, names[s],
                      atomic_load_explicit(&times[s], memory_order_relaxed));
}
