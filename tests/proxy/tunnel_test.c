#include "proxy/tunnel.h"

#include <poll.h>
#include <stdio.h>

#include "proxy/admission.h"
#include "stepped_worker.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

enum { BUFFER_BYTES = 64 * 1024 }; /* as the worker's config has it */

/* ---- spans end here instead of in a worker's feed ---- */

static struct span told; /* its text is in told_memory, for what was pushed is gone by then */
static union {
    struct span span;
    char bytes[sizeof(struct span) + 16 * 1024];
} told_memory;
static char told_server_name[300];
static unsigned n_told;

void span_feed_push(struct span_feed *f, const struct span *s)
{
    struct str name = s->text[SPAN_SERVER_NAME];

    ck_assert_uint_le(span_copy_bytes(s), sizeof(told_memory));
    told = *span_copy(s, &told_memory);
    n_told++;
    snprintf(told_server_name, sizeof(told_server_name), "%.*s", STR_ARG(name));
}

/* ---- a caller, a tunnel, and an origin ---- */

struct scene {
    struct worker *worker;
    struct address front, origin_at; /* where they listen */
    int front_listening, origin_listening;
    int caller; /* the test's end of the client's connection */
    int origin; /* the test's end of the upstream's; -1 */
    struct span span;
    struct tunnel_setup setup;
    struct tunnel *tunnel;
};

static const struct conn_owner nobody;

