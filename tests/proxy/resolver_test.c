/*
 * Against a DNS server of our own on loopback, on the same loop.
 */
#include "proxy/resolver.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "proxy/dial.h"
#include "proxy/resolver_cache.h"

/* ---- a DNS server ---- */

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28, RCODE_NXDOMAIN = 3, HEADER_BYTES = 12 };

struct server {
    int fd;
    struct event *event;
    unsigned questions;
    bool silent; /* the last question can be answered later */
    uint8_t question[512];
    size_t question_n;
    struct sockaddr_storage asker;
    socklen_t asker_n;
    int rcode;
    uint32_t ttl, cname_ttl; /* cname_ttl 0: the name has its addresses itself */
    const char *v4[4], *v6[4];
};

static uint8_t *put16(uint8_t *p, unsigned value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return p + 2;
}

/* A record of the name at that offset. */
static uint8_t *put_record(uint8_t *p, unsigned name_at, unsigned type, uint32_t ttl,
                           const void *data, size_t n)
{
    p = put16(p, 0xc000 | name_at);
    p = put16(p, type);
    p = put16(p, 1);
    p = put16(p, ttl >> 16);
    p = put16(p, ttl & 0xffff);
    p = put16(p, (unsigned)n);
    memcpy(p, data, n);
    return p + n;
}

static uint8_t *put_addresses(uint8_t *p, const struct server *s, unsigned name_at, unsigned type,
                              unsigned *count)
{
    const char *const *texts = type == TYPE_A ? s->v4 : s->v6;
    int family = type == TYPE_A ? AF_INET : AF_INET6;
    size_t n = type == TYPE_A ? 4 : 16;
    uint8_t ip[16];

    for (; *texts; texts++, ++*count) {
        inet_pton(family, *texts, ip);
        p = put_record(p, name_at, type, s->ttl, ip, n);
    }
    return p;
}

static size_t answer(const struct server *s, uint8_t *message, size_t n)
{
    static const uint8_t alias[] = "\5alias\4test";
    uint8_t *p = message + HEADER_BYTES;
    unsigned name_at = HEADER_BYTES, records = 0;

    while (*p)
        p += *p + 1;
    unsigned type = (unsigned)(p[1] << 8 | p[2]);
    p += 5; /* the root label, type, class */

    if (s->cname_ttl) {
        uint8_t *record = p;
        p = put_record(p, name_at, TYPE_CNAME, s->cname_ttl, alias, sizeof(alias));
        name_at = (unsigned)(record - message) + HEADER_BYTES;
        records++;
    }
    if (!s->rcode && (type == TYPE_A || type == TYPE_AAAA))
        p = put_addresses(p, s, name_at, type, &records);
    message[2] = 0x84; /* response, authoritative */
    message[3] = (uint8_t)(0x80 | s->rcode);
    put16(message + 6, records);
    put16(message + 8, 0);
    put16(message + 10, 0);
    return (size_t)(p - message);
}

static void on_question(evutil_socket_t fd, short what, void *arg)
{
    struct server *s = arg;
    uint8_t message[2048];
    struct sockaddr_storage from;
    socklen_t len = sizeof(from);
    ssize_t n = recvfrom(fd, message, 512, 0, (struct sockaddr *)&from, &len);

    if (n < HEADER_BYTES)
        return;
    s->questions++;
    memcpy(s->question, message, (size_t)n);
    s->question_n = (size_t)n;
    s->asker = from;
    s->asker_n = len;
    if (!s->silent)
        sendto(fd, message, answer(s, message, (size_t)n), 0, (struct sockaddr *)&from, len);
}

static void answer_late(struct server *s)
{
    uint8_t message[2048];

    memcpy(message, s->question, s->question_n);
    sendto(s->fd, message, answer(s, message, s->question_n), 0, (struct sockaddr *)&s->asker,
           s->asker_n);
}

/* ---- one test's world ---- */

struct world {
    struct event_base *base;
    struct server server;
    struct resolver *resolver;
};

