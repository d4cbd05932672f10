#include "proxy/forwarded.h"

#include <stdbool.h>
#include <stddef.h>

/* Where the token or quoted string that begins at `at` ends. */
static size_t value_end(struct str s, size_t at)
{
    bool quoted = at < s.n && s.p[at] == '"';

    if (!quoted) {
        while (at < s.n && s.p[at] != ';' && s.p[at] != ',')
            at++;
        return at;
    }
    for (at++; at < s.n && s.p[at] != '"'; at++)
        if (s.p[at] == '\\')
            at++;
    return at < s.n ? at + 1 : s.n;
}

/* Without its quotes; empty where it has escapes, which no address, host or scheme needs. */
static struct str unquoted(struct str value)
{
    value = str_trim_ows(value);
    if (value.n < 2 || value.p[0] != '"')
        return value;
    if (value.p[value.n - 1] != '"' || str_index(value, '\\', 0) < value.n)
        return (struct str){0};
    return str_slice(value, 1, value.n - 1);
}

struct forwarded forwarded_first(struct str value)
{
    struct forwarded out = {0};
    size_t at = 0;

    while (at < value.n && value.p[at] != ',') {
        size_t equals = str_index(value, '=', at), end;
        struct str name, said;

        if (equals == value.n)
            break;
        name = str_trim_ows(str_slice(value, at, equals));
        end = value_end(value, equals + 1);
        said = unquoted(str_slice(value, equals + 1, end));
        if (str_eq_nocase(name, STR("for")) && !out.node.n)
            out.node = said;
        else if (str_eq_nocase(name, STR("host")) && !out.host.n)
            out.host = said;
        else if (str_eq_nocase(name, STR("proto")) && !out.proto.n)
            out.proto = said;
        at = end;
        while (at < value.n && (value.p[at] == ' ' || value.p[at] == '\t'))
            at++;
        if (at < value.n && value.p[at] == ';')
            at++;
        else
            break;
    }
    return out;
}
