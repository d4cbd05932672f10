#include "otlp/encode.h"

#include <stdlib.h>

#include "otlp/copy.h"
#include "otlp/utf8.h"
#include "trace_service.pb-c.h"

typedef Opentelemetry__Proto__Common__V1__AnyValue AnyValue;
typedef Opentelemetry__Proto__Common__V1__KeyValue KeyValue;
typedef Opentelemetry__Proto__Common__V1__InstrumentationScope InstrumentationScope;
typedef Opentelemetry__Proto__Resource__V1__Resource Resource;

/* A protobuf field's tag: its number and how its length is told. */
enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };
#define TAG(number, wire) ((number) << 3 | (wire))

enum { VARINT_MAX = 10, LENGTH_MAX = 5 };

/* Seven bits a byte: 9/64 is close enough to 1/7 for up to 64 bits, and needs no division. */
static inline size_t varint_bytes(uint64_t v)
{
    return ((size_t)(63 - __builtin_clzll(v | 1)) * 9 + 73) / 64;
}

static inline char *put_varint(char *at, uint64_t v)
{
    while (__builtin_expect(v >= 0x80, 0)) {
        *at++ = (char)(v | 0x80);
        v >>= 7;
    }
    *at++ = (char)v;
    return at;
}

/* Protobuf is little-endian, and so is every machine that this is built for. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fixed fields are copied as they are");

static inline char *put_fixed64(char *at, uint64_t v)
{
    memcpy(at, &v, sizeof(v));
    return at + sizeof(v);
}

static inline char *put_double(char *at, double v)
{
    memcpy(at, &v, sizeof(v));
    return at + sizeof(v);
}

static inline char *put_fixed32(char *at, uint32_t v)
{
    memcpy(at, &v, sizeof(v));
    return at + sizeof(v);
}

static inline char *put_text(char *at, int tag, struct str s)
{
    *at++ = (char)tag;
    at = put_varint(at, s.n);
    return copy_bytes(at, s.p, s.n);
}

static inline char *put_id(char *at, int tag, const uint8_t *id, size_t n)
{
    *at++ = (char)tag;
    *at++ = (char)n;
    memcpy(at, id, n);
    return at + n;
}

/* Of a field of text, with a tag of one byte. */
static inline size_t text_bytes(struct str s)
{
    return 1 + varint_bytes(s.n) + s.n;
}

/* AnyValue: 1 string, 2 bool, 3 int64, 4 double, 5 array {1 values}. */
static size_t strings_bytes(const struct attribute *a)
{
    size_t sum = 0;

    for (size_t i = 0; i < a->value.strings.n; i++) {
        size_t value = text_bytes(a->value.strings.v[i]);
        sum += 1 + varint_bytes(value) + value;
    }
    return sum;
}

static inline size_t value_bytes(const struct attribute *a)
{
    switch (a->type) {
    case ATTRIBUTE_STRING:
        return text_bytes(a->value.string);
    case ATTRIBUTE_INT:
        return 1 + varint_bytes((uint64_t)a->value.integer);
    case ATTRIBUTE_DOUBLE:
        return 1 + sizeof(double);
    case ATTRIBUTE_BOOL:
        return 2;
    case ATTRIBUTE_STRINGS: {
        size_t strings = strings_bytes(a);
        return 1 + varint_bytes(strings) + strings;
    }
    }
    return 0;
}

static char *put_strings(char *at, const struct attribute *a)
{
    *at++ = TAG(5, LENGTH);
    at = put_varint(at, strings_bytes(a));
    for (size_t i = 0; i < a->value.strings.n; i++) {
        *at++ = TAG(1, LENGTH);
        at = put_varint(at, text_bytes(a->value.strings.v[i]));
        at = put_text(at, TAG(1, LENGTH), a->value.strings.v[i]);
    }
    return at;
}

static inline char *put_value(char *at, const struct attribute *a)
{
    switch (a->type) {
    case ATTRIBUTE_STRING:
        return put_text(at, TAG(1, LENGTH), a->value.string);
    case ATTRIBUTE_INT:
        *at++ = TAG(3, VARINT);
        return put_varint(at, (uint64_t)a->value.integer);
    case ATTRIBUTE_DOUBLE:
        *at++ = TAG(4, FIXED64);
        return put_double(at, a->value.number);
    case ATTRIBUTE_BOOL:
        *at++ = TAG(2, VARINT);
        *at++ = a->value.boolean;
        return at;
    case ATTRIBUTE_STRINGS:
        return put_strings(at, a);
    }
    return at;
}

