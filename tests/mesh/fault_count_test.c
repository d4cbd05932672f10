#include "mesh/fault_count.h"

#include "given.h"
#include "mesh/fault.h"

static struct config *parse(const char *inbound)
{
    struct errors errors = {0};
    char text[2048];
    struct config *c;

    snprintf(text, sizeof(text), "inbound { listen :1; %s } cluster a { endpoint 127.0.0.1:2; }",
             inbound);
    c = config_parse("t.conf", str_from(text), NULL, &errors);
    ck_assert_msg(c != NULL, "%s", errors.n ? errors.v[0].text : "?");
    errors_release(&errors);
    return c;
}

/* What the first route that has faults strikes of so many requests. */
static unsigned struck(const struct config *c, unsigned n)
{
    const struct direction *d = &c->inbound;
    const struct route *r = d->n_routes ? d->routes[0] : d->hosts[0]->routes[0];
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        struct request q = {.trace_id = given_trace(i)};

        count += fault_decide(r, &q).aborted != NULL;
    }
    return count;
}

#define FAULT "route /a { to a; fault abort 503 first 10; }"

START_TEST(the_same_fault_counts_on_and_another_begins_anew)
{
    static const struct {
        const char *before, *after;
        bool same;
    } rows[] = {
        {FAULT, FAULT, true},
        {FAULT, FAULT " route /b { to a; fault abort 503 first 10; }", true},
        {FAULT, "route /a { timeout 5s; fault abort 503 first 10; to a; }", true},
        {FAULT, "route /a { to a; fault delay 1s; fault abort 503 first 10; }", true},
        {FAULT, "route /a { to a; fault abort 503 first 11; }", false},
        {FAULT, "route /a { to a; fault abort 500 first 10; }", false},
        {FAULT, "route /a/b { to a; fault abort 503 first 10; }", false},
        {FAULT, "route /a { match header x; to a; fault abort 503 first 10; }", false},
        {FAULT, "host x { " FAULT " }", false},
        {"host x { " FAULT " }", "host x { " FAULT " }", true},
        {"host x { " FAULT " }", "host y { " FAULT " }", false},
    };
    struct config *old = parse(rows[_i].before);

    ck_assert_uint_eq(struck(old, 7), 7);
    struct config *c = parse(rows[_i].after);
    config_keep_counts(c, old);
    if (rows[_i].same) {
        ck_assert_uint_eq(struck(old, 1), 1); /* who still uses the old one counts too */
        config_unref(old);
        ck_assert_uint_eq(struck(c, 20), 2);
    } else {
        config_unref(old);
        ck_assert_uint_ge(struck(c, 20), 10);
    }
    config_unref(c);
}
END_TEST

/* Of two that say the same each keeps its own. */
START_TEST(what_is_said_twice_is_told_apart)
{
    const char *twice = "route /a { to a; fault abort 503 first 3; fault abort 503 first 3; }";
    struct config *old = parse(twice), *c;

    ck_assert_uint_eq(struck(old, 4), 4);
    c = parse(twice);
    config_keep_counts(c, old);
    config_unref(old);
    ck_assert_uint_eq(struck(c, 20), 2);
    config_unref(c);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fault_count");
    TCase *t = tcase_create("fault_count");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, the_same_fault_counts_on_and_another_begins_anew, 0, 11);
    tcase_add_test(t, what_is_said_twice_is_told_apart);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
