/*
 * Calls of gRPC through whole exchanges, between sockets of the test's own.
 * HTTP/1.1 carries them here: what gRPC asks does not depend on the codec.
 */
#include <poll.h>
#include <stdio.h>

#include "base/grpc_status.h"
#include "proxy/exchange_private.h"
#include "proxy/listener.h"
#include "stepped_worker.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* ---- spans end here instead of in a worker's feed ---- */

static struct {
    bool grpc;
    int status;
    enum span_error error;
    unsigned http, resend_count;
} told[8];
static unsigned n_told;

void span_feed_push(struct span_feed *f, const struct span *s)
{
    ck_assert_uint_lt(n_told, COUNT(told));
    told[n_told].grpc = s->grpc;
    told[n_told].status = s->grpc_status;
    told[n_told].error = (enum span_error)s->error;
    told[n_told].http = s->status;
    told[n_told++].resend_count = s->resend_count;
}

/* ---- a caller, a sidecar, an origin ---- */

static struct worker *worker;
static struct address origin_at;
static int origin;   /* listens; -1: nobody does */
static int caller;   /* the test's end of the client's connection */
static int upstream; /* the test's end of the upstream's; -1: none */

/* Where nobody listens. */
static int refuse_all(struct address *at)
{
    close(listen_anywhere(at, 1));
    return -1;
}

