#include "base/grpc_status.h"
#include "described.h"
#include "example_span.h"
#include "test_main.h"

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static void describe(const struct span *s, enum semconv names)
{
    describe_as(s, &(struct conventions){.rpc = names});
}

static void example_call(struct span *s, enum span_kind kind)
{
    example_span(s, kind);
    s->grpc = true;
    s->grpc_status = GRPC_NOT_FOUND;
    s->http_version = 20;
    s->text[SPAN_METHOD] = STR("POST");
    s->text[SPAN_PATH] = STR("/shop.v1.Users/Get");
    s->text[SPAN_QUERY] = (struct str){0};
    s->text[SPAN_USER_AGENT] = STR("grpc-go/1.60");
}

/* ---- names ---- */

static const struct name_row {
    enum semconv names;
    const char *path, *key, *want;
} name_rows[] = {
    {SEMCONV_OLD, "/shop.v1.Users/Get", "rpc.system", "grpc"},
    {SEMCONV_OLD, "/shop.v1.Users/Get", "rpc.service", "shop.v1.Users"},
    {SEMCONV_OLD, "/shop.v1.Users/Get", "rpc.method", "Get"},
    {SEMCONV_OLD, "/shop.v1.Users/Get", "rpc.grpc.status_code", "int 5"},
    {SEMCONV_OLD, "/shop.v1.Users/Get", "rpc.system.name", NULL},
    {SEMCONV_OLD, "/shop.v1.Users/Get", "rpc.response.status_code", NULL},
    {SEMCONV_OLD, "/odd", "rpc.service", NULL},
    {SEMCONV_OLD, "/odd", "rpc.method", "odd"},
    {SEMCONV_OLD, "/odd", "rpc.method_original", NULL},

    {SEMCONV_NEW, "/shop.v1.Users/Get", "rpc.system.name", "grpc"},
    {SEMCONV_NEW, "/shop.v1.Users/Get", "rpc.method", "shop.v1.Users/Get"},
    {SEMCONV_NEW, "/shop.v1.Users/Get", "rpc.response.status_code", "NOT_FOUND"},
    {SEMCONV_NEW, "/shop.v1.Users/Get", "rpc.method_original", NULL},
    {SEMCONV_NEW, "/shop.v1.Users/Get", "rpc.system", NULL},
    {SEMCONV_NEW, "/shop.v1.Users/Get", "rpc.service", NULL},
    {SEMCONV_NEW, "/shop.v1.Users/Get", "rpc.grpc.status_code", NULL},
    {SEMCONV_NEW, "/odd", "rpc.method", "_OTHER"},
    {SEMCONV_NEW, "/odd", "rpc.method_original", "odd"},

    /* The one key that both have holds the new meaning. */
    {SEMCONV_BOTH, "/shop.v1.Users/Get", "rpc.system", "grpc"},
    {SEMCONV_BOTH, "/shop.v1.Users/Get", "rpc.system.name", "grpc"},
    {SEMCONV_BOTH, "/shop.v1.Users/Get", "rpc.service", "shop.v1.Users"},
    {SEMCONV_BOTH, "/shop.v1.Users/Get", "rpc.method", "shop.v1.Users/Get"},
    {SEMCONV_BOTH, "/shop.v1.Users/Get", "rpc.grpc.status_code", "int 5"},
    {SEMCONV_BOTH, "/shop.v1.Users/Get", "rpc.response.status_code", "NOT_FOUND"},
    {SEMCONV_BOTH, "/odd", "rpc.method", "_OTHER"},
    {SEMCONV_BOTH, "/odd", "rpc.method_original", "odd"},
};

START_TEST(names_are_those_that_were_opted_in_for)
{
    const struct name_row *row = &name_rows[_i];
    struct span s;

    for (int kind = SPAN_SERVER; kind <= SPAN_CLIENT; kind++) {
        example_call(&s, (enum span_kind)kind);
        s.text[SPAN_PATH] = str_from(row->path);
        describe(&s, row->names);
        check_value(row->key, row->want);
    }
}
END_TEST

