#include "proxy/admin.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what it shows ---- */

static bool is_ready, keeps_spans, reload_ok, reload_changed;
static char asked_trace[TRACE_ID_HEX + 1];
static size_t asked_limit;
static unsigned reloads;
static struct config *config;

static bool ready(void *arg, struct buffer *reasons)
{
    (void)arg;
    if (!is_ready)
        buffer_add_str(reasons, STR("draining\ncluster \"a\": late\n"));
    return is_ready;
}

static const struct config *in_force(void *arg)
{
    (void)arg;
    return config;
}

static bool traces(void *arg, const struct trace_id *trace_id, size_t limit, struct buffer *out)
{
    (void)arg;
    strcpy(asked_trace, "all");
    if (trace_id) {
        trace_id_to_hex(trace_id, asked_trace);
        asked_trace[TRACE_ID_HEX] = '\0';
    }
    asked_limit = limit;
    buffer_add_str(out, STR("{\"resourceSpans\":[{\"traceId\":\"\"}]}"));
    return keeps_spans;
}

static void ledger(void *arg, struct buffer *out)
{
    (void)arg;
    buffer_add_str(out, STR("{\"exporters\":[]}"));
}

static void metrics(void *arg, struct buffer *out)
{
    (void)arg;
    buffer_add_str(out, STR("sidespan_ready 1\n"));
}

static bool reload(void *arg, bool *changed, struct buffer *text)
{
    (void)arg;
    reloads++;
    *changed = reload_changed;
    buffer_add_str(text, reload_ok ? STR("clusters +a") : STR("routes.conf:1:1: wrong\n"));
    return reload_ok;
}

static const struct admin_ops ops = {ready, in_force, traces, ledger, metrics, reload};

/* ---- asking ---- */

static struct event_base *base;
static struct admin *admin;
static char answer[65536];

static int reach(void)
{
    struct sockaddr_storage sa;
    socklen_t len;
    const struct address *to = admin_address(admin);
    int fd = socket(to->family, SOCK_STREAM, 0);

    ck_assert(address_to_sockaddr(to, &sa, &len));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

/* Runs the loop until the other side has closed. */
static const char *read_answer(int fd)
{
    size_t n = 0;

    for (;;) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        ssize_t got = recv(fd, answer + n, sizeof(answer) - 1 - n, MSG_DONTWAIT);
        if (got > 0)
            n += (size_t)got;
        else if (got == 0 || errno != EAGAIN)
            break;
    }
    answer[n] = '\0';
    close(fd);
    return answer;
}

static const char *ask_raw(const char *request)
{
    int fd = reach();

    ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    return read_answer(fd);
}

static const char *ask(const char *request_line, const char *more)
{
    char request[1024];

    snprintf(request, sizeof(request), "%s HTTP/1.1\r\nConnection: close\r\n%s\r\n", request_line,
             more ? more : "Host: localhost\r\n");
    return ask_raw(request);
}

static int status_of(const char *text)
{
    int status = 0;

    ck_assert_msg(sscanf(text, "HTTP/1.1 %d", &status) == 1, "%s", text);
    return status;
}

static const char *body_of(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");

    ck_assert_ptr_nonnull(end);
    return end + 4;
}

#define ck_assert_has(text, what) ck_assert_msg(strstr(text, what), "no %s in\n%s", what, text)

static void open_on(const struct address *address)
{
    struct error err = {0};

    base = event_base_new();
    admin = admin_open(base, address, &ops, NULL, &err);
    ck_assert_msg(admin != NULL, "%s", err.text);
}

static void setup(void)
{
    struct errors errors = {0};

    config = config_parse("t.conf", STR("inbound { listen 127.0.0.1:0; route / { respond 200; } }"),
                          NULL, &errors);
    ck_assert_ptr_nonnull(config);
    is_ready = keeps_spans = reload_ok = reload_changed = true;
    reloads = 0;
    open_on(&(struct address){.family = AF_INET, .ip = {127, 0, 0, 1}});
}

static void teardown(void)
{
    admin_free(admin);
    event_base_free(base);
    config_unref(config);
}

/* ---- pages ---- */

