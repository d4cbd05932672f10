#include "otlp/batch.h"

#include "example_span.h"
#include "test_main.h"

static struct batch_queue queue;
static struct buffer scratch;
static struct described_span described;
static struct span span;
static size_t span_bytes; /* of the example span, encoded */

static void set_up(void)
{
    struct buffer out;

    buffer_init(&scratch, 0);
    example_span(&span, SPAN_SERVER);
    span_describe(&span, &(struct conventions){0}, &scratch, &described);
    buffer_init(&out, 0);
    ck_assert(encode_span(&span, &described, &out));
    span_bytes = out.n;
    buffer_release(&out);
}

static void tear_down(void)
{
    batch_queue_release(&queue);
    buffer_release(&scratch);
}

static void start(size_t spans, size_t bytes, size_t batch_spans, size_t batch_bytes)
{
    batch_queue_init(&queue, (struct batch_limits){.spans = spans,
                                                   .bytes = bytes,
                                                   .batch_spans = batch_spans,
                                                   .batch_bytes = batch_bytes,
                                                   .room = 100});
}

static enum batch_result add(nsec_t now)
{
    return batch_queue_add(&queue, &span, &described, now);
}

START_TEST(batches_close_when_they_are_full_and_come_out_in_order)
{
    start(100, 1 << 20, 3, 1 << 20);
    ck_assert_ptr_null(batch_queue_head(&queue));
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(add(i), BATCH_TAKEN);
    ck_assert_uint_eq(queue.n_spans, 7);
    ck_assert_uint_eq(queue.n_bytes, 7 * span_bytes);

    ck_assert_int_eq(batch_queue_head(&queue)->opened, 0);
    ck_assert_uint_eq(batch_queue_head(&queue)->bytes.n, 100 + 3 * span_bytes);
    batch_queue_pop(&queue);
    ck_assert_int_eq(batch_queue_head(&queue)->opened, 3);
    batch_queue_pop(&queue);
    ck_assert_ptr_null(batch_queue_head(&queue));
    batch_queue_close(&queue);
    ck_assert_int_eq(batch_queue_head(&queue)->opened, 6);
    ck_assert_uint_eq(batch_queue_head(&queue)->n_spans, 1);
    ck_assert_int_eq(batch_queue_head(&queue)->first_try, -1);
    batch_queue_pop(&queue);
    ck_assert_uint_eq(queue.n_spans, 0);
    ck_assert_uint_eq(queue.n_bytes, 0);
}
END_TEST

START_TEST(an_empty_batch_is_not_closed)
{
    start(100, 1 << 20, 3, 1 << 20);
    batch_queue_close(&queue);
    ck_assert_ptr_null(batch_queue_head(&queue));
}
END_TEST

START_TEST(the_queue_is_bounded_in_spans_and_in_bytes)
{
    if (_i)
        start(5, 1 << 20, 3, 1 << 20);
    else
        start(100, 5 * span_bytes, 3, 1 << 20);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(add(i), BATCH_TAKEN);
    ck_assert(batch_queue_full(&queue));
    ck_assert_int_eq(add(5), BATCH_FULL);
    ck_assert_uint_eq(queue.n_spans, 5);
    batch_queue_pop(&queue);
    ck_assert_int_eq(add(6), BATCH_TAKEN);
}
END_TEST

START_TEST(a_span_that_would_make_a_batch_too_long_begins_the_next)
{
    start(100, 1 << 20, 50, 2 * span_bytes + span_bytes / 2);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(add(i), BATCH_TAKEN);
    ck_assert_uint_eq(queue.n_spans, 5);
    ck_assert_uint_eq(queue.n_bytes, 5 * span_bytes);
    batch_queue_close(&queue);
    static const size_t want[] = {2, 2, 1};
    for (int i = 0; i < 3; i++) {
        const struct batch *b = batch_queue_head(&queue);
        ck_assert_uint_eq(b->n_spans, want[i]);
        ck_assert_uint_eq(b->bytes.n, 100 + want[i] * span_bytes);
        batch_queue_pop(&queue);
    }
    ck_assert_uint_eq(queue.n_spans, 0);
}
END_TEST

START_TEST(a_span_too_long_for_any_batch_is_refused_and_leaves_no_trace)
{
    start(100, 1 << 20, 50, span_bytes - 1);
    ck_assert_int_eq(add(0), BATCH_TOO_LARGE);
    ck_assert_uint_eq(queue.n_spans, 0);
    ck_assert_uint_eq(queue.n_bytes, 0);
    batch_queue_close(&queue);
    ck_assert_ptr_null(batch_queue_head(&queue));
}
END_TEST

START_TEST(batches_that_wait_behind_others_hold_no_slack)
{
    start(100, 1 << 20, 3, 1 << 20);
    for (int i = 0; i < 9; i++)
        add(i);
    batch_queue_pop(&queue); /* the first was to be sent at once */
    while (batch_queue_head(&queue)) {
        const struct batch *b = batch_queue_head(&queue);
        ck_assert_uint_eq(b->bytes.cap, b->bytes.n);
        batch_queue_pop(&queue);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *t = tcase_create("batch");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, batches_close_when_they_are_full_and_come_out_in_order);
    tcase_add_test(t, an_empty_batch_is_not_closed);
    tcase_add_loop_test(t, the_queue_is_bounded_in_spans_and_in_bytes, 0, 2);
    tcase_add_test(t, a_span_that_would_make_a_batch_too_long_begins_the_next);
    tcase_add_test(t, a_span_too_long_for_any_batch_is_refused_and_leaves_no_trace);
    tcase_add_test(t, batches_that_wait_behind_others_hold_no_slack);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
