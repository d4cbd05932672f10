/*
 * Hosts by name. One map holds every name in a form of its own: "users.shop",
 * ".shop" for "*.shop", and "" for "*", each with ":port" behind it where the
 * name has one.
 */
#include "base/authority.h"
#include "mesh/route.h"

enum { HOST_BYTES_MAX = 255, PORT_BYTES_MAX = 6, PORT_OF_HTTP = 80 };

struct name_entry {
    const struct host *host;
    struct str written;
};

struct host_table {
    struct map names; /* to struct name_entry */
    bool any_ports;   /* a name has a port */
    /* The distinct lengths of the suffixes ("*.shop" counts 5), the longest first. */
    size_t *suffix_lengths;
    size_t n_suffix_lengths;
};

/* A name in the form of the map, on the stack. */
struct key {
    size_t n; /* of the host alone */
    size_t port_n;
    char text[HOST_BYTES_MAX + PORT_BYTES_MAX];
};

/* ---- keys ---- */

/* Lower case, without the dot at the end. False: too long to be any host's name. */
static bool key_set_host(struct key *key, struct str host)
{
    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n > HOST_BYTES_MAX)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        key->text[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    key->n = host.n;
    key->port_n = 0;
    return true;
}

/* Behind the host, in its shortest form. False: not a port. */
static bool key_set_port(struct key *key, struct str port)
{
    uint16_t number = PORT_OF_HTTP;
    char digits[PORT_BYTES_MAX];
    size_t n = 0;

    if (port.n && !authority_port(port, &number))
        return false;
    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    char *at = key->text + key->n;
    *at++ = ':';
    key->port_n = n + 1;
    while (n)
        *at++ = digits[--n];
    return true;
}

/* ---- building ---- */

static bool read_name(struct key *key, struct str written, bool *has_port)
{
    struct authority a = authority_split(written);
    struct str host = a.host;

    if (host.n && host.p[0] == '*') {
        host = str_slice(host, 1, host.n);
        if (host.n == 1 || (host.n && host.p[0] != '.'))
            return false;
    } else if (host.n == 0 || host.p[0] == '.') {
        return false;
    }
    bool literal = host.n && host.p[0] == '[';
    for (size_t i = 0; i < host.n; i++) {
        unsigned char c = (unsigned char)host.p[i];
        if (c <= ' ' || c == 0x7f || c == '*' || c == '/' || c == '@' || (c == ':' && !literal))
            return false;
    }
    *has_port = a.port.n > 0;
    return key_set_host(key, host) && (!*has_port || key_set_port(key, a.port));
}

static bool add_suffix_length(struct host_table *t, size_t length)
{
    size_t at = 0;

    while (at < t->n_suffix_lengths && t->suffix_lengths[at] > length)
        at++;
    if (at < t->n_suffix_lengths && t->suffix_lengths[at] == length)
        return true;
    memmove(t->suffix_lengths + at + 1, t->suffix_lengths + at,
            (t->n_suffix_lengths - at) * sizeof(*t->suffix_lengths));
    t->suffix_lengths[at] = length;
    t->n_suffix_lengths++;
    return true;
}

static bool add_name(struct host_table *t, struct arena *arena, const struct host *host,
                     struct str written, struct error *err)
{
    struct key key;
    bool has_port;

    if (!read_name(&key, written, &has_port))
        return error_at(err, host->at,
                        "\"%.*s\" is not the name of a host: write users.shop, *.shop or *, "
                        "with or without a :port",
                        STR_ARG(written));
    struct name_entry *entry = arena_alloc(arena, sizeof(*entry));
    struct str text = arena_dup(arena, str_of(key.text, key.n + key.port_n));
    if (!entry || !text.p)
        return error_no_memory(err);
    *entry = (struct name_entry){host, written};
    if (!map_add(&t->names, text, entry)) {
        if (t->names.failed)
            return error_no_memory(err);
        const struct name_entry *first = map_get(&t->names, text);
        return error_at(err, host->at, "host name \"%.*s\" stands twice; the first is in line %u",
                        STR_ARG(written), first->host->at.line);
    }
    t->any_ports |= has_port;
    return key.n == 0 || key.text[0] != '.' || add_suffix_length(t, key.n);
}

struct host_table *host_table_new(struct arena *arena, struct host *const *hosts, size_t n,
                                  struct error *err)
{
    struct host_table *t = arena_zalloc(arena, sizeof(*t));
    size_t names = 0;

    for (size_t i = 0; i < n; i++)
        names += hosts[i]->n_names;
    if (t)
        t->suffix_lengths = arena_array(arena, names, sizeof(*t->suffix_lengths));
    if (!t || !t->suffix_lengths) {
        error_no_memory(err);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < hosts[i]->n_names; j++) {
            if (!add_name(t, arena, hosts[i], hosts[i]->names[j], err)) {
                host_table_release(t);
                return NULL;
            }
        }
    }
    return t;
}

void host_table_release(struct host_table *t)
{
    if (t)
        map_release(&t->names);
}

/* ---- finding ---- */

/* The name key.text[from..], with the port first. */
static const struct name_entry *find_from(const struct host_table *t, const struct key *key,
                                          size_t from)
{
    const struct name_entry *entry = NULL;

    if (key->port_n)
        entry = map_get(&t->names, str_of(key->text + from, key->n + key->port_n - from));
    return entry ? entry : map_get(&t->names, str_of(key->text + from, key->n - from));
}

static const struct name_entry *find_entry(const struct host_table *t, struct str authority)
{
    struct key key;
    struct authority a = authority_split(authority);
    const struct name_entry *entry;
    uint16_t port;

    /* Several with commas between (grpc-core's list of addresses) are nobody's name. */
    if (str_index(authority, ',', 0) < authority.n ||
        (a.port.n && !authority_port(a.port, &port)) || !key_set_host(&key, a.host))
        key.n = key.port_n = 0;
    if (t->any_ports && !key_set_port(&key, a.port))
        key.port_n = 0;
    if (key.n && key.text[0] != '.') {
        entry = find_from(t, &key, 0);
        if (entry)
            return entry;
    }
    for (size_t i = 0; i < t->n_suffix_lengths; i++) {
        size_t length = t->suffix_lengths[i];
        if (key.n <= length || key.text[key.n - length] != '.')
            continue;
        entry = find_from(t, &key, key.n - length);
        if (entry)
            return entry;
    }
    return find_from(t, &key, key.n);
}

const struct host *host_table_find(const struct host_table *t, struct str authority)
{
    const struct name_entry *entry = find_entry(t, authority);

    return entry ? entry->host : NULL;
}

struct str host_table_name_for(const struct host_table *t, struct str authority)
{
    const struct name_entry *entry = find_entry(t, authority);

    return entry ? entry->written : str_of(NULL, 0);
}
