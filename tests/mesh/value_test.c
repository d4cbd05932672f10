#include "mesh/value.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

/* ---- durations ---- */

static const struct {
    const char *text;
    nsec_t value; /* -1: refused */
    const char *written;
} durations[] = {
    {"150ms", MILLISECONDS(150), "150ms"},
    {"2s", SECONDS(2), "2s"},
    {"5m", SECONDS(300), "5m"},
    {"1h", SECONDS(3600), "1h"},
    {"1000h", SECONDS(3600000), "1000h"},
    {"10us", MICROSECONDS(10), "10us"},
    {"1.5s", MILLISECONDS(1500), "1500ms"},
    {"0.25ms", MICROSECONDS(250), "250us"},
    {"90s", SECONDS(90), "90s"},
    {"120s", SECONDS(120), "2m"},
    {"0s", 0, "0s"},
    {"007s", SECONDS(7), "7s"},
    {"", -1, ""},
    {"5", -1, ""},
    {"s", -1, ""},
    {"5 s", -1, ""},
    {" 5s", -1, ""},
    {"-5s", -1, ""},
    {"+5s", -1, ""},
    {"5S", -1, ""},
    {"5sec", -1, ""},
    {"5.s", -1, ""},
    {".5s", -1, ""},
    {"1.5.5s", -1, ""},
    {"1e3s", -1, ""},
    {"0x1s", -1, ""},
    {"1m30s", -1, ""},
    {"1001h", -1, ""},
    {"0.5us", -1, ""},
    {"99999999999999999999s", -1, ""},
    {"18446744073709551615h", -1, ""},
    {"1.0000000001s", -1, ""},
};

START_TEST(a_duration_is_digits_and_a_unit)
{
    struct error err = {0};
    struct buffer out;
    nsec_t t = -1;

    bool good = value_duration(str_from(durations[_i].text), &t, &err);
    ck_assert_int_eq(t, durations[_i].value);
    ck_assert(good == (durations[_i].value >= 0) && good == (err.text[0] == '\0'));
    if (!good)
        return;
    buffer_init(&out, 0);
    value_write_duration(t, &out);
    buffer_add_char(&out, '\0');
    ck_assert_str_eq(out.p, durations[_i].written);
    buffer_release(&out);
}
END_TEST

/* ---- sizes ---- */

static const struct {
    const char *text;
    int64_t value;
    const char *written;
} sizes[] = {
    {"512", 512, "512"},
    {"64k", 65536, "64k"},
    {"1m", 1 << 20, "1m"},
    {"1g", 1 << 30, "1g"},
    {"1024k", 1 << 20, "1m"},
    {"0", 0, "0"},
    {"1025", 1025, "1025"},
    {"9223372036854775807", INT64_MAX, "9223372036854775807"},
    {"9223372036854775808", -1, ""},
    {"8589934592g", -1, ""},
    {"", -1, ""},
    {"k", -1, ""},
    {"1.5m", -1, ""},
    {"64K", -1, ""},
    {"64kb", -1, ""},
    {"-1", -1, ""},
};

START_TEST(a_size_is_digits_and_perhaps_a_unit)
{
    struct error err = {0};
    struct buffer out;
    uint64_t n = UINT64_MAX;

    bool good = value_size(str_from(sizes[_i].text), &n, &err);
    ck_assert_int_eq((int64_t)n, sizes[_i].value);
    ck_assert(good == (sizes[_i].value >= 0) && good == (err.text[0] == '\0'));
    if (!good)
        return;
    buffer_init(&out, 0);
    value_write_size(n, &out);
    buffer_add_char(&out, '\0');
    ck_assert_str_eq(out.p, sizes[_i].written);
    buffer_release(&out);
}
END_TEST

/* ---- shares ---- */

static const struct {
    const char *text;
    share_t share;
    double ratio; /* -1: refused */
    const char *written;
} shares[] = {
    {"100%", SHARE_ALWAYS, 1, "100%"},
    {"0%", 0, 0, "0%"},
    {"50%", 1ull << 63, 0.5, "50%"},
    {"25.0%", 1ull << 62, 0.25, "25%"},
    {"10%", 1844674407370955161u, 0.1, "10%"},
    {"0.1%", 18446744073709551u, 0.001, "0.1%"},
    {"0.000000001%", 184467440, 1e-11, "0.000000001%"},
    {"33.333%", 6148853202089604840u, 0.33333, "33.333%"},
    {"100.1%", 0, -1, ""},
    {"101%", 0, -1, ""},
    {"10", 0, -1, ""},
    {"0.1", 0, -1, ""},
    {"%", 0, -1, ""},
    {"10 %", 0, -1, ""},
    {"-1%", 0, -1, ""},
    {"10%%", 0, -1, ""},
    {"0.0000000001%", 0, -1, ""},
};

