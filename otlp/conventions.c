/*
 * What every span has, whatever it speaks: how it ended, which way it was sent,
 * where its time went, and what the configuration adds.
 */
#include "otlp/conventions.h"

#include "otlp/describe.h"

struct str make_valid(struct describing *d, struct str text)
{
    if (utf8_is_ascii(text) || utf8_valid(text))
        return text;
    if (!describe_has_room(d, 3 * text.n))
        return (struct str){0};
    struct str made = {d->at, utf8_repair(text, d->at)};
    d->at += made.n;
    return made;
}

struct str make_address(struct describing *d, const struct address *a)
{
    if (a->family == 0 || !describe_has_room(d, ADDRESS_TEXT_MAX))
        return (struct str){0};
    struct str made = {d->at, address_format_ip(a, d->at)};
    d->at += made.n;
    return made;
}

void describe_failure(struct describing *d, bool explained)
{
    const struct span *s = d->s;

    d->out->status = STATUS_ERROR;
    if (explained || s->error == SPAN_ERROR_NONE)
        return;
    if (s->error == SPAN_ERROR_REQUEST && s->text[SPAN_RULE].n)
        d->out->status_message = make_valid(d, s->text[SPAN_RULE]);
    else
        d->out->status_message = str_from(span_error_row(s->error)->what);
}

/* Who ended it, and by which rule where that was the sidecar. An answer of its own that is no
 * failure (respond, redirect) is its doing too. */
static void describe_end(struct describing *d)
{
    const struct span *s = d->s;
    const struct span_error_row *row = span_error_row(s->error);
    enum ended_by by = s->error || !s->answered_here ? row->by : ENDED_BY_SIDECAR;

    if (!by)
        by = (enum ended_by)s->ended_by;

    add_string(d, STR("sidespan.ended_by"), str_from(ended_by_text(by)));
    if (row->by != ENDED_BY_SIDECAR)
        return;
    add_string(d, STR("sidespan.rule"),
               s->text[SPAN_RULE].n ? s->text[SPAN_RULE] : str_from(row->rule));
    if (s->error == SPAN_ERROR_REQUEST)
        add_string(d, STR("sidespan.refusal"), s->text[SPAN_RULE]);
}

static void describe_way(struct describing *d)
{
    const struct span *s = d->s;

    add_string(d, STR("sidespan.cluster"), s->text[SPAN_CLUSTER]);
    describe_endpoint(d);
    if (s->total_weight) {
        add_integer(d, STR("sidespan.weight"), s->weight);
        add_integer(d, STR("sidespan.weight_total"), s->total_weight);
    }
    add_string(d, STR("sidespan.fault"), s->text[SPAN_FAULT]);
    if (s->fault_delay > 0)
        add_seconds(d, STR("sidespan.fault_delay"), s->fault_delay);
    if (s->kind == SPAN_CLIENT && s->phase[PHASE_CONNECTED] >= 0)
        add_bool(d, STR("sidespan.pooled"), s->pooled);
    if (s->invalid_parent)
        add_bool(d, STR("sidespan.invalid_parent"), true);
}

static const struct str time_keys[PHASE_COUNT + 1] = {
    [PHASE_HEAD] = STR_INIT("sidespan.time.head"),
    [PHASE_FAULT] = STR_INIT("sidespan.time.fault"),
    [PHASE_QUEUE] = STR_INIT("sidespan.time.queue"),
    [PHASE_CONNECTED] = STR_INIT("sidespan.time.connect"),
    [PHASE_REQUEST] = STR_INIT("sidespan.time.send"),
    [PHASE_FIRST_BYTE] = STR_INIT("sidespan.time.first_byte"),
    [PHASE_COUNT] = STR_INIT("sidespan.time.body"),
};

/* The part that the end of the span came amid, after the last one that was over; -1: none that is
 * known. An exchange that no upstream was chosen for did not wait for one. */
static int part_amid(const struct span *s, int last)
{
    if (s->protocol != SPAN_HTTP || last < 0)
        return s->protocol == SPAN_HTTP ? PHASE_HEAD : -1;
    if (last == PHASE_FIRST_BYTE)
        return PHASE_COUNT;
    if (last >= PHASE_CONNECTED)
        return last + 1;
    if (last == PHASE_HEAD && s->fault_delay > 0)
        return PHASE_FAULT;
    bool chosen = s->text[SPAN_CLUSTER].n > 0;
    return chosen && s->error && s->error != SPAN_ERROR_FAULT ? PHASE_CONNECTED : -1;
}

static void describe_times(struct describing *d)
{
    const struct span *s = d->s;
    nsec_t before = 0;
    int last = -1;

    for (int i = 0; i < PHASE_COUNT; i++) {
        if (s->phase[i] < 0)
            continue;
        if (s->phase[i] > before) {
            add_seconds(d, time_keys[i], s->phase[i] - before);
            before = s->phase[i];
        }
        last = i;
    }
    int amid = part_amid(s, last);
    if (amid >= 0 && s->duration > before)
        add_seconds(d, time_keys[amid], s->duration - before);
}

