#include "proxy/conn.h"

#include <stdio.h>
#include <sys/syscall.h>

#include "stepped_worker.h"

enum { MEGABYTE = 1 << 20, BUFFER_BYTES = 64 * 1024 };

/* ---- system calls are counted ---- */

static int counted_fd;
static unsigned n_sends;

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    n_sends += fd == counted_fd;
    return syscall(SYS_sendmsg, fd, m, flags);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    n_sends += fd == counted_fd;
    return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

static void count_sends(const struct conn *c)
{
    counted_fd = c->fd;
    n_sends = 0;
}

/* ---- an owner that notes what it is told ---- */

struct notes {
    struct conn *conn;
    char got[1000];
    size_t n;
    unsigned eofs, drains, connects, errors;
    int error;
    struct conn *passed_to; /* what is read is written there, borrowed */
};

static void on_read(struct conn *c, char *data, size_t n)
{
    struct notes *o = c->owner_data;

    if (o->passed_to)
        conn_write(o->passed_to, str_of(data, n));
    for (size_t i = 0; i < n && o->n < sizeof o->got - 1; i++)
        o->got[o->n++] = data[i];
}

static void on_eof(struct conn *c)
{
    ((struct notes *)c->owner_data)->eofs++;
}

static void on_drained(struct conn *c)
{
    ((struct notes *)c->owner_data)->drains++;
}

static void on_connected(struct conn *c)
{
    ((struct notes *)c->owner_data)->connects++;
}

static void on_error(struct conn *c, int error)
{
    struct notes *o = c->owner_data;

    o->errors++;
    o->error = error;
    o->conn = NULL;
    conn_close(c);
}

static const struct conn_owner owner = {on_read, on_eof, on_drained, on_connected, on_error};

/* ---- a connection, one end of it the test's ---- */

static struct worker *worker;

struct pair {
    struct notes notes;
    int peer; /* the test's; -1: closed */
};

static void set_up(void)
{
    worker = stepped_worker_new();
}

static void tear_down(void)
{
    worker_free(worker);
}

static void pair_init(struct pair *p)
{
    struct address at;
    int listening = listen_anywhere(&at, 1);
    int fd;

    *p = (struct pair){.peer = connect_to(&at)};
    fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    close(listening);
    loop_begin_turn(&worker->loop);
    p->notes.conn = conn_accepted(&worker->loop, fd, &at, &owner, &p->notes);
    loop_end_turn(&worker->loop);
}

static void pair_end(struct pair *p)
{
    loop_begin_turn(&worker->loop);
    if (p->notes.conn)
        conn_close(p->notes.conn);
    loop_end_turn(&worker->loop);
    if (p->peer >= 0)
        close(p->peer);
}

static char *pattern(size_t n)
{
    char *p = malloc(n);

    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 7 + i / 251);
    return p;
}

/* What the peer gets until the end of the stream, or an error. */
static size_t read_all(struct pair *p, char *into, size_t size, int *error)
{
    size_t n = 0;

    *error = 0;
    for (nsec_t until = clock_monotonic() + SECONDS(10);;) {
        ssize_t got = recv(p->peer, into + n, size - n, MSG_DONTWAIT);

        ck_assert(clock_monotonic() < until);
        if (got > 0)
            n += (size_t)got;
        else if (got == 0)
            return n;
        else if (errno != EAGAIN) {
            *error = errno;
            return n;
        }
        worker_step(worker);
    }
}

/* ---- writing ---- */

START_TEST(what_is_written_in_a_turn_goes_out_in_one_call)
{
    char got[100] = "";
    struct pair p;

    pair_init(&p);
    count_sends(p.notes.conn);
    loop_begin_turn(&worker->loop);
    conn_write(p.notes.conn, STR("HTTP/1.1 200 OK\r\n"));
    conn_write(p.notes.conn, STR("\r\n"));
    conn_write(p.notes.conn, STR(""));
    conn_write(p.notes.conn, STR("body"));
    ck_assert_int_eq(recv(p.peer, got, sizeof got, 0), -1);
    loop_end_turn(&worker->loop);
    ck_assert_uint_eq(n_sends, 1);
    ck_assert_int_eq(recv(p.peer, got, sizeof got, 0), 23);
    ck_assert_str_eq(got, "HTTP/1.1 200 OK\r\n\r\nbody");
    pair_end(&p);
}
END_TEST

