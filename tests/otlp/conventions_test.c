#include "otlp/conventions.h"

#include "described.h"
#include "example_span.h"
#include "test_main.h"

/* Takes a text of the example span away. */
static const char none[] = "none";

enum { DEFAULT = 0, NO_STATUS = -1 };

/* One change or a few to the example span, and one attribute that tells. */
static const struct row {
    enum span_kind kind;
    struct {
        enum span_text id;
        const char *value;
    } set[4];
    const char *key, *want; /* want NULL: it is not there */
    const char *peer;       /* address of the peer, "unix", or none */
    const char *endpoint;
    int status, http_version;
    enum span_error error;
    unsigned resend_count;
    uint64_t request_bytes;
} rows[] = {
#define SERVER          .kind = SPAN_SERVER
#define CLIENT          .kind = SPAN_CLIENT
#define SET(...)        .set = {__VA_ARGS__}
#define IS(name, value) .key = (name), .want = (value)
#define ABSENT(name)    .key = (name)
    /* http.request.method */
    {SERVER, IS("http.request.method", "GET")},
    {SERVER, ABSENT("http.request.method_original")},
    {SERVER, SET({SPAN_METHOD, "QUERY"}), IS("http.request.method", "QUERY")},
    {SERVER, SET({SPAN_METHOD, "CONNECT"}), IS("http.request.method", "CONNECT")},
    {SERVER, SET({SPAN_METHOD, "get"}), IS("http.request.method", "_OTHER")},
    {SERVER, SET({SPAN_METHOD, "get"}), IS("http.request.method_original", "get")},
    {CLIENT, SET({SPAN_METHOD, "PURGE"}), IS("http.request.method", "_OTHER")},
    {CLIENT, SET({SPAN_METHOD, "PURGE"}), IS("http.request.method_original", "PURGE")},
    {SERVER, SET({SPAN_METHOD, none}), IS("http.request.method", "_OTHER")},
    {SERVER, SET({SPAN_METHOD, none}), ABSENT("http.request.method_original")},

    /* url.scheme: the original one where it is known */
    {SERVER, IS("url.scheme", "http")},
    {SERVER, SET({SPAN_FORWARDED_PROTO, "https"}), IS("url.scheme", "https")},
    {CLIENT, ABSENT("url.scheme")},

    /* url.path, url.query */
    {SERVER, IS("url.path", "/api/users/7")},
    {SERVER, SET({SPAN_PATH, "/a#b"}), IS("url.path", "/a")},
    {SERVER, SET({SPAN_PATH, "/\xff"}), IS("url.path", "/\xef\xbf\xbd")},
    {CLIENT, ABSENT("url.path")},
    {SERVER, IS("url.query", "a=1")},
    {SERVER, SET({SPAN_QUERY, none}), ABSENT("url.query")},
    {SERVER, SET({SPAN_QUERY, ""}), ABSENT("url.query")},
    {SERVER, SET({SPAN_QUERY, "a=1#b"}), IS("url.query", "a=1")},
    {CLIENT, ABSENT("url.query")},

    /* redaction: names as they are written, keys and order kept */
    {SERVER, SET({SPAN_QUERY, "sig=abc"}), IS("url.query", "sig=REDACTED")},
    {SERVER, SET({SPAN_QUERY, "a=1&sig=abc&b=2"}), IS("url.query", "a=1&sig=REDACTED&b=2")},
    {SERVER, SET({SPAN_QUERY, "Sig=abc"}), IS("url.query", "Sig=abc")},
    {SERVER, SET({SPAN_QUERY, "sig"}), IS("url.query", "sig")},
    {SERVER, SET({SPAN_QUERY, "xsig=1&sigx=2"}), IS("url.query", "xsig=1&sigx=2")},
    {SERVER, SET({SPAN_QUERY, "sig=a=b"}), IS("url.query", "sig=REDACTED")},
    {SERVER, SET({SPAN_QUERY, "&&sig=&"}), IS("url.query", "&&sig=REDACTED&")},
    {SERVER, SET({SPAN_QUERY, "X-Amz-Signature=1&X-Amz-Credential=2&X-Amz-Security-Token=3"}),
     IS("url.query",
        "X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED")},
    {SERVER, SET({SPAN_QUERY, "AWSAccessKeyId=1&Signature=2&X-Goog-Signature=3"}),
     IS("url.query", "AWSAccessKeyId=REDACTED&Signature=REDACTED&X-Goog-Signature=REDACTED")},
    {SERVER, SET({SPAN_QUERY, "token=1&Token=2"}), IS("url.query", "token=REDACTED&Token=2")},
    {CLIENT, SET({SPAN_QUERY, "a=1&sig=abc"}),
     IS("url.full", "http://users.shop.local:8080/api/users/7?a=1&sig=REDACTED")},
    {CLIENT, SET({SPAN_QUERY, "token=\xff"}),
     IS("url.full", "http://users.shop.local:8080/api/users/7?token=REDACTED")},

    /* url.full */
    {CLIENT, IS("url.full", "http://users.shop.local:8080/api/users/7?a=1")},
    {CLIENT, SET({SPAN_QUERY, none}), IS("url.full", "http://users.shop.local:8080/api/users/7")},
    {CLIENT, SET({SPAN_QUERY, ""}), IS("url.full", "http://users.shop.local:8080/api/users/7?")},
    {CLIENT, SET({SPAN_SCHEME, "https"}, {SPAN_QUERY, none}),
     IS("url.full", "https://users.shop.local:8080/api/users/7")},
    {CLIENT, SET({SPAN_PATH, "/a#b"}, {SPAN_QUERY, "c#d"}),
     IS("url.full", "http://users.shop.local:8080/a?c")},
    {CLIENT, SET({SPAN_AUTHORITY, "me:secret@host"}, {SPAN_QUERY, none}),
     IS("url.full", "http://REDACTED:REDACTED@host/api/users/7")},
    {CLIENT, SET({SPAN_AUTHORITY, "me@host"}, {SPAN_QUERY, none}),
     IS("url.full", "http://REDACTED:REDACTED@host/api/users/7")},
    {CLIENT, SET({SPAN_AUTHORITY, none}, {SPAN_QUERY, none}),
     IS("url.full", "http://10.0.0.9:40000/api/users/7")},
    {CLIENT, SET({SPAN_METHOD, "OPTIONS"}, {SPAN_PATH, "*"}, {SPAN_QUERY, none}),
     IS("url.full", "http://users.shop.local:8080")},
    {CLIENT, SET({SPAN_PATH, "/\xc3\x28"}, {SPAN_QUERY, none}),
     IS("url.full", "http://users.shop.local:8080/\xef\xbf\xbd(")},
    {SERVER, ABSENT("url.full")},

    /* server.address and server.port */
    {SERVER, IS("server.address", "users.shop.local")},
    {SERVER, IS("server.port", "int 8080")},
    {SERVER, SET({SPAN_AUTHORITY, "shop"}), IS("server.port", "int 80")},
    {SERVER, SET({SPAN_AUTHORITY, "shop"}, {SPAN_FORWARDED_PROTO, "https"}),
     IS("server.port", "int 443")},
    {SERVER, SET({SPAN_FORWARDED_HOST, "public.example"}), IS("server.address", "public.example")},
    {SERVER, SET({SPAN_FORWARDED_HOST, "public.example:444"}), IS("server.port", "int 444")},
    {SERVER, SET({SPAN_AUTHORITY, "[::1]:9"}), IS("server.address", "::1")},
    {SERVER, SET({SPAN_AUTHORITY, "[::1]:9"}), IS("server.port", "int 9")},
    {SERVER, SET({SPAN_AUTHORITY, "[::1]"}), IS("server.address", "::1")},
    {SERVER, SET({SPAN_AUTHORITY, "[::1"}), IS("server.address", "::1")},
    {SERVER, SET({SPAN_AUTHORITY, "host:"}), IS("server.port", "int 80")},
    {SERVER, SET({SPAN_AUTHORITY, "host:99999"}), IS("server.port", "int 80")},
    {SERVER, SET({SPAN_AUTHORITY, "host:0"}), IS("server.port", "int 80")},
    {SERVER, SET({SPAN_AUTHORITY, "u:p@host:81"}), IS("server.address", "host")},
    {SERVER, SET({SPAN_AUTHORITY, "u:p@host:81"}), IS("server.port", "int 81")},
    {SERVER, SET({SPAN_AUTHORITY, none}), ABSENT("server.address")},
    {SERVER, SET({SPAN_AUTHORITY, none}), ABSENT("server.port")},
    {CLIENT, IS("server.address", "users.shop.local")},
    {CLIENT, IS("server.port", "int 8080")},
    {CLIENT, SET({SPAN_AUTHORITY, "shop"}, {SPAN_SCHEME, "https"}), IS("server.port", "int 443")},
    {CLIENT, SET({SPAN_AUTHORITY, none}), IS("server.address", "10.0.0.9")},
    {CLIENT, SET({SPAN_AUTHORITY, none}), IS("server.port", "int 40000")},

    /* client.address */
    {SERVER, IS("client.address", "10.0.0.9")},
    {SERVER, SET({SPAN_FORWARDED_FOR, "192.0.2.1"}), IS("client.address", "192.0.2.1")},
    {SERVER, SET({SPAN_FORWARDED_FOR, "192.0.2.1:55"}), IS("client.address", "192.0.2.1")},
    {SERVER, SET({SPAN_FORWARDED_FOR, "2001:db8::1"}), IS("client.address", "2001:db8::1")},
    {SERVER, SET({SPAN_FORWARDED_FOR, "[2001:db8::1]:55"}), IS("client.address", "2001:db8::1")},
    {SERVER, SET({SPAN_FORWARDED_FOR, "[2001:db8::1]"}), IS("client.address", "2001:db8::1")},
    {SERVER, SET({SPAN_FORWARDED_FOR, "unknown"}), IS("client.address", "10.0.0.9")},
    {SERVER, SET({SPAN_FORWARDED_FOR, "_gazonk"}), IS("client.address", "10.0.0.9")},
    {CLIENT, ABSENT("client.address")},

    /* network.peer.* and what is said of the connection */
    {SERVER, IS("network.peer.address", "10.0.0.9")},
    {SERVER, IS("network.peer.port", "int 40000")},
    {CLIENT, .peer = "::1", IS("network.peer.address", "::1")},
    {CLIENT, .peer = "unix", IS("network.peer.address", "/run/app.sock")},
    {CLIENT, .peer = "unix", ABSENT("network.peer.port")},
    {CLIENT, .peer = "unix", IS("network.transport", "unix")},
    {CLIENT, .peer = none, ABSENT("network.peer.address")},
    {CLIENT, .peer = none, ABSENT("network.peer.port")},
    {SERVER, ABSENT("network.transport")},
    {SERVER, IS("network.protocol.version", "1.1")},
    {SERVER, .http_version = 10, IS("network.protocol.version", "1.0")},
    {CLIENT, .http_version = 20, IS("network.protocol.version", "2")},
    {CLIENT, .http_version = 30, IS("network.protocol.version", "3")},
    {SERVER, .http_version = 99, ABSENT("network.protocol.version")},
    {SERVER, ABSENT("network.protocol.name")},

    /* what is known of the request and its response */
    {SERVER, IS("http.response.status_code", "int 200")},
    {CLIENT, IS("http.response.status_code", "int 200")},
    {CLIENT, .status = NO_STATUS, ABSENT("http.response.status_code")},
    {SERVER, IS("http.route", "/api/users/{id}")},
    {SERVER, SET({SPAN_ROUTE, none}), ABSENT("http.route")},
    {CLIENT, ABSENT("http.route")},
    {CLIENT, IS("url.template", "/api/users/{id}")},
    {SERVER, ABSENT("url.template")},
    {SERVER, IS("user_agent.original", "curl/8.0")},
    {SERVER, SET({SPAN_USER_AGENT, none}), ABSENT("user_agent.original")},
    {CLIENT, ABSENT("user_agent.original")},
    {SERVER, ABSENT("http.request.body.size")},
    {SERVER, .request_bytes = 7, IS("http.request.body.size", "int 7")},
    {SERVER, IS("http.response.body.size", "int 128")},
    {CLIENT, .status = NO_STATUS, ABSENT("http.response.body.size")},
    {CLIENT, ABSENT("http.request.resend_count")},
    {CLIENT, .resend_count = 2, IS("http.request.resend_count", "int 2")},

    /* the rest is ours */
    {CLIENT, IS("sidespan.cluster", "users-v1")},
    {CLIENT, IS("sidespan.pooled", "bool false")},
    {SERVER, .endpoint = "127.0.0.1", IS("sidespan.endpoint", "127.0.0.1:3000")},
    {SERVER, .endpoint = "::1", IS("sidespan.endpoint", "[::1]:3000")},
    {SERVER, .endpoint = "127.0.0.1", IS("client.address", "10.0.0.9")},
    {SERVER, ABSENT("sidespan.endpoint")},
    {CLIENT, ABSENT("sidespan.endpoint")},
    {SERVER, ABSENT("sidespan.pooled")},
    {SERVER, ABSENT("sidespan.invalid_parent")},
    {SERVER, ABSENT("sidespan.weight")},
    {SERVER, SET({SPAN_FAULT, "delay 2s for 10%"}), IS("sidespan.fault", "delay 2s for 10%")},
    {SERVER, ABSENT("sidespan.ended_by")},
    {SERVER, .error = SPAN_ERROR_RESET, IS("sidespan.ended_by", "upstream")},
    {SERVER, .error = SPAN_ERROR_RESET, ABSENT("sidespan.rule")},
    {CLIENT, .error = SPAN_ERROR_CANCELLED, IS("sidespan.ended_by", "client")},
    {SERVER, .error = SPAN_ERROR_IDLE, IS("sidespan.ended_by", "sidecar")},
    {SERVER, .error = SPAN_ERROR_IDLE, IS("sidespan.rule", "idle")},
    {SERVER, .error = SPAN_ERROR_IDLE, ABSENT("sidespan.refusal")},
    {SERVER, .error = SPAN_ERROR_OVERLOAD, SET({SPAN_RULE, "pool-max"}),
     IS("sidespan.rule", "pool-max")},
    {SERVER, .error = SPAN_ERROR_REQUEST, SET({SPAN_RULE, "bare-lf"}),
     IS("sidespan.rule", "bare-lf")},
    {SERVER, .error = SPAN_ERROR_REQUEST, SET({SPAN_RULE, "bare-lf"}),
     IS("sidespan.refusal", "bare-lf")},
};

