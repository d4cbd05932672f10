#include "proxy/config_watch.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define QUIET_TIME MILLISECONDS(200)
#define PATIENCE   SECONDS(2)
#define WATCH_EVENTS                                                                         \
    (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | \
     IN_MOVE_SELF | IN_ONLYDIR)
enum { ENTRIES_MAX = 4096, LINKS_MAX = 40 };

/* A name in a watched folder that matters: a file, or a link on the way to one. */
struct entry {
    int folder;              /* watch descriptor */
    char name[NAME_MAX + 1]; /* perhaps a pattern */
};

/* One inotify descriptor and what it watches. */
struct sight {
    int fd;
    struct entry *v; /* owned */
    size_t n, cap;
};

struct config_watch {
    struct event_base *base;
    void (*changed)(void *arg);
    void *arg;
    char **files; /* owned, NUL-ended each */
    size_t n_files;
    struct sight sight;
    struct event *readable; /* of sight.fd; NULL: none */
    struct event *quiet;    /* fires when changes have come to rest */
    nsec_t first_change;    /* 0: none is waiting */
};

/* ---- what to look at ---- */

static void sight_release(struct sight *s)
{
    if (s->fd >= 0)
        close(s->fd);
    free(s->v);
    *s = (struct sight){.fd = -1};
}

static bool sight_add(struct sight *s, const char *folder, const char *name)
{
    int wd = inotify_add_watch(s->fd, folder, WATCH_EVENTS);

    if (wd < 0)
        return errno == ENOENT || errno == ENOTDIR; /* it may come to be */
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].folder == wd && strcmp(s->v[i].name, name) == 0)
            return true;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 8;
        struct entry *v = cap <= ENTRIES_MAX ? realloc(s->v, cap * sizeof(*v)) : NULL;
        if (!v) {
            errno = ENOMEM;
            return false;
        }
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n].folder = wd;
    snprintf(s->v[s->n].name, sizeof(s->v[s->n].name), "%s", name);
    s->n++;
    return true;
}

static bool is_pattern(const char *name)
{
    return strpbrk(name, "*?[") != NULL;
}

/* Where the link leads, followed by what was still to be walked, into rest. False: not a link. */
static bool read_link(const char *link, char rest[PATH_MAX])
{
    char target[PATH_MAX], whole[PATH_MAX];
    ssize_t n = readlink(link, target, sizeof(target) - 1);

    if (n < 0)
        return false;
    target[n] = '\0';
    if (snprintf(whole, sizeof(whole), "%s/%s", target, rest) < (int)sizeof(whole))
        memcpy(rest, whole, sizeof(whole));
    return true;
}

/* Takes the first component off rest. False: there is none left. */
static bool next_component(char rest[PATH_MAX], char out[NAME_MAX + 1])
{
    size_t from = strspn(rest, "/"), n = strcspn(rest + from, "/");

    if (n == 0 || n > NAME_MAX)
        return false;
    memcpy(out, rest + from, n);
    out[n] = '\0';
    memmove(rest, rest + from + n, strlen(rest + from + n) + 1);
    return true;
}

/* Walks the path as the kernel would, and looks at each link on it and at its end. */
static bool sight_add_path(struct sight *s, const char *path)
{
    char at[PATH_MAX], full[PATH_MAX], rest[PATH_MAX], name[NAME_MAX + 1];
    int links = 0;

    snprintf(rest, sizeof(rest), "%s", path);
    strcpy(at, rest[0] == '/' ? "/" : ".");
    while (next_component(rest, name)) {
        bool last = rest[strspn(rest, "/")] == '\0';
        if (snprintf(full, sizeof(full), "%s/%s", at, name) >= (int)sizeof(full))
            return true;
        if (is_pattern(name))
            return sight_add(s, at, name);
        if (read_link(full, rest)) {
            if (!sight_add(s, at, name))
                return false;
            if (++links > LINKS_MAX)
                return true;
            if (rest[0] == '/')
                strcpy(at, "/");
            continue;
        }
        if (last || access(full, F_OK) != 0)
            return sight_add(s, at, name);
        memcpy(at, full, sizeof(at));
    }
    return true;
}

