#include "mesh/template.h"

#include "given.h"

static struct template *must_read(struct str text)
{
    struct error err = {0};
    struct template *t = template_new(&arena, text, &err);

    ck_assert_msg(t != NULL, "%.*s: %s", STR_ARG(text), err.text);
    return t;
}

/* The request that all are filled in from. */
static struct request request_with(const char *url)
{
    struct request r = given_request("PUT", url, "X-User: ann\nx-user: bob\nUser-Agent: curl");

    ck_assert(trace_id_from_hex(STR("4bf92f3577b34da6a3ce929d0e0e4736"), &r.trace_id));
    ck_assert(address_parse_ip(STR("10.1.2.3"), &r.source));
    r.source.port = 999;
    return r;
}

static const struct {
    const char *text, *result;
} rows[] = {
    {"$(header x-user)", "ann"},
    {"$(header X-USER)!", "ann!"},
    {"$(header user-agent)", "curl"},
    {"$(header none)", ""},
    {"$(path id)", "7"},
    {"<$(path none)>", "<>"},
    {"$(query q)", "a%20b"},
    {"$(query none)", ""},
    {"$(trace-id)", "4bf92f3577b34da6a3ce929d0e0e4736"},
    {"$(source)", "10.1.2.3"},
    {"$(host)", "users.shop"},
    {"$(header host)", ""},
    {"$(method)", "PUT"},
    {"$(request-path)", "/users/7"},
    {"$(request-query)", "?q=a%20b&q=c"},
    {"$(request-uri)", "/users/7?q=a%20b&q=c"},
    {"https://$(host)$(request-uri)", "https://users.shop/users/7?q=a%20b&q=c"},
    {"$(scheme)://$(authority)", "http://users.shop:8080"},
    {"$(host):$(port)", "users.shop:8080"},
    {"/v2/$(path id)/x?u=$(header x-user)&$(query q)", "/v2/7/x?u=ann&a%20b"},
    {"$(method)$(method)", "PUTPUT"},
    {"$( method )", "PUT"},
    {"$(header  x-user )", "ann"},
    {"$$(method)$(method)", "$(method)PUT"},
    {"$$$(method)$(method)", "$$(method)PUT"},
    {"$(method)$$(", "PUT$("},
    {"$$method $(method)", "$$method PUT"},
    {"$(method)$", "PUT$"},
    {"a)b$(method)c)", "a)bPUTc)"},
};

START_TEST(is_filled_in_from_the_request)
{
    struct template *t = must_read(str_from(rows[_i].text));
    struct request r = request_with("users.shop:8080/users/7?q=a%20b&q=c");
    struct path_params params = {.n = 1, .v = {{STR("id"), STR("7")}}};

    ck_assert(!template_is_literal(t));
    ck_assert(str_eq(template_text(t), str_from(rows[_i].text)));
    struct str result = template_expand(t, &r, &params, &arena);
    ck_assert_str_eq(result.p, rows[_i].result);
    ck_assert_uint_eq(result.n, strlen(rows[_i].result));
}
END_TEST

static const struct {
    const char *text, *result;
} literals[] = {
    {"", ""},           {"plain", "plain"}, {"$", "$"},      {"$5 (five)", "$5 (five)"},
    {"$$(x)", "$(x)"},  {"a$$(b", "a$(b"},  {"$$$(", "$$("}, {"$$", "$$"},
    {"$$($$(", "$($("},
};

START_TEST(without_parts_is_a_literal_that_costs_nothing)
{
    struct template *t = must_read(str_from(literals[_i].text));
    struct request r = request_with("a/");
    struct arena full;

    ck_assert(template_is_literal(t));
    ck_assert_str_eq(template_text(t).p, literals[_i].result);
    ck_assert_uint_eq(template_text(t).n, strlen(literals[_i].result));
    arena_init(&full, 0, 1);
    ck_assert_ptr_eq(template_expand(t, &r, NULL, &full).p, template_text(t).p);
    arena_release(&full);
}
END_TEST

static const struct {
    const char *text, *error;
} refused[] = {
    {"$(", "without \")\""},
    {"a$(method", "without \")\""},
    {"$()", "unknown part"},
    {"$(hedaer x)", "did you mean \"header\"?"},
    {"$(traceid)", "did you mean \"trace-id\"?"},
    {"$(nonsense)", "there are header NAME"},
    {"$(header)", "$(header) lacks a name"},
    {"$(path )", "$(path) lacks a name"},
    {"$(method x)", "$(method) takes no name"},
    {"$(header a b)", "one name only"},
};

START_TEST(says_what_is_wrong)
{
    struct error err = {0};

    ck_assert_ptr_null(template_new(&arena, str_from(refused[_i].text), &err));
    ck_assert_msg(strstr(err.text, refused[_i].error) != NULL, "%s", err.text);
}
END_TEST

