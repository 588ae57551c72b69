/* Certificates for tests, made on the spot; shared by unit tests and scenes. P-256, because an RSA key takes a while to make. */
#ifndef TESTS_CERTS_H
#define TESTS_CERTS_H

#include <check.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static inline void cert_write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
    FILE *f = fopen(path, "w");

    ck_assert_msg(f != NULL, "%s", path);
    ck_assert_int_eq(PEM_write_PrivateKey(f, key, passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                                          passphrase ? (void *)(uintptr_t)passphrase : NULL), 1);
    fclose(f);
}

/* For "localhost" and 127.0.0.1, signed by itself; ends days from now. */
static inline X509 *cert_make(EVP_PKEY *key, const char *name, long days)
{
    X509 *cert = X509_new();
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -86400 * 400);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400 * days);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
    return cert;
}

static inline void cert_write(const char *path, const char *mode, X509 *cert)
{
    FILE *f = fopen(path, mode);

    ck_assert_msg(f != NULL, "%s", path);
    ck_assert_int_eq(PEM_write_X509(f, cert), 1);
    fclose(f);
}

/* A pair in two files. */
static inline void cert_write_pair(const char *cert_path, const char *key_path, const char *name, long days)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = cert_make(key, name, days);

    cert_write(cert_path, "w", cert);
    cert_write_key(key_path, key, NULL);
    X509_free(cert);
    EVP_PKEY_free(key);
}

#endif
