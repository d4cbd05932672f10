/*
 * The rules of RFC 9112 and RFC 9110 that llhttp leaves to its user. A message
 * that two parsers could read differently is refused, never repaired.
 */
#include <stdlib.h>

#include "base/authority.h"
#include "proxy/http1_private.h"
#include "proxy/http_rules.h"

const struct refusal refusal_extension = {"chunk-extension-too-long", 400,
                                          "send no chunk extensions"};
const struct refusal refusal_head_timeout = {
    "head-timeout", 408, "send the whole head in time, or raise timeouts { header }"};
const struct refusal refusal_trailer = {"trailers-too-large", 431,
                                        "send fewer trailers, or raise limits { header-bytes }"};

const struct refusal refusal_request_line = {
    "request-line", 400, "the request line is METHOD TARGET HTTP/1.1, with one space between"};

const struct refusal refusal_version = {"version-unknown", 505, "send HTTP/1.1"};
static const struct refusal target_form = {
    "target-form", 400, "the target must be a path, an absolute http URL, or * for OPTIONS"};
static const struct refusal connect_target = {"connect-target", 400,
                                              "the target of CONNECT is HOST:PORT"};
static const struct refusal target_fragment = {"target-fragment", 400,
                                               "a request target has no fragment (#...)"};
const struct refusal refusal_target_character = {"target-character", 400,
                                                 "percent-encode what is not a URL character"};
static const struct refusal host_missing = {"host-missing", 400, "send one Host header"};
static const struct refusal host_repeated = {"host-repeated", 400, "send exactly one Host header"};
static const struct refusal host_invalid = {"host-invalid", 400,
                                            "Host is a name or an address, perhaps with a port"};
static const struct refusal length_repeated = {"content-length-repeated", 400,
                                               "send one Content-Length"};
static const struct refusal length_invalid = {"content-length-invalid", 400,
                                              "Content-Length is decimal digits, nothing else"};
static const struct refusal length_and_coding = {
    "content-length-with-transfer-encoding", 400,
    "send either Content-Length or Transfer-Encoding, not both"};
static const struct refusal coding_unknown = {"transfer-encoding-unknown", 501,
                                              "the only transfer coding is chunked"};
static const struct refusal coding_repeated = {"transfer-encoding-repeated", 400,
                                               "send one Transfer-Encoding: chunked"};
static const struct refusal coding_in_10 = {"transfer-encoding-in-http-1.0", 400,
                                            "HTTP/1.0 has no transfer codings"};
static const struct refusal fold = {"obs-fold", 400,
                                    "do not continue a header on the next line (obs-fold)"};
const struct refusal refusal_line_end = {"line-end", 400, "end each line with CR LF"};
const struct refusal refusal_bare_cr = {"bare-cr", 400,
                                        "end each line with CR LF; CR stands nowhere else"};
static const struct refusal status_line = {
    "status-line", 502, "a response begins with HTTP/1.1, a status from 100 to 599 and CR LF"};
static const struct refusal scheme_unknown = {"target-scheme", 400,
                                              "only http:// targets can be forwarded"};

/* ---- what llhttp finds ---- */

const struct refusal *http1_refusal_of(llhttp_errno_t e, const char *reason)
{
    static const struct {
        llhttp_errno_t error;
        struct refusal refusal;
    } rows[] = {
        {HPE_INVALID_VERSION, {"version-unknown", 505, "send HTTP/1.1"}},
        {HPE_LF_EXPECTED, {"bare-cr", 400, "end each line with CR LF; CR stands nowhere else"}},
        {HPE_INVALID_CONTENT_LENGTH,
         {"content-length-invalid", 400, "Content-Length is decimal digits, nothing else"}},
        {HPE_UNEXPECTED_CONTENT_LENGTH,
         {"content-length-repeated", 400,
          "send one Content-Length, and none with Transfer-Encoding"}},
        {HPE_INVALID_TRANSFER_ENCODING,
         {"transfer-encoding-invalid", 400,
          "send either one Transfer-Encoding: chunked or a Content-Length"}},
        {HPE_INVALID_CHUNK_SIZE, {"chunk-size", 400, "a chunk size is hexadecimal digits"}},
        {HPE_STRICT, {"chunk-end", 400, "a chunk's data ends with CR LF"}},
        {HPE_INVALID_HEADER_TOKEN,
         {"header-character", 400,
          "a header name is a token followed by a colon, and no control character is in a value"}},
        {HPE_INVALID_EOF_STATE, {"incomplete", 400, "send the whole message"}},
    };
    static const struct refusal malformed = {"malformed", 400, "send well-formed HTTP/1.1"};

    if (e == HPE_INVALID_CONSTANT || e == HPE_INVALID_STATUS)
        return &status_line; /* a request's first line is not read by llhttp */
    /* llhttp tells these by its words alone. */
    if (e == HPE_CR_EXPECTED || (e == HPE_INVALID_VERSION && reason && strstr(reason, "CRLF")))
        return &refusal_line_end;
    if ((e == HPE_INVALID_TRANSFER_ENCODING && reason && strstr(reason, "Content-Length")) ||
        ((e == HPE_UNEXPECTED_CONTENT_LENGTH || e == HPE_INVALID_CONTENT_LENGTH) && reason &&
         strstr(reason, "Transfer-Encoding")))
        return &length_and_coding;
    if (e == HPE_UNEXPECTED_SPACE ||
        (e == HPE_INVALID_HEADER_TOKEN && reason && strstr(reason, "whitespace after header")))
        return &fold;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].error == e)
            return &rows[i].refusal;
    return &malformed;
}

