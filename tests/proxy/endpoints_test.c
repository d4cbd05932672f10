#include "proxy/endpoints.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a resolver that the test answers ---- */

struct resolver {
    int unused;
};
struct resolve {
    char name[64];
    resolved_fn *fn;
    void *arg;
    bool open;
};

static struct resolver resolver;
static struct resolve asked[64];
static unsigned n_asked;
static const struct resolved
    *at_once; /* what resolver_ask() answers before it returns; NULL: later */

struct resolve *resolver_ask(struct resolver *r, struct str name, resolved_fn *fn, void *arg)
{
    struct resolve *q = &asked[n_asked++];

    (void)r;
    ck_assert_uint_lt(n_asked, 64);
    *q = (struct resolve){.fn = fn, .arg = arg, .open = true};
    snprintf(q->name, sizeof(q->name), "%.*s", STR_ARG(name));
    if (!at_once)
        return q;
    q->open = false;
    fn(arg, at_once);
    return NULL;
}

void resolver_cancel(struct resolve *q)
{
    if (q)
        q->open = false;
}

static struct resolved answer_of(const char *a, const char *b)
{
    struct resolved r = {.ttl = SECONDS(60)};

    address_parse_ip(str_from(a), &r.v[r.n++]);
    if (b)
        address_parse_ip(str_from(b), &r.v[r.n++]);
    return r;
}

static void answer(unsigned i, const struct resolved *result)
{
    ck_assert_uint_lt(i, n_asked);
    ck_assert(asked[i].open);
    asked[i].open = false;
    asked[i].fn(asked[i].arg, result);
}

/* ---- what is published ---- */

static struct event_base *base;
static struct endpoints *endpoints;
static struct config *config;
static char published[4096]; /* a line a set: "users: 10.0.0.1:80*1 pending error(...)" */
static unsigned n_published;

static void on_published(void *arg, struct endpoint_set *set)
{
    size_t n = strlen(published);

    (void)arg;
    n_published++;
    n += (size_t)snprintf(published + n, sizeof(published) - n, "%s:", set->cluster);
    for (size_t i = 0; i < set->n; i++)
        n += (size_t)snprintf(published + n, sizeof(published) - n, " %s*%u", set->v[i].text,
                              set->v[i].weight);
    n += (size_t)snprintf(published + n, sizeof(published) - n, "%s",
                          set->pending ? " pending" : "");
    if (set->error)
        n += (size_t)snprintf(published + n, sizeof(published) - n, " error(%s)", set->error);
    snprintf(published + n, sizeof(published) - n, "\n");
    endpoint_set_unref(set);
}

/* What was published since the last time. */
static const char *news(void)
{
    static char copy[sizeof(published)];

    strcpy(copy, published);
    published[0] = '\0';
    return copy;
}

static struct config *parse(const char *clusters)
{
    struct errors errors = {0};
    char text[1024];
    struct config *c;

    snprintf(text, sizeof(text), "outbound { listen 127.0.0.1:0; route / { to users; } } %s",
             clusters);
    c = config_parse("t.conf", str_from(text), NULL, &errors);
    ck_assert_msg(c != NULL, "%s", errors.n ? errors.v[0].text : "?");
    errors_release(&errors);
    return c;
}

static void follow(const char *clusters)
{
    struct config *c = parse(clusters);

    endpoints_follow(endpoints, c);
    config_unref(config);
    config = c;
}

static void setup(void)
{
    base = event_base_new();
    endpoints = endpoints_new(base, &resolver, on_published, NULL);
    n_asked = n_published = 0;
    published[0] = '\0';
    at_once = NULL;
}

static void teardown(void)
{
    endpoints_free(endpoints);
    config_unref(config);
    config = NULL;
    event_base_free(base);
}

/* Until something is asked besides the first n. */
static void run_until_asked(unsigned n)
{
    struct timeval most = {5, 0};

    event_base_loopexit(base, &most);
    while (n_asked <= n && !event_base_got_exit(base))
        event_base_loop(base, EVLOOP_ONCE);
    ck_assert_uint_gt(n_asked, n);
}

