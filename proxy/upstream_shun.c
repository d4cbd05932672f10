/*
 * A short memory of addresses that do not answer: to wait for each of them anew
 * would cost every request that meets one the connect timeout. Where there are
 * others these are used; the one that is shunned is asked again by a connection
 * of its own, which no request waits for, and which is kept when it is made.
 */
#include <errno.h>

#include "proxy/upstream_private.h"

/* Doubled with each failure in a row. */
#define SHUN_FIRST SECONDS(5)
#define SHUN_MOST  SECONDS(60)

static void shun_for(struct upstream *u, nsec_t time)
{
    u->shunned = true;
    u->ask_again = loop_now(&u->worker->loop) + time;
}

/* What refuses answers at once, and costs nothing to be asked. */
static bool is_silence(int error)
{
    return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH ||
           error == EHOSTDOWN || error == ENETDOWN;
}

void upstream_answered(struct upstream *u)
{
    u->shunned = false;
    u->silences = 0;
}

void upstream_did_not_answer(struct upstream *u, int error)
{
    nsec_t time = SHUN_FIRST << u->silences;

    if (!is_silence(error)) {
        upstream_answered(u);
        return;
    }
    if (time < SHUN_MOST)
        u->silences++;
    shun_for(u, time < SHUN_MOST ? time : SHUN_MOST);
}

void upstream_is_slow(struct upstream *u)
{
    if (!u->shunned)
        shun_for(u, SHUN_FIRST);
}

/* The attempt has its own end, which tells how it was. */
static void probe(struct upstream *u)
{
    u->ask_again = TIMER_NEVER;
    if (!upstream_may_open(u) || upstream_dial(u, u->pool.protocol == PROTOCOL_H2) != 0)
        shun_for(u, SHUN_FIRST);
}

bool upstream_is_shunned(struct upstream *u)
{
    if (u->shunned && loop_now(&u->worker->loop) >= u->ask_again)
        probe(u);
    return u->shunned;
}
