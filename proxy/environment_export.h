/*
 * The exporters that OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_* ask for.
 */
#ifndef SIDESPAN_PROXY_ENVIRONMENT_EXPORT_H
#define SIDESPAN_PROXY_ENVIRONMENT_EXPORT_H

#include "proxy/environment_value.h"

/* Replaces the exporters of e->config, whose file has no `export`, where the environment asks for
 * any; the one in memory stays beside them unless none is asked for. */
void environment_exports(struct environment *e);

#endif
