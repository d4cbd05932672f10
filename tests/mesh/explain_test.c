/*
 * What explain says, as data: cases/NAME.explain asks with a line "> REQUEST",
 * written as in a file of requests, and the answer follows. Runs in cases/.
 */
#include "mesh/explain.h"

#include <glob.h>

#include "given.h"
#include "mesh/explain_text.h"

static glob_t files;

/* The next question and the text up to the one after it. */
static bool next_question(struct str *rest, struct str *question, struct str *answer)
{
    if (!str_split(rest, '\n', question) || !str_starts(*question, STR("> ")))
        return false;
    *question = str_slice(*question, 2, question->n);
    size_t end = 0;
    while (end < rest->n && !(rest->p[end] == '>' && (end == 0 || rest->p[end - 1] == '\n')))
        end++;
    *answer = str_slice(*rest, 0, end);
    *rest = str_slice(*rest, end, rest->n);
    while (str_ends_nocase(*answer, STR("\n\n")))
        answer->n--; /* the empty line between two */
    return true;
}

START_TEST(tells_what_a_request_gets_and_why)
{
    const char *path = files.gl_pathv[_i];
    struct config *c =
        given_config(arena_printf(&arena, "%.*s.conf", (int)strlen(path) - 8, path).p);
    struct str rest = given_file(path), question, answer;
    unsigned asked = 0;
    struct buffer out;

    buffer_init(&out, 0);
    for (; next_question(&rest, &question, &answer); asked++) {
        bool inbound;
        struct request r = given_line(question, &inbound);
        buffer_reset(&out);
        explain_request(c, inbound ? &c->inbound : &c->outbound, &r, &out);
        ck_assert_msg(str_eq(buffer_str(&out), answer), "%s\n> %.*s\n%.*s", path, STR_ARG(question),
                      STR_ARG(buffer_str(&out)));
    }
    ck_assert_uint_gt(asked, 0);
    ck_assert_uint_eq(rest.n, 0);
    buffer_release(&out);
    config_unref(c);
}
END_TEST

START_TEST(quotes_whatever_a_request_holds)
{
    struct buffer out;

    buffer_init(&out, 0);
    text_quoted(&out, STR("a\"b\"\x1b[2J\n\xc3\xa9"));
    ck_assert(str_eq(buffer_str(&out), STR("\"a\\\"b\\\"\\x1b[2J\\x0a\xc3\xa9\"")));
    buffer_reset(&out);
    char *much = arena_zalloc(&arena, 1000);
    text_quoted(&out, str_of(much, 1000));
    ck_assert_uint_lt(out.n, 520);
    ck_assert(str_ends_nocase(buffer_str(&out), STR("\\x00\"... (1000 bytes)")));
    buffer_release(&out);
}
END_TEST

static const struct {
    nsec_t t;
    const char *text;
} durations[] = {
    {0, "0s"},
    {SECONDS(5), "5s"},
    {MILLISECONDS(1500), "1.5s"},
    {MILLISECONDS(150), "150ms"},
    {116414832, "116.415ms"},
    {MICROSECONDS(25), "25us"},
    {120, "0.12us"},
    {SECONDS(60), "1m"},
    {SECONDS(90), "90s"},
    {SECONDS(7200), "2h"},
};

START_TEST(writes_a_time_as_it_is_read)
{
    struct buffer out;

    buffer_init(&out, 0);
    text_duration(&out, durations[_i].t);
    ck_assert(buffer_add_char(&out, '\0'));
    ck_assert_str_eq(out.p, durations[_i].text);
    buffer_release(&out);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh/explain");
    TCase *tc = tcase_create("explain");

    if (glob("*.explain", 0, NULL, &files) != 0)
        return EXIT_FAILURE;
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, tells_what_a_request_gets_and_why, 0, (int)files.gl_pathc);
    tcase_add_test(tc, quotes_whatever_a_request_holds);
    tcase_add_loop_test(tc, writes_a_time_as_it_is_read, 0, COUNT(durations));
    suite_add_tcase(suite, tc);
    int status = given_run(suite);
    globfree(&files);
    return status;
}
