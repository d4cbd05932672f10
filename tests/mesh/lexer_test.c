#include "mesh/lexer.h"

#include <check.h>
#include <stdlib.h>

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static struct arena names, scratch;
static struct sources sources;
static struct report report;

static void setup(void)
{
    arena_init(&names, 0, 0);
    arena_init(&scratch, 0, 0);
    sources_init(&sources, &names, &scratch);
    report_init(&report, &sources);
}

static void teardown(void)
{
    report_release(&report);
    arena_release(&scratch);
    arena_release(&names);
}

static const char *environment(const char *name)
{
    if (strcmp(name, "NAME") == 0)
        return "value";
    if (strcmp(name, "EMPTY") == 0)
        return "";
    if (strcmp(name, "TRAP") == 0)
        return "a; } { \" # b\n${NAME}";
    if (strcmp(name, "CONTROL") == 0)
        return "a\x01";
    if (strcmp(name, "LATIN") == 0)
        return "caf\xe9";
    return NULL;
}

/* Words between angle brackets, quoted ones with a ' before; the rest as it is. */
static void lex(struct str text, struct buffer *out)
{
    struct error err = {0};
    struct lexer l;
    struct token t;

    buffer_init(out, 0);
    lexer_init(&l, source_from_text(&sources, "a.conf", text, &err), &sources, environment,
               &report);
    while ((t = lexer_next(&l)).kind != TOKEN_END) {
        if (t.kind == TOKEN_WORD) {
            buffer_add_str(out, t.quoted ? STR("'<") : STR("<"));
            buffer_add_str(out, t.text);
            buffer_add_char(out, '>');
        } else {
            buffer_add_char(out, t.kind == TOKEN_SEMICOLON ? ';'
                                 : t.kind == TOKEN_OPEN    ? '{'
                                                           : '}');
        }
    }
    buffer_add_char(out, '\0');
    lexer_release(&l);
}

static const struct {
    const char *text, *tokens;
} good[] = {
    {"", ""},
    {"  \t\r\n# only a comment", ""},
    {"\xef\xbb\xbf"
     "workers 2;",
     "<workers><2>;"},
    {"a b;c;", "<a><b>;<c>;"},
    {"a{b;}", "<a>{<b>;}"},
    {"a{}", "<a>{}"},
    {"listen :80;#comment\nb;", "<listen><:80>;<b>;"},
    {"a#b c;", "<a#b><c>;"},
    {"route /api/users/{id} {", "<route></api/users/{id}>{"},
    {"route /{rest*}{", "<route></{rest*}>{"},
    {"~ ^/v\\d{1,2}$ {", "<~><^/v\\d{1,2}$>{"},
    {"\"a b\" \"\";", "'<a b>'<>;"},
    {"\"a\\\"b\\\\c\\n\\t\\$\";", "'<a\"b\\c\n\t$>;"},
    {"\"{;}#\";", "'<{;}#>;"},
    {"${NAME};", "<value>;"},
    {"a${NAME}b${NAME};", "<avalueb"
                          "value>;"},
    {"\"a ${NAME} b\";", "'<a value b>;"},
    {"${NAME:-other} ${UNSET:-other} ${EMPTY:-other} ${UNSET:-};", "<value><other><other><>;"},
    {"\"${UNSET:-two words}\";", "'<two words>;"},
    {"${EMPTY};", "<>;"},
    {"${TRAP} next;", "<a; } { \" # b\n${NAME}><next>;"},
    {"\"\\${NAME}\" a$b $;", "'<${NAME}><a$b><$>;"},
    {"$(header x-user) a$(path id)b;", "<$(header x-user)><a$(path id)b>;"},
    {"a$(open b;", "<a$(open><b>;"},
    {"a$$(header x);", "<a$$(header x)>;"},
    {"caf\xc3\xa9;", "<caf\xc3\xa9>;"},
};

START_TEST(text_becomes_words)
{
    struct buffer out;

    lex(str_from(good[_i].text), &out);
    ck_assert_str_eq(out.p, good[_i].tokens);
    ck_assert_uint_eq(report.n, 0);
    buffer_release(&out);
}
END_TEST

static const struct {
    const char *text;
    unsigned line, column;
    const char *message, *tokens;
} bad[] = {
    {"a \"b;\nc;", 1, 3, "this quote is not closed on its line", "<a>'<b>;<c>;"},
    {"a \"b", 1, 3, "this quote is not closed on its line", "<a>'<b>"},
    {"a b\"c\";", 1, 4, "a quote within a word; quote the whole word", "<a><b\"c\">;"},
    {"\"a\"b;", 1, 4, "a space is missing behind the quote", "'<a><b>;"},
    {"\"a\\d\";", 1, 3, "only \\\", \\\\, \\n, \\t and \\$ may follow a backslash in quotes",
     "'<a\\d>;"},
    {"a ${UNSET};", 1, 3, "the environment has no UNSET; ${UNSET:-DEFAULT} would stand in for it",
     "<a><>;"},
    {"a ${NAME;", 1, 3, "\"${\" without its \"}\"", "<a><>;"},
    {"a\n ${NAME\n;", 2, 2, "\"${\" without its \"}\"", "<a><>;"},
    {"${};", 1, 1, "not the name of an environment variable: ${NAME} or ${NAME:-DEFAULT}", "<>;"},
    {"${9A};", 1, 1, "not the name of an environment variable: ${NAME} or ${NAME:-DEFAULT}", "<>;"},
    {"${NAME-x};", 1, 1, "not the name of an environment variable: ${NAME} or ${NAME:-DEFAULT}",
     "<>;"},
    {"${CONTROL};", 1, 1, "the value of CONTROL has a control character", "<>;"},
    {"${LATIN};", 1, 1, "the value of LATIN has a byte that is not UTF-8", "<>;"},
    {"a\x01;", 1, 2, "a control character", "<a\x01>;"},
    {"caf\xe9;", 1, 4, "a byte that is not UTF-8", "<caf\xe9>;"},
};

