/*
 * sidespan healthcheck: GET /readyz of a running sidecar, for a container that
 * has nothing else in it to ask with.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "mesh/config.h"
#include "mesh/value.h"
#include "proxy/commands.h"

enum { PATIENCE_SECONDS = 3, ANSWER_BYTES_MAX = 64 * 1024 };

/* Where one listens on every address, loopback is one of them. */
static void reach_any_address(struct address *a)
{
    static const uint8_t any[16];

    if ((a->family == AF_INET || a->family == AF_INET6) && memcmp(a->ip, any, 16) == 0)
        *a = (struct address){.family = AF_INET, .port = a->port, .ip = {127, 0, 0, 1}};
}

static bool read_address(const char *text, struct arena *arena, struct address *out,
                         struct error *err)
{
    struct location location;

    if (!value_location(str_from(text), ADDRESS_TO_REACH, arena, &location, err))
        return false;
    if (str_eq_nocase(location.name, STR("localhost")))
        location.address = (struct address){
            .family = AF_INET, .port = location.address.port, .ip = {127, 0, 0, 1}};
    else if (location.name.n > 0)
        return error_set(err, "\"%s\": an IP address, localhost or unix:/path is needed", text);
    *out = location.address;
    reach_any_address(out);
    return true;
}

/* -1: errno. */
static int reach(const struct address *a)
{
    struct sockaddr_storage sa;
    socklen_t len;
    struct timeval patience = {PATIENCE_SECONDS, 0};
    int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (!address_to_sockaddr(a, &sa, &len) || connect(fd, (struct sockaddr *)&sa, len) != 0) {
        int error = errno == EINPROGRESS ? ETIMEDOUT : errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* The whole answer; -1: errno. */
static ssize_t talk(int fd, char *answer, size_t size)
{
    static const char request[] =
        "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    size_t have = 0;

    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
        return -1;
    while (have < size) {
        ssize_t n = recv(fd, answer + have, size - have, 0);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

static int judge(struct str answer)
{
    struct str ok = STR("HTTP/1.1 200 ");
    const char *body = memmem(answer.p, answer.n, "\r\n\r\n", 4);

    if (str_starts(answer, ok))
        return EXIT_OK;
    if (!str_starts(answer, STR("HTTP/1.")) || !body)
        fputs("sidespan: what answered is no admin port\n", stderr);
    else
        fprintf(stderr, "%.*s", (int)(answer.p + answer.n - (body + 4)), body + 4);
    return EXIT_FAILED;
}

static int ask(const struct address *address, const char *text)
{
    char answer[ANSWER_BYTES_MAX];
    int fd = reach(address);
    ssize_t n = fd >= 0 ? talk(fd, answer, sizeof(answer)) : -1;

    if (n < 0)
        fprintf(stderr, "sidespan: %s: %s\n", text, strerror(errno == EAGAIN ? ETIMEDOUT : errno));
    if (fd >= 0)
        close(fd);
    return n < 0 ? EXIT_FAILED : judge(str_of(answer, (size_t)n));
}

/* Where the sidecar that runs with this file answers. */
static int ask_by_config(const char *path)
{
    struct errors errors = {0};
    char text[ADDRESS_TEXT_MAX];
    int status = EXIT_FAILED;
    struct config *c = config_load(path, NULL, &errors);

    if (!c) {
        command_print_errors(&errors);
    } else if (!c->admin.on) {
        fprintf(stderr, "sidespan: %s says \"admin off\", so there is nothing to ask\n", path);
    } else {
        struct address address = c->admin.location.address;
        reach_any_address(&address);
        address_format(&address, text);
        status = ask(&address, text);
    }
    config_unref(c);
    errors_release(&errors);
    return status;
}

static int ask_by_address(const char *text)
{
    struct address address;
    struct arena arena;
    struct error err = {0};

    arena_init(&arena, 0, 0);
    int status = read_address(text, &arena, &address, &err) ? ask(&address, text)
                                                            : usage_error("%s", err.text);
    arena_release(&arena);
    return status;
}

int command_healthcheck(int argc, char **argv)
{
    static const struct option options[] = {
        {"admin", required_argument, NULL, 'a'}, {"config", required_argument, NULL, 'c'}, {0}};
    const char *address = NULL, *config = NULL;
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, ":a:c:", options, NULL)) != -1) {
        if (c != 'a' && c != 'c')
            return usage_option_error(argv, options, c);
        *(c == 'a' ? &address : &config) = optarg;
    }
    if (optind < argc && !address)
        address = argv[optind++];
    if (optind < argc || (address && config))
        return usage_error("healthcheck takes one ADDRESS, or --config FILE");
    return config ? ask_by_config(config) : ask_by_address(address ? address : "127.0.0.1:15000");
}