START_TEST(more_pieces_than_a_call_takes_keep_their_order)
{
    char want[1000] = "", got[1000] = "";
    static char pieces[300][12];
    struct pair p;

    pair_init(&p);
    count_sends(p.notes.conn);
    loop_begin_turn(&worker->loop);
    for (int i = 0; i < 300; i++) {
        snprintf(pieces[i], sizeof pieces[i], "%03d", i);
        conn_write(p.notes.conn, str_from(pieces[i]));
        strcat(want, pieces[i]);
    }
    loop_end_turn(&worker->loop);
    ck_assert_uint_eq(n_sends, 5);
    ck_assert_int_eq(recv(p.peer, got, sizeof got - 1, 0), 900);
    ck_assert_str_eq(got, want);
    pair_end(&p);
}
END_TEST

START_TEST(what_the_socket_does_not_take_is_kept_and_arrives_in_order)
{
    char *sent = pattern(8 * MEGABYTE), *copy = pattern(8 * MEGABYTE);
    char *got = malloc(8 * MEGABYTE + 10);
    struct pair p;
    int error;

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_write(p.notes.conn, str_of(copy, 5 * MEGABYTE));
    loop_end_turn(&worker->loop);
    ck_assert_uint_gt(conn_queued(p.notes.conn), 0);
    loop_begin_turn(&worker->loop);
    conn_write(p.notes.conn, str_of(copy + 5 * MEGABYTE, 3 * MEGABYTE));
    loop_end_turn(&worker->loop);
    memset(copy, 0, 8 * MEGABYTE); /* it was borrowed for the turn */
    loop_begin_turn(&worker->loop);
    conn_shut(p.notes.conn); /* the FIN waits for the rest */
    loop_end_turn(&worker->loop);
    ck_assert_uint_eq(read_all(&p, got, 8 * MEGABYTE + 10, &error), 8 * MEGABYTE);
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(memcmp(got, sent, 8 * MEGABYTE), 0);
    ck_assert_uint_eq(p.notes.conn->sent_bytes, 8 * MEGABYTE);
    pair_end(&p);
    free(sent);
    free(copy);
    free(got);
}
END_TEST

START_TEST(a_full_socket_blocks_and_is_told_of_once_when_it_drains)
{
    char *sent = pattern(8 * MEGABYTE), *got = malloc(8 * MEGABYTE);
    struct pair p;
    int error;

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_write(p.notes.conn, str_of(sent, BUFFER_BYTES + 1));
    ck_assert_msg(!conn_blocked(p.notes.conn), "the socket takes that much");
    conn_write(p.notes.conn, str_of(sent + BUFFER_BYTES + 1, 8 * MEGABYTE - BUFFER_BYTES - 1));
    ck_assert(conn_blocked(p.notes.conn));
    loop_end_turn(&worker->loop);
    ck_assert(conn_blocked(p.notes.conn));
    loop_begin_turn(&worker->loop);
    conn_shut(p.notes.conn);
    loop_end_turn(&worker->loop);
    read_all(&p, got, 8 * MEGABYTE, &error);
    ck_assert_uint_eq(p.notes.drains, 1);
    ck_assert(!conn_blocked(p.notes.conn));
    pair_end(&p);
    free(sent);
    free(got);
}
END_TEST

START_TEST(an_error_of_writing_is_told_once_when_nobody_reads)
{
    struct pair p;

    pair_init(&p);
    close_with_reset(p.peer);
    p.peer = -1;
    for (int i = 0; i < 2 && p.notes.conn; i++) {
        loop_begin_turn(&worker->loop);
        conn_write(p.notes.conn, STR("lost"));
        ck_assert_uint_eq(p.notes.errors, 0); /* never from within */
        loop_end_turn(&worker->loop);
    }
    ck_assert_uint_eq(p.notes.errors, 1);
    ck_assert_int_eq(p.notes.error, ECONNRESET);
    pair_end(&p);
}
END_TEST

