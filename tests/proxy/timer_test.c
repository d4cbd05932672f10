#include "proxy/timer.h"

#include "base/random.h"
#include <check.h>
#include <stdlib.h>

#define TICK MILLISECONDS(1)

/* ---- one timer that counts ---- */

struct counted {
    struct timer timer;
    unsigned fired;
};

static void count(struct timer *t)
{
    container_of(t, struct counted, timer)->fired++;
}

static void counted_init(struct counted *c)
{
    timer_init(&c->timer, count);
    c->fired = 0;
}

static const nsec_t deadlines[] = {
    1,
    TICK - 1,
    TICK,
    TICK + 1,
    63 * TICK,
    64 * TICK,
    65 * TICK,
    64 * 64 * TICK - 1,
    64 * 64 * TICK,
    64 * 64 * TICK + 1,
    SECONDS(60),
    SECONDS(86400),
    SECONDS(86400) * 400,
    SECONDS(86400) * 365 * 250,
};

START_TEST(fires_once_not_early_and_within_a_tick)
{
    nsec_t deadline = deadlines[_i];
    struct timers *w = timers_new(NULL);
    struct counted c;

    counted_init(&c);
    timer_arm(w, &c.timer, deadline);
    timers_advance(w, deadline - 1);
    ck_assert_uint_eq(c.fired, 0);
    ck_assert(timer_armed(&c.timer));
    timers_advance(w, deadline + TICK);
    ck_assert_uint_eq(c.fired, 1);
    ck_assert(!timer_armed(&c.timer));
    timers_advance(w, deadline + SECONDS(1000));
    ck_assert_uint_eq(c.fired, 1);
    timers_free(w);
}
END_TEST

START_TEST(wakes_only_a_few_times_on_the_way_to_a_deadline)
{
    nsec_t deadline = deadlines[_i];
    struct timers *w = timers_new(NULL);
    struct counted c;
    unsigned wakes = 0;

    counted_init(&c);
    timer_arm(w, &c.timer, deadline);
    while (timers_next(w) != TIMER_NEVER) {
        timers_advance(w, timers_next(w));
        wakes++;
    }
    ck_assert_uint_eq(c.fired, 1);
    ck_assert_uint_le(wakes, 8);
    timers_free(w);
}
END_TEST

START_TEST(arming_for_later_only_writes_a_number)
{
    struct timers *w = timers_new(NULL);
    struct counted c;

    counted_init(&c);
    timer_arm(w, &c.timer, 100 * TICK);
    nsec_t stands = c.timer.stands, next = timers_next(w);
    struct list *in = c.timer.link.next;
    timer_arm(w, &c.timer, 5000 * TICK);
    ck_assert_int_eq(c.timer.stands, stands);
    ck_assert_ptr_eq(c.timer.link.next, in);
    ck_assert_int_eq(timers_next(w), next);
    timers_advance(w, 4999 * TICK);
    ck_assert_uint_eq(c.fired, 0);
    timers_advance(w, 5000 * TICK);
    ck_assert_uint_eq(c.fired, 1);
    timers_free(w);
}
END_TEST

START_TEST(arming_for_sooner_moves_it)
{
    struct timers *w = timers_new(NULL);
    struct counted c;

    counted_init(&c);
    timer_arm(w, &c.timer, 5000 * TICK);
    timer_arm(w, &c.timer, 3 * TICK);
    ck_assert_int_le(timers_next(w), 3 * TICK);
    timers_advance(w, 3 * TICK);
    ck_assert_uint_eq(c.fired, 1);
    timers_free(w);
}
END_TEST

START_TEST(a_disarmed_timer_does_not_fire_and_can_be_armed_again)
{
    struct timers *w = timers_new(NULL);
    struct counted c;

    counted_init(&c);
    timer_arm(w, &c.timer, 10 * TICK);
    timer_disarm(&c.timer);
    timers_advance(w, 5 * TICK);
    timer_arm(w, &c.timer, 20 * TICK);
    timers_advance(w, 19 * TICK);
    ck_assert_uint_eq(c.fired, 0);
    timers_advance(w, 20 * TICK);
    ck_assert_uint_eq(c.fired, 1);

    timer_arm(w, &c.timer, 30 * TICK);
    timer_disarm(&c.timer);
    timers_advance(w, 100 * TICK);
    ck_assert_uint_eq(c.fired, 1);
    ck_assert_int_eq(timers_next(w), TIMER_NEVER);
    timers_free(w);
}
END_TEST

START_TEST(a_released_timer_is_forgotten)
{
    struct timers *w = timers_new(NULL);
    struct counted *c = malloc(sizeof(*c)), other;

    counted_init(c);
    counted_init(&other);
    timer_arm(w, &c->timer, 10 * TICK);
    timer_arm(w, &other.timer, 10 * TICK);
    timer_release(&c->timer);
    free(c);
    timers_advance(w, 10 * TICK);
    ck_assert_uint_eq(other.fired, 1);
    timer_release(&other.timer); /* not in the wheel */
    timers_free(w);
}
END_TEST