START_TEST(a_share_is_a_percentage)
{
    struct error err = {0};
    struct buffer out;
    share_t share = 7;
    double ratio = -1;

    bool good = value_share(str_from(shares[_i].text), &share, &ratio, &err);
    ck_assert(good == (shares[_i].ratio >= 0) && good == (err.text[0] == '\0'));
    ck_assert_uint_eq(share, good ? shares[_i].share : 7);
    ck_assert_double_eq(ratio, shares[_i].ratio);
    if (!good)
        return;
    buffer_init(&out, 0);
    value_write_ratio(ratio, &out);
    buffer_add_char(&out, '\0');
    ck_assert_str_eq(out.p, shares[_i].written);
    buffer_release(&out);
}
END_TEST

START_TEST(every_ratio_of_three_digits_is_written_as_it_was_read)
{
    for (unsigned i = 0; i <= 100000; i++) {
        struct error err = {0};
        struct buffer out;
        char text[32];
        double ratio = -1, again = -1;

        int n = snprintf(text, sizeof(text), "%u.%03u%%", i / 1000, i % 1000);
        value_share(str_of(text, (size_t)n), NULL, &ratio, &err);
        buffer_init(&out, 0);
        value_write_ratio(ratio, &out);
        value_share(buffer_str(&out), NULL, &again, &err);
        if (ratio < 0 || ratio != again) /* an assertion each would take seconds */
            ck_abort_msg("%s was written as %.*s", text, STR_ARG(buffer_str(&out)));
        buffer_release(&out);
    }
}
END_TEST

/* ---- numbers ---- */

static const struct {
    const char *text;
    uint64_t min, max;
    bool good;
} numbers[] = {
    {"1", 1, 10, true},
    {"10", 1, 10, true},
    {"0", 1, 10, false},
    {"11", 1, 10, false},
    {"", 0, 10, false},
    {"-1", 0, 10, false},
    {"+1", 0, 10, false},
    {"1.0", 0, 10, false},
    {"0x1", 0, 10, false},
    {" 1", 0, 10, false},
    {"1 ", 0, 10, false},
    {"18446744073709551615", 0, UINT64_MAX, true},
    {"18446744073709551616", 0, UINT64_MAX, false},
};

START_TEST(a_number_is_digits_within_bounds)
{
    struct error err = {0};
    uint64_t n = 77;

    bool good =
        value_number(str_from(numbers[_i].text), numbers[_i].min, numbers[_i].max, &n, &err);
    ck_assert(good == numbers[_i].good && good == (n != 77) && good == (err.text[0] == '\0'));
}
END_TEST

/* ---- addresses ---- */

static const struct {
    const char *text;
    enum address_use use;
    int family; /* -1: refused; 0: a name */
    unsigned port;
} addresses[] = {
    {"127.0.0.1:80", ADDRESS_TO_REACH, AF_INET, 80},
    {"[::1]:8080", ADDRESS_TO_REACH, AF_INET6, 8080},
    {"users.shop:80", ADDRESS_TO_REACH, 0, 80},
    {"users_1.shop.:80", ADDRESS_TO_REACH, 0, 80},
    {"localhost:65535", ADDRESS_TO_REACH, 0, 65535},
    {"unix:/run/a.sock", ADDRESS_TO_REACH, AF_UNIX, 0},
    {":8080", ADDRESS_TO_LISTEN, AF_INET6, 8080},
    {":0", ADDRESS_TO_LISTEN, AF_INET6, 0},
    {"127.0.0.1:0", ADDRESS_TO_LISTEN, AF_INET, 0},
    {"[::]:80", ADDRESS_TO_LISTEN, AF_INET6, 80},
    {"unix:/run/a.sock", ADDRESS_TO_LISTEN, AF_UNIX, 0},
    {"localhost:80", ADDRESS_TO_LISTEN, -1, 0},
    {":8080", ADDRESS_TO_REACH, -1, 0},
    {"127.0.0.1:0", ADDRESS_TO_REACH, -1, 0},
    {"127.0.0.1", ADDRESS_TO_REACH, -1, 0},
    {"127.0.0.1:", ADDRESS_TO_REACH, -1, 0},
    {"127.0.0.1:65536", ADDRESS_TO_REACH, -1, 0},
    {"127.0.0.1:-1", ADDRESS_TO_REACH, -1, 0},
    {"256.0.0.1:80", ADDRESS_TO_REACH, -1, 0},
    {"1.2.3:80", ADDRESS_TO_REACH, -1, 0},
    {"::1:80", ADDRESS_TO_REACH, -1, 0},
    {"[::1:80", ADDRESS_TO_REACH, -1, 0},
    {"[::1]", ADDRESS_TO_REACH, -1, 0},
    {"[::g]:80", ADDRESS_TO_REACH, -1, 0},
    {"a..b:80", ADDRESS_TO_REACH, -1, 0},
    {"a b:80", ADDRESS_TO_REACH, -1, 0},
    {"a/b:80", ADDRESS_TO_REACH, -1, 0},
    {"http://a:80", ADDRESS_TO_REACH, -1, 0},
    {"unix:run/a.sock", ADDRESS_TO_REACH, -1, 0},
    {"unix:", ADDRESS_TO_REACH, -1, 0},
    {"", ADDRESS_TO_REACH, -1, 0},
    {":", ADDRESS_TO_LISTEN, -1, 0},
};

