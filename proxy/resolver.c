/*
 * c-ares does the asking and tells which sockets it wants watched; libevent
 * watches them. Nothing here wakes the loop while no question is under way:
 * answers that are too old are found to be so when they are looked at.
 */
#include "proxy/resolver.h"

#include <ares.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "proxy/resolver_answer.h"
#include "proxy/resolver_cache.h"

enum { QUERY_TIMEOUT_MS = 2000, QUERY_TRIES = 3 };

struct resolver {
    struct event_base *base; /* borrowed */
    struct event *timer;     /* what c-ares wants to do next without an answer */
    ares_channel channel;
    /* The same servers, but what a server says is told as it is: channel tries the next server when
     * one fails or refuses, and in the end says only that none could be asked. NULL: not needed
     * yet. */
    ares_channel frank;
    char *servers; /* owned: what resolver_set_servers() was given; NULL: those of the system */
    struct list watches; /* struct watch: one a socket of c-ares */
    struct resolver_cache cache;
    /* Within ares_getaddrinfo() of this one: an answer at once is for its caller to tell. */
    const struct resolver_entry *beginning;
    bool closing;
};

struct watch {
    struct list link;
    struct resolver *resolver;
    ares_channel channel;
    ares_socket_t fd;
    struct event *event; /* owned */
};

struct resolve {
    struct list link; /* in the entry's waiting, or among those being answered */
    resolved_fn *fn;
    void *arg;
};

/* ---- sockets and time ---- */

static void set_timer(struct resolver *r)
{
    struct timeval tv, other, *next = ares_timeout(r->channel, NULL, &tv);

    if (r->frank)
        next = ares_timeout(r->frank, next, &other);
    if (next)
        event_add(r->timer, next);
    else
        event_del(r->timer);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct resolver *r = arg;

    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    if (r->frank)
        ares_process_fd(r->frank, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(r);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    struct resolver *r = w->resolver; /* the watch may go in between */

    ares_process_fd(w->channel, what & EV_READ ? (ares_socket_t)fd : ARES_SOCKET_BAD,
                    what & EV_WRITE ? (ares_socket_t)fd : ARES_SOCKET_BAD);
    set_timer(r);
}

static void watch_free(struct watch *w)
{
    list_remove(&w->link);
    if (w->event)
        event_free(w->event);
    free(w);
}

static struct watch *watch_of(struct resolver *r, ares_socket_t fd)
{
    LIST_FOR_EACH (at, &r->watches) {
        struct watch *w = container_of(at, struct watch, link);
        if (w->fd == fd)
            return w;
    }
    return NULL;
}

/* Without memory the socket goes unwatched, and the question ends by its timeout. */
static void watch_socket(struct resolver *r, bool frank, ares_socket_t fd, int readable,
                         int writable)
{
    struct watch *w = watch_of(r, fd);
    short wanted = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST);

    if (w)
        watch_free(w);
    if (!readable && !writable)
        return;
    w = calloc(1, sizeof(*w));
    if (!w)
        return;
    *w = (struct watch){.resolver = r, .channel = frank ? r->frank : r->channel, .fd = fd};
    list_push_back(&r->watches, &w->link);
    w->event = event_new(r->base, (evutil_socket_t)fd, wanted, on_ready, w);
    if (!w->event || event_add(w->event, NULL) < 0)
        watch_free(w);
}

static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    watch_socket(arg, false, fd, readable, writable);
}

static void on_frank_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    watch_socket(arg, true, fd, readable, writable);
}

/* ---- life ---- */

