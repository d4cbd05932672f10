#include "proxy/tls_digest.h"

#include <openssl/evp.h>

bool tls_sha1(const void *data, size_t n, uint8_t out[SHA1_BYTES])
{
    return EVP_Digest(data, n, out, NULL, EVP_sha1(), NULL) == 1;
}

void tls_base64(const void *data, size_t n, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, data, (int)n);
}
