/*
 * The table of the language against the parser and against the manual, so that
 * none of the three can drift. MANUAL_UPDATE=1 writes the manual's section anew.
 */
#include "loaded.h"
#include "mesh/config_text.h"
#include "mesh/directives.h"

static const char begin_mark[] = ".\\\" The table of mesh/directives.c begins here.\n";
static const char end_mark[] = ".\\\" The table of mesh/directives.c ends here.\n";

static const char *manual; /* its path */

static int count_rows(void)
{
    int n = 0;

    while (directive_row_at((size_t)n))
        n++;
    return n;
}

/* ---- the parser ---- */

/* Where the statements of a context stand, and what else must stand there. */
static const struct {
    const char *context, *before, *after;
    const char *enough; /* a directive that needs no after */
} frames[] = {
    {"any block", "inbound { listen :8080; ", "}", NULL},
    {"", "", "\noutbound { listen 127.0.0.1:1 transparent; }", "outbound"},
    {"service", "inbound { listen :8080; } service s { ", "}", NULL},
    {"inbound, outbound", "outbound { listen :1 transparent; ", "}", NULL},
    {"inbound", "inbound { listen :8080; ", "}", NULL},
    {"host", "inbound { listen :8080; host h { ", "} }", NULL},
    {"route", "inbound { listen :8080; route / { ", " to 127.0.0.1:9; } }", "respond"},
    {"route", "inbound { listen :8080; route / { ", " } }", NULL},
    {"cluster", "inbound { listen :8080; } cluster c { ", "endpoint c:1; }", NULL},
    {"trace", "inbound { listen :8080; } trace { ", "}", NULL},
    {"export otlp", "inbound { listen :8080; } trace { export otlp grpcs://c { ", "} }", NULL},
    {"sample parent", "inbound { listen :8080; } trace { sample parent { ", "} }", NULL},
    {"batch", "inbound { listen :8080; } trace { batch { ", "} }", NULL},
    {"limits", "inbound { listen :8080; } limits { ", "}", NULL},
    {"timeouts", "inbound { listen :8080; } timeouts { ", "}", NULL},
};

static bool answers(const char *name)
{
    return strcmp(name, "respond") == 0 || strcmp(name, "redirect") == 0;
}

static int frame_of(const struct directive_row *row)
{
    int f = 0;

    while (f < COUNT(frames) && strcmp(frames[f].context, row->context) != 0)
        f++;
    ck_assert_msg(f < COUNT(frames), "no frame for %s", row->context);
    return f;
}

/* The frame with the row's example in it. */
static struct config *with_example(const struct directive_row *row)
{
    int f = frame_of(row);
    const char *after = frames[f].after;
    char text[1000];

    if ((frames[f].enough && strcmp(frames[f].enough, row->name) == 0) || answers(row->name))
        after = row->context[0] ? " } }" : "";
    snprintf(text, sizeof(text), "%s%s%s", frames[f].before, row->example, after);
    return loaded(text);
}

static struct config *without_example(const struct directive_row *row)
{
    int f = frame_of(row);
    char text[1000];

    snprintf(text, sizeof(text), "%s%s", frames[f].before, frames[f].after);
    return loaded(text);
}

START_TEST(every_example_is_accepted_in_its_context)
{
    config_unref(with_example(directive_row_at((size_t)_i)));
}
END_TEST

/* "by trace;" of by, whose default is that. */
static bool says_the_default(const struct directive_row *row)
{
    char whole[300], value[300];

    if (!row->fallback)
        return false;
    snprintf(whole, sizeof(whole), "%s;", row->fallback);
    snprintf(value, sizeof(value), "%s %s;", row->name, row->fallback);
    return strcmp(row->example, whole) == 0 || strcmp(row->example, value) == 0;
}

/* Else a reload that changed nothing but that directive would be none. */
START_TEST(every_example_counts_in_the_hash)
{
    const struct directive_row *row = directive_row_at((size_t)_i);

    if (strcmp(row->name, "include") == 0)
        return; /* what it includes counts, and here it is nothing */
    struct config *a = with_example(row), *b = without_example(row);
    ck_assert_msg((strcmp(a->hash, b->hash) == 0) == says_the_default(row), "%s", row->example);
    config_unref(a);
    config_unref(b);
}
END_TEST

static struct str exporter_text(const struct config *c, struct buffer *out)
{
    buffer_init(out, 0);
    for (size_t i = 0; i < c->trace.n_exports; i++)
        config_write_export(&c->trace, &c->trace.exports[i], out);
    return buffer_str(out);
}

/* Else the exporter would be kept by a reload, and go on as before. */
START_TEST(every_example_that_concerns_an_exporter_makes_it_another)
{
    const struct directive_row *row = directive_row_at((size_t)_i);
    bool concerns = strcmp(row->context, "export otlp") == 0 ||
                    strcmp(row->context, "batch") == 0 || strcmp(row->name, "redact") == 0;
    struct buffer before, after;

    if (!concerns)
        return;
    struct config *a = with_example(row), *b = without_example(row);
    ck_assert_msg(!str_eq(exporter_text(a, &before), exporter_text(b, &after)), "%s", row->example);
    buffer_release(&before);
    buffer_release(&after);
    config_unref(a);
    config_unref(b);
}
END_TEST