static void set_peer(struct span *s, const char *peer)
{
    if (peer == none)
        s->peer = (struct address){0};
    else if (strcmp(peer, "unix") == 0)
        s->peer = (struct address){.family = AF_UNIX, .path = "/run/app.sock"};
    else
        example_address(&s->peer, peer, 40000);
}

static void span_of(const struct row *row, struct span *s)
{
    example_span(s, row->kind);
    for (int i = 0; i < 4 && row->set[i].value; i++)
        s->text[row->set[i].id] =
            row->set[i].value == none ? (struct str){0} : str_from(row->set[i].value);
    if (row->peer)
        set_peer(s, row->peer);
    if (row->endpoint)
        example_address(&s->endpoint, row->endpoint, 3000);
    if (row->status != DEFAULT)
        s->status = row->status == NO_STATUS ? 0 : (uint16_t)row->status;
    if (row->http_version)
        s->http_version = (uint8_t)row->http_version;
    s->error = (uint8_t)row->error;
    s->resend_count = (uint16_t)row->resend_count;
    s->request_bytes = row->request_bytes;
}

static void describe(const struct span *s)
{
    static const struct str redact[] = {STR_INIT("token")};

    describe_as(s, &(struct conventions){.redact_query = redact, .n_redact_query = 1});
}

