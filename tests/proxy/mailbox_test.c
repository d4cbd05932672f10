#include "proxy/mailbox.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

enum { POSTERS = 3, LETTERS = 2000 };

struct box {
    struct event_base *base;
    struct mailbox *mailbox;
    pthread_t loop;
};

static void stop_loop(void *arg)
{
    event_base_loopbreak(arg);
}

static void *run_loop(void *arg)
{
    struct box *b = arg;

    event_base_dispatch(b->base);
    return NULL;
}

static struct box box_new(void)
{
    struct box b = {.base = event_base_new()};

    b.mailbox = mailbox_new(b.base);
    ck_assert_ptr_nonnull(b.mailbox);
    return b;
}

static void box_run(struct box *b)
{
    ck_assert_int_eq(pthread_create(&b->loop, NULL, run_loop, b), 0);
}

static void box_stop(struct box *b)
{
    mailbox_post(b->mailbox, stop_loop, b->base);
    pthread_join(b->loop, NULL);
    mailbox_free(b->mailbox);
    event_base_free(b->base);
}

struct numbers {
    unsigned last[POSTERS]; /* of the loop's thread */
    unsigned out_of_order, n;
    bool other_thread;
    pthread_t loop;
};

struct poster {
    struct box *box;
    struct numbers *numbers;
    unsigned index;
};

struct letter {
    struct numbers *numbers;
    unsigned poster, number;
};

static void note_number(void *arg)
{
    struct letter *l = arg;
    struct numbers *all = l->numbers;

    if (l->number != all->last[l->poster] + 1)
        all->out_of_order++;
    if (!pthread_equal(pthread_self(), all->loop))
        all->other_thread = true;
    all->last[l->poster] = l->number;
    all->n++;
    free(l);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;

    for (unsigned i = 1; i <= LETTERS; i++) {
        struct letter *l = malloc(sizeof(*l));
        *l = (struct letter){p->numbers, p->index, i};
        mailbox_post(p->box->mailbox, note_number, l);
    }
    return NULL;
}

static void nothing(void *arg)
{
}

START_TEST(letters_of_many_threads_run_on_the_loops_thread_in_the_order_posted)
{
    struct box b = box_new();
    struct numbers numbers = {0};
    pthread_t threads[POSTERS];
    struct poster posters[POSTERS];

    box_run(&b);
    numbers.loop = b.loop;
    for (unsigned i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){&b, &numbers, i};
        pthread_create(&threads[i], NULL, post_all, &posters[i]);
    }
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    mailbox_call(b.mailbox, nothing, NULL); /* after all of them */
    ck_assert_uint_eq(numbers.n, POSTERS * LETTERS);
    ck_assert_uint_eq(numbers.out_of_order, 0);
    ck_assert(!numbers.other_thread);
    box_stop(&b);
}
END_TEST

static void set_flag(void *arg)
{
    *(int *)arg = 1;
}

START_TEST(a_call_has_run_when_it_returns)
{
    struct box b = box_new();

    box_run(&b);
    for (int i = 0; i < 100; i++) {
        int has_run = 0;
        mailbox_call(b.mailbox, set_flag, &has_run);
        ck_assert_int_eq(has_run, 1);
    }
    box_stop(&b);
}
END_TEST

static void post_flag(void *arg)
{
    void **both = arg;

    mailbox_post(both[0], set_flag, both[1]);
}

START_TEST(a_letter_may_post_another)
{
    struct box b = box_new();
    int has_run = 0;
    void *both[] = {b.mailbox, &has_run};

    mailbox_post(b.mailbox, post_flag, both);
    event_base_loop(b.base, EVLOOP_ONCE);
    event_base_loop(b.base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(has_run, 1);
    mailbox_free(b.mailbox);
    event_base_free(b.base);
}
END_TEST

START_TEST(what_was_not_run_is_dropped_with_the_box)
{
    struct box b = box_new();
    int has_run = 0;

    mailbox_post(b.mailbox, set_flag, &has_run);
    mailbox_free(b.mailbox);
    event_base_loop(b.base, EVLOOP_NONBLOCK);
    ck_assert_int_eq(has_run, 0);
    event_base_free(b.base);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mailbox");
    TCase *tcase = tcase_create("mailbox");

    tcase_add_test(tcase, letters_of_many_threads_run_on_the_loops_thread_in_the_order_posted);
    tcase_add_test(tcase, a_call_has_run_when_it_returns);
    tcase_add_test(tcase, a_letter_may_post_another);
    tcase_add_test(tcase, what_was_not_run_is_dropped_with_the_box);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
