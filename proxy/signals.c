#include "proxy/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signals {
    int fd;
    struct event *event;
    void (*on_signal)(void *arg, int number);
    void *arg;
};

static sigset_t handled(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

void signals_block(void)
{
    sigset_t set = handled();

    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct signals *s = arg;
    struct signalfd_siginfo info;

    (void)what;
    if (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        s->on_signal(s->arg, (int)info.ssi_signo);
}

struct signals *signals_new(struct event_base *base, void (*on_signal)(void *arg, int number),
                            void *arg)
{
    struct signals *s = calloc(1, sizeof(*s));
    sigset_t set = handled();

    if (!s)
        return NULL;
    s->on_signal = on_signal;
    s->arg = arg;
    s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->fd >= 0)
        s->event = event_new(base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    if (!s->event || event_add(s->event, NULL) != 0) {
        signals_free(s);
        return NULL;
    }
    return s;
}

void signals_free(struct signals *s)
{
    if (!s)
        return;
    if (s->event)
        event_free(s->event);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

static void exit_at_once(int number)
{
    (void)number;
    _exit(1);
}

void signals_exit_at_once(void)
{
    sigset_t set;

    signal(SIGTERM, exit_at_once);
    signal(SIGINT, exit_at_once);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
