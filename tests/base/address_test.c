#include "base/address.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

static const struct {
    const char *text, *formatted; /* formatted NULL: not an address */
    uint16_t family;
    bool loopback;
} ips[] = {
    {"1.2.3.4", "1.2.3.4", AF_INET, false},
    {"0.0.0.0", "0.0.0.0", AF_INET, false},
    {"255.255.255.255", "255.255.255.255", AF_INET, false},
    {"127.0.0.1", "127.0.0.1", AF_INET, true},
    {"127.8.9.10", "127.8.9.10", AF_INET, true},
    {"::1", "::1", AF_INET6, true},
    {"[::1]", "::1", AF_INET6, true},
    {"::", "::", AF_INET6, false},
    {"::2", "::2", AF_INET6, false},
    {"2001:DB8::A", "2001:db8::a", AF_INET6, false},
    {"1111:2222:3333:4444:5555:6666:7777:8888", "1111:2222:3333:4444:5555:6666:7777:8888", AF_INET6,
     false},
    {"::ffff:1.2.3.4", "1.2.3.4", AF_INET, false},
    {"[::ffff:127.0.0.1]", "127.0.0.1", AF_INET, true},
    {"", NULL, 0, false},
    {"[]", NULL, 0, false},
    {"[", NULL, 0, false},
    {"[::1", NULL, 0, false},
    {"::1]", NULL, 0, false},
    {"[[::1]]", NULL, 0, false},
    {"[1.2.3.4]", NULL, 0, false},
    {"1.2.3", NULL, 0, false},
    {"1.2.3.4.5", NULL, 0, false},
    {"1.2.3.256", NULL, 0, false},
    {"1.2.3.4:80", NULL, 0, false},
    {" 1.2.3.4", NULL, 0, false},
    {"1.2.3.4 ", NULL, 0, false},
    {"::1%lo", NULL, 0, false},
    {"1:2:3:4:5:6:7:8:9", NULL, 0, false},
    {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa", NULL, 0, false},
    {"localhost", NULL, 0, false},
};

START_TEST(reads_ip_literals_and_nothing_else)
{
    struct address a = {.port = 99};
    char text[ADDRESS_TEXT_MAX];
    bool parsed = address_parse_ip(str_from(ips[_i].text), &a);

    ck_assert_msg(parsed == (ips[_i].formatted != NULL), "%s", ips[_i].text);
    if (!parsed) {
        ck_assert_uint_eq(a.port, 99); /* untouched */
        return;
    }
    ck_assert_uint_eq(a.family, ips[_i].family);
    ck_assert_uint_eq(a.port, 0);
    ck_assert_uint_eq(address_format_ip(&a, text), strlen(ips[_i].formatted));
    ck_assert_str_eq(text, ips[_i].formatted);
    ck_assert_msg(address_is_loopback(&a) == ips[_i].loopback, "%s", ips[_i].text);
}
END_TEST

START_TEST(a_nul_in_the_text_does_not_end_it)
{
    struct address a;

    ck_assert(!address_parse_ip(STR("1.2.3.4\0x"), &a));
}
END_TEST

START_TEST(formats_the_port_behind_the_ip)
{
    struct address a;
    char text[ADDRESS_TEXT_MAX];

    ck_assert(address_parse_ip(STR("10.0.200.3"), &a));
    a.port = 65535;
    ck_assert_uint_eq(address_format(&a, text), strlen("10.0.200.3:65535"));
    ck_assert_str_eq(text, "10.0.200.3:65535");
    ck_assert(address_parse_ip(STR("::1"), &a));
    ck_assert_uint_eq(address_format(&a, text), strlen("[::1]:0"));
    ck_assert_str_eq(text, "[::1]:0");
    ck_assert_uint_eq(address_format(&(struct address){.family = AF_UNIX, .path = "/run/s"}, text),
                      strlen("unix:/run/s"));
    ck_assert_str_eq(text, "unix:/run/s");
    ck_assert_uint_eq(address_format(&(struct address){0}, text), 0);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(formats_each_octet_and_each_port)
{
    struct address a = {.family = AF_INET};
    char text[ADDRESS_TEXT_MAX], wanted[ADDRESS_TEXT_MAX];

    for (unsigned n = 0; n <= UINT16_MAX; n++) {
        a.port = (uint16_t)n;
        for (int i = 0; i < 4; i++)
            a.ip[i] = (uint8_t)(n + 85 * (unsigned)i);
        snprintf(wanted, sizeof wanted, "%u.%u.%u.%u:%u", a.ip[0], a.ip[1], a.ip[2], a.ip[3], n);
        ck_assert_uint_eq(address_format(&a, text), strlen(wanted));
        ck_assert_str_eq(text, wanted);
        *strchr(wanted, ':') = '\0';
        ck_assert_uint_eq(address_format_ip(&a, text), strlen(wanted));
        ck_assert_str_eq(text, wanted);
    }
}
END_TEST

START_TEST(a_path_longer_than_any_text_is_cut)
{
    char path[300], text[ADDRESS_TEXT_MAX];
    struct address a = {.family = AF_UNIX, .path = path};
    struct sockaddr_storage ss;
    socklen_t len;

    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    ck_assert_uint_eq(address_format(&a, text), ADDRESS_TEXT_MAX - 1);
    ck_assert_uint_eq(strlen(text), ADDRESS_TEXT_MAX - 1);
    ck_assert_uint_eq(address_format_ip(&a, text), ADDRESS_TEXT_MAX - 1);
    ck_assert(!address_to_sockaddr(&a, &ss, &len));
}
END_TEST

START_TEST(goes_to_a_sockaddr_and_back)
{
    static const char *const texts[] = {"192.0.2.7", "2001:db8::7"};
    struct address a, b;
    struct sockaddr_storage ss;
    socklen_t len;

    ck_assert(address_parse_ip(str_from(texts[_i]), &a));
    a.port = 8080;
    ck_assert(address_to_sockaddr(&a, &ss, &len));
    ck_assert_uint_eq(ss.ss_family, a.family);
    ck_assert(address_from_sockaddr((struct sockaddr *)&ss, len, &b));
    ck_assert_uint_eq(b.port, 8080);
    ck_assert(address_eq(&a, &b));
    ck_assert(!address_from_sockaddr((struct sockaddr *)&ss, len - 1, &b));
    ck_assert(!address_from_sockaddr((struct sockaddr *)&ss, 1, &b));
}
END_TEST

START_TEST(the_sockaddr_is_in_network_order)
{
    struct address a;
    struct sockaddr_storage ss;
    struct sockaddr_in in;
    socklen_t len;

    ck_assert(address_parse_ip(STR("127.0.0.1"), &a));
    a.port = 80;
    ck_assert(address_to_sockaddr(&a, &ss, &len));
    ck_assert_uint_eq(len, sizeof(in));
    memcpy(&in, &ss, sizeof(in));
    ck_assert_uint_eq(in.sin_port, htons(80));
    ck_assert_uint_eq(in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}
END_TEST

START_TEST(a_mapped_peer_is_an_ipv4_peer)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};
    struct address a;
    char text[ADDRESS_TEXT_MAX];

    ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:192.0.2.1", &in6.sin6_addr), 1);
    ck_assert(address_from_sockaddr((struct sockaddr *)&in6, sizeof(in6), &a));
    ck_assert_uint_eq(a.family, AF_INET);
    address_format(&a, text);
    ck_assert_str_eq(text, "192.0.2.1:443");
}
END_TEST

START_TEST(a_unix_path_is_borrowed_from_the_sockaddr)
{
    struct sockaddr_storage ss;
    struct address a = {.family = AF_UNIX, .path = "/tmp/socket"}, b;
    socklen_t len;

    ck_assert(address_to_sockaddr(&a, &ss, &len));
    ck_assert(address_from_sockaddr((struct sockaddr *)&ss, len, &b));
    ck_assert_ptr_eq(b.path, (char *)&ss + offsetof(struct sockaddr_un, sun_path));
    ck_assert_str_eq(b.path, "/tmp/socket");
    ck_assert(address_eq(&a, &b));
    ck_assert(address_is_loopback(&b));
}
END_TEST

START_TEST(an_unnamed_unix_socket_has_an_empty_path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "leftover"};
    struct address a;

    ck_assert(address_from_sockaddr((struct sockaddr *)&un, sizeof(sa_family_t), &a));
    ck_assert_str_eq(a.path, "");
}
END_TEST

