/*
 * Pages are memory of PAGE_BYTES each for the arenas of one thread. What is
 * given back goes to the system whatever lies beside it. In malloc()'s heap it
 * would not: a chunk there hardly ever covers a page, and other memory that
 * lives on pins the pages around it.
 */
#ifndef SIDESPAN_BASE_PAGES_H
#define SIDESPAN_BASE_PAGES_H

enum { PAGE_BYTES = 4096 };

struct pages;

/* NULL: no memory. */
struct pages *pages_new(void);
/* All must have been given back. NULL is fine. */
void pages_free(struct pages *p);

/* Aligned to its size, not zeroed. NULL: no memory. */
void *pages_take(struct pages *p);
/* To be taken again; the system keeps it in memory until pages_trim(). */
void pages_give(struct pages *p, void *page);
/* Gives the system what is free: a call of it for each run of pages that were used since. */
void pages_trim(struct pages *p);

#endif
