#include "otlp/span.h"

#include <pthread.h>
#include <stdio.h>

#include "example_span.h"
#include "test_main.h"

static struct arena arena;

static void set_up(void)
{
    arena_init(&arena, 0, 0);
}

static void tear_down(void)
{
    arena_release(&arena);
}

START_TEST(a_new_span_has_come_to_nothing_yet)
{
    struct span s;

    memset(&s, 0xff, sizeof(s));
    span_init(&s, SPAN_CLIENT, SPAN_TCP);
    ck_assert_int_eq(s.kind, SPAN_CLIENT);
    ck_assert_int_eq(s.protocol, SPAN_TCP);
    ck_assert(span_id_is_zero(&s.parent_span_id));
    ck_assert_uint_eq(s.n_extras, 0);
    for (int i = 0; i < PHASE_COUNT; i++)
        ck_assert_int_eq(s.phase[i], -1);
    for (int i = 0; i < SPAN_TEXT_COUNT; i++)
        ck_assert(!s.text[i].p && s.text[i].n == 0);
}
END_TEST

START_TEST(every_error_but_none_has_a_word)
{
    ck_assert_str_eq(span_error_text(SPAN_ERROR_NONE), "");
    for (int i = 1; i < SPAN_ERROR_COUNT; i++)
        ck_assert(span_error_text((enum span_error)i)[0]);
    ck_assert_str_eq(span_error_text(SPAN_ERROR_REFUSED), "connection_refused");
}
END_TEST

START_TEST(an_extra_too_many_is_left_out_and_counted)
{
    struct span s;

    span_init(&s, SPAN_SERVER, SPAN_HTTP);
    for (unsigned i = 0; i < SPAN_EXTRAS_MAX; i++)
        ck_assert(span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, STR("k"), str_of("v", i % 2)));
    for (unsigned i = 0; i < SPAN_EXTRAS_MAX; i++)
        ck_assert_uint_eq(s.extras[i].value.n, i % 2);
    ck_assert(!span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, STR("k"), STR("v")));
    ck_assert(!span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, STR("k"), STR("v")));
    ck_assert_uint_eq(s.n_extras, SPAN_EXTRAS_MAX);
    ck_assert_uint_eq(s.n_dropped_extras, 2);
    s.n_dropped_extras = UINT16_MAX;
    ck_assert(!span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, STR("k"), STR("v")));
    ck_assert_uint_eq(s.n_dropped_extras, UINT16_MAX);
}
END_TEST

START_TEST(an_extra_that_has_no_room_is_left_out_and_counted)
{
    struct arena small;
    struct span s;

    arena_init(&small, 0, 300);
    span_init(&s, SPAN_SERVER, SPAN_HTTP);
    ck_assert_ptr_null(s.extras);
    for (int i = 0; i < 4; i++)
        ck_assert(span_add_extra(&s, &small, EXTRA_ATTRIBUTE, STR("k"), STR("v")));
    ck_assert(!span_add_extra(&s, &small, EXTRA_ATTRIBUTE, STR("k"), STR("v")));
    ck_assert_uint_eq(s.n_extras, 4);
    ck_assert_uint_eq(s.n_dropped_extras, 1);
    arena_release(&small);
}
END_TEST

/* There is one in each exchange, and thousands of streams may be open. */
START_TEST(a_span_is_small)
{
    ck_assert_uint_le(sizeof(struct span), 448);
}
END_TEST