START_TEST(attributes_are_those_of_the_conventions)
{
    const struct row *row = &rows[_i];
    struct span s;

    span_of(row, &s);
    describe(&s);
    check_value(row->key, row->want);
}
END_TEST

static const struct name_row {
    enum span_kind kind;
    const char *method, *route, *name;
} name_rows[] = {
    {SPAN_SERVER, "GET", "/api/users/{id}", "GET /api/users/{id}"},
    {SPAN_CLIENT, "POST", "/api", "POST /api"},
    {SPAN_SERVER, "GET", "", "GET"},
    {SPAN_SERVER, "PURGE", "/cache", "HTTP /cache"},
    {SPAN_CLIENT, "PURGE", "", "HTTP"},
    {SPAN_SERVER, "", "", "HTTP"},
};

START_TEST(a_name_is_made_of_the_method_and_the_template)
{
    const struct name_row *row = &name_rows[_i];
    struct span s;

    example_span(&s, row->kind);
    s.text[SPAN_METHOD] = str_from(row->method);
    s.text[SPAN_ROUTE] = str_from(row->route);
    describe(&s);
    ck_assert_text(described.name, row->name);
}
END_TEST

/* status 0: none came. type NULL: no error.type. */
static const struct outcome_row {
    enum span_kind kind;
    unsigned status;
    enum span_error error;
    enum span_status is;
    const char *type;
    bool described;
} outcome_rows[] = {
    {SPAN_SERVER, 101, SPAN_ERROR_NONE, STATUS_UNSET, NULL, false},
    {SPAN_SERVER, 200, SPAN_ERROR_NONE, STATUS_UNSET, NULL, false},
    {SPAN_SERVER, 304, SPAN_ERROR_NONE, STATUS_UNSET, NULL, false},
    {SPAN_SERVER, 400, SPAN_ERROR_NONE, STATUS_UNSET, NULL, false},
    {SPAN_SERVER, 499, SPAN_ERROR_NONE, STATUS_UNSET, NULL, false},
    {SPAN_SERVER, 500, SPAN_ERROR_NONE, STATUS_ERROR, "500", false},
    {SPAN_SERVER, 599, SPAN_ERROR_NONE, STATUS_ERROR, "599", false},
    {SPAN_SERVER, 700, SPAN_ERROR_NONE, STATUS_ERROR, "700", false},
    {SPAN_CLIENT, 101, SPAN_ERROR_NONE, STATUS_UNSET, NULL, false},
    {SPAN_CLIENT, 302, SPAN_ERROR_NONE, STATUS_UNSET, NULL, false},
    {SPAN_CLIENT, 400, SPAN_ERROR_NONE, STATUS_ERROR, "400", false},
    {SPAN_CLIENT, 404, SPAN_ERROR_NONE, STATUS_ERROR, "404", false},
    {SPAN_CLIENT, 503, SPAN_ERROR_NONE, STATUS_ERROR, "503", false},
    /* failures of the transport */
    {SPAN_CLIENT, 0, SPAN_ERROR_REFUSED, STATUS_ERROR, "connection_refused", true},
    {SPAN_CLIENT, 0, SPAN_ERROR_DNS, STATUS_ERROR, "dns_error", true},
    {SPAN_CLIENT, 200, SPAN_ERROR_RESET, STATUS_ERROR, "connection_reset", true},
    {SPAN_SERVER, 200, SPAN_ERROR_CLOSED_EARLY, STATUS_ERROR, "upstream_closed_early", true},
    /* answers that are our own: the word says more than the code, the code explains */
    {SPAN_SERVER, 504, SPAN_ERROR_TIMEOUT, STATUS_ERROR, "timeout", false},
    {SPAN_CLIENT, 503, SPAN_ERROR_FAULT, STATUS_ERROR, "fault_injected", false},
    {SPAN_SERVER, 400, SPAN_ERROR_REQUEST, STATUS_UNSET, "bad_request", false},
    {SPAN_CLIENT, 404, SPAN_ERROR_NO_ROUTE, STATUS_ERROR, "no_route", false},
    /* the caller gave up */
    {SPAN_CLIENT, 0, SPAN_ERROR_CANCELLED, STATUS_UNSET, NULL, false},
    {SPAN_CLIENT, 200, SPAN_ERROR_CANCELLED, STATUS_UNSET, NULL, false},
    {SPAN_CLIENT, 500, SPAN_ERROR_CANCELLED, STATUS_ERROR, "500", false},
    {SPAN_SERVER, 0, SPAN_ERROR_CANCELLED, STATUS_ERROR, "client_closed", true},
    /* or only stopped sending, and nothing came of it */
    {SPAN_SERVER, 408, SPAN_ERROR_HALF_CLOSED, STATUS_UNSET, "half_closed_timeout", false},
    {SPAN_SERVER, 200, SPAN_ERROR_HALF_CLOSED, STATUS_ERROR, "half_closed_timeout", true},
    {SPAN_CLIENT, 408, SPAN_ERROR_HALF_CLOSED, STATUS_ERROR, "half_closed_timeout", false},
};

