#include "base/pages.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"

enum { MANY = 200 };

/* Whether the system has memory for it. */
static bool is_resident(const void *page)
{
    unsigned char resident;

    /* It fails where nothing is mapped. */
    return mincore((void *)(uintptr_t)page, PAGE_BYTES, &resident) == 0 && (resident & 1);
}

START_TEST(pages_are_aligned_and_apart)
{
    struct pages *p = pages_new();
    char *v[MANY];

    for (int i = 0; i < MANY; i++) {
        v[i] = pages_take(p);
        ck_assert_uint_eq((uintptr_t)v[i] % PAGE_BYTES, 0);
        memset(v[i], i, PAGE_BYTES);
    }
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(v[i][0], (char)i);
        ck_assert_int_eq(v[i][PAGE_BYTES - 1], (char)i);
        pages_give(p, v[i]);
    }
    pages_free(p);
}
END_TEST

START_TEST(what_was_given_back_is_taken_again)
{
    struct pages *p = pages_new();
    void *v[MANY];

    for (int i = 0; i < MANY; i++)
        v[i] = pages_take(p);
    for (int i = 0; i < 1000; i++) {
        void *given = v[i * 7 % MANY];

        pages_give(p, given);
        ck_assert_ptr_eq(pages_take(p), given);
    }
    for (int i = 0; i < MANY; i++)
        pages_give(p, v[i]);
    pages_free(p);
}
END_TEST

START_TEST(trimming_leaves_what_is_taken)
{
    struct pages *p = pages_new();
    char *v[MANY];

    for (int i = 0; i < MANY; i++)
        memset(v[i] = pages_take(p), i, PAGE_BYTES);
    for (int i = 0; i < MANY; i++)
        if (i % 5)
            pages_give(p, v[i]);
    pages_trim(p);
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(is_resident(v[i]), i % 5 == 0);
        if (i % 5 == 0) {
            ck_assert_int_eq(v[i][1], (char)i);
            pages_give(p, v[i]);
        }
    }
    pages_free(p);
}
END_TEST

START_TEST(an_arena_takes_its_ordinary_chunks_from_pages)
{
    struct pages *p = pages_new();
    struct arena a;
    char *first, *large;

    arena_init(&a, PAGE_BYTES, 0);
    a.pages = p;
    first = arena_alloc(&a, 100);
    ck_assert_uint_lt((uintptr_t)first % PAGE_BYTES, 100);
    large = arena_alloc(&a, 3 * PAGE_BYTES);
    memset(large, 1, 3 * PAGE_BYTES);
    ck_assert(arena_has(&a, first + 99) && arena_has(&a, large) && !arena_has(&a, &a));
    for (int i = 0; i < 1000; i++)
        memset(arena_alloc(&a, 64), i, 64);
    arena_reset(&a);
    ck_assert(!arena_has(&a, large));
    arena_release(&a);
    pages_free(p); /* which asserts that nothing is taken */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pages");
    TCase *t = tcase_create("pages");

    tcase_add_test(t, pages_are_aligned_and_apart);
    tcase_add_test(t, what_was_given_back_is_taken_again);
    tcase_add_test(t, trimming_leaves_what_is_taken);
    tcase_add_test(t, an_arena_takes_its_ordinary_chunks_from_pages);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
