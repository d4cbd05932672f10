#include "proxy/environment_value.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "mesh/value.h"

void environment_warn(struct environment *e, const char *name, const char *format, ...)
{
    char text[sizeof(((struct error *)NULL)->text)];
    va_list args;

    if (!e->warnings)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    errors_add(e->warnings, (struct place){.file = name}, "%s", text);
}

struct str environment_text(const struct environment *e, const char *name)
{
    return str_trim_ows(str_from(e->get(name)));
}

bool environment_true(struct environment *e, const char *name)
{
    struct str text = environment_text(e, name);
    char shown[80];

    if (text.n == 0 || str_eq_nocase(text, STR("false")))
        return false;
    if (str_eq_nocase(text, STR("true")))
        return true;
    environment_warn(e, name, "\"%s\" is neither true nor false and counts as false",
                     value_shown(text, shown));
    return false;
}

bool environment_number(struct environment *e, const char *name, uint64_t min, uint64_t *out)
{
    struct str text = environment_text(e, name);
    uint64_t n;
    char shown[80];

    if (text.n == 0)
        return false;
    if (!str_to_u64(text, &n) || n < min || n > INT32_MAX) {
        environment_warn(e, name,
                         "\"%s\" is not a whole number from %" PRIu64
                         " to 2147483647; the default is used",
                         value_shown(text, shown), min);
        return false;
    }
    *out = n;
    return true;
}

bool environment_duration(struct environment *e, const char *name, nsec_t *out)
{
    uint64_t ms;

    if (!environment_number(e, name, 0, &ms))
        return false;
    *out = ms > 0 ? MILLISECONDS(ms) : SECONDS(24 * 3600);
    return true;
}
