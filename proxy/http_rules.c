/*
 * Rules of RFC 9110 and RFC 3986 that hold in every version of HTTP.
 */
#include "proxy/http_rules.h"

#include "base/authority.h"
#include "base/octets.h"

const struct refusal refusal_head_bytes = {
    "head-too-large", 431, "send smaller headers, or raise limits { header-bytes }"};
const struct refusal refusal_headers = {"too-many-headers", 431,
                                        "send fewer headers, or raise limits { headers }"};
const struct refusal refusal_upstream_head = {
    "head-too-large-for-upstream", 431,
    "send smaller headers, or let the upstream's server take larger ones: it has said how large "
    "(SETTINGS_MAX_HEADER_LIST_SIZE of HTTP/2)"};
const struct refusal refusal_response_bytes = {
    "response-header-bytes", 502,
    "raise limits { response-header-bytes }, or let the upstream "
    "send smaller headers"};
const struct refusal refusal_response_headers = {
    "response-headers", 502,
    "raise limits { response-headers }, or let the upstream send fewer headers"};
const struct refusal refusal_url = {"target-too-long", 414,
                                    "send a shorter URL, or raise limits { url-bytes }"};

static const bool token_chars[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,  ['#'] = true,
    ['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
    ['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
    ['`'] = true,         ['|'] = true,         ['~'] = true,
};

bool connect_target_valid(struct str target)
{
    return authority_split(target).port.n > 0 && authority_valid(target);
}

bool field_value_valid(struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool field_name_char(unsigned char c)
{
    return token_chars[c];
}

bool target_encode(struct str *target, struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t above = 0;
    char *to, *at;

    if (octets_are_ascii(target->p, target->n))
        return true;
    for (size_t i = 0; i < target->n; i++)
        above += (unsigned char)target->p[i] >= 0x80;
    if (!(to = at = arena_alloc(arena, target->n + 2 * above)))
        return false;
    for (size_t i = 0; i < target->n; i++) {
        unsigned char c = (unsigned char)target->p[i];

        if (c < 0x80) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    *target = str_of(to, (size_t)(at - to));
    return true;
}

bool target_valid(struct str target)
{
    return octets_are_visible(target.p, target.n);
}

void message_split_path(struct message *m, struct str path)
{
    size_t mark = str_index(path, '?', 0);

    m->path = str_slice(path, 0, mark);
    m->query = mark < path.n ? str_slice(path, mark + 1, path.n) : (struct str){0};
    if (m->path.n == 0)
        m->path = str_eq(m->method, STR("OPTIONS")) && mark == path.n ? STR("*") : STR("/");
}

bool field_may_trail(struct str name)
{
    static const struct str never[] = {
        STR_INIT("authorization"),
        STR_INIT("proxy-authentication-info"),
        STR_INIT("proxy-authorization"),
        STR_INIT("www-authenticate"),
        STR_INIT("proxy-authenticate"),
        STR_INIT("set-cookie"),
        STR_INIT("cache-control"),
        STR_INIT("content-encoding"),
        STR_INIT("content-range"),
        STR_INIT("range"),
        STR_INIT("age"),
        STR_INIT("location"),
        STR_INIT("vary"),
        STR_INIT("expires"),
        STR_INIT("pragma"),
    };
    enum header_id id = header_id_of(name);

    if (id != HEADER_OTHER) /* the others are what a proxy acts upon */
        return header_is(id, HEADER_IS_TRAILING);
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (str_eq_nocase(name, never[i]))
            return false;
    return true;
}

bool status_has_content(unsigned status)
{
    return status >= 200 && status != 204 && status != 205 && status != 304;
}

struct str reason_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        struct str phrase;
    } rows[] = {
        {200, STR_INIT("OK")},
        {201, STR_INIT("Created")},
        {202, STR_INIT("Accepted")},
        {203, STR_INIT("Non-Authoritative Information")},
        {204, STR_INIT("No Content")},
        {205, STR_INIT("Reset Content")},
        {206, STR_INIT("Partial Content")},
        {300, STR_INIT("Multiple Choices")},
        {301, STR_INIT("Moved Permanently")},
        {302, STR_INIT("Found")},
        {303, STR_INIT("See Other")},
        {304, STR_INIT("Not Modified")},
        {307, STR_INIT("Temporary Redirect")},
        {308, STR_INIT("Permanent Redirect")},
        {400, STR_INIT("Bad Request")},
        {401, STR_INIT("Unauthorized")},
        {402, STR_INIT("Payment Required")},
        {403, STR_INIT("Forbidden")},
        {404, STR_INIT("Not Found")},
        {405, STR_INIT("Method Not Allowed")},
        {406, STR_INIT("Not Acceptable")},
        {407, STR_INIT("Proxy Authentication Required")},
        {408, STR_INIT("Request Timeout")},
        {409, STR_INIT("Conflict")},
        {410, STR_INIT("Gone")},
        {411, STR_INIT("Length Required")},
        {412, STR_INIT("Precondition Failed")},
        {413, STR_INIT("Content Too Large")},
        {414, STR_INIT("URI Too Long")},
        {415, STR_INIT("Unsupported Media Type")},
        {416, STR_INIT("Range Not Satisfiable")},
        {417, STR_INIT("Expectation Failed")},
        {418, STR_INIT("I'm a teapot")},
        {421, STR_INIT("Misdirected Request")},
        {422, STR_INIT("Unprocessable Content")},
        {425, STR_INIT("Too Early")},
        {426, STR_INIT("Upgrade Required")},
        {428, STR_INIT("Precondition Required")},
        {429, STR_INIT("Too Many Requests")},
        {431, STR_INIT("Request Header Fields Too Large")},
        {451, STR_INIT("Unavailable For Legal Reasons")},
        {500, STR_INIT("Internal Server Error")},
        {501, STR_INIT("Not Implemented")},
        {502, STR_INIT("Bad Gateway")},
        {503, STR_INIT("Service Unavailable")},
        {504, STR_INIT("Gateway Timeout")},
        {505, STR_INIT("HTTP Version Not Supported")},
        {507, STR_INIT("Insufficient Storage")},
        {508, STR_INIT("Loop Detected")},
        {511, STR_INIT("Network Authentication Required")},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            return rows[i].phrase;
    return STR("");
}

bool method_is_idempotent(struct str method)
{
    static const struct str names[] = {STR_INIT("GET"),   STR_INIT("HEAD"), STR_INIT("OPTIONS"),
                                       STR_INIT("TRACE"), STR_INIT("PUT"),  STR_INIT("DELETE")};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_eq(method, names[i]))
            return true;
    return false;
}