START_TEST(a_time_already_past_fires_with_the_next_tick)
{
    struct timers *w = timers_new(NULL);
    struct counted c;

    counted_init(&c);
    timers_advance(w, 100 * TICK);
    timer_arm(w, &c.timer, 3 * TICK);
    ck_assert_int_eq(timers_next(w), 101 * TICK);
    timers_advance(w, 101 * TICK - 1);
    ck_assert_uint_eq(c.fired, 0);
    timers_advance(w, 101 * TICK);
    ck_assert_uint_eq(c.fired, 1);
    timers_free(w);
}
END_TEST

/* ---- what fires changes the others ---- */

struct meddler {
    struct timer timer;
    struct timers *wheel;
    struct counted *releases, *arms_sooner, *arms_later;
    unsigned again;
};

static void meddle(struct timer *t)
{
    struct meddler *m = container_of(t, struct meddler, timer);

    if (m->releases)
        timer_release(&m->releases->timer);
    if (m->arms_sooner)
        timer_arm(m->wheel, &m->arms_sooner->timer, TICK);
    if (m->arms_later)
        timer_arm(m->wheel, &m->arms_later->timer, 50 * TICK);
    if (m->again) {
        m->again--;
        timer_arm(m->wheel, t, TICK);
    }
}

START_TEST(what_fires_may_release_and_arm_others_and_itself)
{
    struct counted released, sooner, later;
    struct meddler m = {.wheel = timers_new(NULL),
                        .releases = &released,
                        .arms_sooner = &sooner,
                        .arms_later = &later,
                        .again = 3};

    timer_init(&m.timer, meddle);
    counted_init(&released);
    counted_init(&sooner);
    counted_init(&later);
    timer_arm(m.wheel, &m.timer, 10 * TICK);
    timer_arm(m.wheel, &released.timer, 10 * TICK); /* all due in the same slot */
    timer_arm(m.wheel, &sooner.timer, 10 * TICK);
    timer_arm(m.wheel, &later.timer, 10 * TICK);
    timers_advance(m.wheel, 10 * TICK);
    ck_assert_uint_eq(released.fired, 0);
    ck_assert_uint_eq(sooner.fired, 1);
    ck_assert_uint_eq(later.fired, 0);
    ck_assert_uint_eq(m.again, 2);
    timers_advance(m.wheel, 49 * TICK);
    ck_assert_uint_eq(m.again, 0);
    ck_assert_uint_eq(later.fired, 0);
    timers_advance(m.wheel, 50 * TICK);
    ck_assert_uint_eq(later.fired, 1);
    timers_free(m.wheel);
}
END_TEST

/* ---- against a model that keeps it simple ---- */

enum { MODEL_TIMERS = 200, MODEL_STEPS = 6000 };

struct model;
struct modelled {
    struct timer timer;
    struct model *model;
    nsec_t deadline; /* TIMER_NEVER: not armed */
    int64_t due;     /* the tick at which it is to fire */
};
struct model {
    struct timers *wheel;
    struct random random;
    struct modelled v[MODEL_TIMERS];
    nsec_t now;
    int64_t present; /* tick up to which all has fired */
    uint64_t fires;
};

static nsec_t some_time(struct model *m)
{
    static const uint64_t spans[] = {TICK,       10 * TICK,    100 * TICK,
                                     SECONDS(5), SECONDS(600), SECONDS(86400) * 30};

    return (nsec_t)random_below(&m->random, spans[random_below(&m->random, 6)]);
}

static void model_change(struct model *m, struct modelled *x)
{
    switch (random_below(&m->random, 4)) {
    case 0:
        timer_disarm(&x->timer);
        x->deadline = TIMER_NEVER;
        break;
    case 1:
        timer_release(&x->timer);
        x->deadline = TIMER_NEVER;
        break;
    default: {
        nsec_t base = m->present * TICK - (random_below(&m->random, 10) == 0 ? 5 * TICK : 0);
        x->deadline = base + some_time(m);
        x->due = (x->deadline + TICK - 1) / TICK;
        if (x->due <= m->present)
            x->due = m->present + 1;
        timer_arm(m->wheel, &x->timer, x->deadline);
    }
    }
}

static void model_fire(struct timer *t)
{
    struct modelled *x = container_of(t, struct modelled, timer);
    struct model *m = x->model;

    ck_assert_int_ne(x->deadline, TIMER_NEVER);
    ck_assert_int_le(x->deadline, m->now);
    ck_assert_int_ge(x->due, m->present); /* in order */
    for (int i = 0; i < MODEL_TIMERS; i++) {
        if (m->v[i].deadline != TIMER_NEVER)
            ck_assert_int_ge(m->v[i].due, x->due);
    }
    m->present = x->due;
    x->deadline = TIMER_NEVER;
    m->fires++;
    if (random_below(&m->random, 2))
        model_change(m, &m->v[random_below(&m->random, MODEL_TIMERS)]);
}

