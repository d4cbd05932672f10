#include "base/arena.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>

START_TEST(takes_no_memory_before_it_is_asked)
{
    struct arena a;

    arena_init(&a, 0, 0);
    ck_assert_ptr_null(a.chunks);
    ck_assert_uint_eq(a.chunk_bytes, 4096);
    arena_reset(&a); /* of nothing */
    arena_release(&a);
}
END_TEST

START_TEST(pieces_are_aligned_writable_and_apart)
{
    enum { PIECES = 3000 };
    static unsigned char *pieces[PIECES];
    struct arena a;

    arena_init(&a, 1000, 0);
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = arena_alloc(&a, i);
        ck_assert_ptr_nonnull(pieces[i]);
        ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < PIECES; i++) {
        static unsigned char expected[PIECES];
        memset(expected, (int)(i & 0xff), i);
        ck_assert(memcmp(pieces[i], expected, i) == 0);
    }
    arena_release(&a);
}
END_TEST

START_TEST(pieces_of_no_size_are_pieces_too)
{
    struct arena a;

    arena_init(&a, 0, 0);
    char *p = arena_alloc(&a, 0), *q = arena_alloc(&a, 0), *r = arena_alloc(&a, 1);
    ck_assert(p && q && r && p != q && q != r);
    arena_release(&a);
}
END_TEST

START_TEST(the_limit_counts_what_was_handed_out)
{
    struct arena a;

    arena_init(&a, 4096, 100);
    ck_assert_ptr_nonnull(arena_alloc(&a, 64));
    ck_assert_ptr_nonnull(arena_alloc(&a, 30));
    ck_assert_uint_eq(a.used_bytes, 96);
    ck_assert_ptr_null(arena_alloc(&a, 1));
    ck_assert_ptr_null(arena_alloc(&a, 0));
    arena_reset(&a);
    ck_assert_uint_eq(a.used_bytes, 0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 96));
    ck_assert_ptr_null(arena_alloc(&a, 16));
    arena_release(&a);
}
END_TEST

START_TEST(the_limit_holds_over_many_chunks_and_large_pieces)
{
    static const size_t sizes[] = {16, 100, 250, 700, 5000, 32, 1, 900};
    enum { LIMIT = 100000 };
    struct arena a;
    size_t handed_out = 0;

    arena_init(&a, 1024, LIMIT);
    for (size_t i = 0; i < 10000; i++) {
        size_t size = sizes[(i * 7 + (size_t)_i) % 8];
        if (arena_alloc(&a, size))
            handed_out += size;
        if (a.used_bytes > LIMIT || handed_out > a.used_bytes)
            ck_abort_msg("%zu used, %zu handed out", a.used_bytes, handed_out);
    }
    ck_assert_uint_gt(handed_out, LIMIT / 2);
    ck_assert_uint_gt(a.used_bytes, LIMIT - 32); /* nearly all could be had */
    arena_release(&a);
}
END_TEST

START_TEST(a_large_piece_does_not_waste_the_chunk_being_filled)
{
    struct arena a;

    arena_init(&a, 4096, 0);
    char *before = arena_alloc(&a, 16);
    ck_assert_ptr_nonnull(arena_alloc(&a, 100000));
    ck_assert_ptr_eq(arena_alloc(&a, 16), before + 16);
    ck_assert_uint_eq(a.used_bytes, 100000 + 32);
    arena_release(&a);
}
END_TEST

START_TEST(reset_uses_the_same_memory_again)
{
    struct arena a;

    arena_init(&a, 4096, 0);
    for (int round = 0; round < 3; round++) {
        ck_assert_ptr_nonnull(arena_alloc(&a, 50000));
        for (int i = 0; i < 1000; i++)
            ck_assert_ptr_nonnull(arena_alloc(&a, 100));
        arena_reset(&a);
        ck_assert_uint_eq(a.used_bytes, 0);
        struct arena_chunk *kept = a.chunks;
        ck_assert_ptr_nonnull(kept);
        void *first = arena_alloc(&a, 16);
        arena_reset(&a);
        ck_assert_ptr_eq(a.chunks, kept);
        ck_assert_ptr_eq(arena_alloc(&a, 16), first);
        arena_reset(&a);
    }
    arena_release(&a);
    ck_assert_ptr_null(a.chunks);
    ck_assert_ptr_nonnull(arena_alloc(&a, 16)); /* may be used again */
    arena_release(&a);
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
    volatile size_t everything = SIZE_MAX; /* what the compiler sees, it warns of */
    struct arena a;

    arena_init(&a, 0, 0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 16));
    ck_assert_ptr_null(arena_alloc(&a, everything));
    ck_assert_ptr_null(arena_alloc(&a, everything - 8));
    ck_assert_ptr_null(arena_alloc(&a, everything / 2));
    ck_assert_ptr_null(arena_zalloc(&a, everything - 40));
    ck_assert_ptr_null(arena_array(&a, everything / 4, 8));
    ck_assert_ptr_null(arena_dup(&a, str_of("x", everything)).p);
    ck_assert_uint_eq(a.used_bytes, 16);
    arena_release(&a);
}
END_TEST

