#include "base/log.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Standard error is a file in memory while a test runs. */
static int captured, real_stderr;
static char output[1 << 20];

static void setup(void)
{
    captured = memfd_create("stderr", 0);
    ck_assert_int_ge(captured, 0);
    ck_assert_int_eq(fcntl(captured, F_SETFL, O_APPEND), 0);
    real_stderr = dup(STDERR_FILENO);
    dup2(captured, STDERR_FILENO);
}

static void teardown(void)
{
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(captured);
    log_set_level(LOG_INFO);
    log_set_json(false);
}

static const char *written(void)
{
    ssize_t n = pread(captured, output, sizeof(output) - 1, 0);
    ck_assert_int_ge(n, 0);
    output[n] = '\0';
    return output;
}

static void assert_written(const char *pattern)
{
    regex_t re;
    ck_assert_int_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&re, written(), 0, NULL, 0) == 0, "wrote: %s", output);
    regfree(&re);
}

#define TIME "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{3}Z"

START_TEST(a_line_has_time_level_area_and_text)
{
    log_write(LOG_WARN, "pool", "%d of %s", 3, "many");
    assert_written("^" TIME " warn pool: 3 of many\n$");
}
END_TEST

START_TEST(the_time_is_now_in_utc)
{
    struct tm t = {0};
    int ms;

    nsec_t before = clock_wall() / MILLISECONDS(1);
    log_write(LOG_INFO, "a", "b");
    nsec_t after = clock_wall() / MILLISECONDS(1);
    ck_assert_int_eq(sscanf(written(), "%d-%d-%dT%d:%d:%d.%dZ", &t.tm_year, &t.tm_mon, &t.tm_mday,
                            &t.tm_hour, &t.tm_min, &t.tm_sec, &ms),
                     7);
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    nsec_t said = (nsec_t)timegm(&t) * 1000 + ms;
    ck_assert_int_ge(said, before);
    ck_assert_int_le(said, after);
}
END_TEST

START_TEST(json_lines_are_json)
{
    log_set_json(true);
    log_write(LOG_ERROR, "tls", "a \"b\" \\ \n\x01 \xc3\xa9 \xff");
    assert_written("^\\{\"time\":\"" TIME "\",\"level\":\"error\",\"area\":\"tls\",\"message\":\"");
    const char *message = strstr(output, "\"message\":");
    ck_assert_str_eq(message,
                     "\"message\":\"a \\\"b\\\" \\\\ \\u000a\\u0001 \xc3\xa9 \\\\xff\"}\n");
}
END_TEST

START_TEST(the_trace_is_a_member_of_its_own_in_json)
{
    log_write_trace(LOG_INFO, "a", "0af7651916cd43dd8448eb211c80319c", "b");
    assert_written("^" TIME " info a: b trace 0af7651916cd43dd8448eb211c80319c\n$");
    ck_assert_int_eq(ftruncate(captured, 0), 0);
    log_set_json(true);
    log_write_trace(LOG_INFO, "a", "0af7651916cd43dd8448eb211c80319c", "b");
    assert_written("\"area\":\"a\",\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\","
                   "\"message\":\"b\"\\}\n$");
}
END_TEST

START_TEST(only_levels_that_are_enabled_are_written)
{
    log_set_level(LOG_WARN);
    ck_assert(log_enabled(LOG_ERROR) && log_enabled(LOG_WARN));
    ck_assert(!log_enabled(LOG_INFO) && !log_enabled(LOG_DEBUG));
    log_write(LOG_INFO, "a", "no");
    log_write(LOG_WARN, "a", "yes");
    assert_written("^[^\n]* warn a: yes\n$");
}
END_TEST

static const struct {
    const char *text, *shown;
} escapes[] = {
    {"a\r\n2025 error forged", "a\\x0d\\x0a2025 error forged"},
    {"\x1b[31mred", "\\x1b[31mred"},
    {"tab\tdel\x7f", "tab\\x09del\\x7f"},
    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98"},
    {"\xc2\x9b"
     "31m",
     "\\xc2\\x9b31m"}, /* CSI, as one character */
    {"\xff\xc3(", "\\xff\\xc3("},
    {"\xe2\x82", "\\xe2\\x82"},
    {"a\\b\"c", "a\\b\"c"},
};

START_TEST(control_characters_cannot_forge_a_line)
{
    char expected[256];

    log_write(LOG_INFO, "a", "%s", escapes[_i].text);
    snprintf(expected, sizeof(expected), " info a: %s\n", escapes[_i].shown);
    const char *tail = strchr(written(), ' ');
    ck_assert_ptr_nonnull(tail);
    ck_assert_str_eq(tail, expected);
}
END_TEST

