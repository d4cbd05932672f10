/*
 * What the pages of the admin port share.
 */
#ifndef SIDESPAN_PROXY_ADMIN_PRIVATE_H
#define SIDESPAN_PROXY_ADMIN_PRIVATE_H

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <sys/queue.h>

#include "proxy/admin.h"

enum {
    ADMIN_ANSWER_BYTES_MAX = 256 << 20,
    ADMIN_CONNECTIONS_MAX = 128,
    ADMIN_HEADER_BYTES_MAX = 16 << 10,
    ADMIN_BODY_BYTES_MAX = 64 << 10,
    ADMIN_TIMEOUT_SECONDS = 10,
};

struct admin_door;
struct evhttp_bound_socket;

struct admin {
    struct evhttp *http;
    struct evhttp_bound_socket *bound; /* the evhttp's; NULL: it listens no more */
    struct admin_door *door;           /* owned */
    struct address address;
    bool loopback;
    const struct admin_ops *ops;
    void *arg;
};

/* One path and method. A new one is a row in admin.c. */
struct admin_page {
    const char *path;
    enum evhttp_cmd_type method; /* GET stands for HEAD too */
    void (*answer)(struct admin *a, struct evhttp_request *req);
    const char *help;
};

/* admin_door.c: lets in at most ADMIN_CONNECTIONS_MAX at a time; for one more the slowest goes.
 * Goes before http does. NULL: no memory. */
struct admin_door *admin_door_new(struct event_base *base, struct evhttp *http,
                                  struct evhttp_bound_socket *bound);
void admin_door_free(struct admin_door *d); /* NULL is fine */
/* Before the listener goes. */
void admin_door_close(struct admin_door *d);

/* Takes what is in the buffer; one that failed is a 500. */
void admin_answer(struct evhttp_request *req, int status, const char *type, struct buffer *body);
/* Plain text, a line break added: what is wrong, and what to do. */
void admin_answer_text(struct evhttp_request *req, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes the value; NULL is a 500. */
void admin_answer_json(struct evhttp_request *req, int status, json_t *value);

/* The text as a value; NULL: no memory. */
json_t *admin_json_of(struct str s);

/* The parameters of the query. False: there is one that is not in names (ended by NULL), or the
 * query cannot be read, and the answer has been given. Else the caller clears it with
 * evhttp_clear_headers(). */
bool admin_query(struct evhttp_request *req, const char *const *names, struct evkeyvalq *out);

void admin_healthz(struct admin *a, struct evhttp_request *req);
void admin_readyz(struct admin *a, struct evhttp_request *req);
void admin_config(struct admin *a, struct evhttp_request *req);
void admin_reload(struct admin *a, struct evhttp_request *req);
void admin_faults_off(struct admin *a, struct evhttp_request *req);
void admin_faults_on(struct admin *a, struct evhttp_request *req);
void admin_traces(struct admin *a, struct evhttp_request *req);
void admin_ledger(struct admin *a, struct evhttp_request *req);
void admin_metrics(struct admin *a, struct evhttp_request *req);

#endif
