/*
 * Certificates for tests, made anew each time: an authority, and what it signs.
 */
#ifndef SIDESPAN_TESTS_PROXY_TEST_CERTIFICATES_H
#define SIDESPAN_TESTS_PROXY_TEST_CERTIFICATES_H

#include <check.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct certificate {
    X509 *x509;
    EVP_PKEY *key;
};

static inline void certificate_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ck_assert_ptr_nonnull(e);
    X509_add_ext(x509, e, -1);
    X509_EXTENSION_free(e);
}

/* san: "DNS:users.test,IP:127.0.0.1"; NULL: an authority. issuer NULL: signed by itself. Valid from
 * a day ago, until so many seconds from now. */
static inline struct certificate certificate_make(const char *name, const char *san,
                                                  const struct certificate *issuer, long seconds)
{
    static long serial = 1;
    struct certificate c = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *subject = X509_get_subject_name(c.x509);

    X509_set_version(c.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.x509), -86400);
    X509_gmtime_adj(X509_getm_notAfter(c.x509), seconds);
    X509_set_pubkey(c.x509, c.key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(c.x509, issuer ? X509_get_subject_name(issuer->x509) : subject);
    if (san)
        certificate_extension(c.x509, issuer ? issuer->x509 : c.x509, NID_subject_alt_name, san);
    else
        certificate_extension(c.x509, c.x509, NID_basic_constraints, "critical,CA:TRUE");
    ck_assert_int_gt(X509_sign(c.x509, issuer ? issuer->key : c.key, EVP_sha256()), 0);
    return c;
}

static inline void certificate_release(struct certificate *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
}

/* A path in /tmp, to be unlinked and freed. */
static inline char *pem_file(const struct certificate *c, int key)
{
    char *path = strdup("/tmp/sidespan-test-XXXXXX");
    FILE *file = fdopen(mkstemp(path), "w");

    ck_assert_ptr_nonnull(file);
    if (key)
        PEM_write_PrivateKey(file, c->key, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_X509(file, c->x509);
    fclose(file);
    return path;
}

static inline void pem_file_remove(char *path)
{
    unlink(path);
    free(path);
}

/* A server's, with this certificate; client_ca not NULL: clients must have one of that authority.
 */
static inline SSL_CTX *server_context(const struct certificate *c,
                                      const struct certificate *client_ca)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    ck_assert_int_eq(SSL_CTX_use_certificate(context, c->x509), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(context, c->key), 1);
    if (client_ca) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), client_ca->x509);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    return context;
}

/* For SSL_CTX_set_alpn_select_cb(): takes the protocol in arg, a NUL-ended string, if offered. */
static inline int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                                  const unsigned char *in, unsigned in_n, void *arg)
{
    size_t n = strlen(arg);

    for (unsigned i = 0; i < in_n; i += in[i] + 1u) {
        if (in[i] == n && memcmp(in + i + 1, arg, n) == 0) {
            *out = in + i + 1;
            *out_n = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

#endif
