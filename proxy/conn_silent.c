/*
 * Peers that are gone without a word. An idle connection is probed by the
 * kernel (keepalive). Where bytes wait for a peer the kernel goes on sending
 * them for a quarter of an hour, and TCP_USER_TIMEOUT would also end a peer that
 * is there and just does not read; so the connections are looked at now and
 * then: lost is one whose peer has acknowledged nothing for keepalive-timeout
 * though bytes wait. Only who has been sent something and has sent nothing since
 * costs a call.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "proxy/conn_private.h"
#include "proxy/loop.h"

/* How often at most, and what the kernel's probes of a closed window must have gone without. */
#define LOOK_TIME SECONDS(15)
enum { PROBES = 8, PROBES_UNANSWERED = 3 };

/* ---- probes of what is idle ---- */

static int seconds_of(nsec_t t)
{
    return t < SECONDS(1) ? 1 : t > SECONDS(32767) ? 32767 : (int)(t / SECONDS(1));
}

void socket_keep_alive(int fd, nsec_t after, nsec_t timeout)
{
    int on = after > 0, idle = seconds_of(after);
    int between = seconds_of(timeout / PROBES), probes = PROBES;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (!on)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/* ---- bytes that wait ---- */

/* What the kernel knows of it. False: nothing waits. */
static bool bytes_wait(const struct conn *c, struct tcp_info *info)
{
    socklen_t len = sizeof *info;

    *info = (struct tcp_info){0};
    return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0 &&
           (info->tcpi_unacked || info->tcpi_notsent_bytes);
}

static bool is_lost(struct conn *c, nsec_t now, nsec_t limit)
{
    struct tcp_info info;
    nsec_t silent;

    if (c->state != CONN_OPEN || c->broken || c->peer.family == AF_UNIX)
        return false;
    if (c->received_bytes != c->looked_received || c->sent_bytes == c->looked_sent) {
        c->looked_received = c->received_bytes;
        c->waits_since = 0;
        return false;
    }
    if (!bytes_wait(c, &info)) {
        c->looked_sent = c->sent_bytes;
        c->waits_since = 0;
        return false;
    }
    if (!c->waits_since)
        c->waits_since = now;
    silent = now - c->waits_since;
    if (MILLISECONDS(info.tcpi_last_ack_recv) < silent)
        silent = MILLISECONDS(info.tcpi_last_ack_recv);
    /* A window that is closed is asked ever more rarely. */
    return silent >= limit && (info.tcpi_unacked || info.tcpi_probes >= PROBES_UNANSWERED);
}

static nsec_t next_look(nsec_t limit)
{
    return limit && limit / 4 < LOOK_TIME ? limit / 4 : LOOK_TIME;
}

/* Whoever is told that one is lost may close others. */
void conns_look_for_lost(struct timer *t)
{
    struct loop *l = container_of(t, struct loop, conns.lost_timer);
    nsec_t now = loop_now(l), limit = l->conns.rules.keepalive_timeout;
    bool on = l->conns.rules.keepalive > 0;

    for (unsigned n = l->conns.n; on && n > 0 && !list_empty(&l->conns.all); n--) {
        struct conn *c = container_of(l->conns.all.next, struct conn, all);

        list_remove(&c->all);
        list_push_back(&l->conns.all, &c->all);
        if (is_lost(c, now, limit))
            conn_lost(c, ETIMEDOUT);
    }
    if (!list_empty(&l->conns.all))
        timer_arm(l->timers, t, now + next_look(limit));
}

void conn_watch(struct conn *c)
{
    struct loop *l = c->loop;

    list_push_back(&l->conns.all, &c->all);
    l->conns.n++;
    if (!timer_armed(&l->conns.lost_timer))
        timer_arm(l->timers, &l->conns.lost_timer,
                  loop_now(l) + next_look(l->conns.rules.keepalive_timeout));
}
