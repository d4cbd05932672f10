#include "proxy/original_dst.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { LISTENER_PORT = 15006 };

static struct address address_of(const char *ip, uint16_t port)
{
    struct address a;

    ck_assert(address_parse_ip(str_from(ip), &a));
    a.port = port;
    return a;
}

static const struct {
    const char *dst;
    uint16_t dst_port;
    const char *local;
    bool is_listener;
} cases[] = {
    /* Redirected: for another port, here or elsewhere. */
    {"127.0.0.1", 8080, "127.0.0.1", false},
    {"198.51.100.1", 80, "127.0.0.1", false},
    {"2001:db8:6::1", 80, "::1", false},
    /* Addressed to the socket itself. */
    {"127.0.0.1", LISTENER_PORT, "127.0.0.1", true},
    {"::1", LISTENER_PORT, "::1", true},
    /* To the listener by another address of this machine. */
    {"127.0.0.2", LISTENER_PORT, "127.0.0.1", true},
    /* To the same port of another machine. */
    {"198.51.100.1", LISTENER_PORT, "127.0.0.1", false},
    {"2001:db8:6::1", LISTENER_PORT, "::1", false},
};

START_TEST(a_destination_is_the_listener_by_its_port_on_any_address_of_this_machine)
{
    struct address dst = address_of(cases[_i].dst, cases[_i].dst_port);
    struct address local = address_of(cases[_i].local, LISTENER_PORT);

    ck_assert(original_dst_is_listener(&dst, &local, LISTENER_PORT) == cases[_i].is_listener);
}
END_TEST

START_TEST(a_socket_that_netfilter_knows_nothing_of_was_not_redirected)
{
    int pair[2];
    struct address out = {0};

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert_int_eq(original_dst_get(pair[0], 0, &out), ORIGINAL_DST_NONE);
    ck_assert_int_eq(out.family, 0);
    close(pair[0]);
    close(pair[1]);

    ck_assert_int_eq(original_dst_get(-1, 0, &out), ORIGINAL_DST_NONE);
}
END_TEST

/* Whether connections are tracked here or not: a connection made to the listener is never for
 * somebody else. */
START_TEST(a_connection_made_to_the_listener_is_not_passed_on)
{
    struct address at = address_of("127.0.0.1", 0), out = {0};
    struct sockaddr_storage sa;
    socklen_t len;
    int listening = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert(address_to_sockaddr(&at, &sa, &len));
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(listen(listening, 1), 0);
    ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&sa, &len), 0);
    ck_assert(address_from_sockaddr((struct sockaddr *)&sa, len, &at));
    ck_assert_int_eq(connect(client, (struct sockaddr *)&sa, len), 0);
    int accepted = accept(listening, NULL, NULL);

    ck_assert_int_ne(original_dst_get(accepted, at.port, &out), ORIGINAL_DST_FOUND);
    close(accepted);
    close(client);
    close(listening);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("original_dst");
    TCase *t = tcase_create("original_dst");

    tcase_add_loop_test(t, a_destination_is_the_listener_by_its_port_on_any_address_of_this_machine,
                        0, COUNT(cases));
    tcase_add_test(t, a_socket_that_netfilter_knows_nothing_of_was_not_redirected);
    tcase_add_test(t, a_connection_made_to_the_listener_is_not_passed_on);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
