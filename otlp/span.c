#include "otlp/span.h"

#include <assert.h>
#include <string.h>

#include "otlp/copy.h"

void span_init(struct span *s, enum span_kind kind, enum span_protocol protocol)
{
    *s = (struct span){0};
    s->kind = (uint8_t)kind;
    s->protocol = (uint8_t)protocol;
    s->grpc_status = -1;
    for (int i = 0; i < PHASE_COUNT; i++)
        s->phase[i] = -1;
}

/* Most spans have none or a few: there is room for 4, 8, 16 and at last SPAN_EXTRAS_MAX. */
enum { EXTRAS_FIRST = 4 };
_Static_assert((SPAN_EXTRAS_MAX & (SPAN_EXTRAS_MAX - 1)) == 0, "doubling comes to it");

static bool extras_have_room(const struct span *s)
{
    unsigned n = s->n_extras;

    return n > 0 && n < SPAN_EXTRAS_MAX && (n < EXTRAS_FIRST || (n & (n - 1)) != 0);
}

static bool extras_grow(struct span *s, struct arena *arena)
{
    size_t n = s->n_extras, cap = n ? 2 * n : EXTRAS_FIRST;

    if (n == SPAN_EXTRAS_MAX)
        return false;
    struct span_extra *v = arena_alloc(arena, cap * sizeof(*v));
    if (!v)
        return false;
    if (n > 0)
        memcpy(v, s->extras, n * sizeof(*v));
    s->extras = v;
    return true;
}

bool span_add_extra(struct span *s, struct arena *arena, enum span_extra_kind kind, struct str key,
                    struct str value)
{
    if (!extras_have_room(s) && !extras_grow(s, arena)) {
        if (s->n_dropped_extras < UINT16_MAX)
            s->n_dropped_extras++;
        return false;
    }
    struct span_extra *extra = &s->extras[s->n_extras++];
    extra->kind = kind;
    extra->key = key;
    extra->value = value;
    return true;
}

/* How much of a text is kept. */
static inline size_t kept_bytes(struct str text)
{
    return str_cut(text, SPAN_TEXT_BYTES_MAX).n;
}

/* Of a Unix socket's address, with its NUL. */
static inline size_t path_bytes(const struct address *a)
{
    return a->family == AF_UNIX && a->path ? strlen(a->path) + 1 : 0;
}

static inline size_t fixed_bytes(const struct span *s)
{
    return sizeof(*s) + s->n_extras * sizeof(s->extras[0]);
}

size_t span_copy_bytes(const struct span *s)
{
    size_t n = fixed_bytes(s);

    for (int i = 0; i < SPAN_TEXT_COUNT; i++)
        n += kept_bytes(s->text[i]);
    for (unsigned i = 0; i < s->n_extras; i++)
        n += kept_bytes(s->extras[i].key) + kept_bytes(s->extras[i].value);
    return n + path_bytes(&s->peer) + path_bytes(&s->endpoint);
}

/* Puts the text at `at` and makes the slice point there; returns what is behind it. An absent text
 * stays absent, an empty one stays empty. */
static inline char *move_text(struct str *text, char *at)
{
    if (!text->p)
        return at;
    size_t n = kept_bytes(*text);
    char *end = copy_bytes(at, text->p, n);
    *text = str_of(at, n);
    return end;
}

static inline char *move_path(struct address *a, char *at)
{
    size_t n = path_bytes(a);
    if (n == 0)
        return at;
    memcpy(at, a->path, n);
    a->path = at;
    return at + n;
}

struct span *span_copy(const struct span *s, void *memory)
{
    struct span *copy = memory;
    char *at = (char *)memory + fixed_bytes(s);

    *copy = *s;
    copy->extras = NULL;
    if (s->n_extras > 0)
        copy->extras = memcpy(copy + 1, s->extras, s->n_extras * sizeof(s->extras[0]));
    for (int i = 0; i < SPAN_TEXT_COUNT; i++)
        at = move_text(&copy->text[i], at);
    for (unsigned i = 0; i < s->n_extras; i++) {
        at = move_text(&copy->extras[i].key, at);
        at = move_text(&copy->extras[i].value, at);
    }
    at = move_path(&copy->peer, at);
    move_path(&copy->endpoint, at);
    return copy;
}

bool span_push(struct ring *ring, const struct span *s)
{
    size_t bytes = span_copy_bytes(s);
    void *memory = ring_reserve(ring, bytes);

    if (!memory)
        return false;
    span_copy(s, memory);
    ring_commit(ring, bytes);
    return true;
}

const struct span *span_peek(struct ring *ring)
{
    size_t size;
    return ring_peek(ring, &size);
}
