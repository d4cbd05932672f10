#include "mesh/explain.h"

#include "base/grpc_status.h"
#include "mesh/balance.h"
#include "mesh/explain_text.h"
#include "mesh/fault.h"
#include "mesh/route.h"
#include "mesh/split.h"

/* ---- the request ---- */

static void explain_question(const struct direction *d, const struct request *r, struct buffer *out)
{
    char hex[TRACE_ID_HEX];

    text_label(out, "request");
    text_plain(out, r->method);
    buffer_add_char(out, ' ');
    text_plain(out, r->authority);
    text_plain(out, r->path);
    if (r->query.p) {
        buffer_add_char(out, '?');
        text_plain(out, r->query);
    }
    buffer_add_char(out, '\n');
    text_label(out, "direction");
    buffer_printf(out, "%s\n",
                  d->kind == DIRECTION_INBOUND ? "inbound, to the service"
                                               : "outbound, from the service");
    trace_id_to_hex(&r->trace_id, hex);
    text_label(out, "trace");
    buffer_printf(out, "%.*s\n", TRACE_ID_HEX, hex);
}

/* ---- host and route ---- */

static void explain_host(const struct direction *d, const struct host *host,
                         const struct request *r, struct buffer *out)
{
    if (d->n_hosts == 0)
        return;
    text_label(out, "host");
    if (host) {
        text_plain(out, host_table_name_for(d->table, r->authority));
        text_place(out, host->at);
    } else {
        buffer_printf(out, "none of %zu takes ", d->n_hosts);
        text_quoted(out, r->authority);
    }
    buffer_add_char(out, '\n');
}

static void explain_undecided(struct buffer *out, struct str what)
{
    buffer_printf(out, ": %.*s meets its limit of work on this request, so it is not decided\n",
                  STR_ARG(what));
}

/* One line for each route before `chosen`; all of them where it is not in the list. */
static void explain_passed(struct route *const *routes, size_t n, const struct route *chosen,
                           const struct request *r, struct buffer *out)
{
    for (size_t i = 0; i < n && routes[i] != chosen; i++) {
        const struct match_rule *failed = NULL;
        text_label(out, "passed over");
        buffer_printf(out, "%.*s", STR_ARG(routes[i]->text));
        text_place(out, routes[i]->at);
        if (pattern_match(routes[i]->pattern, r->path, NULL) == VERDICT_NO) {
            buffer_printf(out, r->path.n ? ": the path does not fit\n"
                                         : ": it is for some paths, and a CONNECT has none\n");
        } else if (routes[i]->grpc && !r->grpc) {
            buffer_printf(out, ": not a call of gRPC\n");
        } else if (match_rules_hold(routes[i], r, &failed) == VERDICT_NO) {
            buffer_printf(out, ": match %.*s does not hold: ", STR_ARG(failed->text));
            text_why_not(out, failed, r);
            buffer_add_char(out, '\n');
        }
    }
}

static void explain_route(const struct direction *d, const struct route_choice *choice,
                          const struct request *r, struct buffer *out)
{
    const struct route *route = choice->route;

    text_label(out, "route");
    buffer_printf(out, "%.*s", STR_ARG(route->text));
    text_place(out, route->at);
    if (!choice->host && d->n_hosts)
        buffer_printf(out, ", for every host");
    if (route->template.n == 0)
        buffer_printf(out, "; its spans are named by the %s",
                      route->grpc || r->grpc ? "call itself" : "method alone");
    else if (!str_eq(route->template, route->text))
        buffer_printf(out, "; its spans are named %.*s", STR_ARG(route->template));
    buffer_add_char(out, '\n');
    for (size_t i = 0; i < route->n_matches; i++) {
        text_label(out, NULL);
        buffer_printf(out, "match %.*s holds\n", STR_ARG(route->matches[i].text));
    }
    for (size_t i = 0; i < choice->params.n; i++) {
        text_label(out, NULL);
        buffer_printf(out, "%.*s is ", STR_ARG(choice->params.v[i].name));
        text_quoted(out, choice->params.v[i].value);
        buffer_add_char(out, '\n');
    }
}

/* ---- faults ---- */

