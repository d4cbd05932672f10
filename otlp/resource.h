/*
 * The Resource of every span: whose spans they are (semantic conventions,
 * resource/service). Filled from routes.conf first, then OTEL_SERVICE_NAME,
 * then OTEL_RESOURCE_ATTRIBUTES.
 */
#ifndef SIDESPAN_OTLP_RESOURCE_H
#define SIDESPAN_OTLP_RESOURCE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

struct resource_attribute {
    struct str key, value;
    bool integer; /* value is a decimal number and exported as one */
};
struct resource {
    struct arena arena;
    struct resource_attribute *v; /* in the arena; keys are unique */
    size_t n, cap;
};

void resource_init(struct resource *r);
void resource_release(struct resource *r);
/* Keeps the first value of a key: call it in the order of precedence. Copies; bytes that are not
 * UTF-8 become U+FFFD. An empty value is not added. False: the key was there. */
bool resource_add(struct resource *r, struct str key, struct str value);
struct str resource_get(const struct resource *r, struct str key);
/* k=v,k=v as in OTEL_RESOURCE_ATTRIBUTES: ',' and '=' in a key or a value are percent-encoded. Any
 * error discards the whole and returns false. */
bool resource_add_list(struct resource *r, struct str list);
/* What must be there: service.name (unknown_service:sidespan), service.instance.id (a random UUID),
 * telemetry.sdk.*, telemetry.distro.*, host.name, process.pid. */
void resource_complete(struct resource *r);

#endif
