/*
 * The pages about the sidecar itself: is it alive, is it ready, how much has it
 * done; and what may be asked of it.
 */
#include "proxy/admin_private.h"
#include "proxy/fault_switch.h"
#include "proxy/prometheus.h"

void admin_healthz(struct admin *a, struct evhttp_request *req)
{
    (void)a;
    admin_answer_text(req, 200, "alive");
}

static json_t *lines_to_json(struct str lines)
{
    json_t *list = json_array();
    struct str line;

    while (str_split(&lines, '\n', &line))
        if (line.n > 0)
            json_array_append_new(list, admin_json_of(line));
    return list;
}

void admin_readyz(struct admin *a, struct evhttp_request *req)
{
    struct buffer reasons;

    buffer_init(&reasons, ADMIN_ANSWER_BYTES_MAX);
    bool ready = a->ops->ready(a->arg, &reasons);
    json_t *answer = json_pack("{s:b}", "ready", ready);
    if (!ready)
        json_object_set_new(answer, "reasons", lines_to_json(buffer_str(&reasons)));
    buffer_release(&reasons);
    admin_answer_json(req, ready ? 200 : 503, answer);
}

void admin_reload(struct admin *a, struct evhttp_request *req)
{
    struct buffer text;
    bool changed = false;

    buffer_init(&text, ADMIN_ANSWER_BYTES_MAX);
    if (!a->ops->reload(a->arg, &changed, &text)) {
        buffer_add_str(&text, STR("The configuration that was in force stays in force.\n"));
        admin_answer(req, 400, "text/plain; charset=utf-8", &text);
        return;
    }
    json_t *answer =
        json_pack("{s:s,s:b}", "hash", a->ops->config(a->arg)->hash, "changed", changed);
    if (changed)
        json_object_set_new(answer, "changes", admin_json_of(buffer_str(&text)));
    buffer_release(&text);
    admin_answer_json(req, 200, answer);
}

static void answer_faults(struct evhttp_request *req, bool off)
{
    fault_switch_set(off);
    admin_answer_json(req, 200, json_pack("{s:s}", "faults", off ? "off" : "on"));
}

void admin_faults_off(struct admin *a, struct evhttp_request *req)
{
    (void)a;
    answer_faults(req, true);
}

void admin_faults_on(struct admin *a, struct evhttp_request *req)
{
    (void)a;
    answer_faults(req, false);
}

void admin_metrics(struct admin *a, struct evhttp_request *req)
{
    struct buffer out;

    buffer_init(&out, ADMIN_ANSWER_BYTES_MAX);
    a->ops->metrics(a->arg, &out);
    admin_answer(req, 200, PROMETHEUS_CONTENT_TYPE, &out);
}