static void model_advance(struct model *m)
{
    nsec_t next = TIMER_NEVER;

    for (int i = 0; i < MODEL_TIMERS; i++) {
        if (m->v[i].deadline != TIMER_NEVER && m->v[i].due * TICK < next)
            next = m->v[i].due * TICK;
    }
    ck_assert_int_le(timers_next(m->wheel), next); /* never late */

    m->now = random_below(&m->random, 2) && next != TIMER_NEVER && next > m->now
                 ? next
                 : m->now + some_time(m) / 8;
    timers_advance(m->wheel, m->now);
    m->present = m->now / TICK;
    for (int i = 0; i < MODEL_TIMERS; i++) {
        if (m->v[i].deadline != TIMER_NEVER)
            ck_assert_int_gt(m->v[i].due, m->present);
    }
}

START_TEST(agrees_with_a_naive_model)
{
    struct model m = {.wheel = timers_new(NULL)};

    random_init_seed(&m.random, (uint64_t)_i + 1);
    for (int i = 0; i < MODEL_TIMERS; i++) {
        m.v[i] = (struct modelled){.model = &m, .deadline = TIMER_NEVER};
        timer_init(&m.v[i].timer, model_fire);
    }
    for (int i = 0; i < MODEL_STEPS; i++) {
        if (random_below(&m.random, 3) == 0)
            model_advance(&m);
        else
            model_change(&m, &m.v[random_below(&m.random, MODEL_TIMERS)]);
    }
    ck_assert_uint_gt(m.fires, 500);
    for (int i = 0; i < MODEL_TIMERS; i++)
        timer_release(&m.v[i].timer);
    timers_free(m.wheel);
}
END_TEST

/* ---- on a loop ---- */

struct turns {
    struct timers *wheel;
    unsigned begun, ended;
    bool within;
};
struct looped {
    struct timer timer;
    struct turns *turns;
    nsec_t fired_at;
};

static void begin(void *arg)
{
    struct turns *t = arg;

    t->begun++;
    t->within = true;
}

static void end(void *arg)
{
    struct turns *t = arg;

    t->ended++;
    t->within = false;
}

static void note_time(struct timer *t)
{
    struct looped *l = container_of(t, struct looped, timer);

    ck_assert(l->turns->within);
    l->fired_at = clock_monotonic();
}

START_TEST(the_loop_fires_them_within_turns_and_then_has_nothing_to_wait_for)
{
    struct event_base *base = event_base_new();
    struct turns turns = {.wheel = timers_new(base)};
    struct looped far = {.turns = &turns}, near = {.turns = &turns};
    nsec_t start = clock_monotonic();

    timers_set_turn(turns.wheel, begin, end, &turns);
    timer_init(&far.timer, note_time);
    timer_init(&near.timer, note_time);
    timer_arm(turns.wheel, &far.timer, start + MILLISECONDS(80));
    timer_arm(turns.wheel, &near.timer, start + MILLISECONDS(5));
    event_base_dispatch(base); /* returns when no event is pending */
    ck_assert_int_ge(near.fired_at, start + MILLISECONDS(5));
    ck_assert_int_ge(far.fired_at, start + MILLISECONDS(80));
    ck_assert_int_lt(near.fired_at, far.fired_at);
    ck_assert_uint_ge(turns.begun, 2);
    ck_assert_uint_le(turns.begun, 20);
    ck_assert_uint_eq(turns.begun, turns.ended);
    timers_free(turns.wheel);
    event_base_free(base);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("timer");
    TCase *t = tcase_create("timer");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, fires_once_not_early_and_within_a_tick, 0,
                        sizeof(deadlines) / sizeof(deadlines[0]));
    tcase_add_loop_test(t, wakes_only_a_few_times_on_the_way_to_a_deadline, 0,
                        sizeof(deadlines) / sizeof(deadlines[0]));
    tcase_add_test(t, arming_for_later_only_writes_a_number);
    tcase_add_test(t, arming_for_sooner_moves_it);
    tcase_add_test(t, a_disarmed_timer_does_not_fire_and_can_be_armed_again);
    tcase_add_test(t, a_released_timer_is_forgotten);
    tcase_add_test(t, a_time_already_past_fires_with_the_next_tick);
    tcase_add_test(t, what_fires_may_release_and_arm_others_and_itself);
    tcase_add_loop_test(t, agrees_with_a_naive_model, 0, 8);
    tcase_add_test(t, the_loop_fires_them_within_turns_and_then_has_nothing_to_wait_for);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
