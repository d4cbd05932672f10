/*
 * Against a TLS server of our own on loopback, which echoes.
 */
#include "proxy/tls.h"

#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <signal.h>

#include "test_certificates.h"

enum { YEAR = 365 * 86400 };

struct world {
    struct event_base *base;
    struct certificate ca, other_ca, server, expired, client;
    char *ca_file, *other_ca_file, *client_file, *client_key_file;
    SSL_CTX *context;
    struct evconnlistener *listener;
    struct bufferevent *accepted[8];
    size_t n_accepted;
    struct sockaddr_in at;
};

static struct world world;

static void on_server_read(struct bufferevent *bev, void *arg)
{
    bufferevent_write_buffer(bev, bufferevent_get_input(bev));
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int len, void *arg)
{
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        world.base, fd, SSL_new(world.context), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);

    ck_assert_uint_lt(world.n_accepted, 8);
    world.accepted[world.n_accepted++] = bev;
    bufferevent_setcb(bev, on_server_read, NULL, NULL, NULL);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void set_up(void)
{
    struct world *w = &world;
    socklen_t len = sizeof(w->at);

    signal(SIGPIPE, SIG_IGN);
    *w = (struct world){.base = event_base_new()};
    w->ca = certificate_make("test authority", NULL, NULL, YEAR);
    w->other_ca = certificate_make("other authority", NULL, NULL, YEAR);
    w->server = certificate_make("collector", "DNS:collector.test,DNS:*.mesh.test,IP:127.0.0.1",
                                 &w->ca, YEAR);
    w->expired = certificate_make("collector", "DNS:collector.test", &w->ca, -3600);
    w->client = certificate_make("sidecar", "DNS:sidecar.test", &w->ca, YEAR);
    w->ca_file = pem_file(&w->ca, 0);
    w->other_ca_file = pem_file(&w->other_ca, 0);
    w->client_file = pem_file(&w->client, 0);
    w->client_key_file = pem_file(&w->client, 1);
    w->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    w->listener = evconnlistener_new_bind(w->base, on_accept, NULL,
                                          LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 8,
                                          (struct sockaddr *)&w->at, sizeof(w->at));
    ck_assert_ptr_nonnull(w->listener);
    getsockname(evconnlistener_get_fd(w->listener), (struct sockaddr *)&w->at, &len);
}

static void tear_down(void)
{
    struct world *w = &world;

    for (size_t i = 0; i < w->n_accepted; i++)
        bufferevent_free(w->accepted[i]);
    evconnlistener_free(w->listener);
    event_base_free(w->base);
    SSL_CTX_free(w->context);
    certificate_release(&w->ca);
    certificate_release(&w->other_ca);
    certificate_release(&w->server);
    certificate_release(&w->expired);
    certificate_release(&w->client);
    pem_file_remove(w->ca_file);
    pem_file_remove(w->other_ca_file);
    pem_file_remove(w->client_file);
    pem_file_remove(w->client_key_file);
}

/* ---- a client that says something and hears it back ---- */

struct talk {
    bool connected, over;
    char echo[32];
    char alpn[16];
    char why[200];
};

static void on_client_read(struct bufferevent *bev, void *arg)
{
    struct talk *t = arg;

    t->echo[bufferevent_read(bev, t->echo, sizeof(t->echo) - 1)] = '\0';
    t->over = true;
}

static void on_client_event(struct bufferevent *bev, short what, void *arg)
{
    struct talk *t = arg;

    if (what & BEV_EVENT_CONNECTED) {
        struct str alpn = tls_bufferevent_alpn(bev);
        t->connected = true;
        snprintf(t->alpn, sizeof(t->alpn), "%.*s", STR_ARG(alpn));
        bufferevent_write(bev, "hello", 5);
        return;
    }
    tls_bufferevent_error(bev, t->why, sizeof(t->why));
    t->over = true;
}

static struct talk talk_as(struct tls_client *c)
{
    struct talk t = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(connect(fd, (struct sockaddr *)&world.at, sizeof(world.at)), 0);
    evutil_make_socket_nonblocking(fd);
    struct bufferevent *bev = tls_client_bufferevent(c, world.base, fd);
    ck_assert_ptr_nonnull(bev);
    bufferevent_setcb(bev, on_client_read, NULL, on_client_event, &t);
    bufferevent_enable(bev, EV_READ | EV_WRITE);
    while (!t.over)
        event_base_loop(world.base, EVLOOP_ONCE);
    bufferevent_free(bev);
    tls_client_free(c);
    return t;
}

static struct tls_client *client_of(const char *ca, bool with_certificate, const char *server_name,
                                    const char *alpn)
{
    struct error err = {0};
    struct tls_client *c =
        tls_client_new(str_from(ca), str_from(with_certificate ? world.client_file : NULL),
                       str_from(with_certificate ? world.client_key_file : NULL),
                       str_from(server_name), str_from(alpn), &err);

    ck_assert_msg(c != NULL, "%s", err.text);
    return c;
}

/* ---- who is believed ---- */

