#include "base/headers.h"

#include <check.h>
#include <ctype.h>
#include <stdlib.h>

#define NAME_ROW(id, name, columns) {id, name},
static const struct {
    enum header_id id;
    const char *name;
} known[] = {HEADER_NAMES(NAME_ROW)};
#define KNOWN (sizeof(known) / sizeof(known[0]))

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 0, 0);
}

static void teardown(void)
{
    arena_release(&arena);
}

START_TEST(every_row_is_found_in_any_case)
{
    char name[64];
    size_t n = strlen(known[_i].name);

    ck_assert_int_eq(header_id_of(str_from(known[_i].name)), known[_i].id);
    for (size_t i = 0; i < n; i++)
        name[i] = (char)toupper((unsigned char)known[_i].name[i]);
    ck_assert_int_eq(header_id_of(str_of(name, n)), known[_i].id);
    for (size_t i = 0; i < n; i += 2)
        name[i] = known[_i].name[i];
    ck_assert_int_eq(header_id_of(str_of(name, n)), known[_i].id);
}
END_TEST

/* Every byte of every name, replaced by every other byte: only the letter's two cases match. */
START_TEST(nothing_that_differs_in_a_byte_is_found)
{
    size_t n = strlen(known[_i].name);
    char name[64];

    memcpy(name, known[_i].name, n);
    for (size_t i = 0; i < n; i++) {
        for (int c = 0; c < 256; c++) {
            bool same = (isalpha(name[i]) ? tolower(c) : c) == known[_i].name[i];
            char old = name[i];
            name[i] = (char)c;
            enum header_id id = header_id_of(str_of(name, n));
            ck_assert_msg((id == known[_i].id) == same, "%.*s", (int)n, name);
            name[i] = old;
        }
    }
    ck_assert_int_ne(header_id_of(str_of(name, n - 1)), known[_i].id);
    name[n] = 's';
    ck_assert_int_ne(header_id_of(str_of(name, n + 1)), known[_i].id);
}
END_TEST

