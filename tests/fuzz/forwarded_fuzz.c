/*
 * A Forwarded field: whatever comes, what is told of it lies within it.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_within(struct str part, const char *p, size_t n)
{
    assert(part.n == 0 || (part.p >= p && part.n <= n && part.p + part.n <= p + n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    struct forwarded f;

    if (size)
        memcpy(copy, data, size);
    f = forwarded_first(str_of(copy, size));
    check_within(f.node, copy, size);
    check_within(f.host, copy, size);
    check_within(f.proto, copy, size);
    free(copy);
    return 0;
}