static void explain_strike(const struct fault *f, const struct request *r, struct buffer *out)
{
    if (f->share != SHARE_ALWAYS) {
        buffer_printf(out, ": the trace draws ");
        text_share(out, fault_draw(f, &r->trace_id));
        buffer_printf(out, ", below ");
        text_share(out, f->share);
    }
    if (f->kind == FAULT_DELAY && f->jitter) {
        buffer_printf(out, "; with its jitter it waits ");
        text_duration(out, fault_delay_of(f, &r->trace_id));
    }
    if (f->first)
        buffer_printf(out, "; for the first %llu only", (unsigned long long)f->first);
}

static void explain_miss(const struct fault *f, const struct request *r, struct buffer *out)
{
    if (fault_is_over(f, r->now)) {
        buffer_printf(out, ": its time is over");
        return;
    }
    if (f->when && match_rule_holds(f->when, r) == VERDICT_NO) {
        buffer_printf(out, ": when %.*s does not hold: ", STR_ARG(f->when->text));
        text_why_not(out, f->when, r);
        return;
    }
    buffer_printf(out, ": the trace draws ");
    text_share(out, fault_draw(f, &r->trace_id));
    buffer_printf(out, ", not below ");
    text_share(out, f->share);
}

struct fault_story {
    const struct request *r;
    struct buffer *out;
};

static void explain_fault(void *arg, const struct fault *f, enum fault_fate fate)
{
    const struct fault_story *story = arg;
    struct buffer *out = story->out;

    text_label(out, "fault");
    buffer_printf(out, "%.*s", STR_ARG(f->text));
    text_place(out, f->at);
    switch (fate) {
    case FATE_NOT_REACHED:
        buffer_printf(out, " is not reached: the one above ends the request");
        break;
    case FATE_UNDECIDED:
        explain_undecided(out, f->when->text);
        return;
    case FATE_STRIKES:
        buffer_printf(out, " strikes");
        explain_strike(f, story->r, out);
        break;
    case FATE_MISSES:
        buffer_printf(out, " does not strike");
        explain_miss(f, story->r, out);
        break;
    }
    buffer_add_char(out, '\n');
}

/* ---- the choice of a target ---- */

static void explain_key(const struct route *route, const struct request *r, struct str key,
                        struct buffer *out)
{
    char address[ADDRESS_TEXT_MAX];

    text_label(out, "drawn by");
    if (key.p == (const char *)r->trace_id.bytes) {
        buffer_printf(out, "the trace id");
        if (route->by != SPLIT_BY_TRACE)
            buffer_printf(out, ", as the request has no %s %.*s",
                          route->by == SPLIT_BY_HEADER   ? "header"
                          : route->by == SPLIT_BY_COOKIE ? "cookie"
                                                         : "source address",
                          STR_ARG(route->by_name));
    } else if (route->by == SPLIT_BY_SOURCE) {
        size_t n = address_format_ip(&r->source, address);
        buffer_printf(out, "source %.*s", (int)n, address);
    } else {
        buffer_printf(out, "%s %.*s, which is ", route->by == SPLIT_BY_HEADER ? "header" : "cookie",
                      STR_ARG(route->by_name));
        text_quoted(out, key);
    }
    buffer_printf(out, "; of ln(u)/weight the greatest wins\n");
}

static int longest_name(const struct route *route)
{
    size_t longest = 0;

    for (size_t i = 0; i < route->n_targets; i++)
        if (route->targets[i].name.n > longest)
            longest = route->targets[i].name.n;
    return longest < 60 ? (int)longest : 60;
}

static void explain_arms(const struct route *route, const struct request *r,
                         const struct target *chosen, struct buffer *out)
{
    uint8_t scratch[16];
    struct str key = split_key_of(route, r, scratch);
    int width = longest_name(route);

    explain_key(route, r, key, out);
    for (size_t i = 0; i < route->n_targets; i++) {
        const struct target *t = &route->targets[i];
        text_label(out, NULL);
        buffer_printf(out, "%-*.*s  weight %u of %llu (%.4g%%)", width, STR_ARG(t->name), t->weight,
                      (unsigned long long)route->total_weight,
                      100.0 * t->weight / (double)route->total_weight);
        if (t->weight == 0)
            buffer_printf(out, "  never chosen\n");
        else
            buffer_printf(out, "  draws %.9f%s\n", split_draw(t, key),
                          t == chosen ? "  <- the greatest" : "");
    }
}

