#include "proxy/race.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/connect_error.h"
#include "proxy/forwarding_loop.h"
#include "proxy/resolver.h"
#include "proxy/upstream_private.h"

struct attempt {
    struct race *race;
    struct upstream *to; /* a reference; NULL: the attempt is over, or was not begun */
    struct conn *conn;
    struct timer timer;
};

struct race {
    struct worker *worker;
    struct generation *generation; /* a reference; NULL: there is no cluster */
    struct cluster_state *cluster; /* borrowed of the generation; NULL: addresses */
    struct trace_id key;
    nsec_t timeout;
    const struct direction *own; /* borrowed of the generation */
    const struct race_events *events;
    void *arg;
    struct timer delay;
    struct burial burial;
    unsigned n_attempts, n_running;
    struct attempt attempts[RACE_TRIES_MAX];
    struct tried tried[RACE_TRIES_MAX]; /* one for each attempt, the latest the list's head */
    size_t n, next;
    struct address addresses[RACE_TRIES_MAX];
};

static const struct conn_owner attempt_owner;

/* ---- the end ---- */

static void free_race(struct burial *b)
{
    free(container_of(b, struct race, burial));
}

static void attempt_over(struct attempt *a)
{
    timer_release(&a->timer);
    upstream_unref(a->to);
    a->to = NULL;
    a->conn = NULL;
    a->race->n_running--;
}

static void race_end(struct race *r)
{
    timer_release(&r->delay);
    for (unsigned i = 0; i < r->n_attempts; i++)
        if (r->attempts[i].to) {
            conn_close(r->attempts[i].conn);
            attempt_over(&r->attempts[i]);
        }
    generation_unref(r->generation);
    r->generation = NULL;
    loop_bury(&r->worker->loop, &r->burial, free_race);
}

void race_cancel(struct race *r)
{
    if (r)
        race_end(r);
}

/* ---- who is next ---- */

static const struct tried *tried_so_far(const struct race *r)
{
    return r->n_attempts ? &r->tried[r->n_attempts - 1] : NULL;
}

/* patient: somebody is waited for, so that only who is likely to answer is worth an attempt. NULL:
 * nobody is left. With a reference. */
static struct upstream *next_of(struct race *r, bool patient)
{
    if (r->n_attempts == RACE_TRIES_MAX)
        return NULL;
    if (r->cluster) {
        struct upstream *u = cluster_has_another(r->cluster, tried_so_far(r), patient)
                                 ? cluster_choose(r->cluster, tried_so_far(r), &r->key)
                                 : NULL;
        return u ? upstream_ref(u) : NULL;
    }
    return r->next < r->n ? upstream_original(r->worker->upstreams, &r->addresses[r->next++])
                          : NULL;
}

/* ---- attempts ---- */

static void on_attempt_timer(struct timer *t);

/* Takes the reference. */
static struct attempt *attempt_new(struct race *r, struct upstream *to)
{
    struct attempt *a = &r->attempts[r->n_attempts];

    r->tried[r->n_attempts] = (struct tried){to->address, tried_so_far(r)};
    r->n_attempts++;
    r->n_running++;
    a->race = r;
    a->to = to;
    timer_init(&a->timer, on_attempt_timer);
    return a;
}

static void follow(struct attempt *a)
{
    struct race *r = a->race;
    nsec_t timeout = r->cluster ? a->to->pool.connect_timeout : r->timeout;
    nsec_t now = loop_now(&r->worker->loop);

    if (timeout)
        timer_arm(r->worker->loop.timers, &a->timer, now + timeout);
    timer_arm(r->worker->loop.timers, &r->delay, now + RACE_DELAY);
}

static void note_failure(struct attempt *a, int error)
{
    metrics_add(a->race->worker->metrics, COUNT_UPSTREAM_CONNECT_FAILED, 1);
    upstream_did_not_answer(a->to, error);
}

static bool leads_back(struct race *r, const struct upstream *to)
{
    if (!r->own || !forwarding_loop_to_listeners(r->own, &to->address, loop_now(&r->worker->loop)))
        return false;
    metrics_add(r->worker->metrics, COUNT_LOOPS, 1);
    return true;
}

/* Takes the reference. False: it failed at once; *error says how. */
static bool try_one(struct race *r, struct upstream *to, struct address *at, int *error)
{
    struct attempt *a = attempt_new(r, to);

    *at = to->address;
    if (leads_back(r, to)) {
        *error = ELOOP;
        attempt_over(a);
        return false;
    }
    a->conn = conn_connect(&r->worker->loop, at, &attempt_owner, a, error);
    if (a->conn) {
        follow(a);
        return true;
    }
    note_failure(a, *error);
    attempt_over(a);
    return false;
}

/* Begins the next attempt. False: there is none that could be begun; *at and *error are of the last
 * that was tried, where one was. */
static bool try_next(struct race *r, bool patient, struct address *at, int *error)
{
    struct upstream *to;

    while ((to = next_of(r, patient))) {
        if (try_one(r, to, at, error))
            return true;
        if (connect_error_is_everywhere(*error))
            return false;
    }
    return false;
}

