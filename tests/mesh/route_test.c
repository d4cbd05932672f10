#include "mesh/route.h"

#include <stdio.h>

#include "given.h"

/* ---- hosts ---- */

static struct host *given_host(const char *names)
{
    struct host *host = arena_zalloc(&arena, sizeof(*host));
    struct str rest = str_from(names);

    host->names = arena_array(&arena, 10, sizeof(*host->names));
    while (str_split(&rest, ' ', &host->names[host->n_names]))
        host->n_names++;
    host->at = (struct place){"routes.conf", (unsigned)host->n_names + 10, 1};
    return host;
}

static const struct host_row {
    const char *names[6]; /* each a host */
    const char *authority;
    int host; /* -1: none */
} host_rows[] = {
    {{"a"}, "a", 0},
    {{"a"}, "b", -1},
    {{"a"}, "", -1},
    {{"a"}, "a:80", 0},
    {{"a"}, "a:8080", 0},
    {{"a"}, "a:", 0},
    {{"a"}, "A.", 0},
    {{"A.Shop."}, "a.sHOP", 0},
    {{"a"}, "a:x", -1},
    {{"a"}, "u@a", -1},
    {{"a b"}, "b", 0},
    {{"a", "b"}, "b", 1},
    {{"a:80"}, "a", 0},
    {{"a:80"}, "a:080", 0},
    {{"a:80"}, "a:81", -1},
    {{"a:8080"}, "a", -1},
    {{"a:8080"}, "a:99999", -1},
    {{"a", "a:8080"}, "a:8080", 1},
    {{"a:8080", "a"}, "a:8081", 1},
    {{"*.shop"}, "a.shop", 0},
    {{"*.shop"}, "a.b.SHOP", 0},
    {{"*.shop"}, "shop", -1},
    {{"*.shop"}, ".shop", -1},
    {{"*.shop"}, "ashop", -1},
    {{"*.shop", "*.b.shop"}, "a.b.shop", 1},
    {{"*.shop", "*.b.shop"}, "a.c.shop", 0},
    {{"*.b.shop", "*.shop"}, "b.shop", 1},
    {{"*.shop", "a.shop"}, "a.shop", 1},
    {{"*.shop:81", "a.shop"}, "a.shop:81", 1},
    {{"*.shop", "*.shop:81"}, "a.shop:81", 1},
    {{"*.shop", "*.shop:81"}, "a.shop:82", 0},
    {{"*.shop:81", "*.b.shop"}, "a.b.shop:81", 1},
    {{"*"}, "anything", 0},
    {{"*"}, "", 0},
    {{"*"}, "x:y:z", 0},
    {{"*", "*.shop", "a.shop"}, "x", 0},
    {{"*", "*:81"}, "x:81", 1},
    {{"*", "*:81"}, "x:82", 0},
    {{"*:80"}, "x", 0},
    {{"*:81"}, "x", -1},
    {{"[::1]"}, "[::1]", 0},
    {{"[::1]"}, "[::1]:80", 0},
    {{"[::1]:81"}, "[::1]:81", 0},
    {{"[::1]:81"}, "[::1]:82", -1},
    {{"[FE80::A]"}, "[fe80::a]", 0},
    {{"10.0.0.1"}, "10.0.0.1:3000", 0},
};

static size_t read_hosts(const struct host_row *row, struct host **hosts)
{
    size_t n = 0;

    for (; n < 6 && row->names[n]; n++)
        hosts[n] = given_host(row->names[n]);
    return n;
}

START_TEST(finds_the_host_that_fits_best)
{
    const struct host_row *row = &host_rows[_i];
    struct host *hosts[6];
    struct error err = {0};
    size_t n = read_hosts(row, hosts);
    struct host_table *t = host_table_new(&arena, hosts, n, &err);

    ck_assert_msg(t != NULL, "%s", err.text);
    const struct host *found = host_table_find(t, str_from(row->authority));
    struct str name = host_table_name_for(t, str_from(row->authority));
    if (row->host < 0) {
        ck_assert_ptr_null(found);
        ck_assert_ptr_null(name.p);
    } else {
        ck_assert_ptr_eq(found, hosts[row->host]);
        ck_assert_ptr_nonnull(name.p);
    }
    host_table_release(t);
}
END_TEST

