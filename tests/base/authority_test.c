#include "base/authority.h"

#include <check.h>
#include <ctype.h>
#include <stdlib.h>

static const struct {
    const char *text, *host, *port; /* port NULL: there is no colon */
    bool valid;
} rows[] = {
    {"users.shop", "users.shop", NULL, true},
    {"users.shop:80", "users.shop", "80", true},
    {"users.shop:", "users.shop", "", true},
    {"users.shop.:8080", "users.shop.", "8080", true},
    {"a_b-c~%20!$&'()*+;=", "a_b-c~%20!$&'()*+;=", NULL, true},
    {"1.2.3.4", "1.2.3.4", NULL, true},
    {"1.2.3.4:65535", "1.2.3.4", "65535", true},
    {"1.2.3.4:0", "1.2.3.4", "0", true},
    {"1.2.3.4:00080", "1.2.3.4", "00080", true},
    {"1.2.3.4:65536", "1.2.3.4", "65536", false},
    {"1.2.3.4:99999999999999999999", "1.2.3.4", "99999999999999999999", false},
    {"a:b", "a", "b", false},
    {"a:-1", "a", "-1", false},
    {"a:+1", "a", "+1", false},
    {"a: 1", "a", " 1", false},
    {"[::1]", "[::1]", NULL, true},
    {"[::1]:80", "[::1]", "80", true},
    {"[::1]:", "[::1]", "", true},
    {"[::1]x", "[::1]x", NULL, false},
    {"[::1]x:80", "[::1]x", "80", false},
    {"[::1]:80:81", "[::1]", "80:81", false},
    {"[::1", "[::1", NULL, false},
    {"[", "[", NULL, false},
    {"::1", "::1", NULL, false},
    {"a:1,b:2", "a:1,b:2", NULL, false},
    {"a,b:2", "a,b", "2", true},
    {":80", "", "80", false},
    {":", "", "", false},
    {"", "", NULL, false},
    {"user@host", "user@host", NULL, false},
    {"user:secret@host", "user", "secret@host", false},
    {"a/b", "a/b", NULL, false},
    {"a b", "a b", NULL, false},
    {"a\tb", "a\tb", NULL, false},
    {"caf\xc3\xa9", "caf\xc3\xa9", NULL, false},
};

START_TEST(splits_at_the_colon_of_the_port_and_judges_both)
{
    struct str text = str_from(rows[_i].text);
    struct authority a = authority_split(text);

    ck_assert_msg(str_eq(a.host, str_from(rows[_i].host)), "%s: host %.*s", rows[_i].text,
                  STR_ARG(a.host));
    ck_assert_msg(a.has_port == (rows[_i].port != NULL), "%s", rows[_i].text);
    ck_assert_msg(str_eq(a.port, str_from(rows[_i].port)), "%s: port %.*s", rows[_i].text,
                  STR_ARG(a.port));
    ck_assert_msg(authority_valid(text) == rows[_i].valid, "%s", rows[_i].text);
    if (str_index(text, ',', 0) == text.n)
        ck_assert_msg(authority_list_valid(text) == rows[_i].valid, "%s", rows[_i].text);
}
END_TEST

START_TEST(a_host_has_these_characters)
{
    static const char others[] = "-._~!$&'()*+,;=%";

    for (int c = 0; c < 256; c++) {
        bool alphanumeric =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        char host[] = {'h', (char)c, 'h'};

        if (c != ':') /* a port's */
            ck_assert_msg(authority_valid(str_of(host, sizeof host)) ==
                              (alphanumeric || (c && strchr(others, c)) || c == '[' || c == ']'),
                          "%d", c);
    }
}
END_TEST

static const struct {
    const char *text, *host; /* NULL: not plain */
    unsigned port;
} plain[] = {
    {"users.shop", "users.shop", 0},
    {"users.shop:80", "users.shop", 80},
    {"a", "a", 0},
    {"a:1", "a", 1},
    {"8", "8", 0},
    {"123456789", "123456789", 0},
    {"1.2.3.4:0", "1.2.3.4", 0},
    {"1.2.3.4:65535", "1.2.3.4", 65535},
    {"A-b.C:00080", "A-b.C", 80},
    {"a:65536", NULL, 0},
    {"a:000080", NULL, 0},
    {"a:", NULL, 0},
    {":80", NULL, 0},
    {":", NULL, 0},
    {"", NULL, 0},
    {"a:b", NULL, 0},
    {"a:1:2", NULL, 0},
    {"::1", NULL, 0},
    {"[::1]:80", NULL, 0},
    {"a@b:80", NULL, 0},
    {"a,b:80", NULL, 0},
    {"users.shop/:80", NULL, 0},
    {"users.sho\xf0:80", NULL, 0},
    {"users.shop/users.shop", NULL, 0},
};

START_TEST(what_is_plain_is_what_splitting_finds)
{
    struct str text = str_from(plain[_i].text), host;
    uint16_t port;
    bool is = authority_plain(text, &host, &port);

    ck_assert_msg(is == (plain[_i].host != NULL), "%s", plain[_i].text);
    if (!is)
        return;
    ck_assert(authority_valid(text));
    ck_assert(str_eq(host, str_from(plain[_i].host)) && str_eq(host, authority_split(text).host));
    ck_assert_uint_eq(port, plain[_i].port);
}
END_TEST

