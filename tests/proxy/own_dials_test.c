#include "proxy/own_dials.h"

#include <arpa/inet.h>
#include <check.h>
#include <string.h>
#include <unistd.h>

static struct address at(const char *ip, uint16_t port)
{
    struct address a = {0};

    ck_assert(address_parse_ip(str_from(ip), &a));
    a.port = port;
    return a;
}

/* A connection to a closed port of the loopback: it has two ends all the same. */
static int dialled(const struct address *to, struct address *from)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int fd;

    ck_assert(address_to_sockaddr(to, &sa, &len));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    struct address any = at("127.0.0.1", 0);
    struct sockaddr_storage own;
    socklen_t own_len;
    ck_assert(address_to_sockaddr(&any, &own, &own_len));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&own, own_len), 0);
    own_len = sizeof own;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&own, &own_len), 0);
    ck_assert(address_from_sockaddr((struct sockaddr *)&own, own_len, from));
    return fd;
}

START_TEST(a_connection_is_known_by_both_its_ends_until_it_is_closed)
{
    struct address to = at("198.51.100.1", 80), other = at("198.51.100.2", 80), from, near;
    int fd = dialled(&to, &from);

    ck_assert_uint_eq(own_dial_note(fd, &to), 0); /* nobody needs to know */
    own_dials_watch();
    uint64_t dial = own_dial_note(fd, &to);
    ck_assert_uint_ne(dial, 0);
    near = from;
    near.port ^= 1;
    ck_assert(!own_dial_returned(&near, &to, SECONDS(100)));
    ck_assert(!own_dial_returned(&from, &other, SECONDS(100)));
    ck_assert(!own_dials_return(SECONDS(100)));
    ck_assert(own_dial_returned(&from, &to, SECONDS(100)));
    ck_assert(own_dials_return(SECONDS(101)));
    ck_assert(!own_dials_return(SECONDS(103)));
    own_dial_forget(dial);
    ck_assert(!own_dial_returned(&from, &to, SECONDS(104)));
    own_dial_forget(0);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("own_dials");
    TCase *t = tcase_create("own_dials");

    tcase_add_test(t, a_connection_is_known_by_both_its_ends_until_it_is_closed);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