static void library_init(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

static int channel_init(struct resolver *r, ares_channel *channel, bool frank)
{
    struct ares_options options = {.flags = ARES_FLAG_NOCHECKRESP,
                                   .timeout = QUERY_TIMEOUT_MS,
                                   .tries = QUERY_TRIES,
                                   .sock_state_cb = frank ? on_frank_socket_state : on_socket_state,
                                   .sock_state_cb_data = r};
    int given = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    int status;

    if (frank)
        given |= ARES_OPT_FLAGS;
#ifdef ARES_OPT_QUERY_CACHE
    options.qcache_max_ttl = 0; /* ours is the only cache */
    given |= ARES_OPT_QUERY_CACHE;
#endif
    status = ares_init_options(channel, &options, given);
    if (status != ARES_SUCCESS)
        *channel = NULL;
    return status;
}

/* NULL: no memory. */
static ares_channel frank_channel(struct resolver *r)
{
    if (r->frank || channel_init(r, &r->frank, true) != ARES_SUCCESS)
        return r->frank;
    if (r->servers && ares_set_servers_ports_csv(r->frank, r->servers) != ARES_SUCCESS) {
        ares_destroy(r->frank);
        r->frank = NULL;
    }
    return r->frank;
}

struct resolver *resolver_new(struct event_base *base, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct resolver *r = calloc(1, sizeof(*r));

    if (!r) {
        error_set(err, "no memory");
        return NULL;
    }
    pthread_once(&once, library_init);
    r->base = base;
    list_init(&r->watches);
    resolver_cache_init(&r->cache);
    r->timer = evtimer_new(base, on_timer, r);
    if (!r->timer)
        error_set(err, "no memory");
    int status = r->timer ? channel_init(r, &r->channel, false) : ARES_SUCCESS;
    if (status != ARES_SUCCESS)
        error_set(err, "names cannot be resolved: %s", ares_strerror(status));
    if (!r->channel) {
        resolver_free(r);
        return NULL;
    }
    return r;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    r->closing = true;
    if (r->channel)
        ares_destroy(r->channel);
    if (r->frank)
        ares_destroy(r->frank);
    LIST_FOR_EACH_SAFE (at, next, &r->watches)
        watch_free(container_of(at, struct watch, link));
    LIST_FOR_EACH (at, &r->cache.ages) {
        struct resolver_entry *e = container_of(at, struct resolver_entry, age);

        LIST_FOR_EACH_SAFE (waiting, next, &e->waiting)
            free(container_of(waiting, struct resolve, link));
    }
    resolver_cache_release(&r->cache);
    if (r->timer)
        event_free(r->timer);
    free(r->servers);
    free(r);
}

bool resolver_set_servers(struct resolver *r, const char *servers, struct error *err)
{
    int status = ares_set_servers_ports_csv(r->channel, servers);
    char *copy = strdup(servers);

    if (!copy)
        return error_set(err, "no memory");
    free(r->servers);
    r->servers = copy;
    if (status == ARES_SUCCESS && r->frank)
        status = ares_set_servers_ports_csv(r->frank, servers);
    if (status != ARES_SUCCESS)
        return error_set(err, "DNS servers \"%s\": %s", servers, ares_strerror(status));
    return true;
}

/* ---- answers ---- */

/* Those who wait are taken off the entry first: what they do when they are told (ask again, cancel
 * others, push the entry out of the cache) is safe then. */
static void tell_all(struct resolver_entry *e, const struct resolved *answer)
{
    struct list told;

    list_init(&told);
    while (!list_empty(&e->waiting)) {
        struct list *first = e->waiting.next;
        list_remove(first);
        list_push_back(&told, first);
    }
    while (!list_empty(&told)) {
        struct resolve *q = container_of(told.next, struct resolve, link);
        resolved_fn *fn = q->fn;
        void *arg = q->arg;

        list_remove(&q->link);
        free(q);
        fn(arg, answer);
    }
}

static void ask_frankly(struct resolver_entry *e);

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    struct resolver_entry *e = arg;
    struct resolver *r = e->resolver;
    struct resolved answer;

    if (!r->closing && status == ARES_ECONNREFUSED && !e->frankly && frank_channel(r)) {
        ask_frankly(e);
    } else if (!r->closing) {
        if (status == ARES_SUCCESS && info)
            resolved_read(&answer, info);
        else
            resolved_fail(&answer, resolved_reason(status));
        e->asking = false;
        resolver_entry_store(e, &answer, clock_monotonic() + answer.ttl);
        if (e != r->beginning)
            tell_all(e, &answer);
    }
    if (info)
        ares_freeaddrinfo(info);
}

/* ---- questions ---- */

static void put_question(struct resolver_entry *e, ares_channel channel)
{
    struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC};

    ares_getaddrinfo(channel, e->name, NULL, &hints, on_answer, e);
}

/* No server could be asked, or each failed or refused: which of these it was is found out. */
static void ask_frankly(struct resolver_entry *e)
{
    e->frankly = true;
    put_question(e, e->resolver->frank);
    set_timer(e->resolver);
}

/* Fills out from the entry while it is fresh; the TTL is what is left of it. */
static bool answer_from_cache(const struct resolver_entry *e, nsec_t now, struct resolved *out)
{
    if (!e->answer || now >= e->expires)
        return false;
    memcpy(out, e->answer, offsetof(struct resolved, v) + e->answer->n * sizeof(out->v[0]));
    out->ttl = e->expires - now;
    return true;
}

/* True: the answer is there at once. */
static bool begin(struct resolver *r, struct resolver_entry *e, nsec_t now, struct resolved *out)
{
    if (resolved_from_hosts_file(r->channel, e->name, out)) {
        resolver_entry_store(e, out, now + out->ttl);
        return true;
    }
    e->resolver = r;
    e->asking = true;
    e->frankly = false;
    r->beginning = e;
    put_question(e, r->channel);
    r->beginning = NULL;
    set_timer(r);
    if (e->asking)
        return false;
    if (!answer_from_cache(e, now, out))
        resolved_fail(out, "no memory");
    return true;
}

struct resolve *resolver_ask(struct resolver *r, struct str name, resolved_fn *fn, void *arg)
{
    struct resolved answer;
    nsec_t now = clock_monotonic();

    if (resolved_without_asking(name, &answer)) {
        fn(arg, &answer);
        return NULL;
    }
    struct resolver_entry *e = resolver_cache_get(&r->cache, name);
    struct resolve *q = e ? malloc(sizeof(*q)) : NULL;
    if (!q) {
        resolved_fail(&answer, e ? "no memory" : "too many names are being resolved");
        fn(arg, &answer);
        return NULL;
    }
    if (!e->asking && (answer_from_cache(e, now, &answer) || begin(r, e, now, &answer))) {
        free(q);
        fn(arg, &answer);
        return NULL;
    }
    *q = (struct resolve){.fn = fn, .arg = arg};
    list_push_back(&e->waiting, &q->link);
    return q;
}

void resolver_cancel(struct resolve *q)
{
    if (!q)
        return;
    list_remove(&q->link);
    free(q);
}