START_TEST(no_directive_is_accepted_outside_its_contexts)
{
    const struct directive_row *row = directive_row_at((size_t)_i), *other;
    char text[1000];

    for (int f = 1; f < COUNT(frames); f++) {
        bool allowed = strcmp(row->context, "any block") == 0;
        bool inbound = strcmp(frames[f].context, "inbound") == 0;
        for (size_t i = 0; (other = directive_row_at(i)) != NULL; i++)
            allowed |= strcmp(other->name, row->name) == 0 &&
                       (strcmp(other->context, frames[f].context) == 0 ||
                        (inbound && strcmp(other->context, "inbound, outbound") == 0));
        if (allowed)
            continue;
        struct errors errors = {0};
        snprintf(text, sizeof(text), "%s%s%s", frames[f].before, row->example, frames[f].after);
        struct config *c = config_parse("a", str_from(text), no_environment, &errors);
        ck_assert_msg(c == NULL, "%s was accepted", text);
        errors_release(&errors);
    }
}
END_TEST

START_TEST(every_row_says_what_it_is)
{
    const struct directive_row *row = directive_row_at((size_t)_i);
    size_t n;
    const char *const *contexts = directive_contexts(&n);
    bool known = false;

    for (size_t i = 0; i < n; i++)
        known |= strcmp(contexts[i], row->context) == 0;
    ck_assert(known);
    ck_assert(strncmp(row->example, row->name, strlen(row->name)) == 0);
    ck_assert_uint_gt(strlen(row->arguments), 0);
    ck_assert_uint_gt(strlen(row->meaning), 5);
    ck_assert_int_ne(row->meaning[strlen(row->meaning) - 1], '.');
}
END_TEST

/* Where a default is a value, the config that says nothing has it. */
START_TEST(every_default_of_plain_fields_is_in_force)
{
    static const char *const plain[] = {"limits", "timeouts", "batch"};
    const struct directive_row *row = directive_row_at((size_t)_i);
    struct config *c = loaded("inbound { listen :8080; }");
    char line[200];

    for (int i = 0; i < COUNT(plain); i++) {
        if (strcmp(row->context, plain[i]) != 0)
            continue;
        ck_assert_ptr_nonnull(row->fallback);
        snprintf(line, sizeof(line), " %s %.*s;", row->name, (int)strcspn(row->fallback, ","),
                 row->fallback);
        ck_assert_msg(memmem(c->text.p, c->text.n, line, strlen(line)) != NULL, "%s", line);
    }
    config_unref(c);
}
END_TEST

/* ---- the manual ---- */

static void read_manual(struct buffer *out)
{
    FILE *f = fopen(manual, "r");

    ck_assert_ptr_nonnull(f);
    buffer_init(out, 0);
    while (buffer_reserve(out, 65536)) {
        size_t n = fread(out->p + out->n, 1, 65536, f);
        if (n == 0)
            break;
        out->n += n;
    }
    fclose(f);
    buffer_add_char(out, '\0');
}

static void write_manual(const char *text, const char *begin, const char *end, struct str table)
{
    FILE *f = fopen(manual, "w");

    ck_assert_ptr_nonnull(f);
    fwrite(text, 1, (size_t)(begin - text), f);
    fwrite(table.p, 1, table.n, f);
    fputs(end, f);
    fclose(f);
}

START_TEST(the_manual_has_the_table_and_nothing_else)
{
    struct buffer page, table;

    read_manual(&page);
    buffer_init(&table, 0);
    directives_print_mdoc(&table);
    char *begin = strstr(page.p, begin_mark), *end = strstr(page.p, end_mark);
    ck_assert(begin && end && begin < end);
    begin += strlen(begin_mark);
    struct str found = str_of(begin, (size_t)(end - begin));
    bool same = str_eq(found, buffer_str(&table));
    if (!same && getenv("MANUAL_UPDATE"))
        write_manual(page.p, begin, end, buffer_str(&table));
    ck_assert_msg(same,
                  "the section DIRECTIVES of %s is not that of the table; run with "
                  "MANUAL_UPDATE=1 to write it anew",
                  manual);
    buffer_release(&table);
    buffer_release(&page);
}
END_TEST

START_TEST(the_table_for_a_terminal_has_every_row)
{
    const struct directive_row *row;
    struct buffer out;
    char line[300];

    buffer_init(&out, 0);
    directives_print(&out);
    buffer_add_char(&out, '\0');
    for (size_t i = 0; (row = directive_row_at(i)) != NULL; i++) {
        snprintf(line, sizeof(line), "  %s %s", row->name, row->arguments);
        ck_assert_msg(strstr(out.p, line) != NULL, "%s", line);
    }
    for (const char *p = out.p, *end; (end = strchr(p, '\n')) != NULL; p = end + 1)
        ck_assert_msg(end - p <= 150, "%.*s", (int)(end - p), p);
    buffer_release(&out);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("directives");
    TCase *tc = tcase_create("directives");
    SRunner *sr = srunner_create(s);

    if (argc != 2) {
        fprintf(stderr, "usage: %s routes.conf.5\n", argv[0]);
        return EXIT_FAILURE;
    }
    manual = argv[1];
    tcase_add_loop_test(tc, every_example_is_accepted_in_its_context, 0, count_rows());
    tcase_add_loop_test(tc, every_example_counts_in_the_hash, 0, count_rows());
    tcase_add_loop_test(tc, every_example_that_concerns_an_exporter_makes_it_another, 0,
                        count_rows());
    tcase_add_loop_test(tc, no_directive_is_accepted_outside_its_contexts, 0, count_rows());
    tcase_add_loop_test(tc, every_row_says_what_it_is, 0, count_rows());
    tcase_add_loop_test(tc, every_default_of_plain_fields_is_in_force, 0, count_rows());
    tcase_add_test(tc, the_manual_has_the_table_and_nothing_else);
    tcase_add_test(tc, the_table_for_a_terminal_has_every_row);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
