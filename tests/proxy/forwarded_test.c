#include "proxy/forwarded.h"

#include <check.h>
#include <stdlib.h>

static const struct {
    const char *value, *node, *host, *proto;
} rows[] = {
    {"for=192.0.2.43", "192.0.2.43", "", ""},
    {"For=\"[2001:db8::1]:4711\"", "[2001:db8::1]:4711", "", ""},
    {"for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60", "", "http"},
    {"proto=https ; host=\"a.test:80\"; for=unknown", "unknown", "a.test:80", "https"},
    {"for=192.0.2.43, for=198.51.100.17;host=b", "192.0.2.43", "", ""},
    {"by=a;secret=\"x,y;z\";for=b", "b", "", ""},
    {"for=a;for=b", "a", "", ""},
    {"for=\"a\\\"b\";proto=http", "", "", "http"},
    {"for=\"unclosed;proto=http", "", "", ""},
    {"for=\"a\\", "", "", ""},
    {"for", "", "", ""},
    {"for=", "", "", ""},
    {";;for=a", "", "", ""},
    {", for=b", "", "", ""},
    {"", "", "", ""},
};

START_TEST(the_first_element_is_told)
{
    struct forwarded f = forwarded_first(str_from(rows[_i].value));

    ck_assert_msg(str_eq(f.node, str_from(rows[_i].node)), "%s: %.*s", rows[_i].value,
                  STR_ARG(f.node));
    ck_assert_msg(str_eq(f.host, str_from(rows[_i].host)), "%s: %.*s", rows[_i].value,
                  STR_ARG(f.host));
    ck_assert_msg(str_eq(f.proto, str_from(rows[_i].proto)), "%s: %.*s", rows[_i].value,
                  STR_ARG(f.proto));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("forwarded");
    TCase *t = tcase_create("forwarded");
    SRunner *r = srunner_create(s);
    int failed;

    tcase_add_loop_test(t, the_first_element_is_told, 0, (int)(sizeof rows / sizeof rows[0]));
    suite_add_tcase(s, t);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