START_TEST(takes_no_host_name_of_absurd_length)
{
    struct error err = {0};
    char name[2000];
    struct host *hosts[] = {given_host("*.x"), given_host("*:81")};
    struct host_table *t = host_table_new(&arena, hosts, 2, &err);

    memset(name, 'a', sizeof(name));
    memcpy(name + sizeof(name) - 5, ".x:81", 5);
    ck_assert_ptr_eq(host_table_find(t, str_of(name, sizeof(name))), hosts[1]);
    ck_assert_ptr_null(host_table_find(t, str_of(name, sizeof(name) - 3)));
    /* 255 bytes are the most a name may have (RFC 1035 section 2.3.4) */
    ck_assert_ptr_eq(host_table_find(t, str_of(name + sizeof(name) - 258, 255)), hosts[0]);
    ck_assert_ptr_null(host_table_find(t, str_of(name + sizeof(name) - 259, 256)));
    host_table_release(t);
}
END_TEST

static const struct {
    struct host_row hosts;
    const char *error;
} host_errors[] = {
    {{{"a", "a"}, 0, 0}, "host name \"a\" stands twice; the first is in line 11"},
    {{{"a", "A."}, 0, 0}, "host name \"A.\" stands twice"},
    {{{"a b a"}, 0, 0}, "\"a\" stands twice"},
    {{{"*", "*"}, 0, 0}, "\"*\" stands twice"},
    {{{"a:80", "a:080"}, 0, 0}, "\"a:080\" stands twice"},
    {{{"*.a", "*.A"}, 0, 0}, "\"*.A\" stands twice"},
    {{{"*a"}, 0, 0}, "\"*a\" is not the name of a host"},
    {{{"*."}, 0, 0}, "is not the name of a host"},
    {{{"a.*"}, 0, 0}, "is not the name of a host"},
    {{{".a"}, 0, 0}, "is not the name of a host"},
    {{{""}, 0, 0}, "is not the name of a host"},
    {{{":80"}, 0, 0}, "is not the name of a host"},
    {{{"a:http"}, 0, 0}, "is not the name of a host"},
    {{{"a:65536"}, 0, 0}, "is not the name of a host"},
    {{{"::1"}, 0, 0}, "is not the name of a host"},
    {{{"http://a"}, 0, 0}, "is not the name of a host"},
    {{{"a/b"}, 0, 0}, "is not the name of a host"},
};

START_TEST(says_which_host_name_is_wrong)
{
    struct host *hosts[6];
    struct error err = {0};
    size_t n = read_hosts(&host_errors[_i].hosts, hosts);

    ck_assert_ptr_null(host_table_new(&arena, hosts, n, &err));
    ck_assert_msg(strstr(err.text, host_errors[_i].error) != NULL, "%s", err.text);
    ck_assert_uint_eq(err.at.line, hosts[n - 1]->at.line);
}
END_TEST

/* ---- match lines ---- */