START_TEST(what_the_peer_sent_before_it_broke_is_read_first)
{
    struct pair p;

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_read(p.notes.conn, true);
    loop_end_turn(&worker->loop);
    ck_assert_int_eq(send(p.peer, "last words", 10, 0), 10);
    close_with_reset(p.peer);
    p.peer = -1;
    loop_begin_turn(&worker->loop);
    conn_write(p.notes.conn, STR("lost"));
    loop_end_turn(&worker->loop);
    ck_assert_uint_eq(p.notes.errors, 0);
    RUN_UNTIL(worker, p.notes.eofs + p.notes.errors > 0);
    ck_assert_str_eq(p.notes.got, "last words");
    /* The write took the error off the socket: reading finds an end that is none. */
    ck_assert(p.notes.errors || (p.notes.conn->broken && p.notes.conn->error == ECONNRESET));
    pair_end(&p);
}
END_TEST

/* The kernel tells of both at once, and libevent only of something to read. */
START_TEST(a_reset_that_comes_with_the_last_bytes_is_noticed)
{
    struct pair p;

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_read(p.notes.conn, true);
    loop_end_turn(&worker->loop);
    ck_assert_int_eq(send(p.peer, "last words", 10, 0), 10);
    close_with_reset(p.peer);
    p.peer = -1;
    RUN_UNTIL(worker, p.notes.errors + p.notes.eofs > 0);
    ck_assert_uint_eq(p.notes.errors, 1); /* it is no FIN */
    ck_assert_str_eq(p.notes.got, "last words");
    ck_assert_int_eq(p.notes.error, ECONNRESET);
    pair_end(&p);
}
END_TEST

/* ---- reading ---- */

START_TEST(nothing_is_read_until_it_is_wanted)
{
    struct pair p;

    pair_init(&p);
    ck_assert_int_eq(send(p.peer, "hello", 5, 0), 5);
    worker_step(worker);
    ck_assert_uint_eq(p.notes.n, 0);
    loop_begin_turn(&worker->loop);
    conn_read(p.notes.conn, true);
    loop_end_turn(&worker->loop);
    RUN_UNTIL(worker, p.notes.n == 5);
    loop_begin_turn(&worker->loop);
    conn_read(p.notes.conn, false);
    loop_end_turn(&worker->loop);
    ck_assert_int_eq(send(p.peer, " more", 5, 0), 5);
    worker_step(worker);
    worker_step(worker);
    ck_assert_uint_eq(p.notes.n, 5);
    loop_begin_turn(&worker->loop);
    conn_read(p.notes.conn, true);
    loop_end_turn(&worker->loop);
    RUN_UNTIL(worker, p.notes.n == 10);
    shutdown(p.peer, SHUT_WR);
    RUN_UNTIL(worker, p.notes.eofs == 1);
    worker_step(worker);
    ck_assert_uint_eq(p.notes.eofs, 1);
    pair_end(&p);
}
END_TEST

START_TEST(reading_at_once_spares_what_another_read_in_the_same_turn)
{
    char got[100] = "";
    struct pair from, to, other;

    pair_init(&from);
    pair_init(&to);
    pair_init(&other);
    from.notes.passed_to = to.notes.conn;
    ck_assert_int_eq(send(from.peer, "for one", 7, 0), 7);
    ck_assert_int_eq(send(other.peer, "OTHER's", 7, 0), 7);
    loop_begin_turn(&worker->loop);
    conn_read(from.notes.conn, true);
    conn_read(other.notes.conn, true);
    conn_read_now(from.notes.conn);
    conn_read_now(other.notes.conn);
    loop_end_turn(&worker->loop);
    ck_assert_int_eq(recv(to.peer, got, sizeof got - 1, 0), 7);
    ck_assert_str_eq(got, "for one");
    pair_end(&from);
    pair_end(&to);
    pair_end(&other);
}
END_TEST

/* ---- connecting ---- */

