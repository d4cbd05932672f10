/*
 * What every span has, whatever it speaks: how it ended, which way it was sent,
 * where its time went, and what the configuration adds.
 */
#include "otlp/conventions.h"

#include "otlp/describe.h"

/* The status description where no status code explains the failure. */
static const char *const explanations[SPAN_ERROR_COUNT] = {
    [SPAN_ERROR_TIMEOUT] = "the route's timeout was over",
    [SPAN_ERROR_CONNECT_TIMEOUT] = "no connection to the upstream within the connect timeout",
    [SPAN_ERROR_REFUSED] = "the upstream refused the connection",
    [SPAN_ERROR_UNREACHABLE] = "the upstream's host cannot be reached",
    [SPAN_ERROR_RESET] = "the upstream reset the connection",
    [SPAN_ERROR_CLOSED_EARLY] = "the upstream closed the connection before its response was whole",
    [SPAN_ERROR_DNS] = "the upstream's name was not resolved",
    [SPAN_ERROR_TLS] = "no TLS session with the upstream",
    [SPAN_ERROR_PROTOCOL] = "the upstream's response is not valid",
    [SPAN_ERROR_OVERLOAD] = "a limit of the sidecar was reached",
    [SPAN_ERROR_NO_ROUTE] = "no route takes the request",
    [SPAN_ERROR_NO_ENDPOINT] = "the cluster has no endpoint that may be used",
    [SPAN_ERROR_LOOP] = "the destination is the sidecar itself",
    [SPAN_ERROR_FAULT] = "a fault was injected",
    [SPAN_ERROR_CANCELLED] = "the caller went away",
    [SPAN_ERROR_DRAINING] = "the sidecar is shutting down",
    [SPAN_ERROR_REQUEST] = "the request was refused",
    [SPAN_ERROR_IDLE] = "nothing was sent for the idle timeout",
    [SPAN_ERROR_STREAM_RESET] = "the upstream reset the stream",
    [SPAN_ERROR_REFUSED_STREAM] = "the upstream refused the stream",
};

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

/* Digits of a port, 1 to 65535. */
static bool parse_port(struct str text, uint16_t *port)
{
    uint64_t value;

    if (!str_to_u64(text, &value) || value == 0 || value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

struct str authority_split(struct str authority, uint16_t *port)
{
    *port = 0;
    const char *at = authority.n ? memrchr(authority.p, '@', authority.n) : NULL;
    if (at)
        authority = str_slice(authority, (size_t)(at - authority.p) + 1, authority.n);

    if (authority.n > 0 && authority.p[0] == '[') {
        size_t close = str_index(authority, ']', 0);
        if (close + 1 < authority.n && authority.p[close + 1] == ':')
            parse_port(str_slice(authority, close + 2, authority.n), port);
        return str_slice(authority, 1, close);
    }
    size_t colon = str_index(authority, ':', 0);
    if (colon == authority.n || str_index(authority, ':', colon + 1) != authority.n)
        return authority; /* no port, or an IPv6 address without brackets */
    parse_port(str_slice(authority, colon + 1, authority.n), port);
    return str_slice(authority, 0, colon);
}

struct str describe_peer(struct describing *d)
{
    const struct address *peer = &d->s->peer;
    struct str text = make_address(d, peer);

    add_string(d, STR("network.peer.address"), text);
    if (peer->family == AF_UNIX)
        add_string(d, STR("network.transport"), STR("unix"));
    else if (peer->port)
        add_integer(d, STR("network.peer.port"), peer->port);
    return text;
}

void describe_failure(struct describing *d, bool explained)
{
    const struct span *s = d->s;

    d->out->status = STATUS_ERROR;
    if (explained || s->error == SPAN_ERROR_NONE)
        return;
    if (s->text[SPAN_REFUSAL].n)
        d->out->status_message = make_valid(d, s->text[SPAN_REFUSAL]);
    else
        d->out->status_message = str_from(explanations[s->error]);
}

static void describe_way(struct describing *d)
{
    const struct span *s = d->s;

    add_string(d, STR("sidespan.cluster"), s->text[SPAN_CLUSTER]);
    if (s->total_weight) {
        add_integer(d, STR("sidespan.weight"), s->weight);
        add_integer(d, STR("sidespan.weight_total"), s->total_weight);
    }
    add_string(d, STR("sidespan.fault"), s->text[SPAN_FAULT]);
    if (s->fault_delay > 0)
        add_seconds(d, STR("sidespan.fault_delay"), s->fault_delay);
    add_string(d, STR("sidespan.refusal"), s->text[SPAN_REFUSAL]);
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

static struct str make_header_key(struct describing *d, const struct span_extra *e)
{
    const char *start = d->at;

    make_str(d, e->kind == EXTRA_REQUEST_HEADER ? STR("http.request.header.")
                                                : STR("http.response.header."));
    make_str(d, e->key);
    return make_valid(d, str_of(start, (size_t)(d->at - start)));
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

    struct str key = make_header_key(d, e);
    struct attribute *a = add_attribute(d, key, ATTRIBUTE_STRINGS);
    a->value.strings.v = &d->out->strings[first];
    a->value.strings.n = *n_strings - first;
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
        n += s->extras[i].key.n + s->extras[i].value.n + sizeof("http.response.header.");
    return 8 * n + 4 * ADDRESS_TEXT_MAX + 256;
}

void span_describe(const struct span *s, const struct str *redact_query, size_t n_redact_query,
                   struct buffer *scratch, struct described_span *out)
{
    struct describing d = {
        .s = s,
        .out = out,
        .redact_query = redact_query,
        .n_redact_query = n_redact_query,
    };

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
    else
        describe_http(&d);
    describe_way(&d);
    describe_times(&d);
    describe_extras(&d);
}