static struct world world;

static void set_up(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    struct error err = {0};
    char text[40];

    world = (struct world){.base = event_base_new()};
    struct server *s = &world.server;
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&at, &len), 0);
    s->event = event_new(world.base, s->fd, EV_READ | EV_PERSIST, on_question, s);
    event_add(s->event, NULL);
    s->ttl = 60;
    s->v4[0] = "10.0.0.1";

    world.resolver = resolver_new(world.base, &err);
    ck_assert_msg(world.resolver != NULL, "%s", err.text);
    snprintf(text, sizeof(text), "127.0.0.1:%d", ntohs(at.sin_port));
    ck_assert_msg(resolver_set_servers(world.resolver, text, &err), "%s", err.text);
}

static void tear_down(void)
{
    resolver_free(world.resolver);
    event_free(world.server.event);
    close(world.server.fd);
    event_base_free(world.base);
}

struct heard {
    unsigned times;
    bool failed;
    char why[80];
    struct resolved result;
};

static void on_resolved(void *arg, const struct resolved *result)
{
    struct heard *h = arg;

    h->times++;
    h->result.n = result->n;
    h->result.ttl = result->ttl;
    memcpy(h->result.v, result->v, result->n * sizeof(result->v[0]));
    h->failed = result->error != NULL;
    if (result->error)
        snprintf(h->why, sizeof(h->why), "%s", result->error);
}

static struct resolve *ask(const char *name, struct heard *h)
{
    *h = (struct heard){0};
    return resolver_ask(world.resolver, str_from(name), on_resolved, h);
}

static void wait_for(const struct heard *h)
{
    while (!h->times)
        ck_assert_int_eq(event_base_loop(world.base, EVLOOP_ONCE), 0);
}

static void ask_and_wait(const char *name, struct heard *h)
{
    ask(name, h);
    wait_for(h);
}

static void run_for(nsec_t time)
{
    struct timeval tv = {.tv_sec = time / SECONDS(1), .tv_usec = time % SECONDS(1) / 1000};

    event_base_loopexit(world.base, &tv);
    event_base_dispatch(world.base);
}

static const char *text_of(const struct heard *h, size_t i)
{
    static char text[ADDRESS_TEXT_MAX];

    ck_assert_uint_lt(i, h->result.n);
    address_format(&h->result.v[i], text);
    return text;
}

/* ---- without asking ---- */

static const struct {
    const char *name, *first, *second;
} known[] = {
    {"192.0.2.7", "192.0.2.7:0", NULL},           {"2001:db8::7", "[2001:db8::7]:0", NULL},
    {"localhost", "127.0.0.1:0", "[::1]:0"},      {"LocalHost.", "127.0.0.1:0", "[::1]:0"},
    {"shop.localhost", "127.0.0.1:0", "[::1]:0"},
};

START_TEST(literals_and_localhost_are_answered_at_once)
{
    struct heard h;

    ck_assert_ptr_null(ask(known[_i].name, &h));
    ck_assert_uint_eq(h.times, 1);
    ck_assert_uint_eq(h.result.n, known[_i].second ? 2 : 1);
    ck_assert_str_eq(text_of(&h, 0), known[_i].first);
    if (known[_i].second)
        ck_assert_str_eq(text_of(&h, 1), known[_i].second);
    ck_assert_uint_eq(world.server.questions, 0);
}
END_TEST

START_TEST(what_cannot_be_a_name_fails_at_once)
{
    char longest[RESOLVER_NAME_BYTES_MAX + 2];
    struct heard h;

    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    ck_assert_ptr_null(ask("", &h));
    ck_assert(h.failed);
    ck_assert_ptr_null(ask(longest, &h));
    ck_assert(h.failed);
}
END_TEST

