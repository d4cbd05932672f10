#include "proxy/upstream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "proxy/http1.h"
#include "stepped_worker.h"

/* ---- one who asks ---- */

struct asker {
    struct upstream_ask ask;
    struct stream *stream; /* had, and not given back */
    struct conn *conn;
    struct arena arena;
    unsigned readies, failures;
    bool reused;
    enum span_error why;
    int error;
    unsigned turn; /* who was told first */
};

static struct worker *worker;
static unsigned n_told;

static void on_head(void *owner, struct message *m)
{
}

static void on_chunk(void *owner, uint64_t size)
{
}

static void on_body(void *owner, struct str data)
{
}

static void on_end(void *owner, const struct headers *trailers)
{
    struct asker *a = owner;
    struct stream *s = a->stream;

    a->stream = NULL;
    s->codec->finish(s);
}

static void on_refused(void *owner, const struct refusal *why, struct message *partial)
{
}

static void on_failed(void *owner, enum span_error why)
{
    struct asker *a = owner;
    struct stream *s = a->stream;

    a->stream = NULL;
    a->why = why;
    s->codec->abort(s, STREAM_NO_ERROR);
}

static void on_drained(void *owner)
{
}

static const struct stream_events events = {
    on_head, on_chunk, on_body, on_end, on_refused, on_failed, on_drained,
};

static void on_ready(struct upstream_ask *ask, struct stream *s, bool reused)
{
    struct asker *a = container_of(ask, struct asker, ask);
    struct message m = {.method = STR_INIT("GET"), .target = STR_INIT("/"), .version = 11};

    a->readies++;
    a->turn = ++n_told;
    a->reused = reused;
    a->stream = s;
    a->conn = http1_conn(http1_of(s));
    s->events = &events;
    s->owner = a;
    s->arena = &a->arena;
    s->codec->send_head(s, &m, true);
}

static void on_ask_failed(struct upstream_ask *ask, enum span_error why, int error)
{
    struct asker *a = container_of(ask, struct asker, ask);

    a->failures++;
    a->turn = ++n_told;
    a->why = why;
    a->error = error;
}

static enum span_error ask_as(struct asker *a, struct upstream *u, bool fresh)
{
    enum span_error why;

    *a = (struct asker){.ask = {.ready = on_ready, .failed = on_ask_failed}};
    a->ask.method = STR("GET");
    a->ask.fresh = fresh;
    arena_init(&a->arena, 1024, 0);
    loop_begin_turn(&worker->loop);
    why = upstream_ask(u, &a->ask, &a->error);
    loop_end_turn(&worker->loop);
    return why;
}

static void ask(struct asker *a, struct upstream *u)
{
    ck_assert_int_eq(ask_as(a, u, false), SPAN_ERROR_NONE);
}

/* ---- an origin ---- */

static struct address origin_at;
static int origin;

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static int accepted(void)
{
    RUN_UNTIL(worker, is_readable(origin));
    return accept4(origin, NULL, NULL, SOCK_CLOEXEC);
}

/* The request is read and answered. */
static void answer_with(struct asker *a, int fd, const char *response)
{
    char request[200];

    ck_assert_int_gt(recv(fd, request, sizeof request, 0), 0);
    ck_assert_int_gt(send(fd, response, strlen(response), MSG_NOSIGNAL), 0);
    RUN_UNTIL(worker, a->stream == NULL);
    arena_release(&a->arena);
}

