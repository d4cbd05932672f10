#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "example_span.h"
#include "otlp/exporter.h"
#include "test_main.h"

static char text[1 << 20];
static size_t text_bytes;
static int file;
static struct exporter *exporter;
static unsigned warnings;

static void on_report(void *arg, bool warning, const char *line)
{
    (void)arg;
    (void)line;
    warnings += warning;
}

static void start(int to, bool pretty)
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
    file = memfd_create("console", 0);
    ck_assert_int_gt(file, 0);
    start(file, pretty);
}

/* Until nothing waits: a thread of its own writes. */
static void written(void)
{
    while (exporter_tick(exporter, 0) != INT64_MAX)
        sched_yield();
    ssize_t n = pread(file, text, sizeof(text) - 1, 0);
    ck_assert_int_ge(n, 0);
    text_bytes = (size_t)n;
    text[n] = '\0';
}

static void tear_down(void)
{
    exporter_free(exporter);
    close(file);
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
    written();
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
    written();
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
    written();
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
    written();
    ck_assert_ptr_eq(strstr(text, "{\n  \"traceId\": \"1111"), text);
    ck_assert_ptr_nonnull(strstr(text, "\n}\n"));
}
END_TEST

static void fill_pipe(int fd)
{
    static const char block[PIPE_BUF];

    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (write(fd, block, sizeof(block)) > 0)
        ;
    ck_assert_int_eq(fcntl(fd, F_SETFL, 0), 0);
}

START_TEST(what_is_written_is_exported_and_not_before)
{
    struct span s;
    int ends[2];
    struct ledger_view v;

    ck_assert_int_eq(pipe(ends), 0);
    fill_pipe(ends[1]);
    file = ends[1];
    start(file, false);
    example_span(&s, SPAN_SERVER);
    for (int i = 0; i < 3; i++)
        exporter_add(exporter, &s, 0);
    ck_assert_int_ne(exporter_tick(exporter, 0), INT64_MAX);
    v = exporter_ledger(exporter);
    ck_assert(ledger_balances(&v));
    ck_assert_uint_eq(v.waiting, 3);
    ck_assert(!exporter_idle(exporter));
    while (exporter_tick(exporter, 0) != INT64_MAX)
        ck_assert_int_gt(read(ends[0], text, sizeof(text)), 0);
    v = exporter_ledger(exporter);
    ck_assert(ledger_balances(&v));
    ck_assert_uint_eq(v.exported, 3);
    ck_assert(exporter_idle(exporter));
    close(ends[0]);
}
END_TEST

/* Nobody reads: neither adding nor the end waits for it. */
START_TEST(what_nobody_reads_is_dropped_and_told_once)
{
    struct span s;
    int ends[2];
    unsigned many = _i ? 1500 : 6000; /* more than have room */

    ck_assert_int_eq(pipe(ends), 0);
    fill_pipe(ends[1]);
    file = ends[1];
    start(file, _i);
    example_span(&s, SPAN_SERVER);
    for (unsigned i = 0; i < many; i++)
        exporter_add(exporter, &s, 0);
    struct ledger_view v = exporter_ledger(exporter);
    ck_assert_uint_gt(v.dropped[DROP_QUEUE_FULL], 0);
    ck_assert_uint_gt(v.waiting, 100);
    ck_assert_uint_eq(warnings, 1);
    exporter_abandon(exporter);
    v = exporter_ledger(exporter);
    ck_assert(ledger_balances(&v));
    ck_assert_uint_eq(v.dropped[DROP_QUEUE_FULL] + v.dropped[DROP_SHUTDOWN], many);
    ck_assert(exporter_idle(exporter));
    exporter_free(exporter); /* with a write() under way */
    exporter = NULL;
    close(ends[0]);
}
END_TEST

START_TEST(what_cannot_be_written_is_dropped_and_told_once)
{
    struct span s;

    file = open("/dev/full", O_WRONLY);
    if (file < 0) /* no such device here */
        return;
    start(file, false);
    example_span(&s, SPAN_SERVER);
    for (int i = 0; i < 3; i++)
        exporter_add(exporter, &s, 0);
    while (exporter_tick(exporter, 0) != INT64_MAX)
        sched_yield();
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
    tcase_add_test(t, what_is_written_is_exported_and_not_before);
    tcase_add_loop_test(t, what_nobody_reads_is_dropped_and_told_once, 0, 2);
    tcase_add_test(t, what_cannot_be_written_is_dropped_and_told_once);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
