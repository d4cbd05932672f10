/*
 * The table of the language as text, for a terminal and for the manual.
 */
#include "mesh/directives.h"

#include "mesh/directive_table.h"
#include "mesh/value.h"

#include "base/str.h"

/* ---- for a terminal ---- */

enum { WIDTH = 78 };

/* Words wrapped at the width, each line indented. */
static void add_wrapped(struct buffer *out, const char *text, const char *indent)
{
    struct str rest = str_from(text), word;
    size_t column = 0;

    while (str_split(&rest, ' ', &word)) {
        if (column && column + 1 + word.n > WIDTH) {
            buffer_add_char(out, '\n');
            column = 0;
        }
        if (column == 0) {
            buffer_add_str(out, str_from(indent));
            column = strlen(indent);
        } else {
            buffer_add_char(out, ' ');
            column++;
        }
        buffer_add_str(out, word);
        column += word.n;
    }
    buffer_add_char(out, '\n');
}

static void print_row(const struct directive_row *row, struct buffer *out)
{
    buffer_printf(out, "  %s %s;\n", row->name, row->arguments);
    if (out->n >= 3 && strchr(row->arguments, '}') &&
        row->arguments[strlen(row->arguments) - 1] == '}') {
        out->n -= 2; /* a block ends by itself */
        buffer_add_char(out, '\n');
    }
    add_wrapped(out, row->meaning, "        ");
    if (row->fallback)
        buffer_printf(out, "        (default: %s)\n", row->fallback);
}

static void print_rows(struct str name, struct buffer *out)
{
    const char *context = NULL;
    const struct directive_row *row;

    for (size_t i = 0; (row = directive_row_at(i)) != NULL; i++) {
        if (name.n > 0 && !str_eq(name, str_from(row->name)))
            continue;
        if (row->context != context)
            buffer_printf(out, "%s%s:\n", out->n ? "\n" : "",
                          row->context[0] ? row->context : "the top level");
        context = row->context;
        print_row(row, out);
    }
}

void directives_print(struct buffer *out)
{
    print_rows(STR(""), out);
}

bool directives_print_named(struct str name, struct buffer *out, struct str *nearest)
{
    size_t before = out->n;
    const struct directive_row *row;
    struct nearest near;

    print_rows(name, out);
    nearest_init(&near, name);
    for (size_t i = 0; (row = directive_row_at(i)) != NULL; i++)
        nearest_try(&near, str_from(row->name));
    *nearest = near.best;
    return out->n > before;
}

/* ---- for the manual ---- */

/* Text in which nothing is a request or an escape of roff. */
static void add_roff(struct buffer *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\')
            buffer_add_str(out, STR("\\e"));
        else
            buffer_add_char(out, text.p[i]);
    }
}

static bool is_placeholder(struct str word)
{
    bool letters = false;

    for (size_t i = 0; i < word.n; i++) {
        if (word.p[i] >= 'a' && word.p[i] <= 'z')
            return false;
        letters |= word.p[i] >= 'A' && word.p[i] <= 'Z';
    }
    return letters;
}

/* A word that is written as it stands, or (in capitals) stands for something; brackets and bars
 * are neither. */
static void add_argument(struct buffer *out, struct str word)
{
    struct str shown = word;

    for (; shown.n && shown.p[0] == '['; shown = str_slice(shown, 1, shown.n))
        buffer_add_str(out, STR(" Oo"));
    size_t closing = 0;
    while (closing < shown.n && shown.p[shown.n - 1 - closing] == ']')
        closing++;
    shown.n -= closing;
    if (str_eq(shown, STR("|")))
        buffer_add_str(out, STR(" |"));
    else if (shown.n) {
        buffer_add_str(out, is_placeholder(shown) ? STR(" Ar ") : STR(" Cm "));
        buffer_add_str(out, STR("\\&"));
        add_roff(out, shown);
    }
    for (; closing; closing--)
        buffer_add_str(out, STR(" Oc"));
}

static void print_mdoc_row(const struct directive_row *row, struct buffer *out)
{
    struct str rest = str_from(row->arguments), word;

    buffer_printf(out, ".It Ic %s", row->name);
    while (str_split(&rest, ' ', &word))
        add_argument(out, word);
    buffer_add_char(out, '\n');
    add_roff(out, str_from(row->meaning));
    buffer_add_str(out, STR(".\n"));
    if (row->fallback) {
        buffer_add_str(out, STR("Default: "));
        add_roff(out, str_from(row->fallback));
        buffer_add_str(out, STR(".\n"));
    }
}

static void print_mdoc_heading(const char *context, struct buffer *out)
{
    if (context[0] == '\0')
        buffer_add_str(out, STR(".Ss \\&At the top level\n"));
    else
        buffer_printf(out, ".Ss \\&In %s\n", context);
    buffer_add_str(out, STR(".Bl -tag -width Ds\n"));
}

void directives_print_mdoc(struct buffer *out)
{
    const char *context = NULL;
    const struct directive_row *row;

    for (size_t i = 0; (row = directive_row_at(i)) != NULL; i++) {
        if (row->context != context) {
            if (context)
                buffer_add_str(out, STR(".El\n"));
            print_mdoc_heading(row->context, out);
        }
        context = row->context;
        print_mdoc_row(row, out);
    }
    buffer_add_str(out, STR(".El\n"));
}

/* ---- the names of blocks ---- */

const char *const *directive_contexts(size_t *n)
{
    static const char *const names[CONTEXT_COUNT] = {
        CONTEXT_ANY_NAME,     CONTEXT_TOP_NAME,      CONTEXT_SERVICE_NAME, CONTEXT_DIRECTION_NAME,
        CONTEXT_INBOUND_NAME, CONTEXT_HOST_NAME,     CONTEXT_ROUTE_NAME,   CONTEXT_CLUSTER_NAME,
        CONTEXT_TRACE_NAME,   CONTEXT_EXPORT_NAME,   CONTEXT_SAMPLE_NAME,  CONTEXT_BATCH_NAME,
        CONTEXT_LIMITS_NAME,  CONTEXT_TIMEOUTS_NAME,
    };

    *n = CONTEXT_COUNT;
    return names;
}
