#include <time.h>

#include "loaded.h"
#include "mesh/config_text.h"

static const char *folder; /* of the sources: routes.conf is at its top */

static const char everything[] =
    "service \"check out\" { namespace shop; version 1.4.2; instance i; attribute \"a b\" "
    "\"c\\\"d\"; }\n"
    "inbound { listen :15006 transparent; listen [::1]:8080; x-forwarded off; timeout 30s;\n"
    "  route /x { to 127.0.0.1:3000; timeout none; } route / { respond 200 \"a\\n\\tb \\${\"; } }\n"
    "outbound { listen 127.0.0.1:15002 forward-proxy; unmatched reject;\n"
    "  host a *.b:80 [::1]:90 {\n"
    "    route ~ \"^/v(?<n>\\\\d{1,2});\" { match header x ~ \"a b\"; match header y absent; match "
    "query "
    "z;\n"
    "      to original weight 3; to b; to c.shop:80 weight 0; by header x-user; name \"v n\";\n"
    "      fault delay 1500us jitter 2h for 33.333% when header x = \"first 3\" first 9;\n"
    "      fault abort 404; fault abort grpc 5 first 7; fault reset for 0%; idle-timeout 90s; "
    "timeout 1.5s;\n"
    "      set-header request X-A \"$(header x-b) $$(x\"; add-header response b c;\n"
    "      remove-header request Cookie; rewrite \"/a$(path n)\"; rewrite-host $(header x-h);\n"
    "      attribute k \"\"; match method GET; }\n"
    "    route grpc shop.v1.Users { to b; } route grpc Users/Get { name g; to b; }\n"
    "    route = /{n} { redirect 302 \"/$(query a)\"; } } }\n"
    "cluster b { endpoint b.shop:80 weight 7; endpoint unix:/run/b; balance least-request;\n"
    "  protocol h2; connect-timeout 250ms; pool max 3 queue 70ms idle 1s idle-max 0 requests 9; }\n"
    "trace { export otlp grpcs://collector { compression gzip; header authorization \"Bearer 1\";\n"
    "  timeout 2s; ca ca.pem; certificate a.pem; key a.key; } export console pretty;\n"
    "  export memory 5; sample parent { root ratio 0.125%; remote-sampled never; "
    "}\n"
    "  propagate baggage tracecontext; batch { queue 99; } redact query a b;\n"
    "  capture request header x; capture response header y z; }\n"
    "limits { body-bytes 1g; connections none; memory 32m; streams 7; stream-window 65535;\n"
    "  connection-window 1g; }\n"
    "timeouts { half-closed 0s; drain-delay 0s; exchange-idle 1h; ping none; ping-timeout 1500ms; "
    "keepalive none; keepalive-timeout 90s; }\n"
    "workers 4; admin off; log level warn; log format json;\n";

/* The text with nothing masked. */
static struct str written(const struct config *c, struct buffer *out)
{
    buffer_init(out, 0);
    config_write(c, false, out);
    return buffer_str(out);
}

static struct config *reloaded(struct config *c)
{
    struct buffer text;

    written(c, &text);
    buffer_add_char(&text, '\0');
    struct config *again = loaded(text.p);
    buffer_release(&text);
    return again;
}

static const char *const texts[] = {
    everything,
    "inbound { listen :8080; }",
    "outbound { listen :8080 transparent; }",
    "inbound { listen :80; } trace { sample never; }",
    "inbound { listen :80; } limits { memory none; }",
    "inbound { listen :80; } trace { sample ratio 10%; export memory; }",
    "inbound { listen :80; route \"/a\\\"b\" { to a:1; } route /{a}/{b*} { to a:1; } }",
};

START_TEST(the_canonical_text_reads_as_the_same_config)
{
    struct config *c = loaded(texts[_i]), *again = reloaded(c);
    struct buffer a, b;

    ck_assert_str_eq(again->hash, c->hash);
    ck_assert(str_eq(written(c, &a), written(again, &b)));
    ck_assert_uint_eq(strlen(c->hash), 16);
    buffer_release(&a);
    buffer_release(&b);
    config_unref(again);
    config_unref(c);
}
END_TEST

