#include "otlp/percent.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t percent_decode(struct str s, char *out, bool *valid)
{
    size_t n = 0;

    *valid = true;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '%') {
            out[n++] = s.p[i];
            continue;
        }
        int high = i + 2 < s.n ? digit(s.p[i + 1]) : -1;
        int low = i + 2 < s.n ? digit(s.p[i + 2]) : -1;
        if (high < 0 || low < 0) {
            *valid = false;
            out[n++] = '%';
            continue;
        }
        out[n++] = (char)(high * 16 + low);
        i += 2;
    }
    return n;
}
