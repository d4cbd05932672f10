/*
 * Which protocols pass in Upgrade.
 */
#include "proxy/http_upgrade.h"

#include <check.h>
#include <stdlib.h>

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 0, 0);
}

static void teardown(void)
{
    arena_release(&arena);
}

/* Fields are parted by "|". */
static struct headers fields_of(const char *text)
{
    struct headers f = {0};
    struct str rest = str_from(text), value;

    while (str_split(&rest, '|', &value))
        ck_assert(headers_add_id(&f, &arena, HEADER_UPGRADE, STR("Upgrade"), value));
    return f;
}

static struct str text_of(const struct headers *f)
{
    struct str text = STR("");

    for (size_t i = 0; i < f->n; i++)
        text =
            arena_printf(&arena, "%.*s%s%.*s", STR_ARG(text), i ? "|" : "", STR_ARG(f->v[i].value));
    return text;
}

static const struct {
    const char *asked, *only, *kept;
} kept[] = {
    {"websocket", NULL, "websocket"},
    {"foo/1, bar", NULL, "foo/1, bar"},
    {"foo|bar", NULL, "foo|bar"},
    {"h2c", NULL, ""},
    {"H2C, TLS/1.2, HTTP/2.0, h2", NULL, ""},
    {"h2c, foo", NULL, "foo"},
    {"foo|tls/1.3|bar", NULL, "foo, bar"},
    {"h2cx, TLSX/1", NULL, "h2cx, TLSX/1"},
    {"a b, foo", NULL, "foo"},
    {"/1, foo/, a/b/c, foo", NULL, "foo"},
    {", ,", NULL, ""},
    {"", NULL, ""},
    {"foo, WebSocket", "websocket", "WebSocket"},
    {"tcp", "websocket", ""},
};

START_TEST(only_what_concerns_this_connection_is_left_out)
{
    struct headers f = fields_of(kept[_i].asked);
    struct str only = kept[_i].only ? str_from(kept[_i].only) : (struct str){0};
    enum upgrade_kept got = upgrade_keep(&f, &arena, only);
    struct str text = text_of(&f);

    ck_assert_msg(str_eq(text, str_from(kept[_i].kept)), "%s: %.*s", kept[_i].asked, STR_ARG(text));
    ck_assert_int_eq(got, kept[_i].kept[0] ? UPGRADE_SOME : UPGRADE_NONE);
}
END_TEST

static const struct {
    const char *asked, *switched;
    bool agreed;
} answers[] = {
    {"websocket", "websocket", true}, {"websocket", "WebSocket", true},
    {"foo, bar", "bar", true},        {"foo|bar", "foo", true},
    {"SPDY/3.1", "spdy", true},       {"websocket", "", true},
    {"websocket", "h2c", false},      {"foo", "foo, bar", false},
    {"SPDY/3.1", "SPDY/2", false},
};

START_TEST(what_was_switched_to_must_have_been_asked_for)
{
    struct headers asked = fields_of(answers[_i].asked), said = fields_of(answers[_i].switched);

    ck_assert_msg(upgrade_agreed(&said, &asked) == answers[_i].agreed, "%s: %s", answers[_i].asked,
                  answers[_i].switched);
}
END_TEST

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

int main(void)
{
    Suite *suite = suite_create("http_upgrade");
    TCase *tc = tcase_create("http_upgrade");
    SRunner *runner = srunner_create(suite);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, only_what_concerns_this_connection_is_left_out, 0, COUNT(kept));
    tcase_add_loop_test(tc, what_was_switched_to_must_have_been_asked_for, 0, COUNT(answers));
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
