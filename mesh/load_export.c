/*
 * export: where spans go.
 */
#include "base/authority.h"
#include "mesh/config_words.h"
#include "mesh/loader.h"

enum { MEMORY_SPANS_MAX = 1000000, MEMORY_SPANS = 1000, PORT_GRPC = 4317, PORT_HTTP = 4318 };

static const struct scheme {
    struct str text;
    enum export_kind kind;
    bool tls;
} schemes[] = {
    {STR_INIT("grpc://"), EXPORT_OTLP_GRPC, false},
    {STR_INIT("grpcs://"), EXPORT_OTLP_GRPC, true},
    {STR_INIT("http://"), EXPORT_OTLP_HTTP, false},
    {STR_INIT("https://"), EXPORT_OTLP_HTTP, true},
};

static const struct scheme *scheme_of(struct str url)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (str_starts(url, schemes[i].text))
            return &schemes[i];
    return NULL;
}

/* Printable ASCII without spaces: what a URL is made of. */
static bool is_url_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("\"<>\\^`{|}#", s.p[i]))
            return false;
    return true;
}

/* host[:port], the port as the scheme says where it is left out. */
static bool read_authority(struct loader *ld, struct str authority, struct export_config *e,
                           struct error *err)
{
    bool has_port = authority_split(authority).has_port;
    int port = e->kind == EXPORT_OTLP_GRPC ? PORT_GRPC : PORT_HTTP;
    struct str text = authority;

    if (memchr(authority.p, '@', authority.n))
        return error_set(err, "no user or password in a URL; say header authorization VALUE");
    if (!has_port)
        text = must_str(arena_printf(ld->scratch, "%.*s:%d", STR_ARG(authority), port));
    if (str_starts(text, STR("unix:")))
        return error_set(err, "a URL wants a host");
    e->authority = keep(ld, authority);
    return value_location(text, ADDRESS_TO_REACH, ld->arena, &e->to, err);
}

static bool read_url(struct loader *ld, struct str url, struct export_config *e, struct error *err)
{
    const struct scheme *scheme = scheme_of(url);

    if (!scheme)
        return error_set(err, "the URL of a collector begins with grpc://, grpcs://, http:// or "
                              "https://");
    if (!is_url_text(url))
        return error_set(err, "the URL has characters that no URL has");
    e->kind = scheme->kind;
    e->tls = scheme->tls;
    e->url = keep(ld, url);
    size_t path = str_index(url, '/', scheme->text.n);
    e->path = keep(ld, str_slice(url, path, url.n));
    if (!read_authority(ld, str_slice(url, scheme->text.n, path), e, err))
        return false;
    bool no_path = e->path.n == 0 || str_eq(e->path, STR("/"));
    if (e->kind == EXPORT_OTLP_GRPC && !no_path)
        return error_set(err, "a grpc URL has no path: the service's own is used");
    if (e->kind == EXPORT_OTLP_HTTP && no_path)
        e->path = STR("/v1/traces");
    if (e->kind == EXPORT_OTLP_GRPC)
        e->path = STR("");
    return true;
}

/* ---- the block ---- */

void read_compression(struct loader *ld, const struct directive *row, const struct statement *s,
                      struct block *in)
{
    struct words w = words_of(row, s);
    size_t index;

    if (word_choice(ld, &w, words_next(&w), compression_words, &index))
        ((struct export_config *)in->target)->gzip = index == 1;
}

/* Of these the exporter knows better. */
static bool is_exporters_own(struct str name)
{
    static const char *const own[] = {"content-type", "content-encoding", "grpc-encoding",
                                      "grpc-timeout", "user-agent"};

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (str_eq(name, str_from(own[i])))
            return true;
    enum header_id id = header_id_of(name);
    return id == HEADER_HOST || header_is(id, HEADER_IS_HOP | HEADER_IS_FRAMING);
}

void read_export_header(struct loader *ld, const struct directive *row, const struct statement *s,
                        struct block *in)
{
    struct words w = words_of(row, s);
    struct export_config *e = in->target;
    struct key_value h;
    enum header_id id;

    if (!take_header_name(ld, &w, &h.key, &id))
        return;
    h.key = keep_lower(ld, h.key);
    if (is_exporters_own(h.key)) {
        wrongf(ld, &s->args[0], "\"%.*s\" is the exporter's own", STR_ARG(h.key));
        return;
    }
    if (!value_is_field(s->args[1].text)) {
        wrongf(ld, &s->args[1], "the value of a header cannot have control characters");
        return;
    }
    h.value = keep(ld, s->args[1].text);
    e->headers = array_room(ld->arena, e->headers, e->n_headers, sizeof(*e->headers));
    e->headers[e->n_headers++] = h;
}

