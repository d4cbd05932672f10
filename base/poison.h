/*
 * Under the address sanitizer, memory that nobody was given is poisoned, so that
 * reading a request's memory after the request is found.
 */
#ifndef SIDESPAN_BASE_POISON_H
#define SIDESPAN_BASE_POISON_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_POISONS 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define MEMORY_POISONS 1
#endif
#ifdef MEMORY_POISONS
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

#endif