static void begin(const char *route, bool listens)
{
    static const struct listen_config plain = {.mode = LISTEN_PLAIN};
    struct listener l = {.config = &plain, .direction = DIRECTION_OUTBOUND};
    struct address clients_at, nobody = {.family = AF_INET, .ip = {10, 1, 2, 3}, .port = 999};
    char conf[1000];
    int clients, accepted;

    n_told = 0;
    upstream = -1;
    origin = listens ? listen_anywhere(&origin_at, 10) : refuse_all(&origin_at);
    snprintf(conf, sizeof conf,
             "outbound { listen 127.0.0.1:0; route /p.S/ { to c; %s } }\n"
             "cluster c { endpoint 127.0.0.1:%u; }\n"
             "limits { body-bytes 100; }",
             route, origin_at.port);
    worker = stepped_worker_of(conf);
    clients = listen_anywhere(&clients_at, 1);
    caller = connect_to(&clients_at);
    accepted = accept4(clients, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    close(clients);
    loop_begin_turn(&worker->loop);
    front_accepted(worker, &l, accepted, &nobody);
    loop_end_turn(&worker->loop);
}

static void end(void)
{
    close(caller);
    if (upstream >= 0)
        close(upstream);
    if (origin >= 0)
        close(origin);
    RUN_UNTIL(worker, list_empty(&worker->active) && list_empty(&worker->loop.conns.lingering));
    worker_free(worker);
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What comes next on that socket, as far as `until`; "" for nothing: it was closed. */
static const char *heard(int fd, const char *until)
{
    static char text[8192];
    size_t n = 0;

    text[0] = '\0';
    while (!strstr(text, until)) {
        ssize_t got;

        RUN_UNTIL(worker, is_readable(fd));
        got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
        text[n] = '\0';
    }
    return text;
}

static void call_with(const char *fields)
{
    char request[1000];

    snprintf(request, sizeof request,
             "POST /p.S/M HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n%s"
             "Content-Length: 5\r\n\r\n%c%c%c%c%c",
             fields, 1, 1, 1, 1, 1);
    say(caller, request);
}

#define GRPC "Content-Type: application/grpc\r\n"

/* The origin's end of the call, and the request there. */
static const char *called(void)
{
    if (upstream >= 0)
        close(upstream);
    RUN_UNTIL(worker, is_readable(origin));
    upstream = accept4(origin, NULL, NULL, SOCK_CLOEXEC);
    return heard(upstream, "\1\1\1\1\1");
}

/* The value of a field; "" for none. */
static const char *field(const char *head, const char *name)
{
    static char value[2048];
    const char *at = strcasestr(head, name);

    value[0] = '\0';
    if (at)
        sscanf(at + strlen(name), ": %2047[^\r]", value);
    return value;
}

static void ck_answered(const char *answer, enum grpc_status status, const char *message)
{
    char number[12];

    snprintf(number, sizeof number, "%d", (int)status);
    ck_assert_msg(!strncmp(answer, "HTTP/1.1 200 ", 13), "%s", answer);
    ck_assert_str_eq(field(answer, "content-type"), "application/grpc");
    ck_assert_str_eq(field(answer, "content-length"), "0");
    ck_assert_str_eq(field(answer, "grpc-status"), number);
    if (message)
        ck_assert_str_eq(field(answer, "grpc-message"), message);
    ck_assert_str_ne(field(answer, "sidespan-reason"), "");
    RUN_UNTIL(worker, n_told);
    ck_assert_uint_eq(n_told, 1);
    ck_assert(told[0].grpc);
    ck_assert_int_eq(told[0].status, status);
    ck_assert_uint_eq(told[0].http, 200);
}

/* ---- which are calls ---- */

static const struct {
    const char *method, *type;
    bool grpc;
} types[] = {
    {"POST", "application/grpc", true},
    {"POST", "application/grpc+proto", true},
    {"POST", "application/grpc;charset=utf-8", true},
    {"POST", "Application/GRPC", true},
    {"POST", "application/grpc-web", false},
    {"POST", "application/grpc-web+proto", false},
    {"POST", "application/grpcx", false},
    {"POST", "application/json", false},
    {"PUT", "application/grpc", false},
};

START_TEST(a_call_is_a_post_with_the_content_type_of_grpc)
{
    char request[200];

    begin("fault abort 503;", true);
    snprintf(request, sizeof request,
             "%s /p.S/M HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: 0\r\n\r\n",
             types[_i].method, types[_i].type);
    say(caller, request);
    ck_assert_int_eq(!strncmp(heard(caller, "\r\n\r\n"), "HTTP/1.1 200", 12), types[_i].grpc);
    ck_assert_int_eq(told[0].grpc, types[_i].grpc);
    end();
}
END_TEST

/* ---- deadlines ---- */

static nsec_t left_of(const char *request)
{
    char unit = 0;
    long long n = 0;

    sscanf(field(request, "grpc-timeout"), "%lld%c", &n, &unit);
    return n * (unit == 'n'   ? 1
                : unit == 'u' ? 1000
                : unit == 'm' ? MILLISECONDS(1)
                : unit == 'S' ? SECONDS(1)
                              : 0);
}

static const struct {
    const char *route, *fields;
    nsec_t most; /* 0: no grpc-timeout goes out */
} deadlines[] = {
    {"", "", 0},
    {"", "grpc-timeout: 20S\r\n", SECONDS(20)},
    {"timeout 1h;", "grpc-timeout: 20S\r\n", SECONDS(20)},
    {"timeout 20s;", "grpc-timeout: 1H\r\n", SECONDS(20)},
    {"timeout 20s;", "", SECONDS(20)}, /* the server may as well know */
};

START_TEST(the_server_is_told_the_time_that_is_left)
{
    const char *request;

    begin(deadlines[_i].route, true);
    char fields[200];
    snprintf(fields, sizeof fields, GRPC "%s", deadlines[_i].fields);
    call_with(fields);
    request = called();
    if (!deadlines[_i].most) {
        ck_assert_str_eq(field(request, "grpc-timeout"), "");
    } else {
        ck_assert_int_lt(left_of(request), deadlines[_i].most);
        ck_assert_int_gt(left_of(request), deadlines[_i].most - SECONDS(10));
    }
    end();
}
END_TEST

START_TEST(a_delay_is_taken_from_the_time_that_is_left)
{
    begin("fault delay 50ms;", true);
    call_with(GRPC "grpc-timeout: 20S\r\n");
    ck_assert_int_le(left_of(called()), SECONDS(20) - MILLISECONDS(50));
    end();
}
END_TEST

START_TEST(nobody_else_has_a_grpc_timeout)
{
    begin("timeout 20s;", true);
    call_with("grpc-timeout: 1n\r\n");
    ck_assert_str_eq(field(called(), "grpc-timeout"), "1n");
    end();
}
END_TEST

START_TEST(a_call_ends_at_its_deadline)
{
    begin("", true);
    call_with(GRPC "grpc-timeout: 50m\r\n");
    called();
    ck_answered(heard(caller, "\r\n\r\n"), GRPC_DEADLINE_EXCEEDED,
                "sidespan: the call's deadline was over (grpc-timeout): find out what the upstream "
                "waits for; the caller asked for no more time");
    ck_assert_int_eq(told[0].error, SPAN_ERROR_TIMEOUT);
    ck_assert_int_eq(counted(worker, COUNT_ROUTE_TIMEOUTS), 0);
    end();
}
END_TEST

START_TEST(a_call_ends_at_the_routes_timeout)
{
    begin("timeout 50ms;", true);
    call_with(GRPC "grpc-timeout: 1H\r\n");
    called();
    ck_answered(
        heard(caller, "\r\n\r\n"), GRPC_DEADLINE_EXCEEDED,
        "sidespan: the route's timeout was over (timeout): find out what the upstream waits "
        "for, or raise the route's timeout");
    ck_assert_int_eq(counted(worker, COUNT_ROUTE_TIMEOUTS), 1);
    end();
}
END_TEST

START_TEST(a_call_without_time_is_not_made)
{
    begin("", true);
    call_with(GRPC "grpc-timeout: 0n\r\n");
    ck_answered(heard(caller, "\r\n\r\n"), GRPC_DEADLINE_EXCEEDED, NULL);
    ck_assert(!is_readable(origin));
    end();
}
END_TEST

START_TEST(a_response_is_cut_at_the_deadline)
{
    begin("", true);
    call_with(GRPC "grpc-timeout: 200m\r\n");
    called();
    say(upstream, "HTTP/1.1 200 OK\r\n" GRPC "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    heard(caller, "x\r\n");
    ck_assert_str_eq(heard(caller, "grpc-status"), ""); /* and no end of the body */
    RUN_UNTIL(worker, n_told);
    ck_assert_int_eq(told[0].status, GRPC_DEADLINE_EXCEEDED);
    end();
}
END_TEST

static const char *const malformed[] = {
    "grpc-timeout: 5s\r\n",
    "grpc-timeout:\r\n",
    "grpc-timeout: 123456789S\r\n",
    "grpc-timeout: 5S\r\ngrpc-timeout: 5S\r\n",
};

START_TEST(a_deadline_that_cannot_be_read_is_refused)
{
    char fields[200];

    begin("", true);
    snprintf(fields, sizeof fields, GRPC "%s", malformed[_i]);
    call_with(fields);
    ck_answered(heard(caller, "\r\n\r\n"), GRPC_INTERNAL, NULL);
    end();
}
END_TEST

/* ---- the server's status ---- */

static const struct {
    const char *response;
    int status;
} responses[] = {
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\ngrpc-status: 0\r\n\r\n",
     GRPC_OK},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
     "grpc-message: m\r\nGrpc-Status: 5\r\n\r\n",
     GRPC_NOT_FOUND},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\ngrpc-status: 16\r\n\r\n", GRPC_UNAUTHENTICATED},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\ngrpc-status: x\r\n\r\n", GRPC_UNKNOWN},
    /* Not of gRPC: what it means is for the conventions to say. */
    {"HTTP/1.1 503 Busy\r\nContent-Length: 5\r\nContent-Type: text/html\r\n\r\n<br/>", -1},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", -1},
};

