#include "mesh/must.h"

#include <assert.h>
#include <setjmp.h>

/* Of this thread: where with_memory() waits, and what is held since. */
static _Thread_local jmp_buf *way_out;
static _Thread_local struct held *innermost;

/* Nothing that changes is a variable of this function, for it returns twice. */
bool with_memory(void (*fn)(void *arg), void *arg)
{
    jmp_buf here;

    assert(!way_out);
    if (setjmp(here)) {
        way_out = NULL;
        return false;
    }
    way_out = &here;
    fn(arg);
    assert(!innermost);
    way_out = NULL;
    return true;
}

_Noreturn void memory_ended(void)
{
    if (!way_out) {
        fputs("out of memory\n", stderr);
        abort();
    }
    while (innermost)
        let_go(innermost);
    longjmp(*way_out, 1);
}

void hold(struct held *h, void (*give_back)(void *what), void *what)
{
    *h = (struct held){innermost, give_back, what};
    innermost = h;
}

static void give_back_buffer(void *what)
{
    buffer_release(what);
}

void hold_buffer(struct held *h, struct buffer *b)
{
    buffer_init(b, 0);
    hold(h, give_back_buffer, b);
}

static void give_back_map(void *what)
{
    map_release(what);
}

void hold_map(struct held *h, struct map *m)
{
    *m = (struct map){0};
    hold(h, give_back_map, m);
}

void let_go(struct held *h)
{
    assert(innermost == h);
    innermost = h->outer;
    h->give_back(h->what);
}
