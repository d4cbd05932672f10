#include "proxy/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/authority.h"
#include "proxy/admin_private.h"
#include "proxy/listener.h"
#include "proxy/process.h"

static void answer_index(struct admin *a, struct evhttp_request *req);

static const struct admin_page pages[] = {
    {"/", EVHTTP_REQ_GET, answer_index, "this list"},
    {"/healthz", EVHTTP_REQ_GET, admin_healthz, "200 while the process runs"},
    {"/readyz", EVHTTP_REQ_GET, admin_readyz,
     "200 when requests are served, else 503 with the reasons"},
    {"/config", EVHTTP_REQ_GET, admin_config,
     "the configuration in force, with its hash; ?format=text|json"},
    {"/traces", EVHTTP_REQ_GET, admin_traces,
     "spans kept in memory, OTLP JSON; ?trace_id=HEX&limit=SPANS"},
    {"/ledger", EVHTTP_REQ_GET, admin_ledger, "what became of every span, by exporter"},
    {"/metrics", EVHTTP_REQ_GET, admin_metrics, "Prometheus text format"},
    {"/reload", EVHTTP_REQ_POST, admin_reload, "read the configuration again"},
    {"/faults/off", EVHTTP_REQ_POST, admin_faults_off, "silence all injected faults at once"},
    {"/faults/on", EVHTTP_REQ_POST, admin_faults_on, "let them strike again"},
};
enum { PAGES = sizeof(pages) / sizeof(pages[0]) };

static void answer_index(struct admin *a, struct evhttp_request *req)
{
    struct buffer out;

    (void)a;
    buffer_init(&out, 0);
    for (size_t i = 0; i < PAGES; i++)
        buffer_printf(&out, "%-4s %-11s %s\n", pages[i].method == EVHTTP_REQ_POST ? "POST" : "GET",
                      pages[i].path, pages[i].help);
    admin_answer(req, 200, "text/plain; charset=utf-8", &out);
}

/* ---- who may ask ---- */

static bool is_own_host(struct str authority)
{
    struct address ip;
    struct str host = authority_split(authority).host;

    return str_eq_nocase(host, STR("localhost")) || address_parse_ip(host, &ip);
}

/* Host as it came, or that of an absolute target, which would count instead. */
static bool host_allowed(const struct admin *a, struct evhttp_request *req)
{
    const char *header = evhttp_find_header(evhttp_request_get_input_headers(req), "Host");
    const char *target = evhttp_uri_get_host(evhttp_request_get_evhttp_uri(req));

    return !a->loopback || ((!header || is_own_host(str_from(header))) &&
                            (!target || is_own_host(str_from(target))));
}

/* A page of another origin may send a POST without being able to read the answer; and of a GET it
 * may read more than it should where somebody has allowed it. A browser says where a request comes
 * from: "none" is a person who typed the address (Fetch Metadata). */
static bool origin_allowed(struct evhttp_request *req)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
    const char *site = evhttp_find_header(headers, "Sec-Fetch-Site");
    struct str origin = str_from(evhttp_find_header(headers, "Origin"));
    struct str host = str_from(evhttp_find_header(headers, "Host"));
    struct str scheme = STR("http://");

    if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return false;
    if (origin.n == 0)
        return true;
    return str_starts(origin, scheme) && str_eq_nocase(str_slice(origin, scheme.n, origin.n), host);
}

/* ---- which page ---- */

static const struct admin_page *find_page(const char *path)
{
    for (size_t i = 0; i < PAGES; i++)
        if (strcmp(pages[i].path, path) == 0)
            return &pages[i];
    return NULL;
}

static void on_request(struct evhttp_request *req, void *arg)
{
    struct admin *a = arg;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
    const struct admin_page *page = find_page(path && *path ? path : "/");
    enum evhttp_cmd_type method = evhttp_request_get_command(req);

    if (method == EVHTTP_REQ_HEAD)
        method = EVHTTP_REQ_GET;
    if (!host_allowed(a, req)) {
        admin_answer_text(req, 403,
                          "On a loopback address the admin port answers only to an IP "
                          "address or localhost as Host");
    } else if (!page) {
        admin_answer_text(req, 404, "There is no such page; GET / lists them");
    } else if (page->method != method) {
        const char *allowed = page->method == EVHTTP_REQ_POST ? "POST" : "GET, HEAD";
        evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", allowed);
        admin_answer_text(req, 405, "%s takes %s", page->path, allowed);
    } else if (!origin_allowed(req)) {
        admin_answer_text(req, 403, "A page of another origin may not do this");
    } else {
        process_use_spare_descriptors(true); /* a page may read files */
        page->answer(a, req);
        process_use_spare_descriptors(false);
    }
}

