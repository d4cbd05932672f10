#include "otlp/rpc_call.h"

#include "base/grpc_status.h"
#include "test_main.h"

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

static const struct path_row {
    const char *path, *service, *name; /* service NULL: it is no method */
} path_rows[] = {
    {"/grpc.testing.TestService/EmptyCall", "grpc.testing.TestService", "EmptyCall"},
    {"/S/m", "S", "m"},
    {"/a_1.B2/C_3", "a_1.B2", "C_3"},
    {"", NULL, NULL},
    {"/", NULL, NULL},
    {"S/m", NULL, NULL},
    {"/S", NULL, NULL},
    {"/S/", NULL, NULL},
    {"//m", NULL, NULL},
    {"/a/S/m", NULL, NULL},
    {"/S/m/", NULL, NULL},
    {"/S/m n", NULL, NULL},
    {"/S-1/m", NULL, NULL},
    {"/S/m%20", NULL, NULL},
    {"/S/\xc3\xbc", NULL, NULL},
    {"*", NULL, NULL},
};

START_TEST(a_method_is_two_words)
{
    const struct path_row *row = &path_rows[_i];
    struct rpc_method m;

    ck_assert_msg(rpc_method_parse(str_from(row->path), &m) == (row->service != NULL), "%s",
                  row->path);
    if (row->service) {
        ck_assert_text(m.service, row->service);
        ck_assert_text(m.name, row->name);
    }
    ck_assert_text(m.full, row->path[0] == '/' ? row->path + 1 : row->path);
}
END_TEST

START_TEST(a_method_is_of_bounded_length)
{
    char path[RPC_METHOD_BYTES_MAX + 2];
    struct rpc_method m;

    memset(path, 'a', sizeof path);
    path[0] = path[8] = '/';
    ck_assert(rpc_method_parse(str_of(path, RPC_METHOD_BYTES_MAX + 1), &m));
    ck_assert(!rpc_method_parse(str_of(path, RPC_METHOD_BYTES_MAX + 2), &m));
    ck_assert(!rpc_method_parse((struct str){0}, &m));
}
END_TEST

/* Who says how it ended: grpc-status, else the HTTP status, else what the hop failed by. */
static const struct status_row {
    int grpc_status;
    unsigned status;
    enum span_error error;
    unsigned code;
} status_rows[] = {
    {0, 200, SPAN_ERROR_NONE, GRPC_OK},
    {5, 200, SPAN_ERROR_NONE, GRPC_NOT_FOUND},
    {14, 200, SPAN_ERROR_REFUSED, GRPC_UNAVAILABLE},
    {0, 503, SPAN_ERROR_NONE, GRPC_OK},
    {99, 200, SPAN_ERROR_NONE, 99},
    {-1, 200, SPAN_ERROR_NONE, GRPC_UNKNOWN},
    {-1, 204, SPAN_ERROR_NONE, GRPC_UNKNOWN},
    {-1, 400, SPAN_ERROR_NONE, GRPC_INTERNAL},
    {-1, 401, SPAN_ERROR_NONE, GRPC_UNAUTHENTICATED},
    {-1, 403, SPAN_ERROR_NONE, GRPC_PERMISSION_DENIED},
    {-1, 404, SPAN_ERROR_NONE, GRPC_UNIMPLEMENTED},
    {-1, 429, SPAN_ERROR_NONE, GRPC_UNAVAILABLE},
    {-1, 431, SPAN_ERROR_NONE, GRPC_INTERNAL},
    {-1, 500, SPAN_ERROR_NONE, GRPC_UNKNOWN},
    {-1, 502, SPAN_ERROR_NONE, GRPC_UNAVAILABLE},
    {-1, 503, SPAN_ERROR_OVERLOAD, GRPC_UNAVAILABLE},
    {-1, 404, SPAN_ERROR_FAULT, GRPC_UNIMPLEMENTED},
    {-1, 0, SPAN_ERROR_NONE, GRPC_UNKNOWN},
    {-1, 0, SPAN_ERROR_TIMEOUT, GRPC_DEADLINE_EXCEEDED},
    {-1, 0, SPAN_ERROR_CANCELLED, GRPC_CANCELLED},
    {-1, 200, SPAN_ERROR_CANCELLED, GRPC_CANCELLED},
    {-1, 0, SPAN_ERROR_HALF_CLOSED, GRPC_DEADLINE_EXCEEDED},
    {-1, 0, SPAN_ERROR_REFUSED, GRPC_UNAVAILABLE},
    {-1, 200, SPAN_ERROR_CLOSED_EARLY, GRPC_UNAVAILABLE},
    {-1, 200, SPAN_ERROR_STREAM_RESET, GRPC_INTERNAL},
    {-1, 0, SPAN_ERROR_PROTOCOL, GRPC_INTERNAL},
};

