#include "proxy/environment_export.h"

#include <stdio.h>

#include "base/authority.h"
#include "mesh/value.h"
#include "otlp/percent.h"

/* A variable of the OTLP exporter: the one for traces beats the one for all signals. */
struct signal_names {
    const char *traces, *general;
};
#define SIGNAL(suffix)                                                    \
    {                                                                     \
        "OTEL_EXPORTER_OTLP_TRACES_" suffix, "OTEL_EXPORTER_OTLP_" suffix \
    }
static const struct signal_names endpoint_names = SIGNAL("ENDPOINT"),
                                 protocol_names = SIGNAL("PROTOCOL"),
                                 timeout_names = SIGNAL("TIMEOUT"),
                                 headers_names = SIGNAL("HEADERS"),
                                 compression_names = SIGNAL("COMPRESSION"),
                                 insecure_names = SIGNAL("INSECURE"),
                                 ca_names = SIGNAL("CERTIFICATE"), key_names = SIGNAL("CLIENT_KEY"),
                                 certificate_names = SIGNAL("CLIENT_CERTIFICATE");

/* The name of the two that is set. */
static const char *name_set(const struct environment *e, struct signal_names names)
{
    return environment_text(e, names.traces).n > 0 ? names.traces : names.general;
}

static struct str signal_text(const struct environment *e, struct signal_names names)
{
    return environment_text(e, name_set(e, names));
}

static bool word_is(struct str text, const char *word)
{
    return str_eq_nocase(text, str_from(word));
}

/* ---- where to ---- */

static enum export_kind read_protocol(struct environment *e)
{
    struct str text = signal_text(e, protocol_names);
    const char *name = name_set(e, protocol_names);
    char shown[80];

    if (word_is(text, "grpc"))
        return EXPORT_OTLP_GRPC;
    if (word_is(text, "http/json"))
        environment_warn(e, name, "http/json is not supported; http/protobuf is used");
    else if (text.n > 0 && !word_is(text, "http/protobuf"))
        environment_warn(e, name, "\"%s\" is not known; http/protobuf is used",
                         value_shown(text, shown));
    return EXPORT_OTLP_HTTP;
}

/* scheme://authority[/path]; scheme is empty where there is none. False: what is left is no URL. */
struct url {
    struct str scheme, authority, path;
};
static bool url_split(struct str text, struct url *out)
{
    size_t colon = str_index(text, ':', 0);
    struct str rest = text;

    *out = (struct url){0};
    if (str_starts(str_slice(text, colon, text.n), STR("://"))) {
        out->scheme = str_slice(text, 0, colon);
        rest = str_slice(text, colon + 3, text.n);
    }
    size_t slash = str_index(rest, '/', 0);
    out->authority = str_slice(rest, 0, slash);
    out->path = str_slice(rest, slash, rest.n);
    return out->authority.n > 0 && str_index(rest, '?', 0) == rest.n &&
           str_index(rest, '#', 0) == rest.n && str_index(rest, '@', 0) == rest.n &&
           value_is_text(rest) && str_index(rest, ' ', 0) == rest.n;
}

/* http and https; gRPC may also go without a scheme, and then _INSECURE counts. */
static bool read_scheme(struct environment *e, struct str scheme, struct export_config *x)
{
    if (word_is(scheme, "http") || word_is(scheme, "grpc"))
        x->tls = false;
    else if (word_is(scheme, "https") || word_is(scheme, "grpcs"))
        x->tls = true;
    else if (scheme.n == 0 && x->kind == EXPORT_OTLP_GRPC)
        x->tls = !environment_true(e, name_set(e, insecure_names));
    else
        return false;
    return true;
}

/* The general endpoint is a base to which the signal's path is joined; the one for traces is used
 * as it is. */
static struct str make_path(struct environment *e, struct str path, bool as_is)
{
    struct arena *arena = &e->config->arena;

    while (!as_is && path.n > 0 && path.p[path.n - 1] == '/')
        path.n--;
    if (as_is)
        return path.n > 0 ? arena_dup(arena, path) : STR("/");
    return arena_printf(arena, "%.*s/v1/traces", STR_ARG(path));
}

static bool read_location(struct environment *e, const struct url *url, struct export_config *x)
{
    struct arena *arena = &e->config->arena;
    struct error err = {0};
    struct str place = url->authority;

    if (!authority_split(place).has_port)
        place = arena_printf(arena, "%.*s:%s", STR_ARG(place), x->tls ? "443" : "80");
    x->authority = arena_dup(arena, url->authority);
    return value_location(place, ADDRESS_TO_REACH, arena, &x->to, &err) && x->to.text.p &&
           x->authority.p;
}

static bool read_endpoint(struct environment *e, struct export_config *x)
{
    const char *name = name_set(e, endpoint_names);
    struct str text = environment_text(e, name);
    bool grpc = x->kind == EXPORT_OTLP_GRPC;
    struct url url;

    if (text.n == 0)
        text = grpc ? STR("http://localhost:4317") : STR("http://localhost:4318");
    if (!url_split(text, &url) || !read_scheme(e, url.scheme, x) || !read_location(e, &url, x)) {
        environment_warn(e, name,
                         "not a usable endpoint, so no spans are sent there; write it as "
                         "http://HOST:PORT or https://HOST:PORT");
        return false;
    }
    if (!grpc)
        x->path = make_path(e, url.path, name == endpoint_names.traces);
    x->url = x->shown = arena_dup(&e->config->arena, text);
    if (x->url.p)
        export_hide_path(x, &e->config->arena);
    return x->url.p && (grpc || x->path.p);
}