/* ---- the socket ---- */

/* Nobody answers on it any more: a file that was left behind. */
static void remove_stale_socket(const struct sockaddr_storage *sa, socklen_t len, const char *path)
{
    struct stat st;
    int fd;

    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)sa, len) != 0 && errno == ECONNREFUSED)
        unlink(path);
    if (fd >= 0)
        close(fd);
}

static bool bind_socket(int fd, const struct address *address)
{
    struct sockaddr_storage sa;
    socklen_t len;
    int on = 1, off = 0;

    if (!address_to_sockaddr(address, &sa, &len)) {
        errno = EAFNOSUPPORT;
        return false;
    }
    if (address->family == AF_UNIX) {
        remove_stale_socket(&sa, len, address->path);
        mode_t was = umask(0177);
        int result = bind(fd, (struct sockaddr *)&sa, len);
        umask(was);
        return result == 0;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    return bind(fd, (struct sockaddr *)&sa, len) == 0;
}

/* -1: err says why. */
static int listen_on(const struct address *address, struct address *bound, struct error *err)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    char text[ADDRESS_TEXT_MAX];
    int fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || !bind_socket(fd, address) || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) != 0) {
        address_format(address, text);
        error_set(err, "admin %s: %s%s", text, listen_error_text(address, errno),
                  errno == EADDRINUSE ? "; perhaps another sidecar: give each an address of its "
                                        "own, as admin 127.0.0.1:15100"
                                      : "");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *bound = *address;
    if (address->family != AF_UNIX)
        address_from_sockaddr((struct sockaddr *)&sa, len, bound);
    return fd;
}

/* ---- the whole ---- */

static bool serve(struct admin *a, struct event_base *base, int fd)
{
    a->http = evhttp_new(base);
    struct evhttp_bound_socket *bound =
        a->http ? evhttp_accept_socket_with_handle(a->http, fd) : NULL;
    if (!bound) {
        close(fd);
        return false;
    }
    a->bound = bound;
    a->door = admin_door_new(base, a->http, bound);
    evhttp_set_max_headers_size(a->http, ADMIN_HEADER_BYTES_MAX);
    evhttp_set_max_body_size(a->http, ADMIN_BODY_BYTES_MAX);
    evhttp_set_timeout(a->http, ADMIN_TIMEOUT_SECONDS);
    evhttp_set_allowed_methods(a->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                            EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                            EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(a->http, on_request, a);
    return a->door != NULL;
}

struct admin *admin_open(struct event_base *base, const struct address *address,
                         const struct admin_ops *ops, void *arg, struct error *err)
{
    struct admin *a = calloc(1, sizeof(*a));

    if (!a) {
        error_set(err, "no memory for the admin port");
        return NULL;
    }
    a->ops = ops;
    a->arg = arg;
    a->loopback = address_is_loopback(address);
    int fd = listen_on(address, &a->address, err);
    if (a->address.family == AF_UNIX)
        a->address.path = strdup(address->path);
    if (fd < 0 || !serve(a, base, fd)) {
        error_set(err, "no memory for the admin port");
        admin_free(a);
        return NULL;
    }
    return a;
}

void admin_close(struct admin *a)
{
    if (!a->bound)
        return;
    admin_door_close(a->door);
    evhttp_del_accept_socket(a->http, a->bound);
    a->bound = NULL;
    if (a->address.family == AF_UNIX)
        unlink(a->address.path);
}

void admin_free(struct admin *a)
{
    if (!a)
        return;
    if (a->door)
        admin_close(a);
    admin_door_free(a->door);
    if (a->http)
        evhttp_free(a->http);
    if (a->address.family == AF_UNIX)
        free((void *)(uintptr_t)a->address.path);
    free(a);
}

const struct address *admin_address(const struct admin *a)
{
    return &a->address;
}
