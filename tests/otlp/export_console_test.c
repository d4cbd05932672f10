#include <stdio.h>

#include "example_span.h"
#include "otlp/exporter.h"
#include "test_main.h"

static char *text;
static size_t text_bytes;
static FILE *file;
static struct exporter *exporter;
static unsigned warnings;

static void on_report(void *arg, bool warning, const char *line)
{
    (void)arg;
    (void)line;
    warnings += warning;
}

static void start(FILE *to, bool pretty)
{
    struct exporter_options options = {
        .kind = EXPORTER_CONSOLE, .name = STR("console"), .console = to, .pretty = pretty};
    struct resource resource;

    resource_init(&resource);
    warnings = 0;
    exporter = exporter_new(&options, &resource, NULL, on_report, NULL);
    ck_assert_ptr_nonnull(exporter);
    resource_release(&resource);
}

static void start_in_memory(bool pretty)
{
    file = open_memstream(&text, &text_bytes);
    start(file, pretty);
}

static void tear_down(void)
{
    exporter_free(exporter);
    if (file)
        fclose(file);
    free(text);
    text = NULL;
}

START_TEST(a_span_is_a_line)
{
    struct span s;

    start_in_memory(false);
    example_span(&s, SPAN_CLIENT);
    s.status = 504;
    s.error = SPAN_ERROR_TIMEOUT;
    s.text[SPAN_FAULT] = STR("delay 2s for 10%");
    exporter_add(exporter, &s, 0);
    exporter_tick(exporter, 0);
    ck_assert_str_eq(text, "2023-11-14T22:13:20.000000Z CLIENT \"GET /api/users/{id}\" 504 12.000ms"
                           " trace=11111111111111111111111111111111 span=2222222222222222"
                           " parent=3333333333333333 path=/api/users/7 server=users.shop.local"
                           " peer=10.0.0.9 cluster=users-v1 fault=\"delay 2s for 10%\""
                           " rule=timeout status=error error=timeout ended_by=sidecar\n");
}
END_TEST

START_TEST(what_is_not_known_is_left_out)
{
    struct span s;

    start_in_memory(false);
    span_init(&s, SPAN_SERVER, SPAN_TCP);
    s.start = SECONDS(1) + 1500;
    exporter_add(exporter, &s, 0);
    exporter_tick(exporter, 0);
    ck_assert_str_eq(text, "1970-01-01T00:00:01.000001Z SERVER \"TCP\" 0.000ms"
                           " trace=00000000000000000000000000000000 span=0000000000000000\n");
}
END_TEST

START_TEST(a_peer_cannot_forge_a_line)
{
    struct span s;

    start_in_memory(false);
    example_span(&s, SPAN_SERVER);
    s.text[SPAN_PATH] = STR("/a\n2023 SERVER \"forged\"");
    exporter_add(exporter, &s, 0);
    exporter_tick(exporter, 0);
    ck_assert_ptr_eq(strchr(text, '\n'), text + text_bytes - 1);
    ck_assert_ptr_nonnull(strstr(text, "path=\"/a\\x0a2023 SERVER \\x22forged\\x22\""));
}
END_TEST

START_TEST(pretty_is_indented_json)
{
    struct span s;

    start_in_memory(true);
    example_span(&s, SPAN_SERVER);
    exporter_add(exporter, &s, 0);
    exporter_tick(exporter, 0);
    ck_assert_ptr_eq(strstr(text, "{\n  \"traceId\": \"1111"), text);
    ck_assert_ptr_nonnull(strstr(text, "\n}\n"));
}
END_TEST

START_TEST(what_is_written_is_exported_once_it_is_flushed)
{
    struct span s;

    start_in_memory(false);
    example_span(&s, SPAN_SERVER);
    for (int i = 0; i < 3; i++)
        exporter_add(exporter, &s, 0);
    struct ledger_view v = exporter_ledger(exporter);
    ck_assert(ledger_balances(&v));
    ck_assert_uint_eq(v.waiting, 3);
    ck_assert(!exporter_idle(exporter));
    exporter_flush(exporter, 0);
    v = exporter_ledger(exporter);
    ck_assert(ledger_balances(&v));
    ck_assert_uint_eq(v.exported, 3);
    ck_assert(exporter_idle(exporter));
}
END_TEST

START_TEST(what_cannot_be_written_is_dropped_and_told_once)
{
    FILE *full = fopen("/dev/full", "w");
    struct span s;

    if (!full) /* no such device here */
        return;
    setvbuf(full, NULL, _i ? _IONBF : _IOFBF, _i ? 0 : 1 << 16);
    file = full;
    start(full, false);
    example_span(&s, SPAN_SERVER);
    for (int i = 0; i < 3; i++)
        exporter_add(exporter, &s, 0);
    exporter_abandon(exporter);
    struct ledger_view v = exporter_ledger(exporter);
    ck_assert(ledger_balances(&v));
    ck_assert_uint_eq(v.exported, 0);
    ck_assert_uint_eq(v.dropped[DROP_REFUSED], 3);
    ck_assert_uint_eq(warnings, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("export_console");
    TCase *t = tcase_create("console");

    tcase_add_checked_fixture(t, NULL, tear_down);
    tcase_add_test(t, a_span_is_a_line);
    tcase_add_test(t, what_is_not_known_is_left_out);
    tcase_add_test(t, a_peer_cannot_forge_a_line);
    tcase_add_test(t, pretty_is_indented_json);
    tcase_add_test(t, what_is_written_is_exported_once_it_is_flushed);
    tcase_add_loop_test(t, what_cannot_be_written_is_dropped_and_told_once, 0, 2);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
