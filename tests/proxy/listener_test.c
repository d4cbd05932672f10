#include "proxy/listener.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/buffer.h"
#include "proxy/admission.h"
#include "stepped_worker.h"

/* ---- a config of only listens ---- */

static struct config *config_of(const char *text)
{
    struct errors errors = {0};
    struct config *c = config_parse("test.conf", str_from(text), NULL, &errors);

    if (!c)
        ck_abort_msg("%s", errors.v[0].text);
    errors_release(&errors);
    return c;
}

static struct listen_sockets *open_sockets(const char *text, const struct listen_sockets *old,
                                           unsigned workers, struct error *err)
{
    struct config *c = config_of(text);
    struct listen_sockets *s = listen_sockets_open(c, old, workers, err);

    config_unref(c);
    return s;
}

static struct listen_sockets *must_open(const char *text, const struct listen_sockets *old,
                                        unsigned workers)
{
    struct error err = {0};
    struct listen_sockets *s = open_sockets(text, old, workers, &err);

    ck_assert_msg(s != NULL, "%s", err.text);
    return s;
}

/* Where a direction's first socket is. */
static struct address where(const struct listen_sockets *s, enum direction_kind direction)
{
    struct buffer b;
    struct address a;
    unsigned port;
    char ip[64];

    buffer_init(&b, 0);
    listen_sockets_describe(s, direction, &b);
    buffer_add_char(&b, '\0');
    ck_assert_int_eq(sscanf(b.p, "%63[^ ,]", ip), 1);
    char *colon = strrchr(ip, ':');
    ck_assert_int_eq(sscanf(colon, ":%u", &port), 1);
    ck_assert(address_parse_ip(str_of(ip, (size_t)(colon - ip)), &a));
    a.port = (uint16_t)port;
    buffer_release(&b);
    return a;
}

/* ---- what was accepted ---- */

static struct {
    int fd[200];
    unsigned n;
    struct address peer;
    enum direction_kind direction;
    enum listen_mode mode;
    uint16_t port;
    unsigned in_a_go, most_in_a_go;
    nsec_t made; /* when the next was connected; the time of the worker is not before it */
    const struct address *makes; /* connects there in the first call; NULL: nowhere */
    int made_fd;
} accepted;

static void on_accepted(struct worker *w, const struct listener *l, int fd,
                        const struct address *peer)
{
    accepted.fd[accepted.n++ % 200] = fd;
    accepted.peer = *peer;
    accepted.direction = l->direction;
    accepted.mode = l->config->mode;
    accepted.port = l->port;
    if (++accepted.in_a_go > accepted.most_in_a_go)
        accepted.most_in_a_go = accepted.in_a_go;
    if (accepted.made)
        ck_assert_int_ge(loop_now(&w->loop), accepted.made);
    if (accepted.makes) {
        usleep(2000);
        accepted.made = clock_monotonic();
        accepted.made_fd = connect_to(accepted.makes);
        accepted.makes = NULL;
    }
}

static void close_accepted(void)
{
    for (unsigned i = 0; i < accepted.n && i < 200; i++)
        close(accepted.fd[i]);
    accepted.n = 0;
}

struct scene {
    struct worker *worker;
    struct listen_sockets *sockets;
    struct listeners *listeners;
};

static struct scene scene_of(const char *text)
{
    struct scene s = {stepped_worker_new(), must_open(text, NULL, 1), NULL};

    memset(&accepted, 0, sizeof(accepted));
    s.listeners = listeners_start(s.worker, s.worker->loop.base, s.sockets, 0, on_accepted);
    ck_assert_ptr_nonnull(s.listeners);
    return s;
}

static void scene_end(struct scene *s)
{
    close_accepted();
    if (s->listeners)
        listeners_stop(s->listeners);
    close_accepted();
    listen_sockets_unref(s->sockets);
    worker_free(s->worker);
}

static struct limits *limits_of(struct scene *s)
{
    return &s->worker->generation->config->limits;
}

static const char *const inbound = "inbound { listen 127.0.0.1:0; }";

/* ---- tests ---- */