START_TEST(a_mistake_is_reported_at_its_place_and_the_rest_is_read)
{
    struct errors errors = {0};
    struct buffer out;

    lex(str_from(bad[_i].text), &out);
    ck_assert_uint_eq(report.n, 1);
    report_finish(&report, &errors);
    ck_assert_str_eq(errors.v[0].text, bad[_i].message);
    ck_assert_uint_eq(errors.v[0].at.line, bad[_i].line);
    ck_assert_uint_eq(errors.v[0].at.column, bad[_i].column);
    ck_assert_str_eq(out.p, bad[_i].tokens);
    errors_release(&errors);
    buffer_release(&out);
}
END_TEST

START_TEST(a_nul_byte_is_a_mistake_and_not_the_end)
{
    struct buffer out;

    lex(str_of("a\0b;", 4), &out);
    ck_assert_uint_eq(report.n, 1);
    ck_assert_mem_eq(out.p, "<a\0b>;", 6);
    buffer_release(&out);
}
END_TEST

START_TEST(one_word_tells_one_mistake)
{
    struct buffer out;

    lex(STR("\x01\x02${UNSET};"), &out);
    ck_assert_uint_eq(report.n, 1);
    buffer_release(&out);
}
END_TEST

START_TEST(values_of_the_environment_count_as_text_read)
{
    struct buffer out;

    sources.bytes_left = 27;
    lex(STR("${NAME} ${NAME} ${NAME};"), &out); /* 24 bytes, and 5 for each */
    ck_assert_uint_eq(report.n, 3);
    buffer_release(&out);
}
END_TEST

static const char *const words[] = {
    "a",
    "/api/{id}/{rest*}",
    "",
    "two words",
    "say \"hi\"",
    "back\\slash",
    "a\nb\tc",
    "${NAME}",
    "$",
    "#x",
    "a;b",
    "{id}",
    "a{",
    "a{b c}",
    "caf\xc3\xa9",
    "[::1]:80",
    "50%",
    "$(header x)",
};

START_TEST(a_written_word_reads_as_the_same_word)
{
    struct buffer text;
    struct lexer l;
    struct error err = {0};

    buffer_init(&text, 0);
    lexer_write_word(str_from(words[_i]), &text);
    buffer_add_str(&text, STR(" {"));
    lexer_init(&l, source_from_text(&sources, "a.conf", buffer_str(&text), &err), &sources,
               environment, &report);
    struct token t = lexer_next(&l);
    ck_assert_int_eq(t.kind, TOKEN_WORD);
    ck_assert_msg(str_eq(t.text, str_from(words[_i])), "%.*s", STR_ARG(buffer_str(&text)));
    ck_assert_int_eq(lexer_next(&l).kind, TOKEN_OPEN);
    ck_assert_uint_eq(report.n, 0);
    lexer_release(&l);
    buffer_release(&text);
}
END_TEST

START_TEST(places_count_lines_and_bytes)
{
    struct error err = {0};
    struct lexer l;

    lexer_init(&l, source_from_text(&sources, "a.conf", STR("a\n\t\xc3\xa9 \"b\"\n"), &err),
               &sources, environment, &report);
    struct token a = lexer_next(&l), e = lexer_next(&l), b = lexer_next(&l);
    ck_assert(a.first && a.at.line == 1 && a.at.column == 1 && a.end.column == 2);
    ck_assert(e.first && e.at.line == 2 && e.at.column == 2 && e.end.column == 4);
    ck_assert(!b.first && b.at.line == 2 && b.at.column == 5 && b.end.column == 8);
    ck_assert_int_eq(lexer_next(&l).kind, TOKEN_END);
    ck_assert_int_eq(lexer_next(&l).kind, TOKEN_END);
    lexer_release(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lexer");
    TCase *tc = tcase_create("lexer");
    SRunner *sr = srunner_create(s);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, text_becomes_words, 0, COUNT(good));
    tcase_add_loop_test(tc, a_mistake_is_reported_at_its_place_and_the_rest_is_read, 0, COUNT(bad));
    tcase_add_test(tc, a_nul_byte_is_a_mistake_and_not_the_end);
    tcase_add_test(tc, one_word_tells_one_mistake);
    tcase_add_test(tc, values_of_the_environment_count_as_text_read);
    tcase_add_loop_test(tc, a_written_word_reads_as_the_same_word, 0, COUNT(words));
    tcase_add_test(tc, places_count_lines_and_bytes);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
