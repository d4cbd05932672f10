#include "proxy/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/connect_error.h"
#include "proxy/timeval.h"

/* How long an attempt is alone (RFC 8305 section 5). */
#define ATTEMPT_DELAY MILLISECONDS(250)

enum { ATTEMPTS_MAX = 8 }; /* at once */

struct attempt {
    struct dial *dial;
    struct address to;
    int fd;              /* being connected; -1: none */
    struct event *ready; /* fd can be written; NULL with fd -1 */
};

struct dial {
    struct resolver *resolver; /* borrowed */
    const struct location *to; /* borrowed */
    dialled_fn *fn;
    void *arg;
    nsec_t allowed, deadline; /* the deadline is monotonic */
    struct resolve *question; /* NULL: none is under way */
    struct resolved answer;
    size_t next; /* of answer's addresses, to be tried */
    struct attempt attempts[ATTEMPTS_MAX];
    unsigned n_attempts; /* under way */
    int connected;       /* -1: none is */
    struct event *timer; /* the answer is there, the time is over, or it is time for another */
    bool resolving;
    char detail[192]; /* of the last failure */
};

/* ---- the end ---- */

static void attempt_over(struct attempt *a)
{
    if (a->ready)
        event_free(a->ready);
    a->ready = NULL;
    if (a->fd >= 0)
        close(a->fd);
    a->fd = -1;
    a->dial->n_attempts--;
}

static void drop_attempts(struct dial *d)
{
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        if (d->attempts[i].fd >= 0)
            attempt_over(&d->attempts[i]);
}

void dial_cancel(struct dial *d)
{
    if (!d)
        return;
    resolver_cancel(d->question);
    drop_attempts(d);
    if (d->timer)
        event_free(d->timer);
    free(d);
}

static void finish(struct dial *d)
{
    struct dial ended = *d;

    dial_cancel(d);
    ended.fn(ended.arg, ended.connected, ended.connected >= 0 ? NULL : ended.detail);
}

/* ---- connecting ---- */

static const char *reason(int error)
{
    return error == ECONNREFUSED ? "refused" : connect_error_text(error);
}

static void note_failure(struct dial *d, const struct address *to, const char *why)
{
    char text[ADDRESS_TEXT_MAX];

    address_format(to, text);
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
    struct attempt *a = arg;
    struct dial *d = a->dial;
    int error = 0;
    socklen_t len = sizeof(error);

    if (getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (!error) {
        d->connected = a->fd;
        a->fd = -1; /* given away */
        attempt_over(a);
        finish(d);
        return;
    }
    note_failure(d, &a->to, reason(error));
    attempt_over(a);
    try_next(d);
}

/* Until the next may be tried beside it, or, without another, until the time is over. */
static bool arm(struct dial *d)
{
    nsec_t left = d->deadline - clock_monotonic();
    bool more = d->next < d->answer.n && d->n_attempts < ATTEMPTS_MAX;
    struct timeval tv;

    if (more && left > ATTEMPT_DELAY)
        left = ATTEMPT_DELAY;
    tv = timeval_of(left > 0 ? left : 0);
    return event_add(d->timer, &tv) == 0;
}

static struct attempt *free_place(struct dial *d)
{
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        if (d->attempts[i].fd < 0)
            return &d->attempts[i];
    return NULL;
}

/* False: it failed at once. */
static bool begin(struct dial *d, struct attempt *a, const struct address *to)
{
    a->to = *to;
    a->fd = open_socket(to);
    if (a->fd < 0) {
        note_failure(d, to, reason(errno));
        return false;
    }
    d->n_attempts++;
    a->ready = event_new(event_get_base(d->timer), a->fd, EV_WRITE, on_ready, a);
    if (a->ready && event_add(a->ready, NULL) == 0 && arm(d))
        return true;
    note_failure(d, to, "no memory");
    attempt_over(a);
    return false;
}

/* Ends the dial where nobody is left. */
static void try_next(struct dial *d)
{
    struct attempt *a;

    while (d->next < d->answer.n && (a = free_place(d)))
        if (begin(d, a, &d->answer.v[d->next++]))
            return;
    if (!d->n_attempts)
        finish(d);
    else
        arm(d);
}

static void time_is_over(struct dial *d)
{
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        if (d->attempts[i].fd >= 0)
            note_failure(d, &d->attempts[i].to, "no answer in time");
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
    if (d->n_attempts && clock_monotonic() >= d->deadline)
        time_is_over(d);
    else
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
                       .connected = -1,
                       .resolving = true};
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        d->attempts[i] = (struct attempt){.dial = d, .fd = -1};
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