START_TEST(layout_comments_and_order_of_blocks_do_not_change_the_hash)
{
    struct config *a = loaded("workers 2; # two\ninbound { listen :80; route /a { to x; } }\n"
                              "cluster x { endpoint x:80; }");
    struct config *b = loaded("cluster x {\n endpoint \"x:80\" weight 1; }\n"
                              "inbound {\n  route /a {\n to x weight 1; }\n timeout none;\n"
                              "  listen :80; }\nworkers 2;");

    ck_assert_str_eq(a->hash, b->hash);
    config_unref(a);
    config_unref(b);
}
END_TEST

static const struct {
    const char *from, *to;
} changes[] = {
    {"workers 4", "workers 5"},
    {"delay 1500us", "delay 1501us"},
    {"33.333%", "33.334%"},
    {"weight 3", "weight 4"},
    {"Bearer 1", "Bearer 2"},
    {"a.key", "b.key"},
    {"remote-sampled never", "remote-sampled always"},
    {"baggage tracecontext", "tracecontext baggage"},
    {"timeout none", "timeout 30s"},
    {"admin off", "admin 127.0.0.1:15000"},
    {"redact query a b", "redact query b a"},
    {"x-forwarded off; ", ""},
    {"route grpc shop.v1.Users", "route /shop.v1.Users/"},
    {"route grpc Users/Get", "route grpc Users"},
    {"abort grpc 5", "abort grpc ALREADY_EXISTS"},
    {"abort grpc 5", "abort 404"},
    {"protocol h2", "protocol h1"},
    {"protocol h2; ", ""},
    {"streams 7", "streams 8"},
    {"stream-window 65535", "stream-window 64k"},
    {"connection-window 1g", "connection-window 64k"},
    {"ping none", "ping 6m"},
    {"ping-timeout 1500ms", "ping-timeout 20s"},
    {"keepalive none", "keepalive 1m"},
    {"keepalive-timeout 90s", "keepalive-timeout 2m"},
};

START_TEST(a_change_of_meaning_changes_the_hash)
{
    const char *at = strstr(everything, changes[_i].from);
    struct buffer text;

    ck_assert_ptr_nonnull(at);
    buffer_init(&text, 0);
    buffer_add(&text, everything, (size_t)(at - everything));
    buffer_add_str(&text, str_from(changes[_i].to));
    buffer_add_str(&text, str_from(at + strlen(changes[_i].from)));
    buffer_add_char(&text, '\0');
    struct config *a = loaded(everything), *b = loaded(text.p);
    ck_assert_str_ne(a->hash, b->hash);
    config_unref(a);
    config_unref(b);
    buffer_release(&text);
}
END_TEST

START_TEST(the_hash_of_a_text_stays_what_it_is)
{
    char hash[17];

    config_hash(STR("workers auto;\n"), hash);
    ck_assert_str_eq(hash, "fb66f7142def91ab");
}
END_TEST

static bool holds(struct str text, const char *part)
{
    return memmem(text.p, text.n, part, strlen(part)) != NULL;
}

START_TEST(the_text_that_is_shown_has_no_secrets)
{
    struct config *c = loaded(everything);
    struct buffer full;

    ck_assert(holds(written(c, &full), "Bearer 1"));
    ck_assert(!holds(c->text, "Bearer"));
    ck_assert(holds(c->text, "header authorization ***;"));
    buffer_release(&full);
    config_unref(c);
}
END_TEST

START_TEST(a_config_lives_until_its_last_reference_goes)
{
    struct config *c = loaded(everything);

    ck_assert_ptr_eq(config_ref(c), c);
    config_unref(c);
    ck_assert_uint_eq(c->n_clusters, 3);
    config_unref(c);
    config_unref(NULL);
}
END_TEST

START_TEST(a_file_is_read_with_its_name_and_what_it_includes)
{
    struct errors errors = {0};
    char path[300];

    snprintf(path, sizeof(path), "%s/tests/mesh/configs/including.conf", folder);
    struct config *c = config_load(path, no_environment, &errors);
    ck_assert_ptr_nonnull(c);
    ck_assert(str_eq(c->path, str_from(path)));
    ck_assert_uint_eq(c->n_files, 4);
    ck_assert(str_eq(c->files[0], str_from(path)));
    ck_assert_uint_eq(c->inbound.n_routes, 2);
    ck_assert(str_ends_nocase(str_from(c->inbound.routes[1]->at.file), STR("b.routes")));
    config_unref(c);
    errors_release(&errors);
}
END_TEST

