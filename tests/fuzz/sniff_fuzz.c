/*
 * The first bytes of a connection: an answer once given holds for whatever
 * follows, and a server's name lies within the bytes.
 */
#include "proxy/sniff.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size};
    struct str part = str_slice(all, 0, size ? data[size - 1] % size : 0);
    enum sniffed early = sniff(part), late = sniff(all);
    bool early_more, late_more;

    if (early != SNIFF_MORE && early != late)
        abort();
    struct str early_name = sniff_sni(part, &early_more);
    struct str name = sniff_sni(all, &late_more);
    if (!early_more && early_name.p && !str_eq(early_name, name))
        abort();
    if (name.p && (name.n == 0 || name.p < all.p || name.p + name.n > all.p + all.n))
        abort();
    return 0;
}