static const struct {
    const char *rule, *method, *url, *fields;
    bool holds;
} match_rows[] = {
    {"method GET", "GET", "a/", "", true},
    {"method GET", "POST", "a/", "", false},
    {"method GET", "get", "a/", "", false},
    {"method GET POST", "POST", "a/", "", true},
    {"header x-a", "GET", "a/", "X-A: 1", true},
    {"header x-a", "GET", "a/", "x-b: 1", false},
    {"header x-a absent", "GET", "a/", "x-b: 1", true},
    {"header x-a absent", "GET", "a/", "x-A:", false},
    {"header x-a = yes", "GET", "a/", "x-a: yes", true},
    {"header x-a = yes", "GET", "a/", "x-a: Yes", false},
    {"header x-a = yes", "GET", "a/", "x-a: yes, no", false},
    {"header x-a = yes", "GET", "a/", "x-a: no\nx-b: yes\nX-a: yes", true},
    {"header x-a = yes", "GET", "a/", "", false},
    {"header x-a ~ ^v[0-9]$", "GET", "a/", "x-a: v1", true},
    {"header x-a ~ ^v[0-9]$", "GET", "a/", "x-a: x\nx-a: v2", true},
    {"header x-a ~ ^v[0-9]$", "GET", "a/", "x-a: v12", false},
    {"header user-agent ~ curl", "GET", "a/", "User-Agent: curl/8", true},
    {"header user-agent absent", "GET", "a/", "User-Agent: curl/8", false},
    {"query q", "GET", "a/?q", "", true},
    {"query q", "GET", "a/?q=1", "", true},
    {"query q", "GET", "a/?a=1&q=1", "", true},
    {"query q", "GET", "a/", "", false},
    {"query q", "GET", "a/?", "", false},
    {"query q", "GET", "a/?qq=1", "", false},
    {"query q", "GET", "a/?Q=1", "", false},
    {"query q", "GET", "a/?%71=1", "", true},
    {"query q absent", "GET", "a/", "", true},
    {"query q absent", "GET", "a/?q", "", false},
    {"query q absent", "GET", "a/?&&r", "", true},
    {"query q = a b", "GET", "a/?q=a+b", "", true},
    {"query q = a b", "GET", "a/?q=a%20b", "", true},
    {"query q = a+b", "GET", "a/?q=a%2Bb", "", true},
    {"query q = a+b", "GET", "a/?q=a+b", "", false},
    {"query q = 1", "GET", "a/?q=2&q=1", "", true},
    {"query q = 1", "GET", "a/?q=12", "", false},
    {"query q = 12", "GET", "a/?q=1", "", false},
    {"query q = ", "GET", "a/?q", "", true},
    {"query q = ", "GET", "a/?q=", "", true},
    {"query q = ", "GET", "a/?q=x", "", false},
    {"query q = a=b", "GET", "a/?q=a=b", "", true},
    {"query q = %", "GET", "a/?q=%", "", true},
    {"query q = %zz", "GET", "a/?q=%zz", "", true},
    {"query q = %4", "GET", "a/?q=%4", "", true},
    {"query q ~ ^a b$", "GET", "a/?q=a%20b", "", true},
    {"query q ~ ^ab$", "GET", "a/?q=ab", "", true},
    {"query q ~ ^ab$", "GET", "a/?q=abc&q=ab", "", true},
    {"query q ~ ^ab$", "GET", "a/?q=a%20b", "", false},
};

START_TEST(holds_for_the_requests_it_should)
{
    struct match_rule m = given_match(match_rows[_i].rule);
    struct request r =
        given_request(match_rows[_i].method, match_rows[_i].url, match_rows[_i].fields);

    ck_assert_msg((match_rule_holds(&m, &r) == VERDICT_YES) == match_rows[_i].holds, "%s: %s %s",
                  match_rows[_i].rule, match_rows[_i].url, match_rows[_i].fields);
    regex_free(m.regex);
}
END_TEST

START_TEST(decodes_query_values_of_any_length)
{
    struct match_rule m = given_match("query q ~ ^[ab]*$");
    struct request r = given_request("GET", "a/", "");
    enum { BYTES = 20000 };
    char *query = arena_alloc(&arena, BYTES);

    memset(query, 'a', BYTES);
    memcpy(query, "q=%62", 5);
    r.query = str_of(query, BYTES);
    ck_assert_int_eq(match_rule_holds(&m, &r), VERDICT_YES);
    query[BYTES - 1] = 'c';
    ck_assert_int_eq(match_rule_holds(&m, &r), VERDICT_NO);
    regex_free(m.regex);
}
END_TEST

/* Each way a regular expression decides: a route before that takes it anyway, or one that surely
 * does not, leaves it decided. */
