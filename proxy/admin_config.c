/*
 * The page that shows the configuration in force: as text, and as a tree for
 * programs, made of that text, so that neither shows what the other masks.
 */
#include <string.h>

#include "mesh/config_tree.h"
#include "proxy/admin_private.h"
#include "proxy/fault_switch.h"
#include "proxy/memory.h"

/* ---- the tree ---- */

/* Puts the value into the object, or an array where key is NULL; takes it. False: no memory. */
static bool put(json_t *into, const char *key, json_t *value)
{
    return (key ? json_object_set_new(into, key, value) : json_array_append_new(into, value)) == 0;
}

static json_t *words_to_json(const struct word *v, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        if (!put(list, NULL, admin_json_of(v[i].text))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *block_to_json(const struct statement *first);

static json_t *statement_to_json(const struct statement *s)
{
    json_t *o = json_object();

    if (put(o, "directive", admin_json_of(s->name.text)) &&
        put(o, "args", words_to_json(s->args, s->n_args)) &&
        (!s->has_block || put(o, "block", block_to_json(s->block))))
        return o;
    json_decref(o);
    return NULL;
}

/* In the order of the text, which counts: of routes the first that fits. NULL: no memory. */
static json_t *block_to_json(const struct statement *first)
{
    json_t *list = json_array();

    for (const struct statement *s = first; s; s = s->next) {
        if (!put(list, NULL, statement_to_json(s))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* ---- the page ---- */

/* What the tree and its JSON take, for each byte of the text: twice what was measured with
 * thousands of clusters. */
enum { BYTES_EACH = 96 };

static void answer_json(struct evhttp_request *req, const struct config *c)
{
    json_t *answer = json_object();
    struct config_tree tree = {0};
    /* To find out amid it that there is none would be the end of the process. */
    bool good = memory_state() == MEMORY_FINE && memory_can_be_had(BYTES_EACH * c->text.n) &&
                config_tree_read(&tree, c->text) && put(answer, "hash", json_string(c->hash)) &&
                put(answer, "path", admin_json_of(c->path)) &&
                put(answer, "faults", json_string(faults_are_off() ? "off" : "on")) &&
                put(answer, "config", block_to_json(tree.first)) &&
                put(answer, "text", admin_json_of(c->text));

    config_tree_release(&tree);
    if (good) {
        admin_answer_json(req, 200, answer);
        return;
    }
    json_decref(answer);
    admin_answer_text(req, 503, "It is too large to be shown as JSON; ?format=text shows it");
}

static void answer_text(struct evhttp_request *req, const struct config *c)
{
    struct buffer out;

    buffer_init(&out, 0);
    if (faults_are_off())
        buffer_add_str(&out, STR("# all faults are silent: POST /faults/on ends it\n"));
    buffer_add_str(&out, c->text);
    admin_answer(req, 200, "text/plain; charset=utf-8", &out);
}

void admin_config(struct admin *a, struct evhttp_request *req)
{
    static const char *const names[] = {"format", NULL};
    const struct config *c = a->ops->config(a->arg);
    struct evkeyvalq query;

    if (!admin_query(req, names, &query))
        return;
    const char *format = evhttp_find_header(&query, "format");
    struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
    evhttp_add_header(headers, "sidespan-config-hash", c->hash);
    if (!format || strcmp(format, "text") == 0)
        answer_text(req, c);
    else if (strcmp(format, "json") == 0)
        answer_json(req, c);
    else
        admin_answer_text(req, 400, "The format is text or json");
    evhttp_clear_headers(&query);
}
