#include "proxy/upstream_login.h"

#include <check.h>
#include <stdlib.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct {
    const char *request, *sent; /* a field of the request, NULL: none */
    unsigned status;
    const char *response, *value; /* and of the response */
    bool login;
} rows[] = {
    {NULL, NULL, 401, "WWW-Authenticate", "NTLM", true},
    {NULL, NULL, 401, "WWW-Authenticate", "Negotiate", true},
    {NULL, NULL, 401, "www-authenticate", "nEGOTIATE abc==", true},
    {NULL, NULL, 401, "WWW-Authenticate", "Kerberos\tx", true},
    {NULL, NULL, 401, "WWW-Authenticate", "Basic realm=\"x\", NTLM", true},
    {NULL, NULL, 401, "WWW-Authenticate", ", ,Negotiate ,Basic realm=x", true},
    {NULL, NULL, 407, "Proxy-Authenticate", "NTLM", true},
    {"Authorization", "Negotiate abc", 200, NULL, NULL, true},
    {"Authorization", "Negotiate abc", 500, NULL, NULL, true},
    {"AUTHORIZATION", "ntlm abc", 304, NULL, NULL, true},
    {"Proxy-Authorization", "Kerberos abc", 200, NULL, NULL, true},
    {NULL, NULL, 401, "WWW-Authenticate", "Basic realm=\"NTLM\"", false},
    {NULL, NULL, 401, "WWW-Authenticate", "NTLMv3", false},
    {NULL, NULL, 401, "WWW-Authenticate", "", false},
    {NULL, NULL, 401, "Proxy-Authenticate", "NTLM", false}, /* that goes with 407 */
    {NULL, NULL, 200, "WWW-Authenticate", "NTLM", false},
    {"Authorization", "Bearer Negotiate", 200, NULL, NULL, false},
    {"Authorization", "", 200, NULL, NULL, false},
    {NULL, NULL, 200, NULL, NULL, false},
};

START_TEST(a_login_is_told_by_the_scheme_alone)
{
    struct headers request = {0}, response = {0};
    struct arena arena;

    arena_init(&arena, 4096, 0);
    if (rows[_i].request)
        headers_add(&request, &arena, str_from(rows[_i].request), str_from(rows[_i].sent));
    if (rows[_i].response)
        headers_add(&response, &arena, str_from(rows[_i].response), str_from(rows[_i].value));
    ck_assert_msg(login_passes(&request, rows[_i].status, &response) == rows[_i].login, "row %d",
                  _i);
    arena_release(&arena);
}
END_TEST

START_TEST(whoever_holds_logins_last_frees_them)
{
    struct logins *l = logins_new();

    ck_assert_ptr_nonnull(l);
    logins_ref(l);
    logins_end(l); /* the client's reference */
    logins_unref(l);
    logins_end(NULL);
    logins_unref(NULL);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("upstream_login");
    Suite *s = suite_create("upstream_login");
    SRunner *r;

    tcase_add_loop_test(t, a_login_is_told_by_the_scheme_alone, 0, COUNT(rows));
    tcase_add_test(t, whoever_holds_logins_last_frees_them);
    suite_add_tcase(s, t);
    r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