static void attempt_failed(struct attempt *a, int error)
{
    struct race *r = a->race;
    struct address at = a->to->address;

    note_failure(a, error);
    conn_close(a->conn);
    attempt_over(a);
    if (!connect_error_is_everywhere(error) && try_next(r, r->n_running > 0, &at, &error))
        return;
    if (r->n_running)
        return;
    if (r->cluster)
        cluster_has_not_answered(r->generation, r->cluster, &at, error);
    race_end(r);
    r->events->failed(r->arg, &at, error);
}

static void on_attempt_timer(struct timer *t)
{
    attempt_failed(container_of(t, struct attempt, timer), ETIMEDOUT);
}

/* The last attempt has not been answered for a moment: another is made beside it. */
static void on_delay(struct timer *t)
{
    struct race *r = container_of(t, struct race, delay);
    struct address at;
    int error;

    if (!try_next(r, true, &at, &error))
        return;
    for (unsigned i = 0; i + 1 < r->n_attempts; i++)
        if (r->attempts[i].to)
            upstream_is_slow(r->attempts[i].to);
}

static void on_read(struct conn *c, char *data, size_t n)
{
}

static void on_nothing(struct conn *c)
{
}

static void on_connected(struct conn *c)
{
    struct attempt *a = c->owner_data;
    struct race *r = a->race;
    struct address at = a->to->address;

    metrics_add(r->worker->metrics, COUNT_UPSTREAM_CONNECTS, 1);
    upstream_answered(a->to);
    if (r->cluster)
        cluster_has_answered(r->generation, r->cluster, &at);
    attempt_over(a);
    race_end(r);
    r->events->connected(r->arg, c, &at);
}

static void on_error(struct conn *c, int error)
{
    attempt_failed(c->owner_data, error);
}

static const struct conn_owner attempt_owner = {on_read, on_nothing, on_nothing, on_connected,
                                                on_error};

/* ---- the beginning ---- */

static struct upstream *first_of(struct race *r, const struct race_from *from,
                                 const struct conn *dialled)
{
    if (from->first)
        return upstream_ref(from->first);
    return dialled ? upstream_original(r->worker->upstreams, &dialled->peer) : NULL;
}

static bool begin(struct race *r, const struct race_from *from, struct conn *dialled,
                  struct address *at, int *error)
{
    struct upstream *first = first_of(r, from, dialled);

    if (dialled && !first) {
        conn_close(dialled);
        *error = ENOMEM;
        return false;
    }
    if (dialled) {
        struct attempt *a = attempt_new(r, first);

        a->conn = dialled;
        conn_give(dialled, &attempt_owner, a);
        follow(a);
        return true;
    }
    if (first && try_one(r, first, at, error))
        return true;
    return !(first && connect_error_is_everywhere(*error)) && try_next(r, false, at, error);
}

struct race *race_start(struct worker *w, struct generation *g, const struct race_from *from,
                        struct conn *dialled, const struct race_events *events, void *arg,
                        struct address *at, int *error)
{
    struct race *r = calloc(1, sizeof *r);

    *error = ENOMEM;
    if (!r) {
        if (dialled)
            conn_close(dialled);
        return NULL;
    }
    *r = (struct race){.worker = w,
                       .cluster = from->cluster,
                       .key = from->key,
                       .timeout = from->timeout,
                       .own = from->own,
                       .events = events,
                       .arg = arg};
    if (r->cluster)
        r->generation = generation_ref(g);
    for (; r->n < from->n && r->n < RACE_TRIES_MAX; r->n++)
        r->addresses[r->n] = from->addresses[r->n];
    timer_init(&r->delay, on_delay);
    *error = EHOSTUNREACH; /* where there is nobody to try */
    if (begin(r, from, dialled, at, error))
        return r;
    if (r->cluster && at->family)
        cluster_has_not_answered(r->generation, r->cluster, at, *error);
    race_end(r);
    return NULL;
}

/* ---- the order of a name's addresses ---- */

/* Of one family, in their order from the first on. */
static size_t of_family(const struct address *v, size_t n, size_t first, bool six, const bool *out,
                        bool shunned, struct address *found)
{
    size_t k = 0;

    for (size_t at = 0; at < n; at++) {
        size_t i = (first + at) % n;

        if ((v[i].family == AF_INET6) == six && out[i] == shunned)
            found[k++] = v[i];
    }
    return k;
}

void race_order(struct worker *w, struct address *v, size_t n)
{
    struct address sorted[RESOLVED_MAX], six[RESOLVED_MAX], four[RESOLVED_MAX];
    bool out[RESOLVED_MAX];
    size_t first, at = 0;

    if (n < 2 || n > RESOLVED_MAX)
        return;
    first = random_below(&w->loop.random, n);
    for (size_t i = 0; i < n; i++) {
        struct upstream *u = upstream_known(w->upstreams, &v[i]);

        out[i] = u && upstream_is_shunned(u);
    }
    for (int shunned = 0; shunned < 2; shunned++) {
        size_t n_six = of_family(v, n, first, true, out, shunned, six);
        size_t n_four = of_family(v, n, first, false, out, shunned, four);

        for (size_t i = 0; i < n_six || i < n_four; i++) {
            if (i < n_six)
                sorted[at++] = six[i];
            if (i < n_four)
                sorted[at++] = four[i];
        }
    }
    memcpy(v, sorted, n * sizeof *v);
}
