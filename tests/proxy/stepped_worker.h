/*
 * As much of a worker as conns, tunnels and listeners need, run by the test
 * itself: no thread, no exchanges. To be included by one file of a test.
 */
#ifndef SIDESPAN_TESTS_BARE_WORKER_H
#define SIDESPAN_TESTS_BARE_WORKER_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/conn_private.h"
#include "proxy/front.h"
#include "proxy/worker.h"

/* ---- what worker.c does with exchanges besides ---- */

void worker_begin_turn(struct worker *w)
{
    w->now = clock_monotonic();
    w->wall_offset = clock_wall() - w->now;
}

void worker_end_turn(struct worker *w)
{
    while (!list_empty(&w->dirty) || w->buried) {
        conns_flush(w);
        struct burial *b = w->buried;
        w->buried = NULL;
        while (b) {
            struct burial *next = b->next;
            b->free(b);
            b = next;
        }
    }
}

void worker_bury(struct worker *w, struct burial *b, void (*fn)(struct burial *b))
{
    b->free = fn;
    b->next = w->buried;
    w->buried = b;
}

void worker_busy_add(struct worker *w, int n)
{
    atomic_fetch_add(&w->busy, (unsigned)n);
}

void front_count(struct worker *w, unsigned direction, int n)
{
    w->open += (unsigned)n;
}

static void bare_begin(void *arg)
{
    worker_begin_turn(arg);
}

static void bare_end(void *arg)
{
    worker_end_turn(arg);
}

static inline struct worker *bare_worker_new(size_t buffer_bytes)
{
    struct worker *w = calloc(1, sizeof(*w));

    w->base = event_base_new();
    w->timers = timers_new(w->base);
    timers_set_turn(w->timers, bare_begin, bare_end, w);
    w->metrics = metrics_new();
    w->receive = malloc(WORKER_RECEIVE_BYTES);
    w->generation = calloc(1, sizeof(*w->generation));
    w->generation->config = calloc(1, sizeof(*w->generation->config));
    w->generation->config->limits.buffer_bytes = buffer_bytes;
    list_init(&w->dirty);
    list_init(&w->idle);
    list_init(&w->tunnels);
    list_init(&w->active);
    worker_begin_turn(w);
    return w;
}

static inline void bare_worker_free(struct worker *w)
{
    worker_end_turn(w);
    out_turns_free(w);
    timers_free(w->timers);
    metrics_free(w->metrics);
    event_base_free(w->base);
    free(w->receive);
    free(w->generation->config);
    free(w->generation);
    free(w);
}

static inline int64_t counted(const struct worker *w, enum counter c)
{
    return atomic_load(&w->metrics->v[c]);
}

static inline void bare_worker_step(struct worker *w)
{
    event_base_loop(w->base, EVLOOP_NONBLOCK);
}

/* Runs the loop until the condition holds; a test hangs for 10 s at most. */
#define RUN_UNTIL(w, condition)                                                 \
    do {                                                                        \
        nsec_t until_ = clock_monotonic() + SECONDS(10);                        \
        bare_worker_step(w);                                                    \
        while (!(condition)) {                                                  \
            ck_assert_msg(clock_monotonic() < until_, "never: %s", #condition); \
            usleep(100);                                                        \
            bare_worker_step(w);                                                \
        }                                                                       \
    } while (0)

/* ---- sockets of the test's own ---- */

/* Listens on a port of 127.0.0.1 that the system chooses. */
static inline int listen_anywhere(struct address *at, int backlog)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, len), 0);
    ck_assert_int_eq(listen(fd, backlog), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    ck_assert(address_from_sockaddr((struct sockaddr *)&in, len, at));
    return fd;
}

static inline void set_nonblocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

/* A connected, non-blocking socket. */
static inline int connect_to(const struct address *at)
{
    struct sockaddr_storage sa;
    socklen_t len;

    ck_assert(address_to_sockaddr(at, &sa, &len));
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_msg(connect(fd, (struct sockaddr *)&sa, len) == 0, "connect: %s", strerror(errno));
    set_nonblocking(fd);
    return fd;
}

static inline void close_with_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

#endif
