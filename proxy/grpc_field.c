#include "proxy/grpc_field.h"

#include "otlp/utf8.h"
#include "proxy/codec.h"

/* ---- grpc-timeout ---- */

enum { DIGITS_MAX = 8, VALUE_MAX = 99999999 };

static const nsec_t longest = SECONDS(10ll * 365 * 24 * 3600);

/* The finest first. */
static const struct unit {
    char letter;
    nsec_t size;
} units[] = {
    {'n', 1},          {'u', 1000},        {'m', MILLISECONDS(1)},
    {'S', SECONDS(1)}, {'M', SECONDS(60)}, {'H', SECONDS(3600)},
};
enum { UNITS = sizeof units / sizeof units[0] };

static const struct unit *find_unit(char letter)
{
    for (size_t i = 0; i < UNITS; i++)
        if (units[i].letter == letter)
            return &units[i];
    return NULL;
}

bool grpc_timeout_read(struct str value, nsec_t *timeout)
{
    const struct unit *unit = value.n ? find_unit(value.p[value.n - 1]) : NULL;
    nsec_t n = 0;

    if (!unit || value.n < 2 || value.n - 1 > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < value.n - 1; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
        n = 10 * n + (value.p[i] - '0');
    }
    *timeout = n > longest / unit->size ? longest : n * unit->size;
    return true;
}

size_t grpc_timeout_write(nsec_t timeout, char out[GRPC_TIMEOUT_TEXT_MAX])
{
    const struct unit *unit = units;
    char digits[DIGITS_MAX];
    nsec_t value;
    size_t n = 0;

    while (timeout / unit->size > VALUE_MAX && unit < &units[UNITS - 1])
        unit++;
    value = timeout / unit->size;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value && n < DIGITS_MAX);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    out[n] = unit->letter;
    return n + 1;
}

/* ---- grpc-status ---- */

enum grpc_status grpc_status_read(struct str value)
{
    uint64_t code;

    if (!str_to_u64(value, &code) || code > GRPC_STATUS_MAX)
        return GRPC_UNKNOWN;
    return (enum grpc_status)code;
}

/* ---- grpc-message ---- */

size_t grpc_message_write(struct str text, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    /* At the end of out, so that what is written never reaches what is still to be read. */
    char *raw = out + 6 * text.n;
    size_t n = utf8_repair(text, raw), at = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)raw[i];

        if (c >= 0x20 && c <= 0x7e && c != '%') {
            out[at++] = (char)c;
            continue;
        }
        out[at++] = '%';
        out[at++] = hex[c >> 4];
        out[at++] = hex[c & 15];
    }
    return at;
}

/* ---- the end of a stream ---- */

enum grpc_status grpc_status_of_stream(uint32_t code)
{
    enum { INADEQUATE_SECURITY = 12 };

    switch (code) {
    case STREAM_REFUSED:
        return GRPC_UNAVAILABLE;
    case STREAM_CANCEL:
        return GRPC_CANCELLED;
    case STREAM_ENHANCE_YOUR_CALM:
        return GRPC_RESOURCE_EXHAUSTED;
    case INADEQUATE_SECURITY:
        return GRPC_PERMISSION_DENIED;
    default:
        return GRPC_INTERNAL;
    }
}
