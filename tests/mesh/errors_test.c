/*
 * What is said of files with mistakes, as data: NAME.conf is read, and what is
 * printed of it must be NAME.expected. ERRORS_UPDATE=1 writes them anew, to be
 * read before they are kept.
 */
#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "mesh/config.h"

static glob_t files;

static const char *environment(const char *name)
{
    if (strcmp(name, "WORD") == 0)
        return "soon";
    if (strcmp(name, "WORKERS") == 0)
        return "two";
    if (strcmp(name, "TRAP") == 0)
        return "a; } } workers 0; \" # b";
    return NULL;
}

static void read_whole(const char *path, struct buffer *out)
{
    FILE *f = fopen(path, "r");

    buffer_init(out, 0);
    if (!f)
        return;
    while (buffer_reserve(out, 4096)) {
        size_t n = fread(out->p + out->n, 1, 4096, f);
        if (n == 0)
            break;
        out->n += n;
    }
    fclose(f);
}

static void write_whole(const char *path, struct str text)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    fwrite(text.p, 1, text.n, f);
    fclose(f);
}

START_TEST(all_mistakes_of_a_file_are_told_with_place_line_and_cure)
{
    const char *path = files.gl_pathv[_i];
    char expected_path[200];
    struct buffer expected, printed;
    struct errors errors = {0};

    snprintf(expected_path, sizeof(expected_path), "%.*s.expected", (int)strlen(path) - 5, path);
    struct config *c = config_load(path, environment, &errors);
    buffer_init(&printed, 0);
    config_print_errors(&errors, &printed);
    ck_assert_msg(c == NULL, "%s was accepted", path);
    ck_assert_uint_gt(errors.n, 0);
    if (getenv("ERRORS_UPDATE"))
        write_whole(expected_path, buffer_str(&printed));
    read_whole(expected_path, &expected);
    ck_assert_msg(str_eq(buffer_str(&printed), buffer_str(&expected)),
                  "%s says:\n%.*s\nand not:\n%.*s", path, STR_ARG(buffer_str(&printed)),
                  STR_ARG(buffer_str(&expected)));
    buffer_release(&expected);
    buffer_release(&printed);
    errors_release(&errors);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("errors");
    TCase *tc = tcase_create("errors");
    SRunner *sr = srunner_create(s);

    if (argc != 2 || chdir(argv[1]) != 0 || glob("*.conf", 0, NULL, &files) != 0) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return EXIT_FAILURE;
    }
    tcase_add_loop_test(tc, all_mistakes_of_a_file_are_told_with_place_line_and_cure, 0,
                        (int)files.gl_pathc);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    globfree(&files);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
