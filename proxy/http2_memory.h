/*
 * Blocks of memory that are used again, for one worker's HTTP/2. The functions
 * have the shape of nghttp2_mem's; arg is the struct http2_memory.
 */
#ifndef SIDESPAN_PROXY_HTTP2_MEMORY_H
#define SIDESPAN_PROXY_HTTP2_MEMORY_H

#include <stddef.h>

struct http2_memory;

struct http2_memory *http2_memory_new(void); /* NULL: no memory */
/* All blocks must have been given back. NULL is fine. */
void http2_memory_delete(struct http2_memory *m);

/* As malloc(3), calloc(3), realloc(3) and free(3). */
void *http2_memory_get(size_t size, void *arg);
void *http2_memory_zeroed(size_t count, size_t size, void *arg);
void *http2_memory_resize(void *p, size_t size, void *arg);
void http2_memory_give(void *p, void *arg);

#endif