START_TEST(what_is_pushed_is_a_copy_with_all_its_text)
{
    struct ring *ring = ring_new(1 << 16);
    struct span s;
    char value[] = "value";

    example_span(&s, SPAN_SERVER);
    s.text[SPAN_QUERY] = STR("");
    span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, STR("x-one"), str_from(value));
    span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, STR("key"), STR(""));
    ck_assert(span_push(ring, &s));
    value[0] = 'X';

    const struct span *got = span_peek(ring);
    ck_assert_ptr_nonnull(got);
    ck_assert(trace_id_eq(&got->trace_id, &s.trace_id));
    ck_assert_int_eq(got->duration, s.duration);
    ck_assert(address_eq(&got->peer, &s.peer));
    for (int i = 0; i < SPAN_TEXT_COUNT; i++) {
        ck_assert(str_eq(got->text[i], s.text[i]));
        ck_assert(!got->text[i].n || got->text[i].p != s.text[i].p);
    }
    /* An empty text and none are not the same. */
    ck_assert(got->text[SPAN_QUERY].p && got->text[SPAN_QUERY].n == 0);
    ck_assert(!got->text[SPAN_FAULT].p);
    ck_assert_ptr_ne(got->extras, s.extras);
    ck_assert_uint_eq(got->n_extras, 2);
    ck_assert_text(got->extras[0].key, "x-one");
    ck_assert_text(got->extras[0].value, "value");
    ck_assert_int_eq(got->extras[0].kind, EXTRA_REQUEST_HEADER);
    ck_assert_text(got->extras[1].key, "key");
    ring_pop(ring);
    ck_assert_ptr_null(span_peek(ring));
    ring_free(ring);
}
END_TEST

START_TEST(the_path_of_a_unix_socket_is_copied)
{
    struct ring *ring = ring_new(1 << 16);
    struct span s;
    char path[] = "/run/app.sock";

    span_init(&s, SPAN_CLIENT, SPAN_HTTP);
    s.peer = (struct address){.family = AF_UNIX, .path = path};
    ck_assert(span_push(ring, &s));
    path[1] = 'X';
    ck_assert_str_eq(span_peek(ring)->peer.path, "/run/app.sock");
    ring_free(ring);
}
END_TEST

/* A long text is cut at its limit, or before a character that would not be whole. */
static const struct cut_row {
    size_t before; /* ASCII bytes in front of the character */
    const char *character;
    size_t kept;
} cut_rows[] = {
    {SPAN_TEXT_BYTES_MAX - 2, "\xc3\xbc", SPAN_TEXT_BYTES_MAX},
    {SPAN_TEXT_BYTES_MAX - 1, "\xc3\xbc", SPAN_TEXT_BYTES_MAX - 1},
    {SPAN_TEXT_BYTES_MAX - 3, "\xf0\x9f\x98\x80", SPAN_TEXT_BYTES_MAX - 3},
    {SPAN_TEXT_BYTES_MAX - 4, "\xf0\x9f\x98\x80", SPAN_TEXT_BYTES_MAX},
    {SPAN_TEXT_BYTES_MAX, "x", SPAN_TEXT_BYTES_MAX},
    {SPAN_TEXT_BYTES_MAX - 8, "\x80\x80\x80\x80\x80\x80\x80\x80\x80", SPAN_TEXT_BYTES_MAX - 3},
};

START_TEST(a_long_text_is_cut_between_characters)
{
    static char text[SPAN_TEXT_BYTES_MAX + 64];
    const struct cut_row *row = &cut_rows[_i];
    struct ring *ring = ring_new(1 << 16);
    struct span s;

    memset(text, 'a', sizeof(text));
    memcpy(text + row->before, row->character, strlen(row->character));
    span_init(&s, SPAN_SERVER, SPAN_HTTP);
    s.text[SPAN_PATH] = str_of(text, sizeof(text));
    ck_assert(span_push(ring, &s));
    ck_assert_uint_eq(span_peek(ring)->text[SPAN_PATH].n, row->kept);
    ring_free(ring);
}
END_TEST

START_TEST(a_full_ring_refuses_and_what_is_in_it_stays)
{
    struct ring *ring = ring_new(1 << 12);
    struct span s;
    unsigned pushed = 0, popped = 0;

    example_span(&s, SPAN_SERVER);
    while (s.resend_count = (uint16_t)pushed, span_push(ring, &s))
        pushed++;
    ck_assert_uint_gt(pushed, 2);
    for (const struct span *got; (got = span_peek(ring)); ring_pop(ring))
        ck_assert_uint_eq(got->resend_count, popped++);
    ck_assert_uint_eq(popped, pushed);
    ck_assert(span_push(ring, &s));
    ring_free(ring);
}
END_TEST