/* ---- tests ---- */

START_TEST(literals_are_published_at_once)
{
    follow("cluster users { endpoint 10.0.0.1:80 weight 3; endpoint [::1]:81; endpoint unix:/s; }");
    ck_assert_str_eq(news(), "users: 10.0.0.1:80*3 [::1]:81*1 unix:/s*1\n");
    ck_assert_uint_eq(n_asked, 0);
    ck_assert(endpoints_settled(endpoints));
}
END_TEST

START_TEST(a_name_is_pending_until_it_is_answered)
{
    struct resolved r = answer_of("10.0.0.1", "10.0.0.2");

    follow("cluster users { endpoint a.shop:80 weight 2; endpoint 10.0.0.9:80; }");
    ck_assert_str_eq(news(), "users: 10.0.0.9:80*1 pending\n");
    ck_assert(!endpoints_settled(endpoints));
    ck_assert_str_eq(asked[0].name, "a.shop");
    answer(0, &r);
    ck_assert_str_eq(news(), "users: 10.0.0.1:80*2 10.0.0.2:80*2 10.0.0.9:80*1\n");
    ck_assert(endpoints_settled(endpoints));
}
END_TEST

START_TEST(an_answer_within_the_question_is_published_once)
{
    struct resolved r = answer_of("10.0.0.1", NULL);

    at_once = &r;
    follow("cluster users { endpoint a.shop:80; endpoint b.shop:81; }");
    ck_assert_str_eq(news(), "users: 10.0.0.1:80*1 10.0.0.1:81*1\n");
}
END_TEST

START_TEST(an_address_that_two_lines_give_has_both_weights)
{
    struct resolved r = answer_of("10.0.0.1", NULL);

    at_once = &r;
    follow("cluster users { endpoint a.shop:80 weight 2; endpoint b.shop:80 weight 3; }");
    ck_assert_str_eq(news(), "users: 10.0.0.1:80*5\n");
}
END_TEST

START_TEST(a_name_that_cannot_be_resolved_is_settled_and_says_why)
{
    struct resolved failure = {.error = "no such name", .ttl = SECONDS(1)};

    follow("cluster users { endpoint a.shop:80; }");
    news();
    answer(0, &failure);
    ck_assert_str_eq(news(), "users: error(a.shop: no such name)\n");
    ck_assert(endpoints_settled(endpoints));
}
END_TEST

START_TEST(a_name_is_asked_again_when_its_ttl_runs_out)
{
    struct resolved r = answer_of("10.0.0.1", NULL), other = answer_of("10.0.0.2", NULL);

    r.ttl = MILLISECONDS(20);
    follow("cluster users { endpoint a.shop:80; }");
    answer(0, &r);
    news();
    run_until_asked(1);
    ck_assert_str_eq(news(), ""); /* nothing is lost while it is asked */
    answer(1, &other);
    ck_assert_str_eq(news(), "users: 10.0.0.2:80*1\n");
}
END_TEST

START_TEST(the_same_answer_is_not_published_again)
{
    struct resolved r = answer_of("10.0.0.1", NULL);

    r.ttl = MILLISECONDS(20);
    follow("cluster users { endpoint a.shop:80; }");
    answer(0, &r);
    news();
    run_until_asked(1);
    answer(1, &r);
    ck_assert_str_eq(news(), "");
}
END_TEST

START_TEST(the_last_good_addresses_stay_when_it_fails_later)
{
    struct resolved r = answer_of("10.0.0.1", NULL);
    struct resolved failure = {.error = "timed out", .ttl = SECONDS(1)};

    r.ttl = MILLISECONDS(20);
    follow("cluster users { endpoint a.shop:80; }");
    answer(0, &r);
    run_until_asked(1);
    news();
    answer(1, &failure);
    ck_assert_str_eq(news(), "users: 10.0.0.1:80*1 error(a.shop: timed out)\n");
    run_until_asked(2); /* within a second or so */
    answer(2, &r);
    ck_assert_str_eq(news(), "users: 10.0.0.1:80*1\n");
}
END_TEST

