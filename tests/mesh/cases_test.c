/*
 * Routing as data: beside each cases/NAME.conf stand the requests of
 * cases/NAME.requests, one a line, and what becomes of them:
 *
 *   [inbound] METHOD URL [header: value]... [source IP] -> ROUTE, TARGET[, FAULT]...
 *
 * TARGET is a cluster, "respond 200" or "redirect 301 URL"; FAULT is "delay 2s",
 * "abort 503", "abort 503 grpc 14" or "reset". What no route takes is "none". Runs in cases/.
 */
#include <glob.h>

#include "given.h"
#include "mesh/explain_text.h"
#include "mesh/fault.h"
#include "mesh/split.h"

static glob_t files;

static void write_target(const struct route_choice *choice, const struct request *r,
                         struct buffer *out)
{
    const struct route *route = choice->route;

    if (route->action == ACTION_FORWARD)
        buffer_add_str(out, split_choose(route, r)->name);
    else if (route->action == ACTION_RESPOND)
        buffer_printf(out, "respond %u", route->status);
    else
        buffer_printf(
            out, "redirect %u %.*s", route->status,
            STR_ARG(template_expand_location(route->location, r, &choice->params, &arena)));
}

static void write_faults(const struct route *route, const struct request *r, struct buffer *out)
{
    struct fault_decision d = fault_decide(route, r);

    if (d.delay) {
        buffer_printf(out, ", delay ");
        text_duration(out, d.delay);
    }
    if (d.aborted && d.aborted->kind == FAULT_RESET)
        buffer_printf(out, ", reset");
    else if (d.aborted)
        buffer_printf(out, ", abort %u", d.aborted->status);
    if (d.aborted && d.aborted->grpc_status >= 0)
        buffer_printf(out, " grpc %d", d.aborted->grpc_status);
}

static void write_outcome(const struct config *c, struct str line, struct buffer *out)
{
    bool inbound;
    struct request r = given_line(line, &inbound);
    struct route_choice choice;

    if (!route_find(inbound ? &c->inbound : &c->outbound, &r, &choice)) {
        buffer_printf(out, "none");
        return;
    }
    buffer_printf(out, "%.*s, ", STR_ARG(choice.route->text));
    write_target(&choice, &r, out);
    write_faults(choice.route, &r, out);
}

/* The config's name with another end. */
static const char *beside(const char *conf, const char *end)
{
    return arena_printf(&arena, "%.*s%s", (int)strlen(conf) - 5, conf, end).p;
}

START_TEST(requests_go_where_the_case_says)
{
    const char *conf = files.gl_pathv[_i];
    struct config *c = given_config(conf);
    struct str rest = given_file(beside(conf, ".requests")), line;
    unsigned number = 0;
    struct buffer out;

    buffer_init(&out, 0);
    while (str_split(&rest, '\n', &line)) {
        size_t arrow = 0;
        number++;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        while (arrow < line.n && !str_starts(str_slice(line, arrow, line.n), STR(" -> ")))
            arrow++;
        ck_assert_msg(arrow < line.n, "%s:%u: no arrow", conf, number);
        buffer_reset(&out);
        write_outcome(c, str_slice(line, 0, arrow), &out);
        ck_assert_msg(str_eq(buffer_str(&out), str_slice(line, arrow + 4, line.n)),
                      "%s, line %u of its requests: %.*s", conf, number, STR_ARG(buffer_str(&out)));
    }
    buffer_release(&out);
    config_unref(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh/cases");
    TCase *tc = tcase_create("cases");

    if (glob("*.conf", 0, NULL, &files) != 0)
        return EXIT_FAILURE;
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, requests_go_where_the_case_says, 0, (int)files.gl_pathc);
    suite_add_tcase(suite, tc);
    int status = given_run(suite);
    globfree(&files);
    return status;
}
