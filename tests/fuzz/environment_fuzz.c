/*
 * The variables OTEL_*, one NAME=VALUE a line: whatever they say, what comes of
 * them could have been said in the file, and the resource names its service.
 */
#include "proxy/environment.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *lines; /* each ended by a NUL; an empty one is the last */

static const char *get(const char *name)
{
    size_t n = strlen(name);

    for (const char *line = lines; *line; line += strlen(line) + 1)
        if (strncmp(line, name, n) == 0 && line[n] == '=')
            return line + n + 1;
    return NULL;
}

/* Empty lines are left out, for the first one ends the list. */
static void set_lines(const uint8_t *data, size_t size)
{
    size_t n = 0;

    lines = malloc(size + 2);
    for (size_t i = 0; i < size; i++) {
        char c = data[i] == '\n' ? '\0' : (char)data[i];
        if (c || (n && lines[n - 1]))
            lines[n++] = c;
    }
    lines[n] = lines[n + 1] = '\0';
    if (n == 0 || !lines[n - 1])
        lines[n] = '\0';
}

static void check_export(const struct export_config *e)
{
    bool remote = e->kind == EXPORT_OTLP_GRPC || e->kind == EXPORT_OTLP_HTTP;

    assert(!remote || (e->to.text.n > 0 && e->authority.n > 0 && e->timeout > 0));
    assert(e->kind != EXPORT_OTLP_HTTP || (e->path.n > 0 && e->path.p[0] == '/'));
    for (size_t i = 0; i < e->n_headers; i++) {
        assert(e->headers[i].key.n > 0);
        assert(!memchr(e->headers[i].value.p ? e->headers[i].value.p : "", '\n',
                       e->headers[i].value.n));
    }
}

static void check(const struct config *c, const struct sampler *sampler)
{
    const struct trace_config *t = &c->trace;

    for (size_t i = 0; i < t->n_exports; i++)
        check_export(&t->exports[i]);
    assert(t->batch.queue > 0 && t->batch.size > 0 && t->batch.size <= t->batch.queue);
    assert(t->batch.delay >= 0 && t->batch.timeout >= 0);
    assert(t->propagators.n <= PROPAGATOR_COUNT);
    (void)sampler;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str text =
        STR_INIT("inbound { listen 127.0.0.1:0; route / { to 127.0.0.1:3000; } }");
    struct errors errors = {0}, warnings = {0};
    struct sampler sampler;
    struct resource resource;

    set_lines(data, size);
    struct config *c = config_parse("f.conf", text, get, &errors);
    assert(c);
    environment_apply(c, get, &sampler, &warnings);
    check(c, &sampler);
    environment_resource_from(c, get, &resource);
    assert(resource_get(&resource, STR("service.name")).n > 0);
    resource_release(&resource);
    errors_release(&errors);
    errors_release(&warnings);
    config_unref(c);
    free(lines);
    return 0;
}