START_TEST(a_connection_is_made_and_what_was_written_before_goes_out)
{
    struct notes n = {0};
    struct address at;
    int listening = listen_anywhere(&at, 1), fd, error;
    char got[10] = "";

    loop_begin_turn(&worker->loop);
    n.conn = conn_connect(&worker->loop, &at, &owner, &n, &error);
    conn_read(n.conn, true);
    conn_write(n.conn, STR("early"));
    loop_end_turn(&worker->loop);
    ck_assert_uint_eq(n.connects, 0); /* never from within */
    RUN_UNTIL(worker, n.connects == 1);
    fd = accept(listening, NULL, NULL);
    ck_assert_int_eq(recv(fd, got, sizeof got, 0), 5);
    ck_assert_str_eq(got, "early");
    ck_assert_int_eq(send(fd, "back", 4, 0), 4);
    RUN_UNTIL(worker, n.n == 4);
    loop_begin_turn(&worker->loop);
    conn_close(n.conn);
    loop_end_turn(&worker->loop);
    close(fd);
    close(listening);
}
END_TEST

START_TEST(a_connection_that_is_refused_is_told_of_later)
{
    struct notes n = {0};
    struct address at;
    int error;

    close(listen_anywhere(&at, 1));
    loop_begin_turn(&worker->loop);
    n.conn = conn_connect(&worker->loop, &at, &owner, &n, &error);
    loop_end_turn(&worker->loop);
    ck_assert_ptr_nonnull(n.conn);
    ck_assert_uint_eq(n.errors, 0);
    RUN_UNTIL(worker, n.errors == 1);
    ck_assert_int_eq(n.error, ECONNREFUSED);
}
END_TEST

/* ---- ends ---- */

START_TEST(a_reset_is_one_for_the_peer)
{
    char byte;
    struct pair p;

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_write(p.notes.conn, STR("never sent"));
    conn_reset(p.notes.conn);
    p.notes.conn = NULL;
    loop_end_turn(&worker->loop);
    ck_assert_int_eq(recv(p.peer, &byte, 1, 0), -1);
    ck_assert_int_eq(errno, ECONNRESET);
    pair_end(&p);
}
END_TEST

START_TEST(a_close_sends_what_was_written)
{
    char got[20] = "";
    struct pair p;

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_write(p.notes.conn, STR("bye"));
    conn_close(p.notes.conn);
    p.notes.conn = NULL;
    loop_end_turn(&worker->loop);
    ck_assert_int_eq(recv(p.peer, got, sizeof got, 0), 3);
    ck_assert_int_eq(recv(p.peer, got, sizeof got, 0), 0);
    pair_end(&p);
}
END_TEST

static void close_lingering(struct pair *p)
{
    loop_begin_turn(&worker->loop);
    conn_close_lingering(p->notes.conn);
    p->notes.conn = NULL;
    loop_end_turn(&worker->loop);
}

START_TEST(a_lingering_close_lets_the_peer_finish_sending)
{
    char *much = pattern(MEGABYTE), got[10] = "";
    struct pair p;

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_write(p.notes.conn, STR("no"));
    loop_end_turn(&worker->loop);
    close_lingering(&p);
    ck_assert_uint_eq(worker->loop.conns.n_lingering, 1);
    for (size_t at = 0; at < MEGABYTE;) {
        ssize_t n = send(p.peer, much + at, MEGABYTE - at, MSG_NOSIGNAL);

        ck_assert_msg(n > 0 || errno == EAGAIN, "%s", strerror(errno));
        at += n > 0 ? (size_t)n : 0;
        worker_step(worker);
    }
    ck_assert_int_eq(recv(p.peer, got, sizeof got, 0), 2);
    ck_assert_int_eq(recv(p.peer, got, sizeof got, 0), 0);
    ck_assert_uint_eq(worker->loop.conns.n_lingering, 1);
    close(p.peer);
    p.peer = -1;
    RUN_UNTIL(worker, worker->loop.conns.n_lingering == 0);
    pair_end(&p);
    free(much);
}
END_TEST