/* The first name of the system's hosts file that is not localhost, or nothing. */
static void name_of_hosts_file(char *out, size_t n)
{
    FILE *file = fopen("/etc/hosts", "r");
    char line[1024], ip[100], name[100];

    out[0] = '\0';
    while (file && !out[0] && fgets(line, sizeof(line), file)) {
        struct address a;
        if (sscanf(line, "%99s %99s", ip, name) == 2 && address_parse_ip(str_from(ip), &a) &&
            !strstr(name, "localhost") && strncmp(name, "ip6-", 4) != 0)
            snprintf(out, n, "%s", name);
    }
    if (file)
        fclose(file);
}

START_TEST(names_of_the_hosts_file_need_no_server)
{
    char name[100];
    struct heard h;

    name_of_hosts_file(name, sizeof(name));
    if (!name[0])
        return; /* this machine has none */
    ck_assert_ptr_null(ask(name, &h));
    ck_assert_uint_eq(h.times, 1);
    ck_assert_msg(!h.failed, "%s: %s", name, h.why);
    ck_assert_uint_eq(world.server.questions, 0);
}
END_TEST

/* ---- answers ---- */

START_TEST(addresses_of_both_families_come_sorted_and_once)
{
    struct heard h;

    world.server.v4[0] = "10.0.0.9";
    world.server.v4[1] = "10.0.0.2";
    world.server.v4[2] = "10.0.0.9";
    world.server.v6[0] = "2001:db8::1";
    ask_and_wait("users.test.", &h);
    ck_assert_msg(!h.failed, "%s", h.why);
    ck_assert_uint_eq(h.result.n, 3);
    ck_assert_str_eq(text_of(&h, 0), "10.0.0.2:0");
    ck_assert_str_eq(text_of(&h, 1), "10.0.0.9:0");
    ck_assert_str_eq(text_of(&h, 2), "[2001:db8::1]:0");
}
END_TEST

static const struct {
    uint32_t ttl, cname_ttl;
    nsec_t expected;
} ttls[] = {
    {60, 0, SECONDS(60)}, {0, 0, SECONDS(1)},  {86400, 0, SECONDS(300)},
    {60, 7, SECONDS(7)},  {7, 60, SECONDS(7)},
};

START_TEST(the_ttl_is_the_shortest_of_the_chain_within_bounds)
{
    struct heard h;

    world.server.ttl = ttls[_i].ttl;
    world.server.cname_ttl = ttls[_i].cname_ttl;
    ask_and_wait("users.test.", &h);
    ck_assert_msg(!h.failed, "%s", h.why);
    ck_assert_int_eq(h.result.ttl, ttls[_i].expected);
}
END_TEST

START_TEST(an_answer_is_remembered_for_its_ttl_and_no_longer)
{
    struct heard h;

    world.server.ttl = 1;
    ask_and_wait("users.test.", &h);
    unsigned asked = world.server.questions;
    ck_assert_uint_eq(asked, 2); /* A and AAAA */

    world.server.v4[0] = "10.0.0.2";
    ck_assert_ptr_null(ask("USERS.test.", &h)); /* case does not matter */
    ck_assert_str_eq(text_of(&h, 0), "10.0.0.1:0");
    ck_assert_int_le(h.result.ttl, SECONDS(1));
    ck_assert_uint_eq(world.server.questions, asked);

    run_for(MILLISECONDS(1050));
    ask_and_wait("users.test.", &h);
    ck_assert_str_eq(text_of(&h, 0), "10.0.0.2:0");
    ck_assert_uint_eq(world.server.questions, 2 * asked);
}
END_TEST

START_TEST(a_failure_says_why_and_is_remembered_for_a_second)
{
    struct heard h;

    world.server.rcode = RCODE_NXDOMAIN;
    ask_and_wait("nobody.test.", &h);
    ck_assert(h.failed);
    ck_assert_str_eq(h.why, "no such name");
    ck_assert_int_eq(h.result.ttl, SECONDS(1));
    unsigned asked = world.server.questions;

    world.server.rcode = 0;
    ck_assert_ptr_null(ask("nobody.test.", &h));
    ck_assert(h.failed);
    ck_assert_uint_eq(world.server.questions, asked);
    run_for(MILLISECONDS(1050));
    ask_and_wait("nobody.test.", &h);
    ck_assert(!h.failed);
}
END_TEST