/* A file's name is relative to the folder of the file it stands in. */
void read_export_file(struct loader *ld, const struct directive *row, const struct statement *s,
                      struct block *in)
{
    const struct word *word = &s->args[0];

    if (!value_is_text(word->text)) {
        wrongf(ld, word, "the name of the file is empty or has control characters");
        return;
    }
    struct str path = source_relative(ld->arena, word->at.file, word->text);
    memcpy((char *)in->target + row->field.offset, &path, sizeof(path));
}

static void check_tls(struct loader *ld, const struct block *b, const struct export_config *e)
{
    static const char *const files[] = {"ca", "certificate", "key"};

    for (size_t i = 0; e->url.n && !e->tls && i < 3; i++)
        if (block_has(b, files[i]))
            report_at(ld->report, block_first(b, files[i]),
                      "\"%s\" is for grpcs:// and https://; this export speaks plainly", files[i]);
    if (block_has(b, "certificate") != block_has(b, "key"))
        report_at(ld->report, block_first(b, block_has(b, "key") ? "key" : "certificate"),
                  "\"certificate\" and \"key\" go together");
}

/* ---- export ---- */

static bool same_export(const struct export_config *a, const struct export_config *b)
{
    return a->kind == b->kind && str_eq(a->url, b->url);
}

static void add_export(struct loader *ld, const struct export_config *e)
{
    struct trace_config *t = &ld->config->trace;

    for (size_t i = 0; i < t->n_exports; i++)
        if (same_export(&t->exports[i], e)) {
            report_at(ld->report, e->at, "this export stands twice; the first is in %s",
                      place_shown(ld, e->at, t->exports[i].at));
            return;
        }
    t->exports = array_room(ld->arena, t->exports, t->n_exports, sizeof(*t->exports));
    t->exports[t->n_exports++] = *e;
}

void export_hide_path(struct export_config *e, struct arena *arena)
{
    size_t scheme = 0;

    while (scheme < e->url.n && !str_starts(str_slice(e->url, scheme, e->url.n), STR("://")))
        scheme++;
    size_t path = str_index(e->url, '/', scheme < e->url.n ? scheme + 3 : 0);
    if (path + 1 < e->url.n && !str_eq(str_slice(e->url, path, e->url.n), STR("/v1/traces")))
        e->shown = must_str(arena_printf(arena, "%.*s/***", STR_ARG(str_slice(e->url, 0, path))));
}

void read_export_otlp(struct loader *ld, const struct directive *row, const struct statement *s,
                      struct block *in)
{
    struct words w = words_of(row, s);
    struct export_config e = {.at = s->name.at, .timeout = SECONDS(10)};
    const struct word *url;
    struct error err = {0};
    struct block b;
    bool good = !s->bad;

    ld->config->trace.said_export = true;
    if (good) {
        url = words_next(&w);
        good = read_url(ld, url->text, &e, &err) || wrong(ld, url, &err);
        e.shown = e.url;
        if (mask_word(&ld->config->masks, url->text).p)
            export_hide_path(&e, ld->arena);
    }
    if (!good)
        e.url = e.shown = STR("");
    block_init(&b, CONTEXT_EXPORT_NAME, IN(CONTEXT_EXPORT), &e);
    load_block(ld, &b, s->block);
    check_tls(ld, &b, &e);
    if (good)
        add_export(ld, &e);
}

void read_export_console(struct loader *ld, const struct directive *row, const struct statement *s,
                         struct block *in)
{
    static const char *const choices[] = {"pretty", NULL};
    struct words w = words_of(row, s);
    struct export_config e = {.at = s->name.at, .kind = EXPORT_CONSOLE};
    const struct word *pretty = words_next(&w);
    size_t index;

    ld->config->trace.said_export = true;
    if (pretty && !word_choice(ld, &w, pretty, choices, &index))
        return;
    e.pretty = pretty != NULL;
    add_export(ld, &e);
}

void read_export_memory(struct loader *ld, const struct directive *row, const struct statement *s,
                        struct block *in)
{
    struct words w = words_of(row, s);
    struct export_config e = {.at = s->name.at, .kind = EXPORT_MEMORY};
    uint64_t spans = MEMORY_SPANS;

    ld->config->trace.said_export = true;
    if (w.i < s->n_args && !take_number(ld, &w, 1, MEMORY_SPANS_MAX, &spans))
        return;
    e.memory_spans = (size_t)spans;
    add_export(ld, &e);
}

void read_export_none(struct loader *ld, const struct directive *row, const struct statement *s,
                      struct block *in)
{
    struct trace_config *t = in->target;

    t->said_export = true;
    t->export_none = true;
    t->none_at = s->name.at;
}
