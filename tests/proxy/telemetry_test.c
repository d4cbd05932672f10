/*
 * The thread with its real exporters: memory, and OTLP over HTTP to a collector
 * of our own on loopback.
 */
#include "proxy/telemetry.h"

#include <arpa/inet.h>
#include <check.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/telemetry_private.h"

/* ---- a collector ---- */

struct collector {
    pthread_t thread;
    int listener;
    uint16_t port;
    atomic_uint requests;
    atomic_bool hang; /* takes requests and says nothing */
};

/* Reads one request of a connection. False: the peer closed. */
static bool read_request(int fd)
{
    static _Thread_local char head[65536];
    size_t n = 0;
    char *end;

    do {
        ssize_t got = read(fd, head + n, sizeof(head) - 1 - n);
        if (got <= 0)
            return false;
        n += (size_t)got;
        head[n] = '\0';
        end = strstr(head, "\r\n\r\n");
    } while (!end);
    size_t left = (size_t)atol(strstr(head, "Content-Length: ") + 16);
    left -= n - (size_t)(end + 4 - head);
    while (left) {
        ssize_t got = read(fd, head, left < sizeof(head) ? left : sizeof(head));
        if (got <= 0)
            return false;
        left -= (size_t)got;
    }
    return true;
}

/* One connection after the other: the exporter keeps one. */
static void *collect(void *arg)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct collector *c = arg;

    for (;;) {
        int fd = accept(c->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        while (read_request(fd)) {
            atomic_fetch_add(&c->requests, 1);
            if (!atomic_load(&c->hang))
                (void)!write(fd, ok, sizeof(ok) - 1);
        }
        close(fd);
    }
}

static void collector_start(struct collector *c)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);

    c->listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(c->listener, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(c->listener, 8), 0);
    getsockname(c->listener, (struct sockaddr *)&at, &len);
    c->port = ntohs(at.sin_port);
    ck_assert_int_eq(pthread_create(&c->thread, NULL, collect, c), 0);
}

