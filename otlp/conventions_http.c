/*
 * The stable HTTP conventions (docs/http/http-spans.md, 1.44).
 */
#include "otlp/describe.h"

static const struct str known_methods[] = {
    STR_INIT("GET"),   STR_INIT("POST"),  STR_INIT("PUT"),     STR_INIT("DELETE"),
    STR_INIT("HEAD"),  STR_INIT("PATCH"), STR_INIT("OPTIONS"), STR_INIT("CONNECT"),
    STR_INIT("TRACE"), STR_INIT("QUERY"),
};

/* Signatures and keys that cloud services put into URLs: the union of what releases of the
 * conventions named. */
static const struct str secret_parameters[] = {
    STR_INIT("X-Amz-Signature"),  STR_INIT("X-Amz-Credential"), STR_INIT("X-Amz-Security-Token"),
    STR_INIT("AWSAccessKeyId"),   STR_INIT("Signature"),        STR_INIT("sig"),
    STR_INIT("X-Goog-Signature"),
};

static bool is_one_of(struct str word, const struct str *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(word, words[i]))
            return true;
    return false;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_secret(const struct describing *d, struct str parameter)
{
    return is_one_of(STR("*"), d->conventions->redact_query, d->conventions->n_redact_query) ||
           is_one_of(parameter, secret_parameters, COUNT(secret_parameters)) ||
           is_one_of(parameter, d->conventions->redact_query, d->conventions->n_redact_query);
}

static bool has_secret(const struct describing *d, struct str query)
{
    struct str parameter;

    while (str_split(&query, '&', &parameter)) {
        size_t equals = str_index(parameter, '=', 0);
        if (equals < parameter.n && is_secret(d, str_slice(parameter, 0, equals)))
            return true;
    }
    return false;
}

/* The query without the values of secrets. Keys stay, and so does the order. */
static void make_redacted(struct describing *d, struct str query)
{
    struct str parameter;
    bool first = true;

    while (str_split(&query, '&', &parameter)) {
        if (!first)
            make_str(d, STR("&"));
        first = false;
        size_t equals = str_index(parameter, '=', 0);
        if (equals < parameter.n && is_secret(d, str_slice(parameter, 0, equals))) {
            make_str(d, str_slice(parameter, 0, equals + 1));
            make_str(d, STR("REDACTED"));
        } else {
            make_str(d, parameter);
        }
    }
}

/* A fragment is never for a server, and not for a trace. */
static struct str without_fragment(struct str s)
{
    return str_slice(s, 0, str_index(s, '#', 0));
}

static void add_query(struct describing *d)
{
    struct str query = without_fragment(d->s->text[SPAN_QUERY]);

    if (query.n > 0 && has_secret(d, query)) {
        const char *start = d->at;
        make_redacted(d, query);
        query = str_of(start, (size_t)(d->at - start));
    }
    add_string(d, STR("url.query"), query);
}

static void make_authority(struct describing *d, struct str authority)
{
    const char *at = authority.n ? memrchr(authority.p, '@', authority.n) : NULL;

    if (at) {
        make_str(d, STR("REDACTED:REDACTED@"));
        authority = str_slice(authority, (size_t)(at - authority.p) + 1, authority.n);
    }
    make_str(d, authority);
}

/* Where no authority was sent, the address that was connected to stands for it. */
static void make_peer_authority(struct describing *d)
{
    if (d->s->peer.family != 0 && d->s->peer.family != AF_UNIX &&
        describe_has_room(d, ADDRESS_TEXT_MAX))
        d->at += address_format(&d->s->peer, d->at);
}

static void add_full_url(struct describing *d, struct str scheme)
{
    const struct span *s = d->s;
    struct str path = without_fragment(s->text[SPAN_PATH]);
    struct str query = without_fragment(s->text[SPAN_QUERY]);
    const char *start = d->at;

    /* Of a request that could not be read there is no URL: "http://" is none. */
    if ((!s->text[SPAN_AUTHORITY].n && s->peer.family == 0) ||
        (path.n && path.p[0] != '/' && !str_eq(path, STR("*"))))
        return;
    make_str(d, scheme.n ? scheme : STR("http"));
    make_str(d, STR("://"));
    if (s->text[SPAN_AUTHORITY].n)
        make_authority(d, s->text[SPAN_AUTHORITY]);
    else
        make_peer_authority(d);
    if (!str_eq(path, STR("*"))) /* OPTIONS * asks the server as a whole: RFC 9112 section 3.2.4 */
        make_str(d, path);
    if (query.p) {
        make_str(d, STR("?"));
        if (has_secret(d, query))
            make_redacted(d, query);
        else
            make_str(d, query);
    }
    add_string(d, STR("url.full"), str_of(start, (size_t)(d->at - start)));
}

