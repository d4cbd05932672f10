#include "base/writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * The ring: records of 8-byte alignment, each a word and its bytes. Who puts
 * reserves the place by moving `reserved` on, copies, and only then stores the
 * word, which was zero. The writer takes the record at `taken` when its word is
 * there, clears all of it, and moves `taken` on, so that who reserves the place
 * again finds zeroes wherever a word may come to stand.
 */
enum { ALIGN = 8, LINE = 64 };
/* The word: the number of bytes that follow, and what they are. */
enum { IS_TEXT = 1, IS_PADDING = 2, KIND_BITS = 2 };

enum { NOTICE_BYTES = 512 };
/* How often it is tried to end the thread, and how long each time. */
enum { TRIES = 200, TRY_NANOSECONDS = 5000000 };
/* While text is lost all the time, that is said so often. */
static const nsec_t notice_every = SECONDS(1);

struct writer {
    _Alignas(LINE) atomic_size_t reserved; /* these two only grow */
    _Alignas(LINE) atomic_size_t taken;
    atomic_uint_fast64_t done, failed; /* written by the thread */
    atomic_uint_fast64_t lost;         /* for want of room */
    atomic_bool flushing, stopped;
    size_t capacity;
    char *ring;
    int fd;
    writer_notice_fn *notice;
    uint64_t told; /* of what was lost; the thread's */
    nsec_t told_at;
    sem_t news, drained;
    pthread_t thread;
};

static atomic_size_t *word_at(const struct writer *w, size_t at)
{
    return (atomic_size_t *)(void *)(w->ring + (at & (w->capacity - 1)));
}

