/* A transport that keeps what it was given until the test answers. */
#ifndef SIDESPAN_TESTS_OTLP_FAKE_TRANSPORT_H
#define SIDESPAN_TESTS_OTLP_FAKE_TRANSPORT_H

#include <check.h>
#include <stdlib.h>

#include "otlp/transport.h"

struct fake_transport {
    struct transport transport;
    struct transport_request request; /* of the last send */
    transport_done_fn *done;          /* NULL: nothing is under way */
    void *arg;
    unsigned sends, cancels;
    bool *freed; /* set when it is */
};

static inline void fake_send(struct transport *t, const struct transport_request *request,
                             transport_done_fn *done, void *arg)
{
    struct fake_transport *f = (struct fake_transport *)t;

    ck_assert_msg(!f->done, "two requests at a time");
    f->request = *request;
    f->done = done;
    f->arg = arg;
    f->sends++;
}

static inline void fake_cancel(struct transport *t)
{
    struct fake_transport *f = (struct fake_transport *)t;

    ck_assert_msg(f->done != NULL, "nothing to cancel");
    f->done = NULL;
    f->cancels++;
}

static inline void fake_free(struct transport *t)
{
    struct fake_transport *f = (struct fake_transport *)t;

    ck_assert_msg(!f->done, "freed amid a request");
    *f->freed = true;
    free(f);
}

static inline struct fake_transport *fake_transport_new(bool *freed)
{
    static const struct transport_ops ops = {fake_send, fake_cancel, fake_free};
    struct fake_transport *f = calloc(1, sizeof(*f));

    f->transport.ops = &ops;
    f->freed = freed;
    *freed = false;
    return f;
}

static inline void fake_answer(struct fake_transport *f, const struct transport_response *response)
{
    transport_done_fn *done = f->done;

    ck_assert_msg(done != NULL, "nothing is under way");
    f->done = NULL;
    done(f->arg, response);
}

#endif