/* What the configuration says wins over what was found. */
static void set_string(struct describing *d, struct str key, struct str value)
{
    for (size_t i = 0; i < d->out->n; i++) {
        struct attribute *a = &d->out->v[i];
        if (str_eq(a->key, key)) {
            a->type = ATTRIBUTE_STRING;
            a->value.string = make_valid(d, value);
            return;
        }
    }
    struct str valid = make_valid(d, value);
    add_attribute(d, key, ATTRIBUTE_STRING)->value.string = valid;
}

/* What stands before a header's name in the key of its attribute, of requests and of responses. */
static const struct str http_headers[] = {
    [EXTRA_REQUEST_HEADER] = STR_INIT("http.request.header."),
    [EXTRA_RESPONSE_HEADER] = STR_INIT("http.response.header."),
};
static const struct str old_rpc_headers[] = {
    [EXTRA_REQUEST_HEADER] = STR_INIT("rpc.grpc.request.metadata."),
    [EXTRA_RESPONSE_HEADER] = STR_INIT("rpc.grpc.response.metadata."),
};
static const struct str new_rpc_headers[] = {
    [EXTRA_REQUEST_HEADER] = STR_INIT("rpc.request.metadata."),
    [EXTRA_RESPONSE_HEADER] = STR_INIT("rpc.response.metadata."),
};

static void add_values(struct describing *d, struct str prefix, struct str name,
                       const struct str *values, size_t n)
{
    const char *start = d->at;

    make_str(d, prefix);
    make_str(d, name);
    struct str key = make_valid(d, str_of(start, (size_t)(d->at - start)));
    struct attribute *a = add_attribute(d, key, ATTRIBUTE_STRINGS);
    a->value.strings.v = values;
    a->value.strings.n = n;
}

static bool same_header(const struct span_extra *a, const struct span_extra *b)
{
    return a->kind == b->kind && str_eq(a->key, b->key);
}

/* Repeated fields of a message are one attribute with several values, made at the first of them. */
static void add_header(struct describing *d, unsigned at, size_t *n_strings)
{
    const struct span *s = d->s;
    const struct span_extra *e = &s->extras[at];
    size_t first = *n_strings;

    for (unsigned i = 0; i < at; i++)
        if (same_header(&s->extras[i], e))
            return;
    for (unsigned i = at; i < s->n_extras; i++)
        if (same_header(&s->extras[i], e))
            d->out->strings[(*n_strings)++] = make_valid(d, s->extras[i].value);

    const struct str *values = &d->out->strings[first];
    size_t n = *n_strings - first;
    if (!s->grpc)
        add_values(d, http_headers[e->kind], e->key, values, n);
    if (s->grpc && semconv_old(d->conventions->rpc))
        add_values(d, old_rpc_headers[e->kind], e->key, values, n);
    if (s->grpc && semconv_new(d->conventions->rpc))
        add_values(d, new_rpc_headers[e->kind], e->key, values, n);
}

static void describe_extras(struct describing *d)
{
    size_t n_strings = 0;

    for (unsigned i = 0; i < d->s->n_extras; i++) {
        const struct span_extra *e = &d->s->extras[i];
        if (e->kind == EXTRA_ATTRIBUTE)
            set_string(d, make_valid(d, e->key), e->value);
        else
            add_header(d, i, &n_strings);
    }
}

/* More than can be made of the span's text. A byte of it becomes at most three, by being repaired
 * or as part of a redacted value; some text is made twice, and once more in a URL. */
static size_t scratch_bytes(const struct span *s)
{
    size_t n = 0;

    for (int i = 0; i < SPAN_TEXT_COUNT; i++)
        n += s->text[i].n;
    for (unsigned i = 0; i < s->n_extras; i++)
        n += s->extras[i].key.n + s->extras[i].value.n + sizeof("rpc.grpc.response.metadata.");
    return 8 * n + 4 * ADDRESS_TEXT_MAX + 256;
}

void span_describe(const struct span *s, const struct conventions *conventions,
                   struct buffer *scratch, struct described_span *out)
{
    struct describing d = {.s = s, .out = out, .conventions = conventions};

    out->name = out->status_message = (struct str){0};
    out->status = STATUS_UNSET;
    out->n = 0;
    buffer_reset(scratch);
    if (buffer_reserve(scratch, scratch_bytes(s))) {
        d.at = scratch->p;
        d.end = scratch->p + scratch->cap;
    }
    if (s->protocol == SPAN_TCP)
        describe_tcp(&d);
    else if (s->grpc)
        describe_rpc(&d);
    else
        describe_http(&d);
    describe_way(&d);
    describe_end(&d);
    describe_times(&d);
    describe_extras(&d);
}
