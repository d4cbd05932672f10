#include "otlp/span_json.h"

#include <jansson.h>
#include <stdio.h>

#include "otlp/encode.h"
#include "otlp/utf8.h"

static json_t *text(struct str s)
{
    return json_stringn(s.n ? s.p : "", s.n);
}

static json_t *number_text(uint64_t v)
{
    return json_sprintf("%llu", (unsigned long long)v);
}

static json_t *array_value(const struct attribute *a)
{
    json_t *values = json_array();

    for (size_t i = 0; i < a->value.strings.n; i++)
        json_array_append_new(values,
                              json_pack("{s:o}", "stringValue", text(a->value.strings.v[i])));
    return json_pack("{s:{s:o}}", "arrayValue", "values", values);
}

static json_t *value_json(const struct attribute *a)
{
    switch (a->type) {
    case ATTRIBUTE_STRING:
        return json_pack("{s:o}", "stringValue", text(a->value.string));
    case ATTRIBUTE_INT:
        return json_pack("{s:o}", "intValue", json_sprintf("%lld", (long long)a->value.integer));
    case ATTRIBUTE_DOUBLE:
        return json_pack("{s:f}", "doubleValue", a->value.number);
    case ATTRIBUTE_BOOL:
        return json_pack("{s:b}", "boolValue", a->value.boolean);
    case ATTRIBUTE_STRINGS:
        return array_value(a);
    }
    return NULL;
}

static json_t *attributes_json(const struct attribute *v, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            list, json_pack("{s:o,s:o}", "key", text(v[i].key), "value", value_json(&v[i])));
    return list;
}

static json_t *status_json(const struct described_span *d)
{
    json_t *status = json_object();

    if (d->status != STATUS_UNSET)
        json_object_set_new(status, "code", json_integer(d->status));
    if (d->status_message.n)
        json_object_set_new(status, "message", text(d->status_message));
    return status;
}

static json_t *span_json(const struct span *s, const struct described_span *d)
{
    json_t *o = json_object();
    char hex[TRACE_ID_HEX];

    trace_id_to_hex(&s->trace_id, hex);
    json_object_set_new(o, "traceId", json_stringn(hex, TRACE_ID_HEX));
    span_id_to_hex(&s->span_id, hex);
    json_object_set_new(o, "spanId", json_stringn(hex, SPAN_ID_HEX));
    if (s->text[SPAN_TRACESTATE].n && utf8_is_ascii(s->text[SPAN_TRACESTATE]))
        json_object_set_new(o, "traceState", text(s->text[SPAN_TRACESTATE]));
    if (!span_id_is_zero(&s->parent_span_id)) {
        span_id_to_hex(&s->parent_span_id, hex);
        json_object_set_new(o, "parentSpanId", json_stringn(hex, SPAN_ID_HEX));
    }
    json_object_set_new(o, "flags", json_integer(span_otlp_flags(s)));
    json_object_set_new(o, "name", text(d->name));
    json_object_set_new(o, "kind", json_integer(s->kind));
    json_object_set_new(o, "startTimeUnixNano", number_text((uint64_t)s->start));
    json_object_set_new(o, "endTimeUnixNano", number_text(span_end(s)));
    json_object_set_new(o, "attributes", attributes_json(d->v, d->n));
    if (s->n_dropped_extras)
        json_object_set_new(o, "droppedAttributesCount", json_integer(s->n_dropped_extras));
    json_object_set_new(o, "status", status_json(d));
    return o;
}

static int append(const char *part, size_t n, void *out)
{
    return buffer_add(out, part, n) ? 0 : -1;
}

/* Takes the value. */
static bool dump(json_t *value, unsigned indent, struct buffer *out)
{
    size_t flags = indent ? JSON_INDENT(indent) : JSON_COMPACT;
    bool dumped = value && json_dump_callback(value, append, out, flags) == 0;

    json_decref(value);
    return dumped;
}

bool span_to_json(const struct span *s, const struct described_span *d, unsigned indent,
                  struct buffer *out)
{
    return dump(span_json(s, d), indent, out);
}

static json_t *resource_json(const struct resource *resource)
{
    json_t *list = json_array();

    for (size_t i = 0; i < resource->n; i++) {
        const struct resource_attribute *a = &resource->v[i];
        const char *type = a->integer ? "intValue" : "stringValue";
        json_array_append_new(
            list, json_pack("{s:o,s:{s:o}}", "key", text(a->key), "value", type, text(a->value)));
    }
    return json_pack("{s:o}", "attributes", list);
}

bool traces_json_begin(const struct resource *resource, struct buffer *out)
{
    return buffer_add_str(out, STR("{\"resourceSpans\":[{\"resource\":")) &&
           dump(resource_json(resource), 0, out) &&
           buffer_add_str(out, STR(",\"scopeSpans\":[{\"scope\":{\"name\":\"" OTLP_SCOPE_NAME
                                   "\",\"version\":\"" SIDESPAN_VERSION "\"},\"spans\":["));
}

bool traces_json_end(struct buffer *out)
{
    return buffer_add_str(out, STR("],\"schemaUrl\":\"" OTLP_SCHEMA_URL
                                   "\"}],\"schemaUrl\":\"" OTLP_SCHEMA_URL "\"}]}"));
}