START_TEST(zeroed_memory_is_zero_after_other_use)
{
    struct arena a;
    static const char zero[256];

    arena_init(&a, 0, 0);
    memset(arena_alloc(&a, 2048), 0xff, 2048);
    arena_reset(&a);
    ck_assert_mem_eq(arena_zalloc(&a, 256), zero, 256);
    ck_assert_mem_eq(arena_array(&a, 32, 8), zero, 256);
    ck_assert_ptr_nonnull(arena_array(&a, 0, 8));
    arena_release(&a);
}
END_TEST

START_TEST(a_copy_is_ended_by_a_nul)
{
    struct arena a;

    arena_init(&a, 0, 64);
    struct str copy = arena_dup(&a, str_of("hello world", 5));
    ck_assert_uint_eq(copy.n, 5);
    ck_assert_str_eq(copy.p, "hello");
    copy = arena_dup(&a, str_of(NULL, 0));
    ck_assert_uint_eq(copy.n, 0);
    ck_assert_str_eq(copy.p, "");
    ck_assert_ptr_null(arena_dup(&a, str_of("0123456789012345678901234567890123456789", 33)).p);
    arena_release(&a);
}
END_TEST

START_TEST(a_copy_is_the_text_whatever_its_length)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJ";
    struct arena a;

    arena_init(&a, 64, 0);
    for (size_t n = 0; n < sizeof text; n++) {
        char *source = malloc(n + !n);

        memcpy(source, text, n);
        struct str copy = arena_dup(&a, str_of(source, n));
        ck_assert_uint_eq(copy.n, n);
        ck_assert_int_eq(memcmp(copy.p, text, n), 0);
        ck_assert_int_eq(copy.p[n], '\0');
        ck_assert_uint_eq((uintptr_t)copy.p % 16, 0);
        free(source);
    }
    arena_release(&a);
    arena_init(&a, 0, 32);
    ck_assert_ptr_nonnull(arena_dup(&a, STR("0123456789abcde")).p);
    ck_assert_ptr_null(arena_dup(&a, STR("0123456789abcdef")).p);
    ck_assert_ptr_nonnull(arena_dup(&a, STR("0123456789abcde")).p);
    ck_assert_ptr_null(arena_dup(&a, STR("0123")).p);
    arena_release(&a);
}
END_TEST

START_TEST(prints_text_of_any_length)
{
    static const int widths[] = {1, 511, 512, 513, 20000};
    struct arena a;

    arena_init(&a, 0, 0);
    struct str s = arena_printf(&a, "%*d|%s", widths[_i], 7, "end");
    ck_assert_uint_eq(s.n, (size_t)widths[_i] + 4);
    ck_assert_uint_eq(strlen(s.p), s.n);
    ck_assert_str_eq(s.p + s.n - 5, "7|end");
    arena_release(&a);

    arena_init(&a, 0, (size_t)widths[_i]);
    ck_assert_ptr_null(arena_printf(&a, "%*d|%s", widths[_i], 7, "end").p);
    arena_release(&a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arena");
    TCase *tc = tcase_create("arena");
    tcase_add_test(tc, takes_no_memory_before_it_is_asked);
    tcase_add_test(tc, pieces_are_aligned_writable_and_apart);
    tcase_add_test(tc, pieces_of_no_size_are_pieces_too);
    tcase_add_test(tc, the_limit_counts_what_was_handed_out);
    tcase_add_loop_test(tc, the_limit_holds_over_many_chunks_and_large_pieces, 0, 8);
    tcase_add_test(tc, a_large_piece_does_not_waste_the_chunk_being_filled);
    tcase_add_test(tc, reset_uses_the_same_memory_again);
    tcase_add_test(tc, sizes_that_overflow_are_refused);
    tcase_add_test(tc, zeroed_memory_is_zero_after_other_use);
    tcase_add_test(tc, a_copy_is_ended_by_a_nul);
    tcase_add_test(tc, a_copy_is_the_text_whatever_its_length);
    tcase_add_loop_test(tc, prints_text_of_any_length, 0, 5);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
