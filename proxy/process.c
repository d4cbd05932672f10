#include "proxy/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/prometheus.h"

/* Kept for the admin port: connections of it, and the files that its pages read. */
enum { SPARE_DESCRIPTORS = 32 };
static rlim_t usual_descriptors; /* 0: none are kept */

void process_raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    bool keep = limit.rlim_max > 8 * SPARE_DESCRIPTORS;
    limit.rlim_cur = keep ? limit.rlim_max - SPARE_DESCRIPTORS : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && keep)
        usual_descriptors = limit.rlim_cur;
}

bool process_use_spare_descriptors(bool on)
{
    struct rlimit limit;

    if (!usual_descriptors || getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    limit.rlim_cur = on ? usual_descriptors + SPARE_DESCRIPTORS : usual_descriptors;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

void process_keep_standard_descriptors(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* cpu.max of control groups v2: "QUOTA PERIOD" in microseconds, or "max PERIOD". 0: no bound. In a
 * container its own group is the root of what it sees. */
static unsigned group_processors(void)
{
    unsigned long quota, period;
    unsigned n = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");

    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &quota, &period) == 2 && quota > 0 && period > 0)
        n = (unsigned)((quota + period - 1) / period);
    fclose(f);
    return n;
}

unsigned process_processors(void)
{
    cpu_set_t set;
    unsigned n = 1, paid = group_processors();

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        n = (unsigned)CPU_COUNT(&set);
    else if (sysconf(_SC_NPROCESSORS_ONLN) > 0)
        n = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    if (paid > 0 && paid < n)
        n = paid;
    return n > 0 ? n : 1;
}

/* ---- metrics ---- */

static void print_double(struct buffer *out, const char *name, const char *type, const char *help,
                         double value)
{
    prometheus_family(out, name, type, help);
    buffer_printf(out, "%s %.6f\n", name, value);
}

static void print_count(struct buffer *out, const char *name, const char *help, uint64_t value)
{
    prometheus_family(out, name, "gauge", help);
    buffer_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void print_cpu(struct buffer *out)
{
    struct rusage use;

    if (getrusage(RUSAGE_SELF, &use) != 0)
        return;
    print_double(out, "process_cpu_seconds_total", "counter",
                 "Processor time used, user and system, in seconds",
                 (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                     (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
}

static void print_memory(struct buffer *out)
{
    uint64_t pages, resident, page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/self/statm", "re");

    if (!f)
        return;
    if (fscanf(f, "%" SCNu64 " %" SCNu64, &pages, &resident) == 2) {
        print_count(out, "process_virtual_memory_bytes", "Virtual memory in bytes",
                    pages * page_bytes);
        print_count(out, "process_resident_memory_bytes", "Resident memory in bytes",
                    resident * page_bytes);
    }
    fclose(f);
}

static void print_descriptors(struct buffer *out)
{
    struct rlimit limit;
    uint64_t open_fds = 0;
    DIR *d = opendir("/proc/self/fd");

    if (d) {
        for (const struct dirent *e = readdir(d); e; e = readdir(d))
            if (e->d_name[0] != '.')
                open_fds++;
        closedir(d);
        print_count(out, "process_open_fds", "Open file descriptors", open_fds - 1);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        print_count(out, "process_max_fds", "Most file descriptors that may be open",
                    limit.rlim_cur);
}

/* Field 22 of /proc/self/stat is the start in clock ticks since boot; the second field, the name in
 * parentheses, may hold spaces. */
static bool ticks_at_start(uint64_t *ticks)
{
    char text[1024];
    FILE *f = fopen("/proc/self/stat", "re");

    if (!f)
        return false;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at && sscanf(at, "%" SCNu64, ticks) == 1;
}

static void print_start(struct buffer *out)
{
    struct timespec since_boot;
    uint64_t ticks;

    if (!ticks_at_start(&ticks) || clock_gettime(CLOCK_BOOTTIME, &since_boot) != 0)
        return;
    double boot =
        (double)clock_wall() / 1e9 - (double)since_boot.tv_sec - (double)since_boot.tv_nsec / 1e9;
    print_double(out, "process_start_time_seconds", "gauge",
                 "When the process started, in seconds since 1970",
                 boot + (double)ticks / (double)sysconf(_SC_CLK_TCK));
}

void process_metrics_print(struct buffer *out)
{
    print_cpu(out);
    print_memory(out);
    print_descriptors(out);
    print_start(out);
}
