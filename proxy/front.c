/*
 * A client's connection around its exchanges.
 */
#include "proxy/front.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/admission.h"
#include "proxy/exchange.h"
#include "proxy/forwarding_loop.h"
#include "proxy/front_private.h"
#include "proxy/http1.h"
#include "proxy/http2.h"
#include "proxy/original_dst.h"
#include "proxy/own_dials.h"
#include "proxy/upstream_login.h"

/* ---- counting ---- */

static enum counter open_counter(unsigned direction)
{
    return direction == DIRECTION_INBOUND ? COUNT_OPEN_INBOUND : COUNT_OPEN_OUTBOUND;
}

void front_count(struct worker *w, unsigned direction, int n)
{
    metrics_add(w->metrics, open_counter(direction), n);
    if (n > 0)
        admission_take_anyway(w->admission, direction);
    else
        admission_give_back(w->admission, direction);
}

/* ---- rules ---- */

const struct direction *front_rules(const struct front *f, const struct config *c)
{
    return f->direction == DIRECTION_INBOUND ? &c->inbound : &c->outbound;
}

/* The address at which this very connection reached us: asked for once, since upstreams that listen
 * on the same port as we do are nothing unusual. */
static bool is_own_end(struct front *f, const struct address *a)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;

    if (!f->own_end.family && (getsockname(f->conn->fd, (struct sockaddr *)&sa, &len) != 0 ||
                               !address_from_sockaddr((struct sockaddr *)&sa, len, &f->own_end)))
        f->own_end.family = 0;
    return f->own_end.family && f->own_end.family != AF_UNIX && address_eq(&f->own_end, a);
}

bool front_is_loop(struct front *f, const struct config *c, const struct address *to)
{
    const struct direction *d = front_rules(f, c);

    if (to->family != AF_UNIX && to->port == f->port && is_own_end(f, to))
        return true;
    return forwarding_loop_to_listeners(d, to, loop_now(&f->worker->loop));
}

const char *front_bars(struct front *f, const struct config *c, const struct address *to)
{
    nsec_t now = loop_now(&f->worker->loop);

    if (front_is_loop(f, c, to))
        return "the destination is this sidecar itself";
    if (forwarding_loop_to_admin(c, to, now))
        return "the destination is the admin port of this sidecar";
    if (f->direction == DIRECTION_INBOUND && forwarding_loop_to_listeners(&c->outbound, to, now))
        return "the destination is where this sidecar listens for the service beside it";
    return NULL;
}

/* ---- HTTP ---- */

static bool keeper_open(void *keeper, struct stream *s)
{
    struct front *f = keeper;

    list_remove(http1_link(f->http));
    return exchange_open(f, s);
}

static void keeper_on_idle(void *keeper, struct http1 *h)
{
    struct front *f = keeper;

    list_push_back(&f->worker->idle, http1_link(h));
}

static void free_front(struct burial *b)
{
    struct front *f = container_of(b, struct front, burial);

    free((char *)(uintptr_t)f->authority.p);
    free(f);
}

void front_end(struct front *f)
{
    front_count(f->worker, f->direction, -1);
    logins_end(f->logins);
    f->logins = NULL;
    f->ended = true;
    loop_bury(&f->worker->loop, &f->burial, free_front);
}

static void keeper_on_gone(void *keeper, struct http1 *h)
{
    front_end(keeper);
}

static bool keeper_leaves(void *keeper)
{
    return front_leaves(keeper);
}

static const struct http1_keeper front_keeper = {.open = keeper_open,
                                                 .on_idle = keeper_on_idle,
                                                 .on_gone = keeper_on_gone,
                                                 .leaves = keeper_leaves};

void front_http(struct front *f, char *data, size_t n)
{
    struct http1 *h = http1_server(&f->worker->http, f->conn, &front_keeper, f);

    if (!h) {
        front_end(f);
        return;
    }
    f->http = h;
    list_push_back(&f->worker->idle, http1_link(h));
    http1_feed(h, data, n);
}

void front_refuse(struct front *f, const struct refusal *why)
{
    struct http1 *h = http1_server(&f->worker->http, f->conn, &front_keeper, f);

    if (!h) {
        front_end(f);
        return;
    }
    f->http = h;
    http1_server_refuse(h, why);
}

/* ---- HTTP/2 ---- */

static bool keeper2_open(void *keeper, struct stream *s)
{
    return exchange_open(keeper, s);
}

