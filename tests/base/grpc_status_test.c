#include "base/grpc_status.h"

#include <check.h>
#include <stdlib.h>

#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))

/* grpc/grpc doc/statuscodes.md and google/rpc/code.proto, in their order. */
static const struct {
    const char *name;
    unsigned http;
} codes[] = {
    {"OK", 200},
    {"CANCELLED", 499},
    {"UNKNOWN", 500},
    {"INVALID_ARGUMENT", 400},
    {"DEADLINE_EXCEEDED", 504},
    {"NOT_FOUND", 404},
    {"ALREADY_EXISTS", 409},
    {"PERMISSION_DENIED", 403},
    {"RESOURCE_EXHAUSTED", 429},
    {"FAILED_PRECONDITION", 400},
    {"ABORTED", 409},
    {"OUT_OF_RANGE", 400},
    {"UNIMPLEMENTED", 501},
    {"INTERNAL", 500},
    {"UNAVAILABLE", 503},
    {"DATA_LOSS", 500},
    {"UNAUTHENTICATED", 401},
};

START_TEST(a_code_has_its_name_its_number_and_its_http_status)
{
    unsigned code = 99;

    ck_assert_str_eq(grpc_status_name((unsigned)_i), codes[_i].name);
    ck_assert(grpc_status_named(str_from(codes[_i].name), &code));
    ck_assert_uint_eq(code, (unsigned)_i);
    ck_assert_uint_eq(grpc_status_to_http((unsigned)_i), codes[_i].http);
}
END_TEST

START_TEST(what_is_no_code_has_no_name_and_is_an_internal_error)
{
    ck_assert_ptr_null(grpc_status_name(17));
    ck_assert_ptr_null(grpc_status_name(~0u));
    ck_assert_uint_eq(grpc_status_to_http(17), 500);
    ck_assert_uint_eq(grpc_status_to_http(~0u), 500);
}
END_TEST

static const char *const no_names[] = {"",        "unavailable", "UNAVAILABLE ",
                                       "UNAVAIL", "CANCELED",    "14"};

START_TEST(a_name_is_taken_as_the_specification_writes_it)
{
    unsigned code = 99;

    ck_assert(!grpc_status_named(str_from(no_names[_i]), &code));
    ck_assert_uint_eq(code, 99);
}
END_TEST

/* grpc/grpc doc/http-grpc-status-mapping.md; all the others are UNKNOWN. */
static const struct {
    unsigned http, code;
} of_http[] = {{400, 13}, {401, 16}, {403, 7},  {404, 12}, {429, 14},
               {431, 13}, {502, 14}, {503, 14}, {504, 14}};

START_TEST(an_answer_that_is_not_of_grpc_means_what_the_specification_says)
{
    for (unsigned http = 100; http <= 999; http++) {
        unsigned expected = GRPC_UNKNOWN;
        for (int i = 0; i < COUNT(of_http); i++)
            if (of_http[i].http == http)
                expected = of_http[i].code;
        ck_assert_msg(grpc_status_of_http(http) == expected, "%u", http);
    }
    ck_assert_uint_eq(grpc_status_of_http(0), GRPC_UNKNOWN);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grpc_status");
    TCase *tc = tcase_create("grpc_status");

    tcase_add_loop_test(tc, a_code_has_its_name_its_number_and_its_http_status, 0, COUNT(codes));
    tcase_add_test(tc, what_is_no_code_has_no_name_and_is_an_internal_error);
    tcase_add_loop_test(tc, a_name_is_taken_as_the_specification_writes_it, 0, COUNT(no_names));
    tcase_add_test(tc, an_answer_that_is_not_of_grpc_means_what_the_specification_says);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
