#include "base/authority.h"

#include "base/octets.h"

enum { NAME_BYTES_MAX = 255, PORT_BYTES_MAX = 6, LIST_BYTES_MAX = 4096 };

struct authority authority_split(struct str text)
{
    bool literal = text.n > 0 && text.p[0] == '[';
    size_t colon = str_index(text, ':', literal ? str_index(text, ']', 0) : 0);

    if (colon == text.n || (!literal && str_index(text, ':', colon + 1) < text.n))
        return (struct authority){.host = text};
    return (struct authority){.host = str_slice(text, 0, colon),
                              .port = str_slice(text, colon + 1, text.n),
                              .has_port = true};
}

struct str authority_without_user(struct str text)
{
    const char *at = text.n ? memrchr(text.p, '@', text.n) : NULL;

    return at ? str_slice(text, (size_t)(at - text.p) + 1, text.n) : text;
}

bool authority_port(struct str port, uint16_t *number)
{
    uint64_t n;

    if (!str_to_u64(port, &n) || n > UINT16_MAX)
        return false;
    *number = (uint16_t)n;
    return true;
}

struct str authority_bare_host(struct str host)
{
    if (host.n == 0 || host.p[0] != '[')
        return host;
    return str_slice(host, 1, str_index(host, ']', 0));
}

/* What is unreserved, sub-delims and the rest of RFC 3986 section 3.2.2. */
static const bool host_chars[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true, ['.'] = true,
    ['_'] = true,         ['~'] = true,         ['!'] = true,         ['$'] = true, ['&'] = true,
    ['\''] = true,        ['('] = true,         [')'] = true,         ['*'] = true, ['+'] = true,
    [','] = true,         [';'] = true,         ['='] = true,         ['%'] = true, [':'] = true,
    ['['] = true,         [']'] = true,
};

static bool host_valid(struct str host)
{
    if (host.n == 0)
        return false;
    for (size_t i = 0; i < host.n; i++)
        if (!host_chars[(unsigned char)host.p[i]])
            return false;
    if (host.p[0] == '[')
        return str_index(host, ']', 0) == host.n - 1;
    return str_index(host, ':', 0) == host.n;
}

bool authority_valid(struct str text)
{
    struct authority a = authority_split(text);
    uint16_t number;

    return text.n <= NAME_BYTES_MAX + PORT_BYTES_MAX && host_valid(a.host) &&
           (a.port.n == 0 || authority_port(a.port, &number));
}

/* Letters, digits, '-' and '.' alone, and one of them at least. */
static bool name_is_plain(struct str name)
{
    return name.n > 0 && !octets_any(name.p, name.n, octets_not_of_name);
}

bool authority_plain(struct str text, struct str *host, uint16_t *port)
{
    uint32_t number = 0, scale = 1, digit;
    size_t at = text.n;

    for (; at > 0 && scale < 100000; at--, scale *= 10) {
        if ((digit = (unsigned char)text.p[at - 1] - (uint32_t)'0') > 9)
            break;
        number += digit * scale;
    }
    *host = text;
    *port = 0;
    if (at > 0 && text.p[at - 1] == ':') {
        if (at == text.n || number > UINT16_MAX)
            return false;
        *host = str_of(text.p, at - 1);
        *port = (uint16_t)number;
    }
    return host->n <= NAME_BYTES_MAX && name_is_plain(*host);
}

bool authority_list_valid(struct str text)
{
    struct str host;
    uint16_t port;

    if (authority_plain(text, &host, &port))
        return true;
    if (text.n > LIST_BYTES_MAX)
        return false;
    size_t comma = str_index(text, ',', 0);
    for (size_t from = 0;; from = comma + 1, comma = str_index(text, ',', from)) {
        if (!authority_valid(str_slice(text, from, comma)))
            return false;
        if (comma == text.n)
            return true;
    }
}
