#include "base/pages.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/list.h"
#include "base/poison.h"

enum { BLOCK_PAGES = 64, BLOCK_BYTES = BLOCK_PAGES * PAGE_BYTES };
#define ALL_FREE (~(uint64_t)1) /* the first page is the block's own */

/* Aligned to its size, so that the address of a page says which block it is of. */
struct block {
    struct list link; /* in pages->roomy or pages->full */
    uint64_t free;    /* a bit a page */
    uint64_t used;    /* was taken since the system had it last */
};

struct pages {
    struct list roomy, full;
    unsigned n_empty; /* blocks of which nothing is taken */
};

struct pages *pages_new(void)
{
    struct pages *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    list_init(&p->roomy);
    list_init(&p->full);
    return p;
}

static void block_free(struct block *b)
{
    list_remove(&b->link);
    UNPOISON(b, BLOCK_BYTES); /* others may be given the same addresses */
    munmap(b, BLOCK_BYTES);
}

void pages_free(struct pages *p)
{
    if (!p)
        return;
    assert(list_empty(&p->full));
    while (!list_empty(&p->roomy)) {
        struct block *b = container_of(p->roomy.next, struct block, link);

        assert(b->free == ALL_FREE);
        block_free(b);
    }
    free(p);
}

/* Twice as much is asked for, and what lies outside of the aligned half is given back. */
static struct block *block_new(struct pages *p)
{
    char *at =
        mmap(NULL, 2 * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct block *b;
    size_t before;

    if (at == MAP_FAILED)
        return NULL;
    before = (BLOCK_BYTES - (uintptr_t)at % BLOCK_BYTES) % BLOCK_BYTES;
    if (before)
        munmap(at, before);
    munmap(at + before + BLOCK_BYTES, BLOCK_BYTES - before);
    b = (struct block *)(void *)(at + before);
    b->free = ALL_FREE;
    list_push_front(&p->roomy, &b->link);
    p->n_empty++;
    return b;
}

void *pages_take(struct pages *p)
{
    struct block *b =
        list_empty(&p->roomy) ? block_new(p) : container_of(p->roomy.next, struct block, link);
    unsigned i;
    char *page;

    if (!b)
        return NULL;
    if (b->free == ALL_FREE)
        p->n_empty--;
    i = (unsigned)__builtin_ctzll(b->free);
    b->free &= ~(1ull << i);
    b->used |= 1ull << i;
    if (!b->free) {
        list_remove(&b->link);
        list_push_front(&p->full, &b->link);
    }
    page = (char *)b + (size_t)i * PAGE_BYTES;
    UNPOISON(page, PAGE_BYTES);
    return page;
}

void pages_give(struct pages *p, void *page)
{
    size_t offset = (uintptr_t)page % BLOCK_BYTES;
    struct block *b = (struct block *)(void *)((char *)page - offset);

    POISON(page, PAGE_BYTES);
    if (!b->free) {
        list_remove(&b->link);
        list_push_front(&p->roomy, &b->link);
    }
    b->free |= 1ull << (offset / PAGE_BYTES);
    if (b->free != ALL_FREE)
        return;
    if (p->n_empty) /* one is kept, for what comes and goes */
        block_free(b);
    else
        p->n_empty = 1;
}

static void trim(struct block *b)
{
    uint64_t idle = b->free & b->used;

    b->used &= ~idle;
    for (unsigned i = 1, n; i < BLOCK_PAGES; i += n) {
        for (n = 1; i + n < BLOCK_PAGES && ((idle >> i) & 1) == ((idle >> (i + n)) & 1);)
            n++;
        if ((idle >> i) & 1)
            madvise((char *)b + (size_t)i * PAGE_BYTES, (size_t)n * PAGE_BYTES, MADV_DONTNEED);
    }
}

void pages_trim(struct pages *p)
{
    LIST_FOR_EACH (at, &p->roomy)
        trim(container_of(at, struct block, link));
}