START_TEST(status_and_error_type_follow_the_outcome)
{
    const struct outcome_row *row = &outcome_rows[_i];
    struct span s;

    example_span(&s, row->kind);
    s.status = (uint16_t)row->status;
    s.error = (uint8_t)row->error;
    describe(&s);
    ck_assert_int_eq(described.status, row->is);
    check_value("error.type", row->type);
    ck_assert_msg((described.status_message.n > 0) == row->described, "%.*s",
                  STR_ARG(described.status_message));
}
END_TEST

START_TEST(every_failure_without_a_code_is_explained)
{
    struct span s;

    for (int error = 1; error < SPAN_ERROR_COUNT; error++) {
        example_span(&s, SPAN_SERVER);
        s.status = 0;
        s.error = (uint8_t)error;
        describe(&s);
        ck_assert_msg(described.status_message.n > 0, "%s", span_error_text(s.error));
    }
}
END_TEST

START_TEST(the_rule_that_refused_is_the_description)
{
    struct span s;

    example_span(&s, SPAN_SERVER);
    s.status = 0;
    s.error = SPAN_ERROR_REQUEST;
    s.text[SPAN_RULE] = STR("content-length-repeated");
    describe(&s);
    ck_assert_text(described.status_message, "content-length-repeated");
}
END_TEST