static void answer(struct asker *a, int fd)
{
    answer_with(a, fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

/* A new connection: asked for, made, used and kept. */
static int warm(struct asker *a, struct upstream *u)
{
    int fd;

    ck_assert_int_eq(ask_as(a, u, true), SPAN_ERROR_NONE);
    fd = accepted();
    RUN_UNTIL(worker, a->readies == 1);
    ck_assert(!a->reused);
    return fd;
}

/* ---- the stage ---- */

static struct config *config_of(const char *pool)
{
    char text[400];
    struct errors errors = {0};
    struct config *c;

    snprintf(text, sizeof text,
             "inbound { listen 127.0.0.1:0; route / { to c; } }\n"
             "cluster c { endpoint 127.0.0.1:%u; connect-timeout 5s; %s }\n",
             origin_at.port, pool);
    c = config_parse("test.conf", str_from(text), NULL, &errors);
    ck_assert_msg(c != NULL, "%s", errors.n ? errors.v[0].text : "");
    return c;
}

/* The one endpoint of a worker with that pool. */
static struct upstream *begin(const char *pool)
{
    struct config *c = config_of(pool);
    struct worker_setup setup = {.config = c, .recording = true, .exporting = true};
    struct error err = {0};

    worker = worker_new(&setup, &err);
    ck_assert_msg(worker != NULL, "%s", err.text);
    config_unref(c);
    n_told = 0;
    return worker->generation->clusters[0]->upstreams[0];
}

static void end(void)
{
    ck_assert_int_eq(counted(worker, COUNT_ACTIVE_INBOUND), 0);
    worker_free(worker);
}

static void set_up(void)
{
    origin = listen_anywhere(&origin_at, 100);
}

static void tear_down(void)
{
    close(origin);
}

/* ---- kept connections ---- */

START_TEST(the_connection_that_was_used_last_is_taken_first)
{
    struct upstream *u = begin("");
    struct asker one, two, three;
    int fd_one = warm(&one, u), fd_two = warm(&two, u);

    answer(&two, fd_two);
    answer(&one, fd_one);
    ck_assert_uint_eq(u->n_idle, 2);
    ck_assert_int_eq(counted(worker, COUNT_UPSTREAM_OPEN), 2);
    ask(&three, u);
    ck_assert_uint_eq(three.readies, 1); /* at once */
    ck_assert(three.reused);
    ck_assert_ptr_eq(three.conn, one.conn);
    ck_assert_uint_eq(u->n_idle, 1);
    answer(&three, fd_one);
    ck_assert_int_eq(counted(worker, COUNT_UPSTREAM_REUSED), 1);
    close(fd_one);
    close(fd_two);
    RUN_UNTIL(worker, u->n_open == 0);
    ck_assert_uint_eq(u->n_idle, 0);
    ck_assert_int_eq(counted(worker, COUNT_UPSTREAM_OPEN), 0);
    end();
}
END_TEST

START_TEST(an_idle_connection_is_closed_when_its_time_is_over)
{
    struct upstream *u = begin("pool idle 50ms;");
    struct asker one;
    int fd = warm(&one, u);
    nsec_t began;
    char byte;

    began = clock_monotonic();
    answer(&one, fd);
    ck_assert_uint_eq(u->n_idle, 1);
    RUN_UNTIL(worker, u->n_idle == 0);
    ck_assert_int_ge(clock_monotonic() - began, MILLISECONDS(45));
    ck_assert_uint_eq(u->n_open, 0);
    ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
    close(fd);
    end();
}
END_TEST

START_TEST(a_peer_that_says_how_long_it_waits_is_left_a_second_before)
{
    static const struct {
        const char *field;
        nsec_t kept; /* at least; 0: not at all */
    } rows[] = {{"timeout=1", 0}, {"timeout=0", 0}, {"timeout=2, max=9", MILLISECONDS(990)}};
    struct upstream *u = begin("pool idle 30s;");
    char response[200];
    struct asker one;
    int fd = warm(&one, u);
    nsec_t began;

    snprintf(response, sizeof response,
             "HTTP/1.1 200 OK\r\nKeep-Alive: %s\r\nContent-Length: 0\r\n\r\n", rows[_i].field);
    began = clock_monotonic();
    answer_with(&one, fd, response);
    ck_assert_uint_eq(u->n_idle, rows[_i].kept != 0);
    RUN_UNTIL(worker, u->n_open == 0);
    ck_assert_int_ge(clock_monotonic() - began, rows[_i].kept);
    ck_assert_int_lt(clock_monotonic() - began, rows[_i].kept + SECONDS(5));
    close(fd);
    end();
}
END_TEST

START_TEST(a_connection_carries_as_many_requests_as_it_may)
{
    struct upstream *u = begin("pool requests 2;");
    struct asker one, two;
    int fd = warm(&one, u);

    answer(&one, fd);
    ask(&two, u);
    ck_assert(two.reused);
    answer(&two, fd);
    ck_assert_uint_eq(u->n_idle, 0);
    ck_assert_uint_eq(u->n_open, 0);
    close(fd);
    end();
}
END_TEST

START_TEST(more_idle_ones_than_are_wanted_are_closed_the_oldest_first)
{
    struct upstream *u = begin("pool idle-max 2;");
    struct asker a[3];
    int fd[3];
    char byte;

    for (int i = 0; i < 3; i++)
        fd[i] = warm(&a[i], u);
    for (int i = 0; i < 3; i++)
        answer(&a[i], fd[i]);
    ck_assert_uint_eq(u->n_idle, 2);
    ck_assert_uint_eq(u->n_open, 2);
    ck_assert_int_eq(recv(fd[0], &byte, 1, 0), 0);
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    end();
}
END_TEST

START_TEST(bytes_that_nobody_asked_for_close_an_idle_connection)
{
    struct upstream *u = begin("");
    struct asker one;
    int fd = warm(&one, u);

    answer(&one, fd);
    ck_assert_int_eq(send(fd, "HTTP/1.1 200 OK\r\n\r\n", 19, 0), 19);
    RUN_UNTIL(worker, u->n_open == 0);
    ck_assert_uint_eq(u->n_idle, 0);
    close(fd);
    end();
}
END_TEST

/* ---- waiting ---- */

START_TEST(with_a_full_pool_requests_wait_and_take_turns)
{
    struct upstream *u = begin("pool max 1;");
    struct asker a[4];
    int fd;

    for (int i = 0; i < 4; i++)
        ask(&a[i], u);
    ck_assert(!a[0].ask.queued && a[1].ask.queued && a[3].ask.queued);
    fd = accepted();
    for (unsigned i = 0; i < 4; i++) {
        RUN_UNTIL(worker, a[i].readies == 1);
        ck_assert_uint_eq(a[i].turn, i + 1);
        ck_assert_int_eq(a[i].reused, i > 0);
        ck_assert_uint_eq(n_told, i + 1);
        answer(&a[i], fd);
    }
    ck_assert_uint_eq(u->n_waiting, 0);
    ck_assert_uint_eq(u->n_open, 1);
    ck_assert(!is_readable(origin));
    close(fd);
    end();
}
END_TEST

/* What is known of how long the endpoint keeps an idle connection is not forgotten for one that was
 * not idle. */
START_TEST(who_takes_its_turn_on_a_connection_did_not_find_it_idle)
{
    struct upstream *u = begin("pool max 1;");
    struct asker a[3];
    int fd = warm(&a[0], u);

    answer(&a[0], fd);
    usleep(10000);
    ask(&a[1], u);
    ask(&a[2], u);
    ck_assert(a[1].reused && a[2].ask.queued);
    answer(&a[1], fd);
    RUN_UNTIL(worker, a[2].readies == 1);
    u->closes_after = MILLISECONDS(5);
    answer(&a[2], fd);
    ck_assert_int_eq(u->closes_after, MILLISECONDS(5));
    close(fd);
    end();
}
END_TEST

START_TEST(who_waits_gets_a_new_connection_when_the_one_in_use_closes)
{
    struct upstream *u = begin("pool max 1;");
    struct asker one, two;
    int fd, second;

    ask(&one, u);
    ask(&two, u);
    fd = accepted();
    RUN_UNTIL(worker, one.readies == 1);
    answer_with(&one, fd, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    second = accepted();
    RUN_UNTIL(worker, two.readies == 1);
    ck_assert(!two.reused);
    answer(&two, second);
    close(fd);
    close(second);
    end();
}
END_TEST

START_TEST(a_fresh_connection_takes_the_place_of_kept_ones)
{
    struct upstream *u = begin("pool max 1;");
    struct asker one, two;
    int fd = warm(&one, u), second;

    answer(&one, fd);
    ck_assert_uint_eq(u->n_idle, 1);
    ck_assert_int_eq(ask_as(&two, u, true), SPAN_ERROR_NONE);
    second = accepted();
    RUN_UNTIL(worker, two.readies == 1);
    ck_assert(!two.reused);
    ck_assert_uint_eq(u->n_open, 1);
    answer(&two, second);
    close(fd);
    close(second);
    end();
}
END_TEST

/* A listener whose queue takes no more: connecting to it takes its time. */
struct full {
    int listening, queued[3];
    struct address at;
};

static void full_init(struct full *f)
{
    struct sockaddr_storage sa;
    socklen_t len;

    f->listening = listen_anywhere(&f->at, 0);
    address_to_sockaddr(&f->at, &sa, &len);
    for (int i = 0; i < 3; i++) {
        f->queued[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(f->queued[i], (struct sockaddr *)&sa, len);
    }
}

static void full_release(struct full *f)
{
    for (int i = 0; i < 3; i++)
        close(f->queued[i]);
    close(f->listening);
}

START_TEST(who_waits_takes_what_comes_back_first)
{
    struct upstream *u = begin("");
    struct full full;
    struct asker one, two;
    int fd = warm(&one, u);

    full_init(&full);
    u->address = full.at;
    ask(&two, u);
    ck_assert_uint_eq(u->n_connecting, 1);
    answer(&one, fd);
    ck_assert_uint_eq(two.readies, 1);
    ck_assert(two.reused);
    ck_assert_uint_eq(u->n_connecting, 1); /* will be kept when it is made */
    answer(&two, fd);
    close(fd);
    full_release(&full);
    end();
}
END_TEST

START_TEST(who_cancels_is_not_told_and_its_connection_is_kept)
{
    struct upstream *u = begin("");
    struct asker one;
    int fd;

    ask(&one, u);
    loop_begin_turn(&worker->loop);
    upstream_cancel(&one.ask);
    upstream_cancel(&one.ask);
    loop_end_turn(&worker->loop);
    ck_assert_uint_eq(u->n_waiting, 0);
    fd = accepted();
    RUN_UNTIL(worker, u->n_idle == 1);
    ck_assert_uint_eq(one.readies + one.failures, 0);
    close(fd);
    end();
}
END_TEST

START_TEST(there_is_a_bound_to_those_who_wait)
{
    enum { MOST = 1024 };
    struct upstream *u = begin("pool max 1;");
    struct asker *a = calloc(MOST + 1, sizeof *a);

    for (int i = 0; i < MOST; i++)
        ask(&a[i], u);
    ck_assert_int_eq(ask_as(&a[MOST], u, false), SPAN_ERROR_OVERLOAD);
    ck_assert_int_eq(a[MOST].error, 0);
    loop_begin_turn(&worker->loop);
    for (int i = 0; i < MOST; i++)
        upstream_cancel(&a[i].ask);
    loop_end_turn(&worker->loop);
    free(a);
    end();
}
END_TEST

/* ---- failing ---- */

START_TEST(each_connect_that_fails_is_told_to_one_who_waits)
{
    static const char *const pools[] = {"", "pool max 1;"};
    struct upstream *u = begin(pools[_i]);
    struct asker a[3];

    close(origin); /* refuses from now on */
    for (int i = 0; i < 3; i++)
        ask(&a[i], u);
    ck_assert_uint_eq(n_told, 0);
    for (unsigned i = 0; i < 3; i++) {
        RUN_UNTIL(worker, a[i].failures == 1);
        ck_assert_int_eq(a[i].why, SPAN_ERROR_REFUSED);
        ck_assert_int_eq(a[i].error, ECONNREFUSED);
        ck_assert_uint_eq(a[i].turn, i + 1);
    }
    ck_assert_uint_eq(u->n_waiting + u->n_connecting + u->n_open, 0);
    ck_assert_int_eq(counted(worker, COUNT_UPSTREAM_CONNECT_FAILED), 3);
    end();
    origin = listen_anywhere(&origin_at, 1);
}
END_TEST

START_TEST(an_address_that_cannot_be_dialled_is_told_at_once_and_not_by_a_call)
{
    struct upstream *u = begin("");
    struct address nowhere = {.family = AF_UNIX, .path = "/nowhere/at/all"};
    struct asker one;

    u->address = nowhere;
    ck_assert_int_eq(ask_as(&one, u, false), SPAN_ERROR_REFUSED);
    ck_assert_int_eq(one.error, ENOENT);
    ck_assert_uint_eq(one.failures, 0);
    ck_assert_uint_eq(u->n_waiting, 0);
    end();
}
END_TEST

START_TEST(a_connection_that_is_not_made_in_time_is_given_up)
{
    struct upstream *u = begin("");
    struct full full;
    struct asker one;

    full_init(&full);
    u->address = full.at;
    u->pool.connect_timeout = MILLISECONDS(50);
    ask(&one, u);
    RUN_UNTIL(worker, one.failures == 1);
    ck_assert_int_eq(one.why, SPAN_ERROR_CONNECT_TIMEOUT);
    full_release(&full);
    end();
}
END_TEST

/* ---- endpoints come and go ---- */

static struct endpoint_set *set_of(const struct address *const *v, size_t n)
{
    struct endpoint_set *s = endpoint_set_new(STR("c"), n);

    for (size_t i = 0; i < n; i++)
        endpoint_set_add(s, v[i], 1);
    return s;
}

static void publish(const struct address *const *v, size_t n)
{
    loop_begin_turn(&worker->loop);
    upstreams_set_endpoints(worker->upstreams, set_of(v, n));
    loop_end_turn(&worker->loop);
}

START_TEST(connections_to_an_address_that_stays_are_kept)
{
    struct upstream *u = begin("");
    struct cluster_state *c = worker->generation->clusters[0];
    struct address other = {.family = AF_INET, .port = 9, .ip = {127, 0, 0, 2}};
    const struct address *v[] = {&other, &origin_at};
    struct asker one, two;
    int fd = warm(&one, u);

    answer(&one, fd);
    publish(v, 2);
    ck_assert_uint_eq(c->n, 2);
    ck_assert_ptr_eq(c->upstreams[1], u);
    ask(&two, u);
    ck_assert(two.reused);
    answer(&two, fd);
    close(fd);
    end();
}
END_TEST

START_TEST(an_address_that_goes_ends_its_request_first)
{
    struct upstream *u = begin("");
    struct address other = {.family = AF_INET, .port = 9, .ip = {127, 0, 0, 2}};
    const struct address *v[] = {&other};
    struct asker one, two;
    int idle = warm(&one, u), busy = warm(&two, u);
    char byte;

    answer(&one, idle);
    upstream_ref(u);
    publish(v, 1);
    ck_assert(u->retired);
    ck_assert_uint_eq(u->n_idle, 0);
    ck_assert_int_eq(recv(idle, &byte, 1, 0), 0);
    ck_assert_uint_eq(u->n_open, 1);
    answer(&two, busy);
    ck_assert_uint_eq(u->n_open, 0);
    upstream_unref(u);
    close(idle);
    close(busy);
    end();
}
END_TEST

START_TEST(a_unix_path_outlives_the_set_it_came_with)
{
    struct upstream *u;
    struct address path = {.family = AF_UNIX, .path = "/run/some.sock"};
    const struct address *v[] = {&path};

    begin("");
    publish(v, 1);
    u = worker->generation->clusters[0]->upstreams[0];
    publish(v, 1); /* the same in a new set; the old one is freed */
    ck_assert_ptr_eq(u, worker->generation->clusters[0]->upstreams[0]);
    ck_assert_str_eq(u->address.path, "/run/some.sock");
    end();
}
END_TEST

START_TEST(the_endpoints_of_a_cluster_take_turns)
{
    struct address second = {.family = AF_INET, .port = 9, .ip = {127, 0, 0, 2}};
    const struct address *v[] = {&origin_at, &second};
    struct cluster_state *c;
    unsigned chosen[2] = {0};

    begin("balance round-robin;");
    c = worker->generation->clusters[0];
    publish(v, 2);
    for (int i = 0; i < 10; i++) {
        struct trace_id key = {{1}};
        const struct upstream *u = cluster_choose(c, NULL, &key);

        ck_assert_ptr_nonnull(u);
        chosen[u != c->upstreams[0]]++;
    }
    ck_assert_uint_eq(chosen[0], 5);
    ck_assert_uint_eq(chosen[1], 5);
    end();
}
END_TEST

/* Chosen often enough that another would have been chosen too. */
static bool is_chosen_alone(struct cluster_state *c, const struct upstream *u)
{
    struct trace_id key = {{1}};
    bool alone = true;

    loop_begin_turn(&worker->loop);
    for (int i = 0; i < 20; i++)
        alone &= cluster_choose(c, NULL, &key) == u;
    loop_end_turn(&worker->loop);
    return alone;
}

START_TEST(who_does_not_answer_is_passed_over_until_it_does)
{
    struct address second;
    int listening = listen_anywhere(&second, 10);
    const struct address *v[] = {&origin_at, &second};
    struct tried first = {origin_at, NULL};
    struct cluster_state *c;
    struct upstream *u;

    begin("");
    c = worker->generation->clusters[0];
    publish(v, 2);
    u = c->upstreams[1];
    upstream_did_not_answer(u, ECONNREFUSED); /* that is an answer */
    ck_assert(!is_chosen_alone(c, c->upstreams[0]));
    upstream_did_not_answer(u, ETIMEDOUT);
    ck_assert(is_chosen_alone(c, c->upstreams[0]));
    ck_assert(!cluster_has_another(c, &first, true));
    ck_assert(cluster_has_another(c, &first, false));
    ck_assert_uint_eq(u->n_connecting, 0);
    u->ask_again = loop_now(&worker->loop); /* time has passed */
    ck_assert(is_chosen_alone(c, c->upstreams[0]));
    ck_assert_uint_eq(u->n_connecting, 1); /* which nobody waits for */
    RUN_UNTIL(worker, !u->shunned);
    ck_assert_uint_eq(u->n_idle, 1);
    ck_assert(!is_chosen_alone(c, c->upstreams[0]));
    close(listening);
    end();
}
END_TEST

START_TEST(who_stays_silent_is_asked_less_and_less_often)
{
    struct upstream *u = begin("");
    nsec_t last = 0, pause = 0;

    for (int i = 0; i < 300; i++) {
        upstream_did_not_answer(u, EHOSTUNREACH);
        pause = u->ask_again - loop_now(&worker->loop);
        ck_assert_int_ge(pause, last);
        last = pause;
    }
    ck_assert_int_eq(pause, SECONDS(60));
    upstream_answered(u);
    upstream_did_not_answer(u, ETIMEDOUT);
    ck_assert_int_eq(u->ask_again - loop_now(&worker->loop), SECONDS(5));
    end();
}
END_TEST

START_TEST(random_keeps_a_trace_with_its_endpoint)
{
    struct address second = {.family = AF_INET, .port = 9, .ip = {127, 0, 0, 2}};
    const struct address *v[] = {&origin_at, &second};
    struct cluster_state *c;
    unsigned chosen[2] = {0};

    begin("balance random;");
    c = worker->generation->clusters[0];
    publish(v, 2);
    for (unsigned i = 0; i < 1000; i++) {
        struct trace_id key = {{(uint8_t)i, (uint8_t)(i >> 8), 1}};
        const struct upstream *u = cluster_choose(c, NULL, &key);

        ck_assert_ptr_eq(cluster_choose(c, NULL, &key), u);
        chosen[u != c->upstreams[0]]++;
    }
    ck_assert_uint_gt(chosen[0], 400);
    ck_assert_uint_gt(chosen[1], 400);
    end();
}
END_TEST

static void adopt(struct config *c)
{
    struct worker_setup setup = {.config = c, .recording = true, .exporting = true};

    loop_begin_turn(&worker->loop);
    worker_adopt(worker, &setup);
    loop_end_turn(&worker->loop);
    config_unref(c);
}

START_TEST(a_cluster_lives_as_long_as_an_exchange_of_its_time)
{
    struct generation *first;
    struct cluster_state *c;
    struct errors errors = {0};
    struct trace_id key = {{1}};

    begin("balance round-robin;");
    first = generation_ref(worker->generation);
    c = first->clusters[0];
    adopt(config_of("balance least-request; pool max 7;")); /* the newest that has it, and goes */
    ck_assert_ptr_eq(worker->generation->clusters[0], c);
    ck_assert_uint_eq(c->upstreams[0]->pool.max, 7);
    adopt(config_parse("test.conf", STR("inbound { listen 127.0.0.1:0; }"), NULL, &errors));
    ck_assert_ptr_eq(cluster_choose(c, NULL, &key), c->upstreams[0]);
    loop_begin_turn(&worker->loop);
    generation_unref(first);
    loop_end_turn(&worker->loop);
    end();
}
END_TEST

/* ---- original destinations ---- */

START_TEST(an_original_destination_is_found_again)
{
    struct address a = origin_at, b = origin_at;
    struct upstream *one, *two;

    begin("");
    b.port++;
    loop_begin_turn(&worker->loop);
    one = upstream_original(worker->upstreams, &a);
    two = upstream_original(worker->upstreams, &b);
    ck_assert_ptr_ne(one, two);
    ck_assert_ptr_eq(upstream_original(worker->upstreams, &a), one);
    upstream_unref(one);
    upstream_unref(one);
    upstream_unref(two);
    loop_end_turn(&worker->loop);
    end();
}
END_TEST

START_TEST(only_so_many_are_remembered_the_longest_unused_goes)
{
    struct address a = {.family = AF_INET, .port = 80, .ip = {10}};
    struct upstream *oldest, *used, *now;

    begin("");
    loop_begin_turn(&worker->loop);
    oldest = upstream_original(worker->upstreams, &a);
    a.port = 81;
    used = upstream_original(worker->upstreams, &a);
    for (unsigned i = 0; i < 4095; i++) {
        a.port = 81; /* is asked for again and again */
        upstream_unref(upstream_original(worker->upstreams, &a));
        a.port = (uint16_t)(1000 + i);
        upstream_unref(upstream_original(worker->upstreams, &a));
    }
    ck_assert(oldest->retired);
    ck_assert(!used->retired);
    a.port = 80;
    now = upstream_original(worker->upstreams, &a);
    ck_assert_ptr_ne(now, oldest);
    upstream_unref(now);
    upstream_unref(oldest);
    upstream_unref(used);
    loop_end_turn(&worker->loop);
    end();
}
END_TEST

START_TEST(when_all_are_in_use_another_is_its_callers_alone)
{
    enum { MOST = 4096 };
    struct address a = {.family = AF_INET, .ip = {10}};
    struct upstream **v = calloc(MOST + 1, sizeof *v);

    begin("");
    loop_begin_turn(&worker->loop);
    for (unsigned i = 0; i <= MOST; i++) {
        a.port = (uint16_t)(1000 + i);
        v[i] = upstream_original(worker->upstreams, &a);
        v[i]->n_waiting++; /* it is in use */
    }
    ck_assert(!v[0]->retired);
    ck_assert(v[MOST]->retired);
    for (unsigned i = 0; i <= MOST; i++) {
        v[i]->n_waiting--;
        upstream_unref(v[i]);
    }
    loop_end_turn(&worker->loop);
    free(v);
    end();
}
END_TEST

/* ---- what was dialled by others ---- */

static void nothing(struct conn *c)
{
}

static void nothing_read(struct conn *c, char *data, size_t n)
{
}

static void nothing_failed(struct conn *c, int error)
{
}

static const struct conn_owner nobody = {nothing_read, nothing, nothing, nothing, nothing_failed};

START_TEST(a_connection_that_is_donated_is_kept_made_or_not)
{
    struct upstream *u = begin("");
    struct conn *c;
    struct asker one;
    int error, fd;

    loop_begin_turn(&worker->loop);
    c = conn_connect(&worker->loop, &origin_at, &nobody, NULL, &error);
    loop_end_turn(&worker->loop);
    fd = accepted();
    if (_i == 0)
        RUN_UNTIL(worker, c->state == CONN_OPEN);
    loop_begin_turn(&worker->loop);
    upstream_donate(u, c, false);
    loop_end_turn(&worker->loop);
    ask(&one, u);
    RUN_UNTIL(worker, one.readies == 1);
    ck_assert_ptr_eq(one.conn, c);
    answer(&one, fd);
    ck_assert_uint_eq(u->n_open, 1);
    ck_assert_int_eq(counted(worker, COUNT_UPSTREAM_OPEN), 1);
    ck_assert(!is_readable(origin)); /* none was dialled besides */
    close(fd);
    end();
}
END_TEST

START_TEST(what_is_being_dialled_ends_with_the_worker)
{
    struct upstream *u = begin("");
    struct asker one;

    ask(&one, u);
    loop_begin_turn(&worker->loop);
    upstream_cancel(&one.ask);
    loop_end_turn(&worker->loop);
    ck_assert_uint_eq(u->n_connecting, 1);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("upstream");
    TCase *t = tcase_create("upstream");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, the_connection_that_was_used_last_is_taken_first);
    tcase_add_test(t, an_idle_connection_is_closed_when_its_time_is_over);
    tcase_add_loop_test(t, a_peer_that_says_how_long_it_waits_is_left_a_second_before, 0, 3);
    tcase_add_test(t, a_connection_carries_as_many_requests_as_it_may);
    tcase_add_test(t, more_idle_ones_than_are_wanted_are_closed_the_oldest_first);
    tcase_add_test(t, bytes_that_nobody_asked_for_close_an_idle_connection);
    tcase_add_test(t, with_a_full_pool_requests_wait_and_take_turns);
    tcase_add_test(t, who_does_not_answer_is_passed_over_until_it_does);
    tcase_add_test(t, who_stays_silent_is_asked_less_and_less_often);
    tcase_add_test(t, random_keeps_a_trace_with_its_endpoint);
    tcase_add_test(t, who_takes_its_turn_on_a_connection_did_not_find_it_idle);
    tcase_add_test(t, who_waits_gets_a_new_connection_when_the_one_in_use_closes);
    tcase_add_test(t, a_fresh_connection_takes_the_place_of_kept_ones);
    tcase_add_test(t, who_waits_takes_what_comes_back_first);
    tcase_add_test(t, who_cancels_is_not_told_and_its_connection_is_kept);
    tcase_add_test(t, there_is_a_bound_to_those_who_wait);
    tcase_add_loop_test(t, each_connect_that_fails_is_told_to_one_who_waits, 0, 2);
    tcase_add_test(t, an_address_that_cannot_be_dialled_is_told_at_once_and_not_by_a_call);
    tcase_add_test(t, a_connection_that_is_not_made_in_time_is_given_up);
    tcase_add_test(t, connections_to_an_address_that_stays_are_kept);
    tcase_add_test(t, an_address_that_goes_ends_its_request_first);
    tcase_add_test(t, a_unix_path_outlives_the_set_it_came_with);
    tcase_add_test(t, the_endpoints_of_a_cluster_take_turns);
    tcase_add_test(t, a_cluster_lives_as_long_as_an_exchange_of_its_time);
    tcase_add_test(t, an_original_destination_is_found_again);
    tcase_add_test(t, only_so_many_are_remembered_the_longest_unused_goes);
    tcase_add_test(t, when_all_are_in_use_another_is_its_callers_alone);
    tcase_add_loop_test(t, a_connection_that_is_donated_is_kept_made_or_not, 0, 2);
    tcase_add_test(t, what_is_being_dialled_ends_with_the_worker);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