START_TEST(a_span_is_called_by_its_method_if_that_can_be_one)
{
    struct span s;

    example_call(&s, SPAN_SERVER);
    for (int names = SEMCONV_OLD; names <= SEMCONV_BOTH; names++) {
        s.text[SPAN_PATH] = STR("/shop.v1.Users/Get");
        describe(&s, (enum semconv)names);
        ck_assert_text(described.name, "shop.v1.Users/Get");
        s.text[SPAN_PATH] = STR("/users/7/../../etc/passwd");
        describe(&s, (enum semconv)names);
        ck_assert_text(described.name, "grpc");
    }
}
END_TEST

/* ---- who, and what of HTTP is left ---- */

static const struct side_row {
    enum span_kind kind;
    const char *key, *want;
} side_rows[] = {
    {SPAN_SERVER, "server.address", "users.shop.local"},
    {SPAN_SERVER, "server.port", "int 8080"},
    {SPAN_SERVER, "network.peer.address", "10.0.0.9"},
    {SPAN_SERVER, "network.peer.port", "int 40000"},
    {SPAN_SERVER, "network.protocol.version", "2"},
    {SPAN_SERVER, "client.address", "10.0.0.9"},
    {SPAN_SERVER, "user_agent.original", "grpc-go/1.60"},
    {SPAN_SERVER, "sidespan.cluster", "users-v1"},
    {SPAN_SERVER, "sidespan.time.head", "0.001 s"},
    {SPAN_CLIENT, "server.address", "users.shop.local"},
    {SPAN_CLIENT, "server.port", "int 8080"},
    {SPAN_CLIENT, "network.peer.address", "10.0.0.9"},
    {SPAN_CLIENT, "network.protocol.version", "2"},
    {SPAN_CLIENT, "client.address", NULL},
    {SPAN_CLIENT, "sidespan.pooled", "bool false"},
};

START_TEST(both_sides_are_told)
{
    const struct side_row *row = &side_rows[_i];
    struct span s;

    example_call(&s, row->kind);
    describe(&s, SEMCONV_OLD);
    check_value(row->key, row->want);
}
END_TEST

START_TEST(the_conventions_of_http_are_not_those_of_calls)
{
    struct span s;

    for (int kind = SPAN_SERVER; kind <= SPAN_CLIENT; kind++) {
        example_call(&s, (enum span_kind)kind);
        describe(&s, SEMCONV_BOTH);
        for (size_t i = 0; i < described.n; i++) {
            ck_assert(!str_starts(described.v[i].key, STR("http.")));
            ck_assert(!str_starts(described.v[i].key, STR("url.")));
        }
    }
}
END_TEST

START_TEST(a_status_of_http_is_told_where_it_is_not_what_every_call_has)
{
    struct span s;

    example_call(&s, SPAN_CLIENT);
    s.grpc_status = -1;
    s.status = 404;
    s.resend_count = 2;
    describe(&s, SEMCONV_BOTH);
    check_value("http.response.status_code", "int 404");
    check_value("http.request.resend_count", "int 2");
    check_value("rpc.response.status_code", "UNIMPLEMENTED");
    check_value("rpc.grpc.status_code", "int 12");
    check_value("error.type", "UNIMPLEMENTED");
    ck_assert_uint_eq(described.status_message.n, 0);
}
END_TEST

START_TEST(without_an_authority_a_client_names_whom_it_called)
{
    struct span s;

    example_call(&s, SPAN_CLIENT);
    s.text[SPAN_AUTHORITY] = (struct str){0};
    describe(&s, SEMCONV_OLD);
    check_value("server.address", "10.0.0.9");
    check_value("server.port", "int 40000");
}
END_TEST