/* Spans of changing sizes, each with a text that says its number. */
enum { SPANS = 60000 };

static void *push_spans(void *arg)
{
    struct ring *ring = arg;
    char number[32], filler[256];
    struct span s;

    memset(filler, 'f', sizeof(filler));
    for (unsigned i = 0; i < SPANS;) {
        example_span(&s, SPAN_CLIENT);
        int n = snprintf(number, sizeof(number), "/%u", i);
        s.text[SPAN_PATH] = str_of(number, (size_t)n);
        s.text[SPAN_USER_AGENT] = str_of(filler, i % sizeof(filler));
        arena_reset(&arena);
        if (i % 3 == 0)
            span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, STR("number"), str_of(number, (size_t)n));
        if (span_push(ring, &s))
            i++;
        else
            sched_yield();
    }
    return NULL;
}

START_TEST(spans_go_from_thread_to_thread_whole_and_in_order)
{
    struct ring *ring = ring_new(1 << 14);
    pthread_t producer;
    char number[32];

    ck_assert_int_eq(pthread_create(&producer, NULL, push_spans, ring), 0);
    for (unsigned i = 0; i < SPANS;) {
        const struct span *s = span_peek(ring);
        if (!s) {
            sched_yield();
            continue;
        }
        snprintf(number, sizeof(number), "/%u", i);
        ck_assert_text(s->text[SPAN_PATH], number);
        ck_assert_uint_eq(s->text[SPAN_USER_AGENT].n, i % 256);
        ck_assert_uint_eq(s->n_extras, i % 3 == 0);
        if (s->n_extras)
            ck_assert_text(s->extras[0].value, number);
        ring_pop(ring);
        i++;
    }
    pthread_join(producer, NULL);
    ring_free(ring);
}
END_TEST

START_TEST(flags_tell_whether_the_parent_is_remote)
{
    struct span s;

    span_init(&s, SPAN_SERVER, SPAN_HTTP);
    s.flags = 0x03;
    ck_assert_uint_eq(span_otlp_flags(&s), 0x103);
    s.parent_remote = true;
    ck_assert_uint_eq(span_otlp_flags(&s), 0x303);
}
END_TEST

/* Who reads that the sidecar ended it can look the rule up and knows what to do; of a peer there is
 * nothing to look up. */
START_TEST(what_the_sidecar_ends_has_a_rule_and_a_cure)
{
    for (int e = SPAN_ERROR_NONE + 1; e < SPAN_ERROR_COUNT; e++) {
        const struct span_error_row *row = span_error_row((enum span_error)e);
        bool ours = row->by == ENDED_BY_SIDECAR;

        ck_assert_msg((row->rule && row->cure) == ours && (row->rule || row->cure) == ours, "%s",
                      row->name);
        ck_assert(row->by != ENDED_BY_NOBODY && ended_by_text(row->by)[0]);
        ck_assert(row->name[0] && row->what[0] && row->http_status >= 400);
        for (int other = 0; other < e; other++)
            ck_assert_str_ne(row->name, span_error_text((enum span_error)other));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("span");
    TCase *t = tcase_create("span");

    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_new_span_has_come_to_nothing_yet);
    tcase_add_test(t, every_error_but_none_has_a_word);
    tcase_add_test(t, an_extra_too_many_is_left_out_and_counted);
    tcase_add_test(t, an_extra_that_has_no_room_is_left_out_and_counted);
    tcase_add_test(t, a_span_is_small);
    tcase_add_test(t, what_is_pushed_is_a_copy_with_all_its_text);
    tcase_add_test(t, the_path_of_a_unix_socket_is_copied);
    tcase_add_loop_test(t, a_long_text_is_cut_between_characters, 0,
                        sizeof(cut_rows) / sizeof(cut_rows[0]));
    tcase_add_test(t, a_full_ring_refuses_and_what_is_in_it_stays);
    tcase_add_test(t, spans_go_from_thread_to_thread_whole_and_in_order);
    tcase_add_test(t, flags_tell_whether_the_parent_is_remote);
    tcase_add_test(t, what_the_sidecar_ends_has_a_rule_and_a_cure);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