START_TEST(the_way_taken_is_told)
{
    struct span s;

    example_span(&s, SPAN_CLIENT);
    s.weight = 90;
    s.total_weight = 100;
    s.pooled = true;
    s.invalid_parent = true;
    s.fault_delay = MILLISECONDS(1500);
    describe(&s);
    check_value("sidespan.weight", "int 90");
    check_value("sidespan.weight_total", "int 100");
    check_value("sidespan.pooled", "bool true");
    check_value("sidespan.invalid_parent", "bool true");
    check_value("sidespan.fault_delay", "1.5 s");
}
END_TEST

/* Milliseconds; -1: never. */
static const struct times_row {
    int phase[PHASE_COUNT]; /* head, fault, queue, connected, request, first byte */
    int duration;
    enum span_error error;
    int fault_delay;
    bool chosen;
    const char *head, *fault, *queue, *connect, *send, *first_byte, *body;
} times_rows[] = {
    {{1, -1, -1, 3, 4, 10},
     12,
     0,
     0,
     true,
     "0.001 s",
     0,
     0,
     "0.002 s",
     "0.001 s",
     "0.006 s",
     "0.002 s"},
    {{1, 101, 103, 104, 105, 110},
     120,
     0,
     100,
     true,
     "0.001 s",
     "0.1 s",
     "0.002 s",
     "0.001 s",
     "0.001 s",
     "0.005 s",
     "0.01 s"},
    /* parts that took no time are not there */
    {{0, -1, -1, 0, 0, 5}, 5, 0, 0, true, 0, 0, 0, 0, 0, "0.005 s", 0},
    /* the response began before the request was sent whole */
    {{1, -1, -1, 2, 9, 5}, 12, 0, 0, true, "0.001 s", 0, 0, "0.001 s", "0.007 s", 0, "0.003 s"},
    /* ends amid a part */
    {{-1, -1, -1, -1, -1, -1}, 9, SPAN_ERROR_IDLE, 0, false, "0.009 s", 0, 0, 0, 0, 0, 0},
    {{1, -1, -1, -1, -1, -1},
     11,
     SPAN_ERROR_CONNECT_TIMEOUT,
     0,
     true,
     "0.001 s",
     0,
     0,
     "0.01 s",
     0,
     0,
     0},
    {{1, -1, -1, -1, -1, -1},
     11,
     SPAN_ERROR_CANCELLED,
     100,
     true,
     "0.001 s",
     "0.01 s",
     0,
     0,
     0,
     0,
     0},
    {{1, 6, -1, -1, -1, -1},
     11,
     SPAN_ERROR_REFUSED,
     5,
     true,
     "0.001 s",
     "0.005 s",
     0,
     "0.005 s",
     0,
     0,
     0},
    {{1, 6, -1, -1, -1, -1}, 7, SPAN_ERROR_FAULT, 5, true, "0.001 s", "0.005 s", 0, 0, 0, 0, 0},
    {{1, -1, -1, -1, -1, -1}, 2, SPAN_ERROR_NO_ROUTE, 0, false, "0.001 s", 0, 0, 0, 0, 0, 0},
    {{1, -1, -1, 2, -1, -1},
     5,
     SPAN_ERROR_RESET,
     0,
     true,
     "0.001 s",
     0,
     0,
     "0.001 s",
     "0.003 s",
     0,
     0},
    {{1, -1, -1, 2, 3, -1},
     5,
     SPAN_ERROR_TIMEOUT,
     0,
     true,
     "0.001 s",
     0,
     0,
     "0.001 s",
     "0.001 s",
     "0.002 s",
     0},
};