START_TEST(a_lingering_close_sends_all_that_is_queued_and_a_drain_waits_for_it)
{
    char *sent = pattern(8 * MEGABYTE), *got = malloc(8 * MEGABYTE + 1);
    bool half_closed = _i == 1;
    struct pair p;
    int error;

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_read(p.notes.conn, true);
    conn_write(p.notes.conn, str_of(sent, 8 * MEGABYTE));
    loop_end_turn(&worker->loop);
    if (half_closed) {
        shutdown(p.peer, SHUT_WR);
        RUN_UNTIL(worker, p.notes.eofs == 1);
    }
    close_lingering(&p);
    ck_assert_uint_eq(loop_busy(&worker->loop), 1);
    ck_assert_uint_eq(read_all(&p, got, 8 * MEGABYTE + 1, &error), 8 * MEGABYTE);
    ck_assert_int_eq(error, 0);
    ck_assert_int_eq(memcmp(sent, got, 8 * MEGABYTE), 0);
    RUN_UNTIL(worker, loop_busy(&worker->loop) == 0);
    shutdown(p.peer, SHUT_WR);
    RUN_UNTIL(worker, worker->loop.conns.n_lingering == 0);
    pair_end(&p);
    free(sent);
    free(got);
}
END_TEST

START_TEST(a_silent_peer_is_waited_for_two_seconds)
{
    nsec_t began = clock_monotonic();
    struct pair p;

    pair_init(&p);
    close_lingering(&p);
    RUN_UNTIL(worker, worker->loop.conns.n_lingering == 0);
    ck_assert_int_ge(clock_monotonic() - began, MILLISECONDS(1990));
    pair_end(&p);
}
END_TEST

START_TEST(what_lingers_ends_with_the_worker)
{
    char *sent = pattern(8 * MEGABYTE);
    struct worker *other = stepped_worker_new(), *was = worker;
    struct pair p;

    worker = other;
    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_write(p.notes.conn, str_of(sent, 8 * MEGABYTE));
    loop_end_turn(&worker->loop);
    close_lingering(&p);
    worker_free(other); /* and nothing leaks */
    worker = was;
    close(p.peer);
    free(sent);
}
END_TEST

/* ---- turns ---- */

struct grave {
    struct burial burial;
    bool freed;
};

static void free_grave(struct burial *b)
{
    container_of(b, struct grave, burial)->freed = true;
}

START_TEST(what_is_buried_in_an_inner_turn_lives_until_the_outer_one_ends)
{
    struct grave g = {0};
    char *scratch;

    loop_begin_turn(&worker->loop);
    scratch = loop_scratch(&worker->loop, 4);
    memcpy(scratch, "abc", 4);
    loop_begin_turn(&worker->loop);
    loop_bury(&worker->loop, &g.burial, free_grave);
    loop_end_turn(&worker->loop);
    ck_assert(!g.freed);
    ck_assert_str_eq(scratch, "abc");
    loop_end_turn(&worker->loop);
    ck_assert(g.freed);
}
END_TEST

struct eager {
    struct event event;
    struct pair *other; /* who has something to say, too */
    unsigned n, n_when_other_was_read;
};

static void again(evutil_socket_t fd, short what, void *arg)
{
    struct eager *e = arg;

    e->n++;
    if (e->n == 1)
        ck_assert_int_eq(send(e->other->peer, "me", 2, 0), 2);
    if (!e->n_when_other_was_read && e->other->notes.n)
        e->n_when_other_was_read = e->n;
    if (e->n < 1000)
        event_active(&e->event, EV_READ, 0);
}

START_TEST(one_that_always_has_more_to_do_does_not_keep_the_others_waiting)
{
    struct pair p;
    struct eager e = {.other = &p};

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_read(p.notes.conn, true);
    loop_end_turn(&worker->loop);
    event_assign(&e.event, worker->loop.base, -1, EV_PERSIST, again, &e);
    event_active(&e.event, EV_READ, 0);
    RUN_UNTIL(worker, e.n == 1000);
    ck_assert_uint_gt(e.n_when_other_was_read, 0);
    ck_assert_uint_lt(e.n_when_other_was_read, 100);
    pair_end(&p);
}
END_TEST

static struct conn *closed_by_turn_end;

static void close_it(struct turn_end *e)
{
    conn_close(closed_by_turn_end);
}

