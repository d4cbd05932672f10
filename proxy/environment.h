/*
 * What the OTEL_* variables say where routes.conf does not (OpenTelemetry,
 * configuration/sdk-environment-variables.md, protocol/exporter.md). A value
 * that cannot be used is warned of and ignored; nothing here stops a start.
 */
#ifndef SIDESPAN_PROXY_ENVIRONMENT_H
#define SIDESPAN_PROXY_ENVIRONMENT_H

#include "mesh/config.h"
#include "otlp/resource.h"
#include "otlp/sampler.h"

/*
 * Completes a config that was just loaded and that nobody else holds yet: its
 * exporters, propagators, conventions, batch and trace.disabled, in its arena. *sampler is
 * what the file or else the environment wants. What came from the environment
 * is appended to config->text as comments.
 *
 * With an OTLP or console exporter from the environment the spans are kept in
 * memory as well, as without one; with OTEL_TRACES_EXPORTER=none they are not.
 *
 * get NULL: getenv(3). warnings (the place's file is the variable) may be NULL.
 */
void environment_apply(struct config *config, const char *(*get)(const char *name),
                       struct sampler *sampler, struct errors *warnings);

/* Initialises *out and fills it: the file's service, then OTEL_SERVICE_NAME, then
 * OTEL_RESOURCE_ATTRIBUTES, then what must be there. The caller releases it. get as above. */
void environment_resource_from(const struct config *config, const char *(*get)(const char *name),
                               struct resource *out);
void environment_resource(const struct config *config, struct resource *out);

#endif
