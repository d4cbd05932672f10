#include "mesh/pattern.h"

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 0, 0);
}

static void teardown(void)
{
    arena_release(&arena);
}

/* As routes.conf writes it: "= /x", "~ x", with braces, or a prefix. */
static struct pattern *pattern_of(const char *written, struct error *err)
{
    struct str text = str_from(written);

    if (str_starts(text, STR("= ")))
        return pattern_new(&arena, PATTERN_EXACT, str_slice(text, 2, text.n), err);
    if (str_starts(text, STR("~ ")))
        return pattern_new(&arena, PATTERN_REGEX, str_slice(text, 2, text.n), err);
    if (str_index(text, '{', 0) < text.n)
        return pattern_new(&arena, PATTERN_TEMPLATE, text, err);
    return pattern_new(&arena, PATTERN_PREFIX, text, err);
}

static struct pattern *must_read(const char *written)
{
    struct error err = {0};
    struct pattern *p = pattern_of(written, &err);

    if (!p) /* a check that holds costs a system call, too */
        ck_abort_msg("%s: %s", written, err.text);
    return p;
}

/* params as "name=value name=value"; NULL: the path is not taken. */
static const struct match_row {
    const char *pattern, *path, *params;
} match_rows[] = {
    {"/", "/", ""},
    {"/", "/api", ""},
    {"/", "*", ""},
    {"/", "", ""},
    {"/", "users:443", ""},
    {"/api", "/api", ""},
    {"/api", "/api/", ""},
    {"/api", "/api/x", ""},
    {"/api", "/apix", NULL},
    {"/api", "/ap", NULL},
    {"/api", "/API", NULL},
    {"/api", "//api", NULL},
    {"/api", "/%61pi", NULL},
    {"/api", "*", NULL},
    {"/api", "", NULL},
    {"/api/", "/api", NULL},
    {"/api/", "/api/", ""},
    {"/api/", "/api/x", ""},
    {"/api/v1", "/api/v1/users", ""},
    {"/api/v1", "/api/v12", NULL},
    {"= /a", "/a", ""},
    {"= /a", "/a/", NULL},
    {"= /a", "/a/b", NULL},
    {"= /a/", "/a", NULL},
    {"= /{id}", "/{id}", ""},
    {"= /", "/", ""},
    {"= /", "*", NULL},
    {"= /", "", NULL},
    {"/a/{id}", "/a/7", "id=7"},
    {"/a/{id}", "/a/%2F", "id=%2F"},
    {"/a/{id}", "/a", NULL},
    {"/a/{id}", "/a/", NULL},
    {"/a/{id}", "/a//", NULL},
    {"/a/{id}", "/a/7/", NULL},
    {"/a/{id}", "/a/7/b", NULL},
    {"/a/{id}", "/b/7", NULL},
    {"/a/{id}/", "/a/7/", "id=7"},
    {"/a/{id}/", "/a/7", NULL},
    {"/{a}", "/", NULL},
    {"/{a}", "*", NULL},
    {"/{a}", "", NULL},
    {"/{a}/{b}", "/x/y", "a=x b=y"},
    {"/{a}/{b}", "//y", NULL},
    {"/{a}/x/{b}/y", "/1/x/2/y", "a=1 b=2"},
    {"/{a}/x/{b}/y", "/1/x/2/z", NULL},
    {"/a/{rest*}", "/a/x/y", "rest=x/y"},
    {"/a/{rest*}", "/a/x/", "rest=x/"},
    {"/a/{rest*}", "/a/", "rest="},
    {"/a/{rest*}", "/a", "rest="},
    {"/a/{rest*}", "/ax", NULL},
    {"/{rest*}", "/", "rest="},
    {"/{rest*}", "/x", "rest=x"},
    {"/{rest*}", "*", NULL},
    {"/{rest*}", "", NULL},
    {"/u/{id}/{rest*}", "/u/7/x/y", "id=7 rest=x/y"},
    {"/u/{id}/{rest*}", "/u/7", "id=7 rest="},
    {"/u/{id}/{rest*}", "/u/", NULL},
    {"~ ^/v[12]/", "/v1/x", ""},
    {"~ ^/v[12]/", "/v3/x", NULL},
    {"~ b", "/abc", ""},
    {"~ ^\\*$", "*", ""},
    {"~ ^/u/(?<id>[0-9]+)$", "/u/42", "id=42"},
    {"~ ^/u/(?<id>[0-9]+)$", "/u/x", NULL},
    {"~ ^/u/[0-9]+$", "/u/4\n", NULL},
    {"~ /(?<b>y)?(?<a>x)", "/x", "b= a=x"},
    {"~ ^/(a|b)(?<z>.)(?<y>.)$", "/a12", "z=1 y=2"},
};