/* ---- how ---- */

/* One k=v, the value percent-encoded. False: left out. */
static bool read_header(struct environment *e, struct str member, struct key_value *out)
{
    size_t equals = str_index(member, '=', 0);
    struct str value = str_trim_ows(str_slice(member, equals + 1, member.n));
    char *decoded = arena_alloc(&e->config->arena, value.n + 1);
    bool valid = false;

    out->key = arena_dup(&e->config->arena, str_trim_ows(str_slice(member, 0, equals)));
    if (!decoded || !out->key.p || equals == member.n)
        return false;
    out->value = str_of(decoded, percent_decode(value, decoded, &valid));
    return valid && value_is_token(out->key) && value_is_field(out->value);
}

static void read_headers(struct environment *e, struct export_config *x)
{
    struct str rest = signal_text(e, headers_names), member;
    size_t most = 1, number = 0;

    for (size_t i = 0; i < rest.n; i++)
        most += rest.p[i] == ',';
    x->headers = arena_array(&e->config->arena, most, sizeof(*x->headers));
    while (x->headers && str_next_member(&rest, &member)) {
        number++;
        if (read_header(e, member, &x->headers[x->n_headers]))
            x->n_headers++;
        else
            environment_warn(e, name_set(e, headers_names),
                             "entry %zu is not NAME=VALUE with the value percent-encoded and is "
                             "left out",
                             number);
    }
}

static void read_compression(struct environment *e, struct export_config *x)
{
    struct str text = signal_text(e, compression_names);
    char shown[80];

    x->gzip = word_is(text, "gzip");
    if (text.n > 0 && !x->gzip && !word_is(text, "none"))
        environment_warn(e, name_set(e, compression_names),
                         "\"%s\" is neither gzip nor none; nothing is compressed",
                         value_shown(text, shown));
}

static void read_files(struct environment *e, struct export_config *x)
{
    struct arena *arena = &e->config->arena;

    x->ca = arena_dup(arena, signal_text(e, ca_names));
    x->certificate = arena_dup(arena, signal_text(e, certificate_names));
    x->key = arena_dup(arena, signal_text(e, key_names));
    if ((x->certificate.n > 0) != (x->key.n > 0)) {
        environment_warn(e, name_set(e, x->key.n > 0 ? key_names : certificate_names),
                         "a client certificate needs its key and a key its certificate; neither "
                         "is used");
        x->certificate = x->key = (struct str){0};
    }
}

static bool read_otlp(struct environment *e, struct export_config *x)
{
    *x = (struct export_config){.kind = read_protocol(e), .timeout = SECONDS(10)};
    if (!read_endpoint(e, x))
        return false;
    environment_duration(e, name_set(e, timeout_names), &x->timeout);
    read_headers(e, x);
    read_compression(e, x);
    read_files(e, x);
    buffer_printf(&e->notes, "# export otlp %.*s (%s), %zu headers%s\n", STR_ARG(x->shown),
                  x->kind == EXPORT_OTLP_GRPC ? "grpc" : "http/protobuf", x->n_headers,
                  x->gzip ? ", gzip" : "");
    return true;
}

/* ---- which ---- */

struct wanted {
    bool otlp, console, none;
};

static bool endpoint_is_set(const struct environment *e)
{
    return signal_text(e, endpoint_names).n > 0;
}

static struct wanted read_wanted(struct environment *e)
{
    static const char name[] = "OTEL_TRACES_EXPORTER";
    struct str rest = environment_text(e, name), member;
    struct wanted w = {.otlp = rest.n == 0 && endpoint_is_set(e)};
    char shown[80];

    while (str_next_member(&rest, &member)) {
        if (word_is(member, "otlp"))
            w.otlp = true;
        else if (word_is(member, "console"))
            w.console = true;
        else if (word_is(member, "none"))
            w.none = true;
        else
            environment_warn(e, name,
                             "\"%s\" is not supported and is ignored; otlp, console and "
                             "none are",
                             value_shown(member, shown));
    }
    if (w.none && (w.otlp || w.console)) {
        environment_warn(e, name, "none beside another exporter is ignored");
        w.none = false;
    }
    return w;
}

void environment_exports(struct environment *e)
{
    struct trace_config *t = &e->config->trace;
    struct wanted wanted = read_wanted(e);

    if (wanted.none) {
        t->n_exports = 0;
        buffer_add_str(&e->notes, STR("# no export: OTEL_TRACES_EXPORTER is none\n"));
        return;
    }
    struct export_config *v = arena_array(&e->config->arena, t->n_exports + 2, sizeof(*v));
    size_t n = 0;
    if (!v)
        return;
    if (wanted.otlp && read_otlp(e, &v[n]))
        n++;
    if (wanted.console) {
        v[n++] = (struct export_config){.kind = EXPORT_CONSOLE, .url = STR_INIT("console")};
        buffer_add_str(&e->notes, STR("# export console\n"));
    }
    for (size_t i = 0; i < t->n_exports; i++)
        v[n++] = t->exports[i];
    t->exports = v;
    t->n_exports = n;
}