START_TEST(does_not_decide_where_an_expression_meets_its_limit)
{
    static const char explodes[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
    struct route *path = given_route("~ ^/(a+)+$"), *rest = given_route("/"), *also;
    struct route *routes[8] = {path, rest};
    struct direction d = {.routes = routes, .n_routes = 2};
    struct route_choice choice;
    char url[100], fields[100], query[100];

    snprintf(url, sizeof(url), "h/%s", explodes);
    snprintf(fields, sizeof(fields), "x: 1\nx: %s", explodes);
    snprintf(query, sizeof(query), "h/b?x=%s", explodes);
    for (int indexed = 0; indexed < 2; indexed++) {
        struct request r = given_request("GET", url, "");
        ck_assert_int_eq(route_find(&d, &r, &choice), ROUTE_UNDECIDED);
        ck_assert_ptr_eq(choice.route, path);
        r = given_request("GET", "h/aaa", "");
        ck_assert_int_eq(route_find(&d, &r, &choice), ROUTE_TAKES);
        ck_assert_ptr_eq(choice.route, path);
        r = given_request("GET", "h/b", "");
        ck_assert_int_eq(route_find(&d, &r, &choice), ROUTE_TAKES);
        ck_assert_ptr_eq(choice.route, rest);
        /* more than a few, so that there is a tree, and its nodes are asked in their own order */
        routes[d.n_routes++] = given_route("/a/{x}");
        routes[d.n_routes++] = given_route("/b");
        routes[d.n_routes++] = given_route("/c/d");
        d.index = route_index_new(&arena, routes, d.n_routes);
    }
    d = (struct direction){.routes = routes, .n_routes = 2};
    routes[0] = also = given_route("/b");
    given_route_match(also, "header x ~ ^(a+)+$");
    struct request r = given_request("GET", "h/b", fields);
    ck_assert_int_eq(route_find(&d, &r, &choice), ROUTE_UNDECIDED);
    given_route_match(also, "method POST"); /* a no decides, wherever it stands */
    ck_assert_int_eq(route_find(&d, &r, &choice), ROUTE_TAKES);
    ck_assert_ptr_eq(choice.route, rest);
    regex_free(also->matches[0].regex);
    routes[0] = also = given_route("/b");
    given_route_match(also, "query x ~ ^(a+)+$");
    r = given_request("GET", query, "");
    ck_assert_int_eq(route_find(&d, &r, &choice), ROUTE_UNDECIDED);
    ck_assert_ptr_eq(choice.route, also);
    regex_free(also->matches[0].regex);
    pattern_release(path->pattern);
}
END_TEST

static const struct {
    const char *given, *wanted;
    bool implies;
} imply_rows[] = {
    {"method GET", "method GET POST", true},
    {"method GET POST", "method GET", false},
    {"header a = 1", "header A", true},
    {"header a = 1", "header a = 1", true},
    {"header a = 1", "header a = 2", false},
    {"header a = 1", "header b", false},
    {"header a = 1", "query a", false},
    {"header a absent", "header a", false},
    {"header a absent", "header a absent", true},
    {"header a", "header a = 1", false},
    {"header a ~ x", "header a ~ x", true},
    {"header a ~ x", "header a ~ y", false},
    {"header a ~ x", "header a", true},
    {"query a = 1", "query a", true},
    {"query a = 1", "query A", false},
};

START_TEST(implies_only_what_is_certain)
{
    struct match_rule given = given_match(imply_rows[_i].given);
    struct match_rule wanted = given_match(imply_rows[_i].wanted);

    ck_assert_msg(match_rule_implies(&given, &wanted) == imply_rows[_i].implies, "%s, %s",
                  imply_rows[_i].given, imply_rows[_i].wanted);
    regex_free(given.regex);
    regex_free(wanted.regex);
}
END_TEST

START_TEST(covers_a_later_route_with_more_conditions)
{
    struct route *all = given_route("/api"), *some = given_route("/api/x");

    ck_assert(route_covers(all, some));
    ck_assert(!route_covers(some, all));
    given_route_match(some, "method GET");
    ck_assert(route_covers(all, some));
    given_route_match(all, "method GET POST");
    ck_assert(route_covers(all, some));
    given_route_match(all, "header a");
    ck_assert(!route_covers(all, some));
    given_route_match(some, "header a = 1");
    ck_assert(route_covers(all, some));
}
END_TEST

START_TEST(a_route_of_grpc_covers_none_that_is_not)
{
    struct route *calls = given_route("/shop.Users/"), *call = given_route("= /shop.Users/Get");
    struct route *plain = given_route("= /shop.Users/Get"), *prefix = given_route("/shop.Users");

    calls->grpc = call->grpc = true;
    ck_assert(route_covers(calls, call));
    ck_assert(!route_covers(call, calls));
    ck_assert(!route_covers(calls, plain));
    ck_assert(!route_covers(call, plain));
    ck_assert(route_covers(plain, call));
    ck_assert(route_covers(prefix, calls));
}
END_TEST

static const struct {
    const char *value;
    bool grpc;
} content_types[] = {
    {"application/grpc", true},
    {"application/grpc+proto", true},
    {"application/grpc;charset=utf-8", true},
    {"Application/GRPC+json", true},
    {"application/grpc-web", false},
    {"application/grpc-web+proto", false},
    {"application/grpcs", false},
    {"application/grp", false},
    {"application/json", false},
    {" application/grpc", false},
    {"", false},
};

START_TEST(a_call_of_grpc_is_known_by_its_content_type)
{
    ck_assert_msg(is_grpc_content_type(str_from(content_types[_i].value)) == content_types[_i].grpc,
                  "%s", content_types[_i].value);
    ck_assert(!is_grpc_content_type(str_of(NULL, 0)));
}
END_TEST

/* ---- routes ---- */

static struct route_choice must_find(const struct direction *d, const char *url, const char *fields)
{
    struct request r = given_request("GET", url, fields);
    struct route_choice choice;

    ck_assert_msg(route_find(d, &r, &choice), "%s", url);
    return choice;
}

START_TEST(asks_the_host_then_the_routes_for_every_host)
{
    struct error err = {0};
    struct host *users = given_host("users"), *any = given_host("*");
    struct route *users_routes[] = {given_route("/api/{id}"), given_route("/api")};
    struct route *any_routes[] = {given_route("/any")};
    struct route *routes[] = {given_route("/api/x"), given_route("/health")};
    struct host *hosts[] = {users, any};
    struct direction d = {.hosts = hosts, .n_hosts = 2, .routes = routes, .n_routes = 2};
    struct request r = given_request("GET", "users/none", "");
    struct route_choice choice;

    users->routes = users_routes;
    users->n_routes = 2;
    any->routes = any_routes;
    any->n_routes = 1;
    d.table = host_table_new(&arena, hosts, 2, &err);
    for (int indexed = 0; indexed < 2; indexed++) {
        choice = must_find(&d, "users/api/x", "");
        ck_assert_ptr_eq(choice.route, users_routes[0]);
        ck_assert_ptr_eq(choice.host, users);
        ck_assert_uint_eq(choice.params.n, 1);
        ck_assert(str_eq(choice.params.v[0].name, STR("id")));
        ck_assert(str_eq(choice.params.v[0].value, STR("x")));
        choice = must_find(&d, "users/api", "");
        ck_assert_ptr_eq(choice.route, users_routes[1]);
        ck_assert_uint_eq(choice.params.n, 0);
        choice = must_find(&d, "users/health", "");
        ck_assert_ptr_eq(choice.route, routes[1]);
        ck_assert_ptr_null(choice.host);
        ck_assert_ptr_eq(must_find(&d, "other/any", "").route, any_routes[0]);
        ck_assert_ptr_eq(must_find(&d, "other/api/x", "").route, routes[0]);
        /* what the best host leaves is not for the next best */
        r = given_request("GET", "users/any", "");
        ck_assert(!route_find(&d, &r, &choice));

        users->index = route_index_new(&arena, users->routes, users->n_routes);
        any->index = route_index_new(&arena, any->routes, any->n_routes);
        d.index = route_index_new(&arena, d.routes, d.n_routes);
        ck_assert(users->index && any->index && d.index);
    }
    host_table_release(d.table);
}
END_TEST

START_TEST(finds_nothing_where_there_is_nothing)
{
    struct direction d = {0};
    struct request r = given_request("GET", "a/", "");
    struct route_choice choice;
    enum verdict verdict;

    ck_assert(!route_find(&d, &r, &choice));
    d.index = route_index_new(&arena, NULL, 0);
    ck_assert_ptr_nonnull(d.index);
    ck_assert(!route_find(&d, &r, &choice));
    ck_assert_ptr_null(route_index_find(d.index, &r, &verdict));
}
END_TEST

static struct route *random_route(void)
{
    static const char *const segments[] = {"a", "b", "c", "dd", "", "{p%d}", "{p%d}", "{r*}"};
    char text[100] = "";
    int n = rand() % 4;

    if (rand() % 12 == 0)
        return given_route(rand() % 2 ? "~ ^/a/.*b$" : "~ c");
    for (int i = 0; i < n || i == 0; i++) {
        char segment[20];
        int pick = rand() % (i + 1 < n ? 7 : 8);
        snprintf(segment, sizeof(segment), n ? segments[pick] : "", i);
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "/%s", segment);
    }
    if (!strchr(text, '{') && rand() % 3 == 0) {
        memmove(text + 2, text, strlen(text) + 1);
        memcpy(text, "= ", 2);
    }
    char *copy = arena_alloc(&arena, sizeof(text));
    memcpy(copy, text, sizeof(text));
    struct route *route = given_route(copy);
    if (rand() % 4 == 0)
        given_route_match(route, rand() % 2 ? "header x = 1" : "method POST");
    route->grpc = rand() % 4 == 0;
    return route;
}

