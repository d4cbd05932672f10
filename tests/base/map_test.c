#include "base/map.h"

#include "base/list.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

START_TEST(an_empty_map_has_nothing)
{
    struct map m = {0};

    ck_assert_ptr_null(map_get(&m, STR("a")));
    map_release(&m);
}
END_TEST

START_TEST(every_key_has_its_value)
{
    enum { KEYS = 5000 };
    static char keys[KEYS][16];
    struct map m = {0};

    for (int i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        ck_assert(map_add(&m, str_from(keys[i]), keys[i]));
    }
    ck_assert_uint_eq(m.n, KEYS);
    ck_assert_uint_eq(m.cap & (m.cap - 1), 0);
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        ck_assert_ptr_eq(map_get(&m, str_from(key)), keys[i]);
    }
    ck_assert_ptr_null(map_get(&m, STR("k5000")));
    ck_assert_ptr_null(map_get(&m, STR("k")));
    map_release(&m);
    ck_assert_ptr_null(m.slots);
    ck_assert_ptr_null(map_get(&m, STR("k1")));
}
END_TEST

START_TEST(the_first_value_of_a_key_stays)
{
    struct map m = {0};
    int one, two;

    ck_assert(map_add(&m, STR("key"), &one));
    ck_assert(!map_add(&m, STR("key"), &two));
    ck_assert_ptr_eq(map_get(&m, STR("key")), &one);
    ck_assert(map_add(&m, STR("Key"), &two)); /* another key */
    ck_assert_uint_eq(m.n, 2);
    map_release(&m);
}
END_TEST

START_TEST(the_empty_text_is_a_key)
{
    struct map m = {0};
    int value;

    ck_assert_ptr_null(map_get(&m, STR("")));
    ck_assert(map_add(&m, str_of(NULL, 0), &value));
    ck_assert(!map_add(&m, STR(""), &value));
    ck_assert_ptr_eq(map_get(&m, STR("")), &value);
    ck_assert_ptr_eq(map_get(&m, str_of(NULL, 0)), &value);
    map_release(&m);
}
END_TEST

struct item {
    int number;
    struct list link;
};

START_TEST(a_list_keeps_order_and_lets_go_of_any_link)
{
    struct list head;
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    int expected = 0;

    list_init(&head);
    ck_assert(list_empty(&head));
    list_push_back(&head, &items[2].link);
    list_push_back(&head, &items[3].link);
    list_push_front(&head, &items[1].link);
    list_push_front(&head, &items[0].link);
    LIST_FOR_EACH (at, &head)
        ck_assert_int_eq(container_of(at, struct item, link)->number, expected++);
    ck_assert_int_eq(expected, 4);
    LIST_FOR_EACH_SAFE (at, following, &head)
        if (container_of(at, struct item, link)->number % 2)
            list_remove(at);
    list_remove(&items[1].link); /* again */
    ck_assert(head.next == &items[0].link && head.prev == &items[2].link);
    ck_assert(items[0].link.next == &items[2].link && items[2].link.prev == &items[0].link);
    list_remove(&items[0].link);
    list_remove(&items[2].link);
    ck_assert(list_empty(&head));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("map");
    TCase *tc = tcase_create("map and list");
    tcase_add_test(tc, an_empty_map_has_nothing);
    tcase_add_test(tc, every_key_has_its_value);
    tcase_add_test(tc, the_first_value_of_a_key_stays);
    tcase_add_test(tc, the_empty_text_is_a_key);
    tcase_add_test(tc, a_list_keeps_order_and_lets_go_of_any_link);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