START_TEST(refuses_what_it_cannot_hold)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr sa = {.sa_family = AF_UNSPEC};
    struct sockaddr_storage ss;
    struct address a;
    socklen_t len;

    memset(un.sun_path, 'x', sizeof(un.sun_path)); /* not ended by a NUL */
    ck_assert(!address_from_sockaddr((struct sockaddr *)&un, sizeof(un), &a));
    ck_assert(!address_from_sockaddr(&sa, sizeof(sa), &a));
    ck_assert(!address_to_sockaddr(&(struct address){0}, &ss, &len));
    ck_assert(!address_to_sockaddr(&(struct address){.family = AF_UNIX}, &ss, &len));
}
END_TEST

START_TEST(addresses_differ_in_family_ip_port_or_path)
{
    struct address a = {.family = AF_INET, .port = 80, .ip = {1, 2, 3, 4}}, b = a;

    ck_assert(address_eq(&a, &b));
    b.ip[4] = 9; /* not a part of an IPv4 address */
    ck_assert(address_eq(&a, &b));
    b.ip[3] = 9;
    ck_assert(!address_eq(&a, &b));
    b = a;
    b.port = 81;
    ck_assert(!address_eq(&a, &b));
    b = a;
    b.family = AF_INET6;
    ck_assert(!address_eq(&a, &b));
    a = (struct address){.family = AF_INET6, .port = 1, .ip = {[15] = 1}};
    b = (struct address){.family = AF_INET6, .port = 1, .ip = {[15] = 2}};
    ck_assert(!address_eq(&a, &b));
    a = (struct address){.family = AF_UNIX, .path = "/a"};
    b = (struct address){.family = AF_UNIX, .path = "/b"};
    ck_assert(!address_eq(&a, &b));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("address");
    TCase *tc = tcase_create("address");
    tcase_add_loop_test(tc, reads_ip_literals_and_nothing_else, 0,
                        (int)(sizeof(ips) / sizeof(ips[0])));
    tcase_add_test(tc, a_nul_in_the_text_does_not_end_it);
    tcase_add_test(tc, formats_the_port_behind_the_ip);
    tcase_add_test(tc, formats_each_octet_and_each_port);
    tcase_add_test(tc, a_path_longer_than_any_text_is_cut);
    tcase_add_loop_test(tc, goes_to_a_sockaddr_and_back, 0, 2);
    tcase_add_test(tc, the_sockaddr_is_in_network_order);
    tcase_add_test(tc, a_mapped_peer_is_an_ipv4_peer);
    tcase_add_test(tc, a_unix_path_is_borrowed_from_the_sockaddr);
    tcase_add_test(tc, an_unnamed_unix_socket_has_an_empty_path);
    tcase_add_test(tc, refuses_what_it_cannot_hold);
    tcase_add_test(tc, addresses_differ_in_family_ip_port_or_path);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
