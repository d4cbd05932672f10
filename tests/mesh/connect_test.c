/*
 * Which rules hold for what is inside a CONNECT.
 */
#include "mesh/connect.h"

#include "given.h"

/* Of cases/connect.conf: the text of the route that could refuse, "" for none; whether another
 * route sends requests elsewhere; whether a request may be taken by no route. */
static const struct {
    const char *authority, *refuses;
    bool elsewhere, may_miss;
} rules[] = {
    {"closed.test:443", "/", false, false},     {"half.test:443", "/admin", true, false},
    {"let.test:443", "", false, false},         {"first.test:443", "/admin", false, false},
    {"paths.test:80", "/private", true, true},  {"port.test:80", "/admin", false, true},
    {"port.test:443", "/private", false, true}, {"regex.test:80", "^/v[0-9]+/", false, true},
    {"answers.test:80", "", false, false},      {"grpc.test:50051", "shop.Users", true, false},
    {"tried.test:443", "", false, false},       {"covered.test:443", "", false, false},
    {"header.test:80", "/private", true, true}, {"other.test:5432", "/private", false, true},
};

START_TEST(what_could_refuse_a_request_inside_is_found_in_the_order_of_the_routes)
{
    struct config *c = given_config("connect.conf");
    struct request r = given_request("CONNECT", rules[_i].authority, "");
    struct route_choice choice;
    bool found = route_find(&c->outbound, &r, &choice);
    struct connect_rules got =
        connect_rules_find(&c->outbound, r.authority, found ? choice.route : NULL);
    struct str text = got.refuses ? got.refuses->text : STR("");

    ck_assert_msg(str_ends_nocase(text, str_from(rules[_i].refuses)) &&
                      (text.n > 0) == (rules[_i].refuses[0] != '\0'),
                  "%s: %.*s", rules[_i].authority, STR_ARG(text));
    ck_assert_msg(got.elsewhere == rules[_i].elsewhere, "%s", rules[_i].authority);
    ck_assert_msg(got.may_miss == rules[_i].may_miss, "%s", rules[_i].authority);
    config_unref(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh/connect");
    TCase *tc = tcase_create("connect");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, what_could_refuse_a_request_inside_is_found_in_the_order_of_the_routes,
                        0, COUNT(rules));
    suite_add_tcase(suite, tc);
    return given_run(suite);
}
