/*
 * The conventions for gRPC (docs/rpc/{rpc-spans,grpc}.md): the old names of 1.38
 * and before, the new ones of 1.39 to 1.44, or both. Where both have a name of
 * their own for the same key, the new meaning is written: it holds the old.
 */
#include "base/grpc_status.h"
#include "otlp/describe.h"
#include "otlp/rpc_call.h"

/* The name is the method's; of one that nobody can have defined, it is what all calls share. */
static void describe_method(struct describing *d)
{
    enum semconv names = d->conventions->rpc;
    struct rpc_method method;
    bool known = rpc_method_parse(d->s->text[SPAN_PATH], &method);

    d->out->name = known ? method.full : STR("grpc");
    if (semconv_old(names)) {
        add_string(d, STR("rpc.system"), STR("grpc"));
        if (known)
            add_string(d, STR("rpc.service"), method.service);
    }
    if (semconv_new(names)) {
        add_string(d, STR("rpc.system.name"), STR("grpc"));
        add_string(d, STR("rpc.method"), known ? method.full : STR("_OTHER"));
        if (!known)
            add_string(d, STR("rpc.method_original"), method.full);
    } else {
        add_string(d, STR("rpc.method"), known ? method.name : method.full);
    }
}

/* A code that gRPC does not define is its number. */
static struct str make_status_name(struct describing *d, unsigned code)
{
    const char *name = grpc_status_name(code);
    char digits[10];
    size_t n = 0;

    if (name)
        return str_from(name);
    for (; code > 0; code /= 10)
        digits[sizeof(digits) - ++n] = (char)('0' + code % 10);
    if (!describe_has_room(d, n))
        return STR("_OTHER");
    struct str made = {d->at, n};
    make_str(d, str_of(digits + sizeof(digits) - n, n));
    return made;
}

/*
 * That the caller gave up is no error: a CLIENT span's CANCELLED is then none
 * either, and a SERVER span's never is. Where its deadline had passed, the code
 * says so, and that is one. A failure of our own is named all the same where the
 * code leaves the status unset.
 */
static void describe_outcome(struct describing *d, unsigned code, struct str name)
{
    const struct span *s = d->s;
    bool cancelled = s->error == SPAN_ERROR_CANCELLED;
    bool own_word = s->error != SPAN_ERROR_NONE && !cancelled;
    bool failed = rpc_status_is_error((enum span_kind)s->kind, code) &&
                  !(cancelled && code == GRPC_CANCELLED);

    if (own_word)
        add_string(d, STR("error.type"), str_from(span_error_text(s->error)));
    else if (failed)
        add_string(d, STR("error.type"), name);
    if (failed || (own_word && code == GRPC_OK))
        describe_failure(d, s->grpc_status > 0 || s->status >= 400);
}

void describe_rpc(struct describing *d)
{
    const struct span *s = d->s;
    unsigned code = rpc_call_status(s);
    struct str name = make_status_name(d, code);

    describe_method(d);
    if (semconv_old(d->conventions->rpc))
        add_integer(d, STR("rpc.grpc.status_code"), code);
    if (semconv_new(d->conventions->rpc))
        add_string(d, STR("rpc.response.status_code"), name);

    struct str peer = describe_peer(d);
    describe_server_address(d, s->text[SPAN_AUTHORITY], s->text[SPAN_SCHEME], peer);
    if (s->kind == SPAN_SERVER)
        describe_client_address(d, peer);
    add_string(d, STR("user_agent.original"), s->text[SPAN_USER_AGENT]);
    describe_version(d);
    if (s->status && s->status != 200) /* every answer of gRPC has 200 */
        add_integer(d, STR("http.response.status_code"), s->status);
    if (s->resend_count)
        add_integer(d, STR("http.request.resend_count"), s->resend_count);
    describe_outcome(d, code, name);
}