START_TEST(the_parts_of_the_time_follow_each_other)
{
    const struct times_row *row = &times_rows[_i];
    struct span s;

    example_span(&s, SPAN_CLIENT);
    for (int i = 0; i < PHASE_COUNT; i++)
        s.phase[i] = row->phase[i] < 0 ? -1 : MILLISECONDS(row->phase[i]);
    s.duration = MILLISECONDS(row->duration);
    s.error = (uint8_t)row->error;
    s.fault_delay = MILLISECONDS(row->fault_delay);
    if (!row->chosen)
        s.text[SPAN_CLUSTER] = (struct str){0};
    describe(&s);
    check_value("sidespan.time.head", row->head);
    check_value("sidespan.time.fault", row->fault);
    check_value("sidespan.time.queue", row->queue);
    check_value("sidespan.time.connect", row->connect);
    check_value("sidespan.time.send", row->send);
    check_value("sidespan.time.first_byte", row->first_byte);
    check_value("sidespan.time.body", row->body);
}
END_TEST

START_TEST(captured_headers_are_arrays_of_all_their_values)
{
    struct span s;

    example_span(&s, SPAN_SERVER);
    span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, STR("accept"), STR("a/b"));
    span_add_extra(&s, &arena, EXTRA_RESPONSE_HEADER, STR("accept"), STR("other"));
    span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, STR("x-id"), STR("\xff"));
    span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, STR("accept"), STR("c/d"));
    describe(&s);
    check_value("http.request.header.accept", "[a/b][c/d]");
    check_value("http.response.header.accept", "[other]");
    check_value("http.request.header.x-id", "[\xef\xbf\xbd]");
}
END_TEST

