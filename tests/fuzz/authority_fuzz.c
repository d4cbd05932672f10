/*
 * host[:port]: the parts of a text put together again are the text, what is
 * valid has a host and a port that can be dialled, and a list is as good as
 * its members.
 */
#include "base/authority.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_split(struct str text)
{
    struct authority a = authority_split(text);
    struct str bare = authority_bare_host(a.host);

    assert(a.host.n + a.has_port + a.port.n == text.n);
    assert(a.host.n == 0 || a.host.p == text.p);
    assert(!a.has_port || text.p[a.host.n] == ':');
    assert(a.has_port || a.port.n == 0);
    assert(a.port.n == 0 || a.port.p + a.port.n == text.p + text.n);
    assert(bare.n <= a.host.n);
}

static void check_valid(struct str text)
{
    struct authority a = authority_split(text);
    uint16_t number;

    assert(a.host.n > 0 && text.n <= 261);
    assert(a.port.n == 0 || authority_port(a.port, &number));
    for (size_t i = 0; i < text.n; i++)
        assert(text.p[i] > ' ' && text.p[i] < 0x7f && !strchr("@/?#\\\"<>^`{|}", text.p[i]));
    assert(a.host.p[0] == '[' || str_index(a.host, ':', 0) == a.host.n);
    assert(a.host.p[0] != '[' || a.host.p[a.host.n - 1] == ']');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    struct str text = str_of(copy, size), host;
    uint16_t port;

    if (size)
        memcpy(copy, data, size);
    check_split(text);
    if (authority_plain(text, &host, &port))
        assert(authority_valid(text) && str_eq(host, authority_split(text).host));
    if (authority_valid(text))
        check_valid(text);
    if (str_index(text, ',', 0) == text.n)
        assert(authority_list_valid(text) == authority_valid(text));
    free(copy);
    return 0;
}
