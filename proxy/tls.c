/*
 * One SSL_CTX a destination; what differs by connection is only the name that is
 * asked for and verified.
 */
#include "proxy/tls.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"

enum { ALPN_BYTES_MAX = 64 };

struct tls_client {
    SSL_CTX *context;
    char *server_name; /* owned, NUL-ended */
    bool is_ip;        /* verified as an address, and not sent as SNI (RFC 6066 section 3) */
    struct address ip; /* where it is */
    unsigned char alpn[ALPN_BYTES_MAX];
    unsigned alpn_bytes; /* one name with its length before it, or 0 */
};

/* ---- files ---- */

/* Why OpenSSL refused, in its words; the queue is emptied. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_error(); /* the cause; what follows are its consequences */
    const char *text = code ? ERR_reason_error_string(code) : NULL;

    if (code && ERR_SYSTEM_ERROR(code))
        text = strerror(ERR_GET_REASON(code));
    ERR_clear_error();
    return text ? text : "unknown error";
}

/* The path as a C string into out[PATH_BYTES_MAX]. */
enum { PATH_BYTES_MAX = 4096 };
static bool path_of(struct str text, char *out, struct error *err)
{
    if (text.n >= PATH_BYTES_MAX || memchr(text.p, '\0', text.n))
        return error_set(err, "TLS: the path of a file is too long");
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return true;
}

static bool load_authorities(SSL_CTX *context, struct str ca, struct error *err)
{
    char path[PATH_BYTES_MAX];

    if (ca.n == 0) {
        if (SSL_CTX_set_default_verify_paths(context) != 1)
            return error_set(err, "TLS: the system's certificate authorities: %s", reason());
        return true;
    }
    if (!path_of(ca, path, err))
        return false;
    if (SSL_CTX_load_verify_locations(context, path, NULL) != 1)
        return error_set(err, "TLS: ca \"%s\": %s", path, reason());
    return true;
}

static bool load_identity(SSL_CTX *context, struct str certificate, struct str key,
                          struct error *err)
{
    char path[PATH_BYTES_MAX];

    if (certificate.n == 0 && key.n == 0)
        return true;
    if (certificate.n == 0 || key.n == 0)
        return error_set(err, "TLS: a certificate needs its key, and a key its certificate");
    if (!path_of(certificate, path, err))
        return false;
    if (SSL_CTX_use_certificate_chain_file(context, path) != 1)
        return error_set(err, "TLS: certificate \"%s\": %s", path, reason());
    if (!path_of(key, path, err))
        return false;
    if (SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM) != 1)
        return error_set(err, "TLS: key \"%s\": %s", path, reason());
    return true;
}

/* ---- life ---- */

static bool set_names(struct tls_client *c, struct str server_name, struct str alpn,
                      struct error *err)
{
    /* SNI has no trailing dot. */
    if (server_name.n && server_name.p[server_name.n - 1] == '.')
        server_name.n--;
    if (server_name.n == 0 || memchr(server_name.p, '\0', server_name.n))
        return error_set(err, "TLS needs the name of the server");
    c->server_name = strndup(server_name.p, server_name.n);
    if (!c->server_name)
        return error_set(err, "no memory");
    c->is_ip = address_parse_ip(server_name, &c->ip);
    if (alpn.n >= ALPN_BYTES_MAX)
        return error_set(err, "TLS: the name of the protocol is too long");
    if (alpn.n) {
        c->alpn[0] = (unsigned char)alpn.n;
        memcpy(c->alpn + 1, alpn.p, alpn.n);
        c->alpn_bytes = (unsigned)alpn.n + 1;
    }
    return true;
}

struct tls_client *tls_client_new(struct str ca, struct str certificate, struct str key,
                                  struct str server_name, struct str alpn, struct error *err)
{
    struct tls_client *c = calloc(1, sizeof(*c));

    if (!c) {
        error_set(err, "no memory");
        return NULL;
    }
    ERR_clear_error();
    c->context = SSL_CTX_new(TLS_client_method());
    if (!c->context) {
        error_set(err, "TLS: %s", reason());
        goto fail;
    }
    SSL_CTX_set_min_proto_version(c->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(c->context, SSL_VERIFY_PEER, NULL);
    /* A peer that closes without saying so is an end like any other: HTTP knows its lengths. */
    SSL_CTX_set_options(c->context, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(c->context, SSL_MODE_RELEASE_BUFFERS);
    if (!set_names(c, server_name, alpn, err) || !load_authorities(c->context, ca, err) ||
        !load_identity(c->context, certificate, key, err))
        goto fail;
    return c;
fail:
    tls_client_free(c);
    return NULL;
}

void tls_client_free(struct tls_client *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->context);
    free(c->server_name);
    free(c);
}

/* ---- connections ---- */

/* Whose certificate it must be. */
static bool expect_server(const struct tls_client *c, SSL *ssl)
{
    X509_VERIFY_PARAM *verify = SSL_get0_param(ssl);

    if (c->is_ip)
        return X509_VERIFY_PARAM_set1_ip(verify, c->ip.ip, c->ip.family == AF_INET ? 4 : 16) == 1;
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, c->server_name) == 1 &&
           X509_VERIFY_PARAM_set1_host(verify, c->server_name, 0) == 1;
}

struct bufferevent *tls_client_bufferevent(struct tls_client *c, struct event_base *base, int fd)
{
    SSL *ssl = SSL_new(c->context);

    if (!ssl)
        return NULL;
    /* SSL_set_alpn_protos() returns 0 for success. */
    if (!expect_server(c, ssl) ||
        (c->alpn_bytes && SSL_set_alpn_protos(ssl, c->alpn, c->alpn_bytes) != 0)) {
        SSL_free(ssl);
        return NULL;
    }
    struct bufferevent *bev = bufferevent_openssl_socket_new(
        base, fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
    if (!bev) {
        SSL_free(ssl);
        return NULL;
    }
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    return bev;
}

struct str tls_bufferevent_alpn(struct bufferevent *bev)
{
    const unsigned char *name = NULL;
    unsigned n = 0;
    SSL *ssl = bufferevent_openssl_get_ssl(bev);

    if (ssl)
        SSL_get0_alpn_selected(ssl, &name, &n);
    return str_of((const char *)name, n);
}

/* What to look at when a certificate was not believed. */
static const char *verify_hint(long result)
{
    switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "it is not for the name in the URL";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "look at the clocks and at its dates";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return "`ca` must name the authority that signed it";
    default:
        return NULL;
    }
}

void tls_bufferevent_error(struct bufferevent *bev, char *out, size_t n)
{
    SSL *ssl = bufferevent_openssl_get_ssl(bev);
    long verified = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    unsigned long code = bufferevent_get_openssl_error(bev);
    const char *text = NULL;

    out[0] = '\0';
    if (verified != X509_V_OK) {
        const char *hint = verify_hint(verified);
        snprintf(out, n, "its certificate: %s%s%s", X509_verify_cert_error_string(verified),
                 hint ? "; " : "", hint ? hint : "");
        return;
    }
    /* What is no more than an SSL_ERROR_ number came of the socket: its errno tells more. */
    if (ERR_GET_LIB(code) != 0)
        text = ERR_reason_error_string(code);
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
        snprintf(out, n,
                 "it does not answer in TLS; without TLS a URL begins with grpc:// or http://");
    else if (text)
        snprintf(out, n, "%s", text);
    else if (ERR_GET_LIB(code) != 0)
        snprintf(out, n, "error %lx", code);
}
