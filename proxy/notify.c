#include "proxy/notify.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TEXT_MAX = 512 };

/* A path, or with "@" a name in the abstract namespace. False: there is nobody to tell. */
static bool find_manager(struct sockaddr_un *sa, socklen_t *len)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t n = name ? strlen(name) : 0;

    if (n < 2 || n >= sizeof(sa->sun_path) || (name[0] != '/' && name[0] != '@'))
        return false;
    *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(sa->sun_path, name, n);
    if (name[0] == '@')
        sa->sun_path[0] = '\0';
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return true;
}

static void send_to(const struct sockaddr_un *sa, socklen_t len, const char *text)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return;
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)sa, len);
    close(fd);
}

void notify_manager(const char *state, const char *status, ...)
{
    char text[TEXT_MAX];
    struct sockaddr_un sa;
    socklen_t len;
    va_list args;

    if (!find_manager(&sa, &len))
        return;
    int n = snprintf(text, sizeof(text), "%s%sSTATUS=", state ? state : "", state ? "=1\n" : "");
    va_start(args, status);
    vsnprintf(text + n, sizeof(text) - (size_t)n, status, args);
    va_end(args);
    /* A second line would be an assignment of its own. */
    for (char *p = text + n; *p; p++) {
        if (*p == '\n')
            *p = ' ';
    }
    send_to(&sa, len, text);
}