static void explain_endpoints(const struct cluster *c, struct buffer *out)
{
    text_label(out, "cluster");
    buffer_printf(out, "%.*s", STR_ARG(c->name));
    text_place(out, c->at);
    if (c->n_endpoints > 1)
        buffer_printf(out, ", %s%s", balance_name(c->balance),
                      c->balance == BALANCE_RANDOM ? " by the trace id" : "");
    buffer_printf(out, c->n_endpoints == 0 ? " without endpoints" : ":");
    for (size_t i = 0; i < c->n_endpoints; i++) {
        buffer_printf(out, "%s %.*s", i ? "," : "", STR_ARG(c->endpoints[i].location.text));
        if (c->endpoints[i].weight != 1)
            buffer_printf(out, " weight %u", c->endpoints[i].weight);
    }
    buffer_add_char(out, '\n');
}

static void explain_target(const struct route *route, const struct request *r, bool reached,
                           struct buffer *out)
{
    const struct target *chosen = split_choose(route, r);

    if (!chosen)
        return;
    text_label(out, "to");
    buffer_printf(out, "%.*s%s%s\n", STR_ARG(chosen->name),
                  chosen->kind == TARGET_ORIGINAL ? ", the destination the client asked for" : "",
                  reached ? "" : ", if no fault ended it before");
    if (route->n_targets > 1)
        explain_arms(route, r, chosen, out);
    if (chosen->cluster && !chosen->cluster->implicit)
        explain_endpoints(chosen->cluster, out);
}

/* ---- what is changed on the way ---- */

typedef struct str expand_fn(const struct template *t, const struct request *r,
                             const struct path_params *params, struct arena *arena);

static void explain_expanded(const struct template *t, expand_fn *expand, const struct request *r,
                             const struct path_params *params, struct buffer *out)
{
    struct arena arena;

    arena_init(&arena, 0, 0);
    text_quoted(out, expand(t, r, params, &arena));
    arena_release(&arena);
}

static void explain_header_actions(const struct route_choice *choice, const struct request *r,
                                   struct buffer *out)
{
    static const char *const verbs[] = {
        [HEADER_SET] = "set", [HEADER_ADD] = "add", [HEADER_REMOVE] = "remove"};

    for (size_t i = 0; i < choice->route->n_header_actions; i++) {
        const struct header_action *a = &choice->route->header_actions[i];
        text_label(out, a->on_response ? "response" : "request");
        buffer_printf(out, "%s header %.*s", verbs[a->kind], STR_ARG(a->name));
        if (a->value) {
            buffer_add_char(out, ' ');
            explain_expanded(a->value, template_expand, r, &choice->params, out);
        }
        buffer_add_char(out, '\n');
    }
}

static void explain_changes(const struct route_choice *choice, const struct request *r,
                            struct buffer *out)
{
    const struct route *route = choice->route;

    if (route->rewrite) {
        text_label(out, "rewrite");
        explain_expanded(route->rewrite, template_expand_url, r, &choice->params, out);
        buffer_add_char(out, '\n');
    }
    if (route->rewrite_host) {
        text_label(out, "rewrite-host");
        explain_expanded(route->rewrite_host, template_expand, r, &choice->params, out);
        buffer_add_char(out, '\n');
    }
    explain_header_actions(choice, r, out);
    for (size_t i = 0; i < route->n_attributes; i++) {
        text_label(out, "attribute");
        buffer_printf(out, "%.*s = ", STR_ARG(route->attributes[i].key));
        text_quoted(out, route->attributes[i].value);
        buffer_add_char(out, '\n');
    }
}

static void explain_timeouts(const struct config *c, const struct route *route, struct buffer *out)
{
    nsec_t idle = route->idle_timeout ? route->idle_timeout : c->timeouts.exchange_idle;

    text_label(out, "timeout");
    if (route->timeout) {
        text_duration(out, route->timeout);
        buffer_printf(out, " for the whole exchange, faults included");
    } else {
        buffer_printf(out, "none for the whole exchange");
    }
    if (idle) {
        buffer_printf(out, ", ");
        text_duration(out, idle);
        buffer_printf(out, " between bytes");
    }
    buffer_add_char(out, '\n');
}

/* ---- the answer, in one line ---- */