START_TEST(captured_headers_are_metadata)
{
    struct span s;

    example_call(&s, SPAN_SERVER);
    span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, STR("x-id"), STR("a"));
    span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, STR("x-id"), STR("b"));
    span_add_extra(&s, &arena, EXTRA_RESPONSE_HEADER, STR("x-cache"), STR("hit"));
    describe(&s, SEMCONV_OLD);
    check_value("rpc.grpc.request.metadata.x-id", "[a][b]");
    check_value("rpc.grpc.response.metadata.x-cache", "[hit]");
    check_value("rpc.request.metadata.x-id", NULL);
    describe(&s, SEMCONV_NEW);
    check_value("rpc.request.metadata.x-id", "[a][b]");
    check_value("rpc.response.metadata.x-cache", "[hit]");
    check_value("rpc.grpc.request.metadata.x-id", NULL);
    describe(&s, SEMCONV_BOTH);
    check_value("rpc.grpc.request.metadata.x-id", "[a][b]");
    check_value("rpc.request.metadata.x-id", "[a][b]");
}
END_TEST

/* ---- how it ended ---- */

/* Every code, on both sides: rpc_call_test.c has the rule; here is what becomes of it. */
START_TEST(a_status_becomes_the_spans)
{
    struct span s;

    for (int kind = SPAN_SERVER; kind <= SPAN_CLIENT; kind++) {
        example_call(&s, (enum span_kind)kind);
        s.grpc_status = (int16_t)_i;
        describe(&s, SEMCONV_NEW);
        bool failed = kind == SPAN_CLIENT ? _i != 0 : _i == 2 || _i == 4 || (_i >= 12 && _i <= 15);
        const char *name = _i > 16 ? "17" : grpc_status_name((unsigned)_i);
        ck_assert_int_eq(described.status, failed ? STATUS_ERROR : STATUS_UNSET);
        check_value("error.type", failed ? name : NULL);
        check_value("rpc.response.status_code", name);
        ck_assert_uint_eq(described.status_message.n, 0);
    }
}
END_TEST

/* Where the sidecar failed the hop, its word counts. */
static const struct failure_row {
    enum span_kind kind;
    enum span_error error;
    int grpc_status, status;
    enum span_status want;
    const char *type;
    bool explained;
} failure_rows[] = {
    /* It answered for an upstream. */
    {SPAN_CLIENT, SPAN_ERROR_REFUSED, 14, 200, STATUS_ERROR, "connection_refused", true},
    {SPAN_SERVER, SPAN_ERROR_TIMEOUT, 4, 200, STATUS_ERROR, "timeout", true},
    {SPAN_SERVER, SPAN_ERROR_FAULT, 5, 200, STATUS_UNSET, "fault_injected", true},
    {SPAN_CLIENT, SPAN_ERROR_FAULT, 5, 200, STATUS_ERROR, "fault_injected", true},
    /* Nobody could be answered. */
    {SPAN_CLIENT, SPAN_ERROR_STREAM_RESET, -1, 200, STATUS_ERROR, "stream_reset", false},
    {SPAN_SERVER, SPAN_ERROR_CLOSED_EARLY, -1, 0, STATUS_ERROR, "upstream_closed_early", false},
    {SPAN_SERVER, SPAN_ERROR_RESET, 0, 200, STATUS_ERROR, "connection_reset", false},
    /* A bare status of HTTP. */
    {SPAN_CLIENT, SPAN_ERROR_NONE, -1, 503, STATUS_ERROR, "UNAVAILABLE", true},
    {SPAN_SERVER, SPAN_ERROR_NONE, -1, 403, STATUS_UNSET, NULL, true},
    {SPAN_SERVER, SPAN_ERROR_NONE, -1, 200, STATUS_ERROR, "UNKNOWN", true},
    /* The caller gave up, which is no error of this side of it. */
    {SPAN_CLIENT, SPAN_ERROR_CANCELLED, -1, 0, STATUS_UNSET, NULL, true},
    {SPAN_CLIENT, SPAN_ERROR_CANCELLED, -1, 200, STATUS_UNSET, NULL, true},
    {SPAN_SERVER, SPAN_ERROR_CANCELLED, -1, 200, STATUS_UNSET, NULL, true},
    {SPAN_CLIENT, SPAN_ERROR_CANCELLED, 1, 200, STATUS_UNSET, NULL, true},
    /* Its deadline had passed, which is. */
    {SPAN_CLIENT, SPAN_ERROR_CANCELLED, 4, 200, STATUS_ERROR, "DEADLINE_EXCEEDED", true},
    {SPAN_SERVER, SPAN_ERROR_CANCELLED, 4, 200, STATUS_ERROR, "DEADLINE_EXCEEDED", true},
    /* The server says so, which is one of a client's. */
    {SPAN_CLIENT, SPAN_ERROR_NONE, 1, 200, STATUS_ERROR, "CANCELLED", true},
};