START_TEST(what_is_known_survives_a_reload)
{
    struct resolved r = answer_of("10.0.0.1", NULL);

    follow("cluster users { endpoint a.shop:80; }");
    answer(0, &r);
    news();
    follow("cluster users { endpoint a.shop:8080 weight 4; } cluster more { endpoint b.shop:1; }");
    ck_assert_str_eq(news(), "users: 10.0.0.1:8080*4\nmore: pending\n");
    ck_assert_uint_eq(n_asked, 2);
    ck_assert_str_eq(asked[1].name, "b.shop");
}
END_TEST

START_TEST(what_a_reload_does_not_change_is_not_published_again)
{
    struct resolved r = answer_of("10.0.0.1", NULL);

    follow("cluster users { endpoint a.shop:80; } cluster more { endpoint 10.0.0.5:1; }");
    answer(0, &r);
    news();
    follow("cluster users { endpoint a.shop:80; } cluster more { endpoint 10.0.0.6:1; }");
    ck_assert_str_eq(news(), "more: 10.0.0.6:1*1\n");
    follow("cluster users { endpoint a.shop:80; }");
    ck_assert_str_eq(news(), "");
    follow("cluster users { endpoint a.shop:80; } cluster more { endpoint 10.0.0.6:1; }");
    ck_assert_str_eq(news(), "more: 10.0.0.6:1*1\n"); /* the workers may have forgotten it */
}
END_TEST

START_TEST(a_question_of_the_old_config_is_given_up_at_a_reload)
{
    follow("cluster users { endpoint a.shop:80; }");
    follow("cluster users { endpoint a.shop:80; }");
    ck_assert(!asked[0].open);
    ck_assert(asked[1].open);
}
END_TEST

START_TEST(a_hint_asks_again_but_once_a_second)
{
    struct resolved r = answer_of("10.0.0.1", NULL);
    nsec_t begun = clock_monotonic();

    follow("cluster users { endpoint a.shop:80; }");
    answer(0, &r);
    endpoints_hint_stale(endpoints, STR("users"));
    endpoints_hint_stale(endpoints, STR("nobody"));
    run_until_asked(1);
    ck_assert_int_ge(clock_monotonic() - begun, SECONDS(1));
    ck_assert_uint_eq(n_asked, 2);
}
END_TEST

START_TEST(says_what_it_waits_for)
{
    struct buffer out;

    buffer_init(&out, 0);
    follow("cluster users { endpoint a.shop:80; }");
    endpoints_unsettled_print(endpoints, &out);
    ck_assert(str_eq(buffer_str(&out), STR("cluster users: a.shop has not been resolved yet\n")));
    buffer_reset(&out);
    endpoints_metrics_print(endpoints, &out);
    buffer_add_char(&out, '\0');
    ck_assert_ptr_nonnull(strstr(out.p, "sidespan_cluster_endpoints{cluster=\"users\"} 0\n"));
    buffer_release(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("endpoints");
    TCase *t = tcase_create("endpoints");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 20);
    tcase_add_test(t, literals_are_published_at_once);
    tcase_add_test(t, a_name_is_pending_until_it_is_answered);
    tcase_add_test(t, an_answer_within_the_question_is_published_once);
    tcase_add_test(t, an_address_that_two_lines_give_has_both_weights);
    tcase_add_test(t, a_name_that_cannot_be_resolved_is_settled_and_says_why);
    tcase_add_test(t, a_name_is_asked_again_when_its_ttl_runs_out);
    tcase_add_test(t, the_same_answer_is_not_published_again);
    tcase_add_test(t, the_last_good_addresses_stay_when_it_fails_later);
    tcase_add_test(t, what_is_known_survives_a_reload);
    tcase_add_test(t, what_a_reload_does_not_change_is_not_published_again);
    tcase_add_test(t, a_question_of_the_old_config_is_given_up_at_a_reload);
    tcase_add_test(t, a_hint_asks_again_but_once_a_second);
    tcase_add_test(t, says_what_it_waits_for);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