START_TEST(the_servers_status_passes_and_is_in_the_span)
{
    begin("", true);
    call_with(GRPC);
    called();
    say(upstream, responses[_i].response);
    ck_assert_str_eq(heard(caller, strrchr(responses[_i].response, '\n') - 3),
                     responses[_i].response);
    RUN_UNTIL(worker, n_told);
    ck_assert_int_eq(told[0].status, responses[_i].status);
    ck_assert_int_eq(told[0].error, SPAN_ERROR_NONE);
    end();
}
END_TEST

START_TEST(a_status_ends_a_call_that_is_still_being_sent)
{
    begin("", true);
    say(caller, "POST /p.S/M HTTP/1.1\r\nHost: a\r\n" GRPC "Transfer-Encoding: chunked\r\n\r\n"
                "5\r\n\1\1\1\1\1\r\n");
    called();
    say(upstream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\ngrpc-status: 7\r\n\r\n");
    RUN_UNTIL(worker, n_told);
    ck_assert_int_eq(told[0].status, GRPC_PERMISSION_DENIED);
    ck_assert_str_eq(field(heard(caller, "\r\n\r\n"), "grpc-status"), "7");
    ck_assert_str_eq(heard(upstream, "\1"), ""); /* it is cancelled there */
    end();
}
END_TEST

/* ---- what goes wrong ---- */

START_TEST(a_server_that_cannot_be_had_is_unavailable)
{
    char message[200];

    begin("", false);
    call_with(GRPC);
    snprintf(message, sizeof message, "sidespan: connecting to 127.0.0.1:%u: Connection refused",
             origin_at.port);
    ck_answered(heard(caller, "\r\n\r\n"), GRPC_UNAVAILABLE, message);
    end();
}
END_TEST

START_TEST(a_server_that_goes_away_is_unavailable)
{
    begin("", true);
    call_with(GRPC);
    called();
    close_with_reset(upstream);
    upstream = -1;
    ck_answered(heard(caller, "\r\n\r\n"), GRPC_UNAVAILABLE, NULL);
    end();
}
END_TEST

START_TEST(a_server_that_breaks_http_is_an_internal_error)
{
    begin("", true);
    call_with(GRPC);
    called();
    say(upstream, "SSH-2.0-OpenSSH\r\n");
    ck_answered(heard(caller, "\r\n\r\n"), GRPC_INTERNAL, NULL);
    end();
}
END_TEST

START_TEST(a_server_that_goes_away_amid_its_answer_is_unavailable)
{
    begin("", true);
    call_with(GRPC);
    called();
    say(upstream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    heard(caller, "x\r\n");
    close_with_reset(upstream);
    upstream = -1;
    ck_assert_ptr_nonnull(strstr(heard(caller, "\r\n\r\n"), "grpc-status: 14\r\n"));
    RUN_UNTIL(worker, n_told);
    ck_assert_int_eq(told[0].status, GRPC_UNAVAILABLE);
    end();
}
END_TEST

START_TEST(a_method_without_a_route_is_unimplemented)
{
    begin("", true);
    say(caller, "POST /q.S%/M HTTP/1.1\r\nHost: a\r\n" GRPC "Content-Length: 0\r\n\r\n");
    ck_answered(heard(caller, "\r\n\r\n"), GRPC_UNIMPLEMENTED,
                "sidespan: no route takes POST a/q.S%25/M (route): add a route");
    end();
}
END_TEST

START_TEST(too_much_is_exhausted)
{
    begin("", true);
    say(caller, "POST /p.S/M HTTP/1.1\r\nHost: a\r\n" GRPC "Content-Length: 101\r\n\r\n");
    ck_answered(heard(caller, "\r\n\r\n"), GRPC_RESOURCE_EXHAUSTED, NULL);
    end();
}
END_TEST

START_TEST(a_caller_that_goes_away_has_cancelled)
{
    begin("", true);
    call_with(GRPC);
    called();
    close_with_reset(caller);
    caller = dup(origin); /* for end() */
    RUN_UNTIL(worker, n_told);
    ck_assert_int_eq(told[0].status, GRPC_CANCELLED);
    ck_assert_int_eq(told[0].error, SPAN_ERROR_CANCELLED);
    ck_assert_str_eq(heard(upstream, "\1"), "");
    end();
}
END_TEST

/* ---- faults ---- */

static const struct {
    const char *fault;
    enum grpc_status status;
    const char *plain; /* the same for a request that is none of gRPC */
} faults[] = {
    {"fault abort grpc UNAVAILABLE;", GRPC_UNAVAILABLE, "HTTP/1.1 503 "},
    {"fault abort grpc NOT_FOUND;", GRPC_NOT_FOUND, "HTTP/1.1 404 "},
    {"fault abort 503;", GRPC_UNAVAILABLE, "HTTP/1.1 503 "},
    {"fault abort 404;", GRPC_UNIMPLEMENTED, "HTTP/1.1 404 "},
    {"fault delay 1ms; fault abort grpc ABORTED;", GRPC_ABORTED, "HTTP/1.1 409 "},
};

START_TEST(a_fault_is_a_status)
{
    begin(faults[_i].fault, true);
    call_with(GRPC);
    ck_answered(heard(caller, "\r\n\r\n"), faults[_i].status,
                "sidespan: a fault was injected (fault): the route asks for it: take its fault "
                "away when the "
                "trial is over");
    end();
    begin(faults[_i].fault, true);
    call_with("");
    ck_assert_int_eq(strncmp(heard(caller, "\r\n\r\n"), faults[_i].plain, 13), 0);
    ck_assert_int_eq(told[0].status, -1);
    end();
}
END_TEST

START_TEST(a_deadline_that_is_over_before_its_fault_strikes_is_a_deadline)
{
    begin("fault delay 10s; fault abort grpc ABORTED;", true);
    call_with(GRPC "grpc-timeout: 50m\r\n");
    ck_answered(heard(caller, "\r\n\r\n"), GRPC_DEADLINE_EXCEEDED, NULL);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("exchange_grpc");
    TCase *t = tcase_create("exchange_grpc");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_call_is_a_post_with_the_content_type_of_grpc, 0, (int)COUNT(types));
    tcase_add_loop_test(t, the_server_is_told_the_time_that_is_left, 0, (int)COUNT(deadlines));
    tcase_add_test(t, a_delay_is_taken_from_the_time_that_is_left);
    tcase_add_test(t, nobody_else_has_a_grpc_timeout);
    tcase_add_test(t, a_call_ends_at_its_deadline);
    tcase_add_test(t, a_call_ends_at_the_routes_timeout);
    tcase_add_test(t, a_call_without_time_is_not_made);
    tcase_add_test(t, a_response_is_cut_at_the_deadline);
    tcase_add_loop_test(t, a_deadline_that_cannot_be_read_is_refused, 0, (int)COUNT(malformed));
    tcase_add_loop_test(t, the_servers_status_passes_and_is_in_the_span, 0, (int)COUNT(responses));
    tcase_add_test(t, a_status_ends_a_call_that_is_still_being_sent);
    tcase_add_test(t, a_server_that_cannot_be_had_is_unavailable);
    tcase_add_test(t, a_server_that_goes_away_is_unavailable);
    tcase_add_test(t, a_server_that_breaks_http_is_an_internal_error);
    tcase_add_test(t, a_server_that_goes_away_amid_its_answer_is_unavailable);
    tcase_add_test(t, a_method_without_a_route_is_unimplemented);
    tcase_add_test(t, too_much_is_exhausted);
    tcase_add_test(t, a_caller_that_goes_away_has_cancelled);
    tcase_add_loop_test(t, a_fault_is_a_status, 0, (int)COUNT(faults));
    tcase_add_test(t, a_deadline_that_is_over_before_its_fault_strikes_is_a_deadline);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
