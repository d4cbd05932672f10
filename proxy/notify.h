/*
 * What the sidecar tells the service manager that started it (systemd, Type=notify): sd_notify(3),
 * which is a datagram to the socket that NOTIFY_SOCKET names, and no reason to need a library.
 */
#ifndef SIDESPAN_PROXY_NOTIFY_H
#define SIDESPAN_PROXY_NOTIFY_H

/* Sends "STATE=1" (READY, STOPPING; NULL: none) and the status, a line of text that systemctl
 * status shows. Does nothing where no manager asked to be told, and never waits: one that does not
 * read misses it. */
void notify_manager(const char *state, const char *status, ...)
    __attribute__((format(printf, 2, 3)));

#endif