START_TEST(takes_the_paths_it_should)
{
    const struct match_row *row = &match_rows[_i];
    struct pattern *p = must_read(row->pattern);
    struct path_params params = {.n = 3};
    char text[200] = "";
    bool matches = pattern_match(p, str_from(row->path), &params) == VERDICT_YES;

    ck_assert_msg(matches == (row->params != NULL), "%s on %s", row->pattern, row->path);
    ck_assert(pattern_match(p, str_from(row->path), NULL) == (matches ? VERDICT_YES : VERDICT_NO));
    for (size_t i = 0; i < params.n; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s=%.*s", i ? " " : "",
                 STR_ARG(params.v[i].name), STR_ARG(params.v[i].value));
    ck_assert_str_eq(text, row->params ? row->params : "");
    pattern_release(p);
}
END_TEST

static const struct {
    const char *pattern, *error;
} refused_rows[] = {
    {"", "a path begins with \"/\""},
    {"api", "a path begins with \"/\", not \"api\""},
    {"= *", "a path begins with \"/\""},
    {"/a?b=c", "a path has no query"},
    {"/a#b", "a path has no \"#\""},
    {"/a b", "write %20"},
    {"/a\tb", "write %09"},
    {"/a}", "braces"},
    {"/v{n}", "a {name} is a whole segment"},
    {"/{n}.json", "a {name} is a whole segment"},
    {"/{a}{b}", "a {name} is a whole segment"},
    {"/{}", "letters, digits"},
    {"/{*}", "letters, digits"},
    {"/{a b}", "no spaces"},
    {"/{a**}", "letters, digits"},
    {"/{a}/x/{a}", "{a} stands twice"},
    {"/{a}/{a*}", "{a} stands twice"},
    {"/{a*}/b", "takes the rest"},
    {"/{a*}/", "takes the rest"},
    {"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}", "more than 16 names"},
    {"~ ", "an empty regular expression"},
    {"~ a(b", "missing closing parenthesis (at byte 4 of \"a(b\")"},
    {"~ (*UTF)a", "regular expression"},
    {"~ ()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()()", "more than 31 groups"},
};

START_TEST(says_what_is_wrong_with_a_pattern)
{
    struct error err = {0};

    ck_assert_ptr_null(pattern_of(refused_rows[_i].pattern, &err));
    ck_assert_msg(strstr(err.text, refused_rows[_i].error) != NULL, "%s: %s",
                  refused_rows[_i].pattern, err.text);
}
END_TEST

START_TEST(knows_its_names_and_the_text_of_http_route)
{
    struct str names[PATTERN_PARAMS_MAX];
    struct pattern *p = must_read("/a/{id}/{rest*}");

    ck_assert_uint_eq(pattern_names(p, names), 2);
    ck_assert(str_eq(names[0], STR("id")) && str_eq(names[1], STR("rest")));
    ck_assert(str_eq(pattern_template(p), STR("/a/{id}/{rest*}")));
    ck_assert_uint_eq(pattern_names(must_read("/a"), names), 0);
    ck_assert(str_eq(pattern_template(must_read("= /a")), STR("/a")));
    ck_assert(str_eq(pattern_template(must_read("/a")), STR("/a")));
    ck_assert(str_eq(pattern_template(must_read("= /")), STR("/")));
    ck_assert_uint_eq(pattern_template(must_read("/")).n, 0);

    p = must_read("~ ^/(?<b>.)/(?<a>.)");
    ck_assert_uint_eq(pattern_names(p, names), 2);
    ck_assert(str_eq(names[0], STR("b")) && str_eq(names[1], STR("a")));
    ck_assert_uint_eq(pattern_template(p).n, 0);
    ck_assert(str_eq(pattern_text(p), STR("^/(?<b>.)/(?<a>.)")));
    pattern_release(p);
    pattern_release(NULL);
}
END_TEST

