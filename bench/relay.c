/*
 * The floor: a TCP relay that understands nothing.
 *
 *     relay LISTEN_PORT ORIGIN_PORT
 *
 * One thread, edge-triggered epoll, one connection to the origin for each of a
 * client. No proxy built on sockets can move a request and its response with
 * fewer system calls: it reads and writes each once. Both ports are on 127.0.0.1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };

/* One end of a pair; both are freed together, after the turn in which they closed. */
struct end {
    int fd; /* -1: closed */
    struct end *peer;
    size_t have, sent; /* bytes of buf received here, and sent to the peer */
    char buf[65536];
};

static int poller;

static struct end *end_new(int fd)
{
    struct end *e = malloc(sizeof(*e));
    int on = 1;

    if (!e)
        abort();
    e->fd = fd;
    e->have = e->sent = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = e};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    return e;
}

static bool must_wait(void)
{
    return errno == EAGAIN || errno == EINPROGRESS;
}

/* Moves what there is from e to its peer. False: the pair is over. */
static bool move(struct end *e)
{
    for (;;) {
        while (e->sent < e->have) {
            ssize_t n = send(e->peer->fd, e->buf + e->sent, e->have - e->sent, MSG_NOSIGNAL);
            if (n < 0)
                return must_wait();
            e->sent += (size_t)n;
        }
        ssize_t n = recv(e->fd, e->buf, sizeof(e->buf), 0);
        if (n < 0)
            return must_wait();
        if (n == 0)
            return false;
        e->have = (size_t)n;
        e->sent = 0;
    }
}

/* False: the pair is over. */
static bool on_event(struct end *e, uint32_t events)
{
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && !move(e))
        return false;
    return !(events & EPOLLOUT) || e->peer->sent == e->peer->have || move(e->peer);
}

static void accept_all(int listener, const struct sockaddr_in *origin)
{
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        int up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(up, (const struct sockaddr *)origin, sizeof(*origin)) < 0 &&
            errno != EINPROGRESS) {
            close(fd);
            close(up);
            continue;
        }
        struct end *client = end_new(fd), *server = end_new(up);
        client->peer = server;
        server->peer = client;
    }
}

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    a.sin_port = htons((uint16_t)atoi(port));
    return a;
}

/* One round of the loop. */
static void turn(int listener, const struct sockaddr_in *origin)
{
    struct epoll_event events[EVENTS];
    struct end *over[EVENTS];
    int n_over = 0, n = epoll_wait(poller, events, EVENTS, -1);

    for (int i = 0; i < n; i++) {
        struct end *e = events[i].data.ptr;
        if (!e) {
            accept_all(listener, origin);
        } else if (e->fd >= 0 && !on_event(e, events[i].events)) {
            close(e->fd);
            close(e->peer->fd);
            e->fd = e->peer->fd = -1;
            over[n_over++] = e;
        }
    }
    while (n_over-- > 0) {
        free(over[n_over]->peer);
        free(over[n_over]);
    }
}

int main(int argc, char **argv)
{
    int on = 1;

    if (argc != 3) {
        fprintf(stderr, "usage: relay LISTEN_PORT ORIGIN_PORT\n");
        return 2;
    }
    struct sockaddr_in at = loopback(argv[1]), origin = loopback(argv[2]);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 4096) < 0) {
        perror("relay");
        return 1;
    }
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &(struct epoll_event){.events = EPOLLIN});
    for (;;)
        turn(listener, &origin);
}
