/*
 * Values of faults: a moment, and a network.
 */
#include "mesh/value.h"

#include <stdio.h>

/* ---- a moment ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits where the form has '0', and the characters of the form anywhere else. */
static bool has_form(struct str text, const char *form)
{
    for (size_t i = 0; form[i]; i++)
        if (i >= text.n || (form[i] == '0' ? !is_digit(text.p[i]) : text.p[i] != form[i]))
            return false;
    return true;
}

static int number_at(struct str text, size_t at, size_t digits)
{
    int n = 0;

    for (size_t i = at; i < at + digits; i++)
        n = n * 10 + (text.p[i] - '0');
    return n;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

/* Since 1970, of the Gregorian calendar. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t days = day - 1;

    for (int m = 1; m < month; m++)
        days += days_of_month(year, m);
    int64_t before = year - 1; /* whole years since the year 1 */
    return days + before * 365 + before / 4 - before / 100 + before / 400 - 719162;
}

/* Z, +01:00 or -01:00, in seconds. */
static bool read_offset(struct str text, int64_t *seconds)
{
    *seconds = 0;
    if (text.n == 1 && (text.p[0] == 'Z' || text.p[0] == 'z'))
        return true;
    if (text.n != 6 || !(has_form(text, "+00:00") || has_form(text, "-00:00")) ||
        number_at(text, 1, 2) > 23 || number_at(text, 4, 2) > 59)
        return false;
    *seconds = number_at(text, 1, 2) * 3600 + number_at(text, 4, 2) * 60;
    if (text.p[0] == '-')
        *seconds = -*seconds;
    return true;
}

static bool read_moment(struct str text, nsec_t *out)
{
    static const char form[] = "0000-00-00T00:00:00";
    size_t at = sizeof form - 1;
    int64_t offset;

    if (!has_form(text, form))
        return false;
    int year = number_at(text, 0, 4), month = number_at(text, 5, 2), day = number_at(text, 8, 2);
    int hour = number_at(text, 11, 2), minute = number_at(text, 14, 2);
    int second = number_at(text, 17, 2);
    if (at + 1 < text.n && text.p[at] == '.' && is_digit(text.p[at + 1]))
        for (at++; at < text.n && is_digit(text.p[at]);) /* parts of a second do not count */
            at++;
    if (year < 1970 || year > 2200 || month < 1 || month > 12 || day < 1 ||
        day > days_of_month(year, month) || hour > 23 || minute > 59 || second > 60 ||
        !read_offset(str_slice(text, at, text.n), &offset))
        return false;
    *out = SECONDS(days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
                   offset);
    return true;
}

bool value_moment(struct str text, nsec_t *out, struct error *err)
{
    char shown[80];
    struct error other = {0};
    nsec_t duration;

    if (read_moment(text, out))
        return true;
    if (value_duration(text, &duration, &other))
        return error_set(err,
                         "%s is a time, and a reload would begin it anew: write the moment itself, "
                         "which date -u -d '+30 min' +%%FT%%TZ prints",
                         value_shown(text, shown));
    return error_set(err, "\"%s\" is no moment, as 2026-12-01T10:00:00Z is",
                     value_shown(text, shown));
}

/* ---- a network ---- */

/* Bits behind the first ones are 0. */
static void clear_rest(struct address *a, unsigned bits, unsigned most)
{
    for (unsigned i = bits; i < most; i++)
        a->ip[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
}

bool value_network(struct str text, struct address *network, unsigned *bits, struct error *err)
{
    size_t slash = str_index(text, '/', 0);
    char shown[80], first[ADDRESS_TEXT_MAX];
    struct address given;
    uint64_t n;

    value_shown(text, shown);
    if (!address_parse_ip(str_slice(text, 0, slash), &given))
        return error_set(err, "\"%s\" is no network, as 10.0.0.0/8 and ::1 are", shown);
    unsigned most = given.family == AF_INET ? 32 : 128;
    n = most;
    if (slash < text.n && (!str_to_u64(str_slice(text, slash + 1, text.n), &n) || n > most))
        return error_set(err, "\"%s\": behind the slash stand bits, 0 to %u", shown, most);
    *network = given;
    *bits = (unsigned)n;
    clear_rest(network, *bits, most);
    if (!address_eq(network, &given)) {
        size_t length = address_format_ip(network, first);
        return error_set(err, "\"%s\" has bits behind its first %u; the network is %.*s/%u", shown,
                         *bits, (int)length, first, *bits);
    }
    return true;
}