START_TEST(what_the_configuration_says_wins_and_the_last_wins)
{
    struct span s;

    example_span(&s, SPAN_SERVER);
    span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, STR("team"), STR("one"));
    span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, STR("team"), STR("two"));
    span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, STR("server.port"), STR("said"));
    describe(&s);
    check_value("team", "two");
    check_value("server.port", "said");
}
END_TEST

START_TEST(there_is_room_for_all_that_a_span_can_have)
{
    static char keys[SPAN_EXTRAS_MAX][16];
    struct span s;

    example_span(&s, SPAN_CLIENT);
    s.peer = (struct address){.family = AF_UNIX, .path = "/run/app.sock"};
    s.text[SPAN_METHOD] = STR("PURGE");
    s.text[SPAN_FAULT] = s.text[SPAN_RULE] = STR("x");
    s.weight = s.total_weight = s.resend_count = 1;
    s.request_bytes = 1;
    s.fault_delay = 1;
    s.invalid_parent = true;
    s.error = SPAN_ERROR_REQUEST;
    for (int i = 0; i < PHASE_COUNT; i++)
        s.phase[i] = i + 1;
    for (int i = 0; i < SPAN_EXTRAS_MAX; i++) {
        int n = snprintf(keys[i], sizeof(keys[i]), "k%d", i);
        ck_assert(
            span_add_extra(&s, &arena, EXTRA_ATTRIBUTE, str_of(keys[i], (size_t)n), STR("v")));
    }
    describe(&s);
    check_value("k31", "v");
    ck_assert_uint_lt(described.n, ATTRIBUTES_MAX);
}
END_TEST

START_TEST(long_texts_of_bytes_that_are_no_characters_have_room)
{
    static char text[SPAN_TEXT_BYTES_MAX];
    struct span s;

    memset(text, 0xff, sizeof(text));
    example_span(&s, SPAN_CLIENT);
    for (int i = 0; i < SPAN_TEXT_COUNT; i++)
        s.text[i] = str_of(text, sizeof(text));
    for (int i = 0; i < SPAN_EXTRAS_MAX; i++)
        span_add_extra(&s, &arena, EXTRA_REQUEST_HEADER, str_of(text, (size_t)i + 1),
                       str_of(text, sizeof(text)));
    describe(&s);
    ck_assert_uint_eq(described.name.n, strlen("HTTP ") + 3 * sizeof(text));
    for (size_t i = 0; i < described.n; i++) {
        ck_assert(described.v[i].key.n > 0);
        if (described.v[i].type == ATTRIBUTE_STRINGS)
            ck_assert_uint_eq(described.v[i].value.strings.v[0].n, 3 * sizeof(text));
    }
    ck_assert_uint_ge(described.n, SPAN_EXTRAS_MAX + 8);

    s.kind = SPAN_SERVER;
    describe(&s);
    ck_assert_uint_eq(described.name.n, strlen("HTTP ") + 3 * sizeof(text));
}
END_TEST

