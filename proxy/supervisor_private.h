/*
 * What the supervisor's files share. All of it is of the main thread.
 */
#ifndef SIDESPAN_PROXY_SUPERVISOR_PRIVATE_H
#define SIDESPAN_PROXY_SUPERVISOR_PRIVATE_H

#include "proxy/admin.h"
#include "proxy/config_watch.h"
#include "proxy/drain.h"
#include "proxy/endpoints.h"
#include "proxy/fleet.h"
#include "proxy/signals.h"
#include "proxy/supervisor.h"

/* What became of the attempts to bring a new configuration into force. */
struct reloads {
    uint64_t changed, unchanged, refused;
    bool last_ok;
    nsec_t last_good; /* wall clock */
};

struct supervisor {
    struct supervisor_options options;
    struct event_base *base;
    struct config *config; /* in force; a reference */
    struct sampler sampler;
    struct telemetry *telemetry;
    struct resolver *resolver;
    struct endpoints *endpoints;
    struct listen_sockets *sockets; /* a reference */
    struct fleet *fleet;
    struct admin *admin; /* NULL: the file has none */
    struct list retired; /* admin ports that were replaced: they may be answering still */
    struct config_watch *watch;
    struct signals *signals;
    struct drain *drain; /* NULL: not yet */
    struct event *names; /* how long the names of the first file are waited for; NULL: no longer */
    bool ready;          /* they are known, or have failed, or took too long */
    struct reloads reloads;
    struct event *memory; /* looks at it, while there is a limit; NULL: no memory for that */
    nsec_t trim_due;      /* when idle memory is given back again, if it is short still */
    nsec_t trim_pause;    /* that long after; 0: it is not short */
};

/* supervisor_reload.c */

/* A new configuration comes into force, and *text says what changed; or all stays as it is: false,
 * and *text says why. The log says the same. text is empty before. */
bool supervisor_reload(struct supervisor *s, bool *changed, struct buffer *text);
/* From now on changes of the files of s->config are seen. */
void supervisor_watch(struct supervisor *s);

/* supervisor_memory.c */

/* limits.memory of s->config is in force from now on. */
void supervisor_memory(struct supervisor *s);

/* supervisor_admin.c */

/* On where the config says; NULL without an error where it says none. */
struct admin *supervisor_open_admin(struct supervisor *s, const struct config *config,
                                    struct error *err);
/* Ends it a moment later, as the request being answered may be one of its own. Taken; NULL is fine.
 */
void supervisor_retire_admin(struct supervisor *s, struct admin *admin);
void supervisor_free_retired(struct supervisor *s);

#endif
