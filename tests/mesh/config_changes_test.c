#include "mesh/config_changes.h"

#include "loaded.h"

static const char *value; /* of the environment's KEY */

static const char *environment(const char *name)
{
    return strcmp(name, "KEY") == 0 ? value : NULL;
}

static struct config *config_of(const char *text, const char *key)
{
    struct errors errors = {0};

    value = key;
    struct config *c = config_parse("routes.conf", str_from(text), environment, &errors);
    ck_assert_msg(c != NULL, "%s: %s", text, errors.n ? errors.v[0].text : "");
    errors_release(&errors);
    return c;
}

/* From one text to the next, with KEY as it says. */
static void check(const char *from, const char *to, const char *old_key, const char *key,
                  const char *want)
{
    struct config *old = config_of(from, old_key), *now = config_of(to, key);
    struct buffer got;

    buffer_init(&got, 0);
    config_changes(old, now, &got);
    ck_assert_msg(str_eq(buffer_str(&got), str_from(want)), "%.*s\nis not\n%s",
                  STR_ARG(buffer_str(&got)), want);
    buffer_release(&got);
    config_unref(old);
    config_unref(now);
}

#define IN "inbound { listen :80; "
#define AB "cluster a { endpoint a:1; } cluster b { endpoint b:1; }"

static const struct {
    const char *from, *to, *changes;
} rows[] = {
    /* clusters */
    {IN "route / { to a; } } cluster a { endpoint a:1; }", IN "route / { to a; } } " AB,
     "clusters +b"},
    {IN "route / { to a; } } " AB, IN "route / { to a; } } cluster a { endpoint a:1; }",
     "clusters -b"},
    {IN "route / { to a; } } " AB,
     IN "route / { to a; } } cluster a { endpoint a:1; endpoint c:1; } cluster c { endpoint c:1; }",
     "clusters ~a, +c, -b"},
    /* where to: an address is no cluster of its own */
    {IN "route / { to h:1; } }", IN "route / { to h:2; } }", "targets / h:2"},
    {IN "route / { to a; } }" AB, IN "route / { to a weight 90; to b weight 10; } }" AB,
     "targets / a 90 b 10"},
    {IN "route /x { to a weight 90; to b weight 10; } }" AB,
     IN "route /x { to a weight 75; to b weight 25; } }" AB, "weights /x a 75 b 25"},
    /* routes */
    {IN "route / { to a; } }" AB, IN "route = /p { to a; } route / { to a; } }" AB, "routes += /p"},
    {IN "route = /p { to a; } route / { to a; } }" AB, IN "route / { to a; } }" AB, "routes -= /p"},
    {IN "route /x { to a; timeout 1s; } }" AB, IN "route /x { to a; timeout 2s; } }" AB,
     "routes ~/x"},
    {IN "route /x { to a; } }" AB, IN "route /x { respond 503; } }" AB, "routes ~/x"},
    {IN "route grpc s.T { to a; } }" AB, IN "route grpc s.T/M { to a; } }" AB,
     "routes +grpc s.T/M, -grpc s.T"},
    {IN "route /x { match method GET; to a; } route /x { to a; } }" AB,
     IN "route /x { match method PUT; to a; } route /x { to a; } }" AB, "routes +/x, -/x"},
    {IN "host h *.h { route /x { to a; } } }" AB,
     IN "host h *.h { route /x { to a; timeout 2s; } } }" AB, "routes ~h /x"},
    {IN "route /x { to a; } } outbound { listen :81; route /x { to a; } }" AB,
     IN "route /x { to a; } } outbound { listen :81; route /x { to b; } }" AB,
     "targets outbound /x b"},
    {IN "route /x { to a; } route /y { to a; } }" AB,
     IN "route /y { to a; } route /x { to a; } }" AB, "the order of routes"},
    {IN "host h { route / { to a; } } host i { route / { to a; } } }" AB,
     IN "host i { route / { to a; } } host h { route / { to a; } } }" AB,
     "the same in another order"},
    /* faults */
    {IN "route /x { to a; } }" AB,
     IN "route /x { to a; fault delay 2s for 10%; fault abort 503; } }" AB,
     "faults /x delay 2s for 10% and abort 503"},
    {IN "route /x { to a; fault reset; } }" AB, IN "route /x { to a; } }" AB, "faults /x none"},
    /* the rest */
    {IN "route / { to a; } }" AB, IN "listen :81; route / { to a; } } limits { streams 7; }" AB,
     "settings inbound listeners, limits"},
    {IN "route / { to a; } }" AB,
     IN "timeout 3s; route / { to a; } } log level warn; workers 2;" AB,
     "settings inbound, workers, log"},
    {IN "route / { to a; } }" AB, IN "route / { to a; } } outbound { listen :81; }" AB,
     "settings outbound"},
    {IN "route / { to a; } } trace { export otlp http://c:1 { header authorization one; } }" AB,
     IN "route / { to a; } } trace { export otlp http://c:1 { header authorization two; } }" AB,
     "settings trace"},
    /* several at once */
    {IN "route /x { to a; } route /z { to a; } }" AB,
     IN "route /x { to a weight 1; to b weight 2; fault reset; } route /y { to b; } }" AB
        "admin 127.0.0.1:1; cluster c { endpoint c:1; }",
     "clusters +c; routes +/y, -/z; targets /x a 1 b 2; faults /x reset; settings admin"},
};

START_TEST(a_line_says_what_changed)
{
    check(rows[_i].from, rows[_i].to, NULL, NULL, rows[_i].changes);
}
END_TEST

START_TEST(values_of_the_environment_are_not_told)
{
    check(IN "route /${KEY} { to a; } }" AB,
          IN "route /${KEY} { to a; fault abort 503 when header x = ${KEY}; } }" AB, "hunter2",
          "hunter2", "faults /${KEY} abort 503 when header x = ${KEY}");
    check(IN "route / { to a; } }" AB,
          IN "route / { to a; } } cluster c-${KEY} { endpoint c:1; }" AB, "hunter2", "hunter2",
          "clusters +c-${KEY}");
    check(IN "route / { respond 200 ${KEY}; } }", IN "route / { respond 200 ${KEY}; } }", "hunter2",
          "hunter3", "routes ~/");
}
END_TEST

START_TEST(a_few_are_named_and_the_rest_counted)
{
    struct buffer text, want;

    buffer_init(&text, 0);
    buffer_init(&want, 0);
    buffer_printf(&text, IN);
    for (int i = 0; i < 10; i++)
        buffer_printf(&text, "route /%d%0150d { to a; }", i, 0);
    buffer_printf(&text, "route / { to x0; } }" AB);
    for (int i = 0; i < 10; i++)
        buffer_printf(&text, "cluster x%d { endpoint a:1; }", i);
    buffer_add_char(&text, '\0');
    buffer_printf(&want, "clusters +x0, +x1, +x2, +x3 and 6 more; routes");
    for (int i = 0; i < CHANGES_NAMED_MAX; i++)
        buffer_printf(&want, "%s +/%d%0*d...", i ? "," : "", i, CHANGE_BYTES_MAX - 2, 0);
    buffer_printf(&want, " and 6 more; targets / x0");
    buffer_add_char(&want, '\0');
    check(IN "route / { to a; } }" AB, text.p, NULL, NULL, want.p);
    buffer_release(&text);
    buffer_release(&want);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_changes");
    TCase *t = tcase_create("config_changes");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_line_says_what_changed, 0, COUNT(rows));
    tcase_add_test(t, values_of_the_environment_are_not_told);
    tcase_add_test(t, a_few_are_named_and_the_rest_counted);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