/* A KeyValue {1 key, 2 value} as field 9 of Span. */
static char *put_long_attribute(char *at, const struct attribute *a)
{
    size_t value = value_bytes(a);

    *at++ = TAG(9, LENGTH);
    at = put_varint(at, text_bytes(a->key) + 1 + varint_bytes(value) + value);
    at = put_text(at, TAG(1, LENGTH), a->key);
    *at++ = TAG(2, LENGTH);
    at = put_varint(at, value);
    return put_value(at, a);
}

/* Where all lengths take one byte, as nearly always, they are filled in when they are known. */
static inline char *put_attribute(char *at, const struct attribute *a)
{
    enum { SHORT_MAX = 100 };
    size_t text = a->key.n + (a->type == ATTRIBUTE_STRING ? a->value.string.n : 0);

    if (__builtin_expect(text > SHORT_MAX || a->type == ATTRIBUTE_STRINGS, 0))
        return put_long_attribute(at, a);
    char *pair = at, *value;
    pair[0] = TAG(9, LENGTH);
    pair[2] = TAG(1, LENGTH);
    pair[3] = (char)a->key.n;
    value = copy_bytes(pair + 4, a->key.p, a->key.n);
    value[0] = TAG(2, LENGTH);
    at = put_value(value + 2, a);
    value[1] = (char)(at - value - 2);
    pair[1] = (char)(at - pair - 2);
    return at;
}

/* Status {2 message, 3 code} as field 15 of Span; nothing where it is unset. */
static char *put_status(char *at, const struct described_span *d)
{
    if (d->status == STATUS_UNSET)
        return at;
    size_t message = d->status_message.n ? text_bytes(d->status_message) : 0;
    *at++ = TAG(15, LENGTH);
    at = put_varint(at, message + 2);
    if (message)
        at = put_text(at, TAG(2, LENGTH), d->status_message);
    *at++ = TAG(3, VARINT);
    *at++ = (char)d->status;
    return at;
}

static char *put_span(char *at, const struct span *s, const struct described_span *d)
{
    at = put_id(at, TAG(1, LENGTH), s->trace_id.bytes, sizeof(s->trace_id.bytes));
    at = put_id(at, TAG(2, LENGTH), s->span_id.bytes, sizeof(s->span_id.bytes));
    if (s->text[SPAN_TRACESTATE].n && utf8_is_ascii(s->text[SPAN_TRACESTATE]))
        at = put_text(at, TAG(3, LENGTH), s->text[SPAN_TRACESTATE]);
    if (!span_id_is_zero(&s->parent_span_id))
        at = put_id(at, TAG(4, LENGTH), s->parent_span_id.bytes, sizeof(s->parent_span_id.bytes));
    at = put_text(at, TAG(5, LENGTH), d->name);
    *at++ = TAG(6, VARINT);
    *at++ = (char)s->kind;
    *at++ = TAG(7, FIXED64);
    at = put_fixed64(at, (uint64_t)s->start);
    *at++ = TAG(8, FIXED64);
    at = put_fixed64(at, span_end(s));
    for (size_t i = 0; i < d->n; i++)
        at = put_attribute(at, &d->v[i]);
    if (s->n_dropped_extras) {
        *at++ = TAG(10, VARINT);
        at = put_varint(at, s->n_dropped_extras);
    }
    at = put_status(at, d);
    at = put_varint(at, TAG(16, FIXED32));
    return put_fixed32(at, span_otlp_flags(s));
}

/* Above what one attribute, and all of a span but its attributes, need besides their text. */
enum { ATTRIBUTE_OVERHEAD_MAX = 32, SPAN_OVERHEAD_MAX = 160 };

static size_t span_bytes_max(const struct span *s, const struct described_span *d)
{
    size_t n = SPAN_OVERHEAD_MAX + s->text[SPAN_TRACESTATE].n + d->name.n + d->status_message.n;

    for (size_t i = 0; i < d->n; i++) {
        const struct attribute *a = &d->v[i];
        n += ATTRIBUTE_OVERHEAD_MAX + a->key.n;
        if (a->type == ATTRIBUTE_STRING)
            n += a->value.string.n;
        else if (a->type == ATTRIBUTE_STRINGS)
            n += strings_bytes(a);
    }
    return n;
}