/* A query all of whose values are redacted grows; it must have room too. */
START_TEST(a_query_that_grows_by_redaction_is_whole)
{
    static char query[SPAN_TEXT_BYTES_MAX];
    struct span s;
    size_t n = 0;

    while (n + 5 <= sizeof(query)) {
        memcpy(query + n, "sig=&", 5);
        n += 5;
    }
    example_span(&s, SPAN_SERVER);
    s.text[SPAN_QUERY] = str_of(query, n);
    describe(&s);
    for (size_t i = 0; i < described.n; i++)
        if (str_eq(described.v[i].key, STR("url.query")))
            ck_assert_uint_eq(described.v[i].value.string.n, n / 5 * 13);
}
END_TEST

START_TEST(a_tunnel_has_its_destination_and_its_bytes)
{
    struct span s;

    span_init(&s, SPAN_CLIENT, SPAN_TCP);
    example_address(&s.peer, "10.1.2.3", 6379);
    s.text[SPAN_AUTHORITY] = STR("10.9.9.9:6379");
    s.text[SPAN_SERVER_NAME] = STR("db.example");
    s.text[SPAN_CLUSTER] = STR("redis");
    s.request_bytes = 10;
    s.response_bytes = 20;
    s.phase[PHASE_CONNECTED] = MILLISECONDS(2);
    s.duration = SECONDS(5);
    describe(&s);
    ck_assert_text(described.name, "TCP");
    ck_assert_int_eq(described.status, STATUS_UNSET);
    check_value("network.transport", "tcp");
    check_value("network.peer.address", "10.1.2.3");
    check_value("network.peer.port", "int 6379");
    check_value("server.address", "10.9.9.9");
    check_value("server.port", "int 6379");
    check_value("tls.client.server_name", "db.example");
    check_value("sidespan.tunnel.received_bytes", "int 10");
    check_value("sidespan.tunnel.sent_bytes", "int 20");
    check_value("sidespan.cluster", "redis");
    check_value("sidespan.time.connect", "0.002 s");
    check_value("sidespan.time.send", NULL);
    check_value("http.request.method", NULL);

    s.text[SPAN_AUTHORITY] = (struct str){0};
    describe(&s);
    check_value("server.address", "db.example");
    s.text[SPAN_SERVER_NAME] = (struct str){0};
    describe(&s);
    check_value("server.address", "10.1.2.3");
    check_value("tls.client.server_name", NULL);
}
END_TEST

START_TEST(a_tunnel_fails_with_its_word_and_ends_without_one)
{
    struct span s;

    span_init(&s, SPAN_SERVER, SPAN_TCP);
    s.error = SPAN_ERROR_REFUSED;
    describe(&s);
    ck_assert_int_eq(described.status, STATUS_ERROR);
    ck_assert(described.status_message.n > 0);
    check_value("error.type", "connection_refused");

    s.error = SPAN_ERROR_CANCELLED;
    describe(&s);
    ck_assert_int_eq(described.status, STATUS_UNSET);
    check_value("error.type", NULL);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("conventions");
    TCase *t = tcase_create("conventions");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_loop_test(t, attributes_are_those_of_the_conventions, 0, COUNT(rows));
    tcase_add_loop_test(t, a_name_is_made_of_the_method_and_the_template, 0, COUNT(name_rows));
    tcase_add_loop_test(t, status_and_error_type_follow_the_outcome, 0, COUNT(outcome_rows));
    tcase_add_test(t, every_failure_without_a_code_is_explained);
    tcase_add_test(t, the_rule_that_refused_is_the_description);
    tcase_add_test(t, the_way_taken_is_told);
    tcase_add_loop_test(t, the_parts_of_the_time_follow_each_other, 0, COUNT(times_rows));
    tcase_add_test(t, captured_headers_are_arrays_of_all_their_values);
    tcase_add_test(t, what_the_configuration_says_wins_and_the_last_wins);
    tcase_add_test(t, there_is_room_for_all_that_a_span_can_have);
    tcase_add_test(t, long_texts_of_bytes_that_are_no_characters_have_room);
    tcase_add_test(t, a_query_that_grows_by_redaction_is_whole);
    tcase_add_test(t, a_tunnel_has_its_destination_and_its_bytes);
    tcase_add_test(t, a_tunnel_fails_with_its_word_and_ends_without_one);
    suite_add_tcase(suite, t);
    return test_main(suite);
}
