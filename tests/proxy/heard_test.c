#include "proxy/heard.h"

#include <check.h>
#include <stdlib.h>

#include "base/str.h"

static struct address address_of(const char *ip, uint16_t port)
{
    struct address a;

    ck_assert(address_parse_ip(str_from(ip), &a));
    a.port = port;
    return a;
}

START_TEST(what_one_worker_has_heard_all_know)
{
    struct address there = address_of("10.0.0.1", 80), path = {.family = AF_UNIX, .path = "/s"};
    struct heard one, another, other_port, unix_socket;

    heard_init(&one, &there);
    heard_init(&another, &there);
    there.port = 81;
    heard_init(&other_port, &there);
    heard_init(&unix_socket, &path);
    ck_assert_uint_eq(heard_bits(&another, 0), 0);
    heard_note(&one, HEARD_HTTP2 | HEARD_NO_HTTP1, 0, 0);
    ck_assert_uint_eq(heard_bits(&one, 0), HEARD_HTTP2 | HEARD_NO_HTTP1);
    ck_assert_uint_eq(heard_bits(&another, 0), HEARD_HTTP2 | HEARD_NO_HTTP1);
    heard_note(&another, HEARD_HTTP1, HEARD_NO_HTTP1, 0);
    ck_assert_uint_eq(heard_bits(&one, 0), HEARD_HTTP1 | HEARD_HTTP2);
    ck_assert_uint_eq(heard_bits(&other_port, 0), 0);
    ck_assert_uint_eq(heard_bits(&unix_socket, 0), 0);
}
END_TEST

START_TEST(that_one_does_not_know_http2_holds_for_a_while)
{
    struct address there = address_of("10.0.0.2", 80);
    nsec_t now = SECONDS(1000000);
    struct heard h;

    heard_init(&h, &there);
    heard_note(&h, HEARD_HTTP1 | HEARD_NO_HTTP2, 0, now);
    ck_assert_uint_eq(heard_bits(&h, now + HEARD_NO_HTTP2_TIME - 1), HEARD_HTTP1 | HEARD_NO_HTTP2);
    ck_assert_uint_eq(heard_bits(&h, now + HEARD_NO_HTTP2_TIME), HEARD_HTTP1);
    /* What else is heard meanwhile does not make it longer. */
    heard_note(&h, 0, HEARD_HTTP1, now + SECONDS(30));
    ck_assert_uint_eq(heard_bits(&h, now + HEARD_NO_HTTP2_TIME - 1), HEARD_NO_HTTP2);
    ck_assert_uint_eq(heard_bits(&h, now + HEARD_NO_HTTP2_TIME), 0);
}
END_TEST

START_TEST(addresses_that_meet_take_nothing_for_their_own)
{
    enum { ADDRESSES = 20000 }; /* several in each place */
    struct heard *all = calloc(ADDRESSES, sizeof *all);

    ck_assert_ptr_nonnull(all);
    for (unsigned i = 0; i < ADDRESSES; i++) {
        struct address a = address_of("10.0.0.3", (uint16_t)(i + 1));

        heard_init(&all[i], &a);
        heard_note(&all[i], i % 2 ? HEARD_HTTP1 : HEARD_HTTP2, 0, 0);
    }
    for (unsigned i = 0; i < ADDRESSES; i++)
        ck_assert_uint_eq(heard_bits(&all[i], 0), i % 2 ? HEARD_HTTP1 : HEARD_HTTP2);
    free(all);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("heard");
    TCase *t = tcase_create("heard");

    tcase_add_test(t, what_one_worker_has_heard_all_know);
    tcase_add_test(t, that_one_does_not_know_http2_holds_for_a_while);
    tcase_add_test(t, addresses_that_meet_take_nothing_for_their_own);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