START_TEST(each_byte_of_a_plain_name_is_looked_at)
{
    char name[20];
    uint16_t port;
    struct str host;

    for (size_t n = 1; n <= sizeof name; n++)
        for (size_t at = 0; at < n; at++)
            for (int c = 0; c < 256; c++) {
                memset(name, 'a', n);
                name[at] = (char)c;
                bool is = authority_plain(str_of(name, n), &host, &port);
                ck_assert(!is || authority_valid(str_of(name, n)));
                ck_assert(is == ((c < 128 && isalnum(c)) || c == '-' || c == '.'));
            }
}
END_TEST

START_TEST(a_nul_is_no_character_of_a_host)
{
    ck_assert(!authority_valid(STR("a\0b")));
    ck_assert(!authority_valid(STR("a:8\0")));
}
END_TEST

START_TEST(a_port_is_digits_up_to_65535)
{
    uint16_t port = 7;

    ck_assert(authority_port(STR("65535"), &port) && port == 65535);
    ck_assert(authority_port(STR("0"), &port) && port == 0);
    port = 7;
    ck_assert(!authority_port(STR("65536"), &port));
    ck_assert(!authority_port(STR(""), &port));
    ck_assert(!authority_port((struct str){0}, &port));
    ck_assert(!authority_port(STR("8a"), &port));
    ck_assert_uint_eq(port, 7);
}
END_TEST

START_TEST(brackets_are_taken_off_an_ipv6_address_alone)
{
    ck_assert(str_eq(authority_bare_host(STR("[::1]")), STR("::1")));
    ck_assert(str_eq(authority_bare_host(STR("[::1")), STR("::1")));
    ck_assert(str_eq(authority_bare_host(STR("users.shop")), STR("users.shop")));
    ck_assert(str_eq(authority_bare_host((struct str){0}), STR("")));
}
END_TEST

START_TEST(a_user_and_a_password_are_taken_off)
{
    ck_assert(str_eq(authority_without_user(STR("user:secret@[::1]:80")), STR("[::1]:80")));
    ck_assert(str_eq(authority_without_user(STR("a@b@c:80")), STR("c:80")));
    ck_assert(str_eq(authority_without_user(STR("c:80")), STR("c:80")));
    ck_assert(str_eq(authority_without_user((struct str){0}), STR("")));
}
END_TEST

START_TEST(the_longest_name_of_dns_fits_with_its_port)
{
    char text[262];

    memset(text, 'a', sizeof(text));
    memcpy(text + 255, ":65535", 6);
    ck_assert(authority_valid(str_of(text, 261)));
    ck_assert(authority_list_valid(str_of(text, 261)));
    ck_assert(!authority_valid(str_of(text + 1, 261)));
    memset(text, 'a', sizeof(text));
    ck_assert(!authority_valid(str_of(text, 262)));
    ck_assert(!authority_list_valid(str_of(text, 262)));
}
END_TEST

START_TEST(a_list_is_as_good_as_each_of_its_members)
{
    char text[4097];

    ck_assert(authority_list_valid(STR("a")));
    ck_assert(authority_list_valid(STR("a:1,b:2")));
    ck_assert(authority_list_valid(STR("[::1]:80,[::2]:81")));
    ck_assert(!authority_list_valid(STR("")));
    ck_assert(!authority_list_valid((struct str){0}));
    ck_assert(!authority_list_valid(STR("a:1,")));
    ck_assert(!authority_list_valid(STR(",a:1")));
    ck_assert(!authority_list_valid(STR("a:1,,b:2")));
    ck_assert(!authority_list_valid(STR("a:1, b:2")));
    ck_assert(!authority_list_valid(STR("a:1,user@b:2")));
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 2 ? ',' : 'a';
    ck_assert(authority_list_valid(str_of(text, 4095)));
    ck_assert(!authority_list_valid(str_of(text, 4097)));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("authority");
    TCase *tc = tcase_create("authority");
    tcase_add_loop_test(tc, splits_at_the_colon_of_the_port_and_judges_both, 0,
                        (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tc, a_host_has_these_characters);
    tcase_add_loop_test(tc, what_is_plain_is_what_splitting_finds, 0,
                        (int)(sizeof(plain) / sizeof(plain[0])));
    tcase_add_test(tc, each_byte_of_a_plain_name_is_looked_at);
    tcase_add_test(tc, a_nul_is_no_character_of_a_host);
    tcase_add_test(tc, a_port_is_digits_up_to_65535);
    tcase_add_test(tc, brackets_are_taken_off_an_ipv6_address_alone);
    tcase_add_test(tc, a_user_and_a_password_are_taken_off);
    tcase_add_test(tc, the_longest_name_of_dns_fits_with_its_port);
    tcase_add_test(tc, a_list_is_as_good_as_each_of_its_members);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