static size_t record_bytes(size_t n)
{
    return (sizeof(size_t) + n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* ---- who puts ---- */

/* False: there is no room. A record is contiguous: what is left before the end may be padding. */
static bool reserve(struct writer *w, size_t bytes, size_t *at, size_t *padding)
{
    size_t reserved = atomic_load_explicit(&w->reserved, memory_order_relaxed);

    do {
        size_t taken = atomic_load_explicit(&w->taken, memory_order_acquire);
        size_t to_end = w->capacity - (reserved & (w->capacity - 1));

        *padding = to_end < bytes ? to_end : 0;
        if (reserved + *padding + bytes - taken > w->capacity)
            return false;
        *at = reserved;
    } while (!atomic_compare_exchange_weak_explicit(&w->reserved, &reserved,
                                                    reserved + *padding + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

bool writer_put(struct writer *w, const char *p, size_t n)
{
    size_t bytes = record_bytes(n), at, padding;

    if (n > w->capacity / 2 || !reserve(w, bytes, &at, &padding)) {
        atomic_fetch_add_explicit(&w->lost, 1, memory_order_relaxed);
        return false;
    }
    if (padding)
        atomic_store_explicit(word_at(w, at), padding << KIND_BITS | IS_PADDING,
                              memory_order_release);
    at += padding;
    memcpy((char *)word_at(w, at) + sizeof(size_t), p, n);
    atomic_store_explicit(word_at(w, at), n << KIND_BITS | IS_TEXT, memory_order_release);
    sem_post(&w->news);
    return true;
}

uint64_t writer_done(const struct writer *w)
{
    return atomic_load_explicit(&w->done, memory_order_acquire);
}

uint64_t writer_failed(const struct writer *w)
{
    return atomic_load_explicit(&w->failed, memory_order_acquire);
}

uint64_t writer_lost(const struct writer *w)
{
    return atomic_load_explicit(&w->lost, memory_order_relaxed) + writer_failed(w);
}

/* ---- the thread ---- */

/* False: it cannot be written, or not any more. */
static bool write_all(const struct writer *w, const char *p, size_t n)
{
    bool ok = true;

    while (n > 0 && ok) {
        ssize_t written = write(w->fd, p, n);

        if (written > 0) {
            p += written;
            n -= (size_t)written;
        } else if (errno == EAGAIN) { /* somebody else has made it so */
            struct pollfd writable = {.fd = w->fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else {
            ok = errno == EINTR;
        }
        ok = ok && !atomic_load(&w->stopped);
    }
    return ok;
}

/* Says what was lost: when all else is written, or once a second where it never is. */
static void say_what_was_lost(struct writer *w, bool all_written)
{
    uint64_t lost = writer_lost(w);
    char text[NOTICE_BYTES];

    if (lost == w->told || !w->notice)
        return;
    if (!all_written && clock_monotonic() - w->told_at < notice_every)
        return;
    if (write_all(w, text, w->notice(lost - w->told, text, sizeof(text)))) {
        w->told = lost;
        w->told_at = clock_monotonic();
    }
}

/* False: there is no whole record. */
static bool take_one(struct writer *w)
{
    size_t taken = atomic_load_explicit(&w->taken, memory_order_relaxed);
    size_t word = atomic_load_explicit(word_at(w, taken), memory_order_acquire);
    size_t n = word >> KIND_BITS;
    bool text = (word & IS_TEXT) != 0;
    size_t bytes = text ? record_bytes(n) : n;

    if (word == 0)
        return false;
    bool failed = text && !write_all(w, (const char *)word_at(w, taken) + sizeof(size_t), n);
    memset(word_at(w, taken), 0, bytes);
    atomic_store_explicit(&w->taken, taken + bytes, memory_order_release);
    if (failed)
        atomic_fetch_add_explicit(&w->failed, 1, memory_order_relaxed);
    if (text)
        atomic_fetch_add_explicit(&w->done, 1, memory_order_release);
    return true;
}

static void *run(void *arg)
{
    struct writer *w = arg;

    while (!atomic_load(&w->stopped)) {
        while (!atomic_load(&w->stopped) && take_one(w))
            say_what_was_lost(w, false);
        say_what_was_lost(w, true);
        if (atomic_exchange(&w->flushing, false))
            sem_post(&w->drained);
        sem_wait(&w->news);
    }
    return NULL;
}

/* ---- life ---- */

static bool everything_is_over(const struct writer *w)
{
    return atomic_load(&w->taken) == atomic_load(&w->reserved);
}

bool writer_flush(struct writer *w, nsec_t wait)
{
    nsec_t until = clock_wall() + wait; /* sem_timedwait() knows no other clock */
    struct timespec at = {until / SECONDS(1), until % SECONDS(1)};

    /* Once in any case: what was lost is said after the last of it. */
    do {
        atomic_store(&w->flushing, true);
        sem_post(&w->news);
        if (sem_timedwait(&w->drained, &at) != 0 && errno != EINTR)
            break;
    } while (!everything_is_over(w));
    return everything_is_over(w);
}

static void on_interrupt(int number)
{
    (void)number;
}

/* SIGURG, which nobody heeds unless asked to, gets a handler that does nothing: it ends a write()
 * that waits. Other signals are others'. */
static bool start_thread(struct writer *w, const char *name)
{
    struct sigaction interrupt = {.sa_handler = on_interrupt};
    sigset_t all, before;

    sigemptyset(&interrupt.sa_mask);
    sigaction(SIGURG, &interrupt, NULL);
    sigfillset(&all);
    sigdelset(&all, SIGURG);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&w->thread, NULL, run, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ok)
        pthread_setname_np(w->thread, name);
    return ok;
}

static void release(struct writer *w)
{
    sem_destroy(&w->news);
    sem_destroy(&w->drained);
    free(w->ring);
    free(w);
}

struct writer *writer_new(int fd, size_t capacity_bytes, const char *name, writer_notice_fn *notice)
{
    struct writer *w = aligned_alloc(LINE, sizeof(*w));

    if (!w)
        return NULL;
    *w = (struct writer){.fd = fd, .capacity = capacity_bytes, .notice = notice};
    w->told_at = clock_monotonic();
    w->ring = calloc(1, capacity_bytes);
    sem_init(&w->news, 0, 0);
    sem_init(&w->drained, 0, 0);
    if (!w->ring || !start_thread(w, name)) {
        release(w);
        return NULL;
    }
    return w;
}

void writer_free(struct writer *w)
{
    if (!w)
        return;
    atomic_store(&w->stopped, true);
    sem_post(&w->news);
    /* The signal may come just before the write() that it is to end. */
    for (int tries = 0; tries < TRIES; tries++) {
        struct timespec soon;

        pthread_kill(w->thread, SIGURG);
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += TRY_NANOSECONDS;
        soon.tv_sec += soon.tv_nsec / SECONDS(1);
        soon.tv_nsec %= SECONDS(1);
        if (pthread_timedjoin_np(w->thread, NULL, &soon) == 0) {
            release(w);
            return;
        }
    }
    pthread_detach(w->thread); /* a disk that hangs: it cannot be ended, nor its memory had back */
}