static void collector_stop(struct collector *c)
{
    shutdown(c->listener, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    close(c->listener);
}

/* ---- one test's world ---- */

struct world {
    struct config config;
    struct export_config exports[3];
    struct telemetry *telemetry;
    struct collector collector;
    char url[60];
    FILE *log;
};

static struct world world;

static void use_memory(struct export_config *x)
{
    *x = (struct export_config){.kind = EXPORT_MEMORY, .memory_spans = 1000};
}

static void use_collector(struct export_config *x, uint16_t port)
{
    snprintf(world.url, sizeof(world.url), "http://127.0.0.1:%u", port);
    *x = (struct export_config){.kind = EXPORT_OTLP_HTTP,
                                .url = str_from(world.url),
                                .authority = str_from(world.url + 7),
                                .path = STR_INIT("/v1/traces"),
                                .timeout = SECONDS(5),
                                .to = {.text = str_from(world.url + 7)}};
    ck_assert(address_parse_ip(STR("127.0.0.1"), &x->to.address));
    x->to.address.port = port;
}

static void set_up(void)
{
    world = (struct world){0};
    struct config *c = &world.config;

    c->service.name = STR("shop");
    c->trace.exports = world.exports;
    c->trace.batch.queue = 2048;
    c->trace.batch.size = 512;
    c->trace.batch.delay = MILLISECONDS(20);
    c->trace.batch.timeout = SECONDS(30);
    c->timeouts.flush = SECONDS(2);
    /* The log goes where it can be read. */
    world.log = tmpfile();
    dup2(fileno(world.log), STDERR_FILENO);
    log_set_level(LOG_INFO);
}

static void start(size_t n_exports)
{
    struct error err = {0};

    world.config.trace.n_exports = n_exports;
    world.telemetry = telemetry_start(&world.config, &err);
    ck_assert_msg(world.telemetry != NULL, "%s", err.text);
}

static void stop(nsec_t flush)
{
    telemetry_stop(world.telemetry, flush);
    world.telemetry = NULL;
}

static void tear_down(void)
{
    if (world.telemetry)
        stop(0);
    if (world.collector.port)
        collector_stop(&world.collector);
    fclose(world.log);
}

static const char *log_text(void)
{
    static char text[20000];

    fflush(stderr);
    rewind(world.log);
    text[fread(text, 1, sizeof(text) - 1, world.log)] = '\0';
    return text;
}

static struct span a_span(void)
{
    struct span s;

    span_init(&s, SPAN_SERVER, SPAN_HTTP);
    memset(s.trace_id.bytes, 7, sizeof(s.trace_id.bytes));
    memset(s.span_id.bytes, 9, sizeof(s.span_id.bytes));
    s.start = clock_wall();
    s.duration = MICROSECONDS(1500);
    s.status = 200;
    s.text[SPAN_METHOD] = STR("GET");
    s.text[SPAN_PATH] = STR("/users/7");
    return s;
}

static void push(struct span_feed *f, unsigned n)
{
    struct span s = a_span();

    while (n--)
        span_feed_push(f, &s);
}

/* ---- what is to be seen ---- */

/* The ledger of the exporter at that place. The caller releases *document. */
static json_t *ledger(size_t at, json_t **document)
{
    struct buffer out;

    buffer_init(&out, 0);
    telemetry_ledger_json(world.telemetry, &out);
    *document = json_loadb(out.p, out.n, 0, NULL);
    buffer_release(&out);
    ck_assert_ptr_nonnull(*document);
    return json_array_get(json_object_get(*document, "exporters"), at);
}

static uint64_t ledger_number(size_t at, const char *key)
{
    json_t *document, *row = ledger(at, &document);

    ck_assert(json_is_true(json_object_get(row, "balances")));
    uint64_t n = (uint64_t)json_integer_value(json_object_get(row, key));
    json_decref(document);
    return n;
}

static size_t exporters(void)
{
    json_t *document;

    ledger(0, &document);
    size_t n = json_array_size(json_object_get(document, "exporters"));
    json_decref(document);
    return n;
}

static uint64_t ledger_ring_full(size_t at)
{
    json_t *document, *row = ledger(at, &document);
    json_t *dropped = json_object_get(row, "dropped");
    uint64_t n = (uint64_t)json_integer_value(json_object_get(dropped, "ring_full"));

    json_decref(document);
    return n;
}

static bool within(nsec_t time, size_t at, const char *key, uint64_t n)
{
    for (nsec_t end = clock_monotonic() + time; clock_monotonic() < end; poll(NULL, 0, 1))
        if (ledger_number(at, key) == n)
            return true;
    return ledger_number(at, key) == n;
}

/* The document of GET /traces; the caller releases it. */
static struct buffer traces(void)
{
    struct buffer out;

    buffer_init(&out, 0);
    ck_assert(telemetry_traces_json(world.telemetry, NULL, 1000, &out));
    buffer_add_char(&out, '\0');
    return out;
}

static unsigned times_in(const char *text, const char *words)
{
    unsigned n = 0;

    for (; (text = strstr(text, words)); text++)
        n++;
    return n;
}

/* ---- from a worker to an exporter ---- */

START_TEST(a_span_that_ended_is_in_the_traces_at_once)
{
    use_memory(&world.exports[0]);
    start(1);
    struct span_feed *f = span_feed_new(world.telemetry);
    for (unsigned i = 1; i <= 20; i++) {
        push(f, 1);
        struct buffer seen = traces();
        ck_assert_uint_eq(times_in(seen.p, "\"spanId\""), i);
        buffer_release(&seen);
    }
}
END_TEST

START_TEST(a_span_that_ended_is_in_the_ledger_soon)
{
    use_memory(&world.exports[0]);
    start(1);
    struct span_feed *f = span_feed_new(world.telemetry);
    for (unsigned i = 1; i <= 40; i++) {
        push(f, 1); /* now while it sleeps, now while it is awake */
        ck_assert(within(SECONDS(1), 0, "started", i));
        poll(NULL, 0, (int)(i * 7 % 60));
    }
}
END_TEST

START_TEST(each_exporter_gets_each_span)
{
    collector_start(&world.collector);
    use_memory(&world.exports[0]);
    use_collector(&world.exports[1], world.collector.port);
    start(2);
    push(span_feed_new(world.telemetry), 600);
    ck_assert(within(SECONDS(5), 0, "exported", 600));
    ck_assert(within(SECONDS(5), 1, "exported", 600));
    ck_assert_uint_ge(atomic_load(&world.collector.requests), 2); /* batches of 512 */
}
END_TEST

START_TEST(without_exporters_spans_go_nowhere)
{
    struct buffer out;

    start(0);
    push(span_feed_new(world.telemetry), 100);
    buffer_init(&out, 0);
    ck_assert(!telemetry_traces_json(world.telemetry, NULL, 10, &out));
    buffer_release(&out);
}
END_TEST

/* ---- two workers ---- */

enum { FEEDS = 2, BURST = 50 };

struct pushing {
    struct span_feed *feed;
    unsigned bursts;
    int pause_ms;
};

static void *push_bursts(void *arg)
{
    const struct pushing *p = arg;

    for (unsigned i = 0; i < p->bursts; i++) {
        push(p->feed, BURST);
        poll(NULL, 0, p->pause_ms);
    }
    return NULL;
}

static void push_from_two_threads(unsigned bursts, int pause_ms)
{
    pthread_t threads[FEEDS];
    struct pushing pushing[FEEDS];

    for (int i = 0; i < FEEDS; i++)
        pushing[i] = (struct pushing){span_feed_new(world.telemetry), bursts, pause_ms};
    for (int i = 0; i < FEEDS; i++)
        pthread_create(&threads[i], NULL, push_bursts, &pushing[i]);
    for (int i = 0; i < FEEDS; i++)
        pthread_join(threads[i], NULL);
}

START_TEST(what_two_workers_push_arrives_whole)
{
    collector_start(&world.collector);
    use_memory(&world.exports[0]);
    use_collector(&world.exports[1], world.collector.port);
    world.config.trace.batch.queue = 100000;
    start(2);
    push_from_two_threads(100, 2);
    ck_assert(within(SECONDS(20), 0, "exported", 100 * FEEDS * BURST));
    ck_assert(within(SECONDS(20), 1, "exported", 100 * FEEDS * BURST));
    ck_assert_uint_eq(ledger_ring_full(0), 0);
}
END_TEST

START_TEST(what_a_ring_could_not_take_is_in_the_ledger)
{
    use_memory(&world.exports[0]);
    start(1);
    push_from_two_threads(400, 0); /* as fast as it goes */
    ck_assert(within(SECONDS(20), 0, "started", 400 * FEEDS * BURST));
    ck_assert_uint_eq(ledger_number(0, "exported") + ledger_ring_full(0), 400 * FEEDS * BURST);
}
END_TEST

static void wait_for_flag(void *arg)
{
    while (!atomic_load((atomic_bool *)arg))
        poll(NULL, 0, 1);
}

START_TEST(while_the_thread_is_held_up_spans_are_lost_and_counted)
{
    static atomic_bool go_on;

    use_memory(&world.exports[0]);
    start(1);
    struct span_feed *f = span_feed_new(world.telemetry);
    mailbox_post(world.telemetry->mailbox, wait_for_flag, &go_on);
    push(f, 20000);
    atomic_store(&go_on, true);
    ck_assert(within(SECONDS(20), 0, "started", 20000));
    ck_assert_uint_gt(ledger_ring_full(0), 0);
    ck_assert_uint_eq(ledger_number(0, "exported") + ledger_ring_full(0), 20000);
}
END_TEST

/* ---- rest ---- */

struct state {
    bool asleep, drain_pending, tick_pending, signals_blocked;
};

static void read_state(void *arg)
{
    struct telemetry *t = world.telemetry;
    struct state *s = arg;
    sigset_t mask;

    s->asleep = atomic_load(&t->wake.asleep);
    s->drain_pending = event_pending(t->drain_timer, EV_TIMEOUT, NULL);
    s->tick_pending = event_pending(t->tick_timer, EV_TIMEOUT, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    s->signals_blocked =
        sigismember(&mask, SIGTERM) && sigismember(&mask, SIGHUP) && sigismember(&mask, SIGPIPE);
}

START_TEST(when_all_is_done_nothing_wakes_the_thread)
{
    struct state s;

    collector_start(&world.collector);
    use_memory(&world.exports[0]);
    use_collector(&world.exports[1], world.collector.port);
    start(2);
    push(span_feed_new(world.telemetry), 10);
    ck_assert(within(SECONDS(5), 1, "exported", 10));
    poll(NULL, 0, 150);
    mailbox_call(world.telemetry->mailbox, read_state, &s);
    ck_assert(s.asleep);
    ck_assert(!s.drain_pending);
    ck_assert(!s.tick_pending);
}
END_TEST

START_TEST(signals_are_not_its_business)
{
    struct state s;
    sigset_t mask;

    start(0);
    mailbox_call(world.telemetry->mailbox, read_state, &s);
    ck_assert(s.signals_blocked);
    pthread_sigmask(SIG_SETMASK, NULL, &mask); /* ours is as it was */
    ck_assert(!sigismember(&mask, SIGTERM));
}
END_TEST

/* ---- the end ---- */

START_TEST(what_waits_is_flushed_at_the_end)
{
    collector_start(&world.collector);
    use_collector(&world.exports[0], world.collector.port);
    world.config.trace.batch.delay = SECONDS(60);
    start(1);
    push(span_feed_new(world.telemetry), 700);
    stop(SECONDS(5));
    ck_assert_uint_eq(atomic_load(&world.collector.requests), 2);
    ck_assert_msg(strstr(log_text(), "started 700 = exported 700 + rejected 0 + dropped 0 + "
                                     "waiting 0\n") != NULL,
                  "%s", log_text());
}
END_TEST

START_TEST(a_dead_collector_holds_the_end_up_only_so_long)
{
    bool hangs = _i == 1;

    collector_start(&world.collector);
    atomic_store(&world.collector.hang, true);
    use_collector(&world.exports[0], hangs ? world.collector.port : 1);
    start(1);
    push(span_feed_new(world.telemetry), 10);
    nsec_t before = clock_monotonic();
    stop(MILLISECONDS(200));
    ck_assert_int_ge(clock_monotonic() - before, MILLISECONDS(190));
    ck_assert_int_le(clock_monotonic() - before, SECONDS(3));
    ck_assert_msg(strstr(log_text(), "started 10 = exported 0 + rejected 0 + dropped 10 "
                                     "(shutdown 10) + waiting 0\n") != NULL,
                  "%s", log_text());
}
END_TEST

START_TEST(spans_in_the_ring_at_the_end_are_not_lost)
{
    use_memory(&world.exports[0]);
    start(1);
    push(span_feed_new(world.telemetry), 900);
    stop(0);
    ck_assert_msg(strstr(log_text(), "spans to memory: started 900 = exported 900 ") != NULL, "%s",
                  log_text());
}
END_TEST

/* ---- reload ---- */

START_TEST(an_exporter_that_did_not_change_goes_on)
{
    struct export_config same[2];

    use_memory(&world.exports[0]);
    start(1);
    struct span_feed *f = span_feed_new(world.telemetry);
    push(f, 5);
    telemetry_reload(world.telemetry, &world.config);
    /* Equal by value, at another place and in another order. */
    use_collector(&same[0], 1);
    same[1] = world.exports[0];
    same[1].at.line = 99;
    world.config.trace.exports = same;
    world.config.trace.n_exports = 2;
    telemetry_reload(world.telemetry, &world.config);
    push(f, 2);
    ck_assert(within(SECONDS(5), 1, "started", 7));
    ck_assert(within(SECONDS(5), 0, "started", 2));
}
END_TEST

START_TEST(what_waits_in_an_exporter_that_is_gone_is_flushed)
{
    collector_start(&world.collector);
    use_collector(&world.exports[0], world.collector.port);
    world.config.trace.batch.delay = SECONDS(60);
    start(1);
    struct span_feed *f = span_feed_new(world.telemetry);
    push(f, 30);
    use_memory(&world.exports[0]);
    telemetry_reload(world.telemetry, &world.config);
    push(f, 3);
    ck_assert(within(SECONDS(5), 0, "started", 3));
    for (int i = 0; i < 500 && !strstr(log_text(), "waiting 0"); i++)
        poll(NULL, 0, 10);
    ck_assert_msg(strstr(log_text(), "started 30 = exported 30 ") != NULL, "%s", log_text());
    ck_assert_uint_eq(exporters(), 1);
}
END_TEST

START_TEST(a_reload_that_cannot_be_carried_out_changes_nothing)
{
    use_memory(&world.exports[0]);
    start(1);
    struct span_feed *f = span_feed_new(world.telemetry);
    push(f, 5);
    struct export_config broken[2] = {world.exports[0]};
    use_collector(&broken[1], 1);
    broken[1].tls = true;
    broken[1].ca = STR("/nowhere/ca.pem");
    world.config.trace.exports = broken;
    world.config.trace.n_exports = 2;
    telemetry_reload(world.telemetry, &world.config);
    ck_assert_msg(strstr(log_text(), "/nowhere/ca.pem") != NULL, "%s", log_text());
    push(f, 1);
    ck_assert(within(SECONDS(5), 0, "started", 6));
    ck_assert_uint_eq(exporters(), 1);
}
END_TEST

static void instance_id(char *out, size_t n)
{
    struct buffer seen = traces();
    const char *key = strstr(seen.p, "service.instance.id");

    ck_assert_ptr_nonnull(key);
    snprintf(out, n, "%.90s", key);
    buffer_release(&seen);
}

START_TEST(a_made_up_instance_id_stays_the_same)
{
    char before[100], after[100];

    use_memory(&world.exports[0]);
    start(1);
    struct span_feed *f = span_feed_new(world.telemetry);
    push(f, 1);
    instance_id(before, sizeof(before));
    world.config.service.version = STR("2"); /* another resource: another exporter */
    telemetry_reload(world.telemetry, &world.config);
    push(f, 1);
    instance_id(after, sizeof(after));
    ck_assert_str_eq(before, after);
    ck_assert(within(SECONDS(1), 0, "started", 1));
}
END_TEST

START_TEST(a_start_with_a_ca_that_cannot_be_read_fails_with_its_name)
{
    struct error err = {0};

    use_collector(&world.exports[0], 1);
    world.exports[0].tls = true;
    world.exports[0].ca = STR("/nowhere/ca.pem");
    world.config.trace.n_exports = 1;
    ck_assert_ptr_null(telemetry_start(&world.config, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/ca.pem"));
}
END_TEST

/* ---- metrics ---- */

START_TEST(metrics_have_each_series_once)
{
    struct buffer out;

    use_memory(&world.exports[0]);
    use_memory(&world.exports[1]);
    world.exports[1].memory_spans = 5; /* another one of the same name */
    start(2);
    push(span_feed_new(world.telemetry), 4);
    ck_assert(within(SECONDS(5), 1, "started", 4));
    buffer_init(&out, 0);
    telemetry_metrics(world.telemetry, &out);
    buffer_add_char(&out, '\0');
    ck_assert_uint_eq(times_in(out.p, "\nsidespan_spans_started_total{exporter=\"memory\"} 8\n"),
                      1);
    ck_assert_uint_eq(times_in(out.p, "\nsidespan_spans_started_total{"), 1);
    ck_assert_uint_eq(times_in(out.p, "\nsidespan_spans_waiting{exporter=\"memory\"} 0\n"), 1);
    ck_assert_uint_eq(times_in(out.p, "\nsidespan_spans_dropped_total{exporter=\"memory\","
                                      "reason=\"ring_full\"} 0\n"),
                      1);
    ck_assert_uint_eq(times_in(out.p, "# TYPE "), 5);
    buffer_release(&out);
}
END_TEST

static TCase *feeding_tests(void)
{
    TCase *t = tcase_create("feeding");

    tcase_add_test(t, a_span_that_ended_is_in_the_traces_at_once);
    tcase_add_test(t, a_span_that_ended_is_in_the_ledger_soon);
    tcase_add_test(t, each_exporter_gets_each_span);
    tcase_add_test(t, without_exporters_spans_go_nowhere);
    tcase_add_test(t, what_two_workers_push_arrives_whole);
    tcase_add_test(t, what_a_ring_could_not_take_is_in_the_ledger);
    tcase_add_test(t, while_the_thread_is_held_up_spans_are_lost_and_counted);
    tcase_add_test(t, when_all_is_done_nothing_wakes_the_thread);
    tcase_add_test(t, signals_are_not_its_business);
    tcase_add_test(t, metrics_have_each_series_once);
    return t;
}

static TCase *changing_tests(void)
{
    TCase *t = tcase_create("changing");

    tcase_add_test(t, what_waits_is_flushed_at_the_end);
    tcase_add_loop_test(t, a_dead_collector_holds_the_end_up_only_so_long, 0, 2);
    tcase_add_test(t, spans_in_the_ring_at_the_end_are_not_lost);
    tcase_add_test(t, an_exporter_that_did_not_change_goes_on);
    tcase_add_test(t, what_waits_in_an_exporter_that_is_gone_is_flushed);
    tcase_add_test(t, a_reload_that_cannot_be_carried_out_changes_nothing);
    tcase_add_test(t, a_made_up_instance_id_stays_the_same);
    tcase_add_test(t, a_start_with_a_ca_that_cannot_be_read_fails_with_its_name);
    return t;
}

int main(void)
{
    TCase *cases[] = {feeding_tests(), changing_tests()};
    Suite *suite = suite_create("telemetry");

    for (int i = 0; i < 2; i++) {
        tcase_set_timeout(cases[i], 60);
        tcase_add_checked_fixture(cases[i], set_up, tear_down);
        suite_add_tcase(suite, cases[i]);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