/* A caller is connected; setup is filled in, but nothing has started. */
static void scene_init(struct scene *s)
{
    *s = (struct scene){.worker = stepped_worker_new(), .origin = -1};
    n_told = 0;
    s->front_listening = listen_anywhere(&s->front, 10);
    s->origin_listening = listen_anywhere(&s->origin_at, 10);
    s->caller = connect_to(&s->front);
    int fd = accept4(s->front_listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    span_init(&s->span, SPAN_CLIENT, SPAN_TCP);
    s->span.start = loop_wall(&s->worker->loop);
    s->span.text[SPAN_CLUSTER] = STR("redis");
    front_count(s->worker, DIRECTION_OUTBOUND, 1);
    s->setup = (struct tunnel_setup){
        .worker = s->worker,
        .direction = DIRECTION_OUTBOUND,
        .client = conn_accepted(&s->worker->loop, fd, &s->front, &nobody, NULL),
        .from = {.addresses = &s->origin_at, .n = 1, .timeout = SECONDS(5)},
        .span = &s->span,
        .sampled = true,
    };
}

static void scene_start(struct scene *s)
{
    loop_begin_turn(&s->worker->loop);
    s->tunnel = tunnel_start(&s->setup);
    loop_end_turn(&s->worker->loop);
    ck_assert_ptr_nonnull(s->tunnel);
}

static bool origin_accepts(struct scene *s)
{
    struct pollfd p = {.fd = s->origin_listening, .events = POLLIN};

    if (poll(&p, 1, 0) != 1)
        return false;
    s->origin = accept4(s->origin_listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return s->origin >= 0;
}

/* Started, and the origin has accepted. */
static void scene_open(struct scene *s)
{
    scene_start(s);
    RUN_UNTIL(s->worker, origin_accepts(s));
    RUN_UNTIL(s->worker, counted(s->worker, COUNT_UPSTREAM_OPEN) == 1);
}

static void cut(struct scene *s, enum span_error why)
{
    loop_begin_turn(&s->worker->loop);
    tunnel_cut(s->tunnel, why);
    loop_end_turn(&s->worker->loop);
}

static bool all_ended(const struct scene *s)
{
    return loop_busy(&s->worker->loop) == 0;
}

static void scene_end(struct scene *s)
{
    ck_assert(list_empty(&s->worker->tunnels));
    ck_assert_uint_eq(loop_busy(&s->worker->loop), 0);
    ck_assert_uint_eq(admission_open(s->worker->admission, DIRECTION_OUTBOUND), 0);
    ck_assert_int_eq(counted(s->worker, COUNT_OPEN_OUTBOUND), 0);
    ck_assert_int_eq(counted(s->worker, COUNT_UPSTREAM_OPEN), 0);
    ck_assert_int_eq(counted(s->worker, COUNT_TUNNELS_OUTBOUND), 1);
    close(s->caller);
    if (s->origin >= 0)
        close(s->origin);
    close(s->front_listening);
    close(s->origin_listening);
    worker_free(s->worker);
}

/* What a test's end got so far: text, then how it ended. */
struct got {
    char text[256];
    size_t n;
    int ended; /* 0: it has not; 1: FIN; else the errno */
};

static bool receive(int fd, struct got *g)
{
    ssize_t n = recv(fd, g->text + g->n, sizeof(g->text) - 1 - g->n, 0);

    if (n > 0)
        g->n += (size_t)n;
    else if (n == 0)
        g->ended = 1;
    else if (errno != EAGAIN)
        g->ended = errno;
    return true;
}

static bool has_received(int fd, struct got *g, const char *text)
{
    receive(fd, g);
    return strcmp(g->text, text) == 0;
}

static bool has_ended(int fd, struct got *g)
{
    receive(fd, g);
    return g->ended != 0;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* ---- bytes ---- */

START_TEST(carries_bytes_both_ways_and_tells_of_them_in_its_span)
{
    struct scene s;
    struct got caller = {0}, origin = {0};

    scene_init(&s);
    scene_open(&s);
    say(s.caller, "ping");
    RUN_UNTIL(s.worker, has_received(s.origin, &origin, "ping"));
    say(s.origin, "pong!");
    RUN_UNTIL(s.worker, has_received(s.caller, &caller, "pong!"));
    ck_assert_uint_eq(loop_busy(&s.worker->loop), 1);
    shutdown(s.caller, SHUT_WR);
    RUN_UNTIL(s.worker, has_ended(s.origin, &origin));
    shutdown(s.origin, SHUT_WR);
    RUN_UNTIL(s.worker, has_ended(s.caller, &caller));

    ck_assert_int_eq(caller.ended, 1);
    ck_assert_int_eq(origin.ended, 1);
    ck_assert_uint_eq(n_told, 1);
    ck_assert_int_eq(told.error, SPAN_ERROR_NONE);
    ck_assert_uint_eq(told.request_bytes, 4);
    ck_assert_uint_eq(told.response_bytes, 5);
    ck_assert(address_eq(&told.peer, &s.origin_at));
    ck_assert_int_ge(told.phase[PHASE_CONNECTED], 0);
    ck_assert_int_ge(told.duration, told.phase[PHASE_CONNECTED]);
    ck_assert_int_eq(counted(s.worker, COUNT_UPSTREAM_CONNECTS), 1);
    scene_end(&s);
}
END_TEST

START_TEST(either_side_may_speak_first)
{
    struct scene s;
    struct got caller = {0};

    scene_init(&s);
    scene_open(&s);
    say(s.origin, "220 mail.example ESMTP\r\n");
    RUN_UNTIL(s.worker, has_received(s.caller, &caller, "220 mail.example ESMTP\r\n"));
    cut(&s, SPAN_ERROR_DRAINING);
    scene_end(&s);
}
END_TEST

START_TEST(what_the_client_sent_before_goes_first)
{
    struct scene s;
    struct got origin = {0};
    char early[] = "early ";

    scene_init(&s);
    s.setup.from_client = str_of(early, 6);
    say(s.caller, "late");
    scene_start(&s);
    memset(early, 'x', sizeof(early)); /* it was copied */
    RUN_UNTIL(s.worker, origin_accepts(&s));
    RUN_UNTIL(s.worker, has_received(s.origin, &origin, "early late"));
    cut(&s, SPAN_ERROR_DRAINING);
    ck_assert_uint_eq(told.request_bytes, 10);
    scene_end(&s);
}
END_TEST

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

/* Sends as much of the pattern as the socket takes; returns how much in all. */
static uint64_t pump(int fd, uint64_t sent, uint64_t total)
{
    uint8_t bytes[16384];
    size_t n = total - sent < sizeof(bytes) ? (size_t)(total - sent) : sizeof(bytes);

    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(sent + i);
    ssize_t taken = send(fd, bytes, n, MSG_NOSIGNAL);
    return sent + (taken > 0 ? (uint64_t)taken : 0);
}

static uint64_t drain_checked(int fd, uint64_t received, size_t most)
{
    uint8_t bytes[16384];
    ssize_t n = recv(fd, bytes, most < sizeof(bytes) ? most : sizeof(bytes), 0);

    bool same = true;

    for (ssize_t i = 0; i < n; i++)
        same &= bytes[i] == pattern(received + (uint64_t)i);
    ck_assert(same);
    return received + (n > 0 ? (uint64_t)n : 0);
}

START_TEST(a_slow_side_stops_the_other_and_costs_a_bounded_buffer)
{
    static const uint64_t total = 16 * 1024 * 1024;
    struct scene s;
    uint64_t sent = 0, received = 0, stuck_at = 0;
    unsigned still = 0;
    bool from_origin = _i == 1;

    scene_init(&s);
    struct conn *slow = s.setup.client;
    scene_open(&s);
    int sender = from_origin ? s.origin : s.caller, receiver = from_origin ? s.caller : s.origin;
    int few = 256 * 1024; /* so that the kernel does not take it all for who reads nothing */
    ck_assert_int_eq(setsockopt(receiver, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few)), 0);
    if (!from_origin)
        slow = NULL;
    while (still < 200) { /* nobody reads: the sender gets stuck */
        sent = pump(sender, sent, total);
        worker_step(s.worker);
        still = sent == stuck_at ? still + 1 : 0;
        stuck_at = sent;
    }
    ck_assert_uint_lt(sent, total);
    if (slow) {
        ck_assert_uint_gt(conn_queued(slow), 0);
        ck_assert_uint_le(conn_queued(slow), BUFFER_BYTES + LOOP_RECEIVE_BYTES);
    }
    nsec_t until = clock_monotonic() + SECONDS(20);
    while (received < total && clock_monotonic() < until) {
        sent = pump(sender, sent, total);
        worker_step(s.worker);
        received = drain_checked(receiver, received, 16384);
    }
    ck_assert_uint_eq(received, total);
    cut(&s, SPAN_ERROR_DRAINING);
    ck_assert_uint_eq(from_origin ? told.response_bytes : told.request_bytes, total);
    scene_end(&s);
}
END_TEST

START_TEST(both_ends_closing_early_lose_nothing_of_what_is_queued)
{
    static const uint64_t total = 8 * 1024 * 1024;
    struct scene s;
    uint64_t sent = 0, received = 0;

    scene_init(&s);
    scene_open(&s);
    shutdown(s.caller, SHUT_WR); /* it has asked, and only listens now */
    nsec_t until = clock_monotonic() + SECONDS(20);
    while (received < total && clock_monotonic() < until) {
        if (sent < total && (sent = pump(s.origin, sent, total)) == total)
            shutdown(s.origin, SHUT_WR);
        worker_step(s.worker);
        received = drain_checked(s.caller, received, 5000);
    }
    ck_assert_uint_eq(received, total);
    RUN_UNTIL(s.worker, all_ended(&s));
    ck_assert_int_eq(told.error, SPAN_ERROR_NONE);
    scene_end(&s);
}
END_TEST

START_TEST(a_little_that_is_queued_when_both_have_ended_arrives)
{
    struct scene s;
    uint64_t sent = 0, received = 0;

    scene_init(&s);
    struct conn *client = s.setup.client;
    scene_open(&s);
    while (conn_queued(client) == 0) { /* the caller does not read */
        sent = pump(s.origin, sent, sent + 8000);
        worker_step(s.worker);
    }
    ck_assert(!client->blocked);
    shutdown(s.caller, SHUT_WR);
    shutdown(s.origin, SHUT_WR);
    for (int i = 0; i < 20; i++)
        worker_step(s.worker);
    ck_assert_uint_eq(n_told, 0);
    nsec_t until = clock_monotonic() + SECONDS(20);
    while (received < sent && clock_monotonic() < until) {
        worker_step(s.worker);
        received = drain_checked(s.caller, received, 16384);
    }
    ck_assert_uint_eq(received, sent);
    RUN_UNTIL(s.worker, all_ended(&s));
    ck_assert_int_eq(told.error, SPAN_ERROR_NONE);
    ck_assert_uint_eq(told.response_bytes, sent);
    scene_end(&s);
}
END_TEST

/* ---- ends ---- */

START_TEST(half_a_close_is_passed_on_and_the_other_half_goes_on)
{
    struct scene s;
    struct got near = {0}, far = {0};

    scene_init(&s);
    scene_open(&s);
    int closing = _i ? s.origin : s.caller, open = _i ? s.caller : s.origin;
    say(closing, "last words");
    shutdown(closing, SHUT_WR);
    RUN_UNTIL(s.worker, has_ended(open, &far));
    ck_assert_str_eq(far.text, "last words");
    ck_assert_int_eq(far.ended, 1);
    ck_assert_uint_eq(loop_busy(&s.worker->loop), 1);
    say(open, "an answer");
    RUN_UNTIL(s.worker, has_received(closing, &near, "an answer"));
    shutdown(open, SHUT_WR);
    RUN_UNTIL(s.worker, has_ended(closing, &near));
    RUN_UNTIL(s.worker, all_ended(&s));
    ck_assert_int_eq(told.error, SPAN_ERROR_NONE);
    scene_end(&s);
}
END_TEST

START_TEST(a_client_that_had_closed_its_half_before_is_answered)
{
    struct scene s;
    struct got caller = {0}, origin = {0};

    scene_init(&s);
    s.setup.from_client = STR("ask");
    s.setup.client->eof = true; /* as its owner before the tunnel was told */
    shutdown(s.caller, SHUT_WR);
    scene_start(&s);
    RUN_UNTIL(s.worker, origin_accepts(&s));
    RUN_UNTIL(s.worker, has_ended(s.origin, &origin));
    ck_assert_str_eq(origin.text, "ask");
    say(s.origin, "answer");
    shutdown(s.origin, SHUT_WR);
    RUN_UNTIL(s.worker, has_ended(s.caller, &caller));
    ck_assert_str_eq(caller.text, "answer");
    ck_assert_int_eq(told.error, SPAN_ERROR_NONE);
    scene_end(&s);
}
END_TEST

START_TEST(a_reset_is_passed_on_as_a_reset_after_what_came_before_it)
{
    struct scene s;
    struct got far = {0};
    int *breaking = _i ? &s.origin : &s.caller, *other = _i ? &s.caller : &s.origin;

    scene_init(&s);
    scene_open(&s);
    say(*breaking, "words");
    worker_step(s.worker);
    close_with_reset(*breaking);
    *breaking = -1;
    RUN_UNTIL(s.worker, has_ended(*other, &far));
    ck_assert_str_eq(far.text, "words");
    ck_assert_int_eq(far.ended, ECONNRESET);
    ck_assert_uint_eq(n_told, 1);
    ck_assert_int_eq(told.error, _i ? SPAN_ERROR_RESET : SPAN_ERROR_CANCELLED);
    scene_end(&s);
}
END_TEST

/* Both have ended when the server's reset is seen, which may be because of what the client left
 * unread: it is the client that has left. */
START_TEST(a_reset_of_the_server_is_the_second_word_where_the_client_had_the_first)
{
    struct scene s;
    struct got far = {0};

    scene_init(&s);
    scene_open(&s);
    say(s.caller, "terminate");
    RUN_UNTIL(s.worker, has_received(s.origin, &far, "terminate"));
    close_with_reset(s.origin);
    s.origin = -1;
    if (_i)
        close_with_reset(s.caller);
    else
        close(s.caller);
    s.caller = -1;
    RUN_UNTIL(s.worker, all_ended(&s));
    ck_assert_int_eq(told.error, _i ? SPAN_ERROR_CANCELLED : SPAN_ERROR_NONE);
    ck_assert_int_eq(told.ended_by, ENDED_BY_CLIENT);
    scene_end(&s);
}
END_TEST

START_TEST(a_reset_that_a_write_meets_first_is_one_too)
{
    struct scene s;
    uint64_t sent = 0;
    struct got far = {0};

    scene_init(&s);
    scene_open(&s);
    for (int i = 0; i < 1000; i++) { /* until the caller's connection is full */
        sent = pump(s.origin, sent, UINT64_MAX);
        worker_step(s.worker);
    }
    close_with_reset(s.caller);
    s.caller = -1;
    RUN_UNTIL(s.worker, has_ended(s.origin, &far));
    ck_assert_int_eq(far.ended, ECONNRESET);
    ck_assert_int_eq(told.error, SPAN_ERROR_CANCELLED);
    scene_end(&s);
}
END_TEST

START_TEST(tunnels_that_are_ended_for_the_drain_say_goodbye)
{
    struct scene s;
    struct got caller = {0}, origin = {0};

    scene_init(&s);
    scene_open(&s);
    loop_begin_turn(&s.worker->loop);
    tunnels_cut_all(s.worker, SPAN_ERROR_DRAINING);
    loop_end_turn(&s.worker->loop);
    RUN_UNTIL(s.worker, has_ended(s.caller, &caller) && has_ended(s.origin, &origin));
    ck_assert_int_eq(caller.ended, 1); /* FIN */
    ck_assert_int_eq(origin.ended, 1);
    ck_assert_int_eq(told.error, SPAN_ERROR_DRAINING);
    scene_end(&s);
}
END_TEST

START_TEST(a_tunnel_is_cut_with_resets_and_its_reason)
{
    struct scene s;
    struct got caller = {0}, origin = {0};

    scene_init(&s);
    scene_open(&s);
    cut(&s, SPAN_ERROR_IDLE);
    RUN_UNTIL(s.worker, has_ended(s.caller, &caller) && has_ended(s.origin, &origin));
    ck_assert_int_eq(caller.ended, ECONNRESET);
    ck_assert_int_eq(origin.ended, ECONNRESET);
    ck_assert_int_eq(told.error, SPAN_ERROR_IDLE);
    scene_end(&s);
}
END_TEST

/* Whatever the machine does meanwhile, it is not ended before that time has passed since the last
 * byte; and the bytes come for longer than that. */
START_TEST(an_idle_tunnel_is_ended_and_traffic_keeps_it)
{
    const nsec_t idle = MILLISECONDS(500);
    struct scene s;
    struct got caller = {0}, origin = {0};

    scene_init(&s);
    s.setup.idle = idle;
    scene_open(&s);
    nsec_t said = clock_monotonic(), kept_until = said + idle + idle / 2;
    while (said < kept_until) {
        said = clock_monotonic();
        say(s.caller, ".");
        RUN_UNTIL(s.worker, recv(s.origin, origin.text, 1, 0) == 1);
    }
    ck_assert_uint_eq(loop_busy(&s.worker->loop), 1);
    RUN_UNTIL(s.worker, has_ended(s.caller, &caller));
    ck_assert_int_ge(clock_monotonic() - said, idle);
    ck_assert_int_eq(caller.ended, ECONNRESET);
    ck_assert_int_eq(told.error, SPAN_ERROR_IDLE);
    ck_assert_int_ge(told.duration, 2 * idle);
    ck_assert_int_eq(counted(s.worker, COUNT_IDLE_TIMEOUTS), 1);
    scene_end(&s);
}
END_TEST

START_TEST(half_a_tunnel_has_its_time_to_end_too)
{
    const nsec_t limit = MILLISECONDS(200);
    struct scene s;
    struct got near = {0}, far = {0};

    scene_init(&s);
    s.setup.idle = _i < 2 ? 0 : SECONDS(3600);
    s.setup.half_closed = limit;
    scene_open(&s);
    int closing = _i % 2 ? s.origin : s.caller, open = _i % 2 ? s.caller : s.origin;
    nsec_t until = clock_monotonic() + 2 * limit;
    while (clock_monotonic() < until) /* no side has ended */
        worker_step(s.worker);
    ck_assert_uint_eq(loop_busy(&s.worker->loop), 1);
    shutdown(closing, SHUT_WR);
    RUN_UNTIL(s.worker, has_ended(open, &far));
    nsec_t said = clock_monotonic();
    say(open, "more");
    RUN_UNTIL(s.worker, has_received(closing, &near, "more"));
    RUN_UNTIL(s.worker, has_ended(closing, &near));
    ck_assert_int_ge(clock_monotonic() - said, limit);
    ck_assert_int_eq(near.ended, ECONNRESET);
    ck_assert_int_eq(told.error, SPAN_ERROR_IDLE);
    ck_assert_int_eq(told.ended_by, ENDED_BY_SIDECAR);
    ck_assert_int_eq(counted(s.worker, COUNT_IDLE_TIMEOUTS), 1);
    scene_end(&s);
}
END_TEST

/* ---- dialling ---- */

START_TEST(a_refused_connection_is_a_reset_for_the_caller)
{
    struct scene s;
    struct got caller = {0};

    scene_init(&s);
    close(s.origin_listening);
    s.origin_listening = -1;
    scene_start(&s);
    RUN_UNTIL(s.worker, has_ended(s.caller, &caller));
    ck_assert_int_eq(caller.ended, ECONNRESET);
    ck_assert_int_eq(told.error, SPAN_ERROR_REFUSED);
    ck_assert_int_lt(told.phase[PHASE_CONNECTED], 0);
    ck_assert_int_eq(counted(s.worker, COUNT_UPSTREAM_CONNECT_FAILED), 1);
    scene_end(&s);
}
END_TEST

START_TEST(an_address_that_cannot_be_dialled_ends_it_at_once)
{
    struct scene s;
    struct got caller = {0};

    scene_init(&s);
    s.origin_at = (struct address){.family = AF_UNIX, .path = "/nowhere/at/all"};
    scene_start(&s);
    RUN_UNTIL(s.worker, has_ended(s.caller, &caller));
    ck_assert_int_eq(caller.ended, ECONNRESET);
    ck_assert_int_eq(told.error, SPAN_ERROR_REFUSED);
    ck_assert_str_eq(told.peer.path, "/nowhere/at/all");
    scene_end(&s);
}
END_TEST

/* A listener whose queue is full answers no SYN. */
START_TEST(a_connection_that_takes_too_long_is_given_up)
{
    struct scene s;
    struct got caller = {0};
    int waiting[4];

    scene_init(&s);
    close(s.origin_listening);
    s.origin_listening = listen_anywhere(&s.origin_at, 0);
    for (size_t i = 0; i < COUNT(waiting); i++) {
        struct sockaddr_storage sa;
        socklen_t len;
        ck_assert(address_to_sockaddr(&s.origin_at, &sa, &len));
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(waiting[i], (struct sockaddr *)&sa, len);
    }
    s.setup.from.timeout = MILLISECONDS(50);
    scene_start(&s);
    RUN_UNTIL(s.worker, has_ended(s.caller, &caller));
    ck_assert_int_eq(caller.ended, ECONNRESET);
    ck_assert_int_eq(told.error, SPAN_ERROR_CONNECT_TIMEOUT);
    ck_assert_int_ge(told.duration, MILLISECONDS(50));
    for (size_t i = 0; i < COUNT(waiting); i++)
        close(waiting[i]);
    scene_end(&s);
}
END_TEST

/* ---- after an upgrade ---- */

START_TEST(takes_over_an_upstream_that_is_there_with_what_both_had_sent)
{
    struct scene s;
    struct got caller = {0}, origin = {0};
    struct series *series;

    scene_init(&s);
    int fd = connect_to(&s.origin_at);
    RUN_UNTIL(s.worker, origin_accepts(&s));
    s.span.protocol = SPAN_HTTP;
    s.span.status = 101;
    s.span.start -= SECONDS(3);
    s.span.phase[PHASE_CONNECTED] = MILLISECONDS(7);
    s.span.request_bytes = 1000;
    s.setup.upstream = conn_accepted(&s.worker->loop, fd, &s.origin_at, &nobody, NULL);
    s.setup.from_client = STR("frame");
    s.setup.from_upstream = STR("frames");
    s.setup.series = series = metrics_series(s.worker->metrics, DIRECTION_OUTBOUND, STR("redis"));
    metrics_add(s.worker->metrics, COUNT_UPSTREAM_OPEN, 1);
    scene_start(&s);
    RUN_UNTIL(s.worker, has_received(s.caller, &caller, "frames"));
    RUN_UNTIL(s.worker, has_received(s.origin, &origin, "frame"));
    cut(&s, SPAN_ERROR_NONE);
    ck_assert_uint_eq(told.request_bytes, 1005);
    ck_assert_uint_eq(told.response_bytes, 6);
    ck_assert_int_eq(told.phase[PHASE_CONNECTED], MILLISECONDS(7));
    ck_assert_int_ge(told.duration, SECONDS(3));
    ck_assert_int_lt(told.duration, SECONDS(13));
    ck_assert_uint_eq(atomic_load(&series->tcp.received), 5);
    ck_assert_uint_eq(atomic_load(&series->tcp.sent), 6);
    ck_assert_uint_eq(atomic_load(&series->by_class[1]), 0); /* its exchange has counted it */
    scene_end(&s);
}
END_TEST

START_TEST(takes_over_a_dial_that_is_under_way)
{
    struct scene s;
    struct got origin = {0};
    int error, extra = -1;

    scene_init(&s);
    s.setup.upstream = conn_connect(&s.worker->loop, &s.origin_at, &nobody, NULL, &error);
    ck_assert_ptr_nonnull(s.setup.upstream);
    s.setup.from_client = STR("early");
    scene_open(&s);
    RUN_UNTIL(s.worker, has_received(s.origin, &origin, "early"));
    set_nonblocking(s.origin_listening); /* one connection, and no other */
    extra = accept(s.origin_listening, NULL, NULL);
    ck_assert_int_lt(extra, 0);
    cut(&s, SPAN_ERROR_NONE);
    ck_assert_int_ge(told.phase[PHASE_CONNECTED], 0);
    scene_end(&s);
}
END_TEST

/* ---- telling ---- */

static const char hello[] = "\x16\x03\x01\x00\x4e\x01\x00\x00\x4a\x03\x03"
                            "0123456789abcdef0123456789abcdef\x00\x00\x02\x13\x01\x01\x00"
                            "\x00\x1c\x00\x00\x00\x10\x00\x0e\x00\x00\x0b"
                            "db.example."
                            "\x00\x2b\x00\x04\x03\x03\x04\x00\x00\x00";

START_TEST(the_server_name_of_tls_is_told_however_it_came_and_no_byte_waits_for_it)
{
    struct scene s;
    struct got origin = {0};
    size_t border = (size_t)_i;

    scene_init(&s);
    s.setup.from_client = str_of(hello, border);
    scene_open(&s);
    RUN_UNTIL(s.worker, (receive(s.origin, &origin), origin.n) == border);
    for (size_t at = border; at < sizeof(hello) - 1; at += 7) {
        size_t n = sizeof(hello) - 1 - at < 7 ? sizeof(hello) - 1 - at : 7;
        ck_assert_int_eq(send(s.caller, hello + at, n, 0), (ssize_t)n);
        RUN_UNTIL(s.worker, (receive(s.origin, &origin), origin.n) == at + n);
    }
    cut(&s, SPAN_ERROR_NONE);
    ck_assert_str_eq(told_server_name, "db.example.");
    scene_end(&s);
}
END_TEST

START_TEST(an_unsampled_tunnel_is_counted_and_not_told)
{
    struct scene s;

    scene_init(&s);
    s.setup.sampled = false;
    scene_open(&s);
    cut(&s, SPAN_ERROR_NONE);
    ck_assert_uint_eq(n_told, 0);
    ck_assert_int_eq(counted(s.worker, COUNT_UNSAMPLED), 1);
    scene_end(&s);
}
END_TEST

START_TEST(the_spans_text_outlives_what_it_was_made_of)
{
    struct scene s;
    char cluster[] = "redis", key[] = "team", value[] = "shop";
    struct arena arena;

    scene_init(&s);
    s.span.text[SPAN_CLUSTER] = str_from(cluster);
    arena_init(&arena, 0, 0);
    span_add_extra(&s.span, &arena, EXTRA_ATTRIBUTE, str_from(key), str_from(value));
    scene_open(&s);
    arena_release(&arena);
    memset(cluster, 'x', 5);
    memset(key, 'x', 4);
    memset(value, 'x', 4);
    cut(&s, SPAN_ERROR_NONE);
    ck_assert(str_eq(told.text[SPAN_CLUSTER], STR("redis")));
    ck_assert(str_eq(told.extras[0].key, STR("team")));
    ck_assert(str_eq(told.extras[0].value, STR("shop")));
    scene_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tunnel");
    TCase *t = tcase_create("tunnel");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, carries_bytes_both_ways_and_tells_of_them_in_its_span);
    tcase_add_test(t, either_side_may_speak_first);
    tcase_add_test(t, what_the_client_sent_before_goes_first);
    tcase_add_loop_test(t, a_slow_side_stops_the_other_and_costs_a_bounded_buffer, 0, 2);
    tcase_add_test(t, both_ends_closing_early_lose_nothing_of_what_is_queued);
    tcase_add_test(t, a_little_that_is_queued_when_both_have_ended_arrives);
    tcase_add_loop_test(t, half_a_close_is_passed_on_and_the_other_half_goes_on, 0, 2);
    tcase_add_test(t, a_client_that_had_closed_its_half_before_is_answered);
    tcase_add_loop_test(t, a_reset_is_passed_on_as_a_reset_after_what_came_before_it, 0, 2);
    tcase_add_loop_test(t, a_reset_of_the_server_is_the_second_word_where_the_client_had_the_first,
                        0, 2);
    tcase_add_test(t, a_reset_that_a_write_meets_first_is_one_too);
    tcase_add_test(t, tunnels_that_are_ended_for_the_drain_say_goodbye);
    tcase_add_test(t, a_tunnel_is_cut_with_resets_and_its_reason);
    tcase_add_test(t, an_idle_tunnel_is_ended_and_traffic_keeps_it);
    tcase_add_loop_test(t, half_a_tunnel_has_its_time_to_end_too, 0, 4);
    tcase_add_test(t, a_refused_connection_is_a_reset_for_the_caller);
    tcase_add_test(t, an_address_that_cannot_be_dialled_ends_it_at_once);
    tcase_add_test(t, a_connection_that_takes_too_long_is_given_up);
    tcase_add_test(t, takes_over_an_upstream_that_is_there_with_what_both_had_sent);
    tcase_add_test(t, takes_over_a_dial_that_is_under_way);
    tcase_add_loop_test(t, the_server_name_of_tls_is_told_however_it_came_and_no_byte_waits_for_it,
                        0, sizeof(hello) - 1);
    tcase_add_test(t, an_unsampled_tunnel_is_counted_and_not_told);
    tcase_add_test(t, the_spans_text_outlives_what_it_was_made_of);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
