/*
 * Reading a config where memory ends: at each request for it, once.
 */
#include "mesh/must.h"

#include "loaded.h"
#include "mesh/fault_count.h"

static const char *folder;

/* ---- memory that ends ---- */

static size_t left = SIZE_MAX; /* requests that are granted */
static bool once;              /* only one is refused; else all from there on */
static bool refused;

static bool granted(void)
{
    if (left == SIZE_MAX)
        return true;
    if (left > 0) {
        left--;
        return true;
    }
    refused = true;
    if (once)
        left = SIZE_MAX;
    return false;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size)
{
    return granted() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return granted() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t size)
{
    return granted() ? __real_realloc(p, size) : NULL;
}

/* ---- what is read ---- */

static const char *secret_environment(const char *name)
{
    return strcmp(name, "KEY") == 0 ? "hunter2-and-more" : NULL;
}

static const char head[] =
    "service shop { attribute team \"a b\"; }\n"
    "inbound {\n"
    "  listen 127.0.0.1:8080; listen unix:/run/in;\n"
    "  host users.shop *.shop:81 { route / { to 127.0.0.1:3000; } }\n"
    "  host a.b { route /x { to one; } route = /y { to one; } }\n"
    "  route ~ ^/v(?<n>[12])/ { match header x ~ \"^a|b$\"; match method GET PUT; to one; }\n"
    "  route /u/{id} { fault abort 503 for 10% when header x-key = \"${KEY}\" first 10;\n"
    "    fault delay 2s jitter 1s first 3; rewrite \"/w/$(path id)\"; to one weight 3; to two; }\n"
    "  route grpc a.B/C { set-header request x-a \"${KEY}\"; to two; }\n"
    "  route /r { respond 200 \"$(header x)\"; }\n";
static const char tail[] =
    "}\n"
    "outbound { listen 127.0.0.1:8081 transparent; route / { to original; } }\n"
    "cluster one { endpoint 127.0.0.1:1; endpoint [::1]:2 weight 3; endpoint n.shop:80; }\n"
    "cluster two { endpoint unix:/run/two; }\n"
    "trace { export otlp http://127.0.0.1:4318 { header x-api-key ${KEY}; } export memory; }\n";
static const char wrong[] =
    "limits { header-bytes 1; url-bytes 9m; }\n"
    "timeouts { idle 9999999h; nonsense ${KEY}; header ${KEY}; }\n"
    "inbound { listen 127.0.0.1:8080; route /a { to 127.0.0.1:1; } route /a/b { to nobody; }\n"
    "  route /c { set-header x-a=${KEY} b; match header ${KEY}=b; to one by nothing; } }\n";

/* Routes enough for an index, and clusters for the map of them to grow. */
static void write_good(struct buffer *out)
{
    buffer_init(out, 0);
    buffer_add_str(out, str_from(head));
    for (unsigned i = 0; i < 200; i++)
        buffer_printf(out, "route /many/%u/{id}/%u { to 10.0.0.1:%u; }\n", i % 17, i, i + 1);
    for (unsigned i = 0; i < 200; i++)
        buffer_printf(out, "route = /%u { to one; }\n", i);
    buffer_add_str(out, str_from(tail));
}

/* ---- the tests ---- */

/* From here to was_enough() nothing else may ask for memory, the check library neither. */
static void refuse_from(size_t n)
{
    refused = false;
    left = n;
}

static bool was_enough(void)
{
    left = SIZE_MAX;
    return !refused;
}

static struct config *read_good(const struct buffer *text, struct errors *errors)
{
    char path[300];

    if (text)
        return config_parse("routes.conf", buffer_str(text), secret_environment, errors);
    snprintf(path, sizeof path, "%s/tests/mesh/configs/including.conf", folder);
    return config_load(path, no_environment, errors);
}

/* Of text and of files, each with memory that ends once and with memory that ends for good. */
START_TEST(a_config_is_had_whole_or_memory_was_lacking)
{
    struct buffer text;
    size_t n = 0;
    bool enough = false;

    write_good(&text);
    once = _i & 1;
    while (!enough) {
        struct errors errors = {0};
        refuse_from(n++);
        struct config *c = read_good(_i & 2 ? NULL : &text, &errors);
        enough = was_enough();
        ck_assert_msg((c != NULL) == enough, "%zu: %s", n, errors.n ? errors.v[0].text : "");
        ck_assert(errors.no_memory == !enough);
        ck_assert_uint_eq(errors.n, 0);
        config_unref(c);
        errors_release(&errors);
    }
    ck_assert_uint_gt(n, 10);
    buffer_release(&text);
}
END_TEST

START_TEST(mistakes_are_told_whole_or_memory_was_lacking)
{
    size_t n = 0, all = 0;
    bool enough = false;

    once = _i & 1;
    while (!enough) {
        struct errors errors = {0};
        refuse_from(n++);
        struct config *c = config_parse("a.conf", STR(wrong), secret_environment, &errors);
        enough = was_enough();
        ck_assert_ptr_null(c);
        ck_assert(errors.no_memory || errors.n + errors.more > 5);
        for (size_t i = 0; i < errors.n; i++)
            ck_assert_ptr_null(strstr(errors.v[i].text, "hunter2"));
        all = errors.n;
        ck_assert(!enough || !errors.no_memory);
        errors_release(&errors);
    }
    ck_assert_uint_gt(all, 5);
    ck_assert_uint_gt(n, 10);
}
END_TEST

START_TEST(counts_are_kept_or_memory_was_lacking)
{
    struct buffer text;
    struct errors errors = {0};
    size_t n = 0;
    bool enough = false;

    write_good(&text);
    once = _i & 1;
    struct config *old = read_good(&text, &errors);
    ck_assert_msg(old != NULL, "%s", errors.n ? errors.v[0].text : "");
    while (!enough) {
        struct config *c = read_good(&text, &errors);
        refuse_from(n++);
        bool kept = config_keep_counts(c, old);
        enough = was_enough();
        ck_assert(kept == enough);
        config_unref(c);
    }
    config_unref(old);
    buffer_release(&text);
    errors_release(&errors);
}
END_TEST

START_TEST(what_there_was_no_memory_for_is_said)
{
    struct errors errors = {0};
    struct buffer out;

    refuse_from(0);
    struct config *c = read_good(NULL, &errors);
    ck_assert(!was_enough());
    ck_assert_ptr_null(c);
    buffer_init(&out, 0);
    config_print_errors(&errors, &out);
    ASSERT_STR(buffer_str(&out), "not enough memory for the configuration\n");
    buffer_release(&out);
}
END_TEST

int main(int argc, char **argv)
{
    Suite *s = suite_create("must");
    TCase *t = tcase_create("must");

    folder = argc > 1 ? argv[1] : ".";
    tcase_set_timeout(t, 100);
    tcase_add_loop_test(t, a_config_is_had_whole_or_memory_was_lacking, 0, 4);
    tcase_add_loop_test(t, mistakes_are_told_whole_or_memory_was_lacking, 0, 2);
    tcase_add_loop_test(t, counts_are_kept_or_memory_was_lacking, 0, 2);
    tcase_add_test(t, what_there_was_no_memory_for_is_said);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