/* To make room for what is read, what was gathered is sent, and its owner may see an end. */
START_TEST(a_conn_that_is_closed_to_make_room_is_told_nothing)
{
    struct turn_end e = {.run = close_it};
    struct pair p;

    pair_init(&p);
    list_init(&e.link);
    ck_assert_int_eq(send(p.peer, "late", 4, 0), 4);
    loop_begin_turn(&worker->loop);
    conn_read(p.notes.conn, true);
    worker->loop.received = LOOP_RECEIVE_BYTES / 2 + 1;
    closed_by_turn_end = p.notes.conn;
    loop_at_turn_end(&worker->loop, &e);
    conn_read_now(p.notes.conn);
    ck_assert_uint_eq(p.notes.errors + p.notes.eofs + p.notes.n, 0);
    p.notes.conn = NULL;
    loop_end_turn(&worker->loop);
    pair_end(&p);
}
END_TEST

/* Else the spans of two processes would tell of a request that was received before it was sent. */
START_TEST(what_is_received_is_not_older_than_its_sender)
{
    struct pair p;
    nsec_t sent;

    pair_init(&p);
    loop_begin_turn(&worker->loop);
    conn_read(p.notes.conn, true);
    usleep(2000); /* the turn takes its time */
    sent = clock_monotonic();
    ck_assert_int_eq(send(p.peer, "x", 1, 0), 1);
    conn_read_now(p.notes.conn);
    ck_assert_int_ge(loop_now(&worker->loop), sent);
    loop_end_turn(&worker->loop);
    pair_end(&p);
}
END_TEST

/* A thread that pauses between two clocks does not set one of them wrong. */
START_TEST(the_wall_clock_is_the_monotonic_one_and_an_offset)
{
    for (int i = 0; i < 1000; i++) {
        nsec_t before = clock_monotonic(), wall = clock_wall(), after = clock_monotonic();
        nsec_t offset = clock_wall_offset();

        ck_assert_int_ge(offset, wall - after - MILLISECONDS(1));
        ck_assert_int_le(offset, wall - before + MILLISECONDS(1));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conn");
    TCase *t = tcase_create("conn");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, what_is_written_in_a_turn_goes_out_in_one_call);
    tcase_add_test(t, more_pieces_than_a_call_takes_keep_their_order);
    tcase_add_test(t, what_the_socket_does_not_take_is_kept_and_arrives_in_order);
    tcase_add_test(t, what_is_received_is_not_older_than_its_sender);
    tcase_add_test(t, the_wall_clock_is_the_monotonic_one_and_an_offset);
    tcase_add_test(t, a_full_socket_blocks_and_is_told_of_once_when_it_drains);
    tcase_add_test(t, an_error_of_writing_is_told_once_when_nobody_reads);
    tcase_add_test(t, what_the_peer_sent_before_it_broke_is_read_first);
    tcase_add_test(t, nothing_is_read_until_it_is_wanted);
    tcase_add_test(t, reading_at_once_spares_what_another_read_in_the_same_turn);
    tcase_add_test(t, a_connection_is_made_and_what_was_written_before_goes_out);
    tcase_add_test(t, a_connection_that_is_refused_is_told_of_later);
    tcase_add_test(t, a_reset_is_one_for_the_peer);
    tcase_add_test(t, a_reset_that_comes_with_the_last_bytes_is_noticed);
    tcase_add_test(t, a_close_sends_what_was_written);
    tcase_add_test(t, a_lingering_close_lets_the_peer_finish_sending);
    tcase_add_loop_test(t, a_lingering_close_sends_all_that_is_queued_and_a_drain_waits_for_it, 0,
                        2);
    tcase_add_test(t, a_silent_peer_is_waited_for_two_seconds);
    tcase_add_test(t, what_lingers_ends_with_the_worker);
    tcase_add_test(t, what_is_buried_in_an_inner_turn_lives_until_the_outer_one_ends);
    tcase_add_test(t, one_that_always_has_more_to_do_does_not_keep_the_others_waiting);
    tcase_add_test(t, a_conn_that_is_closed_to_make_room_is_told_nothing);
    suite_add_tcase(s, t);

    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