bool encode_span(const struct span *s, const struct described_span *d, struct buffer *out)
{
    if (!buffer_reserve(out, span_bytes_max(s, d)))
        return false;

    /* The length comes first and is known last. Nearly every span's takes two bytes. */
    enum { LENGTH_GUESS = 2 };
    char *start = out->p + out->n;
    char *body = start + 1 + LENGTH_GUESS;
    size_t n = (size_t)(put_span(body, s, d) - body);
    size_t length_bytes = varint_bytes(n);

    if (length_bytes != LENGTH_GUESS)
        memmove(start + 1 + length_bytes, body, n);
    *start = TAG(2, LENGTH);
    put_varint(start + 1, n);
    out->n += 1 + length_bytes + n;
    return true;
}

/* Packs a message as the field `number` of the one around it. */
static bool put_message(struct buffer *out, int number, const ProtobufCMessage *message)
{
    size_t n = protobuf_c_message_get_packed_size(message);

    if (!buffer_reserve(out, 1 + VARINT_MAX + n))
        return false;
    char *at = out->p + out->n;
    *at++ = (char)TAG(number, LENGTH);
    at = put_varint(at, n);
    at += protobuf_c_message_pack(message, (uint8_t *)at);
    out->n = (size_t)(at - out->p);
    return true;
}

static bool put_schema_url(struct buffer *out)
{
    struct str url = STR(OTLP_SCHEMA_URL);

    if (!buffer_reserve(out, 1 + VARINT_MAX + url.n))
        return false;
    out->n = (size_t)(put_text(out->p + out->n, TAG(3, LENGTH), url) - out->p);
    return true;
}

/* One attribute of a Resource with the value it points at. */
struct resource_entry {
    KeyValue pair;
    AnyValue value;
};

static void fill_entry(struct resource_entry *e, const struct resource_attribute *a)
{
    uint64_t number;

    opentelemetry__proto__common__v1__key_value__init(&e->pair);
    opentelemetry__proto__common__v1__any_value__init(&e->value);
    e->pair.key = (char *)a->key.p; /* in an arena, a NUL behind it */
    e->pair.value = &e->value;
    if (a->integer && str_to_u64(a->value, &number)) {
        e->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE;
        e->value.int_value = (int64_t)number;
    } else {
        e->value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        e->value.string_value = (char *)a->value.p;
    }
}

static bool pack_resource(struct buffer *out, const struct resource *resource)
{
    struct resource_entry *entries = calloc(resource->n + 1, sizeof(*entries));
    KeyValue **pairs = calloc(resource->n + 1, sizeof(KeyValue *));
    bool packed = false;

    if (entries && pairs) {
        for (size_t i = 0; i < resource->n; i++) {
            fill_entry(&entries[i], &resource->v[i]);
            pairs[i] = &entries[i].pair;
        }
        Resource message;
        opentelemetry__proto__resource__v1__resource__init(&message);
        message.n_attributes = resource->n;
        message.attributes = pairs;
        packed = put_message(out, 1, &message.base);
    }
    free(pairs);
    free(entries);
    return packed;
}

static bool pack_scope(struct buffer *out)
{
    InstrumentationScope scope;

    opentelemetry__proto__common__v1__instrumentation_scope__init(&scope);
    scope.name = (char *)OTLP_SCOPE_NAME;
    scope.version = (char *)SIDESPAN_VERSION;
    return put_message(out, 1, &scope.base);
}

bool envelope_init(struct envelope *e, const struct resource *resource)
{
    buffer_init(&e->resource, 0);
    buffer_init(&e->scope, 0);
    return pack_resource(&e->resource, resource) && put_schema_url(&e->resource) &&
           pack_scope(&e->scope) && put_schema_url(&e->scope);
}

void envelope_release(struct envelope *e)
{
    buffer_release(&e->resource);
    buffer_release(&e->scope);
}

size_t envelope_room(const struct envelope *e)
{
    return 2 * (1 + VARINT_MAX) + e->resource.n + e->scope.n;
}

/* resource_spans: 1 of the request; scope_spans: 2 of ResourceSpans. */
size_t envelope_put(const struct envelope *e, char *spans, size_t n_bytes)
{
    size_t scope_n = e->scope.n + n_bytes;
    size_t resource_n = e->resource.n + 1 + varint_bytes(scope_n) + scope_n;
    size_t before = 1 + varint_bytes(resource_n) + resource_n - n_bytes;
    char *at = spans - before;

    *at++ = TAG(1, LENGTH);
    at = put_varint(at, resource_n);
    memcpy(at, e->resource.p, e->resource.n);
    at += e->resource.n;
    *at++ = TAG(2, LENGTH);
    at = put_varint(at, scope_n);
    memcpy(at, e->scope.p, e->scope.n);
    return before;
}