START_TEST(accepts_with_the_listeners_facts_and_the_peers_address)
{
    struct scene s = scene_of("inbound { listen 127.0.0.1:0; }"
                              "outbound { listen 127.0.0.1:0 transparent; }");
    struct address at = where(s.sockets, DIRECTION_OUTBOUND);
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    int on = 0;

    int fd = connect_to(&at);
    RUN_UNTIL(s.worker, accepted.n == 1);
    getsockname(fd, (struct sockaddr *)&in, &len);
    ck_assert_uint_eq(accepted.peer.family, AF_INET);
    ck_assert_uint_eq(accepted.peer.port, ntohs(in.sin_port));
    ck_assert_int_eq(accepted.direction, DIRECTION_OUTBOUND);
    ck_assert_int_eq(accepted.mode, LISTEN_TRANSPARENT);
    ck_assert_uint_eq(accepted.port, at.port);
    ck_assert_int_ne(fcntl(accepted.fd[0], F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(accepted.fd[0], F_GETFD) & FD_CLOEXEC, 0);
    len = sizeof(on);
    getsockopt(accepted.fd[0], IPPROTO_TCP, TCP_NODELAY, &on, &len);
    ck_assert_int_ne(on, 0);
    close(fd);
    scene_end(&s);
}
END_TEST

START_TEST(a_port_alone_takes_both_families)
{
    struct scene s = scene_of("inbound { listen :0; }");
    struct address at = where(s.sockets, DIRECTION_INBOUND), v4, v6;

    ck_assert(address_parse_ip(STR("127.0.0.1"), &v4));
    v4.port = at.port;
    int fd = connect_to(&v4);
    RUN_UNTIL(s.worker, accepted.n == 1);
    ck_assert_uint_eq(accepted.peer.family, AF_INET); /* not ::ffff:127.0.0.1 */
    close(fd);
    if (at.family == AF_INET6) {
        ck_assert(address_parse_ip(STR("::1"), &v6));
        v6.port = at.port;
        fd = connect_to(&v6);
        RUN_UNTIL(s.worker, accepted.n == 2);
        ck_assert_uint_eq(accepted.peer.family, AF_INET6);
        close(fd);
    }
    scene_end(&s);
}
END_TEST

START_TEST(a_unix_socket_is_made_replaced_when_stale_and_removed)
{
    char path[100], text[200];
    struct stat st;
    struct error err = {0};

    snprintf(path, sizeof(path), "/tmp/sidespan-listener-test-%d", (int)getpid());
    snprintf(text, sizeof(text), "inbound { listen unix:%s; }", path);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    memcpy(un.sun_path, path, strlen(path) + 1);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(stale, (struct sockaddr *)&un, sizeof(un)), 0);
    close(stale); /* as a process that was killed leaves it */

    struct scene s = scene_of(text);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&un, sizeof(un)), 0);
    RUN_UNTIL(s.worker, accepted.n == 1);
    ck_assert_uint_eq(accepted.peer.family, AF_UNIX);
    ck_assert_str_eq(accepted.peer.path, "");
    ck_assert_ptr_null(open_sockets(text, NULL, 1, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "another program listens there"));
    close(fd);
    scene_end(&s);
    ck_assert_int_ne(lstat(path, &st), 0);
}
END_TEST

static const struct {
    const char *text, *says;
} cannot[] = {
    {"inbound { listen 198.51.100.77:8080; }", "this machine has no such address"},
    {"inbound { listen unix:/nowhere/at/all/socket; }", "there is no such directory"},
    {"inbound { listen 127.0.0.1:0; listen 127.0.0.1:0; }", "listened on twice"},
};

START_TEST(what_cannot_be_listened_on_says_why_and_where)
{
    struct error err = {0};

    ck_assert_ptr_null(open_sockets(cannot[_i].text, NULL, 1, &err));
    ck_assert_ptr_nonnull(strstr(err.text, cannot[_i].says));
    ck_assert_uint_eq(err.at.line, 1);
}
END_TEST