START_TEST(a_long_text_is_cut_to_one_whole_line)
{
    static char text[20000];
    bool json = _i & 1;

    memset(text, _i & 2 ? '\n' : 'x', sizeof(text) - 1);
    log_set_json(json);
    log_write(LOG_INFO, "a", "%s", text);
    size_t n = strlen(written());
    ck_assert_uint_le(n, PIPE_BUF);
    ck_assert_uint_ge(n, PIPE_BUF - 10);
    ck_assert_ptr_eq(strchr(output, '\n'), output + n - 1);
    ck_assert_str_eq(output + n - (json ? 6 : 4), json ? "...\"}\n" : "...\n");
}
END_TEST

START_TEST(the_longest_text_that_fits_is_not_cut)
{
    static char text[PIPE_BUF];
    size_t room = PIPE_BUF - strlen("2025-01-02T03:04:05.678Z info a: \n");

    memset(text, 'x', room);
    log_write(LOG_INFO, "a", "%s", text);
    ck_assert_uint_eq(strlen(written()), PIPE_BUF);
    ck_assert_str_eq(output + PIPE_BUF - 4, "xxx\n");
    text[room] = 'x';
    ck_assert_int_eq(ftruncate(captured, 0), 0);
    log_write(LOG_INFO, "a", "%s", text);
    ck_assert_uint_eq(strlen(written()), PIPE_BUF);
    ck_assert_str_eq(output + PIPE_BUF - 5, "x...\n");
}
END_TEST

START_TEST(errno_is_kept_and_can_be_printed)
{
    errno = ENOENT;
    log_write(LOG_INFO, "a", "%m");
    ck_assert_int_eq(errno, ENOENT);
    assert_written("No such file");
    dup2(real_stderr, STDERR_FILENO);
    close(STDERR_FILENO); /* and nothing happens where it cannot be written */
    errno = EINVAL;
    log_write(LOG_INFO, "a", "lost");
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

enum { THREADS = 4, LINES = 300 };

static void *write_lines(void *arg)
{
    int *id = arg;
    for (int i = 0; i < LINES; i++)
        log_write(LOG_INFO, "thread", "%d %d %0200d", *id, i, 0);
    return NULL;
}

START_TEST(lines_of_many_threads_are_whole)
{
    pthread_t threads[THREADS];
    int ids[THREADS], seen[THREADS] = {0}, lines = 0;

    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, &ids[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    written();
    for (char *line = strtok(output, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        int id, i, end = 0;
        ck_assert_int_eq(sscanf(line, "%*s info thread: %d %d %*d%n", &id, &i, &end), 2);
        ck_assert_uint_eq((size_t)end, strlen(line));
        ck_assert_int_eq(seen[id]++, i);
    }
    ck_assert_int_eq(lines, THREADS * LINES);
}
END_TEST

START_TEST(levels_have_names)
{
    enum log_level level = LOG_INFO;

    ck_assert(log_level_parse(STR("error"), &level) && level == LOG_ERROR);
    ck_assert(log_level_parse(STR("warn"), &level) && level == LOG_WARN);
    ck_assert(log_level_parse(STR("debug"), &level) && level == LOG_DEBUG);
    ck_assert(log_level_parse(STR("info"), &level) && level == LOG_INFO);
    ck_assert(!log_level_parse(STR("warning"), &level) && level == LOG_INFO);
    ck_assert(!log_level_parse(STR(""), &level));
}
END_TEST

START_TEST(repeats_are_held_back_and_counted)
{
    struct log_limit limit = {0};
    unsigned held = 9;
    nsec_t t = SECONDS(1000);

    ck_assert(log_limit_allow(&limit, 2, t, &held) && held == 0);
    ck_assert(log_limit_allow(&limit, 2, t + MILLISECONDS(1), &held) && held == 0);
    for (int i = 0; i < 5; i++)
        ck_assert(!log_limit_allow(&limit, 2, t + MILLISECONDS(999), &held));
    ck_assert(log_limit_allow(&limit, 2, t + SECONDS(1), &held) && held == 5);
    ck_assert(log_limit_allow(&limit, 2, t + SECONDS(1), &held) && held == 0);
    ck_assert(!log_limit_allow(&limit, 2, t + SECONDS(1), &held));
    ck_assert(log_limit_allow(&limit, 2, t + SECONDS(60), &held) && held == 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tc = tcase_create("log");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_line_has_time_level_area_and_text);
    tcase_add_test(tc, the_time_is_now_in_utc);
    tcase_add_test(tc, json_lines_are_json);
    tcase_add_test(tc, the_trace_is_a_member_of_its_own_in_json);
    tcase_add_test(tc, only_levels_that_are_enabled_are_written);
    tcase_add_loop_test(tc, control_characters_cannot_forge_a_line, 0,
                        (int)(sizeof(escapes) / sizeof(escapes[0])));
    tcase_add_loop_test(tc, a_long_text_is_cut_to_one_whole_line, 0, 4);
    tcase_add_test(tc, the_longest_text_that_fits_is_not_cut);
    tcase_add_test(tc, errno_is_kept_and_can_be_printed);
    tcase_add_test(tc, lines_of_many_threads_are_whole);
    tcase_add_test(tc, levels_have_names);
    tcase_add_test(tc, repeats_are_held_back_and_counted);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