START_TEST(an_address_is_a_host_and_a_port)
{
    struct error err = {0};
    struct location l = {0};
    struct arena arena;

    arena_init(&arena, 0, 0);
    bool good = value_location(str_from(addresses[_i].text), addresses[_i].use, &arena, &l, &err);
    ck_assert_msg(good == (addresses[_i].family >= 0), "%s: %s", addresses[_i].text, err.text);
    if (good) {
        ck_assert_int_eq(l.address.family, addresses[_i].family);
        ck_assert_uint_eq(l.address.port, addresses[_i].port);
        ck_assert(str_eq(l.text, str_from(addresses[_i].text)));
        ck_assert((l.name.n > 0) == (addresses[_i].family == 0));
        if (l.address.family == AF_UNIX)
            ck_assert_str_eq(l.address.path, addresses[_i].text + 5);
    }
    arena_release(&arena);
}
END_TEST

START_TEST(a_path_that_no_socket_can_have_is_refused)
{
    struct error err = {0};
    struct location l;
    struct arena arena;
    char text[200];

    snprintf(text, sizeof(text), "unix:/%0120d", 0);
    arena_init(&arena, 0, 0);
    ck_assert(!value_location(str_from(text), ADDRESS_TO_REACH, &arena, &l, &err));
    arena_release(&arena);
}
END_TEST

/* ---- words ---- */

static const struct {
    const char *word, *candidates[4], *best;
} nearests[] = {
    {"timout", {"to", "timeout", "match"}, "timeout"},
    {"tiemout", {"timeout"}, "timeout"},
    {"lsiten", {"host", "listen"}, "listen"},
    {"too", {"to", "by"}, "to"},
    {"x", {"to", "by"}, ""},
    {"entirely", {"timeout", "to"}, ""},
    {"users-v3", {"users-v1", "users-v2"}, "users-v1"},
};

START_TEST(the_nearest_word_is_one_that_could_have_been_meant)
{
    struct nearest n;

    nearest_init(&n, str_from(nearests[_i].word));
    for (size_t i = 0; nearests[_i].candidates[i]; i++)
        nearest_try(&n, str_from(nearests[_i].candidates[i]));
    ck_assert_msg(str_eq(n.best, str_from(nearests[_i].best)), "%s gave %.*s", nearests[_i].word,
                  STR_ARG(n.best));
}
END_TEST

START_TEST(a_shown_word_fits_a_line)
{
    char out[80], long_word[200], accents[201];

    ck_assert_str_eq(value_shown(STR("a\nb\x7f\xff"), out), "a?b??");
    memset(long_word, 'a', sizeof(long_word));
    value_shown(str_of(long_word, sizeof(long_word)), out);
    ck_assert_uint_eq(strlen(out), 63);
    ck_assert_str_eq(out + 60, "...");
    for (size_t i = 0; i < 200; i += 2)
        memcpy(accents + i, "\xc3\xa9", 2);
    value_shown(str_of(accents + 1, 199), out); /* begins within a character */
    ck_assert_str_eq(out + strlen(out) - 5, "\xc3\xa9...");
}
END_TEST