static const struct {
    const char *earlier, *later;
    bool covers;
} cover_rows[] = {
    {"/", "/", true},
    {"/", "/x", true},
    {"/", "= /x", true},
    {"/", "/{a}", true},
    {"/", "~ x", true},
    {"/x", "/", false},
    {"/api", "/api", true},
    {"/api", "/api/", true},
    {"/api", "/api/x", true},
    {"/api", "/apix", false},
    {"/api/", "/api", false},
    {"/api/", "/api/x", true},
    {"/api", "= /api", true},
    {"/api", "= /api/x", true},
    {"/api/", "= /api", false},
    {"/api", "/api/{id}", true},
    {"/api/", "/api/{id}", true},
    {"/api", "/api/{r*}", true},
    {"/api/", "/api/{r*}", false},
    {"/api/x", "/api/{id}", false},
    {"/api", "~ ^/api", false},
    {"= /a", "= /a", true},
    {"= /a", "= /b", false},
    {"= /a", "/a", false},
    {"/{a}", "= /x", true},
    {"/{a}", "= /", false},
    {"/{a}", "= /x/y", false},
    {"/{a}", "/x", false},
    {"/{r*}", "/x", true},
    {"/{r*}", "/", false},
    {"/{r*}", "/{a}/{b}", true},
    {"/a/{r*}", "/a", true},
    {"/a/{r*}", "/a/", true},
    {"/a//{r*}", "/a/", false},
    {"/a//{r*}", "/a//", true},
    {"/a/{r*}", "/b", false},
    {"/a/{id}/{r*}", "/a/x", true},
    {"/a/{id}/{r*}", "/a/", false},
    {"/a/{id}/{r*}", "/a", false},
    {"/{a}", "/{b}", true},
    {"/{a}/x", "/{b}/x", true},
    {"/{a}/x", "/{b}/y", false},
    {"/x/{b}", "/{a}/{b}", false},
    {"/{a}/{b}", "/x/{b}", true},
    {"/{a}/{b}", "/{a}/", false},
    {"/{a}", "/{r*}", false},
    {"/a/{r*}", "/a/{s*}", true},
    {"/a/{r*}", "/a/{b}/{s*}", true},
    {"/a/{b}/{s*}", "/a/{r*}", false},
    {"/{a}/{b}", "/{a}", false},
    {"~ ^/x", "~ ^/x", true},
    {"~ ^/x", "~ ^/x/", false},
    {"~ ^/x", "= /x/y", true},
    {"~ ^/x", "= /y", false},
    {"~ ^/x", "/x", false},
};

START_TEST(covers_what_it_takes_wholly)
{
    struct pattern *earlier = must_read(cover_rows[_i].earlier);
    struct pattern *later = must_read(cover_rows[_i].later);

    ck_assert_msg(pattern_covers(earlier, later) == cover_rows[_i].covers, "%s covers %s",
                  cover_rows[_i].earlier, cover_rows[_i].later);
    pattern_release(earlier);
    pattern_release(later);
}
END_TEST

/* Of up to 3 segments from a small alphabet, so that they meet often. */
static void random_path(char *out, size_t size, bool pattern)
{
    static const char *const words[] = {"a", "b", "", "{x}", "{y}", "{r*}"};
    static const char *const more[] = {"{z}", "{v}", "{w}"};
    int n = 1 + rand() % 3;

    out[0] = '\0';
    for (int i = 0; i < n; i++) {
        int word = rand() % (pattern ? 5 : 3);
        const char *text = word < 3 ? words[word] : more[i];
        if (pattern && i == n - 1 && rand() % 4 == 0)
            text = "{r*}";
        snprintf(out + strlen(out), size - strlen(out), "/%s", text);
    }
}

START_TEST(never_claims_to_cover_a_path_it_does_not_take)
{
    unsigned covered = 0;

    srand(7);
    for (int i = 0; i < 4000; i++) {
        char texts[2][100];
        for (int j = 0; j < 2; j++) {
            random_path(texts[j] + 2, sizeof(texts[j]) - 2, true);
            bool exact = rand() % 4 == 0;
            if (exact)
                memcpy(texts[j], "= ", 2);
            else
                memmove(texts[j], texts[j] + 2, strlen(texts[j] + 2) + 1);
        }
        struct pattern *earlier = must_read(texts[0]), *later = must_read(texts[1]);
        if (!pattern_covers(earlier, later))
            continue;
        covered++;
        for (int j = 0; j < 50; j++) {
            char path[100];
            random_path(path, sizeof(path), false);
            if (pattern_match(later, str_from(path), NULL) &&
                !pattern_match(earlier, str_from(path), NULL))
                ck_abort_msg("%s %s %s", texts[0], texts[1], path);
        }
        arena_reset(&arena);
    }
    ck_assert_uint_gt(covered, 100);
}
END_TEST

/* It would match in the end, after some millions of steps. */
START_TEST(does_not_decide_where_an_expression_explodes)
{
    struct error err = {0};
    struct regex *r = regex_new(STR("^(?:(a+)+x|a+b)$"), &err);

    ck_assert_ptr_nonnull(r);
    ck_assert_int_eq(regex_match(r, STR("aaaaab")), VERDICT_YES);
    ck_assert_int_eq(regex_match(r, STR("aaaaac")), VERDICT_NO);
    ck_assert_int_eq(regex_match(r, STR("aaaaaaaaaaaaaaaaaaaab")), VERDICT_UNDECIDED);
    regex_free(r);
    regex_free(NULL);
}
END_TEST