START_TEST(names_not_known_are_other)
{
    static const char *const names[] = {"",      "a",   "accept", "x-custom", "\r\n",
                                        "hosts", "hos", "x",      "date"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        ck_assert_int_eq(header_id_of(str_from(names[i])), HEADER_OTHER);
    ck_assert_int_eq(header_id_of(str_of(NULL, 0)), HEADER_OTHER);
}
END_TEST

static void add(struct headers *h, const char *name, const char *value)
{
    ck_assert(headers_add(h, &arena, str_from(name), str_from(value)));
}

/* The values joined: what is there, in which order. */
static const char *values(const struct headers *h)
{
    static char text[4096];
    size_t n = 0;

    for (size_t i = 0; i < h->n; i++) {
        memcpy(text + n, h->v[i].value.p, h->v[i].value.n);
        n += h->v[i].value.n;
    }
    text[n] = '\0';
    return text;
}

START_TEST(fields_keep_their_order_and_case)
{
    struct headers h = {0};

    for (int i = 0; i < 100; i++)
        ck_assert(headers_add(&h, &arena, arena_printf(&arena, "X-Name-%d", i),
                              arena_printf(&arena, "%d", i)));
    ck_assert_uint_eq(h.n, 100);
    for (int i = 0; i < 100; i++) {
        ck_assert(str_eq(h.v[i].name, arena_printf(&arena, "X-Name-%d", i)));
        ck_assert(str_eq(h.v[i].value, arena_printf(&arena, "%d", i)));
        ck_assert_int_eq(h.v[i].id, HEADER_OTHER);
    }
}
END_TEST

START_TEST(a_full_arena_is_an_answer)
{
    struct headers h = {0};
    struct arena small;
    size_t added = 0;

    arena_init(&small, 4096, 4000);
    while (added < 1000 && headers_add(&h, &small, STR("a"), STR("b")))
        added++;
    ck_assert_uint_eq(h.n, added);
    ck_assert(added >= 16 && added < 1000);
    ck_assert(str_eq(h.v[added - 1].value, STR("b")));
    arena_release(&small);
}
END_TEST

START_TEST(finds_by_id_and_by_name)
{
    struct headers h = {0};

    add(&h, "Accept", "1");
    add(&h, "HOST", "2");
    add(&h, "x-One", "3");
    add(&h, "via", "4");
    add(&h, "X-ONE", "5");
    add(&h, "Via", "6");
    ck_assert(headers_find(&h, HEADER_HOST) == &h.v[1]);
    ck_assert(headers_find(&h, HEADER_VIA) == &h.v[3]);
    ck_assert_ptr_null(headers_find(&h, HEADER_TE));
    ck_assert(headers_find_name(&h, STR("host")) == &h.v[1]);
    ck_assert(headers_find_name(&h, STR("X-one")) == &h.v[2]);
    ck_assert_ptr_null(headers_find_name(&h, STR("x-two")));
    ck_assert_ptr_null(headers_find_name(&h, STR("te")));
    ck_assert_uint_eq(headers_count(&h, HEADER_VIA), 2);
    ck_assert_uint_eq(headers_count(&h, HEADER_TE), 0);
}
END_TEST

START_TEST(next_is_of_the_same_name)
{
    struct headers h = {0};

    add(&h, "via", "1");
    add(&h, "x-a", "2");
    add(&h, "x-b", "3");
    add(&h, "Via", "4");
    add(&h, "X-A", "5");
    const struct header *at = headers_next(&h, headers_find(&h, HEADER_VIA));
    ck_assert(at == &h.v[3]);
    ck_assert_ptr_null(headers_next(&h, at));
    at = headers_next(&h, headers_find_name(&h, STR("x-a")));
    ck_assert(at == &h.v[4]);
    ck_assert_ptr_null(headers_next(&h, at));
    ck_assert_ptr_null(headers_next(&h, &h.v[2]));
}
END_TEST

START_TEST(removing_keeps_the_order_of_the_rest)
{
    struct headers h = {0};

    add(&h, "te", "1");
    add(&h, "x-a", "2");
    add(&h, "TE", "3");
    add(&h, "X-a", "4");
    add(&h, "te", "5");
    add(&h, "x-c", "6");
    ck_assert_uint_eq(headers_remove(&h, HEADER_VIA), 0);
    ck_assert_uint_eq(headers_remove(&h, HEADER_OTHER), 0);
    ck_assert_str_eq(values(&h), "123456");
    ck_assert_uint_eq(headers_remove(&h, HEADER_TE), 3);
    ck_assert_str_eq(values(&h), "246");
    ck_assert_uint_eq(headers_remove_name(&h, STR("X-A")), 2);
    ck_assert_str_eq(values(&h), "6");
    ck_assert_uint_eq(headers_remove_name(&h, STR("host")), 0);
    ck_assert_uint_eq(headers_remove_name(&h, STR("x-c")), 1);
    ck_assert_uint_eq(h.n, 0);
    ck_assert_uint_eq(headers_remove_name(&h, STR("x-c")), 0);
}
END_TEST

START_TEST(a_member_is_found_in_any_field_of_the_name)
{
    struct headers h = {0};

    add(&h, "Connection", " keep-alive ,, Upgrade");
    add(&h, "connection", "x-private");
    add(&h, "te", "trailers");
    ck_assert(headers_have_member(&h, HEADER_CONNECTION, STR("upgrade")));
    ck_assert(headers_have_member(&h, HEADER_CONNECTION, STR("KEEP-ALIVE")));
    ck_assert(headers_have_member(&h, HEADER_CONNECTION, STR("x-private")));
    ck_assert(!headers_have_member(&h, HEADER_CONNECTION, STR("trailers")));
    ck_assert(!headers_have_member(&h, HEADER_CONNECTION, STR("keep")));
    ck_assert(!headers_have_member(&h, HEADER_CONNECTION, STR("")));
    ck_assert(!headers_have_member(&h, HEADER_VIA, STR("x")));
}
END_TEST

/* Each column, with all the names of which it is true. */
static const struct {
    enum header_column column;
    const char *names;
} columns[] = {
    {HEADER_IS_HOP, "connection keep-alive proxy-connection te trailer transfer-encoding upgrade "},
    {HEADER_IS_HTTP1, "connection keep-alive proxy-connection transfer-encoding upgrade "},
    {HEADER_IS_FRAMING, "transfer-encoding content-length "},
    {HEADER_IS_TRACE, "traceparent tracestate "},
    {HEADER_IS_FRESH, "traceparent tracestate x-trace-id "},
    {HEADER_IS_KEPT, "host connection te transfer-encoding upgrade content-length forwarded "
                     "x-forwarded-for x-forwarded-proto x-forwarded-host traceparent tracestate "
                     "baggage x-trace-id grpc-trace-bin sidespan-via "},
    {HEADER_IS_TRAILING, "grpc-status grpc-message "},
};

START_TEST(a_column_is_true_of_these_names_and_no_others)
{
    char found[512] = "";

    for (size_t i = 0; i < KNOWN; i++)
        if (header_is(known[i].id, columns[_i].column)) {
            strcat(found, known[i].name);
            strcat(found, " ");
        }
    ck_assert_str_eq(found, columns[_i].names);
    ck_assert(!header_is(HEADER_OTHER, columns[_i].column));
}
END_TEST

/* What is told of absent ids never hides a field. */
START_TEST(what_is_absent_is_told_until_it_comes)
{
    struct header v[KNOWN];
    struct headers h = headers_empty(v, KNOWN), by_hand = {v, KNOWN, KNOWN, 0};
    uint64_t both = HEADER_BIT(HEADER_HOST) | HEADER_BIT(HEADER_VIA);

    ck_assert(!headers_may_have(&h, HEADER_ANY_ID));
    for (size_t i = 0; i < KNOWN; i++) {
        ck_assert(!headers_find(&h, known[i].id));
        ck_assert(headers_add(&h, &arena, str_from(known[i].name), STR("x")));
        ck_assert(headers_find(&h, known[i].id) == &v[i]);
        ck_assert(headers_find(&by_hand, known[i].id) == &v[i]);
        ck_assert(headers_may_have(&by_hand, HEADER_BIT(known[i].id)));
        ck_assert(!(header_hop_ids & HEADER_BIT(known[i].id)) ==
                  !header_is(known[i].id, HEADER_IS_HOP));
    }
    ck_assert(!headers_find_name(&h, STR("x-mine")));
    ck_assert(headers_add(&h, &arena, STR("X-Mine"), STR("x")));
    ck_assert(headers_find_name(&h, STR("x-mine")));
    headers_remove(&h, HEADER_HOST);
    ck_assert(!headers_find(&h, HEADER_HOST));
    ck_assert(headers_may_have(&h, both));
    ck_assert_uint_eq(headers_count(&h, HEADER_VIA), 1);
    ck_assert(headers_have_member(&h, HEADER_VIA, STR("x")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("headers");
    TCase *tc = tcase_create("headers");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, every_row_is_found_in_any_case, 0, (int)KNOWN);
    tcase_add_loop_test(tc, nothing_that_differs_in_a_byte_is_found, 0, (int)KNOWN);
    tcase_add_loop_test(tc, a_column_is_true_of_these_names_and_no_others, 0,
                        (int)(sizeof(columns) / sizeof(columns[0])));
    tcase_add_test(tc, names_not_known_are_other);
    tcase_add_test(tc, fields_keep_their_order_and_case);
    tcase_add_test(tc, a_full_arena_is_an_answer);
    tcase_add_test(tc, finds_by_id_and_by_name);
    tcase_add_test(tc, next_is_of_the_same_name);
    tcase_add_test(tc, removing_keeps_the_order_of_the_rest);
    tcase_add_test(tc, what_is_absent_is_told_until_it_comes);
    tcase_add_test(tc, a_member_is_found_in_any_field_of_the_name);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