static bool sight_open(struct sight *s, char *const *files, size_t n)
{
    *s = (struct sight){.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    if (s->fd < 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!sight_add_path(s, files[i]))
            return false;
    return true;
}

/* ---- what was seen ---- */

static bool matters(const struct sight *s, const struct inotify_event *e)
{
    if (e->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF))
        return true;
    for (size_t i = 0; e->len > 0 && i < s->n; i++)
        if (s->v[i].folder == e->wd && fnmatch(s->v[i].name, e->name, 0) == 0)
            return true;
    return false;
}

/* Reads all that waits. */
static bool sight_changed(const struct sight *s)
{
    _Alignas(struct inotify_event) char bytes[4096];
    bool changed = false;

    for (;;) {
        ssize_t n = read(s->fd, bytes, sizeof(bytes));
        if (n <= 0)
            return changed;
        for (const char *p = bytes; p < bytes + n;) {
            const struct inotify_event *e = (const void *)p;
            changed |= matters(s, e);
            p += sizeof(*e) + e->len;
        }
    }
}

static void note_change(struct config_watch *w)
{
    struct timeval wait = {0, (suseconds_t)(QUIET_TIME / 1000)};
    nsec_t now = clock_monotonic();

    if (w->first_change == 0)
        w->first_change = now;
    else if (now > w->first_change + PATIENCE && evtimer_pending(w->quiet, NULL))
        return;
    evtimer_add(w->quiet, &wait);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct config_watch *w = arg;

    (void)fd;
    (void)what;
    if (sight_changed(&w->sight))
        note_change(w);
}

/* The new look is taken before the old one is given up, so that nothing slips between. */
static bool look_anew(struct config_watch *w)
{
    struct sight old = w->sight;
    bool all = sight_open(&w->sight, w->files, w->n_files);
    int error = errno;

    if (w->readable)
        event_free(w->readable);
    w->readable = NULL;
    if (old.fd >= 0 && sight_changed(&old))
        note_change(w);
    sight_release(&old);
    if (w->sight.fd >= 0)
        w->readable = event_new(w->base, w->sight.fd, EV_READ | EV_PERSIST, on_readable, w);
    if (!w->readable || event_add(w->readable, NULL) != 0)
        all = false;
    errno = error;
    return all;
}

static void on_quiet(evutil_socket_t fd, short what, void *arg)
{
    struct config_watch *w = arg;

    (void)fd;
    (void)what;
    w->first_change = 0;
    look_anew(w);
    w->changed(w->arg);
}

/* ---- the whole ---- */

static void forget_files(struct config_watch *w)
{
    for (size_t i = 0; i < w->n_files; i++)
        free(w->files[i]);
    free(w->files);
    w->files = NULL;
    w->n_files = 0;
}

bool config_watch_follow(struct config_watch *w, const struct str *files, size_t n)
{
    forget_files(w);
    w->files = calloc(n + 1, sizeof(char *));
    if (!w->files)
        return false;
    for (; w->n_files < n; w->n_files++) {
        w->files[w->n_files] = strndup(files[w->n_files].p, files[w->n_files].n);
        if (!w->files[w->n_files])
            return false;
    }
    return look_anew(w);
}

struct config_watch *config_watch_new(struct event_base *base, void (*changed)(void *arg),
                                      void *arg)
{
    struct config_watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->base = base;
    w->changed = changed;
    w->arg = arg;
    w->sight.fd = -1;
    w->quiet = evtimer_new(base, on_quiet, w);
    if (!w->quiet) {
        free(w);
        return NULL;
    }
    return w;
}

void config_watch_free(struct config_watch *w)
{
    if (!w)
        return;
    if (w->readable)
        event_free(w->readable);
    event_free(w->quiet);
    sight_release(&w->sight);
    forget_files(w);
    free(w);
}