START_TEST(a_file_that_is_not_there_is_one_error_without_a_line)
{
    struct errors errors = {0};
    struct buffer out;

    ck_assert_ptr_null(config_load("/nowhere/routes.conf", no_environment, &errors));
    buffer_init(&out, 0);
    config_print_errors(&errors, &out);
    buffer_add_char(&out, '\0');
    ck_assert_str_eq(out.p, "/nowhere/routes.conf: cannot be read: No such file or directory\n");
    buffer_release(&out);
    errors_release(&errors);
}
END_TEST

START_TEST(a_file_that_is_too_long_is_not_read)
{
    struct errors errors = {0};
    struct str text = {calloc(1, (16 << 20) + 1), (16 << 20) + 1};

    ck_assert_ptr_null(config_parse("a.conf", text, no_environment, &errors));
    ck_assert_uint_eq(errors.n, 1);
    errors_release(&errors);
    free((void *)(uintptr_t)text.p);
}
END_TEST

START_TEST(the_example_that_ships_loads)
{
    struct errors errors = {0};
    struct buffer out;
    char path[300];

    snprintf(path, sizeof(path), "%s/routes.conf", folder);
    struct config *c = config_load(path, no_environment, &errors);
    buffer_init(&out, 0);
    config_print_errors(&errors, &out);
    ck_assert_msg(c != NULL, "%.*s", STR_ARG(buffer_str(&out)));
    config_warnings(c, SECONDS(1), &errors);
    ck_assert_msg(errors.n == 0, "%s", errors.n ? errors.v[0].text : "");
    struct config *again = reloaded(c);
    ck_assert_str_eq(c->hash, again->hash);
    config_unref(again);
    config_unref(c);
    buffer_release(&out);
    errors_release(&errors);
}
END_TEST

/* A hundred routes take about a millisecond; what grows with the square of their number would
 * need many times as long as the bound, which is wide for slow machines and sanitizers. */
START_TEST(a_file_of_thousands_of_routes_is_read_at_once)
{
    struct buffer text;

    buffer_init(&text, 0);
    buffer_add_str(&text, STR("outbound { listen :80 transparent; host a {\n"));
    for (int i = 0; i < 10000; i++)
        buffer_printf(&text,
                      "route /api/v1/things%d/{id} { match header x-v = %d; to a%d weight 90;\n"
                      "to b weight 10; fault delay 2s for 10%%; timeout 5s; }\n",
                      i, i, i % 100);
    buffer_add_str(&text, STR("} }\ncluster b { endpoint b:80; }\n"));
    for (int i = 0; i < 100; i++)
        buffer_printf(&text, "cluster a%d { endpoint a%d:80; }\n", i, i);
    buffer_add_char(&text, '\0');
    struct timespec began, ended;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &began);
    struct config *c = loaded(text.p);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ended);
    ck_assert_uint_eq(c->outbound.hosts[0]->n_routes, 10000);
    ck_assert_int_lt(ended.tv_sec - began.tv_sec, 10);
    config_unref(c);
    buffer_release(&text);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("config");
    TCase *tc = tcase_create("config");
    SRunner *sr = srunner_create(s);

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return EXIT_FAILURE;
    }
    folder = argv[1];
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, the_canonical_text_reads_as_the_same_config, 0, COUNT(texts));
    tcase_add_test(tc, layout_comments_and_order_of_blocks_do_not_change_the_hash);
    tcase_add_loop_test(tc, a_change_of_meaning_changes_the_hash, 0, COUNT(changes));
    tcase_add_test(tc, the_hash_of_a_text_stays_what_it_is);
    tcase_add_test(tc, the_text_that_is_shown_has_no_secrets);
    tcase_add_test(tc, a_config_lives_until_its_last_reference_goes);
    tcase_add_test(tc, a_file_is_read_with_its_name_and_what_it_includes);
    tcase_add_test(tc, a_file_that_is_not_there_is_one_error_without_a_line);
    tcase_add_test(tc, a_file_that_is_too_long_is_not_read);
    tcase_add_test(tc, the_example_that_ships_loads);
    tcase_add_test(tc, a_file_of_thousands_of_routes_is_read_at_once);
    suite_add_tcase(s, tc);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