/* ---- the target and the host ---- */

static const struct refusal *absolute_form(struct message *m)
{
    struct str rest = str_slice(m->target, sizeof "http://" - 1, m->target.n);
    size_t end = 0;

    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    /* Overrides Host (RFC 9112 section 3.2.2). */
    m->authority = str_slice(rest, 0, end);
    message_split_path(m, str_slice(rest, end, rest.n));
    return authority_list_valid(m->authority) ? NULL : &host_invalid;
}

static const struct refusal *check_target(struct message *m)
{
    if (!target_valid(m->target))
        return &refusal_target_character;
    if (str_index(m->target, '#', 0) < m->target.n)
        return &target_fragment;
    if (str_eq(m->method, STR("CONNECT"))) {
        m->authority = m->target;
        return connect_target_valid(m->target) ? NULL : &connect_target;
    }
    if (m->target.n && m->target.p[0] == '/') {
        message_split_path(m, m->target);
        return NULL;
    }
    if (str_eq(m->target, STR("*")) && str_eq(m->method, STR("OPTIONS"))) {
        m->path = m->target;
        return NULL;
    }
    if (m->target.n > 7 && str_eq_nocase(str_slice(m->target, 0, 7), STR("http://")))
        return absolute_form(m);
    if (m->target.n > 8 && str_eq_nocase(str_slice(m->target, 0, 8), STR("https://")))
        return &scheme_unknown;
    return &target_form;
}

static const struct refusal *check_host(struct message *m)
{
    const struct header *host = NULL;
    size_t n = 0;

    for (size_t i = 0; i < m->fields.n; i++) {
        if (m->fields.v[i].id == HEADER_HOST) {
            host = &m->fields.v[i];
            n++;
        }
    }
    if (n > 1)
        return &host_repeated;
    if (n == 0)
        return m->version >= 11 ? &host_missing : NULL;
    if (!authority_list_valid(host->value))
        return &host_invalid;
    if (m->authority.n == 0)
        m->authority = host->value;
    return NULL;
}

/* ---- framing ---- */

static const struct refusal *check_framing(struct message *m)
{
    const struct header *length = NULL, *coding = NULL;
    size_t lengths = 0, codings = 0;

    m->body = BODY_NONE;
    if (!headers_may_have(&m->fields,
                          HEADER_BIT(HEADER_CONTENT_LENGTH) | HEADER_BIT(HEADER_TRANSFER_ENCODING)))
        return NULL;
    for (size_t i = 0; i < m->fields.n; i++) {
        if (m->fields.v[i].id == HEADER_CONTENT_LENGTH) {
            length = &m->fields.v[i];
            lengths++;
        } else if (m->fields.v[i].id == HEADER_TRANSFER_ENCODING) {
            coding = &m->fields.v[i];
            codings++;
        }
    }
    if (lengths && codings)
        return &length_and_coding;
    if (lengths > 1)
        return &length_repeated;
    if (length) {
        if (!str_to_u64(length->value, &m->length))
            return &length_invalid;
        m->body = m->length ? BODY_LENGTH : BODY_NONE;
    }
    if (!coding)
        return NULL;
    if (m->version < 11)
        return &coding_in_10;
    if (codings > 1)
        return &coding_repeated;
    if (!str_eq_nocase(coding->value, STR("chunked")))
        return &coding_unknown;
    m->body = BODY_CHUNKED;
    return NULL;
}

/* What is known of it all the same, for its span. */
static void tell_refused(struct message *m)
{
    const struct header *host = headers_find(&m->fields, HEADER_HOST);

    if (!m->path.p)
        m->path = str_slice(m->target, 0, str_index(m->target, '?', 0));
    if (!m->authority.n && host && authority_valid(host->value))
        m->authority = host->value;
}

const struct refusal *http1_check_request(struct message *m, const struct limits *limits)
{
    const struct refusal *why;

    if (m->fields.n > limits->headers)
        return &refusal_headers;
    m->scheme = STR("http");
    if ((why = check_target(m)) || (why = check_host(m)) || (why = check_framing(m))) {
        tell_refused(m);
        return why;
    }
    /* Of HTTP/1.0 it is ignored (RFC 9110 section 7.8). */
    m->upgrade = m->version >= 11 && headers_find(&m->fields, HEADER_UPGRADE) &&
                 headers_have_member(&m->fields, HEADER_CONNECTION, STR("upgrade"));
    return NULL;
}

const struct refusal *http1_check_response(struct message *m)
{
    const struct refusal *why;

    if ((m->version != 10 && m->version != 11) || m->status < 100 || m->status > 599)
        return &status_line;
    if ((why = check_framing(m)))
        return why;
    return NULL;
}