START_TEST(a_port_of_another_program_is_not_shared_even_where_it_would_share)
{
    struct error err = {0};
    struct address at;
    char text[100];
    int on = 1, taken = listen_anywhere(&at, 1);

    setsockopt(taken, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    struct listen_sockets *other = must_open(inbound, NULL, 1);
    uint16_t ports[] = {at.port, where(other, DIRECTION_INBOUND).port};
    for (size_t i = 0; i < 2; i++) {
        snprintf(text, sizeof(text), "inbound { listen 127.0.0.1:%u; }", ports[i]);
        err = (struct error){0};
        ck_assert_ptr_null(open_sockets(text, NULL, 2, &err));
        ck_assert_ptr_nonnull(strstr(err.text, "in use by another program"));
    }
    listen_sockets_unref(other);
    close(taken);
}
END_TEST

START_TEST(each_worker_has_a_socket_of_its_own_on_the_same_port)
{
    struct listen_sockets *sockets = must_open(inbound, NULL, 4);
    struct address at = where(sockets, DIRECTION_INBOUND);
    struct worker *w = stepped_worker_new();
    struct listeners *l[4];
    int fd[100];

    memset(&accepted, 0, sizeof(accepted));
    for (unsigned i = 0; i < 4; i++)
        l[i] = listeners_start(w, w->loop.base, sockets, i, on_accepted);
    for (unsigned i = 0; i < 100; i++)
        fd[i] = connect_to(&at);
    RUN_UNTIL(w, accepted.n == 100);
    for (unsigned i = 0; i < 4; i++)
        listeners_stop(l[i]);
    close_accepted();
    for (unsigned i = 0; i < 100; i++)
        close(fd[i]);
    listen_sockets_unref(sockets);
    worker_free(w);
}
END_TEST

START_TEST(accepts_so_many_in_a_go_that_others_get_their_turn)
{
    struct scene s = scene_of(inbound);
    struct address at = where(s.sockets, DIRECTION_INBOUND);
    int fd[150];

    for (int i = 0; i < 150; i++)
        fd[i] = connect_to(&at);
    while (accepted.n < 150) {
        accepted.in_a_go = 0;
        event_base_loop(s.worker->loop.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    }
    ck_assert_uint_eq(accepted.most_in_a_go, 64);
    for (int i = 0; i < 150; i++)
        close(fd[i]);
    scene_end(&s);
}
END_TEST

START_TEST(one_is_not_accepted_before_it_was_made)
{
    struct scene s = scene_of(inbound);
    struct address at = where(s.sockets, DIRECTION_INBOUND);
    int fd;

    accepted.makes = &at;
    fd = connect_to(&at);
    RUN_UNTIL(s.worker, accepted.n == 2);
    accepted.made = 0;
    close(fd);
    close(accepted.made_fd);
    scene_end(&s);
}
END_TEST

START_TEST(connections_past_the_limit_wait_for_a_place)
{
    struct scene s = scene_of(inbound);
    struct address at = where(s.sockets, DIRECTION_INBOUND);
    int fd[4];

    limits_of(&s)->inbound_connections = 2;
    for (int i = 0; i < 4; i++)
        fd[i] = connect_to(&at);
    for (int i = 0; i < 20; i++)
        worker_step(s.worker);
    ck_assert_uint_eq(accepted.n, 2);
    ck_assert_uint_eq(admission_open(s.worker->admission, DIRECTION_INBOUND), 2);
    admission_give_back(s.worker->admission, DIRECTION_INBOUND); /* on any worker */
    RUN_UNTIL(s.worker, accepted.n == 3);
    for (int i = 0; i < 20; i++)
        worker_step(s.worker);
    ck_assert_uint_eq(accepted.n, 3);
    limits_of(&s)->inbound_connections = 3; /* by a reload */
    listeners_look_again(s.listeners);
    RUN_UNTIL(s.worker, accepted.n == 4);
    ck_assert_uint_eq(admission_open(s.worker->admission, DIRECTION_INBOUND), 3);
    for (int i = 0; i < 4; i++)
        close(fd[i]);
    scene_end(&s);
}
END_TEST

START_TEST(without_descriptors_connections_wait_and_are_accepted_later)
{
    struct scene s = scene_of(inbound);
    struct address at = where(s.sockets, DIRECTION_INBOUND);
    struct rlimit was, none;

    int fd = connect_to(&at);
    getrlimit(RLIMIT_NOFILE, &was);
    none = was;
    none.rlim_cur = (rlim_t)fd; /* the next one would be this, or higher */
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 20; i++)
        worker_step(s.worker);
    ck_assert_uint_eq(accepted.n, 0);
    setrlimit(RLIMIT_NOFILE, &was);
    for (int i = 0; i < 20; i++)
        worker_step(s.worker);
    ck_assert_uint_eq(accepted.n, 0); /* it pauses, so as not to spin */
    RUN_UNTIL(s.worker, accepted.n == 1);
    close(fd);
    scene_end(&s);
}
END_TEST

START_TEST(a_reload_keeps_the_sockets_whose_address_stays)
{
    struct scene s = scene_of("inbound { listen 127.0.0.1:0; listen unix:/tmp/sidespan-l-test; }");
    struct address at = where(s.sockets, DIRECTION_INBOUND);
    struct error err = {0};

    int fd = connect_to(&at); /* waits in the queue over the reload */
    struct listen_sockets *next = open_sockets(
        "inbound { listen 127.0.0.1:0; } outbound { listen 127.0.0.1:0; }", s.sockets, 1, &err);
    ck_assert_ptr_nonnull(next);
    struct address now = where(next, DIRECTION_INBOUND);
    ck_assert(address_eq(&now, &at));
    now = where(next, DIRECTION_OUTBOUND);
    ck_assert(!address_eq(&now, &at));

    struct listeners *old = s.listeners;
    s.listeners = listeners_start(s.worker, s.worker->loop.base, next, 0, on_accepted);
    listeners_stop(old);
    listen_sockets_unref(s.sockets);
    s.sockets = next;
    ck_assert_uint_eq(accepted.n, 0);
    RUN_UNTIL(s.worker, accepted.n == 1);
    close(connect_to(&at));
    RUN_UNTIL(s.worker, accepted.n == 2);
    ck_assert_int_ne(access("/tmp/sidespan-l-test", F_OK), 0); /* this one went */
    close(fd);
    scene_end(&s);
}
END_TEST

START_TEST(a_reload_that_cannot_bind_changes_nothing)
{
    struct scene s = scene_of(inbound);
    struct address at = where(s.sockets, DIRECTION_INBOUND);
    struct error err = {0};

    ck_assert_ptr_null(open_sockets("inbound { listen 127.0.0.1:0; listen 198.51.100.77:1; }",
                                    s.sockets, 1, &err));
    int fd = connect_to(&at);
    RUN_UNTIL(s.worker, accepted.n == 1);
    close(fd);
    scene_end(&s);
}
END_TEST

START_TEST(stopping_accepts_what_waits_and_then_refuses)
{
    struct scene s = scene_of(inbound);
    struct address at = where(s.sockets, DIRECTION_INBOUND);
    struct sockaddr_storage sa;
    socklen_t len;
    int fd[5];

    for (int i = 0; i < 5; i++)
        fd[i] = connect_to(&at);
    listeners_stop(s.listeners);
    s.listeners = NULL;
    ck_assert_uint_eq(accepted.n, 5);
    ck_assert(address_to_sockaddr(&at, &sa, &len));
    int late = socket(AF_INET, SOCK_STREAM, 0); /* though the sockets are still held */
    ck_assert_int_ne(connect(late, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(errno, ECONNREFUSED);
    close(late);
    for (int i = 0; i < 5; i++)
        close(fd[i]);
    scene_end(&s);
}
END_TEST

START_TEST(describes_where_it_listens)
{
    struct listen_sockets *s = must_open("outbound { listen 127.0.0.1:0 transparent;"
                                         " listen 127.0.0.2:0 forward-proxy; }",
                                         NULL, 1);
    struct buffer b;
    unsigned ports[2];
    int end = 0;

    buffer_init(&b, 0);
    listen_sockets_describe(s, DIRECTION_OUTBOUND, &b);
    buffer_add_char(&b, '\0');
    ck_assert_int_eq(sscanf(b.p, "127.0.0.1:%u (transparent), 127.0.0.2:%u (forward-proxy)%n",
                            &ports[0], &ports[1], &end),
                     2);
    ck_assert_int_eq(end, (int)b.n - 1);
    buffer_release(&b);
    listen_sockets_unref(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("listener");
    TCase *t = tcase_create("listener");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, accepts_with_the_listeners_facts_and_the_peers_address);
    tcase_add_test(t, a_port_alone_takes_both_families);
    tcase_add_test(t, a_unix_socket_is_made_replaced_when_stale_and_removed);
    tcase_add_loop_test(t, what_cannot_be_listened_on_says_why_and_where, 0,
                        sizeof(cannot) / sizeof(cannot[0]));
    tcase_add_test(t, a_port_of_another_program_is_not_shared_even_where_it_would_share);
    tcase_add_test(t, each_worker_has_a_socket_of_its_own_on_the_same_port);
    tcase_add_test(t, accepts_so_many_in_a_go_that_others_get_their_turn);
    tcase_add_test(t, one_is_not_accepted_before_it_was_made);
    tcase_add_test(t, connections_past_the_limit_wait_for_a_place);
    tcase_add_test(t, without_descriptors_connections_wait_and_are_accepted_later);
    tcase_add_test(t, a_reload_keeps_the_sockets_whose_address_stays);
    tcase_add_test(t, a_reload_that_cannot_bind_changes_nothing);
    tcase_add_test(t, stopping_accepts_what_waits_and_then_refuses);
    tcase_add_test(t, describes_where_it_listens);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