static const struct runs_row {
    const char *text;
    bool away;
} runs_rows[] = {
    {"^/internal.*/users.*/delete", true},
    {"(a+)+$", true},
    {"^(a|aa)+$", true},
    {"^/x/(/a|/b(x+x+)+y)$", true},
    {"^(?:a|b(?<n>[^/]*,)*x)$", true},
    {"^(([^/]+)/?)+$", true},
    {"^(?:[a-z]+-?)*/x$", true},
    {"^(\\w+\\s?)*$", true},
    {"^(\\d{1,}){2,}z$", true},
    {"^.*=.*=.*=$", true},
    {"^(?>a+)+$", false},
    {"^(a++)+$", false},
    {"^/a/[^/]+/b/[^/]+$", false},
    {"^/v[12]/(?<id>[0-9]+)$", false},
    {"\\.(png|jpe?g)$", false},
    {"^/api/.*/admin", false},
    {"/api.*/admin", false},
    {"(?=a*)b{2,3}", false},
    {"[[:alpha:]]+\\x41\\p{Lu}\\Q..\\E", false},
    {"(?i)^x(?-i)y", false},
    {"", false},
};

START_TEST(tells_which_expressions_can_be_made_to_run_away)
{
    struct error err = {0};
    struct str text = str_from(runs_rows[_i].text);
    struct regex *r = regex_new(text, &err);
    struct buffer example;

    ck_assert_msg(r != NULL, "%s: %s", runs_rows[_i].text, err.text);
    buffer_init(&example, 0);
    ck_assert_msg(regex_runs_away(r, text, &example) == runs_rows[_i].away, "%s",
                  runs_rows[_i].text);
    ck_assert_uint_le(example.n, REGEX_EXAMPLE_BYTES);
    if (runs_rows[_i].away)
        ck_assert_int_eq(regex_match(r, buffer_str(&example)), VERDICT_UNDECIDED);
    buffer_release(&example);
    regex_free(r);
}
END_TEST

START_TEST(matches_long_subjects_that_need_more_than_the_stack_of_the_jit)
{
    struct error err = {0};
    struct regex *r = regex_new(STR("^(a|b|c)*$"), &err);
    char subject[4000];

    ck_assert_ptr_nonnull(r);
    for (size_t i = 0; i < sizeof(subject); i++)
        subject[i] = "abc"[i % 3];
    ck_assert(regex_match(r, str_of(subject, sizeof(subject))));
    ck_assert(!regex_match(r, STR("abcd")));
    ck_assert(!regex_match(r, STR("abc\n")));
    ck_assert(regex_match(r, (struct str){NULL, 0}));
    regex_free(r);
}
END_TEST

static void *match_many(void *data)
{
    const struct pattern *p = data;
    struct path_params params;

    for (int i = 0; i < 2000; i++) {
        char path[40];
        int n = snprintf(path, sizeof(path), "/u/%d/x", i);
        if (!pattern_match(p, str_of(path, (size_t)n), &params) || params.n != 1 ||
            params.v[0].value.p != path + 3 || params.v[0].value.n != (size_t)n - 5)
            return data;
    }
    return NULL;
}

START_TEST(is_matched_by_many_threads_at_once)
{
    struct pattern *p = must_read("~ ^/u/(?<id>[0-9]+)/x$");
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, match_many, p), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    pattern_release(p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh/pattern");
    TCase *tc = tcase_create("pattern");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, takes_the_paths_it_should, 0, COUNT(match_rows));
    tcase_add_loop_test(tc, says_what_is_wrong_with_a_pattern, 0, COUNT(refused_rows));
    tcase_add_test(tc, knows_its_names_and_the_text_of_http_route);
    tcase_add_loop_test(tc, covers_what_it_takes_wholly, 0, COUNT(cover_rows));
    tcase_add_test(tc, never_claims_to_cover_a_path_it_does_not_take);
    tcase_add_test(tc, does_not_decide_where_an_expression_explodes);
    tcase_add_loop_test(tc, tells_which_expressions_can_be_made_to_run_away, 0, COUNT(runs_rows));
    tcase_add_test(tc, matches_long_subjects_that_need_more_than_the_stack_of_the_jit);
    tcase_add_test(tc, is_matched_by_many_threads_at_once);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