static void explain_abort(const struct fault *f, const struct request *r, struct buffer *out)
{
    if (f->kind == FAULT_RESET) {
        buffer_printf(out, "the connection is reset, by a fault");
    } else if (r->grpc) {
        unsigned code =
            f->grpc_status >= 0 ? (unsigned)f->grpc_status : grpc_status_of_http(f->status);
        buffer_printf(out, "grpc-status %u, %s, by a fault", code, grpc_status_name(code));
    } else {
        buffer_printf(out, "status %u, by a fault", f->status);
    }
}

static void explain_end(const struct direction *d, const struct route_choice *choice,
                        const struct request *r, const struct fault_decision *faults,
                        struct buffer *out)
{
    const struct route *route = choice->route;

    if (faults->aborted) {
        explain_abort(faults->aborted, r, out);
    } else if (explain_is_for_inside(d, r, route)) {
        buffer_printf(out, "answered with 200, for the requests inside");
    } else if (route->action == ACTION_RESPOND) {
        buffer_printf(out, "status %u, from the sidecar", route->status);
        if (route->body) {
            buffer_printf(out, ": ");
            explain_expanded(route->body, template_expand, r, &choice->params, out);
        }
    } else if (route->action == ACTION_REDIRECT) {
        buffer_printf(out, "status %u, to ", route->status);
        explain_expanded(route->location, template_expand_location, r, &choice->params, out);
    } else {
        const struct target *t = split_choose(route, r);
        buffer_printf(out, "forwarded to %.*s", STR_ARG(t ? t->name : STR("nowhere")));
    }
}

static void explain_refused(struct buffer *out)
{
    buffer_printf(out, "refused with status 400 (pattern-undecided)\n");
}

static void explain_answer(const struct config *c, const struct direction *d,
                           const struct route_choice *choice, const struct request *r,
                           struct buffer *out)
{
    const struct route *route = choice->route;

    explain_route(d, choice, r, out);
    struct fault_decision faults =
        fault_foresee(route, r, explain_fault, &(struct fault_story){r, out});
    if (route->action == ACTION_FORWARD) {
        explain_target(route, r, !faults.aborted, out);
        explain_timeouts(c, route, out);
    }
    explain_changes(choice, r, out);
    text_label(out, "so it is");
    if (faults.undecided) {
        explain_refused(out);
        return;
    }
    if (route->timeout && faults.delay >= route->timeout) {
        buffer_printf(out, r->grpc ? "delayed, and grpc-status 4, DEADLINE_EXCEEDED, after "
                                   : "delayed, and status 504 after ");
        text_duration(out, route->timeout);
        buffer_printf(out, ", its timeout\n");
        return;
    }
    if (faults.delay) {
        buffer_printf(out, "delayed by ");
        text_duration(out, faults.delay);
        buffer_printf(out, ", then ");
    }
    explain_end(d, choice, r, &faults, out);
    buffer_add_char(out, '\n');
}

/* The route whose turn it was. */
static void explain_not_decided(const struct route *route, const struct request *r,
                                struct buffer *out)
{
    const struct match_rule *failed = NULL;

    text_label(out, "route");
    buffer_printf(out, "%.*s", STR_ARG(route->text));
    text_place(out, route->at);
    match_rules_hold(route, r, &failed);
    explain_undecided(out, failed ? failed->text : route->text);
    text_label(out, "so it is");
    explain_refused(out);
}

void explain_request(const struct config *c, const struct direction *d, const struct request *r,
                     struct buffer *out)
{
    struct route_choice choice;
    enum route_found found = route_find(d, r, &choice);
    const struct host *host = d->n_hosts ? host_table_find(d->table, r->authority) : NULL;

    explain_question(d, r, out);
    explain_host(d, host, r, out);
    if (host)
        explain_passed(host->routes, host->n_routes, found ? choice.route : NULL, r, out);
    if (!found || !choice.host)
        explain_passed(d->routes, d->n_routes, found ? choice.route : NULL, r, out);
    if (found == ROUTE_UNDECIDED) {
        explain_not_decided(choice.route, r, out);
        return;
    }
    if (found)
        explain_answer(c, d, &choice, r, out);
    else
        explain_untaken(d, r, out);
    if (str_eq(r->method, STR("CONNECT")))
        explain_inside(d, r, found ? choice.route : NULL, out);
}
