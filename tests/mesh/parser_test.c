#include "mesh/parser.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static struct arena names, scratch;
static struct sources sources;
static struct report report;
static struct parser parser;
static char folder[64];

static void setup(void)
{
    arena_init(&names, 0, 0);
    arena_init(&scratch, 0, 0);
    sources_init(&sources, &names, &scratch);
    report_init(&report, &sources);
    parser = (struct parser){.sources = &sources, .report = &report};
    strcpy(folder, "/tmp/parser_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    char command[100];

    report_release(&report);
    arena_release(&scratch);
    arena_release(&names);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *path_of(const char *name)
{
    static char path[160];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void show(const struct statement *s, struct buffer *out)
{
    for (; s; s = s->next) {
        buffer_printf(out, "%s%.*s", s->bad ? "!" : "", STR_ARG(s->name.text));
        for (size_t i = 0; i < s->n_args; i++)
            buffer_printf(out, " %.*s", STR_ARG(s->args[i].text));
        if (s->has_block) {
            buffer_add_char(out, '{');
            show(s->block, out);
            buffer_add_char(out, '}');
        } else {
            buffer_add_char(out, ';');
        }
    }
}

/* The statements of a text, or (text NULL) of a file. */
static void parse(const char *name, const char *text, struct buffer *out)
{
    struct error err = {0};
    struct source *source = text ? source_from_text(&sources, name, str_from(text), &err)
                                 : source_open(&sources, name, NULL, (struct place){0}, &err);

    ck_assert_msg(source != NULL, "%s", err.text);
    buffer_init(out, 0);
    show(parser_run(&parser, source), out);
    buffer_add_char(out, '\0');
}

static const struct {
    const char *text, *statements;
    unsigned errors;
    const char *first; /* LINE:COLUMN and text of the first error */
} cases[] = {
    {"", "", 0, NULL},
    {"a;", "a;", 0, NULL},
    {"a b c; d { e f; g { } } h;", "a b c;d{e f;g{}}h;", 0, NULL},
    {"a\n b\n;", "a b;", 0, NULL},
    {"a b", "a b;", 1, "1:4 a \";\" is missing here"},
    {"a { b }", "a{b;}", 1, "1:6 a \";\" is missing here"},
    {"a;; b;", "a;b;", 1, "1:3 a \";\" without a directive"},
    {"a { }; b;", "a{}b;", 1, "1:6 no \";\" follows a block"},
    {"} a;", "a;", 1, "1:1 this \"}\" closes nothing"},
    {"a } b;", "a;b;", 2, "1:2 a \";\" is missing here"},
    {"a { b;", "a{b;}", 1, "1:3 this \"{\" is not closed"},
    {"a { b { c;", "a{b{c;}}", 2, "1:3 this \"{\" is not closed"},
    {"{ a; } b;", "b;", 1, "1:1 a block without a directive before it"},
    {"a \"b; c;", "!a b; c;", 1, "1:3 this quote is not closed on its line"},
    {"a \x01; b;", "!a \x01;b;", 1, "1:3 a control character"},
    {"include;", "", 1, "1:8 \"include\" is incomplete; it is written: include FILE"},
    {"include a b;", "", 1,
     "1:11 \"include\" takes one name; a pattern such as conf.d/*.conf may name many"},
    {"include a { b; }", "", 1, "1:11 \"include\" takes no block"},
    {"include \"\";", "", 1, "1:9 the name of the file is empty"},
    {"include /nowhere/a.conf; b;", "b;", 1,
     "1:9 /nowhere/a.conf cannot be read: No such file or directory"},
    {"include /nowhere/*.conf; b;", "b;", 0, NULL},
    {"include /etc; b;", "b;", 1, "1:9 /etc is a directory"},
    {"include /dev/null; b;", "b;", 1, "1:9 /dev/null is not a regular file"},
};

START_TEST(text_becomes_statements_and_each_mistake_is_told_once)
{
    struct errors errors = {0};
    struct buffer out;
    char first[200] = "";

    parse("a.conf", cases[_i].text, &out);
    report_finish(&report, &errors);
    if (errors.n)
        snprintf(first, sizeof(first), "%u:%u %.150s", errors.v[0].at.line, errors.v[0].at.column,
                 errors.v[0].text);
    ck_assert_str_eq(out.p, cases[_i].statements);
    ck_assert_str_eq(first, cases[_i].first ? cases[_i].first : "");
    ck_assert_uint_eq(errors.n, cases[_i].errors);
    errors_release(&errors);
    buffer_release(&out);
}
END_TEST

START_TEST(blocks_have_a_depth)
{
    struct buffer text, out;

    buffer_init(&text, 0);
    for (int i = 0; i < 100000; i++)
        buffer_add_str(&text, STR("a {"));
    buffer_add_char(&text, '\0');
    parse("a.conf", text.p, &out);
    ck_assert_uint_ge(report.n, 1);
    ck_assert(parser.braces_lost);
    buffer_release(&out);
    buffer_release(&text);
}
END_TEST

START_TEST(included_files_stand_in_place_and_in_name_order)
{
    struct buffer out;

    write_file("main.conf", "a; include \"d-*.conf\"; b { include sub; } c;");
    write_file("d-2.conf", "two;");
    write_file("d-10.conf", "ten;");
    write_file("sub", "inner { x; }");
    parse(path_of("main.conf"), NULL, &out);
    ck_assert_str_eq(out.p, "a;ten;two;b{inner{x;}}c;");
    ck_assert_uint_eq(report.n, 0);
    ck_assert_uint_eq(parser.n_files, 5);
    ck_assert_str_eq(parser.files[0].p, path_of("main.conf"));
    ck_assert_str_eq(parser.files[1].p, path_of("d-*.conf"));
    ck_assert_str_eq(parser.files[2].p, path_of("d-10.conf"));
    ck_assert_str_eq(parser.files[3].p, path_of("d-2.conf"));
    ck_assert_str_eq(parser.files[4].p, path_of("sub"));
    buffer_release(&out);
}
END_TEST

START_TEST(a_folder_with_wildcards_in_its_name_is_itself)
{
    struct buffer out;

    ck_assert_int_eq(mkdir(path_of("[a]*"), 0700), 0);
    ck_assert_int_eq(mkdir(path_of("a"), 0700), 0);
    write_file("[a]*/main.conf", "include *.inc;");
    write_file("[a]*/x.inc", "right;");
    write_file("a/x.inc", "wrong;");
    parse(path_of("[a]*/main.conf"), NULL, &out);
    ck_assert_str_eq(out.p, "right;");
    buffer_release(&out);
}
END_TEST

START_TEST(a_block_does_not_reach_beyond_its_file)
{
    struct errors errors = {0};
    struct buffer out;

    write_file("main.conf", "a {\n include part;\n}\nb;");
    write_file("part", "x; }\ny;");
    parse(path_of("main.conf"), NULL, &out);
    ck_assert_str_eq(out.p, "a{x;y;}b;");
    report_finish(&report, &errors);
    ck_assert_uint_eq(errors.n, 1);
    ck_assert_str_eq(errors.v[0].at.file, path_of("part"));
    errors_release(&errors);
    buffer_release(&out);
}
END_TEST

START_TEST(a_cycle_is_an_error_where_it_closes)
{
    struct errors errors = {0};
    struct buffer out;

    write_file("main.conf", "a; include one;");
    write_file("one", "b;\ninclude ./two;");
    write_file("two", "include main.conf; include one; c;");
    parse(path_of("main.conf"), NULL, &out);
    ck_assert_str_eq(out.p, "a;b;c;");
    report_finish(&report, &errors);
    ck_assert_uint_eq(errors.n, 2);
    ck_assert_ptr_nonnull(strstr(errors.v[0].text, "main.conf includes itself"));
    ck_assert_uint_eq(errors.v[0].at.column, 9);
    ck_assert_ptr_nonnull(strstr(errors.v[1].text, "one includes itself"));
    errors_release(&errors);
    buffer_release(&out);
}
END_TEST

START_TEST(a_file_may_be_included_twice_side_by_side)
{
    struct buffer out;

    write_file("main.conf", "a { include part; } b { include part; }");
    write_file("part", "x;");
    parse(path_of("main.conf"), NULL, &out);
    ck_assert_str_eq(out.p, "a{x;}b{x;}");
    ck_assert_uint_eq(report.n, 0);
    buffer_release(&out);
}
END_TEST

START_TEST(includes_have_a_depth)
{
    struct buffer out;
    char name[16], text[32];

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        snprintf(text, sizeof(text), "include f%d;", i + 1);
        write_file(name, text);
    }
    parse(path_of("f0"), NULL, &out);
    ck_assert_uint_eq(report.n, 1);
    ck_assert_uint_eq(sources.n, SOURCE_DEPTH_MAX);
    buffer_release(&out);
}
END_TEST

START_TEST(files_have_a_size_all_together)
{
    struct errors errors = {0};
    struct buffer out;

    sources.bytes_left = 60;
    write_file("main.conf", "include part; include part; include part;");
    write_file("part", "0123456789;");
    parse(path_of("main.conf"), NULL, &out);
    ck_assert_str_eq(out.p, "0123456789;");
    report_finish(&report, &errors);
    ck_assert_uint_eq(errors.n, 2);
    ck_assert_ptr_nonnull(strstr(errors.v[0].text, "longer than 16 MiB"));
    errors_release(&errors);
    buffer_release(&out);
}
END_TEST

START_TEST(mistakes_come_in_the_order_of_the_file_includes_in_place)
{
    static const struct {
        const char *file;
        unsigned line;
    } expected[] = {{"main.conf", 1}, {"one", 1}, {"two", 1}, {"one", 3}, {"main.conf", 3}};
    struct errors errors = {0};
    struct buffer out;

    write_file("main.conf", ";\ninclude one;\n;");
    write_file("one", ";\ninclude two;\n;");
    write_file("two", ";");
    parse(path_of("main.conf"), NULL, &out);
    report_finish(&report, &errors);
    ck_assert_uint_eq(errors.n, 5);
    for (size_t i = 0; i < errors.n; i++) {
        ck_assert_str_eq(errors.v[i].at.file, path_of(expected[i].file));
        ck_assert_uint_eq(errors.v[i].at.line, expected[i].line);
    }
    errors_release(&errors);
    buffer_release(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("parser");
    TCase *tc = tcase_create("parser");
    SRunner *sr = srunner_create(s);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, text_becomes_statements_and_each_mistake_is_told_once, 0, COUNT(cases));
    tcase_add_test(tc, blocks_have_a_depth);
    tcase_add_test(tc, included_files_stand_in_place_and_in_name_order);
    tcase_add_test(tc, a_folder_with_wildcards_in_its_name_is_itself);
    tcase_add_test(tc, a_block_does_not_reach_beyond_its_file);
    tcase_add_test(tc, a_cycle_is_an_error_where_it_closes);
    tcase_add_test(tc, a_file_may_be_included_twice_side_by_side);
    tcase_add_test(tc, includes_have_a_depth);
    tcase_add_test(tc, files_have_a_size_all_together);
    tcase_add_test(tc, mistakes_come_in_the_order_of_the_file_includes_in_place);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
