#include "mesh/source.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "mesh/must.h"

void sources_init(struct sources *s, struct arena *names, struct arena *scratch)
{
    *s = (struct sources){.names = names, .scratch = scratch, .bytes_left = SOURCE_BYTES_MAX};
}

static struct source *source_new(struct sources *s, const char *name)
{
    struct source *source = must(arena_zalloc(s->scratch, sizeof(*source)));

    source->name = must_str(arena_dup(s->names, str_from(name))).p;
    source->number = s->n++;
    source->next = s->newest;
    s->newest = source;
    return source;
}

struct source *source_from_text(struct sources *s, const char *name, struct str text,
                                struct error *err)
{
    struct source *source = source_new(s, name);

    if (text.n > s->bytes_left) {
        error_at(err, (struct place){.file = source->name}, "it is longer than %d MiB",
                 SOURCE_BYTES_MAX >> 20);
        return NULL;
    }
    s->bytes_left -= text.n;
    source->text = text;
    return source;
}

/* How long a pipe may say nothing. */
enum { PIPE_MILLISECONDS = 10 * 1000 };

/* True: there is more to read, or the end of it. */
static bool wait_for_more(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, PIPE_MILLISECONDS) != 0;
}

/* Reads to the end of the file; a pipe is read too, so that <(command) may be named. */
static bool read_all(int fd, struct sources *s, struct str *out, struct error *err)
{
    struct buffer b;
    ssize_t got;

    buffer_init(&b, s->bytes_left + 1);
    do {
        if (b.n <= s->bytes_left && !buffer_reserve(&b, 1)) {
            buffer_release(&b);
            return error_no_memory(err);
        }
        if (b.n > s->bytes_left) {
            buffer_release(&b);
            return error_set(err, "all files together are longer than %d MiB",
                             SOURCE_BYTES_MAX >> 20);
        }
        got = read(fd, b.p + b.n, b.cap - b.n);
        if (got > 0)
            b.n += (size_t)got;
    } while (got > 0 || (got < 0 && (errno == EINTR || (errno == EAGAIN && wait_for_more(fd)))));
    if (got < 0 && errno == EAGAIN) {
        buffer_release(&b);
        return error_set(err, "says nothing for %d s", PIPE_MILLISECONDS / 1000);
    }
    if (got < 0) {
        buffer_release(&b);
        return error_set(err, "cannot be read: %s", strerror(errno));
    }
    *out = arena_dup(s->scratch, buffer_str(&b));
    s->bytes_left -= b.n;
    buffer_release(&b);
    return out->p || error_no_memory(err);
}

/* The chain of including files never holds the same file twice. */
static const struct source *same_file_above(const struct source *source, const struct stat *st)
{
    for (; source; source = source->parent)
        if (source->is_file && source->device == st->st_dev && source->inode == st->st_ino)
            break;
    return source;
}

static bool may_read(const struct sources *s, const struct source *parent, const struct stat *st,
                     struct error *err)
{
    if (S_ISDIR(st->st_mode))
        return error_set(err, "is a directory");
    if (s->again && !S_ISREG(st->st_mode))
        return error_set(err,
                         "is not a regular file: what was read at the start cannot be read again");
    if (parent && !S_ISREG(st->st_mode))
        return error_set(err, "is not a regular file");
    const struct source *same = same_file_above(parent, st);
    if (same)
        return error_set(err, "includes itself: %s is being read already", same->name);
    return true;
}

/* Where packages and the image look for it, nobody may have put one yet. */
static const char *cure(const char *name, const struct source *included_by, int error)
{
    bool standard = strncmp(name, "/etc/sidespan/", 14) == 0;

    if (error != ENOENT || included_by)
        return "";
    return standard ? ": write your routes.conf there, or in a container mount the folder of it "
                      "at /etc/sidespan"
                    : "";
}

struct source *source_open(struct sources *s, const char *name, const struct source *included_by,
                           struct place at, struct error *err)
{
    struct error why = {0};
    struct stat st;
    struct str text;

    if (included_by && included_by->depth + 1 >= SOURCE_DEPTH_MAX)
        error_set(&why, "is included at depth %d: no deeper", SOURCE_DEPTH_MAX);
    else if (s->n >= SOURCE_FILES_MAX)
        error_set(&why, "is one file too many: at most %d", SOURCE_FILES_MAX);
    if (why.text[0])
        goto fail;

    /* Not to wait for a writer of a pipe, who may never come. */
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        error_set(&why, "cannot be read: %s%s", strerror(errno), cure(name, included_by, errno));
        goto fail;
    }
    bool ok = (fstat(fd, &st) == 0 || error_set(&why, "cannot be read: %s", strerror(errno))) &&
              may_read(s, included_by, &st, &why) && read_all(fd, s, &text, &why);
    close(fd);
    must_not_be_memory(&why);
    if (!ok)
        goto fail;

    struct source *source = source_new(s, name);
    source->text = text;
    source->parent = included_by;
    source->included_at = at;
    source->depth = included_by ? included_by->depth + 1 : 0;
    source->is_file = true;
    source->device = st.st_dev;
    source->inode = st.st_ino;
    return source;
fail:
    if (included_by)
        error_at(err, at, "%.120s %s", name, why.text);
    else
        error_at(err, (struct place){.file = name}, "%s", why.text);
    return NULL;
}

struct str source_relative(struct arena *arena, const char *from, struct str path)
{
    const char *slash = strrchr(from, '/');

    if ((path.n && path.p[0] == '/') || !slash)
        return must_str(arena_dup(arena, path));
    return must_str(arena_printf(arena, "%.*s%.*s", (int)(slash + 1 - from), from, STR_ARG(path)));
}

static bool has_wildcard(struct str s)
{
    return s.n && (memchr(s.p, '*', s.n) || memchr(s.p, '?', s.n) || memchr(s.p, '[', s.n));
}

/* The including file's folder is meant as it stands, whatever characters it has. */
static const char *whole_pattern(struct sources *s, const struct source *from, struct str pattern)
{
    const char *slash = strrchr(from->name, '/');
    struct buffer b;
    struct held held;

    hold_buffer(&held, &b);
    if (slash && pattern.p[0] != '/')
        for (const char *p = from->name; p <= slash; p++) {
            if (strchr("*?[]\\", *p))
                buffer_add_char(&b, '\\');
            buffer_add_char(&b, *p);
        }
    buffer_add_str(&b, pattern);
    struct str whole = must_text(s->scratch, &b);
    let_go(&held);
    return whole.p;
}

static void give_back_names(void *what)
{
    globfree(what);
}

struct str *source_names(struct sources *s, const struct source *from, struct str pattern,
                         size_t *n, struct error *err)
{
    if (!has_wildcard(pattern)) {
        struct str *name = must(arena_array(s->scratch, 1, sizeof(*name)));
        *name = source_relative(s->scratch, from->name, pattern);
        *n = 1;
        return name;
    }

    glob_t found = {0};
    struct held held;
    const char *whole = whole_pattern(s, from, pattern);
    hold(&held, give_back_names, &found);
    int failed = glob(whole, 0, NULL, &found);
    if (failed == GLOB_NOSPACE)
        memory_ended();
    if (failed && failed != GLOB_NOMATCH) {
        error_set(err, "cannot look for %.*s", STR_ARG(pattern));
        let_go(&held);
        return NULL;
    }
    *n = found.gl_pathc;
    struct str *names = must(arena_array(s->scratch, *n + 1, sizeof(*names)));
    for (size_t i = 0; i < *n; i++)
        names[i] = must_str(arena_dup(s->scratch, str_from(found.gl_pathv[i])));
    let_go(&held);
    return names;
}