START_TEST(has_a_bound_of_parts)
{
    struct error err = {0};
    char text[TEMPLATE_PARTS_MAX * 9 + 10];
    size_t n = 0;

    for (int i = 0; i < TEMPLATE_PARTS_MAX; i++, n += 9)
        memcpy(text + n, "$(method)", 9);
    struct request r = request_with("a/");
    ck_assert_uint_eq(template_expand(must_read(str_of(text, n)), &r, NULL, &arena).n,
                      TEMPLATE_PARTS_MAX * 3);
    text[n] = 'x';
    ck_assert_ptr_null(template_new(&arena, str_of(text, n + 1), &err));
    ck_assert_ptr_nonnull(strstr(err.text, "more than 32 parts"));
}
END_TEST

START_TEST(lets_no_line_break_in)
{
    struct request r = request_with("a/");
    struct path_params params = {.n = 1, .v = {{STR("id"), STR("a\r\nb\0\x1f\t\x7f \xff\"")}}};
    struct template *t = must_read(STR("x$(path id)y"));

    ck_assert_str_eq(template_expand(t, &r, &params, &arena).p, "xa%0D%0Ab%00%1F\t%7F \xff\"y");
    ck_assert_str_eq(template_expand_url(t, &r, &params, &arena).p,
                     "xa%0D%0Ab%00%1F%09%7F%20%FF%22y");
}
END_TEST

START_TEST(escapes_in_a_url_what_is_filled_in_and_nothing_else)
{
    struct request r = request_with("a/");
    struct path_params params = {.n = 1, .v = {{STR("id"), STR("a b%20?c&d=#<>^`{|}\\~/.")}}};
    struct template *t = must_read(STR("/{x} #$(path id)"));

    ck_assert_str_eq(template_expand_url(t, &r, &params, &arena).p,
                     "/{x} #a%20b%20?c&d=%23%3C%3E%5E%60%7B%7C%7D%5C~/.");
}
END_TEST

/* {text, path of the request, where it leads} */
static const struct {
    const char *text, *path, *location;
} locations[] = {
    {"$(request-path)/", "/a", "/a/"},
    {"$(request-path)/", "//other.host", "/.//other.host/"},
    {"$(request-uri)", "//other.host", "/.//other.host?q=a%20b&q=c"},
    {"$(path rest)", "/old//other.host", "//other.host"}, /* it may be a whole URL */
    {"/$(path rest)", "/old/other.host", "/.//other.host"},
    {"/new/$(path rest)", "/old/other.host", "/new//other.host"},
    {"//cdn$(request-path)", "/a", "//cdn/a"},
    {"https://$(host)$(request-path)", "//other.host", "https://users.shop//other.host"},
    {"//cdn/", "/a", "//cdn/"},
};

START_TEST(a_location_made_of_a_path_leads_to_no_other_host)
{
    struct request r = request_with("users.shop:8080/?q=a%20b&q=c");
    struct str path = str_from(locations[_i].path);
    struct path_params params = {
        .n = 1, .v = {{STR("rest"), str_slice(path, path.n < 5 ? path.n : 4, path.n)}}};
    struct template *t = must_read(str_from(locations[_i].text));

    r.path = path;
    ck_assert_str_eq(template_expand_location(t, &r, &params, &arena).p, locations[_i].location);
}
END_TEST

START_TEST(knows_its_control_characters_and_path_names)
{
    struct str names[] = {STR_INIT("a"), STR_INIT("b")};
    struct str unknown = template_unknown_path_name(
        must_read(STR("$(path a)$(header z)$(path c)$(path d)")), names, 2);

    ck_assert(str_eq(unknown, STR("c")));
    ck_assert_ptr_null(
        template_unknown_path_name(must_read(STR("$(path a)$(path b)")), names, 2).p);
    ck_assert_ptr_null(template_unknown_path_name(must_read(STR("x")), NULL, 0).p);
    ck_assert(template_has_control(must_read(STR("a\nb"))));
    ck_assert(template_has_control(must_read(STR("a\n$(method)"))));
    ck_assert(!template_has_control(must_read(STR("a b$(method)\xc3\xa9"))));
}
END_TEST

START_TEST(tells_when_the_arena_is_full)
{
    struct request r = request_with("a/");
    struct arena full;

    arena_init(&full, 0, 16);
    ck_assert_ptr_null(template_expand(must_read(STR("$(trace-id)")), &r, NULL, &full).p);
    ck_assert_ptr_nonnull(template_expand(must_read(STR("$(method)")), &r, NULL, &full).p);
    arena_release(&full);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh/template");
    TCase *tc = tcase_create("template");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, is_filled_in_from_the_request, 0, COUNT(rows));
    tcase_add_loop_test(tc, without_parts_is_a_literal_that_costs_nothing, 0, COUNT(literals));
    tcase_add_loop_test(tc, says_what_is_wrong, 0, COUNT(refused));
    tcase_add_test(tc, has_a_bound_of_parts);
    tcase_add_test(tc, lets_no_line_break_in);
    tcase_add_test(tc, escapes_in_a_url_what_is_filled_in_and_nothing_else);
    tcase_add_loop_test(tc, a_location_made_of_a_path_leads_to_no_other_host, 0,
                        (int)(sizeof(locations) / sizeof(locations[0])));
    tcase_add_test(tc, knows_its_control_characters_and_path_names);
    tcase_add_test(tc, tells_when_the_arena_is_full);
    suite_add_tcase(suite, tc);
    return given_run(suite);
}
