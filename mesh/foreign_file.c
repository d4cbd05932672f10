#include "mesh/foreign_file.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_key_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '"' || c == '\'';
}

/* What stands behind a key: "inbound: x" is a key with ':'. 0: it is none. */
static char sign_of(struct str line)
{
    size_t i = 0;

    while (i < line.n && is_key_character(line.p[i]))
        i++;
    if (i == 0)
        return 0;
    if (i < line.n && line.p[i] == ':')
        return i + 1 == line.n || is_blank(line.p[i + 1]) ? ':' : 0;
    while (i < line.n && is_blank(line.p[i]))
        i++;
    return i < line.n && line.p[i] == '=' ? '=' : 0;
}

/* Of a line that is not empty. No word of routes.conf begins so, and none stands by itself before a
 * colon. */
static const char *kind_of(struct str line)
{
    if (line.p[0] == '<')
        return "XML";
    if (line.p[0] == '{')
        return "JSON";
    if (line.p[0] == '[')
        return line.n > 1 && is_key_character(line.p[1]) && line.p[1] != '"' ? "TOML" : "JSON";
    if (str_starts(line, STR("---")) || str_starts(line, STR("- ")) || sign_of(line) == ':')
        return "YAML";
    return sign_of(line) == '=' ? "TOML" : NULL;
}

const char *foreign_file(struct str text, struct place *at)
{
    size_t from = str_starts(text, STR("\xef\xbb\xbf")) ? 3 : 0;

    for (unsigned number = 1; from < text.n; number++) {
        size_t end = str_index(text, '\n', from), begin = from;

        while (begin < end && is_blank(text.p[begin]))
            begin++;
        struct str line = str_slice(text, begin, end);
        while (line.n && is_blank(line.p[line.n - 1]))
            line.n--;
        if (line.n && line.p[0] != '#') {
            at->line = number;
            at->column = (unsigned)(begin - from) + 1;
            return kind_of(line);
        }
        from = end + 1;
    }
    return NULL;
}
