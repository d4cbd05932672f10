#include "proxy/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/connect_error.h"
#include "proxy/timeval.h"

struct dial {
    struct resolver *resolver; /* borrowed */
    const struct location *to; /* borrowed */
    dialled_fn *fn;
    void *arg;
    nsec_t allowed, deadline; /* the deadline is monotonic */
    struct resolve *question; /* NULL: none is under way */
    struct resolved answer;
    size_t next;         /* of answer's addresses, to be tried */
    int fd;              /* being connected; -1: none */
    struct event *ready; /* fd can be written; NULL with fd -1 */
    struct event *timer; /* the answer is there, or the time for it, or for fd, is over */
    bool resolving;
    char detail[192]; /* of the last failure */
};

/* ---- the end ---- */

static void drop_socket(struct dial *d)
{
    if (d->ready)
        event_free(d->ready);
    d->ready = NULL;
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

void dial_cancel(struct dial *d)
{
    if (!d)
        return;
    resolver_cancel(d->question);
    drop_socket(d);
    if (d->timer)
        event_free(d->timer);
    free(d);
}

static void finish(struct dial *d)
{
    struct dial ended = *d;

    d->fd = -1; /* given away */
    d->question = NULL;
    dial_cancel(d);
    ended.fn(ended.arg, ended.fd, ended.fd >= 0 ? NULL : ended.detail);
}

/* ---- connecting ---- */

static const char *reason(int error)
{
    return error == ECONNREFUSED ? "refused" : connect_error_text(error);
}

static void note_failure(struct dial *d, const char *why)
{
    char text[ADDRESS_TEXT_MAX];

    address_format(&d->answer.v[d->next - 1], text);
    if (d->to->name.n)
        snprintf(d->detail, sizeof(d->detail), "connect to %s (%.*s): %s", text,
                 STR_ARG(d->to->text), why);
    else
        snprintf(d->detail, sizeof(d->detail), "connect to %s: %s", text, why);
}

static int open_socket(const struct address *to)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int one = 1;

    if (!address_to_sockaddr(to, &sa, &len)) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (to->family != AF_UNIX) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
    if (connect(fd, (struct sockaddr *)&sa, len) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = connect_error_known(error, (struct sockaddr *)&sa, len);
        return -1;
    }
    return fd;
}

static void try_next(struct dial *d);

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct dial *d = arg;
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (!error) {
        finish(d);
        return;
    }
    note_failure(d, reason(error));
    drop_socket(d);
    try_next(d);
}

/* What is left of the time is shared by the addresses that are left, so that one which does not
 * answer cannot take it from the next. */
static bool watch_socket(struct dial *d)
{
    nsec_t left = d->deadline - clock_monotonic();
    struct timeval tv = timeval_of(left / (nsec_t)(d->answer.n - d->next + 1));

    d->ready = event_new(event_get_base(d->timer), d->fd, EV_WRITE, on_ready, d);
    return d->ready && event_add(d->ready, NULL) == 0 && event_add(d->timer, &tv) == 0;
}

static void try_next(struct dial *d)
{
    while (d->next < d->answer.n) {
        struct address to = d->answer.v[d->next++];

        d->fd = open_socket(&to);
        if (d->fd < 0) {
            note_failure(d, reason(errno));
            continue;
        }
        if (watch_socket(d))
            return;
        note_failure(d, "no memory");
        drop_socket(d);
    }
    finish(d);
}

/* ---- resolving ---- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct dial *d = arg;

    if (d->resolving) {
        snprintf(d->detail, sizeof(d->detail), "resolve %.*s: no answer within %lld ms",
                 STR_ARG(d->to->name), (long long)(d->allowed / MILLISECONDS(1)));
        finish(d);
        return;
    }
    if (d->fd >= 0) {
        note_failure(d, "no answer in time");
        drop_socket(d);
    }
    try_next(d);
}

static void on_resolved(void *arg, const struct resolved *result)
{
    struct dial *d = arg;
    struct timeval at_once = {0};

    d->question = NULL;
    d->resolving = false;
    d->answer.n = result->n;
    for (size_t i = 0; i < result->n; i++) {
        d->answer.v[i] = result->v[i];
        d->answer.v[i].port = d->to->address.port;
    }
    if (result->error)
        snprintf(d->detail, sizeof(d->detail), "resolve %.*s: %s", STR_ARG(d->to->name),
                 result->error);
    event_add(d->timer, &at_once); /* not from within dial_start() */
}

struct dial *dial_start(struct event_base *base, struct resolver *resolver,
                        const struct location *to, nsec_t allowed, dialled_fn *fn, void *arg)
{
    struct timeval tv = timeval_of(allowed);
    struct dial *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    *d = (struct dial){.resolver = resolver,
                       .to = to,
                       .fn = fn,
                       .arg = arg,
                       .allowed = allowed,
                       .deadline = clock_monotonic() + allowed,
                       .fd = -1,
                       .resolving = true};
    d->timer = evtimer_new(base, on_timer, d);
    if (!d->timer || event_add(d->timer, &tv) < 0) {
        dial_cancel(d);
        return NULL;
    }
    if (to->address.family) {
        struct resolved literal = {.n = 1, .v = {to->address}};
        on_resolved(d, &literal);
    } else {
        struct resolve *question = resolver_ask(resolver, to->name, on_resolved, d);
        if (d->resolving)
            d->question = question;
    }
    return d;
}