static const struct page_row {
    const char *request;
    int status;
    const char *type, *body;
} page_rows[] = {
    {"GET /", 200, "text/plain; charset=utf-8", "POST /reload"},
    {"GET /healthz", 200, "text/plain; charset=utf-8", "alive\n"},
    {"GET /readyz", 200, "application/json", "\"ready\": true"},
    {"GET /config", 200, "text/plain; charset=utf-8", "inbound"},
    {"GET /config?format=text", 200, "text/plain; charset=utf-8", "inbound"},
    {"GET /config?format=json", 200, "application/json", "\"hash\": \""},
    {"GET /config?format=json", 200, "application/json", "\"directive\": \"inbound\""},
    {"GET /config?format=xml", 400, "text/plain; charset=utf-8", "text or json"},
    {"GET /config?frmat=json", 400, "text/plain; charset=utf-8", "no parameter"},
    {"GET /traces", 200, "application/json", "{\"resourceSpans\":["},
    {"GET /ledger", 200, "application/json", "{\"exporters\":[]}"},
    {"GET /metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "sidespan_ready 1\n"},
    {"GET /nowhere", 404, "text/plain; charset=utf-8", "GET / lists them"},
    {"GET /healthz/", 404, "text/plain; charset=utf-8", "GET / lists them"},
    {"POST /metrics", 405, "text/plain; charset=utf-8", "takes GET"},
    {"DELETE /metrics", 405, "text/plain; charset=utf-8", "takes GET"},
    {"GET /reload", 405, "text/plain; charset=utf-8", "takes POST"},
};

START_TEST(every_page_answers)
{
    const struct page_row *row = &page_rows[_i];
    char type[100];
    const char *got =
        ask(row->request, strncmp(row->request, "POST", 4) == 0 ? "Host: localhost\r\n"
                                                                  "Content-Length: 0\r\n"
                                                                : NULL);

    ck_assert_int_eq(status_of(got), row->status);
    snprintf(type, sizeof(type), "\r\nContent-Type: %s\r\n", row->type);
    ck_assert_has(got, type);
    ck_assert_has(body_of(got), row->body);
    ck_assert_has(got, "\r\nCache-Control: no-store\r\n");
}
END_TEST

START_TEST(a_head_request_has_no_body)
{
    const char *got = ask("HEAD /metrics", NULL);

    ck_assert_int_eq(status_of(got), 200);
    ck_assert_str_eq(body_of(got), "");
}
END_TEST

START_TEST(not_ready_says_every_reason)
{
    is_ready = false;
    const char *got = ask("GET /readyz", NULL);
    ck_assert_int_eq(status_of(got), 503);
    ck_assert_has(got, "\"ready\": false");
    ck_assert_has(got, "\"draining\"");
    ck_assert_has(got, "\"cluster \\\"a\\\": late\"");
}
END_TEST

START_TEST(the_config_comes_with_its_hash)
{
    char line[64];

    snprintf(line, sizeof(line), "\r\nsidespan-config-hash: %s\r\n", config->hash);
    ck_assert_has(ask("GET /config", NULL), line);
}
END_TEST

START_TEST(a_reload_answers_with_the_hash)
{
    const char *got = ask("POST /reload", "Host: localhost\r\nContent-Length: 0\r\n");

    ck_assert_int_eq(status_of(got), 200);
    ck_assert_has(got, config->hash);
    ck_assert_has(got, "\"changed\": true");
    ck_assert_has(got, "\"changes\": \"clusters +a\"");
    ck_assert_uint_eq(reloads, 1);
}
END_TEST

START_TEST(a_bad_reload_answers_with_the_errors)
{
    reload_ok = false;
    const char *got = ask("POST /reload", "Host: localhost\r\nContent-Length: 0\r\n");
    ck_assert_int_eq(status_of(got), 400);
    ck_assert_has(body_of(got), "routes.conf:1:1: wrong\n");
    ck_assert_has(body_of(got), "stays in force");
}
END_TEST

/* ---- traces ---- */

static const struct traces_row {
    const char *query;
    const char *trace; /* NULL: 400 */
    size_t limit;
} traces_rows[] = {
    {"", "all", 1000},
    {"?limit=5", "all", 5},
    {"?trace_id=0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319c", 1000},
    {"?limit=7&trace_id=0AF7651916CD43DD8448EB211C80319C", "0af7651916cd43dd8448eb211c80319c", 7},
    {"?trace_id=0af7", NULL, 0},
    {"?trace_id=00000000000000000000000000000000", NULL, 0},
    {"?trace_id=0af7651916cd43dd8448eb211c80319z", NULL, 0},
    {"?limit=0", NULL, 0},
    {"?limit=-1", NULL, 0},
    {"?limit=many", NULL, 0},
    {"?traceid=0af7651916cd43dd8448eb211c80319c", NULL, 0},
};

START_TEST(traces_are_asked_for_by_id_and_number)
{
    const struct traces_row *row = &traces_rows[_i];
    char line[200];

    asked_trace[0] = '\0';
    snprintf(line, sizeof(line), "GET /traces%s", row->query);
    const char *got = ask(line, NULL);
    ck_assert_int_eq(status_of(got), row->trace ? 200 : 400);
    ck_assert_str_eq(asked_trace, row->trace ? row->trace : "");
    if (row->trace)
        ck_assert_uint_eq(asked_limit, row->limit);
}
END_TEST

START_TEST(without_spans_in_memory_it_says_what_to_write)
{
    keeps_spans = false;
    const char *got = ask("GET /traces", NULL);
    ck_assert_int_eq(status_of(got), 404);
    ck_assert_has(body_of(got), "export memory;");
}
END_TEST

/* ---- who may ask ---- */

static const struct host_row {
    const char *request, *headers;
    int status;
} host_rows[] = {
    {"GET /config", "Host: localhost\r\n", 200},
    {"GET /config", "Host: LOCALHOST:15000\r\n", 200},
    {"GET /config", "Host: 127.0.0.1:15000\r\n", 200},
    {"GET /config", "Host: 10.1.2.3\r\n", 200},
    {"GET /config", "Host: [::1]:15000\r\n", 200},
    {"GET /config", "Host: evil.example\r\n", 403},
    {"GET /config", "Host: evil.example:15000\r\n", 403},
    {"GET /config", "Host: localhost.evil.example\r\n", 403},
    {"GET /config", "Host: 127.0.0.1.evil.example\r\n", 403},
    {"GET /config", "Host: \r\n", 403},
    {"GET http://evil.example/config", "Host: localhost\r\n", 403},
    {"POST /reload", "Host: evil.example\r\nContent-Length: 0\r\n", 403},
    {"POST /reload", "Host: localhost\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n",
     403},
    {"POST /reload", "Host: localhost\r\nOrigin: null\r\nContent-Length: 0\r\n", 403},
    {"POST /reload", "Host: localhost:1\r\nOrigin: http://localhost:1\r\nContent-Length: 0\r\n",
     200},
};

START_TEST(only_those_on_this_machine_may_ask)
{
    const struct host_row *row = &host_rows[_i];

    ck_assert_int_eq(status_of(ask(row->request, row->headers)), row->status);
    ck_assert_uint_eq(reloads, row->request[0] == 'P' && row->status == 200);
}
END_TEST

START_TEST(on_other_addresses_any_name_may_be_used)
{
    admin_free(admin);
    event_base_free(base);
    open_on(&(struct address){.family = AF_INET}); /* 0.0.0.0 */
    ck_assert_int_eq(status_of(ask("GET /metrics", "Host: pod.example\r\n")), 200);
}
END_TEST

START_TEST(what_is_too_large_is_refused)
{
    static char request[40000];
    size_t n =
        (size_t)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: localhost\r\nx: ");

    memset(request + n, 'a', 30000);
    strcpy(request + n + 30000, "\r\n\r\n");
    ck_assert_ptr_null(strstr(ask_raw(request), " 200 "));
    ck_assert_ptr_null(
        strstr(ask("POST /reload", "Host: localhost\r\nContent-Length: 1000000\r\n"), " 200 "));
    ck_assert_uint_eq(reloads, 0);
}
END_TEST

/* ---- connections and sockets ---- */

static bool is_closed(int fd)
{
    return recv(fd, answer, sizeof(answer), MSG_DONTWAIT) == 0;
}

/* Half a request, or none: it is answered as soon as it is there, so who is here is slow. */
START_TEST(of_too_many_the_slowest_make_room)
{
    enum { MANY = 200, MOST = 128 };
    const char *half = "GET /healthz HTTP/1.1\r\nHost: loc";
    int fds[MANY];

    for (int i = 0; i < MANY; i++) {
        fds[i] = reach();
        ck_assert_int_gt(send(fds[i], half, i % 2 ? strlen(half) : 1, MSG_NOSIGNAL), 0);
        event_base_loop(base, EVLOOP_NONBLOCK);
    }
    for (int i = 0; i < 100; i++)
        event_base_loop(base, EVLOOP_NONBLOCK);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(is_closed(fds[i]), i < MANY - MOST);

    ck_assert_int_eq(status_of(ask("GET /healthz", NULL)), 200);
    const char *rest = "alhost\r\nConnection: close\r\n\r\n";
    ck_assert_int_gt(send(fds[MANY - 1], rest, strlen(rest), MSG_NOSIGNAL), 0);
    ck_assert_int_eq(status_of(read_answer(fds[MANY - 1])), 200);
    for (int i = 0; i < MANY - 1; i++)
        close(fds[i]);
}
END_TEST

START_TEST(an_address_in_use_is_an_error_that_names_it)
{
    struct error err = {0};

    ck_assert_ptr_null(admin_open(base, admin_address(admin), &ops, NULL, &err));
    ck_assert_has(err.text, "admin 127.0.0.1:");
    /* As a listener says it: one failure has one voice. */
    ck_assert_has(err.text, "the port is in use by another program (ss -ltnp shows which)");
}
END_TEST

START_TEST(a_unix_socket_is_its_owners_alone_and_goes_with_the_port)
{
    char path[] = "/tmp/admin_test.XXXXXX", socket_path[64];
    struct stat st;

    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(socket_path, sizeof(socket_path), "%s/admin", path);
    admin_free(admin);
    event_base_free(base);
    open_on(&(struct address){.family = AF_UNIX, .path = socket_path});
    ck_assert_int_eq(stat(socket_path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(status_of(ask("GET /healthz", NULL)), 200);
    admin_free(admin);
    ck_assert_int_ne(stat(socket_path, &st), 0);
    admin = NULL;
    ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

START_TEST(closed_it_still_answers_those_who_are_connected)
{
    const char *request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct address address = *admin_address(admin);
    struct error err = {0};
    int fd = reach();

    event_base_loop(base, EVLOOP_NONBLOCK);
    admin_close(admin);
    struct admin *next = admin_open(base, &address, &ops, NULL, &err); /* the address is free */
    ck_assert_msg(next != NULL, "%s", err.text);
    ck_assert_int_gt(send(fd, request, strlen(request), MSG_NOSIGNAL), 0);
    ck_assert_int_eq(status_of(read_answer(fd)), 200);
    admin_free(next);
}
END_TEST

START_TEST(it_may_end_while_connections_are_open)
{
    int fd = reach(), other = reach();

    event_base_loop(base, EVLOOP_NONBLOCK);
    admin_free(admin);
    admin = NULL;
    event_base_loop(base, EVLOOP_NONBLOCK);
    close(fd);
    close(other);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("admin");
    TCase *t = tcase_create("admin");
#define ROWS(v) (int)(sizeof(v) / sizeof((v)[0]))

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, every_page_answers, 0, ROWS(page_rows));
    tcase_add_test(t, a_head_request_has_no_body);
    tcase_add_test(t, not_ready_says_every_reason);
    tcase_add_test(t, the_config_comes_with_its_hash);
    tcase_add_test(t, a_reload_answers_with_the_hash);
    tcase_add_test(t, a_bad_reload_answers_with_the_errors);
    tcase_add_loop_test(t, traces_are_asked_for_by_id_and_number, 0, ROWS(traces_rows));
    tcase_add_test(t, without_spans_in_memory_it_says_what_to_write);
    tcase_add_loop_test(t, only_those_on_this_machine_may_ask, 0, ROWS(host_rows));
    tcase_add_test(t, on_other_addresses_any_name_may_be_used);
    tcase_add_test(t, what_is_too_large_is_refused);
    tcase_add_test(t, of_too_many_the_slowest_make_room);
    tcase_add_test(t, an_address_in_use_is_an_error_that_names_it);
    tcase_add_test(t, a_unix_socket_is_its_owners_alone_and_goes_with_the_port);
    tcase_add_test(t, closed_it_still_answers_those_who_are_connected);
    tcase_add_test(t, it_may_end_while_connections_are_open);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
