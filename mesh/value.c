#include "mesh/value.h"

#include <stdio.h>
#include <sys/un.h>

#include "base/authority.h"

#define SHOWN(text) value_shown(text, (char[80]){0})

const char *value_shown(struct str text, char out[80])
{
    size_t n = 0;

    for (size_t i = 0; i < text.n;) {
        size_t length = str_utf8_length(text, i);
        bool control = (unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f;
        if (n + length > 60) {
            memcpy(out + n, "...", 3);
            n += 3;
            break;
        }
        if (length == 0 || control)
            out[n++] = '?';
        else
            memcpy(out + n, text.p + i, length);
        n += length == 0 || control ? 0 : length;
        i += length ? length : 1;
    }
    out[n] = '\0';
    return out;
}

/* ---- numbers ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* DIGITS[.DIGITS], scaled: "1.5" is 15 of tenths. At most 9 digits behind the point. The rest is
 * the unit. */
struct decimal {
    uint64_t digits, scale;
    struct str unit;
};

static bool read_decimal(struct str text, struct decimal *out)
{
    struct decimal d = {.scale = 1};
    size_t i = 0;
    bool point = false;

    if (text.n == 0 || !is_digit(text.p[0]))
        return false;
    for (; i < text.n && (is_digit(text.p[i]) || (text.p[i] == '.' && !point)); i++) {
        if (text.p[i] == '.') {
            point = true;
            continue;
        }
        if (d.digits > UINT64_MAX / 10 - 1 || d.scale > 100000000)
            return false;
        d.digits = d.digits * 10 + (uint64_t)(text.p[i] - '0');
        if (point)
            d.scale *= 10;
    }
    if (text.p[i - 1] == '.')
        return false;
    d.unit = str_slice(text, i, text.n);
    *out = d;
    return true;
}

struct unit {
    struct str name;
    uint64_t factor;
};

/* The largest first, as they are tried when one is written. */
static const struct unit time_units[] = {
    {STR_INIT("h"), 3600000000000}, {STR_INIT("m"), 60000000000}, {STR_INIT("s"), 1000000000},
    {STR_INIT("ms"), 1000000},      {STR_INIT("us"), 1000},       {{NULL, 0}, 0},
};
static const struct unit size_units[] = {
    {STR_INIT("g"), 1 << 30},
    {STR_INIT("m"), 1 << 20},
    {STR_INIT("k"), 1 << 10},
    {{NULL, 0}, 0},
};

static uint64_t factor_of(const struct unit *units, struct str name)
{
    while (units->name.p && !str_eq(units->name, name))
        units++;
    return units->factor;
}

bool value_duration(struct str text, nsec_t *out, struct error *err)
{
    const uint64_t most = 1000ull * 3600 * 1000000000;
    struct decimal d;

    if (!read_decimal(text, &d))
        return error_set(err, "\"%s\" is not a duration, as 150ms, 2s, 5m or 1h are", SHOWN(text));
    if (d.unit.n == 0)
        return error_set(err, "\"%s\" has no unit: %ss or %sms?", SHOWN(text), SHOWN(text),
                         SHOWN(text));
    uint64_t factor = factor_of(time_units, d.unit);
    if (factor == 0 && str_eq(d.unit, STR("%")))
        return error_set(err,
                         "\"%s\" is a share and no duration: first the time, as in 200ms for "
                         "%s",
                         SHOWN(text), SHOWN(text));
    if (factor == 0)
        return error_set(err, "\"%s\" is not a unit of time: us, ms, s, m or h", SHOWN(d.unit));
    unsigned __int128 scaled = (unsigned __int128)d.digits * factor;
    if (scaled > (unsigned __int128)most * d.scale)
        return error_set(err, "\"%s\" is longer than 1000h", SHOWN(text));
    if (scaled % ((unsigned __int128)d.scale * 1000) != 0)
        return error_set(err, "\"%s\" is finer than a microsecond", SHOWN(text));
    *out = (nsec_t)(scaled / d.scale);
    return true;
}

bool value_size(struct str text, uint64_t *out, struct error *err)
{
    struct decimal d;

    if (!read_decimal(text, &d) || d.scale != 1)
        return error_set(err, "\"%s\" is not a size, as 512, 64k, 1m or 1g are", SHOWN(text));
    uint64_t factor = d.unit.n ? factor_of(size_units, d.unit) : 1;
    if (factor == 0)
        return error_set(err, "\"%s\" is not a unit of size: k, m or g", SHOWN(d.unit));
    if (d.digits > (uint64_t)INT64_MAX / factor)
        return error_set(err, "\"%s\" is too large", SHOWN(text));
    *out = d.digits * factor;
    return true;
}

bool value_share(struct str text, share_t *share, double *ratio, struct error *err)
{
    struct decimal d;

    if (!read_decimal(text, &d))
        return error_set(err, "\"%s\" is not a share, as 10%% or 0.1%% are", SHOWN(text));
    if (!str_eq(d.unit, STR("%"))) {
        if (d.unit.n == 0 && d.scale > 1 && d.digits <= d.scale)
            return error_set(err, "\"%s\" has no %% sign: %.9g%%?", SHOWN(text),
                             (double)d.digits / (double)d.scale * 100);
        return error_set(err, "\"%s\" is not a share, as 10%% or 0.1%% are", SHOWN(text));
    }
    unsigned __int128 whole = (unsigned __int128)d.scale * 100;
    if (d.digits > whole)
        return error_set(err, "\"%s\" is over 100%%", SHOWN(text));
    if (share)
        *share = d.digits == whole ? SHARE_ALWAYS
                                   : (share_t)(((unsigned __int128)d.digits << 64) / whole);
    if (ratio)
        *ratio = (double)d.digits / (double)(uint64_t)whole;
    return true;
}

bool value_number(struct str text, uint64_t min, uint64_t max, uint64_t *out, struct error *err)
{
    uint64_t n = 0;
    bool digits = text.n > 0;

    for (size_t i = 0; i < text.n; i++)
        digits = digits && is_digit(text.p[i]);
    if (!digits && text.n > 1 && text.p[text.n - 1] == '%' &&
        str_to_u64(str_slice(text, 0, text.n - 1), &n))
        return error_set(err, "\"%s\" is not a whole number; write %s", SHOWN(text),
                         SHOWN(str_slice(text, 0, text.n - 1)));
    if (!digits)
        return error_set(err, "\"%s\" is not a whole number", SHOWN(text));
    if (!str_to_u64(text, &n) || n < min || n > max)
        return error_set(err, "%s is not between %llu and %llu", SHOWN(text),
                         (unsigned long long)min, (unsigned long long)max);
    *out = n;
    return true;
}

/* ---- writing ---- */

/* In the largest unit that leaves a whole number; the smallest unit where none does. */
static void write_in_units(uint64_t n, const struct unit *units, struct buffer *out)
{
    while (units->name.p && (n == 0 || n % units->factor))
        units++;
    if (units->name.p)
        buffer_printf(out, "%llu%s", (unsigned long long)(n / units->factor), units->name.p);
    else
        buffer_printf(out, "%llu", (unsigned long long)n);
}

void value_write_duration(nsec_t t, struct buffer *out)
{
    if (t == 0)
        buffer_add_str(out, STR("0s"));
    else
        write_in_units((uint64_t)t, time_units, out);
}

void value_write_size(uint64_t bytes, struct buffer *out)
{
    write_in_units(bytes, size_units, out);
}

void value_write_ratio(double ratio, struct buffer *out)
{
    struct error err = {0};
    char text[40];
    double again = -1;

    for (int digits = 0; digits <= 9 && again != ratio; digits++) {
        int n = snprintf(text, sizeof(text), "%.*f%%", digits, ratio * 100);
        value_share(str_of(text, (size_t)n), NULL, &again, &err);
    }
    buffer_add_str(out, str_from(text));
}

/* ---- names ---- */

static bool is_alphanumeric(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool value_is_host_name(struct str text)
{
    size_t label = 0;

    if (text.n > 1 && text.p[text.n - 1] == '.')
        text.n--;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '.' ? label == 0 : !is_alphanumeric(c) && c != '-' && c != '_')
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
    }
    return label > 0 && text.n <= 253;
}

