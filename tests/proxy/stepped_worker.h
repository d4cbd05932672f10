/*
 * A worker without a thread, whose loop the test runs step by step, and sockets
 * for the test's own ends of its connections.
 */
#ifndef SIDESPAN_TESTS_STEPPED_WORKER_H
#define SIDESPAN_TESTS_STEPPED_WORKER_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/front.h"
#include "proxy/worker.h"

#define STEPPED_WORKER_CONF "inbound { listen 127.0.0.1:0; } limits { buffer-bytes 64k; }"

static inline struct worker *stepped_worker_of(const char *conf)
{
    struct errors errors = {0};
    struct error err = {0};
    struct worker_setup setup = {
        .config = config_parse("test.conf", str_from(conf), NULL, &errors),
        .recording = true,
        .exporting = true,
    };
    struct worker *w;

    ck_assert_msg(setup.config != NULL, "%s", errors.n ? errors.v[0].text : "");
    w = worker_new(&setup, &err);
    ck_assert_msg(w != NULL, "%s", err.text);
    config_unref(setup.config);
    errors_release(&errors);
    return w;
}

static inline struct worker *stepped_worker_new(void)
{
    return stepped_worker_of(STEPPED_WORKER_CONF);
}

static inline int64_t counted(const struct worker *w, enum counter c)
{
    return atomic_load(&w->metrics->v[c]);
}

static inline void worker_step(struct worker *w)
{
    event_base_loop(w->loop.base, EVLOOP_NONBLOCK);
}

/* Runs the loop until the condition holds; a test hangs for 10 s at most. */
#define RUN_UNTIL(w, condition)                                                 \
    do {                                                                        \
        nsec_t until_ = clock_monotonic() + SECONDS(10);                        \
        worker_step(w);                                                         \
        while (!(condition)) {                                                  \
            ck_assert_msg(clock_monotonic() < until_, "never: %s", #condition); \
            usleep(100);                                                        \
            worker_step(w);                                                     \
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