START_TEST(a_call_ended_as_its_caller_finds_it)
{
    const struct status_row *row = &status_rows[_i];
    struct span s;

    span_init(&s, SPAN_SERVER, SPAN_HTTP);
    s.grpc_status = (int16_t)row->grpc_status;
    s.status = (uint16_t)row->status;
    s.error = (uint8_t)row->error;
    ck_assert_uint_eq(rpc_call_status(&s), row->code);
}
END_TEST

START_TEST(no_failed_hop_is_ok)
{
    struct span s;

    span_init(&s, SPAN_SERVER, SPAN_HTTP);
    for (int e = 0; e < SPAN_ERROR_COUNT; e++) {
        s.error = (uint8_t)e;
        ck_assert_uint_ne(rpc_call_status(&s), GRPC_OK);
    }
}
END_TEST

/* semantic-conventions docs/rpc/grpc.md: of a server, of a client. */
static const struct {
    bool server, client;
} errors[] = {
    [GRPC_OK] = {false, false},
    [GRPC_CANCELLED] = {false, true},
    [GRPC_UNKNOWN] = {true, true},
    [GRPC_INVALID_ARGUMENT] = {false, true},
    [GRPC_DEADLINE_EXCEEDED] = {true, true},
    [GRPC_NOT_FOUND] = {false, true},
    [GRPC_ALREADY_EXISTS] = {false, true},
    [GRPC_PERMISSION_DENIED] = {false, true},
    [GRPC_RESOURCE_EXHAUSTED] = {false, true},
    [GRPC_FAILED_PRECONDITION] = {false, true},
    [GRPC_ABORTED] = {false, true},
    [GRPC_OUT_OF_RANGE] = {false, true},
    [GRPC_UNIMPLEMENTED] = {true, true},
    [GRPC_INTERNAL] = {true, true},
    [GRPC_UNAVAILABLE] = {true, true},
    [GRPC_DATA_LOSS] = {true, true},
    [GRPC_UNAUTHENTICATED] = {false, true},
    [17] = {false, true},
    [32] = {false, true}, /* no bit of a mask comes round */
    [34] = {false, true},
};

START_TEST(a_status_is_an_error_by_kind)
{
    if (_i > 17 && _i != 32 && _i != 34)
        return;
    ck_assert_int_eq(rpc_status_is_error(SPAN_SERVER, (unsigned)_i), errors[_i].server);
    ck_assert_int_eq(rpc_status_is_error(SPAN_CLIENT, (unsigned)_i), errors[_i].client);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rpc_call");
    TCase *t = tcase_create("rpc_call");

    tcase_add_loop_test(t, a_method_is_two_words, 0, COUNT(path_rows));
    tcase_add_test(t, a_method_is_of_bounded_length);
    tcase_add_loop_test(t, a_call_ended_as_its_caller_finds_it, 0, COUNT(status_rows));
    tcase_add_test(t, no_failed_hop_is_ok);
    tcase_add_loop_test(t, a_status_is_an_error_by_kind, 0, COUNT(errors));
    suite_add_tcase(suite, t);
    return test_main(suite);
}
