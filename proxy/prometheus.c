#include "proxy/prometheus.h"

void prometheus_family(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP %s %s.\n# TYPE %s %s\n", name, help, name, type);
}

void prometheus_label(struct buffer *out, const char *name, struct str value)
{
    buffer_printf(out, "%s=\"", name);
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"')
            buffer_add_char(out, '\\');
        if (c == '\n')
            buffer_add_str(out, STR("\\n"));
        else
            buffer_add_char(out, c);
    }
    buffer_add_char(out, '"');
}