static nsec_t keeper2_idle(void *keeper, struct http2 *h)
{
    const struct front *f = keeper;

    return worker_config(f->worker)->timeouts.idle;
}

static void keeper2_on_gone(void *keeper, struct http2 *h)
{
    front_end(keeper);
}

static const struct http2_keeper front_keeper2 = {
    .open = keeper2_open, .idle = keeper2_idle, .on_gone = keeper2_on_gone};

void front_http2(struct front *f, char *data, size_t n)
{
    struct http2 *h = http2_server(&f->worker->http, f->conn, &front_keeper2, f);

    if (!h) {
        front_end(f);
        return;
    }
    list_push_back(&f->worker->http2_clients, http2_link(h));
    if (f->worker->leaving[f->direction] == LEAVING_SHUT)
        http2_drain(h);
    http2_feed(h, data, n);
}

/* ---- accepting ---- */

static void refuse(struct worker *w, int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    metrics_add(w->metrics, COUNT_LOOPS, 1);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* Under its own rules, as a user that they do not leave out. */
static void refuse_own(struct worker *w, int fd, const struct address *to)
{
    char text[ADDRESS_TEXT_MAX], others[LOG_HELD_TEXT];
    unsigned held;

    refuse(w, fd);
    if (!log_limit_allow(&w->refused_log, 10, loop_now(&w->loop), &held))
        return;
    address_format(to, text);
    log_write(
        LOG_ERROR, "front",
        "a connection of this sidecar itself, to %s, was redirected back to it: run it as the "
        "user whose connections the interception rules leave alone (uid 15337; it runs as "
        "uid %u)%s",
        text, (unsigned)geteuid(), log_held_text(held, others));
}

static void refuse_loop(struct worker *w, int fd, const struct address *peer)
{
    char text[ADDRESS_TEXT_MAX], others[LOG_HELD_TEXT];
    unsigned held;

    refuse(w, fd);
    if (log_limit_allow(&w->refused_log, 10, loop_now(&w->loop), &held)) {
        address_format(peer, text);
        log_write(LOG_WARN, "front",
                  "refused a connection of %s addressed to the transparent listener itself: it "
                  "would come back here for ever; connect to the service's own port%s",
                  text, log_held_text(held, others));
    }
}

/* True: where a redirected connection was going is known, or that it was not redirected. Else it is
 * refused. */
static bool find_original(struct worker *w, const struct listener *l, int fd,
                          const struct address *peer, struct address *original)
{
    enum original_dst found = original_dst_get(fd, l->port, original);

    if (found == ORIGINAL_DST_ITSELF)
        refuse_loop(w, fd, peer);
    else if (found == ORIGINAL_DST_FOUND && own_dial_returned(peer, original, loop_now(&w->loop)))
        refuse_own(w, fd, original);
    else
        return true;
    return false;
}

/* False: there is none. */
static bool begin(struct worker *w, const struct listener *l, int fd, const struct address *peer)
{
    struct address original = {0};
    struct front *f;

    if (l->config->mode == LISTEN_TRANSPARENT && !find_original(w, l, fd, peer, &original))
        return false;
    if (!(f = calloc(1, sizeof *f))) {
        close(fd);
        return false;
    }
    f->worker = w;
    f->direction = (uint8_t)l->direction;
    f->mode = (uint8_t)l->config->mode;
    f->carries = (uint8_t)l->config->carries;
    f->port = l->port;
    f->original = original;
    f->accepted = loop_now(&w->loop);
    front_sniff(f, fd, peer);
    if (!f->conn) {
        free(f);
        return false;
    }
    metrics_add(w->metrics, open_counter(f->direction), 1);
    front_sniff_begin(f);
    return true;
}

void front_accepted(struct worker *w, const struct listener *l, int fd, const struct address *peer)
{
    metrics_add(
        w->metrics,
        l->direction == DIRECTION_INBOUND ? COUNT_ACCEPTED_INBOUND : COUNT_ACCEPTED_OUTBOUND, 1);
    if (!begin(w, l, fd, peer))
        admission_give_back(w->admission, l->direction);
}

/* ---- the end ---- */

void fronts_close_all(struct worker *w)
{
    while (!list_empty(&w->http2_clients))
        http2_close(http2_from_link(w->http2_clients.next));
    while (!list_empty(&w->idle))
        http1_close_gone(http1_from_link(w->idle.next));
    while (!list_empty(&w->sniffing))
        front_sniff_cut(w->sniffing.next);
}
