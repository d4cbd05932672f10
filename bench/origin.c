/*
 * A cheap HTTP/1.1 origin for benchmarks: one thread, kept connections, pipelining.
 *
 *     origin PORT BODY_BYTES
 *
 * Every request is answered 200 with a body of that many bytes; bodies of
 * requests (Content-Length only) are read past. It listens on 127.0.0.1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct conn {
    int fd;
    size_t have;  /* bytes received and not yet understood */
    size_t skip;  /* bytes of a request's body still to come */
    char *unsent; /* owned: responses that the socket did not take yet */
    size_t n_unsent;
    char in[16384];
};

static int poller;
static char *response;
static size_t n_response;

static void watch(struct conn *c, int operation, bool for_room)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

    if (for_room)
        e.events |= EPOLLOUT;
    epoll_ctl(poller, operation, c->fd, &e);
}

static void conn_close(struct conn *c)
{
    close(c->fd);
    free(c->unsent);
    free(c);
}

static void keep_unsent(struct conn *c, const char *p, size_t n)
{
    char *more = realloc(c->unsent, c->n_unsent + n);

    if (!more)
        abort();
    memcpy(more + c->n_unsent, p, n);
    c->unsent = more;
    c->n_unsent += n;
}

/* Sends what waits. False: the connection is broken. */
static bool conn_flush(struct conn *c)
{
    size_t sent = 0;

    while (sent < c->n_unsent) {
        ssize_t n = send(c->fd, c->unsent + sent, c->n_unsent - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    c->n_unsent -= sent;
    if (c->n_unsent > 0)
        memmove(c->unsent, c->unsent + sent, c->n_unsent);
    return true;
}

/* False: the connection is broken. */
static bool conn_answer(struct conn *c)
{
    ssize_t n = 0;

    if (c->n_unsent == 0) {
        n = send(c->fd, response, n_response, MSG_NOSIGNAL);
        if (n == (ssize_t)n_response)
            return true;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            n = 0;
        watch(c, EPOLL_CTL_MOD, true);
    }
    keep_unsent(c, response + n, n_response - (size_t)n);
    return true;
}

static size_t content_length(const char *head, size_t n)
{
    static const char name[] = "content-length:";
    const char *end = head + n, *line = head, *eol;

    while ((eol = memmem(line, (size_t)(end - line), "\r\n", 2))) {
        if ((size_t)(eol - line) >= sizeof(name) && strncasecmp(line, name, sizeof(name) - 1) == 0)
            return strtoul(line + sizeof(name) - 1, NULL, 10);
        line = eol + 2;
    }
    return 0;
}

static void consume(struct conn *c, size_t n)
{
    memmove(c->in, c->in + n, c->have - n);
    c->have -= n;
}

/* Answers every request that is there. False: the connection is broken. */
static bool conn_understand(struct conn *c)
{
    for (;;) {
        if (c->skip > 0) {
            size_t n = c->skip < c->have ? c->skip : c->have;
            consume(c, n);
            c->skip -= n;
            if (c->skip > 0)
                return true;
        } else {
            char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
            if (!end)
                return c->have < sizeof(c->in);
            size_t head = (size_t)(end - c->in) + 4;
            c->skip = content_length(c->in, head);
            consume(c, head);
            if (c->skip > 0)
                continue;
        }
        if (!conn_answer(c))
            return false;
    }
}

/* False: the connection is over. */
static bool conn_read(struct conn *c)
{
    for (;;) {
        size_t room = sizeof(c->in) - c->have;
        ssize_t n = recv(c->fd, c->in + c->have, room, 0);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return false;
        c->have += (size_t)n;
        if (!conn_understand(c))
            return false;
        /* What filled less than half of the buffer was all there was. */
        if ((size_t)n < sizeof(c->in) / 2)
            return true;
    }
}

static void on_event(struct conn *c, uint32_t events)
{
    bool open = true;

    if (events & EPOLLOUT) {
        open = conn_flush(c);
        if (open && c->n_unsent == 0)
            watch(c, EPOLL_CTL_MOD, false);
    }
    if (open && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        open = conn_read(c);
    if (!open)
        conn_close(c);
}

static void accept_all(int listener)
{
    int fd, on = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct conn *c = calloc(1, sizeof(*c));
        if (!c)
            abort();
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(c, EPOLL_CTL_ADD, false);
    }
}

static int listen_on(const char *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

    at.sin_port = htons((uint16_t)atoi(port));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0) {
        perror("origin");
        exit(1);
    }
    return fd;
}

static void make_response(size_t body)
{
    enum { HEAD_MAX = 256 };

    response = malloc(HEAD_MAX + body);
    if (!response)
        abort();
    int head = snprintf(response, HEAD_MAX,
                        "HTTP/1.1 200 OK\r\nServer: origin\r\n"
                        "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
                        body);
    memset(response + head, 'x', body);
    n_response = (size_t)head + body;
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];

    if (argc != 3) {
        fprintf(stderr, "usage: origin PORT BODY_BYTES\n");
        return 2;
    }
    make_response(strtoul(argv[2], NULL, 10));
    int listener = listen_on(argv[1]);
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN});
    for (;;) {
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                on_event(events[i].data.ptr, events[i].events);
            else
                accept_all(listener);
        }
    }
}