bool span_method_known(struct str method)
{
    return is_one_of(method, known_methods, COUNT(known_methods));
}

/* Required of every HTTP span. The method of a request that could not be read is not known. */
static bool add_method(struct describing *d)
{
    struct str method = d->s->text[SPAN_METHOD];
    bool known = span_method_known(method);

    add_string(d, STR("http.request.method"), known ? method : STR("_OTHER"));
    if (!known)
        add_string(d, STR("http.request.method_original"), method);
    return known;
}

/* "{method} {target}", never with the raw path: names are few. */
static void make_name(struct describing *d, bool known_method)
{
    struct str method = known_method ? d->s->text[SPAN_METHOD] : STR("HTTP");
    struct str target = d->s->text[SPAN_ROUTE];
    const char *start = d->at;

    if (target.n == 0 || !describe_has_room(d, method.n + 1 + target.n)) {
        d->out->name = method;
        return;
    }
    make_str(d, method);
    make_str(d, STR(" "));
    make_str(d, target);
    d->out->name = make_valid(d, str_of(start, (size_t)(d->at - start)));
}

static void describe_server(struct describing *d)
{
    const struct str *text = d->s->text;
    struct str forwarded = text[SPAN_FORWARDED_PROTO];
    struct str scheme = forwarded.n ? forwarded : text[SPAN_SCHEME];
    struct str host = text[SPAN_FORWARDED_HOST];

    add_string(d, STR("url.scheme"), scheme);
    add_string(d, STR("url.path"), without_fragment(text[SPAN_PATH]));
    if (text[SPAN_QUERY].n)
        add_query(d);
    struct str peer = describe_peer(d);
    describe_server_address(d, host.n ? host : text[SPAN_AUTHORITY], scheme, peer);
    describe_client_address(d, peer);
    add_string(d, STR("http.route"), text[SPAN_ROUTE]);
    add_string(d, STR("user_agent.original"), text[SPAN_USER_AGENT]);
}

static void describe_client(struct describing *d)
{
    const struct span *s = d->s;
    struct str scheme = s->text[SPAN_SCHEME];

    add_full_url(d, scheme);
    describe_server_address(d, s->text[SPAN_AUTHORITY], scheme, describe_peer(d));
    add_string(d, STR("url.template"), s->text[SPAN_ROUTE]);
    if (s->resend_count)
        add_integer(d, STR("http.request.resend_count"), s->resend_count);
}

/* Three digits: the code is what error.type says where we know no better word. */
static struct str make_code(struct describing *d, unsigned status)
{
    char digits[3] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                      (char)('0' + status % 10)};
    struct str made = {d->at, sizeof(digits)};

    if (!describe_has_room(d, sizeof(digits)))
        return STR("_OTHER");
    make_str(d, str_of(digits, sizeof(digits)));
    return made;
}

/*
 * A 4xx is the caller's mistake: an error of a CLIENT span and none of a SERVER
 * span, though a refusal of our own is still named. That the caller gave up is
 * no error of a CLIENT span.
 */
static void describe_outcome(struct describing *d)
{
    const struct span *s = d->s;
    bool client = s->kind == SPAN_CLIENT;
    bool callers_mistake = s->status >= 400 && s->status < 500;
    bool error_code =
        s->status >= 500 || (s->status > 0 && s->status < 100) || (client && callers_mistake);
    bool own_word = s->error != SPAN_ERROR_NONE && !(client && s->error == SPAN_ERROR_CANCELLED);

    if (own_word)
        add_string(d, STR("error.type"), str_from(span_error_text(s->error)));
    else if (error_code)
        add_string(d, STR("error.type"), make_code(d, s->status));
    if (error_code || (own_word && !callers_mistake))
        describe_failure(d, s->status >= 400);
}

void describe_http(struct describing *d)
{
    const struct span *s = d->s;

    make_name(d, add_method(d));
    if (s->kind == SPAN_CLIENT)
        describe_client(d);
    else
        describe_server(d);
    describe_version(d);
    add_string(d, STR("tls.client.server_name"), s->text[SPAN_SERVER_NAME]);
    if (s->status)
        add_integer(d, STR("http.response.status_code"), s->status);
    if (s->request_bytes)
        add_integer(d, STR("http.request.body.size"), (int64_t)s->request_bytes);
    if (s->status)
        add_integer(d, STR("http.response.body.size"), (int64_t)s->response_bytes);
    describe_outcome(d);
}
