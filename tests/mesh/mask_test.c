#include "mesh/mask.h"

#include <check.h>

static struct arena arena;
static struct masks masks;

static void setup(void)
{
    arena_init(&arena, 0, 0);
    masks = (struct masks){0};
    mask_add_variable(&masks, &arena, STR("TOKEN"), STR("s3cret-of-mine"));
    mask_add_variable(&masks, &arena, STR("QUOTED"), STR("a \"b\" c"));
    mask_add_variable(&masks, &arena, STR("LONGER"), STR("s3cret-of-mine-too"));
    mask_add_variable(&masks, &arena, STR("SHORT"), STR("abc"));
    mask_add_word(&masks, &arena, STR("Bearer s3cret-of-mine"), STR("\"Bearer ${TOKEN}\""));
    mask_add_word(&masks, &arena, STR("abc"), STR("${SHORT}"));
}

static void teardown(void)
{
    arena_release(&arena);
}

static const struct {
    const char *text, *shown;
} rows[] = {
    {"nothing of it", "nothing of it"},
    {"s3cret-of-mine", "${TOKEN}"},
    {"x s3cret-of-mines3cret-of-mine", "x ${TOKEN}${TOKEN}"},
    {"the longest, s3cret-of-mine-too", "the longest, ${LONGER}"},
    {"\"a \\\"b\\\" c\"", "\"${QUOTED}\""}, /* as it stands in quotes */
    {"unknown value \"s3cret-of...\"", "unknown value \"${TOKEN}...\""}, /* cut for a message */
    {"s3cret-of", "s3cret-of"},
    {"abc is too short to be looked for", "abc is too short to be looked for"},
    {"", ""},
};

START_TEST(variables_stand_in_the_place_of_their_values)
{
    struct buffer out;

    buffer_init(&out, 0);
    mask_write(&masks, str_from(rows[_i].text), &out);
    buffer_add_char(&out, '\0');
    ck_assert_str_eq(out.p, rows[_i].shown);
    buffer_release(&out);
}
END_TEST

/* {the word that a message is about, the message, what is told of it} */
static const struct {
    const char *word, *text, *shown;
} part_rows[] = {
    {"Bearer s3cret-of-mine", "write user:s3cret-of-mine@host:80",
     "write user:${TOKEN}@host:80"}, /* of a word that the file has as it is, the rest is shown */
    {"Bearer s3cret-of-mine", "\"s3cret\" is no unit, \"mine\" neither",
     "\"${TOKEN}\" is no unit, \"${TOKEN}\" neither"},
    {"Bearer s3cret-of-mine", "write: s3cret of", "write: ${TOKEN} of"},
    {"Bearer s3cret-of-mine", "xs3cret s3cretx",
     "xs3cret s3cretx"},                                  /* words of the message itself */
    {"s3cret-of-mine", "write: s3cret", "write: s3cret"}, /* the file itself has this word */
    {"another", "write: s3cret", "write: s3cret"},
    {"", "", ""},
};

START_TEST(parts_of_a_value_are_not_told_of_the_word_that_has_it)
{
    struct buffer out;

    buffer_init(&out, 0);
    mask_write_of_word(&masks, str_from(part_rows[_i].word), str_from(part_rows[_i].text), &out);
    buffer_add_char(&out, '\0');
    ck_assert_str_eq(out.p, part_rows[_i].shown);
    buffer_release(&out);
}
END_TEST

START_TEST(a_whole_word_is_as_the_file_has_it)
{
    ck_assert(str_eq(mask_word(&masks, STR("Bearer s3cret-of-mine")), STR("\"Bearer ${TOKEN}\"")));
    ck_assert(str_eq(mask_word(&masks, STR("abc")), STR("${SHORT}")));
    ck_assert_ptr_null(mask_word(&masks, STR("s3cret-of-mine")).p);
}
END_TEST

START_TEST(names_of_fields_that_are_secret)
{
    ck_assert(mask_is_secret_header(STR("Authorization")));
    ck_assert(mask_is_secret_header(STR("proxy-authorization")));
    ck_assert(mask_is_secret_header(STR("X-API-Key")));
    ck_assert(mask_is_secret_header(STR("set-cookie")));
    ck_assert(mask_is_secret_header(STR("x-my-token-2")));
    ck_assert(!mask_is_secret_header(STR("x-canary")));
    ck_assert(!mask_is_secret_header(STR("")));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mask");
    TCase *t = tcase_create("mask");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, variables_stand_in_the_place_of_their_values, 0,
                        sizeof(rows) / sizeof(rows[0]));
    tcase_add_loop_test(t, parts_of_a_value_are_not_told_of_the_word_that_has_it, 0,
                        sizeof(part_rows) / sizeof(part_rows[0]));
    tcase_add_test(t, a_whole_word_is_as_the_file_has_it);
    tcase_add_test(t, names_of_fields_that_are_secret);
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