static const struct {
    const char *text;
    int64_t seconds; /* -1: refused */
    const char *why;
} moments[] = {
    {"1970-01-01T00:00:00Z", 0, NULL},
    {"2000-02-29T12:00:00Z", 951825600, NULL},
    {"2026-12-01T10:00:00Z", 1796119200, NULL},
    {"2026-12-01T10:00:00.250Z", 1796119200, NULL},
    {"2026-12-01T11:30:00+01:30", 1796119200, NULL},
    {"2026-12-01T09:00:00-01:00", 1796119200, NULL},
    {"2026-12-01T23:59:60Z", 1796169600, NULL},
    {"30m", -1, "date -u"},
    {"2026-12-01T10:00:00.Z", -1, "no moment"},
    {"2026-12-01T10:00:00.", -1, "no moment"},
    {"2026-12-01", -1, "no moment"},
    {"2026-12-01T10:00:00", -1, "no moment"},
    {"2026-13-01T10:00:00Z", -1, "no moment"},
    {"2026-02-29T10:00:00Z", -1, "no moment"},
    {"2026-12-01T24:00:00Z", -1, "no moment"},
    {"2026-12-01T10:00:00+25:00", -1, "no moment"},
    {"", -1, "no moment"},
};

START_TEST(a_moment_is_written_as_rfc_3339_has_it)
{
    struct error err = {0};
    nsec_t at = -1;
    bool good = value_moment(str_from(moments[_i].text), &at, &err);

    ck_assert_msg(good == (moments[_i].seconds >= 0), "%s: %s", moments[_i].text, err.text);
    if (good)
        ck_assert_int_eq(at, SECONDS(moments[_i].seconds));
    else
        ck_assert_msg(strstr(err.text, moments[_i].why) != NULL, "%s", err.text);
}
END_TEST

static const struct {
    const char *text, *within, *without; /* NULL: refused */
} networks[] = {
    {"10.0.0.0/8", "10.255.1.2", "11.0.0.0"},
    {"192.0.2.128/25", "192.0.2.129", "192.0.2.127"},
    {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
    {"0.0.0.0/0", "1.2.3.4", "::1"},
    {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"},
    {"::1", "::1", "::2"},
    {"10.0.0.1/8", NULL, NULL},
    {"10.0.0.0/33", NULL, NULL},
    {"10.0.0.0/", NULL, NULL},
    {"x", NULL, NULL},
};

START_TEST(a_network_takes_the_addresses_that_begin_like_it)
{
    struct error err = {0};
    struct address network, a;
    unsigned bits;
    bool good = value_network(str_from(networks[_i].text), &network, &bits, &err);

    ck_assert_msg(good == (networks[_i].within != NULL), "%s: %s", networks[_i].text, err.text);
    if (!good)
        return;
    ck_assert(address_parse_ip(str_from(networks[_i].within), &a));
    ck_assert(address_within(&a, &network, bits));
    ck_assert(address_parse_ip(str_from(networks[_i].without), &a));
    ck_assert(!address_within(&a, &network, bits));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("value");
    TCase *tc = tcase_create("value");
    SRunner *sr = srunner_create(s);

    tcase_add_loop_test(tc, a_moment_is_written_as_rfc_3339_has_it, 0,
                        (int)(sizeof(moments) / sizeof(moments[0])));
    tcase_add_loop_test(tc, a_network_takes_the_addresses_that_begin_like_it, 0,
                        (int)(sizeof(networks) / sizeof(networks[0])));
    tcase_add_loop_test(tc, a_duration_is_digits_and_a_unit, 0, COUNT(durations));
    tcase_add_loop_test(tc, a_size_is_digits_and_perhaps_a_unit, 0, COUNT(sizes));
    tcase_add_loop_test(tc, a_share_is_a_percentage, 0, COUNT(shares));
    tcase_add_test(tc, every_ratio_of_three_digits_is_written_as_it_was_read);
    tcase_add_loop_test(tc, a_number_is_digits_within_bounds, 0, COUNT(numbers));
    tcase_add_loop_test(tc, an_address_is_a_host_and_a_port, 0, COUNT(addresses));
    tcase_add_test(tc, a_path_that_no_socket_can_have_is_refused);
    tcase_add_loop_test(tc, the_nearest_word_is_one_that_could_have_been_meant, 0, COUNT(nearests));
    tcase_add_test(tc, a_shown_word_fits_a_line);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
