#include "otlp/resource.h"

#include <stdio.h>
#include <unistd.h>

#include "base/random.h"
#include "otlp/percent.h"
#include "otlp/utf8.h"
#include "propagation/context.h"

void resource_init(struct resource *r)
{
    *r = (struct resource){0};
    arena_init(&r->arena, 0, 0);
}

void resource_release(struct resource *r)
{
    arena_release(&r->arena);
    *r = (struct resource){0};
}

static const struct resource_attribute *find(const struct resource *r, struct str key)
{
    for (size_t i = 0; i < r->n; i++)
        if (str_eq(r->v[i].key, key))
            return &r->v[i];
    return NULL;
}

static bool grow(struct resource *r)
{
    size_t cap = r->cap ? 2 * r->cap : 16;
    struct resource_attribute *v = arena_array(&r->arena, cap, sizeof(*v));

    if (!v)
        return false;
    if (r->n > 0)
        memcpy(v, r->v, r->n * sizeof(*v));
    r->v = v;
    r->cap = cap;
    return true;
}

/* A copy that is valid UTF-8, as all text that is exported must be. */
static struct str keep_text(struct resource *r, struct str text)
{
    if (utf8_is_ascii(text) || utf8_valid(text))
        return arena_dup(&r->arena, text);
    char *repaired = arena_alloc(&r->arena, 3 * text.n);
    return str_of(repaired, repaired ? utf8_repair(text, repaired) : 0);
}

static bool add(struct resource *r, struct str key, struct str value, bool integer)
{
    if (find(r, key))
        return false;
    if (key.n == 0 || value.n == 0 || (r->n == r->cap && !grow(r)))
        return true;

    struct resource_attribute a = {keep_text(r, key), keep_text(r, value), integer};
    if (a.key.p && a.value.p)
        r->v[r->n++] = a;
    return true;
}

bool resource_add(struct resource *r, struct str key, struct str value)
{
    return add(r, key, value, false);
}

struct str resource_get(const struct resource *r, struct str key)
{
    const struct resource_attribute *a = find(r, key);
    return a ? a->value : (struct str){0};
}

/* One half of k=v. False: it cannot be decoded. */
static bool decode(struct resource *r, struct str encoded, struct str *out)
{
    bool valid;
    char *text = arena_alloc(&r->arena, encoded.n + 1);

    if (!text)
        return false;
    *out = str_of(text, percent_decode(encoded, text, &valid));
    return valid && utf8_valid(*out);
}

/* A second '=' would have to be percent-encoded (OpenTelemetry, resource/sdk.md). */
static bool decode_pair(struct resource *r, struct str member, struct resource_attribute *out)
{
    size_t equals = str_index(member, '=', 0);

    if (equals == member.n || str_index(member, '=', equals + 1) != member.n)
        return false;
    return decode(r, str_trim_ows(str_slice(member, 0, equals)), &out->key) && out->key.n > 0 &&
           decode(r, str_trim_ows(str_slice(member, equals + 1, member.n)), &out->value);
}

bool resource_add_list(struct resource *r, struct str list)
{
    struct str rest = list, member;
    struct resource_attribute pair;

    while (str_next_member(&rest, &member)) /* all or nothing: look first */
        if (!decode_pair(r, member, &pair))
            return false;
    rest = list;
    while (str_next_member(&rest, &member))
        if (decode_pair(r, member, &pair))
            resource_add(r, pair.key, pair.value);
    return true;
}

/* RFC 9562 section 5.4: version 4, random. */
static void random_uuid(char out[36])
{
    struct random random;
    random_init(&random);
    uint64_t words[2] = {random_next(&random), random_next(&random)};
    struct trace_id id; /* as many random bytes, written as as many digits */
    char digits[TRACE_ID_HEX];

    memcpy(id.bytes, words, sizeof(id.bytes));
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    trace_id_to_hex(&id, digits);
    for (size_t from = 0, to = 0; from < sizeof(digits); from++) {
        if (from == 8 || from == 12 || from == 16 || from == 20)
            out[to++] = '-';
        out[to++] = digits[from];
    }
}

/* Finding nothing is no error: then the attribute is not there. */
static void detect_host(struct resource *r)
{
    char name[256];

    if (gethostname(name, sizeof(name)) == 0) {
        name[sizeof(name) - 1] = '\0';
        resource_add(r, STR("host.name"), str_from(name));
    }
}

static void detect_process(struct resource *r)
{
    char pid[24];
    int n = snprintf(pid, sizeof(pid), "%ld", (long)getpid());

    add(r, STR("process.pid"), str_of(pid, (size_t)n), true);
}

void resource_complete(struct resource *r)
{
    char uuid[36];

    resource_add(r, STR("service.name"), STR("unknown_service:sidespan"));
    if (!find(r, STR("service.instance.id"))) {
        random_uuid(uuid);
        resource_add(r, STR("service.instance.id"), str_of(uuid, sizeof(uuid)));
    }
    resource_add(r, STR("telemetry.sdk.name"), STR("sidespan"));
    resource_add(r, STR("telemetry.sdk.language"), STR("c"));
    resource_add(r, STR("telemetry.sdk.version"), STR(SIDESPAN_VERSION));
    resource_add(r, STR("telemetry.distro.name"), STR("sidespan"));
    resource_add(r, STR("telemetry.distro.version"), STR(SIDESPAN_VERSION));
    detect_host(r);
    detect_process(r);
}