START_TEST(a_failed_hop_has_a_word)
{
    const struct failure_row *row = &failure_rows[_i];
    struct span s;

    example_call(&s, row->kind);
    s.error = (uint8_t)row->error;
    s.grpc_status = (int16_t)row->grpc_status;
    s.status = (uint16_t)row->status;
    describe(&s, SEMCONV_OLD);
    ck_assert_int_eq(described.status, row->want);
    check_value("error.type", row->type);
    ck_assert_int_eq(described.status_message.n == 0, row->explained);
}
END_TEST

START_TEST(there_is_room_for_all_that_a_call_can_have)
{
    static char names[SPAN_EXTRAS_MAX][16];
    struct span s;

    example_call(&s, SPAN_SERVER);
    s.text[SPAN_PATH] = STR("/odd");
    s.text[SPAN_FAULT] = s.text[SPAN_RULE] = STR("x");
    s.weight = s.total_weight = s.resend_count = 1;
    s.fault_delay = 1;
    s.invalid_parent = true;
    s.error = SPAN_ERROR_RESET;
    s.grpc_status = 99;
    s.status = 503;
    for (int i = 0; i < PHASE_COUNT; i++)
        s.phase[i] = i + 1;
    for (int i = 0; i < SPAN_EXTRAS_MAX; i++) {
        int n = snprintf(names[i], sizeof(names[i]), "x-%d", i);
        ck_assert(span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, str_of(names[i], (size_t)n),
                                 STR("v")));
    }
    describe(&s, SEMCONV_BOTH);
    check_value("rpc.request.metadata.x-31", "[v]");
    check_value("rpc.response.status_code", "99");
    ck_assert_uint_lt(described.n, ATTRIBUTES_MAX);
}
END_TEST

START_TEST(a_path_of_bytes_that_are_no_characters_is_repaired)
{
    static char path[SPAN_TEXT_BYTES_MAX];
    struct span s;

    memset(path, 0xff, sizeof(path));
    path[0] = '/';
    example_call(&s, SPAN_SERVER);
    s.text[SPAN_PATH] = str_of(path, sizeof(path));
    describe(&s, SEMCONV_BOTH);
    for (size_t i = 0; i < described.n; i++)
        if (str_eq(described.v[i].key, STR("rpc.method_original")))
            ck_assert_uint_eq(described.v[i].value.string.n, 3 * (sizeof(path) - 1));
    check_value("rpc.method", "_OTHER");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conventions_rpc");
    TCase *t = tcase_create("conventions_rpc");

    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, names_are_those_that_were_opted_in_for, 0, COUNT(name_rows));
    tcase_add_test(t, a_span_is_called_by_its_method_if_that_can_be_one);
    tcase_add_loop_test(t, both_sides_are_told, 0, COUNT(side_rows));
    tcase_add_test(t, the_conventions_of_http_are_not_those_of_calls);
    tcase_add_test(t, a_status_of_http_is_told_where_it_is_not_what_every_call_has);
    tcase_add_test(t, without_an_authority_a_client_names_whom_it_called);
    tcase_add_test(t, captured_headers_are_metadata);
    tcase_add_loop_test(t, a_status_becomes_the_spans, 0, 18);
    tcase_add_loop_test(t, a_failed_hop_has_a_word, 0, COUNT(failure_rows));
    tcase_add_test(t, there_is_room_for_all_that_a_call_can_have);
    tcase_add_test(t, a_path_of_bytes_that_are_no_characters_is_repaired);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