static const struct {
    int rcode;
    const char *why;
} rcode_rows[] = {
    {1, "the DNS server did not understand the question (FORMERR)"},
    {2, "the DNS server failed (SERVFAIL)"},
    {4, "the DNS server does not know how to answer (NOTIMP)"},
    {5, "the DNS server refuses to answer (REFUSED)"},
};

/* It could be reached very well. */
START_TEST(what_a_server_says_is_told_as_it_is)
{
    struct heard h;

    world.server.rcode = rcode_rows[_i].rcode;
    ask_and_wait("service.test.", &h);
    ck_assert(h.failed);
    ck_assert_str_eq(h.why, rcode_rows[_i].why);
}
END_TEST

START_TEST(a_name_without_addresses_is_a_failure)
{
    struct heard h;

    world.server.v4[0] = NULL;
    ask_and_wait("empty.test.", &h);
    ck_assert(h.failed);
    ck_assert_uint_eq(h.result.n, 0);
}
END_TEST

/* ---- many ---- */

enum { ASKERS = 50 };

START_TEST(many_who_wait_cost_one_question)
{
    struct heard h[ASKERS];

    for (int i = 0; i < ASKERS; i++)
        ck_assert_ptr_nonnull(ask("users.test.", &h[i]));
    for (int i = 0; i < ASKERS; i++)
        wait_for(&h[i]);
    for (int i = 0; i < ASKERS; i++)
        ck_assert_uint_eq(h[i].times, 1);
    ck_assert_uint_eq(world.server.questions, 2);
}
END_TEST

START_TEST(who_cancelled_is_not_told_and_the_others_are)
{
    struct heard first, second, third;

    ask("users.test.", &first);
    struct resolve *question = ask("users.test.", &second);
    ask("users.test.", &third);
    resolver_cancel(question);
    wait_for(&third);
    ck_assert_uint_eq(first.times, 1);
    ck_assert_uint_eq(second.times, 0);
    ck_assert_uint_eq(third.times, 1);
}
END_TEST

struct meddler {
    struct resolve *other;
    struct heard heard;
    bool answered;
};

static void on_resolved_meddle(void *arg, const struct resolved *result)
{
    struct meddler *m = arg;

    m->answered = true;
    resolver_cancel(m->other);
    ask("users.test.", &m->heard); /* from the cache */
}

START_TEST(who_is_told_may_ask_again_and_cancel_others)
{
    struct meddler m = {0};
    struct heard other;

    resolver_ask(world.resolver, STR("users.test."), on_resolved_meddle, &m);
    m.other = ask("users.test.", &other);
    while (!m.answered)
        event_base_loop(world.base, EVLOOP_ONCE);
    ck_assert_uint_eq(m.heard.times, 1);
    ck_assert_uint_eq(other.times, 0);
}
END_TEST

START_TEST(freeing_it_drops_the_questions_under_way)
{
    struct heard h[3];

    world.server.silent = true;
    ask("a.test.", &h[0]);
    ask("a.test.", &h[1]);
    ask("b.test.", &h[2]);
    event_base_loop(world.base, EVLOOP_NONBLOCK);
    resolver_free(world.resolver);
    world.resolver = NULL;
    event_base_loop(world.base, EVLOOP_NONBLOCK);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(h[i].times, 0);
}
END_TEST

static void on_dialled(void *arg, int fd, const char *detail)
{
    ck_assert_int_lt(fd, 0);
    ck_assert_str_eq(detail, "resolve late.test.: no answer within 1 ms");
    *(bool *)arg = true;
}

