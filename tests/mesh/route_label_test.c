#include "mesh/route_label.h"

#include "loaded.h"

static const char *environment(const char *name)
{
    return strcmp(name, "TENANT") == 0 ? "tenant-seven" : NULL;
}

static struct config *loaded_with_environment(const char *text)
{
    struct errors errors = {0};
    struct config *c = config_parse("routes.conf", str_from(text), environment, &errors);

    ck_assert_ptr_nonnull(c);
    errors_release(&errors);
    return c;
}

static const struct {
    const char *route, *label;
} rows[] = {
    {"route / { respond 200; }", "/"},
    {"route /api { respond 200; }", "/api"},
    {"route = /login { respond 200; }", "= /login"},
    {"route /users/{id} { respond 200; }", "/users/{id}"},
    {"route ~ \"^/v(1|2)\" { respond 200; }", "~ ^/v(1|2)"},
    {"route grpc shop.Users { to a:1; }", "grpc shop.Users"},
    {"route grpc shop.Users/Get { to a:1; }", "grpc shop.Users/Get"},
    {"route ~ ^/v1 { respond 200; name \"the first\"; }", "the first"},
    {"route /${TENANT}/x { respond 200; }", "/${TENANT}/x"},
    {"route = /${TENANT} { respond 200; }", "= /${TENANT}"},
    {"route /a { respond 200; name \"of ${TENANT}\"; }", "of ${TENANT}"},
    /* What another word took from the environment is not shown either. */
    {"route /of-tenant-seven { respond 200 \"${TENANT}\"; }", "/of-${TENANT}"},
};

START_TEST(a_route_is_called_what_the_file_calls_it)
{
    char text[300];

    snprintf(text, sizeof(text), "inbound { listen :80; %s }", rows[_i].route);
    struct config *c = loaded_with_environment(text);
    struct str label = c->inbound.routes[0]->label;
    ck_assert_msg(str_eq(label, str_from(rows[_i].label)), "%.*s is not %s", STR_ARG(label),
                  rows[_i].label);
    config_unref(c);
}
END_TEST

START_TEST(a_long_one_is_cut_between_characters)
{
    char text[600] = "inbound { listen :80; route /";

    for (int i = 0; i < 100; i++)
        strcat(text, "\xc3\xa9");
    strcat(text, " { respond 200; } }");
    struct config *c = loaded(text);
    struct str label = c->inbound.routes[0]->label;
    ck_assert_uint_eq(label.n, ROUTE_LABEL_BYTES_MAX);
    ck_assert_msg(str_eq(str_slice(label, label.n - 5, label.n), STR("\xc3\xa9...")), "%.*s",
                  STR_ARG(label));
    config_unref(c);
}
END_TEST

START_TEST(past_the_bound_the_rest_of_a_direction_is_other)
{
    struct buffer text;

    buffer_init(&text, 0);
    for (int d = 0; d < 2; d++) {
        buffer_printf(&text, "%s { listen :%d;", d ? "outbound" : "inbound", 80 + d);
        if (d)
            buffer_printf(&text,
                          "host a { route /of-a { respond 200; } route = /0 { respond 200; } }");
        for (int i = 0; i < ROUTE_LABELS_MAX + 5; i++)
            buffer_printf(&text, "route = /%d { respond 200; }", i);
        buffer_printf(&text, "}");
    }
    buffer_add_char(&text, '\0');
    struct config *c = loaded(text.p);
    ASSERT_STR(c->inbound.routes[ROUTE_LABELS_MAX - 1]->label, "= /199");
    ASSERT_STR(c->inbound.routes[ROUTE_LABELS_MAX]->label, "other");
    /* That of the host took one; of one text two are one. */
    ASSERT_STR(c->outbound.hosts[0]->routes[0]->label, "/of-a");
    ASSERT_STR(c->outbound.routes[0]->label, "= /0");
    ASSERT_STR(c->outbound.routes[ROUTE_LABELS_MAX - 2]->label, "= /198");
    ASSERT_STR(c->outbound.routes[ROUTE_LABELS_MAX - 1]->label, "other");
    config_unref(c);
    buffer_release(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("route_label");
    TCase *t = tcase_create("route_label");

    tcase_add_loop_test(t, a_route_is_called_what_the_file_calls_it, 0, COUNT(rows));
    tcase_add_test(t, a_long_one_is_cut_between_characters);
    tcase_add_test(t, past_the_bound_the_rest_of_a_direction_is_other);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
