/*
 * Tells when the files of the configuration change (inotify(7)), also through a
 * symbolic link anywhere on the way to them that is swapped, as Kubernetes does
 * with a mounted ConfigMap.
 */
#ifndef SIDESPAN_PROXY_CONFIG_WATCH_H
#define SIDESPAN_PROXY_CONFIG_WATCH_H

#include <event2/event.h>
#include <stdbool.h>

#include "base/str.h"

struct config_watch;

/* changed is called from the loop once 200 ms have passed without a further change (2 s at most);
 * it may call config_watch_follow(). NULL: no memory. */
struct config_watch *config_watch_new(struct event_base *base, void (*changed)(void *arg),
                                      void *arg);
void config_watch_free(struct config_watch *w); /* NULL is fine */
/* From now on these: paths, and patterns for file names ("conf.d/" then "*.conf"). Copies. False:
 * the system gives no watch (errno); changes go unseen then. */
bool config_watch_follow(struct config_watch *w, const struct str *files, size_t n);

#endif