/* Its question goes with it. */
START_TEST(a_dial_that_has_given_up_is_not_told_of_the_answer)
{
    struct location to = {.address.port = 80, .name = STR_INIT("late.test."), .text = STR_INIT("")};
    bool given_up = false;
    struct heard h;

    world.server.silent = true;
    ck_assert_ptr_nonnull(
        dial_start(world.base, world.resolver, &to, MILLISECONDS(1), on_dialled, &given_up));
    while (!given_up || world.server.questions < 2)
        event_base_loop(world.base, EVLOOP_ONCE);
    ask("late.test.", &h);
    world.server.v4[0] = NULL;
    world.server.rcode = RCODE_NXDOMAIN;
    answer_late(&world.server);
    while (!h.times)
        event_base_loop(world.base, EVLOOP_ONCE);
}
END_TEST

static const char *numbered(int i)
{
    static char name[40];

    snprintf(name, sizeof(name), "n%d.test.", i);
    return name;
}

START_TEST(the_name_not_used_for_longest_is_forgotten_first)
{
    struct heard h;

    for (int i = 0; i < RESOLVER_NAMES_MAX; i++)
        ask_and_wait(numbered(i), &h);
    ck_assert_ptr_null(ask(numbered(0), &h)); /* used again */
    ask_and_wait("one.more.test.", &h);

    unsigned asked = world.server.questions;
    ck_assert_ptr_null(ask(numbered(0), &h));
    ck_assert_ptr_null(ask(numbered(2), &h));
    ck_assert_uint_eq(world.server.questions, asked);
    ask_and_wait(numbered(1), &h);
    ck_assert_uint_eq(world.server.questions, asked + 2);
}
END_TEST

START_TEST(names_that_are_waited_for_are_never_forgotten)
{
    static struct heard h[RESOLVER_NAMES_MAX];
    struct heard last;

    world.server.silent = true;
    for (int i = 0; i < RESOLVER_NAMES_MAX; i++)
        ck_assert_ptr_nonnull(ask(numbered(i), &h[i]));
    ck_assert_ptr_null(ask("one.more.test.", &last));
    ck_assert(last.failed);
}
END_TEST

START_TEST(it_leaves_nothing_to_wait_for_when_all_is_answered)
{
    struct heard h;

    ask_and_wait("users.test.", &h);
    event_del(world.server.event);
    /* 1: the loop has no event left */
    ck_assert_int_eq(event_base_loop(world.base, EVLOOP_NONBLOCK), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolver");
    TCase *tcase = tcase_create("resolver");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, literals_and_localhost_are_answered_at_once, 0,
                        sizeof(known) / sizeof(known[0]));
    tcase_add_test(tcase, what_cannot_be_a_name_fails_at_once);
    tcase_add_test(tcase, names_of_the_hosts_file_need_no_server);
    tcase_add_test(tcase, addresses_of_both_families_come_sorted_and_once);
    tcase_add_loop_test(tcase, the_ttl_is_the_shortest_of_the_chain_within_bounds, 0,
                        sizeof(ttls) / sizeof(ttls[0]));
    tcase_add_test(tcase, an_answer_is_remembered_for_its_ttl_and_no_longer);
    tcase_add_test(tcase, a_failure_says_why_and_is_remembered_for_a_second);
    tcase_add_loop_test(tcase, what_a_server_says_is_told_as_it_is, 0,
                        sizeof rcode_rows / sizeof rcode_rows[0]);
    tcase_add_test(tcase, a_name_without_addresses_is_a_failure);
    tcase_add_test(tcase, many_who_wait_cost_one_question);
    tcase_add_test(tcase, who_cancelled_is_not_told_and_the_others_are);
    tcase_add_test(tcase, who_is_told_may_ask_again_and_cancel_others);
    tcase_add_test(tcase, freeing_it_drops_the_questions_under_way);
    tcase_add_test(tcase, a_dial_that_has_given_up_is_not_told_of_the_answer);
    tcase_add_test(tcase, the_name_not_used_for_longest_is_forgotten_first);
    tcase_add_test(tcase, names_that_are_waited_for_are_never_forgotten);
    tcase_add_test(tcase, it_leaves_nothing_to_wait_for_when_all_is_answered);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
