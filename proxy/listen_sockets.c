/*
 * The main thread's part of listening: opening the sockets of a config, and
 * sharing those that were open before.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buffer.h"
#include "proxy/conn.h"
#include "proxy/listener_private.h"

enum { BACKLOG = 4096 }; /* as far as net.core.somaxconn allows */

/* ---- one socket ---- */

static struct bound *bound_new(int fd)
{
    struct bound *b = calloc(1, sizeof(*b));

    if (!b) {
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    atomic_init(&b->refs, 1);
    b->fd = fd;
    return b;
}

struct bound *bound_ref(struct bound *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void bound_unref(struct bound *b)
{
    struct stat st;

    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (b->path && lstat(b->path, &st) == 0 && st.st_dev == b->dev && st.st_ino == b->ino)
        unlink(b->path);
    close(b->fd);
    free(b->path);
    free(b);
}

static void set_on(int fd, int level, int option, int on)
{
    setsockopt(fd, level, option, &on, sizeof(on));
}

/* A socket bound to that address and not yet listening. -1: errno. */
static int bind_socket(const struct address *a, bool both_families, bool share_port)
{
    struct sockaddr_storage sa;
    socklen_t len;

    if (!address_to_sockaddr(a, &sa, &len)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (a->family != AF_UNIX) {
        set_on(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_on(fd, SOL_SOCKET, SO_REUSEPORT, share_port);
        set_on(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted sockets inherit it */
    }
    if (a->family == AF_INET6)
        set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, !both_families);
    if (bind(fd, (struct sockaddr *)&sa, len) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct address a = {0};

    if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0)
        address_from_sockaddr((struct sockaddr *)&sa, len, &a);
    return a.port;
}

/* ---- why not ---- */

const char *listen_error_text(const struct address *a, int error)
{
    bool on_path = a->family == AF_UNIX;

    switch (error) {
    case EADDRINUSE:
        return on_path ? "another program listens there, or a file is in the way"
                       : "the port is in use by another program (ss -ltnp shows which)";
    case EACCES:
        return on_path ? "no permission to write in that directory"
                       : "a port this low needs root or CAP_NET_BIND_SERVICE (under systemd: "
                         "AmbientCapabilities=CAP_NET_BIND_SERVICE)";
    case EADDRNOTAVAIL:
        return "this machine has no such address";
    case EAFNOSUPPORT:
        return "this machine has no IPv6";
    case ENOENT:
        return "there is no such directory";
    case ENAMETOOLONG:
        return "the path is longer than the system allows";
    case EMFILE:
    case ENFILE:
        return "no more files can be opened: raise the limit (ulimit -n)";
    default:
        return strerror(error);
    }
}

static bool cannot_listen(const struct listen_config *config, int error, struct error *err)
{
    return error_at(err, config->at, "cannot listen on %.*s: %s", STR_ARG(config->location.text),
                    listen_error_text(&config->location.address, error));
}

/* ---- one `listen` ---- */

/* Of port 0 the system makes another port each time, so each direction's is its own. */
static bool is_same(const struct listen_entry *a, const struct listen_entry *b)
{
    const struct address *address = &a->config->location.address;
    bool any_port = address->family != AF_UNIX && address->port == 0;

    return a->config->any_address == b->config->any_address &&
           address_eq(address, &b->config->location.address) &&
           (!any_port || a->direction == b->direction);
}

/* Whether the port is bound by us in this process. */
static bool have_port(const struct listen_sockets *s, uint16_t port)
{
    for (size_t i = 0; s && i < s->n; i++) {
        if (s->v[i].bound && s->v[i].port == port)
            return true;
    }
    return false;
}

/* SO_REUSEPORT lets a second process of the same user take a part of the connections, without a
 * word. One that was started by mistake is to be told instead. */
static bool taken_by_another(const struct address *a, bool both_families)
{
    int fd = bind_socket(a, both_families, false);

    if (fd < 0)
        return errno == EADDRINUSE;
    close(fd);
    return false;
}

/* A socket left by a process that is gone refuses connections. */
static bool is_stale(const struct address *a)
{
    struct sockaddr_storage sa;
    socklen_t len;
    struct stat st;

    if (lstat(a->path, &st) != 0 || !S_ISSOCK(st.st_mode) || !address_to_sockaddr(a, &sa, &len))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (struct sockaddr *)&sa, len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

/* Unix sockets have no SO_REUSEPORT: the workers share one. */
static bool open_path(struct listen_entry *e, unsigned workers, struct error *err)
{
    const struct address *a = &e->config->location.address;
    struct stat st;

    int fd = bind_socket(a, false, false);
    if (fd < 0 && errno == EADDRINUSE && is_stale(a) && unlink(a->path) == 0)
        fd = bind_socket(a, false, false);
    struct bound *b = fd < 0 ? NULL : bound_new(fd);
    if (!b)
        return cannot_listen(e->config, errno, err);
    e->bound[0] = b;
    for (unsigned i = 1; i < workers; i++)
        e->bound[i] = bound_ref(b);
    b->path = strdup(a->path);
    if (b->path && lstat(b->path, &st) == 0) {
        b->dev = st.st_dev;
        b->ino = st.st_ino;
    }
    return true;
}

static bool open_port(struct listen_entry *e, unsigned workers, bool ours, struct error *err)
{
    struct address a = e->config->location.address;
    bool both_families = e->config->any_address;

    if (a.port != 0 && !ours && taken_by_another(&a, both_families))
        return cannot_listen(e->config, EADDRINUSE, err);
    for (unsigned i = 0; i < workers; i++) {
        int fd = bind_socket(&a, both_families, true);
        if (fd < 0 && i == 0 && both_families &&
            (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
            a = (struct address){.family = AF_INET, .port = a.port};
            fd = bind_socket(&a, false, true);
        }
        e->bound[i] = fd < 0 ? NULL : bound_new(fd);
        if (!e->bound[i])
            return cannot_listen(e->config, errno, err);
        e->port = a.port = port_of(fd);
    }
    return true;
}

static bool start_to_listen(const struct listen_entry *e, unsigned workers, struct error *err)
{
    for (unsigned i = 0; i < workers; i++) {
        if (listen(e->bound[i]->fd, BACKLOG) != 0)
            return cannot_listen(e->config, errno, err);
    }
    return true;
}

/* ---- all of a config ---- */

static void add_direction(struct listen_sockets *s, const struct direction *d)
{
    if (!d->present)
        return;
    for (size_t i = 0; i < d->n_listens; i++)
        s->v[s->n++] = (struct listen_entry){.config = &d->listens[i], .direction = d->kind};
}

/* One of the first n that opens the same as e; NULL: none. */
static const struct listen_entry *find_same(const struct listen_sockets *s, size_t n,
                                            const struct listen_entry *e)
{
    for (size_t i = 0; i < n; i++) {
        if (is_same(&s->v[i], e))
            return &s->v[i];
    }
    return NULL;
}

/* What was open before and stays. */
static const struct listen_entry *find_old(const struct listen_sockets *old,
                                           const struct listen_sockets *s,
                                           const struct listen_entry *e)
{
    return old && old->workers == s->workers ? find_same(old, old->n, e) : NULL;
}

static bool open_entry(struct listen_sockets *s, struct listen_entry *e,
                       const struct listen_sockets *old, struct error *err)
{
    const struct listen_entry *same = find_old(old, s, e);
    uint16_t port = e->config->location.address.port;
    bool ours = have_port(s, port) || have_port(old, port);

    e->bound = calloc(s->workers, sizeof(struct bound *));
    if (!e->bound)
        return error_set(err, "cannot listen: no memory");
    if (same) {
        e->port = same->port;
        for (unsigned i = 0; i < s->workers; i++)
            e->bound[i] = bound_ref(same->bound[i]);
        return true;
    }
    if (e->config->location.address.family == AF_UNIX)
        return open_path(e, s->workers, err);
    return open_port(e, s->workers, ours, err);
}

static bool open_all(struct listen_sockets *s, const struct listen_sockets *old, struct error *err)
{
    for (size_t i = 0; i < s->n; i++) {
        if (find_same(s, i, &s->v[i]))
            return error_at(err, s->v[i].config->at, "%.*s is listened on twice",
                            STR_ARG(s->v[i].config->location.text));
        if (!open_entry(s, &s->v[i], old, err))
            return false;
    }
    /* All are bound: none has taken a connection so far that it could not keep. */
    for (size_t i = 0; i < s->n; i++) {
        if (!find_old(old, s, &s->v[i]) && !start_to_listen(&s->v[i], s->workers, err))
            return false;
    }
    return true;
}

/* What is accepted inherits it. Those that were open before are told anew: the times may be others
 * now. */
static void keep_alive(const struct listen_sockets *s)
{
    for (size_t i = 0; i < s->n; i++)
        for (unsigned k = 0; k < s->workers && s->v[i].port; k++)
            socket_keep_alive(s->v[i].bound[k]->fd, s->config->timeouts.keepalive,
                              s->config->timeouts.keepalive_timeout);
}

struct listen_sockets *listen_sockets_open(struct config *config, const struct listen_sockets *old,
                                           unsigned workers, struct error *err)
{
    size_t n = config->inbound.n_listens + config->outbound.n_listens;
    struct listen_sockets *s = calloc(1, sizeof(*s) + n * sizeof(s->v[0]));

    if (!s) {
        error_set(err, "cannot listen: no memory");
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->config = config_ref(config);
    s->workers = workers;
    add_direction(s, &config->inbound);
    add_direction(s, &config->outbound);
    if (!open_all(s, old, err)) {
        listen_sockets_unref(s);
        return NULL;
    }
    keep_alive(s);
    return s;
}

struct listen_sockets *listen_sockets_ref(struct listen_sockets *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void listen_sockets_unref(struct listen_sockets *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < s->n; i++) {
        for (unsigned k = 0; s->v[i].bound && k < s->workers; k++)
            bound_unref(s->v[i].bound[k]);
        free(s->v[i].bound);
    }
    config_unref(s->config);
    free(s);
}

static void describe_entry(const struct listen_entry *e, struct buffer *out)
{
    static const char *const modes[] = {
        [LISTEN_PLAIN] = "",
        [LISTEN_TRANSPARENT] = " (transparent)",
        [LISTEN_FORWARD_PROXY] = " (forward-proxy)",
    };
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct address a = {0};
    char text[ADDRESS_TEXT_MAX];

    if (getsockname(e->bound[0]->fd, (struct sockaddr *)&sa, &len) == 0)
        address_from_sockaddr((struct sockaddr *)&sa, len, &a);
    address_format(&a, text);
    buffer_printf(out, "%s%s", text, modes[e->config->mode]);
}

void listen_sockets_describe(const struct listen_sockets *s, enum direction_kind direction,
                             struct buffer *out)
{
    bool first = true;

    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].direction != direction)
            continue;
        if (!first)
            buffer_add_str(out, STR(", "));
        first = false;
        describe_entry(&s->v[i], out);
    }
}