bool value_is_authority(struct str text)
{
    struct authority a = authority_split(text);
    struct address ip;
    uint16_t port;

    if (a.has_port && (!authority_port(a.port, &port) || port == 0))
        return false;
    return value_is_host_name(a.host) ||
           (a.host.n && a.host.p[0] == '[' && address_parse_ip(a.host, &ip));
}

bool value_is_token(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!is_alphanumeric(text.p[i]) && (!text.p[i] || !strchr("!#$%&'*+-.^_`|~", text.p[i])))
            return false;
    return text.n > 0;
}

bool value_is_field(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool value_is_text(struct str text)
{
    return text.n > 0 && value_is_field(text) && !memchr(text.p, '\t', text.n);
}

/* ---- addresses ---- */

static bool looks_like_ipv4(struct str host)
{
    for (size_t i = 0; i < host.n; i++)
        if (!is_digit(host.p[i]) && host.p[i] != '.')
            return false;
    return host.n > 0;
}

static bool unix_location(struct str text, struct str path, struct arena *arena,
                          struct location *out, struct error *err)
{
    if (path.n == 0 || path.p[0] != '/')
        return error_set(err, "\"%s\" has no path that begins with /", SHOWN(text));
    if (path.n >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return error_set(err, "the path of a Unix socket has at most %zu bytes",
                         sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
    if (!value_is_text(path))
        return error_set(err, "\"%s\" has control characters", SHOWN(text));
    struct location l = {.text = arena_dup(arena, text)};
    if (!l.text.p)
        return error_no_memory(err);
    l.address.family = AF_UNIX;
    l.address.path = l.text.p + (text.n - path.n);
    *out = l;
    return true;
}

static bool set_host(struct str host, enum address_use use, struct location *l, struct error *err)
{
    uint16_t port = l->address.port;

    if (host.n == 0 && use == ADDRESS_TO_LISTEN) {
        l->address.family = AF_INET6; /* all zero: any address */
        return true;
    }
    if (host.n == 0)
        return error_set(err, "\"%s\" does not say which host: 127.0.0.1%s?", SHOWN(l->text),
                         SHOWN(l->text));
    if (address_parse_ip(host, &l->address)) {
        l->address.port = port;
        return true;
    }
    if (host.p[0] == '[' || looks_like_ipv4(host))
        return error_set(err, "\"%s\" is not an IP address", SHOWN(host));
    if (!value_is_host_name(host) && host.p[0] == '$' && host.n > 1 && host.p[1] != '{')
        return error_set(err, "\"%s\" is not the name of a host; a variable is written ${%s}",
                         SHOWN(host), SHOWN(str_slice(host, 1, host.n)));
    if (use == ADDRESS_TO_LISTEN && str_eq(host, STR("*")))
        return error_set(err, "\"%s\": every address is written without the *: :%u", SHOWN(l->text),
                         port);
    if (!value_is_host_name(host))
        return error_set(err, "\"%s\" is not the name of a host", SHOWN(host));
    if (use == ADDRESS_TO_LISTEN)
        return error_set(err, "\"%s\" is a name: an IP address is wanted here, as 127.0.0.1:%u",
                         SHOWN(host), port);
    l->name = str_slice(l->text, 0, host.n);
    return true;
}

/* Behind "://"; 0: it has no scheme. */
static size_t scheme_end(struct str text)
{
    size_t colon = str_index(text, ':', 0);

    return colon > 0 && str_starts(str_slice(text, colon, text.n), STR("://")) ? colon + 3 : 0;
}

/* A URL where an address belongs: what of it is the address, and what is lost with the rest. */
static bool is_url(struct str text, struct error *err)
{
    struct str rest = str_slice(text, scheme_end(text), text.n);
    struct str host = str_slice(rest, 0, str_index(rest, '/', 0));
    bool tls = str_starts(text, STR("https:")) || str_starts(text, STR("grpcs:"));
    bool has_port = authority_split(authority_without_user(host)).has_port;

    const char *path = rest.n > host.n + 1 ? "; a path is given by rewrite" : "";

    if (tls)
        return error_set(err,
                         "TLS towards services is not supported by this version of sidespan, and "
                         "an address has no scheme: write HOST:PORT, where it is spoken to without "
                         "TLS%s",
                         path);
    return error_set(err, "an address has no scheme: write %s%s%s", SHOWN(host),
                     has_port ? "" : ":80", path);
}

/* A letter that was typed for the digit that looks like it; 0: none is. */
static char digit_like(char c)
{
    return c == 'O' || c == 'o' ? '0' : c == 'l' || c == 'I' ? '1' : 0;
}

/* "8O80": what was meant may be told. */
static bool not_a_port(struct str text, struct error *err)
{
    char meant[8] = "";
    bool typed = text.n < sizeof(meant);
    uint64_t port;

    for (size_t i = 0; typed && i < text.n; i++)
        meant[i] = digit_like(text.p[i]) ? digit_like(text.p[i]) : text.p[i];
    typed = typed && str_to_u64(str_from(meant), &port) && port > 0 && port <= UINT16_MAX;
    return error_set(err, "\"%s\" is not a port, a number from 1 to 65535%s%s%s", SHOWN(text),
                     typed ? ": did you mean " : "", typed ? meant : "", typed ? "?" : "");
}

bool value_location(struct str text, enum address_use use, struct arena *arena,
                    struct location *out, struct error *err)
{
    struct location l = {.text = text};
    struct authority a = authority_split(text);
    uint64_t number;

    if (str_starts(text, STR("unix:")))
        return unix_location(text, str_slice(text, 5, text.n), arena, out, err);
    if (scheme_end(text))
        return is_url(text, err);
    if (str_to_u64(text, &number))
        return error_set(err,
                         use == ADDRESS_TO_LISTEN
                             ? "\"%s\" is only a port: write :%s, or 127.0.0.1:%s"
                             : "\"%s\" is only a port: write 127.0.0.1:%s, or HOST:%s",
                         SHOWN(text), SHOWN(text), SHOWN(text));
    if (!a.has_port && str_index(a.host, ':', 0) < a.host.n && a.host.p[0] != '[')
        return error_set(err, "an IPv6 address stands in brackets: [::1]:8080");
    if (!a.has_port)
        return error_set(err, "\"%s\" has no port, as HOST:PORT has", SHOWN(text));
    if (!authority_port(a.port, &l.address.port) ||
        (l.address.port == 0 && use != ADDRESS_TO_LISTEN))
        return not_a_port(a.port, err);
    if (!set_host(a.host, use, &l, err))
        return false;
    l.text = arena_dup(arena, text);
    if (!l.text.p)
        return error_no_memory(err);
    if (l.name.n)
        l.name = str_slice(l.text, 0, l.name.n);
    *out = l;
    return true;
}

/* ---- the nearest word ---- */

void nearest_init(struct nearest *n, struct str word)
{
    /* A third of the letters may be wrong, but not all of a short word. */
    size_t allowed = word.n <= 2 ? 1 : word.n <= 5 ? 2 : 3;

    *n = (struct nearest){.word = word, .distance = (unsigned)allowed + 1};
    if (word.n <= 1)
        n->distance = 1;
}

void nearest_try(struct nearest *n, struct str candidate)
{
    unsigned d = str_distance(n->word, candidate, n->distance);

    if (d < n->distance && d < candidate.n) {
        n->distance = d;
        n->best = candidate;
    }
}
