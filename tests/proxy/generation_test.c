/*
 * What a worker does for a config of thousands of clusters is done in parts.
 */
#include "stepped_worker.h"

#include "proxy/upstream.h"

enum { MANY = 20000 }; /* more than a loop runs in one go, however fast the build */

static struct worker *worker;

/* ---- memory that ends ---- */

static size_t granted = SIZE_MAX; /* requests, before all are refused */

static bool is_granted(void)
{
    if (granted == SIZE_MAX)
        return true;
    granted -= granted > 0;
    return granted > 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_malloc(size_t size)
{
    return is_granted() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_granted() ? __real_calloc(n, size) : NULL;
}

/* ---- the tests ---- */

static void setup(void)
{
    worker = stepped_worker_new();
}

static void teardown(void)
{
    worker_free(worker);
}

/* n clusters, each endpoint of that port. */
static struct config *config_of(unsigned n, unsigned port)
{
    struct errors errors = {0};
    struct buffer text;
    struct config *c;

    buffer_init(&text, 0);
    buffer_printf(&text, "inbound { listen 127.0.0.1:0;");
    for (unsigned i = 1; i < n; i++)
        buffer_printf(&text, " route = /%u { to c%u; }", i, i);
    buffer_printf(&text, " route / { to c0; } }");
    for (unsigned i = 0; i < n; i++)
        buffer_printf(&text, " cluster c%u { endpoint 127.0.0.1:%u; }", i, port);
    c = config_parse("t.conf", buffer_str(&text), NULL, &errors);
    ck_assert_msg(c != NULL, "%s", errors.n ? errors.v[0].text : "?");
    buffer_release(&text);
    errors_release(&errors);
    return c;
}

static void configure_at_once(struct config *c)
{
    struct worker_setup to = {.config = c};

    worker_configure(worker, &to);
    config_unref(c);
}

static void on_prepared(void *arg, bool ready)
{
    ck_assert(ready);
    configure_at_once(arg);
}

static void configure(struct config *c)
{
    struct worker_setup to = {.config = c};

    worker_prepare(worker, &to, on_prepared, c);
}

/* Until that many clusters are in force. */
static void steps_until(size_t n)
{
    RUN_UNTIL(worker, worker_config(worker)->n_clusters == n);
}

/* Somebody else of the loop, who always has something to do. */
struct other {
    struct event *event;
    int fds[2];
    const struct config *before; /* counts while this is in force */
    unsigned turns;
};

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct other *o = arg;

    if (worker_config(worker) == o->before)
        o->turns++;
    else
        event_del(o->event);
}

static void other_begin(struct other *o)
{
    *o = (struct other){.before = worker_config(worker)};
    ck_assert_int_eq(pipe(o->fds), 0);
    ck_assert_int_eq(write(o->fds[1], "x", 1), 1);
    o->event = event_new(worker->loop.base, o->fds[0], EV_READ | EV_PERSIST, on_turn, o);
    event_add(o->event, NULL);
}

static void other_end(struct other *o)
{
    event_free(o->event);
    close(o->fds[0]);
    close(o->fds[1]);
}

START_TEST(a_large_config_is_taken_into_use_and_given_up_in_parts)
{
    struct other other;

    other_begin(&other);
    configure(config_of(MANY, 1));
    steps_until(MANY);
    ck_assert_uint_gt(other.turns, 2);
    other_end(&other);
    for (size_t i = 0; i < MANY; i++)
        ck_assert_uint_eq(worker->generation->clusters[i]->n, 1);
    configure(config_of(2, 1));
    steps_until(2);
    RUN_UNTIL(worker, list_empty(&worker->dying));
}
END_TEST

START_TEST(a_small_one_is_there_at_once)
{
    configure(config_of(3, 1));
    RUN_UNTIL(worker, worker_config(worker)->n_clusters == 3);
}
END_TEST

START_TEST(reloads_in_a_row_come_into_force_in_their_order)
{
    for (unsigned i = 0; i < 4; i++)
        configure_at_once(config_of(MANY + i, 1 + i));
    steps_until(MANY + 3);
    RUN_UNTIL(worker, list_empty(&worker->dying));
    ck_assert_ptr_null(worker->coming);
}
END_TEST

START_TEST(without_memory_for_all_of_it_the_one_in_force_stays)
{
    struct config *old = config_of(3, 1), *c = config_of(300, 2);
    struct worker_setup to = {.config = c};
    enum preparing step = PREPARE_FAILED;
    size_t n;

    configure(old);
    RUN_UNTIL(worker, worker_config(worker)->n_clusters == 3);
    for (n = 1; step != PREPARE_DONE; n += 1 + n / 50) {
        loop_begin_turn(&worker->loop);
        granted = n;
        do
            step = generation_prepare(worker, &to);
        while (step == PREPARE_MORE);
        granted = SIZE_MAX;
        loop_end_turn(&worker->loop);
        ck_assert_uint_eq(worker_config(worker)->n_clusters, 3);
        ck_assert((worker->coming == NULL) == (step == PREPARE_FAILED));
        RUN_UNTIL(worker, list_empty(&worker->dying));
    }
    ck_assert_uint_gt(n, 900); /* a few for each cluster */
    configure_at_once(c);
    RUN_UNTIL(worker, worker_config(worker)->n_clusters == 300);
}
END_TEST

START_TEST(endpoints_for_which_there_was_no_memory_are_taken_when_there_is)
{
    struct trace_id key = {{1}};
    struct endpoint_set *set = endpoint_set_new(STR("c0"), 2);
    struct address a = {.family = AF_INET, .port = 7, .ip = {127, 0, 0, 1}};

    configure(config_of(1, 1));
    RUN_UNTIL(worker, worker_config(worker)->n_clusters == 1);
    struct cluster_state *c = worker->generation->clusters[0];
    endpoint_set_add(set, &a, 1);
    a.port = 8;
    endpoint_set_add(set, &a, 1);
    granted = 3;
    upstreams_set_endpoints(worker->upstreams, set);
    granted = SIZE_MAX;
    ck_assert_uint_eq(c->n, 1);
    ck_assert_uint_eq(c->upstreams[0]->address.port, 1);
    ck_assert_ptr_nonnull(cluster_choose(c, NULL, &key));
    ck_assert_uint_eq(c->n, 2);
    ck_assert_uint_eq(c->upstreams[1]->address.port, 8);
}
END_TEST

/* The worker may end amid any of it. */
START_TEST(an_end_leaves_nothing)
{
    struct config *c = config_of(MANY, 1);
    struct worker_setup to = {.config = c};

    if (_i == 0) {
        generation_prepare(worker, &to);
        config_unref(c);
        return;
    }
    configure(c);
    steps_until(MANY);
    if (_i > 1) {
        configure(config_of(1, 1));
        steps_until(1);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("generation");
    TCase *t = tcase_create("generation");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_large_config_is_taken_into_use_and_given_up_in_parts);
    tcase_add_test(t, a_small_one_is_there_at_once);
    tcase_add_test(t, reloads_in_a_row_come_into_force_in_their_order);
    tcase_add_test(t, without_memory_for_all_of_it_the_one_in_force_stays);
    tcase_add_test(t, endpoints_for_which_there_was_no_memory_are_taken_when_there_is);
    tcase_add_loop_test(t, an_end_leaves_nothing, 0, 3);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