START_TEST(the_index_answers_as_trying_in_turn_does)
{
    static const char *const segments[] = {"a", "b", "c", "dd", "d", ""};
    enum { ROUTES_MAX = 60 };
    struct route *routes[ROUTES_MAX];
    unsigned found = 0, asked = 0;

    srand(11);
    for (int round = 0; round < 150; round++) {
        size_t n = 1 + (size_t)rand() % ROUTES_MAX; /* few ones, too */
        for (size_t i = 0; i < n; i++)
            routes[i] = random_route();
        struct direction plain = {.routes = routes, .n_routes = n}, indexed = plain;
        indexed.index = route_index_new(&arena, routes, n);
        ck_assert_ptr_nonnull(indexed.index);
        for (int i = 0; i < 60; i++, asked++) {
            char url[100] = "h";
            struct route_choice a = {0}, b = {0};
            for (int depth = rand() % 5; depth >= 0; depth--)
                snprintf(url + strlen(url), sizeof(url) - strlen(url), "/%s",
                         segments[rand() % COUNT(segments)]);
            struct request r =
                given_request(rand() % 2 ? "GET" : "POST", url, rand() % 2 ? "x: 1" : "");
            r.grpc = rand() % 2;
            if (rand() % 50 == 0)
                r.path = rand() % 2 ? STR("*") : STR("");
            enum route_found in_turn = route_find(&plain, &r, &a);
            if (route_find(&indexed, &r, &b) != in_turn)
                ck_abort_msg("%s", url);
            if (!in_turn)
                continue;
            found++;
            if (a.route != b.route)
                ck_abort_msg("%s: %.*s, not %.*s", url, STR_ARG(b.route->text),
                             STR_ARG(a.route->text));
        }
        for (size_t i = 0; i < n; i++)
            pattern_release(routes[i]->pattern);
        arena_reset(&arena);
    }
    ck_assert_uint_gt(found, asked / 4);
    ck_assert_uint_lt(found, asked);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh/route");
    TCase *tc = tcase_create("route");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, finds_the_host_that_fits_best, 0, COUNT(host_rows));
    tcase_add_test(tc, takes_no_host_name_of_absurd_length);
    tcase_add_loop_test(tc, says_which_host_name_is_wrong, 0, COUNT(host_errors));
    tcase_add_loop_test(tc, holds_for_the_requests_it_should, 0, COUNT(match_rows));
    tcase_add_test(tc, decodes_query_values_of_any_length);
    tcase_add_test(tc, does_not_decide_where_an_expression_meets_its_limit);
    tcase_add_loop_test(tc, implies_only_what_is_certain, 0, COUNT(imply_rows));
    tcase_add_test(tc, covers_a_later_route_with_more_conditions);
    tcase_add_test(tc, a_route_of_grpc_covers_none_that_is_not);
    tcase_add_loop_test(tc, a_call_of_grpc_is_known_by_its_content_type, 0, COUNT(content_types));
    tcase_add_test(tc, asks_the_host_then_the_routes_for_every_host);
    tcase_add_test(tc, finds_nothing_where_there_is_nothing);
    tcase_add_test(tc, the_index_answers_as_trying_in_turn_does);
    suite_add_tcase(suite, tc);
    return given_run(suite);
}
