/* What explain says of a CONNECT, whose rules are those of what is inside it. */
#include "mesh/connect.h"
#include "mesh/explain_text.h"

bool explain_is_for_inside(const struct direction *d, const struct request *r,
                           const struct route *taken)
{
    struct connect_rules rules;

    if (!str_eq(r->method, STR("CONNECT")))
        return false;
    rules = connect_rules_find(d, r->authority, taken);
    if (!taken)
        return d->unmatched == UNMATCHED_REJECT ? rules.elsewhere : rules.refuses != NULL;
    return taken->action == ACTION_FORWARD ? rules.refuses != NULL : taken->status < 300;
}

void explain_untaken(const struct direction *d, const struct request *r, struct buffer *out)
{
    text_label(out, "route");
    buffer_printf(out, "none takes it\n");
    text_label(out, "so it is");
    if (explain_is_for_inside(d, r, NULL))
        buffer_printf(out, "answered with 200, for the requests inside\n");
    else if (d->unmatched == UNMATCHED_PASS)
        buffer_printf(out, "passed on to its original destination (unmatched pass)\n");
    else
        buffer_printf(out, "refused (unmatched reject)\n");
}

void explain_inside(const struct direction *d, const struct request *r, const struct route *taken,
                    struct buffer *out)
{
    struct connect_rules rules = connect_rules_find(d, r->authority, taken);
    bool inside = explain_is_for_inside(d, r, taken);
    bool passes = taken ? taken->action == ACTION_FORWARD : d->unmatched == UNMATCHED_PASS;

    if (!inside && !passes)
        return;
    text_label(out, "inside");
    buffer_printf(out, "each request takes a route of its own: ask for it\n");
    text_label(out, NULL);
    if (!inside) {
        buffer_printf(out, "what is not HTTP passes as it is\n");
    } else if (rules.refuses) {
        buffer_printf(out, "what is not HTTP is refused: %.*s", STR_ARG(rules.refuses->text));
        text_place(out, rules.refuses->at);
        buffer_printf(out, " could refuse a request that cannot be seen\n");
    } else {
        buffer_printf(out, "what is not HTTP is refused: nothing says where to\n");
    }
}
