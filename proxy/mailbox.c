/*
 * Letters are kept in the order they were posted. The eventfd is written only
 * by who finds the list empty: the loop takes the whole list, and runs it in
 * goes that are short enough for what else it serves.
 */
#include "proxy/mailbox.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

struct letter {
    struct letter *next;
    void (*fn)(void *arg);
    void *arg;
};

/* How long the loop runs letters before it looks after others. */
#define LETTER_TIME MILLISECONDS(1)

struct mailbox {
    pthread_mutex_t lock;
    struct letter *first, **end; /* guarded by lock */
    struct letter *taken;        /* the loop's: not run yet, before those in the box */
    int wake;                    /* eventfd */
    struct event *event;
};

/* Letters that were taken out of the box, oldest first; NULL: none. */
static struct letter *take_all(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    struct letter *first = m->first;
    m->first = NULL;
    m->end = &m->first;
    pthread_mutex_unlock(&m->lock);
    return first;
}

static void free_letters(struct letter *l)
{
    while (l) {
        struct letter *next = l->next;

        free(l);
        l = next;
    }
}

static void ring(struct mailbox *m)
{
    uint64_t one = 1;

    (void)!write(m->wake, &one, sizeof(one));
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct mailbox *m = arg;
    nsec_t until = clock_monotonic() + LETTER_TIME;
    uint64_t count;

    if (!m->taken) {
        /* Emptied before the list is taken: whoever posts after that writes it again. */
        (void)!read((int)fd, &count, sizeof(count));
        m->taken = take_all(m);
    }
    while (m->taken) {
        struct letter *l = m->taken;

        m->taken = l->next;
        l->fn(l->arg);
        free(l);
        if (clock_monotonic() >= until)
            break;
    }
    /* By way of the kernel, so that the others have their turn first. */
    if (m->taken)
        ring(m);
}

struct mailbox *mailbox_new(struct event_base *base)
{
    struct mailbox *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    m->end = &m->first;
    m->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->wake >= 0)
        m->event = event_new(base, m->wake, EV_READ | EV_PERSIST, on_wake, m);
    if (!m->event || event_add(m->event, NULL) < 0) {
        mailbox_free(m);
        return NULL;
    }
    return m;
}

void mailbox_free(struct mailbox *m)
{
    if (!m)
        return;
    free_letters(m->taken);
    free_letters(take_all(m));
    if (m->event)
        event_free(m->event);
    if (m->wake >= 0)
        close(m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void mailbox_post(struct mailbox *m, void (*fn)(void *arg), void *arg)
{
    struct letter *l = malloc(sizeof(*l));

    if (!l) {
        /* 24 bytes: who has prepared what is large has these too. To lose one would leave threads
         * of different minds, or one that waits for ever. */
        log_write(LOG_ERROR, "memory", "none left for a message between threads");
        abort();
    }
    *l = (struct letter){.fn = fn, .arg = arg};

    pthread_mutex_lock(&m->lock);
    bool was_empty = !m->first;
    *m->end = l;
    m->end = &l->next;
    pthread_mutex_unlock(&m->lock);
    if (was_empty)
        ring(m);
}

/* A call that is waited for; on the caller's stack. */
struct call {
    void (*fn)(void *arg);
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool has_run; /* guarded by lock */
};

static void run_call(void *arg)
{
    struct call *c = arg;

    c->fn(c->arg);
    /* Signalled under the lock: the caller cannot go, and take c with it, before we let go of it.
     */
    pthread_mutex_lock(&c->lock);
    c->has_run = true;
    pthread_cond_signal(&c->ended);
    pthread_mutex_unlock(&c->lock);
}

void mailbox_call(struct mailbox *m, void (*fn)(void *arg), void *arg)
{
    struct call c = {.fn = fn, .arg = arg};

    pthread_mutex_init(&c.lock, NULL);
    pthread_cond_init(&c.ended, NULL);
    mailbox_post(m, run_call, &c);

    pthread_mutex_lock(&c.lock);
    while (!c.has_run)
        pthread_cond_wait(&c.ended, &c.lock);
    pthread_mutex_unlock(&c.lock);
    pthread_cond_destroy(&c.ended);
    pthread_mutex_destroy(&c.lock);
}
