/*
 * How errors look: the line of the file and a caret under the place.
 */
#include "base/buffer.h"
#include "mesh/config.h"
#include "mesh/report.h"

/* What is shown of a line: bytes before the place, and bytes after it. */
enum { SHOWN_BEFORE = 90, SHOWN_AFTER = 90 };

static bool within_character(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static bool is_printable(struct str s, size_t i, size_t *length)
{
    unsigned char c = (unsigned char)s.p[i];

    *length = str_utf8_length(s, i);
    if (*length == 0) {
        *length = 1;
        return false;
    }
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* As many columns as the text takes: a tab stays a tab, so that both lines turn alike. */
static void add_blank(struct str text, struct buffer *out)
{
    size_t length;

    for (size_t i = 0; i < text.n; i += length) {
        is_printable(text, i, &length);
        buffer_add_char(out, text.p[i] == '\t' ? '\t' : ' ');
    }
}

static void add_shown(struct str text, struct buffer *out)
{
    size_t length;

    for (size_t i = 0; i < text.n; i += length) {
        if (is_printable(text, i, &length))
            buffer_add(out, text.p + i, length);
        else
            buffer_add_char(out, '?');
    }
}

void report_excerpt(struct str line, size_t column, struct buffer *out)
{
    size_t at = column ? column - 1 : 0;

    if (at > line.n)
        at = line.n;
    size_t from = at > SHOWN_BEFORE + 20 ? at - SHOWN_BEFORE : 0;
    size_t to = line.n - at > SHOWN_AFTER + 20 ? at + SHOWN_AFTER : line.n;
    while (from > 0 && from < line.n && within_character(line.p[from]))
        from--;
    while (to < line.n && within_character(line.p[to]))
        to++;

    buffer_add_str(out, from ? STR("    ...") : STR("    "));
    add_shown(str_slice(line, from, to), out);
    buffer_add_str(out, to < line.n ? STR("...\n    ") : STR("\n    "));
    if (from)
        buffer_add_str(out, STR("   "));
    add_blank(str_slice(line, from, at), out);
    buffer_add_str(out, STR("^\n"));
}

void config_print_errors(const struct errors *errors, struct buffer *out)
{
    for (size_t i = 0; i < errors->n; i++) {
        const struct error *e = &errors->v[i];
        /* What stands in a file, or is a file's name, may be anything. */
        if (e->at.file) {
            add_shown(str_from(e->at.file), out);
            buffer_add_char(out, ':');
        }
        if (e->at.line)
            buffer_printf(out, "%u:%u:", e->at.line, e->at.column);
        if (e->at.file)
            buffer_add_char(out, ' ');
        add_shown(str_from(e->text), out);
        buffer_add_char(out, '\n');
        if (e->excerpt)
            buffer_add_str(out, str_from(e->excerpt));
    }
    if (errors->more)
        buffer_printf(out, "and %zu errors more\n", errors->more);
    if (errors->no_memory)
        buffer_add_str(out, STR("not enough memory for the configuration\n"));
}
