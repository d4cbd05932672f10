#include "mesh/config_tree.h"

#include "loaded.h"

static struct config_tree tree;

static const char *environment(const char *name)
{
    return strcmp(name, "TOKEN") == 0 ? "s3cret-token" : NULL;
}

/* The masked text of that configuration. */
static struct config *masked(const char *text)
{
    struct errors errors = {0};
    struct config *c = config_parse("routes.conf", str_from(text), environment, &errors);

    ck_assert_msg(c != NULL, "%s", errors.n ? errors.v[0].text : "");
    errors_release(&errors);
    return c;
}

static const struct statement *find(const struct statement *s, const char *name)
{
    while (s && !str_eq(s->name.text, str_from(name)))
        s = s->next;
    ck_assert_msg(s != NULL, "no %s", name);
    return s;
}

START_TEST(it_has_blocks_and_words_in_the_order_of_the_text)
{
    struct config *c = masked("inbound { listen :80; route /b { to x; } route /a { respond 200; } }"
                              "cluster x { endpoint a:1 weight 3; }");

    ck_assert(config_tree_read(&tree, c->text));
    const struct statement *in = find(tree.first, "inbound"),
                           *cluster = find(tree.first, "cluster");
    const struct statement *route = find(in->block, "route");
    ASSERT_STR(route->args[0].text, "/b");
    ASSERT_STR(find(route->next, "route")->args[0].text, "/a");
    ASSERT_STR(cluster->args[0].text, "x");
    ck_assert_uint_eq(find(cluster->block, "endpoint")->n_args, 3);
    ASSERT_STR(find(cluster->block, "endpoint")->args[2].text, "3");
    ck_assert(find(tree.first, "limits")->has_block);
    ck_assert(!find(tree.first, "workers")->has_block);
    config_tree_release(&tree);
    config_unref(c);
}
END_TEST

/* What may stand in a word, and what stands in place of what is masked. */
static const struct {
    const char *value, *shown;
} values[] = {
    {"plain", "plain"},
    {"\"a \\\"b\\\\ ;{}#\"", "a \"b\\ ;{}#"},
    {"\"line\\n\\ttab\"", "line\n\ttab"},
    {"\"\\${NOT}\"", "${NOT}"},
    {"${TOKEN}", "${TOKEN}"},
    {"\"Bearer ${TOKEN}\"", "Bearer ${TOKEN}"},
    {"\"${TOKEN:-none}\"", "${TOKEN}"},
    /* No variable stands in the word, and it is masked all the same: it is what one is replaced by.
     */
    {"s3cret-token", "${TOKEN}"},
    {"\"say \\\"s3cret-token\\\" \\\\\"", "say \"${TOKEN}\" \\"},
};

START_TEST(words_are_as_they_are_meant_and_masked_as_in_the_text)
{
    char text[300];

    snprintf(text, sizeof(text),
             "inbound { listen :80; route / { respond 200 %s;"
             " set-header response y ${TOKEN}; set-header response authorization secret; } }",
             values[_i].value);
    struct config *c = masked(text);
    ck_assert_msg(config_tree_read(&tree, c->text), "%.*s", STR_ARG(c->text));
    const struct statement *in = find(tree.first, "inbound");
    const struct statement *route = find(in->block, "route");
    const struct word *body = &find(route->block, "respond")->args[1];
    ck_assert_msg(str_eq(body->text, str_from(values[_i].shown)), "%.*s is not %s",
                  STR_ARG(body->text), values[_i].shown);
    const struct statement *set = find(route->block, "set-header");
    ASSERT_STR(set->args[2].text, "${TOKEN}");
    ASSERT_STR(set->next->args[2].text, "***");
    config_tree_release(&tree);
    config_unref(c);
}
END_TEST

/* Text that is shown is longer than the file, which has a bound. */
START_TEST(a_large_one_is_read_too)
{
    struct buffer text;

    buffer_init(&text, 0);
    buffer_printf(&text, "inbound { listen :80; route / { respond 200; } }\n");
    while (text.n < SOURCE_BYTES_MAX)
        buffer_printf(&text, "attribute \"%0512d\";\n", 0);
    buffer_printf(&text, "last;\n");
    ck_assert(config_tree_read(&tree, buffer_str(&text)));
    find(tree.first, "last");
    config_tree_release(&tree);
    buffer_release(&text);
}
END_TEST

START_TEST(what_is_not_in_the_language_is_no_tree)
{
    ck_assert(!config_tree_read(&tree, STR("inbound { listen")));
    config_tree_release(&tree);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_tree");
    TCase *t = tcase_create("config_tree");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, it_has_blocks_and_words_in_the_order_of_the_text);
    tcase_add_loop_test(t, words_are_as_they_are_meant_and_masked_as_in_the_text, 0, COUNT(values));
    tcase_add_test(t, a_large_one_is_read_too);
    tcase_add_test(t, what_is_not_in_the_language_is_no_tree);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
