/*
 * Percent-encoding: what is decoded is never longer than what came; what was
 * encoded is decoded to itself; and where nothing is wrong no '%' is left but
 * an encoded one.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "otlp/percent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_any(struct str text, char *out)
{
    size_t encoded = 0;
    bool valid;
    size_t n = percent_decode(text, out, &valid);

    for (size_t i = 0; i < text.n; i++)
        encoded += text.p[i] == '%';
    assert(n <= text.n);
    assert(!valid || n == text.n - 2 * encoded);
    assert(encoded > 0 || (valid && n == text.n && memcmp(out, text.p, n) == 0));
}

/* Each byte as %XX. */
static void check_encoded(const uint8_t *data, size_t size, char *text, char *out)
{
    static const char digits[2][17] = {"0123456789abcdef", "0123456789ABCDEF"};
    bool valid;

    for (size_t i = 0; i < size; i++) {
        text[3 * i] = '%';
        text[3 * i + 1] = digits[i % 2][data[i] >> 4];
        text[3 * i + 2] = digits[i % 2][data[i] & 15];
    }
    assert(percent_decode(str_of(text, 3 * size), out, &valid) == size);
    assert(valid && memcmp(out, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1), *text = malloc(3 * size + 1), *out = malloc(3 * size + 1);

    if (size > 0)
        memcpy(copy, data, size);
    check_any(str_of(copy, size), out);
    if (size > 0)
        check_encoded(data, size, text, out);
    free(copy);
    free(text);
    free(out);
    return 0;
}