static const struct {
    const char *server_name;
    bool other_ca, expired;
    const char *why; /* what the error says; NULL: it is believed */
} peers[] = {
    {"collector.test", false, false, NULL},
    {"COLLECTOR.test", false, false, NULL},
    {"collector.test.", false, false, NULL},
    {"a.mesh.test", false, false, NULL},
    {"127.0.0.1", false, false, NULL},
    {"other.test", false, false, "not for the name in the URL"},
    {"a.b.mesh.test", false, false, "not for the name in the URL"},
    {"127.0.0.2", false, false, "not for the name in the URL"},
    {"::1", false, false, "not for the name in the URL"},
    {"collector", false, false, "not for the name in the URL"},
    {"collector.test", true, false, "`ca` must name the authority"},
    {"collector.test", false, true, "expired"},
};

START_TEST(a_server_is_believed_for_its_own_names_under_its_authority)
{
    world.context = server_context(peers[_i].expired ? &world.expired : &world.server, NULL);
    struct talk t = talk_as(client_of(peers[_i].other_ca ? world.other_ca_file : world.ca_file,
                                      false, peers[_i].server_name, ""));
    if (!peers[_i].why) {
        ck_assert_msg(t.connected, "%s", t.why);
        ck_assert_str_eq(t.echo, "hello");
        ck_assert_str_eq(t.why, "");
    } else {
        ck_assert(!t.connected);
        ck_assert_msg(strstr(t.why, peers[_i].why) != NULL, "%s", t.why);
    }
}
END_TEST

START_TEST(old_versions_are_not_spoken)
{
    world.context = server_context(&world.server, NULL);
    SSL_CTX_set_security_level(world.context, 0);
    SSL_CTX_set_max_proto_version(world.context, TLS1_1_VERSION);
    struct talk t = talk_as(client_of(world.ca_file, false, "collector.test", ""));
    ck_assert(!t.connected);
    ck_assert_str_ne(t.why, "");
}
END_TEST

/* ---- ALPN ---- */

static char h2[] = "h2", http1[] = "http/1.1";
static const struct {
    const char *offered;
    char *server;
    const char *agreed;
} protocols[] = {
    {"h2", h2, "h2"}, {"http/1.1", http1, "http/1.1"}, {"h2", http1, ""}, {"", h2, ""}};

START_TEST(the_protocol_is_agreed_on)
{
    world.context = server_context(&world.server, NULL);
    SSL_CTX_set_alpn_select_cb(world.context, choose_protocol, protocols[_i].server);
    struct talk t =
        talk_as(client_of(world.ca_file, false, "collector.test", protocols[_i].offered));
    ck_assert(t.connected);
    ck_assert_str_eq(t.alpn, protocols[_i].agreed);
}
END_TEST

/* ---- who we are ---- */

START_TEST(a_client_certificate_is_shown_where_one_is_asked_for)
{
    world.context = server_context(&world.server, &world.ca);
    struct talk t = talk_as(client_of(world.ca_file, true, "collector.test", ""));
    ck_assert_str_eq(t.echo, "hello");
}
END_TEST

START_TEST(without_the_client_certificate_the_error_says_so)
{
    world.context = server_context(&world.server, &world.ca);
    struct talk t = talk_as(client_of(world.ca_file, false, "collector.test", ""));
    ck_assert_str_eq(t.echo, "");
    ck_assert_msg(strstr(t.why, "certificate required") != NULL, "%s", t.why);
}
END_TEST

/* ---- files ---- */

START_TEST(files_that_cannot_be_used_are_named)
{
    struct str none = {0}, missing = STR("/nowhere/file.pem"), name = STR("collector.test");
    struct error err = {0};

    ck_assert_ptr_null(tls_client_new(missing, none, none, name, none, &err));
    ck_assert_msg(strstr(err.text, "ca \"/nowhere/file.pem\": No such file") != NULL, "%s",
                  err.text);
    err = (struct error){0};
    ck_assert_ptr_null(tls_client_new(none, missing, missing, name, none, &err));
    ck_assert_msg(strstr(err.text, "certificate \"/nowhere/file.pem\"") != NULL, "%s", err.text);
    err = (struct error){0};
    ck_assert_ptr_null(
        tls_client_new(none, str_from(world.client_file), missing, name, none, &err));
    ck_assert_msg(strstr(err.text, "key \"/nowhere/file.pem\"") != NULL, "%s", err.text);
    err = (struct error){0};
    ck_assert_ptr_null(tls_client_new(none, str_from(world.client_file), none, name, none, &err));
    ck_assert_msg(strstr(err.text, "needs its key") != NULL, "%s", err.text);
}
END_TEST

START_TEST(a_key_of_another_certificate_is_refused)
{
    struct str none = {0};
    struct error err = {0};
    char *other = pem_file(&world.server, 1);

    ck_assert_ptr_null(tls_client_new(none, str_from(world.client_file), str_from(other),
                                      STR("collector.test"), none, &err));
    ck_assert_msg(strstr(err.text, "mismatch") != NULL, "%s", err.text);
    pem_file_remove(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tls");
    TCase *tcase = tcase_create("tls");

    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_server_is_believed_for_its_own_names_under_its_authority, 0,
                        sizeof(peers) / sizeof(peers[0]));
    tcase_add_test(tcase, old_versions_are_not_spoken);
    tcase_add_loop_test(tcase, the_protocol_is_agreed_on, 0,
                        sizeof(protocols) / sizeof(protocols[0]));
    tcase_add_test(tcase, a_client_certificate_is_shown_where_one_is_asked_for);
    tcase_add_test(tcase, without_the_client_certificate_the_error_says_so);
    tcase_add_test(tcase, files_that_cannot_be_used_are_named);
    tcase_add_test(tcase, a_key_of_another_certificate_is_refused);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
